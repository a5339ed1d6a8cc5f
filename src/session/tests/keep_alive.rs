//! Keep-alive in virtual time.

use super::*;

const MICRO: Span = Span(1);

/// A connection with this keep-alive and a reply time of ten seconds.
fn kept_alive(seconds: u16) -> Rig {
    let mut rig = Rig::new(Limits::default());
    rig.connect.keep_alive = seconds;
    rig.up(false);
    rig
}

/// Lets the time pass to the next deadline, and does what is due then.
#[track_caller]
fn due(rig: &mut Rig) -> Result<Vec<String>, Code> {
    let at = rig.s.deadline().expect("a deadline");
    assert!(at > rig.now, "a deadline in the past would be spun on");
    let early = Time(at.0 - 1);
    assert_eq!(rig.s.timeout(early, None), Ok(()), "nothing is due early");
    assert!(rig.s.output().is_empty());
    rig.now = at;
    rig.s.timeout(at, None).map_err(|f| f.code)?;
    Ok(rig.sent())
}

/// mqtt3: MQTT-3.1.2-23
/// mqtt5: MQTT-3.1.2-20
#[test]
fn one_ping_for_each_quiet_interval() {
    let mut rig = kept_alive(60);
    let start = rig.now;
    for n in 1..=100_u64 {
        assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
        assert_eq!(rig.now, start + Span::secs(60 * n));
        // Looking again changes nothing.
        assert_eq!(rig.s.timeout(rig.now, None), Ok(()));
        assert_eq!(rig.sent(), Vec::<String>::new());
        rig.feed(&pingresp());
    }
}

#[test]
fn either_direction_that_is_quiet_needs_a_ping() {
    // Only sending: a dead link would swallow it all.
    let mut rig = kept_alive(60);
    let start = rig.now;
    for _ in 0..59 {
        rig.pass(Span::secs(1));
        rig.must(Q0, "t");
        rig.sent();
        assert_eq!(rig.s.timeout(rig.now, None), Ok(()));
    }
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    assert_eq!(rig.now, start + Span::secs(60));

    // Only receiving: the server must hear of us.
    let mut rig = kept_alive(60);
    let start = rig.now;
    for _ in 0..59 {
        rig.pass(Span::secs(1));
        rig.feed(&publish(Q0, 0, false, "t", b""));
        assert_eq!(rig.s.timeout(rig.now, None), Ok(()));
    }
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    assert_eq!(rig.now, start + Span::secs(60));
}

#[test]
fn traffic_both_ways_makes_pings_needless() {
    let mut rig = kept_alive(10);
    for _ in 0..1_000 {
        rig.pass(Span::secs(9));
        rig.must(Q1, "t");
        rig.sent();
        let id = rig.s.next_packet_id().unwrap().wrapping_sub(1);
        rig.feed(&puback(id));
        while rig.s.deadline().unwrap() <= rig.now {
            rig.s.timeout(rig.now, None).unwrap();
        }
        assert_eq!(rig.sent(), Vec::<String>::new());
    }
}

#[test]
fn an_answer_that_does_not_come() {
    let mut rig = kept_alive(60);
    due(&mut rig).unwrap();
    let by = rig.now + Span::secs(10);
    assert_eq!(rig.s.deadline(), Some(by));
    assert_eq!(due(&mut rig), Err(Code::KeepAliveTimeout));
    assert_eq!(rig.now, by);
}

/// What comes meanwhile shows that the server lives; but the answer is still owed.
#[test]
fn other_bytes_show_life_but_are_not_the_answer() {
    let mut rig = kept_alive(60);
    due(&mut rig).unwrap();
    rig.pass(Span::secs(4));
    rig.feed(&publish(Q0, 0, false, "t", b""));
    let life = rig.now;
    assert_eq!(due(&mut rig), Ok(vec![]));
    assert_eq!(rig.s.deadline(), Some(life + Span::secs(10)));
    assert_eq!(due(&mut rig), Err(Code::KeepAliveTimeout));
    assert_eq!(rig.now, life + Span::secs(10));
}

