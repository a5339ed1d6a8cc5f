//! A name with several addresses, of which some do not answer: how long each is tried, in virtual time.

mod driver_support;

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use driver_support::source;
use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Profile, Retry, Settings, Timeouts, TlsOptions};
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
    Answers,
    /// After a second.
    RefusesLater,
    /// After a second, too, and does not speak TLS.
    AnswersWithoutTls,
}

struct Socket {
    address: Address,
    on: Loop,
    /// What it does it did.
    done: Arc<AtomicBool>,
    answer: &'static [u8],
}

impl Socket {
    fn new(address: Address, on: &Loop) -> Socket {
        Socket { address, on: on.clone(), done: Arc::default(), answer: b"HTTP/1.1 400 Bad Request" }
    }
}

impl Transport for Socket {
    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        let wait = match self.address {
            Address::Silent | Address::Refuses => return Ok(()),
            Address::Answers => Span::ZERO,
            Address::RefusesLater | Address::AnswersWithoutTls => Span::secs(1),
        };
        let (asked, done) = (AtomicBool::new(false), self.done.clone());
        let timer = source(move |turn| {
            if !asked.swap(true, SeqCst) {
                turn.set_deadline(Some(turn.now + wait));
            } else if !done.swap(true, SeqCst) {
                turn.handle().announce(token, true, true);
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

    fn write_two(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        Ok(first.len() + second.len())
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}

/// When each address was tried, in milliseconds, when the attempt was over or CONNECT sent, and its error.
type Course = (Vec<u64>, u64, Code);

/// Makes one attempt with ten seconds for TCP.
fn attempt(addresses: &[Address]) -> Course {
    attempt_with(addresses, Span::secs(10), Span::ZERO)
}

/// Makes one attempt with so long for TCP, in a loop that comes to each deadline so `late`.
fn attempt_with(addresses: &[Address], limit: Span, late: Span) -> Course {
    let now = Arc::new(AtomicU64::new(START.0));
    let (clock, dialled_at) = (now.clone(), now.clone());
    let listed: Vec<SocketAddr> = (0..addresses.len()).map(|n| ([192, 0, 2, n as u8], 1).into()).collect();
    let driver = Loop::with_name_service(
        Clock::from_fn(move || Time(clock.load(SeqCst))),
        Arc::new(move |question| question.answer(Ok(listed.clone()))),
    )
    .unwrap();
    let dialled = Arc::new(Mutex::new(Vec::new()));
    let (list, what, on) = (dialled.clone(), addresses.to_vec(), driver.clone());
    let mut context = Context::new(driver.clone());
    context.dial = Arc::new(move |_| {
        let mut list = list.lock().unwrap();
        let address = what[list.len()];
        list.push((dialled_at.load(SeqCst) - START.0) / 1_000);
        match address {
            Address::Refuses => Err(io::Error::from_raw_os_error(REFUSED)),
            address => Ok(Stream::Other(Box::new(Socket::new(address, &on)))),
        }
    });
    let secure = addresses.contains(&Address::AnswersWithoutTls);
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
    let code = if conn.is_busy() { Code::Ok } else { conn.report().code };
    conn.free(None);
    let tried = dialled.lock().unwrap().clone();
    (tried, (now.load(SeqCst) - START.0) / 1_000, code)
}

/// field: F-12
#[test]
fn all_addresses_share_the_time() {
    use Address::*;
    assert_eq!(attempt(&[Silent]), (vec![0], 10_000, Code::ConnectTimeout));
    let four = vec![0, 2_500, 5_000, 7_500];
    assert_eq!(attempt(&[Silent; 4]), (four.clone(), 10_000, Code::ConnectTimeout));
    assert_eq!(attempt(&[Silent, Silent, Silent, Answers]), (four, 7_500, Code::Ok));
    // Those that refuse at once leave their time to the others.
    let tried = vec![0, 2_500, 2_500, 2_500];
    assert_eq!(attempt(&[Silent, Refuses, Refuses, Silent]), (tried, 10_000, Code::ConnectTimeout));
    assert_eq!(attempt(&[Silent; 100]).1, 10_000);
}

/// The time that an address did not use is the others'.
#[test]
fn an_address_uses_what_it_takes() {
    use Address::*;
    let refused = attempt(&[Silent, RefusesLater, Silent, Silent]);
    assert_eq!(refused, (vec![0, 2_500, 3_500, 6_750], 10_000, Code::ConnectTimeout));
}

/// An open connection that does not become a secure one took its time, too.
#[cfg(feature = "tls")]
#[test]
fn an_address_without_tls_uses_what_it_takes() {
    use Address::*;
    let (tried, over, _) = attempt(&[AnswersWithoutTls, Silent, Silent, Silent]);
    assert_eq!((tried, over), (vec![0, 1_000, 4_000, 7_000], 10_000));
}

/// A loop that is late, because a handler took long, takes nothing from the addresses that are still to come.
#[test]
fn a_late_loop_costs_no_address_its_share() {
    let (tried, over, code) = attempt_with(&[Address::Silent; 4], Span::secs(10), Span::secs(2));
    assert_eq!((tried, over, code), (vec![0, 4_500, 9_000, 13_500], 18_000, Code::ConnectTimeout));
}

#[test]
fn without_a_limit_the_first_that_does_not_refuse_is_waited_for() {
    use Address::*;
    let waits = attempt_with(&[Refuses, Silent, Answers], Span::ZERO, Span::ZERO);
    assert_eq!(waits, (vec![0, 0], 0, Code::Ok));
}
