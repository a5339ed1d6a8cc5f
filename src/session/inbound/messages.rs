//! Incoming messages: QoS 2 without a second delivery, and the skipping of messages that are too large.

use alloc::vec::Vec;

use crate::error::Code;
use crate::session::event::{Event, Failure, Incoming, Step, Verdict, range_in};
use crate::session::state::inbound::{Skipped, Unread};
use crate::session::state::{PendingEvent, Session};
use crate::wire::{self, Header, PacketType, QoS, reason};

impl Session {
    pub(in crate::session) fn publish_in(
        &mut self,
        publish: &wire::Received<'_>,
        bytes: &[u8],
    ) -> Result<Option<Event>, Failure> {
        if publish.qos == QoS::ExactlyOnce && self.inbound.recognises(publish.packet_id, publish.dup) {
            self.inbound.count_duplicate();
            self.repeated(publish.packet_id, reason::SUCCESS)?;
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

    pub(in crate::session) fn pubrel(&mut self, id: u16) -> Result<Option<Event>, Failure> {
        self.inbound.released(id);
        self.answer(PacketType::PubComp, id)?;
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
            ));
        }
        let Some(head) = wire::PublishHead::decode(header, bytes)? else { return Ok(Step::MORE) };
        let (topic, size) = (range_in(bytes, head.topic.as_bytes()), header.total() - head.len);
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
        self.inbound.begin_skip(
            size,
            Some(Skipped { qos, id: packet_id, told, hold: None, reason: reason::SUCCESS }),
        )?;
        // If the topic was all of it, there is nothing to be skipped first.
        let event = if size == 0 { self.skip(0)? } else { None };
        Ok(Step { consumed: head.len, event })
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
