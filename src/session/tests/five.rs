//! The tests of MQTT 3.1.1 that hold for MQTT 5.0 just so, once more with it: `Rig`, and what a server sends, are
//! those of 5.0 here.

#[path = "holds.rs"]
mod holds;
#[path = "ids.rs"]
mod ids;
#[path = "inbound.rs"]
mod inbound;
#[path = "keep_alive.rs"]
mod keep_alive;
#[path = "outgoing.rs"]
mod outgoing;
#[path = "overdue.rs"]
mod overdue;
#[path = "queue.rs"]
mod queue;
#[path = "subscriptions.rs"]
mod subscriptions;

// What is defined here goes before what comes from there.
use super::*;

type Rig = RigOf<true>;

fn connack(session_present: bool, code: u8) -> Vec<u8> {
    connack_as(Version::V5, session_present, code)
}

fn unsuback(id: u16) -> Vec<u8> {
    unsuback_of(id, 1)
}

fn unsuback_of(id: u16, filters: usize) -> Vec<u8> {
    let (properties, codes) = (Properties::EMPTY, &vec![0; filters][..]);
    encode_as(Version::V5, &Packet::UnsubAck(wire::UnsubAck { packet_id: id, properties, codes }))
}

fn suback(id: u16, codes: &[u8]) -> Vec<u8> {
    suback_as(Version::V5, id, codes)
}

fn publish(qos: QoS, id: u16, dup: bool, topic: &str, payload: &[u8]) -> Vec<u8> {
    publish_as(Version::V5, qos, id, dup, topic, payload)
}

