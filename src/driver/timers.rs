//! The deadlines of all sources, in order.

use std::collections::TryReserveError;

use super::slots::SourceId;
use crate::time::Time;

/// Not in the heap.
const NOWHERE: usize = usize::MAX;

/// A binary heap of deadlines, at most one per source, that knows where each source's entry is.
///
/// A replaced deadline is removed from the heap, so no wake-up ever happens for nothing. Memory is
/// reserved when a source is added, so that setting a deadline cannot fail.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: Vec<(Time, SourceId)>,
    /// By place in the source table: the index in `heap`.
    index: Vec<usize>,
}

impl Timers {
    /// Makes room for sources at the first `places` places of the table.
    pub(crate) fn reserve(&mut self, places: usize) -> Result<(), TryReserveError> {
        self.heap.try_reserve(places.saturating_sub(self.heap.len()))?;
        self.index.try_reserve(places.saturating_sub(self.index.len()))?;
        if self.index.len() < places {
            self.index.resize(places, NOWHERE);
        }
        Ok(())
    }

    /// Sets, moves or (with `None`) removes the source's deadline.
    pub(crate) fn set(&mut self, id: SourceId, at: Option<Time>) {
        let Some(&place) = self.index.get(id.place()) else {
            debug_assert!(false, "no room was reserved for this source");
            return;
        };
        match (place, at) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(at)) => {
                self.heap.push((at, id));
                self.rise(self.heap.len() - 1);
            }
            (place, Some(at)) => {
                self.heap[place] = (at, id);
                self.settle(place);
            }
            (place, None) => {
                self.index[id.place()] = NOWHERE;
                self.heap.swap_remove(place);
                if place < self.heap.len() {
                    self.settle(place);
                }
            }
        }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Takes the earliest deadline out if it has come.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<SourceId> {
        let &(at, id) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.set(id, None);
        Some(id)
    }

    /// Forgets every deadline.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.index.clear();
    }

    /// Puts the entry at `at` where it belongs.
    fn settle(&mut self, at: usize) {
        let at = self.rise(at);
        self.sink(at);
    }

    fn rise(&mut self, mut at: usize) -> usize {
        while at > 0 && self.heap[at] < self.heap[(at - 1) / 2] {
            self.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        self.note(at);
        at
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == at {
                break;
            }
            self.swap(at, least);
            at = least;
        }
        self.note(at);
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.note(a);
        self.note(b);
    }

    fn note(&mut self, at: usize) {
        self.index[self.heap[at].1.place()] = at;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(n: usize) -> SourceId {
        SourceId::from_bits(n).unwrap()
    }

    fn room(places: usize) -> Timers {
        let mut timers = Timers::default();
        timers.reserve(places).unwrap();
        timers
    }

    #[test]
    fn due_in_order_and_never_early() {
        let mut timers = room(5);
        for (n, at) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            timers.set(id(n), Some(Time(at)));
        }
        assert_eq!(timers.next(), Some(Time(10)));
        assert_eq!(timers.pop_due(Time(9)), None);
        let due: Vec<_> = core::iter::from_fn(|| timers.pop_due(Time(20))).collect();
        assert_eq!(due, [id(2), id(4), id(3)]);
        assert_eq!(timers.next(), Some(Time(30)));
    }

    #[test]
    fn a_replaced_deadline_leaves_nothing_behind() {
        let mut timers = room(2);
        timers.set(id(1), Some(Time(10)));
        timers.set(id(1), Some(Time(50)));
        assert_eq!(timers.next(), Some(Time(50)));
        timers.set(id(1), None);
        assert_eq!(timers.next(), None);
        assert_eq!(timers.pop_due(Time(100)), None);
    }

    /// Many random changes, against an ordered set that is obviously right.
    #[test]
    fn agrees_with_an_ordered_set() {
        const PLACES: usize = 40;
        let mut timers = room(PLACES);
        let mut model = BTreeSet::new();
        let mut current = [None; PLACES];
        let mut seed = 1_u64;
        let mut random = move |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for now in 0..20_000_u64 {
            let n = random(PLACES as u64) as usize;
            let at = (random(4) > 0).then(|| Time(now + random(60)));
            if let Some(old) = current[n] {
                model.remove(&(old, id(n)));
            }
            if let Some(new) = at {
                model.insert((new, id(n)));
            }
            current[n] = at;
            timers.set(id(n), at);
            assert_eq!(timers.next(), model.first().map(|e| e.0));
            while let Some(due) = timers.pop_due(Time(now)) {
                assert_eq!(model.pop_first(), current[due.place()].map(|at| (at, due)));
                current[due.place()] = None;
            }
            assert!(model.first().is_none_or(|e| e.0 > Time(now)));
        }
    }
}
