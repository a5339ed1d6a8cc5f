//! The types of `mgos_mqtt_request.h`.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::sized::Growing;
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;

/// A request has ended. Only its own `done` gets this event.
pub const MGOS_MQTT_EV_RESPONSE: u32 = 0x8000_0001;

/// `on_link_loss`: the response may come on the next connection.
pub const MGOS_MQTT_REQUEST_WAIT: c_int = 0;

/// `on_link_loss`: the request ends.
pub const MGOS_MQTT_REQUEST_END: c_int = 1;

/// A request. Begin with mgos_mqtt_request_init(), then set what you need. Everything is copied before the call returns.
#[repr(C)]
pub struct mgos_mqtt_request {
    /// `sizeof(struct mgos_mqtt_request)`, as mgos_mqtt_request_init() sets it.
    pub size: usize,
    /// The topic name to which the request is published.
    pub topic: *const c_char,
    /// The payload; NULL with length 0 is an empty one.
    pub payload: *const c_void,
    /// Its length in bytes.
    pub payload_len: usize,
    /// 0, 1 or 2; lowered to the connection's maximum. A request of QoS 0 needs a connection, one of QoS 1 or 2 may wait
    /// for one.
    pub qos: c_int,
    /// How long the response may take, in milliseconds, the wait for a connection included: default 10,000;
    /// MGOS_MQTT_OFF is without limit. A request that was not sent by then is not sent any more.
    pub timeout_ms: c_int,
    /// What happens when a connection that was up is lost: default MGOS_MQTT_REQUEST_WAIT, or MGOS_MQTT_REQUEST_END.
    pub on_link_loss: c_int,
    /// Called with the end of the request, exactly once, on the thread that drives the loop, with no lock held; must not be
    /// NULL. The event's kind is MGOS_MQTT_EV_RESPONSE. It is also called when the connection is freed; then it must not use
    /// that connection any more.
    pub done: mgos_mqtt_event_fn_t,
    /// Passed to it.
    pub ud: *mut c_void,
    /// MQTT 5.0: further properties of the PUBLISH, see mgos_mqtt_property.h; NULL for none. RESPONSE TOPIC and CORRELATION
    /// DATA are set by the library.
    pub properties: *const mgos_mqtt_property,
    /// How many.
    pub num_properties: usize,
    /// MQTT 5.0: the topic name for the response, which nothing else is published to; NULL for one of the library's.
    pub response_topic: *const c_char,
}

// SAFETY: plain numbers and pointers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_request {
    const NAME: &'static str = "mgos_mqtt_request";
    const FIRST: usize = size_of::<mgos_mqtt_request>();
}

/// Where the response to a request goes, and what it has to carry. Opaque.
pub struct mgos_mqtt_reply_to(());

// The header generation takes numbers only; that they are the client's is checked here.
const _: () = assert!(MGOS_MQTT_EV_RESPONSE == crate::client::Kind::Response.bit());
