//! Who has work: the sources, the ready list, the deadlines, and whether the driver sleeps.
//!
//! All of it is behind one lock, held for a few instructions at a time and never while user code
//! or a system call runs. That makes the wake-up protocol short enough to be seen through:
//!
//! - The driver sets `asleep` under the lock, and only after it saw under the same lock that there
//!   is nothing to do.
//! - Whoever adds work does so under the lock, and takes `asleep` away in the same breath; only the
//!   one who found it set writes to the waker, after unlocking. So no wake-up is lost, and a sleep
//!   costs at most one write.
//! - A *kick* asks the driver to end its round and look around. It stays until a round consumed it,
//!   because it may come just before the driver falls asleep.
//!
//! When the file descriptor was handed out (`watched`), the loop counts as asleep whenever nobody
//! drives it: what then sleeps is somebody else's event loop, and the waker makes the descriptor
//! readable.

use super::slots::{Readiness, Slots, SourceId};
use super::sync::{Mutex, MutexGuard};
use super::timers::Timers;
use crate::time::{Moment, Span, Time};

/// Ends the driver's sleep; what [`mio::Waker`] does, or a model of it.
pub(crate) trait Wake {
    /// Makes the present or the next sleep return at once.
    fn wake(&self);
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ready<T, W> {
    state: Mutex<State<T>>,
    waker: W,
}

#[derive(Debug)]
struct State<T> {
    slots: Slots<T>,
    timers: Timers,
    /// Sources that want a turn; exactly those with `pending` set that are in no batch.
    list: Vec<SourceId>,
    every_round: Vec<SourceId>,
    /// A write to the waker is needed to be noticed.
    asleep: bool,
    kicked: bool,
    watched: bool,
    /// Somebody has the driver's role.
    driven: bool,
    /// The system had more events than the last round could take.
    more: bool,
    closed: bool,
    /// A foreign loop asked how long it may sleep, and may be asleep.
    asked: bool,
    /// The deadline that it was told.
    told: Option<Time>,
}

/// What a source gets its turn with.
#[derive(Debug)]
pub(crate) struct Begun<T> {
    /// The source.
    pub(crate) value: T,
    /// What its socket became.
    pub(crate) ready: Readiness,
    /// Its deadline, which has not come yet.
    pub(crate) deadline: Option<Time>,
}

/// Where a round goes on.
#[derive(Debug)]
pub(crate) struct Next<T> {
    /// The next turn of the batch, begun.
    pub(crate) turn: Option<(SourceId, Begun<T>)>,
    /// Whether any source wants to know the end of the round.
    pub(crate) ticks: bool,
}

/// An event of the system.
pub(crate) type Event = (SourceId, Readiness);

impl<T: Clone, W: Wake> Ready<T, W> {
    /// No sources, nothing to do.
    pub(crate) fn new(waker: W) -> Ready<T, W> {
        let state = State {
            slots: Slots::new(),
            timers: Timers::default(),
            list: Vec::new(),
            every_round: Vec::new(),
            asleep: false,
            kicked: false,
            watched: false,
            driven: false,
            more: false,
            closed: false,
            asked: false,
            told: None,
        };
        Ready { state: Mutex::new(state), waker }
    }

    // ---- from any thread ----

    /// Adds a source; gives it back if the loop is closed, or the table or the memory is full.
    pub(crate) fn add(&self, value: T) -> Result<SourceId, T> {
        let mut state = self.state.lock();
        let state = &mut *state;
        // The room that scheduling and timers will need, so that they cannot fail later.
        let places = state.slots.places() + 1;
        let missing = places.saturating_sub(state.list.len());
        let every = places.saturating_sub(state.every_round.len());
        let room = (state.list.try_reserve(missing))
            .and_then(|()| state.every_round.try_reserve(every))
            .and_then(|()| state.timers.reserve(places));
        if state.closed || room.is_err() {
            return Err(value);
        }
        state.slots.insert(value)
    }

    /// Takes a source out: it gets no further turn. The caller drops it, with no lock held.
    pub(crate) fn remove(&self, id: SourceId) -> Option<T> {
        let mut state = self.state.lock();
        let slot = state.slots.remove(id)?;
        if slot.deadline != Moment::NONE {
            state.timers.set(id, None);
        }
        if slot.every_round {
            state.every_round.retain(|&other| other != id);
        }
        if slot.pending {
            state.list.retain(|&other| other != id);
        }
        Some(slot.value)
    }

