//! What goes wrong with TLS: each case has its own code, and a sentence that says what to do.

#![cfg(feature = "tls")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use crate::tls_support::{Broker, Ca, Client, Folder, Pair, Peer, profile, self_signed, self_signed_with};
use mgos_mqtt::client::{Context, Report};
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::time::Span;
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// The error of an attempt.
#[track_caller]
fn fails(profile: Profile, code: Code, phase: Phase, parts: &[&str]) -> Report {
    let report = Client::new(profile).attempt();
    assert_eq!((report.code, report.phase), (code, phase), "{report:?}");
    for part in parts {
        assert!(report.text.contains(part), "{part:?} is not in {:?}", report.text);
    }
    report
}

/// A broker with this certificate, and a client that trusts `ca`.
fn broker_and_profile(pair: &Pair, ca: &str, lines: &str) -> (Broker, Profile, Folder) {
    let folder = Folder::new();
    let broker = Broker::tls(pair, lines);
    let mut profile = profile(broker.port);
    profile.ssl_ca_cert = Some(folder.put("ca.pem", ca));
    (broker, profile, folder)
}

// -- the server's certificate -------------------------------------------------------------------

#[test]
fn another_ca() {
    let ca = Ca::new("Right CA");
    let (_broker, profile, _folder) = broker_and_profile(&ca.issue(HERE), &Ca::new("Wrong CA").pem, "");
    let report = fails(
        profile,
        Code::TlsUntrusted,
        Phase::Tls,
        &["the issuer CN=Right CA", "of the certificate of CN=localhost is not among", "/ca.pem"],
    );
    assert_eq!(report.alert, None);
}

#[test]
fn a_ca_of_the_same_name() {
    let (_broker, profile, _folder) =
        broker_and_profile(&Ca::new("The CA").issue(HERE), &Ca::new("The CA").pem, "");
    fails(profile, Code::TlsUntrusted, Phase::Tls, &["was not signed by the CN=The CA", "another key"]);
}

#[test]
fn another_name() {
    let ca = Ca::new("CA");
    let pair = ca.issue(&["a.example", "b.example"]);
    let (_broker, mut profile, _folder) = broker_and_profile(&pair, &ca.pem, "");
    let text = "the certificate is for a.example and b.example, not 127.0.0.1";
    fails(profile.clone(), Code::TlsWrongName, Phase::Tls, &[text]);
    profile.tls.server_name = Some("c.example".into());
    fails(profile.clone(), Code::TlsWrongName, Phase::Tls, &["b.example, not c.example"]);
    profile.tls.server_name = Some("b.example".into());
    Client::new(profile).up();
}

/// Another name is accepted, and nothing else is: neither another issuer nor other dates.
#[test]
fn any_name_means_any_name_only() {
    const ELSEWHERE: &[&str] = &["elsewhere.example"];
    let ca = Ca::new("CA");
    let try_with = |pair: &Pair| {
        let (broker, mut profile, folder) = broker_and_profile(pair, &ca.pem, "");
        profile.tls.insecure_skip_name = true;
        (Client::new(profile), broker, folder)
    };
    let (client, ..) = &try_with(&ca.issue(ELSEWHERE));
    client.up();
    let log = client.log.lock().unwrap();
    assert!(log.iter().any(|line| line.starts_with("tls_insecure_skip_name is set")), "{log:?}");
    let refused = [
        (Ca::new("Another CA").issue(ELSEWHERE), Code::TlsUntrusted),
        (ca.issue_with(ELSEWHERE, |params| params.not_after = date_time_ymd(2023, 4, 5)), Code::TlsExpired),
        (self_signed(ELSEWHERE, false), Code::TlsSelfSigned),
    ];
    for (pair, code) in refused {
        let (client, ..) = &try_with(&pair);
        assert_eq!(client.attempt().code, code);
    }
}

/// A certificate with only a CN, as manuals teach to make them: what the error says to do works.
///
/// field: F-48
#[test]
fn no_name_at_all() {
    let ca = Ca::new("CA");
    let (_broker, mut profile, _folder) = broker_and_profile(&ca.issue(&[]), &ca.pem, "");
    let report = fails(
        profile.clone(),
        Code::TlsWrongName,
        Phase::Tls,
        &[
            "CN=nobody names no host (subjectAltName)",
            "127.0.0.1: have it issued again with one",
            "pin it by tls_pins = ",
        ],
    );
    let pin = report.text.rsplit(' ').next().unwrap();
    assert!(pin.len() == 64 && pin.bytes().all(|b| b.is_ascii_hexdigit()), "{report:?}");
    // The pin instead of the CA: which certificate the key is in does not matter any more.
    profile.ssl_ca_cert = None;
    profile.tls.pins = Some(pin.to_owned());
    Client::new(profile).up();
}

