//! When a connection is tried again, and where: through the client, in virtual time.
//!
//! The clock moves only from one deadline of the loop to the next, so that hours take milliseconds and every
//! attempt is seen at its exact time. Only the sockets are real: ports of this host that refuse at once.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, Level, ProfileSource, Sink};
use mgos_mqtt::config::{Backoff, Profile, Retry, Settings, Timeouts};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::{Publication, RawAck};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::wire::QoS;

/// A port of this host at which nobody listens, held so that nobody else gets it.
struct Refusing(SocketAddr, #[expect(dead_code, reason = "holds the port")] socket2::Socket);

impl Refusing {
    fn new() -> Refusing {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Refusing(socket.local_addr().unwrap().as_socket().unwrap(), socket)
    }
}

/// No jitter, unless a test is about it.
fn settings() -> Settings {
    Settings { jitter_percent: 0, ..Settings::default() }
}

fn profile(server: SocketAddr) -> Profile {
    Profile { enable: true, server: Some(server.to_string()), keep_alive: 0, ..Profile::default() }
}

type Log = Arc<Mutex<Vec<(Time, String)>>>;

/// Notes attempts and their results with the time.
struct Notes {
    now: Arc<AtomicU64>,
    log: Log,
}

impl Callback<Conn> for Notes {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        let note = match event {
            Event::Connecting => format!("try {}", conn.active_profile()),
            Event::ConnectResult { error: Code::Ok, .. } => format!("up {}", conn.active_profile()),
            Event::ConnectResult { error, .. } => error.name().into(),
            Event::Close(report) => format!("down {}", report.code.name()),
            _ => return,
        };
        self.log.lock().unwrap().push((Time(self.now.load(SeqCst)), note));
    }
}

struct World {
    now: Arc<AtomicU64>,
    driver: Loop,
    conn: Arc<Conn>,
    log: Log,
}

impl World {
    fn new(profiles: Vec<ProfileSource>, settings: Settings) -> World {
        World::with_wall_clock(profiles, settings, || 2e9)
    }

    fn with_wall_clock(profiles: Vec<ProfileSource>, settings: Settings, wall_clock: fn() -> f64) -> World {
        // Not at the clock's origin, where mistakes could hide.
        let now = Arc::new(AtomicU64::new(START.0));
        let clock = now.clone();
        let driver = Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap();
        let context = Arc::new(Context { wall_clock, ..Context::new(driver.clone()) });
        let conn = Conn::new(context, 1, profiles, settings).unwrap();
        let log = Log::default();
        let notes = Notes { now: now.clone(), log: log.clone() };
        let kinds = Kind::Connecting.bit() | Kind::ConnectResult.bit() | Kind::Close.bit();
        conn.add_handler(Identity(1, 1), kinds, Box::new(notes)).unwrap();
        World { now, driver, conn, log }
    }

    /// Profiles that are what they are.
    fn fixed(profiles: &[Profile], settings: Settings) -> World {
        World::new(profiles.iter().map(|p| ProfileSource::Fixed(Arc::new(p.clone()))).collect(), settings)
    }

    /// One round. The virtual clock stands still, so this sleeps only if the kernel is not ready with what it
    /// has to tell, and never long.
    fn round(&self) {
        self.driver.poll(Some(Span::millis(5))).unwrap();
    }

    /// Rounds until `done`, at the present moment.
    #[track_caller]
    fn until(&self, mut done: impl FnMut() -> bool) {
        for _ in 0..4_000 {
            if done() {
                return;
            }
            self.round();
        }
        panic!("in vain, with {:?} noted", self.log.lock().unwrap());
    }

    /// Lets the present attempt fail.
    #[track_caller]
    fn settle(&self) {
        self.round_now();
        self.until(|| !self.conn.is_busy() && self.driver.next_timeout() != Some(Span::ZERO));
    }

    /// What can be done without the kernel.
    fn round_now(&self) {
        self.driver.poll(Some(Span::ZERO)).unwrap();
    }

    fn seconds(&self) -> f64 {
        (self.now.load(SeqCst) - START.0) as f64 / 1e6
    }

    fn pass(&self, span: Span) {
        self.now.fetch_add(span.0, SeqCst);
    }

    /// The time to the next deadline, once the present is done with.
    #[track_caller]
    fn wait(&self) -> Span {
        self.until(|| self.driver.next_timeout() != Some(Span::ZERO));
        self.driver.next_timeout().expect("a deadline")
    }

