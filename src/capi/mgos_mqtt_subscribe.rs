//! Subscribing and unsubscribing with an answer: calls that take any number of filters, go to the server in as few
//! packets as possible, and report once how they ended, with the server's code for each filter. Any number of
//! calls may be pending at a time. Each has a form that waits.
//!
//! They may be made at any time, also without a connection: the filters are then sent when there is one. A
//! subscription lasts until it is taken back, and is made again after every CONNACK.
//!
//! WHEN A CALL ENDS. A call ends when the server has answered for the last of its filters. A lost connection does not
//! end it: the filters are sent again on the next one, and the call ends with that answer. A refusal is an answer:
//! mgos_mqtt_event_error() is MGOS_MQTT_OK and the filter's code is 0x80. It also ends
//!
//! - with MGOS_MQTT_CANCELLED, if a later call takes one of its filters back (or, for a call that unsubscribes,
//!   subscribes to it again) before the filter was sent, or after its answer was lost with the connection;
//! - with MGOS_MQTT_ACK_TIMEOUT, if the server takes longer than `ack_timeout_ms` of the options;
//! - with MGOS_MQTT_INCOMPLETE, if the connection is freed.
//!
//! Filters without an answer then have the code -1.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{status, timeout, value};
use crate::capi::bridge::callbacks::{UserData, completion};
use crate::capi::bridge::connecting::say_what_is_missing;
use crate::capi::bridge::events::{SUBSCRIPTION_KINDS, read, subscribe_to};
use crate::capi::bridge::filters::{
    code, names, no_codes, results, subscriber, subscription, subscription_of, wanted,
};
use crate::capi::bridge::handle::Handle;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_event::{mgos_mqtt_event, mgos_mqtt_event_fn_t};
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_ud_free_fn_t;
use crate::capi::types::mgos_mqtt_subscribe::{mgos_mqtt_filter, mgos_mqtt_subscription};
use crate::client::Event;
use crate::error::Code;

/// As mgos_mqtt_conn_subscribe(), with everything that MQTT 5.0 has for a subscription: options, an identifier and user
/// properties.
///
///     struct mgos_mqtt_subscription wanted = mgos_mqtt_subscription_init();
///     wanted.filter = "plant/#";
///     wanted.qos = 1 | MGOS_MQTT_SUBSCRIBE_NO_LOCAL;
///     wanted.identifier = 7;
///     mgos_mqtt_conn_subscribe_with(c, &wanted, on_message, NULL, NULL);
///
/// The handler of a message reads the identifiers of all subscriptions that matched with mgos_mqtt_event_property().
/// Everything is copied, and sent again whenever the filter is. Returns 0; on an error `ud` stays yours:
/// MGOS_MQTT_NEEDS_V5 (an identifier or properties, and the connection speaks an older version), MGOS_MQTT_BAD_QOS (which
/// options are on such a connection, too), MGOS_MQTT_BAD_FILTER, MGOS_MQTT_BAD_PROPERTY, MGOS_MQTT_BAD_STRUCTURE.
///
/// # Safety
/// `c` is NULL or a living connection; `wanted` is NULL or valid, with `size` bytes; the functions can be called with `ud`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_subscribe_with(
    c: *mut mgos_mqtt_conn,
    wanted: *const mgos_mqtt_subscription,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let (filter, request) = unsafe { subscription(handle.conn()?, wanted) }?;
        subscribe_to(&handle, filter, request, SUBSCRIPTION_KINDS, r#fn, (ud, ud_free))
    })
}

