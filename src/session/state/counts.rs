//! What a session counts for statistics: plain additions, under whatever lock its caller holds anyway.

use core::fmt;
use core::ops::{Deref, DerefMut};

use crate::lazy_box::Empty;
use crate::session::event::{Dropped, Outcome};
use crate::time::Span;

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

    pub(crate) fn add(&mut self, n: u64, span: Span) {
        let bucket = u64::BITS - (span.0.saturating_sub(1) >> FIRST_BUCKET_BITS).leading_zeros();
        self.buckets[(bucket as usize).min(LATENCY_BUCKETS - 1)] += n;
        self.sum = self.sum.saturating_add(span.0.saturating_mul(n));
    }
}

impl Empty for Latency {
    const EMPTY: &'static Self = &Latency { buckets: [0; LATENCY_BUCKETS], sum: 0 };
}

/// Statistics, which nothing in a session looks at. Sessions that differ in nothing else print alike: a checker that
/// goes through all states tells them apart by that.
#[derive(Clone, Copy, Default)]
pub(crate) struct Untracked<T>(pub(super) T);

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
pub(crate) struct Flow {
    pub(crate) tx_bytes: u64,
    pub(crate) tx_messages: u64,
    pub(crate) rx_messages: u64,
    pub(crate) pings: u64,
}

/// How publishes ended, by the names that they have in [`Counts`](crate::session::Counts).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcomes {
    pub(crate) refused: u64,
    pub(crate) acked: u64,
    pub(crate) sent: u64,
    pub(crate) rejected: u64,
    pub(crate) expired: u64,
    pub(crate) dropped: u64,
    pub(crate) dropped_qos0: u64,
    pub(crate) cancelled: u64,
    pub(crate) lost: u64,
    pub(crate) timed_out: u64,
    pub(crate) late_acks: u64,
}

impl Outcomes {
    pub(crate) const NONE: Outcomes = Outcomes {
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
    pub(crate) fn ended(&mut self, outcome: Outcome, n: u64) {
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
