//! The loop: readiness of sockets, timers, name resolution, threads.
//!
//! A [`Loop`] owns any number of [`Source`]s (an MQTT connection is one, but nothing here knows
//! about MQTT) and gives each its turn when its socket is ready, its deadline has come, or somebody
//! asked for it. It is driven in one of three modes, and may change between them at any time:
//!
//! - application threads call [`Loop::poll`], or [`Loop::wait`] for something;
//! - a foreign event loop watches [`Loop::fd`] and [`Loop::next_timeout`], and calls
//!   [`Loop::process`];
//! - a thread of its own, by [`Loop::start`].
//!
//! | file | what |
//! |-------------------|----------------------------------------------------------------|
//! | `role`            | who drives: the role, the mode, the waiters                    |
//! | `ready`           | who has work, and how a sleeping driver is woken               |
//! | `protocol`        | both together                                                  |
//! | `iteration` | one iteration: sleep, collect, give turns |
//! | `slots`, `timers` | the table of sources, and their deadlines                      |
//! | `thread`          | the loop's own thread                                          |
//! | `resolver`        | host names on helper threads                                   |
//! | `worker`          | computations that take long, on helper threads                 |
//! | `dispatch`        | what a thread knows about itself                               |
//! | `spawn`           | starting threads                                               |
//! | `sync`            | the primitives of `role` and `ready`, replaced in their models |

#![forbid(unsafe_code)]

mod clock;
mod dispatch;
mod iteration;
mod protocol;
mod ready;
mod resolver;
mod role;
mod slots;
mod spawn;
mod sync;
mod thread;
mod timers;
mod worker;

pub use clock::Clock;
pub use iteration::{Source, Turn};
pub use resolver::{Ask, Lookup, LookupError, Question, Resolve};
pub use role::Mode;
use slots::Readiness;
pub use slots::SourceId;
pub use spawn::Around;
use spawn::NOTHING_AROUND;
pub use worker::{Task, TaskError};

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dispatch::{Dispatch, thread_number};
use iteration::{Engine, WAKER, iteration};
use protocol::{Driving, Protocol, WaitError};
use ready::Wake;
pub(crate) use ready::{LONG_SLICE, SHORT_SLICE};
use resolver::Resolver;
use role::{Claim, Entry};
use thread::OwnThread;
use worker::Workers;

use crate::time::{Span, Time};

/// How many iterations closing grants to sources that keep asking for turns.
const CLOSING_ROUNDS: usize = 1_000;

/// A source, as the loop holds it.
type AnySource = Arc<dyn Source>;

/// Why a loop refuses a call.
#[derive(Debug)]
pub enum DriveError {
    /// Not here or not now: inside a handler, or the loop has a thread of its own.
    Busy,
    /// The loop was closed.
    Closed,
    /// The system refused.
    Io(io::Error),
    /// No thread, no memory or no place for a source.
    NoResources,
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DriveError::Busy => {
                f.write_str("not possible inside a handler, or while a thread drives the loop")
            }
            DriveError::Closed => f.write_str("the loop is closed"),
            DriveError::Io(error) => error.fmt(f),
            DriveError::NoResources => f.write_str("the system has no more threads or memory"),
        }
    }
}

impl std::error::Error for DriveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DriveError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for DriveError {
    fn from(error: io::Error) -> DriveError {
        DriveError::Io(error)
    }
}

/// A handle on a loop. All clones are the same loop; it may be used from any thread.
///
/// The loop's memory and descriptors go with the last handle, but its sources may well hold
/// handles, so end it with [`close`](Self::close).
#[derive(Clone)]
pub struct Loop(Arc<Inner>);

struct Inner {
    clock: Clock,
    protocol: Protocol<Box<Engine>, AnySource, Waker>,
    own: OwnThread,
    resolver: Resolver,
    workers: Arc<Workers>,
    fd: RawFd,
    /// What its threads are started inside.
    around: Around,
    /// Some source was told of the beginning of each iteration at some time.
    begins: AtomicBool,
    /// The driver was interrupted and has not noticed yet.
    interrupted: AtomicBool,
}

struct Waker(mio::Waker);

