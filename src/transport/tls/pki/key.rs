//! The client's own private key.
//!
//! ring wants keys in one form, and an ECDSA key with its public half. Keys as programs write them have several forms,
//! and often lack it; the certificate has it.

use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use super::algorithm::{EC, KeyKind, OWN_KEYS, P256, P384, curve_name, modulus_bits};
use super::certificate::Certificate;
use super::config_error;
use super::der::{BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, element, tagged, whole, wrap};
use super::encrypted::{self, Trouble};
use super::files::Bytes;
use super::pem::{Kind, Section};
use crate::error::Code;
use crate::transport::LayerError;

/// Why a key cannot be used, without where it comes from.
#[derive(Debug)]
enum Refusal {
    /// What follows "the key of FILE".
    Because(String),
    /// It is the key of another certificate.
    Stranger,
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Refusal {
        Refusal::Because(why.to_owned())
    }
}

const DAMAGED: &str = "is damaged: it is not what its kind consists of";

/// Makes of a section what rustls signs with. `leaf` is the certificate that it must belong to.
pub(super) fn load(
    field: &str,
    from: &Bytes,
    section: Section,
    leaf: &Certificate,
    password: Option<&[u8]>,
) -> Result<Arc<dyn SigningKey>, Refused> {
    let line = section.line;
    let made = plain(section, password).and_then(|(kind, der)| sign_with(kind, &der, leaf));
    made.map_err(|refusal| match refusal {
        Refusal::Stranger => Refused::Stranger,
        Refusal::Because(why) => {
            let place = if line > 1 { format!(" (line {line})") } else { String::new() };
            let text = format!("{field}: the key of {:?}{place} {why}", from.name);
            Refused::Because(config_error(Code::TlsBadKey, text))
        }
    })
}

/// Why a key was not taken.
pub(super) enum Refused {
    Because(LayerError),
    Stranger,
}

/// The key without encryption, and which form it has: PKCS#8, PKCS#1 or SEC1.
fn plain(section: Section, password: Option<&[u8]>) -> Result<(Kind, Zeroizing<Vec<u8>>), Refusal> {
    let Section { kind, der, encrypted, .. } = section;
    let kind = if kind == Kind::Unknown { form(&der).ok_or(DAMAGED)? } else { kind };
    if kind == Kind::OtherKey {
        let why = "is in a form that is not supported: convert it by openssl pkey, or, one of OpenSSH, by ssh-keygen -p \
                   -m PKCS8";
        return Err(why.into());
    }
    if encrypted.is_none() && kind != Kind::EncryptedPkcs8 {
        return Ok((kind, der));
    }
    let Some(password) = password else {
        return Err(
            "is encrypted: set tls_key_password, or store it without a password (openssl pkey)".into()
        );
    };
    let made = match &encrypted {
        Some(header) => encrypted::traditional(header, der, password).map(|der| (kind, der)),
        None => encrypted::pkcs8(&der, password).map(|der| (Kind::Pkcs8, der)),
    };
    made.map_err(|trouble| match trouble {
        Trouble::Password => {
            "cannot be decrypted: tls_key_password is not its password, or it is damaged".into()
        }
        Trouble::Damaged => "is encrypted, and damaged".into(),
        Trouble::Unsupported(how) => Refusal::Because(format!(
            "is encrypted {how}, which is not supported: encrypt it by openssl pkcs8 -topk8 -v2 aes-256-cbc"
        )),
    })
}

/// Which form a key in DER has.
fn form(der: &[u8]) -> Option<Kind> {
    let (tag, _, rest) = element(whole(der, SEQUENCE)?)?;
    let (second, ..) = element(rest)?;
    match (tag, second) {
        (SEQUENCE, OCTET_STRING) => Some(Kind::EncryptedPkcs8),
        (INTEGER, SEQUENCE) => Some(Kind::Pkcs8),
        (INTEGER, INTEGER) => Some(Kind::Pkcs1),
        (INTEGER, OCTET_STRING) => Some(Kind::Sec1),
        _ => None,
    }
}

fn sign_with(kind: Kind, der: &[u8], leaf: &Certificate) -> Result<Arc<dyn SigningKey>, Refusal> {
    let content = whole(der, SEQUENCE).ok_or(DAMAGED)?;
    let key = match kind {
        Kind::Pkcs1 => return rsa(der, content, leaf),
        Kind::Sec1 => return ecdsa(content, None, leaf),
        _ => {
            let (_version, rest) = tagged(content, INTEGER).ok_or(DAMAGED)?;
            let (algorithm, rest) = tagged(rest, SEQUENCE).ok_or(DAMAGED)?;
            let (inner, _) = tagged(rest, OCTET_STRING).ok_or(DAMAGED)?;
            let nested = || whole(inner, SEQUENCE).ok_or(DAMAGED);
            match KeyKind::of_algorithm(algorithm) {
                KeyKind::Rsa(_) => return rsa(inner, nested()?, leaf),
                KeyKind::Ec(_) => {
                    let (_, parameters) = tagged(algorithm, OID).ok_or(DAMAGED)?;
                    return ecdsa(nested()?, tagged(parameters, OID).map(|(oid, _)| oid), leaf);
                }
                KeyKind::Other("of Ed25519") => PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)),
                other => return Err(unsupported(other)),
            }
        }
    };
    ready(&key, leaf)
}

