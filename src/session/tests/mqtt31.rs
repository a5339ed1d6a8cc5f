//! What CONNACK of MQTT 3.1 cannot say: whether the session was kept.

use super::*;

/// CONNACK of 3.1 cannot say whether the session was kept: there it was, unless it was not wanted; its byte for that is
/// reserved, and servers set it.
/// mqtt3: MQTT-3.1.2-6
#[test]
fn clean_session_decides_where_connack_cannot() {
    for (version, clean, present, kept) in [
        (Version::V31, false, false, true),
        (Version::V31, false, true, true),
        (Version::V31, true, false, false),
        (Version::V31, true, true, false),
        (Version::V311, true, false, false),
        (Version::V311, false, true, true),
        (Version::V311, false, false, false),
    ] {
        let mut rig = Rig::new(Limits::default());
        rig.connect = Connect { version, clean_session: clean, ..CONNECT };
        rig.up(false);
        rig.feed(&publish(Q2, 5, false, "t", b"x"));
        rig.down();
        rig.open();
        assert_eq!(
            rig.feed(&connack(present, 0)),
            [format!("CONNACK {kept} 0")],
            "{version:?} {clean} {present}"
        );
        let again = rig.feed(&publish(Q2, 5, true, "t", b"x"));
        assert_eq!(again.is_empty(), kept, "{version:?} {clean} {present}");
    }
}

/// Nor can it say whether its session is new: a message that is not marked as a repetition is none.
#[test]
fn a_new_session_that_connack_cannot_tell_of() {
    let mut rig = Rig::new(Limits::default());
    rig.connect = Connect { version: Version::V31, ..CONNECT };
    rig.up(false);
    rig.feed(&publish(Q2, 5, false, "t", b"old"));
    rig.down();
    rig.up(false);
    assert_eq!(rig.feed(&publish(Q2, 5, false, "t", b"new")).len(), 1);
    // On one connection the same id, not released, is the same message.
    assert_eq!(rig.feed(&publish(Q2, 5, false, "t", b"new")).len(), 0);
    assert_eq!(rig.feed(&publish(Q2, 6, false, "t", b"other")).len(), 1);
    assert_eq!(rig.feed(&publish(Q2, 6, false, "t", b"other")).len(), 0);
}

/// What is not marked has shown that the old session is lost, also if nobody was told of it: the application was closing
/// the connection, or there was no memory. When it comes again it is still new.
#[test]
fn a_new_message_that_was_not_delivered_stays_new() {
    for (keep, size) in [(0, 1), (0, 50), (4, 50)] {
        let mut rig = Rig::new(Limits { max_incoming: 20, keep_oversize: keep, ..Limits::default() });
        rig.connect = Connect { version: Version::V31, ..CONNECT };
        rig.up(false);
        rig.feed(&publish(Q2, 5, false, "t", b"old"));
        rig.again(false);
        let bytes = publish(Q2, 5, false, "t", &vec![b'x'; size]);
        // The link is lost in the middle of a large one.
        let step = rig.s.input(rig.now, &bytes[..bytes.len() - size / 10]).unwrap();
        assert!(step.consumed > 0);
        rig.s.handled(Verdict::NotDelivered).unwrap();
        rig.again(false);
        assert_eq!(rig.feed(&publish(Q2, 5, true, "t", b"new")), ["MESSAGE2 DUP #5 t=new"], "{size}, {keep}");
        assert_eq!(rig.sent(), ["PUBREC #5"]);
    }
}

/// Held messages end with a session that is lost. A message with the id of one that is held shows that it is, if it is not marked as a repetition:
/// then it does not wait for that one, and nothing that is held is taken for acknowledged.
#[test]
fn a_hold_of_qos_2_ends_with_a_session_whose_loss_is_not_told() {
    let mut rig = Rig::new(Limits::default());
    rig.connect = Connect { version: Version::V31, ..CONNECT };
    rig.up(false);
    let olds = [5, 6, 7].map(|id| rig.held(Q2, id, 1));
    rig.again(false);
    let other = rig.held(Q2, 1, 1);
    assert_eq!(rig.feed(&publish(Q2, 5, false, "t", b"new")).len(), 1);
    assert_eq!(rig.feed(&publish(Q2, 6, false, "t", b"new")).len(), 1);
    // Behind another one, and with a handler that does not hold it: acknowledged when that one is.
    rig.let_go(other).unwrap();
    assert_eq!(rig.sent(), ["PUBREC #1", "PUBREC #5", "PUBREC #6"]);
    assert_eq!(rig.let_go(olds[0]), Err(Code::Stale));
    rig.feed(&pubrel(6));
    assert_eq!(rig.let_go(olds[1]), Err(Code::Stale), "also when the server has finished with the new one");
    // Of this one nothing shows that it is of a lost session.
    rig.let_go(olds[2]).unwrap();
    let new = rig.held(Q2, 8, 1);
    rig.let_go(new).unwrap();
    assert_eq!(rig.let_go(new), Err(Code::NotFound));
}

/// No CONNACK of MQTT 3.1 tells that the session was lost, and what another server kept of us may be older than what is
/// wanted now.
#[test]
fn resubscribed_where_nobody_tells_of_a_loss() {
    for (version, elsewhere, expected) in [
        (Version::V31, false, vec!["SUBSCRIBE #2 f:1"]),
        (Version::V311, true, vec!["SUBSCRIBE #2 f:1"]),
        (Version::V311, false, vec![]),
    ] {
        let mut rig = Rig::new(Limits { always_subscribe: false, ..Limits::default() });
        rig.connect = Connect { version, ..CONNECT };
        rig.up(false);
        rig.s.subscribe("f".into(), Q1);
        rig.sent();
        rig.feed(&suback(1, &[1]));
        rig.down();
        if elsewhere {
            rig.s.forget_inbound();
        }
        assert_eq!(rig.up(true), expected, "{version:?} {elsewhere}");
    }
}
