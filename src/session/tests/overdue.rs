//! Messages that are not acknowledged in time: told once, and in the session as before.

use super::*;
use crate::session::{OnSessionLoss, Overdue};
use crate::wire::PacketType;

const LIMIT: Span = Span::secs(8);
/// When it is known at the latest: one look more.
const KNOWN: Span = Span::secs(9);

fn limits() -> Limits {
    Limits { ack_timeout: LIMIT, ..Limits::default() }
}

fn messages(n: usize, packet_id: u16, qos: QoS, topic: &str) -> Overdue {
    Overdue { messages: n, packet_id, qos: Some(qos), topic: topic.into(), ..Overdue::default() }
}

/// Nothing is on its way.
fn all_arrived(rig: &Rig) -> Option<Delivery> {
    Some(Delivery { left: 0, moved: rig.s.output().taken() })
}

/// The moment at which the only thing that is overdue is, and what it is.
#[track_caller]
fn one(rig: &mut Rig, by: Span) -> (Span, Overdue) {
    let by = rig.now + by;
    let mut found = rig.look_until(by, all_arrived);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_message_that_is_not_acknowledged_in_time_has_its_outcome_once() {
    for qos in [Q1, Q2] {
        let mut rig = Rig::connected_with(limits());
        let first = rig.must(qos, "a/b");
        rig.sent();
        let later = rig.now + Span::secs(1);
        assert_eq!(rig.look_until(later, all_arrived), []);
        let second = rig.must(qos, "c");
        rig.sent();
        assert_eq!(rig.s.outstanding(), 2);
        let (after, overdue) = one(&mut rig, Span::secs(8));
        assert_eq!(overdue, messages(1, 1, qos, "a/b"));
        assert!((Span::secs(7)..=Span::secs(8)).contains(&after), "{after:?}");
        assert_eq!(rig.outcomes(), [(first, Outcome::TimedOut)]);
        assert_eq!(rig.s.remembered(first), Some(Outcome::TimedOut));
        assert_eq!((rig.s.outstanding(), rig.s.ended(), rig.s.in_flight()), (1, 1, 2));
        assert!(rig.s.all_ended(1) && !rig.s.all_ended(2));
        assert_eq!((rig.s.token_of(1), rig.s.token_of(2)), (None, Some(second)));
        assert_eq!(rig.s.cancel(first), Err(Code::NotFound));
        assert!(rig.s.is_up());
        // The other one at its time, and then nobody looks any more.
        assert_eq!(one(&mut rig, LIMIT).1, messages(1, 2, qos, "c"));
        assert_eq!((rig.outcomes(), rig.s.expiry()), (vec![(second, Outcome::TimedOut)], None));
        assert!(rig.s.all_ended(2));
        let counts = rig.s.counts();
        assert_eq!((counts.timed_out, counts.late_acks, counts.acked), (2, 0, 0));
        assert_eq!(rig.sent(), Vec::<String>::new());
    }
}

/// The packet id is in use until then (MQTT 3.1.1 §2.3.1), and the message counts as in flight.
#[test]
fn a_late_acknowledgement_frees_the_packet_id_and_tells_no_outcome() {
    let mut rig = Rig::connected_with(Limits { window: 2, ..limits() });
    rig.must(Q1, "one");
    rig.must(Q2, "two");
    let waits = rig.must(Q1, "three");
    assert_eq!(rig.sent(), ["PUBLISH1 #1 one=one", "PUBLISH2 #2 two=two"]);
    assert_eq!(one(&mut rig, KNOWN).1, messages(2, 1, Q1, "one"));
    rig.outcomes();
    assert_eq!((rig.s.levels().in_flight, rig.s.levels().waiting), (2, 1));
    assert_eq!(rig.sent(), Vec::<String>::new(), "the window is full still");
    // Nobody else gets the ids.
    assert_eq!(rig.s.raw_publish(&raw(1)), Err(Code::PacketIdInUse));
    assert_eq!(rig.feed(&puback(1)), ["PUBACK #1 token 1 one late"]);
    assert_eq!(rig.sent(), ["PUBLISH1 #3 three=three"]);
    assert_eq!(rig.s.raw_publish(&raw(1)), Ok(()));
    rig.sent();
    // Of QoS 2 the exchange goes on.
    assert_eq!(rig.feed(&pubrec(2)), ["PUBREC #2 token 2 late"]);
    assert_eq!(rig.sent(), ["PUBREL #2"]);
    assert_eq!(rig.s.raw_publish(&raw(2)), Err(Code::PacketIdInUse));
    assert_eq!(rig.feed(&pubcomp(2)), ["PUBCOMP #2 token 2 two late"]);
    assert_eq!(rig.s.raw_publish(&raw(2)), Ok(()));
    rig.sent();
    assert_eq!(rig.outcomes(), []);
    assert_eq!((rig.s.counts().timed_out, rig.s.counts().late_acks, rig.s.counts().acked), (2, 2, 0));
    rig.feed(&puback(3));
    assert_eq!(rig.outcomes(), [(waits, Outcome::Acked)]);
    assert_eq!((rig.s.outstanding(), rig.s.queue_len(), rig.s.in_flight()), (0, 0, 0));
}

fn raw(packet_id: u16) -> wire::Publish<'static> {
    wire::Publish { qos: Q1, topic: "raw", packet_id, ..Default::default() }
}

