//! Publishing with an answer: did it arrive?
//!
//! Every message that is accepted ends in exactly one outcome (MGOS_MQTT_OUTCOME_*). It can be had in three ways,
//! on the same message if you like:
//!
//! - a function of yours is called with it: `done` of the message, or a handler of MGOS_MQTT_EV_OUTCOME for all
//!   messages of a connection;
//! - a call waits for it: mgos_mqtt_conn_publish_wait(), mgos_mqtt_conn_wait();
//! - it is asked for: mgos_mqtt_conn_outcome().
//!
//! A message is named by its token, a number that no other message of the connection ever has. Messages of
//! mgos_mqtt_pub() and its like have one too: mgos_mqtt_conn_token() finds it by the packet id.
//!
//! BLOCKING CALLS drive the loop themselves if nobody else does, so callbacks may run on the calling thread; while
//! another thread drives it, they sleep. They work from any thread, but not inside a callback: there they return
//! MGOS_MQTT_BUSY at once and have done nothing.

use core::cell::Cell;
use core::ffi::{c_char, c_int, c_void};

use super::boundary::{status, timeout, topic, value};
use super::field::{field, memory, refuse, wrong_text};
use super::handle::Handle;
use super::mgos_mqtt_conn::mgos_mqtt_conn;
use super::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use super::sized::{self, Growing};
use crate::client::{Conn, Event, Listener, OnTimeout, Words};
use crate::error::Code;
use crate::session::{Dropped, Outcome, Publication};
use crate::sync::entering_user_code;
use crate::time::Span;

/// It waits, or is on its way: there is no outcome yet.
pub const MGOS_MQTT_OUTCOME_PENDING: c_int = 0;
/// QoS 1: the server acknowledged it (PUBACK). QoS 2: it was delivered exactly once (PUBCOMP).
pub const MGOS_MQTT_OUTCOME_ACKED: c_int = 1;
/// QoS 0: its last byte was handed to the system. More is never known of QoS 0.
pub const MGOS_MQTT_OUTCOME_SENT: c_int = 2;
/// The server refused it; mgos_mqtt_event_code() has the reason that it gave.
pub const MGOS_MQTT_OUTCOME_REJECTED: c_int = 3;
/// It was not sent in the time given by `expires_ms`.
pub const MGOS_MQTT_OUTCOME_EXPIRED: c_int = 4;
/// It made room for a newer one in a full queue; or, QoS 0, the connection was lost while it was being written.
pub const MGOS_MQTT_OUTCOME_DROPPED: c_int = 5;
/// mgos_mqtt_conn_cancel(), or the connection was freed first (mgos_mqtt_event_error() is MGOS_MQTT_INCOMPLETE
/// then).
pub const MGOS_MQTT_OUTCOME_CANCELLED: c_int = 6;
/// The server lost the session in which it was sent, and `on_session_loss` says not to send it again.
pub const MGOS_MQTT_OUTCOME_LOST: c_int = 7;

/// On a time-out: the message stays accepted, and is sent when that is possible.
pub const MGOS_MQTT_KEEP: c_int = 0;
/// On a time-out: the message is cancelled if it is not on its way yet. One that is stays until its outcome: it
/// cannot be called back.
pub const MGOS_MQTT_CANCEL: c_int = 1;

/// A message to be published. Set it to zeros, then `size` and what you need.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_mqtt_publication {
    /// sizeof(struct mgos_mqtt_publication); tells the library which version you were compiled with.
    pub size: usize,
    /// The topic name. Copied.
    pub topic: *const c_char,
    /// The payload. Copied. NULL with length 0 is an empty one.
    pub payload: *const c_void,
    /// Its length in bytes.
    pub payload_len: usize,
    /// 0, 1 or 2; lowered to the connection's maximum.
    pub qos: c_int,
    /// The server shall retain it (MQTT 3.1.1, section 3.3.1.3).
    pub retain: bool,
    /// After how many milliseconds it is given up if it was not sent by then; 0 is never. What is on its way does not
    /// expire.
    pub expires_ms: u32,
    /// Is called with the outcome, exactly once, on the thread that drives the loop, with no lock held; NULL for
    /// nobody. The event's kind is MGOS_MQTT_EV_OUTCOME. It comes also when the connection is freed; then nothing may
    /// be called with that connection any more.
    pub done: mgos_mqtt_event_fn_t,
    /// Passed to it.
    pub ud: *mut c_void,
}

