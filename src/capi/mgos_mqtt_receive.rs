//! Receiving: acknowledging a message later, refusing it, and fetching messages instead of being called.
//!
//! ACKNOWLEDGEMENTS. Without any of these calls a message is acknowledged when the last of its handlers has
//! returned, so a message whose handlers have not finished comes again after a crash or a lost connection. QoS 1
//! is acknowledged with PUBACK, QoS 2 with PUBREC; QoS 0 not at all.
//!
//! ORDER. Acknowledgements are sent in the order in which the messages came (MQTT 3.1.1, section 4.6), separately
//! for QoS 1 and QoS 2. So the acknowledgement of a message waits until all older ones are acknowledged, and a
//! server that limits the number of unacknowledged messages (mosquitto: 20) sends no more until then. A message that
//! is never acknowledged blocks its QoS until the next connection.
//!
//! RECONNECTS. An acknowledgement is only sent on the connection on which its message came. If the server keeps the
//! session (`clean_session` off), it sends the messages again that were not acknowledged when a connection was lost:
//! a QoS 1 message is delivered again, with mgos_mqtt_event_dup(). A QoS 2 message is not delivered again: the
//! program still holds it, and may acknowledge it at any time while the session lives. If the session is not kept,
//! nothing is sent again; messages that wait in the queue stay there.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use std::sync::Arc;

use crate::capi::base::boundary::{self, status, text, timeout, value};
use crate::capi::base::field::refuse;
use crate::capi::base::process::forks;
use crate::capi::bridge::connecting::say_what_is_missing;
use crate::capi::bridge::fetched::{Fetched, read, read_bytes};
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;
use crate::capi::types::mgos_mqtt_receive::mgos_mqtt_msg;
use crate::client::OwnedMessage;
use crate::error::Code;
use crate::session::Hold;
use crate::wire::topic;

/// Defers the acknowledgement of the message that is being handled; for handlers of any kind. The message is not
/// acknowledged when the handlers have returned, but by mgos_mqtt_msg_ack() with the number returned here. Topic
/// and payload are still valid only until the handler returns: copy them.
///
/// If several handlers defer the same message, they get the same number, and each has to acknowledge
/// it.
///
/// Returns 0 if there is nothing to acknowledge (QoS 0), or on an error (see mgos_mqtt_last_error()); then the
/// message is acknowledged after its handlers, as without this call: MGOS_MQTT_NOT_FOUND if the calling thread is
/// not handling a message of this connection, MGOS_MQTT_NO_MEMORY.
///
/// # Safety
/// `c` is NULL or a living connection, as for all functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_defer(c: *mut mgos_mqtt_conn) -> u64 {
    value(0, || Ok(Handle::of(c)?.conn()?.defer()?.map_or(0, Hold::word)))
}

/// Acknowledges a deferred message. Call it once, from any thread, inside or outside of handlers. With 0 for
/// `number` it does nothing and returns 0.
///
/// Returns 0; MGOS_MQTT_STALE if the connection on which it came has ended (for QoS 2: its session), so that the
/// server delivers it again; MGOS_MQTT_NOT_FOUND if it is already acknowledged or was never deferred. Neither
/// changes anything.
///
/// # Safety
/// See mgos_mqtt_msg_defer().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_ack(c: *mut mgos_mqtt_conn, number: u64) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        if number == 0 {
            return Ok(());
        }
        handle.conn()?.acknowledge(Hold::from_word(number).ok_or(Code::NotFound)?)
    })
}

/// Refuses the message that is being handled, because it cannot be processed, now or ever. The connection
/// stays up.
///
/// MQTT 3.1.1 has no way to tell the server. So the library keeps a copy and delivers it again after
/// `refuse_delay_ms`, with mgos_mqtt_event_dup() and mgos_mqtt_event_attempt(), to all its handlers, up to
/// `refuse_retries` times (see mgos_mqtt_options.h). If it is still refused then, it is set aside: handlers of the
/// connection get it as MGOS_MQTT_EV_SET_ASIDE, and it is acknowledged, so that it does not come again for ever. If
/// its handlers accept it meanwhile, it is acknowledged like any other. Later messages are not delayed, but their
/// acknowledgements are, see above.
///
/// At most `receive_queue_length` such messages, with at most `receive_queue_bytes`, are kept; what is refused
/// beyond that is set aside at once. After a reconnect the attempts of a QoS 1 message are counted from 1 again.
///
/// `reason`, 0 to 255, is handed to the handlers of MGOS_MQTT_EV_SET_ASIDE; 0x80 and above are the codes of MQTT
/// 5.0. Any one of several handlers can refuse. Returns 0, or MGOS_MQTT_NOT_FOUND if the calling thread is not
/// handling a message of this connection, and in the `done` of a request, which is told of its response once.
///
/// # Safety
/// See mgos_mqtt_msg_defer().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_refuse(c: *mut mgos_mqtt_conn, reason: c_int) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let byte =
            u8::try_from(reason).map_err(|_| refuse(Code::BadArgument, "reason", reason, "0 to 255"))?;
        handle.conn()?.refuse(byte)
    })
}

