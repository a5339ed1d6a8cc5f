//! Every error that rustls and webpki know has a sentence here, and no error is the `Debug` text of a Rust type.

#![cfg(feature = "tls")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tls_support::{Ca, Client, Folder, Pair, Peer, profile};
use mgos_mqtt::config::Secret;
use mgos_mqtt::error::Code;

/// The names of the variants of an enumeration, in a source file.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = source.find(&format!("pub enum {name} {{")).unwrap_or_else(|| panic!("there is no {name}"));
    let mut depth = 0;
    let mut found = Vec::new();
    for line in source[start..].lines().skip(1) {
        let line = line.trim();
        if depth == 0 && line == "}" {
            break;
        }
        if depth == 0 && line.starts_with(|c: char| c.is_ascii_uppercase()) {
            found.push(line.chars().take_while(char::is_ascii_alphanumeric).collect());
        }
        if !line.starts_with("//") {
            depth += line.matches(['{', '(']).count() as i32 - line.matches(['}', ')']).count() as i32;
        }
    }
    assert!(found.len() > 5, "{name}: {found:?}");
    found
}

/// Where Cargo keeps the source of a dependency.
fn source_of(package: &str) -> PathBuf {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let about = String::from_utf8(rustc.stdout).unwrap();
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = all["packages"].as_array().unwrap();
    let found = packages.iter().find(|found| found["name"] == package).unwrap();
    Path::new(found["manifest_path"].as_str().unwrap()).with_file_name("src")
}

/// A function of our source, from its name to the next one.
fn function(file: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transport/tls/pki").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("{file} has no {name}"));
    let end = text[start + 1..].find("\nfn ").or(text[start + 1..].find("\npub(super) fn "));
    text[start..].chars().take(end.map_or(usize::MAX, |end| end + 1)).collect()
}

/// field: F-46
#[test]
fn every_error_of_rustls_and_webpki_has_a_sentence() {
    let read = |package| std::fs::read_to_string(source_of(package).join("error.rs")).unwrap();
    let (rustls, webpki) = (read("rustls"), read("rustls-webpki"));
    let misbehaved =
        ["misbehaved", "misbehaved_in_resumption"].map(|name| function("peer_faults.rs", name)).concat();
    let certificate = ["certificate", "revocation"].map(|name| function("chain_faults.rs", name)).concat();
    let judged = ["judged", "dates", "unacceptable"].map(|name| function("error.rs", name)).concat();
    for (source, name, ours, alias) in [
        (&rustls, "Error", function("peer_faults.rs", "other"), "Error::"),
        (&rustls, "PeerMisbehaved", misbehaved, "P::"),
        (&rustls, "PeerIncompatible", function("peer_faults.rs", "incompatible"), "P::"),
        (&rustls, "InvalidMessage", function("peer_faults.rs", "invalid"), "M::"),
        (&rustls, "CertificateError", judged, "CertificateError::"),
        (&rustls, "CertRevocationListError", function("chain_faults.rs", "list"), "E::"),
        (&webpki, "Error", certificate, "Error::"),
    ] {
        let ours: Vec<&str> = ours
            .split(alias)
            .skip(1)
            .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap())
            .collect();
        let missing: Vec<_> = variants(source, name).into_iter().filter(|v| !ours.contains(&&**v)).collect();
        assert!(missing.is_empty(), "{name} of another version has more: {missing:?}");
    }
}

/// Nothing formats an error of these crates by `{:?}`, or with their own `Display`, which is mostly that.
#[test]
fn no_source_prints_debug_text_of_an_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/transport/tls/pki");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for wrong in ["{error:?}", "{error}", "{why:?}", "{verdict}", "{what:?}", "{alert:?}"] {
            assert!(!text.contains(wrong), "{path:?} has {wrong}");
        }
    }
}

/// What a person would not write.
#[track_caller]
fn is_a_sentence(text: &str) {
    let camel = text.split(|c: char| !c.is_ascii_alphanumeric()).find(|word| {
        let letters = word.as_bytes();
        // Names that are written so: subjectAltName, basicConstraints, X25519 …
        letters.first().is_some_and(u8::is_ascii_uppercase)
            && letters.windows(2).any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase())
    });
    assert_eq!(camel, None, "{text}");
    assert!(!text.contains(" { ") && !text.contains("Some(") && !text.contains("[1, "), "{text}");
    assert!((20..420).contains(&text.len()), "{} characters: {text}", text.len());
}

