//! When it is looked whether callbacks are slow.

use crate::time::{Span, Time};

/// In so much time the clock is read for this at most [`LOOKS`] times, so that a burst does not pay for it with each
/// message.
pub(in crate::client) const WINDOW: Span = Span::millis(10);

pub(in crate::client) const LOOKS: u8 = 16;

/// When the present window began, and how many looks at the clock are left in it.
pub(in crate::client) struct Looks {
    pub(in crate::client) window: Time,
    pub(in crate::client) left: u8,
}

impl Looks {
    pub(in crate::client) const fn new() -> Looks {
        Looks { window: Time::ZERO, left: 0 }
    }
}
