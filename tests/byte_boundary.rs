//! The link breaks after each single byte of an exchange, in each direction and in each way, and nothing is lost or
//! doubled: CONNECT, SUBSCRIBE, and a message of each QoS both ways, against a real broker, counted by a second client
//! whose link is never touched.
//!
//! `cargo test --test byte_boundary -- --nocapture` prints the table. `BYTE_BOUNDARY_STEP=1` (the default) looks at each
//! byte, a higher number at each such one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{OnSessionLoss, Profile, Protocol, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::{Outcome, Publication};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

/// Cases at a time.
const AT_ONCE: usize = 48;
/// Reached only by what hangs.
const LONG: Duration = Duration::from_secs(60);
/// The client's time goes so much faster than the world's: it finds a stalled link after a second without traffic and
/// one without an answer.
const HURRY: u64 = 8;
const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    ToBroker,
    ToClient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    /// Both sides see the stream end.
    Closed,
    /// The client sees a reset.
    Reset,
    /// Nothing goes through any more, and nobody is told.
    Stalled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Session {
    Clean,
    Kept,
}

// -- a proxy for one client, which breaks its first connection ---------------------------------------------------

struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Bytes that went through the first connection.
    counts: Arc<[AtomicUsize; 2]>,
}

/// What the two directions of one connection share.
struct Link {
    client: TcpStream,
    broker: TcpStream,
    cut: Option<(Direction, usize, Cut)>,
    broken: AtomicBool,
    counts: Arc<[AtomicUsize; 2]>,
}

