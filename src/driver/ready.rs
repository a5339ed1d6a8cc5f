//! Who has work: the sources, the ready list, the deadlines, and whether the driver sleeps.
//!
//! All of it is behind one lock, held for a few instructions at a time and never while user code or
//! a system call runs. That keeps the wake-up protocol short enough to be understood:
//!
//! - The driver sets `asleep` under the lock, and only after it found under the same lock that
//!   there is nothing to do.
//! - Whoever adds work does so under the lock and clears `asleep` at the same time; only if it was
//!   set, the waker is written to, after unlocking. So no wake-up is lost, and a sleep costs at
//!   most one write.
//! - A *kick* asks the driver to end its iteration and check everything again. It stays until an iteration
//!   has consumed it, because it may come just before the driver falls asleep.
//!
//! A source that needs more than one turn for its work ([`Turn::again`](super::Turn::again)) is *later*: in each
//! iteration it comes after all sources that have just become ready or due, so that a busy source delays others by no
//! more than one turn. And an iteration is bounded in time: sources that it does not get to come first in the next one.
//!
//! Once the file descriptor was handed out (`watched`), the loop counts as asleep whenever nobody
//! drives it: then a foreign event loop may be sleeping, and the waker makes the descriptor
//! readable.

use std::collections::VecDeque;

use super::slots::{Pending, Readiness, Slots, SourceId};
use super::sync::{Mutex, MutexGuard};
use super::timers::Timers;
use crate::time::{Moment, Span, Time};

/// How long an iteration gives turns to sources that became ready or due, unless one turn takes
/// longer.
pub(crate) const LONG_SLICE: Span = Span::millis(8);

/// And how long to those that asked for another turn; at least one of them gets it.
pub(crate) const SHORT_SLICE: Span = Span::micros(500);

/// Ends the driver's sleep; what [`mio::Waker`] does, or a model of it.
pub(crate) trait Wake {
    /// Makes the present or the next sleep return at once.
    fn wake(&self);
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ready<T, W> {
    state: Mutex<State<T>>,
    waker: W,
}

#[derive(Debug)]
struct State<T> {
    slots: Slots<T>,
    timers: Timers,
    /// Sources that became ready or due, or were scheduled; exactly those that are `Pending::Soon`.
    soon: VecDeque<SourceId>,
    /// Sources that asked for another turn; exactly those that are `Pending::Later`.
    later: VecDeque<SourceId>,
    /// What is left of the present iteration.
    iteration: Iteration,
    every_iteration: Vec<SourceId>,
    every_begin: Vec<SourceId>,
    /// A write to the waker is needed to be noticed.
    asleep: bool,
    kicked: bool,
    watched: bool,
    /// Somebody has the driver's role.
    driven: bool,
    /// The system had more events than the last iteration could take.
    more: bool,
    closed: bool,
    /// A foreign loop asked how long it may sleep, and may be asleep.
    asked: bool,
    /// The deadline that it was told.
    told: Option<Time>,
}

/// Who gets a turn in the present iteration: that many of the first ones of each list.
#[derive(Debug)]
struct Iteration {
    soon: usize,
    later: usize,
    /// When it is over for those of the list that it is at; never, if it goes through all of them.
    until: Time,
    /// It has come to the later ones.
    is_late: bool,
}

impl Iteration {
    /// Nobody has a turn left in it.
    fn is_over(&self) -> bool {
        self.soon == 0 && self.later == 0
    }
}

/// What a source needs for its turn.
#[derive(Debug)]
pub(crate) struct Begun<T> {
    /// The source.
    pub(crate) value: T,
    /// The readiness of its socket.
    pub(crate) ready: Readiness,
    /// Its deadline, which has not come yet.
    pub(crate) deadline: Moment,
    /// The time at which it begins.
    pub(crate) now: Time,
}

/// Where an iteration goes on.
#[derive(Debug)]
pub(crate) struct Next<T> {
    /// The next turn of the iteration, begun.
    pub(crate) turn: Option<(SourceId, Begun<T>)>,
    /// Whether any source wants to know the end of the iteration.
    pub(crate) ticks: bool,
}

/// An event of the system.
pub(crate) type Event = (SourceId, Readiness);

impl<T: Clone, W: Wake> Ready<T, W> {
    /// No sources, nothing to do.
    pub(crate) fn new(waker: W) -> Ready<T, W> {
        let state = State {
            slots: Slots::new(),
            timers: Timers::default(),
            soon: VecDeque::new(),
            later: VecDeque::new(),
            iteration: Iteration { soon: 0, later: 0, until: Time::NEVER, is_late: false },
            every_iteration: Vec::new(),
            every_begin: Vec::new(),
            asleep: false,
            kicked: false,
            watched: false,
            driven: false,
            more: false,
            closed: false,
            asked: false,
            told: None,
        };
        Ready { state: Mutex::new(state), waker }
    }

