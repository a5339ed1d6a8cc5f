//! The fast paths do what the general ones do; and QoS 0 messages that follow one another
//! are still each a message of its own.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Publish {
        qos: QoS,
        topic: usize,
        size: usize,
        retain: bool,
        reserve: bool,
    },
    /// So many bytes are written.
    Write(usize),
    /// The server answers so many of what it has received, at once.
    Answer(usize),
    /// The application holds an id of its own choice.
    Hold(u16),
    NextId,
    Reconnect(bool),
    Limit(usize),
    /// Of the queue, of the window, and of what is remembered.
    Limits(usize, u16, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let qos = (0..3_u8).prop_map(|qos| QoS::from_bits(qos).unwrap());
    // Bodies of one and of two bytes' length, and now and then one that is not plain.
    let size = prop_oneof![6 => 0..40_usize, 3 => 100..300_usize, 1 => Just(17_000)];
    let topic = prop_oneof![3 => Just(0), 1 => 0..TOPICS.len()];
    let publish = (qos, topic, size, any::<bool>(), prop::bool::weighted(0.8))
        .prop_map(|(qos, topic, size, retain, reserve)| Op::Publish { qos, topic, size, retain, reserve });
    prop_oneof![
        20 => publish,
        4 => (0..400_usize).prop_map(Op::Write),
        2 => Just(Op::Write(usize::MAX)),
        4 => (1..40_usize).prop_map(Op::Answer),
        1 => (1..60_u16).prop_map(Op::Hold),
        1 => Just(Op::NextId),
        1 => any::<bool>().prop_map(Op::Reconnect),
        1 => prop_oneof![Just(1 << 20), Just(600_usize)].prop_map(Op::Limit),
        1 => (0..15_usize, 1..7_u16, 0..30_usize).prop_map(|(queue, window, kept)| Op::Limits(queue, window, kept)),
    ]
}

const TOPICS: [&str; 4] = ["topic", "t", "another/topic", "a/topic/of/more/than/two/words"];

/// What CONNACK says: nothing in MQTT 3.1.1.
type Server = Option<Vec<wire::Property<'static>>>;

/// Servers of both versions, and so many aliases that the client gives by itself.
fn server() -> impl Strategy<Value = (Server, u16)> {
    let alias_maximum = (PropertyId::TopicAliasMaximum, PropertyValue::TwoByte(3));
    let connack = [
        alias_maximum,
        (PropertyId::MaximumPacketSize, PropertyValue::FourByte(200)),
        (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(2)),
        (PropertyId::RetainAvailable, PropertyValue::Byte(0)),
        (PropertyId::MaximumQoS, PropertyValue::Byte(1)),
    ];
    let five = prop::sample::subsequence(connack.to_vec(), 0..=connack.len());
    let server = prop_oneof![1 => Just(None), 1 => Just(Some(vec![alias_maximum])), 2 => five.prop_map(Some)];
    (server, 0..4_u16)
}

/// A session, and whether it takes the fast paths.
struct Walker {
    rig: Rig,
    server: Server,
    short: bool,
    /// How often it did.
    went: usize,
    /// What the server will answer.
    answers: Vec<Vec<u8>>,
    /// What the application was told, and what the calls returned.
    log: Vec<String>,
}

impl Walker {
    fn new(short: bool, tell_all: bool, (server, topic_aliases): (Server, u16)) -> Walker {
        let mut rig = Rig::new(Limits { window: 5, max_queue: 12, topic_aliases, ..Limits::default() });
        rig.s.tell_all_completions(tell_all);
        if server.is_some() {
            rig.connect = V5;
        }
        let mut walker = Walker { rig, server, short, went: 0, answers: Vec::new(), log: Vec::new() };
        walker.connect(false);
        walker.rig.sent();
        walker
    }

    fn connect(&mut self, present: bool) {
        self.rig.open();
        self.rig.feed(&match &self.server {
            Some(list) => connack5(present, list),
            None => connack(present, 0),
        });
    }

    fn publish(&mut self, qos: QoS, topic: &str, size: usize, retain: bool, reserve_id: bool) {
        let payload = vec![b'x'; size];
        self.rig.s.clock(self.rig.now);
        let s = &mut self.rig.s;
        let id = match qos {
            _ if !self.short || !reserve_id => None,
            Q0 => s.publish_fast(topic.as_bytes(), &payload, retain),
            _ => s.publish_tracked_fast(topic.as_bytes(), &payload, qos, retain),
        };
        self.went += usize::from(id.is_some());
        let result = match id {
            Some(id) => Ok(id),
            None => {
                let message = Publication { retain, reserve_id, ..Publication::new(topic, &payload, qos) };
                s.publish(&message).map(|accepted| accepted.packet_id)
            }
        };
        self.log.push(format!("{result:?} {:?}", result.ok().and_then(|id| self.rig.s.token_of(id))));
    }