/// Subscribes to `n` filters. The server's answers to this call come together, to `done`.
///
/// `fn` gets the messages of all of them, and SUBACK, CLOSE, PUBACK and PUBCOMP, as with mgos_mqtt_conn_subscribe();
/// `ud_free`, if not NULL, takes `ud` back once, after the last of the filters was taken back. With NULL for `fn`
/// the messages go to the connection's handlers and to the function of mgos_mqtt_conn_on_message(). Subscribing
/// twice with the same filter, function and argument makes one subscription.
///
/// `done`, which may be NULL, is called exactly once, with MGOS_MQTT_EV_SUBSCRIBED, on the thread that drives the
/// loop, when the call ends (see above). Its event has mgos_mqtt_event_error(), mgos_mqtt_event_num_filters(),
/// mgos_mqtt_event_filter() and mgos_mqtt_event_filter_code(). Messages that come after the answer are handled
/// after it.
///
/// The filters are copied. Returns 0; on an error nothing was subscribed, `ud` stays yours and `done` is not called:
/// MGOS_MQTT_BAD_ARGUMENT (no filter), MGOS_MQTT_BAD_FILTER, MGOS_MQTT_BAD_QOS, MGOS_MQTT_BAD_UTF8.
///
/// # Safety
/// `c` is NULL or a living connection, `filters` has `n` entries with C strings; the functions can be called with
/// their arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_subscribe_all(
    c: *mut mgos_mqtt_conn,
    filters: *const mgos_mqtt_filter,
    n: usize,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
    done: mgos_mqtt_event_fn_t,
    done_ud: *mut c_void,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filters = unsafe { wanted(filters, n) }?;
        let conn = handle.conn()?;
        let subscriber = subscriber(&handle, r#fn, UserData::new(ud, ud_free))?;
        let done = done.map(|done| completion(&handle, done, done_ud));
        conn.subscribe_all(&filters, subscriber, done)
    })
}

/// As mgos_mqtt_conn_subscribe_all(), and waits for the server's answers, at most `timeout_ms` milliseconds (negative:
/// without limit). `codes`, if not NULL, gets a code for each of the `n` filters: the granted QoS, 0x80 and above for
/// a refusal, -1 without an answer.
///
/// Returns 0 if every filter was answered, refused ones too. MGOS_MQTT_TIMED_OUT: the subscriptions stay, and are made
/// as soon as that is possible; unsubscribe if that is not wanted. MGOS_MQTT_CANCELLED and MGOS_MQTT_INCOMPLETE: see
/// above. MGOS_MQTT_BUSY inside a callback, and the errors of mgos_mqtt_conn_subscribe_all(): nothing was subscribed,
/// and `ud` stays yours.
///
/// Any number of threads may wait at a time, however the loop is driven: in poll mode a waiting thread drives it if
/// nobody else does; a loop with a thread of its own goes on by itself; with a foreign loop another thread must go on
/// calling mgos_mqtt_loop_process(), unless the thread that normally does so waits here: then that drives the loop
/// meanwhile.
///
/// # Safety
/// As mgos_mqtt_conn_subscribe_all(); `codes` is NULL or has `n` entries.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_subscribe_wait(
    c: *mut mgos_mqtt_conn,
    filters: *const mgos_mqtt_filter,
    n: usize,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
    codes: *mut c_int,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        // SAFETY: promised by the caller.
        unsafe { no_codes(codes, n) };
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filters = unsafe { wanted(filters, n) }?;
        let conn = handle.conn()?;
        let subscriber = subscriber(&handle, r#fn, UserData::new(ud, ud_free))?;
        let results = conn.subscribe_wait(&filters, subscriber, timeout(timeout_ms));
        let results =
            say_what_is_missing(conn, timeout_ms, "the server has not answered for the filters", results)?;
        for (i, result) in results.filters.iter().enumerate().filter(|_| !codes.is_null()) {
            // SAFETY: there are `n` results, and the caller has `n` entries.
            unsafe { codes.add(i).write(code(result)) };
        }
        if results.error == Code::Ok { Ok(()) } else { Err(results.error) }
    })
}

