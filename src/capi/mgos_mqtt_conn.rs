//! Connections: the calls of Mongoose OS, each with a connection handle, and what the original
//! lacks.
//!
//! A connection belongs to a loop (mgos_mqtt_loop.h); nothing happens unless that is driven. After
//! mgos_mqtt_conn_connect() the connection keeps itself up: it reconnects after every loss, subscribes again
//! and resends what was not acknowledged, until it is told to stop.
//!
//! OWNERSHIP. Strings and data given to these functions are copied before they return. What handlers are given
//! is valid until they return. A connection is ended by mgos_mqtt_conn_free(), or with its loop.
//!
//! MORE, for the same handles, each in a header of its own:
//!
//! | header                | for                                                                    |
//! |-----------------------|------------------------------------------------------------------------|
//! | mgos_mqtt_event.h     | handlers of the library's own events: results, flags, reasons          |
//! | mgos_mqtt_publish.h   | publishing with an answer: did it arrive?                              |
//! | mgos_mqtt_subscribe.h | subscribing to several filters with an answer                          |
//! | mgos_mqtt_connect.h   | connecting with an answer; server, client id and will by a call        |
//! | mgos_mqtt_receive.h   | acknowledging later, refusing, fetching messages from a queue          |
//! | mgos_mqtt_request.h   | requests that get a response, and responses to them                    |
//! | mgos_mqtt_property.h  | the properties of MQTT 5.0; its reason codes: mgos_mqtt_reason.h       |
//! | mgos_mqtt_options.h   | limits, time-outs, policies, TLS: what the configuration cannot say    |
//! | mgos_mqtt_stats.h     | what a connection counts, also for Prometheus                          |
//! | mgos_mqtt_log.h       | log lines, published to a topic                                        |
//! | mgos_mqtt_compat.h    | error numbers and defaults of other systems                            |
//! | mgos_event.h          | the event bus of Mongoose OS: the cloud comes and goes                 |
//! | mgos_mqtt_all.h       | all of them                                                            |
//!
//! THREADS. Every function may be called from any thread and from inside every handler; see
//! mgos_mqtt_loop.h. Handlers run on the thread that drives the loop.
//!
//! ERRORS. A call that returns false, 0 or NULL leaves the reason in mgos_mqtt_last_error(). Passing NULL for
//! a connection or another pointer is refused with MGOS_MQTT_NULL_ARGUMENT, never undefined.

use core::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use crate::capi::base::boundary::{self, config_code, explain, status, text, value};
use crate::capi::base::field::no_such;
use crate::capi::bridge::callbacks::{CONNECTION_KINDS, MgosHook, OwnNc, UserData, event_handler, identity};
use crate::capi::bridge::connecting::say_why_disabled;
use crate::capi::bridge::connection::{ALL_ZERO, publish_here, subscribe, unsubscribe, wait_until_gone};
use crate::capi::bridge::defaults::{default_loop, is_global};
use crate::capi::bridge::handle::{HANDLES, Handle, conn_of, give_up};
use crate::capi::bridge::profiles::source as profile_source;
use crate::capi::config::c_struct::is_all_zero;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_mongoose::{mg_connection, mg_event_handler_t};
use crate::capi::types::mgos_mqtt_conn::{mgos_mqtt_conn, mgos_mqtt_connect_fn_t};
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_ud_free_fn_t;
use crate::client::{Conn, ConnectHook, ProfileSource};
use crate::config::Settings;
use crate::error::Code;

/// Creates a connection on the default loop. No network I/O happens before mgos_mqtt_conn_connect().
///
/// `conn_id` names it in the log. The configuration is copied, unless it is the pointer that
/// mgos_sys_config_get_mqtt() or mgos_sys_config_get_mqtt1() returned: then the system configuration is read
/// again at each attempt. NULL gives a connection without a server.
///
/// Returns NULL if the configuration is not valid (see mgos_mqtt_last_error()) or without memory.
///
/// # Safety
/// `cfg` is NULL or valid; its strings are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_create(
    conn_id: c_int,
    cfg: *const mgos_config_mqtt,
) -> *mut mgos_mqtt_conn {
    // SAFETY: promised by the caller.
    unsafe { mgos_mqtt_conn_create2(conn_id, cfg, core::ptr::null()) }
}

