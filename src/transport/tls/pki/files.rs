//! Certificates and keys, from files and from memory, PEM or DER.

use std::fs::File;
use std::io::Read;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::config_error;
use crate::error::Code;
use crate::transport::LayerError;
use crate::transport::tls_settings::Source;

/// No bundle of certificates is as large: something else was named by mistake.
const MAX_FILE: u64 = 16 << 20;

/// What was read, and what to call it.
pub(super) struct Bytes {
    pub(super) name: String,
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// Reads a source whole. Its memory is wiped when it is dropped: it may hold a key.
pub(super) fn read(field: &str, source: Source<'_>) -> Result<Bytes, LayerError> {
    match source {
        Source::Memory(bytes, name) => {
            Ok(Bytes { name: name.to_owned(), bytes: Zeroizing::new(bytes.to_vec()) })
        }
        Source::File(path) => {
            let bytes = read_file(path).map_err(|why| {
                config_error(Code::TlsBadFile, format!("{field}: {path:?} cannot be read: {why}"))
            })?;
            Ok(Bytes { name: path.to_owned(), bytes })
        }
    }
}

pub(super) fn read_file(path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = |error: std::io::Error| error.to_string();
    // Asked before it is opened: to open a named pipe would block.
    let about = std::fs::metadata(path).map_err(text)?;
    if !about.is_file() {
        return Err("it is not a file".into());
    }
    if about.len() > MAX_FILE {
        return Err("it is too large".into());
    }
    // One byte more than it should have, so that the end is seen without growing: a vector that grows
    // leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(about.len() as usize + 1));
    File::open(path).and_then(|file| file.take(about.len()).read_to_end(&mut bytes)).map_err(text)?;
    Ok(bytes)
}

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

/// All certificates in it; at least one.
pub(super) fn certificates(field: &str, from: &Bytes) -> Result<Vec<CertificateDer<'static>>, LayerError> {
    let bad = |why: &str| config_error(Code::TlsBadFile, format!("{field}: {:?} {why}", from.name));
    if !is_pem(&from.bytes) {
        let der = CertificateDer::from(from.bytes.to_vec());
        return match super::certificate::Certificate::look(&der) {
            Some(_) => Ok(vec![der]),
            None => Err(bad("is neither PEM nor a certificate in DER")),
        };
    }
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&from.bytes).collect();
    match found {
        Err(error) => Err(bad(&format!("is damaged PEM: {error}"))),
        Ok(list) if list.is_empty() => Err(bad("has no certificate in it")),
        Ok(list) => Ok(list),
    }
}

/// All lists of revoked certificates in it; at least one.
pub(super) fn revocation_lists(
    field: &str,
    from: &Bytes,
) -> Result<Vec<CertificateRevocationListDer<'static>>, LayerError> {
    let bad = |why: &str| config_error(Code::TlsBadFile, format!("{field}: {:?} {why}", from.name));
    if !is_pem(&from.bytes) {
        // Whether it is one is seen when it is used.
        return Ok(vec![CertificateRevocationListDer::from(from.bytes.to_vec())]);
    }
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&from.bytes).collect();
    match found {
        Err(error) => Err(bad(&format!("is damaged PEM: {error}"))),
        Ok(list) if list.is_empty() => Err(bad("has no list of revoked certificates (X509 CRL) in it")),
        Ok(list) => Ok(list),
    }
}

/// The first private key in it: PKCS#8, PKCS#1 or SEC1. `None` if there is no key at all.
pub(super) fn key(field: &str, from: &Bytes) -> Result<Option<PrivateKeyDer<'static>>, LayerError> {
    use rustls::pki_types::pem::Error;
    let bad = |why: String| config_error(Code::TlsBadFile, format!("{field}: {:?} {why}", from.name));
    if !is_pem(&from.bytes) {
        return match PrivateKeyDer::try_from(&from.bytes[..]) {
            Ok(key) => Ok(Some(key.clone_key())),
            Err(_) => Err(bad("is neither PEM nor a private key in DER".into())),
        };
    }
    match PrivateKeyDer::from_pem_slice(&from.bytes) {
        Ok(key) => Ok(Some(key)),
        Err(Error::NoItemsFound) if from.bytes.windows(17).any(|w| w == b"BEGIN ENCRYPTED P") => {
            Err(bad("is encrypted with a password; the key must be stored without one".into()))
        }
        Err(Error::NoItemsFound) => Ok(None),
        Err(error) => Err(bad(format!("is damaged PEM: {error}"))),
    }
}
