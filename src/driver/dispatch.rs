//! Per-thread state: the thread's number, and whether it is inside user code of a loop.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

// Constant-initialised and without destructors, so that they work at any moment of a thread's life,
// in a library that a host unloads, and without allocation. `std::thread::current` offers none of
// this.
thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// The calling thread's number, never 0.
pub(crate) fn thread_number() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    NUMBER.with(|number| {
        while number.get() == 0 {
            number.set(LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
        }
        number.get()
    })
}

/// Whether the calling thread is inside a dispatch of any loop.
pub(crate) fn in_dispatch() -> bool {
    DEPTH.with(|depth| depth.get() > 0)
}

/// User code runs as long as this lives.
pub(crate) struct Dispatch(());

impl Dispatch {
    pub(crate) fn enter() -> Dispatch {
        DEPTH.with(|depth| depth.set(depth.get() + 1));
        Dispatch(())
    }
}

/// In the child of a fork: a dispatch that this thread is in belongs to the parent's loop.
#[cfg(feature = "capi")]
pub(crate) fn forget_after_fork() {
    DEPTH.set(0);
}

impl Drop for Dispatch {
    fn drop(&mut self) {
        // Saturating, for a child that was forked inside.
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}
