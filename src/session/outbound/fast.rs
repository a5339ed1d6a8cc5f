//! The fast path of publishing and of acknowledgements: connected, within limits, memory reserved. Everything is checked
//! first; whatever is not of the plainest kind is left to [`publish`](Session::publish) and to
//! [`input`](Session::input), which do the same without asking for that.

use alloc::vec::Vec;

use crate::session::event::{Ended, Outcome};
use crate::session::state::ids::Use;
use crate::session::state::outbox::{Queue, Stage};
use crate::session::state::sending::{Sending, Terms};
use crate::session::state::unsent::Unsent;
use crate::session::state::{PendingEvent, Session};
use crate::wire::{self, Outgoing, PacketType, Properties, QoS, Version};

const NONE: Properties<'static> = Properties::EMPTY;

/// The version that a function is compiled for. All that 5.0 asks more for is left out for the older ones, whose packets
/// are alike.
const fn version(five: bool) -> Version {
    if five { Version::V5 } else { Version::V311 }
}

impl Session {
    /// Accepts a message of QoS 0 behind others of QoS 0, or as the first one. The topic name is valid. Returns the
    /// packet id that it has until it is written.
    #[inline(always)]
    pub fn publish_fast(&mut self, topic: &[u8], payload: &[u8], retain: bool) -> Option<u16> {
        match self.version {
            Version::V5 => self.publish_unsent::<true>(topic, payload, retain),
            _ => self.publish_unsent::<false>(topic, payload, retain),
        }
    }

    #[inline(always)]
    fn publish_unsent<const FIVE: bool>(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        retain: bool,
    ) -> Option<u16> {
        let sending = self.sending.get()?;
        let packet_id = sending.ids.free()?;
        if !sending.ids.unsent.continues(sending.accepted + 1, packet_id, self.out.end()) {
            return self.begin_fast::<FIVE>(topic, payload, retain, packet_id);
        }
        self.append_fast::<FIVE>(topic, payload, retain, packet_id, |unsent, _, end| unsent.extend(end))
    }

    /// [`publish_fast`](Self::publish_fast) with nothing of QoS 0 that waits to be written.
    #[inline(never)]
    fn begin_fast<const FIVE: bool>(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        retain: bool,
        packet_id: u16,
    ) -> Option<u16> {
        if self.sending.ids.unsent.len() > 0 {
            return None;
        }
        self.append_fast::<FIVE>(topic, payload, retain, packet_id, |unsent, number, end| {
            unsent.begin(number, packet_id, end);
        })
    }

    /// Appends a message with the packet id that is free, and lets `enter` put it among the unsent ones.
    #[inline(always)]
    fn append_fast<const FIVE: bool>(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        retain: bool,
        packet_id: u16,
        enter: impl FnOnce(&mut Unsent, u64, u64),
    ) -> Option<u16> {
        let packet = Outgoing {
            dup: false,
            qos: QoS::AtMostOnce,
            retain,
            topic,
            packet_id: 0,
            properties: NONE,
            payload,
        };
        let len = packet.plain_len(version(FIVE))?;
        if !self.may_accept_fast(self.sending.get()?, len) {
            return None;
        }
        let len = self.put_fast::<FIVE>(&packet, len)?;
        let sending = self.sending.get_mut()?;
        self.out.add(len);
        sending.accepted += 1;
        self.flow.tx_messages += 1;
        sending.ids.lend_free(packet_id);
        enter(&mut sending.ids.unsent, sending.accepted, self.out.end());
        Some(packet_id)
    }

    /// Sends a message of QoS 1 or 2, with nothing ahead of it that waits. The topic name is valid. Returns its packet
    /// id.
    #[inline(never)]
    pub fn publish_tracked_fast(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) -> Option<u16> {
        match self.version {
            Version::V5 => self.publish_tracked_five(topic, payload, qos, retain),
            _ => self.send_fast::<false>(topic, payload, qos, retain),
        }
    }

    #[inline(never)]
    fn publish_tracked_five(&mut self, topic: &[u8], payload: &[u8], qos: QoS, retain: bool) -> Option<u16> {
        self.send_fast::<true>(topic, payload, qos, retain)
    }

    #[inline(always)]
    fn send_fast<const FIVE: bool>(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) -> Option<u16> {
        let size = topic.len() + payload.len();
        let sending = self.sending.get()?;
        if !self.may_send_fast(sending, size) {
            return None;
        }
        let packet_id = sending.ids.next_in_line()?;
        let packet = Outgoing { dup: false, qos, retain, topic, packet_id, properties: NONE, payload };
        let len = packet.plain_len(version(FIVE))?;
        // What is written to a free slot and behind the output is nothing yet.
        let (slot, tail) = self.sending.get_mut()?.outbox.next_slot(size)?;
        packet.write_tail(tail);
        let len = self.put_fast::<FIVE>(&packet, len)?;
        let sending = self.sending.get_mut()?;
        if !sending.ids.take_next(packet_id, Use::Publish(slot)) {
            return None;
        }
        self.out.add(len);
        sending.accepted += 1;
        self.flow.tx_messages += 1;
        let entry = sending.outbox.push(Queue::Flight, sending.accepted, &packet, packet_id);
        entry.accepted_at = self.now;
        entry.sent_end = self.out.end();
        Some(packet_id)
    }

    /// Writes a packet of `len` bytes behind the output; in MQTT 5.0 with the topic alias that its topic has. Returns how
    /// many bytes that took. `None` without memory for it, if the server does not take it, and if its topic is to get
    /// an alias.
    #[inline(always)]
    fn put_fast<const FIVE: bool>(&mut self, packet: &Outgoing<'_>, len: usize) -> Option<usize> {
        if FIVE {
            let five = self.five.get_mut()?;
            if len > five.taken_up_to as usize {
                return None;
            }
            let alias = five.outgoing.in_use(packet.topic)?;
            if alias != 0 {
                let len = packet.alias_len()?;
                packet.write_alias(alias, self.out.spare(len)?);
                return Some(len);
            }
        }
        packet.write_plain(version(FIVE), self.out.spare(len)?);
        Some(len)
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
