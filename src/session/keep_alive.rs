//! Time: PINGREQ, answers that do not come, and what a quiet moment is good for.

use crate::error::Code;
use crate::patience::{Delivery, Patience};
use crate::session::event::Failure;
use crate::session::output::encode_code;
use crate::session::state::keep_alive::Due;
use crate::session::state::{PendingEvent, Session, State};
use crate::time::{Span, Time};
use crate::wire::{self, PacketType};

impl Session {
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

    pub(super) fn ping(&mut self, now: Time, delivery: Option<Delivery>) -> Result<(), Code> {
        let before = self.append_ping()?;
        if let Some(within) = self.keep_alive.pinged() {
            let ends = (before, self.out.end());
            self.patience = Patience::of_question(now, within, ends, self.out.taken(), delivery);
        }
        Ok(())
    }

    /// Finds out by PINGREQ whether the link is still there. Without an answer `within` that time, or that for any PINGREQ,
    /// it is lost. A PINGREQ that is under way is not waited for.
    pub fn probe(&mut self, now: Time, within: Span, delivery: Option<Delivery>) -> Result<(), Code> {
        let ends = (self.append_ping()?, self.out.end());
        let reply = self.keep_alive.reply();
        let within = if reply == Span::ZERO { within } else { within.min(reply) };
        self.keep_alive.probed();
        self.patience = Patience::of_question(now, within, ends, self.out.taken(), delivery);
        Ok(())
    }

    /// Whether the answer to a [`probe`](Session::probe) is waited for.
    pub fn is_probing(&self) -> bool {
        self.keep_alive.is_probing()
    }

    /// After how many seconds of silence PINGREQ is sent, if that was found out anew since this was asked last.
    pub fn found_path(&mut self) -> Option<u16> {
        core::mem::take(&mut self.found_path).then(|| self.keep_alive.silence())
    }

    /// The path to the server is another one now; what was found out about it does not hold.
    pub fn forget_path(&mut self) {
        self.keep_alive.forget_path();
    }

    /// Returns where it begins.
    fn append_ping(&mut self) -> Result<u64, Code> {
        let before = self.out.end();
        self.out.append(|out| wire::encode_empty(PacketType::PingReq, out)).map_err(encode_code)?;
        self.flow.pings += 1;
        Ok(before)
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
}
