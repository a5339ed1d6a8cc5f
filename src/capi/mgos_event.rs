//! The event bus of Mongoose OS, with the events that an MQTT client raises: that the connection to the cloud
//! comes and goes, for a status LED or a supervisor, without a handler on any connection.
//!
//!     static void on_cloud(int ev, void *ev_data, void *userdata) {
//!       led(ev == MGOS_EVENT_CLOUD_CONNECTED);
//!     }
//!     mgos_event_add_group_handler(MGOS_EVENT_SYS, on_cloud, NULL);
//!
//! Every connection raises them, on the thread that drives its loop, with a `struct mgos_cloud_arg *` as
//! `ev_data`. Those of a connection whose configuration has `cloud_events` off are left out, but for
//! MGOS_EVENT_CLOUD_CONNECTING. Handlers may call everything but what polls or waits.
//!
//! The handlers are those of the process, and the child of a fork has them, too.
//!
//! An application may trigger events of its own, numbered from a base of its own.

use core::ffi::{c_char, c_int, c_void};

use super::boundary::{text, value};
use super::event_bus::{add, register_base, remove, trigger};
use crate::error::Code;

/// The group of the system's events.
pub const MGOS_EVENT_SYS: c_int = 0x4D4F5300;

/// The system's events. This library raises those of the cloud; an application may raise the others.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum mgos_event_sys {
    /// The system is set up. No data, as for the next but where it says so.
    MGOS_EVENT_INIT_DONE = 0x4D4F5300,
    /// A line of the log.
    MGOS_EVENT_LOG,
    /// The system is about to restart.
    MGOS_EVENT_REBOOT,
    /// The wall clock was set.
    MGOS_EVENT_TIME_CHANGED,
    /// A connection is up: CONNACK came, and its handlers are told next. `ev_data` is a `struct mgos_cloud_arg *`, as for
    /// the next three.
    MGOS_EVENT_CLOUD_CONNECTED,
    /// A connection that was up has ended; its handlers get MG_EV_CLOSE next.
    MGOS_EVENT_CLOUD_DISCONNECTED,
    /// An attempt to connect begins.
    MGOS_EVENT_CLOUD_CONNECTING,
    /// It failed: in the name service, in TCP or TLS, or by a refusal of the server.
    MGOS_EVENT_CLOUD_CONNECTERROR,
    /// The system will restart at a later time.
    MGOS_EVENT_REBOOT_AFTER,
}

/// Clouds, for `struct mgos_cloud_arg`. This library raises events of the first only.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum mgos_cloud_type {
    /// An MQTT server.
    MGOS_CLOUD_MQTT,
    /// mDash.
    MGOS_CLOUD_DASH,
    /// Amazon's.
    MGOS_CLOUD_AWS,
    /// Microsoft's.
    MGOS_CLOUD_AZURE,
    /// Google's.
    MGOS_CLOUD_GCP,
    /// IBM's.
    MGOS_CLOUD_WATSON,
}

/// What comes with the events of the cloud.
#[repr(C)]
pub struct mgos_cloud_arg {
    /// MGOS_CLOUD_MQTT.
    pub r#type: mgos_cloud_type,
}

/// Is told of an event.
pub type mgos_event_handler_t =
    Option<unsafe extern "C" fn(ev: c_int, ev_data: *mut c_void, userdata: *mut c_void)>;

/// Claims a group of 256 events for one user, named for whoever reads the program. False if it is taken.
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

/// Adds a handler of one event. It may be added more than once, and is then called as often. False for NULL and
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

/// Adds a handler of all events of a group, of which `evgrp` is any.
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