    // ---- from any thread ----

    /// Adds a source; gives it back if the loop is closed, or the table or the memory is full.
    pub(crate) fn add(&self, value: T) -> Result<SourceId, T> {
        let mut state = self.state.lock();
        let state = &mut *state;
        // The room that scheduling and timers will need, so that they cannot fail later.
        let places = state.slots.places() + 1;
        let missing = |len: usize| places.saturating_sub(len);
        let every = missing(state.every_iteration.len());
        let room = (state.soon.try_reserve(missing(state.soon.len())))
            .and_then(|()| state.later.try_reserve(missing(state.later.len())))
            .and_then(|()| state.every_iteration.try_reserve(every))
            .and_then(|()| state.timers.reserve(places));
        if state.closed || room.is_err() {
            return Err(value);
        }
        state.slots.insert(value)
    }

    /// Takes a source out: it gets no further turn. The caller drops it, with no lock held.
    pub(crate) fn remove(&self, id: SourceId) -> Option<T> {
        let mut state = self.state.lock();
        let slot = state.slots.remove(id)?;
        if slot.deadline != Moment::NONE {
            state.timers.set(id, None);
        }
        if slot.every_iteration {
            state.every_iteration.retain(|&other| other != id);
        }
        if slot.every_begin {
            state.every_begin.retain(|&other| other != id);
        }
        state.unlist(id, slot.pending);
        Some(slot.value)
    }

    /// The source gets a turn soon.
    pub(crate) fn schedule(&self, id: SourceId) {
        let mut state = self.state.lock();
        if state.list(id) {
            self.rouse(state);
        }
    }

    /// The source's stream, which has no socket, became ready.
    pub(crate) fn announce(&self, id: SourceId, what: Readiness) {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(id) else { return };
        slot.ready.add(what);
        if state.list(id) {
            self.rouse(state);
        }
    }

    /// Whether the source wants to know the end of each iteration.
    pub(crate) fn set_every_iteration(&self, id: SourceId, on: bool) {
        let mut state = self.state.lock();
        let Some(slot) = state.slots.get_mut(id) else { return };
        if slot.every_iteration == on {
            return;
        }
        slot.every_iteration = on;
        if on {
            state.every_iteration.push(id);
        } else {
            state.every_iteration.retain(|&other| other != id);
        }
    }

    /// The source is told of the beginning of each iteration, for as long as it exists. False without memory for
    /// that.
    pub(crate) fn set_every_begin(&self, id: SourceId) -> bool {
        let mut state = self.state.lock();
        if state.every_begin.try_reserve(1).is_err() {
            return false;
        }
        let Some(slot) = state.slots.get_mut(id) else { return false };
        if !std::mem::replace(&mut slot.every_begin, true) {
            state.every_begin.push(id);
        }
        true
    }

    /// Makes the present or the next iteration end without sleeping.
    pub(crate) fn kick(&self) {
        let mut state = self.state.lock();
        state.kicked = true;
        self.rouse(state);
    }

    /// Writes to the waker whether anybody sleeps or not.
    pub(crate) fn wake_fd(&self) {
        self.waker.wake();
    }

    /// From now on somebody may be asleep on the file descriptor while nobody drives.
    pub(crate) fn watch(&self) {
        let mut state = self.state.lock();
        state.watched = true;
        if !state.driven {
            state.asleep = true;
        }
    }

    /// How long a foreign loop may sleep: zero if there is work, `None` for ever. Also for ever if
    /// somebody other than the caller drives at this moment (`driver`: whether the caller drives):
    /// coming back at once would mean spinning. See [`rest`](Self::rest).
    pub(crate) fn next_timeout(&self, now: Time, driver: bool) -> Option<Span> {
        let mut state = self.state.lock();
        state.asked = true;
        let busy = state.driven && !driver;
        state.told = if busy { None } else { state.timers.next() };
        if !busy && state.unfinished() { Some(Span::ZERO) } else { state.told.map(|at| at.since(now)) }
    }

