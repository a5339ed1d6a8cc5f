//! A message for which a server closes the connection each time that it comes.
//!
//! It is sent again after each reconnect, and so it goes on for ever. The oldest message in flight is under suspicion if the
//! server closes the connection after all of it was sent and before anything was acknowledged behind it: servers take messages in
//! their order. After the second time it is sent alone until something is acknowledged, so that nobody else is blamed.

use alloc::vec::Vec;

use super::outbox::Queue;
use super::{Outcome, Session};

/// So many closes in a row are told of.
const TOLD_AT: u32 = 3;
/// From so many on it is sent alone.
const ALONE_AT: u32 = 2;

/// What is known of the message that is under suspicion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Suspect {
    token: u64,
    closes: u32,
    /// How many messages had been accepted when one was acknowledged last, 0 if none was on this connection. Those that
    /// came later were sent later.
    pub(super) acknowledged_at: u64,
}

impl Suspect {
    pub(super) const NONE: Suspect = Suspect { token: 0, closes: 0, acknowledged_at: 0 };

    /// Whether the first message in flight is to be alone there.
    pub(super) fn is_sent_alone(&self) -> bool {
        self.closes >= ALONE_AT && self.acknowledged_at == 0
    }
}

/// A message after which the server has closed the connection several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// The message.
    pub token: u64,
    /// Its packet id.
    pub packet_id: u16,
    /// Its topic name, in UTF-8.
    pub topic: Vec<u8>,
    /// How many times in a row.
    pub closes: u32,
    /// It is not sent any more: its outcome is a rejection without a reason.
    pub set_aside: bool,
}

impl Session {
    /// As [`closed`](Session::closed), when it was the server that ended a connection that was up. A message that made it do
    /// so again and again is returned once, and when it is set aside.
    pub fn closed_by_server(&mut self) -> Option<Poison> {
        let poison = self.suspect();
        self.closed();
        // What was in flight is at the front now.
        if let Some(poison) = poison.as_ref().filter(|poison| poison.set_aside)
            && let Some(slot) = self.sending.outbox.first_waiting()
            && self.sending.outbox.get(slot).token == poison.token
        {
            self.end(slot, Outcome::Rejected(0));
        }
        poison
    }

    fn suspect(&mut self) -> Option<Poison> {
        let limit = self.limits.poison_after;
        let taken = self.out.taken();
        let sending = self.sending.get_mut()?;
        let slot = sending.outbox.iter(Queue::Flight).next()?;
        let (entry, suspect) = (sending.outbox.get(slot), &mut *sending.suspect);
        if entry.stage.is_released() || entry.sent_end > taken || entry.token <= suspect.acknowledged_at {
            return None;
        }
        suspect.closes = if suspect.token == entry.token { suspect.closes.saturating_add(1) } else { 1 };
        suspect.token = entry.token;
        let closes = suspect.closes;
        let set_aside = limit > 0 && closes >= limit;
        let told = closes == TOLD_AT || set_aside;
        let (token, packet_id, mut topic) = (entry.token, entry.packet_id(), Vec::new());
        // Without memory for its name it is told of without.
        if told && topic.try_reserve_exact(entry.topic().len()).is_ok() {
            topic.extend_from_slice(entry.topic());
        }
        told.then_some(Poison { token, packet_id, topic, closes, set_aside })
    }
}
