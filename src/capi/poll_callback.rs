//! `mgos_add_poll_cb()`: functions that the default loop calls at the end of each round.

use core::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use super::handle::default_loop;
use crate::driver::{Source, SourceId, Turn};
use crate::error::Code;

type Function = unsafe extern "C" fn(cb_arg: *mut c_void);

struct PollCallback {
    function: Function,
    arg: *mut c_void,
}

// SAFETY: the library only passes the argument on; the header says on which thread it comes back.
unsafe impl Send for PollCallback {}
// SAFETY: as above.
unsafe impl Sync for PollCallback {}

impl Source for PollCallback {
    fn drive(&self, _: &mut Turn<'_>) {}

    fn round_end(&self, _: &mut Turn<'_>) {
        // SAFETY: the application's function with its own argument.
        unsafe { (self.function)(self.arg) }
    }
}

/// What is registered, newest last: function and argument as numbers, and the source in the loop.
static ALL: Mutex<Vec<(usize, usize, SourceId)>> = Mutex::new(Vec::new());

pub(super) fn add(function: Function, arg: *mut c_void) -> Result<(), Code> {
    let driver = default_loop()?.driver();
    let id = driver.add(Arc::new(PollCallback { function, arg })).map_err(|_| Code::NoResources)?;
    driver.set_every_round(id, true);
    ALL.lock().unwrap_or_else(PoisonError::into_inner).push((function as usize, arg as usize, id));
    Ok(())
}

pub(super) fn remove(function: Function, arg: *mut c_void) -> Result<(), Code> {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = (function as usize, arg as usize);
    let at = all.iter().rposition(|(f, a, _)| (*f, *a) == wanted).ok_or(Code::NotFound)?;
    let (_, _, id) = all.remove(at);
    drop(all);
    default_loop()?.driver().remove(id);
    Ok(())
}
