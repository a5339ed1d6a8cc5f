//! The table of a loop's sources.

use crate::time::Moment;

/// Names a source of one loop; a copy that outlives its source is harmless.
///
/// The low 20 bits are the place in the table, the high 12 count how often that place was used, so
/// that an event or a call meant for a former source does not reach its successor. After 4,096
/// successors a very old copy could cause a turn without reason, which every source must bear anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(u32);

const PLACE_BITS: u32 = 20;
/// One place is never used, so that no id is all ones: that token is the waker's.
const MAX_PLACES: usize = (1 << PLACE_BITS) - 1;

impl SourceId {
    fn new(place: usize, uses: u32) -> SourceId {
        debug_assert!(place < MAX_PLACES);
        SourceId((uses << PLACE_BITS) | place as u32)
    }

    /// The place in the table.
    pub(crate) fn place(self) -> usize {
        (self.0 & ((1 << PLACE_BITS) - 1)) as usize
    }

    /// The id as the number that the system's event queue carries.
    pub(crate) fn bits(self) -> usize {
        self.0 as usize
    }

    /// The id that [`bits`](Self::bits) gave.
    pub(crate) fn from_bits(bits: usize) -> Option<SourceId> {
        u32::try_from(bits).ok().map(SourceId)
    }
}

/// What the system reported about a source's socket since its last turn. All of these are edges.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Readiness {
    /// It became readable.
    pub(crate) readable: bool,
    /// The other side sends no more: the end follows what is left to be read.
    pub(crate) ended: bool,
}

impl Readiness {
    /// This happened, too.
    pub(crate) fn add(&mut self, more: Readiness) {
        self.readable |= more.readable;
        self.ended |= more.ended;
    }
}

/// Whether a source wants a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pending {
    /// It does not.
    No,
    /// As soon as possible.
    Soon,
    /// Its last turn was not enough; others come first.
    Later,
}

/// A source and what the loop knows about it.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    /// The source itself.
    pub(crate) value: T,
    /// In which list of sources that want a turn it is.
    pub(crate) pending: Pending,
    /// What its socket became since the last turn.
    pub(crate) ready: Readiness,
    /// Whether it is also told of the beginning, and of the end, of each iteration.
    pub(crate) every_begin: bool,
    pub(crate) every_iteration: bool,
    /// Its entry in the timers.
    pub(crate) deadline: Moment,
}

#[derive(Debug)]
struct Place<T> {
    id: SourceId,
    slot: Option<Slot<T>>,
}

/// Sources by id, in constant time.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    /// A table without sources.
    pub(crate) fn new() -> Slots<T> {
        Slots { places: Vec::new(), free: Vec::new() }
    }

    /// Adds a source; gives it back if the table or the memory is full.
    pub(crate) fn insert(&mut self, value: T) -> Result<SourceId, T> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = self.places.len();
                // `free` gets its room here too, so that removing never allocates.
                let grown = self.places.try_reserve(1).and_then(|()| self.free.try_reserve(place + 1));
                if place >= MAX_PLACES || grown.is_err() {
                    return Err(value);
                }
                self.places.push(Place { id: SourceId::new(place, 0), slot: None });
                place
            }
        };
        let entry = &mut self.places[place];
        entry.slot = Some(Slot {
            value,
            pending: Pending::No,
            ready: Readiness::default(),
            every_begin: false,
            every_iteration: false,
            deadline: Moment::NONE,
        });
        Ok(entry.id)
    }

    /// The source with this id, if it is still there.
    pub(crate) fn get_mut(&mut self, id: SourceId) -> Option<&mut Slot<T>> {
        let entry = self.places.get_mut(id.place())?;
        if entry.id != id {
            return None;
        }
        entry.slot.as_mut()
    }

    /// Takes a source out. Its id is never valid again (see [`SourceId`] for the small print).
    pub(crate) fn remove(&mut self, id: SourceId) -> Option<Slot<T>> {
        let place = id.place();
        let entry = self.places.get_mut(place).filter(|entry| entry.id == id)?;
        let slot = entry.slot.take()?;
        let uses = (id.0 >> PLACE_BITS).wrapping_add(1);
        entry.id = SourceId::new(place, uses & ((1 << (32 - PLACE_BITS)) - 1));
        self.free.push(place);
        Some(slot)
    }

    /// How many places there are, used or free.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// Takes every source out.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.free.clear();
        self.places.drain(..).filter_map(|entry| entry.slot).map(|slot| slot.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_does_not_reach_the_successor() {
        let mut slots = Slots::new();
        let first = slots.insert('a').unwrap();
        assert_eq!(slots.remove(first).map(|s| s.value), Some('a'));
        let second = slots.insert('b').unwrap();
        assert_eq!(first.place(), second.place());
        assert!(slots.get_mut(first).is_none());
        assert!(slots.remove(first).is_none());
        assert_eq!(slots.get_mut(second).map(|s| s.value), Some('b'));
    }

    #[test]
    fn no_id_is_the_wakers_token() {
        let mut slots = Slots::new();
        let mut id = slots.insert(()).unwrap();
        for _ in 0..5_000 {
            assert_ne!(id.bits(), u32::MAX as usize);
            assert_eq!(SourceId::from_bits(id.bits()), Some(id));
            slots.remove(id);
            id = slots.insert(()).unwrap();
        }
        assert_ne!(SourceId::new(MAX_PLACES - 1, (1 << 12) - 1).bits(), u32::MAX as usize);
    }
}
