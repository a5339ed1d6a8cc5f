//! Accepting publishes, and sending what waits.

use super::ids::Use;
use super::outbox::{Queue, Stage};
use super::sending::{Sending, Terms};
use super::subscriptions::encode_code;
use super::{Dropped, Limits, OnSessionLoss, Outcome, Output, Overflow, Session, State};
use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::time::{Moment, Time};
use crate::wire::topic::Topic;
use crate::wire::{self, Outgoing, PacketType, QoS};

/// With this many unwritten bytes no further queued message is encoded: what waits, waits once, not
/// twice.
const PUMP_UP_TO: usize = 128 * 1024;

/// A message to be published. The topic name is valid.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The topic name.
    pub topic: Topic<'a>,
    /// The payload.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// The server shall retain it.
    pub retain: bool,
    /// Give it a packet id now, whatever its QoS, and hold that id until the outcome. Otherwise it gets
    /// one when it is sent.
    pub reserve_id: bool,
    /// If it was not sent by then, it is given up.
    pub expires: Option<Time>,
    /// Told with its outcome; of no meaning here.
    pub cookie: u32,
}

impl<'a> Publication<'a> {
    /// A message that gets its packet id when it is sent, never expires, and is not retained.
    pub fn new(topic: impl Into<Topic<'a>>, payload: &'a [u8], qos: QoS) -> Self {
        Publication::of(topic.into(), payload, qos)
    }

    /// [`new`](Self::new), for a topic that has been looked at perhaps.
    #[inline(always)]
    pub const fn of(topic: Topic<'a>, payload: &'a [u8], qos: QoS) -> Self {
        Publication { topic, payload, qos, retain: false, reserve_id: false, expires: None, cookie: 0 }
    }
}

/// Appends a PUBLISH; `plain` is its `plain_len()`.
#[inline(always)]
pub(super) fn put_publish(
    out: &mut Output,
    version: wire::Version,
    packet: &Outgoing<'_>,
    plain: Option<usize>,
) -> Result<(), Code> {
    match plain {
        Some(len) => packet.write_plain(out.room(len).ok_or(Code::NoMemory)?),
        None => out.append(|out| packet.encode(version, out)).map_err(encode_code)?,
    }
    Ok(())
}

/// The packet of a message that is sent for the first time.
#[inline(always)]
fn packet<'a>(message: &Publication<'a>, packet_id: u16) -> Outgoing<'a> {
    let &Publication { qos, retain, topic, payload, .. } = message;
    Outgoing { dup: false, qos, retain, topic: topic.as_bytes(), packet_id, payload }
}

/// Whether so many bytes more are within the limit.
#[inline(always)]
pub(super) fn has_room(limits: &Limits, sending: &Sending, out: &Output, size: usize) -> bool {
    let limit = limits.max_outgoing_bytes;
    size <= limit && sending.outbox.bytes() + out.len() <= limit - size
}

/// Whether there are as many messages in the queue as there may be.
#[inline(always)]
pub(super) fn is_full(limits: &Limits, sending: &Sending) -> bool {
    let max = limits.max_queue;
    max != 0 && sending.outbox.len() >= max
}

/// What the session knows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The message waits, or is on its way.
    Outstanding,
    /// It has its outcome.
    Ended,
    /// No message has or had this token.
    Never,
}

/// A publish that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Names it for the life of the session: its number, counted from 1.
    pub token: u64,
    /// 0 if it has none yet.
    pub packet_id: u16,
}

impl Session {
    /// Accepts a message: it is sent now, or as soon as it may be. On an error nothing was accepted.
    #[inline(always)]
    pub fn publish(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        // What it needs is there from the first one on.
        self.sending()?;
        let accepted = self.accept(message);
        self.sending.outcomes.refused += u64::from(accepted.is_err());
        accepted
    }

    #[inline(always)]
    fn accept(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        // Room for its outcome is made now, so that reporting it later cannot fail.
        let more = self.outstanding() + 1;
        if more > self.sending.outcomes_fit {
            self.make_outcomes_fit(more)?;
        }
        match message.qos {
            QoS::AtMostOnce => self.publish_once(message),
            _ => self.publish_tracked(message),
        }
    }

