//! A name with several addresses, of which some do not answer: when each is tried, and which one wins, in virtual time.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::driver_support::source;
use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource, Report};
use mgos_mqtt::config::{Profile, Retry, Settings, SocketOptions, Timeouts, TlsOptions};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::transport::{Endpoint, Stream, Transport};
use mio::{Registry, Token};

const START: Time = Time(3_000_000_000);
const REFUSED: i32 = if cfg!(target_os = "linux") { 111 } else { 61 };

/// What an address does.
#[derive(Clone, Copy, PartialEq)]
enum Address {
    Silent,
    Refuses,
    /// The system has not got the source address for it.
    NoSource,
    Answers,
    /// After 100 ms.
    RefusesLater,
    /// After a second.
    AnswersLater,
    /// After a second, too, and does not speak TLS.
    AnswersWithoutTls,
}

struct Socket {
    address: Address,
    on: Loop,
    /// What it does it did.
    done: Arc<AtomicBool>,
    answer: &'static [u8],
    /// How many there are.
    sockets: Arc<AtomicUsize>,
}

impl Socket {
    fn new(address: Address, on: &Loop, sockets: &Arc<AtomicUsize>) -> Socket {
        sockets.fetch_add(1, SeqCst);
        let (on, sockets) = (on.clone(), sockets.clone());
        Socket { address, on, done: Arc::default(), answer: b"HTTP/1.1 400 Bad Request", sockets }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.sockets.fetch_sub(1, SeqCst);
    }
}

impl Transport for Socket {
    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        if self.done.load(SeqCst) {
            // As the system does.
            self.on.announce(token, false);
            return Ok(());
        }
        let wait = match self.address {
            Address::Silent | Address::Refuses | Address::NoSource => return Ok(()),
            Address::Answers => Span::ZERO,
            Address::RefusesLater => Span::millis(100),
            Address::AnswersLater | Address::AnswersWithoutTls => Span::secs(1),
        };
        let (asked, done) = (AtomicBool::new(false), self.done.clone());
        let timer = source(move |turn| {
            if !asked.swap(true, SeqCst) {
                turn.set_deadline(Some(turn.now + wait));
            } else if !done.swap(true, SeqCst) {
                turn.handle().announce(token, true);
            }
        });
        self.on.schedule(self.on.add(timer).unwrap());
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {}

