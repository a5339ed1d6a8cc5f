//! Incoming messages that are held, QoS 2 ids that came, and what is being skipped.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use crate::error::Code;
use crate::lazy_box::{Empty, LazyBox};
use crate::session::event::Failure;
use crate::session::state::counts::Untracked;
use crate::session::state::id_map::IdMap;
use crate::wire::{QoS, reason};

/// The numbers of holds start anywhere below this, so that they never wrap.
const NUMBERS: u64 = 1 << 46;

/// A message that is not acknowledged before it is let go: its number, QoS and packet id in one word, which is
/// never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold(NonZeroU64);

impl Hold {
    fn new(number: u64, qos: QoS, id: u16) -> Hold {
        let word = number << 17 | u64::from(qos == QoS::ExactlyOnce) << 16 | u64::from(id);
        // Numbers count from 1.
        Hold(NonZeroU64::new(word).unwrap_or(NonZeroU64::MIN))
    }

    /// The hold that has this word, if one can have it.
    pub fn from_word(word: u64) -> Option<Hold> {
        let hold = Hold(NonZeroU64::new(word)?);
        (hold.id() != 0 && hold.number() != 0).then_some(hold)
    }

    /// The word.
    pub fn word(self) -> u64 {
        self.0.get()
    }

    /// The packet id of the message.
    pub fn id(self) -> u16 {
        self.word() as u16
    }

    /// Whether it outlives the connection: it is of QoS 2.
    pub fn outlives_link(self) -> bool {
        self.word() & 1 << 16 != 0
    }

    fn number(self) -> u64 {
        self.word() >> 17
    }
}

/// A QoS 1 message in line for its PUBACK.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) number: u64,
    pub(crate) id: u16,
    /// How many hold it.
    pub(crate) held: u32,
    /// What PUBACK will say.
    pub(crate) reason: u8,
}

/// A QoS 2 message that is held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) number: u64,
    pub(crate) held: u32,
    /// It came on the present connection and stands in line there.
    pub(crate) in_line: bool,
}

/// A message over the receive limit, while the rest of it is being skipped.
#[derive(Clone, Debug)]
pub(crate) struct Skipped {
    pub(crate) qos: QoS,
    pub(crate) id: u16,
    /// What is to be told of it at its end: nothing if its beginning was delivered, or if it came before.
    pub(crate) told: Option<Unread>,
    /// Its beginning was delivered and is held.
    pub(crate) hold: Option<Hold>,
    /// What its acknowledgement will say.
    pub(crate) reason: u8,
}

/// A message that nobody is to read.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    pub(crate) topic: Vec<u8>,
    pub(crate) size: usize,
}

/// The server may have lost the session in which a message came, without our knowledge.
type Doubtful = bool;

/// What is known about incoming messages.
#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    /// A connection that only ever received messages of QoS 0, or of QoS 1 that nobody held, has none.
    pub(crate) lists: LazyBox<Lists>,
    /// The number of the last hold.
    pub(crate) last: u64,
}

/// Which messages are held, which of QoS 2 came, and what is being skipped.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    /// The hold of the message that is being handled.
    pub(crate) current: Option<Hold>,
    /// Bytes of an oversize packet still to come, and what to acknowledge after them.
    pub(crate) skip: usize,
    pub(crate) skipped: Option<Skipped>,
    /// QoS 2 packet ids that were delivered and not yet released by the server. A PUBLISH with one
    /// of them is a repetition (MQTT 3.1.1 §4.3.3, method B).
    received: IdMap<Doubtful>,
    /// Those of them that are held.
    pub(crate) held: IdMap<Held>,
    /// QoS 1 messages in the order in which they came, from the first that is held on.
    pub(crate) line1: VecDeque<Waiting>,
    /// The same for QoS 2, each with what PUBREC will say; those that are not in `held` can go.
    pub(crate) line2: VecDeque<(u16, u8)>,
    /// Holds up to here that are not there are over: of QoS 1 since the link closed, of QoS 2 since the session ended.
    over1: u64,
    over2: u64,
    duplicates: Untracked<u64>,
    oversize: Untracked<u64>,
}

impl Lists {
    /// Without any hold after the one of this number.
    const fn new(last: u64) -> Self {
        Lists {
            current: None,
            skip: 0,
            skipped: None,
            received: IdMap::new(),
            held: IdMap::new(),
            line1: VecDeque::new(),
            line2: VecDeque::new(),
            over1: last,
            over2: last,
            duplicates: Untracked(0),
            oversize: Untracked(0),
        }
    }
}

