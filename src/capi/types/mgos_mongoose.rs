//! The types of `mgos_mongoose.h`.

use core::ffi::{c_char, c_int, c_long, c_uchar, c_ulong, c_void};

use crate::capi::types::mgos_mg_str::mg_str;

/// A growing buffer of Mongoose; this library fills in only its sizes.
#[repr(C)]
pub struct mbuf {
    /// NULL: the bytes themselves are not shown.
    pub buf: *mut c_char,
    /// Bytes in use.
    pub len: usize,
    /// Bytes allocated.
    pub size: usize,
}

/// The manager of Mongoose: here the loop that drives a connection. Opaque.
pub struct mg_mgr(());

/// A connection as handlers see it. Each mgos_mqtt_conn has one, from its creation until it is
/// freed, and keeps it over reconnects: an `nc` that a program has kept stays valid until then.
///
/// Only the thread that drives the loop may use its fields, in handlers; other threads use
/// functions.
#[repr(C)]
pub struct mg_connection {
    /// The loop, as Mongoose's manager. Never NULL.
    pub mgr: *mut mg_mgr,
    /// Private: tells connections of this library from others.
    pub priv_1: *mut c_void,
    /// The errno of the last failed attempt, or 0.
    pub err: c_int,
    /// The receive limit in bytes, as configured. May be changed in a handler.
    pub recv_mbuf_limit: usize,
    /// What was received and not yet processed: always empty in a handler.
    pub recv_mbuf: mbuf,
    /// What waits to be written: `send_mbuf.len` is up to date when a handler is called.
    pub send_mbuf: mbuf,
    /// The time set by mg_set_timer(), 0 if none.
    pub ev_timer_time: f64,
    /// Private, NULL.
    pub proto_data: *mut c_void,
    /// For the application. The library neither reads nor writes it.
    pub user_data: *mut c_void,
    /// `MG_F_*`. A handler that sets MG_F_SEND_AND_CLOSE or MG_F_CLOSE_IMMEDIATELY closes this
    /// connection, with DISCONNECT or without; the reconnect policy goes on. Read after each handler that was
    /// given this `nc`, and at its POLL event.
    pub flags: c_ulong,
}

/// A handler of Mongoose events. `ev_data` depends on the event; it is valid until the handler returns.
#[allow(non_camel_case_types)]
pub type mg_event_handler_t = Option<
    unsafe extern "C" fn(nc: *mut mg_connection, ev: c_int, ev_data: *mut c_void, user_data: *mut c_void),
>;

/// An MQTT packet, as `ev_data` of the events MG_EV_MQTT_*. Valid until the handler returns.
#[repr(C)]
pub struct mg_mqtt_message {
    /// MG_MQTT_CMD_*.
    pub cmd: c_int,
    /// PUBLISH: quality of service.
    pub qos: c_int,
    /// The packet's size in bytes.
    pub len: c_int,
    /// PUBLISH: the topic name. Not NUL-terminated.
    pub topic: mg_str,
    /// PUBLISH: the payload, never NULL; SUBACK: the return codes, one byte each. One NUL byte follows
    /// the payload of a PUBLISH, which is not part of it.
    pub payload: mg_str,
    /// CONNACK: the return code.
    pub connack_ret_code: u8,
    /// The packet id, where the packet has one; otherwise 0.
    pub message_id: u16,
    /// Not used by clients, like all that follow.
    pub protocol_version: u8,
    /// Not used.
    pub connect_flags: u8,
    /// Not used.
    pub keep_alive_timer: u16,
    /// Not used.
    pub protocol_name: mg_str,
    /// Not used.
    pub client_id: mg_str,
    /// Not used.
    pub will_topic: mg_str,
    /// Not used.
    pub will_message: mg_str,
    /// Not used.
    pub user_name: mg_str,
    /// Not used.
    pub password: mg_str,
}

/// A topic filter and the QoS it is subscribed with.
#[repr(C)]
pub struct mg_mqtt_topic_expression {
    /// The filter.
    pub topic: *const c_char,
    /// 0, 1 or 2.
    pub qos: u8,
}

