//! What a connection counts: for a log line, for a watchdog, for Prometheus.
//!
//! Counting goes on all the time and costs an addition here and there. Reading takes a connection's lock for the
//! time of a copy, so it may be done as often as one likes, from any thread and from inside handlers.
//!
//!     struct mgos_mqtt_stats stats = {.size = sizeof(stats)};
//!     mgos_mqtt_conn_stats(c, &stats);
//!     if (stats.oldest_ms > 60000) complain();
//!
//! Everything counts from the creation of the connection, over all reconnects. Times of day are milliseconds
//! since the system was started, on a clock that never goes back and goes on while a device sleeps. They and
//! all spans of time are exact to a round of the loop.

use core::ffi::{c_char, c_int};

use super::boundary::{copy_out, status, value};
use super::handle::{HANDLES, Handle, LoopHandle};
use super::mgos_mqtt_conn::mgos_mqtt_conn;
use super::mgos_mqtt_loop::mgos_mqtt_loop;
use super::sized::{self, Growing};
use crate::client::{Snapshot, openmetrics};
use crate::error::{Code, Phase};
use crate::session::LATENCY_BUCKETS;
use crate::time::{Span, Time};

/// How many spans of time `ack_latency` tells apart.
pub const MGOS_MQTT_ACK_LATENCY_BUCKETS: usize = 17;
const _: () = assert!(MGOS_MQTT_ACK_LATENCY_BUCKETS == LATENCY_BUCKETS);

/// Statistics of a connection. Set `size` to `sizeof(struct mgos_mqtt_stats)`. The structure may grow at its end:
/// a program that was compiled with an older header gets what it knows, and what the library does not know
/// is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_mqtt_stats {
    /// `sizeof(struct mgos_mqtt_stats)`.
    pub size: usize,
    /// When the server accepted this client for the first time, in ms since the start of the system; 0: never.
    pub first_connect_ms: u64,
    /// And for the last time.
    pub last_connect_ms: u64,
    /// When a connection that was up ended for the last time; 0: never.
    pub last_disconnect_ms: u64,
    /// Connections that were up and ended, for whatever reason.
    pub disconnects: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Messages received and given to handlers.
    pub rx_messages: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Messages sent, repetitions after a reconnect included.
    pub tx_messages: u64,

    /// The present time on the same clock.
    pub now_ms: u64,
    /// 1 while the connection is up, otherwise 0.
    pub connected: u64,
    /// QoS 1 and 2 messages that wait to be sent, for the first time or again.
    pub queued_messages: u64,
    /// QoS 1 and 2 messages that were sent on this connection and are not acknowledged.
    pub in_flight: u64,
    /// Bytes of topics and payloads of both.
    pub queued_bytes: u64,
    /// For how long the oldest of both has been waiting, in ms.
    pub oldest_ms: u64,
    /// As mgos_mqtt_conn_num_unsent_bytes().
    pub unsent_bytes: u64,
    /// Filters that the server has not acknowledged.
    pub pending_subscriptions: u64,

    /// Attempts to connect.
    pub connect_attempts: u64,
    /// Those that the server accepted.
    pub connects: u64,
    /// Those that failed: in configuration or clock ...
    pub failed_usage: u64,
    /// ... in the name service ...
    pub failed_dns: u64,
    /// ... in the TCP connection, or before it was there for another reason ...
    pub failed_tcp: u64,
    /// ... in the TLS handshake ...
    pub failed_tls: u64,
    /// ... in waiting for CONNACK, or because it refused ...
    pub failed_connect: u64,
    /// ... or because the application ended or changed the connection meanwhile.
    pub failed_by_client: u64,
    /// Disconnects because the application closed the connection, or changed its configuration.
    pub disconnects_by_client: u64,
    /// Disconnects because the server closed the connection.
    pub disconnects_by_server: u64,
    /// Disconnects because reading or writing failed.
    pub disconnects_by_network: u64,
    /// Disconnects because the server did not answer PINGREQ.
    pub disconnects_by_keep_alive: u64,
    /// Disconnects because of what the server sent, and all others.
    pub disconnects_by_protocol: u64,

    /// Publishes that were accepted. Each ends in one of the outcomes below.
    pub publishes_accepted: u64,
    /// Publishes that were not.
    pub publishes_refused: u64,
    /// QoS 1 and 2: acknowledged by the server.
    pub publishes_acked: u64,
    /// QoS 0: written to the network.
    pub publishes_sent: u64,
    /// Refused by the server.
    pub publishes_rejected: u64,
    /// Too old before they could be sent.
    pub publishes_expired: u64,
    /// Given up for want of room, or with a lost connection.
    pub publishes_dropped: u64,
    /// Of these, the ones of QoS 0.
    pub publishes_dropped_qos0: u64,
    /// Cancelled by the application.
    pub publishes_cancelled: u64,
    /// In flight when the server lost the session.
    pub publishes_lost: u64,

    /// QoS 2 messages that the server sent again, and that were not given to handlers twice.
    pub rx_duplicates: u64,
    /// Messages over the receive limit, which were skipped.
    pub rx_oversize: u64,
    /// PINGREQ packets sent.
    pub pings: u64,

    /// From the acceptance of a QoS 1 or 2 publish to its PUBACK or PUBCOMP, all of them together, in us.
    pub ack_latency_sum_us: u64,
    /// How often that took how long: up to 256 us, up to 512 us, and so on to the double; the last has all that
    /// were longer than 8.4 s (2 to the power of 23 us).
    pub ack_latency: [u64; MGOS_MQTT_ACK_LATENCY_BUCKETS],
}

