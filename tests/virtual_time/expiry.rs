//! Messages that expire: through the client, with a clock that the test moves.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::{Outcome, Publication};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

const START: Time = Time(1_000_000_000);
const CONNACK: &[u8] = b"\x20\x02\0\0";

/// Drives the loop until `done`; what is waited for comes from this host.
#[track_caller]
fn until(driver: &Loop, mut done: impl FnMut() -> bool) {
    assert!((0..30_000).any(|_| {
        driver.poll(Some(Span::millis(1))).unwrap();
        done()
    }));
}

/// Its time is over when the loop looks again, and CONNACK has come. The loop knows a later deadline only.
#[test]
fn a_message_whose_time_is_over_is_not_sent_when_the_connection_comes_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let now = Arc::new(AtomicU64::new(START.0));
    let clock = now.clone();
    let driver = Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap();
    let server = Some(listener.local_addr().unwrap().to_string());
    let profile = Profile { enable: true, server, ..Profile::default() };
    let context = Arc::new(Context::new(driver.clone()));
    let sources = vec![ProfileSource::Fixed(Arc::new(profile))];
    let conn = Conn::new(context, 1, sources, Settings::default()).unwrap();
    conn.connect().unwrap();

    listener.set_nonblocking(true).unwrap();
    let mut accepted = None;
    until(&driver, || {
        accepted = listener.accept().ok();
        accepted.is_some()
    });
    let (mut stream, _) = accepted.unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut connect = [0; 1_024];
    until(&driver, || matches!(stream.read(&mut connect), Ok(1..)));

    let expires = Some(START + Span::secs(1));
    let message = Publication { expires, ..Publication::new("a", b"", QoS::AtLeastOnce) };
    let token = conn.publish(message).unwrap().token;
    now.store((START + Span::secs(2)).0, SeqCst);
    stream.write_all(CONNACK).unwrap();
    until(&driver, || conn.is_connected());
    assert_eq!(conn.outcome(token), Ok(Some(Outcome::Expired)));
    conn.free(None);
}