/// As mgos_mqtt_conn_create(), with a backup server. When the wait between attempts at one server has reached
/// its maximum and one more attempt fails, the other server takes over, if it is enabled; and so on in turn. A
/// server that works is kept.
///
/// # Safety
/// As mgos_mqtt_conn_create(), for both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_create2(
    conn_id: c_int,
    cfg: *const mgos_config_mqtt,
    cfg2: *const mgos_config_mqtt,
) -> *mut mgos_mqtt_conn {
    value(core::ptr::null_mut(), || {
        let settings = Settings::default();
        let mut profiles = Vec::new();
        let mut all_zero = false;
        for cfg in [cfg, cfg2] {
            if !cfg.is_null() {
                // SAFETY: promised by the caller.
                let profile = unsafe { profile_source(cfg) }?;
                if let ProfileSource::Fixed(profile) = &profile {
                    settings.check(profile).map_err(config_code)?;
                }
                profiles.push(profile);
                // SAFETY: as above.
                all_zero |= is_all_zero(unsafe { &*cfg });
            }
        }
        let handle = Handle::create(default_loop()?.clone(), conn_id, profiles, settings)?;
        if all_zero {
            handle.conn()?.warn(ALL_ZERO);
        }
        Ok(handle.as_ptr())
    })
}

/// Ends a connection. Returns at once; the handle may not be used afterwards.
///
/// If it is up, DISCONNECT is sent, as far as that is possible without waiting. Messages that were not
/// acknowledged are given up. If another thread drives the loop, the rest happens there as soon as its
/// present callback returns; user data may be in use until every user-data destructor has run. If nobody
/// drives the loop, all of it has happened when the call returns. May be called inside a handler of the same
/// connection. Ignores NULL.
///
/// The global connection is ended by mgos_mqtt_deinit() instead.
///
/// # Safety
/// `c` is NULL or a connection that was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_free(c: *mut mgos_mqtt_conn) {
    // SAFETY: promised by the caller.
    unsafe { mgos_mqtt_conn_free_wait(c, 0) };
}

/// As mgos_mqtt_conn_free(), and waits at most `timeout_ms` milliseconds (negative: without limit) until
/// all of it has happened: no handler runs any more and every user-data destructor has run.
///
/// Returns 0; MGOS_MQTT_TIMED_OUT if that takes longer, MGOS_MQTT_BUSY inside a callback (the connection ends
/// all the same, and the handle is gone); MGOS_MQTT_BAD_ARGUMENT for the global connection.
///
/// # Safety
/// As mgos_mqtt_conn_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_free_wait(c: *mut mgos_mqtt_conn, timeout_ms: c_int) -> c_int {
    status(|| {
        if c.is_null() {
            return Ok(());
        }
        if let Some(handle) = HANDLES.get(c).filter(|handle| !handle.is_ours()) {
            handle.close_after_fork();
            return Err(Code::Forked);
        }
        if is_global(c) {
            explain(format_args!("the global connection is ended by mgos_mqtt_deinit()"));
            return Err(Code::BadArgument);
        }
        let handle = HANDLES.remove(c).ok_or_else(|| no_such("connection"))?;
        wait_until_gone(&give_up(handle), timeout_ms)
    })
}

/// The connection that an `nc` belongs to; NULL for NULL, and if `nc` is not one of this library's.
///
/// # Safety
/// `nc` is NULL or points to a `struct mg_connection`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_from_nc(nc: *mut mg_connection) -> *mut mgos_mqtt_conn {
    // SAFETY: promised by the caller.
    value(core::ptr::null_mut(), || Ok(unsafe { conn_of(nc) }?.as_ptr()))
}

/// The `nc` of a connection while it is up; NULL otherwise. It may be kept: it lives as long as the connection.
///
/// Only the thread that drives the loop may use its fields; it may do so outside of callbacks as well, in a timer
/// of its own for instance. Changes to `flags` and `recv_mbuf_limit` made there take effect in the next iteration
/// of the loop.
///
/// # Safety
/// `c` is NULL or a living connection, as for all functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_nc(c: *mut mgos_mqtt_conn) -> *mut mg_connection {
    value(core::ptr::null_mut(), || {
        let handle = Handle::of(c)?;
        if !handle.conn()?.is_connected() {
            return Err(Code::NotConnected);
        }
        Ok(handle.watched_nc()?.as_ptr())
    })
}

