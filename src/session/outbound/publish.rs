//! Accepting messages: written at once, or queued until they can be.

use crate::error::Code;
use crate::session::outbound::sending::put_aliased;
use crate::session::output::{PUMP_UP_TO, encode_code};
use crate::session::state::ids::Use;
use crate::session::state::outbox::Queue;
use crate::session::state::sending::Sending;
use crate::session::state::{Session, State};
use crate::time::{Span, Time};
use crate::wire::topic::Topic;
use crate::wire::{Outgoing, Properties, PropertyId, QoS, Version, reason};

/// A message to be published. The topic name is valid.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The topic name.
    pub topic: Topic<'a>,
    /// The properties, without a topic alias. Only MQTT 5.0 has any.
    pub properties: Properties<'a>,
    /// The topic alias that it is to have, if the server takes it; 0 for any or none (MQTT 5.0 §3.3.2.3.4).
    pub alias: u16,
    /// The payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// The server shall retain it.
    pub retain: bool,
    /// Give it a packet id now, whatever its QoS, and hold that id until the outcome. Otherwise it gets
    /// one when it is sent.
    pub reserve_id: bool,
    /// If it was not sent by then, it is given up.
    pub expires: Option<Time>,
    /// Told with its outcome; of no meaning here.
    pub cookie: u32,
}

impl<'a> Publication<'a> {
    /// A message that gets its packet id when it is sent, never expires, and is not retained.
    pub fn new(topic: impl Into<Topic<'a>>, payload: &'a [u8], qos: QoS) -> Self {
        Publication::of(topic.into(), payload, qos)
    }

    /// [`new`](Self::new), for a topic that has been looked at perhaps.
    #[inline(always)]
    pub const fn of(topic: Topic<'a>, payload: &'a [u8], qos: QoS) -> Self {
        Publication {
            topic,
            properties: Properties::EMPTY,
            alias: 0,
            payload,
            qos,
            retain: false,
            reserve_id: false,
            expires: None,
            cookie: 0,
        }
    }
}

/// The packet of a message that is sent for the first time.
#[inline(always)]
fn packet<'a>(message: &Publication<'a>, packet_id: u16) -> Outgoing<'a> {
    let &Publication { qos, retain, topic, properties, payload, .. } = message;
    Outgoing { dup: false, qos, retain, topic: topic.as_bytes(), packet_id, properties, payload }
}

/// A publish that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Names it for the life of the session: its number, counted from 1.
    pub token: u64,
    /// 0 if it has none yet.
    pub packet_id: u16,
}

impl Session {
    /// Accepts a message: it is sent now, or as soon as it may be. On an error nothing was accepted.
    #[inline(always)]
    pub fn publish(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        // What it needs is there from the first one on.
        self.sending()?;
        let accepted = self.accept(message);
        self.sending.outcomes.refused += u64::from(accepted.is_err());
        accepted
    }

    #[inline(always)]
    fn accept(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        // Room for its outcome is made now, so that reporting it later cannot fail.
        let more = self.outstanding() + 1;
        if more > self.sending.outcomes_fit {
            self.make_outcomes_fit(more)?;
        }
        match message.qos {
            QoS::AtMostOnce => self.publish_once(message),
            _ => self.publish_tracked(message),
        }
    }

    #[cold]
    fn make_outcomes_fit(&mut self, n: usize) -> Result<(), Code> {
        self.sending.history.reserve(n, self.limits.outcome_history)?;
        self.sending.completions.try_reserve(n).map_err(|_| Code::NoMemory)?;
        let completions = self.sending.completions.capacity() - self.sending.completions.len();
        let fit = self.sending.history.room(self.limits.outcome_history).min(completions);
        self.sending.outcomes_fit = if self.each_publish { 0 } else { fit };
        Ok(())
    }

    #[inline(always)]
    fn publish_once(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        if self.state != State::Up {
            return Err(Code::NotConnected);
        }
        let packet = packet(message, 0);
        let plain = self.plain_len(&packet);
        self.check_bytes(plain.map_or_else(|| self.packet_size(&packet), Ok)?)?;
        self.sending.ids.reserve_unsent()?;
        let packet_id = if message.reserve_id { self.sending.ids.lend()? } else { 0 };
        let start = self.out.end();
        let (server, five) = (&self.sending.server, &mut self.five);
        put_aliased(&mut self.out, five, server, self.version, &packet, message.alias, plain)?;
        self.flow.tx_messages += 1;
        self.sending.accepted += 1;
        let token = self.sending.accepted;
        self.sending.ids.unsent.push(token, packet_id, message.cookie, start, self.out.end());
        Ok(Accepted { token, packet_id })
    }