    /// Lets time pass to the next deadline, after a look just before it: nothing may happen early.
    #[track_caller]
    fn next(&self) {
        let wait = self.wait();
        let noted = self.log.lock().unwrap().len();
        self.pass(Span(wait.0 - 1));
        self.round_now();
        assert_eq!(self.log.lock().unwrap().len(), noted, "a microsecond early");
        self.pass(Span(1));
        self.settle();
    }

    /// The attempts since the last call: profile, and milliseconds since the start.
    fn tries(&self) -> Vec<(usize, u64)> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.into_iter()
            .filter_map(|(at, note)| {
                let profile = note.strip_prefix("try ")?.parse().unwrap();
                let micros = at.since(START).0;
                assert_eq!(micros % 1_000, 0, "not on a millisecond");
                Some((profile, micros / 1_000))
            })
            .collect()
    }

    /// What was noted since the last call, with seconds since the start.
    fn notes(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.into_iter().map(|(at, note)| format!("{} {note}", at.since(START).0 as f64 / 1e6)).collect()
    }

    /// Lets it try until `n` attempts have been made.
    #[track_caller]
    fn try_times(&self, n: usize) -> Vec<(usize, u64)> {
        let mut all = self.tries();
        while all.len() < n {
            self.next();
            all.extend(self.tries());
        }
        all
    }
}

const START: Time = Time(77_000_000_123);

fn at_seconds<const N: usize>(profile: usize, seconds: [u64; N]) -> [(usize, u64); N] {
    seconds.map(|s| (profile, s * 1_000))
}

/// A server that is played by the test, on its own thread.
struct Server {
    listener: TcpListener,
    link: Option<TcpStream>,
}

