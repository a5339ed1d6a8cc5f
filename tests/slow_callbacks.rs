//! Many slow callbacks of every kind: nothing that is due waits for more than a few of them.
//!
//! Time is virtual: a callback is slow by moving the clock. Only the sockets are real. So a round of the loop is one call,
//! and what it may run is a count.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mgos_mqtt::client::{
    Callback, Conn, Context, Event, Identity, Kind, Level, Listener, ProfileSource, Sink, Subscriber,
};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

/// So many callbacks run before the first look at the clock, at most; and then, one at a time.
const FIRST: usize = 16;
/// Until something has come that is on its way.
const PATIENCE: Duration = Duration::from_secs(30);

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

/// What all callbacks of a test share.
struct World {
    now: AtomicU64,
    /// How long a callback takes, in microseconds.
    slow: AtomicU64,
    ran: AtomicUsize,
    log: Mutex<Vec<String>>,
}

impl World {
    /// What every slow callback does.
    fn callback(&self, what: &str) {
        self.ran.fetch_add(1, SeqCst);
        self.now.fetch_add(self.slow.load(SeqCst), SeqCst);
        self.log.lock().unwrap().push(what.to_owned());
    }
}

struct Slow {
    world: Arc<World>,
    refuses: bool,
}

impl Callback<Conn> for Slow {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        let what = match event {
            Event::Message(message) => {
                if self.refuses && message.attempt == 1 {
                    conn.refuse(1).unwrap();
                    return;
                }
                String::from_utf8_lossy(message.payload).into_owned()
            }
            Event::SubAck { filter, .. } => filter.unwrap_or("?").to_owned(),
            _ => String::new(),
        };
        self.world.callback(&what);
    }
}

impl Sink for Slow {
    fn log(&self, _: Level, _: i32, text: &str) {
        self.world.callback(text);
    }
}

/// A connection, with its server.
struct Peer {
    conn: Arc<Conn>,
    link: TcpStream,
    got: Vec<u8>,
}

struct Rig {
    world: Arc<World>,
    driver: Loop,
    context: Arc<Context>,
}

fn rig() -> Rig {
    let world = Arc::new(World {
        now: AtomicU64::new(77_000_000_000),
        slow: AtomicU64::new(0),
        ran: AtomicUsize::new(0),
        log: Mutex::default(),
    });
    let clock = world.clone();
    let driver = Loop::new(Clock::from_fn(move || Time(clock.now.load(SeqCst)))).unwrap();
    let context = Arc::new(Context::new(driver.clone()));
    Rig { world, driver, context }
}

impl Rig {
    fn poll(&self) {
        self.driver.poll(Some(Span::ZERO)).unwrap();
    }

    #[track_caller]
    fn until(&self, mut done: impl FnMut() -> bool) {
        for _ in 0..4_000 {
            if done() {
                return;
            }
            self.driver.poll(Some(Span::millis(5))).unwrap();
        }
        panic!("in vain");
    }

    fn slow(&self) -> Box<Slow> {
        Box::new(Slow { world: self.world.clone(), refuses: false })
    }

    /// A connection that is up.
    fn peer(&self, keep_alive: u16, settings: Settings) -> Peer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Some(listener.local_addr().unwrap().to_string());
        let profile = Profile { enable: true, server, keep_alive, ..Profile::default() };
        let profiles = vec![ProfileSource::Fixed(Arc::new(profile))];
        let conn = Conn::new(self.context.clone(), 1, profiles, settings).unwrap();
        conn.connect().unwrap();
        self.poll();
        let (mut link, _) = listener.accept().unwrap();
        link.set_nonblocking(true).unwrap();
        let mut got = Vec::new();
        self.until(|| {
            read(&mut link, &mut got);
            got.len() >= 2 && got.len() == 2 + usize::from(got[1])
        });
        link.write_all(b"\x20\x02\0\0").unwrap();
        self.until(|| conn.is_connected() && self.driver.next_timeout() != Some(Span::ZERO));
        Peer { conn, link, got: Vec::new() }
    }

    /// Lets rounds of the loop pass until `all` slow callbacks have run. `between` is called after each.
    #[track_caller]
    fn run(&self, all: usize, mut between: impl FnMut(usize)) {
        self.world.slow.store(10_000, SeqCst);
        let before = self.world.ran.load(SeqCst);
        let (mut seen, mut first) = (0, true);
        let mut rounds = 0;
        let until = Instant::now() + PATIENCE;
        while rounds < 10 * all && Instant::now() < until {
            self.poll();
            let ran = self.world.ran.load(SeqCst) - before;
            if ran == 0 {
                // The kernel takes its time.
                thread::yield_now();
                continue;
            }
            rounds += 1;
            let most = if first { FIRST } else { 1 };
            assert!(ran - seen <= most, "{} slow callbacks in one round, after {seen}", ran - seen);
            first &= ran < FIRST;
            seen = ran;
            between(ran);
            if ran == all {
                self.world.slow.store(0, SeqCst);
                return;
            }
            // Also for a foreign loop it is not over.
            assert!(ran == 0 || self.driver.next_timeout() == Some(Span::ZERO), "with {ran} of {all}");
        }
        panic!("{seen} of {all} callbacks have run");
    }
}

