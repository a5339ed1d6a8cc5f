//! The event bus of Mongoose OS, with the events that an MQTT client raises: the connection to the cloud
//! comes up or goes down. For a status LED or a supervisor, which needs no handler on any connection for
//! that.
//!
//!     static void on_cloud(int ev, void *ev_data, void *userdata) {
//!       led(ev == MGOS_EVENT_CLOUD_CONNECTED);
//!     }
//!     mgos_event_add_group_handler(MGOS_EVENT_SYS, on_cloud, NULL);
//!
//! Every connection raises them, on the thread that drives its loop, with a `struct mgos_cloud_arg *` as
//! `ev_data`. A connection whose configuration has `cloud_events` off raises only
//! MGOS_EVENT_CLOUD_CONNECTING. Handlers may call every function except those that poll or wait.
//!
//! Handlers belong to the process; the child of a fork keeps them.
//!
//! An application may trigger events of its own, numbered from a base of its own.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{text, value};
use crate::capi::bridge::event_bus::{add, register_base, remove, trigger};
use crate::capi::types::mgos_event::mgos_event_handler_t;
use crate::error::Code;

/// Claims a group of 256 events. The name says whose they are, for people who read the program. False if
/// the group is taken.
///
/// # Safety
/// `name` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_event_register_base(base_event_number: c_int, name: *const c_char) -> bool {
    value(false, || {
        // SAFETY: promised by the caller.
        unsafe { text(name) }?;
        register_base(base_event_number).map(|()| true)
    })
}

/// Calls the handlers of an event, the newest first, on this thread, and returns how many there were.
///
/// # Safety
/// `ev_data` is what the handlers of this event expect.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_event_trigger(ev: c_int, ev_data: *mut c_void) -> c_int {
    // SAFETY: promised by the caller.
    value(0, || Ok(unsafe { trigger(ev, ev_data) }))
}

/// Adds a handler of one event. A handler that is added several times is called as often. False for NULL and
/// without memory.
///
/// # Safety
/// `cb` can be called with `userdata` until it is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_event_add_handler(
    ev: c_int,
    cb: mgos_event_handler_t,
    userdata: *mut c_void,
) -> bool {
    value(false, || add(ev, false, cb.ok_or(Code::NullArgument)?, userdata).map(|()| true))
}

/// Adds a handler of all events of a group; `evgrp` is any event of the group.
///
/// # Safety
/// As mgos_event_add_handler().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_event_add_group_handler(
    evgrp: c_int,
    cb: mgos_event_handler_t,
    userdata: *mut c_void,
) -> bool {
    value(false, || add(evgrp, true, cb.ok_or(Code::NullArgument)?, userdata).map(|()| true))
}

/// Removes a handler of one event: the newest with exactly these three. It is not called any more when this
/// returns, unless it runs on another thread right now. False if there is none.
///
/// # Safety
/// None of the arguments is followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_event_remove_handler(
    ev: c_int,
    cb: mgos_event_handler_t,
    userdata: *mut c_void,
) -> bool {
    value(false, || remove(ev, false, cb.ok_or(Code::NullArgument)?, userdata).map(|()| true))
}

/// Removes a handler that mgos_event_add_group_handler() added.
///
/// # Safety
/// None of the arguments is followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_event_remove_group_handler(
    evgrp: c_int,
    cb: mgos_event_handler_t,
    userdata: *mut c_void,
) -> bool {
    value(false, || remove(evgrp, true, cb.ok_or(Code::NullArgument)?, userdata).map(|()| true))
}
