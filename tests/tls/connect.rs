//! TLS against a real broker: what works.

#![cfg(feature = "tls")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::tls_support::gate::Gated;
use crate::tls_support::{Broker, Ca, Client, Folder, Peer, profile, self_signed};
use mgos_mqtt::client::Context;
use mgos_mqtt::config::{Profile, Secret, SocketOptions};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::transport::Stream;
use mgos_mqtt::wire::QoS;

const HERE: &[&str] = &["localhost", "127.0.0.1"];

fn message<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publication<'a> {
    Publication::new(topic, payload, qos)
}

/// A broker with TLS, and the profile of a client that trusts it.
fn broker() -> (Broker, Profile) {
    let ca = Ca::new("Test CA");
    let broker = Broker::tls(&ca.issue(HERE), "");
    let mut profile = profile(broker.port);
    profile.tls.ca = Some(Secret(ca.pem.into_bytes()));
    (broker, profile)
}

/// proves: MG-09 MG-21
#[test]
fn a_ca_file_turns_tls_on() {
    let (ca, folder) = (Ca::new("Test CA"), Folder::new());
    let broker = Broker::tls(&ca.issue(HERE), "");
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(folder.put("ca.pem", &ca.pem));
    let client = Client::new(p);
    client.up();
    client.subscribe("a/#");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.conn.publish(message("a/b", b"hello", qos)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 3 && seen.acknowledged == 2);
    assert!(client.log.lock().unwrap().iter().any(|line| line.starts_with("TLS 1.3, TLS_")));
}

/// proves: NM-13
#[test]
fn trusted_certificates_from_memory() {
    let (ca, other) = (Ca::new("CA"), Ca::new("Other CA"));
    let broker = Broker::tls(&ca.issue(HERE), "");
    let bundle = format!("Comments\nare fine\n{}{}", other.pem, ca.pem).into_bytes();
    let with_nul = [ca.pem.as_bytes(), b"\0"].concat();
    for memory in [ca.pem.clone().into_bytes(), ca.der.clone(), bundle, with_nul] {
        let mut p = profile(broker.port);
        p.tls.ca = Some(Secret(memory));
        Client::new(p).up();
    }
}

#[test]
fn a_name_is_resolved_and_verified() {
    let (broker, mut p) = broker();
    p.server = Some(format!("mqtts://localhost:{}", broker.port));
    Client::new(p).up();
}

/// What `openssl req -x509` makes is its own CA.
#[test]
fn a_self_signed_certificate_can_be_trusted_itself() {
    for is_ca in [false, true] {
        let pair = self_signed(HERE, is_ca);
        let broker = Broker::tls(&pair, "");
        let mut p = profile(broker.port);
        p.tls.ca = Some(Secret(pair.certificate.clone().into_bytes()));
        Client::new(p.clone()).up();
        p.tls.server_name = Some("other.example".into());
        assert_eq!(Client::new(p).attempt().code, Code::TlsWrongName);
    }
}

#[test]
fn verification_off_means_anybody() {
    let broker = Broker::tls(&self_signed(&["elsewhere.example"], false), "");
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some("*".into());
    p.tls.insecure_skip_verification = true;
    let client = Client::new(p);
    client.up();
    let log = client.log.lock().unwrap();
    assert!(log.iter().any(|line| line.starts_with("tls_insecure_skip_verification is set")), "{log:?}");
}

