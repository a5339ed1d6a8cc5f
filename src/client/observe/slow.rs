//! A warning about slow callbacks: while one runs, its loop neither sends nor receives for any of its
//! connections.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::state::log::Level;
use crate::client::state::slow::{LOOKS, Looks, WINDOW};
use crate::driver::Turn;
use crate::time::{Span, Time};

impl Conn {
    /// The callbacks of a turn that began at this time have run.
    #[inline]
    pub(in crate::client) fn look_for_slow(&self, st: &mut State, began: Time, turn: &mut Turn<'_>) {
        let looks = &mut st.looks;
        if looks.left == 0 {
            if began.since(looks.window) < WINDOW {
                return;
            }
            *looks = Looks { window: began, left: LOOKS };
        }
        looks.left -= 1;
        turn.now = self.context.driver.now();
        self.measure(st, began, turn.now);
    }

    #[cold]
    fn measure(&self, st: &mut State, began: Time, now: Time) {
        let (took, limit) = (now.since(began), st.settings.slow_callback);
        if limit > Span::ZERO && took >= limit {
            let (took, limit) = (took.as_millis_ceil(), limit.as_millis_ceil());
            let text = format_args!(
                "the callbacks of one turn took {took} ms; meanwhile the loop neither sends nor receives, for none of \
                 its connections (slow_callback_ms is {limit})"
            );
            self.note(st, Level::Warn, text);
        }
    }
}
