use std::sync::Arc;

use super::*;
use crate::transport::tls_settings::{Sign, Source};

const PIN: [u8; 32] = [7; 32];

fn now() -> f64 {
    1.8e9
}

fn later() -> f64 {
    1.9e9
}

/// Certificates, keys and a list that the settings below point to.
struct Files {
    first: Vec<u8>,
    second: Vec<u8>,
    key: Vec<u8>,
    /// The first certificate and its key in one text.
    both: Vec<u8>,
    /// The same key, written differently.
    padded: Vec<u8>,
    list: Vec<u8>,
    signer: Arc<dyn Sign>,
}

#[derive(Debug)]
struct Nobody;

impl Sign for Nobody {
    fn sign(&self, _: u16, _: &[u8]) -> Result<Vec<u8>, String> {
        Err("nobody signs".into())
    }
}

impl Files {
    fn new() -> Files {
        let pair = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.self_signed(&key).unwrap().pem().into_bytes(), key.serialize_pem().into_bytes())
        };
        let ((first, key), (second, _)) = (pair("first.example"), pair("second.example"));
        let (both, padded) = ([&first[..], &key].concat(), [b"\n", &key[..]].concat());
        Files { first, second, key, both, padded, list: list(), signer: Arc::new(Nobody) }
    }

    /// The same each time.
    fn signer(&self) -> std::sync::Weak<dyn Sign> {
        Arc::downgrade(&self.signer)
    }

    fn plain(&self) -> TlsSettings<'_> {
        TlsSettings {
            trusted: vec![ca(&self.first)],
            system_roots: false,
            pins: Vec::new(),
            revoked: Vec::new(),
            certificate: Some(Source::Memory(&self.both, "own")),
            key: None,
            signer: None,
            key_password: None,
            psk: None,
            cipher_suites: None,
            alpn: Vec::new(),
            only_tls13: false,
            post_quantum: true,
            insecure_skip_verification: false,
            insecure_skip_name: false,
            clock: now,
        }
    }

    /// Settings that differ from each other, each from the plain ones in one field.
    fn variants(&self) -> Vec<(&'static str, TlsSettings<'_>)> {
        let plain = self.plain();
        let (first, second) = (ca(&self.first), ca(&self.second));
        let named = Source::Memory(&self.first, "CA");
        vec![
            ("nothing", plain.clone()),
            ("trusted: another", TlsSettings { trusted: vec![second], ..plain.clone() }),
            ("trusted: one more", TlsSettings { trusted: vec![first, second], ..plain.clone() }),
            ("trusted: the other order", TlsSettings { trusted: vec![second, first], ..plain.clone() }),
            ("trusted: another name", TlsSettings { trusted: vec![named], ..plain.clone() }),
            ("revoked", TlsSettings { revoked: vec![ca(&self.list)], ..plain.clone() }),
            (
                "certificate: another name",
                TlsSettings { certificate: Some(Source::Memory(&self.both, "another")), ..plain.clone() },
            ),
            ("certificate: none", TlsSettings { certificate: None, ..plain.clone() }),
            ("key", TlsSettings { key: Some(ca(&self.key)), ..plain.clone() }),
            (
                "key: another name",
                TlsSettings { key: Some(Source::Memory(&self.key, "a key")), ..plain.clone() },
            ),
            ("key: another text", TlsSettings { key: Some(ca(&self.padded)), ..plain.clone() }),
            ("signer", TlsSettings { signer: Some(self.signer()), ..plain.clone() }),
            ("key_password", TlsSettings { key_password: Some(b"a"), ..plain.clone() }),
            ("key_password: another", TlsSettings { key_password: Some(b"b"), ..plain.clone() }),
            ("key_password: empty", TlsSettings { key_password: Some(b""), ..plain.clone() }),
            ("cipher_suites", TlsSettings { cipher_suites: Some("TLS_AES_128_GCM_SHA256"), ..plain.clone() }),
            (
                "cipher_suites: another",
                TlsSettings { cipher_suites: Some("TLS_AES_256_GCM_SHA384"), ..plain.clone() },
            ),
            ("pins", TlsSettings { pins: vec![PIN], ..plain.clone() }),
            ("pins: two", TlsSettings { pins: vec![PIN, PIN], ..plain.clone() }),
            ("alpn", TlsSettings { alpn: vec![b"mqtt".to_vec()], ..plain.clone() }),
            ("alpn: two", TlsSettings { alpn: vec![b"mq".to_vec(), b"tt".to_vec()], ..plain.clone() }),
            (
                "alpn: two, cut elsewhere",
                TlsSettings { alpn: vec![b"m".to_vec(), b"qtt".to_vec()], ..plain.clone() },
            ),
            ("only_tls13", TlsSettings { only_tls13: true, ..plain.clone() }),
            ("post_quantum", TlsSettings { post_quantum: false, ..plain.clone() }),
            ("insecure_skip_verification", TlsSettings { insecure_skip_verification: true, ..plain.clone() }),
            ("insecure_skip_name", TlsSettings { insecure_skip_name: true, ..plain.clone() }),
            ("clock", TlsSettings { clock: later, ..plain }),
        ]
    }
}

fn ca(bytes: &[u8]) -> Source<'_> {
    Source::Memory(bytes, "a CA")
}

/// Names each field, so that a new one cannot be forgotten in the variants. A pre-shared key is not among them: it decides
/// before this which of two libraries is used.
fn has_all_fields(settings: &TlsSettings<'_>) {
    let TlsSettings {
        trusted: _,
        system_roots: _,
        pins: _,
        revoked: _,
        certificate: _,
        key: _,
        signer: _,
        key_password: _,
        psk: _,
        cipher_suites: _,
        alpn: _,
        only_tls13: _,
        post_quantum: _,
        insecure_skip_verification: _,
        insecure_skip_name: _,
        clock: _,
    } = settings;
}

/// Two connections share a configuration, and with it sessions that the other one resumes, only if nothing differs.
///
/// field: F-50
#[test]
fn connections_that_differ_in_one_option_never_share() {
    let files = Files::new();
    has_all_fields(&files.plain());
    let mut all = files.variants();
    // Where the system has such a list.
    let system = TlsSettings { system_roots: true, ..files.plain() };
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
