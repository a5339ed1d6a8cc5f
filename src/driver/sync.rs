//! The few primitives that [`role`](super::role) and [`ready`](super::ready) synchronise with.
//!
//! Those two files name no other ones. `tests/loom` includes them unchanged beside a twin of this
//! file made of loom's types, so the models check the code that ships.

pub(crate) use crate::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicUsize, Ordering};
