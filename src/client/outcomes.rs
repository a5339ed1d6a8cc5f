//! How publishes ended: who is told, who waits, and what is remembered.
//!
//! The session ends each accepted publish exactly once. From there its completion goes three ways: into the
//! history, to those who wait for it, both at once and under the lock; and to its listener and the handlers
//! of [`Event::Outcome`], in the next turn of the loop and without the lock.

use std::cell::Cell;
use std::sync::atomic::AtomicPtr;

use super::event::{Event, Kind};
use super::{Conn, State};
use crate::error::Code;
use crate::rare::{Empty, Rare};
use crate::session::{Known, Outcome, Publication};
use crate::sync::MutexGuard;
use crate::time::Span;

/// What a listener has for itself: pointers that are only passed on.
pub type Words = [*mut (); 3];

/// Is told how one publish ended: exactly once, on the thread that drives the loop, with no lock held. It is
/// plain data, so that a publish with a listener allocates no more than one without.
pub struct Listener {
    tell: fn(&Conn, &Event<'_>, Words),
    words: [AtomicPtr<()>; 3],
}

impl Listener {
    /// A function and what it is given.
    pub fn new(tell: fn(&Conn, &Event<'_>, Words), words: Words) -> Listener {
        Listener { tell, words: words.map(AtomicPtr::new) }
    }

    fn call(self, conn: &Conn, event: &Event<'_>) {
        (self.tell)(conn, event, self.words.map(AtomicPtr::into_inner));
    }
}

/// What becomes of a message whose outcome was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// It stays accepted, and is sent when that is possible.
    Keep,
    /// It is cancelled, unless it is on its way already.
    Cancel,
}

/// A place for a listener.
enum Place {
    /// The next free place; [`NO_PLACE`] after the last.
    Free(u32),
    Taken(Listener),
}

const NO_PLACE: u32 = u32::MAX;

/// A thread that waits for an outcome.
struct Waiter {
    ticket: u64,
    token: u64,
    outcome: Option<Outcome>,
}

/// What a connection keeps about its publishes beside the session.
#[derive(Default)]
pub(super) struct Outcomes {
    /// Made by the first who wants to know how one message ends.
    asked: Rare<Asked>,
    /// How many messages of the session had ended when they were settled last.
    ended: u64,
    /// So many of the session's completions were shown to the waiters already, and are still to be told.
    to_be_told: u32,
    /// Some handler of the connection wants all of them.
    wanted: bool,
}

/// Who wants to know how one message ends.
struct Asked {
    /// The cookie of a message is the place of its listener, plus one.
    listeners: Vec<Place>,
    free: u32,
    waiters: Vec<Waiter>,
    last_ticket: u64,
}

impl Asked {
    const fn new() -> Asked {
        Asked { listeners: Vec::new(), free: NO_PLACE, waiters: Vec::new(), last_ticket: 0 }
    }
}

impl Default for Asked {
    fn default() -> Asked {
        Asked::new()
    }
}

impl Empty for Asked {
    const EMPTY: &'static Self = &Asked::new();
}

impl Outcomes {
    /// Whether [`Conn::tell_outcomes`] has something to do.
    pub(super) fn are_waiting(&self) -> bool {
        self.to_be_told > 0
    }

    fn add_listener(&mut self, listener: Listener) -> Result<u32, Code> {
        let Asked { listeners, free, .. } = self.asked.try_make()?;
        if *free == NO_PLACE {
            listeners.try_reserve(1).map_err(|_| Code::NoMemory)?;
            listeners.push(Place::Taken(listener));
            return Ok(listeners.len() as u32);
        }
        let at = *free;
        let place = &mut listeners[at as usize];
        if let Place::Free(next) = std::mem::replace(place, Place::Taken(listener)) {
            *free = next;
        }
        Ok(at + 1)
    }

    fn take_listener(&mut self, cookie: u32) -> Option<Listener> {
        let at = cookie.checked_sub(1)?;
        let Asked { listeners, free, .. } = self.asked.get_mut()?;
        match std::mem::replace(&mut listeners[at as usize], Place::Free(*free)) {
            Place::Taken(listener) => {
                *free = at;
                Some(listener)
            }
            Place::Free(_) => None,
        }
    }

