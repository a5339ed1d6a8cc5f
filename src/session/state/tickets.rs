//! Who waits for the server's answer about a filter.
//!
//! A call that subscribes or unsubscribes takes a [`Ticket`] for each of its filters. The ticket follows the filter:
//! from the list of what is to be asked for into the packet that asks, back into the list when the link is lost
//! before the answer, and at last out with exactly one [`Answer`]. Filters that nobody waits for cost nothing.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// One filter of one call: the call's number and the filter's place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The number that the caller gave it.
    pub call: u64,
    /// Which of its filters.
    pub place: u32,
}

/// How the wait of a ticket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The server's code as it sent it; 0 for UNSUBACK, which has none in MQTT 3.x, and where the server lost the
    /// session and so has nothing to be taken back.
    Code(u8),
    /// A later call took it back before the server was asked, or before it answered and the link was lost.
    Superseded,
    /// The server did not answer in time.
    TimedOut,
    /// The connection was freed.
    Abandoned,
}

/// Tickets of filters that stand in a list.
pub(crate) type Queued = BTreeMap<Arc<str>, Vec<Ticket>>;

/// Tickets of a packet, with the place of their filter in it.
pub(crate) type Asked = Vec<(u8, Ticket)>;

/// The answers that were not fetched yet, oldest first.
pub(crate) type Answers = VecDeque<(Ticket, Answer)>;

/// The filters of a packet leave the list: so do their tickets.
pub(crate) fn take(queued: &mut Queued, filters: &[Arc<str>]) -> Asked {
    let mut asked = Asked::new();
    if queued.is_empty() {
        return asked;
    }
    for (place, filter) in (0..).zip(filters) {
        asked.extend(queued.remove(filter).into_iter().flatten().map(|ticket| (place, ticket)));
    }
    asked
}

/// A call does not wait any more.
pub(crate) fn forget(queued: &mut Queued, call: u64) {
    queued.retain(|_, tickets| {
        tickets.retain(|ticket| ticket.call != call);
        !tickets.is_empty()
    });
}

/// Everybody who waits for `filter` in a list gets the same answer.
pub(crate) fn end(queued: &mut Queued, filter: &str, answer: Answer, answers: &mut Answers) {
    answers.extend(queued.remove(filter).into_iter().flatten().map(|ticket| (ticket, answer)));
}

/// Everybody who waits in a list gets the same answer.
pub(crate) fn end_all(queued: &mut Queued, answer: Answer, answers: &mut Answers) {
    let all = core::mem::take(queued);
    answers.extend(all.into_values().flatten().map(|ticket| (ticket, answer)));
}