#[test]
fn expired() {
    let ca = Ca::new("CA");
    let pair = ca.issue_with(HERE, |params| params.not_after = date_time_ymd(2023, 4, 5));
    let (_broker, profile, _folder) = broker_and_profile(&pair, &ca.pem, "");
    let parts = ["the certificate of CN=localhost expired on 2023-04-05 00:00 UTC; the clock here says 20"];
    fails(profile, Code::TlsExpired, Phase::Tls, &parts);
}

#[test]
fn not_yet_valid() {
    let ca = Ca::new("CA");
    let pair = ca.issue_with(HERE, |params| params.not_before = date_time_ymd(2999, 12, 31));
    let (_broker, profile, _folder) = broker_and_profile(&pair, &ca.pem, "");
    let parts = ["the certificate of CN=localhost is not valid before 2999-12-31 00:00 UTC; the clock here"];
    fails(profile, Code::TlsNotYetValid, Phase::Tls, &parts);
}

/// A certificate that is trusted itself has dates like any other, each to the second.
#[test]
fn a_trusted_certificate_has_its_dates() {
    let pair = self_signed_with(HERE, |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2024, 1, 1));
    });
    let broker = Broker::tls(&pair, "");
    let clocks: [(fn() -> f64, Code); 4] = [
        (|| 1_672_531_199.0, Code::TlsNotYetValid),
        (|| 1_672_531_200.0, Code::Ok),
        (|| 1_704_067_200.0, Code::Ok),
        (|| 1_704_067_201.0, Code::TlsExpired),
    ];
    for (wall_clock, code) in clocks {
        let mut profile = profile(broker.port);
        profile.tls.ca = Some(Secret(pair.certificate.clone().into_bytes()));
        let context = Context::new(Loop::new(Clock::monotonic()).unwrap());
        let client = Client::on(Arc::new(Context { wall_clock, ..context }), profile);
        assert_eq!(client.attempt().code, code, "at {}", wall_clock());
    }
}

#[test]
fn self_signed_and_unknown() {
    for is_ca in [false, true] {
        let pair = self_signed(HERE, is_ca);
        let (_broker, profile, _folder) = broker_and_profile(&pair, &Ca::new("CA").pem, "");
        let parts = ["the certificate of CN=localhost is self-signed and not among"];
        fails(profile, Code::TlsSelfSigned, Phase::Tls, &parts);
    }
}

#[test]
fn not_for_a_server() {
    let ca = Ca::new("CA");
    let pair = ca.issue_with(HERE, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let (_broker, profile, _folder) = broker_and_profile(&pair, &ca.pem, "");
    fails(profile, Code::TlsBadCertificate, Phase::Tls, &["CN=localhost is not one for a server"]);
}

/// proves: NM-12
#[test]
fn not_signed_by_what_the_system_trusts() {
    let broker = Broker::tls(&Ca::new("Private CA").issue(HERE), "");
    let mut p = profile(broker.port);
    p.server = Some(format!("mqtts://127.0.0.1:{}", broker.port));
    let report = Client::new(p).attempt();
    match report.code {
        // The list that this system has does not have our CA.
        Code::TlsUntrusted => {
            assert!(report.text.contains("the system's trusted certificates"), "{report:?}")
        }
        // A system without a list.
        code => assert_eq!((code, report.text.contains("set ssl_ca_cert")), (Code::TlsBadFile, true)),
    }
}

// -- ours ---------------------------------------------------------------------------------------

#[test]
fn the_server_wants_a_certificate() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let file = folder.put("ca.pem", &ca.pem);
    for suite in ["TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384", "TLS_AES_256_GCM_SHA384"] {
        let lines = format!("cafile {file}\nrequire_certificate true");
        let (_broker, mut profile, folder) = broker_and_profile(&ca.issue(HERE), &ca.pem, &lines);
        profile.ssl_cipher_suites = Some(suite.into());
        // None at all: in TLS 1.3 the answer comes after the handshake.
        let report = fails(
            profile.clone(),
            Code::TlsClientCertificate,
            Phase::Tls,
            &["client certificate", "TLS alert"],
        );
        assert!(matches!(report.alert, Some(40 | 116)), "{suite}: {report:?}");
        // One of another CA.
        let wrong = Ca::new("Other CA").issue(&["client"]);
        profile.ssl_cert = Some(folder.put("client.pem", &wrong.certificate));
        profile.ssl_key = Some(Secret(folder.put("client.key", &wrong.key)));
        let parts = ["the server refused this client's certificate: ", "TLS alert 4"];
        fails(profile.clone(), Code::TlsClientCertificate, Phase::Tls, &parts);
        // The right one.
        let right = ca.issue(&["client"]);
        folder.put("client.pem", &right.certificate);
        folder.put("client.key", &right.key);
        Client::new(profile).up();
    }
}

