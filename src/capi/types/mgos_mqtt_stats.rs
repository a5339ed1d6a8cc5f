//! The types of `mgos_mqtt_stats.h`.

use crate::capi::base::sized::Growing;
use crate::session::LATENCY_BUCKETS;

/// The number of buckets of `ack_latency`.
pub const MGOS_MQTT_ACK_LATENCY_BUCKETS: usize = 17;

const _: () = assert!(MGOS_MQTT_ACK_LATENCY_BUCKETS == LATENCY_BUCKETS);

/// Statistics of a connection. Begin with mgos_mqtt_stats_init(), which sets `size`. The structure may grow at its end:
/// a program that was compiled with an older header gets what it knows, and what the library does not know
/// is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgos_mqtt_stats {
    /// `sizeof(struct mgos_mqtt_stats)`.
    pub size: usize,
    /// When the server accepted this client for the first time, in ms since the start of the system; 0: never.
    pub first_connect_ms: u64,
    /// When the server accepted it for the last time; 0: never.
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

    /// The present time on the same clock, in ms.
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
    /// Attempts that the server accepted.
    pub connects: u64,
    /// Attempts that failed before they began: by the configuration, or because the clock was not set.
    pub failed_usage: u64,
    /// Attempts that failed in the name service.
    pub failed_dns: u64,
    /// Attempts that failed in opening the TCP connection, or before that for another reason.
    pub failed_tcp: u64,
    /// Attempts that failed in the TLS handshake.
    pub failed_tls: u64,
    /// Attempts that failed in waiting for CONNACK, or because CONNACK refused the connection.
    pub failed_connect: u64,
    /// Attempts that failed because the application ended or changed the connection meanwhile.
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
    /// Publishes that were refused.
    pub publishes_refused: u64,
    /// QoS 1 and 2: acknowledged by the server.
    pub publishes_acked: u64,
    /// QoS 0: written to the network.
    pub publishes_sent: u64,
    /// Refused by the server.
    pub publishes_rejected: u64,
    /// Too old before they could be sent.
    pub publishes_expired: u64,
    /// Given up for lack of room, or with a lost connection.
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
    /// A histogram of the same times: up to 256 us, up to 512 us, and so on, each bucket twice as long as the
    /// one before; the last counts all that were longer than 8.4 s (2 to the power of 23 us).
    pub ack_latency: [u64; MGOS_MQTT_ACK_LATENCY_BUCKETS],

    /// Not acknowledged within `ack_timeout_ms`: one of the outcomes, like those above.
    pub publishes_timed_out: u64,
    /// Of these, the ones that the server acknowledged later.
    pub late_acks: u64,
}

// SAFETY: plain numbers; the smallest structure there is goes up to `tx_messages`.
unsafe impl Growing for mgos_mqtt_stats {
    const NAME: &'static str = "mgos_mqtt_stats";
    const FIRST: usize = core::mem::offset_of!(mgos_mqtt_stats, now_ms);
}