    /// What is written comes to the server, which has an answer to some of it.
    fn write(&mut self, n: usize) {
        for packet in self.rig.take(n) {
            let id = packet.split_once('#').and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            let answer = match packet.split([' ', '#']).next() {
                Some("PUBLISH1") => puback(id.unwrap()),
                Some("PUBLISH2") => pubrec(id.unwrap()),
                Some("PUBREL") => pubcomp(id.unwrap()),
                _ => Vec::new(),
            };
            self.answers.push(answer);
            self.log.push(packet);
        }
    }

    fn answer(&mut self, n: usize) {
        let n = n.min(self.answers.len());
        let bytes: Vec<u8> = self.answers.drain(..n).flatten().collect();
        self.rig.s.received(self.rig.now);
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let mut ended = Vec::with_capacity(if self.short { 3 } else { 0 });
            if self.short
                && self.rig.s.is_on_fast_path()
                && let Some(packet) = self.rig.s.fast_acknowledgements(rest, &mut ended, usize::MAX)
            {
                at += ended.len() * wire::PLAIN_ACK;
                self.went += ended.len();
                for ended in &ended {
                    let (topic, ack) = (str::from_utf8(ended.topic()).unwrap(), ended.accepted());
                    self.log.push(format!("{} {ack:?} {topic}", packet.name()));
                }
                self.rig.s.fast_ended(&mut ended);
                continue;
            }
            let step = self.rig.s.input(self.rig.now, rest).unwrap();
            if let Some(event) = &step.event {
                let topic = self.rig.s.acknowledged_topic();
                let topic = topic.map(|topic| str::from_utf8(topic).unwrap());
                match (event, topic) {
                    (Event::PubAck(ack), Some(topic)) => self.log.push(format!("PUBACK {ack:?} {topic}")),
                    (Event::PubComp(ack), Some(topic)) => self.log.push(format!("PUBCOMP {ack:?} {topic}")),
                    _ => {}
                }
                self.rig.s.handled(Verdict::Ack(0)).unwrap();
            }
            at += step.consumed;
        }
    }

    fn step(&mut self, op: &Op) {
        self.rig.pass(Span::micros(700));
        match *op {
            Op::Publish { qos, topic, size, retain, reserve } => {
                self.publish(qos, TOPICS[topic], size, retain, reserve)
            }
            Op::Write(n) => self.write(n),
            Op::Answer(n) => self.answer(n),
            Op::Hold(id) => {
                let held = self.rig.s.raw_subscribe(id, [("f", Q0)].into_iter());
                self.log.push(format!("{held:?}"));
            }
            Op::NextId => {
                let id = self.rig.s.next_packet_id();
                self.log.push(format!("{id:?}"));
            }
            Op::Reconnect(present) => {
                self.rig.down();
                self.answers.clear();
                self.connect(present);
            }
            Op::Limit(max_outgoing_bytes) => {
                let limits = Limits { max_outgoing_bytes, ..self.rig.s.limits().clone() };
                self.rig.s.set_limits(limits);
            }
            Op::Limits(max_queue, window, outcome_history) => {
                let limits = Limits { max_queue, window, outcome_history, ..self.rig.s.limits().clone() };
                self.rig.s.set_limits(limits);
            }
        }
        // Each with its packet id.
        let ended = core::iter::from_fn(|| self.rig.s.take_completion()).map(|ended| format!("{ended:?}"));
        self.log.extend(ended.collect::<std::collections::BTreeSet<_>>());
    }

    /// All that is to be seen of it.
    fn seen(&mut self) -> String {
        let s = &self.rig.s;
        let known: Vec<_> = (1..=s.accepted())
            .map(|number| s.remembered(number).map(|outcome| format!("{outcome:?}")))
            .collect();
        let ids: Vec<_> = (1..80).map(|id| s.token_of(id)).collect();
        let (counts, latency) = (s.counts(), s.ack_latency());
        let (levels, out) = (s.levels(), s.output().pending());
        format!("{known:?} {ids:?} {counts:?} {latency:?} {levels:?} {} {out:?}", s.outstanding())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_short_ways_do_what_the_long_ones_do(
        ops in prop::collection::vec(op(), 1..120),
        tell_all in any::<bool>(),
        server in server(),
    ) {
        let (mut short, mut long) =
            (Walker::new(true, tell_all, server.clone()), Walker::new(false, tell_all, server));
        for op in &ops {
            short.step(op);
            long.step(op);
            prop_assert_eq!(&short.log, &long.log);
            prop_assert_eq!(short.seen(), long.seen());
        }
        for walker in [&mut short, &mut long] {
            walker.rig.s.abandon();
            walker.step(&Op::NextId);
        }
        prop_assert_eq!(&short.log, &long.log);
        prop_assert_eq!(short.seen(), long.seen());
    }

    /// However few bytes are written at a time, and however long each message is.
    #[test]
    fn a_qos0_message_ends_with_its_own_last_byte(
        messages in prop::collection::vec((0..400_usize, any::<bool>()), 1..60),
        writes in prop::collection::vec(1..900_usize, 1..60),
    ) {
        let mut rig = Rig::connected();
        let mut tokens = Vec::new();
        for (size, reserve_id) in messages {
            let payload = vec![b'x'; size];
            let message = Publication { reserve_id, ..Publication::new("t", &payload, Q0) };
            tokens.push(rig.s.publish(&message).unwrap());
        }
        let mut told = 0;
        for n in writes.into_iter().chain([usize::MAX]) {
            let whole = rig.take(n).len();
            let ended = rig.outcomes();
            let expected: Vec<_> = tokens[told..told + whole].iter().map(|a| (a.token, Outcome::Sent)).collect();
            prop_assert_eq!(ended, expected);
            told += whole;
            prop_assert_eq!(rig.s.outstanding(), tokens.len() - told);
            for (n, accepted) in tokens.iter().enumerate() {
                let found = if accepted.packet_id == 0 { None } else { rig.s.token_of(accepted.packet_id) };
                let waits = n >= told && accepted.packet_id != 0;
                prop_assert_eq!(found, waits.then_some(accepted.token));
            }
        }
        prop_assert_eq!(told, tokens.len());
    }
}

