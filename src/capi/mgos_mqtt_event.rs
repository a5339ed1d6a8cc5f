//! The library's own events, for everything that handlers of Mongoose do not learn: each attempt to connect
//! and how it ended, the retain and duplicate flags of a message, the result of each subscription, why a
//! connection was lost.
//!
//! An event is opaque and read through functions; for a value that it does not have they return 0, -1 or NULL,
//! as each function says. Events and everything they point to are valid until the handler returns.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::base::boundary::{status, text};
use crate::capi::base::field::refuse;
use crate::capi::bridge::callbacks::{UserData, identity, new_event_handler};
use crate::capi::bridge::events::{SUBSCRIPTION_KINDS, message, read, subscribe};
use crate::capi::bridge::filters::subscription_of;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::properties;
use crate::capi::bridge::publication::outcome_number;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_event::{
    ALL_KINDS, MGOS_MQTT_CERTIFICATE_CLIENT, MGOS_MQTT_CERTIFICATE_SERVER, MGOS_MQTT_EV_MESSAGE,
    mgos_mqtt_event, mgos_mqtt_event_fn_t,
};
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_ud_free_fn_t;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;
use crate::client::{Event, Owner};
use crate::error::Code;
use crate::session::{Completion, Outcome};

/// Adds a handler for events of a connection: those whose MGOS_MQTT_EV_* are in `kinds`.
///
/// Handlers are called newest first; one that is added during an event does not see that event. `ud` is
/// passed to it; `ud_free`, if not NULL, takes it back after the last call. Returns 0; on an error `ud`
/// stays yours. The global connection is mgos_mqtt_global().
///
/// # Safety
/// `c` is NULL or a living connection; the functions can be called with `ud`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_on(
    c: *mut mgos_mqtt_conn,
    kinds: u32,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        if kinds == 0 || kinds & !ALL_KINDS != 0 {
            let allowed = format_args!("one or more of MGOS_MQTT_EV_*, {ALL_KINDS:#x} in all");
            return Err(refuse(Code::BadArgument, "kinds", format_args!("{kinds:#x}"), allowed));
        }
        let conn = handle.conn()?;
        let (identity, callback) = new_event_handler(&handle, r#fn, UserData::new(ud, ud_free))?;
        conn.add_handler(identity, kinds, callback)
    })
}

/// Removes the newest handler that was added with this function and argument. After this returns it is not
/// called any more, though it may still be running on another thread; `ud_free` runs after its last call.
///
/// Returns 0, or MGOS_MQTT_NOT_FOUND.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_off(
    c: *mut mgos_mqtt_conn,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let function = r#fn.ok_or(Code::NullArgument)?;
        let removed = handle.conn()?.remove_handler(identity(function as *const (), ud));
        if removed { Ok(()) } else { Err(Code::NotFound) }
    })
}

