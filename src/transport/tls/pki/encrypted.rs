//! Private keys that are encrypted with a password, in both forms that programs write: PKCS#8 (RFC 8018, PBES2) and the
//! traditional one of OpenSSL (RFC 1421).

use std::num::NonZeroU32;

use aes::cipher::{Array, BlockCipherDecrypt, KeyInit};
use md5::{Digest, Md5};
use ring::pbkdf2;
use zeroize::Zeroizing;

use super::der::{INTEGER, OCTET_STRING, OID, SEQUENCE, element, tagged, whole};
use super::pem::Encrypted;

/// Why there is no key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Password,
    Damaged,
    /// What follows "is encrypted".
    Unsupported(&'static str),
}

/// 1.2.840.113549.1.5: password-based encryption.
const PKCS5: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
/// 1.2.840.113549.1.12.1: the same of PKCS#12.
const PKCS12: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];
/// 1.2.840.113549.2: HMAC.
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02];
const SCRYPT: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
/// 2.16.840.1.101.3.4.1: AES.
const AES: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01];
const DES_EDE3_CBC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x03, 0x07];

/// More iterations than any program writes: they would take minutes.
const MAX_ROUNDS: u32 = 10_000_000;

/// A cipher in CBC mode. AES-192 is left out: nobody writes it unasked, and it would be as large as the other two
/// together.
#[derive(Clone, Copy)]
enum Cipher {
    Aes128,
    Aes256,
    TripleDes,
}

impl Cipher {
    fn key_len(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::TripleDes => 24,
            Cipher::Aes256 => 32,
        }
    }

    /// Takes the encryption off, and the padding.
    fn decrypt(self, key: &[u8], start: &[u8], bytes: &mut Zeroizing<Vec<u8>>) -> Result<(), Trouble> {
        let block = match self {
            Cipher::Aes128 => cbc::<aes::Aes128>(key, start, bytes),
            Cipher::Aes256 => cbc::<aes::Aes256>(key, start, bytes),
            Cipher::TripleDes => cbc::<des::TdesEde3>(key, start, bytes),
        }
        .ok_or(Trouble::Damaged)?;
        let padding = usize::from(*bytes.last().ok_or(Trouble::Damaged)?);
        let len = bytes.len().saturating_sub(padding);
        if !(1..=block).contains(&padding) || bytes[len..].iter().any(|byte| usize::from(*byte) != padding) {
            return Err(Trouble::Password);
        }
        bytes.truncate(len);
        // With one password in 256 the padding looks right, and hardly ever what is before it.
        if whole(bytes, SEQUENCE).is_some() { Ok(()) } else { Err(Trouble::Password) }
    }
}

/// Decrypts whole blocks in their place, one after the other: a key has few, and code for many at a time is large.
/// Returns how long a block is.
fn cbc<C: KeyInit + BlockCipherDecrypt>(key: &[u8], start: &[u8], bytes: &mut [u8]) -> Option<usize> {
    let cipher = C::new_from_slice(key).ok()?;
    let block = C::block_size();
    let mut before = Array::<u8, C::BlockSize>::try_from(start).ok()?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(block) {
        return None;
    }
    for chunk in bytes.chunks_exact_mut(block) {
        let encrypted = Array::<u8, C::BlockSize>::try_from(&*chunk).ok()?;
        let mut plain = encrypted.clone();
        cipher.decrypt_block(&mut plain);
        for ((to, plain), before) in chunk.iter_mut().zip(&plain).zip(&before) {
            *to = plain ^ before;
        }
        before = encrypted;
    }
    Some(block)
}

/// `Proc-Type: 4,ENCRYPTED`: the key is made of the password by MD5, as OpenSSL's EVP_BytesToKey() does.
pub(super) fn traditional(
    header: &Encrypted,
    mut der: Zeroizing<Vec<u8>>,
    password: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let cipher = match &*header.cipher {
        "AES-128-CBC" => Cipher::Aes128,
        "AES-256-CBC" => Cipher::Aes256,
        "DES-EDE3-CBC" => Cipher::TripleDes,
        "AES-192-CBC" => return Err(Trouble::Unsupported("with AES-192")),
        "DES-CBC" => return Err(Trouble::Unsupported("with simple DES")),
        _ => return Err(Trouble::Unsupported("with another cipher than AES and Triple DES in CBC mode")),
    };
    let salt = header.start.get(..8).ok_or(Trouble::Damaged)?;
    let mut key = Zeroizing::new(Vec::with_capacity(48));
    while key.len() < cipher.key_len() {
        let mut digest = Md5::new();
        digest.update(&key[key.len().saturating_sub(16)..]);
        digest.update(password);
        digest.update(salt);
        key.extend_from_slice(&digest.finalize());
    }
    cipher.decrypt(&key[..cipher.key_len()], &header.start, &mut der)?;
    Ok(der)
}

