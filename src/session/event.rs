//! What a session tells its caller, and what the caller says to it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::error::Code;
use crate::time::Time;
use crate::wire::{Malformed, PacketType, Properties, QoS, RawProperties, reason};

/// The result of one step: how many bytes were consumed, and at most one event.
///
/// `consumed == 0` without an event means: more bytes are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the input that are done with once the event was handled.
    pub consumed: usize,
    /// What happened.
    pub event: Option<Event>,
    /// Where the properties of the packet are in the bytes given to the step; empty before MQTT 5.0.
    pub properties: Range<usize>,
}

impl Step {
    /// More bytes are needed.
    pub(super) const MORE: Step = Step::of(0, None);

    /// So many bytes were consumed, of something without properties.
    pub(super) const fn of(consumed: usize, event: Option<Event>) -> Step {
        Step { consumed, event, properties: 0..0 }
    }

    /// The properties of the packet, of which `bytes` are those given to the step.
    pub fn properties<'a>(&self, bytes: &'a [u8]) -> RawProperties<'a> {
        RawProperties::of_checked(&bytes[self.properties.clone()])
    }
}

/// An incoming PUBLISH. The range indexes the bytes given to the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Where the [topic name](Incoming::topic) is.
    pub(super) topic: TopicAt,
    /// The payload.
    pub payload: Range<usize>,
    /// Quality of service.
    pub qos: QoS,
    /// The server had this message retained.
    pub retain: bool,
    /// The server may have sent it before.
    pub dup: bool,
    /// 0 for QoS 0.
    pub packet_id: u16,
    /// The size of the payload as the server sent it: more than there is of it when the message was cut.
    pub size: usize,
}

impl Incoming {
    /// The topic name, valid UTF-8 without U+0000. `bytes` are those given to the step; where the name is found is the
    /// session's matter.
    #[inline]
    pub fn topic<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        match &self.topic {
            TopicAt::Packet(range) => &bytes[range.clone()],
            TopicAt::Alias(_, topic) => topic,
        }
    }
}

/// Where the topic name of an incoming message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TopicAt {
    /// In the bytes given to the step.
    Packet(Range<usize>),
    /// This alias stands for it (MQTT 5.0 §3.3.2.3.4); lent by the session.
    Alias(u16, Box<[u8]>),
}

/// Where an acknowledgement belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The packet id of the exchange.
    pub packet_id: u16,
    /// The message, if it is one of the session's own: [`Session::acknowledged_topic`] tells its topic
    /// until the event was handled.
    ///
    /// [`Session::acknowledged_topic`]: super::Session::acknowledged_topic
    pub token: Option<u64>,
    /// The reason code; 0 in MQTT 3.x.
    pub reason: u8,
    /// It comes after the message's outcome, which was that it did not come in time.
    pub late: bool,
    /// A server answered a QoS 2 publish with PUBACK; it was taken as completed.
    pub early: bool,
}

/// A message that was acknowledged, and is the session's no more: who tells of it has its topic without the session,
/// which is behind a lock.
#[derive(Clone, Debug)]
pub struct Ended {
    pub(crate) token: u64,
    /// Where its memory belongs.
    pub(crate) slot: u32,
    pub(crate) accepted_at: Time,
    pub(crate) packet_id: u16,
    pub(crate) topic_len: u16,
    /// Begins with the topic.
    pub(crate) body: Box<[u8]>,
}

impl Ended {
    /// The topic name, in UTF-8.
    #[inline]
    pub fn topic(&self) -> &[u8] {
        &self.body[..usize::from(self.topic_len)]
    }

    /// What the server said about it, if that was the best.
    #[inline]
    pub fn accepted(&self) -> Acknowledged {
        Acknowledged {
            packet_id: self.packet_id,
            token: Some(self.token),
            reason: 0,
            late: false,
            early: false,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// CONNACK. With code 0 the connection is up and the subscriptions are already in the output.
    ConnAck {
        /// The server kept the session.
        session_present: bool,
        /// The return code as the server sent it.
        code: u8,
    },
    /// A message to be delivered.
    Publish(Incoming),
    /// A message over the receive limit was skipped to its end. If it is not of QoS 0, it has its acknowledgement, in the
    /// order of the messages.
    Oversize {
        /// The topic name, in UTF-8.
        topic: Vec<u8>,
        /// The payload's size in bytes.
        size: usize,
        /// Quality of service.
        qos: QoS,
        /// 0 for QoS 0.
        packet_id: u16,
    },
    /// PUBACK.
    PubAck(Acknowledged),
    /// PUBREC; the PUBREL is already in the output.
    PubRec(Acknowledged),
    /// PUBREL; the PUBCOMP is already in the output.
    PubRel(u16),
    /// PUBCOMP.
    PubComp(Acknowledged),
    /// SUBACK. [`Session::subscribe_results`](super::Session::subscribe_results) has the codes of the session's own filters.
    SubAck {
        /// The packet id.
        packet_id: u16,
        /// The application sent this SUBSCRIBE itself; the range of the codes in the bytes given.
        raw: Option<Range<usize>>,
    },
    /// UNSUBACK.
    UnsubAck(u16),
    /// PINGRESP.
    PingResp,
    /// The server's AUTH, with its reason code (MQTT 5.0 §3.15): 0x18 asks the client to go on, 0x00 ends a
    /// re-authentication.
    Auth(u8),
    /// The server's DISCONNECT, with its reason code (MQTT 5.0 §3.14): the connection ends.
    Disconnect(u8),
    /// SUBACK or UNSUBACK with a packet id that nothing waits for under that name: ignored.
    Unasked(PacketType, u16),
}

impl Event {
    /// Whether it is about a message that the application published.
    pub const fn is_acknowledgement(&self) -> bool {
        matches!(self, Event::PubAck(_) | Event::PubRec(_) | Event::PubComp(_))
    }
}

/// What the application says after it was told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledge, with this reason code, which MQTT 3.x cannot say.
    Ack(u8),
    /// The connection ended meanwhile: remember what was processed, send nothing.
    ConnectionGone,
    /// The application was not told: the server shall deliver it again.
    NotDelivered,
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The error.
    pub code: Code,
    /// For [`Code::Protocol`], [`Code::NotConnack`] and [`Code::MalformedConnack`]: what was wrong with the bytes, if it was
    /// that.
    pub malformed: Option<Malformed>,
    /// The return code of a CONNACK that is wrong in another respect.
    pub connack: Option<u8>,
    /// What the server did that it must not do, or what helps.
    pub what: &'static str,
    /// With what reason code DISCONNECT tells the server, if it speaks MQTT 5.0 (§4.13.1).
    pub reason: Option<u8>,
}

impl Failure {
    pub(crate) const fn new(code: Code, what: &'static str) -> Self {
        Failure { code, malformed: None, connack: None, what, reason: None }
    }

