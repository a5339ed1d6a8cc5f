//! PEM (RFC 7468, and RFC 1421 for encrypted keys): sections between lines of dashes.
//!
//! Every section of a text is found, and what is damaged is an error that has its line: nothing is left out because it
//! looks a little different. An error never quotes the text, which may be a private key.

use zeroize::Zeroizing;

use crate::base64;

const DASHES: &[u8] = b"-----";
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
/// No name of a kind is longer.
const LONGEST_LABEL: usize = 48;

/// What a section can be, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Certificate,
    /// A certificate with OpenSSL's own notes of what it is trusted for.
    TrustedCertificate,
    Pkcs8,
    Pkcs1,
    Sec1,
    EncryptedPkcs8,
    /// A private key in a form that is not read here.
    OtherKey,
    RevocationList,
    /// What belongs to a key and is also in it.
    Parameters,
    Request,
    PublicKey,
    /// Certificates in a container.
    Container,
    Unknown,
}

/// The labels that are known, and the kinds that they stand for.
const LABELS: [(&str, Kind); 22] = [
    ("CERTIFICATE", Kind::Certificate),
    ("X509 CERTIFICATE", Kind::Certificate),
    ("TRUSTED CERTIFICATE", Kind::TrustedCertificate),
    ("PRIVATE KEY", Kind::Pkcs8),
    ("RSA PRIVATE KEY", Kind::Pkcs1),
    ("EC PRIVATE KEY", Kind::Sec1),
    ("ENCRYPTED PRIVATE KEY", Kind::EncryptedPkcs8),
    ("DSA PRIVATE KEY", Kind::OtherKey),
    ("ANY PRIVATE KEY", Kind::OtherKey),
    ("OPENSSH PRIVATE KEY", Kind::OtherKey),
    ("X509 CRL", Kind::RevocationList),
    ("EC PARAMETERS", Kind::Parameters),
    ("DH PARAMETERS", Kind::Parameters),
    ("X9.42 DH PARAMETERS", Kind::Parameters),
    ("DSA PARAMETERS", Kind::Parameters),
    ("CERTIFICATE REQUEST", Kind::Request),
    ("NEW CERTIFICATE REQUEST", Kind::Request),
    ("PUBLIC KEY", Kind::PublicKey),
    ("RSA PUBLIC KEY", Kind::PublicKey),
    ("PKCS7", Kind::Container),
    ("PKCS #7 SIGNED DATA", Kind::Container),
    ("CMS", Kind::Container),
];

impl Kind {
    /// Whether it is a private key, in whatever form.
    pub(super) fn is_private_key(self) -> bool {
        matches!(self, Kind::Pkcs8 | Kind::Pkcs1 | Kind::Sec1 | Kind::EncryptedPkcs8 | Kind::OtherKey)
    }
}

/// One section.
pub(super) struct Section {
    pub(super) kind: Kind,
    /// Its label, if it is one that is known: others are not repeated, wherever they come from.
    pub(super) label: &'static str,
    /// The line in which it begins, from 1 on.
    pub(super) line: usize,
    pub(super) der: Zeroizing<Vec<u8>>,
    /// How the content is encrypted: what follows `DEK-Info:`, the name of the cipher and, in hexadecimal digits, where
    /// it begins.
    pub(super) encrypted: Option<Encrypted>,
}

/// The header of a section that is encrypted in the old way.
pub(super) struct Encrypted {
    pub(super) cipher: String,
    pub(super) start: Vec<u8>,
}

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) line: usize,
    pub(super) what: &'static str,
}

/// Whether there is a section in it, or something that was to be one.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    find(bytes, BEGIN).is_some()
}

/// All sections, in their order. What stands between them, as other programs write it there, is not read.
pub(super) fn sections(bytes: &[u8]) -> Result<Vec<Section>, Damage> {
    let mut text = Text { bytes, counted: 0, line: 1 };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(offset) = find(&bytes[at..], BEGIN) {
        let begin = at + offset;
        text.check_between(at, begin)?;
        let (section, end) = text.section(begin)?;
        found.push(section);
        at = end;
    }
    text.check_between(at, bytes.len())?;
    Ok(found)
}

/// A text whose lines are counted while it is read.
struct Text<'a> {
    bytes: &'a [u8],
    /// Up to here, which is in this line.
    counted: usize,
    line: usize,
}

