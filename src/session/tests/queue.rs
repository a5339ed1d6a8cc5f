//! Limits of the outgoing queue, in messages and in bytes, and what gives way.

use super::*;
use crate::session::{Dropped, Known, Overflow};

fn limits(max_queue: usize, overflow: Overflow) -> Limits {
    Limits { window: 1, max_queue, overflow, ..Limits::default() }
}

#[test]
fn refuse_new() {
    let mut rig = Rig::new(limits(2, Overflow::RefuseNew));
    rig.must(Q1, "a");
    rig.must(Q1, "b");
    assert_eq!(rig.publish(Q1, "c", b""), Err(Code::QueueFull));
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.up(false), ["PUBLISH1 #1 a=a"]);
    // What is in flight counts; QoS 0 does not.
    assert_eq!(rig.publish(Q2, "c", b""), Err(Code::QueueFull));
    rig.must(Q0, "zero");
    rig.feed(&puback(1));
    rig.must(Q1, "c");
    assert_eq!(rig.sent(), ["PUBLISH0 zero=zero", "PUBLISH1 #2 b=b"]);
}

#[test]
fn drop_oldest_touches_only_what_never_left() {
    let mut rig = Rig::connected_with(limits(3, Overflow::DropOldest));
    rig.must(Q2, "flying");
    rig.sent();
    rig.feed(&pubrec(1));
    rig.sent();
    let b = rig.must(Q1, "b");
    let c = rig.must(Q1, "c");
    rig.must(Q1, "d");
    assert_eq!(rig.outcomes(), [(b, Outcome::Dropped(Dropped::Overflow))]);
    // Grounded again, the one that flew still is not touched.
    rig.down();
    rig.must(Q1, "e");
    assert_eq!(rig.outcomes(), [(c, Outcome::Dropped(Dropped::Overflow))]);
    assert_eq!(rig.up(true), ["PUBREL #1"]);
    rig.feed(&pubcomp(1));
    assert_eq!(rig.sent(), ["PUBLISH1 #2 d=d"]);
}

#[test]
fn nothing_to_drop_is_a_refusal() {
    let mut rig = Rig::connected_with(limits(1, Overflow::DropOldest));
    rig.must(Q1, "flying");
    rig.sent();
    assert_eq!(rig.publish(Q1, "b", b""), Err(Code::QueueFull));
    rig.down();
    assert_eq!(rig.publish(Q1, "b", b""), Err(Code::QueueFull));
    assert_eq!(rig.outcomes(), []);
}

#[test]
fn a_half_written_message_may_be_dropped() {
    let mut rig = Rig::connected_with(limits(1, Overflow::DropOldest));
    let half = rig.must(Q1, "half");
    rig.take(3);
    // Its bytes are on their way: not now.
    assert_eq!(rig.publish(Q1, "b", b""), Err(Code::QueueFull));
    rig.down();
    rig.must(Q1, "b");
    assert_eq!(rig.outcomes(), [(half, Outcome::Dropped(Dropped::Overflow))]);
    assert_eq!(rig.up(true), ["PUBLISH1 #2 b=b"]);
}

#[test]
fn a_dropped_message_gives_its_id_back() {
    let mut rig = Rig::new(limits(1, Overflow::DropOldest));
    assert_eq!(rig.reserve(Q1, "a").unwrap().packet_id, 1);
    let b = rig.reserve(Q1, "b").unwrap();
    assert_eq!(b.packet_id, 2);
    let completion = rig.s.take_completion().unwrap();
    assert_eq!((completion.packet_id, completion.outcome), (1, Outcome::Dropped(Dropped::Overflow)));
    assert_eq!((rig.s.token_of(1), rig.s.token_of(2)), (None, Some(b.token)));
}

#[test]
fn bytes_are_limited_too() {
    let limits = Limits { max_outgoing_bytes: 100, window: 1, ..Limits::default() };
    let mut rig = Rig::new(limits.clone());
    assert_eq!(rig.publish(Q1, "t", &[b'x'; 100]), Err(Code::TooLarge));
    // Topic and payload are just the limit.
    Rig::new(limits.clone()).publish(Q1, "t", &[b'x'; 99]).unwrap();
    rig.publish(Q1, "t", &[b'x'; 49]).unwrap();
    rig.publish(Q1, "t", &[b'x'; 49]).unwrap();
    assert_eq!(rig.publish(Q1, "t", b""), Err(Code::QueueFull));

    let mut rig = Rig::new(Limits { overflow: Overflow::DropOldest, ..limits.clone() });
    let a = rig.publish(Q1, "a", &[b'x'; 49]).unwrap().token;
    rig.publish(Q1, "b", &[b'x'; 19]).unwrap();
    rig.publish(Q1, "c", &[b'x'; 60]).unwrap();
    assert_eq!(rig.outcomes(), [(a, Outcome::Dropped(Dropped::Overflow))]);
    // Too large for the limit at all: nobody has to go for it.
    assert_eq!(rig.publish(Q1, "d", &[b'x'; 100]), Err(Code::TooLarge));
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.s.queue_len(), 2);

    // QoS 0 waits in the output, and counts there.
    let mut rig = Rig::connected_with(limits);
    rig.publish(Q0, "t", &[b'x'; 90]).unwrap();
    assert_eq!(rig.publish(Q0, "t", &[b'x'; 90]), Err(Code::QueueFull));
    rig.sent();
    rig.publish(Q0, "t", &[b'x'; 90]).unwrap();
}