/// What the server has for certain arrives, however long PUBCOMP takes.
#[test]
fn after_pubrec_the_time_never_runs_out() {
    let mut rig = Rig::connected_with(limits());
    let released = rig.must(Q2, "a");
    rig.must(Q1, "b");
    rig.sent();
    rig.feed(&pubrec(1));
    rig.sent();
    assert_eq!(one(&mut rig, Span::secs(100)).1, messages(1, 2, Q1, "b"));
    assert_eq!((rig.s.outstanding(), rig.s.expiry()), (1, None));
    assert_eq!(rig.feed(&pubcomp(1)), ["PUBCOMP #1 token 1 a"]);
    assert_eq!(rig.outcomes(), [(2, Outcome::TimedOut), (released, Outcome::Acked)]);
}

/// MQTT-4.4.0-1: what was not acknowledged is sent again, in the order of before, whatever the application was told.
#[test]
fn a_resumed_session_sends_it_again_and_a_new_one_does_not() {
    for policy in [OnSessionLoss::Resend, OnSessionLoss::Report] {
        for present in [true, false] {
            let mut rig = Rig::connected_with(Limits { on_session_loss: policy, ..limits() });
            rig.must(Q1, "a");
            rig.must(Q2, "b");
            rig.must(Q2, "c");
            rig.sent();
            one(&mut rig, KNOWN);
            rig.feed(&pubrec(3));
            let fresh = rig.must(Q1, "d");
            rig.sent();
            assert_eq!(rig.outcomes().len(), 3);
            let sent = rig.again(present);
            let d = "PUBLISH1 DUP #4 d=d";
            let expected: &[&str] = match (present, policy) {
                (true, _) => &["PUBLISH1 DUP #1 a=a", "PUBLISH2 DUP #2 b=b", "PUBREL #3", d],
                // A session that has just begun repeats nothing.
                (false, OnSessionLoss::Resend) if Rig::FIVE => &["PUBLISH1 #4 d=d"],
                (false, OnSessionLoss::Resend) => &[d],
                (false, OnSessionLoss::Report) => &[],
            };
            assert_eq!(sent, expected);
            assert_eq!(rig.s.queue_len(), expected.len());
            // Only the fresh one has an outcome now.
            for id in [1, 4] {
                rig.feed(&puback(id));
            }
            rig.feed(&pubrec(2));
            for id in [2, 3] {
                rig.feed(&pubcomp(id));
            }
            let outcome = if expected.is_empty() { Outcome::Lost } else { Outcome::Acked };
            assert_eq!(rig.outcomes(), [(fresh, outcome)]);
            assert_eq!((rig.s.queue_len(), rig.s.outstanding()), (0, 0));
            assert_eq!(rig.s.counts().late_acks, if present { 3 } else { 0 });
        }
    }
}

