//! Sentences for what OpenSSL reports.

use super::config::Config;
use super::describe;
use crate::error::{Code, Phase};
use crate::transport::LayerError;

/// OpenSSL's numbers of reasons from here on are alerts of the server.
const ALERTS: i32 = 1000;

// Reasons of OpenSSL itself; the numbers are a part of its ABI.
const CERTIFICATE_VERIFY_FAILED: i32 = 134;
const PACKET_LENGTH_TOO_LONG: i32 = 198;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const WRONG_VERSION_NUMBER: i32 = 267;
const DECRYPTION_FAILED_OR_BAD_RECORD_MAC: i32 = 281;

pub(super) fn explain(error: &openssl::ssl::Error, config: &Config, handshaking: bool) -> LayerError {
    let errors = error.ssl_error().map(|stack| stack.errors()).unwrap_or_default();
    let reasons = || errors.iter().map(|error| error.reason_code());
    let alert = reasons().find_map(|reason| u8::try_from(reason - ALERTS).ok());
    let (code, text) = match alert {
        Some(alert) => alerted(alert, config, handshaking),
        None if handshaking => reasons()
            .find_map(|reason| own(reason, config))
            .unwrap_or_else(|| (Code::TlsFailed, format!("the handshake failed: {error}"))),
        None => (Code::Protocol, format!("the server violated the TLS protocol: {error}")),
    };
    LayerError { code, phase: Phase::Tls, text, alert }
}

/// The server sent a certificate instead.
pub(super) fn certificate(config: &Config) -> LayerError {
    let (code, text) = by_certificate(config);
    LayerError { code, phase: Phase::Tls, text, alert: None }
}

fn by_certificate(config: &Config) -> (Code, String) {
    let text = format!(
        "the server answered with a certificate: it does not know a pre-shared key of the identity {:?}, or takes none",
        config.identity
    );
    (Code::TlsPskIdentity, text)
}

/// What OpenSSL here found wrong.
fn own(reason: i32, config: &Config) -> Option<(Code, String)> {
    Some(match reason {
        CERTIFICATE_VERIFY_FAILED => by_certificate(config),
        DECRYPTION_FAILED_OR_BAD_RECORD_MAC => other_key(config, ""),
        WRONG_VERSION_NUMBER | PACKET_LENGTH_TOO_LONG => {
            let text = "what the server answered is not TLS: it does not speak TLS on this port";
            (Code::TlsNotSpoken, text.into())
        }
        UNSUPPORTED_PROTOCOL => {
            let asked = if config.only_tls13 { "1.3, as tls_min_version says" } else { "1.2 or 1.3" };
            (Code::TlsVersion, format!("the server does not speak TLS {asked}"))
        }
        _ => return None,
    })
}

/// The server ended it, with a number as the reason (RFC 8446, section 6.2; RFC 4279, section 2).
fn alerted(alert: u8, config: &Config, handshaking: bool) -> (Code, String) {
    let identity = &config.identity;
    let name = describe(alert);
    match alert {
        _ if !handshaking => (Code::ClosedByServer, format!("the server ended the connection ({name})")),
        115 => (
            Code::TlsPskIdentity,
            format!("the server does not know the identity {identity:?} of the pre-shared key ({name})"),
        ),
        // A proof with the wrong key: of TLS 1.2 the Finished, of 1.3 the binder.
        20 | 47 | 51 => other_key(config, &format!(" ({name})")),
        70 => {
            let offered = match (config.only_tls13, config.offers_tls13) {
                (true, _) => "TLS 1.3",
                (false, true) => "TLS 1.2 and 1.3",
                (false, false) => "TLS 1.2",
            };
            let text = format!("the server supports no TLS version that is offered, {offered} ({name})");
            (Code::TlsVersion, text)
        }
        // In TLS 1.3 an unknown identity is no error: the server goes on without the key, and finds that it has
        // nothing to go on with.
        40 | 71 if config.offers_tls13 => (
            Code::TlsPskIdentity,
            format!(
                "the server does not know the identity {identity:?} of the pre-shared key, or supports no cipher suite \
                 that is offered ({name})"
            ),
        ),
        40 | 71 => {
            let what = if config.chose_suites {
                "none of ssl_cipher_suites"
            } else {
                "no cipher suite that is offered"
            };
            (Code::TlsCipher, format!("the server supports {what}, or no pre-shared keys ({name})"))
        }
        120 => (Code::TlsFailed, format!("the server speaks none of tls_alpn ({name})")),
        _ => (Code::TlsFailed, format!("the server ended the handshake ({name})")),
    }
}

fn other_key(config: &Config, name: &str) -> (Code, String) {
    let text =
        format!("the server has another key than ssl_psk_key for the identity {:?}{name}", config.identity);
    (Code::TlsBadPsk, text)
}
