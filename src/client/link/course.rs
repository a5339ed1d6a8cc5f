//! The course of a connection: what is wanted of it, how the present link ends, and what follows that end.
//!
//! What each call does, wherever the connection is:
//!
//! | call              | wanted then | the present link                | the next attempt                            |
//! |-------------------|-------------|---------------------------------|---------------------------------------------|
//! | `connect`         | yes         | stays; one that is ending, ends | at once where there is no link; else when that has ended |
//! | `reconnect`       | yes         | ends, with DISCONNECT           | at once, or when the link has ended         |
//! | `disconnect`      | no          | ends, with DISCONNECT           | none                                        |
//! | `abort`           | no          | ends, without it                | none                                        |
//! | `drop_link`       | as before   | ends, either way                | as after any other loss                     |
//! | `set_profile`     | as before, and no if it is not enabled | ends, with DISCONNECT | at once, or when the link has ended |
//! | `network_changed` | as before   | stays if it answers; an attempt, and a link that is closing to come back, end without DISCONNECT | at once, or when the link has ended |
//! | `set_profiles`, `set_settings` | as before | stays                | as before                                   |
//!
//! Of two ends of one link the harder one wins, and of two reasons for the next attempt the sooner. `drop_link` without
//! a link does nothing.
//!
//! A connection that is wanted always has a link, a wait for the next attempt, or an attempt that begins in the next
//! turn. The end of a link is planned after its handlers returned ([`plan`](Conn::plan)), so what they ask for
//! counts as asked for then: at once after a link that was stable or that the application ended itself, else after the
//! wait that the schedule has reached. Otherwise a server that closes at once would be called again without a pause.

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::link::attempt;
use crate::client::state::course::{Course, Ended, Has, Next};
use crate::client::state::log::Level;
use crate::client::state::reconnect::{Growth, Lost, SUSPICIOUS, Waits, between, jitter};
use crate::client::state::{Closing, Link};
use crate::config::{Backoff, Retry};
use crate::driver::Turn;
use crate::error::Code;
use crate::time::{Moment, Span};
use crate::wire::{PropertyBlock, reason};

impl State {
    pub(in crate::client) fn has(&self) -> Has {
        match self.link {
            Link::Idle => Has::Nothing,
            Link::Waiting(_) => Has::Wait,
            _ if self.closing.is_some() => Has::EndingLink,
            _ => Has::Link,
        }
    }

    /// What is wanted always has a link, a wait or an attempt that begins in the next turn.
    pub(in crate::client) fn has_a_future(&self) -> bool {
        !self.course.wanted || self.course.is_due() || self.has() != Has::Nothing
    }

    /// The present link is to end. Of two ends the harder one wins, and that the application wants it closed is a
    /// better reason than a new configuration.
    pub(in crate::client) fn end_link(&mut self, code: Code, graceful: bool) {
        let before = self.closing;
        let graceful = graceful && before.is_none_or(|c| c.graceful);
        if graceful {
            self.session.disconnect();
        }
        let code = match before {
            Some(before) if code == Code::Reconfigured => before.code,
            _ => code,
        };
        self.closing = Some(Closing { code, graceful, by: before.map_or(Moment::NONE, |c| c.by) });
    }
}

