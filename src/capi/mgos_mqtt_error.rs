//! Errors: their numbers, names and sentences, and where to find them.
//!
//! The error of a call is kept for the thread that made it: after a call that returned false, 0 or NULL,
//! mgos_mqtt_last_error() tells why. What happens to a connection later (a name that cannot be resolved, a
//! refused CONNECT, a lost link) is kept with the connection: mgos_mqtt_conn_last_error().
//!
//! Numbers are never reused and never renumbered. They are below -1000, so none can be mistaken for an
//! errno or for a return code of MQTT, which is kept separately as the server sent it.

use core::ffi::{c_char, c_int};

use crate::capi::base::boundary::{self, call_error, copy_out, status};
use crate::capi::base::sized;
use crate::capi::bridge::handle::Handle;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_error::{UNKNOWN, mgos_mqtt_error_info};
use crate::error::{Code, Phase};

/// The error of the last call that this thread made into the library: MGOS_MQTT_OK (0) after success, otherwise
/// negative. This function and mgos_mqtt_strerror() do not change it.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_last_error() -> c_int {
    call_error()
}

/// A sentence about the error of the last call that this thread made, with the details that a number cannot
/// give: which field of a configuration, which place in a format string.
///
/// It is written to `buf`, cut to `len` bytes and always NUL-terminated. Returns the length of the whole text
/// without the NUL; 0 after success.
///
/// # Safety
/// `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_last_error_text(buf: *mut c_char, len: usize) -> usize {
    // SAFETY: promised by the caller.
    boundary::with_error_text(|text| unsafe { copy_out(text, buf, len) })
}

/// A sentence about an error number, e.g. "the outgoing queue is full". Never NULL; the text belongs to the
/// library and lives as long as the process. For an unknown number the text says so.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_strerror(code: c_int) -> *const c_char {
    Code::from_number(code).map_or(UNKNOWN, Code::c_text).as_ptr()
}

/// The name of an error number as in the header, e.g. "MGOS_MQTT_QUEUE_FULL". Otherwise as
/// mgos_mqtt_strerror().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_error_name(code: c_int) -> *const c_char {
    Code::from_number(code).map_or(UNKNOWN, Code::c_name).as_ptr()
}

/// The last error of a connection's link: of a failed attempt, or of a connection that was up.
/// `info->size` must be set; a smaller structure of an older header is filled as far as it goes.
///
/// Returns 0, or MGOS_MQTT_NULL_ARGUMENT, MGOS_MQTT_BAD_STRUCTURE. Callable from any thread.
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
            reason: report.reason.map_or(-1, c_int::from),
            tls_alert: report.alert.map_or(-1, c_int::from),
        };
        // SAFETY: promised by the caller.
        unsafe { sized::write(info, full) }
    })
}

/// A sentence about the last error of a connection's link that a person can act on: what was tried, with
/// every address, and what the server or the system said. It never contains secrets.
///
/// It is written to `buf`, cut to `len` bytes and always NUL-terminated. Returns the length of the whole text
/// without the NUL, so NULL and 0 ask for the size; 0 if there was no error. Callable from any thread.
///
/// # Safety
/// `c` is NULL or a living connection; `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_last_error_text(
    c: *mut mgos_mqtt_conn,
    buf: *mut c_char,
    len: usize,
) -> usize {
    boundary::value(0, || {
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