fn unsupported(kind: KeyKind) -> Refusal {
    Refusal::Because(format!("is a key {kind}, which is not supported; supported are {OWN_KEYS}"))
}

fn rsa(der: &[u8], content: &[u8], leaf: &Certificate) -> Result<Arc<dyn SigningKey>, Refusal> {
    let (_version, rest) = tagged(content, INTEGER).ok_or(DAMAGED)?;
    let bits = modulus_bits(rest).ok_or(DAMAGED)?;
    if !(2048..=4096).contains(&bits) {
        return Err(unsupported(KeyKind::Rsa(bits)));
    }
    ready(&PrivateKeyDer::Pkcs1(PrivatePkcs1KeyDer::from(der)), leaf)
}

/// A key of RFC 5915: a number; the curve, unless it is known from outside; and, often, the public half.
fn ecdsa(content: &[u8], curve: Option<&[u8]>, leaf: &Certificate) -> Result<Arc<dyn SigningKey>, Refusal> {
    let (_version, rest) = tagged(content, INTEGER).ok_or(DAMAGED)?;
    let (number, mut rest) = tagged(rest, OCTET_STRING).ok_or(DAMAGED)?;
    let (mut curve, mut point) = (curve, None);
    while let Some((tag, inner, after)) = element(rest) {
        match tag {
            0xa0 => curve = curve.or(tagged(inner, OID).map(|(oid, _)| oid)),
            0xa1 => point = whole(inner, BIT_STRING).and_then(|bits| bits.strip_prefix(&[0])),
            _ => return Err(DAMAGED.into()),
        }
        rest = after;
    }
    let theirs = public_part(&leaf.key);
    let curve = curve.or(theirs.and_then(|(algorithm, _)| curve_of(algorithm)));
    let Some(curve) = curve else { return Err(unsupported(KeyKind::Ec("a curve that is not named"))) };
    let size = match curve {
        P256 => 32,
        P384 => 48,
        _ => return Err(unsupported(KeyKind::Ec(curve_name(curve)))),
    };
    // Not compressed, as ring wants it.
    let is_usable = |point: &&[u8]| point.len() == 2 * size + 1 && point[0] == 4;
    let of_certificate = || {
        let (algorithm, point) = theirs?;
        (curve_of(algorithm) == Some(curve)).then_some(point)
    };
    let Some(point) = point.filter(is_usable).or_else(of_certificate) else { return Err(Refusal::Stranger) };
    if !is_usable(&point) {
        let why = "lacks its public half, which the certificate has only in compressed form: write the key anew, by \
                   openssl ec -in FILE -out FILE -conv_form uncompressed";
        return Err(why.into());
    }
    // Some programs leave zeros at the beginning out, others write one more.
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let mut full = Zeroizing::new(vec![0; size]);
    let from = size.checked_sub(digits.len()).ok_or(DAMAGED)?;
    full[from..].copy_from_slice(digits);
    let public = wrap(0xa1, &[&wrap(BIT_STRING, &[&[0], point])]);
    let inner = wrap(SEQUENCE, &[&[INTEGER, 1, 1], &wrap(OCTET_STRING, &[&full]), &public]);
    let algorithm = wrap(SEQUENCE, &[&wrap(OID, &[EC]), &wrap(OID, &[curve])]);
    let der = wrap(SEQUENCE, &[&[INTEGER, 1, 0], &algorithm, &wrap(OCTET_STRING, &[&inner])]);
    match ready(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&der[..])), leaf) {
        // The two halves do not belong together.
        Err(Refusal::Because(_)) => Err(Refusal::Stranger),
        other => other,
    }
}

/// Hands it to ring, and compares its public half with that of the certificate.
fn ready(key: &PrivateKeyDer<'_>, leaf: &Certificate) -> Result<Arc<dyn SigningKey>, Refusal> {
    let key = any_supported_type(key).map_err(|_| Refusal::from(DAMAGED))?;
    let belongs = key.public_key().is_none_or(|public| {
        let bits = |spki| public_part(spki).map(|(_, bits)| bits);
        match (bits(&public), bits(&leaf.key)) {
            (Some(ours), Some(theirs)) => ours == theirs || is_compressed(ours, theirs),
            _ => false,
        }
    });
    if belongs { Ok(key) } else { Err(Refusal::Stranger) }
}

/// The algorithm, and the bits, of a subjectPublicKeyInfo.
fn public_part(spki: &[u8]) -> Option<(&[u8], &[u8])> {
    let (algorithm, rest) = tagged(whole(spki, SEQUENCE)?, SEQUENCE)?;
    Some((algorithm, whole(rest, BIT_STRING)?.strip_prefix(&[0])?))
}

fn curve_of(algorithm: &[u8]) -> Option<&[u8]> {
    let (_, parameters) = tagged(algorithm, OID).filter(|(oid, _)| *oid == EC)?;
    tagged(parameters, OID).map(|(oid, _)| oid)
}

/// Whether `short` is the point `full` with one half and the sign of the other (SEC 1, section 2.3.3).
fn is_compressed(full: &[u8], short: &[u8]) -> bool {
    let half = full.len() / 2;
    full.first() == Some(&4)
        && short.len() == half + 1
        && short[0] == 2 | full[full.len() - 1] & 1
        && short[1..] == full[1..=half]
}