/// proves: MG-10 MG-12 MG-22
#[test]
fn client_certificates_of_every_kind() {
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    let file = folder.put("ca.pem", &ca.pem);
    let broker = Broker::tls(&ca.issue(HERE), &format!("cafile {file}\nrequire_certificate true"));
    let pair = ca.issue(&["client"]);
    let pkcs8 = folder.put("pkcs8.pem", &pair.key);
    let sec1 = folder.put("sec1.pem", "");
    run("openssl", &["ec", "-in", &pkcs8, "-out", &sec1]);
    let der = folder.put("key.der", "");
    run("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", &pkcs8, "-outform", "DER", "-out", &der]);
    // An RSA key, whose own format is PKCS#1, with a certificate by the CA from a request.
    let rsa = folder.put("rsa.pem", "");
    run("openssl", &["genrsa", "-traditional", "-out", &rsa, "2048"]);
    assert!(std::fs::read_to_string(&rsa).unwrap().contains("BEGIN RSA PRIVATE KEY"));
    let rsa_pkcs8 = folder.put("rsa8.pem", "");
    run("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", &rsa, "-out", &rsa_pkcs8]);
    let rsa_pair = ca.issue_for(&["client"], &std::fs::read_to_string(&rsa_pkcs8).unwrap());

    let certificate = folder.put("client.pem", &pair.certificate);
    let both = folder.put("both.pem", format!("{}{}", pair.key, pair.certificate));
    let rsa_certificate = folder.put("rsa-cert.pem", &rsa_pair);
    let cases = [
        (&certificate, Some(&pkcs8)),
        (&certificate, Some(&sec1)),
        (&certificate, Some(&der)),
        (&rsa_certificate, Some(&rsa)),
        (&both, None),
    ];
    for (certificate, key) in cases {
        let mut p = profile(broker.port);
        p.ssl_ca_cert = Some(file.clone());
        p.ssl_cert = Some(certificate.clone());
        p.ssl_key = key.cloned().map(Secret);
        Client::new(p.clone()).up();
        // The same from memory.
        p.tls.certificate = p.ssl_cert.take().map(|path| Secret(std::fs::read(path).unwrap()));
        p.tls.key = p.ssl_key.take().map(|path| Secret(std::fs::read(&path.0).unwrap()));
        Client::new(p).up();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn certificates_can_be_replaced_while_it_runs() {
    let (old, new, folder) = (Ca::new("Old CA"), Ca::new("New CA"), Folder::new());
    let broker = Broker::tls(&new.issue(HERE), "");
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(folder.put("ca.pem", &old.pem));
    let client = Client::new(p);
    assert_eq!(client.attempt().code, Code::TlsUntrusted);
    folder.put("ca.pem", &new.pem);
    client.up();
}

#[test]
fn ten_thousand_messages() {
    const EACH: usize = 3_334;
    let (_broker, p) = broker();
    let client = Client::new(p);
    client.up();
    client.subscribe("n/#");
    let all = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    for n in 0..EACH {
        for qos in all {
            let topic = format!("n/{}", qos as u8);
            client.conn.publish(message(&topic, n.to_string().as_bytes(), qos)).unwrap();
        }
        // Of QoS 0 a broker drops what a client does not fetch fast enough.
        if n % 100 == 0 {
            client.until(|seen| seen.messages.iter().filter(|(topic, _)| topic == "n/0").count() == n + 1);
        }
    }
    client.until(|seen| seen.messages.len() >= 3 * EACH && seen.acknowledged == 2 * EACH);
    let seen = client.seen.lock().unwrap();
    assert_eq!(seen.results, [Code::Ok]);
    for qos in all {
        let topic = format!("n/{}", qos as u8);
        let got = seen.messages.iter().filter(|(t, _)| *t == topic).map(|(_, payload)| payload.clone());
        assert!(got.eq((0..EACH).map(|n| n.to_string().into_bytes())), "{topic}");
    }
    assert_eq!(client.conn.unsent_bytes(), 0);
}

#[test]
fn a_megabyte_there_and_back() {
    let (_broker, p) = broker();
    let client = Client::new(p);
    client.up();
    client.subscribe("big");
    let payload: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.conn.publish(message("big", &payload, qos)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 3 && seen.acknowledged == 2);
    assert!(client.seen.lock().unwrap().messages.iter().all(|(_, got)| *got == payload));
}

#[test]
fn it_comes_back_and_resumes_its_session() {
    let ca = Ca::new("CA");
    let pair = ca.issue(HERE);
    let mut broker = Some(Broker::tls(&pair, ""));
    let port = broker.as_ref().unwrap().port;
    let mut p = profile(port);
    p.tls.ca = Some(Secret(ca.pem.into_bytes()));
    (p.reconnect_min, p.reconnect_max) = (Span::millis(10), Span::millis(10));
    let client = Client::new(p);
    client.up();
    client.subscribe("a");
    client.conn.drop_link(Code::Reconfigured, true).unwrap();
    client.until(|seen| seen.results.len() == 2 && seen.subscribed == 2);
    let resumed = |client: &Client| client.log.lock().unwrap().iter().any(|line| line.ends_with(", resumed"));
    assert!(resumed(&client), "{:?}", client.log.lock().unwrap());
    // The broker dies without a word, and another takes its place: it cannot know the TLS session.
    broker.take();
    client.until(|seen| seen.closed == 2);
    let _again = (0..5).find_map(|_| Broker::tls_on(port, &pair)).expect("the port is ours");
    client.until(|seen| seen.subscribed == 3);
    client.conn.publish(message("a", b"again", QoS::ExactlyOnce)).unwrap();
    client.until(|seen| seen.messages.len() == 1);
}

/// Brokers share port 443 with others that are told apart by it.
#[test]
fn application_protocols() {
    let ca = Ca::new("CA");
    let pair = ca.issue(HERE);
    let server = Peer::new(&pair, &["-alpn", "x-amzn-mqtt-ca,mqtt"]);
    let mut p = profile(server.port);
    p.tls.ca = Some(Secret(ca.pem.into_bytes()));
    for (offered, chosen) in
        [(&["mqtt"][..], ", mqtt"), (&["h2", "mqtt", "x-amzn-mqtt-ca"], ", x-amzn-mqtt-ca")]
    {
        p.tls.alpn = offered.iter().map(|name| (*name).to_owned()).collect();
        for only_tls13 in [false, true] {
            p.tls.only_tls13 = only_tls13;
            let said = Client::new(p.clone()).secured();
            assert!(said.ends_with(chosen), "{said}");
        }
    }
    p.tls.alpn = vec!["h2".into()];
    let report = Client::new(p).attempt();
    assert_eq!((report.code, report.alert), (Code::TlsFailed, Some(120)), "{report:?}");
    assert!(report.text.contains("the server speaks none of tls_alpn"), "{report:?}");
}

/// Connections with the same settings share one configuration, and with it the TLS session.
/// proves: ZY-18
#[test]
fn connections_share_what_they_can() {
    let (_broker, p) = broker();
    let first = Client::new(p.clone());
    first.up();
    first.conn.disconnect().unwrap();
    first.until(|seen| seen.closed == 1);
    let second = Client::on(first.context.clone(), Profile { client_id: Some("second".into()), ..p });
    second.up();
    let log = second.log.lock().unwrap();
    assert!(log.iter().any(|line| line.ends_with(", resumed")), "{log:?}");
}

/// Passes bytes on in both directions, but only so many of the server's; then both sides are closed.
fn cut_after(bytes: usize, listener: &TcpListener, broker: u16) -> bool {
    let (mut client, _) = listener.accept().unwrap();
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).unwrap();
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let upward = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let mut left = bytes;
    let mut buffer = [0; 4096];
    while left > 0 {
        let n = match server.read(&mut buffer) {
            Ok(n) if n > 0 => n.min(left),
            _ => break,
        };
        left -= n;
        if client.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    // In order: what was passed on must arrive.
    let _ = client.shutdown(Shutdown::Write);
    upward.join().unwrap();
    left == 0
}

#[test]
fn a_handshake_that_is_cut_anywhere_ends_cleanly() {
    let (broker, mut p) = broker();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    p.server = Some(listener.local_addr().unwrap().to_string());
    // A resumed handshake is shorter: each attempt has a client, and so a store of sessions, of its own.
    let mut bytes = 0;
    let mut codes = Vec::new();
    loop {
        let cut = std::thread::scope(|scope| {
            let proxy = scope.spawn(|| cut_after(bytes, &listener, broker.port));
            let client = Client::new(p.clone());
            let report = client.attempt();
            if report.code == Code::Ok {
                client.conn.abort().unwrap();
                client.until(|seen| seen.closed == 1);
            }
            codes.push(report.code);
            drop(client);
            proxy.join().unwrap();
            report.code != Code::Ok
        });
        if !cut {
            break;
        }
        bytes += if bytes < 150 { 1 } else { 13 };
        assert!(bytes < 10_000, "never complete");
    }
    // Nothing was heard; the handshake; the time after it, when CONNACK is awaited.
    codes.dedup();
    assert_eq!(codes, [Code::TlsNotSpoken, Code::TlsClosed, Code::ClosedByServer, Code::Ok]);
}

/// A server that lets the handshake wait does not hold up the end.
#[test]
fn it_can_be_freed_during_the_handshake() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (_broker, mut p) = broker();
    p.server = Some(listener.local_addr().unwrap().to_string());
    let client = Client::new(p);
    client.conn.connect().unwrap();
    let heard = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let peer = scope.spawn(|| {
            let mut stream = listener.accept().unwrap().0;
            let mut hello = [0; 3];
            stream.read_exact(&mut hello).unwrap();
            heard.store(true, SeqCst);
            client.context.driver.notify();
            // The rest, and then the end that the client makes.
            let _ = stream.read_to_end(&mut Vec::new());
            hello
        });
        client.until(|_| heard.load(SeqCst));
        client.conn.free(None);
        assert!(client.conn.is_gone());
        assert_eq!(peer.join().unwrap()[..2], [22, 3], "a record of the handshake");
    });
}

