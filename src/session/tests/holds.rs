//! Messages whose acknowledgement is held: when it leaves, in which order, and what a reconnect makes of it.

use super::*;

#[test]
fn acknowledged_when_the_last_one_lets_go() {
    for (qos, answer) in [(Q1, "PUBACK #7"), (Q2, "PUBREC #7")] {
        let mut rig = Rig::connected();
        let hold = rig.held(qos, 7, 2);
        assert!(rig.sent().is_empty());
        rig.let_go(hold).unwrap();
        assert!(rig.sent().is_empty());
        rig.let_go(hold).unwrap();
        assert_eq!(rig.sent(), [answer]);
        assert_eq!(rig.let_go(hold), Err(Code::NotFound));
    }
}

/// Another thread may be quicker than the handler.
#[test]
fn not_before_the_handlers_returned() {
    for (qos, answer) in [(Q1, "PUBACK #7"), (Q2, "PUBREC #7")] {
        let mut rig = Rig::connected();
        rig.s.input(rig.now, &publish(qos, 7, false, "t", b"x")).unwrap();
        let hold = rig.s.hold().unwrap().unwrap();
        rig.let_go(hold).unwrap();
        assert_eq!(rig.let_go(hold), Err(Code::NotFound));
        assert!(rig.sent().is_empty());
        rig.s.handled(Verdict::Ack(0)).unwrap();
        assert_eq!(rig.sent(), [answer]);
    }
}

/// mqtt3: MQTT-4.6.0-2 MQTT-4.6.0-3
/// mqtt5: MQTT-4.6.0-2 MQTT-4.6.0-3
#[test]
fn in_the_order_of_the_messages_each_qos_by_itself() {
    let mut rig = Rig::connected();
    let holds: Vec<Hold> = (1..=4).map(|id| rig.held(Q1, id, 1)).collect();
    let first2 = rig.held(Q2, 1, 1);
    rig.feed(&publish(Q1, 5, false, "t", b"x"));
    rig.feed(&publish(Q2, 2, false, "t", b"x"));
    for at in [2, 3, 1] {
        rig.let_go(holds[at]).unwrap();
        assert_eq!(rig.let_go(holds[at]), Err(Code::NotFound), "twice");
        assert!(rig.sent().is_empty());
    }
    rig.let_go(first2).unwrap();
    assert_eq!(rig.sent(), ["PUBREC #1", "PUBREC #2"]);
    rig.let_go(holds[0]).unwrap();
    assert_eq!(rig.sent(), ["PUBACK #1", "PUBACK #2", "PUBACK #3", "PUBACK #4", "PUBACK #5"]);
    // Nothing is left behind.
    rig.feed(&publish(Q1, 6, false, "t", b"x"));
    assert_eq!(rig.sent(), ["PUBACK #6"]);
}

#[test]
fn qos_0_has_nothing_to_hold() {
    let mut rig = Rig::connected();
    rig.s.input(rig.now, &publish(Q0, 0, false, "t", b"x")).unwrap();
    assert_eq!(rig.s.hold(), Ok(None));
    rig.s.handled(Verdict::Ack(0)).unwrap();
    assert_eq!(rig.s.hold(), Err(Code::NotFound));
}

/// QoS 1 comes again, and the old hold is nothing any more, also if the packet id is the same.
#[test]
fn a_hold_of_qos_1_ends_with_the_connection() {
    for present in [true, false] {
        let mut rig = Rig::connected();
        let old = rig.held(Q1, 7, 1);
        rig.down();
        assert_eq!(rig.let_go(old), Err(Code::Stale));
        rig.up(present);
        let new = rig.held(Q1, 7, 1);
        assert_eq!(rig.let_go(old), Err(Code::Stale));
        assert!(rig.sent().is_empty());
        rig.let_go(new).unwrap();
        assert_eq!(rig.sent(), ["PUBACK #7"]);
    }
}

/// QoS 2 does not come again: its id belongs to the exchange.
#[test]
fn a_hold_of_qos_2_outlives_the_connection() {
    let mut rig = Rig::connected();
    let early = rig.held(Q2, 7, 1);
    let late = rig.held(Q2, 8, 1);
    rig.down();
    rig.let_go(early).unwrap();
    rig.up(true);
    assert!(rig.sent().is_empty(), "not on another connection, before the message came there");
    assert!(rig.feed(&publish(Q2, 7, true, "t", b"x")).is_empty());
    assert_eq!(rig.sent(), ["PUBREC #7"]);
    for _ in 0..2 {
        // A server that repeats on the same connection changes nothing.
        assert!(rig.feed(&publish(Q2, 8, true, "t", b"x")).is_empty());
    }
    rig.feed(&publish(Q2, 9, false, "t", b"x"));
    assert!(rig.sent().is_empty());
    rig.let_go(late).unwrap();
    assert_eq!(rig.sent(), ["PUBREC #8", "PUBREC #9"]);
    rig.feed(&pubrel(8));
    assert_eq!(rig.let_go(late), Err(Code::NotFound));
}

