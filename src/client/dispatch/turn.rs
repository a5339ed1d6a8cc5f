//! A turn of the loop for one connection.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use crate::client::conn::{Handlers, Recipients, State};
use crate::client::handlers::event::{Event, Kind};
use crate::client::link::closing::discard;
use crate::client::state::flush::Flush;
use crate::client::state::log::Level;
use crate::client::state::pace::Stage;
use crate::client::state::profiles::Server;
use crate::client::state::{Extras, Link};
use crate::client::{Conn, text};
use crate::driver::{Source, Turn};
use crate::error::{Code, Phase};
use crate::patience::Delivery;
use crate::session::Session;
use crate::sync::MutexGuard;
use crate::time::{Moment, Span, Time};
use crate::transport::SendQueue;

/// Without a keep-alive, a connection is quiet when nothing came or went for so long.
pub(in crate::client) const QUIET: Span = Span::secs(10);

impl Source for Conn {
    fn drive(&self, turn: &mut Turn<'_>) {
        if catch_unwind(AssertUnwindSafe(|| self.turn(turn))).is_err() {
            // The lock may be poisoned or not; either way this connection is over, the loop is not.
            self.lock().broken = true;
            let _ = catch_unwind(AssertUnwindSafe(|| self.turn(turn)));
        }
    }

    fn iteration_begin(&self) {
        if let Some(builtin_handler) = &self.context.builtin_handler.0 {
            builtin_handler.iteration_begin(self);
        }
    }

    fn iteration_end(&self, turn: &mut Turn<'_>) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let mut st = self.lock();
            st.pace.start(turn.now, turn.is_bounded());
            if st.gets_polls() {
                let st = self.tell_poll(st, turn);
                turn.set_deadline(st.next_deadline());
            }
        }));
    }
}

impl Conn {
    fn turn(&self, turn: &mut Turn<'_>) {
        let began = turn.now;
        let mut st = self.lock();
        st.scheduled = false;
        st.in_turn = true;
        st.now_holds = true;
        st.session.clock(turn.now);
        st.ended |= turn.ended;
        st.wrote_early = Moment::NONE;
        self.trace_if_wanted(&mut st);
        st.pace.begin(turn.now, turn.is_bounded());
        if st.freed {
            drop(st);
            return self.tear_down(Some(turn));
        }
        if st.has_late() {
            st = self.tell_late(st);
            self.ask_time(&mut st, turn);
        }
        if st.broken {
            st = self.give_up(st, turn);
        } else {
            st = self.progress(st, turn);
        }
        if st.handlers.wants(Kind::Poll)
            && !st.extras.each_iteration
            && st.gets_polls()
            && st.pace.may(Stage::Poll)
        {
            st = self.tell_poll(st, turn);
            if st.closing.is_none_or(|c| c.graceful) {
                st = self.write(st, turn);
            }
        }
        if st.outcomes.are_waiting() && st.pace.may(Stage::Outcomes) {
            st = self.tell_outcomes(st);
            // What was published there goes out now; what that ends is told in the next iteration.
            if st.closing.is_none_or(|c| c.graceful) {
                st = self.write(st, turn);
            }
        }
        if st.pace.is_unfinished() || st.outcomes.are_waiting() || st.has_results() {
            turn.again();
        }
        self.look_for_slow(&mut st, began, turn);
        st.in_turn = false;
        st.now_holds = false;
        if st.freed {
            drop(st);
            return self.tear_down(Some(turn));
        }
        debug_assert!(st.has_a_future(), "a connection that is wanted has no next attempt");
        turn.set_deadline(st.next_deadline());
        self.deliver_log(st, turn);
        self.context.driver.notify();
    }

    /// Tells that an iteration or a turn is over, and when the next one will come for that alone.
    fn tell_poll<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &Turn<'_>) -> MutexGuard<'a, State> {
        let tick = st.settings.poll_tick;
        st.tick_at = (tick > Span::ZERO).then(|| turn.now + tick).into();
        self.tell(st, |h, recipients| h.connection(Kind::Poll, recipients), &Event::Poll)
    }

