//! What a session has for the messages it sends. It is made for the first one: most connections of a fleet receive, or
//! are only there.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

use crate::bugs::{Bug, bug};
use crate::lazy_box::{Empty, LazyBox};
use crate::session::event::{Completion, Ended, Outcome};
use crate::session::limits::{Limits, ServerLimits};
use crate::session::output::Output;
use crate::session::state::ack_watch::AckWatch;
use crate::session::state::counts::{Latency, Outcomes, Untracked};
use crate::session::state::history::History;
use crate::session::state::ids::PacketIds;
use crate::session::state::outbox::Outbox;
use crate::session::state::suspect::Suspect;
use crate::session::state::unsent::Run;
use crate::time::{Moment, Span, Time};

/// Messages that were accepted, packet ids, and how messages ended.
#[derive(Clone, Debug)]
pub(crate) struct Sending {
    pub(crate) ids: PacketIds,
    pub(crate) outbox: Outbox,
    /// The first moment at which some waiting message may be over its time.
    pub(crate) first_expires: Moment,
    /// That, or the next [look](AckWatch) for acknowledgements.
    pub(crate) next_expiry: Option<Time>,
    /// What the server allows.
    pub(crate) server: ServerLimits,
    /// Messages accepted so far.
    pub(crate) accepted: u64,
    pub(crate) completions: VecDeque<Completion>,
    /// As long as no more messages than this are outstanding, there is room for all their outcomes.
    pub(crate) outcomes_fit: usize,
    pub(crate) history: History,
    pub(crate) outcomes: Untracked<Outcomes>,
    pub(crate) ack_latency: Untracked<LazyBox<Latency>>,
    pub(crate) suspect: Untracked<Suspect>,
    pub(crate) watch: AckWatch,
    /// For messages that are acknowledged together, empty in between.
    pub(crate) list: Vec<Ended>,
}

/// What of the session's settings the end of a message needs.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Those without a cookie are told as well.
    tell_all: bool,
    /// So many outcomes are remembered.
    history: usize,
}

impl Terms {
    #[inline]
    pub(crate) fn of(limits: &Limits, tell_all: bool) -> Terms {
        Terms { tell_all, history: limits.outcome_history }
    }
}

impl Sending {
    const fn new() -> Self {
        Sending {
            ids: PacketIds::new(),
            outbox: Outbox::new(),
            first_expires: Moment::NONE,
            next_expiry: None,
            server: ServerLimits::NONE,
            accepted: 0,
            completions: VecDeque::new(),
            outcomes_fit: 0,
            history: History::new(),
            outcomes: Untracked(Outcomes::NONE),
            ack_latency: Untracked(LazyBox::new()),
            suspect: Untracked(Suspect::NONE),
            watch: AckWatch::NONE,
            list: Vec::new(),
        }
    }

    /// Messages that are not at their end.
    #[inline]
    pub(crate) fn unended(&self) -> usize {
        self.outbox.len() + self.ids.unsent.len()
    }

    /// Messages without an outcome.
    #[inline]
    pub(crate) fn outstanding(&self) -> usize {
        self.unended() - self.outbox.late()
    }

    /// Whether so many bytes more are within the limit.
    #[inline(always)]
    pub(crate) fn has_room(&self, limits: &Limits, out: &Output, size: usize) -> bool {
        let limit = limits.max_outgoing_bytes;
        size <= limit && self.outbox.bytes() + out.len() <= limit - size
    }

    /// Ends QoS 0 messages that follow one another.
    pub(crate) fn end_unsent(&mut self, run: Run, outcome: Outcome, terms: Terms) {
        if run.is_held() {
            run.packet_ids().for_each(|id| self.ids.release(id));
        }
        if run.cookie != 0 || terms.tell_all {
            for (number, id) in run.messages() {
                self.tell(number, id, run.cookie, outcome, terms);
            }
        }
        self.remember(run.numbers, outcome, terms);
    }

    /// These messages were acknowledged. Those that follow one another, and were accepted at the same time, as what is
    /// published in one go, are counted together.
    #[inline]
    pub(crate) fn acked(&mut self, ended: &[Ended], now: Time, terms: Terms) {
        let mut run = 0..0;
        let mut accepted_at = now;
        for message in ended {
            let number = message.token;
            if number != run.end || message.accepted_at != accepted_at {
                self.acked_alike(run, now.since(accepted_at), terms);
                run = number..number;
                accepted_at = message.accepted_at;
            }
            run.end += 1;
        }
        self.acked_alike(run, now.since(accepted_at), terms);
    }

    #[inline(never)]
    fn acked_alike(&mut self, numbers: Range<u64>, took: Span, terms: Terms) {
        if !numbers.is_empty() {
            self.count_latency(numbers.end - numbers.start, took);
            self.remember(numbers, Outcome::Acked, terms);
            self.suspect.acknowledged_at = self.accepted;
        }
    }

    #[inline]
    pub(crate) fn finish(&mut self, token: u64, packet_id: u16, cookie: u32, outcome: Outcome, terms: Terms) {
        if packet_id != 0 {
            self.ids.release(packet_id);
        }
        self.tell(token, packet_id, cookie, outcome, terms);
        self.remember(token..token + 1, outcome, terms);
    }

    /// The messages with these numbers ended alike.
    #[inline]
    pub(crate) fn remember(&mut self, numbers: Range<u64>, outcome: Outcome, terms: Terms) {
        if !numbers.is_empty() {
            self.outcomes.ended(outcome, numbers.end - numbers.start);
            let place = self.history.record(numbers, outcome, terms.history);
            self.outcomes_fit = self.outcomes_fit.saturating_sub(usize::from(place));
        }
    }

    /// Whether there is anybody to be told.
    #[inline]
    pub(crate) fn tell(
        &mut self,
        token: u64,
        packet_id: u16,
        cookie: u32,
        outcome: Outcome,
        terms: Terms,
    ) -> bool {
        let told = cookie != 0 || terms.tell_all;
        if told {
            let completion = Completion { token, packet_id, cookie, outcome };
            if bug(Bug::OutcomeTwice) {
                self.completions.push_back(completion);
            }
            self.completions.push_back(completion);
            self.outcomes_fit = self.outcomes_fit.saturating_sub(1);
        }
        told
    }

    /// So many messages were acknowledged after this time. Without memory for the table they are not counted there.
    #[inline]
    pub(crate) fn count_latency(&mut self, n: u64, span: Span) {
        if let Ok(latency) = self.ack_latency.try_make() {
            latency.add(n, span);
        }
    }

    /// A whole keep-alive interval without traffic: memory that bursts needed goes back.
    pub(crate) fn shrink(&mut self) {
        self.outbox.shrink();
        self.ids.shrink();
        self.completions.shrink_to_fit();
        self.history.shrink();
        self.list = Vec::new();
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
