//! The outcomes of publishes: who is told, who waits, and what is remembered.
//!
//! The session ends each accepted publish exactly once. From there its completion goes three ways: into the
//! history, to those who wait for it, both at once and under the lock; and to its listener and the handlers
//! of [`Event::Outcome`], in the next turn of the loop and without the lock.

use std::cell::Cell;

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::{Event, Kind};
use crate::client::state::outcomes::{Listener, OnTimeout, Waiter};
use crate::error::Code;
use crate::session::{Known, Outcome, Publication};
use crate::sync::MutexGuard;
use crate::time::Span;

impl Conn {
    /// As [`publish`](Conn::publish), and `listener` is told how it ended. On an error it is not called.
    /// `token` is set before the listener can be called, on whatever thread.
    pub fn publish_with(
        &self,
        message: Publication<'_>,
        listener: Option<Listener<Conn>>,
        token: &Cell<u64>,
    ) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.accept_with(&mut st, message, listener, token)?;
        self.set_off(&mut st);
        Ok(())
    }

    pub(in crate::client) fn accept_with(
        &self,
        st: &mut State,
        message: Publication<'_>,
        listener: Option<Listener<Conn>>,
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
        listener: Option<Listener<Conn>>,
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
        // Before `set_off`: its outcome may be there when that returns.
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

    /// Cancels a message that has not been sent yet: its outcome is [`Outcome::Cancelled`]. Otherwise
    /// [`Code::AlreadySent`], or [`Code::NotFound`] if it already has its outcome.
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
    pub(in crate::client) fn settle(&self, st: &mut State) {
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
    pub(in crate::client) fn tell_outcomes<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        // Outcomes that the callbacks cause come in the next turn.
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
            st = self.tell(st, |h, recipients| h.connection(Kind::Outcome, recipients), &event);
        }
        st
    }
}

impl State {
    /// Whether handlers want to be told of every outcome.
    pub(in crate::client) fn want_outcomes(&mut self, wanted: bool) {
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
