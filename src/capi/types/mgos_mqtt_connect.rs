//! The types of `mgos_mqtt_connect.h`.

use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;

use crate::capi::base::sized::Growing;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
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
    pub valid_until: f64,
}

// SAFETY: plain numbers and pointers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_credentials {
    const NAME: &'static str = "mgos_mqtt_credentials";
    const FIRST: usize = size_of::<mgos_mqtt_credentials>();
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
}

// SAFETY: plain numbers; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_state {
    const NAME: &'static str = "mgos_mqtt_state";
    const FIRST: usize = offset_of!(mgos_mqtt_state, text);
}
