//! The loop that C means: by its address, or the default loop by NULL.

use std::sync::Arc;

use crate::capi::base::field::no_such;
use crate::capi::bridge::defaults::{break_runs_of_default, default_loop};
use crate::capi::bridge::handle::{LOOPS, LoopHandle};
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_loop;
use crate::error::Code;

/// The loop behind a handle; NULL is the default loop.
pub(in crate::capi) fn loop_of(handle: *mut mgos_mqtt_loop) -> Result<Arc<LoopHandle>, Code> {
    let found = if handle.is_null() {
        default_loop()?.clone()
    } else {
        LOOPS.get(handle).ok_or_else(|| no_such("loop"))?
    };
    if found.is_ours() { Ok(found) } else { Err(Code::Forked) }
}

/// [`LoopHandle::break_runs`] for the loop behind a handle, also inside a signal handler.
///
/// # Safety
/// `handle` is NULL or was a living loop when the call began.
pub(in crate::capi) unsafe fn break_runs_of(handle: *mut mgos_mqtt_loop) -> Result<(), Code> {
    if handle.is_null() {
        break_runs_of_default();
        return Ok(());
    }
    // A signal that interrupted a change of the table can only trust the caller.
    if LOOPS.has_now(handle) == Some(false) {
        return Err(Code::BadArgument);
    }
    // SAFETY: it is the address of a loop, which lives as the caller promises.
    let home = unsafe { &*handle.cast::<LoopHandle>() };
    if !home.is_ours() {
        return Err(Code::Forked);
    }
    home.break_runs();
    Ok(())
}
