//! Fork: the child shares the parent's sockets, so it must not touch its connections; it may make its own.

use core::cell::UnsafeCell;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use super::handle::{HANDLES, Handle, LOOPS, LoopHandle};
use super::registry::Held;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// The lists of handles, held while a thread forks.
struct Guards(UnsafeCell<Option<(Held<'static, Handle>, Held<'static, LoopHandle>)>>);

// SAFETY: only a thread that holds both lists for writing touches it, and there is one such thread at a time.
unsafe impl Sync for Guards {}

static GUARDS: Guards = Guards(UnsafeCell::new(None));

/// Before a fork: no other thread may hold a lock of ours that the child would inherit without it.
extern "C" fn prepare() {
    let guards = (HANDLES.hold(), LOOPS.hold());
    // SAFETY: both lists are held.
    unsafe { *GUARDS.0.get() = Some(guards) };
}

/// After a fork, in the parent.
extern "C" fn parent() {
    // SAFETY: both lists are held by this thread, since `prepare`.
    drop(unsafe { (*GUARDS.0.get()).take() });
}

/// After a fork, in the child.
extern "C" fn child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    parent();
}

/// How many forks lie between the first process that used the library and this one. Counted by the C
/// library in the child, so that no call has to ask for its process id.
pub(super) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Begins to count forks; before the first loop is made.
pub(super) fn watch_forks() {
    static ONCE: Once = Once::new();
    if cfg!(miri) {
        return; // it knows of no forks
    }
    ONCE.call_once(|| {
        // SAFETY: the functions stay mapped, since the library is linked nodelete. Without memory for them
        // forks go unseen, which only takes an error message away.
        let _ = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    });
}
