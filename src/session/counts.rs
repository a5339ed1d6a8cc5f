//! What a session counts for statistics: plain additions, under whatever lock its caller holds anyway.

use core::fmt;
use core::ops::{Deref, DerefMut};

use super::outbox::Queue;
use super::{Dropped, Outcome, Session};
use crate::lazy_box::Empty;
use crate::time::{Span, Time};

/// How many spans of time a [`Latency`] tells apart.
pub const LATENCY_BUCKETS: usize = 17;

/// The longest span of the first bucket is 2 to this power, in microseconds: 256 µs.
const FIRST_BUCKET_BITS: u32 = 8;

/// How often a span of time was how long. Each bucket goes to twice the time of the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How often, for spans above the limit of the bucket before and up to that of this one.
    pub buckets: [u64; LATENCY_BUCKETS],
    /// All spans together, in microseconds.
    pub sum: u64,
}

impl Latency {
    /// The longest span of a bucket; `None` for the last, which has everything above.
    pub fn limit(bucket: usize) -> Option<Span> {
        (bucket + 1 < LATENCY_BUCKETS).then(|| Span::micros(1 << (FIRST_BUCKET_BITS as usize + bucket)))
    }

    pub(super) fn add(&mut self, n: u64, span: Span) {
        let bucket = u64::BITS - (span.0.saturating_sub(1) >> FIRST_BUCKET_BITS).leading_zeros();
        self.buckets[(bucket as usize).min(LATENCY_BUCKETS - 1)] += n;
        self.sum = self.sum.saturating_add(span.0.saturating_mul(n));
    }
}

impl Empty for Latency {
    const EMPTY: &'static Self = &Latency { buckets: [0; LATENCY_BUCKETS], sum: 0 };
}

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
    /// Publishes that ended with [`Outcome::Acked`].
    pub acked: u64,
    /// Publishes that ended with [`Outcome::Sent`].
    pub sent: u64,
    /// Publishes that ended with [`Outcome::Rejected`].
    pub rejected: u64,
    /// Publishes that ended with [`Outcome::Expired`].
    pub expired: u64,
    /// Publishes that ended with [`Outcome::Dropped`].
    pub dropped: u64,
    /// Of these, the ones of QoS 0.
    pub dropped_qos0: u64,
    /// Publishes that ended with [`Outcome::Cancelled`] or [`Outcome::Abandoned`].
    pub cancelled: u64,
    /// Publishes that ended with [`Outcome::Lost`].
    pub lost: u64,
    /// Publishes that ended with [`Outcome::TimedOut`].
    pub timed_out: u64,
    /// Of these, the ones that the server acknowledged later.
    pub late_acks: u64,
}

/// Statistics, which nothing in a session looks at. Sessions that differ in nothing else print alike: a checker that
/// goes through all states tells them apart by that.
#[derive(Clone, Copy, Default)]
pub(super) struct Untracked<T>(pub(super) T);

impl<T> fmt::Debug for Untracked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl<T> Deref for Untracked<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Untracked<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// What every session counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub(super) tx_bytes: u64,
    pub(super) tx_messages: u64,
    pub(super) rx_messages: u64,
    pub(super) pings: u64,
}

/// How publishes ended, by the names that they have in [`Counts`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcomes {
    pub(super) refused: u64,
    acked: u64,
    sent: u64,
    rejected: u64,
    expired: u64,
    dropped: u64,
    dropped_qos0: u64,
    cancelled: u64,
    lost: u64,
    timed_out: u64,
    pub(super) late_acks: u64,
}

impl Outcomes {
    pub(super) const NONE: Outcomes = Outcomes {
        refused: 0,
        acked: 0,
        sent: 0,
        rejected: 0,
        expired: 0,
        dropped: 0,
        dropped_qos0: 0,
        cancelled: 0,
        lost: 0,
        timed_out: 0,
        late_acks: 0,
    };

    #[inline]
    pub(super) fn ended(&mut self, outcome: Outcome, n: u64) {
        let count = match outcome {
            Outcome::Acked => &mut self.acked,
            Outcome::Sent => &mut self.sent,
            Outcome::Rejected(_) => &mut self.rejected,
            Outcome::Expired => &mut self.expired,
            Outcome::Dropped(why) => {
                self.dropped_qos0 += if why == Dropped::Link { n } else { 0 };
                &mut self.dropped
            }
            Outcome::Cancelled | Outcome::Abandoned => &mut self.cancelled,
            Outcome::Lost => &mut self.lost,
            Outcome::TimedOut => &mut self.timed_out,
        };
        *count += n;
    }
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
    /// Tells the time, for what is accepted from now on. Input, output and time-outs bring their own.
    pub fn clock(&mut self, now: Time) {
        self.now = now;
    }

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
}
