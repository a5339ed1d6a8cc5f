//! The server's acknowledgements: PUBACK, PUBREC, PUBCOMP.

use crate::session::event::{Acknowledged, Ended, Event, Failure, Outcome};
use crate::session::state::ids::{RawUse, Use};
use crate::session::state::outbox::Stage;
use crate::session::state::sending::Terms;
use crate::session::state::{PendingEvent, Session};
use crate::wire::{PacketType, QoS, reason};

impl Session {
    pub(in crate::session) fn puback(&mut self, id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        match self.sending.ids.get(id) {
            Some(Use::Publish(slot)) if self.is_sent(slot) => {
                let entry = self.sending.outbox.get(slot);
                if entry.stage.is_released() {
                    return self.stray(id, reason);
                }
                // RabbitMQ answers a QoS 2 PUBLISH with PUBACK. Nothing more will come for it.
                let early = entry.qos == QoS::ExactlyOnce;
                Ok(Some(Event::PubAck(self.complete(slot, reason, early))))
            }
            Some(Use::Raw(RawUse::Publish1 | RawUse::Publish2)) => {
                self.sending.ids.release(id);
                self.stray(id, reason)
            }
            _ => self.stray(id, reason),
        }
    }

    pub(in crate::session) fn pubrec(&mut self, id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        let mut told = Acknowledged { packet_id: id, token: None, reason, late: false, early: false };
        let refused = reason >= 0x80;
        match self.sending.ids.get(id) {
            Some(Use::Publish(slot)) if self.is_sent(slot) => {
                let entry = self.sending.outbox.get_mut(slot);
                if entry.qos != QoS::ExactlyOnce {
                    return Err(Failure::protocol("the server answered a QoS 1 PUBLISH with PUBREC"));
                }
                told.token = Some(entry.token);
                // What it took once it cannot refuse any more: only PUBCOMP ends that [MQTT-4.3.3-5].
                if refused && !entry.stage.is_released() {
                    return Ok(Some(Event::PubRec(self.complete(slot, reason, false))));
                }
                told.late = entry.stage.is_late();
                entry.stage = if told.late { Stage::LateRelease } else { Stage::Release };
                self.sending.suspect.acknowledged_at = self.sending.accepted;
            }
            Some(Use::Raw(RawUse::Publish2)) if refused => {
                self.sending.ids.release(id);
                return Ok(Some(Event::PubRec(told)));
            }
            Some(Use::Raw(RawUse::Publish2)) => self.sending.ids.change(id, Use::Raw(RawUse::Released)),
            Some(Use::Raw(RawUse::Released)) => {}
            // PUBREL answers only what is not a refusal [MQTT-4.3.3-4].
            _ if refused => return Ok(Some(Event::PubRec(told))),
            // Not known: PUBREL lets the server finish.
            _ => {}
        }
        self.answer(PacketType::PubRel, id)?;
        Ok(Some(Event::PubRec(told)))
    }

    pub(in crate::session) fn pubcomp(&mut self, id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        let stray = Acknowledged { packet_id: id, token: None, reason, late: false, early: false };
        match self.sending.ids.get(id) {
            Some(Use::Publish(slot)) if self.sending.outbox.get(slot).stage.is_released() => {
                // The server took the message with PUBREC. That it does not know the packet id any more says that it had
                // finished before: its first PUBCOMP was lost with a connection.
                let ended = self.complete(slot, reason::SUCCESS, false);
                Ok(Some(Event::PubComp(Acknowledged { reason, ..ended })))
            }
            Some(Use::Raw(RawUse::Released)) => {
                self.sending.ids.release(id);
                Ok(Some(Event::PubComp(stray)))
            }
            _ => Ok(Some(Event::PubComp(stray))),
        }
    }

    /// The exchange of an outbox entry ended. Its slot stays until the event was handled.
    pub(in crate::session) fn complete(&mut self, slot: u32, reason: u8, early: bool) -> Acknowledged {
        let terms = Terms::of(&self.limits, self.tell_all);
        let sending = &mut *self.sending;
        let (late, entry) = sending.outbox.retire_any(slot);
        let (token, packet_id) = (entry.token, entry.packet_id());
        let (cookie, accepted_at) = (entry.cookie, entry.accepted_at);
        let outcome = if reason >= 0x80 { Outcome::Rejected(reason) } else { Outcome::Acked };
        if late {
            sending.ids.release(packet_id);
            sending.outcomes.late_acks += 1;
        } else {
            if outcome == Outcome::Acked {
                sending.count_latency(1, self.now.since(accepted_at));
            }
            sending.finish(token, packet_id, cookie, outcome, terms);
        }
        sending.suspect.acknowledged_at = sending.accepted;
        self.pending_event = PendingEvent::Acknowledged(slot);
        self.pump();
        Acknowledged { packet_id, token: Some(token), reason, late, early }
    }

    /// An acknowledgement that ends nothing of ours is only told.
    fn stray(&self, packet_id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        Ok(Some(Event::PubAck(Acknowledged { packet_id, token: None, reason, late: false, early: false })))
    }

    /// Whether the server can have an opinion on an entry of the outbox. One that did not leave is not
    /// acknowledged by anything, or it would never be sent.
    #[inline]
    fn is_sent(&self, slot: u32) -> bool {
        self.sending.outbox.get(slot).is_sent(self.out.taken())
    }

    /// The topic of the message whose acknowledgement is being handled, in UTF-8.
    pub fn acknowledged_topic(&self) -> Option<&[u8]> {
        match self.pending_event {
            PendingEvent::Acknowledged(slot) => Some(self.sending.outbox.get(slot).topic()),
            _ => None,
        }
    }

    /// The message whose acknowledgement is being handled, lent to who lets go of the session while he tells of it.
    /// He [gives it back](Session::restore) before he says that it is handled.
    pub fn take_acknowledged(&mut self) -> Option<Ended> {
        match self.pending_event {
            PendingEvent::Acknowledged(slot) => Some(self.sending.outbox.get_mut(slot).take_topic(slot)),
            _ => None,
        }
    }

    /// Takes back what [`take_acknowledged`](Session::take_acknowledged) gave, for its memory.
    pub fn restore(&mut self, ended: Ended) {
        if let Some(sending) = self.sending.get_mut() {
            sending.outbox.put_back(ended);
        }
    }
}
