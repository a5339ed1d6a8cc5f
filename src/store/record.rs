//! The bytes of a file of the store: its header, and the frame of each record. docs/store.md describes them.

use crc32fast::Hasher;

use super::cipher::{Cipher, Position};
use super::error::{Error, Kind, Result};

/// The version of the format.
pub(super) const FORMAT: u16 = 1;

/// Bytes at the beginning of each file.
pub(super) const FILE_HEADER: usize = 64;
/// Bytes before the body of each record.
pub(super) const RECORD_HEADER: usize = 14;
/// The largest body.
pub(super) const MAX_BODY: usize = (1 << 28) - 1;

const MAGIC: [u8; 8] = *b"mgosMQst";
/// The bodies of the file are sealed by a cipher.
const SEALED: u8 = 1;
/// The file before it was given up since its end is damaged.
const AFTER_DAMAGE: u8 = 2;

/// Of the files that are no messages.
pub(super) const STATE: u8 = 0xff;
pub(super) const CLOSED: u8 = 0xfe;

/// What a record is.
pub(super) mod kind {
    pub(in crate::store) const TOKENS: u8 = 1;
    pub(in crate::store) const IDS: u8 = 2;
    pub(in crate::store) const RELEASED: u8 = 3;
    pub(in crate::store) const DONE: u8 = 4;
    pub(in crate::store) const HISTORY: u8 = 5;
    pub(in crate::store) const INBOUND: u8 = 6;
    pub(in crate::store) const INBOUND_END: u8 = 7;
    pub(in crate::store) const PUT: u8 = 8;
    pub(in crate::store) const REMOVE: u8 = 9;
    pub(in crate::store) const CLOSED: u8 = 10;
    pub(in crate::store) const MESSAGE: u8 = 11;
    pub(in crate::store) const END: u8 = 12;
}

/// What a file begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub(super) class: u8,
    pub(super) sealed: bool,
    pub(super) salt: [u8; 16],
    /// The id of its first message; of the state, the number of its first record.
    pub(super) first: u64,
    /// If not 0: the file before it was given up, and its records from this id on do not count.
    pub(super) void_from: u64,
    /// The end of the file before it is damaged: it is kept when it is not needed any more.
    pub(super) after_damage: bool,
    /// Of a file that was made of others: what the state says up to this record of its is taken into account.
    pub(super) applied: u64,
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    Damaged,
    Newer(u16),
}

impl FileHeader {
    pub(super) fn encode(&self) -> [u8; FILE_HEADER] {
        let mut bytes = [0; FILE_HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[10] = self.class;
        bytes[11] = u8::from(self.sealed) * SEALED + u8::from(self.after_damage) * AFTER_DAMAGE;
        bytes[16..32].copy_from_slice(&self.salt);
        bytes[32..40].copy_from_slice(&self.first.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.void_from.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.applied.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FILE_HEADER]) -> core::result::Result<FileHeader, BadHeader> {
        let whole = crc32fast::hash(&bytes[..60]) == u32_at(bytes, 60);
        if !whole || bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != FORMAT {
            return Err(BadHeader::Newer(version));
        }
        let mut salt = [0; 16];
        salt.copy_from_slice(&bytes[16..32]);
        Ok(FileHeader {
            class: bytes[10],
            sealed: bytes[11] & SEALED != 0,
            salt,
            first: u64_at(bytes, 32),
            void_from: u64_at(bytes, 40),
            after_damage: bytes[11] & AFTER_DAMAGE != 0,
            applied: u64_at(bytes, 48),
        })
    }
}

/// Which file a record stands in. Its checksums begin with that and the record's offset, so that neither a record of
/// another place nor a payload that looks like one is taken for a record.
#[derive(Clone, Debug)]
pub(super) struct Place {
    salt: [u8; 16],
    class: u8,
    pub(super) first: u64,
    seed: Hasher,
}

/// The frame of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) id: u64,
    /// Of the body.
    pub(super) len: usize,
    crc: u32,
}

