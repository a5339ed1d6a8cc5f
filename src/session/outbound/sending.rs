//! Sending what waits, as far as the window and the output allow; and what a lost link makes of what was sent.

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::lazy_box::LazyBox;
use crate::session::event::{Dropped, Outcome};
use crate::session::limits::ServerLimits;
use crate::session::output::{Output, PUMP_UP_TO, encode_code, put_publish};
use crate::session::state::five::Five;
use crate::session::state::ids::Use;
use crate::session::state::outbox::Queue;
use crate::session::state::sending::Terms;
use crate::session::state::{Session, State};
use crate::time::{Span, Time};
use crate::wire::{self, Outgoing, PacketType, Properties, PropertyId, Version};

/// Appends a PUBLISH, with a topic alias if the application wants one (`wanted` is not 0), or where that saves something.
pub(in crate::session) fn put_aliased(
    out: &mut Output,
    five: &mut LazyBox<Five>,
    server: &ServerLimits,
    version: Version,
    packet: &Outgoing<'_>,
    wanted: u16,
    plain: Option<usize>,
) -> Result<(), Code> {
    // The property makes it longer by this, with the length of the block.
    const MORE: usize = 3 + 3;
    let Some(five) = five.get_mut().filter(|five| five.outgoing.are_possible() && version == Version::V5)
    else {
        return put_publish(out, version, packet, plain);
    };
    let most = server.packet_size as usize;
    let fits = most == u32::MAX as usize || packet.packet_len(version).is_ok_and(|len| len + MORE <= most);
    let Some(alias) = five.outgoing.choose(packet.topic, wanted, fits) else {
        return put_publish(out, version, packet, plain);
    };
    out.append(|out| packet.encode_aliased(alias.number, alias.known, out)).map_err(|error| {
        if !alias.known {
            five.outgoing.forget(alias.number);
        }
        encode_code(error)
    })
}

/// The PUBLISH that was appended last is of a message that has waited for so many seconds: what is left of its message
/// expiry interval is less by that (MQTT 5.0 §3.3.2.3.3). With nothing left it is one second, which every server understands.
fn count_down(out: &mut Output, packet: &Outgoing<'_>, seconds: u32) {
    let properties = &packet.properties;
    let Some(at) = properties.value_at(PropertyId::MessageExpiryInterval).filter(|_| seconds > 0) else {
        return;
    };
    let interval = properties.number(PropertyId::MessageExpiryInterval).unwrap_or(0);
    let left = interval.saturating_sub(seconds).max(interval.min(1));
    let behind = properties.encoded_len() - at + packet.payload.len();
    out.correct(behind, left.to_be_bytes());
}

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
                    dup: entry.dup && !entry.restarted,
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
                    Some(len) if !entry.has_properties() && !self.five.outgoing.are_possible() => {
                        let room = self.out.room(len).ok_or(Code::NoMemory)?;
                        packet.write_plain_with(self.version, entry.tail(), room);
                    }
                    plain => {
                        let (server, five) = (&self.sending.server, &mut self.five);
                        let (out, version) = (&mut self.out, self.version);
                        put_aliased(out, five, server, version, &packet, entry.alias, plain)?;
                        let age = self.now.since(entry.accepted_at);
                        count_down(out, &packet, (age.0 / Span::secs(1).0) as u32);
                    }
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
        let mut expires = Time::NEVER;
        let mut at = self.sending.outbox.iter(Queue::Flight).next();
        while let Some(slot) = at {
            let entry = self.sending.outbox.get_mut(slot);
            if !entry.stage.is_released() {
                unsent += u64::from(entry.sent_end > taken);
                entry.restarted &= entry.sent_end > taken;
                expires = expires.min(entry.expires.or_never());
                entry.dup |= (entry.is_sent(taken) || bug(Bug::DupTooEarly)) && !bug(Bug::DupForgotten);
            }
            at = self.sending.outbox.next(slot);
        }
        self.sending.outbox.requeue_in_flight();
        // One that has not left may be over its time before it can.
        if expires < Time::NEVER {
            self.expire_at(expires);
        }
        self.flow.tx_messages -= unsent;
        while let Some(run) = self.sending.ids.unsent.take_first() {
            self.flow.tx_messages -= run.len() as u64;
            let terms = Terms::of(&self.limits, self.tell_all);
            self.sending.end_unsent(run, Outcome::Dropped(Dropped::Link), terms);
        }
        self.sending.ids.retain(|purpose| matches!(purpose, Use::Publish(_)));
    }
}
