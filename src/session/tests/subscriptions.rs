//! The filters that the application wants, and what the server is told of them.

use super::*;
use crate::session::{Answer, Ticket};

fn subscribe(rig: &mut Rig, names: &[&str]) {
    for name in names {
        rig.s.subscribe((*name).into(), Q1);
    }
}

fn only_when_lost() -> Limits {
    Limits { always_subscribe: false, ..Limits::default() }
}

#[test]
fn told_at_once_while_up_and_each_filter_gets_its_code() {
    let mut rig = Rig::connected();
    subscribe(&mut rig, &["a", "b"]);
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 a:1", "SUBSCRIBE #2 b:1"]);
    assert_eq!(rig.s.pending_subscriptions(), 2);
    assert_eq!(rig.feed(&suback(2, &[0x80])), ["SUBACK #2 b=128"]);
    assert_eq!(rig.feed(&suback(1, &[1])), ["SUBACK #1 a=1"]);
    assert_eq!(rig.s.pending_subscriptions(), 0);
    assert!(rig.s.unsubscribe("a"));
    assert!(!rig.s.unsubscribe("a"));
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #3 a"]);
    assert_eq!(rig.feed(&unsuback(3)), ["UNSUBACK #3"]);
    // The refused one is asked for again next time; the other is not wanted any more.
    assert_eq!(rig.again(true), ["SUBSCRIBE #4 b:1"]);
}

#[test]
fn in_the_output_before_connack_is_told() {
    let mut rig = Rig::new(Limits::default());
    subscribe(&mut rig, &["a"]);
    rig.must(Q1, "waiting");
    rig.open();
    rig.s.input(rig.now, &connack(false, 0)).unwrap();
    assert!(rig.s.output().pending().starts_with(b"\x82"));
    // What a handler of CONNACK publishes comes after what waited.
    rig.must(Q1, "new");
    rig.s.handled(Verdict::Ack(0)).unwrap();
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 a:1", "PUBLISH1 #2 waiting=waiting", "PUBLISH1 #3 new=new"]);
}

#[test]
fn batches_of_eight_and_at_most_64_in_flight() {
    let mut rig = Rig::new(Limits::default());
    let total = 8 * 64 + 20;
    for n in 0..total {
        rig.s.subscribe(format!("f/{n:04}").into(), Q0);
    }
    let first = rig.up(false);
    assert_eq!(first.len(), 64);
    for (i, packet) in first.iter().enumerate() {
        assert_eq!(packet.matches(":0").count(), 8);
        assert!(packet.starts_with(&format!("SUBSCRIBE #{} f/{:04}:0", i + 1, i * 8)), "{packet}");
    }
    assert_eq!(rig.s.pending_subscriptions(), total);
    // Each answer lets one more out, until all are.
    rig.feed(&suback(10, &[0; 8]));
    assert_eq!(rig.sent().len(), 1);
    rig.feed(&suback(1, &[0; 8]));
    rig.feed(&suback(2, &[0; 8]));
    let last = rig.sent();
    assert_eq!(last.len(), 2);
    assert_eq!(last[1].matches(":0").count(), 4);
    rig.feed(&suback(3, &[0; 8]));
    assert_eq!(rig.sent(), Vec::<String>::new());
    assert_eq!(rig.s.pending_subscriptions(), total - 4 * 8);
}

#[test]
fn unsubscribes_come_in_batches_too_and_share_the_bound() {
    let mut rig = Rig::connected_with(only_when_lost());
    let total = 8 * 64 + 20;
    for n in 0..total {
        rig.s.subscribe(format!("f/{n:04}").into(), Q0);
    }
    while rig.s.pending_subscriptions() > 0 {
        let sent = rig.sent();
        assert!(sent.len() <= 64);
        for packet in sent {
            let id = packet.split(['#', ' ']).nth(2).unwrap().parse().unwrap();
            let n = packet.matches(":0").count();
            rig.feed(&suback(id, &vec![0; n]));
        }
    }
    rig.down();
    for n in 0..total {
        assert!(rig.s.unsubscribe(&format!("f/{n:04}")));
    }
    let packets = rig.up(true);
    assert_eq!(packets.len(), 64);
    assert!(packets.iter().all(|p| p.starts_with("UNSUBSCRIBE") && p.matches("f/").count() == 8));
}

