//! Requests and responses, between C and the client.

use core::cell::Cell;
use core::ffi::c_char;

use crate::capi::base::boundary::{text, topic};
use crate::capi::base::field::{field, memory, refuse, wrong_text};
use crate::capi::base::sized;
use crate::capi::bridge::events::{message, read};
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties::{self, Array, PLAIN, PUBLISH};
use crate::capi::bridge::publication::{cell, listener, read_reply};
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event;
use crate::capi::types::mgos_mqtt_options::MGOS_MQTT_OFF;
use crate::capi::types::mgos_mqtt_publish::mgos_mqtt_publication;
use crate::capi::types::mgos_mqtt_request::{
    MGOS_MQTT_REQUEST_END, MGOS_MQTT_REQUEST_WAIT, mgos_mqtt_request,
};
use crate::client::{Listener, Query, ReplyTo};
use crate::error::Code;
use crate::session::Publication;
use crate::time::Span;
use crate::wire::Properties;

/// Unless the request says something else.
const TIMEOUT: Span = Span::secs(10);

/// A request as C gave it.
///
/// # Safety
/// As mgos_mqtt_conn_request(), for as long as the result is used.
pub(in crate::capi) unsafe fn read_request<'a>(
    handle: &Handle,
    request: *const mgos_mqtt_request,
    array: &'a mut Array<'a>,
) -> Result<(Query<'a>, Listener), Code> {
    // SAFETY: promised by the caller.
    let request = unsafe { sized::read(request) }?;
    // SAFETY: promised by the caller.
    let topic = unsafe { topic(request.topic) }.map_err(|code| wrong_text("topic", code))?;
    // SAFETY: promised by the caller.
    let payload = unsafe { memory!(request.payload, payload_len).get() }?.unwrap_or_default();
    let qos = field!(request.qos).qos()?;
    let done = request.done.ok_or(Code::NullArgument)?;
    // SAFETY: promised by the caller.
    *array = unsafe { properties::read(request.properties, request.num_properties, PUBLISH, PLAIN) }?;
    let timeout = match request.timeout_ms {
        0 => Some(TIMEOUT),
        MGOS_MQTT_OFF => None,
        ms @ 1.. => Some(Span::millis(u64::from(ms.unsigned_abs()))),
        other => return Err(refuse(Code::BadArgument, "timeout_ms", other, "0, 1 and more, MGOS_MQTT_OFF")),
    };
    let ends_with_link = match request.on_link_loss {
        MGOS_MQTT_REQUEST_WAIT => false,
        MGOS_MQTT_REQUEST_END => true,
        other => {
            let allowed = "MGOS_MQTT_REQUEST_WAIT and MGOS_MQTT_REQUEST_END";
            return Err(refuse(Code::BadArgument, "on_link_loss", other, allowed));
        }
    };
    // SAFETY: promised by the caller.
    let response_topic = unsafe { optional(request.response_topic) }?;
    let properties = Properties::from_foreign(array);
    let message = Publication { properties, ..Publication::of(topic, payload, qos) };
    let query = Query { message, timeout, ends_with_link, response_topic };
    Ok((query, listener(handle, done, request.ud)))
}

/// Where the response to the message of an event goes.
///
/// # Safety
/// `ev` is NULL or the event of a handler that has not returned.
pub(in crate::capi) unsafe fn reply_to(ev: *const mgos_mqtt_event) -> Result<ReplyTo, Code> {
    // SAFETY: promised by the caller.
    unsafe { read(ev, Err(Code::NotFound), |event| message(event).map(ReplyTo::of)) }
}

/// Publishes a response.
///
/// # Safety
/// As mgos_mqtt_conn_publish().
pub(in crate::capi) unsafe fn answer(
    handle: &Handle,
    to: &ReplyTo,
    response: *const mgos_mqtt_publication,
    token: *mut u64,
) -> Result<(), Code> {
    let nobody = Cell::new(0);
    // SAFETY: promised by the caller.
    let token = unsafe { cell(token) }.unwrap_or(&nobody);
    token.set(0);
    let mut properties = Array::EMPTY;
    // SAFETY: promised by the caller.
    let (message, listener) = unsafe { read_reply(handle, response, to.topic(), &mut properties) }?;
    handle.conn()?.reply(to, message, listener, token)
}

/// # Safety
/// `start` is NULL or a C string for `'a`.
unsafe fn optional<'a>(start: *const c_char) -> Result<Option<&'a str>, Code> {
    if start.is_null() {
        return Ok(None);
    }
    // SAFETY: promised by the caller.
    unsafe { text(start) }.map(Some).map_err(|code| wrong_text("response_topic", code))
}
