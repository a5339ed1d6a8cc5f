//! Closing in order: what was published before gets there.
//!
//! DISCONNECT is written behind everything else, our side is shut, and the server's side is read to its end. On a slow
//! link most of it is still under way by then, and closing a socket into which the server still sends resets the
//! connection and loses that. So closing goes on as long as the server's TCP acknowledges bytes.

use std::io;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::state::flush::Flush;
use crate::client::state::{Closing, Link};
use crate::driver::Turn;
use crate::error::{Code, Phase};
use crate::session::Failure;
use crate::sync::MutexGuard;
use crate::time::{Moment, Span, Time};
use crate::transport::{SendQueue, Stream};

/// How long a closing connection waits for the server to close its side once everything has arrived; also how often
/// it checks whether it has.
const DRAIN: Span = Span::secs(1);

/// Closing may take this many times as long as it may go without progress.
const IN_ALL: u64 = 6;

/// No limit.
const FOREVER: Time = Time(u64::MAX - 1);

impl Closing {
    /// When to look at it again; `None` if only the server can end it.
    pub(in crate::client) fn look_at(self, progress: Option<Time>) -> Option<Time> {
        let next = self.by.or_never().min(progress.unwrap_or(Time::NEVER));
        (next < FOREVER).then_some(next)
    }
}

