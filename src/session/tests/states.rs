//! Every packet in every state.

use super::*;

/// One of each packet that can stand in a stream.
fn packets() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("CONNECT", encode(&Packet::Connect(CONNECT))),
        ("CONNACK", connack(false, 0)),
        ("CONNACK 5", connack(false, 5)),
        ("PUBLISH0", publish(Q0, 0, false, "t", b"x")),
        ("PUBLISH1", publish(Q1, 1, false, "t", b"x")),
        ("PUBLISH2", publish(Q2, 1, false, "t", b"x")),
        ("PUBACK", puback(1)),
        ("PUBREC", pubrec(1)),
        ("PUBREL", pubrel(1)),
        ("PUBCOMP", pubcomp(1)),
        ("SUBSCRIBE", b"\x82\x06\0\x01\0\x01t\0".to_vec()),
        ("SUBACK", suback(1, &[0])),
        ("UNSUBSCRIBE", b"\xa2\x05\0\x01\0\x01t".to_vec()),
        ("UNSUBACK", unsuback(1)),
        ("PINGREQ", vec![0xc0, 0]),
        ("PINGRESP", pingresp()),
        ("DISCONNECT", vec![0xe0, 0]),
    ]
}

/// What each packet does to a session in the state that `make` makes: events, an error, and answers.
fn table(make: impl Fn() -> Rig) -> Vec<String> {
    packets()
        .into_iter()
        .map(|(name, bytes)| {
            let mut rig = make();
            match rig.try_feed(&bytes) {
                Ok(events) => {
                    let sent = rig.sent();
                    format!("{name}: {} > {}", events.join(", "), sent.join(", "))
                }
                Err(failure) => format!("{name}: {}", failure.code.name()),
            }
        })
        .collect()
}

#[test]
fn without_a_transport_nothing_is_taken() {
    for line in table(|| Rig::new(Limits::default())) {
        assert!(line.ends_with(": PROTOCOL"), "{line}");
    }
}

/// mqtt3: MQTT-3.1.0-1
#[test]
fn before_connect_nothing_is_taken_or_sent() {
    let make = || {
        let mut rig = Rig::new(Limits::default());
        rig.s.opened(rig.now, Span::secs(10), None);
        assert!(rig.s.awaits_connect());
        // Nor is anything of the application's sent.
        rig.must(Q1, "waits");
        assert_eq!(rig.publish(Q0, "zero", b""), Err(Code::NotConnected));
        rig.s.subscribe("f".into(), Q1);
        assert!(rig.s.raw_ping(rig.now).is_err());
        assert!(rig.s.output().is_empty());
        rig
    };
    for line in table(make) {
        assert!(line.ends_with(": PROTOCOL"), "{line}");
    }
}

#[test]
fn before_connack_only_connack_is_taken() {
    let lines = table(|| {
        let mut rig = Rig::new(Limits::default());
        rig.open();
        rig
    });
    for line in lines {
        match line.as_str() {
            "CONNACK: CONNACK false 0 > " | "CONNACK 5: CONNACK false 5 > " => {}
            other => assert!(other.ends_with(": NOT_CONNACK"), "{other}"),
        }
    }
}

#[test]
fn while_up() {
    // Ids that are not in use: acknowledgements are told, or logged, and change nothing; a PUBREC is answered, so that the
    // server can finish.
    let expected = [
        "CONNECT: PROTOCOL",
        "CONNACK: PROTOCOL",
        "CONNACK 5: PROTOCOL",
        "PUBLISH0: MESSAGE0 t=x > ",
        "PUBLISH1: MESSAGE1 #1 t=x > PUBACK #1",
        "PUBLISH2: MESSAGE2 #1 t=x > PUBREC #1",
        "PUBACK: PUBACK #1 > ",
        "PUBREC: PUBREC #1 > PUBREL #1",
        "PUBREL: PUBREL #1 > PUBCOMP #1",
        "PUBCOMP: PUBCOMP #1 > ",
        "SUBSCRIBE: PROTOCOL",
        "SUBACK: UNASKED SUBACK #1 > ",
        "UNSUBSCRIBE: PROTOCOL",
        "UNSUBACK: UNASKED UNSUBACK #1 > ",
        "PINGREQ: PROTOCOL",
        "PINGRESP: PINGRESP > ",
        "DISCONNECT: PROTOCOL",
    ];
    assert_eq!(table(Rig::connected), expected);
}

