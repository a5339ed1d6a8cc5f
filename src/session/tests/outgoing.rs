//! Publishing: QoS 0, 1 and 2, the window, and what happens to it all when the link breaks.

use super::*;
use crate::session::{Dropped, OnSessionLoss, Poison};

/// What a server does that closes for one message: it acknowledges nothing from there on.
fn closes(rig: &mut Rig) -> Option<Poison> {
    rig.sent();
    let poison = rig.s.closed_by_server();
    rig.down();
    poison
}

/// field: F-65
///
/// The message for which the server closes each time is named, and set aside only if that is wanted.
#[test]
fn a_message_that_makes_the_server_close_each_time() {
    for poison_after in [0, 3, 5] {
        let mut rig = Rig::connected_with(Limits { poison_after, ..Limits::default() });
        // One before is acknowledged in the meantime: then it is not yet clear who it was.
        rig.must(Q1, "good");
        let bad = rig.must(Q1, "bad");
        rig.must(Q1, "behind");
        rig.sent();
        rig.feed(&puback(1));
        assert_eq!(closes(&mut rig), None);
        assert_eq!(rig.up(true), ["PUBLISH1 DUP #2 bad=bad", "PUBLISH1 DUP #3 behind=behind"]);
        assert_eq!(closes(&mut rig), None);
        assert_eq!(rig.up(true), ["PUBLISH1 DUP #2 bad=bad", "PUBLISH1 DUP #3 behind=behind"]);
        assert_eq!(closes(&mut rig), None);
        for n in 3..=6 {
            // Alone, so that nobody else is blamed.
            assert_eq!(rig.up(true), ["PUBLISH1 DUP #2 bad=bad"], "{n}");
            let set_aside = n == poison_after;
            let poison = closes(&mut rig);
            let expected = Poison { token: bad, packet_id: 2, topic: b"bad".to_vec(), closes: n, set_aside };
            assert_eq!(poison, (n == 3 || set_aside).then_some(expected), "{n} of {poison_after}");
            if set_aside {
                break;
            }
        }
        let outcomes = rig.outcomes();
        assert_eq!(outcomes.contains(&(bad, Outcome::Rejected(0))), poison_after > 0, "{outcomes:?}");
        let expected =
            if poison_after > 0 { "PUBLISH1 DUP #3 behind=behind" } else { "PUBLISH1 DUP #2 bad=bad" };
        assert_eq!(rig.up(true), [expected]);
        // With an acknowledgement all goes on as ever.
        rig.must(Q1, "more");
        rig.feed(&puback(if poison_after > 0 { 3 } else { 2 }));
        assert_eq!(rig.s.queue_len(), if poison_after > 0 { 1 } else { 2 });
        assert_eq!(rig.sent().last().unwrap(), "PUBLISH1 #4 more=more");
    }
}

/// It is not the message's fault: it did not leave, somebody else closed, or its PUBREC came.
#[test]
fn who_is_not_blamed_for_a_close() {
    let mut rig = Rig::connected_with(Limits { poison_after: 1, ..Limits::default() });
    rig.must(Q1, "unwritten");
    assert_eq!(rig.s.closed_by_server(), None);
    rig.down();
    rig.up(true);
    rig.again(true);
    rig.feed(&puback(1));
    rig.must(Q2, "received");
    rig.sent();
    rig.feed(&pubrec(2));
    assert_eq!(closes(&mut rig), None);
    assert_eq!(rig.s.queue_len(), 1);
    assert_eq!(rig.up(true), ["PUBREL #2"]);
    assert_eq!(closes(&mut rig), None);
}

