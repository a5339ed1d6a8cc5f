//! Requests that have no response yet.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::client::state::outcomes::Listener;
use crate::error::Code;
use crate::lazy_box::Empty;
use crate::time::Time;

/// So many deadlines of requests that have ended may stay in any case.
const KEPT_DEADLINES: usize = 32;

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

/// A request that ended without a response, and why.
pub(in crate::client) struct Unanswered<C> {
    pub(in crate::client) id: u64,
    pub(in crate::client) token: u64,
    pub(in crate::client) error: Code,
    /// The reason code of the server's refusal, if it refused.
    pub(in crate::client) reason: Option<u8>,
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
    /// When they end, and their numbers; the first is that of an open one. Others that have ended go when they come first, or
    /// are the larger part.
    deadlines: BinaryHeap<Reverse<(Time, u64)>>,
    /// The one that was used last is the last: it stays, however few are awaited.
    inboxes: Vec<Inbox>,
    /// To be told, oldest first. There is always room in it for those that are open.
    ended: VecDeque<Unanswered<C>>,
}

impl<C> Requests<C> {
    const NONE: Self = Requests {
        name: 0,
        last: 0,
        open: HashMap::with_hasher(FxBuildHasher),
        deadlines: BinaryHeap::new(),
        inboxes: Vec::new(),
        ended: VecDeque::new(),
    };

    /// Names the connection, and says where numbers begin.
    pub(in crate::client) fn begin_from(&mut self, name: u64, number: u64) {
        (self.name, self.last) = (name.max(1), number);
    }

    /// Makes room for one more, from its beginning to its end.
    pub(in crate::client) fn reserve(&mut self) -> Result<(), Code> {
        (self.open.try_reserve(1).map_err(|_| Code::NoMemory))
            .and_then(|()| self.deadlines.try_reserve(1).map_err(|_| Code::NoMemory))
            .and_then(|()| self.inboxes.try_reserve(1).map_err(|_| Code::NoMemory))
            .and_then(|()| self.ended.try_reserve(self.open.len() + 1).map_err(|_| Code::NoMemory))
    }

    /// The number of the next one.
    pub(in crate::client) fn next_id(&mut self) -> u64 {
        self.last = self.last.wrapping_add(1).max(1);
        self.last
    }

    /// There is [room](Self::reserve) for it.
    pub(in crate::client) fn begin(&mut self, id: u64, request: Asked<C>) {
        if let Some(inbox) = self.inboxes.iter_mut().find(|inbox| inbox.filter == request.filter) {
            inbox.open += 1;
        }
        if let Some(at) = request.deadline {
            self.deadlines.push(Reverse((at, id)));
        }
        self.open.insert(id, request);
    }

    /// Takes a request that ends.
    pub(in crate::client) fn take(&mut self, id: u64) -> Option<Asked<C>> {
        let request = self.open.remove(&id)?;
        let Requests { open, deadlines, .. } = self;
        if deadlines.len() > 2 * open.len() + KEPT_DEADLINES {
            deadlines.retain(|Reverse((_, id))| open.contains_key(id));
        }
        while let Some(Reverse((_, id))) = deadlines.peek()
            && !open.contains_key(id)
        {
            deadlines.pop();
        }
        leave(&mut self.inboxes, &request);
        Some(request)
    }

    /// Takes those that `which` is true of, to be told of later; the tokens of their messages. Both are in the order in
    /// which they were made.
    pub(in crate::client) fn end(
        &mut self,
        error: Code,
        reason: Option<u8>,
        which: impl Fn(&Asked<C>) -> bool,
    ) -> impl Iterator<Item = u64> {
        let Requests { open, deadlines, inboxes, ended, .. } = self;
        let from = ended.len();
        for (id, request) in open.extract_if(|_, request| which(request)) {
            leave(inboxes, &request);
            let Asked { token, listener, .. } = request;
            ended.push_back(Unanswered { id, token, error, reason, listener });
        }
        if ended.len() > from {
            deadlines.retain(|Reverse((_, id))| open.contains_key(id));
            ended.make_contiguous()[from..].sort_unstable_by_key(|one| one.id);
        }
        self.ended.range(from..).map(|one| one.token)
    }

    /// Whether responses come under this filter already.
    pub(in crate::client) fn listens_to(&self, filter: &str) -> bool {
        self.inboxes.iter().any(|inbox| *inbox.filter == *filter)
    }