#[test]
fn resubscribed_always_or_only_when_lost() {
    for always in [true, false] {
        for present in [true, false] {
            let mut rig = Rig::connected_with(Limits { always_subscribe: always, ..Limits::default() });
            subscribe(&mut rig, &["granted", "refused"]);
            rig.sent();
            rig.feed(&suback(1, &[1]));
            rig.feed(&suback(2, &[0x80]));
            subscribe(&mut rig, &["unanswered"]);
            rig.sent();
            rig.down();
            subscribe(&mut rig, &["new"]);
            let packets = rig.up(present);
            let expected = if always || !present {
                "SUBSCRIBE #4 granted:1 new:1 refused:1 unanswered:1"
            } else {
                "SUBSCRIBE #4 new:1 refused:1 unanswered:1"
            };
            assert_eq!(packets, [expected], "always {always}, present {present}");
        }
    }
}

/// Whether it was told of a loss cannot be known when a CONNACK did not arrive: the server may have a new session
/// since. When it did arrive, even as a refusal, it can.
#[test]
fn resubscribed_after_a_lost_connack() {
    let busy = if Rig::FIVE { 0x88 } else { 3 };
    for (answer, expected) in [(None, vec!["SUBSCRIBE #2 f:1"]), (Some(busy), vec![])] {
        let mut rig = Rig::connected_with(only_when_lost());
        subscribe(&mut rig, &["f"]);
        rig.sent();
        rig.feed(&suback(1, &[1]));
        rig.down();
        rig.open();
        if let Some(code) = answer {
            rig.feed(&connack(false, code));
        }
        assert_eq!(rig.again(true), expected);
        if !expected.is_empty() {
            rig.feed(&suback(2, &[1]));
        }
        assert_eq!(rig.again(true), Vec::<String>::new());
    }
}

/// What was granted before a loss that may have been told, and asked for again since, is not granted any more: the
/// link may be lost before the answer.
#[test]
fn asked_again_after_a_lost_connack_until_it_is_answered() {
    let mut rig = Rig::connected_with(only_when_lost());
    subscribe(&mut rig, &["f"]);
    rig.sent();
    rig.feed(&suback(1, &[1]));
    rig.down();
    rig.open();
    assert_eq!(rig.again(true), ["SUBSCRIBE #2 f:1"]);
    assert_eq!(rig.again(true), ["SUBSCRIBE #3 f:1"]);
    rig.feed(&suback(3, &[1]));
    assert_eq!(rig.again(true), Vec::<String>::new());
}

/// The application closed the connection before CONNACK came: that is no mistake of the server, and what it says of
/// the session is not known.
#[test]
fn a_connack_after_the_end_is_skipped() {
    let mut rig = Rig::connected_with(only_when_lost());
    subscribe(&mut rig, &["f"]);
    rig.sent();
    rig.feed(&suback(1, &[1]));
    rig.down();
    rig.open();
    rig.s.disconnect();
    assert_eq!(rig.feed(&connack(false, 0)), Vec::<String>::new());
    assert_eq!(rig.sent(), Vec::<String>::new());
    assert_eq!(rig.again(true), ["SUBSCRIBE #2 f:1"]);
}

/// A clean session has no filters.
#[test]
fn a_clean_session_has_lost_them() {
    let mut rig = Rig::new(only_when_lost());
    rig.connect.clean_session = true;
    subscribe(&mut rig, &["f"]);
    assert_eq!(rig.up(false), ["SUBSCRIBE #1 f:1"]);
    rig.feed(&suback(1, &[1]));
    assert_eq!(rig.again(false), ["SUBSCRIBE #2 f:1"]);
}

#[test]
fn unsubscribed_while_offline() {
    for present in [true, false] {
        let mut rig = Rig::connected_with(only_when_lost());
        subscribe(&mut rig, &["f", "g"]);
        rig.sent();
        rig.feed(&suback(1, &[1]));
        rig.feed(&suback(2, &[1]));
        rig.down();
        assert!(rig.s.unsubscribe("f"));
        let expected: &[&str] = if present { &["UNSUBSCRIBE #3 f"] } else { &["SUBSCRIBE #3 g:1"] };
        assert_eq!(rig.up(present), expected);
    }
}

#[test]
fn an_unsubscribe_that_was_not_confirmed_is_repeated() {
    let mut rig = Rig::connected_with(only_when_lost());
    subscribe(&mut rig, &["f"]);
    rig.sent();
    rig.feed(&suback(1, &[1]));
    rig.s.unsubscribe("f");
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #2 f"]);
    assert_eq!(rig.again(true), ["UNSUBSCRIBE #3 f"]);
    // Wanted again meanwhile: then it is not taken back.
    rig.down();
    subscribe(&mut rig, &["f"]);
    assert_eq!(rig.up(true), ["SUBSCRIBE #4 f:1"]);
}