/// mqtt3: MQTT-2.3.1-6 MQTT-3.3.1-2 MQTT-4.3.1-1 MQTT-4.3.2-1 MQTT-4.3.3-1
/// mqtt5: MQTT-2.2.1-5 MQTT-3.3.1-2 MQTT-4.3.1-1 MQTT-4.3.2-1 MQTT-4.3.2-2 MQTT-4.3.2-3 MQTT-4.3.3-1 MQTT-4.3.3-2 MQTT-4.3.3-3 MQTT-4.3.3-4
#[test]
fn each_qos_ends_in_its_own_way() {
    let mut rig = Rig::connected();
    let a = rig.must(Q0, "a");
    let b = rig.must(Q1, "b");
    let c = rig.must(Q2, "c");
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.sent(), ["PUBLISH0 a=a", "PUBLISH1 #1 b=b", "PUBLISH2 #2 c=c"]);
    assert_eq!(rig.outcomes(), [(a, Outcome::Sent)]);
    assert_eq!(rig.feed(&puback(1)), [format!("PUBACK #1 token {b} b")]);
    assert_eq!(rig.outcomes(), [(b, Outcome::Acked)]);
    assert_eq!(rig.feed(&pubrec(2)), [format!("PUBREC #2 token {c}")]);
    assert_eq!(rig.sent(), ["PUBREL #2"]);
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.feed(&pubcomp(2)), [format!("PUBCOMP #2 token {c} c")]);
    assert_eq!(rig.outcomes(), [(c, Outcome::Acked)]);
    assert_eq!((rig.s.queue_len(), rig.s.unsent_bytes()), (0, 0));
    assert_eq!(rig.s.acknowledged_topic(), None);
}

#[test]
fn the_retain_flag_is_kept_over_a_redelivery() {
    let mut rig = Rig::connected();
    let message = Publication { retain: true, ..Publication::new("t", b"x", Q1) };
    rig.s.publish(&message).unwrap();
    assert_eq!(rig.sent(), ["PUBLISH1 RETAIN #1 t=x"]);
    assert_eq!(rig.again(true), ["PUBLISH1 DUP RETAIN #1 t=x"]);
}

#[test]
fn a_server_may_answer_qos_2_with_puback() {
    let mut rig = Rig::connected();
    let token = rig.must(Q2, "t");
    rig.sent();
    assert_eq!(rig.feed(&puback(1)), [format!("PUBACK #1 token {token} t early")]);
    assert_eq!(rig.outcomes(), [(token, Outcome::Acked)]);
    // What would have followed is a stray from now on.
    assert_eq!(rig.feed(&pubcomp(1)), ["PUBCOMP #1"]);
    assert_eq!(rig.outcomes(), []);
}

#[test]
fn a_stray_acknowledgement_ends_nothing() {
    let mut rig = Rig::connected();
    rig.must(Q1, "one");
    rig.must(Q2, "two");
    rig.sent();
    for bytes in [puback(99), pubrec(99), pubcomp(99), pubcomp(1), pubcomp(2)] {
        rig.feed(&bytes);
    }
    assert_eq!(rig.sent(), ["PUBREL #99"]);
    assert_eq!(rig.outcomes(), []);
    rig.feed(&pubrec(2));
    // PUBACK after PUBREC is none of a QoS 2 exchange any more.
    assert_eq!(rig.feed(&puback(2)), ["PUBACK #2"]);
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.s.queue_len(), 2);
    // A repeated PUBREC is answered again, and ends nothing either.
    rig.feed(&pubrec(2));
    assert_eq!(rig.sent(), ["PUBREL #2", "PUBREL #2"]);
    rig.feed(&pubcomp(2));
    rig.feed(&pubcomp(2));
    rig.feed(&puback(1));
    rig.feed(&puback(1));
    assert_eq!(rig.outcomes().len(), 2);
}

#[test]
fn pubrec_for_qos_1_is_an_error() {
    let mut rig = Rig::connected();
    rig.must(Q1, "t");
    rig.sent();
    assert_eq!(rig.try_feed(&pubrec(1)).unwrap_err().code, Code::Protocol);
}