    /// Tells what happened between the turns, and what earlier ones had no time for.
    fn tell_late<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if let Some(attempt) = st.late_result() {
            // There is no other attempt that anybody could mean.
            st.end_once(u64::MAX, attempt);
        }
        if !st.extras.results.is_empty() && st.pace.may(Stage::Results) {
            st = self.tell_results(st);
        }
        let calls = st.session.has_subscribe_result() || st.extras.calls.has_ended();
        if calls && st.pace.may(Stage::Calls) {
            st = self.tell_subscribed(st);
        }
        if st.extras.requests.has_ended() && st.pace.may(Stage::Requests) {
            st = self.tell_requests(st);
        }
        st
    }

    /// Everything there is to do, in the order in which it may depend on each other.
    fn progress<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &mut Turn<'_>) -> MutexGuard<'a, State> {
        st = self.close_if_asked(st, turn);
        // As long as the deadline has not come, none of the timers has. But a message may have been accepted since it
        // was set, and its time be over before what waits is sent.
        let over = |at: Time| at <= turn.now;
        let due = turn.deadline().is_none_or(over) || st.session.expiry().is_some_and(over);
        if due {
            st = self.timers(st, turn);
            self.ask_time(&mut st, turn);
            // A handler may have asked for the end there: then the attempt that is under way does not go on.
            st = self.close_if_asked(st, turn);
        }
        if !matches!(st.link, Link::Open(_)) {
            st = self.attempt(st, turn);
        } else if st.extras.asking.is_some() || st.extras.scram.is_some() {
            st = self.take_answer(st, turn);
            st = self.take_proof(st, turn);
        }
        if matches!(st.link, Link::Open(_)) {
            st.unread |= turn.readable;
            if st.is_behind() {
                st = self.read(st, turn);
            }
            if due || st.pace.is_over() {
                // If it took long, more is due by now.
                self.ask_time(&mut st, turn);
                st = self.session_timer(st, turn);
            }
            // "At once" is before what a handler published, and before the acknowledgement of its message.
            if st.closing.is_none_or(|c| c.graceful) {
                st = self.write(st, turn);
            }
            // A handler may have asked for the end; it need not wait for another iteration.
            st = self.close_if_asked(st, turn);
        }
        if matches!(st.link, Link::Draining { .. }) {
            st = self.drain(st, turn);
        }
        if st.course.is_due() && matches!(st.link, Link::Idle | Link::Waiting(_)) {
            turn.again();
        }
        st
    }

    /// Callbacks may have taken long: what is measured from now on must not begin before they did.
    fn ask_time(&self, st: &mut State, turn: &mut Turn<'_>) {
        if st.pace.has_run() {
            turn.now = self.context.driver.now();
            st.session.clock(turn.now);
        }
    }

    /// Timers of the application and of the policy.
    fn timers<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &mut Turn<'_>) -> MutexGuard<'a, State> {
        let now = turn.now;
        let before = st.session.ended();
        st.session.expire(now);
        let expired = st.session.ended() - before;
        if expired > 0 {
            self.note(&mut st, Level::Debug, format_args!("{expired} messages have expired"));
        }
        self.settle(&mut st);
        if st.extras.timer_at.is_some_and(|at| at <= now) {
            st.extras.timer_at = None;
            self.note(&mut st, Level::Debug, format_args!("the application's timer has run out"));
            st = self.tell(st, |h, recipients| h.connection(Kind::Timer, recipients), &Event::Timer);
        }
        if st.extras.requests.due().is_some_and(|at| at <= now) {
            st = self.end_late_requests(st, now);
        }
        if st.expiry.get().and_then(|ends| ends.look_at).is_some_and(|at| at <= now) {
            st = self.tell_expiry(st, turn);
        }
        if st.extras.asking.as_ref().and_then(|asking| asking.renew_at).is_some_and(|at| at <= now) {
            st = self.renew(st, turn);
        }
        if st.extras.without_server.is_some_and(|at| at <= now) {
            self.look_for_server(&mut st);
        }
        if st.quiet_at().is_some_and(|at| at <= now) {
            st.quieted = now + Span::micros(1);
            st.give_memory_back();
            st.session.quiet();
        }
        if st.extras.refusals.due().is_some_and(|due| due <= now) && st.pace.may(Stage::Refused) {
            st = self.redeliver(st, now);
        }
        if st.extras.fail_back.get().and_then(|back| back.at).is_some_and(|at| at <= now) {
            st.extras.make().fail_back.make().at = None;
            if st.closing.is_some() {
                // It is opened again as whoever closes it wants it.
                return st;
            }
            if !st.main_is_enabled() {
                let again = st.settings.fail_back;
                st.extras.make().fail_back.make().at = Some(now + again).filter(|_| again > Span::ZERO);
                return st;
            }
            let active = st.reconnect.active();
            st.extras.make().fail_back.make().from = Some(active);
            st.reconnect.select(0);
            self.note(&mut st, Level::Info, format_args!("trying the main server again"));
            st.end_link(Code::Reconfigured, true);
            st.course.hurry();
            st = self.close_if_asked(st, turn);
        }
        st
    }

    /// The session's own time: keep-alive, and CONNACK. To be looked at after what the server sent was read: who
    /// drives the loop may come late, and the answer may have come in time.
    fn session_timer<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        if st.session.acknowledgements_are_due(turn.now) {
            st = self.look_for_acknowledgements(st, turn);
        }
        if matches!(st.link, Link::Open(_))
            && st.closing.is_none()
            && st.session.deadline().is_some_and(|at| at <= turn.now)
        {
            let text = format_args!("a timer has run out: keep-alive, or the time of an answer");
            self.note(&mut st, Level::Debug, text);
            if st.pace.is_unfinished() && st.is_behind() {
                // The answer may be among what is still to be told. A server that has sent so much is there.
                st.session.received(turn.now);
            }
            // Little is going on. Before a PINGREQ stands in the output.
            st.give_memory_back();
            let delivery = st.delivery(self.context.send_queue);
            let silent = st.silent_hook();
            if let Err(failure) = st.session.timeout(turn.now, delivery) {
                let report = match silent {
                    Some(text) => st.report(Code::HookTimeout, Phase::Connect, 0, text.into()),
                    None => st.failure_report(&failure),
                };
                st = self.link_down(st, turn, report);
            }
        }
        st
    }

    /// Hands what is in the output to the kernel.
    pub(in crate::client) fn write<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        if !matches!(st.link, Link::Open(_)) {
            return st;
        }
        let report = match self.flush(&mut st, turn.now) {
            // What the server sent before is told first.
            _ if st.backlog.is_some() && st.link_broke => return st,
            Flush::Failed(_) if st.backlog.is_some() => return st,
            Flush::Failed(report) => report,
            Flush::Done | Flush::Blocked => match std::mem::take(&mut st.link_broke) {
                true => st.report.copy(),
                false => {
                    self.output_level.store(st.session.output().len(), Ordering::Relaxed);
                    self.settle(&mut st);
                    return st;
                }
            },
        };
        self.link_down(st, turn, report)
    }

    /// Writes as much as the kernel takes.
    #[inline]
    pub(in crate::client) fn flush(&self, st: &mut State, now: Time) -> Flush {
        if st.traced {
            self.trace_sent(st);
        }
        st.flush(now)
    }

    /// What the application may have asked for at any time.
    #[inline(always)]
    fn close_if_asked<'a>(&'a self, st: MutexGuard<'a, State>, turn: &mut Turn<'_>) -> MutexGuard<'a, State> {
        match st.closing {
            None => st,
            Some(closing) => self.wind_up(st, turn, closing),
        }
    }

    /// Calls the handlers that `collect` finds, without the lock.
    pub(in crate::client) fn tell<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        collect: impl FnOnce(&mut Handlers, &mut Recipients),
        event: &Event<'_>,
    ) -> MutexGuard<'a, State> {
        let mut recipients = st.handlers.recipients();
        collect(&mut st.handlers, &mut recipients);
        if !recipients.is_empty() {
            drop(st);
            for entry in recipients.iter() {
                entry.call(self, event);
            }
            let n = recipients.len();
            // Entries removed meanwhile end here, and with them their user data.
            recipients.clear();
            st = self.lock_untracked();
            self.ran(&mut st, n);
        }
        st.handlers.told(recipients);
        st
    }

    /// Delivers the log records that there are at the end of a turn.
    fn deliver_log<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &mut Turn<'_>) {
        if st.log.records.is_empty() {
            return;
        }
        if st.pace.may(Stage::Log) {
            st = self.tell_log(st);
            turn.now = self.context.driver.now();
        }
        if !st.log.records.is_empty() {
            turn.again();
        }
    }

    /// Delivers log records, as many as this turn has time for.
    pub(in crate::client) fn tell_log<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let mut records = VecDeque::from(st.take_log());
        while !records.is_empty() && !st.pace.is_over() {
            let n = records.len().min(st.pace.most());
            drop(st);
            self.context.log.deliver(self.number, records.drain(..n));
            st = self.lock_untracked();
            self.ran(&mut st, n);
        }
        if !records.is_empty() {
            st.put_log_back(records);
        }
        st
    }

    /// After a panic: no link, no further attempt.
    fn give_up<'a>(&'a self, mut st: MutexGuard<'a, State>, turn: &mut Turn<'_>) -> MutexGuard<'a, State> {
        st.course.give_up(Code::Panic);
        if let Some(extras) = st.extras.get_mut() {
            extras.timer_at = None;
        }
        if matches!(st.link, Link::Idle) {
            return st;
        }
        let report = st.report(Code::Panic, Phase::Usage, 0, text::copy(Code::Panic.text()));
        self.link_down(st, turn, report)
    }

    /// The end: runs with the driver's role, after the last handler returned. In a turn that may be more than one step;
    /// outside of one it is all done at once.
    pub(in crate::client) fn tear_down(&self, turn: Option<&mut Turn<'_>>) {
        if self.is_gone() {
            return;
        }
        let mut st = self.lock();
        st.in_turn = true;
        let now = match &turn {
            Some(turn) => turn.now,
            None => self.context.driver.now(),
        };
        if turn.is_none() {
            st.pace.begin(now, false);
        }
        // A connection that is freed while it is up ends like one that is closed, as far as that goes
        // without waiting.
        if matches!(st.link, Link::Open(_)) && st.closing.is_none_or(|c| c.graceful) {
            st.session.disconnect();
            let _ = self.flush(&mut st, now);
        }
        let link = std::mem::replace(&mut st.link, Link::Idle);
        if let Link::Open(mut transport) | Link::Draining { mut transport, .. } = link {
            transport.shutdown();
            discard(&mut transport);
        }
        self.connected.store(false, Ordering::Release);
        st.session.abandon();
        self.settle(&mut st);
        st.end_results();
        self.end_calls(&mut st);
        self.end_all_requests(&mut st);
        while st.outcomes.are_waiting() && !st.pace.is_over() {
            st = self.tell_outcomes(st);
        }
        st = self.tell_results(st);
        st = self.tell_ended(st);
        st = self.tell_requests(st);
        st = self.tell_log(st);
        if let Some(turn) = turn
            && st.pace.is_over()
        {
            return turn.again();
        }
        let Extras { receive_queue, refusals, hook, asking, signer, custom, pump, owner, .. } =
            st.extras.take().unwrap_or_default();
        let removed = st.handlers.clear();
        let records = st.take_log();
        drop(st);
        if let Some(pump) = pump.and_then(|pump| pump.upgrade()) {
            pump.finish(&self.context.driver);
        }
        drop((receive_queue, refusals));
        drop(removed);
        drop((hook, asking, signer, custom));
        self.context.log.deliver(self.number, records.into_iter());
        if let Some(id) = self.source.get() {
            self.context.driver.remove(*id);
        }
        // Against the load of who waits for it: see Loop::wait.
        self.gone.store(true, Ordering::SeqCst);
        self.context.driver.notify();
        drop(owner);
    }
}