/// Runs openssl in a folder; the arguments are between blanks.
#[track_caller]
fn openssl(folder: &str, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A CA and a server certificate, each with a key and a hash of its own, made by openssl.
fn chain(ca_key: &str, ca_hash: &str, key: &str) -> (Folder, Pair, String) {
    let folder = Folder::new();
    let extensions = folder.put("x.cnf", "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    let path = Path::new(&extensions).parent().unwrap().to_str().unwrap().to_owned();
    openssl(&path, &format!("genpkey {ca_key} -out ca.key"));
    openssl(&path, &format!("genpkey {key} -out s.key"));
    openssl(&path, "req -x509 -new -key ca.key -sha256 -subj /CN=Odd -days 2 -out ca.pem");
    openssl(&path, "req -new -key s.key -subj /CN=server -out s.csr");
    openssl(
        &path,
        &format!(
            "x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -{ca_hash} -days 2 -extfile x.cnf -out s.pem"
        ),
    );
    let read = |name: &str| std::fs::read_to_string(format!("{path}/{name}")).unwrap();
    let pair = Pair { certificate: read("s.pem"), key: read("s.key") };
    let ca = read("ca.pem");
    (folder, pair, ca)
}

const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:";

/// field: F-46
#[test]
fn certificates_that_are_too_weak_or_too_strange() {
    let cases = [
        (
            P256.into(),
            "sha1",
            P256.to_owned(),
            &["is signed by ECDSA with SHA-1, which is broken", "SHA-256"][..],
        ),
        (
            format!("{RSA}2048"),
            "sha1",
            P256.into(),
            &["CN=server is signed by RSA with SHA-1, which is broken"],
        ),
        (
            P521.into(),
            "sha512",
            P256.into(),
            &["CN=server is signed by ECDSA with SHA-512", "P-256 and P-384"],
        ),
        (
            P521.into(),
            "sha256",
            P256.into(),
            &["a CA above it has a key of ECDSA on P-521", "P-256 and P-384"],
        ),
        (
            format!("{RSA}1024"),
            "sha256",
            P256.into(),
            &["CN=Odd, which signed it", "RSA with 1024 bits", "2048"],
        ),
        (P256.into(), "sha256", format!("{RSA}1024"), &["has a key of RSA with 1024 bits", "another key"]),
    ];
    for (ca_key, hash, key, parts) in cases {
        let (_folder, pair, ca) = chain(&ca_key, hash, &key);
        let peer = Peer::new(&pair, &["-cipher", "ALL:@SECLEVEL=0"]);
        let mut p = profile(peer.port);
        p.tls.ca = Some(Secret(ca.into_bytes()));
        let report = Client::new(p).attempt();
        assert_eq!(report.code, Code::TlsBadCertificate, "{report:?}");
        for part in parts {
            assert!(report.text.contains(part), "{part:?} is not in {:?}", report.text);
        }
        is_a_sentence(&report.text);
    }
    // With a key that this client cannot verify the server has nothing to sign with.
    let (_folder, pair, ca) = chain(P256, "sha256", P521);
    let peer = Peer::new(&pair, &[]);
    let mut p = profile(peer.port);
    p.tls.ca = Some(Secret(ca.into_bytes()));
    let report = Client::new(p).attempt();
    assert_eq!((report.code, report.alert), (Code::TlsCipher, Some(40)), "{report:?}");
    assert!(report.text.contains("its certificate's key may be of another kind than"), "{report:?}");
    is_a_sentence(&report.text);
}

/// What a server says that does not know TLS well: the beginnings of messages with something wrong.
#[test]
fn what_a_server_does_wrong_is_told_in_sentences() {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let record = |kind: u8, content: &[u8]| [&[kind, 3, 3, 0, content.len() as u8], content].concat();
    let hello = |version: [u8; 2], suite: [u8; 2], rest: &[u8]| {
        let body = [&version[..], &[7; 32], &[0], &suite, &[0], rest].concat();
        record(22, &[&[2, 0, 0, body.len() as u8], &body[..]].concat())
    };
    let answers = [
        hello([3, 1], [0xc0, 0x2b], &[]),
        hello([3, 3], [0, 5], &[]),
        hello([3, 3], [0xc0, 0x2b], &[0, 4, 0x77, 0x77, 0, 0]),
        hello([3, 3], [0xc0, 0x2b], &[0, 8, 0, 23, 0, 0, 0, 23, 0, 0]),
        hello([3, 3], [0x13, 1], &[0, 6, 0, 43, 0, 2, 3, 4]),
        record(22, &[11, 0, 0, 3, 0, 0, 0]),
        record(23, b"data"),
        record(20, &[2]),
        record(21, &[2, 99]),
        record(22, &[99, 0, 0, 0]),
    ];
    for answer in answers {
        let server = std::thread::spawn({
            let (listener, answer) = (listener.try_clone().unwrap(), answer.clone());
            move || {
                let mut stream = listener.accept().unwrap().0;
                let _ = stream.read(&mut [0; 4096]);
                stream.write_all(&answer).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
            }
        });
        let mut p = profile(port);
        p.tls.ca = Some(Secret(Ca::new("CA").pem.into_bytes()));
        let report = Client::new(p).attempt();
        server.join().unwrap();
        is_a_sentence(&report.text);
    }
}
