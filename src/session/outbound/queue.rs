//! The queue: what was accepted and waits to be sent. Whoever goes through it does so here, so that what else can hold
//! waiting messages has one place to be asked.
//!
//! Its first messages may be on their way already: after a lost link, what was in flight is at its front.

use crate::error::Code;
use crate::session::event::{Dropped, Outcome};
use crate::session::limits::{OnSessionLoss, Overflow, ServerLimits};
use crate::session::state::outbox::{Entry, Queue, Stage};
use crate::session::state::{Session, State};
use crate::time::{Moment, Time};
use crate::wire::Version;

/// How much has to go for a message to fit.
struct Excess {
    messages: usize,
    bytes: usize,
}

impl Excess {
    fn is_none(&self) -> bool {
        self.messages == 0 && self.bytes == 0
    }

    /// One message goes.
    fn give_up(&mut self, entry: &Entry) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(entry.size());
    }
}

impl Session {
    /// Ends the waiting messages to which `outcome_of` gives an outcome, the first one first.
    fn end_waiting(&mut self, mut outcome_of: impl FnMut(&Entry) -> Option<Outcome>) {
        let mut next = self.sending.outbox.first_waiting();
        while let Some(slot) = next {
            next = self.sending.outbox.next(slot);
            if let Some(outcome) = outcome_of(self.sending.outbox.get(slot)) {
                self.end(slot, outcome);
            }
        }
    }

    /// Gives up messages that were not sent in time.
    pub fn expire(&mut self, now: Time) {
        if !self.sending.first_expires.is_over(now) {
            return;
        }
        let mut soonest = Time::NEVER;
        self.end_waiting(|entry| {
            let at = entry.expires.get().filter(|_| entry.never_left())?;
            if at <= now {
                return Some(Outcome::Expired);
            }
            soonest = soonest.min(at);
            None
        });
        if let Some(sending) = self.sending.get_mut() {
            sending.first_expires = Moment::from(soonest);
        }
        self.set_next_expiry();
    }

    /// The server does not know our session: what it may have seen of it is resent or reported. What is nobody's any
    /// more ends with the session.
    pub(in crate::session) fn session_lost(&mut self) {
        let report = self.limits.on_session_loss == OnSessionLoss::Report;
        let five = self.version == Version::V5;
        if !five && !report && self.sending.outbox.late() == 0 {
            return;
        }
        self.end_waiting(|entry| {
            let released = entry.stage == Stage::Release;
            if entry.stage.is_late() || report && (entry.dup || released) {
                return Some(Outcome::Lost);
            }
            // The server had taken it, and there is nobody left who waits for PUBREL [MQTT-3.2.2-5].
            (five && released).then_some(Outcome::Acked)
        });
        if five && let Some(sending) = self.sending.get_mut() {
            sending.outbox.restart();
        }
    }

    /// Messages that were accepted before the server's word was known end here if it does not allow them: to send one
    /// would end the connection, each time.
    pub(in crate::session) fn end_what_the_server_refuses(&mut self) {
        let (server, version) = (self.sending.server, self.version);
        if server == ServerLimits::NONE {
            return;
        }
        self.end_waiting(|entry| {
            if entry.stage.is_released() {
                return None;
            }
            let refused = server.refuse_publish(entry.qos, entry.retain, entry.packet_size(version));
            refused.map(Outcome::Rejected)
        });
    }

    /// Ends all that waits.
    pub(in crate::session) fn end_all_waiting(&mut self, outcome: Outcome) {
        self.end_waiting(|_| Some(outcome));
    }

    /// Ends the first message if it is the one with this token.
    pub(in crate::session) fn end_first_waiting(&mut self, token: u64, outcome: Outcome) {
        if let Some(slot) = self.sending.outbox.first_waiting()
            && self.sending.outbox.get(slot).token == token
        {
            self.end(slot, outcome);
        }
    }

    /// Whether there are as many messages, waiting or in flight, as there may be.
    #[inline(always)]
    pub(in crate::session) fn is_full(&self) -> bool {
        let max = self.limits.max_queue;
        max != 0 && self.sending.outbox.len() >= max
    }

    /// Makes sure that a message of `size` bytes fits, dropping older ones if the policy says so.
    pub(in crate::session) fn make_room(&mut self, size: usize, now: bool) -> Result<(), Code> {
        if self.limits.max_queue == 0 && !now {
            // Nothing is kept for later.
            return Err(if self.state == State::Up { Code::QueueFull } else { Code::NotConnected });
        }
        match self.check_bytes(size) {
            Ok(()) if !self.is_full() => Ok(()),
            Err(Code::TooLarge) => Err(Code::TooLarge),
            _ if self.limits.overflow == Overflow::RefuseNew => Err(Code::QueueFull),
            _ => self.drop_oldest(size),
        }
    }

    /// Drops the oldest messages that may go, for one of `size` bytes to fit. If not enough may go, none does: a message
    /// that is refused must not take others with it.
    fn drop_oldest(&mut self, size: usize) -> Result<(), Code> {
        let outbox = &self.sending.outbox;
        let held = outbox.bytes() + self.out.len();
        let mut excess = Excess {
            messages: if self.is_full() { outbox.len() + 1 - self.limits.max_queue } else { 0 },
            bytes: held.saturating_sub(self.limits.max_outgoing_bytes - size),
        };
        let mut victims = 0;
        let may_go =
            outbox.iter(Queue::Waiting).map(|slot| outbox.get(slot)).filter(|entry| entry.never_left());
        for entry in may_go {
            if excess.is_none() {
                break;
            }
            excess.give_up(entry);
            victims += 1;
        }
        if !excess.is_none() {
            return Err(Code::QueueFull);
        }
        self.drop_first(victims);
        Ok(())
    }

    /// Drops the first `victims` messages of which the server knows nothing.
    fn drop_first(&mut self, mut victims: usize) {
        let mut next = self.sending.outbox.first_waiting();
        while let Some(slot) = next.filter(|_| victims > 0) {
            next = self.sending.outbox.next(slot);
            if self.sending.outbox.get(slot).never_left() {
                victims -= 1;
                self.end(slot, Outcome::Dropped(Dropped::Overflow));
            }
        }
    }
}
