//! A server that acknowledges late or never: through the client, with a clock that the test moves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, Level, ProfileSource, Sink};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::{Outcome, Publication};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;
use mgos_mqtt::wire::topic::PlainTopic;

const START: Time = Time(77_000_000_123);
const LIMIT: Span = Span::secs(8);
/// A look more, and what two look-ups of the kernel may be apart.
const KNOWN: Span = Span::secs(10);

/// What was logged.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Sink for Lines {
    fn log(&self, _: Level, _: i32, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

impl Lines {
    fn count(&self, of: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(of)).count()
    }
}

/// Notes outcomes and acknowledgements.
struct Notes(Arc<Mutex<Vec<String>>>);

impl Callback<Conn> for Notes {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        let note = match event {
            Event::Outcome(ended) => format!("{} {:?}", ended.token, ended.outcome),
            Event::PubAck(ack, ..) => format!("PUBACK {}", ack.packet_id),
            Event::PubComp(ack, ..) => format!("PUBCOMP {}", ack.packet_id),
            Event::Close(_) => "closed".into(),
            _ => return,
        };
        self.0.lock().unwrap().push(note);
    }
}

struct World {
    now: Arc<AtomicU64>,
    driver: Loop,
    context: Arc<Context>,
    conn: Arc<Conn>,
    listener: TcpListener,
    link: Option<TcpStream>,
    log: Arc<Lines>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// A connection that is up.
    fn new(settings: Settings) -> World {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let now = Arc::new(AtomicU64::new(START.0));
        let clock = now.clone();
        let driver = Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap();
        let context = Arc::new(Context::new(driver.clone()));
        let log = Arc::new(Lines::default());
        // Each line more is a turn more, and hides a loop that sleeps too long.
        context.log.set(Level::Warn, Some(log.clone()));
        let server = Some(listener.local_addr().unwrap().to_string());
        let client_id = Some("c".into());
        let profile = Profile {
            enable: true,
            server,
            client_id,
            keep_alive: 0,
            clean_session: false,
            ..Profile::default()
        };
        let sources = vec![ProfileSource::Fixed(Arc::new(profile))];
        let settings = Settings { jitter_percent: 0, ..settings };
        let conn = Conn::new(context.clone(), 1, sources, settings).unwrap();
        let notes = Arc::<Mutex<Vec<String>>>::default();
        let kinds = [Kind::Outcome, Kind::PubAck, Kind::PubComp, Kind::Close];
        let kinds = kinds.iter().fold(0, |bits, kind| bits | kind.bit());
        conn.add_handler(Identity(1, 1), kinds, Box::new(Notes(notes.clone()))).unwrap();
        let mut world = World { now, driver, context, conn, listener, link: None, log, notes };
        world.conn.connect().unwrap();
        world.welcome(false);
        world
    }

    /// Rounds at the present moment until `done`.
    #[track_caller]
    fn until(&self, mut done: impl FnMut() -> bool) {
        assert!((0..10_000).any(|_| {
            self.driver.poll(Some(Span::millis(1))).unwrap();
            done()
        }));
    }

    #[track_caller]
    fn welcome(&mut self, present: bool) {
        let mut link = None;
        self.until(|| {
            link = self.listener.accept().ok();
            link.is_some()
        });
        let (stream, _) = link.unwrap();
        stream.set_nonblocking(true).unwrap();
        self.link = Some(stream);
        let mut connect = [0; 1_024];
        self.until(|| matches!(self.link.as_ref().unwrap().read(&mut connect), Ok(1..)));
        self.answer(&[0x20, 2, u8::from(present), 0]);
        self.until(|| self.conn.is_connected());
    }

    /// Reads exactly these bytes.
    #[track_caller]
    fn expect(&self, bytes: &[u8]) {
        let mut got = Vec::new();
        self.until(|| {
            let mut buffer = [0; 256];
            match self.link.as_ref().unwrap().read(&mut buffer) {
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            got.len() >= bytes.len()
        });
        assert_eq!(got, bytes);
    }

    fn answer(&self, bytes: &[u8]) {
        self.link.as_ref().unwrap().write_all(bytes).unwrap();
    }

    /// Lets so much time pass, from deadline to deadline.
    #[track_caller]
    fn pass(&self, span: Span) {
        let by = Time(self.now.load(SeqCst)) + span;
        for _ in 0..10_000 {
            self.until(|| self.driver.next_timeout() != Some(Span::ZERO));
            let now = Time(self.now.load(SeqCst));
            let next = self.driver.next_timeout().map_or(by, |wait| (now + wait).min(by));
            self.now.store(next.0, SeqCst);
            self.driver.poll(Some(Span::ZERO)).unwrap();
            if next == by {
                return;
            }
        }
        panic!("it spins");
    }

    fn publish(&self, topic: &str, qos: QoS) -> u64 {
        self.conn.publish(Publication::new(topic, b"", qos)).unwrap().token
    }

    fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap())
    }
}