impl Empty for Lists {
    const EMPTY: &'static Self = &Lists::new(0);
}

impl Inbound {
    pub(crate) const fn new() -> Self {
        Inbound { lists: LazyBox::new(), last: 0 }
    }

    pub(crate) fn lists(&mut self) -> Result<&mut Lists, Code> {
        let last = self.last;
        self.lists.try_make_by(|| Lists::new(last))
    }

    /// Numbers holds from somewhere else than all other sessions do.
    pub(crate) fn number_from(&mut self, random: u64) {
        self.last = random % NUMBERS;
    }

    /// A new connection starts at a packet boundary.
    pub(crate) fn opened(&mut self) {
        if let Some(lists) = self.lists.get_mut() {
            lists.skip = 0;
            lists.skipped = None;
            lists.current = None;
        }
    }

    /// The connection is gone. What was held on it will come again.
    pub(crate) fn closed(&mut self) {
        if let Some(Skipped { hold: Some(hold), .. }) = self.take_skipped() {
            // Its handlers have returned; there is nothing more to wait for.
            let _ = self.change(hold, 0, reason::SUCCESS, |held| held - 1);
        }
        let Some(lists) = self.lists.get_mut() else { return };
        // The rest of the packet will not come: what does is not asked for.
        lists.skip = 0;
        lists.line1.clear();
        lists.over1 = self.last;
        while let Some((id, _)) = lists.line2.pop_front() {
            if let Some(held) = lists.held.get(id) {
                lists.held.set(id, Held { in_line: false, ..held });
            }
        }
    }

    pub(crate) fn forget(&mut self) {
        if let Some(lists) = self.lists.get_mut() {
            lists.received.clear();
            lists.held.clear();
            lists.over2 = self.last;
        }
    }

    /// The ids may be of another session than the present one; those that come from now on are not.
    pub(crate) fn doubt(&mut self) {
        if let Some(lists) = self.lists.get_mut() {
            lists.received.set_all(true);
        }
    }

    /// Whether a message with this id was delivered and not released.
    pub(crate) fn is_known(&self, id: u16) -> bool {
        self.lists.received.get(id).is_some()
    }

    /// Whether a PUBLISH with this id was delivered already. A server that kept the session marks what it sends
    /// again (MQTT 3.1.1 §3.3.1.1), so if there is doubt about that, what is not marked is new. Then the exchange that
    /// had the id is over, with what was held of it, whatever becomes of the new one: that may come again, marked.
    pub(crate) fn recognises(&mut self, id: u16, dup: bool) -> bool {
        let Some(doubtful) = self.lists.received.get(id) else { return false };
        let known = dup || !doubtful;
        if !known && let Some(lists) = self.lists.get_mut() {
            lists.received.remove(id);
            lists.over2 = lists.over2.max(lists.held.remove(id).map_or(0, |held| held.number));
        }
        known
    }

    /// Makes sure that one more id can be remembered.
    pub(crate) fn reserve(&mut self) -> Result<(), Code> {
        self.lists()?.received.reserve()
    }

    /// Whether this id is not in use, and there is room to remember it.
    #[inline(never)]
    pub(crate) fn has_place_for(&mut self, id: u16) -> bool {
        let received = self.lists().map(|lists| &mut lists.received);
        received.is_ok_and(|received| received.get(id).is_none() && received.reserve().is_ok())
    }

    /// As [`remember`](Self::remember), for an id that is not in use.
    #[inline(never)]
    pub(crate) fn remember_new(&mut self, id: u16) -> Result<(), Failure> {
        Ok(self.lists()?.received.insert_new(id, false)?)
    }

    /// A QoS 2 message was delivered: it is not to be delivered again.
    #[inline]
    pub(crate) fn remember(&mut self, id: u16) -> Result<(), Failure> {
        Ok(self.lists()?.received.insert(id, false)?)
    }

    /// Whether no message is held, waits behind one that is, or is being skipped.
    pub(crate) fn is_on_fast_path(&self) -> bool {
        let Lists { current, line1, line2, skip, .. } = &*self.lists;
        current.is_none() && line1.is_empty() && line2.is_empty() && *skip == 0
    }

    /// Bytes of an oversize packet that are still to come.
    #[inline]
    pub(crate) fn to_skip(&self) -> usize {
        self.lists.skip
    }

