//! The types of `mgos_mqtt_publish.h`.

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;

use crate::capi::base::sized::Growing;
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;

/// There is no outcome yet: the message waits, or is on its way.
pub const MGOS_MQTT_OUTCOME_PENDING: c_int = 0;

/// QoS 1: the server acknowledged it (PUBACK). QoS 2: it was delivered exactly once (PUBCOMP).
pub const MGOS_MQTT_OUTCOME_ACKED: c_int = 1;

/// QoS 0: its last byte was handed to the system. Nothing more can be known of a QoS 0 message.
pub const MGOS_MQTT_OUTCOME_SENT: c_int = 2;

/// The server refused it; mgos_mqtt_event_code() has the reason that it gave.
pub const MGOS_MQTT_OUTCOME_REJECTED: c_int = 3;

/// It was not sent within `expires_ms`.
pub const MGOS_MQTT_OUTCOME_EXPIRED: c_int = 4;

/// It made room for a newer one in a full queue; or, QoS 0, the connection was lost while it was being written.
pub const MGOS_MQTT_OUTCOME_DROPPED: c_int = 5;

/// mgos_mqtt_conn_cancel(), or the connection was freed first (mgos_mqtt_event_error() is MGOS_MQTT_INCOMPLETE
/// then).
pub const MGOS_MQTT_OUTCOME_CANCELLED: c_int = 6;

/// The server lost the session in which it was sent, and `on_session_loss` says not to send it again.
pub const MGOS_MQTT_OUTCOME_LOST: c_int = 7;
/// QoS 1 and 2: the server did not acknowledge it in the time given by `ack_timeout_ms` of the options. It may have
/// arrived, or may still arrive: see there.
pub const MGOS_MQTT_OUTCOME_TIMED_OUT: c_int = 8;

/// On a time-out the message stays accepted, and is sent when that is possible.
pub const MGOS_MQTT_KEEP: c_int = 0;

/// On a time-out the message is cancelled, unless it is on its way already: that cannot be undone, and it goes
/// on until its outcome.
pub const MGOS_MQTT_CANCEL: c_int = 1;

/// A message to be published. Begin with mgos_mqtt_publication_init(), then set what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_mqtt_publication {
    /// `sizeof(struct mgos_mqtt_publication)`, as mgos_mqtt_publication_init() sets it: it tells the library which header you
    /// were compiled with.
    pub size: usize,
    /// The topic name. Copied.
    pub topic: *const c_char,
    /// The payload. Copied. NULL with length 0 is an empty one.
    pub payload: *const c_void,
    /// Its length in bytes.
    pub payload_len: usize,
    /// 0, 1 or 2; lowered to the connection's maximum.
    pub qos: c_int,
    /// Whether the server retains it (MQTT 3.1.1, section 3.3.1.3).
    pub retain: bool,
    /// After how many milliseconds the message is given up if it was not sent by then; 0 is never. A message that is
    /// on its way does not expire.
    pub expires_ms: u32,
    /// Called with the outcome, exactly once, on the thread that drives the loop, with no lock held; may be NULL. The
    /// event's kind is MGOS_MQTT_EV_OUTCOME. It is also called when the connection is freed; then it must not use
    /// that connection any more.
    pub done: mgos_mqtt_event_fn_t,
    /// Passed to it.
    pub ud: *mut c_void,
    /// MQTT 5.0: the properties of the PUBLISH, see mgos_mqtt_property.h; NULL for none. Copied.
    pub properties: *const mgos_mqtt_property,
    /// How many.
    pub num_properties: usize,
    /// MQTT 5.0 (section 3.3.2.3.4): the topic alias that the message has on whatever connection it is sent, if the server
    /// accepts so many (`topic_alias_maximum` of mgos_mqtt_conn_server_info()); else it goes without. Default 0: the library
    /// chooses one, if `topic_aliases` of the options allows any.
    pub topic_alias: u16,
}

// SAFETY: numbers, pointers and a truth value. Everything before the properties is the first version.
unsafe impl Growing for mgos_mqtt_publication {
    const NAME: &'static str = "mgos_mqtt_publication";
    const FIRST: usize = offset_of!(mgos_mqtt_publication, properties);
}