impl Conn {
    /// Wants the connection up. If it waits for its next attempt, that begins at once; if it is closing, it
    /// comes back as soon as that is done. Says why when it cannot even try.
    ///
    /// In a handler that is told of an end: at once if the link was stable or the application ended it, else after the
    /// wait that the schedule has reached, whatever [`Settings::retry`](crate::config::Settings::retry) says.
    pub fn connect(&self) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.begin_connect(&mut st)
    }

    pub(in crate::client) fn begin_connect(&self, st: &mut State) -> Result<(), Code> {
        let require_time = self.can_try(st)?;
        let has = st.has();
        st.course.want(has);
        if matches!(has, Has::Nothing | Has::Wait) {
            self.schedule(st);
            if require_time && (self.context.wall_clock)() < attempt::PLAUSIBLE_TIME {
                return Err(Code::TimeNotSet);
            }
        }
        Ok(())
    }

    /// Whether there is a server to be tried, and whether that needs the time of day. A call that fails here is remembered:
    /// a connection that comes by itself comes once there is a server.
    fn can_try(&self, st: &mut State) -> Result<bool, Code> {
        let problem = match st.next_profile(&self.context.common) {
            Some((_, Ok((profile, _)))) => match profile.address() {
                Ok(_) => return Ok(profile.require_time),
                Err(error) => error.code,
            },
            Some((_, Err(_))) => Code::BadConfig,
            None => Code::Disabled,
        };
        st.course.closed = false;
        if !st.course.wanted {
            st.course.why = problem;
        }
        Err(problem)
    }

    /// Closes the connection, if there is one, after DISCONNECT, and does not try again until
    /// [`connect`](Conn::connect). What was published before is written first.
    pub fn disconnect(&self) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.close(&mut st, true);
        Ok(())
    }

    /// As [`disconnect`](Conn::disconnect), with a reason code and properties (MQTT 5.0 §3.14): with 0x04 the server
    /// publishes the will; the session expiry interval may be another one from now on.
    ///
    /// [`Code::BadArgument`] if DISCONNECT cannot say that, as in MQTT 3.x; then nothing is closed.
    pub fn disconnect_with(&self, reason: u8, properties: PropertyBlock) -> Result<(), Code> {
        let mut st = self.usable()?;
        if !st.is_up() {
            return Err(Code::NotConnected);
        }
        st.session.set_disconnect(reason, properties)?;
        self.close(&mut st, true);
        Ok(())
    }

    /// Closes without DISCONNECT, so that the server publishes the will, and does not try again.
    pub fn abort(&self) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.close(&mut st, false);
        Ok(())
    }

    fn close(&self, st: &mut State, graceful: bool) {
        st.course.give_up(Code::ClosedByClient);
        st.course.closed = true;
        match st.has() {
            Has::Nothing => {}
            // There is nothing to close: only the next attempt is taken back.
            Has::Wait => st.link = Link::Idle,
            Has::Link | Has::EndingLink => st.end_link(Code::ClosedByClient, graceful),
        }
        self.schedule(st);
    }

    /// Closes the connection as [`disconnect`](Conn::disconnect) does, and opens it again; or says why it cannot be
    /// opened, and changes nothing.
    pub fn reconnect(&self) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.can_try(&mut st)?;
        self.close(&mut st, true);
        self.begin_connect(&mut st)
    }

    /// Closes the present connection only; the reconnect policy goes on as after any other loss. Without one it does
    /// nothing.
    pub fn drop_link(&self, code: Code, graceful: bool) -> Result<(), Code> {
        let mut st = self.usable()?;
        if bug(Bug::StuckAfterDisconnect) {
            st.course.next = Next::Policy;
        }
        if matches!(st.has(), Has::Link | Has::EndingLink) {
            st.end_link(code, graceful);
            self.schedule(&mut st);
        }
        Ok(())
    }

    /// Connects in the loop's next iteration if a server is enabled by then. If none is, it waits until
    /// [one is](Conn::follow_configuration). From now on a new profile opens it, too.
    pub fn connect_by_itself(&self) {
        let mut st = self.lock();
        st.course.by_itself = true;
        st.course.want(Has::Nothing);
        self.schedule(&mut st);
    }

    /// The configuration that the profiles read has changed: a connection that comes [by
    /// itself](Conn::connect_by_itself), and was not closed by the application, is opened if it can be now.
    pub fn follow_configuration(&self) {
        let mut st = self.lock();
        let Course { by_itself, closed, wanted, why, .. } = st.course;
        let sleeps = by_itself && !closed && !wanted && why != Code::ClosedByClient;
        if sleeps
            && !st.freed
            && !st.broken
            && st.has() == Has::Nothing
            && st.next_profile(&self.context.common).is_some()
        {
            st.course.want(Has::Nothing);
            self.schedule(&mut st);
        }
    }

    /// The main profile is another one: what is up or on its way is closed, and opened again if that is `enabled`.
    pub(in crate::client) fn apply_profile(&self, st: &mut State, enabled: bool) {
        if st.course.by_itself && !st.course.closed && enabled && st.has() == Has::Nothing {
            st.course.want(Has::Nothing);
        }
        if !enabled {
            // The application's own end stays the reason.
            st.course.give_up(if st.course.closed { Code::ClosedByClient } else { Code::Disabled });
        }
        match st.has() {
            Has::Nothing => {}
            Has::Wait if enabled => st.course.hurry(),
            Has::Wait => st.link = Link::Idle,
            Has::Link | Has::EndingLink => {
                st.end_link(Code::Reconfigured, true);
                st.course.hurry();
            }
        }
        self.schedule(st);
    }

    /// A link or an attempt ended, and its handlers will be told: what that means for the schedule. `up_since` is when
    /// the link came up.
    pub(in crate::client) fn note_end(
        &self,
        st: &mut State,
        turn: &Turn<'_>,
        up_since: Moment,
        report: &Report,
    ) -> Ended {
        st.course.ending = true;
        let own = st.closing.is_some_and(|closing| closing.code != Code::HookAborted);
        let lived = up_since.get().map(|since| turn.now.since(since));
        let lost = match lived {
            None => Lost::Attempt,
            Some(lived) if lived >= st.settings.stable_after => Lost::Stable,
            Some(_) => Lost::Early,
        };
        // With `stable_after` 0 even a link that was closed at once is stable: without a pause it would be called again
        // and again.
        let shortest = st.profile.reconnect_bounds().0;
        let may_hurry = own || lost == Lost::Stable && lived.is_some_and(|lived| lived >= shortest);
        if lost == Lost::Stable {
            st.reconnect.succeeded();
        }
        if own {
            return Ended { lost, may_hurry };
        }
        let first = lost == Lost::Early && st.reconnect.lost_early();
        let suspicious = lost == Lost::Early && st.reconnect.is_suspicious();
        let longest = st.profile.reconnect_bounds().1.as_millis_ceil();
        let next = format_args!("after the longest wait, {longest} ms");
        match Unwelcome::of(report) {
            Some(Unwelcome::TakenOver) => self.note(
                st,
                Level::Warn,
                format_args!(
                    "another client has taken the session over, which has the same client id: give each its own. If it is \
                     tried again, then {next}, so that they do not take it from each other by turns"
                ),
            ),
            Some(Unwelcome::Busy(what)) => {
                let text = format_args!(
                    "the server says that it is too busy ({what}): if it is tried again, then {next}"
                );
                self.note(st, Level::Warn, text);
            }
            None if first => {
                let within = st.settings.stable_after.as_millis_ceil();
                let text = format_args!(
                    "{SUSPICIOUS} connections in a row were accepted and lost within {within} ms: perhaps another device has \
                     the same client id, or the server closes the connection because of a subscription, a message or the \
                     will; its log should tell. If it is tried again, then {next}"
                );
                self.note(st, Level::Warn, text);
            }
            None if suspicious => {}
            None => return Ended { lost, may_hurry },
        }
        Ended { lost: Lost::Unwelcome { was_up: lived.is_some() }, may_hurry: false }
    }

    /// When the next attempt comes.
    pub(in crate::client) fn plan(&self, st: &mut State, turn: &mut Turn<'_>, ended: Ended) {
        st.course.ending = false;
        if !st.course.wanted || st.freed || st.broken {
            return;
        }
        let asked = st.course.next == Next::Asked;
        if asked && ended.may_hurry {
            st.course.next = Next::AtOnce;
        }
        // With `AtOnce` the attempt at the main server is still to come.
        if st.course.next != Next::AtOnce
            && let Some(back) = st
                .extras
                .get_mut()
                .and_then(|extras| extras.fail_back.get_mut())
                .and_then(|back| back.from.take())
        {
            // The main server is still not there: return to the one that worked.
            st.reconnect.select(back);
            st.course.next = Next::AtOnce;
        }
        if st.course.next == Next::AtOnce {
            turn.again();
            return;
        }
        let goes_on = asked
            || match st.settings.retry {
                Retry::Always => true,
                Retry::OnceUp => st.course.established,
                Retry::Never => false,
            };
        if !goes_on {
            st.course.give_up(st.report.code());
            return;
        }
        let wait = self.next_wait(st, ended.lost);
        if self.context.log.wants(Level::Debug) {
            self.note(st, Level::Debug, format_args!("next attempt in {} ms", wait.as_millis_ceil()));
        }
        st.link = Link::Waiting(turn.now + wait);
    }

    /// How long to wait, as the schedule says; it moves on.
    fn next_wait(&self, st: &mut State, lost: Lost) -> Span {
        let mut waits = Vec::new();
        if waits.try_reserve_exact(st.profiles.len()).is_err() {
            // Without memory even for this, an attempt would come to nothing.
            return st.profile.reconnect_bounds().1;
        }
        waits.extend(st.profiles.iter().map(|source| match source.now() {
            Ok((p, _)) if p.enable => {
                let (min, max) = p.reconnect_bounds();
                Some(Waits { min, max })
            }
            _ => None,
        }));
        let growth = match st.settings.backoff {
            Backoff::Fixed => Growth::Fixed(st.profile.reconnect_bounds().0),
            Backoff::Doubling => Growth::Doubling,
            Backoff::Decorrelated => {
                Growth::Decorrelated { random: st.random(), first: st.settings.first_delay }
            }
        };
        let wait = st.reconnect.failed(&waits, growth, lost);
        let percent = match growth {
            // It is random already.
            Growth::Decorrelated { .. } if !matches!(lost, Lost::Unwelcome { .. }) => return wait,
            _ => u32::from(st.settings.jitter_percent),
        };
        let wait = jitter(wait, percent, st.random());
        match lost {
            Lost::Stable => Span(wait.0.saturating_add(self.first_delay(st).0)),
            _ => wait,
        }
    }

    /// A random part of [`Settings::first_delay`](crate::config::Settings::first_delay).
    fn first_delay(&self, st: &mut State) -> Span {
        match st.settings.first_delay {
            Span::ZERO => Span::ZERO,
            most => between(Span::ZERO, most, st.random()),
        }
    }

    /// The very first attempt of this connection is due: puts it off if a delay comes before it. True if it did.
    pub(in crate::client) fn puts_first_off(&self, st: &mut State, turn: &Turn<'_>) -> bool {
        if st.stats.attempts > 0 || !matches!(st.link, Link::Idle) {
            return false;
        }
        let wait = self.first_delay(st);
        if wait > Span::ZERO {
            st.course.begins();
            st.link = Link::Waiting(turn.now + wait);
            self.note(st, Level::Debug, format_args!("first attempt in {} ms", wait.as_millis_ceil()));
        }
        wait > Span::ZERO
    }
}

/// Why the server does not want to be called again soon.
enum Unwelcome {
    TakenOver,
    /// What it said.
    Busy(&'static str),
}

impl Unwelcome {
    fn of(report: &Report) -> Option<Unwelcome> {
        // CONNACK of MQTT 3.1.1 has other codes, all below these.
        match report.reason.or(report.connack)? {
            reason::SESSION_TAKEN_OVER => Some(Unwelcome::TakenOver),
            reason::SERVER_BUSY => Some(Unwelcome::Busy("0x89, server busy")),
            reason::QUOTA_EXCEEDED => Some(Unwelcome::Busy("0x97, quota exceeded")),
            reason::CONNECTION_RATE_EXCEEDED => Some(Unwelcome::Busy("0x9F, connection rate exceeded")),
            _ => None,
        }
    }
}