/// A message whose PUBLISH did not leave cannot have been acknowledged, whatever the server says: were it
/// believed, the message would never be sent.
#[test]
fn what_was_not_sent_cannot_be_acknowledged() {
    for (qos, bytes) in [(Q1, puback(1)), (Q2, puback(1)), (Q2, pubrec(1)), (Q2, pubcomp(1))] {
        let mut rig = Rig::new(Limits::default());
        assert_eq!(rig.reserve(qos, "late").unwrap().packet_id, 1);
        rig.open();
        rig.feed(&connack(true, 0));
        // The PUBLISH was made, but its last byte was not taken.
        rig.take(rig.s.output().len() - 1);
        rig.feed(&bytes);
        assert_eq!(rig.outcomes(), [], "{bytes:?}");
        let expected = format!("PUBLISH{} #1 late=x", qos.bits());
        assert!(rig.sent().contains(&expected), "{bytes:?}");
        // From now on it is.
        rig.feed(&if qos == Q1 { puback(1) } else { pubrec(1) });
        rig.feed(&pubcomp(1));
        assert_eq!(rig.outcomes().len(), 1);
    }
    // The same for one that waits behind the window.
    let mut rig = Rig::connected_with(Limits { window: 1, ..Limits::default() });
    rig.must(Q1, "first");
    let id = rig.reserve(Q2, "second").unwrap().packet_id;
    rig.sent();
    rig.feed(&pubrec(id));
    rig.feed(&pubcomp(id));
    assert_eq!(rig.outcomes(), []);
    rig.sent();
    rig.feed(&puback(1));
    assert_eq!(rig.sent(), [format!("PUBLISH2 #{id} second=x")]);
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    for window in [1, 20, 65_535] {
        let limits = Limits { window, max_queue: 0x2_0000, max_outgoing_bytes: 1 << 30, ..Limits::default() };
        let mut rig = Rig::connected_with(limits);
        let total = usize::from(window) + 3;
        for _ in 0..total {
            rig.publish(Q1, "t", b"").unwrap();
        }
        let first = rig.sent();
        assert_eq!(first.len(), usize::from(window));
        assert_eq!((rig.s.in_flight(), rig.s.queue_len()), (usize::from(window), total));
        // Each acknowledgement lets one more out, whichever comes first.
        rig.feed(&puback(window));
        assert_eq!(rig.sent().len(), 1);
        for id in 1..window.min(3) {
            rig.feed(&puback(id));
            assert_eq!(rig.sent().len(), 1);
        }
    }
}

#[test]
fn a_qos_2_exchange_holds_its_place_until_pubcomp() {
    let mut rig = Rig::connected_with(Limits { window: 1, ..Limits::default() });
    rig.must(Q2, "a");
    rig.must(Q0, "zero");
    rig.must(Q2, "b");
    assert_eq!(rig.sent(), ["PUBLISH2 #1 a=a", "PUBLISH0 zero=zero"]);
    rig.feed(&pubrec(1));
    assert_eq!(rig.sent(), ["PUBREL #1"]);
    rig.feed(&pubcomp(1));
    assert_eq!(rig.sent(), ["PUBLISH2 #2 b=b"]);
}

/// mqtt3: MQTT-3.3.1-1
/// mqtt5: MQTT-3.3.1-1
#[test]
fn dup_only_when_the_last_byte_was_taken() {
    let mut rig = Rig::connected();
    rig.must(Q1, "a");
    let len = rig.s.output().len();
    rig.must(Q2, "b");
    // All of the first, all but one byte of the second.
    let second = rig.s.output().len() - len;
    rig.take(len + second - 1);
    rig.down();
    assert_eq!(rig.up(true), ["PUBLISH1 DUP #1 a=a", "PUBLISH2 #2 b=b"]);
    // Once a duplicate, always one; and the other is one by now.
    rig.down();
    rig.open();
    rig.feed(&connack(true, 0));
    assert_eq!(rig.take(1), Vec::<String>::new());
    assert_eq!(rig.again(true), ["PUBLISH1 DUP #1 a=a", "PUBLISH2 DUP #2 b=b"]);
}

/// mqtt3: MQTT-2.3.1-3 MQTT-3.1.2-4 MQTT-4.1.0-1 MQTT-4.4.0-1 MQTT-4.6.0-1
/// mqtt5: MQTT-3.1.2-23 MQTT-4.3.2-3 MQTT-4.4.0-1 MQTT-4.6.0-1
#[test]
fn redelivery_keeps_ids_and_order_and_goes_before_what_is_new() {
    let mut rig = Rig::connected_with(Limits { window: 3, ..Limits::default() });
    for name in ["a", "b", "c", "d"] {
        rig.must(Q1, name);
    }
    rig.sent();
    rig.feed(&puback(2));
    assert_eq!(rig.sent(), ["PUBLISH1 #4 d=d"]);
    rig.down();
    rig.must(Q1, "e");
    assert_eq!(rig.up(true), ["PUBLISH1 DUP #1 a=a", "PUBLISH1 DUP #3 c=c", "PUBLISH1 DUP #4 d=d"]);
    rig.must(Q1, "f");
    rig.feed(&puback(1));
    rig.feed(&puback(3));
    assert_eq!(rig.sent(), ["PUBLISH1 #5 e=e", "PUBLISH1 #6 f=f"]);
    // The link breaks while the redelivery has only begun.
    rig.down();
    rig.s.set_limits(Limits { window: 1, ..Limits::default() });
    assert_eq!(rig.up(true), ["PUBLISH1 DUP #4 d=d"]);
    rig.down();
    rig.s.set_limits(Limits::default());
    let all = ["PUBLISH1 DUP #4 d=d", "PUBLISH1 DUP #5 e=e", "PUBLISH1 DUP #6 f=f"];
    assert_eq!(rig.up(true), all);
}