    /// The source gets a turn soon.
    pub(crate) fn schedule(&self, id: SourceId) {
        let mut state = self.state.lock();
        if state.make_pending(id) {
            self.rouse(state);
        }
    }

    /// The source's stream, which is no socket, became ready.
    pub(crate) fn announce(&self, id: SourceId, what: Readiness) {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(id) else { return };
        slot.ready.add(what);
        if state.make_pending(id) {
            self.rouse(state);
        }
    }

    /// Whether the source wants to know the end of each round.
    pub(crate) fn set_every_round(&self, id: SourceId, on: bool) {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(id) else { return };
        if slot.every_round == on {
            return;
        }
        slot.every_round = on;
        if on {
            state.every_round.push(id);
        } else {
            state.every_round.retain(|&other| other != id);
        }
    }

    /// Makes the present or the next round end without sleeping.
    pub(crate) fn kick(&self) {
        let mut state = self.state.lock();
        state.kicked = true;
        self.rouse(state);
    }

    /// Writes to the waker whether anybody sleeps or not.
    pub(crate) fn wake_fd(&self) {
        self.waker.wake();
    }

    /// From now on somebody may be asleep on the file descriptor while nobody drives.
    pub(crate) fn watch(&self) {
        let mut state = self.state.lock();
        state.watched = true;
        if !state.driven {
            state.asleep = true;
        }
    }

    /// How long a foreign loop may sleep: zero if there is work, `None` for ever. If somebody else
    /// than the caller (`driver`: whether the caller drives) drives at this moment, for ever too:
    /// to come back at once would be to spin. See [`rest`](Self::rest).
    pub(crate) fn next_timeout(&self, now: Time, driver: bool) -> Option<Span> {
        let mut state = self.state.lock();
        state.asked = true;
        let busy = state.driven && !driver;
        state.told = if busy { None } else { state.timers.next() };
        if !busy && state.unfinished() { Some(Span::ZERO) } else { state.told.map(|at| at.since(now)) }
    }

    /// Whether a source waits for a turn.
    pub(crate) fn has_work(&self) -> bool {
        !self.state.lock().list.is_empty()
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Ends it all: hands out what sources there are, and takes no new ones.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.state.lock();
        state.closed = true;
        state.watched = false;
        state.asleep = false;
        state.timers.clear();
        state.list.clear();
        state.every_round.clear();
        state.slots.drain()
    }

    // ---- with the driver's role ----

    /// Somebody took the driver's role and may do something else before its first round. `processing`: a foreign
    /// loop, which will ask again how long it may sleep.
    pub(crate) fn driven(&self, processing: bool) {
        let mut state = self.state.lock();
        state.driven = true;
        state.asleep = false;
        if processing {
            state.asked = false;
        }
    }

    /// The driver is about to give its role back. True if a foreign loop sleeps on an answer that is
    /// no longer right: something is unfinished, or due earlier than it was told. It must be woken
    /// then, which this asks for only once.
    pub(crate) fn rest(&self) -> bool {
        let mut state = self.state.lock();
        state.driven = false;
        state.asleep = state.watched;
        let sooner = match (state.timers.next(), state.told) {
            (Some(next), Some(told)) => next < told,
            (next, told) => next.is_some() && told.is_none(),
        };
        let wrong = state.asked && (sooner || state.unfinished());
        state.asked &= !wrong;
        wrong
    }

    /// How long the driver may sleep, at most `limit`. It must then sleep, and call
    /// [`after_sleep`](Self::after_sleep).
    pub(crate) fn before_sleep(&self, now: Time, limit: Option<Span>) -> Option<Span> {
        let mut state = self.state.lock();
        state.driven = true;
        let until_due = state.timers.next().map(|at| at.since(now));
        let kicked = std::mem::take(&mut state.kicked);
        let timeout = if kicked || !state.list.is_empty() {
            Some(Span::ZERO)
        } else {
            [until_due, limit].into_iter().flatten().min()
        };
        state.asleep = timeout != Some(Span::ZERO);
        timeout
    }

