//! A look into a certificate: who it is of, who issued it, and when it holds.
//!
//! Only for the texts of errors, and for a certificate that is itself in the list of trusted ones. What cannot be
//! read is left out; whether a certificate is valid is for rustls to judge.

use super::algorithm::KeyKind;
use super::der::{GENERALIZED_TIME, INTEGER, OID, SEQUENCE, SET, UTC_TIME, element, tagged};

/// What of a certificate can be shown.
#[derive(Debug, Default)]
pub(super) struct Certificate {
    /// Who it is of, e.g. `CN=broker, O=Example`.
    pub(super) subject: String,
    /// Who signed it.
    pub(super) issuer: String,
    /// Subject and issuer are the same.
    pub(super) self_signed: bool,
    /// The first moment, as `YYYYMMDDhhmmss` in UTC, so that texts compare like times.
    pub(super) not_before: String,
    /// The last moment.
    pub(super) not_after: String,
    /// Its public key, as it stands in it: the whole subjectPublicKeyInfo.
    pub(super) key: Vec<u8>,
    /// Who it is of, as it stands in it.
    pub(super) subject_der: Vec<u8>,
    /// How it is signed: an AlgorithmIdentifier's content.
    pub(super) signature: Vec<u8>,
    /// Who signed it, and its number there: what a list of revoked certificates knows it by.
    pub(super) record: Record,
}

/// The name of an issuer, as it stands in a certificate, and a serial number of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) issuer: Vec<u8>,
    pub(super) serial: Vec<u8>,
}

impl Certificate {
    /// Looks into a certificate.
    pub(super) fn look(der: &[u8]) -> Option<Certificate> {
        let (certificate, _) = tagged(der, SEQUENCE)?;
        let (mut tbs, after_tbs) = tagged(certificate, SEQUENCE)?;
        let (signature, _) = tagged(after_tbs, SEQUENCE)?;
        // The version, which version 1 does not write.
        if let Some((_, rest)) = tagged(tbs, 0xa0) {
            tbs = rest;
        }
        let (serial, rest) = tagged(tbs, INTEGER)?;
        let (_, rest) = tagged(rest, SEQUENCE)?;
        let (issuer, rest) = tagged(rest, SEQUENCE)?;
        let (validity, rest) = tagged(rest, SEQUENCE)?;
        let (subject, rest) = tagged(rest, SEQUENCE)?;
        let (_, after_key) = tagged(rest, SEQUENCE)?;
        let key = rest[..rest.len() - after_key.len()].to_vec();
        let (tag, not_before, after) = element(validity)?;
        let not_before = time(tag, not_before)?;
        let (tag, not_after, _) = element(after)?;
        Some(Certificate {
            subject: name(subject),
            issuer: name(issuer),
            self_signed: subject == issuer,
            not_before,
            not_after: time(tag, not_after)?,
            key,
            subject_der: subject.to_vec(),
            signature: signature.to_vec(),
            record: Record { issuer: issuer.to_vec(), serial: serial.to_vec() },
        })
    }
}

impl Certificate {
    pub(super) fn key_kind(&self) -> Option<KeyKind> {
        KeyKind::of_public(&self.key)
    }
}

fn time(tag: u8, content: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(content).ok().filter(|text| text.is_ascii())?;
    let digits = text.strip_suffix('Z')?;
    let full = match tag {
        // Two digits of the year: RFC 5280, section 4.1.2.5.1.
        UTC_TIME => format!("{}{digits}", if digits.get(..2)? < "50" { "20" } else { "19" }),
        GENERALIZED_TIME => digits.to_owned(),
        _ => return None,
    };
    (full.len() == 14 && full.bytes().all(|b| b.is_ascii_digit())).then_some(full)
}

/// A distinguished name as text. Attributes without a short name here are left out.
fn name(mut sets: &[u8]) -> String {
    let mut parts = Vec::new();
    while let Some((_, set, rest)) = element(sets).filter(|(tag, ..)| *tag == SET) {
        sets = rest;
        let part = || {
            let (attribute, _) = tagged(set, SEQUENCE)?;
            let (oid, rest) = tagged(attribute, OID)?;
            // id-at, 2.5.4.
            let short = match oid.strip_prefix(&[0x55, 0x04])? {
                [3] => "CN",
                [6] => "C",
                [10] => "O",
                [11] => "OU",
                _ => return None,
            };
            let (_, value, _) = element(rest)?;
            // It comes from the other side and goes into logs.
            let value: String = String::from_utf8_lossy(value)
                .chars()
                .map(|c| if c.is_control() { '?' } else { c })
                .take(64)
                .collect();
            Some(format!("{short}={value}"))
        };
        parts.extend(part());
    }
    if parts.is_empty() { "without a name".into() } else { parts.join(", ") }
}

/// The last moment of a certificate in seconds since 1970.
pub(super) fn end(der: &[u8]) -> Option<f64> {
    seconds(&Certificate::look(der)?.not_after)
}

/// `YYYYMMDDhhmmss` as seconds since 1970.
fn seconds(digits: &str) -> Option<f64> {
    let part = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    // The inverse of what follows below.
    let (year, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + day_of_era - 719_468;
    let second = part(8..10)? * 3_600 + part(10..12)? * 60 + part(12..14)?;
    Some((days * 86_400 + second) as f64)
}

/// Seconds since 1970 as `YYYYMMDDhhmmss`.
pub(super) fn digits(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days: years that begin in March, so that the leap day is the last.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{:02}", second % 60)
}

/// Those digits for people.
pub(super) fn readable(digits: &str) -> String {
    let part = |range| digits.get(range).unwrap_or("?");
    format!("{}-{}-{} {}:{} UTC", part(0..4), part(4..6), part(6..8), part(8..10), part(10..12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "19700101000000"),
            (951_782_399, "20000228235959"),
            (951_782_400, "20000229000000"),
            (1_709_251_199, "20240229235959"),
            (4_107_542_400, "21000301000000"),
        ] {
            assert_eq!(digits(seconds), text);
            assert_eq!(super::seconds(text), Some(seconds as f64));
        }
        assert_eq!(readable("20240229235959"), "2024-02-29 23:59 UTC");
    }

    #[test]
    fn rubbish_is_no_certificate() {
        let cases: [&[u8]; 5] =
            [b"", b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x05", &[0x30; 200]];
        for der in cases {
            assert!(Certificate::look(der).is_none());
        }
    }
}
