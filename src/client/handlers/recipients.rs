//! Who is told of one event.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::client::handlers::callback::Entry;

/// So many find their place on the stack.
pub(in crate::client) const FEW: usize = 4;

/// The entries that an event goes to, newest first. The first few are on the stack; for more, those who are registered
/// have made [room](super::registered::Handlers::reserve), so that no dispatch allocates.
pub(crate) struct Recipients<C> {
    few: [Option<Arc<Entry<C>>>; FEW],
    len: usize,
    more: Vec<Arc<Entry<C>>>,
}

impl<C> Recipients<C> {
    #[inline]
    pub(in crate::client) fn new(room: Vec<Arc<Entry<C>>>) -> Recipients<C> {
        Recipients { few: [const { None }; FEW], len: 0, more: room }
    }

    /// The room, when all entries are [gone](Self::clear).
    #[inline]
    pub(in crate::client) fn room(self) -> Vec<Arc<Entry<C>>> {
        self.more
    }

    #[inline]
    pub(in crate::client) fn push(&mut self, entry: Arc<Entry<C>>) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = Some(entry),
            None => self.more.push(entry),
        }
        self.len += 1;
    }

    #[inline]
    pub(in crate::client) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(in crate::client) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(in crate::client) fn iter(&self) -> impl Iterator<Item = &Arc<Entry<C>>> {
        let few = self.len.min(FEW);
        self.few[..few].iter().flatten().chain(&self.more)
    }

    /// Drops the entries; with the last reference to one goes its user data, so no lock may be held.
    #[inline]
    pub(in crate::client) fn clear(&mut self) {
        let few = self.len.min(FEW);
        self.few[..few].fill(None);
        self.more.clear();
        self.len = 0;
    }

    /// Puts those into order that are there.
    #[inline]
    pub(in crate::client) fn newest_first(&mut self) {
        if self.len > 1 {
            self.sort();
        }
    }

    #[cold]
    fn sort(&mut self) {
        if self.len <= FEW {
            self.few[..self.len].sort_unstable_by_key(|entry| Reverse(entry.as_ref().map(|e| e.seq())));
            return;
        }
        // There is room for all of them.
        self.more.extend(self.few.iter_mut().filter_map(Option::take));
        self.more.sort_unstable_by_key(|entry| Reverse(entry.seq()));
        self.len = FEW + self.more.len();
    }
}

impl<C> Extend<Arc<Entry<C>>> for Recipients<C> {
    #[inline]
    fn extend<I: IntoIterator<Item = Arc<Entry<C>>>>(&mut self, entries: I) {
        entries.into_iter().for_each(|entry| self.push(entry));
    }
}
