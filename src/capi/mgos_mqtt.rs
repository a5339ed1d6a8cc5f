//! The global MQTT connection, as in Mongoose OS: publish, subscribe, and never think about the connection.
//!
//! The global connection uses the system configuration (mgos_sys_config.h, sections `mqtt` and `mqtt1`). It is made
//! on first use, on the default loop. If `mqtt.enable` is set, it connects by itself in the loop's first iteration,
//! or as soon as a server is set and enabled later; it reconnects after every loss, and uses the server of `mqtt1`
//! as its backup. Handlers and subscriptions may be registered before there is a configuration. Set `mqtt.enable`
//! last: from then on the next iteration may use the configuration.
//!
//! Something has to drive the loop: call mongoose_poll(ms) or mgos_mqtt_loop_poll(NULL, ms) again and again, or
//! mgos_mqtt_loop_start(NULL) once. To use the library's other functions with this connection, pass them its
//! handle: mgos_mqtt_global().
//!
//! Everything that mgos_mqtt_conn.h says about ownership, threads and errors holds here, too.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{self, config_code, status, text, value};
use crate::capi::bridge::callbacks::{
    CONNECTION_KINDS, SUBSCRIPTION_KINDS, UserData, event_handler, message_handler, subscriber,
};
use crate::capi::bridge::connection::{publish, unsubscribe, wait_until_gone};
use crate::capi::bridge::defaults::{end_global, global, with_global};
use crate::capi::bridge::profiles::source as profile_source;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_mongoose::{mg_connection, mg_event_handler_t};
use crate::capi::types::mgos_mqtt::sub_handler_t;
use crate::capi::types::mgos_mqtt_conn::{mgos_mqtt_conn, mgos_mqtt_connect_fn_t};
use crate::client::{Kind, Subscriber};
use crate::error::Code;
use crate::wire::QoS;

/// Makes the global connection. Not needed: every function here does it. May be called any number of times.
/// False without memory or file descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_init() -> bool {
    value(false, || global().map(|_| true))
}

/// Ends the global connection and everything that was registered on it, as mgos_mqtt_conn_free_wait() does, and
/// waits at most `timeout_ms` milliseconds for that (negative: without limit). For programs that want all memory
/// back at their end. The next use of the global connection makes a new one, even if that use comes from a
/// user-data destructor or a `done` that runs during this call.
///
/// Returns 0, MGOS_MQTT_TIMED_OUT, or MGOS_MQTT_BUSY inside a callback (the connection ends all the same). No
/// other call on the global connection may run at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_deinit(timeout_ms: c_int) -> c_int {
    status(|| match end_global() {
        Some(conn) => wait_until_gone(&conn, timeout_ms),
        None => Ok(()),
    })
}

/// The handle of the global connection, for every function that takes one. NULL without memory or file
/// descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_global() -> *mut mgos_mqtt_conn {
    value(core::ptr::null_mut(), || Ok(global()?.as_ptr()))
}

/// Subscribes to a topic with QoS 1 (MGOS_MQTT_SUBSCRIBE_QOS), as mgos_mqtt_conn_sub() does: the handler gets
/// MG_EV_MQTT_PUBLISH, MG_EV_MQTT_SUBACK, MG_EV_MQTT_PUBACK and MG_EV_MQTT_PUBCOMP for this connection's own messages
/// whose topic matches, and MG_EV_CLOSE.
///
/// # Safety
/// `topic` is NULL or a C string; `handler` can be called with `ud` until the subscription ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_global_subscribe(
    topic: mg_str,
    handler: mg_event_handler_t,
    ud: *mut c_void,
) {
    status(|| {
        let owner = global()?;
        // SAFETY: promised by the caller.
        let filter = unsafe { boundary::bytes(topic.p.cast(), topic.len) }?;
        let filter = core::str::from_utf8(filter).map_err(|_| Code::BadUtf8)?;
        let Subscriber { identity, kinds, callback } =
            subscriber(handler, SUBSCRIPTION_KINDS, UserData::new(ud, None), |f, data| {
                event_handler(&owner, f, data)
            })?;
        owner.conn()?.subscribe(filter, QoS::AtLeastOnce, identity, kinds, callback)
    });
}

/// Adds a handler, as mgos_mqtt_conn_add_handler() does.
///
/// # Safety
/// `handler` can be called with `ud` from now on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_add_global_handler(handler: mg_event_handler_t, ud: *mut c_void) {
    status(|| {
        let owner = global()?;
        let (identity, callback) = event_handler(&owner, handler, UserData::new(ud, None))?;
        owner.conn()?.add_handler(identity, CONNECTION_KINDS, callback)
    });
}

/// Sets the connect hook, as mgos_mqtt_conn_set_connect_fn() does.
///
/// # Safety
/// `cb` can be called with `fn_arg` until it is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_set_connect_fn(cb: mgos_mqtt_connect_fn_t, fn_arg: *mut c_void) {
    let global = mgos_mqtt_global();
    // SAFETY: the global connection or NULL; the rest is promised by the caller.
    unsafe { super::mgos_mqtt_conn::mgos_mqtt_conn_set_connect_fn(global, cb, fn_arg) };
}

/// The `nc` of the global connection while it is up; NULL otherwise. As mgos_mqtt_conn_nc().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_get_global_conn() -> *mut mg_connection {
    // SAFETY: a living connection.
    with_global(core::ptr::null_mut(), |c| unsafe { super::mgos_mqtt_conn::mgos_mqtt_conn_nc(c) })
}

