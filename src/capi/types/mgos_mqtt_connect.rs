//! The types of `mgos_mqtt_connect.h`.

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;

use crate::capi::base::sized::Growing;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_property::mgos_mqtt_property;
use crate::client::Stage;

// -- credentials --------------------------------------------------------------------------------

/// Called for the credentials of an attempt, once the TCP connection (and TLS, if used) is established, on the thread
/// that drives the loop. It must not block: it answers with mgos_mqtt_conn_answer() and the same `attempt`, at once
/// or later from any thread, within the CONNACK time-out (`connack_timeout_ms` of the options). An attempt that is
/// not answered by then fails with MGOS_MQTT_HOOK_TIMEOUT.
pub type mgos_mqtt_credentials_fn_t =
    Option<unsafe extern "C" fn(c: *mut mgos_mqtt_conn, attempt: u64, ud: *mut c_void)>;

/// What goes into CONNECT instead of the user name and the password of the configuration.
///
///     struct mgos_mqtt_credentials credentials = mgos_mqtt_credentials_init();
///     credentials.user = "device-7";
#[repr(C)]
pub struct mgos_mqtt_credentials {
    /// `sizeof(struct mgos_mqtt_credentials)`.
    pub size: usize,
    /// The user name; NULL for none.
    pub user: *const c_char,
    /// The password, any bytes; NULL for none.
    pub password: *const c_void,
    /// Its length, at most 65,535.
    pub password_len: usize,
    /// Until when they are valid, in seconds since 1970: until then, later attempts at the same server use them without
    /// asking again, unless the server refuses them. 0: they are for this attempt only.
    ///
    /// A connection that is up gets new ones before that, when a tenth of the time is left, at most five minutes. If CONNECT
    /// had an authentication method (that of `properties`, or `authentication` of the options), the function is asked once
    /// more, with the number of the same attempt, and the answer goes out in AUTH; what comes of it is an MGOS_MQTT_EV_AUTH.
    /// Otherwise, and when the time is over, the connection is closed and opened at once, for which the function is asked:
    /// MGOS_MQTT_EV_CLOSE with MGOS_MQTT_CREDENTIALS_EXPIRED. As long as there is time, that waits until nothing is in
    /// flight.
    pub valid_until: f64,
    /// The AUTHENTICATION DATA of CONNECT and of the AUTH that renews it, instead of what `properties` of the options has;
    /// those must have an AUTHENTICATION METHOD (else MGOS_MQTT_BAD_PROPERTY). NULL for none.
    pub auth_data: *const c_void,
    /// Its length, at most 65,535.
    pub auth_data_len: usize,
    /// Over WebSocket: path and query of the request, instead of those of the server's address: a signed URL, for instance.
    /// It begins with a slash, is visible ASCII and has no #. NULL: those of the address. For a server that is not reached
    /// over WebSocket this and `ws_headers` mean nothing.
    pub ws_path: *const c_char,
    /// Over WebSocket: the further headers of the request, a token for instance, instead of `ws_headers` of the options and
    /// in the same form. NULL: those of the options.
    pub ws_headers: *const c_char,
}

// SAFETY: plain numbers and pointers, and no header ever had less than everything before the authentication data.
unsafe impl Growing for mgos_mqtt_credentials {
    const NAME: &'static str = "mgos_mqtt_credentials";
    const FIRST: usize = offset_of!(mgos_mqtt_credentials, auth_data);
}

// -- MQTT 5.0 -----------------------------------------------------------------------------------