impl Place {
    pub(super) fn new(salt: [u8; 16], class: u8, first: u64) -> Place {
        let mut seed = Hasher::new();
        seed.update(&salt);
        seed.update(&[class]);
        seed.update(&first.to_le_bytes());
        Place { salt, class, first, seed }
    }

    fn at(&self, offset: u64) -> Hasher {
        let mut hasher = self.seed.clone();
        hasher.update(&offset.to_le_bytes());
        hasher
    }

    pub(super) fn position(&self, offset: u64, kind: u8, id: u64) -> Position {
        Position::new(&self.salt, self.class, self.first, offset, kind, id)
    }

    /// Appends a record that will stand at `offset`. On an error nothing is appended.
    pub(super) fn append(
        &self,
        out: &mut Vec<u8>,
        offset: u64,
        (kind, id): (u8, u64),
        body: &[u8],
        cipher: &mut Option<Box<dyn Cipher>>,
    ) -> Result<()> {
        let start = out.len();
        let delta = id.checked_sub(self.first).and_then(|delta| u32::try_from(delta).ok());
        let delta = delta.ok_or_else(|| {
            Error::new(
                Kind::Usage,
                format!("record {id} is too far from the first of its file, {}", self.first),
            )
        })?;
        out.try_reserve(RECORD_HEADER + body.len()).map_err(|_| Error::no_memory())?;
        out.extend_from_slice(&[0; RECORD_HEADER]);
        match cipher {
            None => out.extend_from_slice(body),
            Some(cipher) => {
                if !cipher.seal(&self.position(offset, kind, id), body, out) {
                    out.truncate(start);
                    return Err(Error::new(Kind::Key, "the cipher of the store does not seal a record"));
                }
            }
        }
        let len = out.len() - start - RECORD_HEADER;
        if len > MAX_BODY {
            out.truncate(start);
            return Err(Error::too_large(len, MAX_BODY));
        }
        let record = &mut out[start..];
        #[allow(clippy::cast_possible_truncation, reason = "28 bits")]
        let word = len as u32 | u32::from(kind) << 28;
        record[4..8].copy_from_slice(&word.to_le_bytes());
        record[8..12].copy_from_slice(&delta.to_le_bytes());
        let mut hasher = self.at(offset);
        hasher.update(&record[4..12]);
        let check = check_of(hasher.clone());
        record[12..14].copy_from_slice(&check);
        hasher.update(&record[12..]);
        let crc = hasher.finalize();
        record[..4].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// What stands before a body, if it is the frame of a record at this offset.
    pub(super) fn frame(&self, offset: u64, header: &[u8; RECORD_HEADER]) -> Option<Frame> {
        let word = u32_at(header, 4);
        let (kind, len) = ((word >> 28) as u8, (word & MAX_BODY as u32) as usize);
        if !(kind::TOKENS..=kind::END).contains(&kind) {
            return None;
        }
        let mut hasher = self.at(offset);
        hasher.update(&header[4..12]);
        if check_of(hasher) != header[12..14] {
            return None;
        }
        let id = self.first.checked_add(u64::from(u32_at(header, 8)))?;
        Some(Frame { kind, id, len, crc: u32_at(header, 0) })
    }

    /// Whether a record, with its header, is what was written at this offset.
    pub(super) fn is_intact(&self, offset: u64, frame: &Frame, record: &[u8]) -> bool {
        let mut hasher = self.at(offset);
        hasher.update(&record[4..]);
        hasher.finalize() == frame.crc
    }
}

/// The short checksum of a record's header, without which a search for records would have to sum up whatever length
/// stands anywhere.
fn check_of(hasher: Hasher) -> [u8; 2] {
    let [low, high, _, _] = hasher.finalize().to_le_bytes();
    [low, high]
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// Appends a number in as few bytes as it needs: seven bits each, the lowest first, the highest bit says that more follow.
pub(super) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// The bytes of a body, one thing after the other. `None` as soon as they do not suffice.
#[derive(Clone, Debug)]
pub(super) struct Body<'a>(pub(super) &'a [u8]);

impl<'a> Body<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16_at(bytes, 0))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32_at(bytes, 0))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| u64_at(bytes, 0))
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            n |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(n);
            }
        }
        None
    }
}
