//! What a session has for the messages it sends. It is made for the first one: most connections of a fleet receive, or
//! are only there.

use alloc::collections::VecDeque;

use super::counts::{Latency, Outcomes};
use super::history::History;
use super::ids::PacketIds;
use super::outbox::Outbox;
use super::{Completion, Session};
use crate::error::Code;
use crate::rare::{Empty, Rare};
use crate::time::Time;

/// Messages that were accepted, packet ids, and how messages ended.
#[derive(Clone, Debug)]
pub(super) struct Sending {
    pub(super) ids: PacketIds,
    pub(super) outbox: Outbox,
    /// The first moment at which some waiting message may be over its time.
    pub(super) next_expiry: Option<Time>,
    /// Messages accepted so far.
    pub(super) accepted: u64,
    pub(super) completions: VecDeque<Completion>,
    /// As long as no more messages than this are outstanding, there is room for all their outcomes.
    pub(super) outcomes_fit: usize,
    pub(super) history: History,
    pub(super) outcomes: Outcomes,
    pub(super) ack_latency: Rare<Latency>,
}

impl Sending {
    const fn new() -> Self {
        Sending {
            ids: PacketIds::new(),
            outbox: Outbox::new(),
            next_expiry: None,
            accepted: 0,
            completions: VecDeque::new(),
            outcomes_fit: 0,
            history: History::new(),
            outcomes: Outcomes::NONE,
            ack_latency: Rare::new(),
        }
    }

    /// Messages without an outcome.
    #[inline]
    pub(super) fn outstanding(&self) -> usize {
        self.outbox.len() + self.ids.unsent.len()
    }

    /// A whole keep-alive interval without traffic: memory that bursts needed goes back.
    pub(super) fn shrink(&mut self) {
        self.outbox.shrink();
        self.ids.shrink();
        self.completions.shrink_to_fit();
        self.history.shrink();
        self.outcomes_fit = 0;
    }
}

impl Default for Sending {
    fn default() -> Self {
        Sending::new()
    }
}

impl Empty for Sending {
    const EMPTY: &'static Self = &Sending::new();
}

impl Session {
    /// Makes sure that something can be sent under a packet id. Whatever changes what is in there comes after this, or is
    /// about something that is there already.
    #[inline]
    pub(super) fn sending(&mut self) -> Result<&mut Sending, Code> {
        self.sending.try_make()
    }
}