/// After DISCONNECT nothing may be sent, so nothing is acknowledged.
#[test]
fn while_closing() {
    let make = || {
        let mut rig = Rig::connected();
        rig.s.disconnect();
        assert_eq!(rig.sent(), ["DISCONNECT"]);
        rig
    };
    for line in table(make) {
        assert!(line.ends_with(" > ") || line.ends_with(": PROTOCOL"), "{line}");
    }
}

/// field: F-22
///
/// Who asked for a clean session may not be told of one that was kept (MQTT-3.2.2-1). In MQTT 3.1 the byte is reserved.
#[test]
fn a_kept_session_after_a_clean_connect_is_an_error_of_its_own() {
    for (version, clean, expected) in [
        (Version::V311, true, Err(Code::UnexpectedSession)),
        (Version::V311, false, Ok("CONNACK true 0")),
        (Version::V31, true, Ok("CONNACK false 0")),
        (Version::V31, false, Ok("CONNACK true 0")),
    ] {
        let mut rig = Rig::new(Limits::default());
        rig.connect = Connect { version, clean_session: clean, ..CONNECT };
        rig.open();
        let told = rig.try_feed(b"\x20\x02\x01\0").map_err(|failure| failure.code);
        let told = told.as_ref().map(|events| events[0].as_str()).map_err(|code| *code);
        assert_eq!(told, expected, "{version:?} {clean}");
        assert_eq!(rig.s.is_up(), expected.is_ok());
    }
}

/// field: F-21
///
/// What is wrong with a CONNACK does not make it another packet, and its return code is known all the same.
#[test]
fn a_malformed_connack_is_called_so_and_keeps_its_code() {
    for (bytes, connack) in [
        (&b"\x20\x02\x01\x05"[..], Some(5)),
        (b"\x20\x02\x02\0", Some(0)),
        (b"\x20\x02\xff\x04", Some(4)),
        (b"\x20\0", None),
        (b"\x20\x01\0", None),
        (b"\x20\x03\0\x05\0", None),
    ] {
        for at_once in [true, false] {
            let mut rig = Rig::new(Limits::default());
            rig.open();
            let failure = if at_once {
                rig.try_feed(bytes).unwrap_err()
            } else {
                (1..=bytes.len()).find_map(|n| rig.s.input(rig.now, &bytes[..n]).err()).unwrap()
            };
            assert_eq!((failure.code, failure.connack), (Code::MalformedConnack, connack), "{bytes:?}");
            assert!(failure.malformed.is_some());
        }
    }
}

/// A server answers CONNECT once. While the client is on its way out, too: only an answer that is still due may come.
#[test]
fn a_second_connack_is_an_error() {
    for closing in [false, true] {
        let mut rig = Rig::connected();
        if closing {
            rig.s.disconnect();
            rig.sent();
        }
        assert_eq!(rig.try_feed(&connack(false, 0)).unwrap_err().code, Code::Protocol);
    }
    let mut rig = Rig::new(Limits::default());
    rig.open();
    rig.s.disconnect();
    assert!(rig.feed(&connack(false, 0)).is_empty());
}

#[test]
fn after_a_refusal_nothing_goes_out() {
    let mut rig = Rig::new(Limits::default());
    rig.must(Q1, "waiting");
    rig.open();
    assert_eq!(rig.feed(&connack(false, 4)), ["CONNACK false 4"]);
    assert!(!rig.s.is_up());
    assert_eq!(rig.sent(), Vec::<String>::new());
    assert_eq!(rig.again(false), ["PUBLISH1 #1 waiting=waiting"]);
}