#[test]
fn the_last_word_counts() {
    let mut rig = Rig::connected();
    // Sent in the order of the calls, as far as the server can tell the difference.
    subscribe(&mut rig, &["f"]);
    rig.s.unsubscribe("f");
    subscribe(&mut rig, &["f"]);
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 f:1", "UNSUBSCRIBE #2 f", "SUBSCRIBE #3 f:1"]);
    rig.down();
    rig.s.unsubscribe("f");
    assert_eq!(rig.up(true), ["UNSUBSCRIBE #4 f"]);
}

/// An answer to an earlier SUBSCRIBE says nothing about the later one: that is still to be heard.
#[test]
fn an_old_answer_does_not_grant_the_new_request() {
    for again in ["higher QoS", "taken back"] {
        let mut rig = Rig::connected_with(only_when_lost());
        rig.s.subscribe("f".into(), Q0);
        if again == "taken back" {
            rig.s.unsubscribe("f");
        }
        rig.s.subscribe("f".into(), Q2);
        rig.sent();
        rig.feed(&suback(1, &[0]));
        let packets = rig.again(true);
        assert!(packets.last().unwrap().ends_with(" f:2"), "{again}: {packets:?}");
    }
}

#[test]
fn the_same_filter_again_asks_again() {
    let mut rig = Rig::connected();
    subscribe(&mut rig, &["f"]);
    rig.s.subscribe("f".into(), Q2);
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 f:1", "SUBSCRIBE #2 f:2"]);
    rig.feed(&suback(1, &[1]));
    rig.feed(&suback(2, &[2]));
    assert_eq!(rig.again(true), ["SUBSCRIBE #3 f:2"]);
}

#[test]
fn a_suback_that_does_not_match_is_an_error() {
    for codes in [&[0][..], &[0, 0, 0]] {
        let mut rig = Rig::new(Limits::default());
        subscribe(&mut rig, &["a", "b"]);
        assert_eq!(rig.up(false), ["SUBSCRIBE #1 a:1 b:1"]);
        let failure = rig.try_feed(&suback(1, codes)).unwrap_err();
        assert_eq!(failure.code, Code::Protocol);
        assert!(failure.what.contains("SUBACK"));
        // It is asked for again afterwards.
        assert_eq!(rig.again(true), ["SUBSCRIBE #2 a:1 b:1"]);
    }
}

/// field: F-20
///
/// One that answers nothing changes nothing, and the link lives: a server that sends it would send it again after each
/// reconnect.
#[test]
fn an_answer_that_nobody_waits_for_is_ignored() {
    let mut rig = Rig::connected();
    subscribe(&mut rig, &["a"]);
    rig.must(Q1, "m");
    rig.sent();
    assert_eq!(rig.feed(&suback(2, &[0])), ["UNASKED SUBACK #2"]);
    assert_eq!(rig.feed(&suback(7, &[0])), ["UNASKED SUBACK #7"]);
    assert_eq!(rig.feed(&unsuback(1)), ["UNASKED UNSUBACK #1"]);
    // What is under way goes on: each still gets its answer.
    assert_eq!(rig.feed(&suback(1, &[1])), ["SUBACK #1 a=1"]);
    assert_eq!(rig.feed(&suback(1, &[1])), ["UNASKED SUBACK #1"]);
    assert_eq!(rig.feed(&puback(2)), ["PUBACK #2 token 1 m"]);
    rig.s.unsubscribe("a");
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #3 a"]);
    assert_eq!(rig.feed(&suback(3, &[0])), ["UNASKED SUBACK #3"]);
    assert_eq!(rig.feed(&unsuback(3)), ["UNSUBACK #3"]);
    assert_eq!(rig.feed(&unsuback(3)), ["UNASKED UNSUBACK #3"]);
}

