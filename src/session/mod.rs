//! The MQTT client state machine, without sockets, clocks or threads.
//!
//! A [`Session`] outlives connections: it keeps the queue of outgoing messages, the packet ids, the
//! wanted subscriptions and the inbound QoS 2 ids while the transport comes and goes.
//!
//! The contract is one input, one step:
//!
//! * bytes from the server go into [`Session::input`], which consumes at most one packet and returns
//!   at most one [`Event`]. Events carry offsets into the bytes, never borrows, so the caller can
//!   release its lock while it tells the application.
//! * after the application was told, [`Session::handled`] says so; only then an acknowledgement is
//!   appended. Whoever needs longer than the handlers [holds](Session::hold) it, and lets go later.
//! * the clock comes in as a parameter; [`Session::deadline`] says when [`Session::timeout`] has
//!   something to do.
//! * everything to be sent is appended to one [`Output`]; the caller hands it to the transport and
//!   reports progress with [`Session::wrote`].
//! * how publishes ended is told by [`Session::take_completion`], and how subscribing by
//!   [`Session::take_answer`], each exactly once.
//!
//! No user code runs in here, nothing blocks, and no message allocates once buffers have grown.

mod ack_timeout;
mod counts;
mod event;
mod fast_publish;
mod fast_receive;
mod history;
mod ids;
mod inbound;
mod index;
mod input;
mod keep_alive;
mod outbox;
mod output;
mod over_limit;
mod publish;
mod raw;
mod sending;
mod subscriptions;
mod suspect;
#[cfg(test)]
mod tests;
mod tickets;
mod unsent;

use alloc::sync::Arc;

pub use ack_timeout::Overdue;
pub use counts::{Counts, LATENCY_BUCKETS, Latency, Levels};
pub use event::{Acknowledged, Completion, Dropped, Ended, Event, Failure, Incoming, Outcome, Step};
pub use inbound::Hold;
pub use output::Output;
pub use over_limit::OverLimit;
pub use publish::{Accepted, Known, Publication};
pub use raw::RawAck;
pub use subscriptions::SubscribeResult;
pub use suspect::Poison;
pub use tickets::{Answer, Ticket};

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::lazy_box::LazyBox;
use crate::patience::{Delivery, Patience};
use crate::time::{Span, Time};
use crate::wire::{self, PacketType, QoS, Version};
use counts::{Flow, Untracked};
use ids::Use;
use inbound::Inbound;
use keep_alive::{Due, KeepAlive};
use sending::{Sending, Terms};
use subscriptions::{Server, Subscriptions, encode_code};

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is not accepted.
    #[default]
    RefuseNew,
    /// The oldest message that was never sent makes room.
    DropOldest,
}

/// What happens to messages in flight when the server lost the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSessionLoss {
    /// They are sent again: nothing is lost, but the receiver may see a message twice.
    #[default]
    Resend,
    /// They end with [`Outcome::Lost`].
    Report,
}

/// What a session may use, and its policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// QoS 1 and 2 messages in flight at once.
    pub window: u16,
    /// QoS 1 and 2 messages waiting or in flight. With 0 nothing is queued for later, and only the
    /// window limits what is in flight.
    pub max_queue: usize,
    /// Bytes of topics, payloads and unwritten packets held for sending.
    pub max_outgoing_bytes: usize,
    /// The largest packet accepted from the server, in bytes.
    pub max_incoming: usize,
    /// Of the payload of a larger PUBLISH, this much is delivered; with 0 it is only reported.
    pub keep_oversize: usize,
    /// What happens when the queue is full.
    pub overflow: Overflow,
    /// What happens to messages in flight when the server lost the session.
    pub on_session_loss: OnSessionLoss,
    /// So many outcomes are remembered.
    pub outcome_history: usize,
    /// Subscribe to every filter after each CONNACK, or only to those that the session lacks.
    pub always_subscribe: bool,
    /// The next CONNECT is to ask for a session that the server kept, as far as that is known: it may have filters that
    /// an earlier process asked for.
    pub keep_session: bool,
    /// How long the server may take to acknowledge PUBLISH (with PUBACK or PUBREC), SUBSCRIBE and UNSUBSCRIBE; zero is
    /// without limit. Who waits for it is told then, and the connection stays.
    pub ack_timeout: Span,
    /// A message after which the server closed the connection so many times in a row is set aside; 0 is never.
    pub poison_after: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            window: 20,
            max_queue: 1024,
            max_outgoing_bytes: 1024 * 1024,
            max_incoming: 4 * 1024 * 1024,
            keep_oversize: 0,
            overflow: Overflow::RefuseNew,
            on_session_loss: OnSessionLoss::Resend,
            outcome_history: 1024,
            always_subscribe: true,
            keep_session: true,
            ack_timeout: Span::ZERO,
            poison_after: 0,
        }
    }
}

