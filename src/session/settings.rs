//! What its owner says how a session is to work.

use alloc::sync::Arc;

use crate::session::limits::Limits;
use crate::session::state::Session;
use crate::time::Time;

impl Session {
    /// Replaces limits and policies; what is queued already stays.
    pub fn set_limits(&mut self, limits: impl Into<Arc<Limits>>) {
        let within = self.limits.ack_timeout;
        self.limits = limits.into();
        if within != self.limits.ack_timeout {
            self.end_watch();
        }
        self.flight_limit = self.fast_flight_limit();
        self.watch_acknowledgements();
        if let Some(sending) = self.sending.get_mut() {
            sending.outcomes_fit = 0;
            sending.history.forget(self.limits.outcome_history);
        }
    }

    /// Says whether publishes without a cookie come by [`take_completion`](Session::take_completion) as well; at first
    /// they do.
    pub fn tell_all_completions(&mut self, all: bool) {
        self.tell_all = all;
    }

    /// Whether each message is to go through [`publish`](Session::publish), whose caller then sees it.
    pub fn look_at_each_publish(&mut self, on: bool) {
        self.each_publish = on;
        if let Some(sending) = self.sending.get_mut() {
            // The fast path asks for it, and finds out by it.
            sending.outcomes_fit = 0;
        }
    }

    /// Tells the time, for what is accepted from now on. Input, output and time-outs bring their own.
    pub fn clock(&mut self, now: Time) {
        self.now = now;
    }
}
