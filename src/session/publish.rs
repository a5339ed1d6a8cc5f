//! Accepting publishes, and sending what waits.

use super::ids::Use;
use super::outbox::{Queue, Stage};
use super::subscriptions::encode_code;
use super::{OnSessionLoss, Outcome, Overflow, Session, State, Unsent};
use crate::error::Code;
use crate::wire::{self, PacketType, Properties, QoS};

/// With this many unwritten bytes no further queued message is encoded: what waits, waits once, not
/// twice.
const PUMP_UP_TO: usize = 128 * 1024;

/// A message to be published. The topic name is valid.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// The server shall retain it.
    pub retain: bool,
    /// Give it a packet id now, whatever its QoS, and hold that id until the outcome. Otherwise it gets
    /// one when it is sent.
    pub reserve_id: bool,
}

/// A publish that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Names it for the life of the session.
    pub token: u64,
    /// 0 if it has none yet.
    pub packet_id: u16,
}

impl Session {
    /// Accepts a message: it is sent now, or as soon as it may be. On an error nothing was accepted.
    pub fn publish(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        // Room for its outcome is made now, so that reporting it later cannot fail.
        let outstanding = self.outbox.len() + self.unsent.len();
        self.completions.try_reserve(outstanding + 1).map_err(|_| Code::NoMemory)?;
        match message.qos {
            QoS::AtMostOnce => self.publish_once(message),
            _ => self.publish_tracked(message),
        }
    }

