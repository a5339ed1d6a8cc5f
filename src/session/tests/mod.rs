//! The state machine by hand: bytes in, events and bytes out, through the public calls only.
//!
//! Packets and events are compared as short texts, so that a test reads like a protocol trace:
//! `PUBLISH2 DUP #7 a/b=hello` is a QoS 2 PUBLISH with the DUP flag, packet id 7, topic and payload.

mod counts;
mod fast_publish;
#[expect(clippy::duplicate_mod, reason = "the same tests with another version")]
mod five;
mod holds;
mod ids;
mod inbound;
mod keep_alive;
mod model;
mod mqtt31;
mod outgoing;
mod overdue;
mod oversize;
mod properties;
mod queue;
mod raw;
mod server_limits;
mod states;
mod stream;
mod subscriptions;
mod table;

use super::{Accepted, Event, Failure, Hold, Limits, Outcome, Publication, Session, Verdict};
use crate::error::Code;
use crate::patience::Delivery;
use crate::time::{Span, Time};
use crate::wire::{
    self, ConnAck, Connect, Header, Packet, PacketType, Properties, PropertyId, PropertyValue, QoS, Version,
};

pub(super) const Q0: QoS = QoS::AtMostOnce;
pub(super) const Q1: QoS = QoS::AtLeastOnce;
pub(super) const Q2: QoS = QoS::ExactlyOnce;

/// CONNECT without a clean session, so that the server may say that it kept one.
pub(super) const CONNECT: Connect<'static> = Connect {
    version: Version::V311,
    clean_session: false,
    keep_alive: 60,
    properties: Properties::EMPTY,
    client_id: "c",
    will: None,
    user_name: None,
    password: None,
};

/// The same in MQTT 5.0.
pub(super) const V5: Connect<'static> = Connect { version: Version::V5, ..CONNECT };

/// A session, its clock, and what its server has received.
pub(super) type Rig = RigOf<false>;

/// The same, of MQTT 5.0 if it is `FIVE`, otherwise of MQTT 3.1.1.
pub(super) struct RigOf<const FIVE: bool> {
    pub(super) s: Session,
    pub(super) now: Time,
    pub(super) connect: Connect<'static>,
    /// Bytes taken that are not a whole packet yet.
    stream: Vec<u8>,
}

impl<const FIVE: bool> RigOf<FIVE> {
    /// For what differs between the versions.
    pub(super) const FIVE: bool = FIVE;

    pub(super) fn new(limits: Limits) -> Self {
        let version = if FIVE { Version::V5 } else { Version::V311 };
        let connect = Connect { version, ..CONNECT };
        RigOf { s: Session::new(limits), now: Time(1_000_000), connect, stream: Vec::new() }
    }

    /// A session with default limits that is connected and has nothing left to write.
    pub(super) fn connected() -> Self {
        Self::connected_with(Limits::default())
    }

    pub(super) fn connected_with(limits: Limits) -> Self {
        let mut rig = Self::new(limits);
        assert_eq!(rig.up(false), Vec::<String>::new());
        rig
    }

    /// A transport is there and CONNECT was written.
    pub(super) fn open(&mut self) {
        self.stream.clear();
        self.s.opened(self.now, Span::secs(10), None);
        let connect = self.connect;
        self.s.connect(&connect, Span::secs(10)).unwrap();
        assert_eq!(self.sent(), ["CONNECT"]);
    }

    /// Connects, and returns what the session sends once CONNACK 0 was handled.
    pub(super) fn up(&mut self, present: bool) -> Vec<String> {
        self.open();
        self.feed(&connack_as(self.connect.version, present, 0));
        self.sent()
    }

    pub(super) fn down(&mut self) {
        self.s.closed();
        self.stream.clear();
    }

    /// Loses the link and comes back.
    pub(super) fn again(&mut self, present: bool) -> Vec<String> {
        self.down();
        self.up(present)
    }

