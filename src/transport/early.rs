//! Bytes that came together with the end of a conversation, such as a proxy's answer, and belong to the stream behind it.

/// They are read before anything else.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// In the order of reading from the end.
    reversed: Vec<u8>,
}

impl Early {
    /// What is left in `answer`.
    pub(super) fn of(answer: &mut Vec<u8>) -> Early {
        let mut reversed = std::mem::take(answer);
        reversed.reverse();
        Early { reversed }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.reversed.is_empty()
    }

    /// Reads as many as there are, or as `buf` has room for.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        let n = self.reversed.len().min(buf.len());
        for byte in &mut buf[..n] {
            *byte = self.reversed.pop().unwrap_or_default();
        }
        if self.reversed.is_empty() {
            self.reversed = Vec::new();
        }
        n
    }
}
