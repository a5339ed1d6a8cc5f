//! Pre-shared keys against mosquitto and `openssl s_server`: what works, and how each mistake is told.

#![cfg(feature = "psk")]

mod tls_support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use mgos_mqtt::client::Report;
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::QoS;
use tls_support::{Broker, Client, Folder, Peer, profile, self_signed};

const KEY: &str = "00112233445566778899aAbBcCdDeEfF";
const OTHER_KEY: &str = "ff112233445566778899aabbccddeeff";
const SUITE: &str = "TLS-PSK-WITH-AES-128-GCM-SHA256";

/// A mosquitto that knows the key of "device".
fn broker() -> (Broker, Folder) {
    let folder = Folder::new();
    let file = folder.put("psk", format!("other:{OTHER_KEY}\ndevice:{KEY}\n"));
    (Broker::with(&format!("psk_file {file}\npsk_hint a hint\nuse_identity_as_username true")), folder)
}

fn with_key(port: u16, identity: &str, key: &str) -> Profile {
    Profile {
        ssl_psk_identity: Some(identity.into()),
        ssl_psk_key: Some(Secret(key.into())),
        ..profile(port)
    }
}

#[track_caller]
fn fails(profile: Profile, code: Code, phase: Phase, parts: &[&str]) -> Report {
    let report = Client::new(profile).attempt();
    assert_eq!((report.code, report.phase), (code, phase), "{report:?}");
    for part in parts {
        assert!(report.text.contains(part), "{part:?} is not in {:?}", report.text);
    }
    report
}

fn message<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publication<'a> {
    Publication::new(topic, payload, qos)
}

const ALL: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// proves: MG-13 MG-14
#[test]
fn the_right_key_connects() {
    let (broker, _folder) = broker();
    for (suites, min13, expected) in [
        (None, false, "TLS 1.3, TLS_CHACHA20_POLY1305_SHA256, pre-shared key"),
        (Some("TLS_AES_128_GCM_SHA256"), true, "TLS 1.3, TLS_AES_128_GCM_SHA256, pre-shared key"),
        (Some(SUITE), false, "TLS 1.2, TLS_PSK_WITH_AES_128_GCM_SHA256, pre-shared key"),
        (
            Some("TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384"),
            false,
            "TLS 1.2, TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384, pre-shared key",
        ),
        (
            Some("TLS-PSK-WITH-AES-128-CBC-SHA"),
            false,
            "TLS 1.2, TLS_PSK_WITH_AES_128_CBC_SHA, pre-shared key",
        ),
    ] {
        let mut p = with_key(broker.port, "device", KEY);
        p.ssl_cipher_suites = suites.map(str::to_owned);
        p.tls.only_tls13 = min13;
        let client = Client::new(p);
        assert_eq!(client.secured(), expected);
        client.until(|seen| !seen.results.is_empty());
        assert!(client.conn.is_connected(), "{:?}", client.conn.report());
    }
}

/// Every suite that has a name here is one that OpenSSL has too, and that works.
#[test]
fn every_suite_works() {
    let pair = self_signed(&["localhost"], false);
    let list = fails(
        Profile { ssl_cipher_suites: Some("TLS_NO".into()), ..with_key(1, "device", KEY) },
        Code::TlsBadSuite,
        Phase::Tls,
        &["\"TLS_NO\" is not a suite for pre-shared keys"],
    );
    let (_, names) = list.text.split_once("which has ").unwrap();
    let names: Vec<_> = names.split(", ").collect();
    assert_eq!(names.len(), 20);
    let (_folder, groups) = dh_parameters();
    let server = Peer::new(
        &pair,
        &["-psk", KEY, "-psk_identity", "device", "-dhparam", &groups, "-cipher", "PSK:ALL"],
    );
    for name in names {
        let mut p = with_key(server.port, "device", KEY);
        p.ssl_cipher_suites = Some(name.into());
        let said = Client::new(p).secured();
        assert!(said.contains(&format!(", {name}, ")), "{name}: {said}");
    }
}

/// Groups for DHE that need not be searched for: those of RFC 7919, by name.
fn dh_parameters() -> (Folder, String) {
    let folder = Folder::new();
    let file = folder.put("dh.pem", "");
    let output = std::process::Command::new("openssl")
        .args(["genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", &file])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    (folder, file)
}

#[test]
fn messages_of_every_size_there_and_back() {
    let (broker, _folder) = broker();
    for suites in [None, Some(SUITE)] {
        let mut p = with_key(broker.port, "device", KEY);
        p.ssl_cipher_suites = suites.map(str::to_owned);
        let client = Client::new(p);
        client.up();
        client.subscribe("big");
        let payload: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut n = 0;
        for qos in ALL {
            for len in [0, 1, 16_383, 16_384, 16_385, 100_000, 1_000_000] {
                client.conn.publish(message("big", &payload[..len], qos)).unwrap();
                n += 1;
                client.until(|seen| seen.messages.len() == n);
                assert!(client.seen.lock().unwrap().messages[n - 1].1 == payload[..len], "{len}");
            }
        }
        client.until(|seen| seen.acknowledged == 14);
        assert_eq!(client.conn.unsent_bytes(), 0);
    }
}