impl Limits {
    /// The window, or fewer where the queue has no room for as many.
    fn in_flight(&self) -> u16 {
        let queue = if self.max_queue == 0 { usize::MAX } else { self.max_queue };
        queue.min(usize::from(self.window)) as u16
    }
}

/// What the application says after it was told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledge.
    Ack,
    /// The connection ended meanwhile: remember what was processed, send nothing.
    ConnectionGone,
    /// The application was not told: the server shall deliver it again.
    NotDelivered,
}

/// The state of the connection below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No transport.
    Closed,
    /// The transport is open, CONNECT was not sent yet.
    Open,
    /// CONNECT was sent.
    Connecting,
    /// CONNACK accepted us.
    Up,
    /// DISCONNECT was appended; nothing more may be sent (MQTT 3.1.1 §3.14.4).
    Closing,
}

/// What [`Session::handled`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingEvent {
    Nothing,
    ConnAck,
    Publish(QoS, u16),
    /// The beginning of a message; the rest is skipped.
    Cut(QoS, u16),
    /// The slot of an acknowledged message, kept for its topic.
    Acknowledged(u32),
    SubAck,
}

/// An MQTT client session.
///
/// A copy is for checkers, which go on from one state in every way there is.
#[derive(Clone, Debug)]
pub struct Session {
    /// Mostly those of other sessions, too.
    limits: Arc<Limits>,
    /// So many messages may be in flight as long as none waits.
    flight_limit: u16,
    version: Version,
    state: State,
    clean: bool,
    out: Output,
    /// There is none before something was published or subscribed to.
    sending: LazyBox<Sending>,
    inbound: Inbound,
    subscriptions: LazyBox<Subscriptions>,
    keep_alive: KeepAlive,
    /// How long CONNACK or PINGRESP may take.
    patience: Patience,
    /// No CONNACK came yet.
    unanswered: bool,
    /// An earlier one never came. It may have said that the session is lost, and the next will find the new one
    /// and call it present. Or it was another server's, and what this one has of us may be older than what we know.
    in_doubt: bool,
    pending_event: PendingEvent,
    /// The server had the session when the present connection came up.
    resumed: bool,
    /// DISCONNECT follows the acknowledgement of the message that is being handled.
    disconnect_due: bool,
    /// Those without a cookie are told as well.
    tell_all: bool,
    /// No message is to take the fast path.
    each_publish: bool,
    /// See [`watch_began`](Session::watch_began).
    watch_began: bool,
    /// The time of the last step, to the caller's precision.
    now: Time,
    flow: Untracked<Flow>,
}

impl Session {
    /// A session without a connection.
    pub fn new(limits: impl Into<Arc<Limits>>) -> Self {
        let limits = limits.into();
        Session {
            flight_limit: if limits.ack_timeout == Span::ZERO { limits.in_flight() } else { 0 },
            limits,
            version: Version::V311,
            state: State::Closed,
            clean: true,
            out: Output::new(),
            sending: LazyBox::new(),
            inbound: Inbound::new(),
            subscriptions: LazyBox::new(),
            keep_alive: KeepAlive::new(),
            patience: Patience::NONE,
            unanswered: false,
            in_doubt: false,
            pending_event: PendingEvent::Nothing,
            resumed: false,
            disconnect_due: false,
            tell_all: true,
            each_publish: false,
            watch_began: false,
            now: Time::ZERO,
            flow: Untracked::default(),
        }
    }