impl Link {
    /// Breaks the connection; nothing is forwarded afterwards.
    fn break_off(&self, how: Cut) {
        self.broken.store(true, SeqCst);
        match how {
            Cut::Closed => {
                let _ = self.client.shutdown(Shutdown::Both);
            }
            Cut::Reset => {
                // Closing it will reset it; until then its reader has to be woken.
                let _ = socket2::SockRef::from(&self.client).set_linger(Some(Duration::ZERO));
                let _ = self.client.shutdown(Shutdown::Read);
            }
            Cut::Stalled => return,
        }
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    /// Moves the bytes of one direction, until the end.
    fn forward(&self, direction: Direction) {
        let (mut from, mut to) = match direction {
            Direction::ToBroker => (&self.client, &self.broker),
            Direction::ToClient => (&self.broker, &self.client),
        };
        let mine = self.cut.filter(|cut| cut.0 == direction);
        let mut buffer = [0; 4096];
        let mut count = 0;
        loop {
            if let Some((_, at, how)) = mine.filter(|cut| cut.1 == count)
                && !self.broken.load(SeqCst)
            {
                debug_assert_eq!(at, count);
                self.break_off(how);
                if how != Cut::Stalled {
                    return;
                }
            }
            let room = mine.map_or(buffer.len(), |cut| (cut.1.wrapping_sub(count)).min(buffer.len()));
            let n = match from.read(&mut buffer[..room.max(1)]) {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            if self.broken.load(SeqCst) {
                // Stalled: it only has to be seen when the client gives up.
                continue;
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
            count += n;
            self.counts[direction as usize].fetch_add(n, SeqCst);
        }
        let _ = to.shutdown(Shutdown::Write);
        if direction == Direction::ToBroker {
            let _ = self.broker.shutdown(Shutdown::Both);
        } else if !self.broken.load(SeqCst) {
            let _ = self.client.shutdown(Shutdown::Both);
        }
    }
}

impl Proxy {
    fn start(broker: SocketAddr, cut: Option<(Direction, usize, Cut)>) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let thread = std::thread::spawn({
            let (stop, counts) = (stop.clone(), counts.clone());
            move || {
                let mut halves = Vec::new();
                let mut cut = cut;
                for client in listener.incoming() {
                    if stop.load(SeqCst) {
                        break;
                    }
                    let client = client.unwrap();
                    let to_broker = TcpStream::connect(broker).unwrap();
                    client.set_nodelay(true).unwrap();
                    to_broker.set_nodelay(true).unwrap();
                    let broken = AtomicBool::new(false);
                    let counts = counts.clone();
                    let link = Arc::new(Link { client, broker: to_broker, cut: cut.take(), broken, counts });
                    for direction in [Direction::ToBroker, Direction::ToClient] {
                        let link = link.clone();
                        halves.push(std::thread::spawn(move || link.forward(direction)));
                    }
                }
                for half in halves {
                    half.join().unwrap();
                }
            }
        });
        Proxy { address, stop, thread: Some(thread), counts }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

// -- who counts ---------------------------------------------------------------------------------------------------

/// What became of the messages of one case; the two clients write it down.
#[derive(Default)]
struct Counts {
    subscribed: bool,
    /// Arrivals at the observer and at the device, by QoS.
    out: [usize; 3],
    into: [usize; 3],
    out_end: bool,
    in_end: bool,
    /// Outcomes of the device's messages, by QoS.
    outcomes: BTreeMap<u64, Outcome>,
    connects: usize,
}

#[derive(Default)]
struct Book {
    cases: Mutex<BTreeMap<usize, Counts>>,
    changed: Condvar,
}

impl Book {
    fn note(&self, case: usize, note: impl FnOnce(&mut Counts)) {
        note(self.cases.lock().unwrap().entry(case).or_default());
        self.changed.notify_all();
    }

    #[track_caller]
    fn wait(&self, case: usize, what: &str, mut done: impl FnMut(&Counts) -> bool) {
        let end = Instant::now() + LONG;
        let mut cases = self.cases.lock().unwrap();
        while !cases.get(&case).is_some_and(&mut done) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "case {case}: {what}");
            cases = self.changed.wait_timeout(cases, left).unwrap().0;
        }
    }
}

struct Tell<F>(F);

impl<F: Fn(&Event<'_>) + Send + Sync> Callback for Tell<F> {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        (self.0)(event);
    }
}

fn client(driver: &Loop, profile: Profile, settings: Settings) -> Arc<Conn> {
    let context = Arc::new(Context::new(driver.clone()));
    Conn::new(context, 1, vec![ProfileSource::Fixed(Arc::new(profile))], settings).unwrap()
}

fn on(conn: &Conn, kinds: &[Kind], tell: impl Fn(&Event<'_>) + Send + Sync + 'static) {
    let kinds = kinds.iter().map(|kind| kind.bit()).sum();
    conn.add_handler(Identity(1, 1), kinds, Box::new(Tell(tell))).unwrap();
}

/// A client whose link is not touched: it sees what reaches the broker, and sends what the devices are to get.
fn observer(driver: &Loop, broker: SocketAddr, book: &Arc<Book>) -> Arc<Conn> {
    let profile = Profile {
        enable: true,
        server: Some(broker.to_string()),
        max_queue_length: 100_000,
        ..Profile::default()
    };
    let conn = client(driver, profile, Settings { in_flight_window: 60_000, ..Settings::default() });
    let (ready, is_ready) = std::sync::mpsc::channel();
    on(&conn, &[Kind::SubAck], move |_| ready.send(()).unwrap());
    let book = book.clone();
    let arrived = Tell(move |event: &Event<'_>| {
        let Event::Message(message) = event else { return };
        // out/<case>/<qos>, or out/<case>/end
        let mut levels = message.topic.split('/').skip(1);
        let case = levels.next().unwrap().parse().unwrap();
        match levels.next().unwrap() {
            "end" => book.note(case, |counts| counts.out_end = true),
            qos => book.note(case, |counts| counts.out[qos.parse::<usize>().unwrap()] += 1),
        }
    });
    conn.subscribe("out/#", QoS::ExactlyOnce, Identity(2, 2), Kind::Message.bit(), Box::new(arrived))
        .unwrap();
    conn.connect().unwrap();
    is_ready.recv_timeout(LONG).unwrap();
    conn
}

fn device(driver: &Loop, case: usize, server: SocketAddr, kind: &Kinds, book: &Arc<Book>) -> Arc<Conn> {
    let profile = Profile {
        enable: true,
        server: Some(server.to_string()),
        client_id: Some(format!("d{case:05}")),
        clean_session: kind.session == Session::Clean,
        keep_alive: 1,
        reconnect_min: Span::millis(10),
        reconnect_max: Span::millis(10),
        protocol: kind.protocol,
        ..Profile::default()
    };
    // With a session that is lost at each connect, a message that may have arrived is not sent again.
    let conn =
        client(driver, profile, Settings { on_session_loss: OnSessionLoss::Report, ..Settings::default() });
    on(&conn, &[Kind::ConnAck, Kind::Outcome], {
        let book = book.clone();
        move |event| match event {
            Event::Outcome(ended) => book.note(case, |counts| {
                assert_eq!(counts.outcomes.insert(ended.token, ended.outcome), None);
            }),
            _ => book.note(case, |counts| counts.connects += 1),
        }
    });
    let book = book.clone();
    let arrived = Tell(move |event: &Event<'_>| match event {
        Event::SubAck { .. } => book.note(case, |counts| counts.subscribed = true),
        Event::Message(message) => match message.topic.rsplit('/').next().unwrap() {
            "end" => book.note(case, |counts| counts.in_end = true),
            qos => book.note(case, |counts| counts.into[qos.parse::<usize>().unwrap()] += 1),
        },
        _ => {}
    });
    let kinds = Kind::Message.bit() | Kind::SubAck.bit();
    let filter = format!("in/{case:05}/#");
    conn.subscribe(&filter, QoS::ExactlyOnce, Identity(2, 2), kinds, Box::new(arrived)).unwrap();
    conn
}

