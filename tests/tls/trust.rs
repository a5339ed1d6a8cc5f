//! Who is trusted besides a CA: pinned public keys, and not what was revoked.

#![cfg(feature = "tls")]

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::Arc;

use crate::tls_support::{Broker, Ca, Client, Folder, Pair, profile, self_signed};
use mgos_mqtt::client::Report;
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::{Code, Phase};
use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

#[track_caller]
fn fails(profile: &Profile, code: Code, phase: Phase, parts: &[&str]) -> Report {
    let report = Client::new(profile.clone()).attempt();
    assert_eq!((report.code, report.phase), (code, phase), "{report:?}");
    for part in parts {
        assert!(report.text.contains(part), "{part:?} is not in {:?}", report.text);
    }
    report
}

/// The pin of a key, as docs/tls.md says to make it.
fn pin(key_pem: &str, end: &str) -> String {
    let folder = Folder::new();
    let file = folder.put("key.pem", key_pem);
    let script = format!("openssl pkey -in {file} -pubout -outform DER | openssl dgst -sha256 {end}");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn base64_pin(pair: &Pair) -> String {
    format!("sha256/{}", pin(&pair.key, "-binary | openssl base64"))
}

fn hex_pin(pair: &Pair) -> String {
    pin(&pair.key, "-r").split_once(' ').unwrap().0.to_owned()
}

// -- pins ---------------------------------------------------------------------------------------

#[test]
fn a_pin_alone_tells_who_the_server_is() {
    // Nobody signed it, it is for another name, and it is long over.
    let ca = Ca::new("Unknown CA");
    let pair = ca.issue_with(&["elsewhere.example"], |params| params.not_after = date_time_ymd(2021, 1, 1));
    let broker = Broker::tls(&pair, "");
    let other = self_signed(HERE, false);
    let mut p = profile(broker.port);
    for pins in [
        base64_pin(&pair),
        hex_pin(&pair),
        // The next key is pinned before it is in use, the last one still is when it no longer is.
        format!("{},{}", base64_pin(&other), base64_pin(&pair)),
        format!("{} {}", hex_pin(&pair), base64_pin(&other)),
    ] {
        p.tls.pins = Some(pins);
        for only_tls13 in [false, true] {
            p.tls.only_tls13 = only_tls13;
            Client::new(p.clone()).up();
        }
    }
    p.tls.pins = Some(base64_pin(&other));
    let report =
        fails(&p, Code::TlsPin, Phase::Tls, &["the public key of CN=elsewhere.example is not a pinned one"]);
    assert!(report.text.ends_with(&hex_pin(&pair)), "{report:?}");
    // The same in the field of the structure that is as old as Mongoose OS.
    (p.tls.pins, p.ssl_ca_cert) = (None, Some(base64_pin(&pair)));
    Client::new(p.clone()).up();
    p.ssl_ca_cert = Some(base64_pin(&other));
    fails(&p, Code::TlsPin, Phase::Tls, &[]);
}

/// The key must not only be in the certificate: the server must have it.
#[test]
fn a_pinned_certificate_needs_its_key() {
    let pinned = self_signed(HERE, false);
    let impostor = Pair { key: self_signed(HERE, false).key, certificate: pinned.certificate.clone() };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut p = profile(listener.local_addr().unwrap().port());
    p.tls.pins = Some(base64_pin(&pinned));
    for only_tls13 in [true, false] {
        p.tls.only_tls13 = only_tls13;
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &impostor, only_tls13));
            fails(&p, Code::TlsBadCertificate, Phase::Tls, &["does not prove that it has the key"]);
        });
    }
}

/// A handshake with a key that is not that of the certificate. OpenSSL and mosquitto refuse to be such a server.
fn serve(listener: &TcpListener, pair: &Pair, tls13: bool) {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let both = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let version = if tls13 { &rustls::version::TLS13 } else { &rustls::version::TLS12 };
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(both)));
    let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = listener.accept().unwrap().0;
    // Until the client ends it.
    while tls.complete_io(&mut stream).is_ok_and(|(read, _)| read > 0) {}
}

