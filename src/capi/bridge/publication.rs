//! Publications and their outcomes, between C and the client.

use core::cell::Cell;
use core::ffi::{c_int, c_void};

use crate::capi::base::boundary::{status, topic};
use crate::capi::base::field::{field, memory, refuse, wrong_text};
use crate::capi::base::sized;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties::{self, Array, PLAIN, PUBLISH};
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event;
use crate::capi::types::mgos_mqtt_publish::{
    MGOS_MQTT_OUTCOME_ACKED, MGOS_MQTT_OUTCOME_CANCELLED, MGOS_MQTT_OUTCOME_DROPPED,
    MGOS_MQTT_OUTCOME_EXPIRED, MGOS_MQTT_OUTCOME_LOST, MGOS_MQTT_OUTCOME_PENDING, MGOS_MQTT_OUTCOME_REJECTED,
    MGOS_MQTT_OUTCOME_SENT, MGOS_MQTT_OUTCOME_TIMED_OUT, mgos_mqtt_publication,
};
use crate::client::{Conn, Event, Listener, RawArgs};
use crate::error::Code;
use crate::session::{Outcome, Publication};
use crate::sync::entering_user_code;
use crate::time::Span;
use crate::wire::Properties;
use crate::wire::topic::Topic;

/// The number that C has for an outcome.
pub(in crate::capi) fn outcome_number(outcome: Outcome) -> c_int {
    match outcome {
        Outcome::Acked => MGOS_MQTT_OUTCOME_ACKED,
        Outcome::Sent => MGOS_MQTT_OUTCOME_SENT,
        Outcome::Rejected(_) => MGOS_MQTT_OUTCOME_REJECTED,
        Outcome::Expired => MGOS_MQTT_OUTCOME_EXPIRED,
        Outcome::Dropped(_) => MGOS_MQTT_OUTCOME_DROPPED,
        Outcome::Cancelled | Outcome::Abandoned => MGOS_MQTT_OUTCOME_CANCELLED,
        Outcome::Lost => MGOS_MQTT_OUTCOME_LOST,
        Outcome::TimedOut => MGOS_MQTT_OUTCOME_TIMED_OUT,
    }
}

/// Runs the body of a function that returns an outcome, 0 for none yet, or an error.
pub(in crate::capi) fn outcome(body: impl FnOnce() -> Result<Option<Outcome>, Code>) -> c_int {
    let mut number = MGOS_MQTT_OUTCOME_PENDING;
    let error = status(|| {
        number = body()?.map_or(MGOS_MQTT_OUTCOME_PENDING, outcome_number);
        Ok(())
    });
    if error != 0 { error } else { number }
}

/// A message as C gave it.
///
/// # Safety
/// As mgos_mqtt_conn_publish(), for as long as the result is used.
pub(in crate::capi) unsafe fn read<'a>(
    handle: &Handle,
    message: *const mgos_mqtt_publication,
    array: &'a mut Array<'a>,
) -> Result<(Publication<'a>, Option<Listener>), Code> {
    // SAFETY: promised by the caller.
    let message = unsafe { sized::read(message) }?;
    // SAFETY: promised by the caller.
    let topic = unsafe { topic(message.topic) }.map_err(|code| wrong_text("topic", code))?;
    // SAFETY: promised by the caller.
    unsafe { read_rest(handle, &message, topic, array) }
}

/// The same for a response, whose topic is given.
///
/// # Safety
/// As [`read`].
pub(in crate::capi) unsafe fn read_reply<'a>(
    handle: &Handle,
    message: *const mgos_mqtt_publication,
    topic: &'a str,
    array: &'a mut Array<'a>,
) -> Result<(Publication<'a>, Option<Listener>), Code> {
    // SAFETY: promised by the caller.
    let message = unsafe { sized::read(message) }?;
    if !message.topic.is_null() {
        return Err(refuse(
            Code::BadArgument,
            "topic",
            "not NULL",
            "NULL: the request says where its response goes",
        ));
    }
    // SAFETY: promised by the caller.
    unsafe { read_rest(handle, &message, topic.into(), array) }
}

/// # Safety
/// As [`read`].
unsafe fn read_rest<'a>(
    handle: &Handle,
    message: &mgos_mqtt_publication,
    topic: Topic<'a>,
    array: &'a mut Array<'a>,
) -> Result<(Publication<'a>, Option<Listener>), Code> {
    // SAFETY: promised by the caller.
    let payload = unsafe { memory!(message.payload, payload_len).get() }?.unwrap_or_default();
    let qos = field!(message.qos).qos()?;
    // SAFETY: promised by the caller.
    *array = unsafe { properties::read(message.properties, message.num_properties, PUBLISH, PLAIN) }?;
    let properties = Properties::from_foreign(array);
    let alias = message.topic_alias;
    if alias != 0 && !handle.conn()?.speaks_v5() {
        return Err(Code::NeedsV5);
    }
    let now = || Ok(handle.conn()?.context().driver.now());
    let expires = match message.expires_ms {
        0 => None,
        ms => Some(now()? + Span::millis(u64::from(ms))),
    };
    let listener = message.done.map(|done| listener(handle, done, message.ud));
    Ok((
        Publication {
            retain: message.retain,
            expires,
            properties,
            alias,
            ..Publication::of(topic, payload, qos)
        },
        listener,
    ))
}

/// The `done` of a message or a request.
pub(in crate::capi) fn listener(
    handle: &Handle,
    done: unsafe extern "C" fn(*mut mgos_mqtt_conn, *const mgos_mqtt_event, *mut c_void),
    ud: *mut c_void,
) -> Listener {
    let owner = core::ptr::from_ref(handle).cast_mut().cast();
    Listener::new(tell, [done as *const () as *mut (), ud.cast(), owner])
}

/// Calls the `done` of a message or a request.
pub(in crate::capi) fn tell(_: &Conn, event: &Event<'_>, [done, ud, owner]: RawArgs) {
    type Done = unsafe extern "C" fn(*mut mgos_mqtt_conn, *const mgos_mqtt_event, *mut c_void);
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

/// Where a token is to be stored. A cell, since a callback on another thread may read it before the call returns.
///
/// # Safety
/// `token` is NULL or valid for `'a`.
pub(in crate::capi) unsafe fn cell<'a>(token: *mut u64) -> Option<&'a Cell<u64>> {
    // SAFETY: promised by the caller; a cell is laid out as what is in it.
    unsafe { token.cast::<Cell<u64>>().as_ref() }
}