fn read(link: &mut TcpStream, got: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    loop {
        match link.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => got.extend_from_slice(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn publish(topic: &str, id: u16, qos: QoS, payload: &str) -> Vec<u8> {
    let id = if qos == Q0 { vec![] } else { id.to_be_bytes().to_vec() };
    let len = 2 + topic.len() + id.len() + payload.len();
    assert!(len < 128);
    let header = [0x30 | (qos as u8) << 1, len as u8, 0, topic.len() as u8];
    [&header[..], topic.as_bytes(), &id, payload.as_bytes()].concat()
}

impl Peer {
    /// What the client has written since the last call.
    fn written(&mut self) -> Vec<u8> {
        read(&mut self.link, &mut self.got);
        std::mem::take(&mut self.got)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.link.write_all(bytes).unwrap();
    }

    /// Answers a SUBSCRIBE that was just written.
    fn suback(&mut self, rig: &Rig) {
        let mut all = Vec::new();
        rig.until(|| {
            all.extend(self.written());
            all.first() == Some(&0x82)
        });
        self.send(&[0x90, 3, all[2], all[3], 1]);
        rig.until(|| self.conn.pending_subscriptions() == 0);
    }
}

/// Packets of the types `first` to `last` with these ids.
fn acks(kind: u8, ids: impl Iterator<Item = u16>) -> Vec<u8> {
    ids.flat_map(|id| [kind, 2, (id >> 8) as u8, id as u8]).collect()
}

fn settings() -> Settings {
    Settings { in_flight_window: 2_000, ..Settings::default() }
}

/// field: F-01
///
/// A burst of messages. Each is acknowledged before the next handler but those of the first sixteen; a second connection
/// answers a message between two of them; both send PINGREQ on time. No message is lost, doubled or overtaken.
#[test]
fn messages() {
    for qos in [Q0, Q1, Q2] {
        let rig = rig();
        let mut busy = rig.peer(2, settings());
        let mut idle = rig.peer(2, settings());
        busy.conn.subscribe("busy/#", qos, Identity(1, 1), Kind::Message.bit(), rig.slow()).unwrap();
        busy.suback(&rig);
        let answers = Answering { to: idle.conn.clone() };
        idle.conn.subscribe("idle", Q0, Identity(2, 2), Kind::Message.bit(), Box::new(answers)).unwrap();
        idle.suback(&rig);

        const ALL: usize = 800;
        let burst: Vec<u8> =
            (1..=ALL).flat_map(|n| publish("busy/a", n as u16, qos, &format!("{n}"))).collect();
        busy.send(&burst);
        let (mut acked, mut pings, mut asked, mut answered) = (0, 0, 0, 0);
        let mut longest = Span::ZERO;
        let mut last_ping = Time(rig.world.now.load(SeqCst));
        rig.run(ALL, |ran| {
            let now = Time(rig.world.now.load(SeqCst));
            for packet in packets(&busy.written()) {
                match packet[0] {
                    0xc0 => busy.send(b"\xd0\0"),
                    0x40 | 0x50 => acked += 1,
                    other => panic!("{other:#x}"),
                }
            }
            if qos != Q0 {
                assert_eq!(acked, ran, "what was handled is acknowledged before the next handler");
            }
            let written = idle.written();
            for packet in packets(&written) {
                match packet[0] {
                    0xc0 => {
                        pings += 1;
                        longest = longest.max(now.since(last_ping));
                        last_ping = now;
                        idle.send(b"\xd0\0");
                    }
                    0x30 => answered += 1,
                    other => panic!("{other:#x}"),
                }
            }
            // In the second half it has nothing to do but its keep-alive.
            if asked == answered && ran < ALL / 2 {
                last_ping = now;
                idle.send(&publish("idle", 0, Q0, "?"));
                asked += 1;
            }
            if asked > answered {
                // The handlers take no time but the model's; the kernel needs some to bring what was sent.
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(*rig.world.log.lock().unwrap(), (1..=ALL).map(|n| n.to_string()).collect::<Vec<_>>());
        // Most of the time the next round brings the answer; sometimes the kernel takes its time.
        assert!(answered > ALL / 8, "{answered}");
        assert!(
            pings >= 1 && longest <= Span::millis(2_020),
            "{pings} PINGREQs, the longest wait {longest:?}"
        );
        assert!(busy.conn.is_connected() && idle.conn.is_connected());
        assert_eq!(busy.conn.report().text, "");
    }
}

struct Answering {
    to: Arc<Conn>,
}

impl Callback<Conn> for Answering {
    fn call(&self, _: &Conn, _: &Event<'_>) {
        self.to.publish(Publication::new("answer", b"!", Q0)).unwrap();
    }
}

fn packets(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while bytes.len() >= 2 {
        let (packet, rest) = bytes.split_at(2 + usize::from(bytes[1]));
        all.push(packet);
        bytes = rest;
    }
    all
}

/// The keep-alive of the busy connection itself: PINGREQ leaves on time, and its answer, which comes behind all that is still
/// to be told, is waited for as long.
///
/// field: F-01
#[test]
fn the_answer_to_pingreq_behind_a_burst() {
    let rig = rig();
    let mut busy = rig.peer(2, settings());
    busy.conn.subscribe("a", Q0, Identity(1, 1), Kind::Message.bit(), rig.slow()).unwrap();
    busy.suback(&rig);
    const ALL: usize = 1_500;
    busy.send(&(0..ALL).flat_map(|n| publish("a", 0, Q0, &n.to_string())).collect::<Vec<u8>>());
    let start = Time(rig.world.now.load(SeqCst));
    let (mut pings, mut first) = (0, Span::ZERO);
    rig.run(ALL, |_| {
        for packet in packets(&busy.written()) {
            assert_eq!(packet, b"\xc0\0");
            pings += 1;
            if pings == 1 {
                first = Time(rig.world.now.load(SeqCst)).since(start);
                busy.send(b"\xd0\0");
            }
        }
    });
    assert!(busy.conn.is_connected(), "{}", busy.conn.report().text);
    assert_eq!(pings, 1);
    assert!(first <= Span::millis(2_020), "the first PINGREQ after {first:?}");
    // The answer was there; a PINGREQ without one is found out all the same.
    rig.world.now.fetch_add(2_100_000, SeqCst);
    rig.until(|| busy.written() == b"\xc0\0");
    rig.world.now.fetch_add(2_100_000, SeqCst);
    rig.until(|| !busy.conn.is_connected());
}

fn listener(world: &Arc<World>) -> Listener {
    let world = Arc::into_raw(world.clone()).cast_mut().cast();
    Listener::new(
        |_, _, words| {
            WORLD.with_borrow(|world| world.as_ref().unwrap().callback(&format!("{:?}", words[1].addr())))
        },
        [world, std::ptr::null_mut(), std::ptr::null_mut()],
    )
}

thread_local! {
    /// For listeners, which are plain functions.
    static WORLD: std::cell::RefCell<Option<Arc<World>>> = const { std::cell::RefCell::new(None) };
}

/// Publishes `all` messages; the ids that the server sees.
fn publish_all(rig: &Rig, peer: &mut Peer, all: usize, qos: QoS, listened: bool) -> Vec<u16> {
    WORLD.set(Some(rig.world.clone()));
    for _ in 0..all {
        let token = Cell::new(0);
        let listener = listened.then(|| listener(&rig.world));
        peer.conn.publish_with(Publication::new("t", b"x", qos), listener, &token).unwrap();
    }
    let mut written = Vec::new();
    if qos == Q0 {
        return Vec::new();
    }
    rig.until(|| {
        written.extend(peer.written());
        packets(&written).len() == all
    });
    packets(&written).iter().map(|packet| u16::from_be_bytes([packet[5], packet[6]])).collect()
}

/// field: F-02
///
/// 700 acknowledgements in one piece, and everybody who may be told of them.
#[test]
fn acknowledgements() {
    const ALL: usize = 700;
    // By `done` of each, by a handler of outcomes, by a handler of PUBACK, by subscribers.
    for how in 0..4 {
        for qos in [Q1, Q2] {
            let rig = rig();
            let mut busy = rig.peer(2, Settings { outcome_history: 0, ..settings() });
            let mut idle = rig.peer(2, settings());
            let (identity, last) = (Identity(1, 1), if qos == Q1 { Kind::PubAck } else { Kind::PubComp });
            match how {
                1 => busy.conn.add_handler(identity, Kind::Outcome.bit(), rig.slow()).unwrap(),
                2 => busy.conn.add_handler(identity, last.bit(), rig.slow()).unwrap(),
                3 => {
                    busy.conn.subscribe("t", Q0, identity, last.bit(), rig.slow()).unwrap();
                    busy.suback(&rig);
                }
                _ => {}
            }
            let ids = publish_all(&rig, &mut busy, ALL, qos, how == 0);
            if qos == Q2 {
                busy.send(&acks(0x50, ids.iter().copied()));
                let mut written = Vec::new();
                rig.until(|| {
                    written.extend(busy.written());
                    written.len() == 4 * ALL
                });
            }
            busy.send(&acks(if qos == Q1 { 0x40 } else { 0x70 }, ids.into_iter()));
            let mut pings = 0;
            rig.run(ALL, |_| {
                for connection in [&mut busy, &mut idle] {
                    for packet in packets(&connection.written()) {
                        assert_eq!(packet, b"\xc0\0");
                        pings += 1;
                        connection.send(b"\xd0\0");
                    }
                }
            });
            assert!(busy.conn.is_connected() && idle.conn.is_connected(), "{how}");
            assert!(pings >= 4, "{how}: {pings} PINGREQs in seven seconds");
        }
    }
}

/// field: F-02
///
/// The steps of QoS 2 on the way: PUBREC of what is published, PUBREL of what was received.
#[test]
fn the_steps_of_qos_2() {
    const ALL: usize = 300;
    let rig = rig();
    let mut busy = rig.peer(2, settings());
    busy.conn.add_handler(Identity(1, 1), Kind::PubRec.bit() | Kind::PubRel.bit(), rig.slow()).unwrap();
    let ids = publish_all(&rig, &mut busy, ALL, Q2, false);
    busy.send(&acks(0x50, ids.into_iter()));
    let mut answers = 0;
    rig.run(ALL, |ran| {
        answers += packets(&busy.written()).iter().filter(|packet| packet[0] == 0x62).count();
        assert_eq!(answers, ran);
    });
    busy.send(&acks(0x62, 1..=ALL as u16));
    answers = 0;
    rig.run(ALL, |ran| {
        answers += packets(&busy.written()).iter().filter(|packet| packet[0] == 0x70).count();
        assert_eq!(answers, ran);
    });
}

/// field: F-02
///
/// What is sent at QoS 0 ends when it is written: all of it at once.
#[test]
fn outcomes_of_qos_0() {
    let rig = rig();
    let mut busy = rig.peer(0, settings());
    publish_all(&rig, &mut busy, 300, Q0, true);
    rig.run(300, |_| ());
}

/// field: F-02
///
/// The end of a connection tells all of its publishes; other connections do not wait for that. Also when a handler
/// ends it.
#[test]
fn the_end_of_a_connection() {
    let rig = rig();
    let mut busy = rig.peer(2, settings());
    let mut idle = rig.peer(2, settings());
    publish_all(&rig, &mut busy, 300, Q1, true);
    let target = busy.conn.clone();
    let frees = Do(Box::new(move || target.free(None)));
    busy.conn.add_handler(Identity(9, 9), Kind::Timer.bit(), Box::new(frees)).unwrap();
    busy.conn.set_timer(Some(Time(rig.world.now.load(SeqCst)))).unwrap();
    let mut pings = 0;
    rig.run(300, |_| {
        if idle.written() == b"\xc0\0" {
            pings += 1;
            idle.send(b"\xd0\0");
        }
    });
    rig.until(|| busy.conn.is_gone());
    assert!(pings >= 1);
    assert!(idle.conn.is_connected());
}

/// field: F-02
///
/// Closing a loop leaves nothing for a round that does not come.
#[test]
fn the_end_of_a_loop() {
    let rig = rig();
    let mut busy = rig.peer(2, settings());
    publish_all(&rig, &mut busy, 1_020, Q1, true);
    rig.world.slow.store(10_000, SeqCst);
    busy.conn.free(None);
    rig.driver.close().unwrap();
    assert_eq!(rig.world.ran.load(SeqCst), 1_020);
    assert!(busy.conn.is_gone());
}

struct Do(Box<dyn Fn() + Send + Sync>);

impl Callback<Conn> for Do {
    fn call(&self, _: &Conn, _: &Event<'_>) {
        (self.0)();
    }
}

/// field: F-02
///
/// Who asked for the result of one attempt, many times.
#[test]
fn results_of_an_attempt() {
    let rig = rig();
    let busy = rig.peer(0, settings());
    for _ in 0..200 {
        busy.conn.connect_once(rig.slow()).unwrap();
    }
    rig.run(200, |_| ());
}

/// field: F-02
///
/// SUBACK: what each filter was answered, to its subscriber; then the end of each call.
#[test]
fn answers_to_subscribe() {
    const ALL: usize = 200;
    let rig = rig();
    let mut busy = rig.peer(0, settings());
    for n in 0..ALL {
        let filter = format!("f/{n}");
        let subscriber =
            Subscriber { identity: Identity(1, n), kinds: Kind::SubAck.bit(), callback: rig.slow() };
        busy.conn.subscribe_all(&[(&filter, Q1)], subscriber, Some(rig.slow())).unwrap();
    }
    rig.world.slow.store(10_000, SeqCst);
    let (mut written, mut first, mut seen) = (Vec::new(), true, 0);
    rig.until(|| {
        let ran = rig.world.ran.load(SeqCst);
        assert!(ran - seen <= if first { FIRST } else { 1 }, "{} in one round, after {seen}", ran - seen);
        first &= ran < FIRST;
        seen = ran;
        written.extend(busy.written());
        let mut used = 0;
        for packet in packets(&written) {
            used += packet.len();
            let filters = packet[4..].split(|byte| *byte == 1).count() - 1;
            let mut suback = vec![0x90, 2 + filters as u8, packet[2], packet[3]];
            suback.resize(4 + filters, 1);
            busy.send(&suback);
        }
        written.drain(..used);
        seen == 2 * ALL
    });
    let log = rig.world.log.lock().unwrap();
    for n in 0..ALL {
        assert_eq!(log.iter().filter(|filter| **filter == format!("f/{n}")).count(), 1);
    }
}

/// field: F-02
///
/// Messages that were refused, when their time has come again.
#[test]
fn refused_messages() {
    const ALL: usize = 200;
    let rig = rig();
    let settings = Settings { refuse_delay: Span::secs(1), ..settings() };
    let mut busy = rig.peer(0, settings);
    let refusing = Box::new(Slow { world: rig.world.clone(), refuses: true });
    busy.conn.subscribe("a", Q1, Identity(1, 1), Kind::Message.bit(), refusing).unwrap();
    busy.suback(&rig);
    busy.send(&(1..=ALL).flat_map(|n| publish("a", n as u16, Q1, &n.to_string())).collect::<Vec<u8>>());
    rig.until(|| rig.driver.next_timeout().is_some_and(|wait| wait > Span::ZERO));
    assert_eq!(rig.world.ran.load(SeqCst), 0);
    rig.world.now.fetch_add(1_000_000, SeqCst);
    let mut acked = 0;
    rig.run(ALL, |ran| {
        acked += packets(&busy.written()).len();
        assert_eq!(acked, ran);
    });
}

/// field: F-02
///
/// A log function that takes its time.
#[test]
fn log_records() {
    let rig = rig();
    let mut busy = rig.peer(0, settings());
    let mut idle = rig.peer(1, settings());
    rig.context.log.set(Level::Warn, Some(Arc::from(rig.slow() as Box<dyn Sink>)));
    for n in 0..150 {
        busy.conn.warn(&n.to_string());
    }
    let mut pings = 0;
    rig.run(150, |_| {
        if idle.written() == b"\xc0\0" {
            pings += 1;
            idle.send(b"\xd0\0");
        }
    });
    assert_eq!(*rig.world.log.lock().unwrap(), (0..150).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(pings, 1);
    assert!(busy.written().is_empty());
}

/// field: F-02
///
/// None of several kinds keeps another one waiting for ever: messages, and outcomes that bring about the next one.
#[test]
fn kinds_take_turns() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    static GO_ON: AtomicBool = AtomicBool::new(true);
    fn again(conn: &Conn, _: &Event<'_>, words: [*mut (); 3]) {
        ENDED.fetch_add(1, SeqCst);
        WORLD.with_borrow(|world| world.as_ref().unwrap().callback("outcome"));
        if GO_ON.load(SeqCst) {
            let listener = Some(Listener::new(again, words));
            conn.publish_with(Publication::new("t", b"x", Q0), listener, &Cell::new(0)).unwrap();
        }
    }
    let rig = rig();
    let mut busy = rig.peer(0, settings());
    busy.conn.subscribe("a", Q0, Identity(1, 1), Kind::Message.bit(), rig.slow()).unwrap();
    busy.suback(&rig);
    WORLD.set(Some(rig.world.clone()));
    rig.world.slow.store(10_000, SeqCst);
    busy.send(&(0..100).flat_map(|n| publish("a", 0, Q0, &n.to_string())).collect::<Vec<u8>>());
    let listener = Some(Listener::new(again, [std::ptr::null_mut(); 3]));
    busy.conn.publish_with(Publication::new("t", b"x", Q0), listener, &Cell::new(0)).unwrap();
    for _ in 0..250 {
        rig.poll();
        busy.written();
    }
    let messages = rig.world.ran.load(SeqCst) - ENDED.load(SeqCst);
    assert_eq!(messages, 100);
    assert!(ENDED.load(SeqCst) >= 90, "{}", ENDED.load(SeqCst));
    GO_ON.store(false, SeqCst);
}

/// field: F-01
///
/// Callbacks that are quick are not interrupted: all of what was read is told in one round.
#[test]
fn quick_callbacks_keep_their_turn() {
    let rig = rig();
    let mut busy = rig.peer(0, settings());
    busy.conn.subscribe("a", Q0, Identity(1, 1), Kind::Message.bit(), rig.slow()).unwrap();
    busy.suback(&rig);
    let burst: Vec<u8> = (0..1_000).flat_map(|n| publish("a", 0, Q0, &n.to_string())).collect();
    busy.send(&burst);
    rig.until(|| rig.world.ran.load(SeqCst) > 0);
    assert_eq!(rig.world.ran.load(SeqCst), 1_000);
    // They were slow for a while, and are quick again.
    busy.send(&burst);
    rig.world.slow.store(10_000, SeqCst);
    (0..20).for_each(|_| rig.poll());
    rig.world.slow.store(0, SeqCst);
    let before = rig.world.ran.load(SeqCst);
    assert!(before < 1_050);
    rig.poll();
    assert_eq!(rig.world.ran.load(SeqCst), 2_000);
}

/// field: F-01
///
/// A server that closes behind its burst: what it sent is told first, although nothing can be answered any more.
#[test]
fn a_burst_and_the_end() {
    for qos in [Q0, Q1] {
        let rig = rig();
        let mut busy = rig.peer(2, settings());
        busy.conn.subscribe("a", qos, Identity(1, 1), Kind::Message.bit(), rig.slow()).unwrap();
        busy.suback(&rig);
        let burst: Vec<u8> = (1..=300).flat_map(|n| publish("a", n, qos, &n.to_string())).collect();
        busy.send(&burst);
        rig.poll();
        drop(busy.link);
        let mut rounds = 0;
        rig.world.slow.store(10_000, SeqCst);
        rig.until(|| {
            rounds += 1;
            !busy.conn.is_busy()
        });
        assert_eq!(rig.world.ran.load(SeqCst), 300);
    }
}