impl Wake for Waker {
    fn wake(&self) {
        // Writing to an eventfd or a kqueue fails only if the process is out of memory; nobody
        // could be told, and the next deadline or socket event comes anyway.
        let _ = self.0.wake();
    }
}

impl Loop {
    /// A loop without sources, in poll mode.
    pub fn new(clock: Clock) -> io::Result<Loop> {
        Loop::with_resolver(clock, Arc::new(resolver::system))
    }

    /// As [`new`](Self::new), but every thread of the loop is started inside `around`, which blocks all signals, so
    /// that they reach the threads of the application.
    pub fn with_threads_inside(clock: Clock, around: Around) -> io::Result<Loop> {
        let resolver = Resolver::inside(Arc::new(resolver::system), around);
        Loop::with(clock, resolver, around)
    }

    /// As [`new`](Self::new), but names are resolved by `resolve`, on helper threads.
    pub fn with_resolver(clock: Clock, resolve: Arc<Resolve>) -> io::Result<Loop> {
        Loop::with(clock, Resolver::new(resolve), NOTHING_AROUND)
    }

    /// As [`new`](Self::new), but names are given to `ask`, which answers when it can, from any thread. It is
    /// called on the thread that drives, possibly under a source's lock, must not block, and may answer at once.
    pub fn with_name_service(clock: Clock, ask: Arc<Ask>) -> io::Result<Loop> {
        Loop::with(clock, Resolver::asking(ask), NOTHING_AROUND)
    }

    fn with(clock: Clock, resolver: Resolver, around: Around) -> io::Result<Loop> {
        let poll = mio::Poll::new()?;
        let waker = Waker(mio::Waker::new(poll.registry(), WAKER)?);
        let fd = poll.as_raw_fd();
        Ok(Loop(Arc::new(Inner {
            clock,
            protocol: Protocol::new(Box::new(Engine::new(poll)), waker),
            own: OwnThread::default(),
            resolver,
            workers: Arc::new(Workers::new(around)),
            fd,
            around,
            begins: AtomicBool::new(false),
            interrupted: AtomicBool::new(false),
        })))
    }

    /// The time on the loop's clock.
    pub fn now(&self) -> Time {
        self.0.clock.now()
    }

    /// Adds a source. It gets its first turn when it is scheduled.
    pub fn add(&self, source: Arc<dyn Source>) -> Result<SourceId, DriveError> {
        self.0.protocol.ready.add(source).map_err(|_source| match self.is_closed() {
            true => DriveError::Closed,
            false => DriveError::NoResources,
        })
    }

    /// Removes a source. A turn that is running on another thread comes to its end; no other
    /// follows. The loop's reference to the source is dropped here, or there.
    pub fn remove(&self, id: SourceId) {
        drop(self.0.protocol.ready.remove(id));
    }

    /// Asks for a turn of the source, soon. Cheap if one is pending already.
    pub fn schedule(&self, id: SourceId) {
        self.0.protocol.ready.schedule(id);
    }

    /// A stream without a socket became ready: `readable`, or else only writable. It replaces the event that the
    /// system reports for a socket registered with this token, and like that it is an edge: call it again only when
    /// more comes.
    pub fn announce(&self, token: mio::Token, readable: bool) {
        if let Some(id) = SourceId::from_bits(token.0) {
            self.0.protocol.ready.announce(id, Readiness { readable, ended: false });
        }
    }

    /// Whether the source gets [`Source::iteration_end`], in each iteration.
    pub fn set_every_iteration(&self, id: SourceId, on: bool) {
        self.0.protocol.ready.set_every_iteration(id, on);
    }

    /// Gives the source [`Source::iteration_begin`] in each iteration from now on. False without memory for that.
    pub fn set_every_begin(&self, id: SourceId) -> bool {
        self.0.protocol.ready.set_every_begin(id) && {
            self.0.begins.store(true, Ordering::Relaxed);
            true
        }
    }