#[test]
fn with_a_ca_both_must_hold() {
    let (ca, other_ca) = (Ca::new("CA"), Ca::new("Other CA"));
    let (pair, other) = (ca.issue(HERE), ca.issue(HERE));
    let broker = Broker::tls(&pair, "");
    let mut p = profile(broker.port);
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    p.tls.pins = Some(base64_pin(&pair));
    Client::new(p.clone()).up();
    p.tls.pins = Some(base64_pin(&other));
    fails(&p, Code::TlsPin, Phase::Tls, &["is not a pinned one"]);
    p.tls.pins = Some(base64_pin(&pair));
    p.tls.ca = Some(Secret(other_ca.pem.clone().into_bytes()));
    fails(&p, Code::TlsUntrusted, Phase::Tls, &["the issuer CN=CA"]);
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    p.tls.server_name = Some("b.example".into());
    fails(&p, Code::TlsWrongName, Phase::Tls, &["not b.example"]);
}

#[test]
fn a_trusted_certificate_is_pinned_too() {
    let (pair, other) = (self_signed(HERE, false), self_signed(HERE, false));
    let broker = Broker::tls(&pair, "");
    let mut p = profile(broker.port);
    p.tls.ca = Some(Secret(pair.certificate.clone().into_bytes()));
    p.tls.pins = Some(base64_pin(&pair));
    Client::new(p.clone()).up();
    p.tls.pins = Some(base64_pin(&other));
    fails(&p, Code::TlsPin, Phase::Tls, &[]);
}

/// A client with one pin does not resume what one with another began.
#[test]
fn other_pins_are_another_configuration() {
    let pair = self_signed(HERE, false);
    let broker = Broker::tls(&pair, "");
    let mut p = profile(broker.port);
    p.tls.pins = Some(base64_pin(&pair));
    let first = Client::new(p.clone());
    first.up();
    p.tls.pins = Some(base64_pin(&self_signed(HERE, false)));
    p.client_id = Some("second".into());
    let second = Client::on(first.context.clone(), p);
    assert_eq!(second.attempt().code, Code::TlsPin);
}

#[test]
fn pins_that_are_none() {
    let with = |change: &dyn Fn(&mut Profile)| {
        let mut p = profile(1);
        change(&mut p);
        p
    };
    for (p, text) in [
        (with(&|p| p.tls.pins = Some("sha256/x".into())), "tls_pins: \"sha256/x\" is no pin"),
        (with(&|p| p.tls.pins = Some(",".into())), "tls_pins: names no pin"),
        (with(&|p| p.ssl_ca_cert = Some("sha256/ca.pem".into())), "ssl_ca_cert: \"sha256/ca.pem\" is no pin"),
        (
            with(&|p| {
                p.tls.pins = Some("00".repeat(32));
                p.tls.insecure_skip_verification = true;
            }),
            "exclude each other",
        ),
    ] {
        fails(&p, Code::BadConfig, Phase::Usage, &[text]);
    }
}

// -- revocation ---------------------------------------------------------------------------------

/// A list of the CA with these serial numbers on it.
fn list(ca: &Ca, serials: &[u64]) -> (String, Vec<u8>) {
    let revoked_certs = serials
        .iter()
        .map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        })
        .collect();
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        // Long ago: an old list is better than none.
        next_update: date_time_ymd(2024, 2, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&ca.issuer).unwrap();
    (list.pem().unwrap(), list.der().to_vec())
}

#[test]
fn a_revoked_certificate() {
    let (ca, other, folder) = (Ca::new("CA"), Ca::new("Other CA"), Folder::new());
    let pair = ca.issue_with(HERE, |params| params.serial_number = Some(SerialNumber::from(42_u64)));
    let broker = Broker::tls(&pair, "");
    let mut p = profile(broker.port);
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    let ((with, with_der), (without, _), (others, _)) =
        (list(&ca, &[41, 42]), list(&ca, &[41]), list(&other, &[42]));
    // In memory and in a file, PEM and DER, alone and among others.
    for memory in [with.clone().into_bytes(), with_der.clone(), format!("{others}{with}").into_bytes()] {
        p.tls.crl = Some(Secret(memory));
        fails(&p, Code::TlsRevoked, Phase::Tls, &["the certificate of CN=localhost was revoked by CN=CA"]);
    }
    p.tls.crl = Some(Secret(format!("{others}{without}").into_bytes()));
    Client::new(p.clone()).up();
    p.tls.crl = None;
    // What replaces the file is used by the next attempt.
    p.tls.crl_file = Some(folder.put("crl", &without));
    let client = Client::new(p.clone());
    client.up();
    client.conn.disconnect().unwrap();
    client.until(|seen| seen.closed == 1);
    folder.put("crl", &with_der);
    assert_eq!(client.attempt().code, Code::TlsRevoked);
    // With both, what one of them has is revoked.
    p.tls.crl = Some(Secret(others.into_bytes()));
    fails(&p, Code::TlsRevoked, Phase::Tls, &[]);
}

