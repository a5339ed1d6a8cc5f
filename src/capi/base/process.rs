//! Which process this is: objects of a process that this one was forked from are not ours.

use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many forks lie between the first process that used the library and this one. Counted by the C
/// library in the child, so that no call has to ask for its process id.
#[inline(always)]
pub(in crate::capi) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// This process is the child of a fork.
pub(in crate::capi) fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}
