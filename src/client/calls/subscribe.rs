//! Subscribing and unsubscribing by calls that cover several filters and end once.
//!
//! A call is open until each of its filters has its answer: from the server, or because a later call took the filter
//! back. A lost link alone does not end it: the filters are sent again on the next connection, and the call ends
//! then.

use std::sync::Arc;

use crate::client::Conn;
use crate::client::conn::{Entry, State};
use crate::client::handlers::callback::{Callback, Identity};
use crate::client::handlers::event::Event;
use crate::client::handlers::filter_results::FilterResults;
use crate::client::state::calls::{Asker, Subscriber};
use crate::client::state::over_limit::check_filter;
use crate::error::Code;
use crate::session::{Answer, Request, Ticket};
use crate::sync::MutexGuard;
use crate::time::Span;
use crate::wire::topic;

/// One filter's part of a callback that several have.
pub(in crate::client) struct Shared(Arc<dyn Callback<Conn>>);

impl Callback<Conn> for Shared {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        self.0.call(conn, event);
    }
    // A part that is disarmed does not disarm the whole.
}

impl Conn {
    /// Subscribes to several filters: now if the connection is up, and after every CONNACK, in as few packets as
    /// possible. `done` is told once, by [`Event::Subscribed`]. On an error `subscriber` is disarmed, and `done`
    /// dropped untold.
    pub fn subscribe_all<R: Clone + Into<Request>>(
        &self,
        filters: &[(&str, R)],
        subscriber: Subscriber<Conn>,
        done: Option<Box<dyn Callback<Conn>>>,
    ) -> Result<(), Code> {
        self.begin_subscribe(filters, subscriber, Asker::Callback(done)).map(drop)
    }

    /// As [`subscribe_all`](Conn::subscribe_all), and waits for the answers. When the time is over the
    /// subscriptions stay.
    pub fn subscribe_wait<R: Clone + Into<Request>>(
        &self,
        filters: &[(&str, R)],
        subscriber: Subscriber<Conn>,
        timeout: Option<Span>,
    ) -> Result<FilterResults, Code> {
        self.may_wait().inspect_err(|_| subscriber.callback.disarm())?;
        let call = self.begin_subscribe(filters, subscriber, Asker::Waiter)?;
        self.wait_for_answers(call, timeout)
    }

    /// Takes back the subscriptions of `identity` to these filters; the server is told of those that nobody else
    /// has. All of them, or none and [`Code::NotFound`]. `done` is told once, by [`Event::Unsubscribed`].
    /// A filter that nobody here subscribed to counts, if the server may have it from an earlier process.
    pub fn unsubscribe_all(
        &self,
        filters: &[&str],
        identity: Identity,
        done: Option<Box<dyn Callback<Conn>>>,
    ) -> Result<(), Code> {
        self.begin_unsubscribe(filters, identity, Asker::Callback(done)).map(drop)
    }

    /// As [`unsubscribe_all`](Conn::unsubscribe_all), and waits for the answers.
    pub fn unsubscribe_wait(
        &self,
        filters: &[&str],
        identity: Identity,
        timeout: Option<Span>,
    ) -> Result<FilterResults, Code> {
        self.may_wait()?;
        let call = self.begin_unsubscribe(filters, identity, Asker::Waiter)?;
        self.wait_for_answers(call, timeout)
    }

    fn begin_subscribe<R: Clone + Into<Request>>(
        &self,
        filters: &[(&str, R)],
        subscriber: Subscriber<Conn>,
        asker: Asker<Conn>,
    ) -> Result<u64, Code> {
        let Subscriber { identity, kinds, callback } = subscriber;
        let mut st = check(filters.iter().map(|(filter, _)| *filter))
            .and_then(|()| self.usable())
            .inspect_err(|_| callback.disarm())?;
        (filters.iter())
            .try_for_each(|(filter, request)| check_filter(&st.session, filter, &request.clone().into()))
            .inspect_err(|_| callback.disarm())?;
        st.handlers.reserve(filters.len()).inspect_err(|_| callback.disarm())?;
        let callback: Arc<dyn Callback<Conn>> = Arc::from(callback);
        self.clock(&mut st);
        let state = &mut *st;
        let (call, names) =
            state.extras.make().calls.make().begin(false, filters.iter().map(|(filter, _)| *filter), asker);
        let mut doubles = Vec::new();
        for (place, (filter, (_, request))) in (0..).zip(names.into_iter().zip(filters)) {
            let shared = Entry::new(identity, kinds, Box::new(Shared(callback.clone())));
            let (request, double) = state.register(&filter, request.clone().into(), shared);
            doubles.extend(double);
            state.session.desire(filter, request, Some(Ticket { call, place }));
        }
        self.registered();
        if doubles.len() == filters.len() {
            // Every one of them exists already: those own the user data.
            callback.disarm();
        }
        state.session.flush_subscriptions();
        self.output_grew(&mut st);
        self.watch_answers(&mut st);
        self.take_answers(&mut st);
        drop(st);
        drop(doubles);
        Ok(call)
    }

