//! Publishing with an answer: did it arrive?
//!
//! Every message that is accepted ends in exactly one outcome (MGOS_MQTT_OUTCOME_*). There are three ways to
//! learn it, also for the same message:
//!
//! - by a callback: `done` of the message, or a handler of MGOS_MQTT_EV_OUTCOME for all messages of a
//!   connection;
//! - by waiting for it: mgos_mqtt_conn_publish_wait(), mgos_mqtt_conn_wait();
//! - by asking for it: mgos_mqtt_conn_outcome().
//!
//! A message is identified by its token, a number that no other message of the connection ever has.
//! Messages of mgos_mqtt_pub() and similar calls have one, too: mgos_mqtt_conn_token() finds it by the
//! packet id.
//!
//! BLOCKING CALLS drive the loop themselves if nobody else does, so callbacks may run on the calling thread; while
//! another thread drives it, they sleep. They may be called from any thread, but not inside a callback: there they
//! do nothing and return MGOS_MQTT_BUSY at once.

use core::cell::Cell;
use core::ffi::{c_char, c_int};

use crate::capi::base::boundary::{status, timeout, value};
use crate::capi::base::field::refuse;
use crate::capi::bridge::connecting::say_what_is_missing;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties::Array;
use crate::capi::bridge::publication::{cell, outcome, read};
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_publish::{
    MGOS_MQTT_CANCEL, MGOS_MQTT_KEEP, MGOS_MQTT_OUTCOME_ACKED, MGOS_MQTT_OUTCOME_CANCELLED,
    MGOS_MQTT_OUTCOME_DROPPED, MGOS_MQTT_OUTCOME_EXPIRED, MGOS_MQTT_OUTCOME_LOST, MGOS_MQTT_OUTCOME_PENDING,
    MGOS_MQTT_OUTCOME_REJECTED, MGOS_MQTT_OUTCOME_SENT, MGOS_MQTT_OUTCOME_TIMED_OUT, mgos_mqtt_publication,
};
use crate::client::OnTimeout;
use crate::error::Code;

/// Publishes. Returns 0 if the message is accepted: it is sent now, or as soon as the connection and the in-flight
/// window allow. Its token is stored in `*token`, if that is not NULL, before `done` can be called. On an error nothing
/// is accepted, `*token` is 0 and `done` is not called.
///
/// QoS 1 and 2 are also accepted without a connection, as long as there is room in the queue. A message gets its
/// packet id when it is sent, so more than 65,535 may wait.
///
/// Errors: MGOS_MQTT_NOT_CONNECTED (QoS 0, or no queue), MGOS_MQTT_QUEUE_FULL, MGOS_MQTT_TOO_LARGE,
/// MGOS_MQTT_BAD_TOPIC, MGOS_MQTT_BAD_UTF8, MGOS_MQTT_BAD_QOS, MGOS_MQTT_BAD_STRUCTURE, MGOS_MQTT_NO_MEMORY; for properties
/// MGOS_MQTT_BAD_PROPERTY, and MGOS_MQTT_NEEDS_V5 if the connection does not speak MQTT 5.0.
///
/// # Safety
/// `c` is NULL or a living connection; `message` is NULL or valid, with `size` bytes; `token` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_publish(
    c: *mut mgos_mqtt_conn,
    message: *const mgos_mqtt_publication,
    token: *mut u64,
) -> c_int {
    status(|| {
        let nobody = Cell::new(0);
        // SAFETY: promised by the caller.
        let token = unsafe { cell(token) }.unwrap_or(&nobody);
        token.set(0);
        let handle = Handle::of(c)?;
        let mut properties = Array::EMPTY;
        // SAFETY: promised by the caller.
        let (message, listener) = unsafe { read(&handle, message, &mut properties) }?;
        handle.conn()?.publish_with(message, listener, token)
    })
}

/// Publishes and waits for the outcome, at most `timeout_ms` milliseconds (negative: without limit; 0: does not
/// wait). `on_timeout` is MGOS_MQTT_KEEP or MGOS_MQTT_CANCEL.
///
/// Returns the outcome, which is positive, or an error: those of mgos_mqtt_conn_publish() (nothing was accepted, and
/// `*token` is 0), MGOS_MQTT_TIMED_OUT, MGOS_MQTT_BUSY (inside a callback; nothing was accepted), MGOS_MQTT_INCOMPLETE
/// (the connection was freed meanwhile). QoS 2 waits for PUBCOMP; QoS 0 until the last byte was handed to the
/// system.
///
/// # Safety
/// As mgos_mqtt_conn_publish().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_publish_wait(
    c: *mut mgos_mqtt_conn,
    message: *const mgos_mqtt_publication,
    timeout_ms: c_int,
    on_timeout: c_int,
    token: *mut u64,
) -> c_int {
    outcome(|| {
        let nobody = Cell::new(0);
        // SAFETY: promised by the caller.
        let token = unsafe { cell(token) }.unwrap_or(&nobody);
        token.set(0);
        let handle = Handle::of(c)?;
        let mut properties = Array::EMPTY;
        // SAFETY: promised by the caller.
        let (message, listener) = unsafe { read(&handle, message, &mut properties) }?;
        let on_timeout = match on_timeout {
            MGOS_MQTT_KEEP => OnTimeout::Keep,
            MGOS_MQTT_CANCEL => OnTimeout::Cancel,
            other => {
                return Err(refuse(
                    Code::BadArgument,
                    "on_timeout",
                    other,
                    "MGOS_MQTT_KEEP and MGOS_MQTT_CANCEL",
                ));
            }
        };
        let conn = handle.conn()?;
        let waited = conn.publish_wait(message, listener, timeout(timeout_ms), on_timeout, token);
        say_what_is_missing(conn, timeout_ms, "the message has no outcome yet", waited).map(Some)
    })
}

