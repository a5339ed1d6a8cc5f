//! A name with several addresses, of which some do not answer: how long each is tried, in virtual time.

use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Profile, Retry, Settings, Timeouts};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::transport::{Stream, Transport};
use mio::{Registry, Token};

const START: Time = Time(3_000_000_000);
const REFUSED: i32 = if cfg!(target_os = "linux") { 111 } else { 61 };

/// What an address does.
#[derive(Clone, Copy, PartialEq)]
enum Address {
    Silent,
    Refuses,
    Answers,
}

struct Socket(Address, Loop);

impl Transport for Socket {
    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        if self.0 == Address::Answers {
            self.1.announce(token, false, true);
        }
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {}

    fn connected(&mut self) -> io::Result<bool> {
        Ok(self.0 == Address::Answers)
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn write_two(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        Ok(first.len() + second.len())
    }

    fn shutdown(&mut self) {}

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn raw_fd(&self) -> RawFd {
        -1
    }
}

/// Makes one attempt with ten seconds for TCP. Returns when each address was tried, in milliseconds, when the attempt
/// was over or CONNECT sent, and its error.
fn attempt(addresses: &[Address]) -> (Vec<u64>, u64, Code) {
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
            address => Ok(Stream::Other(Box::new(Socket(address, on.clone())))),
        }
    });
    let profile = Profile {
        enable: true,
        server: Some("name.test".into()),
        timeouts: Timeouts { tcp: Span::secs(10), connack: Span::ZERO, ..Timeouts::default() },
        ..Profile::default()
    };
    let settings = Settings { retry: Retry::Never, ..Settings::default() };
    let source = ProfileSource::Fixed(Arc::new(profile));
    let conn = Conn::new(Arc::new(context), 1, vec![source], settings).unwrap();
    conn.connect().unwrap();
    loop {
        driver.poll(Some(Span::ZERO)).unwrap();
        match driver.next_timeout() {
            Some(wait) => drop(now.fetch_add(wait.0, SeqCst)),
            None => break,
        }
    }
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
