//! A message for which a server closes the connection each time that it comes.
//!
//! It is sent again after each reconnect, and so it goes on for ever. The oldest message in flight is under suspicion if the
//! server closes the connection after all of it was sent and before anything was acknowledged behind it: servers take messages in
//! their order. After the second time it is sent alone until something is acknowledged, so that nobody else is blamed.

use alloc::vec::Vec;

use crate::session::event::Poison;
use crate::session::state::Session;
use crate::session::state::outbox::Queue;

/// So many closes in a row are told of.
const TOLD_AT: u32 = 3;

impl Session {
    pub(in crate::session) fn suspect(&mut self) -> Option<Poison> {
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