impl State {
    /// Whether handlers of POLL are called: there is a connection, or an attempt.
    fn gets_polls(&self) -> bool {
        !self.freed && !matches!(self.link, Link::Idle | Link::Waiting(_))
    }

    /// Whether [`tell_late`](Conn::tell_late) may have something to tell. Little that it looks at is ever there.
    fn has_late(&self) -> bool {
        self.extras.get().is_some() || self.session.has_subscribe_result()
    }

    /// Whether functions wait to be told how an attempt or a call ended.
    fn has_results(&self) -> bool {
        let Some(extras) = self.extras.get() else { return false };
        let ended = extras.calls.has_ended() || extras.requests.has_ended();
        !extras.results.is_empty() || ended || self.late_result().is_some()
    }

    fn main_is_enabled(&self) -> bool {
        matches!(self.profiles.first().map(Server::now), Some(Ok((main, _))) if main.enable)
    }

    /// Buffers and lists that bursts needed are not needed in a quiet moment.
    fn give_memory_back(&mut self) {
        if self.partial.is_empty() {
            self.partial = Vec::new();
        }
        self.session.shrink_output();
        self.outcomes.shrink();
        if let Some(transport) = self.link.stream() {
            transport.shrink();
        }
        if let Some(extras) = self.extras.get_mut() {
            extras.shrink();
        }
    }