/// Adds a handler. It gets MG_EV_POLL and MG_EV_TIMER; MG_EV_MQTT_CONNACK when the connection is up; messages
/// that no subscription matched; PUBACK, PUBREC, PUBREL, PUBCOMP; SUBACK that no subscription handler took;
/// UNSUBACK; MG_EV_MQTT_DISCONNECT and MG_EV_CLOSE when a connection that was up is closed.
///
/// Handlers are called newest first and stay until mgos_mqtt_conn_remove_handler(). MG_EV_POLL comes whenever the
/// connection had something to do (for the global connection: in each iteration of the loop), and once a second:
/// an idle connection with such a handler wakes up for that (`poll_tick_ms` of the options).
///
/// # Safety
/// `handler` can be called with `user_data` until it is removed or the connection has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_add_handler(
    c: *mut mgos_mqtt_conn,
    handler: mg_event_handler_t,
    user_data: *mut c_void,
) {
    // SAFETY: promised by the caller.
    unsafe { mgos_mqtt_conn_add_handler_ex(c, handler, user_data, None) };
}

/// As mgos_mqtt_conn_add_handler(), with a function that takes the user data back after the last call; NULL for
/// none. Returns 0; on an error the user data stays yours.
///
/// # Safety
/// As mgos_mqtt_conn_add_handler().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_add_handler_ex(
    c: *mut mgos_mqtt_conn,
    handler: mg_event_handler_t,
    user_data: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    status(|| {
        let owner = Handle::of(c)?;
        let conn = owner.conn()?;
        let (identity, callback) = event_handler(&owner, handler, UserData::new(user_data, ud_free))?;
        conn.add_handler(identity, CONNECTION_KINDS, callback)
    })
}

/// Removes the newest handler that was added with this function and user data. It is not called any more when
/// this returns, unless it is running on another thread right now; the user data is taken back after its last
/// call. Returns 0, or MGOS_MQTT_NOT_FOUND.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_remove_handler(
    c: *mut mgos_mqtt_conn,
    handler: mg_event_handler_t,
    user_data: *mut c_void,
) -> c_int {
    status(|| {
        let owner = Handle::of(c)?;
        let function = handler.ok_or(Code::NullArgument)?;
        let removed = owner.conn()?.remove_handler(identity(function as *const (), user_data));
        if removed { Ok(()) } else { Err(Code::NotFound) }
    })
}

/// Sets the connect hook: one slot, the last one set wins; NULL takes it away.
///
/// # Safety
/// `fn` can be called with `fn_arg` until it is replaced or the connection has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_connect_fn(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_connect_fn_t,
    fn_arg: *mut c_void,
) {
    status(|| {
        let handle = Handle::of(c)?;
        let hook = match r#fn {
            None => None,
            function => {
                let (own, data) = (OwnNc::of(&handle)?, UserData::new(fn_arg, None));
                Some(Arc::new(MgosHook { own, function, data }) as Arc<dyn ConnectHook<Conn>>)
            }
        };
        handle.conn()?.set_hook(hook)
    });
}

/// Brings the connection up and keeps it up: an attempt begins in the loop's next iteration, even if the connection
/// was waiting for a later one. If it is closing, it is opened again as soon as that is done; if it is up or being
/// opened, nothing happens.
///
/// Called in a handler that is told of a closed connection or a failed attempt, it begins the next attempt at once if
/// the connection had been up for `stable_after_ms` of the options (and for at least the shortest wait), or if the
/// application closed it; otherwise after the wait that the schedule has reached, whatever `retry` of the options says.
/// So a handler may always call this: a server that closes at once is still not contacted without a pause.
///
/// False if there is nothing to try: no server or a configuration that is not enabled
/// (MGOS_MQTT_DISABLED), a bad address (MGOS_MQTT_BAD_ADDRESS), or `require_time` and a clock that is
/// not set (MGOS_MQTT_TIME_NOT_SET; it tries again by itself). True means only that the attempt begins;
/// how it ends is told by MGOS_MQTT_EV_CONNECT_RESULT.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_connect(c: *mut mgos_mqtt_conn) -> bool {
    value(false, || {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        say_why_disabled(conn, conn.connect()).map(|()| true)
    })
}

/// Closes the connection, if there is one, and stops trying until mgos_mqtt_conn_connect(). What was published
/// before is written first, then DISCONNECT, so that the server does not publish the will (MQTT 3.1.1, section
/// 3.14). The connection counts as up until it is closed; then handlers get MG_EV_CLOSE. It is closed when the
/// server has received everything and has closed its side, for which it gets one second; `close_timeout_ms` of the
/// options limits how long that may take on a slow link. If the server did not get everything, the error is
/// MGOS_MQTT_UNDELIVERED. Messages and subscriptions are kept for the next connection.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_disconnect(c: *mut mgos_mqtt_conn) {
    status(|| Handle::of(c)?.conn()?.disconnect());
}

