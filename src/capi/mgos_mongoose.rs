//! The types and functions of Mongoose 6 that applications of Mongoose OS use with MQTT: the connection `nc` that
//! handlers are given, MQTT messages, event numbers, and the raw `mg_mqtt_*` calls; strings are in mgos_mg_str.h.
//!
//! The functions are exported as `mgos_mg_*` (`mgos_mongoose_poll`) and mapped to their Mongoose names by macros at the end, so that
//! the library can be linked into a program beside Mongoose 7. A source file that wants the latter's
//! `mongoose.h` must not include this header.
//!
//! Raw calls act on a living connection: `nc` as handlers get it, or from mgos_mqtt_get_global_conn().
//! They may be called from any thread and from every handler. What they send is not queued, not
//! remembered and not sent again after a reconnect; packet ids that they use are held until the exchange
//! ended or the connection closed, and an id that is already in use is refused. They return nothing, as the
//! original; mgos_mqtt_last_error() tells what became of the call.

use core::ffi::{CStr, c_char, c_int, c_long, c_uchar, c_ulong, c_void};
use core::slice;

use super::boundary::{bytes, status, text, value};
use super::defaults::default_loop;
use super::handle::{Handle, conn_of, wall_clock};
use super::mgos_mg_str::{mg_str, mgos_mg_mk_str};
use super::nc::Nc;
use super::poll_callback;
use crate::client::ConnectParams;
use crate::config::Secret;
use crate::error::Code;
use crate::session::RawAck;
use crate::wire::{QoS, Version, topic};

/// A growing buffer of Mongoose; here only its sizes are of interest.
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

/// A connection as handlers see it. One lives in each mgos_mqtt_conn, from its creation until it is
/// freed, and is used again for every reconnect: an `nc` that was kept never dangles before that.
///
/// Fields are for the thread that drives the loop, in handlers; from other threads use functions.
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
    /// What was received and not processed: always empty in a handler.
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
    /// Not used by clients, as all that follow.
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

/// A loop round, or the tick of an idle connection. `ev_data`: `time_t *`, the time of day.
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

/// Flags of a connection. Set by the library: RESOLVING, CONNECTING, SSL. Set by applications: the two
/// close flags and MG_F_USER_*. The others have their place only.
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

// -- time and connections -----------------------------------------------------------------------

/// The time of day: seconds since 1970, with fractions.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mg_time() -> f64 {
    wall_clock()
}

/// Asks for one MG_EV_TIMER at the time of day `timestamp` (see mg_time()), to the connection's handlers;
/// 0 takes it back. Returns the time that was set before, 0 if none.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_set_timer(nc: *mut mg_connection, timestamp: f64) -> f64 {
    value(0.0, || {
        // SAFETY: promised by the caller.
        let handle = unsafe { conn_of(nc) }?;
        handle.set_timer(timestamp)
    })
}

/// Closes a connection as MG_F_SEND_AND_CLOSE does: what waits is written, DISCONNECT is sent, and the
/// reconnect policy goes on. Ignores NULL. From any thread.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_disconnect(nc: *mut mg_connection) {
    status(|| {
        if nc.is_null() {
            return Ok(());
        }
        // SAFETY: promised by the caller.
        unsafe { conn_of(nc) }?.conn()?.drop_link(Code::ClosedByClient, true)
    });
}

/// The default loop as Mongoose's manager; NULL only without memory or file descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_get_mgr() -> *mut mg_mgr {
    value(core::ptr::null_mut(), || Ok(default_loop()?.as_mgr()))
}

/// One round of the default loop that waits at most `ms` milliseconds. Returns 0, or a negative error:
/// MGOS_MQTT_BUSY inside a handler.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mongoose_poll(ms: c_int) -> c_int {
    status(|| default_loop()?.poll(ms))
}

/// Is called at the end of each round of the default loop, on the thread that drives it, with no lock held.
#[allow(non_camel_case_types)]
pub type mgos_poll_cb_t = Option<unsafe extern "C" fn(cb_arg: *mut c_void)>;

