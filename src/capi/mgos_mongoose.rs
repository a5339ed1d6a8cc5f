//! The types and functions of Mongoose 6 that applications of Mongoose OS use with MQTT: the connection `nc` that
//! handlers are given, MQTT messages, event numbers, and the raw `mg_mqtt_*` calls; strings are in mgos_mg_str.h.
//!
//! The functions are exported as `mgos_mg_*` (`mgos_mongoose_poll`) and mapped to their Mongoose names by macros at the
//! end, so that the library can be linked into a program beside Mongoose 7. A source file that wants the latter's
//! `mongoose.h` must not include this header.
//!
//! Raw calls act on a living connection: `nc` as handlers get it, or from mgos_mqtt_get_global_conn().
//! They may be called from any thread and from every handler. What they send is not queued, not
//! remembered and not sent again after a reconnect; packet ids that they use are held until the exchange
//! ended or the connection closed, and an id that is already in use is refused. They return nothing, as the
//! original; mgos_mqtt_last_error() tells what became of the call.

use core::ffi::{c_char, c_int, c_void};
use core::slice;

use crate::capi::base::boundary::{bytes, status, text, value};
use crate::capi::base::system::wall_clock;
use crate::capi::bridge::defaults::default_loop;
use crate::capi::bridge::handle::conn_of;
use crate::capi::bridge::poll_callback;
use crate::capi::bridge::raw::{acknowledge, handshake};
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_mongoose::{
    MG_MQTT_DUP, MG_MQTT_RETAIN, mg_connection, mg_mgr, mg_mqtt_topic_expression,
    mg_send_mqtt_handshake_opts, mgos_poll_cb_t,
};
use crate::error::Code;
use crate::session::RawAck;
use crate::wire::{QoS, topic};

// -- time and connections -----------------------------------------------------------------------

/// The time of day: seconds since 1970, with fractions.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mg_time() -> f64 {
    wall_clock()
}

/// Asks for one MG_EV_TIMER to the connection's handlers at the time of day `timestamp` (see mg_time());
/// 0 cancels it. Returns the time that was set before, 0 if none was.
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
/// reconnect policy goes on. Ignores NULL. Callable from any thread.
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

/// The default loop in the role of Mongoose's manager; NULL only without memory or file
/// descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_get_mgr() -> *mut mg_mgr {
    value(core::ptr::null_mut(), || Ok(default_loop()?.as_mgr()))
}

/// One iteration of the default loop that waits at most `ms` milliseconds. Returns 0, or a negative error:
/// MGOS_MQTT_BUSY inside a handler.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mongoose_poll(ms: c_int) -> c_int {
    status(|| default_loop()?.poll(ms))
}

/// Calls `cb(cb_arg)` at the end of each iteration of the default loop, until mgos_remove_poll_cb(). It may call
/// every function except those that poll or wait.
///
/// # Safety
/// `cb` can be called with `cb_arg` until it is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_add_poll_cb(cb: mgos_poll_cb_t, cb_arg: *mut c_void) {
    status(|| poll_callback::add(cb.ok_or(Code::NullArgument)?, cb_arg));
}

/// Removes the newest poll callback with this function and argument. It may still be running on the thread
/// that drives the loop when this returns, but is not called again.
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

/// Sends CONNECT with clean session off, a keep-alive of 60 seconds, and nothing else. For connect
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

/// Sends CONNECT, for connect hooks. Called inside the hook, it sends for the hook's attempt; called outside, from
/// any thread, for the attempt under way, whichever that is. (With mgos_mqtt_conn_set_credentials_fn(), answers name
/// their attempt.) It may be called until the CONNACK time-out. Everything is copied before it returns; a NULL client
/// id counts as an empty one.
///
/// Fails with MGOS_MQTT_NOT_CONNECTED if CONNECT was already sent or there is no connection to send it on. Any other
/// error ends the attempt at once, since the hook has given its answer.
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

/// Sends PUBLISH. `flags` is MG_MQTT_QOS(qos), with MG_MQTT_RETAIN and MG_MQTT_DUP as needed. With QoS 1
/// and 2 `message_id` must be free: take it from mgos_mqtt_get_packet_id(). Acknowledgements go to the
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

/// Sends one SUBSCRIBE with `topics_len` filters. The library does not remember them: messages go
/// to the connection's handlers, and after a reconnect the application has to subscribe again.
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

/// Sends one UNSUBSCRIBE with `topics_len` filters. Subscriptions made by mgos_mqtt_sub() and similar
/// calls stay registered.
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
/// have returned; so this call has no further effect, however often and with whatever id it is made.
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

/// Sends PINGREQ. Its answer has the same time-out as that of the keep-alive.
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
/// (Mongoose differs: there `a/b` matches `a/b/`). 0 if it does not, or if either is not valid.
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
    unsafe { mgos_mg_mqtt_match_topic_expression(mg_str::of_c(exp), topic) }
}
