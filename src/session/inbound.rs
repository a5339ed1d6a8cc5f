//! Incoming messages: what is acknowledged when, QoS 2 without a second delivery, and the skipping of messages
//! that are too large.
//!
//! A message is acknowledged when its handlers have returned. One that is *held* ([`Session::hold`]) is
//! acknowledged when everybody who holds it has let go of it; the handlers are one of them. Acknowledgements
//! go out in the order in which the messages came, each QoS by itself (MQTT 3.1.1 §4.6): what is behind
//! one that is held waits in line.
//!
//! What a reconnect makes of a held message depends on its QoS:
//!
//! * QoS 1: the hold ends with the connection, and the server delivers the message again. It is not
//!   recognised: servers that number such messages anew would make us take another for it.
//! * QoS 2: the packet id belongs to the exchange for as long as the session lives (§4.3.3), so the message is
//!   still held when the server repeats it. It is not delivered again, and answered when it is let go.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU64;

use super::counts::Untracked;
use super::ids::IdMap;
use super::{Event, Failure, PendingEvent, Session, State, Verdict};
use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::lazy_box::{Empty, LazyBox};
use crate::wire::{PacketType, QoS};

/// More messages than packet ids cannot wait for an acknowledgement.
const MAX_LINE: usize = u16::MAX as usize;

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
struct Waiting {
    number: u64,
    id: u16,
    /// How many hold it.
    held: u32,
}

/// A QoS 2 message that is held.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    number: u64,
    held: u32,
    /// It came on the present connection and stands in line there.
    in_line: bool,
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
    lists: LazyBox<Lists>,
    /// The number of the last hold.
    last: u64,
}

/// Which messages are held, which of QoS 2 came, and what is being skipped.
#[derive(Clone, Debug)]
struct Lists {
    /// The hold of the message that is being handled.
    current: Option<Hold>,
    /// Bytes of an oversize packet still to come, and what to acknowledge after them.
    skip: usize,
    skipped: Option<Skipped>,
    /// QoS 2 packet ids that were delivered and not yet released by the server. A PUBLISH with one
    /// of them is a repetition (MQTT 3.1.1 §4.3.3, method B).
    received: IdMap<Doubtful>,
    /// Those of them that are held.
    held: IdMap<Held>,
    /// QoS 1 messages in the order in which they came, from the first that is held on.
    line1: VecDeque<Waiting>,
    /// The same for QoS 2; those that are not in `held` can go.
    line2: VecDeque<u16>,
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