    /// Gives back the places of listeners and waiters if there are none.
    pub(super) fn shrink(&mut self) {
        let Some(asked) = self.asked.get_mut() else { return };
        if asked.listeners.iter().all(|place| matches!(place, Place::Free(_))) {
            asked.listeners = Vec::new();
            asked.free = NO_PLACE;
        }
        if asked.waiters.is_empty() {
            asked.waiters = Vec::new();
        }
    }

    /// Whether the session has to tell of every message that ended, not only of those with a listener.
    fn want_all(&self) -> bool {
        self.wanted || !self.asked.waiters.is_empty()
    }

    fn tell_waiters(&mut self, token: u64, outcome: Outcome) {
        let waiters = self.asked.get_mut().map(|asked| asked.waiters.iter_mut());
        for waiter in waiters.into_iter().flatten().filter(|waiter| waiter.token == token) {
            waiter.outcome = Some(outcome);
        }
    }

    /// Makes sure that another [waiter can be added](Self::add_waiter).
    fn reserve_waiter(&mut self) -> Result<(), Code> {
        self.asked.try_make()?.waiters.try_reserve(1).map_err(|_| Code::NoMemory)
    }

    fn add_waiter(&mut self, token: u64, outcome: Option<Outcome>) -> u64 {
        let Asked { waiters, last_ticket, .. } = &mut *self.asked;
        *last_ticket += 1;
        waiters.push(Waiter { ticket: *last_ticket, token, outcome });
        *last_ticket
    }
}

impl Conn {
    /// As [`publish`](Conn::publish), and `listener` is told how it ended. On an error it is not called.
    /// `token` is set before the listener can be called, on whatever thread.
    pub fn publish_with(
        &self,
        message: Publication<'_>,
        listener: Option<Listener>,
        token: &Cell<u64>,
    ) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.accept_with(&mut st, message, listener, token)?;
        self.set_off(&mut st);
        Ok(())
    }

    fn accept_with(
        &self,
        st: &mut State,
        message: Publication<'_>,
        listener: Option<Listener>,
        token: &Cell<u64>,
    ) -> Result<(), Code> {
        let cookie = listener.map_or(Ok(0), |listener| st.outcomes.add_listener(listener))?;
        let accepted = self.accept(st, Publication { cookie, ..message }).inspect_err(|_| {
            st.outcomes.take_listener(cookie);
        })?;
        token.set(accepted.token);
        Ok(())
    }

    /// Publishes and waits for the outcome, at most `timeout` (`None`: without limit). `on_timeout` says what
    /// becomes of the message when the time is over. `token` is set if the message was accepted, whatever
    /// comes then.
    pub fn publish_wait(
        &self,
        message: Publication<'_>,
        listener: Option<Listener>,
        timeout: Option<Span>,
        on_timeout: OnTimeout,
        token: &Cell<u64>,
    ) -> Result<Outcome, Code> {
        if self.context.driver.is_busy_here() {
            return Err(Code::Busy);
        }
        let mut st = self.usable()?;
        st.outcomes.reserve_waiter()?;
        self.accept_with(&mut st, message, listener, token)?;
        // Before it is set off: its outcome may be there when that returns.
        let ticket = st.outcomes.add_waiter(token.get(), None);
        st.tell_completions();
        self.set_off(&mut st);
        drop(st);
        let outcome = self.wait_for_ticket(ticket, timeout);
        match (outcome, on_timeout) {
            (Err(Code::TimedOut), OnTimeout::Cancel) => self.cancel(token.get()).and(outcome).or(outcome),
            _ => outcome,
        }
    }

    /// Waits until a message has its outcome.
    pub fn wait_outcome(&self, token: u64, timeout: Option<Span>) -> Result<Outcome, Code> {
        if self.context.driver.is_busy_here() {
            return Err(Code::Busy);
        }
        let mut st = self.usable()?;
        st.outcomes.reserve_waiter()?;
        let outcome = st.outcome(token)?;
        let ticket = st.outcomes.add_waiter(token, outcome);
        st.tell_completions();
        drop(st);
        self.wait_for_ticket(ticket, timeout)
    }

