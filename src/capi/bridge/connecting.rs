//! Wills, credentials and reasons for the calls that connect.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{self, bytes, explain, optional, status, text};
use crate::capi::base::field::refuse;
use crate::capi::base::sized;
use crate::capi::bridge::callbacks::{UserData, new_event_handler};
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties::{self, PLAIN};
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_connect::{
    mgos_mqtt_auth, mgos_mqtt_credentials, mgos_mqtt_disconnect, mgos_mqtt_server_info,
};
use crate::capi::types::mgos_mqtt_event::mgos_mqtt_event_fn_t;
use crate::client::{Conn, Credentials, Slot};
use crate::config::{Secret, Will, http_headers, is_request_target};
use crate::error::Code;
use crate::wire::{Carrier, PacketType, Properties, PropertyBlock, PropertyId, Version, reason, topic};

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
        let conn = handle.conn().inspect_err(|_| data.disarm())?;
        let callback = match function {
            Some(_) => Some(new_event_handler(&handle, function, data)?.1),
            // The function is not kept, so `ud` is not needed any more.
            None => {
                data.disarm();
                None
            }
        };
        conn.set_slot(slot, callback)
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
    for (field, len) in [
        ("user", user.as_ref().map_or(0, String::len)),
        ("password_len", read.password_len),
        ("auth_data_len", read.auth_data_len),
    ] {
        if len > LONGEST {
            explain(format_args!("{field}: {len} bytes are more than the {LONGEST} that CONNECT can carry"));
            return Err(Code::TooLarge);
        }
    }
    // SAFETY: promised by the caller.
    let password = unsafe { bytes(read.password.cast(), read.password_len) }?;
    let password = (!read.password.is_null()).then(|| Secret(password.to_vec()));
    // SAFETY: promised by the caller.
    let data = unsafe { bytes(read.auth_data.cast(), read.auth_data_len) }?;
    let auth_data = (!read.auth_data.is_null()).then(|| Secret(data.to_vec()));
    // SAFETY: promised by the caller.
    let ws_path = unsafe { optional(read.ws_path) }?;
    if ws_path.is_some_and(|path| !is_request_target(path)) {
        explain(format_args!("ws_path has to begin with a slash, be visible ASCII and have no #"));
        return Err(Code::BadArgument);
    }
    // SAFETY: promised by the caller.
    let ws_headers = unsafe { optional(read.ws_headers) }?;
    if let Some(Err((line, why))) = ws_headers.map(http_headers::check) {
        explain(format_args!("ws_headers: line {line} {why}"));
        return Err(Code::BadArgument);
    }
    let secret = |text: Option<&str>| text.map(|text| Secret(text.to_owned()));
    let (ws_path, ws_headers) = (secret(ws_path), secret(ws_headers));
    Ok(Credentials { user, password, valid_until: read.valid_until, auth_data, ws_path, ws_headers })
}

/// # Safety
/// As mgos_mqtt_conn_disconnect_with().
pub(in crate::capi) unsafe fn read_disconnect(
    how: *const mgos_mqtt_disconnect,
) -> Result<(u8, PropertyBlock), Code> {
    // SAFETY: promised by the caller.
    let how = unsafe { sized::read(how) }?;
    let reason = u8::try_from(how.reason).ok().filter(|code| reason::valid(PacketType::Disconnect, *code));
    let reason = reason.ok_or_else(|| {
        refuse(
            Code::BadArgument,
            "reason",
            how.reason,
            "those that DISCONNECT can carry (MQTT 5.0 §3.14.2.1)",
        )
    })?;
    let carrier = Carrier::Packet(PacketType::Disconnect);
    // SAFETY: promised by the caller.
    let block = unsafe { properties::block(how.properties, how.num_properties, carrier, PLAIN) }?;
    Ok((reason, block))
}

/// The attempt, the reason code and the properties.
///
/// # Safety
/// As mgos_mqtt_conn_authenticate().
pub(in crate::capi) unsafe fn read_auth(
    auth: *const mgos_mqtt_auth,
) -> Result<(u64, u8, PropertyBlock), Code> {
    // SAFETY: promised by the caller.
    let auth = unsafe { sized::read(auth) }?;
    let reason = match u8::try_from(auth.reason) {
        Ok(reason @ (reason::CONTINUE_AUTHENTICATION | reason::REAUTHENTICATE)) => reason,
        _ => {
            let allowed = "24 (continue authentication) and 25 (re-authenticate)";
            return Err(refuse(Code::BadArgument, "reason", auth.reason, allowed));
        }
    };
    let carrier = Carrier::Packet(PacketType::Auth);
    // SAFETY: promised by the caller.
    let block = unsafe { properties::block(auth.properties, auth.num_properties, carrier, PLAIN) }?;
    Ok((auth.attempt, reason, block))
}

/// What CONNACK said, and what holds where it said nothing.
pub(in crate::capi) fn server_info(version: Version, connack: Properties<'_>) -> mgos_mqtt_server_info {
    let number = |id| connack.number(id);
    let flag = |id, default| number(id).map_or(default, |value| value != 0);
    let five = version == Version::V5;
    let int = |value: u32| c_int::try_from(value).unwrap_or(c_int::MAX);
    mgos_mqtt_server_info {
        size: 0,
        protocol_version: version as c_int,
        keep_alive: number(PropertyId::ServerKeepAlive).map_or(-1, int),
        session_expiry: number(PropertyId::SessionExpiryInterval).map_or(-1, i64::from),
        maximum_packet_size: number(PropertyId::MaximumPacketSize).unwrap_or(0),
        receive_maximum: int(number(PropertyId::ReceiveMaximum).unwrap_or(u16::MAX.into())),
        topic_alias_maximum: int(number(PropertyId::TopicAliasMaximum).unwrap_or(0)),
        maximum_qos: int(number(PropertyId::MaximumQoS).unwrap_or(2)),
        retain_available: flag(PropertyId::RetainAvailable, true),
        wildcards_available: flag(PropertyId::WildcardSubscriptionAvailable, true),
        subscription_identifiers_available: flag(PropertyId::SubscriptionIdentifierAvailable, five),
        shared_subscriptions_available: flag(PropertyId::SharedSubscriptionAvailable, true),
        client_id: fixed(connack.text(PropertyId::AssignedClientIdentifier).unwrap_or_default()),
        response_information: fixed(connack.text(PropertyId::ResponseInformation).unwrap_or_default()),
    }
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
