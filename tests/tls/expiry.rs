//! Certificates that expire and are replaced while the program runs.

#![cfg(feature = "tls")]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::tls_support::{Broker, Ca, Client, Folder, Pair, profile};
use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, OwnCertificate, Owner};
use mgos_mqtt::config::{ExpiryNotice, Profile, Secret};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::{Span, Time};
use rcgen::date_time_ymd;

const HERE: &[&str] = &["localhost", "127.0.0.1"];
const DAY: u64 = 86_400;

/// What was told, and what time it is: for certificates from the first of May 2090 on.
static NOW: AtomicU64 = AtomicU64::new(0);
const START: u64 = 3_797_280_000;

fn wall_clock() -> f64 {
    (START + NOW.load(SeqCst) / 1_000_000) as f64
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(Owner, i32)>>>);

impl Callback<Conn> for Told {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        if let Event::Expiry { owner, days } = event {
            self.0.lock().unwrap().push((*owner, *days));
        }
    }
}

/// A broker that wants a client certificate, and a profile with one; they end on these days of May and June 2090.
fn mutual(server: (u8, u8), client: (u8, u8)) -> (Broker, Profile, Folder) {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let ends = |(month, day)| {
        move |params: &mut rcgen::CertificateParams| {
            params.not_after = date_time_ymd(2090, month, day);
        }
    };
    let file = folder.put("ca.pem", &ca.pem);
    let lines = format!("cafile {file}\nrequire_certificate true");
    let broker = Broker::tls(&ca.issue_with(HERE, ends(server)), &lines);
    let own = ca.issue_with(&["client"], ends(client));
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(file);
    p.tls.certificate = Some(Secret(own.certificate.into_bytes()));
    p.tls.key = Some(Secret(own.key.into_bytes()));
    // Nothing else that would happen in a day.
    p.keep_alive = 0;
    (broker, p, folder)
}

/// All of it in one test: the clock is one for the program.
#[test]
fn certificates_that_end_soon_are_told_of() {
    let (_broker, mut p, _folder) = mutual((5, 12), (6, 3));
    let context = || {
        let clock = Clock::from_fn(|| Time(NOW.load(SeqCst)));
        let mut context = Context::new(Loop::new(clock).unwrap());
        context.wall_clock = wall_clock;
        Arc::new(context)
    };
    let connect = |p: &Profile| {
        let client = Client::on(context(), p.clone());
        let told = Told::default();
        client.conn.add_handler(Identity(7, 0), Kind::Expiry.bit(), Box::new(told.clone())).unwrap();
        client.up();
        (client, told)
    };
    // The first of May: eleven days are left of one, and more than thirty of the other.
    let (client, told) = connect(&p);
    assert_eq!(*told.0.lock().unwrap(), [(Owner::Server, 11)]);
    let days = |n: u64| {
        NOW.fetch_add(n * DAY * 1_000_000, SeqCst);
        client.context.driver.poll(Some(Span::ZERO)).unwrap();
    };
    // Once a day, and not before it is over.
    NOW.fetch_add((DAY - 1) * 1_000_000, SeqCst);
    client.context.driver.poll(Some(Span::ZERO)).unwrap();
    assert_eq!(told.0.lock().unwrap().len(), 1);
    NOW.fetch_add(1_000_000, SeqCst);
    days(0);
    assert_eq!(told.0.lock().unwrap()[1..], [(Owner::Server, 10)]);
    days(2);
    assert_eq!(told.0.lock().unwrap()[2..], [(Owner::Client, 30), (Owner::Server, 8)]);
    days(8);
    days(1);
    assert_eq!(
        told.0.lock().unwrap()[4..],
        [(Owner::Client, 22), (Owner::Server, 0), (Owner::Client, 21), (Owner::Server, -1)]
    );
    let log = client.log.lock().unwrap();
    for line in [
        "the certificate of the server expires in 11 days",
        "the certificate of the server expires within a day",
        "the certificate of the server has expired",
        "the certificate of this client expires in 30 days",
    ] {
        assert!(log.iter().any(|l| l == line), "{line:?} is not in {log:?}");
    }
    drop(log);
    drop(client);
    NOW.store(0, SeqCst);
    // From another day on, or never.
    for (notice, expected) in [
        (Some(60), &[(Owner::Client, 33), (Owner::Server, 11)][..]),
        (Some(11), &[(Owner::Server, 11)]),
        (Some(10), &[]),
        (None, &[]),
    ] {
        p.tls.expiry_notice = ExpiryNotice(notice);
        let (_client, told) = connect(&p);
        assert_eq!(*told.0.lock().unwrap(), expected);
    }
}

