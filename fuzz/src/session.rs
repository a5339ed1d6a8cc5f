//! The state machine, used in every order of calls that its caller may choose, and fed with what a server should and
//! should not send. What it says of itself is compared with a simple account of what went in and came out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mgos_mqtt::session::{
    Answer, Completion, Event, Hold, Known, Limits, OnSessionLoss, Overflow, Publication, Session, Ticket,
    Verdict,
};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::{
    self, ConnAck, Connect, Header, Packet, PacketType, Properties, PublishHead, QoS, SubAck, UnsubAck,
    Version,
};

use super::input::Input;

/// More steps than this repeat what was seen.
const STEPS: usize = 400;

/// The program: limits first, then one step after the other.
///
/// Each of them is gone through in MQTT 3, and once more in 5.0.
pub fn run(data: &[u8]) {
    for five in [false, true] {
        program(data, five);
    }
}

fn program(data: &[u8], five: bool) {
    let mut input = Input::new(data);
    let mut world = World::new(limits(&mut input), five);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.check();
    }
    world.end();
}

fn limits(input: &mut Input<'_>) -> Limits {
    Limits {
        window: input.one_of(&[1, 3, 20]),
        max_queue: input.one_of(&[0, 2, 1024]),
        max_outgoing_bytes: input.one_of(&[200, 1 << 20]),
        max_incoming: input.one_of(&[16, 64, 1 << 20]),
        keep_oversize: input.one_of(&[0, 1, 8]),
        overflow: input.one_of(&[Overflow::RefuseNew, Overflow::DropOldest]),
        on_session_loss: input.one_of(&[OnSessionLoss::Resend, OnSessionLoss::Report]),
        always_subscribe: input.flag(),
        // Not from the input, whose bytes the corpus has meanings for already.
        outcome_history: 3,
        keep_session: true,
        ack_timeout: mgos_mqtt::time::Span::secs(100),
        topic_aliases: 0,
        poison_after: 0,
        adaptive_keep_alive: false,
    }
}

/// What the application may do to a message.
#[derive(Clone, Copy)]
struct Handling {
    qos: QoS,
    id: u16,
    hold: Option<Hold>,
    /// The end of the link was told while it was being handled.
    gone: bool,
}

struct World {
    session: Session,
    now: Time,
    /// Only MQTT 5.0.
    five: bool,
    version: Version,
    /// Messages without an outcome.
    open: BTreeMap<u64, QoS>,
    tickets: BTreeSet<(u64, u32)>,
    calls: u64,
    holds: Vec<Hold>,
    /// What the server sent and was not read yet.
    inbox: Vec<u8>,
    /// Bytes of a message that will be skipped.
    skip: usize,
    /// What the client wrote, from the last whole packet on.
    written: Vec<u8>,
    /// Links that have ended.
    ended: usize,
    /// Packets that the client wrote on this link, and whether the last of them was DISCONNECT.
    packets: usize,
    good_bye: bool,
    /// What an obedient server would send.
    answers: Vec<Vec<u8>>,
    /// How often the client may still send PUBACK, PUBREC and PUBCOMP with these ids.
    owed: BTreeMap<(&'static str, u16), usize>,
}

impl World {
    fn new(limits: Limits, five: bool) -> World {
        World {
            session: Session::new(limits),
            now: Time(1_000_000),
            five,
            version: Version::V311,
            open: BTreeMap::new(),
            tickets: BTreeSet::new(),
            calls: 0,
            holds: Vec::new(),
            inbox: Vec::new(),
            skip: 0,
            written: Vec::new(),
            ended: 0,
            packets: 0,
            good_bye: false,
            answers: Vec::new(),
            owed: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0 => self.connect(input),
            1 => {
                let bytes = input.bytes().to_vec();
                self.feed(&bytes, input);
            }
            2 => {
                let packet = server_packet(self.version, input);
                self.feed(&packet, input);
            }
            3 | 4 => {
                self.write(usize::MAX);
                if self.answers.is_empty() {
                    return;
                }
                let at = usize::from(input.byte()) % self.answers.len();
                let answer = self.answers.remove(at);
                self.feed(&answer, input);
            }
            5 => self.write(usize::from(input.byte())),
            6 => self.pass(input),
            _ => self.call(input),
        }
    }