/// How a connection ends, for mgos_mqtt_conn_disconnect_with(). Begin with mgos_mqtt_disconnect_init().
#[repr(C)]
pub struct mgos_mqtt_disconnect {
    /// `sizeof(struct mgos_mqtt_disconnect)`.
    pub size: usize,
    /// The reason code (MQTT 5.0, section 3.14.2.1): default MGOS_MQTT_REASON_NORMAL_DISCONNECTION. With
    /// MGOS_MQTT_REASON_DISCONNECT_WITH_WILL the server publishes the will.
    pub reason: c_int,
    /// The properties of DISCONNECT, see mgos_mqtt_property.h; NULL for none. A SESSION EXPIRY INTERVAL says how long the
    /// server is to keep the session from now on; it cannot be given if the session was to end with the connection.
    pub properties: *const mgos_mqtt_property,
    /// How many.
    pub num_properties: usize,
}

// SAFETY: plain numbers and pointers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_disconnect {
    const NAME: &'static str = "mgos_mqtt_disconnect";
    const FIRST: usize = size_of::<mgos_mqtt_disconnect>();
}

/// A step of enhanced authentication, for mgos_mqtt_conn_authenticate(). Begin with mgos_mqtt_auth_init().
#[repr(C)]
pub struct mgos_mqtt_auth {
    /// `sizeof(struct mgos_mqtt_auth)`.
    pub size: usize,
    /// The attempt that it is for, mgos_mqtt_event_attempt_number() of the event with the server's step: if that is over, it
    /// is not sent. 0: for the present one.
    pub attempt: u64,
    /// MGOS_MQTT_REASON_CONTINUE_AUTHENTICATION, the answer to the server's step; or MGOS_MQTT_REASON_REAUTHENTICATE, to begin
    /// anew on a connection that is up.
    pub reason: c_int,
    /// The properties of AUTH: the AUTHENTICATION METHOD that is among those of CONNECT, mostly AUTHENTICATION DATA.
    pub properties: *const mgos_mqtt_property,
    /// How many.
    pub num_properties: usize,
}

// SAFETY: plain numbers and pointers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_auth {
    const NAME: &'static str = "mgos_mqtt_auth";
    const FIRST: usize = size_of::<mgos_mqtt_auth>();
}

/// What was settled with the server: by its CONNACK (MQTT 5.0, section 3.2.2.3), or, where that says nothing and before MQTT
/// 5.0, by the specification. All texts are copies, ended with a NUL and cut where they do not fit.
#[repr(C)]
pub struct mgos_mqtt_server_info {
    /// `sizeof(struct mgos_mqtt_server_info)`, as mgos_mqtt_server_info_init() sets it.
    pub size: usize,
    /// The version that the connection speaks, MGOS_MQTT_PROTOCOL_*.
    pub protocol_version: c_int,
    /// The keep-alive that the server demands, in seconds; -1 if it leaves that to the client.
    pub keep_alive: c_int,
    /// How long the server keeps the session, in seconds; 0xFFFFFFFF is for ever, -1 is what CONNECT asked for.
    pub session_expiry: i64,
    /// The largest packet that it accepts, in bytes; 0 is without a limit.
    pub maximum_packet_size: u32,
    /// How many QoS 1 and 2 messages may be unacknowledged.
    pub receive_maximum: c_int,
    /// The highest topic alias that it accepts; 0 is none.
    pub topic_alias_maximum: c_int,
    /// Its highest QoS.
    pub maximum_qos: c_int,
    /// Whether it retains messages.
    pub retain_available: bool,
    /// Whether it accepts wildcards in filters.
    pub wildcards_available: bool,
    /// Whether it accepts subscription identifiers; never before MQTT 5.0.
    pub subscription_identifiers_available: bool,
    /// Whether it accepts shared subscriptions; before MQTT 5.0 that is not known, and true.
    pub shared_subscriptions_available: bool,
    /// The client id that it assigned; empty if it did not.
    pub client_id: [c_char; 256],
    /// Where response topics may begin, if that was asked for; else empty.
    pub response_information: [c_char; 256],
}

// SAFETY: plain numbers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_server_info {
    const NAME: &'static str = "mgos_mqtt_server_info";
    const FIRST: usize = size_of::<mgos_mqtt_server_info>();
}

// -- what it is doing ---------------------------------------------------------------------------

