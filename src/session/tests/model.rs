//! Random programs against a simple model: every accepted publish has exactly one outcome, and the
//! right one; ids are unique; order and DUP are kept; a perfect server sees QoS 2 once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::super::{Dropped, Known, OnSessionLoss, Overflow};
use super::*;

#[derive(Clone, Debug)]
enum Do {
    Publish {
        qos: u8,
        reserve: bool,
        size: usize,
        /// Seconds from the start.
        expires: Option<u64>,
    },
    /// Cancels one of the last messages.
    Cancel(u64),
    /// Seconds pass.
    Pass(u64),
    /// The kernel takes some bytes.
    Write(usize),
    /// The server reads everything it was sent, and answers it.
    Serve,
    /// The server answers one thing only, and not the first.
    ServeOne(usize),
    Lose,
    Return {
        kept: bool,
    },
    Disconnect,
}

fn step() -> impl Strategy<Value = Do> {
    prop_oneof![
        8 => (0..3_u8, any::<bool>(), 0..60_usize, prop::option::of(0..10_u64))
            .prop_map(|(qos, reserve, size, expires)| Do::Publish { qos, reserve, size, expires }),
        2 => (0..10_u64).prop_map(Do::Cancel),
        1 => (0..3_u64).prop_map(Do::Pass),
        5 => (1..200_usize).prop_map(Do::Write),
        3 => Just(Do::Serve),
        3 => (0..8_usize).prop_map(Do::ServeOne),
        2 => Just(Do::Lose),
        3 => any::<bool>().prop_map(|kept| Do::Return { kept }),
        1 => Just(Do::Disconnect),
    ]
}

/// A server that keeps its promises, and notes what it sees.
#[derive(Default)]
struct Server {
    /// Answers owed, in order.
    owed: VecDeque<(PacketType, u16)>,
    /// QoS 2 ids received and not released.
    open: BTreeSet<u16>,
    /// How often each payload was delivered onward.
    delivered: BTreeMap<u64, usize>,
    /// First deliveries in their order, QoS 1 and 2.
    order: Vec<u64>,
    /// Payloads whose last byte came in on an earlier connection.
    seen_before: BTreeSet<u64>,
    seen: BTreeSet<u64>,
}

