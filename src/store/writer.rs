//! The thread that works on the files: no other one waits for a disk unless it wants to.
//!
//! Whoever has work for the store hands it over and goes on; what became of it comes back through a queue, and `wake` is called.
//! All that came while the thread was busy is one group with one sync, so that many publishers share what a disk can do.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::context::Stored;
use super::core::{MakeSafe, Store};
use super::error::{Error, Kind, Loss, Result};
use super::state::Outcome;
use crate::sync::{Condvar, Mutex, entering_user_code};

/// When work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// When it is safe from a power cut. The group that it belongs to is made safe at once.
    Sync,
    /// When it is safe from a power cut; that may take as long as [`Batching`] allows.
    Batch,
    /// When it is written: safe from the end of the process. Somebody else's sync makes it safe from a power cut.
    Written,
}

/// How long and how much may be in memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Milliseconds until what has the promise [`Batch`](Promise::Batch) is made safe.
    pub batch_ms: u64,
    /// Bytes of work after which all is made safe.
    pub batch_bytes: usize,
    /// Bytes of work that wait for the disk; more messages and notes are refused. What says something of messages that are there
    /// counts, too, and is never refused: it makes room.
    pub max_pending: usize,
}

impl Default for Batching {
    fn default() -> Batching {
        Batching { batch_ms: 50, batch_bytes: 256 * 1024, max_pending: 4 * 1024 * 1024 }
    }
}

/// What there is to do. The comments of [`Store`]'s functions of the same names say what it is.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the parameters of the functions")]
pub enum Work {
    /// [`Store::append`]
    Append { class: u8, token: u64, body: Vec<u8> },
    /// [`Store::end`]
    End { class: u8, token: u64, outcome: Outcome },
    /// [`Store::identify`]
    Identify { token: u64, packet_id: u16 },
    /// [`Store::release`]
    Release { class: u8, token: u64, packet_id: u16 },
    /// [`Store::receive`]
    Receive { packet_id: u16, is_open: bool },
    /// [`Store::note`]
    Note { kind: u8, name: Vec<u8>, value: Option<Vec<u8>> },
    /// [`Store::reserve_tokens`]. Done when they may be used, whatever the promise.
    Reserve,
    /// [`Store::read`]. What was handed over before is found.
    Read { class: u8, after: u64, count: usize, bytes: usize },
}

/// What became of work.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is as safe as was promised.
    Done,
    /// These tokens may be used.
    Tokens(Range<u64>),
    /// What was read, and whether there is more.
    Messages(Vec<Stored>, bool),
    /// It was not done, and nothing of it will be found after a restart. While the store is closed: it is not as safe as was
    /// promised.
    Failed(Error),
}

/// What happened since the last time somebody asked.
#[derive(Debug, Default)]
pub struct Results {
    /// Tickets that are done, first to last.
    pub done: Vec<(u64, u64)>,
    /// Those with another answer.
    pub answers: Vec<(u64, Answer)>,
    /// What could not be read.
    pub losses: Vec<Loss>,
    /// After messages were refused: there is room again.
    pub has_room: bool,
}

#[derive(Debug)]
struct Item {
    ticket: u64,
    promise: Promise,
    work: Work,
    /// Tokens that were reserved by it.
    tokens: Range<u64>,
    /// Its answer was given: it is written, and no more was promised. It is kept until it is safe, and written again if that
    /// fails.
    is_told: bool,
}

impl Item {
    /// Whether its group has to be made safe at once.
    fn ask_for(&self, sync: &mut MakeSafe) {
        match self.work {
            Work::Append { .. } => sync.messages |= self.promise == Promise::Sync,
            Work::Read { .. } => {}
            Work::Reserve => sync.state = true,
            _ => sync.state |= self.promise == Promise::Sync,
        }
    }

    /// About how many bytes of memory it takes.
    fn size(&self) -> usize {
        let own = match &self.work {
            Work::Append { body, .. } => body.len(),
            Work::Note { name, value, .. } => name.len() + value.as_ref().map_or(0, Vec::len),
            _ => 0,
        };
        own + size_of::<Item>()
    }