/// Publishes. Returns 0 when the message was accepted: it is sent now, or as soon as the connection and the in-flight
/// window allow; its token is in `*token`, if that is not NULL, before `done` can be called. On an error nothing was accepted,
/// `*token` is 0 and `done` is not called.
///
/// QoS 1 and 2 are accepted without a connection, too, as far as the queue goes. A message gets its packet id when it
/// is sent, so more than 65,535 may wait.
///
/// Errors: MGOS_MQTT_NOT_CONNECTED (QoS 0, or no queue), MGOS_MQTT_QUEUE_FULL, MGOS_MQTT_TOO_LARGE,
/// MGOS_MQTT_BAD_TOPIC, MGOS_MQTT_BAD_UTF8, MGOS_MQTT_BAD_QOS, MGOS_MQTT_BAD_STRUCTURE, MGOS_MQTT_NO_MEMORY.
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
        // SAFETY: promised by the caller.
        let (message, listener) = unsafe { read(&handle, message) }?;
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
        // SAFETY: promised by the caller.
        let (message, listener) = unsafe { read(&handle, message) }?;
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
        conn.publish_wait(message, listener, timeout(timeout_ms), on_timeout, token).map(Some)
    })
}

/// Waits until a message has its outcome, at most `timeout_ms` milliseconds (negative: without limit). Returns the
/// outcome, which is positive, or an error: MGOS_MQTT_TIMED_OUT, MGOS_MQTT_BUSY inside a callback, MGOS_MQTT_FORGOTTEN
/// if it ended too long ago, MGOS_MQTT_NOT_FOUND if no message ever had this token, MGOS_MQTT_INCOMPLETE if the
/// connection is freed meanwhile.
///
/// An outcome is kept for those who wait for it, however many others come meanwhile.
///
/// # Safety
/// `c` is NULL or a living connection, as for all functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_wait(c: *mut mgos_mqtt_conn, token: u64, timeout_ms: c_int) -> c_int {
    outcome(|| Handle::of(c)?.conn()?.wait_outcome(token, timeout(timeout_ms)).map(Some))
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

/// The token of a message by the packet id that mgos_mqtt_pub() or one of its like returned, as long as the message has no
/// outcome; 0 if no such message has this id now.
///
/// # Safety
/// See mgos_mqtt_conn_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_token(c: *mut mgos_mqtt_conn, packet_id: u16) -> u64 {
    value(0, || Handle::of(c)?.conn()?.token_of(packet_id))
}

/// Gives a message up that is not on its way yet; its outcome is MGOS_MQTT_OUTCOME_CANCELLED.
///
/// Returns 0, MGOS_MQTT_ALREADY_SENT if it is on its way, MGOS_MQTT_NOT_FOUND if it has its outcome already or never
/// was.
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
/// Returns 0, MGOS_MQTT_TIMED_OUT (nothing is given up by that), MGOS_MQTT_BUSY inside a callback, MGOS_MQTT_INCOMPLETE
/// if the connection is freed meanwhile.
///
/// # Safety
/// See mgos_mqtt_conn_wait().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_flush(c: *mut mgos_mqtt_conn, timeout_ms: c_int) -> c_int {
    status(|| Handle::of(c)?.conn()?.wait_all(timeout(timeout_ms)))
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
        _ => c"unknown",
    };
    name.as_ptr()
}

/// The number that C has for an outcome.
pub(super) fn outcome_number(outcome: Outcome) -> c_int {
    match outcome {
        Outcome::Acked => MGOS_MQTT_OUTCOME_ACKED,
        Outcome::Sent => MGOS_MQTT_OUTCOME_SENT,
        Outcome::Rejected(_) => MGOS_MQTT_OUTCOME_REJECTED,
        Outcome::Expired => MGOS_MQTT_OUTCOME_EXPIRED,
        Outcome::Dropped(_) => MGOS_MQTT_OUTCOME_DROPPED,
        Outcome::Cancelled | Outcome::Abandoned => MGOS_MQTT_OUTCOME_CANCELLED,
        Outcome::Lost => MGOS_MQTT_OUTCOME_LOST,
    }
}

