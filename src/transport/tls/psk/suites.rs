//! Names of cipher suites with pre-shared keys.

use super::config_error;
use crate::error::Code;
use crate::transport::LayerError;

/// Suites of TLS 1.2: the name that IANA gave it, and OpenSSL's. The favourite first: a new key for each
/// connection (ECDHE, DHE), then the key alone; sums of cipher and check in one (GCM, ChaCha20) before CBC. Those
/// with RSA are not here: they want a certificate.
const TLS12: [(&str, &str); 18] = [
    ("TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-PSK-CHACHA20-POLY1305"),
    ("TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384", "ECDHE-PSK-AES256-CBC-SHA384"),
    ("TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", "ECDHE-PSK-AES128-CBC-SHA256"),
    ("TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", "ECDHE-PSK-AES256-CBC-SHA"),
    ("TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", "ECDHE-PSK-AES128-CBC-SHA"),
    ("TLS_DHE_PSK_WITH_AES_256_GCM_SHA384", "DHE-PSK-AES256-GCM-SHA384"),
    ("TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256", "DHE-PSK-CHACHA20-POLY1305"),
    ("TLS_DHE_PSK_WITH_AES_128_GCM_SHA256", "DHE-PSK-AES128-GCM-SHA256"),
    ("TLS_DHE_PSK_WITH_AES_256_CBC_SHA", "DHE-PSK-AES256-CBC-SHA"),
    ("TLS_DHE_PSK_WITH_AES_128_CBC_SHA", "DHE-PSK-AES128-CBC-SHA"),
    ("TLS_PSK_WITH_AES_256_GCM_SHA384", "PSK-AES256-GCM-SHA384"),
    ("TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", "PSK-CHACHA20-POLY1305"),
    ("TLS_PSK_WITH_AES_128_GCM_SHA256", "PSK-AES128-GCM-SHA256"),
    ("TLS_PSK_WITH_AES_128_CCM", "PSK-AES128-CCM"),
    ("TLS_PSK_WITH_AES_256_CBC_SHA384", "PSK-AES256-CBC-SHA384"),
    ("TLS_PSK_WITH_AES_128_CBC_SHA256", "PSK-AES128-CBC-SHA256"),
    ("TLS_PSK_WITH_AES_256_CBC_SHA", "PSK-AES256-CBC-SHA"),
    ("TLS_PSK_WITH_AES_128_CBC_SHA", "PSK-AES128-CBC-SHA"),
];

/// Suites of TLS 1.3 whose hash is SHA-256, to which a key without a hash of its own belongs (RFC 8446, section
/// 4.2.11). OpenSSL calls them by the same names.
const TLS13: [&str; 2] = ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];

/// Lists as OpenSSL reads them; an empty one offers no suite of that version.
#[derive(PartialEq, Eq)]
pub(super) struct Suites {
    pub(super) tls12: String,
    pub(super) tls13: String,
}

/// The suites that a list names, in its order: names of IANA, or in the style of mbedTLS, between colons,
/// commas or blanks. `None` is all.
pub(super) fn parse(list: Option<&str>, only_tls13: bool) -> Result<Suites, LayerError> {
    let (mut tls12, mut tls13): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    match list {
        None => {
            tls12.extend(TLS12.iter().map(|(_, name)| name));
            tls13.extend(TLS13);
        }
        Some(list) => {
            for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
                let wanted = word.to_ascii_uppercase().replace('-', "_").replacen("TLS1_3_", "TLS_", 1);
                if let Some((_, name)) = TLS12.iter().find(|(name, _)| *name == wanted) {
                    tls12.push(name);
                } else if let Some(name) = TLS13.iter().find(|name| **name == wanted) {
                    tls13.push(name);
                } else {
                    return Err(bad(unknown(word)));
                }
            }
        }
    }
    if only_tls13 {
        tls12.clear();
        if tls13.is_empty() {
            let text = "ssl_cipher_suites has no suite of TLS 1.3, which tls_min_version asks for";
            return Err(bad(text.into()));
        }
    }
    if tls12.is_empty() && tls13.is_empty() {
        return Err(bad("ssl_cipher_suites names no suite".into()));
    }
    Ok(Suites { tls12: tls12.join(":"), tls13: tls13.join(":") })
}

fn unknown(word: &str) -> String {
    let known: Vec<&str> = TLS12.iter().map(|(name, _)| *name).chain(TLS13).collect();
    format!(
        "ssl_cipher_suites: {word:?} is not a suite for pre-shared keys of this library, which has {}",
        known.join(", ")
    )
}

fn bad(text: String) -> LayerError {
    config_error(Code::TlsBadSuite, text)
}
