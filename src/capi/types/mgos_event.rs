//! The types of `mgos_event.h`.

use core::ffi::{c_int, c_void};

/// The group of the system's events.
pub const MGOS_EVENT_SYS: c_int = 0x4D4F5300;

/// The system's events. This library raises those of the cloud; an application may raise the others.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum mgos_event_sys {
    /// The system is set up. It comes without data, as do the others unless they say so.
    MGOS_EVENT_INIT_DONE = 0x4D4F5300,
    /// A line of the log.
    MGOS_EVENT_LOG,
    /// The system is about to restart.
    MGOS_EVENT_REBOOT,
    /// The wall clock was set.
    MGOS_EVENT_TIME_CHANGED,
    /// A connection is up: CONNACK came, and the connection's handlers are told next. `ev_data` is a `struct
    /// mgos_cloud_arg *`, as for the next three.
    MGOS_EVENT_CLOUD_CONNECTED,
    /// A connection that was up has ended; its handlers get MG_EV_CLOSE next.
    MGOS_EVENT_CLOUD_DISCONNECTED,
    /// An attempt to connect begins.
    MGOS_EVENT_CLOUD_CONNECTING,
    /// An attempt failed: in the name service, in TCP or TLS, or because the server refused it.
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

/// A handler of events.
pub type mgos_event_handler_t =
    Option<unsafe extern "C" fn(ev: c_int, ev_data: *mut c_void, userdata: *mut c_void)>;
