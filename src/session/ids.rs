//! Packet identifiers: which are in use, and for what (MQTT 3.1.1 §2.3.1).
//!
//! One counter serves everything a connection sends. It starts at 1, skips 0 and every id in use,
//! so that an id is never given twice before its exchange has ended, not even after it wrapped.

use alloc::vec::Vec;

use super::unsent::Unsent;
use crate::bugs::{Bug, bug};
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
    fn at_home(&self, id: u16) -> Option<&V> {
        let home = usize::from(id) & self.cells.len().wrapping_sub(1);
        let (there, value) = self.cells.get(home)?;
        (*there == id && id != 0).then_some(value)
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
    fn insert_at_home(&mut self, id: u16, value: V) -> bool {
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
    fn has_room(&self) -> bool {
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

/// What a packet id is in use for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Use {
    /// A QoS 0 publish whose bytes wait in the output buffer. It has no id on the wire; the id
    /// names it for the application until it is sent.
    #[default]
    Unsent,
    /// An entry of the outbox, by slot.
    Publish(u32),
    /// A SUBSCRIBE of the subscription set.
    Subscribe,
    /// An UNSUBSCRIBE of the subscription set.
    Unsubscribe,
    /// Sent by the application itself through the raw calls; held until acknowledged or closed.
    Raw(RawUse),
}

/// The exchanges that an application can run by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawUse {
    Publish1,
    Publish2,
    Released,
    Subscribe,
    Unsubscribe,
}

/// The counter and the ids in use.
///
/// Those of QoS 0 messages are in use only until their bytes are written, and the counter needs 65,535 steps to come
/// round to them. So they are not entered in the table before it passes 0, which it does on its way to each of them.
#[derive(Clone, Debug)]
pub(crate) struct PacketIds {
    last: u16,
    used: IdMap<Use>,
    /// The QoS 0 messages that are not written yet, with their ids.
    pub(crate) unsent: Unsent,
}

impl PacketIds {
    pub(crate) const fn new() -> Self {
        PacketIds { last: 0, used: IdMap::new(), unsent: Unsent::new() }
    }

    /// The next free id, counted on but not held.
    ///
    /// Cost: one step per id in use that lies directly ahead of the counter. Exchanges end in about
    /// the order they began, so there are none until the counter has wrapped into old ones.
    pub(crate) fn next(&mut self) -> Result<u16, Code> {
        self.hold_unsent()?;
        if self.used.len() >= usize::from(u16::MAX) {
            return Err(Code::NoMoreMsgids);
        }
        if bug(Bug::IdReuse) {
            self.last = self.last % 7 + 1;
            return Ok(self.last);
        }
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && self.used.get(self.last).is_none() {
                return Ok(self.last);
            }
        }
    }

    /// The next free id, held for `purpose`.
    #[inline(always)]
    pub(crate) fn take(&mut self, purpose: Use) -> Result<u16, Code> {
        match self.next_in_line() {
            Some(next) if !bug(Bug::IdReuse) && self.take_next(next, purpose) => Ok(next),
            _ => self.take_later(purpose),
        }
    }

    /// [`take`](Self::take) when the next id may be in use.
    #[cold]
    fn take_later(&mut self, purpose: Use) -> Result<u16, Code> {
        self.used.reserve()?;
        let id = self.next()?;
        self.used.insert_new(id, purpose)?;
        Ok(id)
    }

    /// The next free id, for a message that is put among the [unsent](Self::unsent) ones and is in use as long as it is
    /// there.
    #[inline(always)]
    pub(crate) fn lend(&mut self) -> Result<u16, Code> {
        let id = match self.free() {
            Some(id) if !bug(Bug::IdReuse) => id,
            _ => self.next()?,
        };
        self.last = id;
        Ok(id)
    }

    /// The next id, if it is not in use but for what is in the table.
    #[inline(always)]
    pub(crate) fn next_in_line(&self) -> Option<u16> {
        let next = self.last.wrapping_add(1);
        (next != 0).then_some(next)
    }

    /// The next id, if it is seen at once that it is free.
    #[inline(always)]
    pub(crate) fn free(&self) -> Option<u16> {
        match self.next_in_line() {
            Some(next) if self.used.get(next).is_none() => Some(next),
            _ => None,
        }
    }

    /// [Takes](Self::take) the id that is [next in line](Self::next_in_line), if it is seen at once that it is free.
    #[inline(always)]
    pub(crate) fn take_next(&mut self, next: u16, purpose: Use) -> bool {
        let taken = self.used.has_room() && self.used.insert_at_home(next, purpose);
        if taken {
            self.last = next;
        }
        taken
    }

    /// [`lend`](Self::lend) for the id that is [free](Self::free).
    #[inline(always)]
    pub(crate) fn lend_free(&mut self, id: u16) {
        self.last = id;
    }

    /// Makes sure that one more unsent message can be put in.
    #[inline(always)]
    pub(crate) fn reserve_unsent(&mut self) -> Result<(), Code> {
        if self.unsent.are_scattered() {
            self.hold_unsent()?;
        }
        self.unsent.reserve()
    }

    /// Enters the ids of the unsent messages in the table, so that it alone tells what is free.
    #[cold]
    fn hold_unsent(&mut self) -> Result<(), Code> {
        for run in self.unsent.not_held() {
            for id in run.packet_ids() {
                if let Err(code) = self.used.insert(id, Use::Unsent) {
                    // All of a run or none.
                    run.packet_ids().take_while(|entered| *entered != id).for_each(|entered| {
                        self.used.remove(entered);
                    });
                    return Err(code);
                }
            }
            run.hold();
        }
        Ok(())
    }

    /// Holds an id that the application chose.
    pub(crate) fn hold(&mut self, id: u16, purpose: Use) -> Result<(), Code> {
        if id == 0 {
            return Err(Code::BadArgument);
        }
        if self.get(id).is_some() {
            return Err(Code::PacketIdInUse);
        }
        self.used.insert(id, purpose)
    }

    /// Changes what a held id stands for.
    pub(crate) fn change(&mut self, id: u16, purpose: Use) {
        self.used.set(id, purpose);
    }

    /// What an id is in use for.
    #[inline]
    pub(crate) fn get(&self, id: u16) -> Option<Use> {
        self.used.get(id).or_else(|| self.unsent.has_unheld(id).then_some(Use::Unsent))
    }

    /// The message that has this id, if one look at the table tells it.
    #[inline(always)]
    pub(crate) fn slot_at_home(&self, id: u16) -> Option<u32> {
        match self.used.at_home(id) {
            Some(Use::Publish(slot)) => Some(*slot),
            _ => None,
        }
    }

    /// An id is held no more.
    #[inline]
    pub(crate) fn release(&mut self, id: u16) {
        self.used.remove(id);
    }

    /// Releases every id for which `keep` says no.
    pub(crate) fn retain(&mut self, keep: impl Fn(Use) -> bool) {
        self.used.retain(keep);
    }

    /// Gives memory back if no id is in use.
    pub(crate) fn shrink(&mut self) {
        self.unsent.shrink();
        if self.used.len() == 0 {
            self.used = IdMap::new();
        }
    }
}

#[cfg(test)]
#[path = "ids_tests.rs"]
mod tests;