/// What makes no room is not dropped: bytes that wait for the socket cannot be taken back.
#[test]
fn nothing_is_dropped_in_vain() {
    let limits =
        Limits { max_outgoing_bytes: 200, window: 1, overflow: Overflow::DropOldest, ..Limits::default() };
    let mut rig = Rig::connected_with(limits);
    rig.must(Q1, "flying");
    rig.must(Q1, "waiting");
    rig.publish(Q0, "t", &[b'x'; 100]).unwrap();
    assert_eq!(rig.publish(Q1, "u", &[b'x'; 90]), Err(Code::QueueFull));
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.s.queue_len(), 2);
}

#[test]
fn a_queue_of_zero_keeps_nothing_for_later() {
    let mut rig = Rig::new(Limits { window: 2, max_queue: 0, ..Limits::default() });
    assert_eq!(rig.publish(Q1, "offline", b""), Err(Code::NotConnected));
    rig.up(false);
    rig.must(Q1, "a");
    rig.must(Q2, "b");
    assert_eq!(rig.publish(Q1, "over", b""), Err(Code::QueueFull));
    rig.sent();
    // What flew is tracked, and comes again.
    assert_eq!(rig.again(true), ["PUBLISH1 DUP #1 a=a", "PUBLISH2 DUP #2 b=b"]);
    rig.feed(&puback(1));
    rig.must(Q1, "c");
    assert_eq!(rig.sent(), ["PUBLISH1 #3 c=c"]);
}

#[test]
fn smaller_limits_throw_nothing_away() {
    let mut rig = Rig::new(Limits::default());
    for name in ["a", "b", "c"] {
        rig.must(Q1, name);
    }
    rig.s.set_limits(limits(1, Overflow::RefuseNew));
    assert_eq!(rig.publish(Q1, "d", b""), Err(Code::QueueFull));
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.up(false), ["PUBLISH1 #1 a=a"]);
    rig.feed(&puback(1));
    assert_eq!(rig.sent(), ["PUBLISH1 #2 b=b"]);
}

#[test]
fn a_packet_that_cannot_exist() {
    let mut rig = Rig::connected_with(Limits { max_outgoing_bytes: usize::MAX, ..Limits::default() });
    let long = "t".repeat(65_536);
    for qos in [Q0, Q1, Q2] {
        assert_eq!(rig.publish(qos, &long, b""), Err(Code::TooLarge));
    }
    let token = rig.publish(Q1, &long[1..], b"").unwrap().token;
    assert_eq!(rig.sent().len(), 1);
    assert_eq!(rig.again(true).len(), 1);
    assert_eq!(rig.feed(&puback(1)), [format!("PUBACK #1 token {token} {}", &long[1..])]);
}

#[test]
fn what_is_not_on_its_way_can_be_cancelled() {
    let mut rig = Rig::connected_with(Limits { window: 1, ..Limits::default() });
    let zero = rig.must(Q0, "zero");
    let flying = rig.must(Q1, "flying");
    let waiting = rig.reserve(Q2, "waiting").unwrap();
    for token in [zero, flying] {
        assert_eq!(rig.s.look_up(token), Known::Outstanding);
        assert_eq!(rig.s.cancel(token), Err(Code::AlreadySent));
    }
    assert_eq!(rig.s.cancel(waiting.token), Ok(()));
    assert_eq!(rig.outcomes(), [(waiting.token, Outcome::Cancelled)]);
    assert_eq!(rig.s.cancel(waiting.token), Err(Code::NotFound));
    assert_eq!((rig.s.look_up(waiting.token), rig.s.token_of(waiting.packet_id)), (Known::Ended, None));
    assert!(!rig.s.all_ended(1));
    assert_eq!(rig.sent(), ["PUBLISH0 zero=zero", "PUBLISH1 #1 flying=flying"]);
    assert!(rig.s.all_ended(1) && !rig.s.all_ended(2));
    rig.feed(&puback(1));
    assert_eq!(rig.outcomes(), [(zero, Outcome::Sent), (flying, Outcome::Acked)]);
    assert!(rig.s.all_ended(3));

    // The slot is used again; the old name does not name the new message.
    let next = rig.must(Q1, "next");
    assert_eq!((rig.s.look_up(flying), rig.s.look_up(next)), (Known::Ended, Known::Outstanding));
    for token in [0, next + 1, u64::MAX] {
        assert_eq!((rig.s.look_up(token), rig.s.cancel(token)), (Known::Never, Err(Code::NotFound)));
    }
}

