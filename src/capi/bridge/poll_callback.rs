//! `mgos_add_poll_cb()`: functions that the default loop calls at the end of each iteration.

use core::ffi::c_void;
use std::sync::Arc;

use crate::capi::base::process::forks;
use crate::capi::bridge::defaults::{default_loop, known_global};
use crate::driver::{Source, SourceId, Turn};
use crate::error::Code;
use crate::sync::{Mutex, entering_user_code};

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

    fn iteration_end(&self, _: &mut Turn<'_>) {
        entering_user_code();
        // SAFETY: the application's function with its own argument.
        unsafe { (self.function)(self.arg) };
        if let Some(global) = known_global() {
            // It may have been given the `nc` by mgos_mqtt_get_global_conn().
            // SAFETY: this is the thread that drives the default loop, which is that of the global connection.
            unsafe { global.after_handler() };
        }
    }
}

/// A registered callback: function and argument as numbers, and its source in the default loop of a process.
pub(in crate::capi) struct Registered {
    identity: (usize, usize),
    id: SourceId,
    forks: u32,
}

/// The registered callbacks, newest last.
pub(in crate::capi) static ALL: Mutex<Vec<Registered>> = Mutex::new(Vec::new());

fn identity(function: Function, arg: *mut c_void) -> (usize, usize) {
    (function as usize, arg as usize)
}

pub(in crate::capi) fn add(function: Function, arg: *mut c_void) -> Result<(), Code> {
    let driver = default_loop()?.driver();
    let id = driver.add(Arc::new(PollCallback { function, arg })).map_err(|_| Code::NoResources)?;
    driver.set_every_iteration(id, true);
    let mut all = ALL.lock();
    // Callbacks registered before a fork belong to the parent's default loop.
    all.retain(|other| other.forks == forks());
    all.push(Registered { identity: identity(function, arg), id, forks: forks() });
    Ok(())
}

pub(in crate::capi) fn remove(function: Function, arg: *mut c_void) -> Result<(), Code> {
    let wanted = identity(function, arg);
    let mut all = ALL.lock();
    let found = all.iter().rposition(|one| one.identity == wanted && one.forks == forks());
    let removed = all.remove(found.ok_or(Code::NotFound)?);
    drop(all);
    default_loop()?.driver().remove(removed.id);
    Ok(())
}