    /// The version of MQTT of the last CONNECT.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The limits and policies in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Replaces limits and policies; what is queued already stays.
    pub fn set_limits(&mut self, limits: impl Into<Arc<Limits>>) {
        let within = self.limits.ack_timeout;
        self.limits = limits.into();
        if within != self.limits.ack_timeout {
            self.end_watch();
        }
        self.flight_limit = self.fast_flight_limit();
        self.watch_acknowledgements();
        if let Some(sending) = self.sending.get_mut() {
            sending.outcomes_fit = 0;
            sending.history.forget(self.limits.outcome_history);
        }
    }

    // -- the connection -------------------------------------------------------------------------

    /// A transport is open. CONNACK has to come before `now + connack_within`, whoever sends CONNECT, or so long after
    /// the server got that. `delivery` is what the system knows of the transport.
    pub fn opened(&mut self, now: Time, connack_within: Span, delivery: Option<Delivery>) {
        self.out.reset();
        self.inbound.opened();
        self.pending_event = PendingEvent::Nothing;
        self.disconnect_due = false;
        self.state = State::Open;
        let within = if bug(Bug::ConnackAwaitedForever) { Span::ZERO } else { connack_within };
        self.patience = Patience::before_question(now, within, delivery);
    }

    /// Appends CONNECT. The session obeys what is in it: version, clean session, keep-alive. `ping_reply`
    /// is how long PINGRESP may take; zero is without limit.
    pub fn connect(&mut self, connect: &wire::Connect<'_>, ping_reply: Span) -> Result<(), Code> {
        if self.state != State::Open {
            return Err(Code::Busy);
        }
        self.out.append(|out| connect.encode(connect.version, out)).map_err(encode_code)?;
        self.out.mark_secret();
        self.patience.asked(self.out.end());
        self.version = connect.version;
        self.in_doubt |= self.unanswered && !self.clean && !bug(Bug::LostConnackIgnored);
        self.clean = connect.clean_session;
        self.unanswered = true;
        self.keep_alive.set(connect.keep_alive, ping_reply);
        self.state = State::Connecting;
        Ok(())
    }

    /// Appends DISCONNECT if the connection is up, behind the acknowledgement of the message that is being
    /// handled: without it the server would deliver that message again, and a handler that disconnects
    /// would never get past it. Nothing else is accepted for this connection any more.
    pub fn disconnect(&mut self) {
        if self.state == State::Up {
            self.disconnect_due = true;
            if !matches!(self.pending_event, PendingEvent::Publish(..) | PendingEvent::Cut(..)) {
                self.append_disconnect();
            }
        }
        // Who asks again does not wait longer for that.
        if !matches!(self.state, State::Closed | State::Closing) {
            self.state = State::Closing;
            self.patience = Patience::NONE;
        }
        self.keep_alive.stop();
        self.end_watch();
    }

    fn append_disconnect(&mut self) {
        if core::mem::take(&mut self.disconnect_due) {
            // Two bytes; should memory be out even for them, the server sees the link close.
            let _ = self.out.append(|out| wire::encode_empty(PacketType::Disconnect, out));
        }
    }