#[test]
fn a_hold_of_qos_2_ends_with_the_session() {
    let mut rig = Rig::connected();
    let old = rig.held(Q2, 7, 1);
    rig.again(false);
    assert_eq!(rig.let_go(old), Err(Code::Stale));
    let new = rig.held(Q2, 7, 1);
    assert_eq!(rig.let_go(old), Err(Code::Stale));
    rig.let_go(new).unwrap();
    assert_eq!(rig.sent(), ["PUBREC #7"]);
    rig.s.forget_inbound();
    assert_eq!(rig.let_go(new), Err(Code::Stale));
}

/// It could not be kept after all: the server shall send it again, and then it is delivered.
#[test]
fn not_delivered_undoes_a_hold() {
    for (qos, answer) in [(Q1, "PUBACK #7"), (Q2, "PUBREC #7")] {
        let mut rig = Rig::connected();
        rig.s.input(rig.now, &publish(qos, 7, false, "t", b"x")).unwrap();
        let hold = rig.s.hold().unwrap().unwrap();
        rig.s.handled(Verdict::NotDelivered).unwrap();
        assert!(rig.let_go(hold).is_err());
        assert!(rig.sent().is_empty());
        rig.again(true);
        assert_eq!(rig.feed(&publish(qos, 7, true, "t", b"x")).len(), 1);
        assert_eq!(rig.sent(), [answer]);
    }
}

/// A server that goes on without an acknowledgement runs out of packet ids, not we out of memory.
#[test]
fn what_waits_in_line_is_bounded() {
    for qos in [Q1, Q2] {
        let mut rig = Rig::connected();
        rig.held(qos, 1, 1);
        let outcome = (0..70_000u32).try_for_each(|n| {
            rig.try_feed(&publish(qos, (n % 65_534) as u16 + 2, false, "t", b"")).map(drop)
        });
        assert_eq!(outcome.unwrap_err().code, Code::Protocol);
    }
}

/// What other sessions number is nothing here, wherever the random numbers that keep them apart lie.
#[test]
fn numbers_differ_between_sessions() {
    for (one, other) in [(0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321), (1_000, 2_000), (0, u64::MAX)] {
        let (mut a, mut b) = (Rig::connected(), Rig::connected());
        a.s.number_holds_from(one);
        b.s.number_holds_from(other);
        for qos in [Q1, Q2] {
            let (ours, theirs) = (a.held(qos, 7, 1), b.held(qos, 7, 1));
            assert!(a.let_go(theirs).is_err());
            assert!(a.sent().is_empty());
            assert_eq!(Hold::from_word(ours.word()), Some(ours));
            a.let_go(ours).unwrap();
            assert_eq!(a.sent().len(), 1);
        }
    }
}

// -- messages that are cut -------------------------------------------------------------------------

fn cutting(keep: usize) -> Rig {
    Rig::connected_with(Limits { max_incoming: 100, keep_oversize: keep, ..Limits::default() })
}

#[test]
fn the_beginning_of_a_large_message() {
    for (qos, answer) in [(Q0, None), (Q1, Some("PUBACK #7")), (Q2, Some("PUBREC #7"))] {
        let mut rig = cutting(3);
        let bytes = publish(qos, 7, false, "t", &[b'x'; 200]);
        let (head, rest) = bytes.split_at(bytes.len() - 197);
        assert_eq!(rig.s.input(rig.now, &head[..head.len() - 1]).unwrap().consumed, 0);
        let id = if qos == Q0 { "" } else { " #7" };
        assert_eq!(rig.feed(head), [format!("FIRST 3 OF 200 OF MESSAGE{}{id} t=xxx", qos.bits())]);
        assert!(rig.feed(&rest[1..]).is_empty());
        assert!(rig.sent().is_empty(), "not before it is all there");
        rig.feed(&rest[..1]);
        assert_eq!(rig.sent(), answer.into_iter().collect::<Vec<_>>());
        assert_eq!(rig.feed(&publish(Q0, 0, false, "next", b"ok")), ["MESSAGE0 next=ok"]);
    }
}

/// The limit is for what is kept, too; and a payload that is kept whole is not cut.
#[test]
fn at_most_the_limit_and_the_payload() {
    let mut rig = cutting(1000);
    let step = rig.s.input(rig.now, &publish(Q1, 7, false, "t", &[b'x'; 200])).unwrap();
    let Some(Event::Publish(cut)) = step.event else { panic!("{step:?}") };
    assert_eq!((cut.payload.len(), cut.size), (100, 200));
    let mut rig = cutting(1000);
    let topic = "t".repeat(200);
    assert_eq!(rig.feed(&publish(Q1, 7, false, &topic, b"abc")), [format!("MESSAGE1 #7 {topic}=abc")]);
    assert_eq!(rig.sent(), ["PUBACK #7"]);
}