/// PUBREL goes in the order of PUBREC, which need not be that of PUBLISH.
/// mqtt3: MQTT-4.6.0-4
/// mqtt5: MQTT-4.6.0-4
#[test]
fn pubrel_follows_the_order_of_pubrec() {
    let mut rig = Rig::connected();
    for name in ["a", "b", "c"] {
        rig.must(Q2, name);
    }
    rig.sent();
    for id in [2, 3, 1] {
        rig.feed(&pubrec(id));
    }
    assert_eq!(rig.sent(), ["PUBREL #2", "PUBREL #3", "PUBREL #1"]);
}

/// mqtt3: MQTT-4.3.3-1 MQTT-4.4.0-1
/// mqtt5: MQTT-3.1.2-23 MQTT-4.3.3-5 MQTT-4.3.3-6 MQTT-4.4.0-1
#[test]
fn after_pubrec_only_pubrel() {
    let mut rig = Rig::connected();
    let token = rig.must(Q2, "t");
    rig.sent();
    // The PUBREL does not even leave.
    rig.feed(&pubrec(1));
    assert_eq!(rig.again(true), ["PUBREL #1"]);
    assert_eq!(rig.again(true), ["PUBREL #1"]);
    // Not after the loss of the session either. In MQTT 5.0 the exchange ends with its session.
    if Rig::FIVE {
        assert_eq!(rig.again(false), Vec::<String>::new());
    } else {
        assert_eq!(rig.again(false), ["PUBREL #1"]);
        rig.feed(&pubcomp(1));
    }
    assert_eq!(rig.outcomes(), [(token, Outcome::Acked)]);
    assert_eq!(rig.again(true), Vec::<String>::new());
}

/// A server may finish on the new connection what it received on the old one.
#[test]
fn an_acknowledgement_may_come_before_the_redelivery() {
    let mut rig = Rig::connected_with(Limits { window: 1, ..Limits::default() });
    rig.s.set_limits(Limits::default());
    let a = rig.must(Q1, "a");
    let b = rig.must(Q2, "b");
    rig.sent();
    rig.down();
    rig.s.set_limits(Limits { window: 1, ..Limits::default() });
    assert_eq!(rig.up(true), ["PUBLISH1 DUP #1 a=a"]);
    rig.feed(&pubrec(2));
    assert_eq!(rig.sent(), ["PUBREL #2"]);
    rig.feed(&puback(1));
    assert_eq!(rig.sent(), ["PUBREL #2"]);
    rig.feed(&pubcomp(2));
    assert_eq!(rig.outcomes(), [(a, Outcome::Acked), (b, Outcome::Acked)]);
}

/// mqtt5: MQTT-3.2.2-5 MQTT-4.4.0-1
#[test]
fn a_lost_session_resends_or_reports() {
    for policy in [OnSessionLoss::Resend, OnSessionLoss::Report] {
        let limits = Limits { on_session_loss: policy, ..Limits::default() };
        let mut rig = Rig::connected_with(limits);
        let sent = rig.must(Q1, "sent");
        let released = rig.must(Q2, "released");
        rig.sent();
        rig.feed(&pubrec(2));
        rig.sent();
        let half = rig.must(Q1, "half");
        rig.take(3);
        rig.down();
        let waiting = rig.must(Q1, "waiting");
        let packets = rig.up(false);
        if policy == OnSessionLoss::Resend && Rig::FIVE {
            // Nothing is repeated in a session that has just begun.
            let all = ["PUBLISH1 #1 sent=sent", "PUBLISH1 #3 half=half", "PUBLISH1 #4 waiting=waiting"];
            assert_eq!(packets, all);
            assert_eq!(rig.outcomes(), [(released, Outcome::Acked)]);
            assert_eq!(rig.again(true), all.map(|packet| packet.replace("PUBLISH1", "PUBLISH1 DUP")));
        } else if policy == OnSessionLoss::Resend {
            let all = [
                "PUBLISH1 DUP #1 sent=sent",
                "PUBREL #2",
                "PUBLISH1 #3 half=half",
                "PUBLISH1 #4 waiting=waiting",
            ];
            assert_eq!(packets, all);
            assert_eq!(rig.outcomes(), []);
        } else {
            // Only what the server may have seen is lost with its memory.
            assert_eq!(packets, ["PUBLISH1 #3 half=half", "PUBLISH1 #4 waiting=waiting"]);
            assert_eq!(rig.outcomes(), [(sent, Outcome::Lost), (released, Outcome::Lost)]);
            for id in [3, 4] {
                rig.feed(&puback(id));
            }
            assert_eq!(rig.outcomes(), [(half, Outcome::Acked), (waiting, Outcome::Acked)]);
        }
        // A kept session loses nothing under either policy.
        rig.must(Q1, "later");
        rig.sent();
        assert!(rig.again(true).iter().any(|p| p.contains("DUP") && p.ends_with("later=later")));
    }
}

