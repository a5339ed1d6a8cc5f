//! Points in time and spans of it, in microseconds, as plain numbers.
//!
//! `wire` and `session` never read a clock: time is a parameter. So every schedule of the client
//! can be tested in virtual time, to the microsecond.

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

    /// Later than any other. Used instead of an `Option` where times are compared: with an `Option` the optimiser may
    /// compare before it checks that there is a value, which valgrind reports in every program that uses the library.
    pub const NEVER: Time = Time(u64::MAX);

    /// The span from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// An optional point in time, no larger than a point in time: for values that every connection
/// keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(Time);

impl Moment {
    /// None.
    pub const NONE: Moment = Moment(Time::NEVER);

    /// The point in time, if there is one.
    #[inline]
    pub fn get(self) -> Option<Time> {
        (self.0 != Time::NEVER).then_some(self.0)
    }

    /// The point in time; [`Time::NEVER`] if there is none.
    #[inline]
    pub const fn or_never(self) -> Time {
        self.0
    }

    /// Whether it has passed.
    #[inline]
    pub fn is_over(self, now: Time) -> bool {
        self.0 <= now
    }

    /// Takes the value and leaves none.
    #[inline]
    pub fn take(&mut self) -> Option<Time> {
        core::mem::replace(self, Moment::NONE).get()
    }
}

impl Default for Moment {
    fn default() -> Moment {
        Moment::NONE
    }
}

impl From<Time> for Moment {
    fn from(time: Time) -> Moment {
        Moment(time)
    }
}

impl From<Option<Time>> for Moment {
    fn from(time: Option<Time>) -> Moment {
        Moment(time.unwrap_or(Time::NEVER))
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