/// field: F-18
///
/// A token is 64 bits of counter and nothing else: neither how many messages there were before nor where one is kept shows in
/// it, and outcomes, cancelling and waiting work to the last.
#[test]
fn tokens_count_on_wherever_they_are() {
    for before in [0, (1 << 24) - 2, (1 << 32) - 3, (1 << 40) - 4, (1 << 63) - 2, u64::MAX - 12] {
        let mut rig = Rig::connected_with(Limits { window: 2, ..Limits::default() });
        rig.s.sending().unwrap().accepted = before;
        let token = |n: u64| before + n;
        // Neighbours of QoS 0 share an entry.
        for (n, qos) in [(1, Q0), (2, Q1), (3, Q0), (4, Q0), (5, Q2), (6, Q1), (7, Q1), (8, Q0)] {
            assert_eq!(rig.must(qos, "t"), token(n));
        }
        assert_eq!(rig.s.accepted(), token(8));
        for n in 1..=8 {
            assert_eq!(rig.s.look_up(token(n)), Known::Outstanding, "{n} after {before}");
        }
        assert_eq!(rig.s.look_up(token(9)), Known::Never);
        assert_eq!((rig.s.cancel(token(5)), rig.s.cancel(token(6))), (Err(Code::AlreadySent), Ok(())));
        rig.sent();
        assert_eq!((rig.s.all_ended(token(1)), rig.s.all_ended(token(2))), (true, false));
        // One that was accepted after somebody asked.
        assert_eq!(rig.must(Q1, "late"), token(9));
        assert_eq!((rig.s.look_up(token(9)), rig.s.look_up(token(6))), (Known::Outstanding, Known::Ended));
        assert_eq!(rig.s.token_of(1), Some(token(2)));
        for id in 1..=6 {
            rig.feed(&puback(id));
            rig.sent();
        }
        assert!(rig.s.all_ended(token(9)));
        assert_eq!(rig.s.ended(), token(9));
        let outcomes: Vec<_> = (1..=9).map(|n| rig.s.remembered(token(n)).unwrap()).collect();
        use Outcome::{Acked, Cancelled, Sent};
        assert_eq!(outcomes, [Sent, Acked, Sent, Sent, Acked, Cancelled, Acked, Sent, Acked]);
        let mut told: Vec<u64> = rig.outcomes().iter().map(|(token, _)| token - before).collect();
        told.sort_unstable();
        assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9], "each once");
    }
}

/// Who asks about one message of many does not pay for all of them, and is not told of one that ended and whose slot has
/// another.
#[test]
fn one_of_many_is_found() {
    let mut rig = Rig::new(Limits { max_queue: 20_000, ..Limits::default() });
    let mut waiting: Vec<u64> = Vec::new();
    for round in 0..20 {
        waiting.extend((0..500).map(|_| rig.must(Q1, "t")));
        for (n, token) in waiting.iter().enumerate() {
            let known = rig.s.look_up(*token);
            assert_eq!(known, Known::Outstanding, "{n} in round {round}");
        }
        // Two thirds go, from all over.
        let (gone, left): (Vec<u64>, Vec<u64>) = waiting.iter().partition(|token| *token % 3 != 0);
        for token in gone {
            assert_eq!(rig.s.cancel(token), Ok(()));
            assert_eq!(rig.s.look_up(token), Known::Ended);
        }
        waiting = left;
    }
    assert_eq!(rig.s.queue_len(), waiting.len());
}

#[test]
fn what_waits_too_long_expires_and_what_is_on_its_way_does_not() {
    let mut rig = Rig::new(Limits::default());
    let at = |secs| Some(Time::ZERO + Span::secs(secs));
    let publish = |rig: &mut Rig, topic, secs| {
        rig.s.publish(&Publication { expires: at(secs), ..Publication::new(topic, b"", Q1) }).unwrap().token
    };
    let (a, b, c) = (publish(&mut rig, "a", 30), publish(&mut rig, "b", 10), publish(&mut rig, "c", 20));
    assert_eq!(rig.s.expiry(), at(10));
    rig.s.expire(Time(9_999_999));
    assert_eq!(rig.outcomes(), []);
    rig.s.expire(Time::ZERO + Span::secs(10));
    assert_eq!(rig.outcomes(), [(b, Outcome::Expired)]);
    assert_eq!(rig.s.expiry(), at(20));
    rig.up(true);
    assert_eq!(rig.sent(), [""; 0]);
    // Sent, so that time is no matter any more, not even when they have to be sent again.
    rig.down();
    rig.s.expire(Time::ZERO + Span::secs(100));
    assert_eq!((rig.outcomes(), rig.s.expiry()), (vec![], None));
    rig.up(true);
    rig.feed(&puback(1));
    rig.feed(&puback(2));
    assert_eq!(rig.outcomes(), [(a, Outcome::Acked), (c, Outcome::Acked)]);
}
