//! Host names to addresses, without ever blocking a loop.
//!
//! The system's resolver blocks for an unknown time and cannot be cancelled. So it runs on helper
//! threads that own nothing but their job: a thread that hangs holds no reference to the loop or to
//! a connection, and the asker can simply give up.
//!
//! A host with a resolver that does not block answers the questions itself, and no thread is made.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::spawn::{Around, NOTHING_AROUND, spawn};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How many names one loop asks for at the same time: a system with a dead name server must not get
/// a thread for each connection.
const MAX_ACTIVE: usize = 8;
/// How many threads there are at most. Threads whose askers have given up, and those that have waited for longer than
/// [`PATIENCE`], do not count as active, so that names that are never resolved do not block others.
const MAX_THREADS: usize = 64;
/// How long the name service may take for a name while others wait. A healthy one is much quicker.
const PATIENCE: Duration = Duration::from_millis(500);

/// Resolves a name; may block.
pub type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Takes a question; must not block.
pub type Ask = dyn Fn(Question) + Send + Sync;

/// Why a name has no address.
#[derive(Debug)]
pub enum LookupError {
    /// What the name service said.
    Failed(io::Error),
    /// No thread could be started to ask it.
    NoResources,
    /// All threads are waiting for names that the name service has not answered.
    AllHang,
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookupError::Failed(error) => error.fmt(f),
            LookupError::NoResources => f.write_str("no thread could be started to resolve the name"),
            LookupError::AllHang => write!(
                f,
                "{MAX_THREADS} threads wait for a name service that does not answer, and more are not started: see \
                 the system's name servers, or configure addresses"
            ),
        }
    }
}

impl std::error::Error for LookupError {}

type Answer = Result<Vec<SocketAddr>, LookupError>;

/// Where the asker looks for the answer.
type Slot = Mutex<Option<Answer>>;

/// A question to the name service. Dropping it means that the answer is of no interest any more.
pub struct Lookup {
    slot: Option<Arc<Slot>>,
    /// The threads, since one may become free for others by that.
    threads: Weak<Threads>,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").finish_non_exhaustive()
    }
}

impl Lookup {
    fn answered(answer: Answer) -> Lookup {
        Lookup { slot: Some(Arc::new(Mutex::new(Some(answer)))), threads: Weak::new() }
    }

    /// The answer, once: the addresses in the order the system prefers, never an empty list.
    pub fn take(&self) -> Option<Result<Vec<SocketAddr>, LookupError>> {
        self.slot.as_ref()?.lock().take()
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.slot = None;
        if let Some(threads) = self.threads.upgrade() {
            threads.asker_left();
        }
    }
}

/// Who waits for an answer.
struct Asker {
    /// Dead once the asker has dropped its [`Lookup`].
    answer: Weak<Slot>,
    /// Tells the asker that the answer is there.
    announce: Box<dyn FnOnce() + Send>,
}

impl Asker {
    fn is_there(&self) -> bool {
        self.answer.strong_count() > 0
    }

    fn tell(self, answer: Answer) {
        if let Some(slot) = self.answer.upgrade() {
            *slot.lock() = Some(answer);
            (self.announce)();
        }
    }
}

/// A name that somebody asked for. Dropping it leaves the question unanswered, and the asker runs into
/// its own time limit.
pub struct Question {
    host: String,
    port: u16,
    asker: Asker,
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question").field("host", &self.host).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Question {
    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of the addresses.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers it. Does nothing if nobody waits any more.
    pub fn answer(self, result: io::Result<Vec<SocketAddr>>) {
        self.asker.tell(not_empty(result));
    }
}