#[test]
fn qos_0_is_sent_when_its_last_byte_is_taken_and_dropped_otherwise() {
    let mut rig = Rig::connected();
    let a = rig.must(Q0, "a");
    let len = rig.s.output().len();
    let b = rig.reserve(Q0, "b").unwrap();
    assert_eq!(b.packet_id, 1);
    assert_eq!(rig.s.token_of(1), Some(b.token));
    rig.take(len - 1);
    assert_eq!(rig.outcomes(), []);
    rig.take(1);
    assert_eq!(rig.outcomes(), [(a, Outcome::Sent)]);
    rig.take(1);
    rig.down();
    let completion = rig.s.take_completion().unwrap();
    assert_eq!((completion.token, completion.packet_id), (b.token, 1));
    assert_eq!(completion.outcome, Outcome::Dropped(Dropped::Link));
    assert_eq!(rig.s.token_of(1), None);
    assert_eq!(rig.publish(Q0, "c", b""), Err(Code::NotConnected));
    assert_eq!(rig.up(true), Vec::<String>::new());
}

#[test]
fn abandon_ends_everything_once() {
    let mut rig = Rig::connected_with(Limits { window: 2, ..Limits::default() });
    let zero = rig.must(Q0, "zero");
    let tokens = [rig.must(Q1, "a"), rig.must(Q2, "b"), rig.must(Q1, "c")];
    rig.take(usize::MAX);
    rig.feed(&pubrec(2));
    assert_eq!(rig.outcomes(), [(zero, Outcome::Sent)]);
    rig.s.abandon();
    let expected: Vec<_> = tokens.iter().map(|t| (*t, Outcome::Abandoned)).collect();
    assert_eq!(rig.outcomes(), expected);
    rig.s.abandon();
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.s.queue_len(), 0);
}

/// The topic of an acknowledged message stays readable while its handlers run, whatever they publish.
#[test]
fn the_topic_is_there_while_the_acknowledgement_is_handled() {
    let mut rig = Rig::connected_with(Limits { window: 1, ..Limits::default() });
    rig.must(Q1, "first");
    rig.must(Q1, "second");
    rig.sent();
    let step = rig.s.input(rig.now, &puback(1)).unwrap();
    assert!(step.event.is_some());
    for n in 0..50 {
        rig.must(Q1, &format!("from the handler {n}"));
    }
    assert_eq!(rig.s.acknowledged_topic(), Some(&b"first"[..]));
    rig.s.handled(Verdict::Ack(0)).unwrap();
    assert_eq!(rig.s.acknowledged_topic(), None);
    assert_eq!(rig.s.queue_len(), 51);
    assert_eq!(rig.sent(), ["PUBLISH1 #2 second=second"]);
}

/// A megabyte is not encoded a second time while it waits for the socket.
#[test]
fn what_waits_is_not_buffered_twice() {
    let limits = Limits { max_outgoing_bytes: 8 << 20, ..Limits::default() };
    let mut rig = Rig::connected_with(limits);
    for _ in 0..40 {
        rig.publish(Q1, "t", &[b'x'; 50_000]).unwrap();
    }
    assert!(rig.s.output().len() < 256 * 1024, "{}", rig.s.output().len());
    // Writing makes room for the next, until the window is full.
    assert_eq!(rig.sent().len(), 20);
}