#[test]
fn a_cut_message_can_be_held() {
    for (qos, answer) in [(Q1, "PUBACK #7"), (Q2, "PUBREC #7")] {
        let bytes = publish(qos, 7, false, "t", &[b'x'; 200]);
        for gone_first in [true, false] {
            let mut rig = cutting(3);
            let head = bytes.len() - 197;
            let step = rig.s.input(rig.now, &bytes).unwrap();
            assert_eq!(step.consumed, head);
            let hold = rig.s.hold().unwrap().unwrap();
            rig.s.handled(Verdict::Ack(0)).unwrap();
            if gone_first {
                rig.let_go(hold).unwrap();
                assert_eq!(rig.let_go(hold), Err(Code::NotFound));
            }
            rig.feed(&bytes[head..]);
            if !gone_first {
                assert!(rig.sent().is_empty());
                rig.let_go(hold).unwrap();
            }
            assert_eq!(rig.sent(), [answer]);
        }
    }
}

#[test]
fn a_link_that_breaks_inside_a_cut_message() {
    for (qos, again) in [(Q1, 1), (Q2, 0)] {
        for holds in [false, true] {
            let mut rig = cutting(3);
            let bytes = publish(qos, 7, false, "t", &[b'x'; 200]);
            rig.s.input(rig.now, &bytes).unwrap();
            let hold = holds.then(|| rig.s.hold().unwrap().unwrap());
            rig.s.handled(Verdict::Ack(0)).unwrap();
            rig.again(true);
            assert_eq!(rig.feed(&bytes).len(), again, "{qos:?}");
            if let Some(hold) = hold {
                let expected = if qos == Q2 { Ok(()) } else { Err(Code::Stale) };
                assert_eq!(rig.let_go(hold), expected);
            }
            assert_eq!(rig.sent().len(), 1, "{qos:?} {holds}");
            assert_eq!(rig.feed(&publish(Q0, 0, false, "next", b"ok")), ["MESSAGE0 next=ok"]);
        }
    }
}

/// A message comes, is held or not, and handled with this verdict.
fn come(rig: &mut Rig, qos: QoS, id: u16, is_held: bool, reason: u8) -> Option<Hold> {
    let mut bytes = Vec::new();
    let message = wire::Publish { qos, packet_id: id, topic: "t", ..Default::default() };
    message.encode(rig.connect.version, &mut bytes).unwrap();
    let step = rig.s.input(rig.now, &bytes).unwrap();
    assert!(matches!(step.event, Some(Event::Publish(_))), "{id} is not known");
    let hold = is_held.then(|| rig.s.hold().unwrap().unwrap());
    rig.s.handled(Verdict::Ack(reason)).unwrap();
    hold
}

/// The verdict's reason code leaves with the acknowledgement in MQTT 5.0; MQTT 3.x has no room for one.
/// mqtt5: MQTT-3.4.2-1 MQTT-3.5.2-1
#[test]
fn a_reason_leaves_with_the_acknowledgement() {
    use wire::reason::{SUCCESS, UNSPECIFIED_ERROR};
    // Not authorized, and a code that these packets must not have.
    const NO: u8 = 0x87;
    const ODD: u8 = 0x19;
    for (version, qos) in [(Version::V311, Q1), (Version::V311, Q2), (Version::V5, Q1), (Version::V5, Q2)] {
        let mut rig = Rig::new(Limits::default());
        rig.connect.version = version;
        rig.open();
        let mut bytes = Vec::new();
        let connack = ConnAck { session_present: false, code: 0, properties: Properties::EMPTY };
        Packet::ConnAck(connack).encode(version, &mut bytes).unwrap();
        rig.feed(&bytes);
        // At once; then behind one that is held, for which the first reason of those who held it counts.
        come(&mut rig, qos, 1, false, NO);
        let hold = come(&mut rig, qos, 2, true, SUCCESS).unwrap();
        rig.s.hold_again(hold).unwrap();
        come(&mut rig, qos, 3, false, ODD);
        rig.s.let_go(hold, 0x99).unwrap();
        rig.s.let_go(hold, NO).unwrap();
        let sent = rig.s.output().pending().to_vec();
        rig.s.wrote(rig.now, sent.len());
        let first = if qos == Q1 { 0x40 } else { 0x50 };
        // The odd one becomes the general one.
        let expected: Vec<u8> = [(1, NO), (2, 0x99), (3, UNSPECIFIED_ERROR)]
            .iter()
            .flat_map(|(id, reason)| match version {
                Version::V5 => vec![first, 3, 0, *id, *reason],
                _ => vec![first, 2, 0, *id],
            })
            .collect();
        assert_eq!(sent, expected);
        if version == Version::V5 {
            // PUBREC ended the exchange: the id is free for another message.
            come(&mut rig, qos, 1, false, SUCCESS);
        }
    }
}
