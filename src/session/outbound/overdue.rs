//! Acknowledgements that do not come: PUBACK, PUBREC, SUBACK, UNSUBACK.
//!
//! Some servers never answer a packet that they do not like. With a limit ([`Limits::ack_timeout`]) whoever waits is told
//! so, and the connection stays. The exchange goes on: its packet id is in use until it is acknowledged (MQTT 3.1.1
//! §2.3.1), and a message that is not is sent again when the session is resumed (§4.4). It is only nobody's any more.
//!
//! Sending notes nothing. As long as something is unacknowledged, it is looked several times in the limit how far the bytes
//! have come, and each look notes from when on the time runs of what was new or had moved. So a slow link never makes a
//! message late, and what is late is told at most one look late.
//!
//! [`Limits::ack_timeout`]: crate::session::Limits::ack_timeout

use crate::patience::Delivery;
use crate::session::event::{Outcome, Overdue};
use crate::session::state::Session;
use crate::session::state::ack_watch::between_looks;
use crate::session::state::outbox::{Queue, Stage};
use crate::time::Time;

impl Session {
    /// Ends the wait for what the server has not acknowledged in time. To be asked after what came from the server was
    /// read. `delivery` is what the system knows of the transport.
    pub fn look_for_acknowledgements(&mut self, now: Time, delivery: Option<Delivery>) -> Overdue {
        let mut overdue = Overdue::default();
        if !self.acknowledgements_are_due(now) {
            return overdue;
        }
        self.now = now;
        let within = self.limits.ack_timeout;
        let positions = (self.out.taken(), self.out.end());
        let look = self.sending.watch.look(now, positions, delivery);
        // The flight is in the order of sending, so the first that has time has the least of it.
        let mut waits_since = None;
        let mut next = self.sending.outbox.iter(Queue::Flight).next();
        while let Some(slot) = next {
            next = self.sending.outbox.next(slot);
            let entry = self.sending.outbox.get_mut(slot);
            // After PUBREC the server has it for certain.
            if entry.stage != Stage::Publish {
                continue;
            }
            look.correct(entry.sent_end, &mut entry.since);
            if entry.since + within > now {
                waits_since = waits_since.or(Some(entry.since));
                continue;
            }
            self.time_out(slot, &mut overdue);
        }
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.time_out(&look, within, &mut overdue);
        }
        self.pump_subscriptions();
        let waits_since = [waits_since, self.subscriptions.waits_since()].into_iter().flatten().min();
        let next = waits_since.map(|since| (since + within).min(now + between_looks(within)));
        self.look_again(next.into());
        overdue
    }

    /// A message in flight gets its outcome, and stays there.
    fn time_out(&mut self, slot: u32, overdue: &mut Overdue) {
        let terms = self.terms();
        let sending = &mut *self.sending;
        let entry = sending.outbox.become_late(slot);
        let (token, packet_id, cookie) = (entry.token, entry.packet_id(), entry.cookie);
        if overdue.messages == 0 {
            overdue.packet_id = packet_id;
            overdue.qos = Some(entry.qos);
            // Without memory for its name it is told of without.
            if overdue.topic.try_reserve_exact(entry.topic().len()).is_ok() {
                overdue.topic.extend_from_slice(entry.topic());
            }
        }
        overdue.messages += 1;
        sending.tell(token, packet_id, cookie, Outcome::TimedOut, terms);
        sending.remember(token..token + 1, Outcome::TimedOut, terms);
    }
}