    /// What an application may call at any time, also in a handler.
    fn call(&mut self, input: &mut Input<'_>) {
        match input.below(14) {
            0..=2 => self.publish(input),
            3 => {
                let ticket = self.ticket(input);
                self.session.desire(Arc::from(filter(input)), qos(input), ticket);
            }
            4 => {
                let ticket = self.ticket(input);
                let wanted = self.session.withdraw(filter(input), ticket);
                if let (false, Some(ticket)) = (wanted, ticket) {
                    // Without a filter to be taken back there may be nothing to wait for.
                    self.tickets.remove(&(ticket.call, ticket.place));
                }
            }
            5 => self.session.flush_subscriptions(),
            6 => self.let_go(input),
            7 => {
                let known = self.open.keys().nth(input.byte().into()).copied();
                let token = known.unwrap_or_else(|| input.byte().into());
                let before = self.session.look_up(token);
                match self.session.cancel(token) {
                    Ok(()) => assert_eq!(before, Known::Outstanding),
                    Err(_) => assert_eq!(self.session.look_up(token), before),
                }
            }
            8 => self.raw(input),
            9 => self.session.disconnect(),
            10 => {
                let limits = limits(input);
                self.session.set_limits(limits);
            }
            11 => {
                let _ = self.session.next_packet_id();
            }
            12 => self.close(),
            _ => {
                let _ = self.session.token_of(u16::from(input.byte()));
                self.session.shrink_output();
            }
        }
    }

    fn ticket(&mut self, input: &mut Input<'_>) -> Option<Ticket> {
        if !input.flag() {
            return None;
        }
        self.calls += 1;
        self.tickets.insert((self.calls, 0));
        Some(Ticket { call: self.calls, place: 0 })
    }

    fn publish(&mut self, input: &mut Input<'_>) {
        let payload = vec![b'x'; usize::from(input.byte())];
        let qos = qos(input);
        let message = Publication {
            retain: input.flag(),
            reserve_id: input.flag(),
            expires: input.flag().then(|| self.now + Span::secs(input.byte().into())),
            ..Publication::new("a/b", &payload, qos)
        };
        if let Ok(accepted) = self.session.publish(&message) {
            assert!(self.open.insert(accepted.token, qos).is_none(), "a token twice");
            assert!(!message.reserve_id || accepted.packet_id != 0);
        }
    }

    fn raw(&mut self, input: &mut Input<'_>) {
        let packet_id = u16::from(input.byte()) + 1;
        let filters = ["a/b", "a/#"];
        let _ = match input.below(4) {
            0 => self.session.raw_ping(self.now),
            1 => self
                .session
                .raw_subscribe(packet_id, filters.into_iter().map(|filter| (filter, QoS::AtLeastOnce))),
            2 => self.session.raw_unsubscribe(packet_id, filters.into_iter()),
            _ => {
                let qos = qos(input);
                let packet_id = if qos == QoS::AtMostOnce { 0 } else { packet_id };
                let dup = qos != QoS::AtMostOnce && input.flag();
                self.session.raw_publish(&wire::Publish {
                    dup,
                    qos,
                    topic: "raw",
                    packet_id,
                    ..Default::default()
                })
            }
        };
    }

    // -- the link -------------------------------------------------------------------------------

    fn connect(&mut self, input: &mut Input<'_>) {
        self.close();
        if input.below(8) == 7 {
            self.session.forget_inbound();
        }
        self.session.opened(self.now, Span::secs(input.byte().into()), None);
        self.version = match input.flag() {
            _ if self.five => Version::V5,
            true => Version::V31,
            false => Version::V311,
        };
        let connect = Connect {
            version: self.version,
            clean_session: input.flag(),
            keep_alive: input.one_of(&[60, 0, 1]),
            properties: Properties::EMPTY,
            client_id: "c",
            will: None,
            user_name: None,
            password: None,
        };
        self.session.connect(&connect, Span::secs(10)).unwrap();
        let connack = ConnAck {
            session_present: input.flag() && !connect.clean_session,
            code: 0,
            properties: Properties::EMPTY,
        };
        if input.flag() {
            self.write(usize::MAX);
            self.feed(&encode(self.version, &Packet::ConnAck(connack)), input);
        } else {
            self.answers.push(encode(self.version, &Packet::ConnAck(connack)));
        }
    }

    fn close(&mut self) {
        self.session.closed();
        self.inbox.clear();
        self.skip = 0;
        self.written.clear();
        self.ended += 1;
        self.packets = 0;
        self.good_bye = false;
        self.answers.clear();
        self.owed.clear();
        self.collect();
    }