#[test]
fn files_that_cannot_be_used() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let (pair, other) = (ca.issue(&["client"]), ca.issue(&["client"]));
    // Nothing listens there, and nothing is connected to: files are read first.
    let with = |change: &dyn Fn(&mut Profile)| {
        let mut p = profile(1);
        p.ssl_ca_cert = Some(folder.put("ca.pem", &ca.pem));
        p.ssl_cert = Some(folder.put("client.pem", &pair.certificate));
        p.ssl_key = Some(Secret(folder.put("client.key", &pair.key)));
        change(&mut p);
        p
    };
    let check = |code, change: &dyn Fn(&mut Profile), part: &str| {
        fails(with(change), code, Phase::Tls, &[part]);
    };
    check(
        Code::TlsBadFile,
        &|p| p.ssl_ca_cert = Some("/no/such.pem".into()),
        "ssl_ca_cert: \"/no/such.pem\" cannot be read",
    );
    check(Code::TlsBadFile, &|p| p.ssl_ca_cert = Some("/tmp".into()), "it is not a file");
    check(Code::TlsBadFile, &|p| p.ssl_ca_cert = Some(folder.put("x", "rubbish")), "is neither PEM nor");
    check(Code::TlsBadFile, &|p| p.ssl_ca_cert = Some(folder.put("empty", "")), "is neither PEM nor");
    check(
        Code::TlsBadFile,
        &|p| p.ssl_ca_cert = Some(folder.put("k", &pair.key)),
        "has no certificate in it",
    );
    let cut = ca.pem.replace("-----END CERTIFICATE-----", "");
    check(Code::TlsBadFile, &|p| p.ssl_ca_cert = Some(folder.put("cut", &cut)), "is damaged PEM");
    check(Code::TlsBadFile, &|p| p.ssl_cert = Some("/no/such.pem".into()), "ssl_cert: \"/no/such.pem\"");
    check(
        Code::TlsBadFile,
        &|p| p.ssl_key = Some(Secret("/no/such.key".into())),
        "ssl_key: \"/no/such.key\" cannot be read",
    );
    check(Code::TlsBadKey, &|p| p.ssl_key = None, "ssl_key is not set, and ssl_cert");
    check(
        Code::TlsBadKey,
        &|p| p.ssl_key = Some(Secret(folder.put("c", &pair.certificate))),
        "has no private key in it",
    );
    check(
        Code::TlsBadKey,
        &|p| p.ssl_key = Some(Secret(folder.put("other.key", &other.key))),
        "does not belong to the certificate",
    );
    check(
        Code::TlsBadFile,
        &|p| p.tls.ca = Some(Secret(b"rubbish".to_vec())),
        "ssl_ca_cert: \"the CA certificates in memory\" is neither",
    );
    check(
        Code::TlsBadSuite,
        &|p| p.ssl_cipher_suites = Some("TLS-RSA-WITH-ROT13".into()),
        "\"TLS-RSA-WITH-ROT13\" is not",
    );
    check(
        Code::TlsBadSuite,
        &|p| {
            p.tls.only_tls13 = true;
            p.ssl_cipher_suites = Some("TLS-ECDHE-RSA-WITH-AES-128-GCM-SHA256".into());
        },
        "no suite of TLS 1.3",
    );
    let psk = with(&|p| {
        p.ssl_psk_identity = Some("me".into());
        p.ssl_psk_key = Some(Secret("00ff".into()));
    });
    if cfg!(not(feature = "psk")) {
        fails(psk, Code::NotBuilt, Phase::Tls, &["without pre-shared keys", "nothing was sent"]);
    }
    let any = with(&|p| p.ssl_ca_cert = Some("*".into()));
    fails(
        any,
        Code::BadConfig,
        Phase::Usage,
        &["does not switch the verification", "tls_insecure_skip_verification"],
    );
}

