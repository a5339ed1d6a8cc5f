//! A client's key that only the application can use, as rustls signs with it.

use std::sync::{Arc, Weak};

use rustls::sign::{Signer, SigningKey};
use rustls::{Error, OtherError, SignatureAlgorithm, SignatureScheme};

use super::algorithm::KeyKind;
use super::config_error;
use crate::error::Code;
use crate::transport::LayerError;
use crate::transport::tls_settings::Sign;

const ECDSA_P256: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const ECDSA_P384: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP384_SHA384];
const ED25519: &[SignatureScheme] = &[SignatureScheme::ED25519];
/// The favourite first; TLS 1.3 has those with PSS alone.
const RSA: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// The key of a certificate, elsewhere. What it can do follows from the certificate.
pub(super) fn key(
    signer: Weak<dyn Sign>,
    public: &[u8],
    name: &str,
) -> Result<Arc<dyn SigningKey>, LayerError> {
    let kind = KeyKind::of_public(public);
    let (algorithm, schemes) = match kind {
        Some(KeyKind::Rsa(_)) => (SignatureAlgorithm::RSA, RSA),
        Some(KeyKind::Ec("P-256")) => (SignatureAlgorithm::ECDSA, ECDSA_P256),
        Some(KeyKind::Ec("P-384")) => (SignatureAlgorithm::ECDSA, ECDSA_P384),
        Some(KeyKind::Other("of Ed25519")) => (SignatureAlgorithm::ED25519, ED25519),
        _ => {
            let what = kind.map_or("of an unknown kind".to_owned(), |kind| kind.to_string());
            let text = format!(
                "ssl_cert: the certificate of {name:?} has a key {what}, for which no function can sign; possible are \
                 RSA, ECDSA on the curves P-256 and P-384, and Ed25519"
            );
            return Err(config_error(Code::TlsBadKey, text));
        }
    };
    Ok(Arc::new(Elsewhere { signer, algorithm, schemes }))
}

#[derive(Debug)]
struct Elsewhere {
    /// Weak, so that it is the connection that takes leave of it, at a moment when the application may be called.
    signer: Weak<dyn Sign>,
    algorithm: SignatureAlgorithm,
    schemes: &'static [SignatureScheme],
}

impl SigningKey for Elsewhere {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let scheme = *self.schemes.iter().find(|scheme| offered.contains(scheme))?;
        Some(Box::new(Chosen { signer: self.signer.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

#[derive(Debug)]
struct Chosen {
    signer: Weak<dyn Sign>,
    scheme: SignatureScheme,
}

impl Signer for Chosen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signed = match self.signer.upgrade() {
            Some(signer) => signer.sign(u16::from(self.scheme), message),
            None => Err("it was removed while the handshake went on".to_owned()),
        };
        signed.map_err(|why| Error::Other(OtherError(Arc::new(NotSigned(why)))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// Why there is no signature.
#[derive(Debug)]
struct NotSigned(String);

impl std::fmt::Display for NotSigned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotSigned {}

/// The sentence, if this is why a handshake failed.
pub(super) fn refused(error: &Error) -> Option<String> {
    let Error::Other(OtherError(error)) = error else { return None };
    let NotSigned(why) = error.downcast_ref()?;
    Some(format!("the function that signs for this client (mgos_mqtt_conn_set_sign_fn) did not: {why}"))
}
