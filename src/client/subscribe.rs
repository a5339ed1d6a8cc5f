//! Subscribing and unsubscribing by calls that cover several filters and end once.
//!
//! A call is open until each of its filters has its answer: from the server, or because a later call took the filter
//! back. A lost link alone answers nothing: the filters are asked for again on the next connection, and the
//! call ends then.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::handlers::{Callback, Entry, Identity};
use super::{Conn, Event, State};
use crate::error::Code;
use crate::rare::Empty;
use crate::session::{Answer, Ticket};
use crate::sync::MutexGuard;
use crate::time::Span;
use crate::wire::{QoS, topic};

/// What became of one filter of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterResult {
    /// The filter.
    pub filter: Arc<str>,
    /// The server's code as it sent it: the granted QoS, or 0x80 and above for a refusal. When unsubscribing, 0.
    /// `None` if there was no answer.
    pub code: Option<u8>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterResults {
    /// [`Code::Ok`] if every filter was answered, also if the answer was a refusal; [`Code::AckTimeout`] if one was not in
    /// time; [`Code::Cancelled`] if a later call took one back before; [`Code::Incomplete`] if the connection was freed.
    pub error: Code,
    /// The filters in the order of the call.
    pub filters: Vec<FilterResult>,
}

/// Who gets the messages of the filters of a call.
pub struct Subscriber {
    /// What names the subscription.
    pub identity: Identity,
    /// The kinds of events that it wants; 0 for a subscription whose messages go to the handlers of the
    /// connection.
    pub kinds: u32,
    /// Shared by all filters of the call, and dropped with the last of them.
    pub callback: Box<dyn Callback>,
}

/// One filter's part of a callback that several have.
struct Shared(Arc<dyn Callback>);

impl Callback for Shared {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        self.0.call(conn, event);
    }
    // A part that is given up does not give up the whole.
}

/// Who wants to know how a call ended.
enum Asker {
    /// A function, which runs on the thread that drives the loop.
    Callback(Option<Box<dyn Callback>>),
    /// A thread inside a wait, which takes the results out itself.
    Waiter,
}

struct Call {
    unsubscribe: bool,
    open: usize,
    results: FilterResults,
    asker: Asker,
}

/// The calls of a connection that did not end, or whose end was not told.
#[derive(Default)]
pub(super) struct Calls {
    last: u64,
    open: BTreeMap<u64, Call>,
    /// To be told, oldest first.
    ended: VecDeque<Call>,
}

impl Empty for Calls {
    const EMPTY: &'static Self = &Calls { last: 0, open: BTreeMap::new(), ended: VecDeque::new() };
}

impl Calls {
    fn begin<'f>(
        &mut self,
        unsubscribe: bool,
        filters: impl Iterator<Item = &'f str>,
        asker: Asker,
    ) -> (u64, Vec<Arc<str>>) {
        let filters: Vec<Arc<str>> = filters.map(Arc::from).collect();
        let results = FilterResults {
            error: Code::Ok,
            filters: filters.iter().map(|f| FilterResult { filter: f.clone(), code: None }).collect(),
        };
        self.last += 1;
        self.open.insert(self.last, Call { unsubscribe, open: filters.len(), results, asker });
        (self.last, filters)
    }

    /// True if somebody has to be told now.
    fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
        // Who gave up waiting is not there any more.
        let Some(call) = self.open.get_mut(&ticket.call) else { return false };
        match answer {
            Answer::Code(code) => {
                if let Some(result) = call.results.filters.get_mut(ticket.place as usize) {
                    result.code = Some(code);
                }
            }
            Answer::Superseded => call.results.error = Code::Cancelled,
            Answer::TimedOut => call.results.error = Code::AckTimeout,
            Answer::Abandoned => call.results.error = Code::Incomplete,
        }
        call.open = call.open.saturating_sub(1);
        if call.open > 0 {
            return false;
        }
        if let Asker::Callback(_) = call.asker
            && let Some(call) = self.open.remove(&ticket.call)
        {
            self.ended.push_back(call);
        }
        true
    }

    /// The results of a wait, once its call has ended.
    fn take_waited(&mut self, call: u64) -> Option<FilterResults> {
        if self.open.get(&call)?.open > 0 {
            return None;
        }
        self.open.remove(&call).map(|call| call.results)
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Gives back the room of the list if that is empty.
    pub(super) fn shrink(&mut self) {
        if self.ended.is_empty() {
            self.ended = VecDeque::new();
        }
    }
}

impl Conn {
    /// Subscribes to several filters: now if the connection is up, and after every CONNACK, in as few packets as
    /// possible. `done` is told once, by [`Event::Subscribed`]. On an error `subscriber` is disarmed, and `done`
    /// dropped untold.
    pub fn subscribe_all(
        &self,
        filters: &[(&str, QoS)],
        subscriber: Subscriber,
        done: Option<Box<dyn Callback>>,
    ) -> Result<(), Code> {
        self.begin_subscribe(filters, subscriber, Asker::Callback(done)).map(drop)
    }