#[test]
fn the_short_ways_are_taken() {
    let aliases = (PropertyId::TopicAliasMaximum, PropertyValue::TwoByte(3));
    for (server, given) in [(None, 0), (Some(vec![]), 2), (Some(vec![aliases]), 0), (Some(vec![aliases]), 2)]
    {
        let mut walker = Walker::new(true, false, (server.clone(), given));
        walker.rig.s.set_limits(Limits { window: 1000, topic_aliases: given, ..Limits::default() });
        for qos in [Q0, Q1, Q2] {
            for round in 0..20 {
                for topic in 0..10 {
                    walker.publish(qos, TOPICS[topic % 2], 50, false, true);
                }
                walker.write(usize::MAX);
                walker.answer(10);
                walker.write(usize::MAX);
                walker.answer(10);
                assert_eq!(walker.rig.s.outstanding(), 0, "{qos:?} {round}");
            }
        }
        // What makes memory grow leaves the fast path. A message of QoS 0 has one step, the others two.
        assert!(walker.went > 200 + 2 * 400 - 50, "{} {server:?} {given}", walker.went);
    }
}

/// Their ids are not in the table of ids until the counter comes round to them.
#[test]
fn ids_of_what_waits_to_be_written_are_not_given_again() {
    let large =
        Limits { window: 65_535, max_queue: 0x2_0000, max_outgoing_bytes: 1 << 30, ..Limits::default() };
    let mut rig = Rig::connected_with(large);
    for id in 1..=3 {
        assert_eq!(rig.reserve(Q0, "t").unwrap().packet_id, id);
    }
    for id in 4..=u16::MAX {
        assert_eq!(rig.reserve(Q1, "t").unwrap().packet_id, id);
    }
    let expected = Err(Code::NoMoreMsgids);
    assert_eq!((rig.reserve(Q1, "t"), rig.reserve(Q0, "t")), (expected, expected));
    assert_eq!(rig.s.raw_subscribe(2, [("f", Q0)].into_iter()), Err(Code::PacketIdInUse));
    let first = rig.s.token_of(1);
    assert!(first.is_some());
    // The first is written, and half of the second.
    assert_eq!(rig.take(6 + 3), ["PUBLISH0 t=x"]);
    assert_eq!(rig.s.token_of(1), None);
    assert_eq!(rig.reserve(Q0, "t").unwrap().packet_id, 1);
    assert_eq!(rig.reserve(Q0, "t"), expected);
    assert_eq!(rig.take(3 + 6), ["PUBLISH0 t=x", "PUBLISH0 t=x"]);
    assert_eq!(rig.reserve(Q1, "t").unwrap().packet_id, 2);
    assert_eq!(rig.reserve(Q0, "t").unwrap().packet_id, 3);
    assert_eq!(rig.reserve(Q0, "t"), expected);
}

/// The counter goes round and round under a window of QoS 0 messages.
#[test]
fn ids_of_qos0_messages_go_round() {
    let mut rig = Rig::connected();
    let held = rig.reserve(Q1, "held").unwrap().packet_id;
    rig.sent();
    let mut expected = 1_u16;
    for n in 0..140_000_u32 {
        expected = if expected == u16::MAX { 2 } else { expected + 1 };
        let id = match rig.s.publish_fast(b"t", b"x", false) {
            Some(id) => id,
            None => rig.reserve(Q0, "t").unwrap().packet_id,
        };
        assert_eq!(id, expected);
        if n % 1_000 == 999 {
            rig.s.wrote(rig.now, rig.s.output().len());
            rig.outcomes();
        }
    }
    assert_eq!(held, 1);
}
