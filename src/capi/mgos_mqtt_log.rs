//! The log: writing it to standard error with one call, and publishing log lines to a topic, those of the application
//! and those of the library.
//!
//!     mgos_mqtt_log_to_stderr(NULL, MGOS_MQTT_LOG_DEBUG);
//!     // 2026-01-31T12:00:00.123Z mgos_mqtt 0 D sent SUBSCRIBE 1: "a/b" QoS 1, 10 bytes in all
//!
//! At MGOS_MQTT_LOG_DEBUG there is a line for each step of connecting and for each packet, with its kind, id, flags,
//! topic and sizes, but never a payload, a user name or a password. Packets on the topics to which log lines are
//! published are left out, and so are all packets of a connection on which a log function itself publishes.
//!
//! PUBLISHED LINES.
//!
//!     mgos_mqtt_conn_set_log_topics(c, "dev/7/out", "dev/7/err", 0);
//!     mgos_mqtt_conn_log_library(c, MGOS_MQTT_LOG_WARN);       // optional
//!     mgos_mqtt_conn_log(c, 1, MGOS_MQTT_LOG_INFO, "door open", 9);
//!     // published to dev/7/out: "dev7 0 1763780000.123 1|door open"
//!
//! A line is published with QoS 0, in the format of Mongoose OS:
//!
//!     <device id, or -> <number of the line> <seconds since 1970> <n>|<data>
//!
//! `n` is the file descriptor, 1 or 2, or with `debug_use_log_level` of the configuration the level of the line
//! (MGOS_MQTT_LOG_*). Lines count from 0. One that is not published is counted as well, so a reader sees gaps.
//!
//! A log must not make things worse: while much is unsent, lines are left out, and nothing that a line
//! itself causes is logged. (One loop cannot be prevented here: a handler that is subscribed to the topic of
//! the log and logs what it gets.)

use core::ffi::{c_char, c_int};

use crate::capi::base::boundary::{bytes, optional, status};
use crate::capi::base::field::{refuse, wrong_level};
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::logging::{log_to_stderr, take_system_topics};
use crate::capi::bridge::lookup::loop_of;
use crate::capi::bridge::stderr_log;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_loop::{MGOS_MQTT_LOG_OFF, mgos_mqtt_loop};
use crate::client::{DEFAULT_THRESHOLD, Level, LogLine, LogTopics};
use crate::error::Code;

/// Writes the log of a loop and its connections to standard error: all that is at least as important as `level`
/// (MGOS_MQTT_LOG_*), one line a record, with the time in UTC, the number of the connection and the first letter of the
/// level. Replaces the function of mgos_mqtt_loop_set_log(). MGOS_MQTT_LOG_OFF ends it.
///
/// Returns 0, or MGOS_MQTT_BAD_ARGUMENT for another level.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_log_to_stderr(r#loop: *mut mgos_mqtt_loop, level: c_int) -> c_int {
    status(|| {
        let handle = loop_of(r#loop)?;
        let level = match level {
            MGOS_MQTT_LOG_OFF => None,
            level => Some(Level::from_number(level).ok_or_else(|| wrong_level(level))?),
        };
        log_to_stderr(&handle, level);
        Ok(())
    })
}