    /// So many bytes come that are to be skipped, and `skipped` is to be acknowledged after them.
    pub(crate) fn begin_skip(&mut self, n: usize, skipped: Option<Skipped>) -> Result<(), Failure> {
        let lists = self.lists()?;
        lists.skip = n;
        lists.skipped = skipped;
        Ok(())
    }

    fn take_skipped(&mut self) -> Option<Skipped> {
        self.lists.get_mut()?.skipped.take()
    }

    /// The hold of the message that is being handled ends as that.
    pub(crate) fn take_current(&mut self) -> Option<Hold> {
        self.lists.get_mut()?.current.take()
    }

    /// A message of QoS 2 came again.
    pub(crate) fn count_duplicate(&mut self) {
        if let Some(lists) = self.lists.get_mut() {
            *lists.duplicates += 1;
        }
    }

    /// A message over the limit came.
    pub(crate) fn count_oversize(&mut self) {
        if let Some(lists) = self.lists.get_mut() {
            *lists.oversize += 1;
        }
    }

    /// How many came again, and how many over the limit.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (*self.lists.duplicates, *self.lists.oversize)
    }

    /// The exchange with this id is over; whether there was one.
    pub(crate) fn released(&mut self, id: u16) -> bool {
        let Some(lists) = self.lists.get_mut() else { return false };
        lists.held.remove(id);
        lists.received.remove(id).is_some()
    }

    /// Gives memory back that is not in use.
    pub(crate) fn shrink(&mut self) {
        let Some(lists) = self.lists.get_mut() else { return };
        if lists.line1.is_empty() {
            lists.line1 = VecDeque::new();
        }
        if lists.line2.is_empty() {
            lists.line2 = VecDeque::new();
        }
        if lists.held.len() == 0 {
            lists.held = IdMap::new();
        }
    }

    /// Holds the message that is being handled, for its handlers and for one more.
    pub(crate) fn hold(&mut self, qos: QoS, id: u16) -> Result<Hold, Code> {
        let number = self.last + 1;
        let lists = self.lists()?;
        if qos == QoS::ExactlyOnce {
            lists.line2.try_reserve(1).map_err(|_| Code::NoMemory)?;
            lists.held.insert(id, Held { number, held: 2, in_line: true })?;
            if let Err(code) = lists.received.insert(id, false) {
                lists.held.remove(id);
                return Err(code);
            }
            lists.line2.push_back((id, reason::SUCCESS));
        } else {
            lists.line1.try_reserve(1).map_err(|_| Code::NoMemory)?;
            lists.line1.push_back(Waiting { number, id, held: 2, reason: reason::SUCCESS });
        }
        let hold = Hold::new(number, qos, id);
        lists.current = Some(hold);
        self.last = number;
        Ok(hold)
    }

    /// Changes how many hold it, and what its acknowledgement will say: the first `reason` that is not success. An error
    /// if those are not more than `others`, who are not to be touched.
    pub(crate) fn change(
        &mut self,
        hold: Hold,
        others: u32,
        reason: u8,
        change: impl FnOnce(u32) -> u32,
    ) -> Result<(), Code> {
        let number = hold.number();
        // Without lists there never was one.
        let Some(lists) = self.lists.get_mut() else {
            return Err(if number <= self.last { Code::Stale } else { Code::NotFound });
        };
        let over = if hold.outlives_link() { lists.over2 } else { lists.over1 };
        let gone = if number <= over { Code::Stale } else { Code::NotFound };
        if hold.outlives_link() {
            let held =
                lists.held.get(hold.id()).filter(|h| h.number == number && h.held > others).ok_or(gone)?;
            match change(held.held) {
                0 => drop(lists.held.remove(hold.id())),
                n => lists.held.set(hold.id(), Held { held: n, ..held }),
            }
            if reason != reason::SUCCESS
                && let Some((_, there)) = lists.line2.iter_mut().find(|(id, _)| *id == hold.id())
            {
                first_reason(there, reason);
            }
            return Ok(());
        }
        let at = lists.line1.partition_point(|waiting| waiting.number < number);
        let waiting =
            lists.line1.get_mut(at).filter(|w| w.number == number && w.held > others).ok_or(gone)?;
        waiting.held = change(waiting.held);
        first_reason(&mut waiting.reason, reason);
        Ok(())
    }
}

fn first_reason(there: &mut u8, reason: u8) {
    if *there == reason::SUCCESS {
        *there = reason;
    }
}