    fn publish_once(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        if self.state != State::Up {
            return Err(Code::NotConnected);
        }
        let size = self.packet_size(message)?;
        self.check_bytes(size)?;
        self.unsent.try_reserve(1).map_err(|_| Code::NoMemory)?;
        let packet_id = if message.reserve_id { self.ids.take(Use::Unsent)? } else { 0 };
        let packet = wire::Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: message.retain,
            topic: message.topic,
            packet_id: 0,
            properties: Properties::default(),
            payload: message.payload,
        };
        if let Err(error) = packet.encode(self.version, self.out.tail()) {
            self.ids.release(packet_id);
            return Err(encode_code(error));
        }
        self.last_token += 1;
        self.unsent.push_back(Unsent { end: self.out.end(), token: self.last_token, packet_id });
        Ok(Accepted { token: self.last_token, packet_id })
    }

    fn publish_tracked(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        self.packet_size(message)?;
        let size = message.topic.len() + message.payload.len();
        // Straight to the wire if nothing is ahead of it; otherwise it has to wait its turn.
        let now = self.state == State::Up
            && self.outbox.waiting() == 0
            && self.outbox.in_flight() < usize::from(self.limits.window)
            && self.out.len() < PUMP_UP_TO;
        self.make_room(size, now)?;

        let token = self.last_token + 1;
        let queue = if now { Queue::Flight } else { Queue::Waiting };
        let slot =
            self.outbox.push(queue, token, message.topic, message.payload, message.qos, message.retain)?;
        if (message.reserve_id || now)
            && let Err(code) = self.assign_id(slot)
        {
            return Err(self.take_back(slot, code));
        }
        if now {
            let packet = wire::Publish {
                dup: false,
                qos: message.qos,
                retain: message.retain,
                topic: message.topic,
                packet_id: self.outbox.get(slot).packet_id,
                properties: Properties::default(),
                payload: message.payload,
            };
            if let Err(error) = packet.encode(self.version, self.out.tail()) {
                return Err(self.take_back(slot, encode_code(error)));
            }
            self.outbox.get_mut(slot).sent_end = self.out.end();
        }
        self.last_token = token;
        let packet_id = self.outbox.get(slot).packet_id;
        if !now {
            // Normally nothing can go, or it would have gone; but what memory stopped may go on now.
            self.pump();
        }
        Ok(Accepted { token, packet_id })
    }

    /// Undoes an acceptance that could not be completed.
    fn take_back(&mut self, slot: u32, code: Code) -> Code {
        self.ids.release(self.outbox.get(slot).packet_id);
        self.outbox.unlink(slot);
        self.outbox.discard(slot);
        code
    }

    fn assign_id(&mut self, slot: u32) -> Result<(), Code> {
        if self.outbox.get(slot).packet_id == 0 {
            let id = self.ids.take(Use::Publish(slot))?;
            self.outbox.get_mut(slot).packet_id = id;
        }
        Ok(())
    }

    fn packet_size(&self, message: &Publication<'_>) -> Result<usize, Code> {
        wire::publish_len(self.version, message.topic.len(), message.qos, 0, message.payload.len())
            .ok_or(Code::TooLarge)
    }

    /// Refuses what would go over the limit in bytes.
    pub(super) fn check_bytes(&self, size: usize) -> Result<(), Code> {
        let limit = self.limits.max_outgoing_bytes;
        if size > limit {
            Err(Code::TooLarge)
        } else if limit - size < self.outbox.bytes() + self.out.len() {
            Err(Code::QueueFull)
        } else {
            Ok(())
        }
    }

    /// Makes sure that a message of `size` bytes fits, dropping older ones if the policy says so.
    fn make_room(&mut self, size: usize, now: bool) -> Result<(), Code> {
        let max = self.limits.max_queue;
        if max == 0 && !now {
            // Nothing is kept for later.
            return Err(if self.state == State::Up { Code::QueueFull } else { Code::NotConnected });
        }
        let bytes = self.check_bytes(size);
        let full = max != 0 && self.outbox.len() >= max;
        match bytes {
            Ok(()) if !full => return Ok(()),
            Err(Code::TooLarge) => return bytes,
            _ if self.limits.overflow == Overflow::RefuseNew => return Err(Code::QueueFull),
            _ => {}
        }
        // How much has to go. If that much may not go, nothing does: a message that is refused must not
        // take others with it.
        let held = self.outbox.bytes() + self.out.len();
        let mut over_bytes = held.saturating_sub(self.limits.max_outgoing_bytes - size);
        let mut over = if full { self.outbox.len() + 1 - max } else { 0 };
        let mut victims = 0;
        for slot in self.outbox.iter(Queue::Waiting) {
            if over == 0 && over_bytes == 0 {
                break;
            }
            let entry = self.outbox.get(slot);
            if entry.never_left() {
                victims += 1;
                over = over.saturating_sub(1);
                over_bytes = over_bytes.saturating_sub(entry.size());
            }
        }
        if over > 0 || over_bytes > 0 {
            return Err(Code::QueueFull);
        }
        let mut next = self.outbox.first_waiting();
        while let Some(slot) = next.filter(|_| victims > 0) {
            next = self.outbox.next(slot);
            if self.outbox.get(slot).never_left() {
                victims -= 1;
                self.end(slot, Outcome::Dropped);
            }
        }
        Ok(())
    }

    /// Ends a message that is in a list.
    fn end(&mut self, slot: u32, outcome: Outcome) {
        let (token, packet_id) = {
            let entry = self.outbox.get(slot);
            (entry.token, entry.packet_id)
        };
        self.outbox.unlink(slot);
        self.outbox.discard(slot);
        self.finish(token, packet_id, outcome);
    }

    /// Sends what waits, as far as the window and the output buffer allow.
    pub(super) fn pump(&mut self) {
        if self.state != State::Up {
            return;
        }
        // An id that came free may be what a subscription waits for.
        self.pump_subscriptions();
        while self.outbox.in_flight() < usize::from(self.limits.window) && self.out.len() < PUMP_UP_TO {
            let Some(slot) = self.outbox.first_waiting() else { return };
            // Without an id or memory it stays where it is; the next acknowledgement tries again.
            if self.assign_id(slot).is_err() || self.send(slot).is_err() {
                return;
            }
            self.outbox.launch(slot);
        }
    }

    /// Appends the packet that an entry is due to send.
    fn send(&mut self, slot: u32) -> Result<(), Code> {
        let entry = self.outbox.get(slot);
        let out = self.out.tail();
        match entry.stage {
            Stage::Release => wire::encode_ack(PacketType::PubRel, entry.packet_id, out),
            _ => wire::Publish {
                dup: entry.dup,
                qos: entry.qos,
                retain: entry.retain,
                topic: entry.topic(),
                packet_id: entry.packet_id,
                properties: Properties::default(),
                payload: entry.payload(),
            }
            .encode(self.version, out),
        }
        .map_err(encode_code)?;
        let end = self.out.end();
        self.outbox.get_mut(slot).sent_end = end;
        Ok(())
    }

    /// The server does not know our session: what it may have seen of it is resent or reported.
    pub(super) fn session_lost(&mut self) {
        if self.limits.on_session_loss == OnSessionLoss::Resend {
            return;
        }
        let mut next = self.outbox.first_waiting();
        while let Some(slot) = next {
            next = self.outbox.next(slot);
            let entry = self.outbox.get(slot);
            if entry.dup || entry.stage == Stage::Release {
                self.end(slot, Outcome::Lost);
            }
        }
    }

    /// The connection is freed: nothing will be sent any more; every message has its outcome, every
    /// ticket its answer.
    pub fn abandon(&mut self) {
        self.closed();
        while let Some(slot) = self.outbox.first_waiting() {
            self.end(slot, Outcome::Cancelled);
        }
        self.subscriptions.abandon();
    }
}