fn limited() -> Settings {
    Settings { ack_timeout: LIMIT, ..Settings::default() }
}

/// The loop sleeps without an end, and a call on another thread makes it look in time.
#[test]
fn a_message_that_is_not_acknowledged_ends_and_the_link_lives() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let world = World::new(limited());
        world.until(|| world.driver.next_timeout().is_none());
        let token = world.publish("a", qos);
        let first = if qos == QoS::AtLeastOnce { 0x32 } else { 0x34 };
        world.expect(&[first, 5, 0, 1, b'a', 0, 1]);
        world.pass(Span::secs(7));
        assert_eq!((world.conn.outcome(token), world.notes()), (Ok(None), vec![]));
        world.pass(Span::secs(3));
        assert_eq!(world.conn.outcome(token), Ok(Some(Outcome::TimedOut)));
        assert_eq!(world.notes(), [format!("{token} TimedOut")]);
        assert_eq!(world.conn.wait_outcome(token, Some(Span::ZERO)), Ok(Outcome::TimedOut));
        assert_eq!(world.conn.wait_all(Some(Span::ZERO)), Ok(()), "flush waits for nobody");
        assert_eq!(world.conn.cancel(token), Err(Code::NotFound));
        assert_eq!(world.conn.token_of(1), Err(Code::NotFound));
        let line =
            format!("PUBLISH to \"a\" (QoS {}, packet id 1) within 8000 ms (ack_timeout_ms)", qos as u8);
        assert_eq!(world.log.count(&line), 1, "{:?}", world.log.0.lock().unwrap());
        assert!(world.conn.is_connected());
        // Nothing more is to be looked for.
        assert_eq!(world.driver.next_timeout(), None);
        // Late, and told as what it is.
        world.context.log.set(Level::Debug, Some(world.log.clone()));
        if qos == QoS::AtLeastOnce {
            world.answer(b"\x40\x02\0\x01");
        } else {
            world.answer(b"\x50\x02\0\x01");
            world.expect(b"\x62\x02\0\x01");
            world.answer(b"\x70\x02\0\x01");
        }
        world.until(|| !world.notes.lock().unwrap().is_empty());
        assert_eq!(world.notes(), [if qos == QoS::AtLeastOnce { "PUBACK 1" } else { "PUBCOMP 1" }]);
        assert!(world.log.count("the message had timed out, and did arrive") > 0);
        assert_eq!(world.conn.outcome(token), Ok(Some(Outcome::TimedOut)));
        let counts = world.conn.stats().counts;
        assert_eq!((counts.accepted, counts.timed_out, counts.late_acks, counts.acked), (1, 1, 1, 0));
        // The short way is open again, and what it sends is looked for.
        let id =
            world.conn.publish_numbered(PlainTopic::of(c"b").unwrap(), b"", QoS::AtLeastOnce, false).unwrap();
        world.pass(KNOWN);
        assert_eq!(world.notes(), ["2 TimedOut"]);
        assert_eq!(id, 2);
        world.conn.free(None);
    }
}

/// Takes three seconds for each message, and publishes in answer to the third.
struct Slow {
    now: Arc<AtomicU64>,
    told: AtomicU64,
}

impl Callback<Conn> for Slow {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        self.now.fetch_add(Span::secs(3).0, SeqCst);
        if self.told.fetch_add(1, SeqCst) == 2 {
            conn.publish(Publication::new("b", b"", QoS::AtLeastOnce)).unwrap();
        }
    }
}

/// What is published behind slow callbacks has its time from then on, and not from before they ran.
#[test]
fn slow_callbacks_take_nothing_of_the_time_of_what_they_publish() {
    let world = World::new(limited());
    let slow = Slow { now: world.now.clone(), told: AtomicU64::new(0) };
    world.conn.add_handler(Identity(2, 2), Kind::Message.bit(), Box::new(slow)).unwrap();
    let first = world.publish("a", QoS::AtLeastOnce);
    world.expect(b"\x32\x05\0\x01a\0\x01");
    world.until(|| world.driver.next_timeout() != Some(Span::ZERO));
    // A look is due in the turn that reads them.
    world.now.fetch_add(world.driver.next_timeout().unwrap().0, SeqCst);
    world.answer(&b"\x30\x03\0\x01m".repeat(3));
    world.expect(b"\x32\x05\0\x01b\0\x02");
    world.pass(Span::secs(7));
    assert!(world.notes().is_empty());
    world.pass(Span::secs(3));
    assert_eq!(world.notes(), [format!("{first} TimedOut"), format!("{} TimedOut", first + 1)]);
    world.conn.free(None);
}