    /// Whether a source waits for a turn.
    pub(crate) fn has_work(&self) -> bool {
        self.state.lock().has_work()
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Ends everything: returns all sources, and accepts no new ones.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut state = self.state.lock();
        state.closed = true;
        state.watched = false;
        state.asleep = false;
        state.timers.clear();
        state.soon.clear();
        state.later.clear();
        state.every_iteration.clear();
        state.every_begin.clear();
        state.slots.drain()
    }

    // ---- with the driver's role ----

    /// Somebody took the driver's role and may do something else before its first iteration. `processing`: a foreign
    /// loop, which will ask again how long it may sleep.
    pub(crate) fn driven(&self, processing: bool) {
        let mut state = self.state.lock();
        state.driven = true;
        state.asleep = false;
        if processing {
            state.asked = false;
        }
    }

    /// The driver is about to give its role back. True if a foreign loop sleeps on an answer that is
    /// no longer right: something is unfinished, or due earlier than it was told. It must be woken
    /// then, which this asks for only once.
    pub(crate) fn rest(&self) -> bool {
        let mut state = self.state.lock();
        state.driven = false;
        state.asleep = state.watched;
        if !state.asked {
            return false;
        }
        let sooner = match (state.timers.next(), state.told) {
            (Some(next), Some(told)) => next < told,
            (next, told) => next.is_some() && told.is_none(),
        };
        let wrong = sooner || state.unfinished();
        state.asked = !wrong;
        wrong
    }

    /// The sources that want to know the beginning of each iteration: the one at this place of their list.
    pub(crate) fn every_begin(&self, at: usize) -> Option<T> {
        let mut state = self.state.lock();
        let id = *state.every_begin.get(at)?;
        state.slots.get_mut(id).map(|slot| slot.value.clone())
    }

    /// How long the driver may sleep, at most `limit`. It must then sleep, and call
    /// [`after_sleep`](Self::after_sleep).
    pub(crate) fn before_sleep(&self, now: Time, limit: Option<Span>) -> Option<Span> {
        let mut state = self.state.lock();
        state.driven = true;
        let until_due = state.timers.next().map(|at| at.since(now));
        let kicked = std::mem::take(&mut state.kicked);
        let timeout = if kicked || state.has_work() {
            Some(Span::ZERO)
        } else {
            until_due.map_or(limit, |due| Some(limit.map_or(due, |limit| limit.min(due))))
        };
        state.asleep = timeout != Some(Span::ZERO);
        timeout
    }

    /// Collects who gets a turn in this iteration, and begins the first one: who was left over by the last iteration or
    /// scheduled since, what is due, `events`, and at last those that asked for another turn. An iteration that is not
    /// `bounded` goes through all of them, however long that takes. With `room` events, of which some may be none of a
    /// source, the system may have further ones.
    pub(crate) fn after_sleep(
        &self,
        now: Time,
        room: usize,
        events: impl Iterator<Item = Option<Event>>,
        bounded: bool,
    ) -> Next<T> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.asleep = false;
        while let Some(id) = state.timers.pop_due(now) {
            if let Some(slot) = state.slots.get_mut(id) {
                slot.deadline = Moment::NONE;
                // A source that is due does not wait for busy ones.
                if slot.pending == Pending::Later {
                    slot.pending = Pending::No;
                    state.unlist(id, Pending::Later);
                }
                state.list(id);
            }
        }
        // Most often one source is ready and no other waits: it need not be put into the list.
        let mut first = None;
        let mut taken = 0;
        for event in events {
            taken += 1;
            if let Some((id, what)) = event
                && let Some(slot) = state.slots.get_mut(id)
            {
                slot.ready.add(what);
                if slot.pending == Pending::No {
                    slot.pending = Pending::Soon;
                    if first.is_none() && state.soon.is_empty() {
                        first = Some(id);
                    } else {
                        state.soon.push_back(id);
                    }
                }
            }
        }
        state.more = taken >= room;
        let until = if bounded { now + LONG_SLICE } else { Time::NEVER };
        let (soon, later) = (state.soon.len(), state.later.len());
        state.iteration = Iteration { soon, later, until, is_late: false };
        match first.and_then(|id| state.begin(id, now)) {
            Some(next) => next,
            None => state.next(now),
        }
    }

