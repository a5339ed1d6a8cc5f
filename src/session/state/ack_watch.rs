//! How far the bytes of a connection have come while something waits for its acknowledgement.

use crate::patience::Delivery;
use crate::time::{Moment, Span, Time};

/// So often it is looked in the time that an acknowledgement may take.
const LOOKS: u64 = 8;

/// What is known of the bytes of a connection while something waits for its acknowledgement.
#[derive(Clone, Debug)]
pub(crate) struct AckWatch {
    /// When to look next; none while nothing waits.
    pub(crate) look_at: Moment,
    /// The end of the output when it was looked last: what lies behind was sent since.
    seen: u64,
    /// Up to here the other end had the output then.
    arrived: u64,
    /// What it had acknowledged then, in the stream's own count.
    moved: u64,
}

impl AckWatch {
    pub(crate) const NONE: AckWatch = AckWatch { look_at: Moment::NONE, seen: 0, arrived: 0, moved: 0 };

    /// Looks. `end` is the end of the output, and `taken` how far the kernel has it.
    pub(crate) fn look(&mut self, now: Time, (taken, end): (u64, u64), delivery: Option<Delivery>) -> Look {
        // Where the system does not tell what was acknowledged, what it took counts. A layer adds bytes of its own, so there
        // are not more of the output among those that are left.
        let arrived = taken.saturating_sub(delivery.map_or(0, |delivery| delivery.left));
        let moved = delivery.map_or(taken, |delivery| delivery.moved);
        let look = Look {
            now,
            seen: self.seen,
            arrived_before: self.arrived,
            arrived: arrived.max(self.arrived),
            moved: moved > self.moved,
        };
        (self.seen, self.arrived, self.moved) = (end, look.arrived, moved.max(self.moved));
        look
    }
}

/// What changed since the look before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    now: Time,
    seen: u64,
    arrived_before: u64,
    arrived: u64,
    /// The other end acknowledged bytes.
    moved: bool,
}

impl Look {
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Corrects from when on the time runs of a packet that ends there in the output.
    pub(crate) fn correct(&self, end: u64, since: &mut Time) {
        let is_new = end > self.seen;
        // What moved while it was under way was ahead of it, or its own.
        let came_on = end > self.arrived_before && (self.moved || end <= self.arrived);
        if is_new || came_on {
            *since = self.now;
        }
    }
}

pub(crate) fn between_looks(within: Span) -> Span {
    Span((within.0 / LOOKS).max(1))
}