impl Server {
    fn new() -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Server { listener, link: None }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes the connection and reads its CONNECT.
    #[track_caller]
    fn accept(&mut self, world: &World) {
        world.until(|| match self.listener.accept() {
            Ok((link, _)) => {
                link.set_nonblocking(true).unwrap();
                self.link = Some(link);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        });
        let mut got = Vec::new();
        let mut link = self.link.as_ref().unwrap();
        world.until(|| {
            let mut buffer = [0; 256];
            match link.read(&mut buffer) {
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            got.len() >= 2 && got.len() == 2 + usize::from(got[1])
        });
        assert_eq!(got[0], 0x10, "CONNECT");
    }

    /// Accepts the client.
    #[track_caller]
    fn welcome(&mut self, world: &World) {
        self.accept(world);
        self.link.as_ref().unwrap().write_all(b"\x20\x02\0\0").unwrap();
        world.until(|| world.conn.is_connected());
    }

    /// Reads exactly these bytes.
    #[track_caller]
    fn expect(&self, world: &World, bytes: &[u8]) {
        let mut got = Vec::new();
        let mut link = self.link.as_ref().unwrap();
        world.until(|| {
            let mut buffer = [0; 256];
            match link.read(&mut buffer) {
                Ok(n) => got.extend_from_slice(&buffer[..n]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            got.len() >= bytes.len()
        });
        assert_eq!(got, bytes);
    }

    /// Sends. On the loopback the bytes have arrived when this returns.
    #[track_caller]
    fn answer(&self, bytes: &[u8]) {
        self.link.as_ref().unwrap().write_all(bytes).unwrap();
    }

    /// Closes the connection.
    #[track_caller]
    fn drop_link(&mut self, world: &World) {
        self.link.take().unwrap().shutdown(Shutdown::Both).unwrap();
        world.until(|| !world.conn.is_busy());
    }
}

/// A profile that the test changes while it is in use.
fn live(profile: Profile) -> (Arc<Mutex<Profile>>, ProfileSource) {
    let shared = Arc::new(Mutex::new(profile));
    let source = shared.clone();
    (shared, ProfileSource::Live(Arc::new(move || Ok(source.lock().unwrap().clone()))))
}

/// proves: MG-25 MG-26 MG-29
#[test]
fn the_backup_schedule() {
    let (main, backup) = (Refusing::new(), Refusing::new());
    let world = World::fixed(&[profile(main.0), profile(backup.0)], settings());
    world.conn.connect().unwrap();
    world.settle();
    let mut expected = at_seconds(0, [0, 2, 6, 14, 30, 62, 122]).to_vec();
    expected.extend(at_seconds(1, [124, 128, 136, 152, 184, 244]));
    expected.extend(at_seconds(0, [246, 250, 258, 274, 306, 366]));
    expected.extend(at_seconds(1, [368]));
    assert_eq!(world.try_times(expected.len()), expected);
}

#[test]
fn with_one_profile_the_interval_stays_at_its_maximum() {
    let main = Refusing::new();
    let disabled = Profile { enable: false, ..profile(main.0) };
    for profiles in [vec![profile(main.0)], vec![profile(main.0), disabled]] {
        let world = World::fixed(&profiles, settings());
        world.conn.connect().unwrap();
        world.settle();
        assert_eq!(world.try_times(10), at_seconds(0, [0, 2, 6, 14, 30, 62, 122, 182, 242, 302]));
    }
}

#[test]
fn three_profiles_in_a_ring_each_with_its_own_waits() {
    let server = Refusing::new();
    let waits = |min, max| Profile {
        reconnect_min: Span::secs(min),
        reconnect_max: Span::secs(max),
        ..profile(server.0)
    };
    let disabled = Profile { enable: false, ..waits(1, 1) };
    let world = World::fixed(&[waits(1, 2), waits(3, 5), disabled, waits(10, 10)], settings());
    world.conn.connect().unwrap();
    world.settle();
    let expected = [(0, 0), (0, 1), (0, 3), (1, 6), (1, 11), (3, 21), (0, 22), (0, 24), (1, 27)];
    assert_eq!(world.try_times(9), expected.map(|(p, s)| (p, s * 1_000)));
}

#[test]
fn a_fixed_delay_never_grows_and_never_moves_on() {
    let server = Refusing::new();
    let main = Profile { reconnect_min: Span::millis(5_250), ..profile(server.0) };
    let world = World::fixed(&[main, profile(server.0)], Settings { backoff: Backoff::Fixed, ..settings() });
    world.conn.connect().unwrap();
    world.settle();
    let expected: Vec<_> = (0..100).map(|n| (0, n * 5_250)).collect();
    assert_eq!(world.try_times(100), expected);
}

/// A maximum below the minimum wins, with a fixed delay as with one that doubles.
#[test]
fn the_maximum_bounds_a_fixed_delay_too() {
    let server = Refusing::new();
    let main = Profile { reconnect_min: Span::secs(9), reconnect_max: Span::secs(3), ..profile(server.0) };
    for backoff in [Backoff::Fixed, Backoff::Doubling] {
        let world = World::fixed(std::slice::from_ref(&main), Settings { backoff, ..settings() });
        world.conn.connect().unwrap();
        world.settle();
        assert_eq!(world.try_times(3), at_seconds(0, [0, 3, 6]));
    }
}

/// proves: MG-57x
#[test]
fn jitter_keeps_to_its_bounds_and_uses_them() {
    for (percent, low, high) in
        [(10, 9_000_000, 11_000_000), (100, 0, 20_000_000), (0, 10_000_000, 10_000_000)]
    {
        let server = Refusing::new();
        let main = Profile { reconnect_min: Span::secs(10), ..profile(server.0) };
        let settings = Settings { backoff: Backoff::Fixed, jitter_percent: percent, ..Settings::default() };
        let world = World::fixed(&[main], settings);
        world.conn.connect().unwrap();
        world.settle();
        let waits: Vec<u64> = (0..300)
            .map(|_| {
                let wait = world.wait().0;
                world.pass(Span(wait));
                world.settle();
                wait
            })
            .collect();
        assert!(waits.iter().all(|w| (low..=high).contains(w)), "{percent}: {waits:?}");
        let (min, max) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        // 300 of them come near both ends: a spread below 90 % has a chance of about 1 in 10^12.
        assert!(max - min >= (high - low) / 10 * 9, "{percent}: only {min} to {max}");
    }
}

#[test]
fn connect_now_cancels_the_wait_and_does_not_reset_it() {
    let main = Refusing::new();
    let world = World::fixed(&[profile(main.0)], settings());
    world.conn.connect().unwrap();
    world.settle();
    assert_eq!(world.try_times(3), at_seconds(0, [0, 2, 6]));
    // The next would be at 14.
    world.pass(Span::secs(1));
    world.conn.connect().unwrap();
    world.settle();
    // The wait after this failure is the next of the series, 16 seconds from here.
    assert_eq!(world.try_times(3), at_seconds(0, [7, 23, 55]));
}

#[test]
fn connect_now_counts_as_an_attempt_before_the_backup() {
    let main = Refusing::new();
    let short = Profile { reconnect_min: Span::secs(4), reconnect_max: Span::secs(8), ..profile(main.0) };
    let world = World::fixed(&[short.clone(), short], settings());
    world.conn.connect().unwrap();
    world.settle();
    world.pass(Span::secs(1));
    world.conn.connect().unwrap();
    world.settle();
    assert_eq!(world.try_times(4), [(0, 0), (0, 1_000), (0, 9_000), (1, 13_000)]);
}

/// proves: MG-27 MG-28
#[test]
fn connack_0_resets_the_interval_and_the_profile_sticks() {
    let refusing = Refusing::new();
    let mut server = Server::new();
    let (main, main_source) = live(profile(refusing.0));
    let (backup, backup_source) = live(profile(refusing.0));
    let world = World::new(vec![main_source, backup_source], settings());
    world.conn.connect().unwrap();
    world.settle();
    // Main, then the backup, which is there at its second attempt.
    assert_eq!(world.try_times(8).last(), Some(&(1, 124_000)));
    backup.lock().unwrap().server = Some(server.address().to_string());
    world.pass(world.wait());
    server.welcome(&world);
    assert_eq!(world.notes(), ["128 try 1", "128 up 1"]);
    assert_eq!(world.driver.next_timeout(), None);

    // Days later it is lost; main is there by now, but the backup is the one that is in use.
    world.pass(Span::secs(200_000));
    main.lock().unwrap().server = Some(server.address().to_string());
    backup.lock().unwrap().server = Some(refusing.0.to_string());
    server.drop_link(&world);
    assert_eq!(world.notes(), ["200128 down CLOSED_BY_SERVER"]);
    let lost = 200_128;
    let expected = at_seconds(1, [2, 6, 14, 30, 62, 122].map(|s| lost + s));
    assert_eq!(world.try_times(6), expected);
    world.pass(world.wait());
    server.welcome(&world);
    assert_eq!(world.notes(), [format!("{} try 0", lost + 124), format!("{} up 0", lost + 124)]);
}

#[test]
fn a_refusal_by_connack_is_a_failed_attempt() {
    let mut server = Server::new();
    let world = World::fixed(&[profile(server.address())], settings());
    world.conn.connect().unwrap();
    for expected in [2, 6, 14] {
        server.accept(&world);
        server.link.as_ref().unwrap().write_all(b"\x20\x02\0\x03").unwrap();
        world.settle();
        assert_eq!(world.conn.report().connack, Some(3));
        assert!(world.notes()[1].ends_with(" REFUSED_UNAVAILABLE"));
        world.pass(world.wait());
        assert_eq!(world.seconds(), f64::from(expected));
    }
}

/// The wait begins when the attempt has ended, not when it began.
#[test]
fn a_server_that_never_answers() {
    let mut server = Server::new();
    let main = Profile {
        timeouts: Timeouts { connack: Span::millis(10_500), ..Timeouts::default() },
        ..profile(server.address())
    };
    let world = World::fixed(&[main], settings());
    world.conn.connect().unwrap();
    server.accept(&world);
    world.next();
    assert_eq!(world.notes(), ["0 try 0", "10.5 CONNACK_TIMEOUT"]);
    world.pass(world.wait());
    server.accept(&world);
    world.next();
    assert_eq!(world.notes(), ["12.5 try 0", "23 CONNACK_TIMEOUT"]);
    assert_eq!(world.driver.next_timeout(), Some(Span::secs(4)));
}

/// Who drives the loop may come late: an answer that was in time is not too late for that.
#[test]
fn an_answer_that_waits_in_the_socket() {
    let mut server = Server::new();
    let main = Profile { keep_alive: 60, ..profile(server.address()) };
    let world = World::fixed(&[main], settings());
    world.conn.connect().unwrap();
    // CONNACK, after everybody slept for a minute.
    server.accept(&world);
    server.answer(b"\x20\x02\0\0");
    world.pass(Span::secs(60));
    world.until(|| world.conn.is_connected() || !world.conn.is_busy());
    assert!(world.conn.is_connected());
    // PINGRESP.
    world.pass(world.wait());
    assert_eq!(world.seconds(), 120.0);
    server.expect(&world, b"\xc0\0");
    server.answer(b"\xd0\0");
    world.pass(Span::secs(11));
    world.round_now();
    assert!(world.conn.is_connected());
    // One that does not come ends it, ten seconds after the PINGREQ.
    world.pass(world.wait());
    server.expect(&world, b"\xc0\0");
    assert_eq!(world.wait(), Span::secs(10));
    world.next();
    assert!(world.notes().last().unwrap().ends_with(" down KEEP_ALIVE_TIMEOUT"));
}

/// A PINGREQ of the application, sent while the loop sleeps, has its deadline too.
#[test]
fn an_application_s_own_ping_is_watched() {
    let mut server = Server::new();
    let main = Profile { keep_alive: 60, ..profile(server.address()) };
    let world = World::fixed(&[main], settings());
    world.conn.connect().unwrap();
    server.welcome(&world);
    assert_eq!(world.wait(), Span::secs(60));
    world.pass(Span::secs(5));
    world.conn.raw_ping().unwrap();
    server.expect(&world, b"\xc0\0");
    assert_eq!(world.wait(), Span::secs(10));
}

#[test]
fn fail_back_tries_main_and_returns_to_what_worked() {
    let refusing = Refusing::new();
    let mut server = Server::new();
    let short = |address| Profile { reconnect_max: Span::secs(2), ..profile(address) };
    let (main, main_source) = live(short(refusing.0));
    let (_backup, backup_source) = live(short(server.address()));
    let world =
        World::new(vec![main_source, backup_source], Settings { fail_back: Span::secs(600), ..settings() });
    world.conn.connect().unwrap();
    world.settle();
    world.next();
    world.pass(world.wait());
    server.welcome(&world);
    assert_eq!(world.notes().last().unwrap(), "4 up 1");
    for since in [604, 1_204, 1_804] {
        world.pass(Span(world.wait().0 - 1));
        world.round_now();
        assert!(world.conn.is_connected(), "fails back early");
        world.pass(Span(1));
        world.round_now();
        // It says DISCONNECT; the server closes its side.
        let mut link = server.link.take().unwrap();
        let mut bytes = [0; 8];
        world.until(|| matches!(link.read(&mut bytes), Ok(2)) && bytes[..2] == [0xe0, 0]);
        drop(link);
        // Main still refuses, so the backup it is again, without a wait.
        server.welcome(&world);
        let expected = ["down RECONFIGURED", "try 0", "CONNECT_REFUSED", "try 1", "up 1"]
            .map(|n| format!("{since} {n}"));
        assert_eq!(world.notes(), expected);
    }
    // Main is back.
    let mut other = Server::new();
    main.lock().unwrap().server = Some(other.address().to_string());
    world.pass(world.wait());
    world.round_now();
    drop(server.link.take());
    other.welcome(&world);
    let expected = ["down RECONFIGURED", "try 0", "up 0"].map(|n| format!("2404 {n}"));
    assert_eq!(world.notes(), expected);
    assert_eq!(world.driver.next_timeout(), None, "on main there is nothing to fail back to");
}

/// The application replaces main's profile while the connection is on its way back: the new one has a series of attempts
/// of its own.
#[test]
fn a_new_main_profile_ends_a_fail_back() {
    let refusing = Refusing::new();
    let mut server = Server::new();
    let short = |address| Profile { reconnect_max: Span::secs(2), ..profile(address) };
    let (_main, main_source) = live(short(refusing.0));
    let (_backup, backup_source) = live(short(server.address()));
    let world =
        World::new(vec![main_source, backup_source], Settings { fail_back: Span::secs(600), ..settings() });
    world.conn.connect().unwrap();
    world.settle();
    world.next();
    world.pass(world.wait());
    server.welcome(&world);
    world.notes();
    world.pass(world.wait());
    world.round_now();
    let (_other, other_source) = live(short(refusing.0));
    world.conn.set_profile(other_source).unwrap();
    drop(server.link.take());
    world.settle();
    assert_eq!(world.notes(), ["604 down RECONFIGURED", "604 try 0", "604 CONNECT_REFUSED"]);
    world.next();
    assert_eq!(world.notes(), ["606 try 0", "606 CONNECT_REFUSED"]);
}

/// Main was switched off while the backup was in use: then the backup is kept.
#[test]
fn no_fail_back_to_a_disabled_main() {
    let refusing = Refusing::new();
    let mut server = Server::new();
    let (main, main_source) = live(Profile { reconnect_max: Span::secs(2), ..profile(refusing.0) });
    let (_backup, backup_source) = live(profile(server.address()));
    let world =
        World::new(vec![main_source, backup_source], Settings { fail_back: Span::secs(600), ..settings() });
    world.conn.connect().unwrap();
    world.settle();
    world.next();
    world.pass(world.wait());
    server.welcome(&world);
    main.lock().unwrap().enable = false;
    for _ in 0..3 {
        world.pass(Span::secs(600));
        world.round_now();
        assert!(world.conn.is_connected());
        assert_eq!(world.wait(), Span::secs(600), "looks again before it is time");
    }
    // Enabled again, its turn comes.
    main.lock().unwrap().enable = true;
    world.pass(Span::secs(600));
    world.round_now();
    drop(server.link.take());
    server.welcome(&world);
    assert!(world.notes().iter().any(|note| note.ends_with(" try 0")));
}

static CLOCK_IS_SET: AtomicBool = AtomicBool::new(false);

/// proves: MG-54x
#[test]
fn require_time() {
    let mut server = Server::new();
    let main = Profile { require_time: true, ..profile(server.address()) };
    let source = ProfileSource::Fixed(Arc::new(main));
    let world =
        World::with_wall_clock(
            vec![source],
            settings(),
            || if CLOCK_IS_SET.load(SeqCst) { 2e9 } else { 7.0 },
        );
    assert_eq!(world.conn.connect(), Err(Code::TimeNotSet));
    world.settle();
    world.next();
    world.next();
    let expected = [0, 2, 6].map(|s| format!("{s} TIME_NOT_SET"));
    assert_eq!(world.notes(), expected);
    CLOCK_IS_SET.store(true, SeqCst);
    world.pass(world.wait());
    server.welcome(&world);
    assert_eq!(world.notes(), ["14 try 0", "14 up 0"]);
}

#[test]
fn a_disabled_profile_is_not_tried() {
    let server = Refusing::new();
    for disabled in
        [Profile { enable: false, ..profile(server.0) }, Profile { server: None, ..profile(server.0) }]
    {
        let world = World::fixed(&[disabled], settings());
        assert_eq!(world.conn.connect(), Err(Code::Disabled));
        world.conn.connect_by_itself();
        world.settle();
        assert_eq!(world.notes(), Vec::<String>::new());
        assert_eq!(world.driver.next_timeout(), None);
    }
    // Disabled between two attempts: that was the last.
    let (main, source) = live(profile(server.0));
    let world = World::new(vec![source], settings());
    world.conn.connect().unwrap();
    world.settle();
    main.lock().unwrap().enable = false;
    world.next();
    assert_eq!(world.try_times(0), at_seconds(0, [0]));
    assert_eq!((world.driver.next_timeout(), world.conn.report().code), (None, Code::Disabled));
}

/// The backup was switched off while it was being tried: main is not.
#[test]
fn a_backup_that_is_disabled_meanwhile_gives_way_to_main() {
    let server = Refusing::new();
    let main = ProfileSource::Fixed(Arc::new(Profile { reconnect_max: Span::secs(2), ..profile(server.0) }));
    let (backup, source) = live(profile(server.0));
    let world = World::new(vec![main, source], settings());
    world.conn.connect().unwrap();
    world.settle();
    assert_eq!(world.try_times(3), [(0, 0), (0, 2_000), (1, 4_000)]);
    backup.lock().unwrap().enable = false;
    assert_eq!(world.try_times(3), [(0, 8_000), (0, 10_000), (0, 12_000)]);
}

#[test]
fn disconnect_ends_the_series() {
    let server = Refusing::new();
    let world = World::fixed(&[profile(server.0)], settings());
    world.conn.connect().unwrap();
    world.settle();
    world.conn.disconnect().unwrap();
    world.settle();
    assert_eq!(world.driver.next_timeout(), None);
    assert_eq!(world.tries(), at_seconds(0, [0]));
}

/// The server does not read, so DISCONNECT does not get through: after a while it is given up.
#[test]
fn disconnect_does_not_wait_for_ever() {
    let mut server = Server::new();
    let settings = Settings { max_outgoing_bytes: 64 << 20, ..settings() };
    let world = World::fixed(&[profile(server.address())], settings);
    world.conn.connect().unwrap();
    server.welcome(&world);
    // More than the kernel takes.
    let payload = vec![0; 1 << 20];
    for _ in 0..32 {
        world.conn.publish(Publication::new("t", &payload, QoS::AtMostOnce)).unwrap();
    }
    world.round_now();
    world.conn.disconnect().unwrap();
    world.round_now();
    let wait = world.wait();
    world.pass(Span(wait.0 - 1));
    world.round_now();
    assert!(world.conn.unsent_bytes() > 0 && world.conn.is_busy());
    world.pass(Span(1));
    world.round_now();
    assert_eq!(world.notes().last().unwrap(), &format!("{} down UNDELIVERED", world.seconds()));
    assert_eq!(world.driver.next_timeout(), None);
}

/// The first message after a quiet moment leaves with the call that publishes it; what follows goes together, in the
/// loop's next round. A call that sends nothing is no such beginning.
#[test]
fn the_first_message_does_not_wait_for_the_loop() {
    let mut server = Server::new();
    let world = World::fixed(&[profile(server.address())], settings());
    world.conn.connect().unwrap();
    server.welcome(&world);
    let publish = |topic| world.conn.publish(Publication::new(topic, b"", QoS::AtMostOnce)).unwrap();
    let arrived = || {
        let mut buffer = [0; 64];
        match server.link.as_ref().unwrap().read(&mut buffer) {
            Ok(n) => n / b"\x30\x03\0\x01a".len(),
            Err(_) => 0,
        }
    };
    for _ in 0..3 {
        world.until(|| world.driver.next_timeout() != Some(Span::ZERO));
        world.conn.raw_ack(RawAck::PubAck, 1).unwrap();
        publish("a");
        assert_eq!(arrived(), 1);
        publish("b");
        publish("c");
        assert_eq!(arrived(), 0);
        world.round_now();
        assert_eq!(arrived(), 2);
    }
}

/// Counts what it is told.
struct Count(Arc<AtomicU64>);

impl Callback<Conn> for Count {
    fn call(&self, _: &Conn, _: &Event<'_>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Handlers of POLL are called after a turn of their connection, and wake the loop for it only if there is a tick. The one
/// connection that stands for all of Mongoose OS gets it in each round, too.
#[test]
fn poll_handlers_have_their_tick_or_none() {
    for (poll_tick, next) in [(Span::ZERO, None), (Span::secs(3), Some(Span::secs(3)))] {
        let mut server = Server::new();
        let world = World::fixed(&[profile(server.address())], Settings { poll_tick, ..settings() });
        let polls = Arc::new(AtomicU64::new(0));
        world.conn.add_handler(Identity(2, 2), Kind::Poll.bit(), Box::new(Count(polls.clone()))).unwrap();
        world.conn.connect().unwrap();
        server.welcome(&world);
        world.until(|| world.driver.next_timeout() != Some(Span::ZERO));
        let told = || polls.swap(0, SeqCst);
        assert!(told() > 0);
        // The rounds of others are not its own.
        (0..5).for_each(|_| world.round_now());
        assert_eq!((told(), world.driver.next_timeout()), (0, next));
        world.pass(Span::secs(3));
        world.round_now();
        assert_eq!((told(), world.driver.next_timeout()), (u64::from(next.is_some()), next));
        // What comes is a turn.
        server.answer(b"\xd0\0");
        world.until(|| polls.load(SeqCst) > 0);
        told();
        world.conn.poll_each_iteration();
        world.round_now();
        told();
        (0..5).for_each(|_| world.round_now());
        assert_eq!((told(), world.driver.next_timeout()), (5, next));
    }
}

#[test]
fn never_stops_by_itself() {
    let (main, backup) = (Refusing::new(), Refusing::new());
    let world = World::fixed(&[profile(main.0), profile(backup.0)], Settings::default());
    world.conn.connect().unwrap();
    world.settle();
    for _ in 0..10_000 {
        let wait = world.wait();
        assert!(wait <= Span::secs(66), "{wait:?}");
        world.pass(wait);
        world.settle();
    }
    let log = world.log.lock().unwrap();
    assert_eq!(log.iter().filter(|(_, note)| note.starts_with("try ")).count(), 10_001);
    assert_eq!(log.iter().filter(|(_, note)| note == "CONNECT_REFUSED").count(), 10_001);
}

/// What was logged as a warning.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Sink for Warnings {
    fn log(&self, _: Level, _: i32, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

/// Asks for the next attempt whenever it is told that the connection was closed.
struct ConnectsAgain;

impl Callback<Conn> for ConnectsAgain {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        assert_eq!(conn.connect(), Ok(()));
    }
}

impl World {
    /// Connects, is accepted, and loses the connection `after` that.
    #[track_caller]
    fn come_and_go(&self, server: &mut Server, after: Span) {
        server.welcome(self);
        self.pass(after);
        server.drop_link(self);
    }
}

/// A server that accepts and closes at once: the wait goes on where it was, and the server stays the same. What was up for
/// long enough begins anew.
/// field: F-11
#[test]
fn a_connection_that_does_not_last_keeps_the_wait_and_the_server() {
    let mut server = Server::new();
    let backup = Refusing::new();
    let world = World::fixed(&[profile(server.address()), profile(backup.0)], settings());
    let warnings = Arc::new(Warnings::default());
    world.conn.context().log.set(Level::Warn, Some(warnings.clone()));
    let told = || warnings.0.lock().unwrap().iter().filter(|text| text.contains("same client id")).count();
    world.conn.connect().unwrap();
    let mut waits = Vec::new();
    for n in 0..9 {
        assert_eq!(told(), usize::from(n >= 5), "after {n}");
        world.come_and_go(&mut server, Span::secs(n));
        waits.push(world.wait());
        world.pass(world.wait());
    }
    assert_eq!(waits, [2, 4, 8, 16, 60, 60, 60, 60, 60].map(Span::secs));
    // Just as long as it has to be.
    world.come_and_go(&mut server, Span::secs(30));
    assert_eq!(world.wait(), Span::secs(2));
    world.pass(world.wait());
    world.come_and_go(&mut server, Span::millis(29_999));
    assert_eq!(world.wait(), Span::secs(4));
    assert!(world.tries().iter().all(|(profile, _)| *profile == 0));
    assert_eq!(told(), 1);
}

/// The longest wait was reached by connections that did not last: the next failure does not change the server for that,
/// those after it do.
/// field: F-11
#[test]
fn a_connection_that_does_not_last_is_no_step_towards_the_backup() {
    let mut server = Server::new();
    let refusing = Refusing::new();
    let short = |address| Profile { reconnect_max: Span::secs(4), ..profile(address) };
    let (main, main_source) = live(short(server.address()));
    let (_backup, backup_source) = live(short(refusing.0));
    let world = World::new(vec![main_source, backup_source], settings());
    world.conn.connect().unwrap();
    for _ in 0..4 {
        world.come_and_go(&mut server, Span::ZERO);
        world.pass(world.wait());
    }
    server.welcome(&world);
    main.lock().unwrap().server = Some(refusing.0.to_string());
    server.drop_link(&world);
    world.tries();
    let profiles: Vec<usize> = world.try_times(4).iter().map(|(profile, _)| *profile).collect();
    assert_eq!(profiles, [0, 0, 1, 1]);
}

/// Where each connection counts, as in Mongoose OS, the waits begin anew with each.
/// field: F-11
#[test]
fn stable_at_once_is_the_original_s_schedule() {
    let mut server = Server::new();
    let settings = Settings { stable_after: Span::ZERO, ..settings() };
    let world = World::fixed(&[profile(server.address())], settings);
    world.conn.connect().unwrap();
    for _ in 0..4 {
        world.come_and_go(&mut server, Span::ZERO);
        assert_eq!(world.wait(), Span::secs(2));
        world.pass(world.wait());
    }
}

/// Whoever connects in a handler of CLOSE is heard, and does not call a server that closes at once without a pause;
/// with any policy.
/// field: F-10
#[test]
fn connecting_in_a_handler_of_close_is_paced() {
    for retry in [Retry::Always, Retry::OnceUp, Retry::Never] {
        for stable_after in [Span::secs(30), Span::ZERO] {
            let mut server = Server::new();
            let settings = Settings { retry, stable_after, ..settings() };
            let world = World::fixed(&[profile(server.address())], settings);
            world.conn.add_handler(Identity(2, 2), Kind::Close.bit(), Box::new(ConnectsAgain)).unwrap();
            world.conn.connect().unwrap();
            let mut waits = Vec::new();
            for _ in 0..4 {
                world.come_and_go(&mut server, Span::millis(1));
                waits.push(world.wait());
                world.pass(world.wait());
            }
            let expected = if stable_after == Span::ZERO { [2; 4] } else { [2, 4, 8, 16] };
            assert_eq!(waits, expected.map(Span::secs), "{retry:?}");
            // After one that lasted there is nothing to be waited for.
            server.welcome(&world);
            world.pass(Span::secs(30));
            let now = world.seconds();
            server.link = None;
            world.until(|| !world.conn.is_connected());
            server.welcome(&world);
            assert_eq!(world.seconds(), now);
        }
    }
}

/// So in a handler that is told that an attempt failed.
/// field: F-10
#[test]
fn connecting_in_a_handler_of_a_failure_is_paced() {
    let refusing = Refusing::new();
    for retry in [Retry::Always, Retry::Never] {
        let world = World::fixed(&[profile(refusing.0)], Settings { retry, ..settings() });
        let again = Box::new(ConnectsAgain);
        world.conn.add_handler(Identity(2, 2), Kind::ConnectResult.bit(), again).unwrap();
        world.conn.connect().unwrap();
        world.settle();
        assert_eq!(world.try_times(5), at_seconds(0, [0, 2, 6, 14, 30]), "{retry:?}");
    }
}

/// The application closed it itself, and changes its mind when that is done: that says nothing about the server.
/// field: F-10
#[test]
fn connecting_again_after_an_own_disconnect_does_not_wait() {
    let mut server = Server::new();
    let world = World::fixed(&[profile(server.address())], settings());
    world.conn.add_handler(Identity(2, 2), Kind::Close.bit(), Box::new(ConnectsAgain)).unwrap();
    world.conn.connect().unwrap();
    server.welcome(&world);
    world.conn.disconnect().unwrap();
    world.round_now();
    server.link = None;
    world.until(|| !world.conn.is_connected());
    server.welcome(&world);
    assert_eq!(world.seconds(), 0.0);
}
