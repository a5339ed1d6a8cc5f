//! What the calls for one connection and those for the global connection have in common.

use core::ffi::{CStr, c_char, c_int};

use crate::capi::base::boundary::{self, text, timeout};
use crate::capi::bridge::callbacks::{SUBSCRIPTION_KINDS, UserData, event_handler, subscriber};
use crate::capi::bridge::handle::{Handle, drive_code};
use crate::capi::types::mgos_mongoose::mg_event_handler_t;
use crate::client::{Conn, Subscriber};
use crate::error::Code;
use crate::session::Publication;
use crate::wire::QoS;
use crate::wire::topic::{self, PlainTopic};

/// What is logged about an all-zero configuration, which is used as written.
pub(in crate::capi) const ALL_ZERO: &str = "the configuration is all zero, so the connection is disabled: \
                        call mgos_config_mqtt_set_defaults() first";

/// Waits until everything that the end of a connection brings has happened.
pub(in crate::capi) fn wait_until_gone(conn: &Conn, timeout_ms: c_int) -> Result<(), Code> {
    if conn.is_gone() || timeout_ms == 0 {
        return Ok(());
    }
    let driver = &conn.context().driver;
    let deadline = timeout(timeout_ms).map(|timeout| driver.now() + timeout);
    let gone = driver.wait(deadline, &mut || conn.is_gone()).map_err(drive_code)?;
    if gone || conn.is_gone() { Ok(()) } else { Err(Code::TimedOut) }
}

/// Publishes, for all functions of the C interface that do.
///
/// # Safety
/// `topic` is NULL or a C string.
pub(in crate::capi) unsafe fn publish(
    handle: &Handle,
    topic: *const c_char,
    payload: &[u8],
    qos: c_int,
    retain: bool,
) -> Result<u16, Code> {
    // SAFETY: promised by the caller.
    unsafe { publish_here(handle, topic, payload, qos, retain) }
}

/// [`publish`], inlined into its caller.
///
/// # Safety
/// `topic` is NULL or a C string.
#[inline(always)]
pub(in crate::capi) unsafe fn publish_here(
    handle: &Handle,
    topic: *const c_char,
    payload: &[u8],
    qos: c_int,
    retain: bool,
) -> Result<u16, Code> {
    // SAFETY: promised by the caller.
    let text = unsafe { boundary::unchecked_text(topic) }?;
    let conn = handle.found_conn();
    // Most topics are plain, and then need no further check.
    let Some(topic) = PlainTopic::of(text) else { return publish_unusual(conn, text, payload, qos, retain) };
    let qos = if qos == 0 { QoS::AtMostOnce } else { boundary::qos(qos)? };
    conn.publish_numbered(topic, payload, qos, retain)
}

/// The same for a topic that is not plain, or none.
///
/// Apart, so that the plain one is known to be valid where it is used.
#[cold]
#[inline(never)]
fn publish_unusual(conn: &Conn, topic: &CStr, payload: &[u8], qos: c_int, retain: bool) -> Result<u16, Code> {
    let topic = boundary::any_topic(topic)?;
    let message =
        Publication { retain, reserve_id: true, ..Publication::of(topic, payload, boundary::qos(qos)?) };
    conn.publish(message).map(|accepted| accepted.packet_id)
}

pub(in crate::capi) fn subscribe(
    owner: &Handle,
    filter: &str,
    qos: c_int,
    handler: mg_event_handler_t,
    data: UserData,
) -> Result<(), Code> {
    let qos = boundary::qos(qos).inspect_err(|_| data.disarm())?;
    let conn = owner.conn().inspect_err(|_| data.disarm())?;
    let Subscriber { identity, kinds, callback } =
        subscriber(handler, SUBSCRIPTION_KINDS, data, |f, data| event_handler(owner, f, data))?;
    conn.subscribe(filter, qos, identity, kinds, callback)
}

/// # Safety
/// `topic` is NULL or a C string.
pub(in crate::capi) unsafe fn unsubscribe(handle: &Handle, topic: *const c_char) -> Result<bool, Code> {
    // SAFETY: promised by the caller.
    let filter = unsafe { text(topic) }?;
    topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
    if handle.conn()?.unsubscribe(filter, None)? { Ok(true) } else { Err(Code::NotFound) }
}