/// field: F-17
///
/// Filters that came and went while there was no connection: a server that kept the session may have each from an
/// earlier process, and is told once; one whose session is clean has none, and nothing is left of them.
#[test]
fn what_is_left_of_filters_that_came_and_went_offline() {
    for keep_session in [false, true] {
        let mut rig = Rig::new(Limits { keep_session, ..Limits::default() });
        for _ in 0..3 {
            for n in 0..1_000 {
                rig.s.subscribe(format!("{n}").into(), Q0);
                assert!(rig.s.unsubscribe(&format!("{n}")));
            }
        }
        rig.connect.clean_session = !keep_session;
        let left = rig.s.subscriptions.left();
        // Without a connection between the last one and the end there is nothing to be told, either.
        let told: Vec<String> = rig.up(keep_session);
        if keep_session {
            assert_eq!(left, 1_000);
            let filters = told.iter().flat_map(|packet| packet.split(' ').skip(2)).count();
            assert_eq!(filters, 64 * 8, "the first of them");
        } else {
            assert_eq!((left, told), (0, vec![]));
        }
    }
}

/// The same while there is a connection: what the server was never asked for, it need not be told of.
#[test]
fn a_filter_that_did_not_leave_is_forgotten() {
    let mut rig = Rig::connected();
    for n in 0..64 {
        rig.s.subscribe(format!("{n}").into(), Q0);
    }
    rig.sent();
    // There are as many in flight as may be.
    subscribe(&mut rig, &["f"]);
    rig.s.desire("f".into(), Q1, ticket(1, 0));
    assert!(rig.s.withdraw("f", ticket(2, 0)));
    let answers: Vec<_> = core::iter::from_fn(|| rig.s.take_answer()).collect();
    let expected = [(ticket(1, 0).unwrap(), Answer::Superseded), (ticket(2, 0).unwrap(), Answer::Code(0))];
    assert_eq!(answers, expected);
    for n in 0..64 {
        rig.feed(&suback(n + 1, &[0]));
    }
    assert_eq!(rig.sent(), Vec::<String>::new());
    // What was asked for is taken back, even if it was asked for anew meanwhile.
    subscribe(&mut rig, &["0"]);
    rig.sent();
    assert!(rig.s.unsubscribe("0"));
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #66 0"]);
}

/// Some servers never answer a SUBSCRIBE to what they do not like. Who waits for that has an answer in time, the
/// connection stays, and what is behind is not held up.
#[test]
fn an_answer_that_does_not_come_in_time() {
    const LIMIT: Span = Span::secs(5);
    let limits = Limits { ack_timeout: LIMIT, ..Limits::default() };
    let mut rig = Rig::connected_with(limits);
    let answers = |rig: &mut Rig| -> Vec<_> { core::iter::from_fn(|| rig.s.take_answer()).collect() };
    let call = |n, answer| (ticket(n, 0).unwrap(), answer);
    assert_eq!(rig.s.expiry(), None);
    rig.s.desire("$SYS/#".into(), Q0, ticket(1, 0));
    rig.s.flush_subscriptions();
    let first = rig.now + LIMIT;
    assert!(rig.s.expiry().is_some_and(|at| at < first));
    let second = rig.now + Span::secs(1);
    assert_eq!(rig.look_until(second, |_| None), []);
    rig.s.desire("b".into(), Q0, ticket(2, 0));
    rig.s.withdraw("b", ticket(3, 0));
    rig.s.desire("c".into(), Q0, ticket(4, 0));
    rig.s.flush_subscriptions();
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 $SYS/#:0", "SUBSCRIBE #2 c:0"]);
    rig.feed(&suback(2, &[0]));
    let expected = [call(2, Answer::Superseded), call(3, Answer::Code(0)), call(4, Answer::Code(0))];
    assert_eq!(answers(&mut rig), expected);
    assert_eq!(rig.look_until(first, |_| None), []);
    assert_eq!(answers(&mut rig), []);
    let overdue = rig.look_until(first + LIMIT, |_| None);
    assert_eq!(overdue.len(), 1);
    assert_eq!((overdue[0].1.filters, overdue[0].1.filter.as_deref()), (1, Some("$SYS/#")));
    // It was not written before the look at 1.25 s.
    assert!(overdue[0].0.0 <= LIMIT.0 / 4);
    assert_eq!((answers(&mut rig), rig.s.expiry()), (vec![call(1, Answer::TimedOut)], None));
    assert!(rig.s.is_up());
    // A late answer still counts, and its id was not given to anything else.
    assert_eq!(rig.s.pending_subscriptions(), 1);
    assert_eq!(rig.feed(&suback(1, &[0])), ["SUBACK #1 $SYS/#=0"]);
    assert_eq!((answers(&mut rig), rig.s.pending_subscriptions()), (vec![], 0));
    // UNSUBSCRIBE as well; and its answer on the next connection is nobody's any more.
    rig.s.withdraw("c", ticket(5, 0));
    rig.s.flush_subscriptions();
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #3 c"]);
    let by = rig.now + Span::secs(10);
    assert_eq!(rig.look_until(by, |_| None).len(), 1);
    assert_eq!(answers(&mut rig), [call(5, Answer::TimedOut)]);
    assert_eq!(rig.again(true), ["UNSUBSCRIBE #4 c", "SUBSCRIBE #5 $SYS/#:0"]);
    rig.feed(&unsuback(4));
    assert_eq!(answers(&mut rig), []);
    // As many as may wait do not hold up those behind for ever.
    for n in 0..65 {
        rig.s.subscribe(format!("{n}").into(), Q0);
    }
    assert_eq!(rig.sent().len(), 63);
    let by = rig.now + Span::secs(10);
    assert_eq!(rig.look_until(by, |_| None)[0].1.filters, 64);
    assert_eq!(rig.sent(), ["SUBSCRIBE #69 63:0 64:0"]);
}

