//! The types of `mgos_mqtt_subscribe.h`.

use core::ffi::{c_char, c_int};

/// A topic filter, and the quality of service that is asked for.
#[repr(C)]
pub struct mgos_mqtt_filter {
    /// The filter (MQTT 3.1.1, section 4.7).
    pub filter: *const c_char,
    /// 0, 1 or 2; lowered to the connection's maximum. Other bits are refused.
    pub qos: c_int,
}

/// A call that subscribes has ended. Only its own `done` gets this event.
pub const MGOS_MQTT_EV_SUBSCRIBED: u32 = 1 << 18;

/// A call that unsubscribes has ended. Only its own `done` gets this event.
pub const MGOS_MQTT_EV_UNSUBSCRIBED: u32 = 1 << 19;

// The header generation takes numbers only; that they are the client's is checked here.
const _: () = {
    assert!(MGOS_MQTT_EV_SUBSCRIBED == crate::client::Kind::Subscribed.bit());
    assert!(MGOS_MQTT_EV_UNSUBSCRIBED == crate::client::Kind::Unsubscribed.bit());
};
