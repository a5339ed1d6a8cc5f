//! Log records: collected under a connection's lock, delivered without it.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Every packet's kind.
    Debug = 3,
}

/// Where records go.
pub trait Sink: Send + Sync {
    /// Takes one record. Runs with no lock held; it may call the library.
    fn log(&self, level: Level, connection: i32, text: &str);
}

/// The log of one loop: a level and a sink.
pub struct Log {
    level: AtomicI32,
    sink: Mutex<Option<Arc<dyn Sink>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Log { level: AtomicI32::new(-1), sink: Mutex::new(None) }
    }

    /// Sets the sink and the least important level it wants; returns the old sink, for the caller to drop
    /// without a lock.
    pub fn set(&self, level: Level, sink: Option<Arc<dyn Sink>>) -> Option<Arc<dyn Sink>> {
        self.level.store(if sink.is_some() { level as i32 } else { -1 }, Ordering::Relaxed);
        std::mem::replace(&mut *self.sink.lock().unwrap_or_else(PoisonError::into_inner), sink)
    }

    /// Whether somebody wants records of this level.
    pub fn wants(&self, level: Level) -> bool {
        level as i32 <= self.level.load(Ordering::Relaxed)
    }

    pub(crate) fn deliver(&self, connection: i32, records: &mut Vec<(Level, String)>) {
        let sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (level, text) in records.drain(..) {
            if let Some(sink) = &sink
                && self.wants(level)
            {
                sink.log(level, connection, &text);
            }
        }
    }
}