/// A filter of an earlier process, in a session that the server kept.
#[test]
fn a_filter_that_was_never_wanted_here_is_taken_back_from_a_kept_session() {
    // While there is no connection.
    let mut rig = Rig::new(Limits::default());
    assert!(rig.s.withdraw("old", ticket(1, 0)) && rig.s.unsubscribe("old"));
    assert_eq!(rig.up(true), ["UNSUBSCRIBE #1 old"]);
    rig.feed(&unsuback(1));
    assert_eq!(rig.s.take_answer(), Some((ticket(1, 0).unwrap(), Answer::Code(0))));
    // While there is one.
    assert!(rig.s.unsubscribe("older"));
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #2 older"]);
    // A new session has none, and neither has the next one, if it is to be clean.
    rig.again(false);
    assert!(!rig.s.unsubscribe("old"));
    rig.down();
    rig.s.set_limits(Limits { keep_session: false, ..Limits::default() });
    assert!(!rig.s.unsubscribe("old") && !rig.s.withdraw("old", ticket(2, 0)));
    assert_eq!(rig.s.take_answer(), None);
}

/// Coming and going while there is no connection leaves nothing behind.
#[test]
fn churn_leaves_no_trace() {
    let mut rig = Rig::new(Limits::default());
    subscribe(&mut rig, &["stays"]);
    for n in 0..10_000 {
        subscribe(&mut rig, &["comes and goes"]);
        assert_eq!(rig.s.pending_subscriptions(), 2, "{n}");
        rig.s.unsubscribe("comes and goes");
    }
    assert_eq!(rig.s.pending_subscriptions(), 1);
    assert_eq!(rig.up(false), ["SUBSCRIBE #1 stays:1"]);
    // While up, and with the bound of 64 reached.
    for n in 0..64 {
        rig.s.subscribe(format!("{n}").into(), Q0);
    }
    for _ in 0..1_000 {
        subscribe(&mut rig, &["comes and goes"]);
        rig.s.unsubscribe("comes and goes");
    }
    rig.sent();
    rig.feed(&suback(1, &[1]));
    assert!(rig.sent().len() <= 1);
}

fn ticket(call: u64, place: u32) -> Option<Ticket> {
    Some(Ticket { call, place })
}

fn answers(rig: &mut Rig) -> Vec<String> {
    std::iter::from_fn(|| rig.s.take_answer())
        .map(|(ticket, answer)| format!("{}.{} {answer:?}", ticket.call, ticket.place))
        .collect()
}

#[test]
fn who_waits_no_more_leaves_no_ticket() {
    let mut rig = Rig::new(Limits::default());
    for call in 1..=1000 {
        rig.s.desire("a".into(), Q1, ticket(call, 0));
        rig.s.desire("b".into(), Q1, ticket(call, 1));
        if call != 500 {
            rig.s.forget_call(call);
        }
    }
    assert_eq!(rig.up(false), ["SUBSCRIBE #1 a:1 b:1"]);
    rig.feed(&suback(1, &[1, 0]));
    assert_eq!(answers(&mut rig), ["500.0 Code(1)", "500.1 Code(0)"]);
    assert!(rig.s.withdraw("a", ticket(2000, 0)));
    rig.s.flush_subscriptions();
    rig.s.forget_call(2000);
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #2 a"]);
    rig.feed(&unsuback(2));
    // That one was on its way.
    assert_eq!(answers(&mut rig), ["2000.0 Code(0)"]);
}