/// As mgos_mqtt_log_to_stderr(), at the level given by an environment variable: "error", "warn", "info", "debug",
/// "off", or a number. If it is not set, nothing changes. The library reads no variable by itself: a program calls this
/// to let its user switch the log on.
///
///     mgos_mqtt_log_from_env(NULL, "MY_PROGRAM_MQTT_LOG");
///
/// Returns 0, also without the variable; MGOS_MQTT_BAD_ARGUMENT for another value, see mgos_mqtt_last_error_text();
/// MGOS_MQTT_NULL_ARGUMENT, MGOS_MQTT_BAD_UTF8.
///
/// # Safety
/// As mgos_mqtt_log_to_stderr(); `variable` is NULL or a C string; no other thread changes the environment meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_log_from_env(
    r#loop: *mut mgos_mqtt_loop,
    variable: *const c_char,
) -> c_int {
    status(|| {
        let handle = loop_of(r#loop)?;
        if variable.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and promised by the caller.
        if let Some(value) = unsafe { stderr_log::variable(variable) }? {
            log_to_stderr(&handle, stderr_log::level_of(value)?);
        }
        Ok(())
    })
}

/// Sets the topics of a connection's log lines, for file descriptor 1 and for 2. NULL or empty means none; with
/// neither, no more lines are published. Lines are left out while mgos_mqtt_conn_num_unsent_bytes() is at least
/// `threshold`; 0 is MGOS_MQTT_LOG_PUSHBACK_THRESHOLD.
///
/// Unless this function is called for it before its first line, the global connection uses the topics that the
/// system configuration has then (`debug.stdout_topic`, `debug.stderr_topic`).
///
/// Returns 0, or MGOS_MQTT_BAD_TOPIC, MGOS_MQTT_BAD_UTF8, MGOS_MQTT_NULL_ARGUMENT.
///
/// # Safety
/// `c` is NULL or a living connection; the topics are NULL or C strings, and copied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_log_topics(
    c: *mut mgos_mqtt_conn,
    stdout_topic: *const c_char,
    stderr_topic: *const c_char,
    threshold: usize,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let stdout = unsafe { optional(stdout_topic) }?.filter(|topic| !topic.is_empty());
        // SAFETY: promised by the caller.
        let stderr = unsafe { optional(stderr_topic) }?.filter(|topic| !topic.is_empty());
        let threshold = if threshold == 0 { DEFAULT_THRESHOLD } else { threshold };
        let topics =
            LogTopics { stdout: stdout.map(str::to_owned), stderr: stderr.map(str::to_owned), threshold };
        handle.conn()?.set_log_topics((stdout.is_some() || stderr.is_some()).then_some(topics))
    })
}

/// Publishes a log line of `len` bytes to the topic of file descriptor `fd`, 1 or 2. `level` is one of
/// MGOS_MQTT_LOG_*; a negative one counts as 0.
///
/// Returns 0 if it was published, otherwise the reason why not: MGOS_MQTT_NOT_FOUND if there is no topic for it,
/// MGOS_MQTT_NOT_CONNECTED, MGOS_MQTT_QUEUE_FULL if too much is unsent, MGOS_MQTT_BAD_ARGUMENT for another `fd` or an
/// empty line. Callable from any thread and any callback, even from a log function.
///
/// # Safety
/// `c` is NULL or a living connection; `data` has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_log(
    c: *mut mgos_mqtt_conn,
    fd: c_int,
    level: c_int,
    data: *const c_char,
    len: usize,
) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        let data = unsafe { bytes(data.cast(), len) }?;
        if data.is_empty() {
            return Err(refuse(Code::BadArgument, "len", len, format_args!("1 to {}", isize::MAX)));
        }
        let conn = handle.conn()?;
        take_system_topics(c, conn)?;
        conn.log_line(&LogLine { fd, level, data }).map_err(|code| match code {
            Code::BadArgument => refuse(code, "fd", fd, "1 (standard output) and 2 (standard error)"),
            _ => code,
        })
    })
}

/// Also publishes the library's own log, with file descriptor 2: all records that are at least as important
/// as `level` (MGOS_MQTT_LOG_*), of every connection on the same loop, in addition to the function of
/// mgos_mqtt_loop_set_log(). MGOS_MQTT_LOG_OFF ends it. Only one connection of a loop publishes the log: the
/// last for which this was called.
///
/// Returns 0, or MGOS_MQTT_BAD_ARGUMENT for another level.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_log_library(c: *mut mgos_mqtt_conn, level: c_int) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        let level = match level {
            MGOS_MQTT_LOG_OFF => None,
            level => Some(Level::from_number(level).ok_or_else(|| wrong_level(level))?),
        };
        let conn = handle.conn()?;
        take_system_topics(c, conn)?;
        conn.log_library(level)
    })
}
