//! Fork: the child shares the parent's sockets, so it must not touch its loops and connections; it makes its own.
//!
//! The child has one thread. What other threads of the parent were doing at that moment stays half done in the
//! child's copy of the memory, for good. So two rules hold:
//!
//! - An object remembers in which process it was made. A call for one of the parent's returns FORKED before it takes any
//!   lock of that object; its memory is given up, not released.
//! - The locks that belong to no object are held by the thread that forks while it forks. [`LOCKS`] has all of them.

use core::any::Any;
use core::cell::UnsafeCell;
use core::hint::black_box;

use crate::capi::base::process::forked;
use crate::capi::bridge::handle::{HANDLES, LOOPS};
use crate::capi::bridge::{defaults, event_bus, poll_callback};
use crate::capi::config::system;
use crate::client::forget_callbacks_after_fork;
use crate::driver::Loop;
use crate::sync::ProcessWide;

/// Every lock that is a `static`, in the order in which a thread may take them. `tests/locks.rs` compares this list with the
/// source.
static LOCKS: [&(dyn ProcessWide + Sync); 7] = [
    &defaults::CHANGES,
    &system::LOCK,
    &event_bus::ENTRIES,
    &event_bus::BASES,
    &poll_callback::ALL,
    &HANDLES,
    &LOOPS,
];

/// What a thread holds while it forks.
struct Held {
    /// What the child's global connection takes over from the parent's.
    inheritance: defaults::Inheritance,
    locks: Vec<Box<dyn Any>>,
}

struct Guards(UnsafeCell<Option<Held>>);

// SAFETY: only a thread that holds all the locks touches it, and there is one such thread at a time.
unsafe impl Sync for Guards {}

static GUARDS: Guards = Guards(UnsafeCell::new(None));

/// Before a fork: takes all locks, so that the child inherits none that another thread holds.
extern "C" fn prepare() {
    // The first one also keeps out other threads that fork.
    let first = LOCKS[0].hold();
    let (inheritance, log) = defaults::before_fork();
    let mut locks = vec![first];
    locks.extend(log.map(|log| Box::new(log) as Box<dyn Any>));
    // Hidden from the optimiser, which would unroll the loop and inline each lock.
    locks.extend(black_box(&LOCKS)[1..].iter().map(|lock| lock.hold()));
    // SAFETY: all the locks are held.
    unsafe { *GUARDS.0.get() = Some(Held { inheritance, locks }) };
}

/// After a fork, in the parent: releases the locks, and nothing else has changed.
extern "C" fn parent() {
    // SAFETY: all the locks are held by this thread, since `prepare`.
    drop(unsafe { (*GUARDS.0.get()).take() });
}

/// After a fork, in the child.
extern "C" fn child() {
    forked();
    // SAFETY: as in `parent`: the thread that forked is the one that lives on.
    let Some(Held { inheritance, locks }) = (unsafe { (*GUARDS.0.get()).take() }) else { return };
    // If the fork happened inside a callback, that belongs to a loop of the parent; no loop of the child is inside a
    // callback.
    Loop::forget_dispatch_after_fork();
    forget_callbacks_after_fork();
    drop(locks);
    defaults::in_child(inheritance);
}

/// Begins to count forks when the library is loaded, so that no lock is ever taken before forks are handled, and so
/// that a fork handler of the application, which is registered later, runs while no lock is held.
extern "C" fn watch_forks() {
    if cfg!(miri) {
        return; // it knows of no forks
    }
    // SAFETY: the functions stay mapped, since the library is linked nodelete. Without memory for them forks go
    // unseen.
    let _ = unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
}

// Nothing refers to it: see `codegen-units` in Cargo.toml.
// SAFETY: this section is a list of such functions, which the system calls in order.
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[used]
static AT_LOAD: extern "C" fn() = watch_forks;