/// Waits until a message has its outcome, at most `timeout_ms` milliseconds (negative: without limit). Returns the
/// outcome, which is positive, or an error: MGOS_MQTT_TIMED_OUT, MGOS_MQTT_BUSY inside a callback, MGOS_MQTT_FORGOTTEN
/// if it ended too long ago, MGOS_MQTT_NOT_FOUND if no message ever had this token, MGOS_MQTT_INCOMPLETE if the
/// connection is freed meanwhile.
///
/// An outcome is kept for as long as somebody waits for it, however many others come meanwhile.
///
/// # Safety
/// `c` is NULL or a living connection, as for all functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_wait(c: *mut mgos_mqtt_conn, token: u64, timeout_ms: c_int) -> c_int {
    outcome(|| {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        let waited = conn.wait_outcome(token, timeout(timeout_ms));
        say_what_is_missing(conn, timeout_ms, "the message has no outcome yet", waited).map(Some)
    })
}

/// The outcome of a message: MGOS_MQTT_OUTCOME_*, or a negative error: MGOS_MQTT_FORGOTTEN if it ended before the last
/// 1,024 that did (`outcome_history` of the options), MGOS_MQTT_NOT_FOUND if no message ever had this token.
/// May be called inside callbacks.
///
/// # Safety
/// See mgos_mqtt_conn_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_outcome(c: *mut mgos_mqtt_conn, token: u64) -> c_int {
    outcome(|| Handle::of(c)?.conn()?.outcome(token))
}

/// The token of the message with this packet id, as returned by mgos_mqtt_pub() and similar calls, as long as the
/// message has no outcome; 0 if no such message has this id now.
///
/// # Safety
/// See mgos_mqtt_conn_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_token(c: *mut mgos_mqtt_conn, packet_id: u16) -> u64 {
    value(0, || Handle::of(c)?.conn()?.token_of(packet_id))
}

/// Cancels a message that has not been sent yet; its outcome is MGOS_MQTT_OUTCOME_CANCELLED.
///
/// Returns 0, MGOS_MQTT_ALREADY_SENT if it is on its way, MGOS_MQTT_NOT_FOUND if it already has its outcome or never
/// existed.
///
/// # Safety
/// See mgos_mqtt_conn_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_cancel(c: *mut mgos_mqtt_conn, token: u64) -> c_int {
    status(|| Handle::of(c)?.conn()?.cancel(token))
}

/// Waits until every message that was accepted before this call has its outcome: QoS 1 and 2 acknowledged, QoS 0 handed
/// to the system. At most `timeout_ms` milliseconds (negative: without limit). For devices about to sleep, which
/// call mgos_mqtt_conn_disconnect() afterwards.
///
/// Returns 0, MGOS_MQTT_TIMED_OUT (no message is given up because of that), MGOS_MQTT_BUSY inside a callback,
/// MGOS_MQTT_INCOMPLETE if the connection is freed meanwhile.
///
/// # Safety
/// See mgos_mqtt_conn_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_flush(c: *mut mgos_mqtt_conn, timeout_ms: c_int) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let conn = handle.conn()?;
        say_what_is_missing(
            conn,
            timeout_ms,
            "messages have no outcome yet",
            conn.wait_all(timeout(timeout_ms)),
        )
    })
}

/// The name of an outcome in lower case, e.g. "acked"; "unknown" for other numbers. Static.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_outcome_name(outcome: c_int) -> *const c_char {
    let name = match outcome {
        MGOS_MQTT_OUTCOME_PENDING => c"pending",
        MGOS_MQTT_OUTCOME_ACKED => c"acked",
        MGOS_MQTT_OUTCOME_SENT => c"sent",
        MGOS_MQTT_OUTCOME_REJECTED => c"rejected",
        MGOS_MQTT_OUTCOME_EXPIRED => c"expired",
        MGOS_MQTT_OUTCOME_DROPPED => c"dropped",
        MGOS_MQTT_OUTCOME_CANCELLED => c"cancelled",
        MGOS_MQTT_OUTCOME_LOST => c"lost",
        MGOS_MQTT_OUTCOME_TIMED_OUT => c"timed out",
        _ => c"unknown",
    };
    name.as_ptr()
}
