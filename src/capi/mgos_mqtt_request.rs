//! Requests and responses: a message that asks for an answer, and the answer to one.
//!
//!     static void on_response(struct mgos_mqtt_conn *c, const struct mgos_mqtt_event *ev, void *ud) {
//!       if (mgos_mqtt_event_error(ev) == 0) printf("%s\n", (const char *) mgos_mqtt_event_payload(ev, NULL));
//!     }
//!     ...
//!     struct mgos_mqtt_request request = mgos_mqtt_request_init();
//!     request.topic = "plant/thermometer";
//!     request.qos = 1;
//!     request.done = on_response;
//!     mgos_mqtt_conn_request(c, &request, NULL);
//!
//! THE END OF A REQUEST. Each request that is accepted ends exactly once. mgos_mqtt_event_error() says how:
//!
//! - 0: the response came. Its topic, payload, properties and the rest are read as those of a message.
//! - MGOS_MQTT_TIMED_OUT: it did not come within `timeout_ms`.
//! - MGOS_MQTT_CANCELLED: mgos_mqtt_conn_request_cancel(), or mgos_mqtt_conn_cancel() of its message.
//! - MGOS_MQTT_PUBLISH_REFUSED, MGOS_MQTT_SUBSCRIBE_REFUSED: the server refused the request, or the subscription to its
//!   response; mgos_mqtt_event_code() is the reason.
//! - the error of a lost link, if `on_link_loss` is MGOS_MQTT_REQUEST_END.
//! - MGOS_MQTT_NOT_CONNECTED, MGOS_MQTT_QUEUE_FULL, MGOS_MQTT_SESSION_LOST, MGOS_MQTT_EXPIRED (the property MESSAGE EXPIRY
//!   INTERVAL was over sooner than `timeout_ms`): its message was given up, as the outcome of a publish with this error would
//!   be.
//! - MGOS_MQTT_INCOMPLETE: the connection was freed.
//!
//! A second response to the same request, and one that comes too late, are ignored. A response cannot be refused by
//! mgos_mqtt_msg_refuse(): that is MGOS_MQTT_NOT_FOUND in `done`.
//!
//! THE TOPICS. With MQTT 5.0 a request has the properties RESPONSE TOPIC and CORRELATION DATA (section 4.10), by which any
//! program can answer it. All requests of a connection share one response topic and one subscription to it, of QoS 1:
//! `mgos/response/` and 16 hexadecimal digits that follow from the client id (random ones without it), or, if the server's
//! CONNACK has a RESPONSE INFORMATION that begins a topic name (ask for it by REQUEST RESPONSE INFORMATION among the
//! properties of CONNECT), that with `/response` behind it.
//!
//! MQTT 3.1.1 has no properties, so the topic says the same by convention: the request is published to
//! `<topic>/<name>/<number>`, of 16 hexadecimal digits each, and the response goes to `mgos/response/<name>/<number>`. A
//! program that answers subscribes to `<topic>/+/+`. The functions below know both forms.

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr;

use crate::capi::base::boundary::{status, value};
use crate::capi::bridge::events::read;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties::Array;
use crate::capi::bridge::publication::cell;
use crate::capi::bridge::requests::{answer, read_request, reply_to};
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event;
use crate::capi::types::mgos_mqtt_publish::mgos_mqtt_publication;
use crate::capi::types::mgos_mqtt_request::{mgos_mqtt_reply_to, mgos_mqtt_request};
use crate::client::{Event, ReplyTo};
use crate::error::Code;
use crate::lazy_box::try_box;

/// Publishes a request. Returns 0 if it is accepted; its number, which no other request of the connection has, is stored in
/// `*id`, if that is not NULL, before `done` can be called. On an error nothing is sent, `*id` is 0 and `done` is not called.
///
/// May be called from any thread and inside callbacks. Any number of requests may be open at a time.
///
/// Errors: MGOS_MQTT_NULL_ARGUMENT (`done`), those of mgos_mqtt_conn_publish(), MGOS_MQTT_SERVER_LIMIT (the server does not
/// allow the subscription), MGOS_MQTT_NEEDS_V5 (`properties` or `response_topic` on a connection that speaks an older
/// version), and MGOS_MQTT_NOT_CONNECTED also for QoS 1 and 2 before the first CONNACK with MGOS_MQTT_PROTOCOL_AUTO: the form
/// of a request depends on the version.
///
/// # Safety
/// `c` is NULL or a living connection; `request` is NULL or valid, with `size` bytes; `id` is NULL or valid; `done` can be
/// called with `ud`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_request(
    c: *mut mgos_mqtt_conn,
    request: *const mgos_mqtt_request,
    id: *mut u64,
) -> c_int {
    status(|| {
        let nobody = Cell::new(0);
        // SAFETY: promised by the caller.
        let id = unsafe { cell(id) }.unwrap_or(&nobody);
        id.set(0);
        let handle = Handle::of(c)?;
        let mut properties = Array::EMPTY;
        // SAFETY: promised by the caller.
        let (query, listener) = unsafe { read_request(&handle, request, &mut properties) }?;
        handle.conn()?.request(&query, listener, id)
    })
}