    /// The transport is gone. What was in flight will be sent again on the next connection.
    pub fn closed(&mut self) {
        if self.sending.get().is_some() {
            self.requeue_in_flight();
            self.sending.suspect.acknowledged_at = 0;
        }
        self.inbound.closed();
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.disconnected();
        }
        self.keep_alive.stop();
        self.patience = Patience::NONE;
        self.end_watch();
        self.disconnect_due = false;
        self.out.reset();
        self.state = State::Closed;
    }

    /// What was in flight waits, and what was only in the output is lost.
    fn requeue_in_flight(&mut self) {
        let taken = self.out.taken();
        let mut unsent = 0;
        let mut at = self.sending.outbox.iter(outbox::Queue::Flight).next();
        while let Some(slot) = at {
            let entry = self.sending.outbox.get_mut(slot);
            if !entry.stage.is_released() {
                unsent += u64::from(entry.sent_end > taken);
                entry.dup |= (entry.is_sent(taken) || bug(Bug::DupTooEarly)) && !bug(Bug::DupForgotten);
            }
            at = self.sending.outbox.next(slot);
        }
        self.sending.outbox.requeue_in_flight();
        self.flow.tx_messages -= unsent;
        while let Some(run) = self.sending.ids.unsent.take_first() {
            self.flow.tx_messages -= run.len() as u64;
            let terms = Terms::of(&self.limits, self.tell_all);
            self.sending.end_unsent(run, Outcome::Dropped(Dropped::Link), terms);
        }
        self.sending.ids.retain(|purpose| matches!(purpose, Use::Publish(_)));
    }

    /// The next connection belongs to another server or another client: the inbound QoS 2 ids of
    /// the old one mean nothing there.
    pub fn forget_inbound(&mut self) {
        self.inbound.forget();
        // What it has of us may be older than what was wanted meanwhile.
        self.in_doubt = true;
    }

    /// Whether CONNACK accepted us and nothing ended it since.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether CONNECT may be sent now.
    pub fn awaits_connect(&self) -> bool {
        self.state == State::Open
    }

    // -- time -----------------------------------------------------------------------------------

    /// When [`timeout`](Session::timeout) has to be called.
    pub fn deadline(&self) -> Option<Time> {
        self.patience.look_at().or_else(|| self.keep_alive.deadline())
    }

    /// Does what is due: sends PINGREQ, or finds that the server is too late. `delivery` is what the system knows of
    /// the transport: a PINGREQ behind a megabyte that is still leaving, or a PINGRESP behind one that is still
    /// arriving, says nothing about the server as long as bytes move.
    pub fn timeout(&mut self, now: Time, delivery: Option<Delivery>) -> Result<(), Failure> {
        let (heard, code) = match self.state {
            State::Up => (self.keep_alive.heard(), Code::KeepAliveTimeout),
            _ => (Time::ZERO, Code::ConnackTimeout),
        };
        if self.patience.is_over(now, heard, self.out.taken(), delivery) {
            self.patience = Patience::NONE;
            return Err(Failure::new(code, ""));
        }
        if self.keep_alive.check(now) == Due::Ping {
            self.ping(now, delivery).map_err(|code| Failure::new(code, ""))?;
            self.quiet();
        }
        Ok(())
    }

    /// Nothing more is to be sent. From now on [`is_stuck`](Session::is_stuck) tells whether the server has
    /// acknowledged nothing for so long; zero is for ever.
    pub fn await_delivery(&mut self, now: Time, within: Span, delivery: Option<Delivery>) {
        self.patience = Patience::of_stream(now, within, delivery);
        self.patience.asked(self.out.end());
    }

    /// As [`await_delivery`](Session::await_delivery) says, to be asked at the [`deadline`](Session::deadline).
    pub fn is_stuck(&mut self, now: Time, delivery: Option<Delivery>) -> bool {
        self.patience.is_over(now, Time::ZERO, self.out.taken(), delivery)
    }

    fn ping(&mut self, now: Time, delivery: Option<Delivery>) -> Result<(), Code> {
        let before = self.out.end();
        self.out.append(|out| wire::encode_empty(PacketType::PingReq, out)).map_err(encode_code)?;
        if let Some(within) = self.keep_alive.pinged() {
            let ends = (before, self.out.end());
            self.patience = Patience::of_question(now, within, ends, self.out.taken(), delivery);
        }
        self.flow.pings += 1;
        Ok(())
    }

    /// When bytes came or went last.
    #[inline]
    pub fn last_traffic(&self) -> Time {
        self.keep_alive.last_traffic()
    }

    /// Whether nothing but the application tells of a quiet moment, as there is no keep-alive, although there is memory
    /// to [give back](Session::quiet) then.
    #[inline]
    pub fn hoards(&self) -> bool {
        self.keep_alive.is_off() && (self.out.has_spare() || self.sending.outbox.has_spare())
    }

    /// A whole keep-alive interval without traffic, or some time if there is none: memory that bursts needed goes back.
    pub fn quiet(&mut self) {
        if self.pending_event == PendingEvent::Nothing && self.outstanding() == 0 {
            self.inbound.shrink();
            if let Some(sending) = self.sending.get_mut() {
                sending.shrink();
            }
        }
    }

    /// Gives back what the output buffer does not need; for a moment when nothing is going on.
    pub fn shrink_output(&mut self) {
        self.out.shrink();
    }

    // -- output ---------------------------------------------------------------------------------

    /// The bytes to be written.
    pub fn output(&self) -> &Output {
        &self.out
    }

    /// `n` bytes of the output were handed to the kernel.
    pub fn wrote(&mut self, now: Time, n: usize) {
        self.now = now;
        self.flow.tx_bytes += n as u64;
        let taken = self.out.taken() + n as u64;
        while let Some(sending) = self.sending.get_mut()
            && let Some(run) = sending.ids.unsent.take_sent(taken, |at| self.out.from(at))
        {
            sending.end_unsent(run, Outcome::Sent, Terms::of(&self.limits, self.tell_all));
        }
        self.out.take(n);
        self.keep_alive.wrote(now);
        self.patience.wrote(now, taken);
        if self.sending.outbox.waiting() > 0 {
            self.pump();
        }
    }

    /// The completion that [`take_completion`](Session::take_completion) would return after `n` others.
    pub fn completion(&self, n: usize) -> Option<Completion> {
        self.sending.completions.get(n).copied()
    }

    /// Says whether publishes without a cookie come by [`take_completion`](Session::take_completion) as well; at first
    /// they do.
    pub fn tell_all_completions(&mut self, all: bool) {
        self.tell_all = all;
    }

    /// How the next publish ended. Each accepted publish that is [told](Session::tell_all_completions) comes by here
    /// exactly once.
    pub fn take_completion(&mut self) -> Option<Completion> {
        self.sending.get_mut()?.completions.pop_front()
    }

    // -- subscriptions --------------------------------------------------------------------------

    /// Wants a filter from now on, on this and every later connection. The filter is valid.
    pub fn subscribe(&mut self, filter: Arc<str>, qos: QoS) {
        self.desire(filter, qos, None);
        self.flush_subscriptions();
    }

    /// Does not want a filter any more. False if it was not wanted, and the server cannot have it from an earlier
    /// process either.
    pub fn unsubscribe(&mut self, filter: &str) -> bool {
        let wanted = self.withdraw(filter, None);
        self.flush_subscriptions();
        wanted
    }

    /// As [`subscribe`](Session::subscribe), for several filters one after the other: [`flush_subscriptions`](Session::flush_subscriptions)
    /// then puts them into as few packets as possible. The ticket gets the server's answer.
    pub fn desire(&mut self, filter: Arc<str>, qos: QoS, ticket: Option<Ticket>) {
        self.subscriptions.make().desire(filter, qos, ticket);
    }

    /// As [`unsubscribe`](Session::unsubscribe), until [`flush_subscriptions`](Session::flush_subscriptions).
    pub fn withdraw(&mut self, filter: &str, ticket: Option<Ticket>) -> bool {
        let server = Server { up: self.is_up(), kept: self.may_have_filters() };
        if !server.kept && self.subscriptions.get().is_none() {
            return false;
        }
        self.subscriptions.make().withdraw(filter, ticket, server)
    }

    /// Whether the server may have filters that this process did not ask for: those of a session that it kept.
    pub fn may_have_filters(&self) -> bool {
        if self.is_up() { self.resumed } else { self.limits.keep_session }
    }

    /// Asks the server for what [`desire`](Session::desire) and [`withdraw`](Session::withdraw) left to be asked.
    pub fn flush_subscriptions(&mut self) {
        self.pump_subscriptions();
    }

    /// How the wait of the next ticket ended. Each comes by here exactly once.
    pub fn take_answer(&mut self) -> Option<(Ticket, Answer)> {
        self.subscriptions.get_mut()?.take_answer()
    }

    /// A call does not wait any more: its tickets are given up. Answers that are on their way may still come.
    pub fn forget_call(&mut self, call: u64) {
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.forget(call);
        }
    }

    /// Filters that were asked for and not acknowledged, or are still to be asked for.
    pub fn pending_subscriptions(&self) -> usize {
        self.subscriptions.pending()
    }

    /// The codes of the SUBACK that is being handled.
    pub fn subscribe_results(&self) -> &[SubscribeResult] {
        self.subscriptions.results()
    }

    /// The next of these codes, and the SUBACK's packet id, for a caller who lets go of the session to tell of it. All
    /// of them have to be taken before the next SUBACK.
    pub fn take_subscribe_result(&mut self) -> Option<(u16, SubscribeResult)> {
        self.subscriptions.get_mut()?.take_result()
    }

    /// Whether there are codes that were not [taken](Session::take_subscribe_result).
    pub fn has_subscribe_result(&self) -> bool {
        self.subscriptions.has_result()
    }

    #[inline]
    fn pump_subscriptions(&mut self) {
        if self.state == State::Up
            && let Some(subscriptions) = self.subscriptions.get_mut().filter(|all| all.are_due())
        {
            // What could not be appended for want of memory or ids stays due; the next
            // acknowledgement tries again.
            let Ok(Sending { ids, .. }) = self.sending.try_make() else { return };
            let (version, now) = (self.version, self.now);
            let from = self.out.end();
            let _ = self.out.append(|out| subscriptions.pump(version, ids, (from, now), out));
            if self.flight_limit == 0 {
                self.watch_acknowledgements();
            }
        }
    }

    // -- packet ids and sizes -------------------------------------------------------------------

    /// Counts the packet id on and returns the next free one, without holding it.
    pub fn next_packet_id(&mut self) -> Result<u16, Code> {
        self.sending()?.ids.next()
    }

    /// The token of a publish without an outcome by its packet id.
    pub fn token_of(&self, packet_id: u16) -> Option<u64> {
        match self.sending.ids.get(packet_id)? {
            Use::Publish(slot) => {
                let entry = self.sending.outbox.get(slot);
                (!entry.stage.is_late()).then_some(entry.token)
            }
            Use::Unsent => self.sending.ids.unsent.find(packet_id),
            _ => None,
        }
    }

    /// The topic of the message whose acknowledgement is being handled, in UTF-8.
    pub fn acknowledged_topic(&self) -> Option<&[u8]> {
        match self.pending_event {
            PendingEvent::Acknowledged(slot) => Some(self.sending.outbox.get(slot).topic()),
            _ => None,
        }
    }

    /// The message whose acknowledgement is being handled, lent to who lets go of the session while he tells of it.
    /// He [gives it back](Session::restore) before he says that it is handled.
    pub fn take_acknowledged(&mut self) -> Option<Ended> {
        match self.pending_event {
            PendingEvent::Acknowledged(slot) => Some(self.sending.outbox.get_mut(slot).take_topic(slot)),
            _ => None,
        }
    }

    /// Takes back what [`take_acknowledged`](Session::take_acknowledged) gave, for its memory.
    pub fn restore(&mut self, ended: Ended) {
        if let Some(sending) = self.sending.get_mut() {
            sending.outbox.put_back(ended);
        }
    }

    /// Payload bytes of QoS 1 and 2 messages that are not acknowledged, plus the bytes not yet
    /// written.
    pub fn unsent_bytes(&self) -> usize {
        self.sending.outbox.payload_bytes() + self.out.len()
    }

    /// Packets that wait to be written and were not looked at yet; for a log.
    pub fn untraced_output(&mut self) -> &[u8] {
        self.out.untraced()
    }

    /// Whether what comes next belongs to a packet that is skipped.
    pub fn skips(&self) -> bool {
        self.inbound.to_skip() > 0
    }

    /// Whether each message is to go through [`publish`](Session::publish), whose caller then sees it.
    pub fn look_at_each_publish(&mut self, on: bool) {
        self.each_publish = on;
        if let Some(sending) = self.sending.get_mut() {
            // The fast path asks for it, and finds out by it.
            sending.outcomes_fit = 0;
        }
    }

    /// QoS 1 and 2 messages waiting or in flight.
    pub fn queue_len(&self) -> usize {
        self.sending.outbox.len()
    }

    /// QoS 1 and 2 messages in flight.
    pub fn in_flight(&self) -> usize {
        self.sending.outbox.in_flight()
    }
}
