//! The bytes that wait to be written, and how many ever were.

use alloc::vec::Vec;

/// Below this, written bytes are not moved out of the way before the buffer is empty.
const COMPACT_FROM: usize = 32 * 1024;

/// A queue of bytes: packets are appended, the transport takes from the front.
///
/// Positions count every byte since the connection was opened. A packet is *sent* when the bytes
/// up to its end were handed to the kernel; that decides about DUP after a reconnect and about the
/// outcome of a QoS 0 publish.
#[derive(Debug, Default)]
pub struct Output {
    bytes: Vec<u8>,
    head: usize,
    taken: u64,
    /// Up to this position there may be a password in it.
    secret: u64,
}

impl Drop for Output {
    fn drop(&mut self) {
        self.wipe_all();
    }
}

impl Output {
    pub(crate) const fn new() -> Self {
        Output { bytes: Vec::new(), head: 0, taken: 0, secret: 0 }
    }

    /// Where packets are appended. Nothing else may be done with it.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The bytes not yet taken.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// How many bytes are not yet taken.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.head
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.head == self.bytes.len()
    }

    /// The position after the last byte appended.
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
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head >= COMPACT_FROM && self.head * 2 >= self.bytes.len() {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }

    /// Forgets what was not taken, and starts counting for a new connection.
    pub(crate) fn reset(&mut self) {
        self.wipe_all();
        self.secret = 0;
        self.bytes.clear();
        self.head = 0;
        self.taken = 0;
    }

    /// Gives memory back; called in a quiet moment.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() && self.bytes.capacity() > 0 {
            self.bytes = Vec::new();
        }
    }
}

/// Overwrites bytes, even if nobody reads them any more.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    core::hint::black_box(bytes);
}
