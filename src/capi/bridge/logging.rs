//! Where log lines go.

use std::sync::Arc;

use crate::capi::base::boundary::config_code;
use crate::capi::bridge::defaults::is_global;
use crate::capi::bridge::handle::LoopHandle;
use crate::capi::bridge::stderr_log::Stderr;
use crate::capi::config::system;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::client::{Conn, DEFAULT_THRESHOLD, Level, LogTopics};
use crate::error::Code;

pub(in crate::capi) fn log_to_stderr(handle: &LoopHandle, level: Option<Level>) {
    let sink = level.map(|_| Stderr::sink());
    drop(handle.context.log.set(level.unwrap_or(Level::Error), sink));
}

/// Gives the global connection the topics of the system configuration, if it has no others.
pub(in crate::capi) fn take_system_topics(c: *mut mgos_mqtt_conn, conn: &Arc<Conn>) -> Result<(), Code> {
    if !is_global(c) || conn.has_log_topics() {
        return Ok(());
    }
    let (stdout, stderr) = system::log_topics().map_err(config_code)?;
    if stdout.is_none() && stderr.is_none() {
        return Ok(());
    }
    conn.set_log_topics(Some(LogTopics { stdout, stderr, threshold: DEFAULT_THRESHOLD }))
}
