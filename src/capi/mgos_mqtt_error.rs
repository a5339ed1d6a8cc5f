//! Errors: numbers, names, sentences, and where they are kept.
//!
//! Every call keeps its own error for the thread that made it: mgos_mqtt_last_error() right after a call that
//! returned false, 0 or NULL tells why. What happens to a connection later (a name that cannot be resolved,
//! a refused CONNECT, a lost link) is kept by the connection: mgos_mqtt_conn_last_error().
//!
//! Numbers are never reused and never renumbered. They lie below -1000, so none can be taken for an errno
//! or for a return code of MQTT, which is kept beside them as the server sent it.

use core::ffi::{CStr, c_char, c_int};

use super::boundary::{call_error, copy_out, status};
use super::handle::Handle;
use super::mgos_mqtt_conn::mgos_mqtt_conn;
use super::sized::{self, Growing};
use crate::error::{Code, Phase};

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
    /// To be set by the caller to `sizeof(struct mgos_mqtt_error_info)`.
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
}

/// The error of the last call that this thread made into the library: MGOS_MQTT_OK (0) after success, otherwise
/// negative. This function and mgos_mqtt_strerror() do not change it.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_last_error() -> c_int {
    call_error()
}

/// A sentence about the error of the last call that this thread made, with what the number cannot say: which
/// field of a configuration, which place in a format string.
///
/// Written to `buf` as far as `len` bytes go, always with a NUL; returns the length of the whole text without
/// it. 0 after success.
///
/// # Safety
/// `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_last_error_text(buf: *mut c_char, len: usize) -> usize {
    // SAFETY: promised by the caller.
    super::boundary::with_error_text(|text| unsafe { copy_out(text, buf, len) })
}

/// A sentence about an error number, e.g. "the outgoing queue is full". Never NULL; the text belongs to the
/// library and lives as long as the process. An unknown number has a text that says so.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_strerror(code: c_int) -> *const c_char {
    Code::from_number(code).map_or(UNKNOWN, Code::c_text).as_ptr()
}

/// The name of an error number as the header writes it, e.g. "MGOS_MQTT_QUEUE_FULL". As
/// mgos_mqtt_strerror() otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_error_name(code: c_int) -> *const c_char {
    Code::from_number(code).map_or(UNKNOWN, Code::c_name).as_ptr()
}

const UNKNOWN: &CStr = c"unknown error number";

// SAFETY: plain numbers; code and phase were there from the beginning.
unsafe impl Growing for mgos_mqtt_error_info {
    const NAME: &'static str = "mgos_mqtt_error_info";
    const FIRST: usize = core::mem::offset_of!(mgos_mqtt_error_info, os_errno);
}

/// The last error of a connection's link, of a failed attempt as well as of a connection that was up.
/// `info->size` must be set; a smaller structure of an older header is filled as far as it goes.
///
/// Returns 0, or MGOS_MQTT_NULL_ARGUMENT, MGOS_MQTT_BAD_STRUCTURE. From any thread.
///
/// # Safety
/// `c` is NULL or a living connection; `info` is NULL or has `info->size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_last_error(
    c: *mut mgos_mqtt_conn,
    info: *mut mgos_mqtt_error_info,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let report = handle.conn()?.report();
        let full = mgos_mqtt_error_info {
            size: 0,
            code: report.code.number(),
            phase: report.phase as c_int,
            os_errno: report.os,
            connack: report.connack.map_or(-1, c_int::from),
            tls_alert: report.alert.map_or(-1, c_int::from),
        };
        // SAFETY: promised by the caller.
        unsafe { sized::write(info, full) }
    })
}

/// A sentence about the last error of a connection's link that a person can act on: what was tried, with
/// every address, and what the server or the system said. Secrets are not in it.
///
/// Written to `buf` as far as `len` bytes go, always with a NUL; returns the length of the whole text without
/// it, so that NULL and 0 ask for the size. 0 if there was no error. From any thread.
///
/// # Safety
/// `c` is NULL or a living connection; `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_last_error_text(
    c: *mut mgos_mqtt_conn,
    buf: *mut c_char,
    len: usize,
) -> usize {
    super::boundary::value(0, || {
        let handle = Handle::of(c)?;
        let report = handle.conn()?.report();
        // A report that was made without memory has no sentence of its own.
        let text = match report.code {
            code if report.text.is_empty() && code != Code::Ok => code.text(),
            _ => &report.text,
        };
        let text = match report.phase {
            Phase::None => text.to_owned(),
            phase => format!("{}: {text}", phase.name()),
        };
        // SAFETY: promised by the caller.
        Ok(unsafe { copy_out(&text, buf, len) })
    })
}

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
