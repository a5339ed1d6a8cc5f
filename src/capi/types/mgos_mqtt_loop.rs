//! The types of `mgos_mqtt_loop.h`.

use core::ffi::{c_char, c_int, c_void};

/// A loop. Opaque.
pub struct mgos_mqtt_loop(());

/// Receives a log record: its level (MGOS_MQTT_LOG_*), the number that the connection was created with,
/// and a line without a line break. `text` is valid until the function returns, and never contains
/// secrets.
pub type mgos_mqtt_log_fn_t =
    Option<unsafe extern "C" fn(level: c_int, conn_id: c_int, text: *const c_char, ud: *mut c_void)>;

/// Takes user data back: called once, after the last call of the callback that it was given for, with
/// no lock held. Often just free(). For the thread see above.
pub type mgos_mqtt_ud_free_fn_t = Option<unsafe extern "C" fn(ud: *mut c_void)>;

/// No log.
pub const MGOS_MQTT_LOG_OFF: c_int = -1;

/// Something does not work.
pub const MGOS_MQTT_LOG_ERROR: c_int = 0;

/// Something works, but perhaps not as intended.
pub const MGOS_MQTT_LOG_WARN: c_int = 1;

/// Connections come up and go down.
pub const MGOS_MQTT_LOG_INFO: c_int = 2;

/// Each packet, each step of connecting; see mgos_mqtt_log.h.
pub const MGOS_MQTT_LOG_DEBUG: c_int = 3;