/// As mgos_mqtt_conn_disconnect(), but at once and without DISCONNECT: the server publishes the will. This also holds
/// for a connection that is already being closed in order, unless its DISCONNECT has been written; no later call takes
/// it back.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_abort(c: *mut mgos_mqtt_conn) {
    status(|| Handle::of(c)?.conn()?.abort());
}

/// Closes the connection as mgos_mqtt_conn_disconnect() does and opens it again. Without a server to try nothing
/// happens, and mgos_mqtt_last_error() says why, as after mgos_mqtt_conn_connect().
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_reconnect(c: *mut mgos_mqtt_conn) {
    status(|| {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        say_why_disabled(conn, conn.reconnect())
    });
}

/// Whether the connection is up: from CONNACK until it is closed. Takes no lock.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_is_connected(c: *mut mgos_mqtt_conn) -> bool {
    value(false, || Ok(Handle::of(c)?.conn()?.is_connected()))
}

/// Publishes `msg` to `topic`. Topic and payload are copied; a payload of `{NULL, 0}` is an empty one.
///
/// `qos` is 0, 1 or 2; other values are refused. It is lowered to the connection's maximum, see
/// mgos_mqtt_conn_set_max_qos(). QoS 1 and 2 are queued while there is no connection or the in-flight window is full,
/// and sent again after a reconnect until they are acknowledged; QoS 0 is sent once.
///
/// Returns the packet id (never 0), which stays in use until PUBACK or PUBCOMP arrives with it; 0 if the
/// message was not accepted: MGOS_MQTT_NOT_CONNECTED (QoS 0, or no queue), MGOS_MQTT_QUEUE_FULL,
/// MGOS_MQTT_TOO_LARGE, MGOS_MQTT_BAD_TOPIC, MGOS_MQTT_BAD_UTF8, MGOS_MQTT_BAD_QOS, MGOS_MQTT_NO_MORE_MSGIDS,
/// MGOS_MQTT_NO_MEMORY.
///
/// # Safety
/// `topic` is NULL or a C string, `msg` has `msg.len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_pub(
    c: *mut mgos_mqtt_conn,
    topic: *const c_char,
    msg: mg_str,
    qos: c_int,
    retain: bool,
) -> u16 {
    value(0, || {
        let handle = Handle::find(c)?;
        // SAFETY: promised by the caller.
        let payload = unsafe { boundary::bytes(msg.p.cast(), msg.len) }?;
        // SAFETY: promised by the caller.
        unsafe { publish_here(&handle, topic, payload, qos, retain) }
    })
}

/// The C compiler's own type; the header has it from <stdarg.h>.
#[cfg(cbindgen)]
pub struct va_list;

#[cfg(cbindgen)]
unsafe extern "C" {
    /// Publishes JSON built from a format string; see json_printf() in mgos_json.h for the format.
    /// Otherwise as mgos_mqtt_conn_pub(); also returns 0 if the format is empty or has an unsupported
    /// conversion (MGOS_MQTT_BAD_FORMAT).
    pub fn mgos_mqtt_conn_pubf(
        c: *mut mgos_mqtt_conn,
        topic: *const c_char,
        qos: c_int,
        retain: bool,
        json_fmt: *const c_char,
        ...
    ) -> u16;

    /// mgos_mqtt_conn_pubf() with its arguments in a list. The caller's `ap` is not advanced.
    pub fn mgos_mqtt_conn_pubv(
        c: *mut mgos_mqtt_conn,
        topic: *const c_char,
        qos: c_int,
        retain: bool,
        json_fmt: *const c_char,
        ap: va_list,
    ) -> u16;
}

/// Subscribes: now if the connection is up, and again after every CONNACK until mgos_mqtt_conn_unsub(). The handler
/// gets MG_EV_MQTT_PUBLISH for messages that match, MG_EV_MQTT_SUBACK (the result is the first byte of `payload`:
/// the granted QoS, or 0x80 and above for a refusal), MG_EV_MQTT_PUBACK and MG_EV_MQTT_PUBCOMP for this
/// connection's own messages whose topic matches, and MG_EV_CLOSE.
///
/// A message goes to every handler whose filter matches, newest first, and is acknowledged after the last one has
/// returned. Subscribing twice with the same topic, handler and user data makes one subscription. With NULL for
/// `handler` the messages go to the connection's handlers. `qos` is as for mgos_mqtt_conn_pub(). Errors are in
/// mgos_mqtt_last_error(): MGOS_MQTT_BAD_FILTER, MGOS_MQTT_BAD_QOS, ...
///
/// # Safety
/// `topic` is NULL or a C string; `handler` can be called with `user_data` until the subscription ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_sub(
    c: *mut mgos_mqtt_conn,
    topic: *const c_char,
    qos: c_int,
    handler: mg_event_handler_t,
    user_data: *mut c_void,
) {
    // SAFETY: promised by the caller.
    unsafe { mgos_mqtt_conn_sub_ex(c, topic, qos, handler, user_data, None) };
}

