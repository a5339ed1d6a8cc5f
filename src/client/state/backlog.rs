//! What was read from the server and has to wait, because the [time](super::pace) of the turn was used up.

use std::ops::Range;

use crate::error::Code;
use crate::lazy_box::try_box;

/// So few bytes are copied. Otherwise each of many connections of which little waits would keep a whole buffer.
const COPY_UP_TO: usize = 4 * 1024;

/// Packets. What is told of them is only left behind: nothing is copied again, however many turns it takes.
pub(in crate::client) struct Backlog {
    /// At least one byte more than is left, for the NUL behind a payload.
    bytes: Vec<u8>,
    left: Range<usize>,
}

impl Backlog {
    /// What is `left` of the loop's buffer. If that is much, the buffer itself is kept, and another one, made of
    /// `spare`, takes its place.
    pub(in crate::client) fn of(
        buffer: &mut Vec<u8>,
        left: Range<usize>,
        spare: Vec<u8>,
    ) -> Result<Box<[Backlog; 1]>, Code> {
        let (bytes, left) = if left.len() <= COPY_UP_TO {
            let mut copy = Vec::new();
            copy.try_reserve_exact(left.len() + 1).map_err(|_| Code::NoMemory)?;
            copy.extend_from_slice(&buffer[left.clone()]);
            copy.push(0);
            (copy, 0..left.len())
        } else {
            let (mut other, size) = (spare, buffer.len());
            other.try_reserve_exact(size.saturating_sub(other.len())).map_err(|_| Code::NoMemory)?;
            other.resize(size, 0);
            (std::mem::replace(buffer, other), left)
        };
        try_box(|| Backlog { bytes, left })
    }

    /// How many bytes are left.
    pub(in crate::client) fn len(&self) -> usize {
        self.left.len()
    }

    /// They, and at least one more.
    pub(in crate::client) fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.left.start..]
    }

    /// The first `n` were told.
    pub(in crate::client) fn consume(&mut self, n: usize) {
        self.left.start += n;
    }

    /// What is left, without more room than it takes; and the buffer that it was in.
    pub(in crate::client) fn into_rest(self) -> Result<(Vec<u8>, Vec<u8>), Code> {
        let mut rest = Vec::new();
        rest.try_reserve_exact(self.left.len()).map_err(|_| Code::NoMemory)?;
        rest.extend_from_slice(&self.bytes[self.left]);
        Ok((rest, self.bytes))
    }
}