/// What CONNECT says, for mg_send_mqtt_handshake_opt(). The strings are copied before that returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_send_mqtt_handshake_opts {
    /// MG_MQTT_CLEAN_SESSION, MG_MQTT_WILL_RETAIN, and the will's QoS by MG_MQTT_SET_WILL_QOS.
    pub flags: c_uchar,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// The will, if both topic and message are not NULL.
    pub will_topic: *const c_char,
    /// See `will_topic`.
    pub will_message: *const c_char,
    /// NULL for none.
    pub user_name: *const c_char,
    /// NULL for none.
    pub password: *const c_char,
}

/// A loop iteration, or the tick of an idle connection. `ev_data`: `time_t *`, the time of day.
pub const MG_EV_POLL: c_int = 0;

/// Never sent by this library.
pub const MG_EV_ACCEPT: c_int = 1;

/// Not passed to handlers, as in the original.
pub const MG_EV_CONNECT: c_int = 2;

/// Not passed to handlers.
pub const MG_EV_RECV: c_int = 3;

/// Not passed to handlers.
pub const MG_EV_SEND: c_int = 4;

/// The connection was up and is closed. `ev_data`: NULL.
pub const MG_EV_CLOSE: c_int = 5;

/// The timer of mg_set_timer(). `ev_data`: `double *`, the time it was set for.
pub const MG_EV_TIMER: c_int = 6;

/// Add a MG_MQTT_CMD_* to get its event.
pub const MG_MQTT_EVENT_BASE: c_int = 200;

/// Never sent to a client.
pub const MG_EV_MQTT_CONNECT: c_int = 201;

/// The connection is up. `ev_data` of this and all that follow: `struct mg_mqtt_message *`.
pub const MG_EV_MQTT_CONNACK: c_int = 202;

/// A message.
pub const MG_EV_MQTT_PUBLISH: c_int = 203;

/// A QoS 1 message arrived at the server.
pub const MG_EV_MQTT_PUBACK: c_int = 204;

/// A QoS 2 message arrived at the server. PUBREL was sent.
pub const MG_EV_MQTT_PUBREC: c_int = 205;

/// The server released a QoS 2 message. PUBCOMP was sent.
pub const MG_EV_MQTT_PUBREL: c_int = 206;

/// A QoS 2 message was delivered exactly once.
pub const MG_EV_MQTT_PUBCOMP: c_int = 207;

/// Never sent to a client.
pub const MG_EV_MQTT_SUBSCRIBE: c_int = 208;

/// The server answered a SUBSCRIBE; `payload` has the return codes.
pub const MG_EV_MQTT_SUBACK: c_int = 209;

/// Never sent to a client.
pub const MG_EV_MQTT_UNSUBSCRIBE: c_int = 210;

/// The server answered an UNSUBSCRIBE.
pub const MG_EV_MQTT_UNSUBACK: c_int = 211;

/// Never sent to a client.
pub const MG_EV_MQTT_PINGREQ: c_int = 212;

/// Not passed to handlers.
pub const MG_EV_MQTT_PINGRESP: c_int = 213;

/// The connection ends; comes just before MG_EV_CLOSE.
pub const MG_EV_MQTT_DISCONNECT: c_int = 214;

/// Control packet types (MQTT 3.1.1, section 2.2.1).
pub const MG_MQTT_CMD_CONNECT: c_int = 1;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_CONNACK: c_int = 2;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PUBLISH: c_int = 3;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PUBACK: c_int = 4;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PUBREC: c_int = 5;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PUBREL: c_int = 6;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PUBCOMP: c_int = 7;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_SUBSCRIBE: c_int = 8;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_SUBACK: c_int = 9;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_UNSUBSCRIBE: c_int = 10;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_UNSUBACK: c_int = 11;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PINGREQ: c_int = 12;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_PINGRESP: c_int = 13;

#[allow(missing_docs)]
pub const MG_MQTT_CMD_DISCONNECT: c_int = 14;

/// Flags of a PUBLISH for mg_mqtt_publish(); the QoS is put in by MG_MQTT_QOS.
pub const MG_MQTT_RETAIN: c_int = 0x1;

#[allow(missing_docs)]
pub const MG_MQTT_DUP: c_int = 0x8;