    /// As [`listens_to`](Self::listens_to); it is the one that was used last then.
    pub(in crate::client) fn use_from_now(&mut self, filter: &str) -> bool {
        let at = self.inboxes.iter().position(|inbox| *inbox.filter == *filter);
        if let Some(at) = at {
            self.inboxes[at..].rotate_left(1);
        }
        at.is_some()
    }

    /// They do from now on. There is [room](Self::reserve) for it.
    pub(in crate::client) fn add_inbox(&mut self, filter: Arc<str>) {
        self.inboxes.push(Inbox { filter, open: 0 });
    }

    /// They do not any more; whether they did.
    pub(in crate::client) fn remove_inbox(&mut self, filter: &str) -> bool {
        let at = self.inboxes.iter().position(|inbox| *inbox.filter == *filter);
        at.map(|at| self.inboxes.remove(at)).is_some()
    }

    /// A filter under which nothing more is awaited, unless it is the one that was used last.
    pub(in crate::client) fn take_idle(&mut self) -> Option<Arc<str>> {
        let (_, before) = self.inboxes.split_last()?;
        let at = before.iter().position(|inbox| inbox.open == 0)?;
        Some(self.inboxes.remove(at).filter)
    }

    /// When the next one ends.
    pub(in crate::client) fn due(&self) -> Option<Time> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// One whose time is over.
    pub(in crate::client) fn overdue(&self, now: Time) -> Option<u64> {
        self.deadlines.peek().filter(|Reverse((at, _))| *at <= now).map(|Reverse((_, id))| *id)
    }

    /// Whether the time of this one is over.
    pub(in crate::client) fn is_overdue(&self, id: u64, now: Time) -> bool {
        self.open.get(&id).and_then(|request| request.deadline).is_some_and(|at| at <= now)
    }

    /// What was [taken](Self::take) has its place there.
    pub(in crate::client) fn tell_later(&mut self, unanswered: Unanswered<C>) {
        self.ended.push_back(unanswered);
    }

    pub(in crate::client) fn next_ended(&mut self) -> Option<Unanswered<C>> {
        self.ended.pop_front()
    }

    pub(in crate::client) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Gives back the room of lists that are empty.
    pub(in crate::client) fn shrink(&mut self) {
        if self.open.is_empty() && self.ended.is_empty() {
            self.open = HashMap::with_hasher(FxBuildHasher);
            (self.deadlines, self.ended) = (BinaryHeap::new(), VecDeque::new());
        }
    }
}

/// A request ends that was awaited there.
fn leave<C>(inboxes: &mut [Inbox], request: &Asked<C>) {
    if let Some(inbox) = inboxes.iter_mut().find(|inbox| inbox.filter == request.filter) {
        inbox.open = inbox.open.saturating_sub(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> Listener<()> {
        Listener::new(|(), _, _| {}, [std::ptr::null_mut(); 3])
    }

    /// Deadlines in any order, and requests that end in any other: the next one due is that of an open request, and what is
    /// kept is bounded by how many are open.
    #[test]
    fn the_first_deadline_is_of_an_open_request() {
        let mut requests = Requests::<()>::NONE;
        let filter: Arc<str> = "r".into();
        requests.add_inbox(filter.clone());
        let mut open = Vec::new();
        for n in 0..5_000_u64 {
            requests.reserve().unwrap();
            let (id, deadline) = (requests.next_id(), Time(n * 7_919 % 5_003));
            let (filter, listener) = (filter.clone(), listener());
            let asked = Asked { token: n, deadline: Some(deadline), ends_with_link: false, filter, listener };
            requests.begin(id, asked);
            open.push((deadline, id));
            if n % 3 > 0 {
                let (_, ended) = open.swap_remove((n * 31 % open.len() as u64) as usize);
                assert!(requests.take(ended).is_some());
            }
            let first = open.iter().min().copied();
            assert_eq!(requests.due(), first.map(|(at, _)| at));
            assert_eq!(requests.overdue(Time(u64::MAX)), first.map(|(_, id)| id));
            assert!(requests.deadlines.len() <= 2 * open.len() + KEPT_DEADLINES + 1);
        }
        let ended = requests.end(Code::Cancelled, None, |_| true).count();
        assert_eq!((ended, requests.due()), (open.len(), None));
    }
}