/// A socket that fails while more is written: what was encrypted and what was sent must not be mixed up.
#[test]
fn a_server_that_goes_away_while_much_is_written() {
    let (broker, mut p) = broker();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    p.server = Some(listener.local_addr().unwrap().to_string());
    let payload = vec![7; 100_000];
    for _ in 0..10 {
        let client = Client::new(p.clone());
        std::thread::scope(|scope| {
            // Enough for the handshake and CONNACK; the next byte, PUBACK, ends it.
            let proxy = scope.spawn(|| {
                let (mut client, _) = listener.accept().unwrap();
                let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, broker.port)).unwrap();
                let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let downward = std::thread::spawn(move || std::io::copy(&mut back, &mut to_client));
                let mut buffer = [0; 4096];
                let mut passed = 0;
                while passed < 50_000 {
                    let n = client.read(&mut buffer).unwrap();
                    server.write_all(&buffer[..n]).unwrap();
                    passed += n;
                }
                // With bytes unread this is a reset.
                drop(client);
                let _ = server.shutdown(Shutdown::Both);
                let _ = downward.join();
            });
            client.up();
            for _ in 0..20 {
                client.conn.publish(message("much", &payload, QoS::AtLeastOnce)).unwrap();
            }
            client.until(|seen| seen.closed == 1);
            proxy.join().unwrap();
        });
        let code = client.conn.report().code;
        assert!(matches!(code, Code::ConnectionReset | Code::ClosedByServer), "{:?}", client.conn.report());
    }
}