/// Subscribes for the queue: matching messages wait for mgos_mqtt_conn_receive(); handlers of other
/// subscriptions get them as well. A message that several such filters match is queued once.
///
/// The queue holds `receive_queue_length` messages and `receive_queue_bytes` (see mgos_mqtt_options.h). QoS 1
/// and 2 are acknowledged when they are released, so a server that limits the number of unacknowledged messages
/// does not overfill it. If it is full all the same, a QoS 0 message is dropped and counted. A QoS 1 or 2
/// message is left with the server: when the queue is half empty and everything that was fetched has been
/// released, the connection is closed and opened again (MGOS_MQTT_RECEIVE_FULL), and the server sends the
/// message again if it keeps the session. A message that other handlers get as well is always queued, since they
/// must not get it twice.
///
/// Returns 0 or a negative error.
///
/// # Safety
/// `c` is NULL or a living connection, `filter` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_subscribe_queue(
    c: *mut mgos_mqtt_conn,
    filter: *const c_char,
    qos: c_int,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filter = unsafe { text(filter) }?;
        topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
        let qos = boundary::qos(qos)?;
        handle.conn()?.subscribe_queue(filter, qos)
    })
}

/// Ends such a subscription. Messages that wait in the queue stay there. Returns 0, or
/// MGOS_MQTT_NOT_FOUND.
///
/// # Safety
/// `c` is NULL or a living connection, `filter` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_unsubscribe_queue(
    c: *mut mgos_mqtt_conn,
    filter: *const c_char,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filter = unsafe { text(filter) }?;
        if handle.conn()?.unsubscribe_queue(filter)? { Ok(()) } else { Err(Code::NotFound) }
    })
}

/// Fetches the oldest message of the queue into `*msg`. Waits for one at most `timeout_ms` milliseconds: 0 not at
/// all, negative without limit. Meanwhile the calling thread drives the loop if nobody else does, even with 0: a
/// program that does nothing but call this repeatedly works. Any number of threads may call it; each message goes
/// to one of them.
///
/// Returns 0; pass `*msg` to mgos_mqtt_msg_release() when you are done with it. Otherwise `*msg` is NULL:
/// MGOS_MQTT_TIMED_OUT if there is none in time; MGOS_MQTT_BUSY inside a handler with a `timeout_ms` other than 0;
/// MGOS_MQTT_INCOMPLETE if the connection is freed meanwhile; MGOS_MQTT_NO_MEMORY (the message stays in the queue).
///
/// # Safety
/// `c` is NULL or a living connection, `msg` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_receive(
    c: *mut mgos_mqtt_conn,
    timeout_ms: c_int,
    msg: *mut *mut mgos_mqtt_msg,
) -> c_int {
    status(|| {
        if msg.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and valid as the caller promises.
        unsafe { *msg = ptr::null_mut() };
        let conn = Handle::of(c)?.conn()?.clone();
        // Its place first, so that nothing can fail once it was taken out of the queue.
        let mut place = Vec::new();
        place.try_reserve_exact(1).map_err(|_| Code::NoMemory)?;
        let kept = conn.receive(timeout(timeout_ms));
        let kept = say_what_is_missing(&conn, timeout_ms, "no message has come", kept)?;
        place.push(Fetched { kept, conn: Arc::downgrade(&conn), forks: forks() });
        let fetched: *mut [Fetched] = Box::into_raw(place.into_boxed_slice());
        // SAFETY: as above.
        unsafe { *msg = fetched.cast() };
        Ok(())
    })
}

