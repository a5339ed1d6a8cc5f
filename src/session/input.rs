//! From the server's bytes to events, one packet a step.

use alloc::vec::Vec;
use core::ops::Range;

use super::ids::{RawUse, Use};
use super::inbound::{Skipped, Unread};
use super::outbox::Stage;
use super::sending::Terms;
use super::subscriptions::encode_code;
use super::{Acknowledged, Event, Failure, Incoming, Outcome, PendingEvent, Session, State, Step, Verdict};
use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::patience::Patience;
use crate::time::Time;
use crate::wire::{self, Header, Packet, PacketType, QoS};

/// What every packet but PUBLISH may have. The longest is a SUBACK, with a byte for each filter.
const CONTROL_PACKET: usize = 1024;

const MORE: Step = Step { consumed: 0, event: None };

impl Session {
    /// Bytes came from the server: the connection is alive.
    pub fn received(&mut self, now: Time) {
        self.now = now;
        self.keep_alive.read(now);
    }

    /// Consumes at most one packet from the front of `bytes`.
    ///
    /// After a step with an event the caller tells the application and then calls
    /// [`handled`](Session::handled), before the next step. After an error the connection has to be
    /// closed.
    pub fn input(&mut self, now: Time, bytes: &[u8]) -> Result<Step, Failure> {
        self.step(now, bytes).map_err(|failure| match self.state {
            State::Connecting if failure.code == Code::Protocol => no_connack(failure, bytes),
            _ => failure,
        })
    }

    fn step(&mut self, now: Time, bytes: &[u8]) -> Result<Step, Failure> {
        debug_assert_eq!(self.pending_event, PendingEvent::Nothing);
        let to_skip = self.inbound.to_skip();
        if to_skip > 0 {
            let consumed = to_skip.min(bytes.len());
            return Ok(Step { consumed, event: self.skip(consumed)? });
        }
        let Some(header) = Header::parse_as(self.version, bytes)? else { return Ok(MORE) };
        self.expect(header.packet)?;
        let total = header.total();
        let limit = match header.packet {
            PacketType::Publish => self.limits.max_incoming,
            // The limit is for messages: a small one must not keep a CONNACK out.
            _ => self.limits.max_incoming.max(CONTROL_PACKET),
        };
        if total > limit {
            header.check_length(self.version)?;
            return self.oversize(&header, bytes, limit);
        }
        if bytes.len() < total {
            header.check_length(self.version)?;
            return Ok(MORE);
        }
        let start = usize::from(header.header_len);
        if header.packet == PacketType::Publish {
            // By far the most frequent one, and the only one whose decoding is not a handful of instructions.
            let received = wire::Received::decode(self.version, header.flags, &bytes[start..total])?;
            return Ok(Step { consumed: total, event: self.publish_in(&received, bytes)? });
        }
        let event = match Packet::decode(self.version, &header, &bytes[start..total])? {
            Packet::PubAck(ack) => self.puback(ack.packet_id, ack.reason)?,
            Packet::PubRec(ack) => self.pubrec(ack.packet_id, ack.reason)?,
            Packet::PubRel(ack) => self.pubrel(ack.packet_id)?,
            Packet::PubComp(ack) => self.pubcomp(ack.packet_id, ack.reason)?,
            // The application gave up before it came. What it says of the session stays unknown.
            Packet::ConnAck(_) if self.state == State::Closing => None,
            Packet::ConnAck(ack) => self.connack(now, ack.session_present, ack.code)?,
            Packet::SubAck(ack) => self.suback(ack.packet_id, ack.codes, bytes)?,
            Packet::UnsubAck(ack) => self.unsuback(ack.packet_id)?,
            Packet::PingResp => {
                if self.keep_alive.ponged() {
                    self.patience = Patience::NONE;
                }
                Some(Event::PingResp)
            }
            _ => return Err(Failure::protocol("the server sent a packet that only clients send")),
        };
        Ok(Step { consumed: total, event })
    }