    fn pass(&mut self, input: &mut Input<'_>) {
        self.now = self.now + Span::secs(input.byte().into());
        let due = self.session.deadline().is_some_and(|at| at <= self.now);
        let result = self.session.timeout(self.now, None);
        assert!(due || result.is_ok(), "{result:?} before it was due");
        if result.is_err() {
            self.close();
        } else {
            assert!(self.session.deadline().is_none_or(|at| at > self.now), "due for ever");
        }
        self.session.expire(self.now);
        self.session.look_for_acknowledgements(self.now, None);
        assert!(self.session.expiry().is_none_or(|at| at > self.now));
    }

    /// Takes at most `n` bytes from the session.
    fn write(&mut self, n: usize) {
        let pending = self.session.output().pending();
        let n = n.min(pending.len());
        self.written.extend_from_slice(&pending[..n]);
        self.session.wrote(self.now, n);
        while let Some(header) = Header::parse(&self.written).expect("what the client writes is good")
            && header.total() <= self.written.len()
        {
            let whole: Vec<u8> = self.written.drain(..header.total()).collect();
            let body = &whole[usize::from(header.header_len)..];
            let packet = Packet::decode(self.version, &header, body).expect("what the client writes is good");
            self.sent(&packet);
        }
    }

    fn sent(&mut self, packet: &Packet<'_>) {
        assert!(!self.good_bye, "{packet:?} after DISCONNECT");
        assert_eq!(self.packets == 0, matches!(packet, Packet::Connect(_)), "{packet:?}");
        self.packets += 1;
        let kind = packet.packet_type();
        let answer = match packet {
            Packet::Publish(publish) => match publish.qos {
                QoS::AtMostOnce => return,
                QoS::AtLeastOnce => ack(PacketType::PubAck, publish.packet_id),
                QoS::ExactlyOnce => ack(PacketType::PubRec, publish.packet_id),
            },
            Packet::PubRel(release) => ack(PacketType::PubComp, release.packet_id),
            Packet::PubAck(answer) | Packet::PubRec(answer) | Packet::PubComp(answer) => {
                let owed = self.owed.entry((kind.name(), answer.packet_id)).or_default();
                *owed = owed.checked_sub(1).unwrap_or_else(|| panic!("{packet:?} for nothing"));
                if kind != PacketType::PubRec {
                    return;
                }
                ack(PacketType::PubRel, answer.packet_id)
            }
            Packet::Subscribe(subscribe) => {
                let codes = vec![0; subscribe.filters().count()];
                let properties = Properties::EMPTY;
                let suback = SubAck { packet_id: subscribe.packet_id, properties, codes: &codes };
                encode(self.version, &Packet::SubAck(suback))
            }
            Packet::Unsubscribe(unsubscribe) => {
                unsuback(self.version, unsubscribe.packet_id, unsubscribe.filters().count())
            }
            Packet::PingReq => vec![0xd0, 0],
            Packet::Disconnect(_) => {
                self.good_bye = true;
                return;
            }
            Packet::Connect(_) => return,
            _ => panic!("{packet:?} is for servers"),
        };
        self.answers.push(answer);
    }

    // -- what the server sends ------------------------------------------------------------------

    fn feed(&mut self, bytes: &[u8], input: &mut Input<'_>) {
        self.inbox.extend_from_slice(bytes);
        self.session.received(self.now);
        let ended = self.ended;
        while !self.inbox.is_empty() {
            let bytes = std::mem::take(&mut self.inbox);
            let result = self.session.input(self.now, &bytes);
            let Ok(step) = result else { return self.close() };
            assert!(step.consumed <= bytes.len());
            if step.consumed == 0 && step.event.is_none() {
                self.inbox = bytes;
                return;
            }
            let publish = self.consumed(&bytes, step.consumed);
            self.inbox = bytes[step.consumed..].to_vec();
            let Some(event) = step.event else {
                if let Some((qos, id)) = publish {
                    self.owe(qos, id);
                }
                continue;
            };
            if !self.handle(&event, publish, &bytes, input) {
                return self.close();
            }
            if self.ended != ended {
                return;
            }
        }
    }