    /// Whether there may be no room for it.
    fn may_be_refused(&self) -> bool {
        matches!(self.work, Work::Append { .. } | Work::Note { value: Some(_), .. })
    }

    /// What it is told once it is as safe as was promised.
    fn success(&self) -> Answer {
        if self.tokens.is_empty() { Answer::Done } else { Answer::Tokens(self.tokens.clone()) }
    }
}

#[derive(Debug, Default)]
struct Inbox {
    queue: VecDeque<Item>,
    tickets: u64,
    results: Results,
    /// Threads that wait for a ticket, and what they get.
    waited: BTreeMap<u64, Option<Answer>>,
    /// Bytes of work that is not as safe as was promised.
    pending: usize,
    was_refused: bool,
    is_closing: bool,
    /// The thread has ended.
    is_over: bool,
    /// Why nothing can be written at present.
    trouble: Option<Error>,
    closed: Option<Result<()>>,
}

struct Shared {
    inbox: Mutex<Inbox>,
    work: Condvar,
    answered: Condvar,
    batching: Batching,
    wake: Box<dyn Fn() + Send + std::marker::Sync>,
}

/// The store behind its thread.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl core::fmt::Debug for Writer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the thread. `wake` is called on it whenever there are results.
    pub fn start(
        store: Store,
        batching: Batching,
        wake: impl Fn() + Send + std::marker::Sync + 'static,
    ) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox::default()),
            work: Condvar::new(),
            answered: Condvar::new(),
            batching,
            wake: Box::new(wake),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("mgos_mqtt store".to_owned())
            .spawn(move || Worker::new(store, own).run())?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    /// Hands work over: its ticket. Fails without doing anything if too much waits for the disk already, or if the store is
    /// closed.
    pub fn submit(&self, work: Work, promise: Promise) -> Result<u64> {
        let mut inbox = self.shared.inbox.lock();
        let ticket = inbox.push(work, promise, self.shared.batching.max_pending)?;
        drop(inbox);
        self.shared.work.notify_one();
        Ok(ticket)
    }

    /// Hands work over and waits until it is done. After `limit` it returns `None`, and the answer comes with the others.
    pub fn wait(&self, work: Work, promise: Promise, limit: Option<Duration>) -> Option<Answer> {
        let until = limit.map(|limit| Instant::now() + limit);
        let mut inbox = self.shared.inbox.lock();
        let ticket = match inbox.push(work, promise, self.shared.batching.max_pending) {
            Ok(ticket) => ticket,
            Err(error) => return Some(Answer::Failed(error)),
        };
        inbox.waited.insert(ticket, None);
        self.shared.work.notify_one();
        loop {
            if let Some(Some(answer)) = inbox.waited.get_mut(&ticket).map(Option::take) {
                inbox.waited.remove(&ticket);
                return Some(answer);
            }
            if inbox.is_over {
                inbox.waited.remove(&ticket);
                return Some(Answer::Failed(Error::closed()));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                inbox.waited.remove(&ticket);
                return None;
            }
            inbox = self.shared.answered.wait(inbox, left);
        }
    }

    /// What happened since the last call.
    pub fn take_results(&self) -> Results {
        core::mem::take(&mut self.shared.inbox.lock().results)
    }

    /// Why nothing can be written at present; `None` if all is well.
    pub fn trouble(&self) -> Option<Error> {
        self.shared.inbox.lock().trouble.clone()
    }

    /// Makes all of it safe, and closes the store.
    pub fn close(mut self) -> Result<()> {
        self.end();
        self.shared.inbox.lock().closed.take().unwrap_or_else(|| Err(Error::closed()))
    }

    fn end(&mut self) {
        self.shared.inbox.lock().is_closing = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it panicked, `closed` says nothing.
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Inbox {
    fn push(&mut self, work: Work, promise: Promise, max_pending: usize) -> Result<u64> {
        if self.is_closing || self.is_over {
            return Err(Error::closed());
        }
        let item = Item { ticket: self.tickets + 1, promise, work, tokens: 0..0, is_told: false };
        let size = item.size();
        if item.may_be_refused() && self.pending > 0 && self.pending + size > max_pending {
            self.was_refused = true;
            return Err(self.trouble.clone().unwrap_or_else(|| {
                let text =
                    format!("{} bytes wait for the disk, and no more than {max_pending} may", self.pending);
                Error::new(Kind::Full, text)
            }));
        }
        self.queue.try_reserve(1).map_err(|_| Error::no_memory())?;
        self.pending += size;
        self.tickets += 1;
        self.queue.push_back(item);
        Ok(self.tickets)
    }

    fn answer(&mut self, ticket: u64, answer: Answer) {
        if let Some(slot) = self.waited.get_mut(&ticket) {
            *slot = Some(answer);
        } else if answer == Answer::Done {
            match self.results.done.last_mut() {
                Some((_, last)) if *last + 1 == ticket => *last = ticket,
                _ => self.results.done.push((ticket, ticket)),
            }
        } else {
            self.results.answers.push((ticket, answer));
        }
    }
}

/// After a failure it is tried again when there is more to do, and after so long.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread has.
struct Worker {
    store: Store,
    shared: Arc<Shared>,
    /// What was done in this group.
    fresh: VecDeque<Item>,
    /// Done before, but not as safe as was promised, or messages that are not safe; in the order in which it came.
    open: VecDeque<Item>,
    /// Bytes of work in both.
    open_bytes: usize,
    /// Nothing failed in the last group.
    was_ok: bool,
    /// Messages ended since it was found that no segments are worth compacting.
    has_ended: bool,
    /// Not done, since writing failed: tried again. Before all that comes later.
    again: VecDeque<Item>,
    /// When what is open has to be safe.
    due: Option<Instant>,
    answers: Vec<(u64, Answer)>,
    /// Bytes of work of which the answer is known.
    settled: usize,
    trouble: Option<Error>,
}

/// However the thread ends, nobody waits for it any more.
impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.inbox.lock().is_over = true;
        self.shared.answered.notify_all();
    }
}

