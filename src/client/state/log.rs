//! Log records: collected under a connection's lock, delivered without it.

use crate::lazy_box::Empty;
use crate::sync::Mutex;

#[cfg(feature = "capi")]
use crate::sync::MutexGuard;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

/// How important a record is. The numbers are those of Mongoose OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// Something does not work.
    Error = 0,
    /// Something works, but perhaps not as meant.
    Warn = 1,
    /// Connections come and go.
    Info = 2,
    /// Each packet, each step of connecting.
    Debug = 3,
}

impl Level {
    /// The level with this number, if there is one.
    pub fn from_number(number: i32) -> Option<Level> {
        [Level::Error, Level::Warn, Level::Info, Level::Debug]
            .into_iter()
            .find(|level| *level as i32 == number)
    }
}

/// Where records go.
pub trait Sink: Send + Sync {
    /// Takes one record. Runs with no lock held; it may call the library.
    fn log(&self, level: Level, connection: i32, text: &str);
}

thread_local! {
    // Without a destructor, so that it can be used at any moment of a thread's life.
    static DELIVERING: Cell<bool> = const { Cell::new(false) };
}

/// Records that a connection keeps for its next turn. More come only if nobody drives the loop.
pub(in crate::client) const MOST_WAITING: usize = 256;

/// The same for those about packets, of which a burst has many.
pub(in crate::client) const MOST_TRACED: usize = 4096;

/// Records that wait for it.
#[derive(Default)]
pub(in crate::client) struct Waiting {
    pub(in crate::client) records: Vec<(Level, String)>,
    /// Those that found no place there.
    pub(in crate::client) lost: usize,
}

impl Empty for Waiting {
    const EMPTY: &'static Self = &Waiting { records: Vec::new(), lost: 0 };
}

pub(in crate::client) type Slot = Option<(Level, Arc<dyn Sink>)>;

/// The log of one loop: the application's sink, a second one of the library's own, and what either wants.
pub struct Log {
    /// The least important level that somebody wants; -1 if nobody does.
    level: AtomicI32,
    sinks: Mutex<[Slot; 2]>,
    /// Topics on which log lines are published: packets with these are not logged.
    quiet: Mutex<Vec<String>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Log { level: AtomicI32::new(-1), sinks: Mutex::new([None, None]), quiet: Mutex::default() }
    }

    /// Sets the sink and the least important level it wants; returns the old sink, for the caller to drop
    /// without a lock.
    pub fn set(&self, level: Level, sink: Option<Arc<dyn Sink>>) -> Option<Arc<dyn Sink>> {
        self.put(0, sink.map(|sink| (level, sink)))
    }

    /// As [`set`](Log::set), for the sink beside the application's.
    pub(in crate::client) fn set_second(&self, sink: Slot) -> Option<Arc<dyn Sink>> {
        self.put(1, sink)
    }

    fn put(&self, at: usize, sink: Slot) -> Option<Arc<dyn Sink>> {
        let mut sinks = self.sinks.lock();
        let old = std::mem::replace(&mut sinks[at], sink);
        let levels = sinks.iter().flatten().map(|(level, _)| *level as i32);
        self.level.store(levels.max().unwrap_or(-1), Ordering::Relaxed);
        old.map(|(_, sink)| sink)
    }

    /// Log lines are published on this topic.
    pub(in crate::client) fn add_quiet(&self, topic: &str) {
        let mut quiet = self.quiet.lock();
        if !quiet.iter().any(|known| known == topic) {
            quiet.push(topic.to_owned());
        }
    }

    /// Whether log lines are, or were, published on this topic.
    pub(in crate::client) fn is_quiet(&self, topic: &str) -> bool {
        self.quiet.lock().iter().any(|quiet| quiet == topic)
    }

    /// Whether somebody wants records of this level. Nobody wants those that a log function itself is the
    /// cause of: each could cause the next.
    pub fn wants(&self, level: Level) -> bool {
        level as i32 <= self.level.load(Ordering::Relaxed) && !is_delivering()
    }

    /// Delivers one record that is about no connection; no lock may be held.
    #[cfg(feature = "capi")]
    pub fn now(&self, level: Level, text: &str) {
        if self.wants(level) {
            self.deliver(0, std::iter::once((level, text.to_owned())));
        }
    }

    /// Takes over the application's sink of another log.
    #[cfg(feature = "capi")]
    pub fn inherit(&self, from: &Log) {
        let sink = from.sinks.lock()[0].clone();
        drop(self.put(0, sink));
    }

    /// Holds the sinks still over a fork, until this is dropped.
    #[cfg(feature = "capi")]
    pub fn hold(&self) -> LogHeld<'_> {
        LogHeld(self.sinks.lock())
    }

    pub(crate) fn deliver(&self, connection: i32, records: impl Iterator<Item = (Level, String)>) {
        let sinks = self.sinks.lock().clone();
        let _delivering = Delivering::begin();
        for (level, text) in records {
            for (_, sink) in sinks.iter().flatten().filter(|(wanted, _)| level <= *wanted) {
                sink.log(level, connection, &text);
            }
        }
    }
}

/// A log whose sinks are held still.
#[cfg(feature = "capi")]
pub struct LogHeld<'a>(#[expect(dead_code, reason = "held, not used")] MutexGuard<'a, [Slot; 2]>);

/// In the child of a fork: this thread runs no log function of a loop of this process.
#[cfg(feature = "capi")]
pub fn forget_callbacks_after_fork() {
    DELIVERING.set(false);
}

/// Whether this thread runs a log function. As a part of its callers it would be looked up where nobody asks for it.
#[inline(never)]
pub(in crate::client) fn is_delivering() -> bool {
    DELIVERING.get()
}

/// This thread runs log functions until this is dropped, also if one of them panics.
pub(in crate::client) struct Delivering(bool);

impl Delivering {
    fn begin() -> Delivering {
        Delivering(DELIVERING.replace(true))
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        DELIVERING.set(self.0);
    }
}