    fn connected(&mut self) -> io::Result<bool> {
        match (self.done.load(SeqCst), self.address) {
            (true, Address::RefusesLater) => Err(io::Error::from_raw_os_error(REFUSED)),
            (done, _) => Ok(done),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.address {
            Address::AnswersWithoutTls => self.answer.read(into),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}

/// When each address was tried, in milliseconds, when the attempt was over or CONNECT sent, and its error.
type Course = (Vec<u64>, u64, Code);

/// How an attempt went.
struct Attempt {
    /// The addresses that were opened, each with its time in milliseconds.
    dialled: Vec<(SocketAddr, u64)>,
    /// When it was over, or CONNECT was sent.
    over: u64,
    report: Report,
    /// How many sockets were open then.
    sockets: usize,
}

/// Makes one attempt with ten seconds for TCP.
fn attempt(addresses: &[Address]) -> Course {
    attempt_with(addresses, Span::secs(10), Span::ZERO)
}

/// Makes one attempt with so long for TCP, in a loop that comes to each deadline so `late`.
fn attempt_with(addresses: &[Address], limit: Span, late: Span) -> Course {
    let address = |n: usize| SocketAddr::from(([192, 0, 2, n as u8], 1));
    let listed: Vec<_> = addresses.iter().enumerate().map(|(n, what)| (address(n), *what)).collect();
    let Attempt { dialled, over, report, .. } = attempt_at(&listed, limit, late);
    (dialled.into_iter().map(|(_, at)| at).collect(), over, report.code)
}

fn attempt_at(listed: &[(SocketAddr, Address)], limit: Span, late: Span) -> Attempt {
    let now = Arc::new(AtomicU64::new(START.0));
    let (clock, dialled_at) = (now.clone(), now.clone());
    let answer: Vec<SocketAddr> = listed.iter().map(|(address, _)| *address).collect();
    let driver = Loop::with_name_service(
        Clock::from_fn(move || Time(clock.load(SeqCst))),
        Arc::new(move |question| question.answer(Ok(answer.clone()))),
    )
    .unwrap();
    let (dialled, sockets) = (Arc::new(Mutex::new(Vec::new())), Arc::<AtomicUsize>::default());
    let (list, what, on, made) = (dialled.clone(), listed.to_vec(), driver.clone(), sockets.clone());
    let mut context = Context::new(driver.clone());
    context.dial = Arc::new(move |endpoint, _| {
        let (at, what) = what.iter().find(|(address, _)| Endpoint::from(*address) == *endpoint).unwrap();
        list.lock().unwrap().push((*at, (dialled_at.load(SeqCst) - START.0) / 1_000));
        match what {
            Address::Refuses => Err(io::Error::from_raw_os_error(REFUSED)),
            Address::NoSource => {
                let source_address = Some("192.0.2.77".parse().unwrap());
                endpoint.open(&SocketOptions { source_address, ..SocketOptions::default() })
            }
            what => Ok(Stream::Other(Box::new(Socket::new(*what, &on, &made)))),
        }
    });
    let secure = listed.iter().any(|(_, what)| *what == Address::AnswersWithoutTls);
    let profile = Profile {
        enable: true,
        server: Some(if secure { "mqtts://name.test" } else { "name.test" }.into()),
        timeouts: Timeouts { tcp: limit, connack: Span::ZERO, ..Timeouts::default() },
        tls: TlsOptions { insecure_skip_verification: secure, ..TlsOptions::default() },
        ..Profile::default()
    };
    let settings = Settings { retry: Retry::Never, ..Settings::default() };
    let source = ProfileSource::Fixed(Arc::new(profile));
    let conn = Conn::new(Arc::new(context), 1, vec![source], settings).unwrap();
    conn.connect().unwrap();
    // As many iterations as this takes, and many more.
    let over = (0..10_000).any(|_| {
        driver.poll(Some(Span::ZERO)).unwrap();
        match driver.next_timeout() {
            Some(Span::ZERO) => {}
            Some(wait) => drop(now.fetch_add(wait.0 + late.0, SeqCst)),
            None => return true,
        }
        false
    });
    assert!(over, "it goes on and on");
    let (report, sockets) = (conn.report(), sockets.load(SeqCst));
    conn.free(None);
    let dialled = dialled.lock().unwrap().clone();
    Attempt { dialled, over: (now.load(SeqCst) - START.0) / 1_000, report, sockets }
}

/// Takes nine seconds, and connects.
struct SlowlyConnects(Arc<AtomicU64>);

impl Callback<Conn> for SlowlyConnects {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        self.0.fetch_add(Span::secs(9).0, SeqCst);
        conn.connect().unwrap();
    }
}

/// The time for opening begins with the attempt, and not with the turn in which a callback took long before it.
#[test]
fn slow_callbacks_take_nothing_of_the_time_of_an_attempt() {
    let now = Arc::new(AtomicU64::new(START.0));
    let clock = now.clone();
    let driver = Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap();
    let (on, made) = (driver.clone(), Arc::<AtomicUsize>::default());
    let mut context = Context::new(driver.clone());
    context.dial =
        Arc::new(move |_, _| Ok(Stream::Other(Box::new(Socket::new(Address::Silent, &on, &made)))));
    let profile = Profile { enable: true, server: Some("192.0.2.1:1".into()), ..Profile::default() };
    let settings = Settings { retry: Retry::Never, ..Settings::default() };
    let source = ProfileSource::Fixed(Arc::new(profile));
    let conn = Conn::new(Arc::new(context), 1, vec![source], settings).unwrap();
    let slow = Box::new(SlowlyConnects(now.clone()));
    conn.add_handler(Identity(1, 1), Kind::Timer.bit(), slow).unwrap();
    conn.set_timer(Some(START)).unwrap();
    let mut left = None;
    assert!((0..10_000).any(|_| {
        driver.poll(Some(Span::ZERO)).unwrap();
        left = driver.next_timeout();
        left != Some(Span::ZERO)
    }));
    assert_eq!(left, Some(Span::secs(10)));
    conn.free(None);
}

/// field: F-12
#[test]
fn all_addresses_share_the_time() {
    use Address::*;
    assert_eq!(attempt(&[Silent]), (vec![0], 10_000, Code::ConnectTimeout));
    let four = vec![0, 250, 500, 750];
    assert_eq!(attempt(&[Silent; 4]), (four.clone(), 10_000, Code::ConnectTimeout));
    assert_eq!(attempt(&[Silent, Silent, Silent, Answers]), (four, 750, Code::Ok));
    // Behind one that refuses the next is tried at once.
    let tried = vec![0, 250, 250, 250];
    assert_eq!(attempt(&[Silent, Refuses, Refuses, Silent]), (tried, 10_000, Code::ConnectTimeout));
    let tried = vec![0, 250, 350, 600];
    assert_eq!(attempt(&[Silent, RefusesLater, Silent, Silent]), (tried, 10_000, Code::ConnectTimeout));
    // Each gets its turn, even when there is little time for many.
    let tried = (0..100).map(|n| n * 100).collect();
    assert_eq!(attempt(&[Silent; 100]), (tried, 10_000, Code::ConnectTimeout));
}

#[test]
fn the_first_that_is_open_wins_and_the_others_are_closed() {
    use Address::*;
    let address = |n: u8| SocketAddr::from(([192, 0, 2, n], 1));
    for (first, next) in [(Silent, 250), (AnswersLater, 250), (RefusesLater, 100)] {
        let listed = [(address(0), first), (address(1), Answers), (address(2), Silent)];
        let won = attempt_at(&listed, Span::secs(10), Span::ZERO);
        assert_eq!((won.report.code, won.sockets), (Code::Ok, 1));
        assert_eq!(won.dialled, [(address(0), 0), (address(1), next)]);
    }
    // One that was begun earlier, too.
    let listed = [(address(0), AnswersLater), (address(1), Silent), (address(2), Silent)];
    let won = attempt_at(&listed, Span::secs(10), Span::ZERO);
    assert_eq!((won.report.code, won.over, won.sockets), (Code::Ok, 1_000, 1));
    assert_eq!(won.dialled.len(), 3);
}

#[test]
fn the_report_has_the_error_of_each() {
    use Address::*;
    let address = |n: u8| SocketAddr::from(([192, 0, 2, n], 1));
    let listed = [(address(0), Silent), (address(1), RefusesLater), (address(2), Silent)];
    let failed = attempt_at(&listed, Span::secs(10), Span::ZERO);
    assert_eq!((failed.report.code, failed.sockets), (Code::ConnectTimeout, 0));
    let tried: Vec<_> =
        failed.report.tried.iter().map(|(endpoint, os)| (endpoint.to_string(), *os)).collect();
    let text = |n| address(n).to_string();
    assert_eq!(tried.len(), 3, "{tried:?}");
    assert_eq!(tried[0], (text(1), REFUSED));
    assert_eq!((&tried[1].0, &tried[2].0), (&text(0), &text(2)));
    assert!(tried[1].1 == tried[2].1 && tried[1].1 != REFUSED);
    assert!((0..3).all(|n| failed.report.text.contains(&text(n))), "{}", failed.report.text);
}

/// Whichever comes first: a socket that cannot be made is the reason, and the others were tried.
#[test]
fn the_report_has_those_too_that_were_tried_beside_a_socket_that_could_not_be_made() {
    use Address::*;
    let address = |n: u8| SocketAddr::from(([192, 0, 2, n], 1));
    for listed in [[Refuses, NoSource], [NoSource, Refuses]] {
        let listed = [(address(0), listed[0]), (address(1), listed[1])];
        let report = attempt_at(&listed, Span::secs(10), Span::ZERO).report;
        assert_eq!(report.code, Code::SocketOption);
        assert!(report.text.starts_with("the option source_address 192.0.2.77 "), "{}", report.text);
        let tried: Vec<_> = report.tried.iter().map(|(endpoint, _)| endpoint.to_string()).collect();
        assert_eq!(tried, [address(0).to_string(), address(1).to_string()]);
    }
}

/// Where one family does not get through, the other one is tried next.
#[test]
fn both_families_take_turns() {
    let v4 = |n: u8| SocketAddr::from(([192, 0, 2, n], 1));
    let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 1));
    let order = |listed: &[SocketAddr]| {
        let listed: Vec<_> = listed.iter().map(|address| (*address, Address::Silent)).collect();
        let Attempt { dialled, .. } = attempt_at(&listed, Span::secs(10), Span::ZERO);
        dialled.into_iter().map(|(address, _)| address).collect::<Vec<_>>()
    };
    assert_eq!(order(&[v6(1), v6(2), v6(3), v4(1)]), [v6(1), v4(1), v6(2), v6(3)]);
    assert_eq!(order(&[v4(1), v4(2), v6(1), v6(2)]), [v4(1), v6(1), v4(2), v6(2)]);
    assert_eq!(order(&[v6(2), v4(2), v4(1), v4(3)]), [v6(2), v4(2), v4(1), v4(3)]);
}