impl Worker {
    fn new(store: Store, shared: Arc<Shared>) -> Worker {
        Worker {
            store,
            shared,
            fresh: VecDeque::new(),
            open: VecDeque::new(),
            open_bytes: 0,
            was_ok: true,
            has_ended: true,
            again: VecDeque::new(),
            due: None,
            answers: Vec::new(),
            settled: 0,
            trouble: None,
        }
    }

    fn run(mut self) {
        loop {
            let (items, is_closing) = self.wait_for_work();
            self.group(items, is_closing);
            self.deliver();
            if is_closing {
                break;
            }
            self.maintain();
        }
        let closed = self.close();
        self.deliver();
        self.shared.inbox.lock().closed = Some(closed);
    }

    /// Frees space that a few old messages hold, as long as there is nothing else to do.
    fn maintain(&mut self) {
        let mut is_changed = false;
        while self.has_ended && self.trouble.is_none() && self.is_idle() {
            match self.store.maintain() {
                Ok(more) => self.has_ended = more,
                Err(error) => self.trouble = Some(error),
            }
            is_changed = true;
        }
        if is_changed {
            self.deliver();
        }
    }

    fn is_idle(&self) -> bool {
        let inbox = self.shared.inbox.lock();
        inbox.queue.is_empty() && !inbox.is_closing
    }

    /// Closes the store. It fails if anything of what was accepted is not in it.
    fn close(&mut self) -> Result<()> {
        if !self.again.is_empty() || !self.open.is_empty() {
            self.group(VecDeque::new(), true);
        }
        let mut closed = self.store.close_in_place();
        for item in core::mem::take(&mut self.open) {
            let answer = match &closed {
                Ok(()) => item.success(),
                Err(error) => Answer::Failed(error.clone()),
            };
            self.settle(&item, answer);
        }
        for item in core::mem::take(&mut self.again) {
            let error = self.trouble.clone().unwrap_or_else(Error::closed);
            self.settle(&item, Answer::Failed(error.clone()));
            closed = closed.and(Err(error));
        }
        closed
    }

