//! The types of `mgos_mqtt_error.h`.

use core::ffi::{CStr, c_int};

use crate::capi::base::sized::Growing;
use crate::error::Code;

/// The phase of a connection in which an error happened.
pub const MGOS_MQTT_PHASE_NONE: c_int = 0;

/// A call's own arguments, or the configuration.
pub const MGOS_MQTT_PHASE_USAGE: c_int = 1;

/// Name resolution.
pub const MGOS_MQTT_PHASE_DNS: c_int = 2;

/// Opening the TCP connection.
pub const MGOS_MQTT_PHASE_TCP: c_int = 3;

/// An HTTP or SOCKS proxy.
pub const MGOS_MQTT_PHASE_PROXY: c_int = 4;

/// The TLS handshake.
pub const MGOS_MQTT_PHASE_TLS: c_int = 5;

/// The WebSocket upgrade.
pub const MGOS_MQTT_PHASE_WEBSOCKET: c_int = 6;

/// CONNECT was sent, CONNACK is awaited.
pub const MGOS_MQTT_PHASE_CONNECT: c_int = 7;

/// The connection was up and the server went silent.
pub const MGOS_MQTT_PHASE_KEEP_ALIVE: c_int = 8;

/// The connection was up, and what the server said was wrong.
pub const MGOS_MQTT_PHASE_PROTOCOL: c_int = 9;

/// The message store.
pub const MGOS_MQTT_PHASE_STORE: c_int = 10;

/// The connection was up, and was lost.
pub const MGOS_MQTT_PHASE_UP: c_int = 11;

/// The last error of a connection's link.
#[repr(C)]
pub struct mgos_mqtt_error_info {
    /// `sizeof(struct mgos_mqtt_error_info)`, as mgos_mqtt_error_info_init() sets it.
    pub size: usize,
    /// MGOS_MQTT_OK, or a negative number.
    pub code: c_int,
    /// MGOS_MQTT_PHASE_*.
    pub phase: c_int,
    /// The errno of the operating system, or 0.
    pub os_errno: c_int,
    /// The CONNACK return code as the server sent it, or -1 if none came.
    pub connack: c_int,
    /// The number of the TLS alert that the server sent (RFC 8446, section 6), or -1 if none came.
    pub tls_alert: c_int,
    /// MQTT 5.0: the reason code of the server's DISCONNECT or refusing CONNACK (mgos_mqtt_reason.h), or -1 if none came.
    pub reason: c_int,
}

// SAFETY: plain numbers; code and phase were there from the beginning.
unsafe impl Growing for mgos_mqtt_error_info {
    const NAME: &'static str = "mgos_mqtt_error_info";
    const FIRST: usize = core::mem::offset_of!(mgos_mqtt_error_info, os_errno);
}

pub(in crate::capi) const UNKNOWN: &CStr = c"unknown error number";

/// The text of the header's error enumeration, from the one table in `src/error.rs`.
pub fn error_enum_text() -> String {
    let mut text = String::from(
        "/* What went wrong: 0 is success, everything else is negative. */\nenum mgos_mqtt_error {\n",
    );
    for code in Code::ALL {
        text += &format!("  /* {} */\n  MGOS_MQTT_{} = {},\n", code.text(), code.name(), code.number());
    }
    // Without the comma, which C89 and pedantic compilers do not like.
    text.truncate(text.trim_end().len() - 1);
    text + "\n};"
}
