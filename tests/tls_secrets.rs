//! Passwords and keys are not left behind in memory: the program searches all of its own.

#![cfg(all(feature = "tls", target_os = "linux"))]

mod tls_support;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use mgos_mqtt::client::OwnCertificate;
use mgos_mqtt::config::Secret;
use mgos_mqtt::error::Code;
use tls_support::{Broker, Ca, Client, Folder, profile};

/// A secret that this program itself has only in a changed form.
struct Needle(Vec<u8>);

const MASK: u8 = 0xa5;

/// What is read goes here, and is not looked through itself.
static WINDOW: Mutex<[u8; 1 << 20]> = Mutex::new([0; 1 << 20]);

/// One at a time: what one test has in use another would find.
static ALONE: Mutex<()> = Mutex::new(());

impl Needle {
    /// A secret that nobody else has, of this many printable bytes.
    fn new(len: usize, digits: &[u8]) -> Needle {
        let mut random = vec![0; len];
        std::io::Read::read_exact(&mut File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        Needle(random.into_iter().map(|byte| digits[usize::from(byte) % digits.len()] ^ MASK).collect())
    }

    fn of(bytes: &[u8]) -> Needle {
        Needle(bytes.iter().map(|byte| byte ^ MASK).collect())
    }

    fn reveal(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(self.0.len());
        plain.extend(self.0.iter().map(|byte| byte ^ MASK));
        plain
    }

    /// How often it is in the memory of this program.
    fn found(&self) -> usize {
        let mut window = WINDOW.lock().unwrap();
        let own = window.as_ptr() as u64;
        let memory = File::open("/proc/self/mem").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut count = 0;
        for line in
            maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|how| how.starts_with("rw")))
        {
            let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let (mut at, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            while at < to {
                // The window lies among the program's own data.
                let mut len = (to - at).min(window.len() as u64);
                if at < own + window.len() as u64 && own < at + len {
                    if at >= own {
                        at = own + window.len() as u64;
                        continue;
                    }
                    len = own - at;
                }
                let read = memory.read_at(&mut window[..len as usize], at).unwrap_or(0);
                count += self.in_bytes(&window[..read]);
                // With an overlap, for what lies across the border.
                at += if at + len < to && len > self.0.len() as u64 {
                    len - self.0.len() as u64 + 1
                } else {
                    len
                };
            }
        }
        window.fill(0);
        count
    }

    /// Its second half is what is looked for: the allocator's own notes cover the beginning of what is free.
    fn in_bytes(&self, bytes: &[u8]) -> usize {
        let half = &self.0[self.0.len() / 2..];
        let first = half[0] ^ MASK;
        let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
        starts
            .filter(|(at, _)| {
                let rest = bytes[*at..].iter().zip(half);
                rest.len() == half.len() && rest.into_iter().all(|(byte, masked)| byte ^ MASK == *masked)
            })
            .count()
    }
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Connects, looks, frees, and looks again.
#[track_caller]
fn left_behind(client: Client, needles: &[&Needle]) -> Vec<usize> {
    client.up();
    client.subscribe("a");
    for needle in needles {
        assert!(needle.found() > 0, "it is in use, and not found");
    }
    client.conn.disconnect().unwrap();
    client.until(|seen| seen.closed == 1);
    drop(client);
    needles.iter().map(|needle| needle.found()).collect()
}

#[test]
fn a_password() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let ca = Ca::new("CA");
    let (plain, secure) = (Broker::with(""), Broker::tls(&ca.issue(&["127.0.0.1"]), ""));
    for port in [plain.port, secure.port] {
        let needle = Needle::new(200, LETTERS);
        let mut p = profile(port);
        p.user = Some("me".into());
        p.pass = Some(Secret(needle.reveal()));
        if port == secure.port {
            p.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
        }
        let client = Client::new(p);
        assert_eq!(left_behind(client, &[&needle]), [0]);
    }
}

/// The CONNECT of an attempt that nobody answered.
#[test]
fn a_password_that_was_not_sent() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let needle = Needle::new(200, LETTERS);
    let mut p = profile(silent.local_addr().unwrap().port());
    p.user = Some("me".into());
    p.pass = Some(Secret(needle.reveal()));
    p.timeouts.connack = mgos_mqtt::time::Span::millis(50);
    let client = Client::new(p);
    assert_eq!(client.attempt().code, Code::ConnackTimeout);
    drop(client);
    assert_eq!(needle.found(), 0);
}

/// The text of a private key, as it was given. What ring makes of it is its own: see docs/tls.md.
#[test]
fn a_private_key_in_memory() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (ca, folder) = (Ca::new("CA"), Folder::new());
    // Made by another program, so that no copy is left by whoever made it here.
    let (own, key) = (folder.put("client.pem", ""), folder.put("client.key", ""));
    let output = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=client", "-keyout", &key, "-out", &own])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let broker = Broker::tls(&ca.issue(&["127.0.0.1"]), &format!("cafile {own}\nrequire_certificate true"));
    let file = folder.put("ca.pem", &ca.pem);
    let certificate = std::fs::read(&own).unwrap();
    let key = Needle::of(&Secret(std::fs::read(&key).unwrap()));
    // The middle of its text.
    let needle = Needle(key.0[60..120].to_vec());
    assert_eq!(needle.found(), 0);
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(file);
    let client = Client::new(p);
    let own = OwnCertificate { certificate: Secret(certificate), key: Some(Secret(key.reveal())) };
    client.conn.set_certificate(Some(own)).unwrap();
    assert_eq!(left_behind(client, &[&needle]), [0]);
}

#[cfg(feature = "psk")]
#[test]
fn a_pre_shared_key() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = Folder::new();
    let hex = Needle::new(64, b"0123456789abcdef");
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    let raw = Needle(
        hex.0.chunks(2).map(|two| (digit(two[0] ^ MASK) << 4 | digit(two[1] ^ MASK)) ^ MASK).collect(),
    );
    let file = folder.put("psk", Secret([b"device:", &Secret(hex.reveal())[..], b"\n"].concat()).as_slice());
    let broker = Broker::with(&format!("psk_file {file}\npsk_hint a hint"));
    for suites in [None, Some("TLS-PSK-WITH-AES-128-GCM-SHA256")] {
        let mut p = profile(broker.port);
        p.ssl_psk_identity = Some("device".into());
        p.ssl_psk_key = Some(Secret(String::from_utf8(hex.reveal()).unwrap()));
        p.ssl_cipher_suites = suites.map(str::to_owned);
        assert_eq!(left_behind(Client::new(p), &[&hex, &raw]), [0, 0], "{suites:?}");
    }
}
