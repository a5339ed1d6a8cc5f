//! What a TLS connection is made with, whether TLS was built or not.

use std::fmt;
use std::sync::Weak;

/// A certificate, a bundle of them, or a key.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The name of a file, PEM or DER.
    File(&'a str),
    /// PEM or DER; the text names it in errors.
    Memory(&'a [u8], &'static str),
}

/// Never what is in memory, which may be a key.
impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(_) => f.write_str("a file"),
            Source::Memory(_, name) => f.write_str(name),
        }
    }
}

/// A pre-shared key.
#[derive(Clone, Copy)]
pub struct Psk<'a> {
    /// Tells the server which key it is.
    pub identity: &'a str,
    /// The key, in hexadecimal digits.
    pub key: &'a str,
}

impl fmt::Debug for Psk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Psk({:?}, ***)", self.identity)
    }
}

/// Signs with a key that only the application can use, because a chip keeps it, for instance.
pub trait Sign: fmt::Debug + Send + Sync {
    /// Signs `message`, which is not hashed yet, by a scheme of TLS (RFC 8446 §4.2.3). It is called with no lock held, on
    /// the thread that drives the loop. The error is a sentence.
    fn sign(&self, scheme: u16, message: &[u8]) -> Result<Vec<u8>, String>;
}

/// What one TLS configuration is made of. Files are read each time it is asked for, so that certificates can
/// be replaced while the program runs.
#[derive(Clone)]
pub struct TlsSettings<'a> {
    /// The trusted certificates. Without any, and without pins, those of the system are trusted.
    pub trusted: Vec<Source<'a>>,
    /// Trust those of the system too.
    pub system_roots: bool,
    /// The SHA-256 of public keys of which the server must have one. Without trusted certificates that is all
    /// it must have.
    pub pins: Vec<[u8; 32]>,
    /// Lists of revoked certificates.
    pub revoked: Vec<Source<'a>>,
    /// Our own certificate and those that lead to its issuer.
    pub certificate: Option<Source<'a>>,
    /// Its key; `None` looks for it beside the certificate.
    pub key: Option<Source<'a>>,
    /// Who signs instead of the key.
    pub signer: Option<Weak<dyn Sign>>,
    /// The password of the key, if it is encrypted.
    pub key_password: Option<&'a [u8]>,
    /// A key that this side and the server share, instead of certificates.
    pub psk: Option<Psk<'a>>,
    /// The names of the cipher suites, between colons or commas; `None` is all.
    pub cipher_suites: Option<&'a str>,
    /// The application protocols to offer.
    pub alpn: Vec<Vec<u8>>,
    /// Do not speak TLS 1.2.
    pub only_tls13: bool,
    /// Offer the post-quantum key exchange, where it was built.
    pub post_quantum: bool,
    /// Take any certificate.
    pub insecure_skip_verification: bool,
    /// Take a certificate for any name.
    pub insecure_skip_name: bool,
    /// Seconds since 1970, against which certificates are judged.
    pub clock: fn() -> f64,
}

impl TlsSettings<'_> {
    /// Whether certificates were named, whoever's.
    pub fn names_certificates(&self) -> bool {
        !self.trusted.is_empty() || !self.pins.is_empty() || self.system_roots || self.certificate.is_some()
    }
}
