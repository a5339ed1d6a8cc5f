//! Receiving: acknowledgements after the handlers, and QoS 2 without a second delivery.

use super::*;

/// One step with a PUBLISH, without `handled`.
fn deliver(rig: &mut Rig, bytes: &[u8]) -> String {
    let step = rig.s.input(rig.now, bytes).unwrap();
    assert_eq!(step.consumed, bytes.len());
    rig.told(&step.event.unwrap(), bytes)
}

/// mqtt3: MQTT-2.3.1-6 MQTT-3.3.4-1 MQTT-4.3.2-2 MQTT-4.3.3-2
/// mqtt5: MQTT-2.2.1-5 MQTT-3.3.4-1 MQTT-4.3.2-4 MQTT-4.3.3-8
#[test]
fn acknowledged_after_the_handlers() {
    for (qos, answer) in [(Q1, "PUBACK #7"), (Q2, "PUBREC #7")] {
        let mut rig = Rig::connected();
        deliver(&mut rig, &publish(qos, 7, false, "t", b"x"));
        assert!(rig.s.output().is_empty());
        // A handler publishes: that goes out first.
        rig.must(Q0, "answer");
        rig.s.handled(Verdict::Ack(0)).unwrap();
        assert_eq!(rig.sent(), ["PUBLISH0 answer=answer", answer]);
    }
}

#[test]
fn the_flags_are_told() {
    let mut rig = Rig::connected();
    let mut bytes = publish(Q1, 9, true, "t", b"");
    bytes[0] |= 1;
    assert_eq!(rig.feed(&bytes), ["MESSAGE1 DUP RETAIN #9 t="]);
}

/// mqtt3: MQTT-4.3.2-2
/// mqtt5: MQTT-4.3.2-5
#[test]
fn qos_1_is_delivered_as_often_as_it_comes() {
    let mut rig = Rig::connected();
    for dup in [false, true, true] {
        assert_eq!(rig.feed(&publish(Q1, 3, dup, "t", b"x")).len(), 1);
    }
    assert_eq!(rig.sent(), ["PUBACK #3"; 3]);
}

/// mqtt3: MQTT-2.3.1-6 MQTT-4.3.3-2
/// mqtt5: MQTT-2.2.1-5 MQTT-4.3.3-8 MQTT-4.3.3-10 MQTT-4.3.3-11 MQTT-4.3.3-12
#[test]
fn qos_2_is_delivered_once_until_released() {
    let mut rig = Rig::connected();
    assert_eq!(rig.feed(&publish(Q2, 3, false, "t", b"x")), ["MESSAGE2 #3 t=x"]);
    // A server that repeats without DUP (aedes, rumqttd) is understood as well.
    for dup in [true, false] {
        assert_eq!(rig.feed(&publish(Q2, 3, dup, "t", b"x")), Vec::<String>::new());
    }
    assert_eq!(rig.sent(), ["PUBREC #3"; 3]);
    assert_eq!(rig.feed(&pubrel(3)), ["PUBREL #3"]);
    assert_eq!(rig.feed(&pubrel(3)), ["PUBREL #3"]);
    assert_eq!(rig.sent(), ["PUBCOMP #3"; 2]);
    // From now on the id belongs to another message.
    assert_eq!(rig.feed(&publish(Q2, 3, false, "t", b"y")), ["MESSAGE2 #3 t=y"]);
}

/// mqtt3: MQTT-4.1.0-2
/// mqtt5: MQTT-4.1.0-1
#[test]
fn many_open_exchanges_in_any_order() {
    let mut rig = Rig::connected();
    for id in 1..=u16::MAX {
        assert_eq!(rig.feed(&publish(Q2, id, false, "t", b"")).len(), 1);
    }
    let scattered = |n: u16| n.wrapping_mul(40_503);
    for id in (1..=u16::MAX).map(scattered).filter(|id| *id != 0 && *id % 2 == 0) {
        rig.feed(&pubrel(id));
    }
    for id in 1..=u16::MAX {
        let delivered = rig.feed(&publish(Q2, id, true, "t", b"")).len();
        assert_eq!(delivered, usize::from(id % 2 == 0), "{id}");
    }
}

/// mqtt3: MQTT-3.1.2-4 MQTT-4.1.0-1
/// mqtt5: MQTT-3.1.2-23 MQTT-3.2.2-5
#[test]
fn known_ids_survive_a_reconnect_if_the_server_kept_the_session() {
    for present in [true, false] {
        let mut rig = Rig::connected();
        rig.feed(&publish(Q2, 5, false, "t", b"x"));
        rig.again(present);
        let delivered = rig.feed(&publish(Q2, 5, true, "t", b"x")).len();
        assert_eq!(delivered, usize::from(!present));
        assert_eq!(rig.sent(), ["PUBREC #5"]);
    }
}

