//! When to ping, and when silence means that the peer is gone (MQTT 3.1.1 §3.1.2.10, §3.12).
//!
//! Both directions count: a client that only publishes at QoS 0 would never notice a dead link
//! from its own sending, so a PINGREQ is due when *either* direction has been quiet for the keep-alive
//! interval. Traffic only moves two time stamps; the timer itself is looked at when it is due.

use crate::bugs::{Bug, bug};
use crate::lazy_box::LazyBox;
use crate::session::state::path::Path;
use crate::time::{Moment, Span, Time};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
}

#[derive(Clone, Debug)]
pub(crate) struct KeepAlive {
    reply: Span,
    last_in: Time,
    last_out: Time,
    /// When to look whether a PINGREQ is due.
    look_at: Moment,
    /// In seconds, as in CONNECT.
    interval: u16,
    /// There is a PINGREQ without an answer. How long that may take is the session's matter.
    pinged: bool,
    /// It finds out whether the link is still there.
    probing: bool,
    /// It was sent after about that much silence in both directions, so that its answer says something about the path.
    silent: bool,
    /// What was found out about the path, if that is wanted.
    path: LazyBox<Path>,
}

impl KeepAlive {
    pub(crate) const fn new() -> Self {
        KeepAlive {
            reply: Span::ZERO,
            last_in: Time::ZERO,
            last_out: Time::ZERO,
            look_at: Moment::NONE,
            interval: 0,
            pinged: false,
            probing: false,
            silent: false,
            path: LazyBox::new(),
        }
    }

    /// What the next connection wants. An interval of zero seconds switches the mechanism off; a reply time of zero
    /// lets the answer take as long as it will.
    pub(crate) fn set(&mut self, interval: u16, reply: Span) {
        self.interval = if bug(Bug::KeepAliveNever) { 0 } else { interval };
        self.reply = reply;
    }

    /// The server wants another interval than CONNECT had (MQTT 5.0 §3.2.2.3.14). An answer may take no longer than
    /// that.
    pub(crate) fn instead(&mut self, interval: u16) {
        let reply = if interval == 0 { self.reply } else { self.reply.min(Span::secs(u64::from(interval))) };
        self.set(interval, reply);
    }

    /// Whether PINGREQ is sent after as much silence as the path bears. Without memory it is sent as CONNECT has it.
    pub(crate) fn adapt(&mut self, adapt: bool) {
        if !adapt || self.interval == 0 {
            self.path = LazyBox::new();
        } else {
            let _ = self.path.try_make();
        }
    }

    /// The path is another one now.
    pub(crate) fn forget_path(&mut self) {
        if let Some(path) = self.path.get_mut() {
            *path = Path::default();
        }
    }

    /// After how many seconds of silence in either direction a PINGREQ is due.
    pub(crate) fn silence(&self) -> u16 {
        self.path.get().map_or(self.interval, |path| path.silence(self.interval))
    }

    /// The connection is up. True if that says something about the path.
    pub(crate) fn start(&mut self, now: Time) -> bool {
        let found = self.path.get_mut().is_some_and(|path| path.back(now, self.interval));
        (self.last_in, self.last_out) = (now, now);
        self.rearm();
        found
    }

    /// The transport is gone.
    pub(crate) fn lost(&mut self, now: Time) {
        if self.pinged
            && self.silent
            && let Some(path) = self.path.get_mut()
        {
            path.lost(now);
        }
        self.stop();
    }

    pub(crate) fn stop(&mut self) {
        self.look_at = Moment::NONE;
        (self.pinged, self.probing, self.silent) = (false, false, false);
    }

    /// Bytes were handed to the kernel.
    pub(crate) fn wrote(&mut self, now: Time) {
        self.last_out = now;
    }

    pub(crate) fn read(&mut self, now: Time) {
        self.last_in = now;
    }

    /// When something came or went last.
    pub(crate) fn last_traffic(&self) -> Time {
        self.last_in.max(self.last_out)
    }

    /// Whether no PINGREQ will ever be due.
    pub(crate) fn is_off(&self) -> bool {
        self.interval == 0
    }

    /// When something came from the server last.
    pub(crate) fn heard(&self) -> Time {
        self.last_in
    }

    /// A PINGREQ was appended. How long its answer may take; zero is without limit, `None` if nobody is to wait.
    pub(crate) fn pinged(&mut self) -> Option<Span> {
        self.pinged = self.interval > 0;
        self.pinged.then_some(if bug(Bug::SilenceIgnored) { Span::ZERO } else { self.reply })
    }

    /// A PINGREQ was appended that finds out whether the link is still there. Its answer is waited for, also without a
    /// keep-alive interval.
    pub(crate) fn probed(&mut self) {
        (self.pinged, self.probing, self.silent) = (true, true, false);
    }

    /// Whether that is not known yet.
    pub(crate) fn is_probing(&self) -> bool {
        self.probing
    }

    /// How long the answer to a PINGREQ may take; zero is without limit.
    pub(crate) fn reply(&self) -> Span {
        self.reply
    }

    /// PINGRESP came, and whether somebody waited for it. One that nobody waits for changes nothing; after the end of
    /// the connection nobody does.
    pub(crate) fn ponged(&mut self) -> bool {
        let pinged = self.pinged;
        if pinged {
            let silence = self.silence();
            if self.silent
                && let Some(path) = self.path.get_mut()
            {
                path.answered(silence);
            }
            self.rearm();
        }
        pinged
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        self.look_at.get().filter(|_| !self.pinged)
    }

    /// Looks at the clock.
    pub(crate) fn check(&mut self, now: Time) -> Due {
        if self.pinged || self.look_at.or_never() > now {
            return Due::Nothing;
        }
        self.rearm();
        if self.look_at.or_never() > now {
            return Due::Nothing;
        }
        self.silent = self.says_something(now.since(self.last_traffic()));
        Due::Ping
    }

    /// Whether a PINGREQ after so much silence in both directions tells of the path. One is due so long after the older of
    /// the last bytes in and out, and the answer to a question came a round trip after it: the silence is shorter by that.
    /// One that is much longer was not the client's: the host slept, or did not look.
    fn says_something(&self, quiet: Span) -> bool {
        let silence = Span::secs(u64::from(self.silence())).0;
        (silence - silence / 4..=silence + silence / 4).contains(&quiet.0)
    }

    /// There is no PINGREQ: when one is due.
    fn rearm(&mut self) {
        (self.pinged, self.probing, self.silent) = (false, false, false);
        let interval = Span::secs(u64::from(self.silence()));
        let due = self.last_in.min(self.last_out) + interval;
        self.look_at = (self.interval > 0).then_some(due).into();
    }
}