impl Server {
    fn receive(&mut self, packet: &Packet<'_>) {
        match packet {
            Packet::Publish(p) => {
                let n = u64::from_be_bytes(p.payload[..8].try_into().unwrap());
                assert_eq!(p.dup, self.seen_before.contains(&n), "DUP of {n}");
                self.seen.insert(n);
                if p.qos != Q0 && !self.order.contains(&n) {
                    self.order.push(n);
                }
                match p.qos {
                    QoS::AtMostOnce => *self.delivered.entry(n).or_default() += 1,
                    QoS::AtLeastOnce => {
                        *self.delivered.entry(n).or_default() += 1;
                        self.owed.push_back((PacketType::PubAck, p.packet_id));
                    }
                    QoS::ExactlyOnce => {
                        if self.open.insert(p.packet_id) {
                            *self.delivered.entry(n).or_default() += 1;
                        }
                        self.owed.push_back((PacketType::PubRec, p.packet_id));
                    }
                }
            }
            Packet::PubRel(a) => {
                self.open.remove(&a.packet_id);
                self.owed.push_back((PacketType::PubComp, a.packet_id));
            }
            Packet::Connect(_) | Packet::Disconnect(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn link_lost(&mut self) {
        self.owed.clear();
        self.seen_before.append(&mut self.seen.clone());
    }
}

struct World {
    rig: Rig,
    server: Server,
    /// Bytes on the way to the server.
    wire: Vec<u8>,
    /// Accepted and not ended: number to QoS and token.
    open: BTreeMap<u64, (QoS, u64)>,
    ended: BTreeMap<u64, (QoS, Outcome)>,
    /// The order of acceptance, QoS 1 and 2.
    accepted: Vec<u64>,
    next: u64,
    lost_session: bool,
}

impl World {
    fn connect(&mut self, kept: bool) {
        // The first connection cannot resume anything.
        if !kept {
            self.server.open.clear();
            self.lost_session |= !self.accepted.is_empty();
        }
        self.wire.clear();
        self.rig.s.opened(self.rig.now, Span::secs(10), None);
        self.rig.s.connect(&CONNECT, Span::secs(10)).unwrap();
        self.rig.feed(&connack(kept, 0));
        self.collect();
    }

    fn lose(&mut self) {
        self.rig.down();
        self.wire.clear();
        self.server.link_lost();
        self.collect();
    }

    fn write(&mut self, n: usize) {
        let pending = self.rig.s.output().pending();
        let n = n.min(pending.len());
        self.wire.extend_from_slice(&pending[..n]);
        self.rig.s.wrote(self.rig.now, n);
        // Everything that was taken arrives: DUP then says exactly what the server knows.
        while let Some(header) = Header::parse(&self.wire).unwrap().filter(|h| h.total() <= self.wire.len()) {
            let body = &self.wire[usize::from(header.header_len)..header.total()];
            self.server.receive(&Packet::decode(Version::V311, &header, body).unwrap());
            self.wire.drain(..header.total());
        }
        self.collect();
    }

    fn answer(&mut self, at: usize) {
        if self.rig.s.is_up()
            && let Some((packet, id)) = self.server.owed.remove(at)
        {
            self.rig.feed(&ack(packet, id));
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(completion) = self.rig.s.take_completion() {
            let n = completion.token;
            let (qos, token) = self.open.remove(&n).expect("an outcome for something open, once");
            assert_eq!((token, completion.cookie), (completion.token, n as u32));
            assert_eq!(self.rig.s.look_up(token), Known::Ended);
            self.ended.insert(n, (qos, completion.outcome));
            let delivered = self.server.delivered.get(&n).copied().unwrap_or(0);
            match completion.outcome {
                Outcome::Sent => assert_eq!((qos, delivered), (Q0, 1)),
                Outcome::Acked => assert!(qos != Q0 && delivered >= 1),
                Outcome::Dropped(Dropped::Link) => assert!(qos == Q0 && delivered == 0),
                Outcome::Dropped(Dropped::Overflow) => assert_eq!(delivered, 0, "dropped after it was sent"),
                Outcome::Lost => assert!(self.lost_session && delivered >= 1),
                Outcome::Cancelled | Outcome::Expired => assert!(qos != Q0 && delivered == 0),
                Outcome::Abandoned => {}
                Outcome::TimedOut => assert!(qos != Q0),
                Outcome::Rejected(_) => panic!("nobody rejects"),
            }
        }
    }

    fn publish(&mut self, qos: QoS, reserve: bool, size: usize, expires: Option<u64>) {
        let mut payload = self.next.to_be_bytes().to_vec();
        payload.resize(8 + size, b'.');
        let message = Publication {
            reserve_id: reserve,
            expires: expires.map(|at| Time::ZERO + Span::secs(at)),
            cookie: self.next as u32,
            ..Publication::new("t", &payload, qos)
        };
        let accepted = self.rig.s.publish(&message);
        // Its number is the payload: both count what was accepted.
        if let Ok(accepted) = accepted {
            assert_eq!(accepted.token, self.next);
            self.open.insert(self.next, (qos, accepted.token));
            if qos != Q0 {
                self.accepted.push(self.next);
            }
            self.next += 1;
            if reserve {
                assert_eq!(self.rig.s.token_of(accepted.packet_id), Some(accepted.token));
            }
        }
        self.collect();
        let most = self.rig.s.limits().max_queue;
        assert!(most == 0 || self.rig.s.queue_len() <= most);
    }

    /// Takes back the message that was accepted so many before the last one.
    fn cancel(&mut self, back: u64) {
        let asked = self.next.checked_sub(back).and_then(|n| self.open.get(&n)).copied();
        if let Some((_, token)) = asked {
            assert_eq!(self.rig.s.look_up(token), Known::Outstanding);
            let cancelled = self.rig.s.cancel(token);
            let still = self.rig.s.look_up(token) == Known::Outstanding;
            assert_eq!(cancelled, if still { Err(Code::AlreadySent) } else { Ok(()) });
        }
        self.collect();
    }

    fn pass(&mut self, seconds: u64) {
        self.rig.pass(Span::secs(seconds));
        self.rig.s.expire(self.rig.now);
        self.rig.s.look_for_acknowledgements(self.rig.now, None);
        assert!(self.rig.s.expiry().is_none_or(|at| at > self.rig.now));
        self.collect();
    }

    /// Lets it all end: then every message has an outcome, without abandoning anything.
    fn finish(&mut self) {
        self.lose();
        self.connect(true);
        for _ in 0..10_000 {
            self.write(usize::MAX);
            if self.server.owed.is_empty() && self.rig.s.output().is_empty() {
                break;
            }
            self.answer(0);
        }
        assert_eq!(self.open, BTreeMap::new(), "stuck");
    }
}

fn run(program: &[Do], limits: Limits) {
    let report = limits.on_session_loss == OnSessionLoss::Report;
    let refuse = limits.overflow == Overflow::RefuseNew;
    let mut world = World {
        rig: Rig::new(limits),
        server: Server::default(),
        wire: Vec::new(),
        open: BTreeMap::new(),
        ended: BTreeMap::new(),
        accepted: Vec::new(),
        next: 1,
        lost_session: false,
    };
    for step in program {
        match *step {
            Do::Publish { qos, reserve, size, expires } => {
                world.publish(QoS::from_bits(qos).unwrap(), reserve, size, expires);
            }
            Do::Cancel(back) => world.cancel(back),
            Do::Pass(seconds) => world.pass(seconds),
            Do::Write(n) => world.write(n),
            Do::Serve => {
                while !world.server.owed.is_empty() && world.rig.s.is_up() {
                    world.answer(0);
                    world.write(usize::MAX);
                }
            }
            Do::ServeOne(n) => world.answer(n % world.server.owed.len().max(1)),
            Do::Lose => world.lose(),
            Do::Return { kept } => {
                if !world.rig.s.is_up() {
                    world.lose();
                    world.connect(kept && world.next > 1);
                }
            }
            Do::Disconnect => world.rig.s.disconnect(),
        }
        assert!(world.rig.s.in_flight() <= usize::from(world.rig.s.limits().window));
        let tracked = world.open.values().filter(|(qos, _)| *qos != Q0).count();
        assert_eq!(tracked, world.rig.s.queue_len());
    }
    world.finish();
    for (token, (qos, outcome)) in &world.ended {
        let delivered = world.server.delivered.get(token).copied().unwrap_or(0);
        if *qos == Q2 && !world.lost_session {
            assert!(delivered <= 1, "{token} delivered {delivered} times");
        }
        if *qos != Q0 && refuse && !report {
            let given_up = matches!(outcome, Outcome::Cancelled | Outcome::Expired);
            assert!(given_up || *outcome == Outcome::Acked, "{token}");
        }
    }
    // First deliveries come in the order of acceptance.
    let delivered: Vec<u64> =
        world.accepted.iter().copied().filter(|t| world.server.order.contains(t)).collect();
    assert_eq!(world.server.order, delivered);
    world.rig.s.abandon();
    world.collect();
    assert_eq!((world.rig.s.queue_len(), world.rig.s.unsent_bytes()), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_accepted_publish_ends_once(
        program in prop::collection::vec(step(), 1..80),
        window in prop_oneof![Just(1_u16), Just(3), Just(20)],
        max_queue in prop_oneof![Just(0_usize), Just(2), Just(1_024)],
        bytes in prop_oneof![Just(200_usize), Just(1 << 20)],
        drop_oldest: bool,
        report: bool,
    ) {
        let overflow = if drop_oldest { Overflow::DropOldest } else { Overflow::RefuseNew };
        let on_session_loss = if report { OnSessionLoss::Report } else { OnSessionLoss::Resend };
        run(&program, Limits { window, max_queue, max_outgoing_bytes: bytes, overflow, on_session_loss, ..Limits::default() });
    }

    /// Abandoned at any moment, everything ends at once.
    #[test]
    fn abandoned_at_any_moment(publishes in prop::collection::vec((0..3_u8, 0..40_usize), 0..30), connected: bool, written in 0..2_000_usize) {
        let mut rig = if connected { Rig::connected() } else { Rig::new(Limits::default()) };
        let mut open = BTreeSet::new();
        for (qos, size) in publishes {
            if let Ok(accepted) = rig.publish(QoS::from_bits(qos).unwrap(), "t", &vec![b'x'; size]) {
                open.insert(accepted.token);
            }
        }
        rig.take(written);
        rig.s.abandon();
        for (token, _) in rig.outcomes() {
            prop_assert!(open.remove(&token));
        }
        prop_assert!(open.is_empty());
    }
}