#[test]
fn many_small_messages() {
    const EACH: usize = 2_000;
    let (broker, _folder) = broker();
    let client = Client::new(with_key(broker.port, "device", KEY));
    client.up();
    client.subscribe("n");
    for n in 0..EACH {
        client.conn.publish(message("n", n.to_string().as_bytes(), QoS::AtLeastOnce)).unwrap();
    }
    client.until(|seen| seen.messages.len() == EACH && seen.acknowledged == EACH);
    let seen = client.seen.lock().unwrap();
    assert!(seen.messages.iter().enumerate().all(|(n, (_, payload))| *payload == n.to_string().into_bytes()));
}

#[test]
fn it_comes_back() {
    let (broker, _folder) = broker();
    let mut p = with_key(broker.port, "device", KEY);
    (p.reconnect_min, p.reconnect_max) = (Span::millis(10), Span::millis(10));
    let client = Client::new(p);
    client.up();
    client.subscribe("a");
    for n in 1..4 {
        client.conn.drop_link(Code::Reconfigured, n % 2 == 0).unwrap();
        client.until(|seen| seen.results.len() == n + 1 && seen.subscribed == n + 1);
    }
    client.conn.publish(message("a", b"again", QoS::ExactlyOnce)).unwrap();
    client.until(|seen| seen.messages.len() == 1);
}

// -- what goes wrong ----------------------------------------------------------------------------

/// proves: MG-13 MG-14
#[test]
fn another_key() {
    let (broker, _folder) = broker();
    let text = "the server has another key than ssl_psk_key for the identity \"device\" (TLS alert";
    let report = fails(with_key(broker.port, "device", OTHER_KEY), Code::TlsBadPsk, Phase::Tls, &[text]);
    assert!(report.alert.is_some());
    for suite in [SUITE, "TLS-ECDHE-PSK-WITH-AES-128-CBC-SHA256"] {
        let mut p = with_key(broker.port, "device", OTHER_KEY);
        p.ssl_cipher_suites = Some(suite.into());
        fails(p, Code::TlsBadPsk, Phase::Tls, &[text]);
    }
}

#[test]
fn an_unknown_identity() {
    let (broker, _folder) = broker();
    let text = "the server does not know the identity \"stranger\" of the pre-shared key";
    let p = with_key(broker.port, "stranger", KEY);
    fails(p.clone(), Code::TlsPskIdentity, Phase::Tls, &[text, ", or supports no cipher suite"]);
    let p = Profile { ssl_cipher_suites: Some(SUITE.into()), ..p };
    let report = fails(p, Code::TlsPskIdentity, Phase::Tls, &[text, "(TLS alert 115, unknown_psk_identity)"]);
    assert_eq!(report.alert, Some(115));
}

/// A server that has a certificate and no key goes on with that. Nobody here said that it is trusted.
#[test]
fn a_certificate_is_no_key() {
    let server = Peer::new(&self_signed(&["localhost"], false), &["-tls1_3"]);
    let mut p = with_key(server.port, "device", KEY);
    let text = "the server answered with a certificate: it does not know a pre-shared key of the identity \"device\"";
    fails(p.clone(), Code::TlsPskIdentity, Phase::Tls, &[text]);
    // Nor does it help to name it as trusted, or to switch off what there is not.
    p.tls.insecure_skip_verification = true;
    fails(p, Code::TlsPskIdentity, Phase::Tls, &[text]);
}

#[test]
fn no_common_suite() {
    let server =
        Peer::bare(&["-psk", KEY, "-psk_identity", "device", "-cipher", "PSK-AES256-GCM-SHA384", "-tls1_2"]);
    let mut p = with_key(server.port, "device", KEY);
    p.ssl_cipher_suites = Some(SUITE.into());
    let text = "the server supports none of ssl_cipher_suites, or no pre-shared keys (TLS alert 40, handshake_failure)";
    fails(p, Code::TlsCipher, Phase::Tls, &[text]);
}

#[test]
fn no_common_version() {
    let server = Peer::bare(&["-psk", KEY, "-psk_identity", "device", "-tls1_2"]);
    let mut p = with_key(server.port, "device", KEY);
    assert!(Client::new(p.clone()).secured().starts_with("TLS 1.2, TLS_ECDHE_PSK_WITH_CHACHA20"));
    p.tls.only_tls13 = true;
    fails(p, Code::TlsVersion, Phase::Tls, &["TLS 1.3"]);
}