// -- one case -----------------------------------------------------------------------------------------------------

/// What cases have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kinds {
    session: Session,
    protocol: Protocol,
}

/// What a case came to.
#[derive(Clone, Debug, Default)]
struct Verdict {
    lost: usize,
    repeated_1: usize,
    doubled_2: usize,
    /// Not delivered for sure, and the application was told so.
    told_lost: usize,
    connects: usize,
    bytes: [usize; 2],
}

struct World {
    broker: SocketAddr,
    driver: Loop,
    observer: Arc<Conn>,
    book: Arc<Book>,
    last_case: AtomicUsize,
}

impl World {
    fn run(&self, kind: &Kinds, cut: Option<(Direction, usize, Cut)>) -> Verdict {
        let case = self.last_case.fetch_add(1, SeqCst);
        let proxy = Proxy::start(self.broker, cut);
        let device = device(&self.driver, case, proxy.address, kind, &self.book);
        device.connect().unwrap();
        let book = &self.book;
        book.wait(case, "subscribed", |counts| counts.subscribed);
        // One after the other, as each byte is to be looked at in the same exchange each time.
        let mut tokens = Vec::new();
        for qos in ALL_QOS {
            let topic = format!("out/{case:05}/{}", qos.bits());
            match device.publish(Publication::new(&topic, b"x", qos)) {
                Ok(accepted) => {
                    tokens.push((qos, accepted.token));
                    book.wait(case, "no outcome", |counts| counts.outcomes.contains_key(&accepted.token));
                }
                // Offline just now.
                Err(_) => assert_eq!(qos, QoS::AtMostOnce),
            }
        }
        for qos in ALL_QOS {
            let topic = format!("in/{case:05}/{}", qos.bits());
            self.observer.publish(Publication::new(&topic, b"x", qos)).unwrap();
        }
        let promised = kind.session == Session::Kept;
        if promised {
            book.wait(case, "in", |counts| counts.into[1] > 0 && counts.into[2] > 0);
        }
        // What comes twice has come before these. In a clean session they may be lost with it, so they are sent until
        // one arrives.
        let end = Instant::now() + LONG;
        loop {
            let seen = |counts: &Counts| counts.in_end && counts.out_end;
            if book.cases.lock().unwrap().get(&case).is_some_and(seen) {
                break;
            }
            assert!(Instant::now() < end, "case {case}: the end");
            let topic = format!("out/{case:05}/end");
            let token = device.publish(Publication::new(&topic, b"", QoS::ExactlyOnce)).unwrap().token;
            book.wait(case, "no outcome of the end", |counts| counts.outcomes.contains_key(&token));
            let topic = format!("in/{case:05}/end");
            let token = self.observer.publish(Publication::new(&topic, b"", QoS::AtLeastOnce)).unwrap().token;
            assert_eq!(self.observer.wait_outcome(token, Some(Span::secs(HURRY * 60))), Ok(Outcome::Acked));
            // The broker has both; their way to here may take a moment, or be cut.
            let cases = book.cases.lock().unwrap();
            let _ = book.changed.wait_timeout_while(cases, Duration::from_millis(200), |cases| {
                !cases.get(&case).is_some_and(seen)
            });
        }
        device.disconnect().unwrap();
        let bytes = [0, 1].map(|at: usize| proxy.counts[at].load(SeqCst));
        device.free(None);
        drop(proxy);
        self.judge(case, &tokens, promised, bytes)
    }

    fn judge(&self, case: usize, tokens: &[(QoS, u64)], promised: bool, bytes: [usize; 2]) -> Verdict {
        let counts = self.book.cases.lock().unwrap().remove(&case).unwrap();
        let mut verdict = Verdict { connects: counts.connects, bytes, ..Verdict::default() };
        for (qos, token) in tokens {
            let arrived = counts.out[usize::from(qos.bits())];
            match (qos, counts.outcomes[token]) {
                (QoS::AtMostOnce, Outcome::Sent | Outcome::Dropped(_)) => assert!(arrived <= 1),
                (_, Outcome::Acked) => verdict.lost += usize::from(arrived == 0),
                (_, Outcome::Lost) => verdict.told_lost += 1,
                other => panic!("case {case}: {other:?}"),
            }
        }
        if promised {
            verdict.lost += usize::from(counts.into[1] == 0) + usize::from(counts.into[2] == 0);
            // Told to be lost, with a session that the broker kept.
            verdict.lost += verdict.told_lost;
        }
        for arrived in [counts.out, counts.into] {
            assert!(arrived[0] <= 1, "case {case}: QoS 0 came {} times", arrived[0]);
            verdict.repeated_1 += arrived[1].saturating_sub(1);
            verdict.doubled_2 += arrived[2].saturating_sub(1);
        }
        verdict
    }
}

