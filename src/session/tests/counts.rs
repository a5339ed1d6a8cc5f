//! What is counted, for statistics.

use super::super::{LATENCY_BUCKETS, Latency, OnSessionLoss, Overflow};
use super::*;

/// A span belongs to the first bucket whose limit it does not pass, and each limit is twice the one before.
#[test]
fn latencies_by_powers_of_two() {
    let limits: Vec<Option<Span>> = (0..LATENCY_BUCKETS).map(Latency::limit).collect();
    let (last, others) = limits.split_last().unwrap();
    assert_eq!(*last, None, "the last one has everything above");
    let mut expected = Span::micros(256);
    for limit in others {
        assert_eq!(*limit, Some(expected));
        expected = Span(expected.0 * 2);
    }

    let longest = others.last().unwrap().unwrap();
    let spans = [0, 1, 256, 257, 512, 513, longest.0, longest.0 + 1, 1 << 50];
    for micros in spans {
        let mut rig = Rig::connected();
        rig.s.clock(rig.now);
        rig.must(Q1, "t");
        rig.sent();
        rig.pass(Span::micros(micros));
        rig.feed(&puback(1));
        let latency = rig.s.ack_latency();
        let bucket = limits.iter().position(|limit| limit.is_none_or(|limit| micros <= limit.0)).unwrap();
        let mut expected = [0; LATENCY_BUCKETS];
        expected[bucket] = 1;
        assert_eq!((latency.buckets, latency.sum), (expected, micros), "{micros} microseconds");
    }
}

/// Two of each: what counts to one only is no counter.
#[test]
fn each_outcome_is_counted_as_what_it_is() {
    let limits = Limits {
        max_queue: 2,
        overflow: Overflow::DropOldest,
        on_session_loss: OnSessionLoss::Report,
        ..Limits::default()
    };
    let mut rig = Rig::connected_with(limits);
    for _ in 0..2 {
        rig.must(Q0, "sent");
        let id = rig.publish(Q1, "acked", b"").unwrap().packet_id;
        rig.sent();
        rig.feed(&puback(id));
        // Lost with the server's session.
        rig.must(Q1, "lost");
        rig.sent();
        rig.again(false);
        // Never left.
        rig.must(Q0, "on a link that breaks");
        rig.down();
        for name in ["gives way", "kept", "kept too"] {
            rig.must(Q1, name);
        }
        let expires = Some(rig.now + Span::secs(1));
        rig.s.publish(&Publication { expires, ..Publication::new("expires", b"", Q1) }).unwrap();
        let cancelled = rig.must(Q1, "cancelled");
        rig.s.cancel(cancelled).unwrap();
        rig.pass(Span::secs(1));
        rig.s.expire(rig.now);
        assert_eq!(rig.publish(Q0, "refused", b""), Err(Code::NotConnected));
        assert_eq!(rig.up(false), Vec::<String>::new());
    }
    let counts = rig.s.counts();
    let got = [counts.sent, counts.acked, counts.lost, counts.dropped, counts.dropped_qos0];
    assert_eq!(got, [2, 2, 2, 2 + 6, 2]);
    assert_eq!([counts.expired, counts.cancelled, counts.refused, counts.rejected], [2, 2, 2, 0]);
    assert_eq!(counts.accepted, counts.sent + counts.acked + counts.lost + counts.dropped + 4);
}

/// What is not acknowledged and what is not written; the same byte twice while it is both.
#[test]
fn unsent_bytes() {
    let mut rig = Rig::connected();
    let packet = publish(Q1, 1, false, "t", b"0123456789").len();
    rig.publish(Q1, "t", b"0123456789").unwrap();
    assert_eq!(rig.s.unsent_bytes(), 10 + packet);
    rig.take(4);
    assert_eq!(rig.s.unsent_bytes(), 10 + packet - 4);
    rig.take(packet);
    assert_eq!(rig.s.unsent_bytes(), 10);
    // While its acknowledgement is being told it has a place still, and counts no more.
    let step = rig.s.input(rig.now, &puback(1)).unwrap();
    assert!(matches!(step.event, Some(Event::PubAck(_))));
    assert_eq!(rig.s.unsent_bytes(), 0);
    rig.publish(Q1, "t", b"abc").unwrap();
    assert_eq!(rig.s.unsent_bytes(), 3 + packet - 7);
    rig.s.handled(Verdict::Ack(0)).unwrap();
    assert_eq!(rig.s.unsent_bytes(), 3 + packet - 7);
}
