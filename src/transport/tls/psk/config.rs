//! What connections with the same key share.

use std::fmt;
use std::sync::{Arc, Weak};

use openssl::error::ErrorStack;
use openssl::ssl::{
    SslContext, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVerifyMode, SslVersion,
};
use zeroize::Zeroizing;

use super::suites::{self, Suites};
use super::{Backend, config_error};
use crate::error::Code;
use crate::sync::Mutex;
use crate::transport::LayerError;
use crate::transport::tls_settings::{Psk, TlsSettings};

/// The longest that every OpenSSL since 1.1.1 takes; RFC 4279, section 5.3, asks for 128 and 64.
const MAX_IDENTITY: usize = 128;
const MAX_KEY: usize = 256;

/// A configuration, shared by all connections with the same settings.
pub(super) struct Config {
    pub(super) context: SslContext,
    pub(super) identity: String,
    pub(super) only_tls13: bool,
    pub(super) chose_suites: bool,
    /// Whether TLS 1.3 is offered, in which an unknown identity has no error of its own.
    pub(super) offers_tls13: bool,
    key: Arc<Zeroizing<Vec<u8>>>,
    suites: Suites,
    alpn: Vec<u8>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// The configurations that are in use.
#[derive(Debug, Default)]
pub(crate) struct Configs(Mutex<Vec<Weak<Config>>>);

impl Configs {
    /// The configuration for these settings: one that exists, if there is one.
    pub(crate) fn get(&self, settings: &TlsSettings<'_>) -> Result<Arc<dyn Backend>, LayerError> {
        let Some(psk) = &settings.psk else {
            return Err(config_error(Code::BadConfig, "ssl_psk_identity is not set".into()));
        };
        let key = key(psk)?;
        let suites = suites::parse(settings.cipher_suites, settings.only_tls13)?;
        let alpn = alpn(&settings.alpn)?;
        let mut known = self.0.lock();
        known.retain(|config| config.strong_count() > 0);
        let same = |config: &Arc<Config>| {
            config.identity == psk.identity
                && **config.key == *key
                && config.suites == suites
                && config.alpn == alpn
                && config.only_tls13 == settings.only_tls13
                && config.chose_suites == settings.cipher_suites.is_some()
        };
        if let Some(config) = known.iter().filter_map(Weak::upgrade).find(same) {
            return Ok(config);
        }
        let key = Arc::new(key);
        let context = build(psk.identity, &key, &suites, &alpn, settings.only_tls13)
            .map_err(|error| config_error(Code::TlsFailed, format!("OpenSSL cannot be set up: {error}")))?;
        let config = Arc::new(Config {
            context,
            identity: psk.identity.to_owned(),
            only_tls13: settings.only_tls13,
            chose_suites: settings.cipher_suites.is_some(),
            offers_tls13: !suites.tls13.is_empty(),
            key,
            suites,
            alpn,
        });
        known.push(Arc::downgrade(&config));
        Ok(config)
    }
}

/// The key's bytes.
fn key(psk: &Psk<'_>) -> Result<Zeroizing<Vec<u8>>, LayerError> {
    let bad = |text: String| Err(config_error(Code::BadConfig, text));
    if psk.identity.len() > MAX_IDENTITY {
        return bad(format!("ssl_psk_identity: {} bytes are more than {MAX_IDENTITY}", psk.identity.len()));
    }
    let len = psk.key.len() / 2;
    if len == 0 || len > MAX_KEY {
        return bad(format!("ssl_psk_key: {len} bytes are not between 1 and {MAX_KEY}"));
    }
    // Without growing: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(len));
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    for pair in psk.key.as_bytes().chunks(2) {
        match (digit(&pair[0]), pair.get(1).and_then(digit)) {
            (Some(high), Some(low)) => bytes.push(high << 4 | low),
            _ => return bad("ssl_psk_key: the key has two hexadecimal digits for each byte".into()),
        }
    }
    Ok(bytes)
}

/// As OpenSSL wants it: each name after its length.
fn alpn(names: &[Vec<u8>]) -> Result<Vec<u8>, LayerError> {
    let mut list = Vec::new();
    for name in names {
        let Ok(len) = u8::try_from(name.len()) else {
            return Err(config_error(Code::BadConfig, "tls_alpn: a name has more than 255 bytes".into()));
        };
        list.push(len);
        list.extend_from_slice(name);
    }
    Ok(list)
}

fn build(
    identity: &str,
    key: &Arc<Zeroizing<Vec<u8>>>,
    suites: &Suites,
    alpn: &[u8],
    only_tls13: bool,
) -> Result<SslContext, ErrorStack> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    builder.set_min_proto_version(Some(if only_tls13 { SslVersion::TLS1_3 } else { SslVersion::TLS1_2 }))?;
    builder.set_max_proto_version(Some(match suites.tls13.is_empty() {
        true => SslVersion::TLS1_2,
        false => SslVersion::TLS1_3,
    }))?;
    if !suites.tls12.is_empty() {
        builder.set_cipher_list(&suites.tls12)?;
    }
    if !suites.tls13.is_empty() {
        builder.set_ciphersuites(&suites.tls13)?;
    }
    // In TLS 1.3 a server that does not know the key may go on with a certificate. Nothing is trusted that could
    // verify it, so that ends the handshake.
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_mode(
        SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::RELEASE_BUFFERS,
    );
    builder.set_options(SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET);
    // A handshake with a key is as cheap as a resumed one.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    if !alpn.is_empty() {
        builder.set_alpn_protos(alpn)?;
    }
    let (identity, key) = (identity.to_owned(), key.clone());
    builder.set_psk_client_callback(move |_, _hint, identity_out, key_out| {
        // Both were measured; a C string has its NUL. With 0 the handshake fails.
        let (Some(to), Some(key_to)) =
            (identity_out.get_mut(..=identity.len()), key_out.get_mut(..key.len()))
        else {
            return Ok(0);
        };
        let (text, nul) = to.split_at_mut(identity.len());
        text.copy_from_slice(identity.as_bytes());
        nul.fill(0);
        key_to.copy_from_slice(&key);
        Ok(key.len())
    });
    Ok(builder.build())
}