/// The CONNACK that said that the session is lost did not arrive; the next one finds the new, empty session and
/// says that it is present. A message that was never sent before is none that is known, then.
#[test]
fn a_lost_connack_may_have_told_of_a_lost_session() {
    let mut rig = Rig::connected();
    rig.feed(&publish(Q2, 5, false, "t", b"old"));
    rig.feed(&publish(Q2, 6, false, "t", b"old"));
    rig.down();
    rig.open();
    rig.again(true);
    assert_eq!(rig.feed(&publish(Q2, 5, false, "t", b"new")).len(), 1);
    // But a repetition is one, because more probably the session was kept.
    assert_eq!(rig.feed(&publish(Q2, 6, true, "t", b"old")).len(), 0);
    assert_eq!(rig.sent(), ["PUBREC #5", "PUBREC #6"]);
}

#[test]
fn another_server_knows_nothing_of_them() {
    let mut rig = Rig::connected();
    rig.feed(&publish(Q2, 5, false, "t", b"x"));
    rig.down();
    rig.s.forget_inbound();
    rig.up(true);
    assert_eq!(rig.feed(&publish(Q2, 5, false, "t", b"y")).len(), 1);
}

/// Another server that accepts us knows nothing of them either; one that refuses changes nothing for the next attempt, which is
/// at the old one again.
#[test]
fn another_server_that_refuses_changes_nothing() {
    let busy = if Rig::FIVE { 0x88 } else { 3 };
    for code in [0, busy] {
        let mut rig = Rig::connected();
        rig.feed(&publish(Q2, 5, false, "t", b"x"));
        rig.down();
        rig.open();
        rig.s.at_another_server(true);
        rig.feed(&connack(code == 0, code));
        if code != 0 {
            rig.again(true);
        }
        let delivered = rig.feed(&publish(Q2, 5, false, "t", b"x")).len();
        assert_eq!(delivered, usize::from(code == 0));
    }
}

/// The link dies while the handler of a QoS 2 message runs: it was delivered, so it is not delivered again.
#[test]
fn a_link_that_dies_under_a_handler() {
    for (qos, again) in [(Q1, 1), (Q2, 0)] {
        let mut rig = Rig::connected();
        deliver(&mut rig, &publish(qos, 5, false, "t", b"x"));
        rig.down();
        rig.s.handled(Verdict::ConnectionGone).unwrap();
        assert!(rig.s.output().is_empty());
        rig.up(true);
        assert_eq!(rig.feed(&publish(qos, 5, true, "t", b"x")).len(), again);
        assert_eq!(rig.sent().len(), 1);
    }
}

/// The handler of a message says DISCONNECT: the message is acknowledged first, or it would come again and
/// again to a handler that never gets past it. Nothing follows DISCONNECT.
#[test]
fn disconnect_in_a_handler() {
    for (qos, answer) in [(Q0, None), (Q1, Some("PUBACK #5")), (Q2, Some("PUBREC #5"))] {
        let mut rig = Rig::connected();
        deliver(&mut rig, &publish(qos, 5, false, "t", b"x"));
        rig.must(Q0, "before");
        rig.s.disconnect();
        assert_eq!(rig.publish(Q0, "after", b""), Err(Code::NotConnected));
        rig.s.disconnect();
        rig.s.handled(Verdict::Ack(0)).unwrap();
        rig.s.disconnect();
        let expected: Vec<&str> =
            ["PUBLISH0 before=before"].into_iter().chain(answer).chain(["DISCONNECT"]).collect();
        assert_eq!(rig.sent(), expected);
        rig.again(true);
        let again = rig.feed(&publish(Q2, 5, true, "t", b"x")).len();
        assert_eq!(again, usize::from(qos != Q2));
    }
}

/// The link is gone before the handler returns: its DISCONNECT does not reach the next connection.
#[test]
fn disconnect_in_a_handler_without_a_link() {
    let mut rig = Rig::connected();
    deliver(&mut rig, &publish(Q1, 5, false, "t", b"x"));
    rig.s.disconnect();
    rig.down();
    rig.s.handled(Verdict::ConnectionGone).unwrap();
    assert_eq!(rig.up(true), Vec::<String>::new());
    rig.must(Q0, "a");
    assert_eq!(rig.sent(), ["PUBLISH0 a=a"]);
}

/// A PUBLISH that was delivered before the link broke, and whose PUBREC never left.
#[test]
fn an_answer_that_never_left_is_given_again() {
    let mut rig = Rig::connected();
    rig.feed(&publish(Q2, 5, false, "t", b"x"));
    rig.take(2);
    assert_eq!(rig.again(true), Vec::<String>::new());
    assert_eq!(rig.feed(&publish(Q2, 5, true, "t", b"x")), Vec::<String>::new());
    assert_eq!(rig.sent(), ["PUBREC #5"]);
}
