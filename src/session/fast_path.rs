//! What keeps a session from its fast paths. All of it is asked here: a fast path takes what meets nothing unusual, and
//! whatever becomes possible later is unusual there by one more condition in this file.

use crate::bugs::{Bug, bug};
use crate::session::output::PUMP_UP_TO;
use crate::session::state::sending::Sending;
use crate::session::state::{Session, State};

impl Session {
    /// Whether what comes may take the fast path, as long as no other call changes anything: nothing is held, so that
    /// each acknowledgement goes out at once.
    pub fn is_on_fast_path(&self) -> bool {
        self.state == State::Up && !self.disconnect_due && self.inbound.is_on_fast_path()
    }

    /// Whether a message that takes `size` bytes may be accepted on the fast path: it is within the limits, and there is
    /// room for its outcome.
    #[inline(always)]
    pub(super) fn may_accept_fast(&self, sending: &Sending, size: usize) -> bool {
        self.state == State::Up && self.fits(sending, size)
    }

    /// The same for a message of QoS 1 or 2: nothing waits ahead of it, and the window and the queue are not full.
    #[inline(always)]
    pub(super) fn may_send_fast(&self, sending: &Sending, size: usize) -> bool {
        let may = self.state == State::Up
            && sending.outbox.waiting() == 0
            && sending.outbox.in_flight() < usize::from(self.flight_limit)
            && self.out.len() < PUMP_UP_TO;
        debug_assert!(!may || self.may_send_now() && !self.is_full());
        may && self.fits(sending, size)
    }

    #[inline(always)]
    fn fits(&self, sending: &Sending, size: usize) -> bool {
        sending.unended() < sending.outcomes_fit
            && sending.has_room(&self.limits, &self.out, size)
            && !bug(Bug::IdReuse)
    }
}