    /// The PUBLISH at the front of the bytes that were consumed, if it begins there.
    fn consumed(&mut self, bytes: &[u8], n: usize) -> Option<(QoS, u16)> {
        if self.skip > 0 {
            assert_eq!(n, self.skip.min(bytes.len()));
            self.skip -= n;
            return None;
        }
        let header = Header::parse_as(self.version, bytes).unwrap().unwrap();
        self.skip = header.total() - n;
        match header.packet {
            PacketType::Publish => {
                let head = PublishHead::decode(self.version, &header, bytes).unwrap().unwrap();
                Some((head.qos, head.packet_id))
            }
            PacketType::PubRel => {
                let at = usize::from(header.header_len);
                let id = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
                *self.owed.entry((PacketType::PubComp.name(), id)).or_default() += 1;
                None
            }
            _ => None,
        }
    }

    /// A message may now be acknowledged.
    fn owe(&mut self, qos: QoS, id: u16) {
        let kind = match qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => PacketType::PubRec,
        };
        *self.owed.entry((kind.name(), id)).or_default() += 1;
    }

    /// The application is told of an event; false if the link cannot go on.
    fn handle(
        &mut self,
        event: &Event,
        publish: Option<(QoS, u16)>,
        bytes: &[u8],
        input: &mut Input<'_>,
    ) -> bool {
        let mut message = None;
        match event {
            Event::Publish(incoming) => {
                let (qos, id) = publish.expect("a message comes from a PUBLISH");
                assert_eq!((qos, id), (incoming.qos, incoming.packet_id));
                let topic = str::from_utf8(incoming.topic(bytes)).expect("topics are UTF-8");
                assert_eq!(wire::topic::valid_name(topic), Ok(()));
                assert!(bytes[incoming.payload.clone()].len() <= incoming.size);
                message = Some(Handling { qos, id, hold: None, gone: false });
            }
            Event::Oversize { topic, qos, packet_id, .. } => {
                assert!(str::from_utf8(topic).is_ok());
                // It is owed since its beginning, unless that was all of it.
                if let Some(publish) = publish {
                    assert_eq!(publish, (*qos, *packet_id));
                    self.owe(*qos, *packet_id);
                }
            }
            Event::SubAck { raw: Some(codes), .. } => assert!(bytes.get(codes.clone()).is_some()),
            Event::SubAck { raw: None, .. } => assert!(!self.session.subscribe_results().is_empty()),
            Event::PubAck(ack) | Event::PubComp(ack) => {
                assert_eq!(ack.token.is_some(), self.session.acknowledged_topic().is_some());
            }
            Event::ConnAck { code, .. } => assert_eq!(self.session.is_up(), *code == 0),
            _ => {}
        }
        let ended = self.ended;
        for _ in 0..input.below(4) {
            match (&mut message, input.below(4)) {
                (Some(message), 0) => {
                    let hold = self.session.hold();
                    assert!(
                        message.gone
                            || hold.is_ok_and(|hold| hold.is_some() == (message.qos != QoS::AtMostOnce))
                    );
                    if let Ok(Some(hold)) = hold {
                        self.holds.push(hold);
                        message.hold = Some(hold);
                    }
                }
                _ => self.call(input),
            }
            if let Some(message) = &mut message {
                message.gone = self.ended != ended;
            }
        }
        let gone = self.ended != ended;
        let verdict = match input.below(8) {
            _ if gone => Verdict::ConnectionGone,
            7 => Verdict::NotDelivered,
            _ => Verdict::Ack(0),
        };
        if let (Some(message), Verdict::Ack(0)) = (message, verdict) {
            self.owe(message.qos, message.id);
        }
        self.session.handled(verdict).is_ok() && verdict != Verdict::NotDelivered
    }

    fn let_go(&mut self, input: &mut Input<'_>) {
        if self.holds.is_empty() {
            return;
        }
        let at = usize::from(input.byte()) % self.holds.len();
        let hold = self.holds[at];
        assert_eq!(Hold::from_word(hold.word()), Some(hold));
        if input.flag() {
            let _ = self.session.hold_again(hold).map(|()| self.holds.push(hold));
        } else {
            let _ = self.session.let_go(hold, 0);
            self.holds.swap_remove(at);
        }
    }

    // -- the account ----------------------------------------------------------------------------

