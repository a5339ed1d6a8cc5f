//! The little of DER (X.690) that is needed to look into certificates, keys and lists.

use zeroize::Zeroizing;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// One element: its tag, its content, and what follows it.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        // 0x80 is of no fixed length, which DER does not have; more is larger than any certificate.
        0x80 | 0x84.. => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

/// The element's content and what follows it, if it has this tag.
pub(super) fn tagged(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The content of the element that these bytes are, without anything after it.
pub(super) fn whole(der: &[u8], wanted: u8) -> Option<&[u8]> {
    let (content, rest) = tagged(der, wanted)?;
    rest.is_empty().then_some(content)
}

/// The whole of the first element, and what follows it.
pub(super) fn first(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, _, rest) = element(der)?;
    Some(der.split_at(der.len() - rest.len()))
}

/// One element with this tag around these parts. Its memory is wiped: it may be a key.
pub(super) fn wrap(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut der = Zeroizing::new(Vec::with_capacity(len + 4));
    der.push(tag);
    match len {
        0..=0x7f => der.push(len as u8),
        0x80..=0xff => der.extend_from_slice(&[0x81, len as u8]),
        _ => der.extend_from_slice(&[0x82, (len >> 8) as u8, len as u8]),
    }
    parts.iter().for_each(|part| der.extend_from_slice(part));
    der
}