    /// With a reason code for the server.
    pub(crate) const fn because(self, reason: u8) -> Self {
        Failure { reason: Some(reason), ..self }
    }

    /// An allocation failed.
    pub const fn out_of_memory() -> Self {
        Failure::new(Code::NoMemory, "")
    }

    pub(crate) const fn protocol(what: &'static str) -> Self {
        Failure::new(Code::Protocol, what).because(reason::PROTOCOL_ERROR)
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Failure::new(code, "")
    }
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        let failure = Failure::new(Code::Protocol, "").because(malformed.reason());
        Failure { malformed: Some(malformed), ..failure }
    }
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// It made room for a newer one.
    Overflow,
    /// QoS 0: the connection was lost before its last byte was handed to the kernel.
    Link,
}

/// How an accepted publish ended, as far as the application is concerned. Each ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// QoS 1: PUBACK, QoS 2: PUBCOMP.
    Acked,
    /// QoS 0: the last byte was handed to the kernel.
    Sent,
    /// The server refused it, with this reason code.
    Rejected(u8),
    /// Its time was over before it was sent.
    Expired,
    /// It was given up without the application's doing.
    Dropped(Dropped),
    /// The application cancelled it.
    Cancelled,
    /// The connection was freed first.
    Abandoned,
    /// The server lost the session in which it was sent, and the policy says not to send it again.
    Lost,
    /// The server did not acknowledge it in [time](super::Limits::ack_timeout). It stays in the session, and may still arrive.
    TimedOut,
}

impl Outcome {
    /// Why the message did not arrive; [`Code::Ok`] if it did.
    pub fn code(self) -> Code {
        match self {
            Outcome::Acked | Outcome::Sent => Code::Ok,
            Outcome::Rejected(_) => Code::PublishRefused,
            Outcome::Expired => Code::Expired,
            Outcome::Dropped(Dropped::Overflow) => Code::QueueFull,
            Outcome::Dropped(Dropped::Link) => Code::NotConnected,
            Outcome::Cancelled => Code::Cancelled,
            Outcome::Abandoned => Code::Incomplete,
            Outcome::Lost => Code::SessionLost,
            Outcome::TimedOut => Code::AckTimeout,
        }
    }
}

/// An outcome and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The publish: its number, counted from 1 for the life of the session.
    pub token: u64,
    /// Its packet id; 0 if it never had one.
    pub packet_id: u16,
    /// What the caller gave with it.
    pub cookie: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// What was not acknowledged in time: the first of each kind, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Messages, which have the outcome [`Outcome::TimedOut`] now.
    pub messages: usize,
    /// The packet id of the first.
    pub packet_id: u16,
    /// Its QoS, if there is one.
    pub qos: Option<QoS>,
    /// Its topic name, in UTF-8.
    pub topic: Vec<u8>,
    /// Filters in SUBSCRIBE and UNSUBSCRIBE packets. Whoever waits for those has his [answer](super::Answer::TimedOut).
    pub filters: usize,
    /// The first of them.
    pub filter: Option<Arc<str>>,
}

/// A message after which the server has closed the connection several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// The message.
    pub token: u64,
    /// Its packet id.
    pub packet_id: u16,
    /// Its topic name, in UTF-8.
    pub topic: Vec<u8>,
    /// How many times in a row.
    pub closes: u32,
    /// It is not sent any more: its outcome is a rejection without a reason.
    pub set_aside: bool,
}

/// Where `part` lies in `whole`, of which it is a part.
pub(super) fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    debug_assert!(start + part.len() <= whole.len());
    start..start + part.len()
}

/// Where the properties of a packet are; nowhere if there are none.
pub(super) fn properties_in(bytes: &[u8], properties: &Properties<'_>) -> Range<usize> {
    if properties.is_empty() { 0..0 } else { range_in(bytes, properties.raw()) }
}
