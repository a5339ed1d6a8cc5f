//! Reading the events that handlers are given, and which handlers get which events.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{self, text, value};
use crate::capi::base::field::refuse;
use crate::capi::bridge::callbacks::{UserData, new_event_handler, subscriber};
use crate::capi::bridge::handle::Handle;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_event::{
    MGOS_MQTT_EV_CLOSE, MGOS_MQTT_EV_MESSAGE, MGOS_MQTT_EV_PUBACK, MGOS_MQTT_EV_PUBCOMP, MGOS_MQTT_EV_SUBACK,
    mgos_mqtt_event, mgos_mqtt_event_fn_t,
};
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_ud_free_fn_t;
use crate::client::{Conn, Event, Message, Subscriber};
use crate::error::Code;
use crate::session::Request;
use crate::wire::SubscribeOptions;

/// The events that a subscription can get.
pub(in crate::capi) const SUBSCRIPTION_KINDS: u32 = MGOS_MQTT_EV_MESSAGE
    | MGOS_MQTT_EV_SUBACK
    | MGOS_MQTT_EV_PUBACK
    | MGOS_MQTT_EV_PUBCOMP
    | MGOS_MQTT_EV_CLOSE;

/// # Safety
/// As mgos_mqtt_conn_subscribe().
pub(in crate::capi) unsafe fn subscribe(
    c: *mut mgos_mqtt_conn,
    filter: *const c_char,
    qos: c_int,
    kinds: u32,
    function: mgos_mqtt_event_fn_t,
    user_data: (*mut c_void, mgos_mqtt_ud_free_fn_t),
) -> Result<(), Code> {
    let handle = Handle::of(c)?;
    // SAFETY: promised by the caller.
    let filter = unsafe { text(filter) }?;
    crate::wire::topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
    let options = options(handle.conn()?, qos)?;
    subscribe_to(&handle, filter, options.into(), kinds, function, user_data)
}

/// The QoS of a subscription, and, on a connection that speaks MQTT 5.0, the options beside it.
pub(in crate::capi) fn options(conn: &Conn, bits: c_int) -> Result<SubscribeOptions, Code> {
    if let Ok(qos) = boundary::qos(bits) {
        return Ok(qos.into());
    }
    let allowed = if conn.speaks_v5() { "0, 1 and 2, with MGOS_MQTT_SUBSCRIBE_*" } else { "0, 1 and 2" };
    let options = u8::try_from(bits).ok().filter(|_| conn.speaks_v5()).and_then(SubscribeOptions::from_byte);
    options.ok_or_else(|| refuse(Code::BadQos, "qos", bits, allowed))
}

/// Subscribes to a filter that is valid.
pub(in crate::capi) fn subscribe_to(
    handle: &Handle,
    filter: &str,
    request: Request,
    kinds: u32,
    function: mgos_mqtt_event_fn_t,
    (ud, ud_free): (*mut c_void, mgos_mqtt_ud_free_fn_t),
) -> Result<(), Code> {
    let conn = handle.conn()?;
    let Subscriber { identity, kinds, callback } =
        subscriber(function, kinds, UserData::new(ud, ud_free), |f, data| {
            new_event_handler(handle, f, data)
        })?;
    conn.subscribe(filter, request, identity, kinds, callback)
}

/// # Safety
/// `ev` is NULL or the event of a handler that has not returned.
pub(in crate::capi) unsafe fn read<'a, T>(
    ev: *const mgos_mqtt_event,
    none: T,
    get: impl FnOnce(&Event<'a>) -> Option<T>,
) -> T {
    // SAFETY: NULL, or a pointer to an Event as the handlers get it.
    let event = unsafe { ev.cast::<Event<'a>>().as_ref() };
    value(None, || Ok(event.and_then(get))).unwrap_or(none)
}

pub(in crate::capi) fn message<'e, 'a>(event: &'e Event<'a>) -> Option<&'e Message<'a>> {
    match event {
        Event::Message(message) | Event::SetAside(message, _) => Some(message),
        Event::Response { message, .. } => message.as_ref(),
        _ => None,
    }
}