    #[cold]
    fn make_outcomes_fit(&mut self, n: usize) -> Result<(), Code> {
        self.sending.history.reserve(n, self.limits.outcome_history)?;
        self.sending.completions.try_reserve(n).map_err(|_| Code::NoMemory)?;
        let completions = self.sending.completions.capacity() - self.sending.completions.len();
        let fit = self.sending.history.room(self.limits.outcome_history).min(completions);
        self.sending.outcomes_fit = if self.each_publish { 0 } else { fit };
        Ok(())
    }

    #[inline(always)]
    fn publish_once(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        if self.state != State::Up {
            return Err(Code::NotConnected);
        }
        let packet = packet(message, 0);
        let plain = packet.plain_len(self.version);
        self.check_bytes(plain.map_or_else(|| self.packet_size(message), Ok)?)?;
        self.sending.ids.reserve_unsent()?;
        let packet_id = if message.reserve_id { self.sending.ids.lend()? } else { 0 };
        let start = self.out.end();
        put_publish(&mut self.out, self.version, &packet, plain)?;
        self.flow.tx_messages += 1;
        self.sending.accepted += 1;
        let token = self.sending.accepted;
        self.sending.ids.unsent.push(token, packet_id, message.cookie, start, self.out.end());
        Ok(Accepted { token, packet_id })
    }

    #[inline(never)]
    fn publish_tracked(&mut self, message: &Publication<'_>) -> Result<Accepted, Code> {
        let size = message.topic.as_bytes().len() + message.payload.len();
        // With whatever id it gets it is as long.
        let plain = packet(message, 1).plain_len(self.version);
        if plain.is_none() {
            self.packet_size(message)?;
        }
        // Straight to the wire if nothing is ahead of it; otherwise it has to wait its turn.
        let now = self.may_send_now();
        self.make_room(size, now)?;

        let queue = if now { Queue::Flight } else { Queue::Waiting };
        let Sending { outbox, ids, accepted, .. } = &mut *self.sending;
        outbox.make_slot(size)?;
        let (slot, tail) = outbox.next_slot(size).ok_or(Code::NoMemory)?;
        let mut packet = packet(message, 0);
        packet.write_tail(tail);
        let entry = outbox.push(queue, *accepted + 1, &packet, 0);
        entry.cookie = message.cookie;
        entry.expires = message.expires.into();
        entry.accepted_at = self.now;
        if message.reserve_id || now {
            match ids.take(Use::Publish(slot)) {
                Ok(id) => entry.identify(id),
                Err(code) => return Err(self.take_back(slot, code)),
            }
        }
        let accepted = Accepted { token: entry.token, packet_id: entry.packet_id() };
        if now {
            packet.packet_id = accepted.packet_id;
            if let Err(code) = put_publish(&mut self.out, self.version, &packet, plain) {
                return Err(self.take_back(slot, code));
            }
            entry.sent_end = self.out.end();
            self.flow.tx_messages += 1;
            if self.flight_limit == 0 {
                self.watch_acknowledgements();
            }
        }
        self.sending.accepted += 1;
        if !now {
            if let Some(at) = message.expires {
                self.expire_at(at);
            }
            // Normally nothing can go, or it would have gone; but what memory stopped may go on now.
            self.pump();
        }
        Ok(accepted)
    }

    /// Whether a message may be sent that is accepted now.
    #[inline(always)]
    pub(super) fn may_send_now(&self) -> bool {
        self.state == State::Up
            && self.sending.outbox.waiting() == 0
            && self.sending.outbox.in_flight() < usize::from(self.limits.window)
            && self.out.len() < PUMP_UP_TO
    }

    /// [`may_send_now`](Self::may_send_now), and the queue is not full.
    #[inline(always)]
    pub(super) fn may_send_fast(&self) -> bool {
        let Some(Sending { outbox, .. }) = self.sending.get() else { return false };
        let may = self.state == State::Up
            && outbox.waiting() == 0
            && outbox.in_flight() < usize::from(self.flight_limit)
            && self.out.len() < PUMP_UP_TO;
        debug_assert!(!may || self.may_send_now() && !self.is_full());
        may
    }

