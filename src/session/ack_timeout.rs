//! Acknowledgements that do not come: PUBACK, PUBREC, SUBACK, UNSUBACK.
//!
//! Some servers never answer a packet that they do not like. With a limit ([`Limits::ack_timeout`]) whoever waits is told
//! so, and the connection stays. The exchange goes on: its packet id is in use until it is acknowledged (MQTT 3.1.1
//! §2.3.1), and a message that is not is sent again when the session is resumed (§4.4). It is only nobody's any more.
//!
//! Sending notes nothing. As long as something is unacknowledged, it is looked [`LOOKS`] times in the limit how far the bytes
//! have come, and each look notes from when on the time runs of what was new or had moved. So a slow link never makes a
//! message late, and what is late is told at most one look late.
//!
//! [`Limits::ack_timeout`]: super::Limits::ack_timeout

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::outbox::{Queue, Stage};
use super::{Outcome, Session, State};
use crate::patience::Delivery;
use crate::time::{Moment, Span, Time};
use crate::wire::QoS;

/// So often it is looked in the time that an acknowledgement may take.
const LOOKS: u64 = 8;

/// What is known of the bytes of a connection while something waits for its acknowledgement.
#[derive(Clone, Debug)]
pub(super) struct AckWatch {
    /// When to look next; none while nothing waits.
    pub(super) look_at: Moment,
    /// The end of the output when it was looked last: what lies behind was sent since.
    seen: u64,
    /// Up to here the other end had the output then.
    arrived: u64,
    /// What it had acknowledged then, in the stream's own count.
    moved: u64,
}

impl AckWatch {
    pub(super) const NONE: AckWatch = AckWatch { look_at: Moment::NONE, seen: 0, arrived: 0, moved: 0 };

    /// Looks. `end` is the end of the output, and `taken` how far the kernel has it.
    fn look(&mut self, now: Time, (taken, end): (u64, u64), delivery: Option<Delivery>) -> Look {
        // Where the system does not tell what was acknowledged, what it took counts. A layer adds bytes of its own, so there
        // are not more of the output among those that are left.
        let arrived = taken.saturating_sub(delivery.map_or(0, |delivery| delivery.left));
        let moved = delivery.map_or(taken, |delivery| delivery.moved);
        let look = Look {
            now,
            seen: self.seen,
            arrived_before: self.arrived,
            arrived: arrived.max(self.arrived),
            moved: moved > self.moved,
        };
        (self.seen, self.arrived, self.moved) = (end, look.arrived, moved.max(self.moved));
        look
    }
}

/// What changed since the look before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    now: Time,
    seen: u64,
    arrived_before: u64,
    arrived: u64,
    /// The other end acknowledged bytes.
    moved: bool,
}

impl Look {
    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// Corrects from when on the time runs of a packet that ends there in the output.
    pub(super) fn correct(&self, end: u64, since: &mut Time) {
        let is_new = end > self.seen;
        // What moved while it was under way was ahead of it, or its own.
        let came_on = end > self.arrived_before && (self.moved || end <= self.arrived);
        if is_new || came_on {
            *since = self.now;
        }
    }
}

/// What was not acknowledged in time: the first of each kind, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// Messages, which have the outcome [`Outcome::TimedOut`] now.
    pub messages: usize,
    /// The packet id of the first.
    pub packet_id: u16,
    /// Its QoS, if there is one.
    pub qos: Option<QoS>,
    /// Its topic name, in UTF-8.
    pub topic: Vec<u8>,
    /// Filters in SUBSCRIBE and UNSUBSCRIBE packets. Whoever waits for those has his [answer](super::Answer::TimedOut).
    pub filters: usize,
    /// The first of them.
    pub filter: Option<Arc<str>>,
}

impl Session {
    /// How many messages may be in flight for the next one to take the fast path. With a limit for acknowledgements it
    /// does not take it until somebody watches.
    pub(super) fn fast_flight_limit(&self) -> u16 {
        let is_watched = self.limits.ack_timeout == Span::ZERO || self.sending.watch.look_at != Moment::NONE;
        if is_watched { self.limits.in_flight() } else { 0 }
    }

