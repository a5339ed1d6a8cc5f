//! When to look next: for acknowledgements that do not come, and for messages whose time is over.

use crate::session::state::ack_watch::{AckWatch, between_looks};
use crate::session::state::{Session, State};
use crate::time::{Moment, Span, Time};

impl Session {
    /// When [`expire`](Session::expire) or [`look_for_acknowledgements`](Session::look_for_acknowledgements) has
    /// something to do.
    pub fn expiry(&self) -> Option<Time> {
        self.sending.next_expiry
    }

    pub(super) fn expire_at(&mut self, at: Time) {
        self.sending.first_expires = at.min(self.sending.first_expires.or_never()).into();
        self.set_next_expiry();
    }

    pub(super) fn set_next_expiry(&mut self) {
        if let Some(sending) = self.sending.get_mut() {
            let next = sending.first_expires.or_never().min(sending.watch.look_at.or_never());
            sending.next_expiry = Moment::from(next).get();
        }
    }

    /// How many messages may be in flight for the next one to take the fast path. With a limit for acknowledgements it
    /// does not take it until somebody watches.
    pub(super) fn fast_flight_limit(&self) -> u16 {
        let is_watched = self.limits.ack_timeout == Span::ZERO || self.sending.watch.look_at != Moment::NONE;
        if is_watched { self.limits.in_flight().min(self.window()) } else { 0 }
    }

    /// Something was sent whose acknowledgement has a limit: makes sure that it is looked for.
    #[cold]
    pub(super) fn watch_acknowledgements(&mut self) {
        let within = self.limits.ack_timeout;
        if within > Span::ZERO
            && self.state == State::Up
            && self.sending.watch.look_at == Moment::NONE
            && (self.sending.outbox.in_flight() > 0 || self.subscriptions.waits_since().is_some())
        {
            self.look_again((self.now + between_looks(within)).into());
            self.watch_began = true;
        }
    }

    /// Whether there is an earlier [`expiry`](Session::expiry) since this was asked last, of which who sleeps may not know.
    #[inline]
    pub fn watch_began(&mut self) -> bool {
        core::mem::take(&mut self.watch_began)
    }

    /// The connection takes nothing more, so nothing more of it is looked for.
    pub(super) fn end_watch(&mut self) {
        if let Some(sending) = self.sending.get_mut() {
            sending.watch = AckWatch::NONE;
        }
        self.look_again(Moment::NONE);
    }

    /// Whether it is time to [look](Session::look_for_acknowledgements).
    pub fn acknowledgements_are_due(&self, now: Time) -> bool {
        self.sending.watch.look_at.is_over(now)
    }

    /// What came from the server was not read to its end: the acknowledgements may be there. It is looked later.
    pub fn put_look_off(&mut self, now: Time) {
        if self.acknowledgements_are_due(now) {
            self.look_again((now + between_looks(self.limits.ack_timeout)).into());
        }
    }

    pub(super) fn look_again(&mut self, at: Moment) {
        if let Some(sending) = self.sending.get_mut() {
            sending.watch.look_at = at;
        }
        self.set_next_expiry();
        self.flight_limit = self.fast_flight_limit();
    }
}