/// Releases a message and acknowledges it; the handle may not be used afterwards. Callable from any thread, even
/// after the connection was freed: then it only releases the memory. Ignores NULL.
///
/// Returns 0, also for QoS 0; MGOS_MQTT_STALE if the connection on which it came has ended meanwhile, so that it may
/// come again, see above; MGOS_MQTT_INCOMPLETE if the connection was freed.
///
/// # Safety
/// `msg` is NULL or came from mgos_mqtt_conn_receive() and was not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_release(msg: *mut mgos_mqtt_msg) -> c_int {
    status(|| {
        if msg.is_null() {
            return Ok(());
        }
        let place = ptr::slice_from_raw_parts_mut(msg.cast::<Fetched>(), 1);
        // SAFETY: it was made from a box of one, and was not released, as the caller promises.
        let place = unsafe { Box::from_raw(place) };
        for Fetched { kept, conn, forks: at } in place {
            if at != forks() {
                return Err(Code::Forked);
            }
            conn.upgrade().ok_or(Code::Incomplete)?.release(kept)?;
        }
        Ok(())
    })
}

/// The topic name of a fetched message; UTF-8 and not NUL-terminated: its length goes to `*len`, if `len` is not
/// NULL. Valid until the message is released, like everything in it.
///
/// # Safety
/// `msg` is NULL or a message that was not released, as for all functions below; `len` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_topic(msg: *const mgos_mqtt_msg, len: *mut usize) -> *const c_char {
    // SAFETY: promised by the caller.
    unsafe { read_bytes(msg, len, OwnedMessage::topic) }.cast()
}

/// The payload: never NULL, also when it is empty; one NUL byte follows it, which is not counted. Its length goes to
/// `*len`, if `len` is not NULL.
///
/// # Safety
/// See mgos_mqtt_msg_topic().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_payload(msg: *const mgos_mqtt_msg, len: *mut usize) -> *const c_void {
    // SAFETY: promised by the caller.
    unsafe { read_bytes(msg, len, OwnedMessage::payload) }.cast()
}

/// The size of the payload as the server sent it: more than its length if the message was over the receive limit and
/// `oversize_keep` is set.
///
/// # Safety
/// See mgos_mqtt_msg_topic().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_size(msg: *const mgos_mqtt_msg) -> usize {
    // SAFETY: promised by the caller.
    unsafe { read(msg, 0, |kept| kept.size) }
}

/// The quality of service: 0, 1 or 2; -1 for NULL.
///
/// # Safety
/// See mgos_mqtt_msg_topic().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_qos(msg: *const mgos_mqtt_msg) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { read(msg, -1, |kept| kept.qos as c_int) }
}

/// Whether the server had the message retained (MQTT 3.1.1, section 3.3.1.3).
///
/// # Safety
/// See mgos_mqtt_msg_topic().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_retain(msg: *const mgos_mqtt_msg) -> bool {
    // SAFETY: promised by the caller.
    unsafe { read(msg, false, |kept| kept.retain) }
}

/// Whether the message may have been delivered before (MQTT 3.1.1, section 3.3.1.1).
///
/// # Safety
/// See mgos_mqtt_msg_topic().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_dup(msg: *const mgos_mqtt_msg) -> bool {
    // SAFETY: promised by the caller.
    unsafe { read(msg, false, |kept| kept.dup) }
}

/// Its properties, one after the other, as mgos_mqtt_event_property(): what they point to is valid until the message is
/// released. False when there are no more, and for NULL.
///
/// # Safety
/// See mgos_mqtt_msg_topic(); `cursor` and `out` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_msg_property(
    msg: *const mgos_mqtt_msg,
    cursor: *mut usize,
    out: *mut mgos_mqtt_property,
) -> bool {
    // SAFETY: promised by the caller.
    let get = |kept: &OwnedMessage| unsafe { properties::next(kept.properties().properties(), cursor, out) };
    // SAFETY: promised by the caller.
    unsafe { read(msg, false, get) }
}

/// How many messages wait in the queue; their bytes of topics and payloads go to `*bytes`, if `bytes` is not NULL.
///
/// # Safety
/// `c` is NULL or a living connection, `bytes` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_receive_pending(c: *mut mgos_mqtt_conn, bytes: *mut usize) -> usize {
    let (messages, n) = value((0, 0), || Ok(Handle::of(c)?.conn()?.receive_pending()));
    // SAFETY: NULL or valid, as the caller promises.
    if let Some(bytes) = unsafe { bytes.as_mut() } {
        *bytes = n;
    }
    messages
}

/// How many QoS 0 messages were dropped because the queue was full, since the connection was made.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_receive_dropped(c: *mut mgos_mqtt_conn) -> u64 {
    value(0, || Ok(Handle::of(c)?.conn()?.receive_dropped()))
}