/// Flags of CONNECT (MQTT 3.1.1, section 3.1.2.3).
pub const MG_MQTT_CLEAN_SESSION: c_int = 0x02;

#[allow(missing_docs)]
pub const MG_MQTT_HAS_WILL: c_int = 0x04;

#[allow(missing_docs)]
pub const MG_MQTT_WILL_RETAIN: c_int = 0x20;

#[allow(missing_docs)]
pub const MG_MQTT_HAS_PASSWORD: c_int = 0x40;

#[allow(missing_docs)]
pub const MG_MQTT_HAS_USER_NAME: c_int = 0x80;

/// Return codes of CONNACK (MQTT 3.1.1, section 3.2.2.3).
pub const MG_EV_MQTT_CONNACK_ACCEPTED: c_int = 0;

#[allow(missing_docs)]
pub const MG_EV_MQTT_CONNACK_UNACCEPTABLE_VERSION: c_int = 1;

#[allow(missing_docs)]
pub const MG_EV_MQTT_CONNACK_IDENTIFIER_REJECTED: c_int = 2;

#[allow(missing_docs)]
pub const MG_EV_MQTT_CONNACK_SERVER_UNAVAILABLE: c_int = 3;

#[allow(missing_docs)]
pub const MG_EV_MQTT_CONNACK_BAD_AUTH: c_int = 4;

#[allow(missing_docs)]
pub const MG_EV_MQTT_CONNACK_NOT_AUTHORIZED: c_int = 5;

/// Flags of a connection. The library sets RESOLVING and CONNECTING during an attempt, SSL (TLS) and IS_WEBSOCKET while a
/// connection that runs over these is up; applications set the two close flags and MG_F_USER_*. The others exist only so that
/// programs compile.
pub const MG_F_LISTENING: c_ulong = 1 << 0;

#[allow(missing_docs)]
pub const MG_F_UDP: c_ulong = 1 << 1;

#[allow(missing_docs)]
pub const MG_F_RESOLVING: c_ulong = 1 << 2;

#[allow(missing_docs)]
pub const MG_F_CONNECTING: c_ulong = 1 << 3;

#[allow(missing_docs)]
pub const MG_F_SSL: c_ulong = 1 << 4;

#[allow(missing_docs)]
pub const MG_F_SSL_HANDSHAKE_DONE: c_ulong = 1 << 5;

#[allow(missing_docs)]
pub const MG_F_WANT_READ: c_ulong = 1 << 6;

#[allow(missing_docs)]
pub const MG_F_WANT_WRITE: c_ulong = 1 << 7;

#[allow(missing_docs)]
pub const MG_F_IS_WEBSOCKET: c_ulong = 1 << 8;

#[allow(missing_docs)]
pub const MG_F_RECV_AND_CLOSE: c_ulong = 1 << 9;

/// Write what waits and DISCONNECT, then close.
pub const MG_F_SEND_AND_CLOSE: c_ulong = 1 << 10;

/// Close now, without DISCONNECT: the server publishes the will.
pub const MG_F_CLOSE_IMMEDIATELY: c_ulong = 1 << 11;

#[allow(missing_docs)]
pub const MG_F_USER_1: c_ulong = 1 << 20;

#[allow(missing_docs)]
pub const MG_F_USER_2: c_ulong = 1 << 21;

#[allow(missing_docs)]
pub const MG_F_USER_3: c_ulong = 1 << 22;

#[allow(missing_docs)]
pub const MG_F_USER_4: c_ulong = 1 << 23;

#[allow(missing_docs)]
pub const MG_F_USER_5: c_ulong = 1 << 24;

#[allow(missing_docs)]
pub const MG_F_USER_6: c_ulong = 1 << 25;

/// Called at the end of each iteration of the default loop, on the thread that drives it, with no lock held.
#[allow(non_camel_case_types)]
pub type mgos_poll_cb_t = Option<unsafe extern "C" fn(cb_arg: *mut c_void)>;

// The type of `time_t` in what MG_EV_POLL points to.
const _: () = assert!(size_of::<libc::time_t>() >= size_of::<c_long>());