    /// Whether there are as many messages in the queue as there may be.
    #[inline(always)]
    fn is_full(&self) -> bool {
        is_full(&self.limits, &self.sending)
    }

    /// Undoes an acceptance that could not be completed.
    #[cold]
    fn take_back(&mut self, slot: u32, code: Code) -> Code {
        let Sending { ids, outbox, .. } = &mut *self.sending;
        ids.release(outbox.get(slot).packet_id());
        outbox.retire(slot);
        outbox.discard(slot);
        code
    }

    #[inline]
    fn assign_id(&mut self, slot: u32) -> Result<(), Code> {
        if self.sending.outbox.get(slot).packet_id() == 0 {
            let id = self.sending.ids.take(Use::Publish(slot))?;
            self.sending.outbox.get_mut(slot).identify(id);
        }
        Ok(())
    }

    #[cold]
    fn packet_size(&self, message: &Publication<'_>) -> Result<usize, Code> {
        wire::publish_len(self.version, message.topic.as_bytes().len(), message.qos, 0, message.payload.len())
            .ok_or(Code::TooLarge)
    }

    /// Whether so many bytes more are within the limit.
    #[inline(always)]
    fn has_room_for(&self, size: usize) -> bool {
        has_room(&self.limits, &self.sending, &self.out, size)
    }