/// A PINGREQ behind a megabyte that leaves slowly: as long as bytes move, the server is not dead.
#[test]
fn a_large_message_on_its_way_out() {
    let mut rig = kept_alive(60);
    rig.publish(Q0, "t", &[b'x'; 500_000]).unwrap();
    // 2,000 bytes each five seconds.
    let mut pings = 0;
    while !rig.s.output().is_empty() {
        rig.pass(Span::secs(5));
        rig.take(2_000);
        while rig.s.deadline().unwrap() <= rig.now {
            let before = rig.s.output().end();
            rig.s.timeout(rig.now, None).unwrap();
            pings += usize::from(rig.s.output().end() > before);
        }
    }
    assert_eq!(pings, 1);
    // The ping has left just now; from here on its answer is owed.
    let left = rig.now;
    rig.pass(Span::secs(10));
    assert!(rig.s.deadline().unwrap() <= rig.now);
    assert_eq!(rig.s.timeout(Time(left.0 + 9_999_999), None), Ok(()));
    assert_eq!(rig.s.timeout(rig.now, None).unwrap_err().code, Code::KeepAliveTimeout);
}

/// A socket that takes nothing any more is dead, even though the PINGREQ never left.
#[test]
fn a_stuck_socket() {
    let mut rig = kept_alive(60);
    rig.publish(Q0, "t", &[b'x'; 5_000]).unwrap();
    rig.take(1_000);
    rig.pass(Span::secs(60));
    rig.s.timeout(rig.now, None).unwrap();
    rig.pass(Span::secs(10));
    assert_eq!(rig.s.timeout(rig.now, None).unwrap_err().code, Code::KeepAliveTimeout);
}

/// PINGRESP behind a message that takes minutes to arrive.
#[test]
fn a_large_message_on_its_way_in() {
    let mut rig = kept_alive(60);
    due(&mut rig).unwrap();
    for _ in 0..50 {
        rig.pass(Span::secs(9));
        rig.s.received(rig.now);
        if rig.s.deadline().unwrap() <= rig.now {
            rig.s.timeout(rig.now, None).unwrap();
        }
    }
    rig.feed(&pingresp());
    // Only our own silence counts now, and it is overdue.
    rig.s.timeout(rig.now, None).unwrap();
    assert_eq!(rig.sent(), ["PINGREQ"]);
}

#[test]
fn zero_is_off() {
    let mut rig = kept_alive(0);
    assert_eq!(rig.s.deadline(), None);
    rig.pass(Span::secs(1_000_000));
    assert_eq!(rig.s.timeout(rig.now, None), Ok(()));
    assert_eq!(rig.sent(), Vec::<String>::new());
    // A ping of the application goes out, and nothing hangs on its answer.
    rig.s.raw_ping(rig.now).unwrap();
    assert_eq!(rig.sent(), ["PINGREQ"]);
    assert_eq!(rig.s.deadline(), None);
    assert_eq!(rig.feed(&pingresp()), ["PINGRESP"]);
}

#[test]
fn a_ping_of_the_application_is_watched() {
    let mut rig = kept_alive(60);
    rig.pass(Span::secs(5));
    rig.s.raw_ping(rig.now).unwrap();
    assert_eq!(rig.sent(), ["PINGREQ"]);
    assert_eq!(rig.s.deadline(), Some(rig.now + Span::secs(10)));
    assert_eq!(due(&mut rig), Err(Code::KeepAliveTimeout));
}

#[test]
fn an_answer_nobody_asked_for() {
    let mut rig = kept_alive(60);
    rig.pass(Span::secs(5));
    assert_eq!(rig.feed(&pingresp()), ["PINGRESP"]);
    // Our side has been silent since the start.
    assert_eq!(rig.s.deadline(), Some(rig.now + Span::secs(55)));
}

/// A reply time of zero is without limit.
#[test]
fn an_answer_after_the_disconnect() {
    let mut rig = kept_alive(60);
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    rig.s.disconnect();
    assert_eq!(rig.sent(), ["DISCONNECT"]);
    rig.feed(&pingresp());
    // Nothing may follow DISCONNECT (MQTT 3.1.1 §3.14.4), so nothing is due.
    assert_eq!(rig.s.deadline(), None);
    rig.pass(Span::secs(600));
    assert_eq!(rig.s.timeout(rig.now, None), Ok(()));
    assert_eq!(rig.sent(), Vec::<String>::new());
}