    fn collect(&mut self) {
        while let Some(Completion { token, outcome, .. }) = self.session.take_completion() {
            assert!(self.open.remove(&token).is_some(), "{outcome:?} twice, or for nothing");
            assert_eq!(self.session.look_up(token), Known::Ended);
        }
        while let Some((ticket, answer)) = self.session.take_answer() {
            self.tickets.remove(&(ticket.call, ticket.place));
            assert_ne!(answer, Answer::Abandoned);
        }
    }

    fn check(&mut self) {
        self.collect();
        let tracked = self.open.values().filter(|&&qos| qos != QoS::AtMostOnce).count();
        let (queued, counts) = (self.session.queue_len(), self.session.counts());
        // Those that timed out are there until they are acknowledged, or the session is lost.
        let late = (counts.timed_out - counts.late_acks) as usize;
        assert!((tracked..=tracked + late).contains(&queued), "{queued} for {tracked} and {late}");
        assert_eq!(self.session.outstanding(), self.open.len());
        assert!(self.session.in_flight() <= queued);
        for &token in self.open.keys() {
            assert_eq!(self.session.look_up(token), Known::Outstanding);
        }
        assert_eq!(self.session.all_ended(self.session.accepted()), self.open.is_empty());
    }

    /// Whatever happened: given up, everything ends at once.
    fn end(mut self) {
        self.session.abandon();
        while let Some(Completion { token, .. }) = self.session.take_completion() {
            assert!(self.open.remove(&token).is_some());
        }
        while let Some((ticket, _)) = self.session.take_answer() {
            self.tickets.remove(&(ticket.call, ticket.place));
        }
        assert!(self.open.is_empty() && self.tickets.is_empty());
        assert_eq!((self.session.queue_len(), self.session.unsent_bytes()), (0, 0));
    }
}

fn qos(input: &mut Input<'_>) -> QoS {
    input.one_of(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn filter(input: &mut Input<'_>) -> &'static str {
    input.one_of(&["a/b", "a/+", "#", "$share/g/a/b"])
}

pub(super) fn ack(kind: PacketType, id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode_ack(kind, id, &mut bytes).unwrap();
    bytes
}

pub(super) fn encode(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // MQTT 3.1 differs only in the byte of CONNACK that is reserved there, and servers set it.
    let version = if version == Version::V31 { Version::V311 } else { version };
    packet.encode(version, &mut bytes).unwrap();
    bytes
}

/// UNSUBACK, which in MQTT 5.0 has a code for each filter.
pub(super) fn unsuback(version: Version, packet_id: u16, filters: usize) -> Vec<u8> {
    let codes = vec![0; if version == Version::V5 { filters } else { 0 }];
    encode(version, &Packet::UnsubAck(UnsubAck { packet_id, properties: Properties::EMPTY, codes: &codes }))
}

/// A well-formed packet of a server that need not be expected.
pub(super) fn server_packet(version: Version, input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.below(9);
    let id = input.one_of(&[1, 2, 3, 4, 5, 6, 7, 0x100, u16::MAX]);
    let properties = Properties::EMPTY;
    match kind {
        0 if version == Version::V5 => vec![0x20, 3, input.byte() & 1, input.one_of(&[0, 0, 0x87, 0x88]), 0],
        0 => vec![0x20, 2, input.byte() & 1, input.below(6)],
        1 | 2 => {
            let qos = qos(input);
            let payload = vec![b'p'; usize::from(input.byte())];
            let packet_id = if qos == QoS::AtMostOnce { 0 } else { id };
            let dup = qos != QoS::AtMostOnce && input.flag();
            let publish =
                wire::Publish { dup, qos, topic: "in/x", packet_id, payload: &payload, ..Default::default() };
            encode(version, &Packet::Publish(publish))
        }
        3 | 4 if version == Version::V5 && input.flag() => {
            // A refusal.
            let [high, low] = id.to_be_bytes();
            vec![if kind == 3 { 0x40 } else { 0x50 }, 3, high, low, 0x97]
        }
        3 => ack(PacketType::PubAck, id),
        4 => ack(PacketType::PubRec, id),
        5 => ack(PacketType::PubRel, id),
        6 => ack(PacketType::PubComp, id),
        7 => {
            let codes = vec![input.one_of(&[0, 1, 2, 0x80]); 1 + usize::from(input.below(3))];
            encode(version, &Packet::SubAck(SubAck { packet_id: id, properties, codes: &codes }))
        }
        _ if version == Version::V5 && input.below(4) == 3 => vec![0xe0, 0],
        _ => unsuback(version, id, 1),
    }
}
