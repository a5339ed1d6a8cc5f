//! What was read from the server and has to wait, because the [time](super::pace) of the turn was used up.

use crate::error::Code;
use crate::rare::try_box;

/// Packets, from `at` on. What is told of them moves only that: nothing is copied again, however many turns it takes.
pub(super) struct Backlog {
    /// One byte more than came, for the NUL behind a payload.
    bytes: Vec<u8>,
    at: usize,
}

impl Backlog {
    /// A copy of what is left of the loop's buffer.
    pub(super) fn of(rest: &[u8]) -> Result<Box<[Backlog; 1]>, Code> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(rest.len() + 1).map_err(|_| Code::NoMemory)?;
        bytes.extend_from_slice(rest);
        bytes.push(0);
        try_box(|| Backlog { bytes, at: 0 })
    }

    /// How many bytes are left.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - 1 - self.at
    }

    /// They, and one more.
    pub(super) fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.at..]
    }

    /// The first `n` were told.
    pub(super) fn consume(&mut self, n: usize) {
        self.at += n;
    }

    /// What is left, without more room than it takes if that is nothing.
    pub(super) fn into_rest(mut self) -> Vec<u8> {
        if self.len() == 0 {
            return Vec::new();
        }
        self.bytes.pop();
        self.bytes.drain(..self.at);
        self.bytes
    }
}
