//! The types of `mgos_mqtt_subscribe.h`.

use core::ffi::{c_char, c_int};

use crate::capi::base::sized::Growing;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;

/// A topic filter, and the quality of service that is asked for.
#[repr(C)]
pub struct mgos_mqtt_filter {
    /// The filter (MQTT 3.1.1, section 4.7).
    pub filter: *const c_char,
    /// 0, 1 or 2; lowered to the connection's maximum. Other bits are refused.
    pub qos: c_int,
}

/// With the QoS of mgos_mqtt_conn_subscribe() and struct mgos_mqtt_subscription, MQTT 5.0 alone (section 3.8.3.1): what this
/// client publishes itself is not sent back to it.
pub const MGOS_MQTT_SUBSCRIBE_NO_LOCAL: c_int = 4;

/// Likewise: messages come with the RETAIN flag that they were published with.
pub const MGOS_MQTT_SUBSCRIBE_RETAIN_AS_PUBLISHED: c_int = 8;

/// Likewise: retained messages are sent only if the server did not have the subscription.
pub const MGOS_MQTT_SUBSCRIBE_RETAINED_IF_NEW: c_int = 16;

/// Likewise: retained messages are not sent. Not together with MGOS_MQTT_SUBSCRIBE_RETAINED_IF_NEW.
pub const MGOS_MQTT_SUBSCRIBE_NO_RETAINED: c_int = 32;

/// A subscription with everything that MQTT 5.0 has for it. Begin with mgos_mqtt_subscription_init().
#[repr(C)]
pub struct mgos_mqtt_subscription {
    /// `sizeof(struct mgos_mqtt_subscription)`.
    pub size: usize,
    /// The filter. Copied.
    pub filter: *const c_char,
    /// 0, 1 or 2, lowered to the connection's maximum, and MGOS_MQTT_SUBSCRIBE_*.
    pub qos: c_int,
    /// The subscription identifier, 1 to 268,435,455, which the server sends with each message that matches; 0 for none.
    pub identifier: u32,
    /// The user properties of SUBSCRIBE, see mgos_mqtt_property.h; NULL for none. Copied.
    pub properties: *const mgos_mqtt_property,
    /// How many.
    pub num_properties: usize,
}

// SAFETY: plain numbers and pointers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_subscription {
    const NAME: &'static str = "mgos_mqtt_subscription";
    const FIRST: usize = size_of::<mgos_mqtt_subscription>();
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
