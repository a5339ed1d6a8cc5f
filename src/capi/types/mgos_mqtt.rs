//! The types of `mgos_mqtt.h`.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::types::mgos_mongoose::mg_connection;

/// The QoS of mgos_mqtt_sub() and mgos_mqtt_global_subscribe().
pub const MGOS_MQTT_SUBSCRIBE_QOS: c_int = 1;

/// A handler of messages. Topic and message are pointers with lengths, not NUL-terminated texts, and valid
/// until the handler returns; `msg` is never NULL, and one NUL byte follows it, which `msg_len` does not
/// count.
pub type sub_handler_t = Option<
    unsafe extern "C" fn(
        nc: *mut mg_connection,
        topic: *const c_char,
        topic_len: c_int,
        msg: *const c_char,
        msg_len: c_int,
        ud: *mut c_void,
    ),
>;
