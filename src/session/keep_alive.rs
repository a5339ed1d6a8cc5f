//! When to ping, and when silence means that the peer is gone (MQTT 3.1.1 §3.1.2.10, §3.12).
//!
//! Both directions count: a client that only publishes at QoS 0 would never notice a dead link
//! from its own sending, so a PINGREQ is due when *either* direction has been quiet for the keep-alive
//! interval. Traffic only moves two time stamps; the timer itself is looked at when it is due.

use crate::bugs::{Bug, bug};
use crate::time::{Span, Time};

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Ping,
    PeerIsGone,
}

#[derive(Clone, Copy, Debug)]
struct Ping {
    /// When the PINGREQ left; until then, when bytes ahead of it last moved.
    at: Time,
    /// Where the PINGREQ ends in the output stream.
    end: u64,
    left: bool,
    answer_by: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct KeepAlive {
    interval: Span,
    reply: Span,
    last_in: Time,
    last_out: Time,
    check_at: Option<Time>,
    ping: Option<Ping>,
}

impl KeepAlive {
    pub(crate) const fn new() -> Self {
        KeepAlive {
            interval: Span::ZERO,
            reply: Span::ZERO,
            last_in: Time::ZERO,
            last_out: Time::ZERO,
            check_at: None,
            ping: None,
        }
    }

    /// What the next connection wants. An interval of zero switches the mechanism off; a reply time of zero lets
    /// the answer take as long as it will.
    pub(crate) fn set(&mut self, interval: Span, reply: Span) {
        self.interval = if bug(Bug::KeepAliveNever) { Span::ZERO } else { interval };
        self.reply = reply;
    }

    /// The connection is up.
    pub(crate) fn start(&mut self, now: Time) {
        let KeepAlive { interval, reply, .. } = *self;
        *self = KeepAlive { interval, reply, last_in: now, last_out: now, check_at: None, ping: None };
        self.rearm();
    }

    pub(crate) fn stop(&mut self) {
        self.check_at = None;
        self.ping = None;
    }

    /// Bytes were handed to the kernel, up to the output position `taken`.
    pub(crate) fn wrote(&mut self, now: Time, taken: u64) {
        self.last_out = now;
        if let Some(ping) = &mut self.ping
            && !ping.left
        {
            ping.at = now;
            ping.left = ping.end <= taken;
        }
    }

    pub(crate) fn read(&mut self, now: Time) {
        self.last_in = now;
    }

    /// A PINGREQ was appended and ends at `end`.
    pub(crate) fn pinged(&mut self, now: Time, end: u64) {
        if self.interval > Span::ZERO {
            self.ping = Some(Ping { at: now, end, left: false, answer_by: now + self.reply });
        }
    }

    /// PINGRESP came. One that nobody waits for changes nothing; after the end of the connection nobody does.
    pub(crate) fn ponged(&mut self) {
        if self.ping.take().is_some() {
            self.rearm();
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        match self.ping {
            Some(ping) => (self.reply > Span::ZERO && !bug(Bug::SilenceIgnored)).then_some(ping.answer_by),
            None => self.check_at,
        }
    }

    /// Looks at the clock.
    pub(crate) fn check(&mut self, now: Time) -> Due {
        if let Some(ping) = &mut self.ping {
            if self.reply == Span::ZERO || now < ping.answer_by {
                return Due::Nothing;
            }
            // A PINGREQ behind a megabyte that is still leaving, or a PINGRESP behind one that is
            // still arriving, says nothing about the peer as long as bytes move.
            ping.answer_by = ping.at.max(self.last_in) + self.reply;
            return if ping.answer_by <= now { Due::PeerIsGone } else { Due::Nothing };
        }
        match self.check_at {
            Some(at) if at <= now => {
                self.rearm();
                match self.check_at {
                    Some(due) if due <= now => Due::Ping,
                    _ => Due::Nothing,
                }
            }
            _ => Due::Nothing,
        }
    }

    fn rearm(&mut self) {
        self.check_at = (self.interval > Span::ZERO).then(|| self.last_in.min(self.last_out) + self.interval);
    }
}