    /// Something was sent whose acknowledgement has a limit: makes sure that it is looked for.
    #[cold]
    pub(super) fn watch_acknowledgements(&mut self) {
        let within = self.limits.ack_timeout;
        if within > Span::ZERO
            && self.state == State::Up
            && self.sending.watch.look_at == Moment::NONE
            && (self.sending.outbox.in_flight() > 0 || self.subscriptions.waits_since().is_some())
        {
            self.look_again((self.now + between_looks(within)).into());
            self.watch_began = true;
        }
    }

    /// Whether there is an earlier [`expiry`](Session::expiry) since this was asked last, of which who sleeps may not know.
    #[inline]
    pub fn watch_began(&mut self) -> bool {
        core::mem::take(&mut self.watch_began)
    }

    /// The connection takes nothing more, so nothing more of it is looked for.
    pub(super) fn end_watch(&mut self) {
        if let Some(sending) = self.sending.get_mut() {
            sending.watch = AckWatch::NONE;
        }
        self.look_again(Moment::NONE);
    }

    /// Whether it is time to [look](Session::look_for_acknowledgements).
    pub fn acknowledgements_are_due(&self, now: Time) -> bool {
        self.sending.watch.look_at.is_over(now)
    }

    /// What came from the server was not read to its end: the acknowledgements may be there. It is looked later.
    pub fn put_look_off(&mut self, now: Time) {
        if self.acknowledgements_are_due(now) {
            self.look_again((now + between_looks(self.limits.ack_timeout)).into());
        }
    }

    /// Ends the wait for what the server has not acknowledged in time. To be asked after what came from the server was
    /// read. `delivery` is what the system knows of the transport.
    pub fn look_for_acknowledgements(&mut self, now: Time, delivery: Option<Delivery>) -> Overdue {
        let mut overdue = Overdue::default();
        if !self.acknowledgements_are_due(now) {
            return overdue;
        }
        self.now = now;
        let within = self.limits.ack_timeout;
        let positions = (self.out.taken(), self.out.end());
        let look = self.sending.watch.look(now, positions, delivery);
        // The flight is in the order of sending, so the first that has time has the least of it.
        let mut waits_since = None;
        let mut next = self.sending.outbox.iter(Queue::Flight).next();
        while let Some(slot) = next {
            next = self.sending.outbox.next(slot);
            let entry = self.sending.outbox.get_mut(slot);
            // After PUBREC the server has it for certain.
            if entry.stage != Stage::Publish {
                continue;
            }
            look.correct(entry.sent_end, &mut entry.since);
            if entry.since + within > now {
                waits_since = waits_since.or(Some(entry.since));
                continue;
            }
            self.time_out(slot, &mut overdue);
        }
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.time_out(&look, within, &mut overdue);
        }
        self.pump_subscriptions();
        let waits_since = [waits_since, self.subscriptions.waits_since()].into_iter().flatten().min();
        let next = waits_since.map(|since| (since + within).min(now + between_looks(within)));
        self.look_again(next.into());
        overdue
    }

    fn look_again(&mut self, at: Moment) {
        if let Some(sending) = self.sending.get_mut() {
            sending.watch.look_at = at;
        }
        self.set_next_expiry();
        self.flight_limit = self.fast_flight_limit();
    }

    /// A message in flight gets its outcome, and stays there.
    fn time_out(&mut self, slot: u32, overdue: &mut Overdue) {
        let terms = self.terms();
        let sending = &mut *self.sending;
        let entry = sending.outbox.become_late(slot);
        let (token, packet_id, cookie) = (entry.token, entry.packet_id(), entry.cookie);
        if overdue.messages == 0 {
            overdue.packet_id = packet_id;
            overdue.qos = Some(entry.qos);
            // Without memory for its name it is told of without.
            if overdue.topic.try_reserve_exact(entry.topic().len()).is_ok() {
                overdue.topic.extend_from_slice(entry.topic());
            }
        }
        overdue.messages += 1;
        sending.tell(token, packet_id, cookie, Outcome::TimedOut, terms);
        sending.remember(token..token + 1, Outcome::TimedOut, terms);
    }
}

fn between_looks(within: Span) -> Span {
    Span((within.0 / LOOKS).max(1))
}