/// An open connection that does not become a secure one took its time, too. The others, which were closed when it won,
/// are tried again.
#[cfg(feature = "tls")]
#[test]
fn an_address_without_tls_uses_what_it_takes() {
    use Address::*;
    let (tried, over, code) = attempt(&[AnswersWithoutTls, Silent, Silent, Silent]);
    assert_eq!((tried, over), (vec![0, 250, 500, 750, 1_000, 1_250, 1_500], 10_000));
    assert_ne!(code, Code::ConnectTimeout, "that it answered says more");
}

/// A loop that is late, because a handler took long, takes nothing from the addresses that are still to come.
#[test]
fn a_late_loop_costs_no_address_its_share() {
    let (tried, over, code) = attempt_with(&[Address::Silent; 4], Span::secs(10), Span::secs(2));
    assert_eq!((tried, over, code), (vec![0, 2_250, 4_500, 6_750], 18_000, Code::ConnectTimeout));
}

#[test]
fn without_a_limit_none_is_given_up_and_all_are_tried() {
    use Address::*;
    let waits = attempt_with(&[Refuses, Silent, Answers], Span::ZERO, Span::ZERO);
    assert_eq!(waits, (vec![0, 0, 250], 250, Code::Ok));
    let waits = attempt_with(&[AnswersLater, Silent], Span::ZERO, Span::ZERO);
    assert_eq!(waits, (vec![0, 250], 1_000, Code::Ok));
}