    /// Collects who gets a turn in this round: the ready list, `events`, and what is due. The first turn is begun, the
    /// others go to the batch, the next one last. `more`: there may be further events.
    pub(crate) fn after_sleep(
        &self,
        now: Time,
        more: bool,
        events: impl Iterator<Item = Event>,
        batch: &mut Vec<SourceId>,
    ) -> Next<T> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.asleep = false;
        state.more = more;
        if !state.list.is_empty() {
            // Without memory for all of them, some wait for the next round.
            let _ = batch.try_reserve(state.list.len());
            let room = state.list.len().min(batch.capacity() - batch.len());
            batch.extend(state.list.drain(..room));
        }
        for (id, what) in events {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.ready.add(what);
                state.list_in(batch, id);
            }
        }
        while let Some(id) = state.timers.pop_due(now) {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.deadline = Moment::NONE;
                state.list_in(batch, id);
            }
        }
        batch.reverse();
        state.next(batch)
    }

    /// Ends a source's turn, and begins the next one of the batch.
    pub(crate) fn end(
        &self,
        id: SourceId,
        deadline: Option<Time>,
        again: bool,
        batch: &mut Vec<SourceId>,
    ) -> Next<T> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(slot) = state.slots.get_mut(id) {
            if slot.deadline.get() != deadline {
                slot.deadline = deadline.into();
                state.timers.set(id, deadline);
            }
            if again {
                state.make_pending(id);
            }
        }
        state.next(batch)
    }

    /// Begins the call for the end of a round: readiness is left for the next turn.
    pub(crate) fn begin_round_end(&self, id: SourceId) -> Option<Begun<T>> {
        let mut state = self.state.lock();
        let slot = state.slots.get_mut(id).filter(|slot| slot.every_round)?;
        let (value, deadline) = (slot.value.clone(), slot.deadline);
        Some(Begun { value, ready: Readiness::default(), deadline: deadline.get() })
    }

    /// Puts back what is left of a batch whose round was cut short; the last comes first.
    pub(crate) fn put_back(&self, batch: &mut Vec<SourceId>) {
        let mut state = self.state.lock();
        while let Some(id) = batch.pop() {
            // Still pending, unless it was removed since.
            if state.slots.get_mut(id).is_some_and(|slot| slot.pending) {
                state.list.push(id);
            }
        }
    }

    /// The sources that want to know the end of each round.
    pub(crate) fn every_round(&self, into: &mut Vec<SourceId>) {
        into.clear();
        let state = self.state.lock();
        // Without memory, some miss the end of this round; it is a tick, not a message.
        let _ = into.try_reserve(state.every_round.len());
        let room = state.every_round.len().min(into.capacity());
        into.extend_from_slice(&state.every_round[..room]);
    }

    /// Writes to the waker if somebody sleeps, after unlocking.
    fn rouse(&self, mut state: MutexGuard<'_, State<T>>) {
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.waker.wake();
        }
    }
}

impl<T: Clone> State<T> {
    /// Begins the turn of the next source of the batch that is still there.
    fn next(&mut self, batch: &mut Vec<SourceId>) -> Next<T> {
        let ticks = !self.every_round.is_empty();
        while let Some(id) = batch.pop() {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.pending = false;
                let (value, ready) = (slot.value.clone(), std::mem::take(&mut slot.ready));
                return Next {
                    turn: Some((id, Begun { value, ready, deadline: slot.deadline.get() })),
                    ticks,
                };
            }
        }
        Next { turn: None, ticks }
    }
}

impl<T> State<T> {
    /// Puts a source in the batch of this round, unless it is there already; in that of the next one if there is no room.
    fn list_in(&mut self, batch: &mut Vec<SourceId>, id: SourceId) {
        match self.slots.get_mut(id) {
            Some(slot) if !slot.pending => {
                slot.pending = true;
                let list = if batch.len() < batch.capacity() { batch } else { &mut self.list };
                list.push(id);
            }
            _ => {}
        }
    }

    /// Puts a source on the ready list; false if it already was there, or is no more.
    fn make_pending(&mut self, id: SourceId) -> bool {
        match self.slots.get_mut(id) {
            Some(slot) if !slot.pending => {
                slot.pending = true;
                self.list.push(id);
                true
            }
            _ => false,
        }
    }

    fn unfinished(&self) -> bool {
        self.more || !self.list.is_empty()
    }
}