/// Calls `cb(cb_arg)` at the end of each round of the default loop, until mgos_remove_poll_cb(). It may call
/// everything but what polls or waits.
///
/// # Safety
/// `cb` can be called with `cb_arg` until it is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_add_poll_cb(cb: mgos_poll_cb_t, cb_arg: *mut c_void) {
    status(|| poll_callback::add(cb.ok_or(Code::NullArgument)?, cb_arg));
}

/// Takes back the newest mgos_add_poll_cb() with this function and argument. It may still be running on the
/// thread that drives the loop when this returns, but is not called again.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_remove_poll_cb(cb: mgos_poll_cb_t, cb_arg: *mut c_void) {
    status(|| poll_callback::remove(cb.ok_or(Code::NullArgument)?, cb_arg));
}

// -- raw MQTT -----------------------------------------------------------------------------------

/// Does nothing: every connection of this library speaks MQTT.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mg_set_protocol_mqtt(nc: *mut mg_connection) {
    let _ = nc;
}

/// Sends CONNECT with a session to be kept, a keep-alive of 60 seconds, and nothing else. For connect
/// hooks; see mgos_mqtt_set_connect_fn().
///
/// # Safety
/// As mg_send_mqtt_handshake_opt().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_send_mqtt_handshake(nc: *mut mg_connection, client_id: *const c_char) {
    let opts = mg_send_mqtt_handshake_opts {
        flags: 0,
        keep_alive: 60,
        will_topic: core::ptr::null(),
        will_message: core::ptr::null(),
        user_name: core::ptr::null(),
        password: core::ptr::null(),
    };
    // SAFETY: promised by the caller.
    unsafe { mgos_mg_send_mqtt_handshake_opt(nc, client_id, opts) }
}

/// Sends CONNECT. For connect hooks: inside the hook for its attempt; outside, from any thread, for the attempt under way,
/// whichever that is (answers that name their attempt: mgos_mqtt_conn_set_credentials_fn()). Until the CONNACK time-out.
/// Everything is copied before it returns; a NULL client id is an empty one.
///
/// Fails with MGOS_MQTT_NOT_CONNECTED if CONNECT was sent already or there is nothing to send it on. Any other error
/// ends the attempt at once: nothing better would come.
///
/// # Safety
/// `nc` is NULL or a connection of this library; the strings are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_send_mqtt_handshake_opt(
    nc: *mut mg_connection,
    client_id: *const c_char,
    opts: mg_send_mqtt_handshake_opts,
) {
    status(|| {
        // SAFETY: promised by the caller.
        let handle = unsafe { conn_of(nc) }?;
        // SAFETY: promised by the caller.
        let params = unsafe { handshake(&handle, client_id, &opts) };
        let params = params.inspect_err(|code| handle.found_conn().refuse_connect(*code))?;
        handle.conn()?.send_connect(&params)
    });
}