    /// The application was told of the last event.
    pub fn handled(&mut self, verdict: Verdict) -> Result<(), Failure> {
        match core::mem::replace(&mut self.pending_event, PendingEvent::Nothing) {
            PendingEvent::Nothing | PendingEvent::SubAck => Ok(()),
            PendingEvent::ConnAck => {
                self.pump();
                Ok(())
            }
            PendingEvent::Publish(qos, id) => {
                let acknowledged = self.acknowledge(qos, id, verdict);
                self.append_disconnect();
                acknowledged
            }
            PendingEvent::Cut(qos, id) => {
                let handled = self.cut_handled(qos, id, verdict);
                self.append_disconnect();
                handled
            }
            PendingEvent::Acknowledged(slot) => {
                self.sending.outbox.discard(slot);
                Ok(())
            }
        }
    }

    /// Which packets may come in which state.
    fn expect(&self, packet: PacketType) -> Result<(), Failure> {
        match (self.state, packet) {
            (State::Closing, PacketType::ConnAck) if self.unanswered => Ok(()),
            (State::Up | State::Closing, PacketType::ConnAck) => {
                Err(Failure::protocol("the server sent a second CONNACK"))
            }
            (State::Up | State::Closing, _) | (State::Connecting, PacketType::ConnAck) => Ok(()),
            (State::Connecting, _) => Err(Failure::new(Code::NotConnack, "")),
            _ => Err(Failure::protocol("the server sent something before it was asked")),
        }
    }

