//! Statistics of a connection: for a log line, for a watchdog, for Prometheus.
//!
//! Counting is always on and costs an addition here and there. Reading holds the connection's lock while it
//! copies, so it may be done as often as you like, from any thread and inside handlers.
//!
//!     struct mgos_mqtt_stats stats = mgos_mqtt_stats_init();
//!     mgos_mqtt_conn_stats(c, &stats);
//!     if (stats.oldest_ms > 60000) complain();
//!
//! Everything is counted from the creation of the connection on, over all reconnects. Times are milliseconds
//! since the system was started, on a clock that never goes back and goes on while a device sleeps. They and
//! all durations are accurate to an iteration of the loop.

use core::ffi::{c_char, c_int};

use crate::capi::base::boundary::{copy_out, status, value};
use crate::capi::base::sized;
use crate::capi::bridge::handle::{HANDLES, Handle};
use crate::capi::bridge::lookup::loop_of;
use crate::capi::bridge::statistics::fill;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_loop;
use crate::capi::types::mgos_mqtt_stats::mgos_mqtt_stats;
use crate::client::openmetrics;

/// The statistics of a connection.
///
/// Returns 0, or MGOS_MQTT_NULL_ARGUMENT, or MGOS_MQTT_BAD_STRUCTURE if `stats->size` is smaller than the first
/// nine members.
///
/// # Safety
/// `c` is NULL or a living connection; `stats` is NULL or has `stats->size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_stats(c: *mut mgos_mqtt_conn, stats: *mut mgos_mqtt_stats) -> c_int {
    status(|| {
        let handle = Handle::of(c)?;
        // SAFETY: promised by the caller.
        unsafe { sized::write(stats, fill(&handle.conn()?.stats())) }
    })
}

/// The statistics of a connection as OpenMetrics text (https://openmetrics.io), to be served to Prometheus as
/// `application/openmetrics-text; version=1.0.0; charset=utf-8`. Metrics are named `mgos_mqtt_*`; the labels
/// `conn`, the number that the connection was created with, and `client_id` name the connection.
///
/// It is written to `buf`, cut to `len` bytes and always NUL-terminated. Returns the length of the whole text
/// without the NUL, so NULL and 0 ask for the size, which grows a little from call to call; 0 for an error.
///
/// # Safety
/// `c` is NULL or a living connection; `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_metrics(
    c: *mut mgos_mqtt_conn,
    buf: *mut c_char,
    len: usize,
) -> usize {
    value(0, || {
        let text = openmetrics(&[Handle::of(c)?.conn()?.stats()]);
        // SAFETY: promised by the caller.
        Ok(unsafe { copy_out(&text, buf, len) })
    })
}

/// As mgos_mqtt_conn_metrics(), for all connections of a loop (NULL: the default loop) in one text. Where two
/// have the same number and client id, the second is labelled `conn="<number>#2"`.
///
/// # Safety
/// `loop` is NULL or a living loop; `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_metrics(
    r#loop: *mut mgos_mqtt_loop,
    buf: *mut c_char,
    len: usize,
) -> usize {
    value(0, || {
        let home = loop_of(r#loop)?;
        let mut connections = Vec::new();
        for handle in HANDLES.all(|handle| handle.is_on(&home)) {
            connections.push(handle.conn()?.stats());
        }
        connections.sort_by(|a, b| (a.number, &a.client_id).cmp(&(b.number, &b.client_id)));
        // SAFETY: promised by the caller.
        Ok(unsafe { copy_out(&openmetrics(&connections), buf, len) })
    })
}

/// How often attempts to connect, and connections that were up, ended with this error code of
/// mgos_mqtt_error.h. 0 for a number that is not an error code, and for NULL.
///
/// # Safety
/// `c` is NULL or a living connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_end_count(c: *mut mgos_mqtt_conn, code: c_int) -> u64 {
    value(0, || {
        let stats = Handle::of(c)?.conn()?.stats();
        Ok(stats.ends.iter().filter(|end| end.code.number() == code).map(|end| end.count).sum())
    })
}
