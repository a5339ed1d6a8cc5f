//! How messages ended, and what is known of one.

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::session::event::{Completion, Outcome};
use crate::session::state::Session;
use crate::session::state::ids::Use;
use crate::session::state::sending::Sending;

/// What the session knows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The message waits, or is on its way.
    Outstanding,
    /// It has its outcome.
    Ended,
    /// No message has or had this token.
    Never,
}

impl Session {
    /// Ends a message that is in a list. One that has its outcome gets no other.
    pub(in crate::session) fn end(&mut self, slot: u32, outcome: Outcome) {
        let terms = self.terms();
        let Sending { outbox, ids, .. } = &mut *self.sending;
        let (late, entry) = outbox.retire_any(slot);
        let (token, packet_id, cookie) = (entry.token, entry.packet_id(), entry.cookie);
        outbox.discard(slot);
        if late {
            ids.release(packet_id);
        } else {
            self.sending.finish(token, packet_id, cookie, outcome, terms);
        }
    }

    /// Gives up a message that is not on its way yet. [`Code::AlreadySent`] for one that is: only its outcome
    /// ends it.
    pub fn cancel(&mut self, token: u64) -> Result<(), Code> {
        match (self.look_up(token), self.slot_of(token)) {
            (Known::Outstanding, Some(slot))
                if self.sending.outbox.is_unsent(slot) || bug(Bug::CancelTooLate) =>
            {
                self.end(slot, Outcome::Cancelled);
                Ok(())
            }
            (Known::Outstanding, _) => Err(Code::AlreadySent),
            (Known::Ended | Known::Never, _) => Err(Code::NotFound),
        }
    }

    /// What is known of a message by its token alone.
    pub fn look_up(&mut self, token: u64) -> Known {
        if token == 0 || token > self.sending.accepted {
            return Known::Never;
        }
        if self.slot_of(token).is_some() || self.sending.ids.unsent.has(token) {
            Known::Outstanding
        } else {
            Known::Ended
        }
    }

    /// The slot of a message of QoS 1 or 2 that has no outcome yet.
    pub(in crate::session) fn slot_of(&mut self, token: u64) -> Option<u32> {
        self.sending.get_mut()?.outbox.find(token)
    }

    /// The token of a publish without an outcome by its packet id.
    pub fn token_of(&self, packet_id: u16) -> Option<u64> {
        match self.sending.ids.get(packet_id)? {
            Use::Publish(slot) => {
                let entry = self.sending.outbox.get(slot);
                (!entry.stage.is_late()).then_some(entry.token)
            }
            Use::Unsent => self.sending.ids.unsent.find(packet_id),
            _ => None,
        }
    }

    /// How a message ended; `None` if that is too long ago, or did not happen.
    pub fn remembered(&self, token: u64) -> Option<Outcome> {
        self.sending.history.find(token, self.limits.outcome_history)
    }

    /// How many messages were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.sending.accepted
    }

    /// How many messages have ended.
    #[inline]
    pub fn ended(&self) -> u64 {
        self.sending.accepted - self.outstanding() as u64
    }

    /// Whether the first `n` accepted messages have their outcomes.
    pub fn all_ended(&self, n: u64) -> bool {
        let ended = |oldest: Option<u64>| oldest.is_none_or(|number| number > n);
        ended(self.sending.outbox.oldest()) && ended(self.sending.ids.unsent.oldest())
    }

    /// Messages without an outcome.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.sending.outstanding()
    }

    /// The completion that [`take_completion`](Session::take_completion) would return after `n` others.
    pub fn completion(&self, n: usize) -> Option<Completion> {
        self.sending.completions.get(n).copied()
    }

    /// How the next publish ended. Each accepted publish that is [told](Session::tell_all_completions) comes by here
    /// exactly once.
    pub fn take_completion(&mut self) -> Option<Completion> {
        self.sending.get_mut()?.completions.pop_front()
    }
}