/// What an outcome is as an error.
pub(super) fn outcome_code(outcome: Outcome) -> Code {
    match outcome {
        Outcome::Acked | Outcome::Sent => Code::Ok,
        Outcome::Rejected(_) => Code::PublishRefused,
        Outcome::Expired => Code::Expired,
        Outcome::Dropped(Dropped::Overflow) => Code::QueueFull,
        Outcome::Dropped(Dropped::Link) => Code::NotConnected,
        Outcome::Cancelled => Code::Cancelled,
        Outcome::Abandoned => Code::Incomplete,
        Outcome::Lost => Code::SessionLost,
    }
}

/// Runs the body of a function that returns an outcome, 0 for none yet, or an error.
fn outcome(body: impl FnOnce() -> Result<Option<Outcome>, Code>) -> c_int {
    let mut number = MGOS_MQTT_OUTCOME_PENDING;
    let error = status(|| {
        number = body()?.map_or(MGOS_MQTT_OUTCOME_PENDING, outcome_number);
        Ok(())
    });
    if error != 0 { error } else { number }
}

// SAFETY: numbers, pointers and a truth value. All of it is the first version.
unsafe impl Growing for mgos_mqtt_publication {
    const NAME: &'static str = "mgos_mqtt_publication";
    const FIRST: usize = size_of::<mgos_mqtt_publication>();
}

/// A message as C gave it.
///
/// # Safety
/// As mgos_mqtt_conn_publish(), for as long as the result is used.
unsafe fn read<'a>(
    handle: &Handle,
    message: *const mgos_mqtt_publication,
) -> Result<(Publication<'a>, Option<Listener>), Code> {
    // SAFETY: promised by the caller.
    let message = unsafe { sized::read(message) }?;
    // SAFETY: promised by the caller.
    let topic = unsafe { topic(message.topic) }.map_err(|code| wrong_text("topic", code))?;
    // SAFETY: promised by the caller.
    let payload = unsafe { memory!(message.payload, payload_len).get() }?.unwrap_or_default();
    let qos = field!(message.qos).qos()?;
    let now = || Ok(handle.conn()?.context().driver.now());
    let expires = match message.expires_ms {
        0 => None,
        ms => Some(now()? + Span::millis(u64::from(ms))),
    };
    let listener = message.done.map(|done| {
        let owner = core::ptr::from_ref(handle).cast_mut().cast();
        Listener::new(tell, [done as *const () as *mut (), message.ud.cast(), owner])
    });
    Ok((Publication { retain: message.retain, expires, ..Publication::of(topic, payload, qos) }, listener))
}

/// Calls the `done` of a message.
fn tell(_: &Conn, event: &Event<'_>, [done, ud, owner]: Words) {
    type Done = unsafe extern "C" fn(
        *mut mgos_mqtt_conn,
        *const super::mgos_mqtt_event::mgos_mqtt_event,
        *mut c_void,
    );
    // SAFETY: `read` put the application's function there.
    let done = unsafe { core::mem::transmute::<*mut (), Done>(done) };
    // SAFETY: a connection tells all outcomes before its handle goes.
    let handle = unsafe { &*owner.cast_const().cast::<Handle>() };
    entering_user_code();
    // SAFETY: the application's function with its own argument; the event, opaque to it, lives until the call returns.
    unsafe { done(handle.as_ptr(), core::ptr::from_ref(event).cast(), ud.cast()) };
    // SAFETY: callbacks run on the thread that drives the loop.
    unsafe { handle.after_handler() };
}

/// Where a token is to be put. A cell, since a callback on another thread may look at it before the call returns.
///
/// # Safety
/// `token` is NULL or valid for `'a`.
unsafe fn cell<'a>(token: *mut u64) -> Option<&'a Cell<u64>> {
    // SAFETY: promised by the caller; a cell is laid out as what is in it.
    unsafe { token.cast::<Cell<u64>>().as_ref() }
}