    /// Refuses what would go over the limit in bytes.
    #[inline]
    pub(super) fn check_bytes(&self, size: usize) -> Result<(), Code> {
        if self.has_room_for(size) {
            Ok(())
        } else if size > self.limits.max_outgoing_bytes {
            Err(Code::TooLarge)
        } else {
            Err(Code::QueueFull)
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
        let full = self.is_full();
        match bytes {
            Ok(()) if !full => return Ok(()),
            Err(Code::TooLarge) => return bytes,
            _ if self.limits.overflow == Overflow::RefuseNew => return Err(Code::QueueFull),
            _ => {}
        }
        // How much has to go. If that much may not go, nothing does: a message that is refused must not
        // take others with it.
        let held = self.sending.outbox.bytes() + self.out.len();
        let mut over_bytes = held.saturating_sub(self.limits.max_outgoing_bytes - size);
        let mut over = if full { self.sending.outbox.len() + 1 - max } else { 0 };
        let mut victims = 0;
        for slot in self.sending.outbox.iter(Queue::Waiting) {
            if over == 0 && over_bytes == 0 {
                break;
            }
            let entry = self.sending.outbox.get(slot);
            if entry.never_left() {
                victims += 1;
                over = over.saturating_sub(1);
                over_bytes = over_bytes.saturating_sub(entry.size());
            }
        }
        if over > 0 || over_bytes > 0 {
            return Err(Code::QueueFull);
        }
        let mut next = self.sending.outbox.first_waiting();
        while let Some(slot) = next.filter(|_| victims > 0) {
            next = self.sending.outbox.next(slot);
            if self.sending.outbox.get(slot).never_left() {
                victims -= 1;
                self.end(slot, Outcome::Dropped(Dropped::Overflow));
            }
        }
        Ok(())
    }

    /// Ends a message that is in a list. One that has its outcome gets no other.
    pub(super) fn end(&mut self, slot: u32, outcome: Outcome) {
        let terms = self.terms();
        let Sending { outbox, ids, .. } = &mut *self.sending;
        let (late, entry) = outbox.retire_any(slot);
        let (token, packet_id, cookie) = (entry.token, entry.packet_id(), entry.cookie);
        outbox.discard(slot);
        if late {
            ids.release(packet_id);
        } else {
            self.sending.finish(token, packet_id, cookie, outcome, terms);
        }
    }

    pub(super) fn terms(&self) -> Terms {
        Terms::of(&self.limits, self.tell_all)
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
        let window = if alone { 1 } else { self.limits.window };
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
                    payload: entry.payload(),
                };
                match packet.plain_len(self.version) {
                    Some(len) => {
                        packet.write_plain_with(entry.tail(), self.out.room(len).ok_or(Code::NoMemory)?)
                    }
                    None => put_publish(&mut self.out, self.version, &packet, None)?,
                }
            }
        }
        let end = self.out.end();
        let entry = self.sending.outbox.get_mut(slot);
        entry.sent_end = end;
        self.flow.tx_messages += u64::from(!entry.stage.is_released());
        Ok(())
    }

    /// The server does not know our session: what it may have seen of it is resent or reported. What is nobody's any
    /// more ends with the session.
    pub(super) fn session_lost(&mut self) {
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

    /// The connection is freed: nothing will be sent any more; every message has its outcome, every
    /// ticket its answer.
    pub fn abandon(&mut self) {
        self.closed();
        while let Some(slot) = self.sending.outbox.first_waiting() {
            self.end(slot, Outcome::Abandoned);
        }
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.abandon();
        }
    }

    // -- one message, and all of them -----------------------------------------------------------

    /// What is known of a message by its token alone.
    pub fn look_up(&mut self, token: u64) -> Known {
        if token == 0 || token > self.sending.accepted {
            return Known::Never;
        }
        if self.slot_of(token).is_some() || self.sending.ids.unsent.has(token) {
            Known::Outstanding
        } else {
            Known::Ended
        }
    }

    /// The slot of a message of QoS 1 or 2 that has no outcome yet.
    pub(super) fn slot_of(&mut self, token: u64) -> Option<u32> {
        self.sending.get_mut()?.outbox.find(token)
    }

    /// How a message ended; `None` if that is too long ago, or did not happen.
    pub fn remembered(&self, token: u64) -> Option<Outcome> {
        self.sending.history.find(token, self.limits.outcome_history)
    }

    /// How many messages have ended.
    #[inline]
    pub fn ended(&self) -> u64 {
        self.sending.accepted - self.outstanding() as u64
    }

    /// Gives up a message that is not on its way yet. [`Code::AlreadySent`] for one that is: only its outcome
    /// ends it.
    pub fn cancel(&mut self, token: u64) -> Result<(), Code> {
        match (self.look_up(token), self.slot_of(token)) {
            (Known::Outstanding, Some(slot))
                if self.sending.outbox.is_unsent(slot) || bug(Bug::CancelTooLate) =>
            {
                self.end(slot, Outcome::Cancelled);
                Ok(())
            }
            (Known::Outstanding, _) => Err(Code::AlreadySent),
            (Known::Ended | Known::Never, _) => Err(Code::NotFound),
        }
    }

    /// How many messages were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.sending.accepted
    }

    /// Whether the first `n` accepted messages have their outcomes.
    pub fn all_ended(&self, n: u64) -> bool {
        let ended = |oldest: Option<u64>| oldest.is_none_or(|number| number > n);
        ended(self.sending.outbox.oldest()) && ended(self.sending.ids.unsent.oldest())
    }

    /// Messages without an outcome.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.sending.outstanding()
    }

    /// When [`expire`](Session::expire) or [`look_for_acknowledgements`](Session::look_for_acknowledgements) has
    /// something to do.
    pub fn expiry(&self) -> Option<Time> {
        self.sending.next_expiry
    }

    /// Gives up messages that were not sent in time.
    pub fn expire(&mut self, now: Time) {
        if !self.sending.first_expires.is_over(now) {
            return;
        }
        self.sending.first_expires = Moment::NONE;
        let mut next = self.sending.outbox.first_waiting();
        while let Some(slot) = next {
            next = self.sending.outbox.next(slot);
            if !self.sending.outbox.is_unsent(slot) {
                continue;
            }
            match self.sending.outbox.get(slot).expires.get() {
                Some(at) if at <= now => self.end(slot, Outcome::Expired),
                Some(at) => self.expire_at(at),
                None => {}
            }
        }
        self.set_next_expiry();
    }

    fn expire_at(&mut self, at: Time) {
        self.sending.first_expires = at.min(self.sending.first_expires.or_never()).into();
        self.set_next_expiry();
    }

    pub(super) fn set_next_expiry(&mut self) {
        if let Some(sending) = self.sending.get_mut() {
            let next = sending.first_expires.or_never().min(sending.watch.look_at.or_never());
            sending.next_expiry = Moment::from(next).get();
        }
    }
}
