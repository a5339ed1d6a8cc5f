use std::sync::Arc;

use super::*;
use crate::transport::tls_settings::{Psk, Source};

const PIN: [u8; 32] = [7; 32];

fn now() -> f64 {
    1.8e9
}

fn later() -> f64 {
    1.9e9
}

/// Two connections share a configuration, and with it sessions that the other one resumes, only if nothing differs.
///
/// field: F-50
#[test]
fn connections_that_differ_in_one_option_never_share() {
    let pair = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let ((first, first_key), (second, _)) = (pair("first.example"), pair("second.example"));
    let (first, second) = (first.as_bytes(), second.as_bytes());
    let both = [first, first_key.as_bytes()].concat();
    let padded = [b"\n", first_key.as_bytes()].concat();
    let list = list();
    let ca = |bytes| Source::Memory(bytes, "a CA");
    let plain = TlsSettings {
        trusted: vec![ca(first)],
        system_roots: false,
        pins: Vec::new(),
        revoked: Vec::new(),
        certificate: Some(Source::Memory(&both, "own")),
        key: None,
        key_password: None,
        psk: None,
        cipher_suites: None,
        alpn: Vec::new(),
        only_tls13: false,
        insecure_skip_verification: false,
        clock: now,
    };
    // Each field by its name, so that a new one cannot be forgotten here.
    let TlsSettings {
        trusted: _,
        system_roots: _,
        pins: _,
        revoked: _,
        certificate: _,
        key: _,
        key_password: _,
        psk: _,
        cipher_suites: _,
        alpn: _,
        only_tls13: _,
        insecure_skip_verification: _,
        clock: _,
    } = &plain;
    let with = |change: &dyn Fn(&mut TlsSettings<'_>)| {
        let mut settings = plain.clone();
        // The closure's own lifetimes are those of the texts above.
        change(&mut settings);
        settings
    };
    let mut all = vec![
        ("nothing", plain.clone()),
        ("trusted: another", TlsSettings { trusted: vec![ca(second)], ..plain.clone() }),
        ("trusted: one more", TlsSettings { trusted: vec![ca(first), ca(second)], ..plain.clone() }),
        ("trusted: the other order", TlsSettings { trusted: vec![ca(second), ca(first)], ..plain.clone() }),
        (
            "trusted: another name",
            TlsSettings { trusted: vec![Source::Memory(first, "CA")], ..plain.clone() },
        ),
        ("revoked", TlsSettings { revoked: vec![ca(&list)], ..plain.clone() }),
        (
            "certificate: another name",
            TlsSettings { certificate: Some(Source::Memory(&both, "another")), ..plain.clone() },
        ),
        ("certificate: none", TlsSettings { certificate: None, ..plain.clone() }),
        ("key", TlsSettings { key: Some(ca(first_key.as_bytes())), ..plain.clone() }),
        (
            "key: another name",
            TlsSettings { key: Some(Source::Memory(first_key.as_bytes(), "a key")), ..plain.clone() },
        ),
        ("key: another text", TlsSettings { key: Some(ca(&padded)), ..plain.clone() }),
        ("key_password", TlsSettings { key_password: Some(b"a"), ..plain.clone() }),
        ("key_password: another", TlsSettings { key_password: Some(b"b"), ..plain.clone() }),
        ("key_password: empty", TlsSettings { key_password: Some(b""), ..plain.clone() }),
        ("cipher_suites", with(&|s| s.cipher_suites = Some("TLS_AES_128_GCM_SHA256"))),
        ("cipher_suites: another", with(&|s| s.cipher_suites = Some("TLS_AES_256_GCM_SHA384"))),
        ("pins", with(&|s| s.pins = vec![PIN])),
        ("pins: two", with(&|s| s.pins = vec![PIN, PIN])),
        ("alpn", with(&|s| s.alpn = vec![b"mqtt".to_vec()])),
        ("alpn: two", with(&|s| s.alpn = vec![b"mq".to_vec(), b"tt".to_vec()])),
        ("alpn: two, cut elsewhere", with(&|s| s.alpn = vec![b"m".to_vec(), b"qtt".to_vec()])),
        ("only_tls13", with(&|s| s.only_tls13 = true)),
        ("insecure_skip_verification", with(&|s| s.insecure_skip_verification = true)),
        ("clock", with(&|s| s.clock = later)),
    ];
    // Where there is such a list.
    let system = with(&|s| s.system_roots = true);
    if inputs::sources(&system).is_ok() {
        all.push(("system_roots", system));
    }
    let configs = Configs::default();
    let made: Vec<_> = all
        .iter()
        .map(|(name, settings)| {
            let config = configs.get(settings).unwrap_or_else(|error| panic!("{name}: {}", error.text));
            let again = configs.get(settings).unwrap_or_else(|error| panic!("{name}: {}", error.text));
            assert!(Arc::ptr_eq(&config, &again), "{name}: not even with itself");
            config
        })
        .collect();
    for (i, one) in made.iter().enumerate() {
        for (j, other) in made.iter().enumerate().take(i) {
            assert!(!Arc::ptr_eq(one, other), "{:?} shares with {:?}", all[i].0, all[j].0);
        }
    }
    // It decides which of two libraries is used, before this.
    let psk = TlsSettings { psk: Some(Psk { identity: "i", key: "00" }), ..plain };
    assert!(psk.psk.is_some());
}

/// A list with nobody on it.
fn list() -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = rcgen::Issuer::new(params, rcgen::KeyPair::generate().unwrap());
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2024, 1, 1),
        next_update: rcgen::date_time_ymd(2024, 2, 1),
        crl_number: rcgen::SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap().der().to_vec()
}
