//! The link breaks after each single byte of an exchange, in each direction and in each way, and nothing is lost or
//! doubled: CONNECT, SUBSCRIBE, and a message of each QoS both ways, against a real broker, counted by a second client
//! whose link is never touched. Over TCP and TLS; in MQTT 3.1, 3.1.1 and 5.0; with a clean session, a kept one, and one that is resumed with
//! messages in flight both ways, where the connection that resumes it is the one that breaks.
//!
//! `cargo test --test byte_boundary -- --nocapture` prints the table. Each byte is looked at without TLS, and each
//! [`TLS_STEP`]th with it, others in each row. `BYTE_BOUNDARY_STEP=n` is each n-th in both: 1 is every byte.

mod book;
mod brokers;
mod clients;
mod proxy;
#[path = "../tls_support/mod.rs"]
mod tls_support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgos_mqtt::client::Conn;
use mgos_mqtt::config::Protocol;
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::{Outcome, Publication};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

use book::{Book, Counts};
use brokers::Brokers;
use proxy::{Cut, Direction, How, Proxy, State};

/// Cases at a time.
const AT_ONCE: usize = 48;
/// Reached only by what hangs.
const LONG: Duration = Duration::from_secs(60);
/// The client's time goes so much faster than the world's: it finds a stalled link after a second without traffic and
/// one without an answer.
const HURRY: u64 = 8;
/// A TLS exchange has ten times as many bytes, and each of its connections costs a handshake.
const TLS_STEP: usize = 32;
const ALL_QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Session {
    Clean,
    Kept,
    /// The first connection is lost when the broker has the device's messages and has sent its own, and nothing of that
    /// has come to the device. The second one breaks.
    ResumedDeaf,
    /// The same when the device has the broker's messages and has sent its own, and nothing of that has come to the
    /// broker.
    ResumedMute,
}

impl Session {
    fn is_resumed(self) -> bool {
        matches!(self, Session::ResumedDeaf | Session::ResumedMute)
    }
}

/// What cases have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kinds {
    tls: bool,
    session: Session,
    protocol: Protocol,
}

/// What a case came to.
#[derive(Clone, Debug, Default)]
struct Verdict {
    /// The link broke; with TLS, an exchange may be shorter than the one that was measured.
    struck: usize,
    lost: usize,
    repeated_1: usize,
    doubled_2: usize,
    /// Not delivered for sure, and the application was told so.
    told_lost: usize,
    connects: usize,
    bytes: [usize; 2],
}

struct World {
    brokers: Brokers,
    driver: Loop,
    observer: Arc<Conn>,
    book: Arc<Book>,
    last_case: AtomicUsize,
}

/// One case under way.
struct Case<'a> {
    world: &'a World,
    number: usize,
    device: Arc<Conn>,
    /// What the device published.
    tokens: Vec<(QoS, u64)>,
}