/// An EncryptedPrivateKeyInfo (RFC 5958, section 3).
pub(super) fn pkcs8(der: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let scheme = Scheme::parse(der).ok_or(Trouble::Damaged)??;
    let mut key = Zeroizing::new(vec![0; scheme.cipher.key_len()]);
    pbkdf2::derive(scheme.hash, scheme.iterations, scheme.salt, password, &mut key);
    let mut bytes = Zeroizing::new(scheme.content.to_vec());
    scheme.cipher.decrypt(&key, scheme.start, &mut bytes)?;
    Ok(bytes)
}

/// How a key in PKCS#8 is encrypted.
struct Scheme<'a> {
    hash: pbkdf2::Algorithm,
    iterations: NonZeroU32,
    salt: &'a [u8],
    cipher: Cipher,
    start: &'a [u8],
    content: &'a [u8],
}

impl Scheme<'_> {
    /// `None`: it is damaged.
    fn parse(der: &[u8]) -> Option<Result<Scheme<'_>, Trouble>> {
        let unsupported = |how| Some(Err(Trouble::Unsupported(how)));
        let (algorithm, rest) = tagged(whole(der, SEQUENCE)?, SEQUENCE)?;
        let content = whole(rest, OCTET_STRING)?;
        let (oid, parameters) = tagged(algorithm, OID)?;
        match oid.strip_prefix(PKCS5) {
            Some([13]) => {}
            _ if oid.starts_with(PKCS5) || oid.starts_with(PKCS12) => {
                return unsupported("in an old way (PBES1, or that of PKCS#12)");
            }
            _ => return unsupported("in an unknown way"),
        }
        let (derivation, rest) = tagged(whole(parameters, SEQUENCE)?, SEQUENCE)?;
        let encryption = whole(rest, SEQUENCE)?;
        let (oid, parameters) = tagged(derivation, OID)?;
        match oid.strip_prefix(PKCS5) {
            Some([12]) => {}
            _ if oid == SCRYPT => return unsupported("with scrypt"),
            _ => return unsupported("with an unknown way of making a key of a password"),
        }
        let (salt, rest) = tagged(whole(parameters, SEQUENCE)?, OCTET_STRING)?;
        let (iterations, mut rest) = tagged(rest, INTEGER)?;
        let iterations =
            iterations.iter().try_fold(0_u32, |n, byte| n.checked_mul(256)?.checked_add((*byte).into()));
        let Some(iterations) = iterations.filter(|n| *n <= MAX_ROUNDS) else {
            return unsupported("with more than ten million rounds");
        };
        // The key's length, which the cipher gives as well.
        if let Some((INTEGER, _, after)) = element(rest) {
            rest = after;
        }
        let hash = match tagged(rest, SEQUENCE) {
            None => &[7][..],
            Some((function, _)) => tagged(function, OID)?.0.strip_prefix(HMAC).unwrap_or_default(),
        };
        let hash = match hash {
            [7] => pbkdf2::PBKDF2_HMAC_SHA1,
            [9] => pbkdf2::PBKDF2_HMAC_SHA256,
            [10] => pbkdf2::PBKDF2_HMAC_SHA384,
            [11] => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return unsupported("with an unusual hash"),
        };
        let (oid, parameters) = tagged(encryption, OID)?;
        let cipher = match oid.strip_prefix(AES) {
            Some([2]) => Cipher::Aes128,
            Some([42]) => Cipher::Aes256,
            Some([22]) => return unsupported("with AES-192"),
            _ if oid == DES_EDE3_CBC => Cipher::TripleDes,
            _ => return unsupported("with another cipher than AES and Triple DES in CBC mode"),
        };
        let start = whole(parameters, OCTET_STRING)?;
        let iterations = NonZeroU32::new(iterations)?;
        Some(Ok(Scheme { hash, iterations, salt, cipher, start, content }))
    }
}
