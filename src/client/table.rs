//! A hash table from names to values, for being looked into once per message.

/// Who asks brings the hash of the name, which it knows already. Open addressing with linear probing; at least half
/// of the places are free, so that a search is short.
#[derive(Debug)]
pub(super) struct Table<T> {
    /// Where an entry stands, plus one; 0 is a free place. The length is 0 or a power of two.
    places: Vec<u32>,
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    name: Box<[u8]>,
    value: T,
}

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Table { places: Vec::new(), entries: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }

    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    /// The place of a name.
    #[inline]
    fn find(&self, hash: u64, name: &[u8]) -> Option<(usize, &Entry<T>)> {
        let mut at = hash as usize & self.mask();
        loop {
            // A free place is that of no entry; without any place there is none at all.
            let entry = self.entries.get((*self.places.get(at)? as usize).wrapping_sub(1))?;
            if entry.hash == hash && *entry.name == *name {
                return Some((at, entry));
            }
            at = (at + 1) & self.mask();
        }
    }

    #[inline]
    pub(super) fn get(&self, hash: u64, name: &[u8]) -> Option<&T> {
        self.find(hash, name).map(|(_, entry)| &entry.value)
    }

    pub(super) fn get_mut(&mut self, hash: u64, name: &[u8]) -> Option<&mut T> {
        let (at, _) = self.find(hash, name)?;
        let index = self.places[at] as usize - 1;
        Some(&mut self.entries[index].value)
    }

    /// The value of a name, made if there is none.
    pub(super) fn entry(&mut self, hash: u64, name: &[u8], make: impl FnOnce() -> T) -> &mut T {
        let index = match self.find(hash, name) {
            Some((at, _)) => self.places[at] as usize - 1,
            None => {
                self.entries.push(Entry { hash, name: name.into(), value: make() });
                if self.entries.len() * 2 > self.places.len() {
                    self.grow();
                } else {
                    self.place(self.entries.len() - 1);
                }
                self.entries.len() - 1
            }
        };
        &mut self.entries[index].value
    }

    fn grow(&mut self) {
        let size = (self.places.len() * 2).max(4);
        self.places.clear();
        self.places.resize(size, 0);
        (0..self.entries.len()).for_each(|index| self.place(index));
    }

    /// Gives an entry its place.
    fn place(&mut self, index: usize) {
        let mut at = self.home(index);
        while self.places[at] != 0 {
            at = (at + 1) & self.mask();
        }
        self.places[at] = index as u32 + 1;
    }

    /// Where an entry is looked for first.
    fn home(&self, index: usize) -> usize {
        self.entries[index].hash as usize & self.mask()
    }

    pub(super) fn remove(&mut self, hash: u64, name: &[u8]) -> Option<T> {
        let (mut hole, _) = self.find(hash, name)?;
        let index = self.places[hole] as usize - 1;
        // The last entry takes its number.
        let last = self.entries.len() - 1;
        let mut at = self.home(last);
        while self.places[at] as usize != last + 1 {
            at = (at + 1) & self.mask();
        }
        self.places[at] = index as u32 + 1;
        // What stands behind it moves up, unless it would come to stand before its home.
        self.places[hole] = 0;
        let removed = self.entries.swap_remove(index);
        at = hole;
        loop {
            at = (at + 1) & self.mask();
            let Some(there) = (self.places[at] as usize).checked_sub(1) else { break };
            let from_home = at.wrapping_sub(self.home(there)) & self.mask();
            if from_home >= at.wrapping_sub(hole) & self.mask() {
                self.places[hole] = std::mem::take(&mut self.places[at]);
                hole = at;
            }
        }
        Some(removed.value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// A few hashes for many names, so that they meet each other everywhere.
    fn hash(name: u8) -> u64 {
        u64::from(name) % 5 * 0x1_0000_0007 + u64::from(name) % 3
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_one(steps in proptest::collection::vec((0..24u8, any::<bool>()), 0..200)) {
            let (mut table, mut model) = (Table::new(), HashMap::new());
            for (step, (name, insert)) in steps.into_iter().enumerate() {
                if insert {
                    let value = *table.entry(hash(name), &[name], || step);
                    prop_assert_eq!(value, *model.entry(name).or_insert(step));
                } else {
                    prop_assert_eq!(table.remove(hash(name), &[name]), model.remove(&name));
                }
                for name in 0..24 {
                    prop_assert_eq!(table.get(hash(name), &[name]), model.get(&name));
                    prop_assert_eq!(table.get_mut(hash(name), &[name]), model.get_mut(&name));
                }
                prop_assert_eq!(table.is_empty(), model.is_empty());
                prop_assert_eq!(table.values().count(), model.len());
            }
        }
    }
}