    /// Sleeps until there is work, or until something is due.
    fn wait_for_work(&mut self) -> (VecDeque<Item>, bool) {
        let mut inbox = self.shared.inbox.lock();
        let retry = (!self.again.is_empty() || self.trouble.is_some()).then(|| Instant::now() + RETRY);
        loop {
            let ready = !inbox.queue.is_empty() || inbox.is_closing;
            let until = [self.due, retry].into_iter().flatten().min();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if ready || left.is_some_and(|left| left.is_zero()) {
                return (core::mem::take(&mut inbox.queue), inbox.is_closing);
            }
            inbox = self.shared.work.wait(inbox, left);
        }
    }

    /// Does the work of a group, commits it, and finds out what became of each part.
    fn group(&mut self, items: VecDeque<Item>, is_closing: bool) {
        let mut sync = MakeSafe::default();
        for item in &self.open {
            item.ask_for(&mut sync);
        }
        let mut blocked: BTreeMap<u8, Error> = BTreeMap::new();
        let mut reads = Vec::new();
        let mut again: VecDeque<Item> = VecDeque::new();
        let before = core::mem::take(&mut self.again);
        for item in before.into_iter().chain(items) {
            self.forget_ended(&item, &mut again);
            match &item.work {
                Work::Read { .. } => reads.push(item),
                Work::Append { class, token, body } => {
                    let class = *class;
                    let result = match blocked.get(&class) {
                        Some(error) => Err(error.clone()),
                        None => self.store.append(class, *token, body),
                    };
                    match result {
                        Ok(()) => {
                            item.ask_for(&mut sync);
                            self.is_done(item);
                        }
                        Err(error) if is_lasting(&error) && !item.is_told => {
                            self.settle(&item, Answer::Failed(error));
                        }
                        Err(error) => {
                            blocked.insert(class, error);
                            again.push_back(item);
                        }
                    }
                }
                _ => {
                    item.ask_for(&mut sync);
                    self.do_state(item);
                }
            }
        }
        let is_due = self.due.is_some_and(|due| due <= Instant::now());
        // Written and not safe yet: not more of it than may be lost in memory.
        if is_due || is_closing || self.open_bytes >= self.shared.batching.batch_bytes {
            sync = MakeSafe::ALL;
        }
        let failed = self.store.commit(sync);
        blocked.extend(failed.classes.iter().cloned());
        self.trouble = blocked.values().next().or(failed.state.as_ref()).cloned();
        self.resolve(sync, &blocked, failed.state.is_none(), &mut again);
        self.again = again;
        for item in reads {
            self.read(&item);
        }
        self.due = self.due_time();
    }

    /// A message that ended while it still had to be written need not be written any more.
    fn forget_ended(&mut self, item: &Item, again: &mut VecDeque<Item>) {
        let (Work::End { token, .. } | Work::Release { token, .. }) = item.work else { return };
        let is_it = |other: &Item| matches!(other.work, Work::Append { token: t, .. } if t == token);
        if let Some(at) = again.iter().position(is_it)
            && let Some(item) = again.remove(at)
        {
            self.settle(&item, Answer::Done);
        }
    }

    fn do_state(&mut self, mut item: Item) {
        let result = match &item.work {
            Work::End { class, token, outcome } => self.store.end(*class, *token, *outcome),
            Work::Release { class, token, packet_id } => self.store.release(*class, *token, *packet_id),
            Work::Note { kind, name, value } => self.store.note(*kind, name, value.as_deref()),
            Work::Identify { token, packet_id } => {
                self.store.identify(*token, *packet_id);
                Ok(())
            }
            Work::Receive { packet_id, is_open } => {
                self.store.receive(*packet_id, *is_open);
                Ok(())
            }
            Work::Reserve => {
                item.tokens = self.store.reserve_tokens();
                Ok(())
            }
            Work::Append { .. } | Work::Read { .. } => Ok(()),
        };
        match result {
            Ok(()) => self.is_done(item),
            Err(error) => self.settle(&item, Answer::Failed(error)),
        }
    }

    fn is_done(&mut self, item: Item) {
        self.has_ended |= matches!(item.work, Work::End { .. } | Work::Release { .. });
        self.open_bytes += item.size();
        self.fresh.push_back(item);
    }

