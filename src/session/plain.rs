//! Publishing while nothing is unusual: connected, no limit near, memory at hand.
//!
//! Next to always a message meets nothing but that, and what it takes then is little more than to copy it. These
//! are what [`publish`](Session::publish) does then. Whatever else there is, they find out before they change anything, and
//! leave it to that.

use super::ids::Use;
use super::outbox::Queue;
use super::publish::{has_room, is_full};
use super::{Session, State};
use crate::bugs::{Bug, bug};
use crate::wire::{Outgoing, QoS};

impl Session {
    /// Accepts a message of QoS 0 behind others of QoS 0. The topic name is valid. Returns the packet id that it has
    /// until it is written.
    #[inline(always)]
    pub fn publish_plainly(&mut self, topic: &[u8], payload: &[u8], retain: bool) -> Option<u16> {
        let sending = self.sending.get_mut()?;
        let packet_id = sending.ids.free()?;
        let packet = Outgoing { dup: false, qos: QoS::AtMostOnce, retain, topic, packet_id: 0, payload };
        let len = packet.plain_len(self.version)?;
        let number = sending.accepted + 1;
        if self.state != State::Up
            || sending.outstanding() >= sending.outcomes_fit
            || !has_room(&self.limits, sending, &self.out, len)
            || !sending.ids.unsent.continues(number, packet_id, self.out.end())
            || bug(Bug::IdReuse)
        {
            return None;
        }
        packet.write_plain(self.out.spare(len)?);
        self.out.add(len);
        sending.accepted = number;
        self.flow.tx_messages += 1;
        sending.ids.lend_free(packet_id, self.out.end());
        Some(packet_id)
    }

    /// Sends a message of QoS 1 or 2, with nothing ahead of it that waits. The topic name is valid. Returns its packet
    /// id.
    #[inline(never)]
    pub fn publish_tracked_plainly(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) -> Option<u16> {
        let may_send = self.may_send_now();
        let sending = self.sending.get_mut()?;
        let packet_id = sending.ids.next_in_line()?;
        let packet = Outgoing { dup: false, qos, retain, topic, packet_id, payload };
        let len = packet.plain_len(self.version)?;
        let size = topic.len() + payload.len();
        if !may_send
            || sending.outstanding() >= sending.outcomes_fit
            || !has_room(&self.limits, sending, &self.out, size)
            || is_full(&self.limits, sending)
            || bug(Bug::IdReuse)
        {
            return None;
        }
        // What is written to a free slot and behind the output is nothing yet.
        let (slot, tail) = sending.outbox.next_slot(size)?;
        packet.write_tail(tail);
        packet.write_plain_with(tail, self.out.spare(len)?);
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