const METHOD: [wire::Property<'static>; 1] = [(PropertyId::AuthenticationMethod, PropertyValue::Utf8("m"))];

/// A rig whose server announces this in CONNACK.
fn connected_to(connack: &[wire::Property<'_>]) -> Rig {
    let mut rig = Rig::new(Limits::default());
    rig.open();
    let properties = Properties::from_list(connack);
    let connack = ConnAck { session_present: false, code: 0, properties };
    rig.feed(&encode_as(Version::V5, &Packet::ConnAck(connack)));
    rig
}

/// PUBREC has taken the message over. A PUBCOMP that does not know the packet id answers a repeated PUBREL whose first
/// PUBCOMP was lost (MQTT 5.0 §3.7.2.1).
/// mqtt5: MQTT-4.3.3-5
#[test]
fn what_the_server_took_it_cannot_refuse_any_more() {
    let mut rig = Rig::connected();
    let token = rig.must(Q2, "a");
    rig.sent();
    rig.feed(&pubrec(1));
    rig.feed(&[0x50, 3, 0, 1, 0x97]);
    assert_eq!(rig.sent(), ["PUBREL #1"; 2]);
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.again(true), ["PUBREL #1"]);
    assert_eq!(rig.feed(&[0x70, 3, 0, 1, 0x92]), [format!("PUBCOMP #1 token {token} a")]);
    assert_eq!(rig.outcomes(), [(token, Outcome::Acked)]);
}

/// Only PUBLISH with QoS 1 and 2 counts against the server's receive maximum.
/// mqtt5: MQTT-3.3.4-7 MQTT-3.3.4-8 MQTT-4.9.0-1 MQTT-4.9.0-2 MQTT-4.9.0-3
#[test]
fn at_a_quota_of_nothing_all_the_rest_goes_on() {
    let mut rig = connected_to(&[(PropertyId::ReceiveMaximum, PropertyValue::TwoByte(1))]);
    rig.must(Q2, "first");
    assert_eq!(rig.sent(), ["PUBLISH2 #1 first=first"]);
    rig.must(Q1, "waits");
    rig.must(Q0, "zero");
    rig.s.subscribe("f".into(), Q1);
    rig.s.raw_ping(rig.now).unwrap();
    rig.feed(&publish(Q1, 7, false, "t", b"x"));
    rig.feed(&publish(Q2, 8, false, "t", b"x"));
    rig.feed(&pubrel(8));
    rig.feed(&pubrec(1));
    let others =
        ["PUBLISH0 zero=zero", "SUBSCRIBE #2 f:1", "PINGREQ", "PUBACK #7", "PUBREC #8", "PUBCOMP #8"];
    let mut expected = others.map(str::to_owned).to_vec();
    expected.push("PUBREL #1".into());
    assert_eq!(rig.sent(), expected);
    rig.feed(&pubcomp(1));
    assert_eq!(rig.sent(), ["PUBLISH1 #3 waits=waits"]);
}

/// mqtt5: MQTT-3.2.2-15 MQTT-3.14.2-3 MQTT-3.14.2-4 MQTT-3.15.2-2 MQTT-3.15.2-3
#[test]
fn what_closes_and_what_authenticates_is_no_larger_than_the_server_takes() {
    let [method] = METHOD;
    let said = "twelve bytes";
    for property in [
        (PropertyId::ReasonString, PropertyValue::Utf8(said)),
        (PropertyId::UserProperty, PropertyValue::Pair("k", &said[3..])),
    ] {
        for (size, fits) in [(19, true), (18, false)] {
            let mut rig = connected_to(&[(PropertyId::MaximumPacketSize, PropertyValue::FourByte(size))]);
            let carrier = wire::Carrier::Packet(PacketType::Disconnect);
            let block = wire::PropertyBlock::new(Properties::from_list(&[property]), carrier).unwrap();
            let expected = if fits { Ok(()) } else { Err(Code::TooLarge) };
            assert_eq!(rig.s.set_disconnect(0x80, block), expected, "{property:?}");
            rig.s.disconnect();
            assert_eq!(rig.s.output().len(), if fits { 19 } else { 2 });
        }
        for (size, fits) in [(23, true), (22, false)] {
            let mut rig = Rig::new(Limits::default());
            rig.connect.properties = Properties::from_list(&METHOD);
            rig.open();
            let limit = [(PropertyId::MaximumPacketSize, PropertyValue::FourByte(size)), method];
            let properties = Properties::from_list(&limit);
            let connack = ConnAck { session_present: false, code: 0, properties };
            rig.feed(&encode_as(Version::V5, &Packet::ConnAck(connack)));
            let expected = if fits { Ok(()) } else { Err(Code::TooLarge) };
            let again = [method, property];
            assert_eq!(rig.s.authenticate(0x19, Properties::from_list(&again)), expected, "{property:?}");
            assert_eq!(rig.s.output().len(), if fits { 23 } else { 0 });
        }
    }
}

/// The server that has the filter is another one, which took larger packets.
/// mqtt5: MQTT-3.2.2-15
#[test]
fn a_filter_that_does_not_fit_is_not_taken_back() {
    let long = "a/filter/of/26/characters/";
    let mut rig = Rig::new(Limits::default());
    rig.open();
    rig.feed(&connack5(true, &[(PropertyId::MaximumPacketSize, PropertyValue::FourByte(38))]));
    rig.s.subscribe("a".into(), Q1);
    rig.sent();
    rig.feed(&suback(1, &[1]));
    let ticket = crate::session::Ticket { call: 5, place: 0 };
    assert!(rig.s.withdraw(long, Some(ticket)), "the session that the server kept may have it");
    rig.s.unsubscribe("a");
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #2 a"]);
    assert_eq!(rig.s.take_answer(), Some((ticket, crate::session::Answer::Code(0x95))));
}

/// mqtt5: MQTT-3.3.4-6
#[test]
fn a_message_to_the_server_has_no_subscription_identifier() {
    let mut rig = Rig::connected();
    let list = [(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(1))];
    let properties = Properties::from_list(&list);
    for qos in [Q0, Q1, Q2] {
        let message = Publication { properties, ..Publication::new("t", b"x", qos) };
        assert_eq!(rig.s.publish(&message), Err(Code::BadArgument));
    }
    assert!(rig.s.output().is_empty());
}

/// With Clean Start there is no session that a server could have kept.
/// mqtt5: MQTT-3.1.2-4 MQTT-3.2.2-4
#[test]
fn a_clean_start_takes_no_session() {
    let mut rig = Rig::new(Limits::default());
    rig.connect.clean_session = true;
    rig.up(false);
    rig.feed(&publish(Q2, 5, false, "t", b"x"));
    rig.down();
    rig.open();
    let failure = rig.try_feed(&connack(true, 0)).unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::UnexpectedSession, Some(0x82)));
    assert_eq!(rig.again(false), Vec::<String>::new());
    assert_eq!(rig.feed(&publish(Q2, 5, true, "t", b"x")).len(), 1);
}

/// mqtt5: MQTT-3.1.2-30
#[test]
fn while_it_authenticates_nothing_else_is_sent() {
    let mut rig = Rig::new(Limits::default());
    rig.connect.properties = Properties::from_list(&METHOD);
    rig.connect.keep_alive = 1;
    rig.open();
    rig.must(Q1, "waits");
    assert_eq!(rig.publish(Q0, "zero", b""), Err(Code::NotConnected));
    rig.s.subscribe("f".into(), Q1);
    assert!(rig.s.raw_ping(rig.now).is_err());
    assert_eq!(rig.feed(b"\xf0\x06\x18\x04\x15\0\x01m"), ["AUTH 0x18"]);
    // Less than the time for CONNACK.
    rig.pass(Span::secs(5));
    rig.s.timeout(rig.now, None).unwrap();
    assert_eq!(rig.sent(), Vec::<String>::new());
    rig.s.authenticate(0x18, Properties::from_list(&METHOD)).unwrap();
    assert_eq!(rig.sent(), ["AUTH"]);
    rig.feed(&connack(false, 0));
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 f:1", "PUBLISH1 #2 waits=waits"]);
}