    /// Ends a source's turn, and begins the next one of the iteration. `now` is asked if there may be one.
    pub(crate) fn end(&self, id: SourceId, deadline: Moment, again: bool, now: &dyn Fn() -> Time) -> Next<T> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(slot) = state.slots.get_mut(id) {
            if slot.deadline != deadline {
                slot.deadline = deadline;
                state.timers.set(id, deadline.get());
            }
            if again {
                state.list_later(id);
            }
        }
        match state.iteration.is_over() {
            true => state.nobody(),
            false => state.next(now()),
        }
    }

    /// Begins the call for the end of an iteration: readiness is left for the next turn.
    pub(crate) fn begin_round_end(&self, id: SourceId, now: Time) -> Option<Begun<T>> {
        let mut state = self.state.lock();
        let slot = state.slots.get_mut(id).filter(|slot| slot.every_iteration)?;
        let (value, deadline) = (slot.value.clone(), slot.deadline);
        Some(Begun { value, ready: Readiness::default(), deadline, now })
    }

    /// The sources that want to know the end of each iteration.
    pub(crate) fn every_iteration(&self, into: &mut Vec<SourceId>) {
        into.clear();
        let state = self.state.lock();
        // Without memory, some miss the end of this iteration; it is a tick, not a message.
        let _ = into.try_reserve(state.every_iteration.len());
        let room = state.every_iteration.len().min(into.capacity());
        into.extend_from_slice(&state.every_iteration[..room]);
    }

    /// Writes to the waker if somebody sleeps, after unlocking.
    fn rouse(&self, mut state: MutexGuard<'_, State<T>>) {
        let wake = std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.waker.wake();
        }
    }
}

impl<T: Clone> State<T> {
    /// Begins the turn of the next source of the iteration that is still there.
    #[inline(always)]
    fn next(&mut self, now: Time) -> Next<T> {
        while let Some(id) = self.pop(now) {
            if let Some(next) = self.begin(id, now) {
                return next;
            }
        }
        // The iteration is over: what follows belongs to none.
        (self.iteration.soon, self.iteration.later) = (0, 0);
        self.nobody()
    }

    /// Begins the turn of a source, if it is still there.
    #[inline(always)]
    fn begin(&mut self, id: SourceId, now: Time) -> Option<Next<T>> {
        let slot = self.slots.get_mut(id)?;
        slot.pending = Pending::No;
        let (value, ready) = (slot.value.clone(), std::mem::take(&mut slot.ready));
        let begun = Begun { value, ready, deadline: slot.deadline, now };
        Some(Next { turn: Some((id, begun)), ticks: !self.every_iteration.is_empty() })
    }

    fn nobody(&self) -> Next<T> {
        Next { turn: None, ticks: !self.every_iteration.is_empty() }
    }
}

impl<T> State<T> {
    /// Who is next, unless the iteration is over.
    fn pop(&mut self, now: Time) -> Option<SourceId> {
        let iteration = &mut self.iteration;
        if iteration.soon > 0 {
            if now < iteration.until {
                iteration.soon -= 1;
                return self.soon.pop_front();
            }
            // They are the first of the next one.
            iteration.soon = 0;
        }
        if iteration.later == 0 {
            return None;
        }
        if !iteration.is_late {
            iteration.is_late = true;
            if iteration.until != Time::NEVER {
                iteration.until = now + SHORT_SLICE;
            }
        } else if now >= iteration.until {
            return None;
        }
        iteration.later -= 1;
        self.later.pop_front()
    }

    /// The source gets a turn among the first; false if it was to have one already, or is no more.
    fn list(&mut self, id: SourceId) -> bool {
        match self.slots.get_mut(id) {
            Some(slot) if slot.pending == Pending::No => {
                slot.pending = Pending::Soon;
                self.soon.push_back(id);
                true
            }
            _ => false,
        }
    }

    /// The source gets a turn after the others.
    fn list_later(&mut self, id: SourceId) {
        if let Some(slot) = self.slots.get_mut(id)
            && slot.pending == Pending::No
        {
            slot.pending = Pending::Later;
            self.later.push_back(id);
        }
    }

    /// The source is in this list no more.
    fn unlist(&mut self, id: SourceId, pending: Pending) {
        let (list, left) = match pending {
            Pending::No => return,
            Pending::Soon => (&mut self.soon, &mut self.iteration.soon),
            Pending::Later => (&mut self.later, &mut self.iteration.later),
        };
        if let Some(at) = list.iter().position(|&other| other == id) {
            list.remove(at);
            *left -= usize::from(at < *left);
        }
    }

    fn has_work(&self) -> bool {
        !self.soon.is_empty() || !self.later.is_empty()
    }

    fn unfinished(&self) -> bool {
        self.more || self.has_work()
    }
}