#[test]
fn tickets_wait_for_the_answer_to_their_own_question() {
    let mut rig = Rig::connected();
    rig.s.desire("a".into(), Q1, ticket(1, 0));
    rig.s.desire("b".into(), Q0, ticket(1, 1));
    rig.s.flush_subscriptions();
    // The same filter again while the first question is open: a question, and an answer, of its own.
    rig.s.desire("a".into(), Q2, ticket(2, 0));
    rig.s.desire("a".into(), Q2, ticket(3, 0));
    rig.s.flush_subscriptions();
    assert_eq!(rig.sent(), ["SUBSCRIBE #1 a:1 b:0", "SUBSCRIBE #2 a:2"]);
    assert_eq!(answers(&mut rig), [""; 0]);
    rig.feed(&suback(1, &[1, 0x80]));
    assert_eq!(answers(&mut rig), ["1.0 Code(1)", "1.1 Code(128)"]);
    rig.feed(&suback(2, &[2]));
    assert_eq!(answers(&mut rig), ["2.0 Code(2)", "3.0 Code(2)"]);
    assert!(rig.s.withdraw("a", ticket(4, 0)));
    assert!(rig.s.withdraw("b", ticket(4, 1)));
    rig.s.flush_subscriptions();
    assert_eq!(rig.sent(), ["UNSUBSCRIBE #3 a b"]);
    rig.feed(&unsuback_of(3, 2));
    assert_eq!(answers(&mut rig), ["4.0 Code(0)", "4.1 Code(0)"]);
}

#[test]
fn a_lost_link_asks_again_for_those_who_wait() {
    let mut rig = Rig::connected_with(only_when_lost());
    rig.s.desire("a".into(), Q1, ticket(1, 0));
    rig.s.desire("b".into(), Q1, ticket(1, 1));
    rig.s.desire("c".into(), Q1, ticket(1, 2));
    rig.s.flush_subscriptions();
    rig.sent();
    rig.feed(&suback(1, &[1, 1, 1]));
    assert_eq!(answers(&mut rig).len(), 3);
    rig.s.desire("a".into(), Q1, ticket(2, 0));
    rig.s.withdraw("b", ticket(3, 0));
    rig.s.flush_subscriptions();
    rig.sent();
    rig.s.closed();
    assert_eq!(answers(&mut rig), [""; 0]);
    assert_eq!(rig.again(true), ["UNSUBSCRIBE #4 b", "SUBSCRIBE #5 a:1"]);
    rig.feed(&suback(5, &[1]));
    rig.feed(&unsuback(4));
    assert_eq!(answers(&mut rig), ["2.0 Code(1)", "3.0 Code(0)"]);
    // A server without a session has nothing to be taken back.
    rig.s.withdraw("c", ticket(4, 0));
    rig.s.flush_subscriptions();
    rig.sent();
    assert_eq!(rig.again(false), ["SUBSCRIBE #7 a:1"]);
    assert_eq!(answers(&mut rig), ["4.0 Code(0)"]);
}

#[test]
fn what_is_taken_back_before_it_was_asked_ends_at_once() {
    let mut rig = Rig::new(Limits::default());
    rig.s.desire("a".into(), Q1, ticket(1, 0));
    assert!(rig.s.withdraw("a", ticket(2, 0)));
    assert_eq!(answers(&mut rig), ["1.0 Superseded"]);
    rig.s.desire("a".into(), Q1, ticket(3, 0));
    assert_eq!(answers(&mut rig), ["2.0 Superseded"]);
    assert_eq!(rig.up(false), ["SUBSCRIBE #1 a:1"]);
    // Asked already: the answer comes, unless the link is lost before.
    rig.s.withdraw("a", ticket(4, 0));
    rig.s.flush_subscriptions();
    rig.s.desire("a".into(), Q1, ticket(5, 0));
    rig.s.flush_subscriptions();
    assert_eq!(answers(&mut rig), [""; 0]);
    rig.s.withdraw("a", ticket(6, 0));
    rig.s.flush_subscriptions();
    rig.s.closed();
    assert_eq!(answers(&mut rig), ["3.0 Superseded", "5.0 Superseded"]);
    rig.s.abandon();
    let mut last = answers(&mut rig);
    last.sort();
    assert_eq!(last, ["4.0 Abandoned", "6.0 Abandoned"]);
}
