//! Points in time and spans of it, in microseconds, as plain numbers.
//!
//! `wire` and `session` never ask a clock: time comes in as a parameter. That makes every schedule
//! of the client testable in virtual time, to the microsecond.

use core::ops::{Add, Sub};

/// A point on a monotonic clock: microseconds since an origin that the clock chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// A span of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub u64);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Time = Time(0);

    /// Later than any other. Instead of an `Option`, where times are compared: the optimiser otherwise compares first
    /// and asks later whether there was one, which valgrind reports in every program that uses the library.
    pub const NEVER: Time = Time(u64::MAX);

    /// The span from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// `n` microseconds.
    pub const fn micros(n: u64) -> Span {
        Span(n)
    }

    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Span {
        Span(n.saturating_mul(1_000))
    }

    /// `n` seconds.
    pub const fn secs(n: u64) -> Span {
        Span(n.saturating_mul(1_000_000))
    }

    /// Whole milliseconds, rounded up: a timer set for them never fires early.
    pub const fn as_millis_ceil(self) -> u64 {
        self.0.div_ceil(1_000)
    }

    /// This span as the standard library counts it.
    pub const fn to_duration(self) -> core::time::Duration {
        core::time::Duration::from_micros(self.0)
    }
}

impl Add<Span> for Time {
    type Output = Time;

    fn add(self, span: Span) -> Time {
        Time(self.0.saturating_add(span.0))
    }
}

impl Sub<Time> for Time {
    type Output = Span;

    fn sub(self, earlier: Time) -> Span {
        self.since(earlier)
    }
}