#[test]
fn without_a_limit_for_the_answer() {
    let mut rig = Rig::new(Limits::default());
    rig.s.opened(rig.now, Span::secs(10), None);
    let connect = rig.connect;
    rig.s.connect(&connect, Span::ZERO).unwrap();
    rig.sent();
    rig.feed(&connack(false, 0));
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    rig.pass(Span::secs(100_000));
    assert_eq!(rig.s.deadline(), None);
    assert_eq!(rig.s.timeout(rig.now, None), Ok(()));
    rig.feed(&pingresp());
    assert!(rig.s.deadline().is_some());
}

#[test]
fn each_connection_counts_anew() {
    let mut rig = kept_alive(60);
    due(&mut rig).unwrap();
    rig.down();
    assert_eq!(rig.s.deadline(), None);
    rig.pass(Span::secs(500));
    rig.connect.keep_alive = 7;
    rig.up(true);
    assert_eq!(rig.s.deadline(), Some(rig.now + Span::secs(7)));
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    rig.pass(MICRO);
    rig.s.disconnect();
    assert_eq!(rig.s.deadline(), None);
}

/// After suspend, or a host that did not look for long: one ping, not one for each interval missed.
#[test]
fn after_a_long_sleep_one_ping() {
    let mut rig = kept_alive(60);
    rig.pass(Span::secs(100_000));
    rig.s.timeout(rig.now, None).unwrap();
    assert_eq!(rig.sent(), ["PINGREQ"]);
    assert_eq!(rig.s.deadline(), Some(rig.now + Span::secs(10)));
}

/// A connection that finds out how long the path stays open, after the first PINGREQ, sent after `quiet`, has no answer.
fn path_after(quiet: Span) -> Rig {
    let mut rig = Rig::new(Limits { adaptive_keep_alive: true, ..Limits::default() });
    rig.connect.keep_alive = 60;
    rig.up(false);
    rig.pass(quiet);
    rig.s.timeout(rig.now, None).unwrap();
    assert_eq!(rig.sent(), ["PINGREQ"]);
    rig.pass(Span::secs(10));
    assert_eq!(rig.s.timeout(rig.now, None).unwrap_err().code, Code::KeepAliveTimeout);
    rig.again(true);
    rig
}

/// The answer to a question comes a round trip after it, and so much shorter is the silence.
#[test]
fn a_round_trip_does_not_keep_the_path_from_being_found() {
    let mut rig = path_after(Span::secs(60));
    assert_eq!(rig.s.found_path(), Some(30));
    for _ in 0..3 {
        assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
        rig.pass(Span::millis(200));
        rig.feed(&pingresp());
    }
    // Three answers in a row after 30 s: half way to the 60 s after which none came.
    let (asked, answered) = (Span::millis(200), rig.now);
    assert_eq!(rig.s.deadline().unwrap() + asked, answered + Span::secs(45));
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    rig.down();
    rig.up(true);
    assert_eq!(rig.s.found_path(), Some(30), "it was open for 30 s, and not for 45 s");
}

/// A host that slept for an hour says nothing about how long the path is open.
#[test]
fn a_long_sleep_says_nothing_about_the_path() {
    let mut rig = path_after(Span::secs(3600));
    assert_eq!(rig.s.found_path(), None);
    assert_eq!(rig.s.deadline(), Some(rig.now + Span::secs(60)));
}

/// Nor does a PINGREQ of the application, sent in the midst of traffic.
#[test]
fn a_ping_of_the_application_says_nothing_about_the_path() {
    let mut rig = Rig::new(Limits { adaptive_keep_alive: true, ..Limits::default() });
    rig.connect.keep_alive = 60;
    rig.up(false);
    assert_eq!(due(&mut rig), Ok(vec!["PINGREQ".into()]));
    rig.feed(&pingresp());
    rig.pass(Span::secs(1));
    rig.s.raw_ping(rig.now).unwrap();
    rig.sent();
    rig.again(true);
    assert_eq!(rig.s.found_path(), None);
    assert_eq!(rig.s.deadline(), Some(rig.now + Span::secs(60)));
}
