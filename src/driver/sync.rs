//! The few primitives that [`role`](super::role) and [`ready`](super::ready) synchronise with.
//!
//! Those two files name no other ones. `tests/loom` includes them unchanged beside a twin of this
//! file made of loom's types, so the models check the code that ships.

pub(crate) use std::sync::MutexGuard;
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};

use std::sync::PoisonError;
use std::time::Duration;

/// A mutex without poisoning: no user code ever runs under a lock of the driver, so a panic cannot
/// leave its data half changed.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    /// A condition nobody waits for.
    pub(crate) fn new() -> Condvar {
        Condvar(std::sync::Condvar::new())
    }

    /// Sleeps until notified, or until `limit` is over; may wake without reason.
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Option<Duration>) -> MutexGuard<'a, T> {
        match limit {
            None => self.0.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0,
        }
    }

    /// Wakes one sleeper.
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every sleeper.
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
