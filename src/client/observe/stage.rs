//! What a connection is doing right now; and warnings about a connection that nobody will open.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::event::KeptReport;
use crate::client::state::Link;
use crate::client::state::log::Level;
use crate::client::state::stage::{Stage, Status};
use crate::error::{Code, Phase};
use crate::time::{Span, Time};
use crate::transport::Layer;

/// How long a program may take to give a connection a server, before a warning says that it has none.
pub(in crate::client) const GIVES_SERVER: Span = Span::secs(1);

impl Conn {
    /// What the connection is doing, and its last error.
    pub fn status(&self) -> Status {
        let now = self.context.driver.now();
        self.lock().status(now)
    }

    /// A wait for the connection timed out: the last error then says what it was waiting for.
    pub(in crate::client) fn waited_in_vain(&self) {
        let now = self.context.driver.now();
        let mut st = self.lock();
        let status = st.status(now);
        if !matches!(status.stage, Stage::Up | Stage::Waiting | Stage::Idle) {
            let phase = st.phase();
            let report =
                st.report(Code::TimedOut, phase, 0, format!("the wait is over, still {}", status.text()));
            st.report = KeptReport::of(report);
        }
    }

    /// Something waits for a connection that nobody will open: warns once while that is so. A program that makes a
    /// connection without a server will probably give it one, and has some time for that.
    pub(in crate::client) fn warn_if_nobody_opens(&self, st: &mut State, what: &str) {
        if !st.profiles.is_empty() {
            self.warn_that_nobody_opens(st, what);
        } else if st.extras.without_server.is_none() && st.needs_somebody() {
            st.extras.make().without_server = Some(self.context.driver.now() + GIVES_SERVER);
            self.schedule(st);
        }
    }

    /// As [`warn_if_nobody_opens`](Self::warn_if_nobody_opens), for a call that waits: now, whatever the connection
    /// has.
    #[cold]
    pub(in crate::client) fn warn_that_nobody_opens(&self, st: &mut State, what: &str) {
        let Some(why) = st.why_disabled().filter(|_| st.needs_somebody()) else { return };
        st.course.warned();
        if let Some(extras) = st.extras.get_mut() {
            extras.without_server = None;
        }
        let text = format_args!("{what} waits for a connection that nobody will open: {why}");
        self.note(st, Level::Warn, text);
    }

    /// The time to give it a server is over.
    pub(in crate::client) fn look_for_server(&self, st: &mut State) {
        if let Some(extras) = st.extras.get_mut() {
            extras.without_server = None;
        }
        if st.session.unsent_bytes() > 0 {
            self.warn_that_nobody_opens(st, "a published message");
        } else if st.session.pending_subscriptions() > 0 {
            self.warn_that_nobody_opens(st, "a subscription");
        }
    }

    /// Which of the reasons for [`Code::Disabled`] it is, as a sentence.
    pub fn why_disabled(&self) -> Option<&'static str> {
        self.lock().why_disabled()
    }
}

impl State {
    /// Nobody has asked for the connection, and there was no warning yet.
    fn needs_somebody(&self) -> bool {
        !self.course.is_wanted()
            && matches!(self.link, Link::Idle)
            && !self.freed
            && !self.course.was_warned()
    }

    fn status(&mut self, now: Time) -> Status {
        let stage = match &self.link {
            Link::Idle => Stage::Idle,
            Link::Waiting(_) => Stage::Waiting,
            _ if self.closing.is_some() => Stage::Closing,
            Link::Resolving { .. } => Stage::Resolving,
            Link::Opening { .. } => Stage::Opening,
            Link::Handshaking { .. } => Stage::Handshaking,
            Link::Open(_) if self.session.awaits_connect() => Stage::AwaitingHook,
            Link::Open(_) if !self.session.is_up() => Stage::AwaitingConnack,
            Link::Open(_) => Stage::Up,
            Link::Draining { .. } => Stage::Closing,
        };
        let wait = match self.link {
            Link::Waiting(at) => Some(at.since(now)),
            _ => None,
        };
        let endpoint = match &self.link {
            Link::Opening { race, .. } => race.first().map(|one| one.endpoint.clone()),
            Link::Handshaking { transport, .. }
            | Link::Open(transport)
            | Link::Draining { transport, .. } => transport.peer(),
            _ => None,
        };
        Status {
            stage,
            wait,
            attempt: self.attempt_number(),
            server: self.shown_server(),
            endpoint,
            handshake: self.layer().map(Layer::handshake_name),
            version: self.connect_version().filter(|_| stage == Stage::Up),
            wanted: self.course.is_wanted(),
            why_idle: self.course.why_not(),
            why_disabled: if stage == Stage::Idle { self.why_disabled() } else { None },
            report: self.report.copy(),
        }
    }

    fn phase(&self) -> Phase {
        match self.link {
            Link::Resolving { .. } => Phase::Dns,
            Link::Opening { .. } => Phase::Tcp,
            Link::Handshaking { .. } => self.layer().map_or(Phase::None, Layer::phase),
            Link::Open(_) => Phase::Connect,
            _ => Phase::None,
        }
    }

    /// Why no server can be tried, if none can.
    pub(in crate::client) fn why_disabled(&self) -> Option<&'static str> {
        let mut why = None;
        for source in self.profiles.iter() {
            let problem = match source.now() {
                Ok((profile, _)) if !profile.enable => "enable of its configuration is 0",
                Ok((profile, _)) if profile.server.is_none() => {
                    "its configuration is enabled and has no server"
                }
                _ => return None,
            };
            // The reason of the main server is the one to fix.
            why.get_or_insert(problem);
        }
        why.or(Some(
            "it has no server, which mgos_mqtt_conn_set_server() or the profiles of its options give it",
        ))
    }
}