/// Trusted or not: who is on a list is out.
///
/// field: F-49
#[test]
fn a_list_counts_whoever_trusts_the_certificate() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let pair = ca.issue_with(HERE, |params| params.serial_number = Some(SerialNumber::from(42_u64)));
    let broker = Broker::tls(&pair, "");
    let text = "the certificate of CN=localhost was revoked by CN=CA";
    // The server's own certificate is among the trusted ones, beside its CA, and without it.
    for trusted in [format!("{}{}", pair.certificate, ca.pem), format!("{}{}", ca.pem, pair.certificate)] {
        let mut p = profile(broker.port);
        p.ssl_ca_cert = Some(folder.put("ca.pem", trusted));
        p.tls.crl = Some(Secret(list(&ca, &[41]).1));
        Client::new(p.clone()).up();
        p.tls.crl = Some(Secret(list(&ca, &[42]).1));
        fails(&p, Code::TlsRevoked, Phase::Tls, &[text]);
    }
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(folder.put("own.pem", &pair.certificate));
    Client::new(p.clone()).up();
    p.tls.crl = Some(Secret(list(&ca, &[42]).1));
    fails(
        &p,
        Code::TlsRevoked,
        Phase::Tls,
        &["all of the trusted certificates of", "were revoked by tls_crl"],
    );
    // So is a CA between the server and the root, trusted like that: nothing below it counts any more.
    let middle = Ca::below(&ca, "Middle CA", 43);
    let below = Broker::tls(&middle.issue(HERE), "");
    let mut p = profile(below.port);
    p.ssl_ca_cert = Some(folder.put("chain.pem", format!("{}{}", ca.pem, middle.pem)));
    let lists = |serial| format!("{}{}", list(&ca, &[serial]).0, list(&middle, &[1]).0).into_bytes();
    p.tls.crl = Some(Secret(lists(41)));
    Client::new(p.clone()).up();
    p.tls.crl = Some(Secret(lists(43)));
    let text = "the certificate of CN=Middle CA, an issuer of that of CN=localhost, was revoked";
    fails(&p, Code::TlsRevoked, Phase::Tls, &[text]);
}

#[test]
fn lists_that_cannot_be_used() {
    let (ca, other, folder) = (Ca::new("CA"), Ca::new("Other CA"), Folder::new());
    let broker = Broker::tls(&ca.issue(HERE), "");
    let mut p = profile(broker.port);
    p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    let with = |crl: &[u8]| {
        let mut p = p.clone();
        p.tls.crl = Some(Secret(crl.to_vec()));
        p
    };
    // A list of another issuer says nothing about this one, and that is not taken for a yes.
    let text =
        "no list of revoked certificates covers the certificate of CN=localhost: one of its issuer CN=CA";
    fails(&with(list(&other, &[]).0.as_bytes()), Code::TlsBadCertificate, Phase::Tls, &[text]);
    fails(
        &with(b"nothing"),
        Code::TlsBadFile,
        Phase::Tls,
        &["tls_crl: \"the revocation lists in memory\" cannot be used"],
    );
    fails(&with(ca.pem.as_bytes()), Code::TlsBadFile, Phase::Tls, &["has no list of revoked certificates"]);
    let mut missing = p.clone();
    missing.tls.crl_file = Some(folder.put("x", "") + "y");
    fails(&missing, Code::TlsBadFile, Phase::Tls, &["tls_crl: ", "cannot be read: No such file"]);
    let mut alone = with(list(&ca, &[]).0.as_bytes());
    alone.tls.ca = None;
    alone.tls.pins = Some("00".repeat(32));
    fails(
        &alone,
        Code::BadConfig,
        Phase::Usage,
        &["tls_crl: a list of revoked certificates is only of use with"],
    );
}