    /// As [`subscribe_all`](Conn::subscribe_all), and waits for the answers. When the time is over the
    /// subscriptions stay.
    pub fn subscribe_wait(
        &self,
        filters: &[(&str, QoS)],
        subscriber: Subscriber,
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
        done: Option<Box<dyn Callback>>,
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

    fn begin_subscribe(
        &self,
        filters: &[(&str, QoS)],
        subscriber: Subscriber,
        asker: Asker,
    ) -> Result<u64, Code> {
        let Subscriber { identity, kinds, callback } = subscriber;
        let mut st = check(filters.iter().map(|(filter, _)| *filter))
            .and_then(|()| self.usable())
            .inspect_err(|_| callback.disarm())?;
        st.handlers.reserve(filters.len()).inspect_err(|_| callback.disarm())?;
        let callback: Arc<dyn Callback> = Arc::from(callback);
        self.clock(&mut st);
        let state = &mut *st;
        let (call, names) =
            state.seldom.make().calls.make().begin(false, filters.iter().map(|(filter, _)| *filter), asker);
        let mut doubles = Vec::new();
        for (place, (filter, (_, qos))) in (0..).zip(names.into_iter().zip(filters)) {
            let shared = Entry::new(identity, kinds, Box::new(Shared(callback.clone())));
            let (qos, double) = state.handlers.subscribe(&filter, *qos, shared);
            doubles.extend(double);
            let qos = state.cap_qos(qos);
            state.session.want(filter, qos, Some(Ticket { call, place }));
        }
        self.registered();
        if doubles.len() == filters.len() {
            // Every one of them exists already: those own the user data.
            callback.disarm();
        }
        state.session.ask();
        self.output_grew(&mut st);
        self.watch_answers(&mut st);
        self.take_answers(&mut st);
        drop(st);
        drop(doubles);
        Ok(call)
    }

    fn begin_unsubscribe(&self, filters: &[&str], identity: Identity, asker: Asker) -> Result<u64, Code> {
        check(filters.iter().copied())?;
        let mut st = self.usable()?;
        self.clock(&mut st);
        let state = &mut *st;
        // What nobody here subscribed to may be the server's from an earlier process.
        let kept = state.session.may_have_filters();
        let handlers = &mut state.handlers;
        let mut is_there =
            |filter: &&str| handlers.has(filter, identity) || kept && handlers.qos_of(filter).is_none();
        if !filters.iter().all(&mut is_there) {
            return Err(Code::NotFound);
        }
        let (call, names) = state.seldom.make().calls.make().begin(true, filters.iter().copied(), asker);
        let mut removed = Vec::new();
        for (place, filter) in (0..).zip(names) {
            let ticket = Ticket { call, place };
            // A filter that stands in the call twice is found once.
            let last = match state.handlers.unsubscribe(&filter, Some(identity)) {
                Some((entry, last)) => {
                    removed.extend(entry);
                    last
                }
                None => state.handlers.qos_of(&filter).is_none(),
            };
            if !last || !state.session.unwant(&filter, Some(ticket)) {
                // There is nothing that the server has to be told.
                self.answer(state, ticket, Answer::Code(0));
            }
        }
        state.session.ask();
        self.output_grew(&mut st);
        self.watch_answers(&mut st);
        self.take_answers(&mut st);
        drop(st);
        drop(removed);
        Ok(call)
    }

    fn wait_for_answers(&self, call: u64, timeout: Option<Span>) -> Result<FilterResults, Code> {
        let waited = self.wait_for_link(timeout, |st| {
            st.seldom.get_mut().and_then(|seldom| seldom.calls.get_mut())?.take_waited(call)
        });
        if waited.is_err() {
            let mut st = self.lock();
            st.seldom.make().calls.make().open.remove(&call);
            // Who tries again and again while there is no connection leaves nothing behind.
            st.session.forget_call(call);
        }
        waited
    }

    /// Takes what the session has to tell of filters.
    #[inline]
    pub(super) fn take_answers(&self, st: &mut State) {
        while let Some((ticket, answer)) = st.session.take_answer() {
            self.answer(st, ticket, answer);
        }
    }

    fn answer(&self, st: &mut State, ticket: Ticket, answer: Answer) {
        // A turn tells at its end; what ended outside of one needs one.
        let calls = st.seldom.get_mut().and_then(|seldom| seldom.calls.get_mut());
        if calls.is_some_and(|calls| calls.answer(ticket, answer)) && !st.in_turn {
            self.schedule(st);
        }
    }

    /// Tells of the calls that ended, as many as this turn has time for.
    pub(super) fn tell_ended<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while !st.pace.is_over()
            && let Some(call) = st
                .seldom
                .get_mut()
                .and_then(|seldom| seldom.calls.get_mut())
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
    pub(super) fn end_calls(&self, st: &mut State) {
        self.take_answers(st);
        if let Some(calls) = st.seldom.get_mut().and_then(|seldom| seldom.calls.get_mut()) {
            // The session answered for every filter; who waits inside a call learns it there.
            calls.ended.extend(std::mem::take(&mut calls.open).into_values());
        }
    }
}

impl Call {
    fn tell(self, conn: &Conn) {
        if let Asker::Callback(Some(done)) = &self.asker {
            let event = match self.unsubscribe {
                false => Event::Subscribed(&self.results),
                true => Event::Unsubscribed(&self.results),
            };
            done.call(conn, &event);
        }
    }
}

/// Whether filters can be asked for.
fn check<'f>(filters: impl ExactSizeIterator<Item = &'f str>) -> Result<(), Code> {
    if filters.len() == 0 || u32::try_from(filters.len()).is_err() {
        return Err(Code::BadArgument);
    }
    for filter in filters {
        topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
    }
    Ok(())
}