    fn connack(&mut self, now: Time, session_present: bool, code: u8) -> Result<Option<Event>, Failure> {
        self.patience = Patience::NONE;
        self.unanswered = false;
        if code != 0 {
            self.state = State::Closing;
            return Ok(Some(Event::ConnAck { session_present, code }));
        }
        if session_present && self.clean {
            // MQTT-3.2.2-1. What that server takes for ours may be another client's.
            let remedy =
                "the connection would work with clean_session 0, or as MQTT 3.1 if the server speaks that";
            return Err(Failure::new(Code::UnexpectedSession, remedy));
        }
        // MQTT 3.1 cannot say it: there a session is kept unless it was asked to be clean.
        let session_present = !self.clean && (session_present || self.version == wire::Version::V31);
        self.state = State::Up;
        self.resumed = session_present;
        self.keep_alive.start(now);
        if !session_present && !bug(Bug::InboundNotCleared) || bug(Bug::InboundClearedEarly) {
            self.inbound.forget();
        }
        if !session_present {
            self.session_lost();
        }
        if bug(Bug::AckOnNewSocket) {
            for id in 1..20 {
                if self.inbound.is_known(id) {
                    self.answer(PacketType::PubRec, id)?;
                }
            }
        }
        // Nor can it say that it is a new one.
        let in_doubt = core::mem::take(&mut self.in_doubt) || self.version == wire::Version::V31;
        let in_doubt = in_doubt && session_present && !bug(Bug::KeptBelieved);
        if in_doubt {
            self.inbound.doubt();
        }
        let known = session_present || bug(Bug::SubscriptionsForgotten);
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.connected(known, self.limits.always_subscribe || in_doubt);
        }
        self.pump_subscriptions();
        self.pending_event = PendingEvent::ConnAck;
        Ok(Some(Event::ConnAck { session_present, code }))
    }

    fn publish_in(&mut self, publish: &wire::Received<'_>, bytes: &[u8]) -> Result<Option<Event>, Failure> {
        if publish.qos == QoS::ExactlyOnce && self.inbound.recognises(publish.packet_id, publish.dup) {
            self.inbound.count_duplicate();
            self.repeated(publish.packet_id)?;
            return Ok(None);
        }
        if publish.qos == QoS::ExactlyOnce {
            // Before it is delivered: a delivery that cannot be remembered would be repeated.
            self.inbound.reserve().map_err(|code| Failure::new(code, ""))?;
        }
        self.flow.rx_messages += 1;
        self.pending_event = PendingEvent::Publish(publish.qos, publish.packet_id);
        Ok(Some(Event::Publish(Incoming {
            topic: range_in(bytes, publish.topic),
            payload: range_in(bytes, publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            size: publish.payload.len(),
        })))
    }

    pub(super) fn answer(&mut self, packet: PacketType, id: u16) -> Result<(), Failure> {
        if self.state != State::Up && !self.disconnect_due {
            return Ok(());
        }
        let packet = wire::ack(packet, id).map_err(|error| Failure::new(encode_code(error), ""))?;
        self.out.put(&packet).map_err(|code| Failure::new(code, ""))
    }

    fn puback(&mut self, id: u16, reason: u8) -> Result<Option<Event>, Failure> {
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

    /// Whether the server can have an opinion on an entry of the outbox. One that did not leave is not
    /// acknowledged by anything, or it would never be sent.
    #[inline]
    pub(super) fn is_sent(&self, slot: u32) -> bool {
        self.sending.outbox.get(slot).is_sent(self.out.taken())
    }

    /// An acknowledgement that ends nothing of ours is only told.
    fn stray(&self, packet_id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        Ok(Some(Event::PubAck(Acknowledged { packet_id, token: None, reason, late: false, early: false })))
    }

    fn pubrec(&mut self, id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        let mut told = Acknowledged { packet_id: id, token: None, reason, late: false, early: false };
        match self.sending.ids.get(id) {
            Some(Use::Publish(slot)) if self.is_sent(slot) => {
                let entry = self.sending.outbox.get_mut(slot);
                if entry.qos != QoS::ExactlyOnce {
                    return Err(Failure::protocol("the server answered a QoS 1 PUBLISH with PUBREC"));
                }
                told.token = Some(entry.token);
                if reason >= 0x80 {
                    return Ok(Some(Event::PubRec(self.complete(slot, reason, false))));
                }
                told.late = entry.stage.is_late();
                entry.stage = if told.late { Stage::LateRelease } else { Stage::Release };
                self.sending.suspect.acknowledged_at = self.sending.accepted;
            }
            Some(Use::Raw(RawUse::Publish2)) => self.sending.ids.change(id, Use::Raw(RawUse::Released)),
            // Not known, or released already: PUBREL lets the server finish.
            _ => {}
        }
        self.answer(PacketType::PubRel, id)?;
        Ok(Some(Event::PubRec(told)))
    }

    fn pubrel(&mut self, id: u16) -> Result<Option<Event>, Failure> {
        self.inbound.released(id);
        self.answer(PacketType::PubComp, id)?;
        Ok(Some(Event::PubRel(id)))
    }

    fn pubcomp(&mut self, id: u16, reason: u8) -> Result<Option<Event>, Failure> {
        let stray = Acknowledged { packet_id: id, token: None, reason, late: false, early: false };
        match self.sending.ids.get(id) {
            Some(Use::Publish(slot)) if self.sending.outbox.get(slot).stage.is_released() => {
                Ok(Some(Event::PubComp(self.complete(slot, reason, false))))
            }
            Some(Use::Raw(RawUse::Released)) => {
                self.sending.ids.release(id);
                Ok(Some(Event::PubComp(stray)))
            }
            _ => Ok(Some(Event::PubComp(stray))),
        }
    }

    /// The exchange of an outbox entry ended. Its slot stays until the event was handled.
    pub(super) fn complete(&mut self, slot: u32, reason: u8, early: bool) -> Acknowledged {
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

    fn suback(&mut self, id: u16, codes: &[u8], bytes: &[u8]) -> Result<Option<Event>, Failure> {
        let raw = match self.sending.ids.get(id) {
            Some(Use::Subscribe) => {
                if let Some(subscriptions) = self.subscriptions.get_mut() {
                    subscriptions.acknowledged(id, codes)?;
                }
                None
            }
            Some(Use::Raw(RawUse::Subscribe)) => Some(range_in(bytes, codes)),
            // As any acknowledgement of nothing. To close would help nobody: a server that does this does it again.
            _ => return Ok(Some(Event::Unasked(PacketType::SubAck, id))),
        };
        self.sending.ids.release(id);
        self.pending_event = PendingEvent::SubAck;
        self.pump_subscriptions();
        Ok(Some(Event::SubAck { packet_id: id, raw }))
    }

    fn unsuback(&mut self, id: u16) -> Result<Option<Event>, Failure> {
        match self.sending.ids.get(id) {
            Some(Use::Unsubscribe) => {
                if let Some(subscriptions) = self.subscriptions.get_mut() {
                    subscriptions.removed(id);
                }
            }
            Some(Use::Raw(RawUse::Unsubscribe)) => {}
            _ => return Ok(Some(Event::Unasked(PacketType::UnsubAck, id))),
        }
        self.sending.ids.release(id);
        self.pump_subscriptions();
        Ok(Some(Event::UnsubAck(id)))
    }

    /// A packet over the receive limit: a PUBLISH is skipped and acknowledged, so that the server
    /// does not send it again and again; nothing else can be that large. Its beginning is delivered, if that is
    /// wanted.
    fn oversize(&mut self, header: &Header, bytes: &[u8], limit: usize) -> Result<Step, Failure> {
        if header.packet != PacketType::Publish {
            return Err(Failure::new(
                Code::Oversize,
                "a packet other than PUBLISH is over the receive limit",
            ));
        }
        let Some(head) = wire::PublishHead::decode(header, bytes)? else { return Ok(MORE) };
        let (topic, size) = (range_in(bytes, head.topic.as_bytes()), header.total() - head.len);
        let (qos, packet_id) = (head.qos, head.packet_id);
        let known = qos == QoS::ExactlyOnce && self.inbound.recognises(packet_id, head.dup);
        // The limit holds for what is kept of it, too.
        let keep = self.limits.keep_oversize.min(limit).min(size);
        if keep > 0 && !known {
            let payload = head.len..head.len + keep;
            if bytes.len() < payload.end {
                return Ok(MORE);
            }
            if qos == QoS::ExactlyOnce {
                self.inbound.reserve().map_err(|code| Failure::new(code, ""))?;
            }
            if size > keep {
                self.inbound.begin_skip(size - keep, None)?;
            }
            self.pending_event = match size - keep {
                0 => PendingEvent::Publish(qos, packet_id),
                _ => PendingEvent::Cut(qos, packet_id),
            };
            let (retain, dup) = (header.flags & 1 != 0, header.flags & 8 != 0);
            let consumed = payload.end;
            let cut = Incoming { topic, payload, qos, retain, dup, packet_id, size };
            return Ok(Step { consumed, event: Some(Event::Publish(cut)) });
        }
        let mut told = None;
        if !known {
            let mut topic = Vec::new();
            topic.try_reserve_exact(head.topic.len()).map_err(|_| Failure::out_of_memory())?;
            topic.extend_from_slice(head.topic.as_bytes());
            told = Some(Unread { topic, size });
        }
        self.inbound.begin_skip(size, Some(Skipped { qos, id: packet_id, told, hold: None }))?;
        // If the topic was all of it, there is nothing to be skipped first.
        let event = if size == 0 { self.skip(0)? } else { None };
        Ok(Step { consumed: head.len, event })
    }
}

/// A server said something that is not allowed instead of a CONNACK, or as one. What another protocol says is mostly
/// text: then the second byte is not so small.
fn no_connack(failure: Failure, bytes: &[u8]) -> Failure {
    match *bytes {
        [0x20, length, ..] if length < b' ' => {
            let code = bytes.get(3).copied().filter(|_| length == 2);
            Failure { code: Code::MalformedConnack, connack: code, ..failure }
        }
        _ => Failure { code: Code::NotConnack, ..failure },
    }
}

/// Where `part` lies in `whole`, of which it is a part.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    debug_assert!(start + part.len() <= whole.len());
    start..start + part.len()
}