/// A mosquitto of our own on a loopback port that was free a moment ago; killed when dropped.
struct Broker {
    process: Child,
    address: SocketAddr,
    config: std::path::PathBuf,
}

impl Broker {
    /// `None` if there is no mosquitto on this machine.
    fn start() -> Option<Broker> {
        for _ in 0..5 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let config = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("byte-boundary-{}.conf", std::process::id()));
            let text = format!(
                "listener {} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n",
                address.port()
            );
            std::fs::write(&config, text).unwrap();
            let process = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|program| {
                let mut command = Command::new(program);
                command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
            })?;
            let mut broker = Broker { process, address, config };
            if broker.answers() {
                return Some(broker);
            }
        }
        panic!("no broker came up");
    }

    fn answers(&mut self) -> bool {
        let end = Instant::now() + LONG;
        while Instant::now() < end && self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

#[test]
fn cut_after_each_byte() {
    let Some(broker) = Broker::start() else {
        println!("skipped: mosquitto is not installed");
        return;
    };
    let step: usize =
        std::env::var("BYTE_BOUNDARY_STEP").ok().and_then(|step| step.parse().ok()).unwrap_or(1);
    let start = Instant::now();
    let now = move || Time(start.elapsed().as_micros() as u64 * HURRY);
    let driver = Loop::new(Clock::from_fn(now)).unwrap();
    driver.start("clients").unwrap();
    let book = Arc::new(Book::default());
    let observer = observer(&driver, broker.address, &book);
    let world = World { broker: broker.address, driver, observer, book, last_case: AtomicUsize::new(0) };

    let mut cases = Vec::new();
    for session in [Session::Clean, Session::Kept] {
        for protocol in [Protocol::V31, Protocol::V311] {
            let kind = Kinds { session, protocol };
            // How long the exchange is.
            let whole = world.run(&kind, None);
            assert_eq!(
                (whole.lost, whole.doubled_2, whole.told_lost, whole.connects),
                (0, 0, 0, 1),
                "{kind:?}"
            );
            for direction in [Direction::ToBroker, Direction::ToClient] {
                for how in [Cut::Closed, Cut::Reset, Cut::Stalled] {
                    let bytes = (0..=whole.bytes[direction as usize]).step_by(step);
                    cases.extend(bytes.map(|at| (kind.clone(), (direction, at, how))));
                }
            }
        }
    }
    let next = AtomicUsize::new(0);
    let table = Mutex::new(BTreeMap::<_, (usize, Verdict)>::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((kind, cut)) = cases.get(next.fetch_add(1, SeqCst)) {
                    let verdict = world.run(kind, Some(*cut));
                    if verdict.lost > 0 || verdict.doubled_2 > 0 {
                        println!("{kind:?} {cut:?}: {verdict:?}");
                    }
                    let mut table = table.lock().unwrap();
                    let row = table.entry((kind.clone(), cut.0, cut.2)).or_default();
                    row.0 += 1;
                    row.1.lost += verdict.lost;
                    row.1.repeated_1 += verdict.repeated_1;
                    row.1.doubled_2 += verdict.doubled_2;
                    row.1.told_lost += verdict.told_lost;
                    row.1.connects += verdict.connects;
                }
            });
        }
    });
    world.observer.free(None);
    world.driver.close().unwrap();

    println!(
        "| session | MQTT | cut | after each byte | cases | connections | lost | lost and told | QoS 1 repeated | QoS 2 doubled |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for ((kind, direction, how), (cases, v)) in &*table.lock().unwrap() {
        println!(
            "| {:?} | {} | {how:?} | {direction:?} | {cases} | {} | {} | {} | {} | {} |",
            kind.session,
            if kind.protocol == Protocol::V31 { "3.1" } else { "3.1.1" },
            v.connects,
            v.lost,
            v.told_lost,
            v.repeated_1,
            v.doubled_2
        );
    }
    for (row, (_, verdict)) in &*table.lock().unwrap() {
        assert_eq!((verdict.lost, verdict.doubled_2), (0, 0), "{row:?}");
    }
}
