//! The locks of the library. All of them are of these types, never those of the standard library, for two reasons:
//!
//! - **No lock is held while user code runs**, and a rule that nothing checks is not kept. A debug build counts the
//!   locks that each thread holds, and [`entering_user_code`], which stands before every call of an application's
//!   function, panics if there are any. A release build counts nothing.
//! - A lock stays usable after a thread panicked while holding it. Only a connection has to know about that:
//!   see [`Mutex::lock_or`].
//!
//! A `static` lock must also be known to the fork handler (`capi/bridge/fork.rs`), since the child of a fork inherits
//! it locked if another thread of the parent holds it at that moment. `tests/locks.rs` checks all of this in the
//! source.

use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

#[cfg(debug_assertions)]
mod held {
    use std::cell::Cell;

    thread_local! {
        // Without a destructor, so that it can be used at any moment of a thread's life.
        static LOCKS: Cell<usize> = const { Cell::new(0) };
    }

    /// One lock that this thread holds.
    #[derive(Debug)]
    pub(super) struct Held(());

    impl Held {
        pub(super) fn new() -> Held {
            LOCKS.set(LOCKS.get() + 1);
            Held(())
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            LOCKS.set(LOCKS.get() - 1);
        }
    }

    pub(super) fn count() -> usize {
        LOCKS.get()
    }
}

#[cfg(not(debug_assertions))]
mod held {
    #[derive(Debug)]
    pub(super) struct Held;

    impl Held {
        #[inline(always)]
        pub(super) fn new() -> Held {
            Held
        }
    }
}

use held::Held;

/// Call this right before calling a function of the application: a debug build panics if this thread holds a lock of
/// the library. The function may call the library, which would then wait for its own thread.
#[inline(always)]
pub fn entering_user_code() {
    #[cfg(debug_assertions)]
    assert!(held::count() == 0, "user code is called while this thread holds {} lock(s)", held::count());
}

/// A mutex.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

/// Holds a [`Mutex`].
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    guard: std::sync::MutexGuard<'a, T>,
    held: Held,
}

impl<'a, T> MutexGuard<'a, T> {
    #[inline(always)]
    fn new(guard: std::sync::MutexGuard<'a, T>) -> Self {
        MutexGuard { guard, held: Held::new() }
    }
}

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    #[inline(always)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard::new(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the lock; `repair` is called if a thread panicked while it held it.
    #[inline(always)]
    pub fn lock_or<'a>(
        &'a self,
        repair: impl FnOnce(MutexGuard<'a, T>) -> MutexGuard<'a, T>,
    ) -> MutexGuard<'a, T> {
        match self.0.lock() {
            Ok(guard) => MutexGuard::new(guard),
            Err(poisoned) => repair(MutexGuard::new(poisoned.into_inner())),
        }
    }

    /// The lock, if nobody holds it and no thread panicked while holding it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(MutexGuard::new)
    }

    /// Clears the mark that a thread panicked while holding it.
    pub fn clear_poison(&self) {
        self.0.clear_poison();
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A lock for many readers or one writer.
#[derive(Debug, Default)]
pub struct RwLock<T>(std::sync::RwLock<T>);

/// Holds a [`RwLock`] for reading.
#[derive(Debug)]
pub struct ReadGuard<'a, T> {
    guard: std::sync::RwLockReadGuard<'a, T>,
    #[expect(dead_code, reason = "counted until it is dropped")]
    held: Held,
}

/// Holds a [`RwLock`] for writing.
#[derive(Debug)]
pub struct WriteGuard<'a, T> {
    guard: std::sync::RwLockWriteGuard<'a, T>,
    #[expect(dead_code, reason = "counted until it is dropped")]
    held: Held,
}

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock(std::sync::RwLock::new(value))
    }

    /// Waits for the lock, which others may have for reading, too.
    #[inline(always)]
    pub fn read(&self) -> ReadGuard<'_, T> {
        ReadGuard { guard: self.0.read().unwrap_or_else(PoisonError::into_inner), held: Held::new() }
    }

    /// The lock, if nobody has it for writing at this moment. Never waits.
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let guard = match self.0.try_read() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(ReadGuard { guard, held: Held::new() })
    }

    /// Waits for the lock; nobody else has it then.
    pub fn write(&self) -> WriteGuard<'_, T> {
        WriteGuard { guard: self.0.write().unwrap_or_else(PoisonError::into_inner), held: Held::new() }
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A `static` lock. The child of a fork inherits its state, so the thread that forks holds it meanwhile.
pub trait ProcessWide {
    /// Waits for the lock. The result releases it when it is dropped, by the same thread, in the parent or in the child.
    fn hold(&'static self) -> Box<dyn std::any::Any>;
}

impl<T> ProcessWide for Mutex<T> {
    fn hold(&'static self) -> Box<dyn std::any::Any> {
        Box::new(self.lock())
    }
}

impl<T> ProcessWide for RwLock<T> {
    fn hold(&'static self) -> Box<dyn std::any::Any> {
        Box::new(self.write())
    }
}

/// A condition variable for [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// A condition nobody waits for.
    pub fn new() -> Condvar {
        Condvar(std::sync::Condvar::new())
    }

    /// Sleeps until notified, or until `limit` is over; may wake without reason.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Option<Duration>) -> MutexGuard<'a, T> {
        let MutexGuard { guard, held } = guard;
        let guard = match limit {
            None => self.0.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(limit) => self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0,
        };
        MutexGuard { guard, held }
    }

    /// Wakes one sleeper.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes every sleeper.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    // field: F-30
    #[test]
    #[should_panic(expected = "while this thread holds 2 lock(s)")]
    fn user_code_under_a_lock_is_a_panic() {
        let (one, other) = (Mutex::new(()), RwLock::new(()));
        drop(one.lock());
        entering_user_code();
        let _held = (one.lock(), other.read());
        // Locks of another thread do not count.
        std::thread::spawn(entering_user_code).join().unwrap();
        entering_user_code();
    }

    #[test]
    fn every_way_to_let_go_is_counted() {
        let mutex = Mutex::new(0);
        let never = Condvar::new();
        let guard = never.wait(mutex.lock(), Some(Duration::ZERO));
        drop(guard);
        drop(mutex.lock_or(|_| unreachable!()));
        drop(mutex.try_lock());
        drop(RwLock::new(()).write());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _held = mutex.lock();
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        assert_eq!(held::count(), 0);
        // Still usable, and `lock_or` reports the panic.
        *mutex.lock() += 1;
        let mut told = false;
        drop(mutex.lock_or(|guard| {
            told = true;
            mutex.clear_poison();
            guard
        }));
        assert!(told);
        assert_eq!(*mutex.lock_or(|_| unreachable!()), 1);
    }
}
