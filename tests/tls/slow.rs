//! A handshake over a slow link: the client's certificates take longer to get there than the server may take to answer.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::tls_support;
use crate::tls_support::{Broker, Ca, Client, profile};
use mgos_mqtt::client::Context;
use mgos_mqtt::config::{Secret, SocketOptions, Timeouts};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::patience::Delivery;
use mgos_mqtt::time::Span;
use mgos_mqtt::transport::{Endpoint, SendQueue, Stream, Transport};
use mio::{Registry, Token};

const OF_TLS12: &str = "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256";
const OF_TLS13: &str = "TLS1-3-AES-128-GCM-SHA256";

/// What went in, and what came out at the other end.
#[derive(Default)]
struct Counts {
    given: AtomicU64,
    passed: AtomicU64,
}

/// A socket at whose other end bytes arrive as slowly as [`relay`] takes them.
struct Slow {
    socket: Stream,
    counts: Arc<Counts>,
}

impl Slow {
    fn given(&self, outcome: io::Result<usize>) -> io::Result<usize> {
        self.counts.given.fetch_add(*outcome.as_ref().unwrap_or(&0) as u64, SeqCst);
        outcome
    }
}

impl Transport for Slow {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token)
    }

    fn deregister(&mut self, registry: &Registry) {
        self.socket.deregister(registry);
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.socket.connected()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buf)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.socket.write(bytes);
        self.given(outcome)
    }

    fn delivery(&self, given: u64, _: SendQueue) -> Option<Delivery> {
        let passed = self.counts.passed.load(SeqCst);
        assert!(given == 0 || given == self.counts.given.load(SeqCst), "TLS knows what it gave");
        Some(Delivery { left: self.counts.given.load(SeqCst) - passed, moved: passed })
    }

    fn shutdown(&mut self) {
        self.socket.shutdown();
    }

    fn peer(&self) -> Option<Endpoint> {
        self.socket.peer()
    }
}

/// Passes one connection on to a port, 100 kB a second in the direction to it. `most` bytes, then no more.
fn relay(to: u16, most: u64) -> (u16, Arc<Counts>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts = Arc::new(Counts::default());
    let passed = counts.clone();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).unwrap();
        let (mut back, mut forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || io::copy(&mut back, &mut forth));
        let mut portion = [0; 2_000];
        while passed.passed.load(SeqCst) < most
            && let Ok(n @ 1..) = client.read(&mut portion)
            && server.write_all(&portion[..n]).is_ok()
        {
            passed.passed.fetch_add(n as u64, SeqCst);
            std::thread::sleep(Duration::from_millis(20));
        }
        // The end of the stream, or none: the client hangs up.
        while let Ok(1..) = client.read(&mut portion) {}
        let _ = server.shutdown(Shutdown::Both);
    });
    (port, counts)
}

/// One attempt with 60 kB of certificates, with a broker that wants them, and time-outs of 300 ms; what it came to, and
/// whether all of them had passed.
fn attempt(suite: &str, most: u64) -> (Code, bool) {
    let ca = Ca::new("Test CA");
    let folder = tls_support::Folder::new();
    let trusted = folder.put("ca.pem", &ca.pem);
    let lines = format!("require_certificate true\ncafile {trusted}");
    let broker = Broker::tls(&ca.issue(&["localhost", "127.0.0.1"]), &lines);
    let names: Vec<String> = (0..250).map(|n| format!("a-long-name-of-number-{n}.example.org")).collect();
    let names: Vec<&str> = names.iter().map(|name| &name[..]).collect();
    let own = ca.issue(&["tls"]);
    // What the broker does not need, it does not look at.
    let others: String = (0..6).map(|_| ca.issue(&names).certificate).collect();

    let (port, counts) = relay(broker.port, most);
    let mut p = profile(port);
    p.tls.ca = Some(Secret(ca.pem.into_bytes()));
    p.tls.certificate = Some(Secret((own.certificate + &others).into_bytes()));
    p.tls.key = Some(Secret(own.key.into_bytes()));
    p.ssl_cipher_suites = Some(suite.into());
    let short = Span::millis(300);
    p.timeouts = Timeouts { tls: short, connack: short, ..Timeouts::default() };
    let mut context = Context::new(Loop::new(Clock::monotonic()).unwrap());
    let shared = counts.clone();
    context.dial = Arc::new(move |endpoint: &Endpoint, _| {
        Ok(Stream::Other(Box::new(Slow {
            socket: endpoint.open(&SocketOptions::default())?,
            counts: shared.clone(),
        })))
    });
    let client = Client::on(Arc::new(context), p);
    let report = client.attempt();
    let code = if client.conn.is_connected() { Code::Ok } else { report.code };
    (code, counts.passed.load(SeqCst) > 50_000)
}

/// In TLS 1.2 the server answers the certificates, in 1.3 what follows them.
///
/// field: F-04
#[test]
fn certificates_that_take_long_to_get_there() {
    for suite in [OF_TLS12, OF_TLS13] {
        assert_eq!(attempt(suite, u64::MAX), (Code::Ok, true), "{suite}");
    }
}

/// field: F-04
#[test]
fn certificates_that_do_not_get_there() {
    for (suite, code) in [(OF_TLS12, Code::TlsTimeout), (OF_TLS13, Code::ConnackTimeout)] {
        assert_eq!(attempt(suite, 20_000), (code, false), "{suite}");
    }
}