// SAFETY: plain numbers; the smallest structure there is goes up to `tx_messages`.
unsafe impl Growing for mgos_mqtt_stats {
    const NAME: &'static str = "mgos_mqtt_stats";
    const FIRST: usize = core::mem::offset_of!(mgos_mqtt_stats, now_ms);
}

fn ms(at: Option<Time>) -> u64 {
    at.map_or(0, |at| at.0 / 1_000)
}

fn count(s: &Snapshot, was_up: bool, which: impl Fn(Code, Phase) -> bool) -> u64 {
    let ends = s.ends.iter().filter(|end| end.was_up == was_up && which(end.code, end.phase));
    ends.map(|end| end.count).sum()
}

fn by_client(code: Code) -> bool {
    matches!(code, Code::ClosedByClient | Code::Undelivered | Code::Reconfigured | Code::HookAborted)
}

fn fill(s: &Snapshot) -> mgos_mqtt_stats {
    let failed =
        |phases: &[Phase]| count(s, false, |code, phase| phases.contains(&phase) && !by_client(code));
    let lost = |which: fn(Code) -> bool| count(s, true, |code, _| which(code));
    let disconnects_by_client = lost(by_client);
    let disconnects_by_server = lost(|code| code == Code::ClosedByServer);
    let disconnects_by_network = lost(|code| matches!(code, Code::ConnectionReset | Code::IoFailed));
    let disconnects_by_keep_alive = lost(|code| code == Code::KeepAliveTimeout);
    let known =
        disconnects_by_client + disconnects_by_server + disconnects_by_network + disconnects_by_keep_alive;
    mgos_mqtt_stats {
        size: 0,
        first_connect_ms: ms(s.first_connect),
        last_connect_ms: ms(s.last_connect),
        last_disconnect_ms: ms(s.last_disconnect),
        disconnects: s.disconnects,
        rx_bytes: s.rx_bytes,
        rx_messages: s.counts.rx_messages,
        tx_bytes: s.counts.tx_bytes,
        tx_messages: s.counts.tx_messages,
        now_ms: ms(Some(s.now)),
        connected: s.is_up.into(),
        queued_messages: s.levels.waiting as u64,
        in_flight: s.levels.in_flight as u64,
        queued_bytes: s.levels.queued_bytes as u64,
        oldest_ms: s.levels.oldest.map_or(Span::ZERO, |at| s.now.since(at)).0 / 1_000,
        unsent_bytes: s.levels.unsent_bytes as u64,
        pending_subscriptions: s.levels.pending_subscriptions as u64,
        connect_attempts: s.attempts,
        connects: s.connects,
        failed_usage: failed(&[Phase::Usage]),
        failed_dns: failed(&[Phase::Dns]),
        failed_tcp: failed(&[Phase::None, Phase::Tcp, Phase::Proxy, Phase::WebSocket, Phase::Store]),
        failed_tls: failed(&[Phase::Tls]),
        failed_connect: failed(&[Phase::Connect, Phase::KeepAlive, Phase::Protocol, Phase::Up]),
        failed_by_client: count(s, false, |code, _| by_client(code)),
        disconnects_by_client,
        disconnects_by_server,
        disconnects_by_network,
        disconnects_by_keep_alive,
        disconnects_by_protocol: s.disconnects - known,
        publishes_accepted: s.counts.accepted,
        publishes_refused: s.counts.refused,
        publishes_acked: s.counts.acked,
        publishes_sent: s.counts.sent,
        publishes_rejected: s.counts.rejected,
        publishes_expired: s.counts.expired,
        publishes_dropped: s.counts.dropped,
        publishes_dropped_qos0: s.counts.dropped_qos0,
        publishes_cancelled: s.counts.cancelled,
        publishes_lost: s.counts.lost,
        rx_duplicates: s.counts.rx_duplicates,
        rx_oversize: s.counts.rx_oversize,
        pings: s.counts.pings,
        ack_latency_sum_us: s.ack_latency.sum,
        ack_latency: s.ack_latency.buckets,
    }
}

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
/// Written to `buf` as far as `len` bytes go, always with a NUL; returns the length of the whole text without it,
/// so that NULL and 0 ask for the size, which grows a little from call to call. 0 for an error.
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
/// `loop_` is NULL or a living loop; `buf` is NULL or has `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_metrics(
    loop_: *mut mgos_mqtt_loop,
    buf: *mut c_char,
    len: usize,
) -> usize {
    value(0, || {
        let home = LoopHandle::of(loop_)?;
        let mut connections = Vec::new();
        for handle in HANDLES.all(|handle| handle.is_on(&home)) {
            connections.push(handle.conn()?.stats());
        }
        connections.sort_by(|a, b| (a.number, &a.client_id).cmp(&(b.number, &b.client_id)));
        // SAFETY: promised by the caller.
        Ok(unsafe { copy_out(&openmetrics(&connections), buf, len) })
    })
}

/// How often attempts to connect, and connections that were up, ended with an error code of
/// mgos_mqtt_error.h. 0 also for a code that is none, and for NULL.
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
