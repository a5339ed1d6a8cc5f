//! From the token of a message to the slot that holds it, for who asks about one message.
//!
//! A token is the number of the message and nothing else, so that it lasts as long as 64 bits do. Hardly anybody asks, and a
//! table that knows each message would have to be paid for by each. So what is here is made when somebody asks, and brought
//! up to date by what came since: numbers count up, so that is what stands at the end of the lists.

use alloc::vec::Vec;

/// Messages by their tokens, ascending. Those that ended meanwhile may still be there; the slot knows better.
#[derive(Clone, Default)]
pub(crate) struct Index {
    known: Vec<(u64, u32)>,
    /// Every message up to this one was looked at.
    last: u64,
}

/// So many entries may be of messages that ended, and as many as there are others.
const KEEP_ENDED: usize = 64;

impl Index {
    pub(crate) const fn new() -> Self {
        Index { known: Vec::new(), last: 0 }
    }

    /// Adds what came since the last call: messages from the newest back, of which as many are looked at as are new. `len` is
    /// how many there are, and `lives` says whether one of them is what an entry is about. False without memory.
    pub(crate) fn catch_up(
        &mut self,
        newest_first: impl Iterator<Item = (u64, u32)>,
        len: usize,
        lives: impl Fn(u64, u32) -> bool,
    ) -> bool {
        if self.known.len() > 2 * len + KEEP_ENDED {
            self.known.retain(|(token, slot)| lives(*token, *slot));
        }
        let before = self.known.len();
        for (token, slot) in newest_first.take_while(|(token, _)| *token > self.last) {
            if self.known.try_reserve(1).is_err() {
                self.known.truncate(before);
                return false;
            }
            self.known.push((token, slot));
        }
        self.known[before..].reverse();
        self.last = self.known.get(before..).and_then(<[_]>::last).map_or(self.last, |(token, _)| *token);
        true
    }

    /// The slot that had the message with this token.
    pub(crate) fn find(&self, token: u64) -> Option<u32> {
        let at = self.known.binary_search_by_key(&token, |(token, _)| *token).ok()?;
        Some(self.known[at].1)
    }
}
