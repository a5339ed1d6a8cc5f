//! What connections with the same settings share.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, version};

use super::certificate::{self, Certificate};
use super::files::{self, Bytes};
use super::inputs::{self, Fingerprint, Parts, Remembered};
use super::key::{self, Refused};
use super::revocation::Lists;
use super::verify::{self, Anyone, Verifier};
use super::{Backend, chain_faults, config_error, signer, suites};
use crate::error::Code;
use crate::sync::Mutex;
use crate::transport::LayerError;
use crate::transport::tls_settings::TlsSettings;

/// Servers whose sessions are kept for resumption.
const SESSIONS: usize = 32;

/// A configuration, shared by all connections that have the same settings and files.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) client: Arc<ClientConfig>,
    pub(super) refused: Arc<verify::Refused>,
    /// What is trusted, as it stands in errors.
    pub(super) trust: String,
    pub(super) has_certificate: bool,
    /// When this client's certificate ends.
    pub(super) own_end: Option<f64>,
    pub(super) only_tls13: bool,
    pub(super) chose_suites: bool,
    pub(super) clock: fn() -> f64,
    fingerprint: Fingerprint,
}

/// The configurations that are in use.
#[derive(Debug, Default)]
pub(crate) struct Configs {
    known: Mutex<Vec<Weak<Config>>>,
    files: Remembered,
}

impl Configs {
    /// The configuration for these settings: one that exists, if nothing changed in them and in their
    /// files.
    pub(crate) fn get(&self, settings: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        let sources = inputs::sources(settings)?;
        if let Some(sums) = self.files.sums(&sources)
            && let Some(config) = self.find(&inputs::fingerprint(settings, &sums))
        {
            return Ok(config);
        }
        let (contents, sums) = self.files.read(&sources)?;
        let fingerprint = inputs::fingerprint(settings, &sums);
        if let Some(config) = self.find(&fingerprint) {
            return Ok(config);
        }
        let config = Arc::new(build(settings, contents, fingerprint)?);
        self.known.lock().push(Arc::downgrade(&config));
        Ok(config)
    }

    fn find(&self, fingerprint: &Fingerprint) -> Option<Arc<Config>> {
        let mut known = self.known.lock();
        known.retain(|config| config.strong_count() > 0);
        known.iter().filter_map(Weak::upgrade).find(|config| config.fingerprint == *fingerprint)
    }
}

/// The application's clock, for rustls.
#[derive(Debug)]
struct Clock(fn() -> f64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = Duration::try_from_secs_f64((self.0)()).ok()?;
        Some(UnixTime::since_unix_epoch(seconds))
    }
}

fn build(
    settings: &TlsSettings<'_>,
    inputs: Parts<Bytes>,
    fingerprint: Fingerprint,
) -> Result<Config, LayerError> {
    let mut provider = ring::default_provider();
    if let Some(list) = settings.cipher_suites {
        provider.cipher_suites = suites::parse(list)?;
    }
    #[cfg(feature = "pq")]
    if settings.post_quantum {
        provider.kx_groups.insert(0, &super::hybrid::X25519MlKem768);
    }
    let provider = Arc::new(provider);
    let refused = Arc::new(verify::Refused::default());
    let versions: &[_] =
        if settings.only_tls13 { &[&version::TLS13] } else { &[&version::TLS13, &version::TLS12] };
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(Clock(settings.clock)))
        .with_protocol_versions(versions)
        // The only error there is.
        .map_err(|_| {
            let text = "ssl_cipher_suites has no suite of TLS 1.3, which tls_min_version asks for".into();
            config_error(Code::TlsBadSuite, text)
        })?
        .dangerous();
    let (builder, trust) = if settings.insecure_skip_verification {
        let algorithms = provider.signature_verification_algorithms;
        let anyone = Anyone { algorithms, refused: refused.clone() };
        (builder.with_custom_certificate_verifier(Arc::new(anyone)), String::new())
    } else {
        let (verifier, trust) = verifier(settings, &inputs, &provider, refused.clone())?;
        (builder.with_custom_certificate_verifier(Arc::new(verifier)), trust)
    };
    let own = own_certificate(settings, &inputs)?;
    let has_certificate = own.is_some();
    let own_end = own.as_ref().and_then(|own| own.cert.first()).and_then(|own| certificate::end(own));
    let mut client = match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(own))),
        None => builder.with_no_client_auth(),
    };
    client.alpn_protocols = settings.alpn.clone();
    client.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Config {
        client: Arc::new(client),
        refused,
        trust,
        has_certificate,
        own_end,
        only_tls13: settings.only_tls13,
        chose_suites: settings.cipher_suites.is_some(),
        clock: settings.clock,
        fingerprint,
    })
}

