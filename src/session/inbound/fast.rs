//! The fast path of messages that come one after the other while nothing else happens.
//!
//! These steps are what [`input`](Session::input) and [`handled`](Session::handled) do, without asking each time for what they
//! have to ask for. Whatever is not of the plainest kind is left to those.

use crate::session::event::Failure;
use crate::session::state::{PendingEvent, Session};
use crate::wire::{self, PacketType, PlainPublish, QoS, Received};

impl Session {
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
}
