//! A set of numbers that mostly stand side by side.

use std::collections::BTreeMap;

/// Numbers as ranges, first to last; no two touch.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    ranges: BTreeMap<u64, u64>,
    count: u64,
}

impl Ranges {
    /// How many numbers.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How many ranges.
    pub(super) fn pieces(&self) -> usize {
        self.ranges.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(first, last)| (*first, *last))
    }

    pub(super) fn contains(&self, n: u64) -> bool {
        self.ranges.range(..=n).next_back().is_some_and(|(_, last)| n <= *last)
    }

    /// Adds all from `first` to `last`; those that are there already do no harm.
    pub(super) fn add(&mut self, mut first: u64, mut last: u64) {
        // The one before, if it reaches so far.
        if let Some((&from, &to)) = self.ranges.range(..=first).next_back() {
            if to >= last {
                return;
            }
            if to >= first.saturating_sub(1) {
                first = from;
            }
        }
        while let Some((&from, &to)) = self.ranges.range(first..=last.saturating_add(1)).next() {
            self.ranges.remove(&from);
            self.count -= to - from + 1;
            last = last.max(to);
        }
        self.ranges.insert(first, last);
        self.count += last - first + 1;
    }

    /// Adds all that another set has.
    pub(super) fn add_all(&mut self, other: &Ranges) {
        for (first, last) in other.iter() {
            self.add(first, last);
        }
    }

    /// Takes all from `first` on away.
    pub(super) fn split_off(&mut self, first: u64) -> Ranges {
        let mut rest = Ranges { ranges: self.ranges.split_off(&first), count: 0 };
        if let Some((&from, &to)) = self.ranges.range(..first).next_back()
            && to >= first
        {
            self.ranges.insert(from, first - 1);
            rest.ranges.insert(first, to);
        }
        rest.count = rest.iter().map(|(first, last)| last - first + 1).sum();
        self.count -= rest.count;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in prop::collection::vec((0u8..4, 0u64..60, 0u64..6), 0..60)) {
            let (mut ranges, mut set) = (Ranges::default(), BTreeSet::new());
            for (what, first, more) in steps {
                match what {
                    0 | 1 => {
                        ranges.add(first, first + more);
                        set.extend(first..=first + more);
                    }
                    2 => {
                        let rest = ranges.split_off(first);
                        ranges.add_all(&rest);
                    }
                    _ => {
                        let rest = ranges.split_off(first);
                        let expected = set.split_off(&first);
                        prop_assert_eq!(rest.count(), expected.len() as u64);
                    }
                }
                prop_assert_eq!(ranges.count(), set.len() as u64);
                for n in 0..70 {
                    prop_assert_eq!(ranges.contains(n), set.contains(&n));
                }
                // No two touch.
                let all: Vec<_> = ranges.iter().collect();
                prop_assert!(all.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            }
        }
    }
}