impl Case<'_> {
    #[track_caller]
    fn wait(&self, what: &str, done: impl FnMut(&Counts) -> bool) {
        self.world.book.wait(self.number, what, done);
    }

    /// The device publishes. QoS 0 is refused while it is offline.
    fn send(&mut self, qos: QoS) -> Option<u64> {
        let topic = format!("out/{:05}/{}", self.number, qos.bits());
        match self.device.publish(Publication::new(&topic, b"x", qos)) {
            Ok(accepted) => {
                self.tokens.push((qos, accepted.token));
                Some(accepted.token)
            }
            Err(_) => {
                assert_eq!(qos, QoS::AtMostOnce);
                None
            }
        }
    }

    /// The observer publishes, and the broker has it.
    fn send_back(&self, level: &str, qos: QoS) -> u64 {
        let topic = format!("in/{:05}/{level}", self.number);
        self.world.observer.publish(Publication::new(&topic, b"x", qos)).unwrap().token
    }

    #[track_caller]
    fn has_the_broker(&self, token: u64) {
        let late = Some(Span::secs(HURRY * LONG.as_secs()));
        assert!(matches!(self.world.observer.wait_outcome(token, late), Ok(Outcome::Acked | Outcome::Sent)));
    }

    /// The exchange on the connection that is to break: one message after the other, as each byte is to be looked at in
    /// the same exchange each time.
    fn exchange(&mut self) {
        for qos in ALL_QOS {
            if let Some(token) = self.send(qos) {
                self.wait("no outcome", |counts| counts.outcomes.contains_key(&token));
            }
        }
        for qos in ALL_QOS {
            self.send_back(&qos.bits().to_string(), qos);
        }
    }

    /// The same messages, all of them in flight when the first connection is lost.
    fn leave_in_flight(&mut self, session: Session, proxy: &State) {
        // QoS 1 is last: when it has passed, the others have.
        let order = [QoS::AtMostOnce, QoS::ExactlyOnce, QoS::AtLeastOnce];
        if session == Session::ResumedDeaf {
            proxy.silence(Direction::ToClient);
            for qos in order {
                self.send(qos);
            }
            self.wait("at the broker", |counts| counts.out[1] > 0);
        } else {
            proxy.silence(Direction::ToBroker);
        }
        for qos in order {
            let token = self.send_back(&qos.bits().to_string(), qos);
            self.has_the_broker(token);
        }
        if session == Session::ResumedMute {
            self.wait("at the device", |counts| counts.into[1] > 0 && counts.into[2] > 0);
            for qos in order {
                self.send(qos);
            }
        }
        proxy.close();
        let tokens: Vec<u64> = self.tokens.iter().map(|(_, token)| *token).collect();
        self.wait("no outcome", |counts| tokens.iter().all(|token| counts.outcomes.contains_key(token)));
    }

    /// What comes twice has come before these. Without a session that is `kept` they may be lost with the connection, so
    /// they are sent until one arrives.
    fn end(&self, kept: bool) {
        let patience = if kept { LONG } else { Duration::from_millis(200) };
        let book = &self.world.book;
        let end = Instant::now() + LONG;
        let seen = |counts: &Counts| counts.in_end && counts.out_end;
        while !book.comes(self.number, Duration::ZERO, seen) {
            assert!(Instant::now() < end, "case {}: the end", self.number);
            let topic = format!("out/{:05}/end", self.number);
            let token = self.device.publish(Publication::new(&topic, b"", QoS::ExactlyOnce)).unwrap().token;
            self.wait("no outcome of the end", |counts| counts.outcomes.contains_key(&token));
            let token = self.send_back("end", QoS::AtLeastOnce);
            self.has_the_broker(token);
            // The broker has both; their way to here may take a moment, or be cut.
            let _ = book.comes(self.number, patience, seen);
        }
    }
}

impl World {
    fn run(&self, kind: &Kinds, cut: Option<Cut>) -> Verdict {
        let number = self.last_case.fetch_add(1, SeqCst);
        let broker = if kind.tls { self.brokers.tls.unwrap() } else { self.brokers.plain };
        let proxy = Proxy::start(broker, usize::from(kind.session.is_resumed()), cut);
        let device = clients::device(&self.driver, number, &proxy, &self.brokers.ca, kind, &self.book);
        let mut case = Case { world: self, number, device, tokens: Vec::new() };
        case.device.connect().unwrap();
        case.wait("subscribed", |counts| counts.subscribed);
        if kind.session.is_resumed() {
            case.leave_in_flight(kind.session, &proxy.state);
        } else {
            case.exchange();
        }
        let promised = kind.session != Session::Clean;
        if promised {
            case.wait("in", |counts| counts.into[1] > 0 && counts.into[2] > 0);
        }
        case.end(promised || cut.is_none());
        case.device.disconnect().unwrap();
        case.device.free(None);
        let state = proxy.state.clone();
        // Waits for the last bytes.
        drop(proxy);
        let struck = usize::from(state.has_struck());
        let verdict = Verdict { struck, bytes: state.bytes(), ..Verdict::default() };
        self.judge(&case, promised, verdict)
    }

    fn judge(&self, case: &Case<'_>, promised: bool, mut verdict: Verdict) -> Verdict {
        let number = case.number;
        let counts = self.book.close(number);
        verdict.connects = counts.connects;
        for (qos, token) in &case.tokens {
            let arrived = counts.out[usize::from(qos.bits())];
            match (qos, counts.outcomes[token]) {
                (QoS::AtMostOnce, Outcome::Sent | Outcome::Dropped(_)) => assert!(arrived <= 1),
                (_, Outcome::Acked) => verdict.lost += usize::from(arrived == 0),
                (_, Outcome::Lost) => verdict.told_lost += 1,
                other => panic!("case {number}: {other:?}"),
            }
        }
        if promised {
            verdict.lost += usize::from(counts.into[1] == 0) + usize::from(counts.into[2] == 0);
            // Told to be lost, with a session that the broker kept.
            verdict.lost += verdict.told_lost;
        }
        for arrived in [counts.out, counts.into] {
            assert!(arrived[0] <= 1, "case {number}: QoS 0 came {} times", arrived[0]);
            verdict.repeated_1 += arrived[1].saturating_sub(1);
            verdict.doubled_2 += arrived[2].saturating_sub(1);
        }
        verdict
    }