/// mqtt3: MQTT-3.1.0-2
#[test]
fn connect_goes_out_once() {
    let mut rig = Rig::new(Limits::default());
    assert_eq!(rig.s.connect(&CONNECT, Span::ZERO), Err(Code::Busy));
    rig.open();
    assert_eq!(rig.s.connect(&CONNECT, Span::ZERO), Err(Code::Busy));
    assert_eq!(rig.sent(), Vec::<String>::new());
}

#[test]
fn connect_that_cannot_be_encoded_may_be_mended() {
    let mut rig = Rig::new(Limits::default());
    rig.s.opened(rig.now, Span::secs(10), None);
    let long = "x".repeat(70_000);
    let bad = Connect { user_name: Some(&long), ..CONNECT };
    assert_eq!(rig.s.connect(&bad, Span::ZERO), Err(Code::BadArgument));
    assert!(rig.s.output().is_empty());
    assert_eq!(rig.s.connect(&CONNECT, Span::ZERO), Ok(()));
}

#[test]
fn a_server_of_another_protocol_is_named() {
    for bytes in
        [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"SSH-2.0-x\r\n", b"\x15\x03\x01\0\x02\x02\x0a", b"\0\0\0\0"]
    {
        let mut rig = Rig::new(Limits::default());
        rig.open();
        assert_eq!(rig.try_feed(bytes).unwrap_err().code, Code::NotConnack, "{bytes:?}");
    }
}

/// mqtt3: MQTT-3.14.4-2
#[test]
fn disconnect_comes_last() {
    let mut rig = Rig::connected();
    rig.must(Q0, "a");
    rig.s.disconnect();
    assert_eq!(rig.publish(Q0, "b", b""), Err(Code::NotConnected));
    rig.must(Q1, "kept");
    rig.s.subscribe("f".into(), Q0);
    assert_eq!(rig.s.raw_ping(rig.now), Err(Code::NotConnected));
    assert_eq!(rig.sent(), ["PUBLISH0 a=a", "DISCONNECT"]);
    assert_eq!(rig.s.deadline(), None);
    assert_eq!(rig.again(true), ["SUBSCRIBE #1 f:0", "PUBLISH1 #2 kept=kept"]);
}

#[test]
fn disconnect_before_connack_sends_nothing() {
    let mut rig = Rig::new(Limits::default());
    rig.s.disconnect();
    rig.open();
    rig.s.disconnect();
    assert_eq!(rig.sent(), Vec::<String>::new());
    assert_eq!(rig.s.deadline(), None);
}

#[test]
fn connack_time_out() {
    let mut rig = Rig::new(Limits::default());
    // Nobody sends CONNECT: a connect hook that never answers.
    rig.s.opened(rig.now, Span::secs(10), None);
    let by = rig.now + Span::secs(10);
    assert_eq!(rig.s.deadline(), Some(by));
    assert_eq!(rig.s.timeout(Time(by.0 - 1), None), Ok(()));
    assert_eq!(rig.s.timeout(by, None).unwrap_err().code, Code::ConnackTimeout);
    // A hook that answers late does not win time.
    rig.down();
    rig.s.opened(rig.now, Span::secs(10), None);
    rig.pass(Span::secs(9));
    rig.s.connect(&CONNECT, Span::secs(10)).unwrap();
    assert_eq!(rig.s.deadline(), Some(by));
    rig.pass(Span::secs(1));
    assert_eq!(rig.s.timeout(rig.now, None).unwrap_err().code, Code::ConnackTimeout);
    // CONNACK ends it; so does switching it off.
    rig.down();
    assert_eq!(rig.s.deadline(), None);
    rig.open();
    rig.feed(&connack(false, 0));
    assert!(rig.s.deadline() > Some(rig.now + Span::secs(10)));
    rig.down();
    rig.s.opened(rig.now, Span::ZERO, None);
    assert_eq!(rig.s.deadline(), None);
}
