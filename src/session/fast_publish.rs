//! Fast path of publishing: connected, within limits, memory reserved. Checks everything first, otherwise falls back to
//! [`publish`](Session::publish).

use super::ids::Use;
use super::outbox::Queue;
use super::publish::has_room;
use super::unsent::Unsent;
use super::{Session, State};
use crate::bugs::{Bug, bug};
use crate::wire::{Outgoing, QoS};

impl Session {
    /// Accepts a message of QoS 0 behind others of QoS 0, or as the first one. The topic name is valid. Returns the
    /// packet id that it has until it is written.
    #[inline(always)]
    pub fn publish_fast(&mut self, topic: &[u8], payload: &[u8], retain: bool) -> Option<u16> {
        let sending = self.sending.get()?;
        let packet_id = sending.ids.free()?;
        if !sending.ids.unsent.continues(sending.accepted + 1, packet_id, self.out.end()) {
            return self.begin_fast(topic, payload, retain, packet_id);
        }
        self.append_fast(topic, payload, retain, packet_id, |unsent, _, end| unsent.extend(end))
    }

    /// [`publish_fast`](Self::publish_fast) with nothing of QoS 0 that waits to be written.
    #[inline(never)]
    fn begin_fast(&mut self, topic: &[u8], payload: &[u8], retain: bool, packet_id: u16) -> Option<u16> {
        if self.sending.ids.unsent.len() > 0 {
            return None;
        }
        self.append_fast(topic, payload, retain, packet_id, |unsent, number, end| {
            unsent.begin(number, packet_id, end);
        })
    }

    /// Appends a message with the packet id that is free, and lets `enter` put it among the unsent ones.
    #[inline(always)]
    fn append_fast(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        retain: bool,
        packet_id: u16,
        enter: impl FnOnce(&mut Unsent, u64, u64),
    ) -> Option<u16> {
        let sending = self.sending.get_mut()?;
        let packet = Outgoing { dup: false, qos: QoS::AtMostOnce, retain, topic, packet_id: 0, payload };
        let len = packet.plain_len(self.version)?;
        if self.state != State::Up
            || sending.unended() >= sending.outcomes_fit
            || !has_room(&self.limits, sending, &self.out, len)
            || bug(Bug::IdReuse)
        {
            return None;
        }
        packet.write_plain(self.out.spare(len)?);
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
        let size = topic.len() + payload.len();
        let may_send = self.may_send_fast();
        let sending = self.sending.get_mut()?;
        if !may_send
            || sending.unended() >= sending.outcomes_fit
            || !has_room(&self.limits, sending, &self.out, size)
            || bug(Bug::IdReuse)
        {
            return None;
        }
        let packet_id = sending.ids.next_in_line()?;
        let packet = Outgoing { dup: false, qos, retain, topic, packet_id, payload };
        let len = packet.plain_len(self.version)?;
        // What is written to a free slot and behind the output is nothing yet.
        let (slot, tail) = sending.outbox.next_slot(size)?;
        packet.write_tail(tail);
        packet.write_plain(self.out.spare(len)?);
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
}