/// A server that resumes a session does not show its certificate: what it was the first time may be replaced by now.
///
/// field: F-51
#[test]
fn a_resumed_handshake_says_nothing_about_the_certificate() {
    let (ca, ten_days) = (Ca::new("CA"), std::time::Duration::from_secs(10 * DAY + DAY / 2));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let pair = ca.issue_with(HERE, |params| params.not_after = date_time_ymd(1970, 1, 1) + now + ten_days);
    let broker = Broker::tls(&pair, "");
    let mut p = profile(broker.port);
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    let client = Client::new(p);
    let told = Told::default();
    client.conn.add_handler(Identity(7, 0), Kind::Expiry.bit(), Box::new(told.clone())).unwrap();
    client.up();
    client.subscribe("a");
    assert_eq!(*told.0.lock().unwrap(), [(Owner::Server, 10)]);
    for n in 1..=2 {
        client.conn.disconnect().unwrap();
        client.until(|seen| seen.closed == n);
        client.up();
        client.subscribe("a");
    }
    let resumed = client.log.lock().unwrap().iter().filter(|line| line.ends_with(", resumed")).count();
    assert_eq!(resumed, 2);
    assert_eq!(*told.0.lock().unwrap(), [(Owner::Server, 10)]);
}

// -- replaced while it runs ---------------------------------------------------------------------

fn own(pair: &Pair) -> Option<OwnCertificate> {
    let key = Some(Secret(pair.key.clone().into_bytes()));
    Some(OwnCertificate { certificate: Secret(pair.certificate.clone().into_bytes()), key })
}

/// A broker that takes the certificates of one CA, a profile without one, and a good and a bad certificate.
fn strict() -> (Broker, Profile, Folder, Pair, Pair) {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let file = folder.put("ca.pem", &ca.pem);
    let broker = Broker::tls(&ca.issue(HERE), &format!("cafile {file}\nrequire_certificate true"));
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(file);
    (broker, p, folder, ca.issue(&["client"]), Ca::new("Other CA").issue(&["client"]))
}

#[test]
fn a_certificate_in_memory_is_replaced() {
    let (_broker, p, _folder, good, bad) = strict();
    let client = Client::new(p);
    assert_eq!(client.attempt().code, Code::TlsClientCertificate);
    client.conn.set_certificate(own(&bad)).unwrap();
    assert!(matches!(client.attempt().code, Code::TlsClientCertificate | Code::ClosedByServer));
    client.conn.set_certificate(own(&good)).unwrap();
    client.up();
    // What is up stays up.
    client.conn.set_certificate(own(&bad)).unwrap();
    client.subscribe("a");
    client.conn.disconnect().unwrap();
    client.until(|seen| seen.closed == 1);
    assert!(matches!(client.attempt().code, Code::TlsClientCertificate | Code::ClosedByServer));
    client.conn.set_certificate(None).unwrap();
    assert_eq!(client.attempt().code, Code::TlsClientCertificate);
    // Key and certificate that do not belong together.
    let mixed = Pair { certificate: good.certificate, key: bad.key };
    client.conn.set_certificate(own(&mixed)).unwrap();
    assert_eq!(client.attempt().code, Code::TlsBadKey);
}

/// Sets another certificate each time an attempt begins.
struct Fresh(Mutex<Vec<Pair>>);

impl Callback<Conn> for Fresh {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        if let Some(pair) = self.0.lock().unwrap().pop() {
            conn.set_certificate(own(&pair)).unwrap();
        }
    }
}

#[test]
fn a_certificate_is_fetched_for_each_attempt() {
    let (_broker, p, _folder, good, bad) = strict();
    let client = Client::new(p.clone());
    let fresh = Box::new(Fresh(Mutex::new(vec![bad, good])));
    client.conn.add_handler(Identity(8, 0), Kind::Connecting.bit(), fresh).unwrap();
    client.up();
    client.conn.disconnect().unwrap();
    client.until(|seen| seen.closed == 1);
    let report = client.attempt();
    assert!(matches!(report.code, Code::TlsClientCertificate | Code::ClosedByServer), "{report:?}");
    // It turns TLS on where nothing else does; what it cannot be used with is the error of this attempt.
    let (_broker, _, _folder, good, bad) = strict();
    let mut plain = p;
    plain.ssl_ca_cert = None;
    let client = Client::new(plain);
    let mixed = Pair { certificate: good.certificate, key: bad.key };
    client
        .conn
        .add_handler(Identity(8, 0), Kind::Connecting.bit(), Box::new(Fresh(Mutex::new(vec![mixed]))))
        .unwrap();
    let report = client.attempt();
    assert!(matches!(report.code, Code::TlsBadKey | Code::TlsBadFile), "{report:?}");
    assert_eq!(client.seen.lock().unwrap().results.len(), 1, "one result for one attempt");
}