    fn wait_for_ticket(&self, ticket: u64, timeout: Option<Span>) -> Result<Outcome, Code> {
        let mine = |waiter: &Waiter| waiter.ticket == ticket;
        let outcome = self.wait_for_link(timeout, |st| {
            st.outcomes.asked.waiters.iter().find(|w| mine(w)).and_then(|w| w.outcome)
        });
        let mut st = self.lock();
        st.outcomes.asked.waiters.retain(|waiter| !mine(waiter));
        st.tell_completions();
        drop(st);
        outcome
    }

    /// How a message ended; `None` as long as it did not. [`Code::Forgotten`] if that is too long ago,
    /// [`Code::NotFound`] if there never was such a token.
    pub fn outcome(&self, token: u64) -> Result<Option<Outcome>, Code> {
        self.usable()?.outcome(token)
    }

    /// Gives a message up that is not on its way yet: its outcome is [`Outcome::Cancelled`]. Otherwise
    /// [`Code::AlreadySent`], or [`Code::NotFound`] when it has its outcome already.
    pub fn cancel(&self, token: u64) -> Result<(), Code> {
        let mut st = self.usable()?;
        st.session.cancel(token)?;
        self.settle(&mut st);
        Ok(())
    }

    /// Waits until every message that was accepted before has its outcome.
    pub fn wait_all(&self, timeout: Option<Span>) -> Result<(), Code> {
        if self.context.driver.is_busy_here() {
            return Err(Code::Busy);
        }
        let accepted = self.usable()?.session.accepted();
        self.wait_for_link(timeout, |st| st.session.all_ended(accepted).then_some(()))
    }

    /// The token of an outstanding message by its packet id.
    pub fn token_of(&self, packet_id: u16) -> Result<u64, Code> {
        self.usable()?.session.token_of(packet_id).ok_or(Code::NotFound)
    }

    /// Takes what the session has to tell: outcomes, and answers about filters.
    #[inline]
    pub(super) fn settle(&self, st: &mut State) {
        self.take_answers(st);
        if st.session.ended() != st.outcomes.ended {
            self.settle_ended(st);
        }
    }

    #[inline(never)]
    fn settle_ended(&self, st: &mut State) {
        let state = &mut *st;
        state.outcomes.ended = state.session.ended();
        while let Some(ended) = state.session.completion(state.outcomes.to_be_told as usize) {
            state.outcomes.tell_waiters(ended.token, ended.outcome);
            if state.outcomes.to_be_told == 0 && ended.cookie == 0 && !state.outcomes.wanted {
                state.session.take_completion();
            } else {
                state.outcomes.to_be_told += 1;
            }
        }
        if !st.in_turn {
            // A turn tells, and notifies at its end.
            self.context.driver.notify();
            if st.outcomes.are_waiting() {
                self.schedule(st);
            }
        }
    }

    /// Tells the listeners, and the handlers of [`Event::Outcome`].
    pub(super) fn tell_outcomes<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        // Those that the callbacks bring about come in the next turn.
        for _ in 0..st.outcomes.to_be_told {
            if st.pace.is_over() {
                break;
            }
            let Some(ended) = st.session.take_completion() else { break };
            st.outcomes.to_be_told -= 1;
            let event = Event::Outcome(ended);
            if let Some(listener) = st.outcomes.take_listener(ended.cookie) {
                drop(st);
                listener.call(self, &event);
                st = self.lock();
                self.ran(&mut st, 1);
            }
            st = self.tell(st, |h, called| h.connection(Kind::Outcome, called), &event);
        }
        st
    }
}

impl State {
    /// Whether handlers want to be told of every outcome.
    pub(super) fn want_outcomes(&mut self, wanted: bool) {
        self.outcomes.wanted = wanted;
        self.tell_completions();
    }

    fn tell_completions(&mut self) {
        self.session.tell_all_completions(self.outcomes.want_all());
    }

    fn outcome(&mut self, token: u64) -> Result<Option<Outcome>, Code> {
        match self.session.look_up(token) {
            Known::Outstanding => Ok(None),
            Known::Ended => self.session.remembered(token).map(Some).ok_or(Code::Forgotten),
            Known::Never => Err(Code::NotFound),
        }
    }
}