/// Subscribes: now if the connection is up, and after every CONNACK until mgos_mqtt_conn_unsubscribe(). The
/// handler gets MESSAGE, SUBACK, CLOSE, and PUBACK and PUBCOMP for this connection's own messages whose
/// topic matches.
///
/// For messages alone there is mgos_mqtt_conn_subscribe_messages(). With NULL for `fn` the messages go to the
/// connection's handlers and to the function of mgos_mqtt_conn_on_message().
///
/// `filter` and `qos` are as in MQTT; the filter is copied. With MQTT 5.0 the QoS may have MGOS_MQTT_SUBSCRIBE_* of
/// mgos_mqtt_subscribe.h beside it; for more there is mgos_mqtt_conn_subscribe_with(). Subscribing twice with the same filter,
/// function and argument makes one subscription. Returns 0; on an error `ud` stays yours.
///
/// # Safety
/// `c` is NULL or a living connection, `filter` NULL or a C string; the functions can be called with `ud`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_subscribe(
    c: *mut mgos_mqtt_conn,
    filter: *const c_char,
    qos: c_int,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    // SAFETY: promised by the caller.
    status(|| unsafe { subscribe(c, filter, qos, SUBSCRIPTION_KINDS, r#fn, (ud, ud_free)) })
}

/// As mgos_mqtt_conn_subscribe(), for a handler that gets MESSAGE and nothing else: its events always have a topic and
/// a payload.
///
/// # Safety
/// As mgos_mqtt_conn_subscribe().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_subscribe_messages(
    c: *mut mgos_mqtt_conn,
    filter: *const c_char,
    qos: c_int,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    // SAFETY: promised by the caller.
    status(|| unsafe { subscribe(c, filter, qos, MGOS_MQTT_EV_MESSAGE, r#fn, (ud, ud_free)) })
}

/// Ends a subscription made with this filter, function and argument. The server is told when it was the filter's
/// last one. Returns 0, or MGOS_MQTT_NOT_FOUND. Works with and without a connection. For a filter that nobody has
/// subscribed to since the connection was made, see mgos_mqtt_conn_unsub().
///
/// # Safety
/// `c` is NULL or a living connection, `filter` NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_unsubscribe(
    c: *mut mgos_mqtt_conn,
    filter: *const c_char,
    r#fn: mgos_mqtt_event_fn_t,
    ud: *mut c_void,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let filter = unsafe { text(filter) }?;
        let found = handle.conn()?.unsubscribe(filter, Some(subscription_of(r#fn, ud)))?;
        if found { Ok(()) } else { Err(Code::NotFound) }
    })
}

/// Which event it is: one MGOS_MQTT_EV_*; 0 for NULL.
///
/// # Safety
/// `ev` is NULL or the event of a handler that has not returned, as for all functions below.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_kind(ev: *const mgos_mqtt_event) -> u32 {
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, |event| Some(event.kind().bit())) }
}

/// The topic name, or the filter of a SUBACK. Not NUL-terminated: its length goes to `*len`, if `len` is not
/// NULL. NULL and 0 without one.
///
/// # Safety
/// See mgos_mqtt_event_kind(); `len` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_topic(ev: *const mgos_mqtt_event, len: *mut usize) -> *const c_char {
    let get = |event: &Event<'_>| match event {
        Event::Oversize { topic, .. } | Event::Poison { topic, .. } => Some((topic.as_ptr(), topic.len())),
        Event::SubAck { filter: Some(filter), .. } => Some((filter.as_ptr(), filter.len())),
        Event::PubAck(_, Some(topic), _) | Event::PubComp(_, Some(topic), _) => {
            Some((topic.as_bytes().as_ptr(), topic.as_bytes().len()))
        }
        event => {
            message(event).map(|message| (message.topic.as_bytes().as_ptr(), message.topic.as_bytes().len()))
        }
    };
    // SAFETY: promised by the caller.
    let (start, n) = unsafe { read(ev, (core::ptr::null(), 0), get) };
    // SAFETY: NULL or valid, as the caller promises.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = n;
    }
    start.cast()
}

/// The payload of a message; one NUL byte follows it, which is not counted. Its length goes to `*len`, if `len` is not
/// NULL. Never NULL: an event without a payload has an empty one. That includes OVERSIZE; mgos_mqtt_event_size() says
/// how large its payload was.
///
/// # Safety
/// See mgos_mqtt_event_kind(); `len` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_payload(
    ev: *const mgos_mqtt_event,
    len: *mut usize,
) -> *const c_void {
    let get =
        |event: &Event<'_>| message(event).map(|message| (message.payload.as_ptr(), message.payload.len()));
    // SAFETY: promised by the caller.
    let (start, n) = unsafe { read(ev, (c"".as_ptr().cast(), 0), get) };
    // SAFETY: NULL or valid, as the caller promises.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = n;
    }
    start.cast()
}

/// The quality of service of a message; -1 without one.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_qos(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::Oversize { qos, .. } => Some(*qos as c_int),
        event => message(event).map(|message| message.qos as c_int),
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, -1, get) }
}