    /// Gives `bytes` to the session, handling each event; the events.
    #[track_caller]
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.try_feed(bytes).unwrap()
    }

    pub(super) fn try_feed(&mut self, bytes: &[u8]) -> Result<Vec<String>, Failure> {
        let mut events = Vec::new();
        let mut at = 0;
        self.s.received(self.now);
        while at < bytes.len() {
            let step = self.s.input(self.now, &bytes[at..])?;
            if let Some(event) = &step.event {
                events.push(self.told(event, &bytes[at..]));
                self.s.handled(Verdict::Ack(0))?;
            }
            assert!(step.consumed > 0, "an unfinished packet at the end of the test's bytes");
            at += step.consumed;
        }
        Ok(events)
    }

    /// An event as text.
    pub(super) fn told(&self, event: &Event, bytes: &[u8]) -> String {
        let text =
            |range: &core::ops::Range<usize>| String::from_utf8_lossy(&bytes[range.clone()]).into_owned();
        let topic = |m: &super::Incoming| String::from_utf8_lossy(m.topic(bytes)).into_owned();
        let ack = |name: &str, ack: &super::Acknowledged| {
            let token = ack.token.map_or(String::new(), |token| format!(" token {token}"));
            let topic = self
                .s
                .acknowledged_topic()
                .map_or(String::new(), |topic| format!(" {}", str::from_utf8(topic).unwrap()));
            let early = if ack.early { " early" } else { "" };
            let late = if ack.late { " late" } else { "" };
            format!("{name} #{}{token}{topic}{early}{late}", ack.packet_id)
        };
        match event {
            Event::ConnAck { session_present, code } => format!("CONNACK {session_present} {code}"),
            Event::Publish(m) if m.size > m.payload.len() => {
                let name = format!("FIRST {} OF {} OF MESSAGE", m.payload.len(), m.size);
                message(&name, m.qos, m.dup, m.retain, m.packet_id, &topic(m), &text(&m.payload))
            }
            Event::Publish(m) => {
                message("MESSAGE", m.qos, m.dup, m.retain, m.packet_id, &topic(m), &text(&m.payload))
            }
            Event::Oversize { topic, size, qos, packet_id } => {
                format!("OVERSIZE{} #{packet_id} {} {size}", qos.bits(), str::from_utf8(topic).unwrap())
            }
            Event::PubAck(a) => ack("PUBACK", a),
            Event::PubRec(a) => ack("PUBREC", a),
            Event::PubComp(a) => ack("PUBCOMP", a),
            Event::PubRel(id) => format!("PUBREL #{id}"),
            Event::SubAck { packet_id, raw: Some(codes) } => {
                format!("SUBACK #{packet_id} raw {:?}", &bytes[codes.clone()])
            }
            Event::SubAck { packet_id, raw: None } => {
                let results = self.s.subscribe_results().iter();
                let results: Vec<String> = results.map(|r| format!("{}={}", r.filter, r.code)).collect();
                format!("SUBACK #{packet_id} {}", results.join(" "))
            }
            Event::UnsubAck(id) => format!("UNSUBACK #{id}"),
            Event::PingResp => "PINGRESP".into(),
            Event::Auth(reason) => format!("AUTH {reason:#04x}"),
            Event::Disconnect(reason) => format!("DISCONNECT {reason:#04x}"),
            Event::Unasked(packet, id) => format!("UNASKED {} #{id}", packet.name()),
        }
    }

    /// Takes everything there is to write; the packets.
    #[track_caller]
    pub(super) fn sent(&mut self) -> Vec<String> {
        let mut packets = Vec::new();
        while !self.s.output().is_empty() {
            packets.extend(self.take(usize::MAX));
        }
        assert!(self.stream.is_empty(), "half a packet");
        packets
    }

    /// Takes at most `n` bytes; the packets completed by them.
    pub(super) fn take(&mut self, n: usize) -> Vec<String> {
        let pending = self.s.output().pending();
        let n = n.min(pending.len());
        self.stream.extend_from_slice(&pending[..n]);
        self.s.wrote(self.now, n);
        let mut packets = Vec::new();
        while let Some(header) =
            Header::parse(&self.stream).unwrap().filter(|h| h.total() <= self.stream.len())
        {
            let body = &self.stream[usize::from(header.header_len)..header.total()];
            packets.push(packet_text(&Packet::decode(self.connect.version, &header, body).unwrap()));
            self.stream.drain(..header.total());
        }
        packets
    }

    pub(super) fn publish(&mut self, qos: QoS, topic: &str, payload: &[u8]) -> Result<Accepted, Code> {
        let message = Publication::new(topic, payload, qos);
        self.s.publish(&message)
    }

    /// Publishes with a packet id held from now on, as the Mongoose OS face does.
    pub(super) fn reserve(&mut self, qos: QoS, topic: &str) -> Result<Accepted, Code> {
        let message = Publication { reserve_id: true, ..Publication::new(topic, b"x", qos) };
        self.s.publish(&message)
    }

    /// Publishes `name` with itself as payload; its token.
    #[track_caller]
    pub(super) fn must(&mut self, qos: QoS, name: &str) -> u64 {
        self.publish(qos, name, name.as_bytes()).unwrap().token
    }

    /// One message of the server, held `holds` times by its handler, and handled.
    pub(super) fn held(&mut self, qos: QoS, id: u16, holds: usize) -> Hold {
        let bytes = publish_as(self.connect.version, qos, id, false, "t", b"x");
        let step = self.s.input(self.now, &bytes).unwrap();
        assert!(matches!(step.event, Some(Event::Publish(_))), "{step:?}");
        let hold = self.s.hold().unwrap().unwrap();
        for _ in 1..holds {
            assert_eq!(self.s.hold(), Ok(Some(hold)));
        }
        self.s.handled(Verdict::Ack(0)).unwrap();
        hold
    }

    pub(super) fn let_go(&mut self, hold: Hold) -> Result<(), Code> {
        self.s.let_go(hold, 0).map_err(|failure| failure.code)
    }

    /// The outcomes since the last call.
    pub(super) fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        core::iter::from_fn(|| self.s.take_completion()).map(|c| (c.token, c.outcome)).collect()
    }

    /// Looks for acknowledgements whenever it is time to, until `by`. `left` says how many of the bytes that were
    /// written the server has not acknowledged then. What was overdue, and when.
    pub(super) fn look_until(
        &mut self,
        by: Time,
        left: impl Fn(&Self) -> Option<Delivery>,
    ) -> Vec<(Span, super::Overdue)> {
        let mut found = Vec::new();
        let began = self.now;
        while let Some(at) = self.s.expiry().filter(|at| *at <= by) {
            self.now = self.now.max(at);
            let delivery = left(self);
            let overdue = self.s.look_for_acknowledgements(self.now, delivery);
            if overdue != super::Overdue::default() {
                found.push((self.now.since(began), overdue));
            }
            assert!(self.s.expiry().is_none_or(|next| next > at), "it spins");
        }
        self.now = by;
        self.s.clock(by);
        found
    }

    pub(super) fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }
}