impl Conn {
    /// The application wants this connection closed: flush, shut, drain.
    pub(in crate::client) fn wind_up<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        closing: Closing,
    ) -> MutexGuard<'a, State> {
        if !matches!(st.link, Link::Open(_)) {
            if matches!(st.link, Link::Draining { .. }) && closing.graceful {
                return st;
            }
            let report = st.closing_report(closing.code);
            return self.link_down(st, turn, report);
        }
        if !closing.graceful {
            let report = st.closing_report(closing.code);
            return self.link_down(st, turn, report);
        }
        let queue = self.context.send_queue;
        let by = match closing.by.get() {
            Some(by) => by,
            None => self.begin_closing(&mut st, turn.now),
        };
        st.closing = Some(Closing { by: by.into(), ..closing });
        match self.flush(&mut st, turn.now) {
            Flush::Done => {
                if let Link::Open(mut transport) = std::mem::replace(&mut st.link, Link::Idle) {
                    transport.shutdown();
                    let look = by.min(turn.now + DRAIN);
                    st.link = Link::Draining { transport, by: look, left: 0 };
                }
                st
            }
            Flush::Blocked if turn.now < by && !st.closing_is_stuck(turn.now, queue) => st,
            Flush::Blocked => {
                let report = self.closed_report(&mut st, closing.code, "in time");
                self.link_down(st, turn, report)
            }
            Flush::Failed(report) => match st.undelivered(queue) {
                0 => self.link_down(st, turn, report),
                _ => {
                    let text = format!("before this happened: {}", report.text);
                    let report = self.closed_report(&mut st, closing.code, &text);
                    self.link_down(st, turn, report)
                }
            },
        }
    }

    /// When it has to be over.
    fn begin_closing(&self, st: &mut State, now: Time) -> Time {
        let close = st.settings.close;
        // Before CONNACK nothing that was sent is worth waiting for.
        let (without, in_all) = match self.is_connected() && !bug(Bug::DrainCut) {
            true => (close, Span(close.0.saturating_mul(IN_ALL))),
            false => (DRAIN, DRAIN),
        };
        let delivery = st.delivery(self.context.send_queue);
        st.session.await_delivery(now, without, delivery);
        let in_all = if in_all == Span::ZERO { FOREVER } else { now + in_all };
        in_all.max(st.extras.close_until.unwrap_or(Time::ZERO)).min(FOREVER)
    }

    /// The session cannot go on. In MQTT 5.0 the server is told why, as far as the socket takes that (§4.13.1); the link
    /// goes down.
    pub(in crate::client) fn fail<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        failure: &Failure,
    ) -> MutexGuard<'a, State> {
        let report = st.failure_report(failure);
        self.fail_with(st, turn, report, failure.reason)
    }

    /// As [`fail`](Self::fail), with a report that is there, and this reason code for the server.
    pub(in crate::client) fn fail_with<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        report: Report,
        reason: Option<u8>,
    ) -> MutexGuard<'a, State> {
        if let Some(reason) = reason
            && st.session.disconnect_because(reason)
            && matches!(self.flush(&mut st, turn.now), Flush::Done)
            && let Some(transport) = st.link.stream()
        {
            transport.shutdown();
            discard(transport);
        }
        self.link_down(st, turn, report)
    }

    /// Reads what the server still sends, until it closes too: acknowledgements of what was published before.
    pub(in crate::client) fn drain<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        // The first call comes right after our side was shut, without an event.
        st = self.read(st, turn);
        if bug(Bug::Spins) {
            turn.again();
        }
        let queue = self.context.send_queue;
        let state = &mut *st;
        let Link::Draining { by, left: before, .. } = state.link else { return st };
        // Messages that were read are delivered before the end.
        if turn.now < by || state.backlog.is_some() {
            return st;
        }
        let (code, limit) =
            state.closing.map_or((Code::ClosedByClient, Time::ZERO), |c| (c.code, c.by.or_never()));
        let left = state.undelivered(queue);
        // Once everything has arrived, the server gets one more DRAIN to close its side.
        if left == 0 && before == 0 || bug(Bug::DrainCut) {
            let report = state.closing_report(code);
            return self.link_down(st, turn, report);
        }
        if left > 0 && (limit <= turn.now || state.closing_is_stuck(turn.now, queue)) {
            let report = self.closed_report(&mut st, code, "in time");
            return self.link_down(st, turn, report);
        }
        if let Link::Draining { by, left: last, .. } = &mut state.link {
            *last = left;
            *by = turn.now + DRAIN;
            if left > 0 {
                *by = (*by).min(limit);
            }
        }
        st
    }

    /// As [`disconnect`](Conn::disconnect), and waits until the connection is closed and its handlers were told.
    /// Closing may take as long as the wait does. [`Code::Undelivered`]: not everything got to the server.
    pub fn disconnect_wait(&self, timeout: Option<Span>) -> Result<(), Code> {
        self.may_wait()?;
        let generation = self.usable()?.generation;
        self.disconnect()?;
        let until = timeout.map_or(FOREVER, |timeout| self.context.driver.now() + timeout);
        self.lock().closing_may_take(until);
        self.wait_for(timeout, |st| {
            let closed = matches!(st.link, Link::Idle) || st.generation != generation;
            let cut = st.generation != generation && st.report.code() == Code::Undelivered;
            (closed && !st.in_turn).then_some(if cut { Err(Code::Undelivered) } else { Ok(()) })
        })?
    }

    /// How closing ended; `why` goes behind "were not acknowledged" if something was not.
    pub(in crate::client) fn closed_report(&self, st: &mut State, code: Code, why: &str) -> Report {
        let left = st.undelivered(self.context.send_queue);
        if left == 0 || !self.is_connected() {
            return st.closing_report(code);
        }
        let server = match st.link.stream().and_then(|stream| stream.peer()) {
            Some(endpoint) => endpoint.to_string(),
            None => "the server".into(),
        };
        let bytes = if left == 1 { "byte" } else { "bytes" };
        let what = format!("{left} {bytes} of what was sent before were not acknowledged by {server} {why}");
        match code {
            Code::ClosedByClient => {
                let text = format!("{}: {what}", Code::Undelivered.text());
                st.report(Code::Undelivered, Phase::Protocol, 0, text)
            }
            code => Report { text: format!("{}: {what}", code.text()), ..st.closing_report(code) },
        }
    }

    /// How many bytes the server has not acknowledged, as far as the system tells, with those that still wait in the
    /// output.
    pub fn undelivered(&self) -> u64 {
        self.lock().undelivered(self.context.send_queue)
    }
}

impl State {
    /// Somebody waits that long for the present connection to be closed.
    fn closing_may_take(&mut self, until: Time) {
        let Some(closing) = &mut self.closing else { return };
        match closing.by.get() {
            Some(by) => closing.by = Moment::from(by.max(until)),
            None => self.extras.make().close_until = Some(until),
        }
    }

    /// Nothing was acknowledged for too long.
    fn closing_is_stuck(&mut self, now: Time, queue: SendQueue) -> bool {
        if self.session.deadline().is_none_or(|at| now < at) {
            return false;
        }
        let delivery = self.delivery(queue);
        self.session.is_stuck(now, delivery)
    }

    fn undelivered(&mut self, queue: SendQueue) -> u64 {
        let left = self.delivery(queue).map_or(0, |delivery| delivery.left);
        left + self.session.output().len() as u64
    }
}

/// Reads and drops what has come already: closing a socket that holds unread bytes resets the connection, and what is
/// on its way to the server is lost.
pub(in crate::client) fn discard(transport: &mut Stream) {
    let mut waste = [0; 4096];
    for _ in 0..64 {
        match transport.read(&mut waste) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}
