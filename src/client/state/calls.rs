//! Calls for several filters that have not ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::client::handlers::callback::{Callback, Identity};
use crate::client::handlers::event::Event;
use crate::client::handlers::filter_results::{FilterResult, FilterResults};
use crate::error::Code;
use crate::lazy_box::Empty;
use crate::session::{Answer, Ticket};

/// Who gets the messages of the filters of a call.
pub struct Subscriber<C> {
    /// What names the subscription.
    pub identity: Identity,
    /// The kinds of events that it wants; 0 for a subscription whose messages go to the handlers of the
    /// connection.
    pub kinds: u32,
    /// Shared by all filters of the call, and dropped with the last of them.
    pub callback: Box<dyn Callback<C>>,
}

/// Who wants to know how a call ended.
pub(in crate::client) enum Asker<C> {
    /// A function, which runs on the thread that drives the loop.
    Callback(Option<Box<dyn Callback<C>>>),
    /// A thread inside a wait, which takes the results out itself.
    Waiter,
}

pub(in crate::client) struct Call<C> {
    pub(in crate::client) unsubscribe: bool,
    pub(in crate::client) open: usize,
    pub(in crate::client) results: FilterResults,
    pub(in crate::client) asker: Asker<C>,
}

/// The calls of a connection that did not end, or whose end was not told.
pub(in crate::client) struct Calls<C> {
    pub(in crate::client) last: u64,
    pub(in crate::client) open: BTreeMap<u64, Call<C>>,
    /// To be told, oldest first.
    pub(in crate::client) ended: VecDeque<Call<C>>,
}

impl<C> Default for Calls<C> {
    fn default() -> Self {
        Calls { last: 0, open: BTreeMap::new(), ended: VecDeque::new() }
    }
}

impl<C: 'static> Empty for Calls<C> {
    const EMPTY: &'static Self = &Calls { last: 0, open: BTreeMap::new(), ended: VecDeque::new() };
}

impl<C> Calls<C> {
    pub(in crate::client) fn begin<'f>(
        &mut self,
        unsubscribe: bool,
        filters: impl Iterator<Item = &'f str>,
        asker: Asker<C>,
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
    pub(in crate::client) fn answer(&mut self, ticket: Ticket, answer: Answer) -> bool {
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
    pub(in crate::client) fn take_waited(&mut self, call: u64) -> Option<FilterResults> {
        if self.open.get(&call)?.open > 0 {
            return None;
        }
        self.open.remove(&call).map(|call| call.results)
    }

    pub(in crate::client) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Gives back the room of the list if that is empty.
    pub(in crate::client) fn shrink(&mut self) {
        if self.ended.is_empty() {
            self.ended = VecDeque::new();
        }
    }
}

impl<C> Call<C> {
    pub(in crate::client) fn tell(self, conn: &C) {
        if let Asker::Callback(Some(done)) = &self.asker {
            let event = match self.unsubscribe {
                false => Event::Subscribed(&self.results),
                true => Event::Unsubscribed(&self.results),
            };
            done.call(conn, &event);
        }
    }
}