/// PUBLISH, or a message, as text.
fn message(name: &str, qos: QoS, dup: bool, retain: bool, id: u16, topic: &str, payload: &str) -> String {
    let dup = if dup { " DUP" } else { "" };
    let retain = if retain { " RETAIN" } else { "" };
    let id = if qos == Q0 { String::new() } else { format!(" #{id}") };
    format!("{name}{}{dup}{retain}{id} {topic}={payload}", qos.bits())
}

/// A packet of the session as text.
fn packet_text(packet: &Packet<'_>) -> String {
    let name = packet.packet_type().name();
    match packet {
        Packet::Publish(p) => {
            let payload = String::from_utf8_lossy(p.payload);
            message(name, p.qos, p.dup, p.retain, p.packet_id, p.topic, &payload)
        }
        Packet::PubAck(a) | Packet::PubRec(a) | Packet::PubRel(a) | Packet::PubComp(a) => {
            format!("{name} #{}", a.packet_id)
        }
        Packet::Subscribe(s) => {
            let filters: Vec<String> = s.filters().map(|(f, o)| format!("{f}:{}", o.qos.bits())).collect();
            format!("{name} #{} {}", s.packet_id, filters.join(" "))
        }
        Packet::Unsubscribe(u) => {
            let filters: Vec<&str> = u.filters().collect();
            format!("{name} #{} {}", u.packet_id, filters.join(" "))
        }
        _ => name.into(),
    }
}

// -- what the server sends ----------------------------------------------------------------------

pub(super) fn encode(packet: &Packet<'_>) -> Vec<u8> {
    encode_as(Version::V311, packet)
}

pub(super) fn encode_as(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

pub(super) fn connack(session_present: bool, code: u8) -> Vec<u8> {
    connack_as(Version::V311, session_present, code)
}

pub(super) fn connack_as(version: Version, session_present: bool, code: u8) -> Vec<u8> {
    // In MQTT 3.1 the byte for that is reserved, and servers set it.
    let version = if version == Version::V31 { Version::V311 } else { version };
    encode_as(version, &Packet::ConnAck(ConnAck { session_present, code, properties: Properties::EMPTY }))
}

/// A CONNACK of MQTT 5.0 with these properties.
pub(super) fn connack5(session_present: bool, list: &[wire::Property<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let connack = ConnAck { session_present, code: 0, properties: Properties::from_list(list) };
    Packet::ConnAck(connack).encode(Version::V5, &mut bytes).unwrap();
    bytes
}

pub(super) fn ack(packet: PacketType, id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode_ack(packet, id, &mut bytes).unwrap();
    bytes
}

pub(super) fn puback(id: u16) -> Vec<u8> {
    ack(PacketType::PubAck, id)
}

pub(super) fn pubrec(id: u16) -> Vec<u8> {
    ack(PacketType::PubRec, id)
}

pub(super) fn pubrel(id: u16) -> Vec<u8> {
    ack(PacketType::PubRel, id)
}

pub(super) fn pubcomp(id: u16) -> Vec<u8> {
    ack(PacketType::PubComp, id)
}

pub(super) fn unsuback(id: u16) -> Vec<u8> {
    unsuback_of(id, 1)
}

/// The answer to so many filters: only MQTT 5.0 has a code for each.
pub(super) fn unsuback_of(id: u16, _: usize) -> Vec<u8> {
    ack(PacketType::UnsubAck, id)
}

pub(super) fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    suback_as(Version::V311, id, codes)
}

pub(super) fn suback_as(version: Version, id: u16, codes: &[u8]) -> Vec<u8> {
    let suback = wire::SubAck { packet_id: id, properties: Properties::EMPTY, codes };
    encode_as(version, &Packet::SubAck(suback))
}

pub(super) fn pingresp() -> Vec<u8> {
    vec![0xd0, 0]
}

pub(super) fn publish(qos: QoS, id: u16, dup: bool, topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_as(Version::V311, qos, id, dup, topic, payload)
}

pub(super) fn publish_as(
    version: Version,
    qos: QoS,
    id: u16,
    dup: bool,
    topic: &str,
    payload: &[u8],
) -> Vec<u8> {
    let packet_id = if qos == Q0 { 0 } else { id };
    let publish = wire::Publish { dup, qos, topic, packet_id, payload, ..Default::default() };
    encode_as(version, &Packet::Publish(publish))
}
