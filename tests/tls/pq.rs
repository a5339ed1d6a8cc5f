//! Post-quantum key exchange, with a server whose cryptography other people wrote.

#![cfg(all(feature = "pq", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::tls_support::{Ca, Client, profile};
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::Code;
use rustls::NamedGroup;
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server that accepts one connection and CONNECT on it. It says which group was settled, and whether it took a second
/// ClientHello to get there.
struct Server {
    port: u16,
    thread: JoinHandle<Option<(NamedGroup, bool)>>,
    ca: String,
}

impl Server {
    fn new(groups: Vec<&'static dyn SupportedKxGroup>) -> Server {
        let ca = Ca::new("CA");
        let pair = ca.issue(&["127.0.0.1"]);
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider =
            rustls::crypto::CryptoProvider { kx_groups: groups, ..rustls_graviola::default_provider() };
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut socket = listener.accept().unwrap().0;
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut connect = [0; 100];
            if stream.read(&mut connect).is_ok_and(|n| n > 0) {
                stream.write_all(b"\x20\x02\x00\x00").unwrap();
            }
            // Until the client ends it.
            while stream.read(&mut connect).is_ok_and(|n| n > 0) {}
            let group = tls.negotiated_key_exchange_group()?.name();
            let again = tls.handshake_kind() == Some(rustls::HandshakeKind::FullWithHelloRetryRequest);
            Some((group, again))
        });
        Server { port, thread, ca: ca.pem }
    }

    fn profile(&self) -> Profile {
        let mut p = profile(self.port);
        p.tls.ca = Some(Secret(self.ca.clone().into_bytes()));
        p
    }

    fn settled(self) -> Option<(NamedGroup, bool)> {
        self.thread.join().unwrap()
    }
}

/// Connects, and gives what the log says of the handshake.
fn connected(server: &Server, change: impl FnOnce(&mut Profile)) -> String {
    let mut p = server.profile();
    change(&mut p);
    let client = Client::new(p);
    client.up();
    let log = client.log.lock().unwrap().clone();
    log.into_iter().find(|line| line.starts_with("TLS 1.")).unwrap()
}

#[test]
fn a_server_that_speaks_nothing_else_is_reached() {
    let server = Server::new(vec![rustls_graviola::kx::X25519MLKEM768]);
    let said = connected(&server, |_| {});
    assert!(said.ends_with(", X25519MLKEM768"), "{said}");
    assert_eq!(server.settled(), Some((NamedGroup::X25519MLKEM768, false)));
}

#[test]
fn it_is_preferred() {
    let server = Server::new(rustls_graviola::default_provider().kx_groups);
    connected(&server, |p| p.tls.only_tls13 = true);
    assert_eq!(server.settled(), Some((NamedGroup::X25519MLKEM768, false)));
}

/// The classical half is offered beside it, so nothing has to be asked again.
#[test]
fn a_server_that_does_not_know_it_needs_no_second_hello() {
    let server = Server::new(vec![&rustls_graviola::kx::X25519]);
    let said = connected(&server, |_| {});
    assert!(!said.contains("MLKEM"), "{said}");
    assert_eq!(server.settled(), Some((NamedGroup::X25519, false)));
}

#[test]
fn switched_off_it_is_not_offered() {
    let server = Server::new(rustls_graviola::default_provider().kx_groups);
    let said = connected(&server, |p| p.tls.no_post_quantum = true);
    assert!(!said.contains("MLKEM"), "{said}");
    assert_eq!(server.settled().map(|(group, _)| group), Some(NamedGroup::X25519));
    let server = Server::new(vec![rustls_graviola::kx::X25519MLKEM768]);
    let mut p = server.profile();
    p.tls.no_post_quantum = true;
    let report = Client::new(p).attempt();
    assert_eq!(report.code, Code::TlsCipher, "{report:?}");
    assert_eq!(server.settled(), None);
}