    fn begin_unsubscribe(
        &self,
        filters: &[&str],
        identity: Identity,
        asker: Asker<Conn>,
    ) -> Result<u64, Code> {
        check(filters.iter().copied())?;
        let mut st = self.usable()?;
        self.clock(&mut st);
        let state = &mut *st;
        // The server may hold a filter from an earlier process that nobody here subscribed to.
        let kept = state.session.may_have_filters();
        let handlers = &mut state.handlers;
        let mut is_there =
            |filter: &&str| handlers.has(filter, identity) || kept && handlers.qos_of(filter).is_none();
        if !filters.iter().all(&mut is_there) {
            return Err(Code::NotFound);
        }
        let (call, names) = state.extras.make().calls.make().begin(true, filters.iter().copied(), asker);
        let mut removed = Vec::new();
        for (place, filter) in (0..).zip(names) {
            let ticket = Ticket { call, place };
            // A filter that the call names twice is found once.
            let last = match state.handlers.unsubscribe(&filter, Some(identity)) {
                Some((entry, last)) => {
                    removed.extend(entry);
                    last
                }
                None => state.handlers.qos_of(&filter).is_none(),
            };
            if !last || !state.session.withdraw(&filter, Some(ticket)) {
                // The server need not be told anything.
                self.answer(state, ticket, Answer::Code(0));
            }
        }
        state.session.flush_subscriptions();
        self.output_grew(&mut st);
        self.watch_answers(&mut st);
        self.take_answers(&mut st);
        drop(st);
        drop(removed);
        Ok(call)
    }

    fn wait_for_answers(&self, call: u64, timeout: Option<Span>) -> Result<FilterResults, Code> {
        let waited = self.wait_for_link(timeout, |st| {
            st.extras.get_mut().and_then(|extras| extras.calls.get_mut())?.take_waited(call)
        });
        if waited.is_err() {
            let mut st = self.lock();
            st.extras.make().calls.make().open.remove(&call);
            // Trying again and again without a connection leaves nothing behind.
            st.session.forget_call(call);
        }
        waited
    }

    /// Takes what the session has to tell of filters.
    #[inline]
    pub(in crate::client) fn take_answers(&self, st: &mut State) {
        while let Some((ticket, answer)) = st.session.take_answer() {
            self.answer(st, ticket, answer);
        }
    }

    fn answer(&self, st: &mut State, ticket: Ticket, answer: Answer) {
        // A turn tells at its end; what ended outside of one needs one.
        let calls = st.extras.get_mut().and_then(|extras| extras.calls.get_mut());
        if calls.is_some_and(|calls| calls.answer(ticket, answer)) && !st.in_turn {
            self.schedule(st);
        }
    }

    /// Reports the calls that ended, as many as this turn has time for.
    pub(in crate::client) fn tell_ended<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        while !st.pace.is_over()
            && let Some(call) = st
                .extras
                .get_mut()
                .and_then(|extras| extras.calls.get_mut())
                .and_then(|calls| calls.ended.pop_front())
        {
            drop(st);
            call.tell(self);
            st = self.lock();
            self.ran(&mut st, 1);
        }
        st
    }

    /// Ends all calls: the connection is gone.
    pub(in crate::client) fn end_calls(&self, st: &mut State) {
        self.take_answers(st);
        if let Some(calls) = st.extras.get_mut().and_then(|extras| extras.calls.get_mut()) {
            // The session answered for every filter; threads that wait inside a call learn it
            // there.
            calls.ended.extend(std::mem::take(&mut calls.open).into_values());
        }
    }
}

/// Whether filters can be asked for.
pub(in crate::client) fn check<'f>(filters: impl ExactSizeIterator<Item = &'f str>) -> Result<(), Code> {
    if filters.len() == 0 || u32::try_from(filters.len()).is_err() {
        return Err(Code::BadArgument);
    }
    for filter in filters {
        topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
    }
    Ok(())
}