    /// After a commit: what is as safe as was promised, what failed, and what has to be done once more.
    fn resolve(
        &mut self,
        sync: MakeSafe,
        failed: &BTreeMap<u8, Error>,
        state_ok: bool,
        again: &mut VecDeque<Item>,
    ) {
        let is_ok = failed.is_empty() && state_ok;
        let mut lost: VecDeque<Item> = VecDeque::new();
        let mut all = core::mem::take(&mut self.fresh);
        // Otherwise nothing has changed for those before.
        if sync != MakeSafe::default() || !is_ok || !self.was_ok {
            let fresh = core::mem::replace(&mut all, core::mem::take(&mut self.open));
            all.extend(fresh);
        }
        self.was_ok = is_ok;
        for mut item in all {
            let (is_written, is_safe) = match &item.work {
                Work::Append { class, token, .. } => match failed.get(class) {
                    Some(_) if *token > self.store.last(*class) => {
                        self.open_bytes -= item.size();
                        lost.push_back(item);
                        continue;
                    }
                    // What was written before the failure is as it was.
                    failed => (true, sync.messages && failed.is_none()),
                },
                _ => (state_ok, sync.state && state_ok),
            };
            // Tokens of which the reservation is lost would be given again.
            let may_be_lost = item.promise == Promise::Written && item.tokens.is_empty();
            if is_safe || is_written && may_be_lost {
                self.settle(&item, item.success());
                item.is_told = true;
            }
            // What the state says is written again without being asked for; a message that is lost has to be.
            let is_message = matches!(item.work, Work::Append { .. });
            if is_safe || item.is_told && !is_message {
                self.open_bytes -= item.size();
            } else {
                self.open.push_back(item);
            }
        }
        lost.append(again);
        // What was promised to be safe when the call returns fails now; the rest is tried again.
        for item in lost {
            match (&item.work, item.promise) {
                (Work::Append { class, .. }, Promise::Sync) => {
                    let error = failed.get(class).cloned().unwrap_or_else(Error::closed);
                    self.settle(&item, Answer::Failed(error));
                }
                _ => again.push_back(item),
            }
        }
    }

    fn read(&mut self, item: &Item) {
        let Work::Read { class, after, count, bytes } = item.work else { return };
        let mut messages = Vec::new();
        let answer = match self.store.read(class, after, count, bytes, &mut messages) {
            Ok(more) => Answer::Messages(messages, more),
            Err(error) => Answer::Failed(error),
        };
        self.settle(item, answer);
    }

    /// When what is open has to be made safe.
    fn due_time(&self) -> Option<Instant> {
        let waits = self.open.iter().any(|item| item.promise != Promise::Written);
        let now = Instant::now();
        let batch = Duration::from_millis(self.shared.batching.batch_ms);
        let next = now + if self.trouble.is_some() { RETRY } else { batch };
        waits.then(|| self.due.filter(|due| *due > now).unwrap_or(next))
    }

    fn settle(&mut self, item: &Item, answer: Answer) {
        if item.is_told {
            return;
        }
        self.settled += item.size();
        self.answers.push((item.ticket, answer));
    }

    /// Hands all answers out.
    fn deliver(&mut self) {
        let losses = self.store.take_losses();
        let max = self.shared.batching.max_pending;
        let mut inbox = self.shared.inbox.lock();
        inbox.pending -= core::mem::take(&mut self.settled);
        let mut is_new = !self.answers.is_empty() || !losses.is_empty();
        for (ticket, answer) in self.answers.drain(..) {
            inbox.answer(ticket, answer);
        }
        inbox.results.losses.extend(losses);
        if inbox.was_refused && inbox.pending <= max / 2 {
            inbox.was_refused = false;
            inbox.results.has_room = true;
            is_new = true;
        }
        inbox.trouble.clone_from(&self.trouble);
        let is_waited_for = !inbox.waited.is_empty();
        drop(inbox);
        if is_waited_for {
            self.shared.answered.notify_all();
        }
        if is_new {
            entering_user_code();
            (self.shared.wake)();
        }
    }
}

/// Whether the same work would fail again, whatever the disk does.
fn is_lasting(error: &Error) -> bool {
    matches!(error.kind(), Kind::TooLarge | Kind::Usage | Kind::Key | Kind::NoMemory)
}
