//! The fast path of messages that come one after the other while nothing else happens.
//!
//! These steps are what [`input`](Session::input) and [`handled`](Session::handled) do, without asking each time for what they
//! have to ask for. Whatever is not of the plainest kind is left to those.

use alloc::boxed::Box;

use crate::session::event::Failure;
use crate::session::state::{PendingEvent, Session};
use crate::wire::{self, PacketType, QoS, Version};

/// The topic behind an alias, while messages that have it follow one another.
#[derive(Debug, Default)]
pub struct LentTopic {
    alias: u16,
    topic: Box<[u8]>,
}

impl LentTopic {
    /// Whether it is that of this alias.
    #[inline(always)]
    pub fn is(&self, alias: u16) -> bool {
        self.alias == alias
    }

    /// The topic name, in UTF-8.
    #[inline(always)]
    pub fn name(&self) -> &[u8] {
        &self.topic
    }
}

impl Session {
    /// A step for a message, if there is nothing special about it. Otherwise nothing is changed.
    ///
    /// The packet of `len` bytes is what [`PlainPublish::decode`](wire::PlainPublish::decode) found, `FIVE` in MQTT 5.0. The application is
    /// told; [`fast_handled`](Session::fast_handled) or, as after any event, [`handled`](Session::handled)
    /// follows.
    #[inline(always)]
    pub fn fast_message<const FIVE: bool>(&mut self, len: usize, qos: QoS, packet_id: u16) -> bool {
        debug_assert!(self.is_on_fast_path() && self.pending_event == PendingEvent::Nothing);
        // A delivery of QoS 2 must be remembered, and a repeated one is none.
        let exactly_once = qos == QoS::ExactlyOnce;
        if len > self.limits.max_incoming || exactly_once && !self.inbound.has_place_for(packet_id) {
            return false;
        }
        if FIVE {
            let Some(five) = self.five.get_mut() else { return false };
            if len > five.packet_size as usize {
                return false;
            }
            if qos != QoS::AtMostOnce {
                // Nothing is held, so that there is nothing unacknowledged beside these.
                if five.unreleased >= u32::from(five.receive_maximum) {
                    return false;
                }
                if exactly_once {
                    five.unreleased += 1;
                }
            }
        }
        self.flow.rx_messages += 1;
        self.pending_event = PendingEvent::Publish(qos, packet_id);
        true
    }

    /// Lends the topic behind an alias for as long as messages follow one another. What was lent before comes back.
    /// False if the alias stands for nothing.
    #[inline(never)]
    pub fn lend_topic(&mut self, alias: u16, lent: &mut LentTopic) -> bool {
        self.return_topic(core::mem::take(lent));
        match self.five.get_mut().and_then(|five| five.aliases.lend(alias)) {
            Some(topic) => *lent = LentTopic { alias, topic },
            None => return false,
        }
        true
    }

    /// What was lent comes back.
    pub fn return_topic(&mut self, LentTopic { alias, topic }: LentTopic) {
        if let Some(five) = self.five.get_mut() {
            five.aliases.give_back(alias, topic);
        }
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
        // In MQTT 5.0 PUBCOMP says that it is not known.
        if self.version == Version::V5 && !self.inbound.is_known(id) {
            return None;
        }
        // Without memory for the answer the ordinary step fails as well, and says so.
        self.answer(PacketType::PubComp, id).ok()?;
        self.release(id);
        Some(wire::PLAIN_ACK)
    }
}