/// PUBREC that refuses ends the exchange: the packet id belongs to the next message.
/// mqtt5: MQTT-4.3.3-9
#[test]
fn after_a_refusal_the_id_is_that_of_a_new_message() {
    let mut rig = Rig::connected();
    for payload in [&b"x"[..], b"y"] {
        let bytes = publish(Q2, 5, false, "t", payload);
        let step = rig.s.input(rig.now, &bytes).unwrap();
        assert!(matches!(step.event, Some(Event::Publish(_))));
        rig.s.handled(Verdict::Ack(0x97)).unwrap();
        assert_eq!(rig.s.output().pending(), [0x50, 3, 0, 5, 0x97]);
        rig.sent();
    }
}

/// What has left is sent again though its time is over; only PUBACK or PUBREC ends it.
/// mqtt5: MQTT-4.3.3-7
#[test]
fn an_expiry_interval_ends_nothing_that_was_sent() {
    let list = [(PropertyId::MessageExpiryInterval, PropertyValue::FourByte(5))];
    for qos in [Q1, Q2] {
        let mut rig = Rig::connected();
        let properties = Properties::from_list(&list);
        let message = Publication { properties, ..Publication::new("t", b"x", qos) };
        let token = rig.s.publish(&message).unwrap().token;
        rig.sent();
        rig.pass(Span::secs(60));
        rig.s.clock(rig.now);
        rig.s.expire(rig.now);
        assert_eq!(rig.again(true), [format!("PUBLISH{} DUP #1 t=x", qos.bits())]);
        if qos == Q2 {
            rig.feed(&pubrec(1));
            rig.pass(Span::secs(60));
            rig.s.expire(rig.now);
            assert_eq!(rig.again(true), ["PUBREL #1"]);
        }
        assert_eq!(rig.outcomes(), []);
        rig.feed(&if qos == Q1 { puback(1) } else { pubcomp(1) });
        assert_eq!(rig.outcomes(), [(token, Outcome::Acked)]);
    }
}

/// Whichever is longer: with 0 there is none, though the client asked for one.
/// mqtt5: MQTT-3.1.2-21 MQTT-3.2.2-21
#[test]
fn the_server_decides_on_the_keep_alive() {
    for (server, after) in [(1, Some(1)), (600, Some(600)), (0, None)] {
        let mut rig = connected_to(&[(PropertyId::ServerKeepAlive, PropertyValue::TwoByte(server))]);
        let due = after.map(|seconds| rig.now + Span::secs(seconds));
        assert_eq!(rig.s.deadline(), due, "{server}");
        if let Some(due) = due {
            assert_eq!(rig.s.timeout(due, None), Ok(()));
            assert_eq!(rig.sent(), ["PINGREQ"]);
        }
    }
}

/// A CONNACK without a method is accepted: some servers leave it out.
/// mqtt5: MQTT-4.12.0-5 MQTT-4.12.0-6
#[test]
fn connack_has_no_method_but_that_of_connect() {
    let method = |name| [(PropertyId::AuthenticationMethod, PropertyValue::Utf8(name))];
    for (ours, theirs, part) in [
        (Some("m"), Some("m"), ""),
        (Some("m"), None, ""),
        (None, None, ""),
        (Some("m"), Some("other"), "another authentication method than CONNECT [MQTT-4.12.0-5]"),
        (None, Some("m"), "and CONNECT had none [MQTT-4.12.0-6]"),
    ] {
        let mut rig = Rig::new(Limits::default());
        if ours.is_some() {
            rig.connect.properties = Properties::from_list(&METHOD);
        }
        rig.open();
        let list = theirs.map(method);
        let connack = connack5(false, list.as_ref().map_or(&[], |list| &list[..]));
        match rig.try_feed(&connack) {
            Ok(events) => assert!(part.is_empty() && events == ["CONNACK false 0"], "{ours:?} {theirs:?}"),
            Err(failure) => {
                assert_eq!((failure.code, failure.reason), (Code::MalformedConnack, Some(0x82)));
                assert!(
                    !part.is_empty() && failure.what.contains(part),
                    "{ours:?} {theirs:?} {}",
                    failure.what
                );
                assert!(!rig.s.is_up());
            }
        }
    }
}

/// mqtt5: MQTT-4.12.0-7
#[test]
fn without_a_method_there_is_no_auth() {
    for reason in [0x18, 0x19] {
        let mut rig = Rig::connected();
        assert_eq!(rig.s.authenticate(reason, Properties::from_list(&METHOD)), Err(Code::BadArgument));
        assert!(rig.s.output().is_empty());
    }
}

/// mqtt5: MQTT-4.4.0-2
#[test]
fn what_was_refused_is_not_sent_again() {
    let mut rig = Rig::connected();
    let (once, twice) = (rig.must(Q1, "once"), rig.must(Q2, "twice"));
    rig.sent();
    rig.feed(&[0x40, 3, 0, 1, 0x80, 0x50, 3, 0, 2, 0x80]);
    let refused = Outcome::Rejected(0x80);
    assert_eq!(rig.outcomes(), [(once, refused), (twice, refused)]);
    assert_eq!(rig.again(true), Vec::<String>::new());
}
