//! A table by packet id.

use alloc::vec::Vec;

use crate::error::Code;

/// A map from packet id to a small value: open addressing over the id itself, in Robin Hood order.
///
/// Ids are handed out in sequence, so the low bits of the id are a perfect hash in practice: the
/// table behaves as a ring buffer, and every operation touches one or two cells whatever the number of
/// entries. In a run of neighbours no cell is further from its home than the one behind it wants to be;
/// that is what lets a removal stop at the first cell that is at home, instead of walking the whole run.
/// The table doubles when it is half full and never shrinks while in use; an unused map owns no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdMap<V> {
    /// `(id, value)`; id 0 marks a free cell. The length is zero or a power of two.
    cells: Vec<(u16, V)>,
    len: usize,
}

impl<V: Copy + Default> IdMap<V> {
    pub(crate) const fn new() -> Self {
        IdMap { cells: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How far cell `at`, which holds `id`, is from where `id` belongs.
    fn distance(&self, at: usize, id: u16) -> usize {
        at.wrapping_sub(usize::from(id)) & (self.cells.len() - 1)
    }

    /// The cell that holds `id`.
    #[inline(always)]
    fn find(&self, id: u16) -> Option<usize> {
        if self.len == 0 || id == 0 {
            return None;
        }
        let home = usize::from(id) & (self.cells.len() - 1);
        match self.cells[home].0 {
            there if there == id => Some(home),
            0 => None,
            _ => self.find_away(id, home),
        }
    }

    /// [`find`](Self::find) for an id whose own cell holds another one.
    fn find_away(&self, id: u16, home: usize) -> Option<usize> {
        let mask = self.cells.len() - 1;
        let mut at = home;
        let mut distance = 0;
        loop {
            let there = self.cells[at].0;
            if there == id {
                return Some(at);
            }
            if there == 0 || self.distance(at, there) < distance {
                return None;
            }
            at = (at + 1) & mask;
            distance += 1;
        }
    }

    #[inline(always)]
    pub(crate) fn get(&self, id: u16) -> Option<V> {
        self.find(id).map(|at| self.cells[at].1)
    }

    /// [`get`](Self::get), if it is in its own cell, as nearly all are.
    #[inline(always)]
    pub(crate) fn at_home(&self, id: u16) -> Option<&V> {
        let home = usize::from(id) & self.cells.len().wrapping_sub(1);
        let (there, value) = self.cells.get(home)?;
        (*there == id && id != 0).then_some(value)
    }

    /// Whether the id's own cell is free: then it is not in the table.
    #[inline(always)]
    pub(crate) fn is_home_free(&self, id: u16) -> bool {
        let home = usize::from(id) & self.cells.len().wrapping_sub(1);
        self.cells.get(home).is_none_or(|cell| cell.0 == 0)
    }

    /// Inserts or replaces; fails only when memory runs out.
    pub(crate) fn insert(&mut self, id: u16, value: V) -> Result<(), Code> {
        debug_assert_ne!(id, 0);
        if let Some(at) = self.find(id) {
            self.cells[at].1 = value;
            return Ok(());
        }
        self.insert_new(id, value)
    }

    /// Inserts an id that is not in the table; fails only when memory runs out.
    #[inline]
    pub(crate) fn insert_new(&mut self, id: u16, value: V) -> Result<(), Code> {
        self.reserve()?;
        let home = usize::from(id) & (self.cells.len() - 1);
        match self.cells.get_mut(home) {
            // In sequence, as ids are given out, its place is free.
            Some(cell) if cell.0 == 0 => *cell = (id, value),
            _ => self.place((id, value)),
        }
        self.len += 1;
        Ok(())
    }

    /// Inserts an id whose own cell is free, and so is not in the table. False if the cell is not, or no room was
    /// [reserved](Self::reserve).
    #[inline]
    pub(crate) fn insert_at_home(&mut self, id: u16, value: V) -> bool {
        let home = usize::from(id) & self.cells.len().wrapping_sub(1);
        match self.cells.get_mut(home) {
            Some(cell) if cell.0 == 0 => {
                *cell = (id, value);
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    /// Replaces the value of an id that is in the table.
    pub(crate) fn set(&mut self, id: u16, value: V) {
        if let Some(at) = self.find(id) {
            self.cells[at].1 = value;
        }
    }

    /// Replaces all values.
    pub(crate) fn set_all(&mut self, value: V) {
        self.cells.iter_mut().for_each(|cell| cell.1 = value);
    }

    /// Puts in an entry that is not there, into a table that is not full.
    #[cold]
    fn place(&mut self, mut entry: (u16, V)) {
        let mask = self.cells.len() - 1;
        let mut at = usize::from(entry.0) & mask;
        let mut distance = 0;
        while self.cells[at].0 != 0 {
            let theirs = self.distance(at, self.cells[at].0);
            if theirs < distance {
                // The one that is further from home stays; the other looks on.
                core::mem::swap(&mut self.cells[at], &mut entry);
                distance = theirs;
            }
            at = (at + 1) & mask;
            distance += 1;
        }
        self.cells[at] = entry;
    }

    #[inline]
    pub(crate) fn remove(&mut self, id: u16) -> Option<V> {
        let mask = self.cells.len().wrapping_sub(1);
        let home = usize::from(id) & mask;
        if let Some(&(there, value)) = self.cells.get(home)
            && there == id
            && id != 0
        {
            let next = (home + 1) & mask;
            let behind = self.cells[next].0;
            // In sequence it is in its own cell, and so is the one behind.
            if behind == 0 || usize::from(behind) & mask == next {
                self.cells[home].0 = 0;
                self.len -= 1;
                return Some(value);
            }
        }
        self.remove_away(id)
    }

    /// [`remove`](Self::remove) where others have to move.
    #[cold]
    fn remove_away(&mut self, id: u16) -> Option<V> {
        let mut hole = self.find(id)?;
        let value = self.cells[hole].1;
        let mask = self.cells.len() - 1;
        loop {
            let next = (hole + 1) & mask;
            let there = self.cells[next].0;
            if there == 0 || self.distance(next, there) == 0 {
                break;
            }
            self.cells[hole] = self.cells[next];
            hole = next;
        }
        self.cells[hole].0 = 0;
        self.len -= 1;
        Some(value)
    }

    /// Removes every entry for which `keep` says no.
    pub(crate) fn retain(&mut self, keep: impl Fn(V) -> bool) {
        let mut at = 0;
        while let Some(&(id, value)) = self.cells.get(at) {
            if id == 0 || keep(value) {
                at += 1;
            } else {
                // Another entry may have moved in here, and is looked at next. None moves from behind
                // to where this has been already, but round the end of the table, and those had
                // their turn.
                self.remove(id);
            }
        }
    }

    /// Whether one more entry leaves half of the cells free.
    #[inline(always)]
    pub(crate) fn has_room(&self) -> bool {
        (self.len + 1) * 2 <= self.cells.len()
    }

    /// Makes room for one more entry, so that inserting it cannot fail.
    #[inline]
    pub(crate) fn reserve(&mut self) -> Result<(), Code> {
        if self.has_room() { Ok(()) } else { self.grow() }
    }

    pub(crate) fn clear(&mut self) {
        for cell in &mut self.cells {
            cell.0 = 0;
        }
        self.len = 0;
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Code> {
        let size = (self.cells.len() * 2).max(8);
        let mut larger = Vec::new();
        larger.try_reserve_exact(size).map_err(|_| Code::NoMemory)?;
        larger.resize(size, (0, V::default()));
        let old = core::mem::replace(&mut self.cells, larger);
        for entry in old.into_iter().filter(|(id, _)| *id != 0) {
            self.place(entry);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "id_map_tests.rs"]
mod tests;
