//! Sending what waits, as far as the window and the output allow; and what a lost link makes of what was sent.

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::session::event::{Dropped, Outcome};
use crate::session::limits::OnSessionLoss;
use crate::session::output::{Output, PUMP_UP_TO, encode_code, put_publish};
use crate::session::state::ids::Use;
use crate::session::state::outbox::{Queue, Stage};
use crate::session::state::sending::Terms;
use crate::session::state::{Session, State};
use crate::time::Time;
use crate::wire::{self, Outgoing, PacketType, Properties, Version};

impl Session {
    /// The bytes to be written.
    pub fn output(&self) -> &Output {
        &self.out
    }

    /// Packets that wait to be written and were not looked at yet; for a log.
    pub fn untraced_output(&mut self) -> &[u8] {
        self.out.untraced()
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

    /// Sends what waits, as far as the window and the output buffer allow.
    #[inline(always)]
    pub fn pump(&mut self) {
        if self.state == State::Up && (self.sending.outbox.waiting() > 0 || self.subscriptions.are_due()) {
            self.send_waiting();
        }
    }

    fn send_waiting(&mut self) {
        // An id that came free may be what a subscription waits for.
        self.pump_subscriptions();
        let alone = self.sending.suspect.is_sent_alone();
        let window = if alone { 1 } else { self.window() };
        let window = if bug(Bug::WindowIgnored) { u16::MAX } else { window };
        while self.sending.outbox.in_flight() < usize::from(window) && self.out.len() < PUMP_UP_TO {
            let Some(slot) = self.sending.outbox.first_waiting() else { return };
            // Without an id or memory it stays where it is; the next acknowledgement tries again.
            if self.assign_id(slot).is_err() || self.send(slot).is_err() {
                return;
            }
            self.sending.outbox.mark_in_flight(slot);
            if self.flight_limit == 0 {
                self.watch_acknowledgements();
            }
        }
    }

    #[inline]
    fn assign_id(&mut self, slot: u32) -> Result<(), Code> {
        if self.sending.outbox.get(slot).packet_id() == 0 {
            let id = self.sending.ids.take(Use::Publish(slot))?;
            self.sending.outbox.get_mut(slot).identify(id);
        }
        Ok(())
    }

    /// Appends the packet that an entry is due to send.
    fn send(&mut self, slot: u32) -> Result<(), Code> {
        let entry = self.sending.outbox.get(slot);
        match entry.stage {
            stage if stage.is_released() && bug(Bug::PubrelLost) => {}
            stage if stage.is_released() && !bug(Bug::PublishAfterPubrec) => {
                let pubrel = wire::ack(PacketType::PubRel, entry.packet_id()).map_err(encode_code)?;
                self.out.put(&pubrel)?;
            }
            _ => {
                let packet = Outgoing {
                    dup: entry.dup,
                    qos: entry.qos,
                    retain: entry.retain,
                    topic: entry.topic(),
                    packet_id: entry.packet_id(),
                    // One that was accepted for MQTT 5.0 goes without them to a server that does not know them.
                    properties: if self.version == Version::V5 {
                        entry.properties()
                    } else {
                        Properties::EMPTY
                    },
                    payload: entry.payload(),
                };
                match packet.plain_len(self.version) {
                    Some(len) if !entry.has_properties() => {
                        packet.write_plain_with(entry.tail(), self.out.room(len).ok_or(Code::NoMemory)?)
                    }
                    plain => put_publish(&mut self.out, self.version, &packet, plain)?,
                }
            }
        }
        let end = self.out.end();
        let entry = self.sending.outbox.get_mut(slot);
        entry.sent_end = end;
        self.flow.tx_messages += u64::from(!entry.stage.is_released());
        Ok(())
    }

    /// What was in flight waits, and what was only in the output is lost.
    pub(in crate::session) fn requeue_in_flight(&mut self) {
        let taken = self.out.taken();
        let mut unsent = 0;
        let mut at = self.sending.outbox.iter(Queue::Flight).next();
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

    /// The server does not know our session: what it may have seen of it is resent or reported. What is nobody's any
    /// more ends with the session.
    pub(in crate::session) fn session_lost(&mut self) {
        let report = self.limits.on_session_loss == OnSessionLoss::Report;
        if !report && self.sending.outbox.late() == 0 {
            return;
        }
        let mut next = self.sending.outbox.first_waiting();
        while let Some(slot) = next {
            next = self.sending.outbox.next(slot);
            let entry = self.sending.outbox.get(slot);
            if entry.stage.is_late() || report && (entry.dup || entry.stage == Stage::Release) {
                self.end(slot, Outcome::Lost);
            }
        }
    }
}
