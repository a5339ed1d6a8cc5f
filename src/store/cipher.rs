//! Encryption of what the store keeps, by the application.

/// Where a record stands. As associated data it makes sure that a record which opens is the one that was sealed here,
/// and not another of the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position([u8; Position::LEN]);

impl Position {
    /// Bytes of a position.
    pub const LEN: usize = 42;

    pub(super) fn new(salt: &[u8; 16], class: u8, first: u64, offset: u64, kind: u8, id: u64) -> Position {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(salt);
        bytes[16] = class;
        bytes[17] = kind;
        bytes[18..26].copy_from_slice(&first.to_le_bytes());
        bytes[26..34].copy_from_slice(&offset.to_le_bytes());
        bytes[34..42].copy_from_slice(&id.to_le_bytes());
        Position(bytes)
    }

    /// The position as associated data. It is not a nonce: after a failed write another record is sealed for the same
    /// position.
    pub fn as_bytes(&self) -> &[u8; Position::LEN] {
        &self.0
    }
}

/// Seals and opens records: an authenticated cipher, with the position as associated data. What it adds, a nonce and a
/// tag, is its own business. Called on the thread that works on the files.
pub trait Cipher: Send {
    /// Appends the sealed form of `plain` to `sealed`. False gives the record up, and with it the call that wrote it.
    fn seal(&mut self, position: &Position, plain: &[u8], sealed: &mut Vec<u8>) -> bool;

    /// Appends what was sealed to `plain`. False: it was not sealed with this key for this position.
    fn open(&mut self, position: &Position, sealed: &[u8], plain: &mut Vec<u8>) -> bool;
}
