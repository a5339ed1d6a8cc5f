//! The types of `mgos_mqtt_conn.h`.

use core::ffi::{c_char, c_int, c_void};

use crate::capi::types::mgos_mongoose::{mg_connection, mg_send_mqtt_handshake_opts};

/// A connection. Opaque.
pub struct mgos_mqtt_conn(());

/// QoS 0: sent once; may be lost.
pub const MGOS_MQTT_AT_MOST_ONCE: c_int = 0;

/// QoS 1: sent until the server has acknowledged it; may arrive twice.
pub const MGOS_MQTT_AT_LEAST_ONCE: c_int = 1;

/// QoS 2: arrives exactly once.
pub const MGOS_MQTT_EXACTLY_ONCE: c_int = 2;

/// The connect hook. It is called before every CONNECT and has to send that itself with mg_send_mqtt_handshake_opt(nc,
/// client_id, *opts): at once, or later from any thread until the CONNACK time-out. It may change `*opts` and pass
/// another client id, or give the attempt up with `nc->flags |= MG_F_CLOSE_IMMEDIATELY`. If it does neither in time,
/// the attempt fails with MGOS_MQTT_HOOK_TIMEOUT; if what it sends is refused, the attempt ends at once.
///
/// `client_id` and `opts` are what the configuration says. `*opts` is valid until the hook returns, its strings and
/// `client_id` until the attempt is over. An answer that comes after that cannot be told from one for the next attempt:
/// to answer from another thread, use mgos_mqtt_conn_set_credentials_fn() of mgos_mqtt_connect.h, whose answers name
/// their attempt.
pub type mgos_mqtt_connect_fn_t = Option<
    unsafe extern "C" fn(
        nc: *mut mg_connection,
        client_id: *const c_char,
        opts: *mut mg_send_mqtt_handshake_opts,
        fn_arg: *mut c_void,
    ),
>;