/// Whether the server had the message retained (MQTT 3.1.1, section 3.3.1.3).
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_retain(ev: *const mgos_mqtt_event) -> bool {
    // SAFETY: promised by the caller.
    unsafe { read(ev, false, |event| message(event).map(|message| message.retain)) }
}

/// Whether the message may have been delivered before (MQTT 3.1.1, section 3.3.1.1).
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_dup(ev: *const mgos_mqtt_event) -> bool {
    // SAFETY: promised by the caller.
    unsafe { read(ev, false, |event| message(event).map(|message| message.dup)) }
}

/// The size of a message's payload as the server sent it. It is more than the payload's length if the message was over
/// the receive limit and only its beginning is delivered, see `oversize_keep` in mgos_mqtt_options.h; it was
/// acknowledged all the same, or will be. 0 without one.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_size(ev: *const mgos_mqtt_event) -> usize {
    let get = |event: &Event<'_>| match event {
        Event::Oversize { size, .. } => Some(*size),
        event => message(event).map(|message| message.size),
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// 1 for a message that was not refused before, and one more each time it is delivered again after a
/// refusal; see mgos_mqtt_msg_refuse(). For POISON, how often the server has closed the connection. 0 for
/// other events.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_attempt(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::Poison { closes, .. } => c_int::try_from(*closes).ok(),
        event => message(event).and_then(|message| c_int::try_from(message.attempt).ok()),
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// The number of the attempt that a CONNECT_RESULT or an AUTH is about, as the credentials function was given it (see
/// mgos_mqtt_conn_set_credentials_fn() in mgos_mqtt_connect.h), and as mgos_mqtt_conn_authenticate() takes it; 0 for other
/// events.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_attempt_number(ev: *const mgos_mqtt_event) -> u64 {
    let get = |event: &Event<'_>| match event {
        Event::ConnectResult { attempt, .. } | Event::Auth { attempt, .. } => Some(*attempt),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// The version of MQTT that the CONNECT of a CONNECT_RESULT asked for, MGOS_MQTT_PROTOCOL_*: if there is no error, that is what
/// was settled with the server. 0 if no CONNECT was sent, and for other events.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_protocol_version(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::ConnectResult { version, .. } => version.map(|version| version as c_int),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// The packet id of a message, SUBACK, UNSUBACK, PUBACK, PUBCOMP or OUTCOME; 0 without one.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_packet_id(ev: *const mgos_mqtt_event) -> u16 {
    let get = |event: &Event<'_>| match event {
        Event::PubAck(ack, ..) | Event::PubComp(ack, ..) => Some(ack.packet_id),
        Event::SubAck { packet_id, .. } | Event::UnsubAck(packet_id, _) => Some(*packet_id),
        Event::Outcome(ended) => Some(ended.packet_id),
        Event::Poison { packet_id, .. } => Some(*packet_id),
        event => message(event).map(|message| message.packet_id),
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// The server's code as it sent it: that of CONNACK for CONNECT_RESULT, that of one filter for SUBACK, the reason for
/// an OUTCOME that is a rejection. With MQTT 5.0 also the reason of PUBACK and PUBCOMP, if it is not 0, that of the server's
/// DISCONNECT for CLOSE, and that of AUTH. For SET_ASIDE, the handler's reason. -1 if none came. The reasons of MQTT 5.0 are
/// in mgos_mqtt_reason.h.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_code(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::ConnectResult { connack, .. } => connack.map(c_int::from),
        Event::SubAck { codes, .. } => codes.first().map(|code| c_int::from(*code)),
        Event::SetAside(_, reason) => Some(c_int::from(*reason)),
        // In MQTT 3.x there is none.
        Event::PubAck(ack, ..) | Event::PubComp(ack, ..) if ack.reason > 0 => Some(c_int::from(ack.reason)),
        Event::Auth { reason, .. } => Some(c_int::from(*reason)),
        Event::Response { reason, .. } => reason.map(c_int::from),
        Event::Close(report) => report.reason.map(c_int::from),
        Event::Outcome(Completion { outcome: Outcome::Rejected(reason), .. }) => Some(c_int::from(*reason)),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, -1, get) }
}

