//! Steps for what comes one after the other while nothing else happens: messages, and acknowledgements.
//!
//! They are what [`input`](Session::input) and [`handled`](Session::handled) do, without asking each time for what they
//! have to ask for. Whatever is not of the plainest kind is left to those.

use alloc::vec::Vec;

use super::outbox::Stage;
use super::sending::{Sending, Terms};
use super::{Ended, Failure, Outcome, PendingEvent, Session, State};
use crate::wire::{self, PacketType, PlainPublish, QoS, Received, Version};

impl Session {
    /// Whether these steps may be made, as long as no other call changes anything: the connection is up, and nothing
    /// is held, so that each acknowledgement goes out at once.
    pub fn is_on_fast_path(&self) -> bool {
        self.state == State::Up
            && self.version != Version::V5
            && !self.disconnect_due
            && self.inbound.is_on_fast_path()
    }

    /// A step for a message, if there is nothing special about it. Otherwise nothing is changed.
    ///
    /// The packet and its `head` are what [`PlainPublish::find`] found, `known` is as there. The application is
    /// told; [`fast_handled`](Session::fast_handled) or, as after any event, [`handled`](Session::handled)
    /// follows.
    #[inline(always)]
    pub fn fast_message<'a>(
        &mut self,
        packet: &'a [u8],
        head: usize,
        known: &[u8],
    ) -> Option<PlainPublish<'a>> {
        debug_assert!(self.is_on_fast_path() && self.pending_event == PendingEvent::Nothing);
        let found = PlainPublish::decode(packet, head, known)?;
        let Received { qos, packet_id, .. } = found.publish;
        // A delivery of QoS 2 must be remembered, and a repeated one is none.
        let exactly_once = qos == QoS::ExactlyOnce;
        if packet.len() > self.limits.max_incoming || exactly_once && !self.inbound.has_place_for(packet_id) {
            return None;
        }
        self.flow.rx_messages += 1;
        self.pending_event = PendingEvent::Publish(qos, packet_id);
        Some(found)
    }

    /// The handlers of a message have returned, and the session was left alone meanwhile.
    #[inline(always)]
    pub fn fast_handled(&mut self, qos: QoS, packet_id: u16) -> Result<(), Failure> {
        self.pending_event = PendingEvent::Nothing;
        debug_assert!(self.is_on_fast_path());
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce => self.answer(PacketType::PubAck, packet_id),
            QoS::ExactlyOnce => {
                self.inbound.remember_new(packet_id)?;
                self.answer(PacketType::PubRec, packet_id)
            }
        }
    }

    /// A step for the PUBREL in front of `bytes`, if the application need not be told; the number of bytes that were
    /// consumed.
    #[inline]
    pub fn fast_release(&mut self, bytes: &[u8]) -> Option<usize> {
        debug_assert!(self.is_on_fast_path());
        let id = wire::Ack::plain(PacketType::PubRel, bytes)?;
        // Without memory for the answer the ordinary step fails as well, and says so.
        self.answer(PacketType::PubComp, id).ok()?;
        self.inbound.released(id);
        Some(wire::PLAIN_ACK)
    }

    /// A step for the PUBREC in front of `bytes`, if it is about a message of the session's own and the application
    /// need not be told; the number of bytes that were consumed.
    #[inline]
    pub fn fast_receipt(&mut self, bytes: &[u8]) -> Option<usize> {
        let id = wire::Ack::plain(PacketType::PubRec, bytes)?;
        let sending = self.sending.get()?;
        let slot = sending.ids.slot_at_home(id)?;
        let entry = sending.outbox.get(slot);
        if entry.qos != QoS::ExactlyOnce || entry.stage != Stage::Publish || !entry.is_sent(self.out.taken())
        {
            return None;
        }
        // As above.
        self.answer(PacketType::PubRel, id).ok()?;
        let sending = self.sending.get_mut()?;
        sending.outbox.get_mut(slot).stage = Stage::Release;
        sending.suspect.acknowledged_at = sending.accepted;
        Some(wire::PLAIN_ACK)
    }

    /// Steps for the PUBACKs or PUBCOMPs in front of `bytes`, of [`PLAIN_ACK`](wire::PLAIN_ACK) bytes each, as long as
    /// each ends a message of the session's own. Those go to `ended`, `most` of them, as far as that has room. The
    /// application is told of them, and [`fast_ended`](Session::fast_ended) follows.
    ///
    /// They are of one type; and a message whose outcome is told beside its acknowledgement is the last one, so
    /// that the two come one after the other.
    #[inline]
    pub fn fast_acknowledgements(
        &mut self,
        bytes: &[u8],
        ended: &mut Vec<Ended>,
        most: usize,
    ) -> Option<PacketType> {
        debug_assert!(
            self.is_on_fast_path() && self.pending_event == PendingEvent::Nothing && ended.is_empty()
        );
        let packet = match bytes.first()? >> 4 {
            4 => PacketType::PubAck,
            7 => PacketType::PubComp,
            _ => return None,
        };
        self.take_acknowledgements(packet, bytes, ended, most);
        (!ended.is_empty()).then_some(packet)
    }

    #[inline(never)]
    fn take_acknowledgements(
        &mut self,
        packet: PacketType,
        bytes: &[u8],
        ended: &mut Vec<Ended>,
        most: usize,
    ) {
        let (qos, stage) = match packet {
            PacketType::PubAck => (QoS::AtLeastOnce, Stage::Publish),
            _ => (QoS::ExactlyOnce, Stage::Release),
        };
        let terms = Terms::of(&self.limits, self.tell_all);
        let Some(sending) = self.sending.get_mut() else { return };
        let taken = self.out.taken();
        let most = bytes.len().min(ended.capacity().min(most) * wire::PLAIN_ACK);
        for bytes in bytes[..most].chunks_exact(wire::PLAIN_ACK) {
            let Some(id) = wire::Ack::plain(packet, bytes) else { break };
            let Some(slot) = sending.ids.slot_at_home(id) else { break };
            let entry = sending.outbox.get(slot);
            if entry.qos != qos || entry.stage != stage || !entry.is_sent(taken) {
                break;
            }
            let cookie = entry.cookie;
            sending.ids.release(id);
            let message = sending.outbox.retire(slot).take_topic(slot);
            let token = message.token;
            ended.push(message);
            if sending.tell(token, id, cookie, Outcome::Acked, terms) {
                break;
            }
        }
        sending.acked(ended, self.now, terms);
        self.pump();
    }

    /// A list for [these steps](Session::fast_acknowledgements), empty, to be [returned](Session::return_list).
    #[inline]
    pub fn lend_list(&mut self) -> Vec<Ended> {
        self.sending.get_mut().map(|sending| core::mem::take(&mut sending.list)).unwrap_or_default()
    }

    /// What was [lent](Session::lend_list), empty again.
    #[inline]
    pub fn return_list(&mut self, list: Vec<Ended>) {
        if let Some(sending) = self.sending.get_mut() {
            sending.list = list;
        }
    }

    /// The application was told of these.
    #[inline]
    pub fn fast_ended(&mut self, ended: &mut Vec<Ended>) {
        let Some(Sending { outbox, .. }) = self.sending.get_mut() else { return };
        for Ended { token, slot, body, .. } in ended.drain(..) {
            outbox.discard_lent(token, slot, body);
        }
    }
}