/// Brings the connection up, now and after every loss; as mgos_mqtt_conn_connect().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_global_connect() -> bool {
    // SAFETY: a living connection.
    with_global(false, |c| unsafe { super::mgos_mqtt_conn::mgos_mqtt_conn_connect(c) })
}

/// Closes the connection and stops trying until mgos_mqtt_global_connect(); as mgos_mqtt_conn_disconnect().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_global_disconnect() {
    // SAFETY: a living connection.
    with_global((), |c| unsafe { super::mgos_mqtt_conn::mgos_mqtt_conn_disconnect(c) });
}

/// Whether the global connection is up.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_global_is_connected() -> bool {
    // SAFETY: a living connection.
    with_global(false, |c| unsafe { super::mgos_mqtt_conn::mgos_mqtt_conn_is_connected(c) })
}

/// Publishes `len` bytes at `message` to `topic`; as mgos_mqtt_conn_pub(). NULL with 0 is an empty payload.
///
/// Returns the packet id (never 0), or 0 if the message was not accepted.
///
/// # Safety
/// `topic` is NULL or a C string, `message` has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_pub(
    topic: *const c_char,
    message: *const c_void,
    len: usize,
    qos: c_int,
    retain: bool,
) -> u16 {
    value(0, || {
        // SAFETY: promised by the caller.
        let payload = unsafe { boundary::bytes(message.cast(), len) }?;
        let handle = global()?;
        // SAFETY: promised by the caller.
        unsafe { publish(&handle, topic, payload, qos, retain) }
    })
}

/// The C compiler's own type; the header has it from <stdarg.h>.
#[cfg(cbindgen)]
pub struct va_list;

#[cfg(cbindgen)]
unsafe extern "C" {
    /// Publishes JSON built from a format string; as mgos_mqtt_conn_pubf():
    ///
    ///     mgos_mqtt_pubf("sensor/1", 1, false, "{t: %.1f, unit: %Q, ok: %B}", 21.5, "C", 1);
    ///     // {"t": 21.5, "unit": "C", "ok": true}
    pub fn mgos_mqtt_pubf(
        topic: *const c_char,
        qos: c_int,
        retain: bool,
        json_fmt: *const c_char,
        ...
    ) -> u16;

    /// mgos_mqtt_pubf() with its arguments in a list. The caller's `ap` is not advanced.
    pub fn mgos_mqtt_pubv(
        topic: *const c_char,
        qos: c_int,
        retain: bool,
        json_fmt: *const c_char,
        ap: va_list,
    ) -> u16;
}

/// Subscribes to a topic with QoS 1 (MGOS_MQTT_SUBSCRIBE_QOS). `handler` gets every message that matches, and nothing
/// else; a message is acknowledged after it has returned. The subscription lasts until mgos_mqtt_unsub(), over all
/// reconnects, and may be made before there is a connection. With NULL for `handler` the messages go to the
/// connection's handlers (mgos_mqtt_add_global_handler()). Errors are in mgos_mqtt_last_error(). A server that never
/// answers is named in the log if `ack_timeout_ms` of the options has a limit; mgos_mqtt_conn_subscribe_all() tells
/// the program.
///
/// # Safety
/// `topic` is NULL or a C string; `handler` can be called with `ud` until the subscription ends.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_sub(topic: *const c_char, handler: sub_handler_t, ud: *mut c_void) {
    status(|| {
        let owner = global()?;
        // SAFETY: promised by the caller.
        let filter = unsafe { text(topic) }?;
        let Subscriber { identity, kinds, callback } =
            subscriber(handler, Kind::Message.bit(), UserData::new(ud, None), |f, data| {
                message_handler(&owner, f, data)
            })?;
        owner.conn()?.subscribe(filter, QoS::AtLeastOnce, identity, kinds, callback)
    });
}

/// Ends the newest subscription to exactly this topic; as mgos_mqtt_conn_unsub().
///
/// # Safety
/// `topic` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_unsub(topic: *const c_char) -> bool {
    value(false, || {
        let handle = global()?;
        // SAFETY: promised by the caller.
        unsafe { unsubscribe(&handle, topic) }
    })
}

/// Payload bytes of QoS 1 and 2 messages that are not acknowledged, plus all bytes that wait to be written.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_num_unsent_bytes() -> usize {
    value(0, || Ok(global()?.conn()?.unsent_bytes()))
}

/// The next packet id; as mgos_mqtt_conn_get_packet_id().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_get_packet_id() -> u16 {
    value(0, || global()?.conn()?.next_packet_id())
}

/// The highest QoS of later publishes and subscriptions; as mgos_mqtt_conn_set_max_qos().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_set_max_qos(qos: c_int) {
    // SAFETY: a living connection.
    with_global((), |c| unsafe { super::mgos_mqtt_conn::mgos_mqtt_conn_set_max_qos(c, qos) });
}

/// Replaces the configuration of the main server; as mgos_mqtt_conn_set_config(). A connection that is down is
/// opened, unless mgos_mqtt_global_disconnect() closed it (and mgos_mqtt_global_connect() did not ask for it since)
/// or the configuration is not enabled.
///
/// # Safety
/// `cfg` is NULL or valid; its strings are NULL or C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_set_config(cfg: *const mgos_config_mqtt) -> bool {
    value(false, || {
        let handle = global()?;
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and promised by the caller.
        handle.conn()?.set_profile(unsafe { profile_source(cfg) }?).map_err(config_code)?;
        Ok(true)
    })
}
