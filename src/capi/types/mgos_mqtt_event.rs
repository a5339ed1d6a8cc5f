//! The types of `mgos_mqtt_event.h`.

use core::ffi::{c_int, c_void};

use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::client::Kind;

/// An event. Opaque.
pub struct mgos_mqtt_event(());

/// A handler of events. It runs on the thread that drives the loop, with no lock held, and may call every
/// function of the library except those that poll or wait: see the table in mgos_mqtt_loop.h.
pub type mgos_mqtt_event_fn_t =
    Option<unsafe extern "C" fn(c: *mut mgos_mqtt_conn, ev: *const mgos_mqtt_event, ud: *mut c_void)>;

/// An attempt to connect begins.
pub const MGOS_MQTT_EV_CONNECTING: u32 = 1 << 2;

/// An attempt ended, automatic or not: mgos_mqtt_event_error() is 0 if the connection is up now.
/// Comes exactly once for each attempt.
pub const MGOS_MQTT_EV_CONNECT_RESULT: u32 = 1 << 3;

/// A connection that was up is closed; mgos_mqtt_event_error() tells why.
pub const MGOS_MQTT_EV_CLOSE: u32 = 1 << 14;

/// A message. For connection handlers: one that no subscription matched.
pub const MGOS_MQTT_EV_MESSAGE: u32 = 1 << 5;

/// A message over the receive limit was skipped and acknowledged: topic and size are there, the payload is not.
pub const MGOS_MQTT_EV_OVERSIZE: u32 = 1 << 6;

/// A message was refused too often (see mgos_mqtt_msg_refuse()) and is acknowledged now: mgos_mqtt_event_code() is the
/// last reason, everything else is as for MESSAGE. For connection handlers.
pub const MGOS_MQTT_EV_SET_ASIDE: u32 = 1 << 17;

/// The server closed the connection three times in a row after it was sent all of this message of ours, and before it
/// acknowledged anything sent after it: the message may be the reason. mgos_mqtt_event_topic(),
/// mgos_mqtt_event_token() and mgos_mqtt_event_packet_id() name the message, mgos_mqtt_event_attempt() is how many
/// times. It is sent again, unless `poison_after` of the options sets it aside: then this comes again, with
/// MGOS_MQTT_PUBLISH_REFUSED in mgos_mqtt_event_error(). For connection handlers.
pub const MGOS_MQTT_EV_POISON: u32 = 1 << 20;

/// The server answered a subscription: mgos_mqtt_event_code() is the granted QoS, or 0x80 and above.
pub const MGOS_MQTT_EV_SUBACK: u32 = 1 << 11;

/// The server answered an UNSUBSCRIBE.
pub const MGOS_MQTT_EV_UNSUBACK: u32 = 1 << 12;

/// A QoS 1 message arrived at the server.
pub const MGOS_MQTT_EV_PUBACK: u32 = 1 << 7;

/// A QoS 2 message was delivered exactly once.
pub const MGOS_MQTT_EV_PUBCOMP: u32 = 1 << 10;

/// How a publish ended; see mgos_mqtt_publish.h. Comes exactly once for each message that ends while the handler is
/// registered, unless the connection is freed before: then handlers are not called any more, but the `done` of a
/// message is.
pub const MGOS_MQTT_EV_OUTCOME: u32 = 1 << 15;

/// A certificate expires within `tls_expiry_days` of the options: mgos_mqtt_event_days() tells in how many
/// days, mgos_mqtt_event_certificate() whose it is. Comes when the connection comes up, and once a day while it
/// stays up.
pub const MGOS_MQTT_EV_TLS_EXPIRY: u32 = 1 << 16;

/// MQTT 5.0: the server took a step of enhanced authentication (AUTH): mgos_mqtt_event_code() is its reason code,
/// mgos_mqtt_event_property() gives its data. The answer is mgos_mqtt_conn_authenticate() of mgos_mqtt_connect.h; after
/// MGOS_MQTT_REASON_SUCCESS there is nothing more to answer. For connection handlers.
pub const MGOS_MQTT_EV_AUTH: u32 = 1 << 21;

/// The connection had something to do, or its tick came while it was idle (`poll_tick_ms` of the options); for the
/// global connection, in each iteration of the loop. An idle device wakes up for ticks only if a handler asks for
/// this event.
pub const MGOS_MQTT_EV_POLL: u32 = 1 << 0;

/// mgos_mqtt_event_certificate(): it is this client's.
pub const MGOS_MQTT_CERTIFICATE_CLIENT: c_int = 1;

/// mgos_mqtt_event_certificate(): it is the server's.
pub const MGOS_MQTT_CERTIFICATE_SERVER: c_int = 2;

/// Those that a handler of mgos_mqtt_conn_on() may ask for, and what they are in the client.
const KINDS: &[(u32, Kind)] = &[
    (MGOS_MQTT_EV_CONNECTING, Kind::Connecting),
    (MGOS_MQTT_EV_CONNECT_RESULT, Kind::ConnectResult),
    (MGOS_MQTT_EV_CLOSE, Kind::Close),
    (MGOS_MQTT_EV_MESSAGE, Kind::Message),
    (MGOS_MQTT_EV_OVERSIZE, Kind::Oversize),
    (MGOS_MQTT_EV_SET_ASIDE, Kind::SetAside),
    (MGOS_MQTT_EV_SUBACK, Kind::SubAck),
    (MGOS_MQTT_EV_UNSUBACK, Kind::UnsubAck),
    (MGOS_MQTT_EV_PUBACK, Kind::PubAck),
    (MGOS_MQTT_EV_PUBCOMP, Kind::PubComp),
    (MGOS_MQTT_EV_OUTCOME, Kind::Outcome),
    (MGOS_MQTT_EV_TLS_EXPIRY, Kind::Expiry),
    (MGOS_MQTT_EV_POISON, Kind::Poison),
    (MGOS_MQTT_EV_AUTH, Kind::Auth),
    (MGOS_MQTT_EV_POLL, Kind::Poll),
];

/// All of them. The header generation takes numbers only; that they are the client's is checked here.
pub(in crate::capi) const ALL_KINDS: u32 = {
    let (mut all, mut at) = (0, 0);
    while at < KINDS.len() {
        let (number, kind) = KINDS[at];
        assert!(number == kind.bit());
        all |= number;
        at += 1;
    }
    all
};