/// Ends a request that has no response yet, with MGOS_MQTT_CANCELLED. Its message is not sent any more, if it is not on its
/// way. `done` is called on the thread that drives the loop, soon. Returns 0, or MGOS_MQTT_NOT_FOUND if it has ended.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_request_cancel(c: *mut mgos_mqtt_conn, id: u64) -> c_int {
    status(|| Handle::of(c)?.conn()?.cancel_request(id))
}

/// The number of the request that a RESPONSE is about, as mgos_mqtt_conn_request() gave it; 0 for other events.
///
/// # Safety
/// `ev` is NULL or the event of a handler that has not returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_request(ev: *const mgos_mqtt_event) -> u64 {
    let get = |event: &Event<'_>| match event {
        Event::Response { id, .. } => Some(*id),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// Answers the request that a handler has been given: publishes `response` to its response topic, with its correlation data.
/// `topic` of `response` must be NULL, everything else is as for mgos_mqtt_conn_publish(), whose errors this has, too.
/// MGOS_MQTT_NOT_FOUND: the message is no request. MGOS_MQTT_NEEDS_V5: it has correlation data, and `c` speaks an older
/// version, in which the requester could not recognise the response.
///
/// # Safety
/// `c` and `response` as for mgos_mqtt_conn_publish(), `token` too; `ev` is NULL or the event of a handler that has not returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_reply(
    c: *mut mgos_mqtt_conn,
    ev: *const mgos_mqtt_event,
    response: *const mgos_mqtt_publication,
    token: *mut u64,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let to = unsafe { reply_to(ev) }?;
        // SAFETY: promised by the caller.
        unsafe { answer(&handle, &to, response, token) }
    })
}

/// The same for an answer that is given later, perhaps by another thread: what is needed for it, as a copy. NULL if the message
/// is no request, or without memory: mgos_mqtt_last_error() is MGOS_MQTT_NOT_FOUND or MGOS_MQTT_NO_MEMORY. To be freed by
/// mgos_mqtt_reply_to_free().
///
/// # Safety
/// `ev` is NULL or the event of a handler that has not returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_reply_to(ev: *const mgos_mqtt_event) -> *mut mgos_mqtt_reply_to {
    value(ptr::null_mut(), || {
        // SAFETY: promised by the caller.
        let to = unsafe { reply_to(ev) }?;
        Ok(Box::into_raw(try_box(|| to)?).cast())
    })
}

/// Answers a request with the copy that mgos_mqtt_event_reply_to() made, which may be used again. As
/// mgos_mqtt_event_reply(), from any thread.
///
/// # Safety
/// `c`, `response` and `token` as for mgos_mqtt_conn_publish(); `to` is NULL or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_reply(
    c: *mut mgos_mqtt_conn,
    to: *const mgos_mqtt_reply_to,
    response: *const mgos_mqtt_publication,
    token: *mut u64,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let to = unsafe { to.cast::<ReplyTo>().as_ref() }.ok_or(Code::NullArgument)?;
        // SAFETY: promised by the caller.
        unsafe { answer(&handle, to, response, token) }
    })
}

/// Frees what mgos_mqtt_event_reply_to() made. NULL does nothing.
///
/// # Safety
/// `to` is NULL or was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_reply_to_free(to: *mut mgos_mqtt_reply_to) {
    value((), || {
        if !to.is_null() {
            // SAFETY: mgos_mqtt_event_reply_to() made it, as one of one, and the caller promises that it was not freed.
            drop(unsafe { Box::from_raw(to.cast::<[ReplyTo; 1]>()) });
        }
        Ok(())
    });
}