fn not_empty(result: io::Result<Vec<SocketAddr>>) -> Answer {
    match result {
        Ok(addresses) if addresses.is_empty() => {
            Err(LookupError::Failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
        }
        result => result.map_err(LookupError::Failed),
    }
}

/// The answer once more, for another asker.
fn copy(answer: &Answer) -> Answer {
    match answer {
        Ok(addresses) => Ok(addresses.clone()),
        Err(LookupError::Failed(error)) => {
            Err(LookupError::Failed(io::Error::new(error.kind(), error.to_string())))
        }
        Err(LookupError::NoResources) => Err(LookupError::NoResources),
        Err(LookupError::AllHang) => Err(LookupError::AllHang),
    }
}

/// A name that is asked for, and all its askers.
struct Job {
    host: String,
    port: u16,
    askers: Vec<Asker>,
    /// At some moment nobody waited for it any more.
    given_up: bool,
    /// Since when a thread asks for it.
    asked_at: Option<Instant>,
    /// The name service took long for it while others waited.
    is_slow: bool,
}

impl Job {
    fn is_wanted(&self) -> bool {
        self.askers.iter().any(Asker::is_there)
    }

    fn finish(self, answer: Answer) {
        for asker in self.askers {
            asker.tell(copy(&answer));
        }
    }
}

#[derive(Default)]
struct Work {
    queue: VecDeque<Job>,
    /// What threads are asking, each with a number.
    asked: Vec<(u64, Job)>,
    numbers: u64,
    threads: usize,
    /// There is a thread that watches for slow ones.
    is_watched: bool,
}

impl Work {
    /// The job for this name, if there is one.
    fn find(&mut self, host: &str, port: u16) -> Option<&mut Job> {
        let asked = self.asked.iter_mut().map(|(_, job)| job);
        asked.chain(&mut self.queue).find(|job| job.host == host && job.port == port)
    }

    /// The running questions that somebody has waited for all the time.
    fn wanted(&self) -> impl Iterator<Item = &Job> {
        self.asked.iter().map(|(_, job)| job).filter(|job| !job.given_up)
    }

    /// Those of them that others have to wait behind.
    fn active(&self) -> usize {
        self.wanted().filter(|job| !job.is_slow).count()
    }

    /// How long until the first of the active ones counts as slow.
    fn until_slow(&self, now: Instant, patience: Duration) -> Option<Duration> {
        let active = self.wanted().filter(|job| !job.is_slow);
        active.filter_map(|job| Some(patience.saturating_sub(now - job.asked_at?))).min()
    }
}

/// The helper threads of one loop, and their jobs.
struct Threads {
    resolve: Arc<Resolve>,
    work: Mutex<Work>,
    /// Nothing waits any more.
    emptied: Condvar,
    /// What threads are started inside.
    around: Around,
    patience: Duration,
}

impl Threads {
    fn new(resolve: Arc<Resolve>, around: Around, patience: Duration) -> Threads {
        Threads { resolve, work: Mutex::default(), emptied: Condvar::new(), around, patience }
    }

    fn lookup(self: &Arc<Self>, host: &str, port: u16, announce: Box<dyn FnOnce() + Send>) -> Lookup {
        let slot = Arc::new(Mutex::new(None));
        let asker = Asker { answer: Arc::downgrade(&slot), announce };
        let lookup = Lookup { slot: Some(slot), threads: Arc::downgrade(self) };
        let mut work = self.work.lock();
        if let Some(job) = work.find(host, port) {
            job.askers.retain(Asker::is_there);
            job.askers.push(asker);
            return lookup;
        }
        let (host, askers) = (host.to_owned(), vec![asker]);
        work.queue.push_back(Job { host, port, askers, given_up: false, asked_at: None, is_slow: false });
        self.staff(work);
        lookup
    }

    /// An asker got its answer or gave up: perhaps others may ask now.
    fn asker_left(self: &Arc<Self>) {
        let mut work = self.work.lock();
        for (_, job) in &mut work.asked {
            job.given_up |= !job.is_wanted();
        }
        work.queue.retain(Job::is_wanted);
        if work.queue.is_empty() {
            self.emptied.notify_one();
        }
        self.staff(work);
    }

    /// Starts threads for waiting questions, as far as the limits allow.
    fn staff(self: &Arc<Self>, mut work: MutexGuard<'_, Work>) {
        // A thread that was started takes a job as soon as it runs.
        let mut idle = work.threads - work.asked.len();
        let mut failed = None;
        while failed.is_none() && idle < work.queue.len() && work.active() + idle < MAX_ACTIVE {
            if work.threads >= MAX_THREADS {
                // A running question that somebody waits for may still end; then the next one has
                // its turn.
                if work.wanted().count() + idle >= MAX_ACTIVE {
                    return;
                }
                failed = Some(LookupError::AllHang);
                break;
            }
            let shared = self.clone();
            match spawn(self.around, "mgos-mqtt-dns", move || shared.serve()) {
                Ok(_) => {
                    work.threads += 1;
                    idle += 1;
                }
                // Another thread may take it; without any, nobody would.
                Err(_) if work.active() + idle > 0 => return,
                Err(_) => failed = Some(LookupError::NoResources),
            }
        }
        if failed.is_none() && idle < work.queue.len() && !work.is_watched {
            let shared = self.clone();
            // Without that thread, waiting questions have their turn when somebody gives up.
            work.is_watched = spawn(self.around, "mgos-mqtt-dns", move || shared.watch()).is_ok();
        }
        if let Some(error) = failed {
            let stranded = work.queue.split_off(idle);
            drop(work);
            let answer = Err(error);
            stranded.into_iter().for_each(|job| job.finish(copy(&answer)));
        }
    }

    /// As long as names wait and more threads are allowed: those that take long are no longer counted.
    fn watch(self: &Arc<Self>) {
        let mut work = self.work.lock();
        while !work.queue.is_empty() && work.threads < MAX_THREADS {
            let now = Instant::now();
            // If none is being asked for yet, threads are just starting.
            let left = work.until_slow(now, self.patience).unwrap_or(self.patience);
            if left > Duration::ZERO {
                work = self.emptied.wait(work, Some(left));
                continue;
            }
            let slow = |job: &Job| job.asked_at.is_some_and(|since| now - since >= self.patience);
            for (_, job) in &mut work.asked {
                job.is_slow |= slow(job);
            }
            self.staff(work);
            work = self.work.lock();
        }
        work.is_watched = false;
    }

    /// What a helper thread does until there is no more work.
    fn serve(&self) {
        loop {
            let mut work = self.work.lock();
            let next = work.queue.pop_front();
            if work.queue.is_empty() && work.is_watched {
                self.emptied.notify_one();
            }
            let Some(mut job) = next else {
                // Under the same lock as the look at the queue: whoever adds a job later sees
                // that this thread is gone.
                work.threads -= 1;
                return;
            };
            job.askers.retain(Asker::is_there);
            if job.askers.is_empty() {
                continue;
            }
            let (host, port) = (job.host.clone(), job.port);
            work.numbers += 1;
            let number = work.numbers;
            job.asked_at = Some(Instant::now());
            work.asked.push((number, job));
            drop(work);
            // An injected resolver may panic; the thread's place must not be lost.
            let result = catch_unwind(AssertUnwindSafe(|| (self.resolve)(&host, port)));
            let result = result.unwrap_or_else(|_| Err(io::Error::other("the resolver panicked")));
            let mut work = self.work.lock();
            let at = work.asked.iter().position(|(asked, _)| *asked == number);
            let job = at.map(|at| work.asked.swap_remove(at).1);
            drop(work);
            if let Some(job) = job {
                job.finish(not_empty(result));
            }
        }
    }
}

/// Who answers.
enum Service {
    Threads(Arc<Threads>),
    Host(Arc<Ask>),
}

/// The name service of one loop.
pub(crate) struct Resolver(Service);

impl Resolver {
    /// A resolver that asks `resolve`, on helper threads.
    pub(crate) fn new(resolve: Arc<Resolve>) -> Resolver {
        Resolver::inside(resolve, NOTHING_AROUND)
    }

    /// As [`new`](Self::new); the threads are started inside `around`.
    pub(crate) fn inside(resolve: Arc<Resolve>, around: Around) -> Resolver {
        Resolver(Service::Threads(Arc::new(Threads::new(resolve, around, PATIENCE))))
    }

    /// A resolver that gives every question to `ask`.
    pub(crate) fn asking(ask: Arc<Ask>) -> Resolver {
        Resolver(Service::Host(ask))
    }

    /// Asks for the addresses of `host`. `announce` runs once when the answer is there, unless
    /// nobody waits for it any more; it runs at once for an address in text form and for
    /// `localhost`.
    pub(crate) fn lookup(&self, host: &str, port: u16, announce: Box<dyn FnOnce() + Send>) -> Lookup {
        if let Some(answer) = literal(host, port) {
            let lookup = Lookup::answered(answer);
            announce();
            return lookup;
        }
        match &self.0 {
            Service::Threads(threads) => threads.lookup(host, port, announce),
            Service::Host(ask) => {
                let slot = Arc::new(Mutex::new(None));
                let asker = Asker { answer: Arc::downgrade(&slot), announce };
                ask(Question { host: host.to_owned(), port, asker });
                Lookup { slot: Some(slot), threads: Weak::new() }
            }
        }
    }

    /// Forgets the questions that no thread has begun with.
    pub(crate) fn clear(&self) {
        if let Service::Threads(threads) = &self.0 {
            let forgotten = std::mem::take(&mut threads.work.lock().queue);
            threads.emptied.notify_one();
            drop(forgotten);
        }
    }
}

/// Asks the system, as `getaddrinfo` does.
pub(crate) fn system(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// The answer for an address in text form: `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`,
/// `fe80::1%2`, `fe80::1%eth0`; and for `localhost`, which is never anybody else (RFC 6761, section 6.3). `None` for
/// another name.
fn literal(host: &str, port: u16) -> Option<Answer> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let bare = inner.unwrap_or(host);
    if host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost") {
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        return Some(Ok(addresses.map(|address| SocketAddr::new(address, port)).into()));
    }
    if let Ok(address) = bare.parse::<IpAddr>() {
        return match address {
            IpAddr::V4(_) if inner.is_some() => None,
            address => Some(Ok(vec![SocketAddr::new(address, port)])),
        };
    }
    let (address, _scope) = bare.split_once('%')?;
    address.parse::<Ipv6Addr>().ok()?;
    // The system turns the scope's name into a number; for an address it asks nobody, so this
    // does not block. It wants no brackets.
    Some(system(bare, port).map_err(LookupError::Failed))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// What comes, or a failure.
    fn come<T>(from: &mpsc::Receiver<T>) -> T {
        from.recv_timeout(Duration::from_secs(20)).expect("it does not come")
    }

    fn addresses(host: &str) -> Option<Vec<String>> {
        literal(host, 1883).map(|a| a.unwrap().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn literals_need_no_thread() {
        assert_eq!(addresses("192.0.2.7").unwrap(), ["192.0.2.7:1883"]);
        assert_eq!(addresses("2001:db8::1").unwrap(), ["[2001:db8::1]:1883"]);
        assert_eq!(addresses("[::1]").unwrap(), ["[::1]:1883"]);
        assert_eq!(addresses("fe80::1%7").unwrap(), ["[fe80::1%7]:1883"]);
        assert_eq!(addresses("[fe80::1%7]").unwrap(), ["[fe80::1%7]:1883"]);
        for name in ["localhost", "LocalHost."] {
            assert_eq!(addresses(name).unwrap(), ["127.0.0.1:1883", "[::1]:1883"]);
        }
        for name in ["localhost.example", "[localhost]", "192.0.2", "[192.0.2.7]", "a%b", "", "[", "%1"] {
            assert!(addresses(name).is_none(), "{name}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_scope_may_be_a_name() {
        assert!(addresses("fe80::1%lo").unwrap()[0].starts_with("[fe80::1%"));
        assert!(literal("fe80::1%no-such-interface", 1883).unwrap().is_err());
    }

    /// A resolver whose names starting with "dead" are never answered before the gate opens; what was asked for, and
    /// the gate, closed.
    struct Gated {
        resolver: Resolver,
        begun: mpsc::Receiver<String>,
        gate: Arc<Mutex<()>>,
    }

    fn gated() -> Gated {
        // Far more than a test takes.
        gated_with(Duration::from_secs(3600))
    }

    fn gated_with(patience: Duration) -> Gated {
        let (tell, begun) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.clone();
        let resolve = move |host: &str, port| {
            let _ = tell.send(host.to_owned());
            if host.starts_with("dead") {
                drop(closed.lock());
            }
            Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)])
        };
        let threads = Threads::new(Arc::new(resolve), NOTHING_AROUND, patience);
        let resolver = Resolver(Service::Threads(Arc::new(threads)));
        Gated { resolver, begun, gate }
    }

    fn counts(resolver: &Resolver) -> (usize, usize) {
        let Service::Threads(threads) = &resolver.0 else { panic!("there are threads") };
        let work = threads.work.lock();
        (work.threads, work.queue.len())
    }

    #[test]
    fn at_most_eight_at_once_and_the_threads_end() {
        let Gated { resolver, begun, gate } = gated();
        let closed = gate.lock();
        let (done, wait_done) = mpsc::channel();
        let mut lookups: Vec<Lookup> = (0..20)
            .map(|port| {
                let done = done.clone();
                resolver.lookup("dead", port, Box::new(move || done.send(port).unwrap()))
            })
            .collect();
        for _ in 0..MAX_ACTIVE {
            come(&begun);
        }
        // All eight are inside, twelve wait, and no ninth thread exists.
        assert_eq!(counts(&resolver), (MAX_ACTIVE, 20 - MAX_ACTIVE));
        assert!(begun.try_recv().is_err());
        // An unwanted question is not asked; an unwanted answer is not announced.
        lookups.truncate(10);
        drop(closed);
        let mut ports: Vec<u16> = (0..10).map(|_| come(&wait_done)).collect();
        ports.sort_unstable();
        assert_eq!(ports, (0..10).collect::<Vec<_>>());
        for (port, lookup) in lookups.iter().enumerate() {
            assert_eq!(lookup.take().unwrap().unwrap()[0].port(), port as u16);
            assert!(lookup.take().is_none());
        }
        // The announcers of the forgotten ten go with their jobs; then nobody can send any more.
        drop(done);
        assert!(wait_done.recv().is_err());
    }

    /// Eight names that are never resolved, given up and asked for again, do not keep others from being asked for; and they
    /// keep eight threads, not one for each time.
    ///
    /// field: F-07
    #[test]
    fn names_that_hang_stand_in_nobody_s_way() {
        let Gated { resolver, begun, gate } = gated();
        let closed = gate.lock();
        let hang = || -> Vec<Lookup> {
            (0..MAX_ACTIVE).map(|n| resolver.lookup(&format!("dead{n}"), 1, Box::new(|| {}))).collect()
        };
        let first = hang();
        for _ in 0..MAX_ACTIVE {
            come(&begun);
        }
        let (done, wait_done) = mpsc::channel();
        let told = done.clone();
        let waiting = resolver.lookup("alive", 2, Box::new(move || told.send(()).unwrap()));
        assert_eq!(counts(&resolver), (MAX_ACTIVE, 1));
        // They are given up: the next one has its turn at once.
        drop(first);
        come(&wait_done);
        assert_eq!(come(&begun), "alive");
        assert!(waiting.take().unwrap().is_ok());
        for _ in 0..20 {
            let again = hang();
            let told = done.clone();
            let alive = resolver.lookup("alive", 2, Box::new(move || told.send(()).unwrap()));
            come(&wait_done);
            assert!(alive.take().unwrap().is_ok());
            assert_eq!(come(&begun), "alive", "the others are being asked for already");
            drop(again);
            assert!(counts(&resolver).0 <= MAX_ACTIVE + 1);
        }
        // Who asks for one of them gets the answer of the one thread that has asked for it.
        let late = resolver.lookup("dead0", 1, Box::new(move || done.send(()).unwrap()));
        drop(closed);
        come(&wait_done);
        assert!(late.take().unwrap().is_ok());
    }

    /// Names that hang, all of them asked for at once and given up by nobody, do not keep one behind them waiting for as
    /// long as they do; and there is an end to the threads that they get.
    ///
    /// field: F-07
    #[test]
    fn names_that_hang_are_not_waited_for() {
        let Gated { resolver, begun, gate } = gated_with(Duration::from_millis(5));
        let closed = gate.lock();
        let (done, wait_done) = mpsc::channel();
        let hang = |from: usize, to: usize| -> Vec<Lookup> {
            (from..to).map(|n| resolver.lookup(&format!("dead{n}"), 1, Box::new(|| {}))).collect()
        };
        let mut lookups = Vec::new();
        for (from, to) in [(0, MAX_ACTIVE), (MAX_ACTIVE, 4 * MAX_ACTIVE)] {
            lookups.extend(hang(from, to));
            let told = done.clone();
            let alive = resolver.lookup("alive", 2, Box::new(move || told.send(()).unwrap()));
            come(&wait_done);
            assert!(alive.take().unwrap().is_ok());
            assert!(lookups.iter().all(|lookup| lookup.take().is_none()));
        }
        lookups.extend(hang(4 * MAX_ACTIVE, 2 * MAX_THREADS));
        let told = done.clone();
        let alive = resolver.lookup("alive", 2, Box::new(move || told.send(()).unwrap()));
        let asked = std::iter::repeat_with(|| come(&begun)).filter(|name| name != "alive");
        assert_eq!(asked.take(MAX_THREADS).count(), MAX_THREADS);
        assert_eq!(counts(&resolver), (MAX_THREADS, MAX_THREADS + 1));
        assert!(alive.take().is_none());
        // Any that ends makes room.
        drop(closed);
        come(&wait_done);
        assert!(alive.take().unwrap().is_ok());
    }

    /// field: F-07
    #[test]
    fn there_is_an_end_to_threads_that_hang() {
        let Gated { resolver, begun, gate } = gated();
        let closed = gate.lock();
        for n in 0..MAX_THREADS {
            let lookup = resolver.lookup(&format!("dead{n}"), 1, Box::new(|| {}));
            come(&begun);
            assert!(lookup.take().is_none());
        }
        let lookup = resolver.lookup("alive", 1, Box::new(|| {}));
        let Some(Err(error @ LookupError::AllHang)) = lookup.take() else { panic!("it is not asked for") };
        assert!(error.to_string().contains("64 threads"), "{error}");
        drop(closed);
        // One that ends makes room.
        for _ in 0..10_000 {
            let (done, wait_done) = mpsc::channel();
            let lookup = resolver.lookup("alive", 1, Box::new(move || done.send(()).unwrap()));
            let _ = wait_done.recv();
            if lookup.take().is_some_and(|answer| answer.is_ok()) {
                return;
            }
        }
        panic!("none ends");
    }

    #[test]
    fn a_panicking_or_empty_resolver_is_an_answer() {
        let (done, wait_done) = mpsc::channel();
        let resolver = Resolver::new(Arc::new(|host: &str, _| match host {
            "empty" => Ok(Vec::new()),
            _ => std::panic::resume_unwind(Box::new(())),
        }));
        for host in ["empty", "panic", "empty"] {
            let done = done.clone();
            let lookup = resolver.lookup(host, 1, Box::new(move || done.send(()).unwrap()));
            come(&wait_done);
            assert!(matches!(lookup.take(), Some(Err(LookupError::Failed(_)))));
        }
    }
}