    /// Drives one iteration, and enters poll mode if a foreign loop drove before. Sleeps at most
    /// `timeout` (`None`: no limit; zero: not at all), and may return earlier: a signal ends the sleep.
    ///
    /// If another thread polls or waits, this one waits for its turn, then returns `Ok` when the
    /// time is over. [`DriveError::Busy`] inside a handler of any loop, and in thread mode.
    pub fn poll(&self, timeout: Option<Span>) -> Result<(), DriveError> {
        let me = thread_number();
        if self.is_busy_on(me) {
            return Err(DriveError::Busy);
        }
        let until = timeout.map_or(Time::NEVER, |timeout| self.now() + timeout);
        let entry = self.0.protocol.poll(me, &|| self.left(until));
        self.once(entry, until)
    }

    /// Drives one iteration without sleeping, and makes the calling thread the one that drives in
    /// foreign mode. To be called when [`fd`](Self::fd) is readable or
    /// [`next_timeout`](Self::next_timeout) is over; both are to be looked at again afterwards.
    pub fn process(&self) -> Result<(), DriveError> {
        if self.is_busy_here() {
            return Err(DriveError::Busy);
        }
        let entry = self.0.protocol.process(thread_number());
        self.once(entry, Time::ZERO)
    }

    /// The descriptor for a foreign loop: readable when there is anything to do, except for
    /// deadlines. -1 after [`close`](Self::close). It belongs to this loop: only watch it.
    pub fn fd(&self) -> RawFd {
        if self.is_closed() {
            return -1;
        }
        self.0.protocol.ready.watch();
        self.0.fd
    }

    /// How long a foreign loop may sleep: zero if something is left to do, `None` for ever. While
    /// another thread drives, `None`: the descriptor becomes readable when that one leaves.
    pub fn next_timeout(&self) -> Option<Span> {
        self.0.protocol.next_timeout(self.now(), thread_number())
    }

    /// Waits until `done` returns true (`Ok(true)`) or the deadline has come (`Ok(false)`).
    ///
    /// `done` is called on this thread with no lock held. What it looks at must be changed under a
    /// mutex that it takes too, or be a sequentially consistent atomic; and whoever changes it must
    /// call [`notify`](Self::notify) afterwards, in a handler as anywhere else.
    ///
    /// In poll mode this thread drives, if nobody else does. In foreign mode it drives only if it
    /// is the one that calls [`process`](Self::process). Otherwise it sleeps. [`DriveError::Busy`]
    /// inside a handler of any loop.
    pub fn wait(&self, deadline: Option<Time>, done: &mut dyn FnMut() -> bool) -> Result<bool, DriveError> {
        if self.is_busy_here() {
            return Err(DriveError::Busy);
        }
        let until = deadline.unwrap_or(Time::NEVER);
        let left = || self.left(until);
        let mut one = |engine: &mut Box<Engine>| iteration(self, engine, until, true);
        match self.0.protocol.wait(thread_number(), &left, done, &mut one) {
            Ok(done) => Ok(done),
            Err(WaitError::Closed) => Err(DriveError::Closed),
            Err(WaitError::Failed(error)) => Err(DriveError::Io(error)),
        }
    }

    /// To be called after a change that a waiter may wait for. One atomic load if nobody waits.
    pub fn notify(&self) {
        if self.0.protocol.seat.is_waited_for() {
            self.0.protocol.notify(thread_number());
        }
    }

    /// As [`notify`](Self::notify), and ends the present or the next sleep of whoever drives. It stores a byte and
    /// writes to a descriptor, and nothing else: it may be called where neither locks nor memory can be had, in a
    /// signal handler.
    pub fn interrupt(&self) {
        self.0.interrupted.store(true, Ordering::SeqCst);
        self.0.protocol.ready.wake_fd();
    }