/// MQTT-4.4.0-1: the server's session is owed the message, whatever the application was told.
#[test]
fn what_timed_out_is_sent_again_when_the_session_is_resumed() {
    let mut world = World::new(limited());
    let token = world.publish("a", QoS::AtLeastOnce);
    world.expect(b"\x32\x05\0\x01a\0\x01");
    world.pass(KNOWN);
    assert_eq!(world.notes(), [format!("{token} TimedOut")]);
    world.link = None;
    world.until(|| !world.conn.is_connected());
    world.pass(Span::secs(3));
    world.welcome(true);
    world.expect(b"\x3a\x05\0\x01a\0\x01");
    world.pass(KNOWN);
    world.answer(b"\x40\x02\0\x01");
    world.until(|| world.notes.lock().unwrap().len() == 2);
    assert_eq!(world.notes(), ["closed", "PUBACK 1"]);
    // Of a connection that is closed in order, and freed, nothing is told twice.
    let second = world.publish("b", QoS::AtLeastOnce);
    world.expect(b"\x32\x05\0\x01b\0\x02");
    world.pass(KNOWN);
    world.conn.disconnect().unwrap();
    world.expect(b"\xe0\0");
    world.link = None;
    world.until(|| !world.conn.is_busy());
    world.conn.free(None);
    assert_eq!(world.notes(), [format!("{second} TimedOut"), "closed".into()]);
}

/// Who drives the loop late has the acknowledgement before him, and reads it first.
#[test]
fn an_acknowledgement_that_waits_in_the_socket_is_in_time() {
    let world = World::new(limited());
    let token = world.publish("a", QoS::AtLeastOnce);
    world.conn.subscribe_all(&[("f", QoS::AtMostOnce)], nobody(), None).unwrap();
    world.expect(b"\x32\x05\0\x01a\0\x01\x82\x06\0\x02\0\x01f\0");
    // The first look comes when all should be over.
    world.answer(b"\x40\x02\0\x01\x90\x03\0\x02\0");
    world.now.fetch_add(Span::secs(100).0, SeqCst);
    world.pass(Span::secs(100));
    assert_eq!(world.conn.outcome(token), Ok(Some(Outcome::Acked)));
    assert_eq!(world.log.count("(ack_timeout_ms)"), 0);
}

fn nobody() -> mgos_mqtt::client::Subscriber {
    mgos_mqtt::client::Subscriber {
        identity: Identity(9, 9),
        kinds: 0,
        callback: Box::new(Notes(Arc::default())),
    }
}

/// A subscription that nobody waits for: the log tells, from a loop that would sleep for ever.
#[test]
fn a_subscription_without_an_answer_is_named_in_the_log() {
    let world = World::new(limited());
    world.until(|| world.driver.next_timeout().is_none());
    world
        .conn
        .subscribe("$SYS/#", QoS::AtMostOnce, Identity(2, 2), 0, Box::new(Notes(Arc::default())))
        .unwrap();
    world.expect(b"\x82\x0b\0\x01\0\x06$SYS/#\0");
    world.pass(KNOWN);
    assert_eq!(world.log.count("did not answer SUBSCRIBE or UNSUBSCRIBE for \"$SYS/#\" within 8000 ms"), 1);
    assert!(world.conn.is_connected());
    assert_eq!(world.driver.next_timeout(), None);
    // UNSUBSCRIBE as well.
    assert_eq!(world.conn.unsubscribe("$SYS/#", None), Ok(true));
    world.pass(KNOWN);
    assert_eq!(world.log.count("for \"$SYS/#\" within 8000 ms"), 2);
}

/// Without a limit nobody looks.
#[test]
fn without_a_limit_a_message_waits_for_ever() {
    let world = World::new(Settings::default());
    let token = world.publish("a", QoS::AtLeastOnce);
    world.expect(b"\x32\x05\0\x01a\0\x01");
    world.until(|| world.driver.next_timeout() != Some(Span::ZERO));
    assert_eq!(world.driver.next_timeout(), None);
    world.pass(Span::secs(1_000_000));
    assert_eq!((world.conn.outcome(token), world.conn.stats().counts.timed_out), (Ok(None), 0));
}

/// A burst is timed together, and each of it is told.
#[test]
fn a_burst_times_out_as_a_whole() {
    let world = World::new(Settings { in_flight_window: 100, ..limited() });
    for _ in 0..100 {
        world.publish("a", QoS::AtLeastOnce);
    }
    world.pass(KNOWN);
    let mut told = world.notes();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 100);
    assert_eq!(world.log.count("(QoS 1, packet id 1) and 99 more within"), 1);
}
