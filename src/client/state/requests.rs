//! Requests that have no response yet.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::client::state::outcomes::Listener;
use crate::error::Code;
use crate::lazy_box::Empty;
use crate::time::Time;

/// A request that was sent, or waits to be.
pub(in crate::client) struct Asked<C> {
    /// The message that it is.
    pub(in crate::client) token: u64,
    /// It ends then.
    pub(in crate::client) deadline: Option<Time>,
    /// It ends with the link.
    pub(in crate::client) ends_with_link: bool,
    /// The filter under which its response comes.
    pub(in crate::client) filter: Arc<str>,
    /// Is told of its end, once.
    pub(in crate::client) listener: Listener<C>,
}

/// How a request ended without a response.
pub(in crate::client) struct Unanswered<C> {
    pub(in crate::client) id: u64,
    pub(in crate::client) error: Code,
    pub(in crate::client) listener: Listener<C>,
}

/// A filter under which responses come, and how many are awaited there.
struct Inbox {
    filter: Arc<str>,
    open: usize,
}

/// The requests of a connection.
pub(in crate::client) struct Requests<C> {
    /// What this connection is called in topics. It and the numbers begin anywhere, so that a response to a request of an
    /// earlier process is not mistaken for one of this; 0 as long as there was no request.
    pub(in crate::client) name: u64,
    last: u64,
    open: HashMap<u64, Asked<C>, FxBuildHasher>,
    deadlines: BTreeSet<(Time, u64)>,
    /// The one that was used last is the last: it stays, however few are awaited.
    inboxes: Vec<Inbox>,
    /// To be told, oldest first.
    ended: VecDeque<Unanswered<C>>,
}

impl<C> Requests<C> {
    const NONE: Self = Requests {
        name: 0,
        last: 0,
        open: HashMap::with_hasher(FxBuildHasher),
        deadlines: BTreeSet::new(),
        inboxes: Vec::new(),
        ended: VecDeque::new(),
    };

    /// Names the connection, and says where numbers begin.
    pub(in crate::client) fn begin_from(&mut self, name: u64, number: u64) {
        (self.name, self.last) = (name | 1, number);
    }

    /// The number of the next one, for which there is room.
    pub(in crate::client) fn next_id(&mut self) -> Result<u64, Code> {
        self.open.try_reserve(1).map_err(|_| Code::NoMemory)?;
        self.last = self.last.wrapping_add(1).max(1);
        Ok(self.last)
    }

    pub(in crate::client) fn begin(&mut self, id: u64, request: Asked<C>) {
        if let Some(inbox) = self.inboxes.iter_mut().find(|inbox| inbox.filter == request.filter) {
            inbox.open += 1;
        }
        self.deadlines.extend(request.deadline.map(|at| (at, id)));
        self.open.insert(id, request);
    }

    /// Takes a request that ends; and the filter that nothing more is awaited under, if that is to be left.
    pub(in crate::client) fn take(&mut self, id: u64) -> Option<(Asked<C>, Option<Arc<str>>)> {
        let request = self.open.remove(&id)?;
        if let Some(at) = request.deadline {
            self.deadlines.remove(&(at, id));
        }
        let at = self.inboxes.iter().position(|inbox| inbox.filter == request.filter);
        let left = at.and_then(|at| {
            let last = at + 1 == self.inboxes.len();
            let inbox = &mut self.inboxes[at];
            inbox.open = inbox.open.saturating_sub(1);
            (inbox.open == 0 && !last).then(|| self.inboxes.remove(at).filter)
        });
        Some((request, left))
    }

    /// Whether responses come under this filter already. It is the one that was used last then.
    pub(in crate::client) fn use_from_now(&mut self, filter: &str) -> bool {
        let at = self.inboxes.iter().position(|inbox| *inbox.filter == *filter);
        if let Some(at) = at {
            self.inboxes[at..].rotate_left(1);
        }
        at.is_some()
    }

    /// They do from now on.
    pub(in crate::client) fn add_inbox(&mut self, filter: Arc<str>) {
        self.inboxes.push(Inbox { filter, open: 0 });
    }

    /// The numbers of those that `which` is true of.
    pub(in crate::client) fn find(&self, which: impl Fn(&Asked<C>) -> bool) -> Vec<u64> {
        let mut found: Vec<u64> =
            self.open.iter().filter(|(_, request)| which(request)).map(|(id, _)| *id).collect();
        found.sort_unstable();
        found
    }

    /// When the next one ends.
    pub(in crate::client) fn due(&self) -> Option<Time> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// One whose time is over.
    pub(in crate::client) fn overdue(&self, now: Time) -> Option<u64> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    pub(in crate::client) fn tell_later(&mut self, unanswered: Unanswered<C>) {
        self.ended.push_back(unanswered);
    }

    pub(in crate::client) fn next_ended(&mut self) -> Option<Unanswered<C>> {
        self.ended.pop_front()
    }

    pub(in crate::client) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }
}

impl<C> Default for Requests<C> {
    fn default() -> Self {
        Requests::NONE
    }
}

impl<C: 'static> Empty for Requests<C> {
    const EMPTY: &'static Self = &Requests::NONE;
}