/// mgos_mqtt_conn_state(): the connection is down, and no attempt is planned; `text` says why.
pub const MGOS_MQTT_STATE_IDLE: c_int = 0;

/// It waits `wait_ms` for the next attempt.
pub const MGOS_MQTT_STATE_WAITING: c_int = 1;

/// It waits for the name service.
pub const MGOS_MQTT_STATE_RESOLVING: c_int = 2;

/// It opens the TCP connection to `address`.
pub const MGOS_MQTT_STATE_OPENING: c_int = 3;

/// It is in the TLS handshake.
pub const MGOS_MQTT_STATE_HANDSHAKING: c_int = 4;

/// A connect hook has to send CONNECT, or a credentials function to answer.
pub const MGOS_MQTT_STATE_AWAITING_HOOK: c_int = 5;

/// CONNECT was sent, and the server has not answered.
pub const MGOS_MQTT_STATE_AWAITING_CONNACK: c_int = 6;

/// It is up.
pub const MGOS_MQTT_STATE_UP: c_int = 7;

/// It is being closed in order.
pub const MGOS_MQTT_STATE_CLOSING: c_int = 8;

// The header generation takes numbers only; that they are the client's is checked here.
const _: () = {
    assert!(MGOS_MQTT_STATE_IDLE == Stage::Idle as c_int);
    assert!(MGOS_MQTT_STATE_WAITING == Stage::Waiting as c_int);
    assert!(MGOS_MQTT_STATE_RESOLVING == Stage::Resolving as c_int);
    assert!(MGOS_MQTT_STATE_OPENING == Stage::Opening as c_int);
    assert!(MGOS_MQTT_STATE_HANDSHAKING == Stage::Handshaking as c_int);
    assert!(MGOS_MQTT_STATE_AWAITING_HOOK == Stage::AwaitingHook as c_int);
    assert!(MGOS_MQTT_STATE_AWAITING_CONNACK == Stage::AwaitingConnack as c_int);
    assert!(MGOS_MQTT_STATE_UP == Stage::Up as c_int);
    assert!(MGOS_MQTT_STATE_CLOSING == Stage::Closing as c_int);
};

/// mgos_mqtt_network_changed(): a connection that is up asks whether it still is.
pub const MGOS_MQTT_NETWORK_PROBE: c_int = 0;
/// mgos_mqtt_network_changed(): a connection that is up is opened anew.
pub const MGOS_MQTT_NETWORK_RECONNECT: c_int = 1;

/// What a connection is doing. All texts are copies, ended with a NUL and cut where they do not fit.
#[repr(C)]
pub struct mgos_mqtt_state {
    /// `sizeof(struct mgos_mqtt_state)`, as mgos_mqtt_state_init() sets it.
    pub size: usize,
    /// MGOS_MQTT_STATE_*.
    pub state: c_int,
    /// WAITING: how many milliseconds are left; otherwise 0.
    pub wait_ms: u32,
    /// The number of the attempt under way or of the last one, from 1 on; 0 before the first.
    pub attempt: u64,
    /// The last error of the link, MGOS_MQTT_*; 0 if there was none. More is in mgos_mqtt_conn_last_error().
    pub error: c_int,
    /// Whether the application's last call asked for the connection to be up.
    pub wanted: bool,
    /// What it is doing and what it waits for, as a sentence.
    pub text: [c_char; 256],
    /// The address of the server, "192.0.2.1:1883"; empty as long as it is not known.
    pub address: [c_char; 64],
    /// The server as configured.
    pub server: [c_char; 256],
    /// The sentence of the last error.
    pub reason: [c_char; 512],
    /// UP: the version that was settled with the server, MGOS_MQTT_PROTOCOL_*; otherwise 0.
    pub protocol_version: c_int,
}

// SAFETY: plain numbers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_state {
    const NAME: &'static str = "mgos_mqtt_state";
    const FIRST: usize = offset_of!(mgos_mqtt_state, text);
}
