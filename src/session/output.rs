//! The bytes that wait to be written, and how many ever were.

use alloc::vec::Vec;

use crate::error::Code;
use crate::wire::{self, EncodeError, Outgoing};

/// Below this, written bytes are not moved out of the way before the buffer is empty.
const COMPACT_FROM: usize = 32 * 1024;

/// With this many unwritten bytes no further queued message is encoded: what waits, waits once, not
/// twice.
pub(super) const PUMP_UP_TO: usize = 128 * 1024;

/// As much memory is not worth giving back.
const KEEP: usize = 4 * 1024;

/// A queue of bytes: packets are appended, the transport takes from the front.
///
/// Positions count every byte since the connection was opened. A packet is *sent* when the bytes
/// up to its end were handed to the kernel; that decides about DUP after a reconnect and about the
/// outcome of a QoS 0 publish.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// What is queued lies from `head` to `end`. What lies behind has been used before, or was filled with zeros when
    /// the buffer grew: so a message is put there by copying, without asking for each of its parts whether there
    /// is room.
    bytes: Vec<u8>,
    head: usize,
    end: usize,
    taken: u64,
    /// Up to this position there may be a password in it.
    secret: u64,
    /// A packet begins here, and those before are [not looked at](Self::untraced) any more.
    boundary: u64,
}

impl Drop for Output {
    fn drop(&mut self) {
        self.wipe_all();
    }
}

impl Output {
    pub(crate) const fn new() -> Self {
        Output { bytes: Vec::new(), head: 0, end: 0, taken: 0, secret: 0, boundary: 0 }
    }

    /// Appends `n` bytes, to be written by the caller. `None` without memory for them.
    #[inline(always)]
    pub(crate) fn room(&mut self, n: usize) -> Option<&mut [u8]> {
        let end = self.end + n;
        if end > self.bytes.len() && !self.grow(end) {
            return None;
        }
        let room = self.bytes.get_mut(self.end..end)?;
        self.end = end;
        Some(room)
    }

    /// The `n` bytes behind what is queued, if there is memory for them: to be written, and then [added](Self::add).
    #[inline(always)]
    pub(crate) fn spare(&mut self, n: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(self.end..self.end + n)
    }

    /// Appends the `n` bytes that were written to what was [spare](Self::spare).
    #[inline(always)]
    pub(crate) fn add(&mut self, n: usize) {
        debug_assert!(self.end + n <= self.bytes.len());
        self.end += n;
    }

    /// Appends these bytes.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Code> {
        self.room(bytes.len()).ok_or(Code::NoMemory)?.copy_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn grow(&mut self, end: usize) -> bool {
        let grown = self.bytes.try_reserve(end - self.bytes.len()).is_ok();
        if grown {
            self.bytes.resize(self.bytes.capacity(), 0);
        }
        grown
    }

    /// Lets `encode` append to the end, and nothing else.
    pub(crate) fn append<T>(&mut self, encode: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.bytes.truncate(self.end);
        let encoded = encode(&mut self.bytes);
        self.end = self.bytes.len();
        encoded
    }

    /// Overwrites bytes that were appended and not taken; they begin so many before the end.
    pub(crate) fn correct<const N: usize>(&mut self, before_end: usize, bytes: [u8; N]) {
        let place = self.end.checked_sub(before_end).and_then(|at| self.bytes.get_mut(at..at + N));
        if let Some(place) = place {
            place.copy_from_slice(&bytes);
        }
    }

    /// The bytes not yet taken.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.head..self.end]
    }

    /// What is queued from this position on, at which something not yet taken begins.
    pub(crate) fn from(&self, position: u64) -> &[u8] {
        self.pending().get((position - self.taken) as usize..).unwrap_or_default()
    }

    /// The packets that were appended since this was called last, or since everything was taken. Nothing if a part of one
    /// of them was taken meanwhile: it is not known then where the next one begins.
    pub(crate) fn untraced(&mut self) -> &[u8] {
        let from = if self.boundary < self.taken { self.end() } else { self.boundary };
        self.boundary = self.end();
        self.from(from)
    }

    /// How many bytes are not yet taken.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.head
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.head == self.end
    }

    /// The position after the last byte appended.
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        self.taken + self.len() as u64
    }

    /// The position up to which bytes were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What was appended so far is wiped from memory as soon as it was taken: CONNECT has a password.
    pub(crate) fn mark_secret(&mut self) {
        self.secret = self.end();
    }

    fn wipe_all(&mut self) {
        if self.taken < self.secret {
            wipe(&mut self.bytes);
        }
    }

    /// Takes `n` bytes from the front.
    pub(crate) fn take(&mut self, n: usize) {
        if self.taken < self.secret {
            wipe(&mut self.bytes[self.head..self.head + n]);
        }
        self.head += n;
        self.taken += n as u64;
        if self.head == self.end {
            self.head = 0;
            self.end = 0;
            self.boundary = self.taken;
        } else if self.head >= COMPACT_FROM && self.head * 2 >= self.end {
            self.bytes.copy_within(self.head..self.end, 0);
            self.end -= self.head;
            self.head = 0;
        }
    }

    /// Forgets what was not taken, and starts counting for a new connection.
    pub(crate) fn reset(&mut self) {
        self.wipe_all();
        self.secret = 0;
        self.head = 0;
        self.end = 0;
        self.taken = 0;
        self.boundary = 0;
    }

    /// Whether it keeps more memory than a connection without much to say needs.
    #[inline]
    pub(crate) fn has_spare(&self) -> bool {
        self.bytes.capacity() > KEEP
    }

    /// Gives back the memory that what is queued does not need; called in a quiet moment.
    pub(crate) fn shrink(&mut self) {
        if !self.is_empty() && self.bytes.capacity() <= self.len().max(KEEP) {
            return;
        }
        let mut kept = Vec::new();
        if kept.try_reserve_exact(self.len()).is_err() {
            return;
        }
        kept.extend_from_slice(self.pending());
        self.wipe_all();
        self.end -= self.head;
        self.head = 0;
        self.bytes = kept;
    }
}

/// Overwrites bytes, even if nobody reads them any more.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    core::hint::black_box(bytes);
}

/// Appends a PUBLISH; `plain` is its `plain_len()`.
#[inline(always)]
pub(crate) fn put_publish(
    out: &mut Output,
    version: wire::Version,
    packet: &Outgoing<'_>,
    plain: Option<usize>,
) -> Result<(), Code> {
    match plain {
        Some(len) => packet.write_plain(version, out.room(len).ok_or(Code::NoMemory)?),
        None => out.append(|out| packet.encode(version, out)).map_err(encode_code)?,
    }
    Ok(())
}

/// An encoder's refusal as an error of the library.
pub(crate) fn encode_code(error: EncodeError) -> Code {
    match error {
        EncodeError::NoMemory => Code::NoMemory,
        EncodeError::TooLarge => Code::TooLarge,
        _ => Code::BadArgument,
    }
}