    /// Runs `f` as the driver, if nobody drives at this moment; `None` otherwise, and once the loop
    /// is closed. No turn runs meanwhile, and this thread counts as being inside a handler.
    pub fn try_drive<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let _driving = self.0.protocol.try_drive(thread_number())?;
        let _inside = Dispatch::enter();
        Some(f())
    }

    /// Whether the calling thread is inside a handler of any loop.
    pub fn in_dispatch() -> bool {
        dispatch::in_dispatch()
    }

    /// In the child of a fork: the calling thread is inside no handler of a loop of this process.
    #[cfg(feature = "capi")]
    pub fn forget_dispatch_after_fork() {
        dispatch::forget_after_fork();
    }

    /// Whether the calling thread drives this loop at this moment.
    pub fn is_driver_thread(&self) -> bool {
        self.0.protocol.seat.is_driver(thread_number())
    }

    /// Who drives.
    pub fn mode(&self) -> Mode {
        self.0.protocol.seat.mode()
    }

    /// Whether [`close`](Self::close) has completed.
    pub fn is_closed(&self) -> bool {
        self.0.protocol.ready.is_closed()
    }

    /// Asks for the addresses of `host`; `source` gets a turn when the answer is there. An address
    /// in text form, with or without brackets or a scope, is answered at once. There is no time
    /// limit: to give up, drop the [`Lookup`].
    pub fn lookup(&self, host: &str, port: u16, source: SourceId) -> Lookup {
        let inner = Arc::downgrade(&self.0);
        let announce = move || {
            if let Some(inner) = inner.upgrade() {
                inner.protocol.ready.schedule(source);
            }
        };
        self.0.resolver.lookup(host, port, Box::new(announce))
    }

    /// Has `compute`, which may take long, run on a helper thread; `source` gets a turn when the result is there. To give
    /// up, drop the [`Task`].
    pub fn compute<T: Send + 'static>(
        &self,
        source: SourceId,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Task<T> {
        let inner = Arc::downgrade(&self.0);
        let announce = move || {
            if let Some(inner) = inner.upgrade() {
                inner.protocol.ready.schedule(source);
            }
        };
        self.0.workers.run(compute, announce)
    }

    /// Ends the loop.
    ///
    /// The calling thread becomes the driver as soon as the present one left; the loop's own thread
    /// is stopped. Sources that are scheduled, or that ask for it by [`Turn::again`], get their
    /// turns (a bounded number), so a source that is to end in order must be told and scheduled
    /// before. Then the remaining ones are dropped, and the descriptors closed. Other threads
    /// inside `poll` and `wait` return [`DriveError::Closed`], as does every later call.
    ///
    /// [`DriveError::Busy`] inside a handler. A foreign loop must stop watching before.
    pub fn close(&self) -> Result<(), DriveError> {
        if self.is_busy_here() {
            return Err(DriveError::Busy);
        }
        if !self.0.protocol.begin_close() {
            return Err(DriveError::Closed);
        }
        self.join();
        let mut driving = loop {
            // This claim neither fails nor times out.
            if let Entry::Role(driving) = self.0.protocol.claim(Claim::Close, thread_number(), &|| None) {
                break driving;
            }
        };
        let ready = &self.0.protocol.ready;
        let mut result = Ok(());
        for _ in 0..CLOSING_ROUNDS {
            if result.is_err() || !ready.has_work() {
                break;
            }
            result = driving.iteration(&mut |engine| iteration(self, engine, Time::ZERO, false));
        }
        self.0.resolver.clear();
        self.0.workers.clear();
        let remaining = ready.close();
        driving.finish();
        drop(remaining);
        Ok(result?)
    }

    /// Whether polling and waiting are refused here: inside a handler, or (in the condition of a wait) inside
    /// this very driver. A thread that slept for the role here would wait for itself.
    pub fn is_busy_here(&self) -> bool {
        self.is_busy_on(thread_number())
    }

    /// The same, for the calling thread's own number.
    fn is_busy_on(&self, me: usize) -> bool {
        dispatch::in_dispatch() || self.0.protocol.seat.is_driver(me)
    }

    /// One iteration, if the claim succeeds.
    fn once(
        &self,
        entry: Entry<Driving<'_, Box<Engine>, AnySource, Waker>>,
        until: Time,
    ) -> Result<(), DriveError> {
        match entry {
            Entry::Role(mut driving) => {
                Ok(driving.iteration(&mut |engine| iteration(self, engine, until, true))?)
            }
            Entry::Changed | Entry::TimedOut => Ok(()),
            Entry::Busy => Err(DriveError::Busy),
            Entry::Closed => Err(DriveError::Closed),
        }
    }

    fn left(&self, until: Time) -> Option<Span> {
        (until != Time::NEVER).then(|| until.since(self.now()))
    }
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loop").field("fd", &self.0.fd).field("mode", &self.mode()).finish_non_exhaustive()
    }
}
