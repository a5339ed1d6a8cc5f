//! Incoming messages: QoS 2 without a second delivery, and the skipping of messages that are too large.

use alloc::vec::Vec;

use crate::error::Code;
use crate::session::event::{Event, Failure, Incoming, Step, TopicAt, Verdict, properties_in, range_in};
use crate::session::state::inbound::{Skipped, Unread};
use crate::session::state::{PendingEvent, Session};
use crate::wire::{self, Header, PacketType, Properties, PropertyId, QoS, reason};

impl Session {
    pub(in crate::session) fn publish_in(
        &mut self,
        publish: &wire::Received<'_>,
        bytes: &[u8],
    ) -> Result<Option<Event>, Failure> {
        let alias = self.alias_of(publish.topic, &publish.properties)?;
        if publish.qos == QoS::ExactlyOnce && self.inbound.recognises(publish.packet_id, publish.dup) {
            self.inbound.count_duplicate();
            self.repeated(publish.packet_id, reason::SUCCESS)?;
            return Ok(None);
        }
        if publish.qos == QoS::ExactlyOnce {
            // Before it is delivered: a delivery that cannot be remembered would be repeated.
            self.inbound.reserve().map_err(|code| Failure::new(code, ""))?;
        }
        self.admit(publish.qos)?;
        let topic = self.topic_at(publish.topic, alias, bytes)?;
        self.flow.rx_messages += 1;
        self.pending_event = PendingEvent::Publish(publish.qos, publish.packet_id);
        Ok(Some(Event::Publish(Incoming {
            topic,
            payload: range_in(bytes, publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            size: publish.payload.len(),
        })))
    }

    /// The alias of a message, 0 for none. With a topic it stands for that from now on.
    fn alias_of(&mut self, topic: &[u8], properties: &Properties<'_>) -> Result<u16, Failure> {
        if properties.is_empty() {
            return Ok(0);
        }
        // It is a two byte integer.
        let alias = properties.number(PropertyId::TopicAlias).unwrap_or(0) as u16;
        if alias > self.five.alias_maximum {
            let what = "a topic alias is over the topic alias maximum of CONNECT [MQTT-3.1.2-26]";
            return Err(Failure::protocol(what).because(reason::TOPIC_ALIAS_INVALID));
        }
        if alias > 0 && !topic.is_empty() {
            self.five.try_make()?.aliases.set(alias, topic)?;
        }
        Ok(alias)
    }

    /// Where the topic of a message is: in the packet, or behind the alias.
    fn topic_at(&mut self, topic: &[u8], alias: u16, bytes: &[u8]) -> Result<TopicAt, Failure> {
        if !topic.is_empty() {
            return Ok(TopicAt::Packet(range_in(bytes, topic)));
        }
        let lent = self.five.get_mut().and_then(|five| five.aliases.lend(alias));
        let unknown = || Failure::protocol("a topic alias was used before it was set (MQTT 5.0 §3.3.2.3.4)");
        lent.map(|topic| TopicAt::Alias(alias, topic)).ok_or_else(unknown)
    }

    /// The application was told of this message: its topic is the session's again, if it was lent.
    pub fn give_back(&mut self, incoming: Incoming) {
        if let (TopicAt::Alias(alias, topic), Some(five)) = (incoming.topic, self.five.get_mut()) {
            five.aliases.give_back(alias, topic);
        }
    }

    /// A new message has come. With more than the receive maximum of CONNECT allows, the connection cannot go on
    /// (MQTT 5.0 §3.3.4).
    fn admit(&mut self, qos: QoS) -> Result<(), Failure> {
        let Some(five) = self.five.get_mut().filter(|_| qos != QoS::AtMostOnce) else { return Ok(()) };
        let unacknowledged = self.inbound.lists.line1.len() + five.unreleased as usize;
        if unacknowledged >= usize::from(five.receive_maximum) {
            let what =
                "more messages came without an acknowledgement than the receive maximum of CONNECT allows";
            return Err(Failure::protocol(what).because(reason::RECEIVE_MAXIMUM_EXCEEDED));
        }
        five.unreleased += u32::from(qos == QoS::ExactlyOnce);
        Ok(())
    }

    /// The exchange of a QoS 2 message is over. Whether there was one.
    #[inline]
    pub(in crate::session) fn release(&mut self, id: u16) -> bool {
        let known = self.inbound.released(id);
        if let Some(five) = self.five.get_mut().filter(|_| known) {
            // Some may have come on an earlier connection: they were not counted on this one.
            five.unreleased = five.unreleased.saturating_sub(1);
        }
        known
    }

    pub(in crate::session) fn pubrel(&mut self, id: u16) -> Result<Option<Event>, Failure> {
        // MQTT 3.x has no way to say that there is no such exchange.
        let known = self.release(id);
        let reason = if known { reason::SUCCESS } else { reason::PACKET_IDENTIFIER_NOT_FOUND };
        self.answer_with(PacketType::PubComp, id, reason)?;
        Ok(Some(Event::PubRel(id)))
    }

    /// A packet over the receive limit: a PUBLISH is skipped and acknowledged, so that the server
    /// does not send it again and again; nothing else can be that large. Its beginning is delivered, if that is
    /// wanted.
    pub(in crate::session) fn oversize(
        &mut self,
        header: &Header,
        bytes: &[u8],
        limit: usize,
    ) -> Result<Step, Failure> {
        if header.packet != PacketType::Publish {
            return Err(Failure::new(
                Code::Oversize,
                "a packet other than PUBLISH is over the receive limit",
            )
            .because(reason::PACKET_TOO_LARGE));
        }
        let Some(head) = wire::PublishHead::decode(self.version, header, bytes)? else {
            if bytes.len() < wire::PublishHead::MOST {
                return Ok(Step::MORE);
            }
            let what = "a message over the receive limit has properties of more than 64 KiB";
            return Err(Failure::new(Code::Oversize, what).because(reason::PACKET_TOO_LARGE));
        };
        let properties = properties_in(bytes, &head.properties);
        let alias = self.alias_of(head.topic.as_bytes(), &head.properties)?;
        let size = header.total() - head.len;
        let (qos, packet_id) = (head.qos, head.packet_id);
        let known = qos == QoS::ExactlyOnce && self.inbound.recognises(packet_id, head.dup);
        // The limit holds for what is kept of it, too.
        let keep = self.limits.keep_oversize.min(limit).min(size);
        if keep > 0 && !known {
            let payload = head.len..head.len + keep;
            if bytes.len() < payload.end {
                return Ok(Step::MORE);
            }
            if qos == QoS::ExactlyOnce {
                self.inbound.reserve().map_err(|code| Failure::new(code, ""))?;
            }
            self.admit(qos)?;
            if size > keep {
                self.inbound.begin_skip(size - keep, None)?;
            }
            self.pending_event = match size - keep {
                0 => PendingEvent::Publish(qos, packet_id),
                _ => PendingEvent::Cut(qos, packet_id),
            };
            let (retain, dup) = (header.flags & 1 != 0, header.flags & 8 != 0);
            let consumed = payload.end;
            let topic = self.topic_at(head.topic.as_bytes(), alias, bytes)?;
            let cut = Incoming { topic, payload, qos, retain, dup, packet_id, size };
            return Ok(Step { consumed, event: Some(Event::Publish(cut)), properties });
        }
        let mut told = None;
        if !known {
            self.admit(qos)?;
            told = Some(Unread { topic: self.copy_topic(head.topic.as_bytes(), alias)?, size });
        }
        self.inbound.begin_skip(
            size,
            Some(Skipped { qos, id: packet_id, told, hold: None, reason: reason::SUCCESS }),
        )?;
        // If the topic was all of it, there is nothing to be skipped first.
        let event = if size == 0 { self.skip(0)? } else { None };
        Ok(Step::of(head.len, event))
    }

    /// A copy of a topic, or of that behind the alias.
    fn copy_topic(&mut self, topic: &[u8], alias: u16) -> Result<Vec<u8>, Failure> {
        let mut copy = Vec::new();
        let at = self.topic_at(topic, alias, topic)?;
        let name = if let TopicAt::Alias(_, name) = &at { name } else { topic };
        let copied = copy.try_reserve_exact(name.len()).map(|()| copy.extend_from_slice(name));
        if let (TopicAt::Alias(alias, name), Some(five)) = (at, self.five.get_mut()) {
            five.aliases.give_back(alias, name);
        }
        copied.map_err(|_| Failure::out_of_memory())?;
        Ok(copy)
    }

    /// Skips bytes of a message over the receive limit. With the last one it is acknowledged, and told of: a link that
    /// ends before will bring it again.
    pub(in crate::session) fn skip(&mut self, n: usize) -> Result<Option<Event>, Failure> {
        let lists = self.inbound.lists()?;
        lists.skip -= n;
        if lists.skip > 0 {
            return Ok(None);
        }
        let Some(Skipped { qos, id, told, hold, reason }) = lists.skipped.take() else { return Ok(None) };
        match hold {
            Some(hold) => self.handlers_let_go(hold, reason)?,
            // What is not told of has been remembered before.
            None if qos == QoS::ExactlyOnce && told.is_none() => self.repeated(id, reason)?,
            None => self.acknowledge(qos, id, Verdict::Ack(reason))?,
        }
        Ok(told.map(|Unread { topic, size }| {
            self.inbound.count_oversize();
            Event::Oversize { topic, size, qos, packet_id: id }
        }))
    }

    /// Whether what comes next belongs to a packet that is skipped.
    pub fn skips(&self) -> bool {
        self.inbound.to_skip() > 0
    }
}