/// Whether the connection came up, and went down.
struct Ends(Arc<Mutex<Vec<&'static str>>>);

impl Callback<Conn> for Ends {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        match event {
            Event::ConnAck(_) => self.0.lock().unwrap().push("up"),
            Event::Close(_) => self.0.lock().unwrap().push("down"),
            _ => {}
        }
    }
}

/// Once with sockets of the system. All that the winner has to say, its end included, was said before anybody knew that
/// it wins, and is told only once.
#[test]
fn what_the_winner_says_is_heard() {
    // One whose queue is full lets nobody in, and does not say so.
    let full = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket2::SockRef::from(&full).listen(0).unwrap();
    let silent = full.local_addr().unwrap();
    let _queue: Vec<_> =
        (0..4).map(|_| Endpoint::from(silent).open(&SocketOptions::default()).unwrap()).collect();
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let list = vec![silent, server.local_addr().unwrap(), silent];
    let server = std::thread::spawn(move || {
        let (mut link, _) = server.accept().unwrap();
        link.write_all(b"\x20\x02\0\0").unwrap();
        link.shutdown(Shutdown::Write).unwrap();
        link
    });
    let driver = Loop::with_name_service(
        Clock::monotonic(),
        Arc::new(move |question| question.answer(Ok(list.clone()))),
    )
    .unwrap();
    let dialled = Arc::new(AtomicUsize::new(0));
    let count = dialled.clone();
    let mut context = Context::new(driver.clone());
    context.dial = Arc::new(move |endpoint, _| {
        count.fetch_add(1, SeqCst);
        endpoint.open(&SocketOptions::default())
    });
    let profile = Profile { enable: true, server: Some("name.test".into()), ..Profile::default() };
    let settings = Settings { retry: Retry::Never, ..Settings::default() };
    let source = ProfileSource::Fixed(Arc::new(profile));
    let conn = Conn::new(Arc::new(context), 1, vec![source], settings).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kinds = Kind::ConnAck.bit() | Kind::Close.bit();
    conn.add_handler(Identity(1, 1), kinds, Box::new(Ends(seen.clone()))).unwrap();
    conn.connect().unwrap();
    let end = driver.now() + Span::secs(20);
    while dialled.load(SeqCst) < 2 {
        assert!(driver.now() < end, "it waits for the first address");
        driver.poll(Some(Span::secs(1))).unwrap();
    }
    let _link = server.join().unwrap();
    assert!(
        driver.wait(Some(end), &mut || seen.lock().unwrap().len() == 2).unwrap(),
        "{}",
        conn.report().text
    );
    assert_eq!(*seen.lock().unwrap(), ["up", "down"]);
    assert_eq!(conn.report().code, Code::ClosedByServer);
    conn.free(None);
}