/// # Safety
/// The strings are NULL or C strings.
unsafe fn handshake(
    handle: &Handle,
    client_id: *const c_char,
    opts: &mg_send_mqtt_handshake_opts,
) -> Result<ConnectParams, Code> {
    use super::boundary::optional;
    let flags = c_int::from(opts.flags);
    // SAFETY: promised by the caller, for this and the next four.
    let client_id = unsafe { optional(client_id) }?.unwrap_or("");
    // SAFETY: see above.
    let user = unsafe { optional(opts.user_name) }?.map(str::to_owned);
    let password = (!opts.password.is_null())
        // SAFETY: not NULL, and see above.
        .then(|| Secret(unsafe { CStr::from_ptr(opts.password) }.to_bytes().to_vec()));
    let will = match (opts.will_topic.is_null(), opts.will_message.is_null()) {
        (false, false) => {
            // SAFETY: see above.
            let name = unsafe { text(opts.will_topic) }?;
            topic::valid_name(name).map_err(|_| Code::BadTopic)?;
            // SAFETY: not NULL, and see above.
            let message = unsafe { CStr::from_ptr(opts.will_message) }.to_bytes();
            let qos = QoS::try_from(((flags & 0x18) >> 3) as u8).map_err(|_| Code::BadQos)?;
            Some((name.to_owned(), message.to_vec(), qos, flags & MG_MQTT_WILL_RETAIN != 0))
        }
        _ => None,
    };
    let prepared = handle.nc().and_then(Nc::prepared);
    let mut params = ConnectParams {
        version: prepared.as_ref().map_or(Version::V311, |p| p.version),
        client_id: client_id.to_owned(),
        clean_session: flags & MG_MQTT_CLEAN_SESSION != 0,
        keep_alive: opts.keep_alive,
        user,
        password,
        will,
    };
    // A password or will with NUL bytes cannot pass through C strings. If the hook left the
    // visible part of it as it was, the whole of it is meant.
    if let Some(prepared) = prepared {
        let cut = |bytes: &[u8]| bytes.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        let visible = prepared.password.as_ref().map(|password| Secret(cut(password)));
        if visible == params.password {
            params.password = prepared.password;
        }
        if let (Some(ours), Some(theirs)) = (prepared.will, params.will.as_mut())
            && cut(&ours.1) == theirs.1
        {
            theirs.1 = ours.1;
        }
    }
    Ok(params)
}

/// Sends PUBLISH. `flags` is MG_MQTT_QOS(qos), with MG_MQTT_RETAIN and MG_MQTT_DUP as needed. With QoS 1
/// and 2 `message_id` must be free: take it from mgos_mqtt_get_packet_id(). Acknowledgements come to the
/// connection's handlers; for QoS 2 the library sends PUBREL.
///
/// # Safety
/// `nc` is NULL or a connection of this library, `topic` NULL or a C string, `data` has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_publish(
    nc: *mut mg_connection,
    topic: *const c_char,
    message_id: u16,
    flags: c_int,
    data: *const c_void,
    len: usize,
) {
    status(|| {
        // SAFETY: promised by the caller.
        let handle = unsafe { conn_of(nc) }?;
        // SAFETY: promised by the caller.
        let topic = unsafe { text(topic) }?;
        // SAFETY: promised by the caller.
        let payload = unsafe { bytes(data.cast(), len) }?;
        let qos = QoS::try_from(((flags & 0x6) >> 1) as u8).map_err(|_| Code::BadQos)?;
        let (retain, dup) = (flags & MG_MQTT_RETAIN != 0, flags & MG_MQTT_DUP != 0);
        handle.conn()?.raw_publish(topic, message_id, qos, retain, dup, payload)
    });
}

/// Sends one SUBSCRIBE with `topics_len` filters. It is not remembered: what arrives goes to the
/// connection's handlers, and after a reconnect it has to be sent again.
///
/// # Safety
/// `nc` is NULL or a connection of this library; `topics` has `topics_len` entries with C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_subscribe(
    nc: *mut mg_connection,
    topics: *const mg_mqtt_topic_expression,
    topics_len: usize,
    message_id: u16,
) {
    status(|| {
        // SAFETY: promised by the caller.
        let handle = unsafe { conn_of(nc) }?;
        if topics.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and the caller promises the entries.
        let topics = unsafe { slice::from_raw_parts(topics, topics_len) };
        let filters: Result<Vec<(&str, QoS)>, Code> = topics
            .iter()
            .map(|entry| {
                // SAFETY: promised by the caller.
                let filter = unsafe { text(entry.topic) }?;
                Ok((filter, QoS::try_from(entry.qos).map_err(|_| Code::BadQos)?))
            })
            .collect();
        handle.conn()?.raw_subscribe(message_id, &filters?)
    });
}