    /// All cases: each kind, each direction, each way, after each `step`th byte of the exchange.
    fn cases(&self, step: Option<usize>) -> Vec<(Kinds, Cut)> {
        let mut cases = Vec::new();
        let mut row = 0;
        for tls in [false, true] {
            if tls && self.brokers.tls.is_none() {
                println!("skipped with TLS: it is not built in");
                continue;
            }
            let step = step.unwrap_or(if tls { TLS_STEP } else { 1 });
            for session in [Session::Clean, Session::Kept, Session::ResumedDeaf, Session::ResumedMute] {
                for protocol in [Protocol::V31, Protocol::V311, Protocol::V5] {
                    let kind = Kinds { tls, session, protocol };
                    // How long the exchange is.
                    let whole = self.run(&kind, None);
                    let connects = 1 + usize::from(session.is_resumed());
                    assert_eq!(
                        (whole.lost, whole.doubled_2, whole.told_lost, whole.connects),
                        (0, 0, 0, connects),
                        "{kind:?}"
                    );
                    for direction in [Direction::ToBroker, Direction::ToClient] {
                        for how in [How::Closed, How::Reset, How::Stalled] {
                            // Other bytes in each row; these numbers share no divisor.
                            row += 1;
                            let bytes = (row * 7 % step..=whole.bytes[direction as usize]).step_by(step);
                            cases.extend(bytes.map(|after| (kind.clone(), Cut { direction, after, how })));
                        }
                    }
                }
            }
        }
        cases
    }
}

type Table = BTreeMap<(Kinds, Direction, How), (usize, Verdict)>;

fn print(table: &Table) {
    println!(
        "| link | session | MQTT | cut | after a byte | cases | connections | lost | lost and told | QoS 1 repeated | QoS 2 doubled |"
    );
    println!("| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for ((kind, direction, how), (_, v)) in table {
        println!(
            "| {} | {:?} | {} | {how:?} | {direction:?} | {} | {} | {} | {} | {} | {} |",
            if kind.tls { "TLS" } else { "TCP" },
            kind.session,
            match kind.protocol {
                Protocol::V31 => "3.1",
                Protocol::V311 => "3.1.1",
                Protocol::V5 | Protocol::Auto => "5.0",
            },
            v.struck,
            v.connects,
            v.lost,
            v.told_lost,
            v.repeated_1,
            v.doubled_2
        );
    }
}

#[test]
fn cut_after_each_byte() {
    let Some(brokers) = Brokers::start() else {
        println!("skipped: mosquitto is not installed");
        return;
    };
    let step = std::env::var("BYTE_BOUNDARY_STEP").ok().and_then(|step| step.parse().ok());
    let start = Instant::now();
    let now = move || Time(start.elapsed().as_micros() as u64 * HURRY);
    let driver = Loop::new(Clock::from_fn(now)).unwrap();
    driver.start("clients").unwrap();
    let book = Arc::new(Book::default());
    let observer = clients::observer(&driver, brokers.plain, &book);
    let world = World { brokers, driver, observer, book, last_case: AtomicUsize::new(0) };

    let cases = world.cases(step);
    let next = AtomicUsize::new(0);
    let (table, stuck) = (Mutex::new(Table::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((kind, cut)) = cases.get(next.fetch_add(1, SeqCst)) {
                    // One that comes to no end is told with the others: a table of thousands is not lost with it.
                    let Ok(verdict) = catch_unwind(AssertUnwindSafe(|| world.run(kind, Some(*cut)))) else {
                        stuck.lock().unwrap().push((kind, cut));
                        continue;
                    };
                    if verdict.lost > 0 || verdict.doubled_2 > 0 {
                        println!("{kind:?} {cut:?}: {verdict:?}");
                    }
                    let mut table = table.lock().unwrap();
                    let row = table.entry((kind.clone(), cut.direction, cut.how)).or_default();
                    row.0 += 1;
                    row.1.struck += verdict.struck;
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

    let table = table.into_inner().unwrap();
    print(&table);
    let stuck = stuck.into_inner().unwrap();
    assert!(stuck.is_empty(), "came to no end, or to a wrong one: {stuck:?}");
    for (row, (cases, verdict)) in &table {
        assert_eq!((verdict.lost, verdict.doubled_2), (0, 0), "{row:?}");
        // No two exchanges are of exactly the same length: a ping, or a record, may be in one and not in the next. So the
        // very last bytes may be none of this one.
        let missed = cases - verdict.struck;
        assert!(missed <= 2 + cases / 10, "{row:?}: {missed} of {cases} not cut");
    }
}
