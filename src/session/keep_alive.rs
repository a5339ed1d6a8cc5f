//! When to ping, and when silence means that the peer is gone (MQTT 3.1.1 §3.1.2.10, §3.12).
//!
//! Both directions count: a client that only publishes at QoS 0 would never notice a dead link
//! from its own sending, so a PINGREQ is due when *either* direction has been quiet for the keep-alive
//! interval. Traffic only moves two time stamps; the timer itself is looked at when it is due.

use crate::bugs::{Bug, bug};
use crate::time::{Moment, Span, Time};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    PeerIsGone,
}

/// How far a PINGREQ has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    /// There is none.
    No,
    /// It stands in the output.
    Waits,
    /// It left; its answer did not come yet.
    Left,
}

#[derive(Clone, Debug)]
pub(crate) struct KeepAlive {
    reply: Span,
    last_in: Time,
    last_out: Time,
    /// When to look at the clock: for a PINGREQ that will be due, or for the answer to the one there is.
    look_at: Moment,
    /// When the PINGREQ left; until then, when bytes ahead of it last moved.
    pinged_at: Time,
    /// Where the PINGREQ ends in the output stream.
    ping_end: u64,
    /// In seconds, as in CONNECT.
    interval: u16,
    ping: Ping,
}

impl KeepAlive {
    pub(crate) const fn new() -> Self {
        KeepAlive {
            reply: Span::ZERO,
            last_in: Time::ZERO,
            last_out: Time::ZERO,
            look_at: Moment::NONE,
            pinged_at: Time::ZERO,
            ping_end: 0,
            interval: 0,
            ping: Ping::No,
        }
    }

    /// What the next connection wants. An interval of zero seconds switches the mechanism off; a reply time of zero
    /// lets the answer take as long as it will.
    pub(crate) fn set(&mut self, interval: u16, reply: Span) {
        self.interval = if bug(Bug::KeepAliveNever) { 0 } else { interval };
        self.reply = reply;
    }

    /// The connection is up.
    pub(crate) fn start(&mut self, now: Time) {
        (self.last_in, self.last_out) = (now, now);
        self.rearm();
    }

    pub(crate) fn stop(&mut self) {
        self.look_at = Moment::NONE;
        self.ping = Ping::No;
    }

    /// Bytes were handed to the kernel, up to the output position `taken`.
    pub(crate) fn wrote(&mut self, now: Time, taken: u64) {
        self.last_out = now;
        if self.ping == Ping::Waits {
            self.pinged_at = now;
            if self.ping_end <= taken {
                self.ping = Ping::Left;
            }
        }
    }

    pub(crate) fn read(&mut self, now: Time) {
        self.last_in = now;
    }

    /// A PINGREQ was appended and ends at `end`.
    pub(crate) fn pinged(&mut self, now: Time, end: u64) {
        if self.interval > 0 {
            (self.ping, self.pinged_at, self.ping_end) = (Ping::Waits, now, end);
            self.look_at = (now + self.reply).into();
        }
    }

    /// PINGRESP came. One that nobody waits for changes nothing; after the end of the connection nobody does.
    pub(crate) fn ponged(&mut self) {
        if self.ping != Ping::No {
            self.rearm();
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.ping {
            Ping::No => self.look_at.get(),
            _ if self.reply == Span::ZERO || bug(Bug::SilenceIgnored) => None,
            _ => self.look_at.get(),
        }
    }

    /// Looks at the clock.
    pub(crate) fn check(&mut self, now: Time) -> Due {
        if self.ping != Ping::No {
            if self.reply == Span::ZERO || now < self.look_at.or_never() {
                return Due::Nothing;
            }
            // A PINGREQ behind a megabyte that is still leaving, or a PINGRESP behind one that is
            // still arriving, says nothing about the peer as long as bytes move.
            let answer_by = self.pinged_at.max(self.last_in) + self.reply;
            self.look_at = answer_by.into();
            return if answer_by <= now { Due::PeerIsGone } else { Due::Nothing };
        }
        if self.look_at.or_never() > now {
            return Due::Nothing;
        }
        self.rearm();
        if self.look_at.or_never() <= now { Due::Ping } else { Due::Nothing }
    }

    /// There is no PINGREQ: when one is due.
    fn rearm(&mut self) {
        self.ping = Ping::No;
        let interval = Span::secs(u64::from(self.interval));
        let due = self.last_in.min(self.last_out) + interval;
        self.look_at = (self.interval > 0).then_some(due).into();
    }
}
