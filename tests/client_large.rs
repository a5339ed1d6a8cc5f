//! Messages larger than the loop's read buffer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::QoS;

/// Calls a closure with each event.
struct Tell<F>(F);

impl<F: Fn(&Conn, &Event<'_>) + Send + Sync> Callback<Conn> for Tell<F> {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        (self.0)(conn, event);
    }
}

/// A connected client, and the server's end of its link.
fn connected(
    recv_limit: usize,
    on: impl Fn(&Conn, &Event<'_>) + Send + Sync + 'static,
) -> (Loop, Arc<Conn>, std::net::TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let profile = Profile {
        enable: true,
        server: Some(listener.local_addr().unwrap().to_string()),
        recv_limit,
        ..Profile::default()
    };
    let driver = Loop::new(Clock::monotonic()).unwrap();
    let context = Arc::new(Context::new(driver.clone()));
    let profiles = vec![ProfileSource::Fixed(Arc::new(profile))];
    let conn = Conn::new(context, 1, profiles, Settings::default()).unwrap();
    let kinds = [Kind::Message, Kind::Oversize, Kind::Close].map(Kind::bit).iter().sum();
    conn.add_handler(Identity(1, 1), kinds, Box::new(Tell(on))).unwrap();
    conn.connect().unwrap();
    let server = std::thread::spawn(move || {
        let (mut link, _) = listener.accept().unwrap();
        let mut header = [0; 2];
        link.read_exact(&mut header).unwrap();
        link.read_exact(&mut vec![0; usize::from(header[1])]).unwrap();
        link.write_all(b"\x20\x02\0\0").unwrap();
        link
    });
    until(&driver, || conn.is_connected());
    (driver, conn, server.join().unwrap())
}

#[track_caller]
fn until(driver: &Loop, mut done: impl FnMut() -> bool) {
    let end = driver.now() + Span::secs(20);
    assert!(driver.wait(Some(end), &mut done).unwrap(), "in vain");
}

/// A QoS 0 PUBLISH with `len` bytes of payload.
fn publish(len: usize) -> Vec<u8> {
    let mut bytes = vec![0x30];
    let mut remaining = len + 3;
    while remaining >= 0x80 {
        bytes.push((remaining & 0x7f) as u8 | 0x80);
        remaining >>= 7;
    }
    bytes.push(remaining as u8);
    bytes.extend_from_slice(b"\0\x01t");
    bytes.extend((0..len).map(|n| (n % 251) as u8));
    bytes
}

/// The limit is lowered while a message is on its way in: it is skipped like any other that is too large,
/// and the link lives.
#[test]
fn a_limit_lowered_in_the_middle() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let (driver, conn, mut link) = connected(4 << 20, move |_, event| {
        log.lock().unwrap().push(match event {
            Event::Message(message) => format!("message {}", message.payload.len()),
            Event::Oversize { size, .. } => format!("oversize {size}"),
            other => format!("{other:?}"),
        });
    });
    let bytes = publish(1 << 20);
    // More than the read buffer, and less than all of it.
    let (first, rest) = bytes.split_at(400_000);
    link.write_all(first).unwrap();
    // The loop reads as long as there is something to be read, and then would sleep.
    let idle = Arc::new(AtomicUsize::new(0));
    while idle.fetch_add(1, SeqCst) < 20 {
        driver.poll(Some(Span::millis(1))).unwrap();
    }
    conn.set_receive_limit(1_000).unwrap();
    let rest = rest.to_vec();
    let sender = std::thread::spawn(move || {
        link.write_all(&rest).unwrap();
        link.write_all(&publish(5)).unwrap();
        link
    });
    until(&driver, || seen.lock().unwrap().len() >= 2);
    assert_eq!(*seen.lock().unwrap(), ["oversize 1048576", "message 5"]);
    drop(sender.join().unwrap());
    conn.free(None);
}

/// A whole one, byte for byte.
#[test]
fn a_large_message_arrives_unchanged() {
    let good = Arc::new(AtomicBool::new(false));
    let noted = good.clone();
    let (driver, conn, mut link) = connected(64 << 20, move |_, event| {
        if let Event::Message(message) = event {
            let right = message.payload.iter().enumerate().all(|(n, byte)| *byte == (n % 251) as u8);
            noted.store(right && message.payload.len() == 20 << 20, SeqCst);
        }
    });
    let sender = std::thread::spawn(move || {
        link.write_all(&publish(20 << 20)).unwrap();
        link
    });
    until(&driver, || good.load(SeqCst));
    drop(sender.join().unwrap());
    conn.free(None);
}

/// A server that sends and sends has the loop for a while, and then others get their turn.
#[test]
fn a_round_reads_only_so_much() {
    let messages = Arc::new(AtomicUsize::new(0));
    let counted = messages.clone();
    let (driver, conn, mut link) = connected(64 << 20, move |_, event| {
        if let Event::Message(_) = event {
            counted.fetch_add(1, SeqCst);
        }
    });
    let sender = std::thread::spawn(move || {
        // Both larger and smaller than the read buffer.
        let small: Vec<u8> = (0..100).flat_map(|_| publish(20_000)).collect();
        link.write_all(&publish(6 << 20)).unwrap();
        link.write_all(&small).unwrap();
        link
    });
    let (mut before, mut most) = (conn.stats().rx_bytes, 0);
    until(&driver, || {
        let after = conn.stats().rx_bytes;
        most = most.max(after - before);
        before = after;
        messages.load(SeqCst) == 101
    });
    assert!(most <= 512 << 10, "{most} bytes in one round");
    drop(sender.join().unwrap());
    conn.free(None);
}

/// A small stack is enough for topics and filters of as many levels as there can be: what is subscribed, told, taken back and
/// dropped at the end.
///
/// field: F-16
#[test]
fn a_small_stack_is_enough_for_filters_of_any_depth() {
    let work = || {
        let told = Arc::new(AtomicUsize::new(0));
        let (driver, conn, mut link) = connected(4 << 20, |_, _| {});
        let deepest = vec!["+"; 0x8000].join("/");
        let filters =
            [deepest.clone(), vec!["a"; 0x7fff].join("/") + "/+", vec!["+"; 0x4000].join("/") + "/#"];
        for filter in &filters {
            let told = told.clone();
            let count = Tell(move |_: &Conn, _: &Event<'_>| {
                told.fetch_add(1, SeqCst);
            });
            let kinds = Kind::Message.bit();
            conn.subscribe(filter, QoS::AtMostOnce, Identity(2, 2), kinds, Box::new(count)).unwrap();
        }
        for (levels, expected) in [(0x8000, 3), (0x7fff, 4), (0x4000, 5), (1, 5), (0x8000, 8)] {
            let topic = vec!["a"; levels].join("/");
            let mut packet = vec![0x30];
            let mut remaining = 2 + topic.len();
            while remaining >= 0x80 {
                packet.push((remaining & 0x7f) as u8 | 0x80);
                remaining >>= 7;
            }
            packet.push(remaining as u8);
            packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            packet.extend_from_slice(topic.as_bytes());
            link.write_all(&packet).unwrap();
            link.write_all(&publish(1)).unwrap();
            let before = conn.stats().counts.rx_messages;
            until(&driver, || conn.stats().counts.rx_messages == before + 2);
            assert_eq!(told.load(SeqCst), expected, "{levels} levels");
        }
        assert_eq!(conn.unsubscribe(&deepest, None), Ok(true));
        conn.free(None);
        driver.close().unwrap();
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(work).unwrap().join().unwrap();
}
