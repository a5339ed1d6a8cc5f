//! Where a loop gets its time from.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::time::Time;

/// A monotonic clock; cheap to clone, and all clones tell the same time.
///
/// A loop sleeps in real time whatever its clock is: after each sleep it asks the clock again, so
/// a clock that stands still only makes it look again, never fire early.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    Monotonic(Instant),
    Function(Arc<dyn Fn() -> Time + Send + Sync>),
}

impl Clock {
    /// The monotonic clock of the standard library, counted from this call.
    pub fn monotonic() -> Clock {
        Clock(Kind::Monotonic(Instant::now()))
    }

    /// A clock made by the caller: one that counts suspend, or virtual time in a test. It must
    /// never run backwards, and must not call into the loop.
    pub fn from_fn(now: impl Fn() -> Time + Send + Sync + 'static) -> Clock {
        Clock(Kind::Function(Arc::new(now)))
    }

    /// The present time.
    pub fn now(&self) -> Time {
        match &self.0 {
            Kind::Monotonic(origin) => since(origin),
            Kind::Function(now) => now(),
        }
    }
}

/// Not inlined: the C interface has its own clock, so every place that reads the time would carry this code along unused.
#[cold]
#[inline(never)]
fn since(origin: &Instant) -> Time {
    // u64 microseconds last for 584,000 years of uptime.
    Time(u64::try_from(origin.elapsed().as_micros()).unwrap_or(u64::MAX))
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Monotonic(_) => "Clock::monotonic",
            Kind::Function(_) => "Clock::from_fn",
        })
    }
}