/// Sends one UNSUBSCRIBE with `topics_len` filters. Subscriptions made by mgos_mqtt_sub() and its kin
/// stay registered.
///
/// # Safety
/// `nc` is NULL or a connection of this library; `topics` has `topics_len` C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_unsubscribe(
    nc: *mut mg_connection,
    topics: *mut *mut c_char,
    topics_len: usize,
    message_id: u16,
) {
    status(|| {
        // SAFETY: promised by the caller.
        let handle = unsafe { conn_of(nc) }?;
        if topics.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and the caller promises the entries.
        let topics = unsafe { slice::from_raw_parts(topics, topics_len) };
        // SAFETY: promised by the caller.
        let filters: Result<Vec<&str>, Code> = topics.iter().map(|t| unsafe { text(*t) }).collect();
        handle.conn()?.raw_unsubscribe(message_id, &filters?)
    });
}

/// Sends DISCONNECT and closes, as MG_F_SEND_AND_CLOSE does; nothing may follow a DISCONNECT. The reconnect
/// policy goes on.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_disconnect(nc: *mut mg_connection) {
    status(|| {
        // SAFETY: promised by the caller.
        unsafe { conn_of(nc) }?.conn()?.drop_link(Code::ClosedByClient, true)
    });
}

/// Marks a QoS 1 message as acknowledged. The library sends each PUBACK itself, once, after the handlers
/// returned; so this has no further effect, however often and with whatever id it is called.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_puback(nc: *mut mg_connection, message_id: u16) {
    // SAFETY: promised by the caller.
    unsafe { acknowledge(nc, RawAck::PubAck, message_id) }
}

/// As mg_mqtt_puback(), for a QoS 2 message.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_pubrec(nc: *mut mg_connection, message_id: u16) {
    // SAFETY: promised by the caller.
    unsafe { acknowledge(nc, RawAck::PubRec, message_id) }
}

/// As mg_mqtt_puback(), for the PUBREC of the server: PUBREL was sent before its handlers ran.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_pubrel(nc: *mut mg_connection, message_id: u16) {
    // SAFETY: promised by the caller.
    unsafe { acknowledge(nc, RawAck::PubRel, message_id) }
}

/// As mg_mqtt_puback(), for the PUBREL of the server: PUBCOMP was sent before its handlers ran.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_pubcomp(nc: *mut mg_connection, message_id: u16) {
    // SAFETY: promised by the caller.
    unsafe { acknowledge(nc, RawAck::PubComp, message_id) }
}

/// # Safety
/// `nc` is NULL or a connection of this library.
unsafe fn acknowledge(nc: *mut mg_connection, kind: RawAck, message_id: u16) {
    status(|| {
        // SAFETY: promised by the caller.
        unsafe { conn_of(nc) }?.conn()?.raw_ack(kind, message_id)
    });
}

/// Sends PINGREQ. The answer is watched as that of the keep-alive.
///
/// # Safety
/// `nc` is NULL or a connection of this library.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_ping(nc: *mut mg_connection) {
    status(|| {
        // SAFETY: promised by the caller.
        unsafe { conn_of(nc) }?.conn()?.raw_ping()
    });
}

/// 1 if the topic filter `exp` matches the topic name `topic`, exactly as MQTT 3.1.1 section 4.7 says
/// (Mongoose differs: there `a/b` matches `a/b/`). 0 if not, and for what is not valid.
///
/// # Safety
/// The bytes of both must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_match_topic_expression(exp: mg_str, topic: mg_str) -> c_int {
    value(0, || {
        // SAFETY: promised by the caller.
        let (filter, name) = unsafe { (exp.bytes(), topic.bytes()) };
        let filter = core::str::from_utf8(filter).map_err(|_| Code::BadUtf8)?;
        let name = core::str::from_utf8(name).map_err(|_| Code::BadUtf8)?;
        topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
        Ok(c_int::from(!name.is_empty() && topic::matches(filter, name)))
    })
}

/// mg_mqtt_match_topic_expression() with the filter as a C string.
///
/// # Safety
/// `exp` is NULL or a C string, the bytes of `topic` must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mqtt_vmatch_topic_expression(exp: *const c_char, topic: mg_str) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { mgos_mg_mqtt_match_topic_expression(mgos_mg_mk_str(exp), topic) }
}

// The type of `time_t` in what MG_EV_POLL points to.
const _: () = assert!(size_of::<libc::time_t>() >= size_of::<c_long>());