    /// When it is to be looked for such a moment, without a keep-alive that would do so.
    fn quiet_at(&self) -> Option<Time> {
        let last = self.session.last_traffic();
        (self.session.hoards() && last >= self.quieted && matches!(self.link, Link::Open(_)))
            .then(|| last + QUIET)
    }

    /// What the system knows of what it was given. A call of the system: for when a deadline is due.
    pub(in crate::client) fn delivery(&mut self, queue: SendQueue) -> Option<Delivery> {
        let given = self.session.output().taken();
        self.link.stream()?.delivery(given, queue)
    }

    /// See [`Conn::flush`].
    fn flush(&mut self, now: Time) -> Flush {
        let Link::Open(transport) = &mut self.link else { return Flush::Done };
        let session: &mut Session = &mut self.session;
        loop {
            // What the transport has taken but not yet given to the kernel stays in the session's output, at
            // its front: only what the kernel has counts as sent.
            let held = transport.unsent();
            let fresh = &session.output().pending()[held..];
            let outcome =
                if fresh.is_empty() { transport.flush().map(|()| 0) } else { transport.write(fresh) };
            let taken = *outcome.as_ref().unwrap_or(&0);
            let left = held + taken - transport.unsent();
            if left > 0 {
                session.wrote(now, left);
            }
            match outcome {
                Ok(_) if session.output().is_empty() => return Flush::Done,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Flush::Blocked,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Flush::Failed(self.io_report(&e)),
            }
        }
    }

