//! Wills, credentials and reasons for the calls that connect.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{self, bytes, explain, optional, status, text};
use crate::capi::base::field::refuse;
use crate::capi::base::sized;
use crate::capi::bridge::callbacks::{UserData, new_event_handler};
use crate::capi::bridge::handle::Handle;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_connect::mgos_mqtt_credentials;
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use crate::client::{Conn, Credentials, Slot};
use crate::config::{Secret, Will};
use crate::error::Code;
use crate::wire::topic;

/// # Safety
/// As mgos_mqtt_conn_set_will().
pub(in crate::capi) unsafe fn will(
    topic: *const c_char,
    payload: *const c_void,
    len: usize,
    qos: c_int,
    retain: bool,
) -> Result<Will, Code> {
    // SAFETY: promised by the caller.
    let topic = unsafe { text(topic) }?;
    topic::valid_name(topic).map_err(|problem| {
        explain(format_args!("the will's topic is {topic:?}: {}", problem.text()));
        Code::BadTopic
    })?;
    let qos = boundary::qos(qos).map_err(|code| refuse(code, "qos", qos, "0, 1 and 2"))? as u8;
    if len > usize::from(u16::MAX) {
        explain(format_args!("the will has {len} bytes, and the limit of MQTT is {}", u16::MAX));
        return Err(Code::TooLarge);
    }
    // SAFETY: promised by the caller.
    let payload = unsafe { bytes(payload.cast(), len) }?;
    Ok(Will { topic: topic.into(), payload: payload.into(), qos, retain, ..Will::default() })
}

pub(in crate::capi) fn set_slot(
    c: *mut mgos_mqtt_conn,
    slot: Slot,
    function: mgos_mqtt_event_fn_t,
    data: UserData,
) -> c_int {
    status(|| {
        let handle = Handle::of(c).inspect_err(|_| data.disarm())?;
        let callback = match function {
            Some(_) => Some(new_event_handler(&handle, function, data)?.1),
            // The function is not kept, so `ud` is not needed any more.
            None => {
                data.disarm();
                None
            }
        };
        handle.conn()?.set_slot(slot, callback)
    })
}

/// # Safety
/// As mgos_mqtt_conn_answer(), and not NULL.
pub(in crate::capi) unsafe fn read_credentials(
    credentials: *const mgos_mqtt_credentials,
) -> Result<Credentials, Code> {
    // SAFETY: promised by the caller.
    let read = unsafe { sized::read(credentials) }?;
    // SAFETY: promised by the caller.
    let user = unsafe { optional(read.user) }?.map(str::to_owned);
    const LONGEST: usize = u16::MAX as usize;
    for (field, len) in [("user", user.as_ref().map_or(0, String::len)), ("password_len", read.password_len)]
    {
        if len > LONGEST {
            explain(format_args!("{field}: {len} bytes are more than the {LONGEST} that CONNECT can carry"));
            return Err(Code::TooLarge);
        }
    }
    // SAFETY: promised by the caller.
    let password = unsafe { bytes(read.password.cast(), read.password_len) }?;
    let password = (!read.password.is_null()).then(|| Secret(password.to_vec()));
    Ok(Credentials { user, password, valid_until: read.valid_until })
}

/// A C copy of `text`, cut between characters where it does not fit.
pub(in crate::capi) fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut copy = [0; N];
    let fits = (0..N.min(text.len() + 1)).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
    for (to, from) in copy.iter_mut().zip(&text.as_bytes()[..fits]) {
        *to = *from as c_char;
    }
    copy
}

/// Explains a wait that timed out: what did not come, and what the connection is doing. A call that only looks does
/// not wait.
pub(in crate::capi) fn say_what_is_missing<T>(
    conn: &Conn,
    timeout_ms: c_int,
    what: &str,
    waited: Result<T, Code>,
) -> Result<T, Code> {
    if timeout_ms != 0 && matches!(waited, Err(Code::TimedOut)) {
        explain(format_args!("{}: {what}; {}", Code::TimedOut.text(), conn.status().text()));
    }
    waited
}

/// Explains which of the reasons for [`Code::Disabled`] it is.
pub(in crate::capi) fn say_why_disabled(conn: &Conn, result: Result<(), Code>) -> Result<(), Code> {
    if result == Err(Code::Disabled)
        && let Some(why) = conn.why_disabled()
    {
        explain(format_args!("the connection is disabled: {why}"));
    }
    result
}