impl Text<'_> {
    /// The number of the line in which this byte is; it comes after all that were asked for.
    fn line_of(&mut self, at: usize) -> usize {
        for i in self.counted..at {
            // `\r\n` is one end of a line, and so is a `\r` alone.
            let ends = match self.bytes[i] {
                b'\n' => true,
                b'\r' => self.bytes.get(i + 1) != Some(&b'\n'),
                _ => false,
            };
            self.line += usize::from(ends);
        }
        self.counted = at;
        self.line
    }

    /// The section that begins there, and where it ends.
    fn section(&mut self, begin: usize) -> Result<(Section, usize), Damage> {
        let bytes = self.bytes;
        let line = self.line_of(begin);
        let damage = |what| Damage { line, what };
        let label_at = begin + BEGIN.len();
        let window = &bytes[label_at..bytes.len().min(label_at + LONGEST_LABEL + DASHES.len())];
        let label = find(window, DASHES).map(|len| &window[..len]).filter(|label| {
            label.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b" .#".contains(b))
        });
        let label = label.ok_or(damage("the line with BEGIN is damaged"))?;
        let body_at = label_at + label.len() + DASHES.len();
        let len = find(&bytes[body_at..], DASHES).ok_or(damage("the section has no line with END"))?;
        let end = [END, label, DASHES].concat();
        if !bytes[body_at + len..].starts_with(&end) {
            return Err(damage("the section is not followed by an END line of its kind"));
        }
        let (known, kind) = LABELS
            .into_iter()
            .find(|(known, _)| known.as_bytes() == label)
            .unwrap_or(("section of an unknown kind", Kind::Unknown));
        let body = &bytes[body_at..body_at + len];
        let (headers, content) = headers(body);
        let encrypted = encryption(headers).map_err(damage)?;
        let der = decode(content).map_err(|(offset, what)| {
            let at = body_at + body.len() - content.len() + offset;
            Damage { line: self.line_of(at), what }
        })?;
        if der.is_empty() {
            return Err(damage("the section is empty"));
        }
        Ok((Section { kind, label: known, line, der, encrypted }, body_at + len + end.len()))
    }

    /// A line with BEGIN or END among what is not read is a section that would be lost.
    fn check_between(&mut self, from: usize, to: usize) -> Result<(), Damage> {
        let mut at = from;
        for line in self.bytes[from..to].split(|byte| matches!(byte, b'\n' | b'\r')) {
            let word = |word: &[u8]| line.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
            if word(b"--") && (word(b"BEGIN") || word(b"END")) {
                let what = "there is a damaged line with BEGIN or END";
                return Err(Damage { line: self.line_of(at), what });
            }
            at += line.len() + 1;
        }
        Ok(())
    }
}

/// The headers of a section, if it has some, and its content.
fn headers(body: &[u8]) -> (&[u8], &[u8]) {
    let text = body.trim_ascii_start();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !first.contains(&b':') {
        return (&[], text);
    }
    // They end with an empty line.
    let mut at = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            return text.split_at(at);
        }
        at += line.len();
    }
    (text, &[])
}

/// What the headers say about encryption.
fn encryption(headers: &[u8]) -> Result<Option<Encrypted>, &'static str> {
    let value = |name: &[u8]| {
        headers.split(|byte| *byte == b'\n').find_map(|line| Some(line.strip_prefix(name)?.trim_ascii()))
    };
    if !value(b"Proc-Type:").is_some_and(|value| value.ends_with(b"ENCRYPTED")) {
        return Ok(None);
    }
    const BAD: &str = "the section is encrypted, and its line with DEK-Info is damaged";
    let info = value(b"DEK-Info:").and_then(|info| std::str::from_utf8(info).ok()).ok_or(BAD)?;
    let (cipher, digits) = info.split_once(',').ok_or(BAD)?;
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let start: Option<Vec<u8>> = digits
        .trim()
        .as_bytes()
        .chunks(2)
        .map(|two| Some(digit(&two[0])? << 4 | digit(two.get(1)?)?))
        .collect();
    Ok(Some(Encrypted { cipher: cipher.trim().to_owned(), start: start.ok_or(BAD)? }))
}

/// Base64 with blanks and line breaks anywhere. The error has the offset of what is none. Bits that are left over at the end
/// are dropped, whatever they are: OpenSSL takes such files, and what is in there says itself how long it is.
fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, (usize, &'static str)> {
    // Without growing: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 3));
    let (mut bits, mut count, mut padding) = (0_u32, 0, 0);
    for (at, byte) in text.iter().enumerate() {
        let digit = match byte {
            b'=' => {
                padding += 1;
                continue;
            }
            _ if byte.is_ascii_whitespace() => continue,
            b'\\' => {
                let what =
                    "there is a backslash: a line break must not be written as the two characters \\ and n";
                return Err((at, what));
            }
            _ => base64::digit(*byte).ok_or((at, "there is a character that is not Base64"))?,
        };
        if padding > 0 {
            return Err((at, "something follows the padding at the end of Base64"));
        }
        bits = bits << 6 | u32::from(digit);
        count += 1;
        if count % 4 == 0 {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
        }
    }
    let rest = count % 4;
    if padding > 2 || (rest + padding) % 4 != 0 {
        return Err((text.len(), "the Base64 is cut off"));
    }
    bits <<= 6 * (4 - rest) % 24;
    bytes.extend_from_slice(&bits.to_be_bytes()[1..][..rest * 3 / 4]);
    Ok(bytes)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
#[path = "pem_tests.rs"]
mod tests;
