//! Packets that the application makes itself.

use super::*;

fn raw(rig: &mut Rig, qos: QoS, packet_id: u16, dup: bool) -> Result<(), Code> {
    rig.s.raw_publish(&wire::Publish { qos, packet_id, dup, topic: "r", payload: b"x", ..Default::default() })
}

#[test]
fn only_on_a_living_connection() {
    let mut rig = Rig::new(Limits::default());
    rig.open();
    assert_eq!(raw(&mut rig, Q1, 1, false), Err(Code::NotConnected));
    assert_eq!(rig.s.raw_subscribe(1, [("f", Q0)].into_iter()), Err(Code::NotConnected));
    assert_eq!(rig.s.raw_unsubscribe(1, ["f"].into_iter()), Err(Code::NotConnected));
    assert_eq!(rig.s.raw_ping(rig.now), Err(Code::NotConnected));
    assert_eq!(rig.s.raw_ack(super::super::RawAck::PubAck, 1), Err(Code::NotConnected));
}

#[test]
fn an_id_is_held_until_acknowledged_or_closed() {
    let mut rig = Rig::connected();
    assert_eq!(raw(&mut rig, Q1, 0, false), Err(Code::BadArgument));
    raw(&mut rig, Q1, 1, false).unwrap();
    raw(&mut rig, Q2, 2, false).unwrap();
    rig.s.raw_subscribe(3, [("f", Q1)].into_iter()).unwrap();
    rig.s.raw_unsubscribe(4, ["f"].into_iter()).unwrap();
    raw(&mut rig, Q0, 0, false).unwrap();
    let all = ["PUBLISH1 #1 r=x", "PUBLISH2 #2 r=x", "SUBSCRIBE #3 f:1", "UNSUBSCRIBE #4 f", "PUBLISH0 r=x"];
    assert_eq!(rig.sent(), all);
    for id in 1..=4 {
        assert_eq!(raw(&mut rig, Q1, id, false), Err(Code::PacketIdInUse), "{id}");
    }
    // The session's own messages go round them.
    rig.must(Q1, "own");
    assert_eq!(rig.sent(), ["PUBLISH1 #5 own=own"]);
    assert_eq!(raw(&mut rig, Q1, 5, false), Err(Code::PacketIdInUse));
    assert_eq!(raw(&mut rig, Q1, 5, true), Err(Code::PacketIdInUse));

    assert_eq!(rig.feed(&puback(1)), ["PUBACK #1"]);
    assert_eq!(rig.feed(&pubrec(2)), ["PUBREC #2"]);
    assert_eq!(rig.sent(), ["PUBREL #2"]);
    assert_eq!(raw(&mut rig, Q1, 2, false), Err(Code::PacketIdInUse));
    assert_eq!(rig.feed(&pubcomp(2)), ["PUBCOMP #2"]);
    assert_eq!(rig.feed(&suback(3, &[1])), ["SUBACK #3 raw [1]"]);
    assert_eq!(rig.feed(&unsuback(4)), ["UNSUBACK #4"]);
    assert_eq!(rig.outcomes(), []);
    for id in 1..=4 {
        raw(&mut rig, Q1, id, false).unwrap();
    }
    rig.sent();
    // Closed: nothing is sent again, the ids are free.
    assert_eq!(rig.again(true), ["PUBLISH1 DUP #5 own=own"]);
    for id in 1..=4 {
        raw(&mut rig, Q1, id, false).unwrap();
    }
}

#[test]
fn who_retransmits_by_himself_uses_his_id_again() {
    let mut rig = Rig::connected();
    raw(&mut rig, Q1, 7, false).unwrap();
    raw(&mut rig, Q1, 7, true).unwrap();
    assert_eq!(raw(&mut rig, Q2, 7, true), Err(Code::PacketIdInUse));
    assert_eq!(rig.sent(), ["PUBLISH1 #7 r=x", "PUBLISH1 DUP #7 r=x"]);
    rig.feed(&puback(7));
    raw(&mut rig, Q2, 7, false).unwrap();
    // PUBACK for QoS 2 ends that, too.
    rig.feed(&puback(7));
    raw(&mut rig, Q1, 7, false).unwrap();
}

#[test]
fn an_impossible_packet_holds_no_id() {
    let mut rig = Rig::connected();
    let long = "t".repeat(65_536);
    assert_eq!(rig.s.raw_subscribe(7, [(&*long, Q0)].into_iter()), Err(Code::BadArgument));
    assert_eq!(rig.s.raw_unsubscribe(7, [&*long].into_iter()), Err(Code::BadArgument));
    let packet = wire::Publish { qos: Q1, packet_id: 7, topic: &long, ..Default::default() };
    assert_eq!(rig.s.raw_publish(&packet), Err(Code::TooLarge));
    assert!(rig.s.output().is_empty());
    raw(&mut rig, Q1, 7, false).unwrap();
}

#[test]
fn the_byte_limit_holds_for_them() {
    let mut rig = Rig::connected_with(Limits { max_outgoing_bytes: 10, ..Limits::default() });
    raw(&mut rig, Q1, 1, false).unwrap();
    assert_eq!(raw(&mut rig, Q1, 2, false), Err(Code::QueueFull));
    rig.sent();
    raw(&mut rig, Q1, 2, false).unwrap();
}

/// The acknowledgement goes out once, after the handlers, whether the handler asked for it or not.
#[test]
fn an_acknowledgement_of_the_application_is_not_a_second_one() {
    let mut rig = Rig::connected();
    let bytes = publish(Q1, 9, false, "t", b"x");
    rig.s.input(rig.now, &bytes).unwrap();
    rig.s.raw_ack(super::super::RawAck::PubAck, 9).unwrap();
    assert!(rig.s.output().is_empty());
    rig.s.handled(Verdict::Ack(0)).unwrap();
    assert_eq!(rig.sent(), ["PUBACK #9"]);
}