/// Why an attempt failed, a connection was closed, a message did not arrive or a call got no answer: MGOS_MQTT_*; 0 for
/// success and for other events. mgos_mqtt_conn_last_error() has more, with a sentence.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_error(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::ConnectResult { error, .. } => Some(error.number()),
        Event::Close(report) => Some(report.code.number()),
        Event::Subscribed(results) | Event::Unsubscribed(results) => Some(results.error.number()),
        Event::Outcome(ended) => Some(ended.outcome.code().number()),
        Event::Response { error, .. } => Some(error.number()),
        Event::Poison { set_aside: true, .. } => Some(Code::PublishRefused.number()),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// The token of the message that ended, or that PUBACK or PUBCOMP is about; 0 without one.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_token(ev: *const mgos_mqtt_event) -> u64 {
    let get = |event: &Event<'_>| match event {
        Event::Outcome(ended) => Some(ended.token),
        Event::Poison { token, .. } => Some(*token),
        Event::PubAck(ack, ..) | Event::PubComp(ack, ..) => ack.token,
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// How the message ended: MGOS_MQTT_OUTCOME_* of mgos_mqtt_publish.h; 0 for other events.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_outcome(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::Outcome(ended) => Some(outcome_number(ended.outcome)),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// The properties of the packet that the event is about, one after the other, in their order (MQTT 5.0, section 2.2.2):
/// those of CONNACK for CONNECT_RESULT, of the server's DISCONNECT for CLOSE, of the packet itself for MESSAGE, SET_ASIDE,
/// SUBACK, UNSUBACK, PUBACK and PUBCOMP. `*cursor` is 0 for the first one, and is moved behind what was read:
///
///     struct mgos_mqtt_property property;
///     size_t cursor = 0;
///     while (mgos_mqtt_event_property(ev, &cursor, &property)) {
///       if (property.id == MGOS_MQTT_PROPERTY_CONTENT_TYPE) {
///         printf("%.*s\n", (int) property.value_len, (const char *) property.value);
///       }
///     }
///
/// Returns false, and a property with the id 0, when there are no more; that is always so before MQTT 5.0. Nothing is
/// copied: what the property points to is valid until the handler returns, and ends with no NUL byte.
///
/// # Safety
/// See mgos_mqtt_event_kind(); `cursor` and `out` are NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_property(
    ev: *const mgos_mqtt_event,
    cursor: *mut usize,
    out: *mut mgos_mqtt_property,
) -> bool {
    // SAFETY: promised by the caller.
    let get = |event: &Event<'_>| Some(unsafe { properties::next(event.properties(), cursor, out) });
    // SAFETY: promised by the caller.
    unsafe { read(ev, false, get) }
}

/// Whether the server had kept the session (MQTT 3.1.1, section 3.2.2.2); for CONNECT_RESULT.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_session_present(ev: *const mgos_mqtt_event) -> bool {
    let get = |event: &Event<'_>| match event {
        Event::ConnectResult { session_present, .. } => Some(*session_present),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, false, get) }
}

/// Whose certificate a TLS_EXPIRY is about: MGOS_MQTT_CERTIFICATE_CLIENT or _SERVER; 0 for other events.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_certificate(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::Expiry { owner: Owner::Client, .. } => Some(MGOS_MQTT_CERTIFICATE_CLIENT),
        Event::Expiry { owner: Owner::Server, .. } => Some(MGOS_MQTT_CERTIFICATE_SERVER),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}

/// In how many whole days the certificate of a TLS_EXPIRY expires: 0 on its last day, negative after that; 0 for
/// other events.
///
/// # Safety
/// See mgos_mqtt_event_kind().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_event_days(ev: *const mgos_mqtt_event) -> c_int {
    let get = |event: &Event<'_>| match event {
        Event::Expiry { days, .. } => Some(*days),
        _ => None,
    };
    // SAFETY: promised by the caller.
    unsafe { read(ev, 0, get) }
}
