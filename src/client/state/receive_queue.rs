//! Messages that wait to be fetched.

use std::collections::VecDeque;

use crate::client::handlers::callback::{Entry, Identity};
use crate::client::handlers::event::{Message, TopicName};
use crate::error::Code;
use crate::lazy_box::Empty;
use crate::session::Hold;
use crate::wire::{QoS, RawProperties};

/// The identity of the queue as a subscriber: no function has this address.
pub(in crate::client) const QUEUE: Identity = Identity(usize::MAX, 0);

pub(in crate::client) fn is_queue<C>(entry: &Entry<C>) -> bool {
    entry.identity() == QUEUE
}

/// A copy of a message.
#[derive(Debug)]
pub struct OwnedMessage {
    /// The topic, the properties, the payload, and one NUL.
    pub(in crate::client) bytes: Vec<u8>,
    pub(in crate::client) topic_len: usize,
    pub(in crate::client) properties_len: usize,
    /// Quality of service.
    pub qos: QoS,
    /// The server had it retained.
    pub retain: bool,
    /// It may have been delivered before.
    pub dup: bool,
    /// 0 for QoS 0.
    pub packet_id: u16,
    /// The payload's size as the server sent it.
    pub size: usize,
    /// What is acknowledged when it is done with. None for QoS 0, and when its session is over.
    pub(in crate::client) hold: Option<Hold>,
}

impl OwnedMessage {
    pub(in crate::client) fn of(message: &Message<'_>) -> Result<OwnedMessage, Code> {
        let mut bytes = Vec::new();
        let properties = message.properties.as_bytes();
        let len = message.topic.as_bytes().len() + properties.len() + message.payload.len() + 1;
        bytes.try_reserve_exact(len).map_err(|_| Code::NoMemory)?;
        bytes.extend_from_slice(message.topic.as_bytes());
        bytes.extend_from_slice(properties);
        bytes.extend_from_slice(message.payload);
        bytes.push(0);
        let &Message { qos, retain, dup, packet_id, size, .. } = message;
        Ok(OwnedMessage {
            bytes,
            topic_len: message.topic.as_bytes().len(),
            properties_len: properties.len(),
            qos,
            retain,
            dup,
            packet_id,
            size,
            hold: None,
        })
    }

    /// The topic name, which is UTF-8.
    pub fn topic(&self) -> &[u8] {
        &self.bytes[..self.topic_len]
    }

    /// The payload. In memory one NUL byte follows it, which is not part of it.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.topic_len + self.properties_len..self.bytes.len() - 1]
    }

    /// Its properties.
    pub fn properties(&self) -> RawProperties<'_> {
        RawProperties::of_checked(&self.bytes[self.topic_len..][..self.properties_len])
    }

    /// Bytes of topic, properties and payload.
    pub(in crate::client) fn len(&self) -> usize {
        self.bytes.len() - 1
    }

    /// The message, delivered for the `attempt`th time.
    pub(in crate::client) fn message(&self, attempt: u32) -> Message<'_> {
        Message {
            topic: TopicName(self.topic()),
            payload: self.payload(),
            qos: self.qos,
            retain: self.retain,
            dup: self.dup || attempt > 1,
            packet_id: self.packet_id,
            size: self.size,
            attempt,
            properties: self.properties(),
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(in crate::client) struct ReceiveQueue {
    pub(in crate::client) queue: VecDeque<OwnedMessage>,
    pub(in crate::client) bytes: usize,
    /// Messages that were fetched and not released.
    pub(in crate::client) fetched: usize,
    /// QoS 0 messages for which there was no room.
    pub(in crate::client) dropped: u64,
    /// The server sent more than there is room for, and has to send it again.
    pub(in crate::client) overrun: bool,
}

impl Empty for ReceiveQueue {
    const EMPTY: &'static Self =
        &ReceiveQueue { queue: VecDeque::new(), bytes: 0, fetched: 0, dropped: 0, overrun: false };
}

impl ReceiveQueue {
    pub(in crate::client) fn has_room(&self, len: usize, limits: (usize, usize)) -> bool {
        // One message is always taken, however large.
        self.queue.is_empty() || self.queue.len() < limits.0 && len <= limits.1.saturating_sub(self.bytes)
    }

    /// Drops the oldest QoS 0 messages until there is room.
    pub(in crate::client) fn make_room(&mut self, len: usize, limits: (usize, usize)) -> bool {
        while !self.has_room(len, limits) {
            let oldest = self.queue.iter().position(|kept| kept.qos == QoS::AtMostOnce);
            let Some(kept) = oldest.and_then(|at| self.queue.remove(at)) else { return false };
            self.bytes -= kept.len();
            self.dropped += 1;
        }
        true
    }

    pub(in crate::client) fn push(&mut self, kept: OwnedMessage) {
        self.bytes += kept.len();
        self.queue.push_back(kept);
    }

    pub(in crate::client) fn fetch(&mut self) -> Option<OwnedMessage> {
        let kept = self.queue.pop_front()?;
        self.bytes -= kept.len();
        self.fetched += 1;
        Some(kept)
    }

    /// Gives back the room of the queue if that is empty.
    pub(in crate::client) fn shrink(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// The link is gone, and what the server has to send again with it.
    pub(in crate::client) fn closed(&mut self) {
        self.overrun = false;
    }

    /// The server kept the session: it sends again what was not acknowledged.
    pub(in crate::client) fn resumed(&mut self) {
        let bytes = &mut self.bytes;
        self.queue.retain(|kept| {
            let comes_again = comes_again(kept);
            *bytes -= if comes_again { kept.len() } else { 0 };
            !comes_again
        });
    }

    /// The session is over: nothing of it comes again, and nothing is left to be acknowledged.
    pub(in crate::client) fn session_over(&mut self) {
        self.queue.iter_mut().for_each(|kept| kept.hold = None);
    }
}

/// Whether the server sends this again on a connection that resumes the session.
pub(in crate::client) fn comes_again(kept: &OwnedMessage) -> bool {
    kept.hold.is_some_and(|hold| !hold.outlives_link())
}
