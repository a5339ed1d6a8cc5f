//! Packet identifiers: which are in use, and for what (MQTT 3.1.1 §2.3.1).
//!
//! One counter serves everything a connection sends. It starts at 1, skips 0 and every id in use,
//! so that an id is never given twice before its exchange has ended, not even after it wrapped.

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::session::state::id_map::IdMap;
use crate::session::state::unsent::Unsent;

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
            Some(next) if self.used.is_home_free(next) => Some(next),
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
