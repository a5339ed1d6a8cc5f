//! Kinds of keys and signatures, as people call them.

use std::fmt;

use super::der::{BIT_STRING, INTEGER, OID, SEQUENCE, tagged, whole};

/// 1.2.840.113549.1.1.1
pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// 1.2.840.10045.2.1
pub(super) const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];
const X25519: &[u8] = &[0x2b, 0x65, 0x6e];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];

pub(super) const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub(super) const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];

/// Curves that are not supported, so that errors can name them.
const OTHER_CURVES: [(&[u8], &str); 6] = [
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "P-224"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07], "brainpoolP256r1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b], "brainpoolP384r1"),
    (&[0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0d], "brainpoolP512r1"),
];

/// What a client's own key can be.
pub(super) const OWN_KEYS: &str =
    "RSA of 2048 to 4096 bits, ECDSA on the curves P-256 and P-384, and Ed25519";
/// What the keys of servers and of their issuers can be.
pub(super) const THEIR_KEYS: &str = "RSA from 2048 bits on, ECDSA on the curves P-256 and P-384, and Ed25519";

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// With so many bits.
    Rsa(usize),
    /// ECDSA on this curve.
    Ec(&'static str),
    Other(&'static str),
}

impl KeyKind {
    /// That of a public key, a subjectPublicKeyInfo.
    pub(super) fn of_public(spki: &[u8]) -> Option<KeyKind> {
        let info = whole(spki, SEQUENCE)?;
        let (algorithm, rest) = tagged(info, SEQUENCE)?;
        let kind = KeyKind::of_algorithm(algorithm);
        if kind != KeyKind::Rsa(0) {
            return Some(kind);
        }
        let bits = whole(rest, BIT_STRING)?.split_first()?.1;
        Some(KeyKind::Rsa(modulus_bits(whole(bits, SEQUENCE)?)?))
    }

    /// That of a key with this algorithm and its parameters; an RSA key is one of 0 bits.
    pub(super) fn of_algorithm(algorithm: &[u8]) -> KeyKind {
        let Some((oid, parameters)) = tagged(algorithm, OID) else {
            return KeyKind::Other("of an unknown kind");
        };
        match oid {
            RSA => KeyKind::Rsa(0),
            EC => KeyKind::Ec(match tagged(parameters, OID) {
                Some((curve, _)) => curve_name(curve),
                None => "a curve that is not named",
            }),
            RSA_PSS => KeyKind::Other("of RSASSA-PSS"),
            ED25519 => KeyKind::Other("of Ed25519"),
            ED448 => KeyKind::Other("of Ed448"),
            X25519 => KeyKind::Other("of X25519, which cannot sign"),
            DSA => KeyKind::Other("of DSA"),
            _ => KeyKind::Other("of an unknown kind"),
        }
    }

    /// Whether signatures of such a key can be verified.
    pub(super) fn is_verifiable(self) -> bool {
        match self {
            KeyKind::Rsa(bits) => (2048..=8192).contains(&bits),
            KeyKind::Ec(curve) => matches!(curve, "P-256" | "P-384"),
            KeyKind::Other(what) => what == "of Ed25519",
        }
    }
}

/// Of a RSAPublicKey's content.
pub(super) fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (modulus, _) = tagged(key, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let first = modulus.get(zeros)?;
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

pub(super) fn curve_name(oid: &[u8]) -> &'static str {
    match oid {
        P256 => "P-256",
        P384 => "P-384",
        _ => {
            OTHER_CURVES.iter().find(|(known, _)| *known == oid).map_or("an unknown curve", |(_, name)| name)
        }
    }
}

/// As it goes on after "a key".
impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyKind::Rsa(0) => f.write_str("of RSA"),
            KeyKind::Rsa(bits) => write!(f, "of RSA with {bits} bits"),
            KeyKind::Ec(curve) => write!(f, "of ECDSA on {curve}"),
            KeyKind::Other(what) => f.write_str(what),
        }
    }
}

/// How an AlgorithmIdentifier of a signature is called, and whether it is one that nobody should use any more.
pub(super) fn signature(algorithm: &[u8]) -> (&'static str, bool) {
    const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let oid = tagged(algorithm, OID).map_or(algorithm, |(oid, _)| oid);
    if let Some(last) = oid.strip_prefix(PKCS1) {
        return match last {
            [2] => ("RSA with MD2", true),
            [4] => ("RSA with MD5", true),
            [5] => ("RSA with SHA-1", true),
            [10] => ("RSASSA-PSS", false),
            [11] => ("RSA with SHA-256", false),
            [12] => ("RSA with SHA-384", false),
            [13] => ("RSA with SHA-512", false),
            [14] => ("RSA with SHA-224", true),
            _ => ("RSA with an unknown hash", false),
        };
    }
    if let Some(last) = oid.strip_prefix(ECDSA) {
        return match last {
            [1] => ("ECDSA with SHA-1", true),
            [3, 1] => ("ECDSA with SHA-224", true),
            [3, 2] => ("ECDSA with SHA-256", false),
            [3, 3] => ("ECDSA with SHA-384", false),
            [3, 4] => ("ECDSA with SHA-512", false),
            _ => ("ECDSA with an unknown hash", false),
        };
    }
    match oid {
        ED25519 => ("Ed25519", false),
        ED448 => ("Ed448", false),
        [0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, ..] => ("DSA", true),
        _ => ("an unknown algorithm", false),
    }
}
