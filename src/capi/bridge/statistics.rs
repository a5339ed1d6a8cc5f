//! The client's counts as `struct mgos_mqtt_stats`.

use crate::capi::types::mgos_mqtt_stats::mgos_mqtt_stats;
use crate::client::Snapshot;
use crate::error::{Code, Phase};
use crate::time::{Span, Time};

pub(in crate::capi) fn ms(at: Option<Time>) -> u64 {
    at.map_or(0, |at| at.0 / 1_000)
}

pub(in crate::capi) fn count(s: &Snapshot, was_up: bool, which: impl Fn(Code, Phase) -> bool) -> u64 {
    let ends = s.ends.iter().filter(|end| end.was_up == was_up && which(end.code, end.phase));
    ends.map(|end| end.count).sum()
}

pub(in crate::capi) fn by_client(code: Code) -> bool {
    matches!(
        code,
        Code::ClosedByClient
            | Code::Undelivered
            | Code::Reconfigured
            | Code::CredentialsExpired
            | Code::NetworkChanged
            | Code::HookAborted
    )
}

pub(in crate::capi) fn fill(s: &Snapshot) -> mgos_mqtt_stats {
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
        publishes_timed_out: s.counts.timed_out,
        late_acks: s.counts.late_acks,
    }
}