/// What the socket did not take goes out when something is read, before the client goes on with what it wrote. It must
/// not go out once more then.
#[test]
fn what_waits_for_a_full_socket_is_sent_once() {
    let (_broker, profile) = broker();
    let full = Arc::new(AtomicBool::new(false));
    let mut context = Context::new(Loop::new(Clock::monotonic()).unwrap());
    let gate = full.clone();
    context.dial = Arc::new(move |endpoint, _| {
        Ok(Stream::Other(Box::new(Gated {
            socket: endpoint.open(&SocketOptions::default())?,
            full: gate.clone(),
        })))
    });
    let client = Client::on(Arc::new(context), profile.clone());
    client.up();
    client.subscribe("a/#");
    let other = Client::new(Profile { client_id: Some("other".into()), ..profile });
    other.up();

    full.store(true, SeqCst);
    for payload in [b"one", b"two"] {
        client.conn.publish(message("a/b", payload, QoS::AtMostOnce)).unwrap();
        client.context.driver.poll(Some(Span::ZERO)).unwrap();
    }
    assert!(client.conn.output_level() > 0);
    full.store(false, SeqCst);
    other.conn.publish(message("a/other", b"", QoS::AtLeastOnce)).unwrap();
    other.until(|seen| seen.acknowledged == 1);
    client.until(|seen| !seen.messages.is_empty());
    client.conn.publish(message("a/last", b"", QoS::AtMostOnce)).unwrap();
    client.until(|seen| seen.messages.iter().any(|(topic, _)| topic == "a/last"));
    let seen = client.seen.lock().unwrap();
    let own: Vec<_> =
        seen.messages.iter().filter(|(topic, _)| topic == "a/b").map(|(_, text)| &text[..]).collect();
    assert_eq!(own, [b"one", b"two"]);
    assert_eq!(seen.closed, 0);
}