/// The time is that of one connection: on the next one it begins anew.
#[test]
fn a_reconnect_in_between_gives_a_message_its_time_again() {
    let mut rig = Rig::connected_with(limits());
    let token = rig.must(Q1, "a");
    rig.sent();
    let by = rig.now + Span::secs(7);
    assert_eq!(rig.look_until(by, all_arrived), []);
    rig.down();
    assert_eq!(rig.s.expiry(), None);
    rig.pass(Span::secs(100));
    assert_eq!(rig.up(true), ["PUBLISH1 DUP #1 a=a"]);
    let (after, _) = one(&mut rig, KNOWN);
    assert!((LIMIT..=KNOWN).contains(&after), "{after:?}");
    assert_eq!(rig.outcomes(), [(token, Outcome::TimedOut)]);
}

/// Without a connection nothing is sent, so nothing is late; and after DISCONNECT nothing more is waited for.
#[test]
fn what_was_not_sent_and_what_follows_disconnect_is_not_late() {
    let mut rig = Rig::new(limits());
    rig.must(Q1, "a");
    assert_eq!(rig.s.expiry(), None);
    rig.up(false);
    assert!(rig.s.expiry().is_some());
    rig.s.disconnect();
    assert_eq!(rig.s.expiry(), None);
    rig.down();
    assert_eq!((rig.s.outstanding(), rig.outcomes().len()), (1, 0));
    // One that was told is told nothing else at the end.
    assert_eq!(rig.up(true), ["PUBLISH1 DUP #1 a=a"]);
    one(&mut rig, KNOWN);
    rig.s.disconnect();
    rig.s.abandon();
    assert_eq!(rig.outcomes(), [(1, Outcome::TimedOut)]);
    assert_eq!((rig.s.outstanding(), rig.s.queue_len()), (0, 0));
}

/// A slow link is not a slow server: the time runs from when the server has the message.
#[test]
fn bytes_that_move_are_not_late() {
    let mut rig = Rig::connected_with(Limits { max_outgoing_bytes: 8 << 20, ..limits() });
    let began = rig.now;
    rig.publish(Q1, "large", &vec![0; 200_000]).unwrap();
    rig.publish(Q1, "behind", b"").unwrap();
    rig.s.subscribe("answer".into(), Q1);
    rig.sent();
    // 5,000 bytes a second: the last are there after 40 s.
    let slow = |rig: &Rig| {
        let given = rig.s.output().taken();
        let moved = given.min(rig.now.since(began).0 / 200);
        Some(Delivery { left: given - moved, moved })
    };
    let by = rig.now + Span::secs(1_000);
    let found = rig.look_until(by, slow);
    let (after, overdue) = &found[0];
    assert_eq!((overdue.messages, overdue.filters, found.len()), (2, 1, 1), "{found:?}");
    assert!((Span::secs(48)..=Span::secs(50)).contains(after), "{after:?}");
}

/// A queue that does not move is not life.
#[test]
fn bytes_that_do_not_move_are_late() {
    let mut rig = Rig::connected_with(limits());
    rig.must(Q1, "a");
    rig.sent();
    let stuck = |_: &Rig| Some(Delivery { left: 1, moved: 10 });
    let by = rig.now + Span::secs(100);
    let found = rig.look_until(by, stuck);
    assert_eq!(found.len(), 1);
    assert!((LIMIT..=KNOWN).contains(&found[0].0), "{found:?}");
    // And what comes behind shows no life of what is there already.
    let mut rig = Rig::connected_with(limits());
    rig.must(Q1, "a");
    rig.sent();
    for second in 1..=20 {
        rig.must(Q0, "b");
        rig.sent();
        let by = rig.now + Span::secs(1);
        if !rig.look_until(by, all_arrived).is_empty() {
            assert!((8..=10).contains(&second), "{second}");
            return;
        }
    }
    panic!("it is never late");
}