#[test]
fn a_plain_server() {
    let plain = Broker::with("");
    fails(
        with_key(plain.port, "device", KEY),
        Code::TlsNotSpoken,
        Phase::Tls,
        &["may not speak TLS on this port"],
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        fails(with_key(port, "device", KEY), Code::TlsNotSpoken, Phase::Tls, &["is not TLS"]);
    });
}

#[test]
fn a_silent_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut p = with_key(listener.local_addr().unwrap().port(), "device", KEY);
    p.timeouts.tls = Span::millis(50);
    fails(p, Code::TlsTimeout, Phase::Tls, &["not completed in time by 127.0.0.1:"]);
}

#[test]
fn mistakes_in_the_configuration() {
    let p = |identity: &str, key: &str| with_key(1, identity, key);
    fails(
        p(&"x".repeat(129), KEY),
        Code::BadConfig,
        Phase::Tls,
        &["ssl_psk_identity: 129 bytes are more than 128"],
    );
    fails(p("device", &"00".repeat(257)), Code::BadConfig, Phase::Tls, &["ssl_psk_key: 257 bytes"]);
    fails(
        p("device", "abc"),
        Code::BadConfig,
        Phase::Usage,
        &["ssl_psk_key: the key has two hexadecimal digits"],
    );
    fails(
        p("device", "xy"),
        Code::BadConfig,
        Phase::Usage,
        &["ssl_psk_key: the key is written in hexadecimal"],
    );
    fails(
        Profile { ssl_psk_key: None, ..p("device", "") },
        Code::BadConfig,
        Phase::Usage,
        &["ssl_psk_identity is set and the key is not"],
    );
    fails(
        Profile { ssl_cipher_suites: Some(SUITE.into()), ..p("device", KEY) },
        Code::ConnectRefused,
        Phase::Tcp,
        &[],
    );
    let mut p = Profile { ssl_cipher_suites: Some(SUITE.into()), ..p("device", KEY) };
    p.tls.only_tls13 = true;
    fails(p, Code::TlsBadSuite, Phase::Tls, &["no suite of TLS 1.3"]);
}

#[test]
fn certificates_beside_the_key_are_not_used_and_that_is_said() {
    let (broker, folder) = broker();
    let mut p = with_key(broker.port, "device", KEY);
    p.ssl_ca_cert = Some(folder.put("ca.pem", self_signed(&["localhost"], true).certificate));
    let client = Client::new(p);
    client.up();
    let log = client.log.lock().unwrap();
    assert!(
        log.iter().any(|line| line.contains("the certificates that are set too are not used")),
        "{log:?}"
    );
    assert!(!log.iter().any(|line| line.contains(KEY)), "{log:?}");
}

#[test]
fn application_protocols() {
    let server = Peer::bare(&["-psk", KEY, "-psk_identity", "device", "-alpn", "mqtt"]);
    let mut p = with_key(server.port, "device", KEY);
    p.tls.alpn = vec!["h2".into(), "mqtt".into()];
    let said = Client::new(p.clone()).secured();
    assert!(said.ends_with(", mqtt, pre-shared key"), "{said}");
    p.tls.alpn = vec!["h2".into()];
    fails(p, Code::TlsFailed, Phase::Tls, &["the server speaks none of tls_alpn (TLS alert 120"]);
}

/// What of the handshake arrives is cut off at every byte.
#[test]
fn a_handshake_that_is_cut_anywhere_ends_cleanly() {
    let (broker, _folder) = broker();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    for suites in [None, Some(SUITE)] {
        let mut codes = Vec::new();
        for bytes in 0.. {
            assert!(bytes < 5_000, "never complete");
            let mut p = with_key(port, "device", KEY);
            p.ssl_cipher_suites = suites.map(str::to_owned);
            let client = Client::new(p);
            std::thread::scope(|scope| {
                scope.spawn(|| cut_after(bytes, &listener, broker.port));
                codes.push(client.attempt().code);
                client.conn.abort().unwrap();
                client.until(|seen| client.conn.report().code != Code::Ok || seen.closed == 1);
                drop(client);
            });
            if codes.last() == Some(&Code::Ok) {
                break;
            }
        }
        codes.dedup();
        assert_eq!(codes, [Code::TlsNotSpoken, Code::TlsClosed, Code::ClosedByServer, Code::Ok]);
    }
}

/// Passes bytes on in both directions, but only so many of the server's; then both sides are closed in order.
fn cut_after(bytes: usize, listener: &TcpListener, broker: u16) {
    let (mut client, _) = listener.accept().unwrap();
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).unwrap();
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(std::net::Shutdown::Both);
        });
        let _ = std::io::copy(&mut (&server).take(bytes as u64), &mut client);
        let _ = client.shutdown(std::net::Shutdown::Write);
        let _ = server.shutdown(std::net::Shutdown::Both);
    });
}