    fn lists(&mut self) -> Result<&mut Lists, Code> {
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
            let _ = self.change(hold, 0, |held| held - 1);
        }
        let Some(lists) = self.lists.get_mut() else { return };
        // The rest of the packet will not come: what does is not asked for.
        lists.skip = 0;
        lists.line1.clear();
        lists.over1 = self.last;
        while let Some(id) = lists.line2.pop_front() {
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
    fn take_current(&mut self) -> Option<Hold> {
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

    pub(crate) fn released(&mut self, id: u16) {
        if let Some(lists) = self.lists.get_mut() {
            lists.received.remove(id);
            lists.held.remove(id);
        }
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
    fn hold(&mut self, qos: QoS, id: u16) -> Result<Hold, Code> {
        let number = self.last + 1;
        let lists = self.lists()?;
        if qos == QoS::ExactlyOnce {
            lists.line2.try_reserve(1).map_err(|_| Code::NoMemory)?;
            lists.held.insert(id, Held { number, held: 2, in_line: true })?;
            if let Err(code) = lists.received.insert(id, false) {
                lists.held.remove(id);
                return Err(code);
            }
            lists.line2.push_back(id);
        } else {
            lists.line1.try_reserve(1).map_err(|_| Code::NoMemory)?;
            lists.line1.push_back(Waiting { number, id, held: 2 });
        }
        let hold = Hold::new(number, qos, id);
        lists.current = Some(hold);
        self.last = number;
        Ok(hold)
    }

    /// Changes how many hold it. An error if those are not more than `others`, who are not to be touched.
    fn change(&mut self, hold: Hold, others: u32, change: impl FnOnce(u32) -> u32) -> Result<(), Code> {
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
            return Ok(());
        }
        let at = lists.line1.partition_point(|waiting| waiting.number < number);
        let waiting =
            lists.line1.get_mut(at).filter(|w| w.number == number && w.held > others).ok_or(gone)?;
        waiting.held = change(waiting.held);
        Ok(())
    }
}

/// Stands for a message that nobody holds, behind one that is held: as new as the newest.
fn in_line<T>(line: &mut VecDeque<T>, entry: T) -> Result<(), Failure> {
    if line.len() >= MAX_LINE {
        return Err(Failure::protocol(
            "the server sent more than 65,535 messages without an acknowledgement",
        ));
    }
    line.try_reserve(1).map_err(|_| Failure::out_of_memory())?;
    line.push_back(entry);
    Ok(())
}

impl Session {
    /// Numbers what is held from somewhere else than other sessions do, so that one of theirs is not mistaken
    /// for one of ours. For a new session.
    pub fn number_holds_from(&mut self, random: u64) {
        self.inbound.number_from(random);
    }

    /// Holds the acknowledgement of the message that is being handled until
    /// [`let_go`](Session::let_go), once for each time it is held. `None` for a message of QoS 0, which has
    /// nothing to hold; [`Code::NotFound`] if no message is being handled.
    pub fn hold(&mut self) -> Result<Option<Hold>, Code> {
        let (PendingEvent::Publish(qos, id) | PendingEvent::Cut(qos, id)) = self.pending_event else {
            return Err(Code::NotFound);
        };
        if qos == QoS::AtMostOnce {
            return Ok(None);
        }
        if let Some(hold) = self.inbound.lists.current {
            return self.hold_again(hold).map(|()| Some(hold));
        }
        self.inbound.hold(qos, id).map(Some)
    }

    /// Holds once more what is held already.
    pub fn hold_again(&mut self, hold: Hold) -> Result<(), Code> {
        self.inbound.change(hold, 0, |held| held.saturating_add(1))
    }

    /// Lets go of a held message; when nobody holds it any more, it is acknowledged as soon as its turn comes.
    ///
    /// [`Code::NotFound`] if it is not held any more; [`Code::Stale`] if it came on an earlier connection, or in
    /// an earlier session for QoS 2: the server will deliver it again, if it kept the session. Both change
    /// nothing. Other errors: the connection cannot go on.
    pub fn let_go(&mut self, hold: Hold) -> Result<(), Failure> {
        if self.state != State::Up && !hold.outlives_link() {
            return Err(Failure::new(Code::Stale, ""));
        }
        // The handlers' own hold ends when they have returned, and the message is there, not before.
        let Lists { current, skipped, .. } = &*self.inbound.lists;
        let handlers = [*current, skipped.as_ref().and_then(|skipped| skipped.hold)];
        let others = u32::from(handlers.contains(&Some(hold)));
        self.inbound.change(hold, others, |held| held - 1).map_err(|code| Failure::new(code, ""))?;
        self.answer_line()
    }

    /// Acknowledges what stands in line and is not held, up to the first that is.
    fn answer_line(&mut self) -> Result<(), Failure> {
        while let Some(Waiting { id, held: 0, .. }) = self.inbound.lists.line1.front().copied() {
            self.answer(PacketType::PubAck, id)?;
            self.inbound.lists()?.line1.pop_front();
        }
        while let Some(id) = self.inbound.lists.line2.front().copied()
            && self.inbound.lists.held.get(id).is_none()
        {
            // A server that released it without waiting for PUBREC wants none any more.
            if self.inbound.is_known(id) {
                self.answer(PacketType::PubRec, id)?;
            }
            self.inbound.lists()?.line2.pop_front();
        }
        Ok(())
    }

    /// The handlers of a message have returned.
    pub(super) fn acknowledge(&mut self, qos: QoS, id: u16, verdict: Verdict) -> Result<(), Failure> {
        let send = match verdict {
            Verdict::Ack => true,
            Verdict::ConnectionGone => false,
            Verdict::NotDelivered => return self.undo_hold(),
        };
        if let Some(hold) = self.inbound.take_current() {
            return self.handlers_let_go(hold);
        }
        match qos {
            QoS::AtMostOnce => Ok(()),
            QoS::AtLeastOnce if send => self.answer_in_line(qos, id),
            QoS::AtLeastOnce => Ok(()),
            QoS::ExactlyOnce => {
                // Remembered even if the connection is gone: on the next one the server repeats
                // it, and it must not be delivered twice.
                self.inbound.remember(id)?;
                if send { self.answer_in_line(qos, id) } else { Ok(()) }
            }
        }
    }

    /// The handlers do not hold it any more. Their hold may have ended with the link.
    fn handlers_let_go(&mut self, hold: Hold) -> Result<(), Failure> {
        let others = |held| if bug(Bug::HoldIgnored) { 0 } else { held - 1 };
        match self.inbound.change(hold, 0, others) {
            Ok(()) => self.answer_line(),
            Err(_) => Ok(()),
        }
    }

    /// The handlers of the beginning of a message have returned, and the rest is still to be skipped.
    pub(super) fn cut_handled(&mut self, qos: QoS, id: u16, verdict: Verdict) -> Result<(), Failure> {
        if verdict != Verdict::Ack {
            return self.acknowledge(qos, id, verdict);
        }
        if qos == QoS::ExactlyOnce {
            self.inbound.remember(id)?;
        }
        let hold = self.inbound.take_current();
        self.inbound.lists()?.skipped = Some(Skipped { qos, id, told: None, hold });
        Ok(())
    }

    /// The message counts as not delivered, whoever holds it: it will come again.
    fn undo_hold(&mut self) -> Result<(), Failure> {
        match self.inbound.take_current() {
            Some(hold) if hold.outlives_link() => self.inbound.released(hold.id()),
            Some(_) => drop(self.inbound.lists()?.line1.pop_back()),
            None => {}
        }
        Ok(())
    }

    /// Acknowledges now, or behind what is held.
    fn answer_in_line(&mut self, qos: QoS, id: u16) -> Result<(), Failure> {
        let number = self.inbound.last;
        match qos {
            QoS::AtLeastOnce if !self.inbound.lists.line1.is_empty() && !bug(Bug::AckOutOfLine) => {
                in_line(&mut self.inbound.lists()?.line1, Waiting { number, id, held: 0 })
            }
            QoS::AtLeastOnce => self.answer(PacketType::PubAck, id),
            _ if !self.inbound.lists.line2.is_empty() => in_line(&mut self.inbound.lists()?.line2, id),
            _ => self.answer(PacketType::PubRec, id),
        }
    }

    /// The server repeats a QoS 2 message that was delivered.
    pub(super) fn repeated(&mut self, id: u16) -> Result<(), Failure> {
        match self.inbound.lists.held.get(id).filter(|_| !bug(Bug::RepeatedNotHeld)) {
            None => self.answer_in_line(QoS::ExactlyOnce, id),
            Some(held) if held.in_line => Ok(()),
            Some(held) => {
                let lists = self.inbound.lists()?;
                in_line(&mut lists.line2, id)?;
                lists.held.set(id, Held { in_line: true, ..held });
                Ok(())
            }
        }
    }

    /// Skips bytes of a message over the receive limit. With the last one it is acknowledged, and told of: a link that
    /// ends before will bring it again.
    pub(super) fn skip(&mut self, n: usize) -> Result<Option<Event>, Failure> {
        let lists = self.inbound.lists()?;
        lists.skip -= n;
        if lists.skip > 0 {
            return Ok(None);
        }
        let Some(Skipped { qos, id, told, hold }) = lists.skipped.take() else { return Ok(None) };
        match hold {
            Some(hold) => self.handlers_let_go(hold)?,
            // What is not told of has been remembered before.
            None if qos == QoS::ExactlyOnce && told.is_none() => self.repeated(id)?,
            None => self.acknowledge(qos, id, Verdict::Ack)?,
        }
        Ok(told.map(|Unread { topic, size }| {
            self.inbound.count_oversize();
            Event::Oversize { topic, size, qos, packet_id: id }
        }))
    }
}