// -- what both sides speak ----------------------------------------------------------------------

#[test]
fn no_common_version() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let with = |peer: &Peer| {
        let mut p = profile(peer.port);
        p.ssl_ca_cert = Some(folder.put("ca.pem", &ca.pem));
        p
    };
    let peer = Peer::new(&ca.issue(HERE), &["-tls1_2"]);
    assert!(Client::new(with(&peer)).secured().starts_with("TLS 1.2, "));
    let mut p = with(&peer);
    p.tls.only_tls13 = true;
    let parts = ["supports no TLS version that is offered, TLS 1.3", "TLS alert 70, protocol_version"];
    let report = fails(p, Code::TlsVersion, Phase::Tls, &parts);
    assert_eq!(report.alert, Some(70));
    let peer = Peer::new(&ca.issue(HERE), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    fails(with(&peer), Code::TlsVersion, Phase::Tls, &["TLS 1.2 and 1.3", "TLS alert 70"]);
}

/// proves: MG-11
#[test]
fn no_common_cipher_suite() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let peer = Peer::new(&ca.issue(HERE), &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"]);
    let mut p = profile(peer.port);
    p.ssl_ca_cert = Some(folder.put("ca.pem", &ca.pem));
    p.ssl_cipher_suites = Some("TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256".into());
    let report =
        fails(p.clone(), Code::TlsCipher, Phase::Tls, &["none of ssl_cipher_suites", "TLS alert 40"]);
    assert_eq!(report.alert, Some(40));
    p.ssl_cipher_suites = Some(
        "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256:TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,TLS1-3-AES-128-GCM-SHA256"
            .into(),
    );
    assert_eq!(Client::new(p).secured(), "TLS 1.2, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
}

#[test]
fn a_server_without_tls() {
    let broker = Broker::with("");
    let mut p = profile(broker.port);
    let folder = Folder::new();
    p.ssl_ca_cert = Some(folder.put("ca.pem", Ca::new("CA").pem));
    fails(p.clone(), Code::TlsNotSpoken, Phase::Tls, &["may not speak TLS on this port"]);
    // One that answers in its own way.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    p.server = Some(listener.local_addr().unwrap().to_string());
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        // Until the client is gone.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails(p, Code::TlsNotSpoken, Phase::Tls, &["not TLS", "does not speak TLS on this port"]);
    server.join().unwrap();
}

#[test]
fn a_plain_client_at_a_server_with_tls() {
    let broker = Broker::tls(&Ca::new("CA").issue(HERE), "");
    let report = Client::new(profile(broker.port)).attempt();
    assert_eq!(report.phase, Phase::Connect);
    match report.code {
        Code::TlsExpected => {
            assert!(report.text.contains("set ssl_ca_cert, or write mqtts://"), "{report:?}")
        }
        // What an OpenSSL does that sends no alert: how it looks depends on what was still unread there.
        Code::ClosedByServer | Code::ConnectionReset => {
            assert!(report.text.contains("or speak only TLS on this port"), "{report:?}");
        }
        _ => panic!("{report:?}"),
    }
    // A server that says so.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails(profile(port), Code::TlsExpected, Phase::Connect, &["set ssl_ca_cert, or write mqtts://"]);
    server.join().unwrap();
}

#[test]
fn a_server_that_says_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut p = profile(listener.local_addr().unwrap().port());
    let folder = Folder::new();
    p.ssl_ca_cert = Some(folder.put("ca.pem", Ca::new("CA").pem));
    p.timeouts.tls = Span::millis(100);
    fails(p, Code::TlsTimeout, Phase::Tls, &["not completed in time by 127.0.0.1:"]);
}

/// The table of the page has each code of TLS once, and no other: tests/c/test_tls.c provokes them all.
#[test]
fn every_code_is_explained() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tls.md")).unwrap();
    let mut listed: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `MGOS_MQTT_")?.split('`').next()).collect();
    let mut codes: Vec<&str> =
        Code::ALL.iter().map(|code| code.name()).filter(|name| name.starts_with("TLS_")).collect();
    listed.sort_unstable();
    codes.sort_unstable();
    assert_eq!(listed, codes);
}