    /// The earliest moment at which a turn has something to do.
    pub(in crate::client) fn next_deadline(&self) -> Moment {
        let link = match &self.link {
            Link::Idle => None,
            Link::Waiting(at) => Some(*at),
            Link::Resolving { by, .. } | Link::Opening { by, .. } => by.get(),
            Link::Handshaking { .. } => self.tries.handshake.look_at(),
            Link::Open(_) => match self.closing {
                None => self.session.deadline(),
                Some(closing) => closing.look_at(self.session.deadline()),
            },
            Link::Draining { by, .. } => Some(*by),
        };
        let tick = self.tick_at.get().filter(|_| !matches!(self.link, Link::Idle | Link::Waiting(_)));
        let at = |deadline: Option<Time>| deadline.unwrap_or(Time::NEVER);
        let mut next = at(link).min(at(tick)).min(at(self.quiet_at())).min(at(self.session.expiry()));
        if let Some(ends) = self.expiry.get() {
            next = next.min(at(ends.look_at));
        }
        if let Some(extras) = self.extras.get() {
            next = next.min(at(extras.timer_at)).min(at(extras.fail_back.at)).min(at(extras.refusals.due()));
            next = next.min(at(extras.without_server)).min(at(extras.requests.due()));
            next = next.min(at(extras.asking.as_ref().and_then(|asking| asking.renew_at)));
        }
        next.into()
    }
}
