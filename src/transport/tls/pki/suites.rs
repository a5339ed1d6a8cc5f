//! Names of cipher suites.

use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::{CipherSuite, SupportedCipherSuite};

use super::config_error;
use crate::error::Code;
use crate::transport::LayerError;

/// The suites that a list names, in its order: names of IANA, or in the style of mbedTLS, between colons,
/// commas or blanks.
pub(super) fn parse(list: &str) -> Result<Vec<SupportedCipherSuite>, LayerError> {
    let mut found: Vec<SupportedCipherSuite> = Vec::new();
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        let wanted = word.to_ascii_uppercase().replace('-', "_").replacen("TLS1_3_", "TLS_", 1);
        let suite = ALL_CIPHER_SUITES.iter().find(|suite| name(suite.suite()) == wanted);
        let Some(suite) = suite else { return Err(unknown(word)) };
        if !found.contains(suite) {
            found.push(*suite);
        }
    }
    if found.is_empty() {
        return Err(config_error(Code::TlsBadSuite, "ssl_cipher_suites names no suite".into()));
    }
    Ok(found)
}

fn unknown(word: &str) -> LayerError {
    let known: Vec<String> = ALL_CIPHER_SUITES.iter().map(|suite| name(suite.suite())).collect();
    let text =
        format!("ssl_cipher_suites: {word:?} is not a suite of this library, which has {}", known.join(", "));
    config_error(Code::TlsBadSuite, text)
}

/// The name that IANA gave it.
pub(super) fn name(suite: CipherSuite) -> String {
    suite.as_str().unwrap_or("unknown").replacen("TLS13_", "TLS_", 1)
}