/// Who drives the loop late reads what came before he looks; what he could not read yet puts the look off.
#[test]
fn a_look_that_is_put_off_comes_again() {
    let mut rig = Rig::connected_with(limits());
    rig.must(Q1, "a");
    rig.sent();
    rig.pass(Span::secs(100));
    let due = rig.now;
    assert!(rig.s.acknowledgements_are_due(due));
    rig.s.put_look_off(due);
    assert!(!rig.s.acknowledgements_are_due(due));
    assert_eq!(rig.feed(&puback(1)), ["PUBACK #1 token 1 a"]);
    let by = due + Span::secs(100);
    assert_eq!(rig.look_until(by, all_arrived), []);
    assert_eq!(rig.outcomes(), [(1, Outcome::Acked)]);
}

/// The fast path is for those that somebody watches already; without a limit, for all.
#[test]
fn the_fast_path_is_taken_once_somebody_watches() {
    let mut rig = Rig::connected_with(limits());
    let plain = |rig: &mut Rig| rig.s.publish_tracked_fast(b"a", b"x", Q1, false).is_some();
    let room = |rig: &mut Rig| {
        for _ in 0..10 {
            rig.must(Q1, "a");
        }
        rig.sent();
        for id in 1..=10 {
            rig.feed(&puback(id));
        }
        rig.outcomes();
    };
    room(&mut rig);
    assert!(rig.s.watch_began() && !rig.s.watch_began());
    assert!(plain(&mut rig), "somebody watches");
    rig.sent();
    rig.feed(&puback(11));
    let by = rig.now + LIMIT;
    assert_eq!(rig.look_until(by, all_arrived), []);
    assert!(!plain(&mut rig), "nobody watches");
    assert!(!rig.s.watch_began());
    rig.must(Q1, "a");
    assert!(rig.s.watch_began() && plain(&mut rig));
    rig.sent();
    assert_eq!(one(&mut rig, KNOWN).1, messages(2, 12, Q1, "a"));
    assert!(!plain(&mut rig));

    let mut rig = Rig::connected_with(Limits::default());
    room(&mut rig);
    assert!(plain(&mut rig));
    assert_eq!((rig.s.expiry(), rig.s.watch_began()), (None, false));
}

/// A limit that is set, changed or taken away while messages are in flight.
#[test]
fn the_limit_changes_on_the_way() {
    let mut rig = Rig::connected_with(Limits::default());
    rig.must(Q1, "a");
    rig.sent();
    assert_eq!(rig.s.expiry(), None);
    rig.s.set_limits(limits());
    assert_eq!(one(&mut rig, KNOWN).1, messages(1, 1, Q1, "a"));
    rig.must(Q1, "b");
    rig.sent();
    rig.s.set_limits(Limits::default());
    assert_eq!((rig.s.expiry(), rig.s.outstanding()), (None, 1));
    // Another setting does not move the time.
    rig.s.set_limits(limits());
    let by = rig.now + Span::secs(6);
    assert_eq!(rig.look_until(by, all_arrived), []);
    rig.s.set_limits(Limits { window: 7, ..limits() });
    assert_eq!(one(&mut rig, Span::secs(3)).1, messages(1, 2, Q1, "b"));
}

/// A message that makes the server close is found, though it was late before.
#[test]
fn a_late_message_may_be_the_one_that_makes_the_server_close() {
    let mut rig = Rig::connected_with(Limits { poison_after: 3, ..limits() });
    rig.must(Q1, "bad");
    rig.sent();
    one(&mut rig, KNOWN);
    for closes in 1..=3 {
        let poison = rig.s.closed_by_server();
        assert_eq!(poison.is_some_and(|poison| poison.set_aside), closes == 3);
        rig.up(true);
    }
    assert_eq!((rig.s.queue_len(), rig.outcomes()), (0, vec![(1, Outcome::TimedOut)]));
    assert_eq!(rig.s.raw_publish(&raw(1)), Ok(()), "its id is free");
    // With PUBREC it is not.
    let mut rig = Rig::connected_with(Limits { poison_after: 1, ..limits() });
    rig.must(Q2, "good");
    rig.sent();
    one(&mut rig, KNOWN);
    rig.feed(&ack(PacketType::PubRec, 1));
    rig.sent();
    assert_eq!(rig.s.closed_by_server(), None);
}