/// Takes back the subscriptions to `n` filters that were made with `fn` and `ud`, both NULL for those without a
/// function. The server is told of the filters that nobody else subscribes to. A filter that nobody has subscribed to
/// since the connection was made may be given as well, if the server may hold it from an earlier process: in a session
/// that it kept or, while there is no connection, may have kept (`clean_session` 0).
///
/// `done`, which may be NULL, is called exactly once, with MGOS_MQTT_EV_UNSUBSCRIBED, like that of
/// mgos_mqtt_conn_subscribe_all(): when the server has acknowledged the last of them (the code of a filter is then 0),
/// or no longer has a session in which they could be.
///
/// `fn` is not called any more when this returns, unless it is running on another thread right now. Returns 0; on an
/// error nothing was taken back and `done` is not called: MGOS_MQTT_NOT_FOUND if one of them is not there, and the
/// errors of mgos_mqtt_conn_subscribe_all().
///
/// # Safety
/// `c` is NULL or a living connection, `filters` has `n` C strings; `done` can be called with `done_ud`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_unsubscribe_all(
    c: *mut mgos_mqtt_conn,
    filters: *const *const c_char,
    n: usize,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    done: mgos_mqtt_event_fn_t,
    done_ud: *mut c_void,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filters = unsafe { names(filters, n) }?;
        let done = done.map(|done| completion(&handle, done, done_ud));
        handle.conn()?.unsubscribe_all(&filters, subscription_of(r#fn, ud), done)
    })
}

/// As mgos_mqtt_conn_unsubscribe_all(), and waits for the server's answers, at most `timeout_ms` milliseconds (negative:
/// without limit). Returns and waits as mgos_mqtt_conn_subscribe_wait() does; after MGOS_MQTT_TIMED_OUT the subscriptions
/// are gone all the same, and the server is told as soon as that is possible.
///
/// # Safety
/// As mgos_mqtt_conn_unsubscribe_all().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_unsubscribe_wait(
    c: *mut mgos_mqtt_conn,
    filters: *const *const c_char,
    n: usize,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    timeout_ms: c_int,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filters = unsafe { names(filters, n) }?;
        let wanted = timeout(timeout_ms);
        let conn = handle.conn()?;
        let results = conn.unsubscribe_wait(&filters, subscription_of(r#fn, ud), wanted);
        let results =
            say_what_is_missing(conn, timeout_ms, "the server has not answered for the filters", results)?;
        if results.error == Code::Ok { Ok(()) } else { Err(results.error) }
    })
}

/// How many filters wait for the server's answer, or for a connection on which they can be sent. 0 means that the
/// server has answered for every subscription since the connection came up.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_pending_subscriptions(c: *mut mgos_mqtt_conn) -> usize {
    value(0, || Ok(Handle::of(c)?.conn()?.pending_subscriptions()))
}

/// How many filters the call that has ended had; 0 for other events and NULL.
///
/// # Safety
/// `ev` is NULL or the event of a handler that has not returned, as for all functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_num_filters(ev: *const mgos_mqtt_event) -> usize {
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, |event| results(event).map(|results| results.filters.len())) }
}

/// Filter number `i` of the call, from 0, in its order. Not NUL-terminated: its length goes to `*len`, if `len` is not
/// NULL. NULL and 0 without one.
///
/// # Safety
/// See mgos_mqtt_event_num_filters(); `len` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_filter(
    ev: *const mgos_mqtt_event,
    i: usize,
    len: *mut usize,
) -> *const c_char {
    let get = |event: &Event<'_>| results(event)?.filters.get(i).map(|r| (r.filter.as_ptr(), r.filter.len()));
    // SAFETY: promised by the caller.
    let (start, n) = unsafe { read(ev, (core::ptr::null(), 0), get) };
    // SAFETY: NULL or valid, as the caller promises.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = n;
    }
    start.cast()
}

/// The server's code for filter number `i` of the call as it sent it: the granted QoS, or 0x80 and above for a refusal
/// (MQTT 3.1.1, section 3.9.3). When unsubscribing, 0, and with MQTT 5.0 the reason code of UNSUBACK (section 3.11.3):
/// also 17, there was no such subscription, or 0x80 and above for a refusal. -1 without an answer, and without such a
/// filter.
///
/// # Safety
/// See mgos_mqtt_event_num_filters().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_filter_code(ev: *const mgos_mqtt_event, i: usize) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { read(ev, -1, |event| results(event)?.filters.get(i).map(code)) }
}