fn verifier(
    settings: &TlsSettings<'_>,
    inputs: &Parts<Bytes>,
    provider: &Arc<CryptoProvider>,
    refused: Arc<verify::Refused>,
) -> Result<(Verifier, String), LayerError> {
    let mut roots = RootCertStore::empty();
    let mut trusted: Vec<CertificateDer<'static>> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let (lists, mut withdrawn) = (Lists::of(&inputs.revoked)?, Vec::new());
    for from in &inputs.trusted {
        for certificate in files::certificates("ssl_ca_cert", from)? {
            // It counts, whoever trusts the certificate.
            if lists.have(&certificate) {
                withdrawn.push(certificate);
                continue;
            }
            // One that cannot be a root (version 1, an odd key) may still be the server's own.
            let _ = roots.add(certificate.clone());
            trusted.push(certificate);
        }
        names.push(format!("the trusted certificates of {}", from.name));
    }
    if let Some(system) = &inputs.system {
        // Old entries that cannot be used must not make the others useless.
        let (gone, good): (Vec<_>, Vec<_>) =
            files::system_certificates(system)?.into_iter().partition(|one| lists.have(one));
        withdrawn.extend(gone);
        roots.add_parsable_certificates(good);
        names.push(format!("the system's trusted certificates ({})", system.name));
    }
    let trust = names.join(" and ");
    let chain: Option<Arc<dyn ServerCertVerifier>> = match names.is_empty() {
        true => None,
        false if roots.is_empty() && !withdrawn.is_empty() => {
            let text = format!("all of {trust} were revoked by tls_crl");
            return Err(config_error(Code::TlsRevoked, text));
        }
        false => Some(chain(roots, inputs, lists, provider, &trust)?),
    };
    let verifier = Verifier {
        chain,
        pins: settings.pins.clone(),
        any_name: settings.insecure_skip_name,
        algorithms: provider.signature_verification_algorithms,
        trusted,
        withdrawn,
        refused,
    };
    Ok((verifier, trust))
}

fn chain(
    roots: RootCertStore,
    inputs: &Parts<Bytes>,
    lists: Lists,
    provider: &Arc<CryptoProvider>,
    trust: &str,
) -> Result<Arc<WebPkiServerVerifier>, LayerError> {
    // Where there are lists, every certificate below a trusted one must be on record with its issuer, as not revoked.
    let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    builder.with_crls(lists.der).build().map_err(|error| match error {
        VerifierBuilderError::InvalidCrl(why) => {
            let names: Vec<_> = inputs.revoked.iter().map(|from| format!("{:?}", from.name)).collect();
            let why = chain_faults::list(&why);
            let text = format!("tls_crl: {} cannot be used: {why}", names.join(" or "));
            config_error(Code::TlsBadFile, text)
        }
        _ => config_error(Code::TlsBadFile, format!("no usable certificate is among {trust}")),
    })
}

fn own_certificate(
    settings: &TlsSettings<'_>,
    inputs: &Parts<Bytes>,
) -> Result<Option<CertifiedKey>, LayerError> {
    let Some(certificate) = &inputs.certificate else {
        return match settings.signer {
            None => Ok(None),
            Some(_) => {
                let text = "a function signs for this client, and there is no certificate that its key belongs to: set \
                            ssl_cert or tls_cert";
                Err(config_error(Code::TlsBadKey, text.into()))
            }
        };
    };
    let chain = files::certificates("ssl_cert", certificate)?;
    if let Some(signer) = &settings.signer {
        if let Some(key) = &inputs.key {
            let text =
                format!("a function signs for this client, so the key of {:?} must not be set", key.name);
            return Err(config_error(Code::TlsBadKey, text));
        }
        let leaf = chain.first().and_then(|leaf| Certificate::look(leaf)).unwrap_or_default();
        let key = signer::key(signer.clone(), &leaf.key, &certificate.name)?;
        return Ok(Some(CertifiedKey::new(chain, key)));
    }
    let (field, from) = match &inputs.key {
        Some(key) => ("ssl_key", key),
        None => ("ssl_cert", certificate),
    };
    let Some(section) = files::key(field, from)? else {
        let text = match inputs.key {
            Some(_) => format!("ssl_key: {:?} has no private key in it", from.name),
            None => format!("ssl_key is not set, and ssl_cert {:?} has no private key in it", from.name),
        };
        return Err(config_error(Code::TlsBadKey, text));
    };
    // All in it were looked into when they were read.
    let leaf = chain.first().and_then(|leaf| Certificate::look(leaf)).unwrap_or_default();
    match key::load(field, from, section, &leaf, settings.key_password) {
        // What the certificate is like is the server's business: rustls would refuse some, as those of version 1.
        Ok(key) => Ok(Some(CertifiedKey::new(chain, key))),
        Err(Refused::Because(error)) => Err(error),
        Err(Refused::Stranger) => {
            let text = format!(
                "the key of {:?} does not belong to the certificate of {:?}",
                from.name, certificate.name
            );
            Err(config_error(Code::TlsBadKey, text))
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