/// As mgos_mqtt_conn_sub(), with a function that takes the user data back after the last call; NULL for none.
/// Returns 0; on an error the user data stays yours.
///
/// # Safety
/// As mgos_mqtt_conn_sub().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_sub_ex(
    c: *mut mgos_mqtt_conn,
    topic: *const c_char,
    qos: c_int,
    handler: mg_event_handler_t,
    user_data: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    status(|| {
        let owner = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filter = unsafe { text(topic) }?;
        subscribe(&owner, filter, qos, handler, UserData::new(user_data, ud_free))
    })
}

/// mgos_mqtt_conn_sub() with the topic as pointer and length.
///
/// # Safety
/// As mgos_mqtt_conn_sub().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_sub_s(
    c: *mut mgos_mqtt_conn,
    topic: mg_str,
    qos: c_int,
    h: mg_event_handler_t,
    ud: *mut c_void,
) {
    status(|| {
        let owner = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filter = unsafe { boundary::bytes(topic.p.cast(), topic.len) }?;
        let filter = core::str::from_utf8(filter).map_err(|_| Code::BadUtf8)?;
        subscribe(&owner, filter, qos, h, UserData::new(ud, None))
    });
}

/// Ends the newest subscription to exactly this filter; works without a connection, too. The server is told
/// when it was the filter's last one. The user data is not freed, unless it was given with a function for
/// that. Returns whether there was such a subscription.
///
/// The server may still hold a filter from an earlier process, which nobody has subscribed to since the connection was
/// made: if it kept the session, or may have kept it (no connection, and `clean_session` 0), it is told, and true is
/// returned.
///
/// # Safety
/// `topic` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_unsub(c: *mut mgos_mqtt_conn, topic: *const c_char) -> bool {
    value(false, || {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        unsafe { unsubscribe(&handle, topic) }
    })
}

/// Payload bytes of QoS 1 and 2 messages that are not acknowledged, plus all bytes that wait to be written.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_num_unsent_bytes(c: *mut mgos_mqtt_conn) -> usize {
    value(0, || Ok(Handle::of(c)?.conn()?.unsent_bytes()))
}

/// The next packet id, for the raw calls of mgos_mongoose.h. Each call counts on, from 1 to 65535 and then
/// from 1 again, and skips ids in use. The id is not reserved: use it before another is taken. 0 on an
/// error.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_get_packet_id(c: *mut mgos_mqtt_conn) -> u16 {
    value(0, || Handle::of(c)?.conn()?.next_packet_id())
}

/// Sets the highest QoS of later publishes and subscriptions: 0, 1 or 2; a higher one is lowered to
/// it. Negative: what the configuration says.
///
/// # Safety
/// See mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_max_qos(c: *mut mgos_mqtt_conn, qos: c_int) {
    status(|| {
        let handle = Handle::of(c)?;
        if qos > 2 {
            return Err(Code::BadQos);
        }
        handle.conn()?.set_max_qos((qos >= 0).then_some(qos))
    });
}

/// Replaces the configuration of the main server. A connection that is up or being opened is closed in order
/// (handlers get MG_EV_CLOSE) and opened again with the new one; one that is down or being closed stays down. With
/// `enable` off it is closed and does not come back. Subscriptions, handlers and queued messages are kept. When the
/// global connection is opened: see mgos_mqtt_set_config().
///
/// The configuration is copied as by mgos_mqtt_conn_create(). False if it is not valid; then nothing changed.
///
/// # Safety
/// `cfg` is NULL or valid; its strings are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_config(
    c: *mut mgos_mqtt_conn,
    cfg: *const mgos_config_mqtt,
) -> bool {
    value(false, || {
        let handle = Handle::of(c)?;
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and promised by the caller.
        if is_all_zero(unsafe { &*cfg }) {
            handle.conn()?.warn(ALL_ZERO);
        }
        // SAFETY: as above.
        let profile = unsafe { profile_source(cfg) }?;
        handle.conn()?.set_profile(profile).map(|()| true).map_err(config_code)
    })
}
