//! Certificate files and texts: each of their sections is used, or named in an error.

#![cfg(feature = "tls")]

use std::process::Command;

use crate::tls_support::{Broker, Ca, Client, Folder, profile};
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::Code;

const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// field: F-43
#[test]
fn every_certificate_of_a_bundle_counts() {
    let (first, ca, last) = (Ca::new("First CA"), Ca::new("CA"), Ca::new("Last CA"));
    let broker = Broker::tls(&ca.issue(HERE), "");
    let [first, own, last] = [&first.pem, &ca.pem, &last.pem].map(|pem| pem.trim_end().to_owned());
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let der = |pem: &str| {
        let mut run = Command::new("openssl");
        let child = run.args(["x509", "-outform", "DER"]).stdin(std::process::Stdio::piped());
        let mut child = child.stdout(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), pem.as_bytes()).unwrap();
        child.wait_with_output().unwrap().stdout
    };
    for (how, bundle) in [
        ("with a byte order mark", format!("\u{feff}{own}\n{first}\n").into_bytes()),
        ("joined on one line", format!("{first}{own}{last}").into_bytes()),
        ("joined, with a mark in between", format!("{first}\u{feff}{own}\u{feff}{last}").into_bytes()),
        ("ends of lines of Windows", crlf(&format!("\u{feff}{first}\n\n{own}\n{last}\n")).into_bytes()),
        ("no end of line at all", own.replace('\n', "").into_bytes()),
        ("blanks around", own.replace('\n', "  \n  ").into_bytes()),
        ("another name of the kind", own.replace("CERTIFICATE", "X509 CERTIFICATE").into_bytes()),
        ("with notes", format!("# CA\n=====\n{first}\nsubject=/CN=x\n---\n{own}\n").into_bytes()),
        ("DER, joined", [der(&first), der(&own)].concat()),
    ] {
        let mut p = profile(broker.port);
        p.tls.ca = Some(Secret(bundle));
        let client = Client::new(p);
        let report = client.attempt();
        assert!(client.conn.is_connected(), "{how}: {report:?}");
    }
}

/// field: F-43
#[test]
fn what_is_not_used_is_named_with_its_line() {
    let ca = Ca::new("CA");
    let pem = ca.pem.trim_end();
    let lines = pem.lines().count();
    let folder = Folder::new();
    let after = |more: &str| folder.put("ca.pem", format!("{pem}\n{more}\n"));
    let section = |kind: &str| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----");
    let at = format!("line {}: ", lines + 1);
    for (more, part) in [
        (pem.replacen("-----BEGIN", "----BEGIN", 1), "there is a damaged line with BEGIN or END"),
        (pem.replacen("-----END", "----END", 1), "END line of its kind"),
        (pem.replace("-----END CERTIFICATE-----", ""), "the section has no line with END"),
        (section("TRUSTED CERTIFICATE"), "the TRUSTED CERTIFICATE is in OpenSSL's own form: convert it"),
        (section("X509 CRL"), "the X509 CRL has no place here: it goes into tls_crl_file"),
        (section("CERTIFICATE REQUEST"), "the CERTIFICATE REQUEST is no certificate"),
        (section("PKCS7"), "the PKCS7 is a container of certificates: unpack it"),
        (section("SOMETHING ELSE"), "the section of an unknown kind is not known here"),
        (section("CERTIFICATE"), "the CERTIFICATE has a damaged certificate in it"),
    ] {
        let mut p = profile(1);
        p.ssl_ca_cert = Some(after(&more));
        let report = Client::new(p).attempt();
        assert_eq!(report.code, Code::TlsBadFile, "{report:?}");
        assert!(report.text.contains(part) && report.text.contains(&at), "{at}{part}: {report:?}");
    }
    // The other inputs are read in the same way.
    let joined = after(&pem.replacen("-----BEGIN", "----BEGIN", 1));
    let inputs: [fn(&mut Profile, String); 3] = [
        |p, file| p.ssl_cert = Some(file),
        |p, file| p.ssl_key = Some(Secret(file)),
        |p, file| p.tls.crl_file = Some(file),
    ];
    for put in inputs {
        let mut p = profile(1);
        p.ssl_ca_cert = Some(folder.put("good.pem", &ca.pem));
        p.ssl_cert = Some(folder.put("cert.pem", &ca.pem));
        put(&mut p, joined.clone());
        let report = Client::new(p).attempt();
        assert!(report.text.contains(&at), "{report:?}");
    }
    let utf16: Vec<u8> =
        "\u{feff}".encode_utf16().chain(pem.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let mut p = profile(1);
    p.tls.ca = Some(Secret(utf16));
    assert!(Client::new(p).attempt().text.contains("is written in UTF-16"));
}
