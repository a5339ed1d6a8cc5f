//! What was counted, and what a session holds right now.

use crate::session::state::Session;
use crate::session::state::counts::{Flow, Latency, Outcomes};
use crate::session::state::outbox::Queue;
use crate::time::Time;

/// What happened since the session was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes handed to the kernel.
    pub tx_bytes: u64,
    /// PUBLISH packets sent, repetitions included. One that was appended to the output and is taken back with
    /// a lost connection does not count.
    pub tx_messages: u64,
    /// PUBLISH packets received and told to the application.
    pub rx_messages: u64,
    /// Messages of QoS 2 that came again, and were not told twice.
    pub rx_duplicates: u64,
    /// Messages over the receive limit.
    pub rx_oversize: u64,
    /// PINGREQ packets sent.
    pub pings: u64,
    /// Publishes accepted.
    pub accepted: u64,
    /// Publishes not accepted.
    pub refused: u64,
    /// Publishes that ended with [`Outcome::Acked`](super::Outcome::Acked).
    pub acked: u64,
    /// Publishes that ended with [`Outcome::Sent`](super::Outcome::Sent).
    pub sent: u64,
    /// Publishes that ended with [`Outcome::Rejected`](super::Outcome::Rejected).
    pub rejected: u64,
    /// Publishes that ended with [`Outcome::Expired`](super::Outcome::Expired).
    pub expired: u64,
    /// Publishes that ended with [`Outcome::Dropped`](super::Outcome::Dropped).
    pub dropped: u64,
    /// Of these, the ones of QoS 0.
    pub dropped_qos0: u64,
    /// Publishes that ended with [`Outcome::Cancelled`](super::Outcome::Cancelled) or [`Outcome::Abandoned`](super::Outcome::Abandoned).
    pub cancelled: u64,
    /// Publishes that ended with [`Outcome::Lost`](super::Outcome::Lost).
    pub lost: u64,
    /// Publishes that ended with [`Outcome::TimedOut`](super::Outcome::TimedOut).
    pub timed_out: u64,
    /// Of these, the ones that the server acknowledged later.
    pub late_acks: u64,
}

/// What a session holds right now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// QoS 1 and 2 messages that wait to be sent, for the first time or again.
    pub waiting: usize,
    /// QoS 1 and 2 messages that were sent on this connection and are not acknowledged.
    pub in_flight: usize,
    /// Bytes of topics and payloads of both.
    pub queued_bytes: usize,
    /// When the oldest of them was accepted.
    pub oldest: Option<Time>,
    /// Payload bytes not acknowledged plus packet bytes not written.
    pub unsent_bytes: usize,
    /// Filters asked for and not acknowledged.
    pub pending_subscriptions: usize,
}

impl Session {
    /// What was counted.
    pub fn counts(&self) -> Counts {
        let Flow { tx_bytes, tx_messages, rx_messages, pings } = *self.flow;
        let Outcomes {
            refused,
            acked,
            sent,
            rejected,
            expired,
            dropped,
            dropped_qos0,
            cancelled,
            lost,
            timed_out,
            late_acks,
        } = *self.sending.outcomes;
        let (rx_duplicates, rx_oversize) = self.inbound.counts();
        Counts {
            tx_bytes,
            tx_messages,
            rx_messages,
            rx_duplicates,
            rx_oversize,
            pings,
            accepted: self.accepted(),
            refused,
            acked,
            sent,
            rejected,
            expired,
            dropped,
            dropped_qos0,
            cancelled,
            lost,
            timed_out,
            late_acks,
        }
    }

    /// From accepting a publish to its PUBACK or PUBCOMP.
    pub fn ack_latency(&self) -> Latency {
        **self.sending.ack_latency
    }

    /// How full it is.
    pub fn levels(&self) -> Levels {
        // Both lists are in the order of acceptance.
        let first = |queue| {
            self.sending.outbox.iter(queue).next().map(|slot| self.sending.outbox.get(slot).accepted_at)
        };
        let oldest = [first(Queue::Flight), first(Queue::Waiting)].into_iter().flatten().min();
        Levels {
            waiting: self.sending.outbox.waiting(),
            in_flight: self.sending.outbox.in_flight(),
            queued_bytes: self.sending.outbox.bytes(),
            oldest,
            unsent_bytes: self.unsent_bytes(),
            pending_subscriptions: self.pending_subscriptions(),
        }
    }

    /// QoS 1 and 2 messages waiting or in flight.
    pub fn queue_len(&self) -> usize {
        self.sending.outbox.len()
    }

    /// QoS 1 and 2 messages in flight.
    pub fn in_flight(&self) -> usize {
        self.sending.outbox.in_flight()
    }

    /// Payload bytes of QoS 1 and 2 messages that are not acknowledged, plus the bytes not yet
    /// written.
    pub fn unsent_bytes(&self) -> usize {
        self.sending.outbox.payload_bytes() + self.out.len()
    }
}