    #[inline(never)]
    fn publish_tracked(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        // With whatever id it gets it is as long.
        let mut packet = packet(message, 1);
        let size = packet.topic.len() + packet.properties.encoded_len() + packet.payload.len();
        let plain = self.plain_len(&packet);
        let mut expires = message.expires;
        if plain.is_none() {
            self.packet_size(&packet)?;
            // What the server would not forward any more need not be sent.
            if let Some(seconds) = packet.properties.number(PropertyId::MessageExpiryInterval) {
                let at = self.now + Span::secs(u64::from(seconds));
                expires = Some(expires.map_or(at, |other| other.min(at)));
            }
        }
        // Straight to the wire if nothing is ahead of it; otherwise it has to wait its turn.
        let now = self.may_send_now();
        self.make_room(size, now)?;

        let queue = if now { Queue::Flight } else { Queue::Waiting };
        let Sending { outbox, ids, accepted, server, .. } = &mut *self.sending;
        outbox.make_slot(size)?;
        let (slot, tail) = outbox.next_slot(size).ok_or(Code::NoMemory)?;
        packet.write_tail(tail);
        let entry = outbox.push(queue, *accepted + 1, &packet, 0);
        entry.cookie = message.cookie;
        entry.alias = message.alias;
        entry.expires = expires.into();
        entry.accepted_at = self.now;
        if message.reserve_id || now {
            match ids.take(Use::Publish(slot)) {
                Ok(id) => entry.identify(id),
                Err(code) => return Err(self.take_back(slot, code)),
            }
        }
        let accepted = Accepted { token: entry.token, packet_id: entry.packet_id() };
        if now {
            packet.packet_id = accepted.packet_id;
            let (out, five, alias) = (&mut self.out, &mut self.five, message.alias);
            if let Err(code) = put_aliased(out, five, server, self.version, &packet, alias, plain) {
                return Err(self.take_back(slot, code));
            }
            entry.sent_end = self.out.end();
            self.flow.tx_messages += 1;
            if self.flight_limit == 0 {
                self.watch_acknowledgements();
            }
        }
        self.sending.accepted += 1;
        if !now {
            if let Some(at) = expires {
                self.expire_at(at);
            }
            // Normally nothing can go, or it would have gone; but what memory stopped may go on now.
            self.pump();
        }
        Ok(accepted)
    }

    /// Whether a message may be sent that is accepted now.
    #[inline(always)]
    pub(in crate::session) fn may_send_now(&self) -> bool {
        self.state == State::Up
            && self.sending.outbox.waiting() == 0
            && self.sending.outbox.in_flight() < usize::from(self.window())
            && self.out.len() < PUMP_UP_TO
    }

    /// Undoes an acceptance that could not be completed.
    #[cold]
    fn take_back(&mut self, slot: u32, code: Code) -> Code {
        let Sending { ids, outbox, .. } = &mut *self.sending;
        ids.release(outbox.get(slot).packet_id());
        outbox.retire(slot);
        outbox.discard(slot);
        code
    }

    /// The size of a packet, which is not more than MQTT and the server allow. Properties that MQTT 3.x would lose in
    /// silence are refused.
    #[cold]
    pub(in crate::session) fn packet_size(&self, packet: &Outgoing<'_>) -> Result<usize, Code> {
        // An alias belongs to one connection; an identifier only to what the server sends [MQTT-3.3.4-6].
        let not_ours = [PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier];
        if not_ours.iter().any(|id| packet.properties.get(*id).is_some()) {
            return Err(Code::BadArgument);
        }
        // Without a connection it is not known yet which version the next one speaks; who has properties expects 5.0.
        let waits = self.state != State::Up && !packet.properties.is_empty();
        let version = if waits { Version::V5 } else { self.version };
        let size = packet.packet_len(version).map_err(encode_code)?;
        match self.sending.server.refuse_publish(packet.qos, packet.retain, size) {
            None => Ok(size),
            Some(reason::PACKET_TOO_LARGE) => Err(Code::TooLarge),
            Some(_) => Err(Code::ServerLimit),
        }
    }

    /// The size of a packet of the plainest kind, if the server takes it.
    #[inline(always)]
    fn plain_len(&self, packet: &Outgoing<'_>) -> Option<usize> {
        let len = packet.plain_len(self.version)?;
        let taken = self.version != Version::V5
            || self.sending.server.refuse_publish(packet.qos, packet.retain, len).is_none();
        taken.then_some(len)
    }

    /// Whether so many bytes more are within the limit.
    #[inline(always)]
    fn has_room_for(&self, size: usize) -> bool {
        self.sending.has_room(&self.limits, &self.out, size)
    }

    /// Refuses what would go over the limit in bytes.
    #[inline]
    pub(in crate::session) fn check_bytes(&self, size: usize) -> Result<(), Code> {
        if self.has_room_for(size) {
            Ok(())
        } else if size > self.limits.max_outgoing_bytes {
            Err(Code::TooLarge)
        } else {
            Err(Code::QueueFull)
        }
    }
}
