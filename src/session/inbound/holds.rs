//! When an incoming message is acknowledged.
//!
//! A message is acknowledged when its handlers have returned. One that is *held* ([`Session::hold`]) is
//! acknowledged when everybody who holds it has let go of it; the handlers are one of them. Acknowledgements
//! go out in the order in which the messages came, each QoS by itself (MQTT 3.1.1 §4.6): what is behind
//! one that is held waits in line.
//!
//! What a reconnect makes of a held message depends on its QoS:
//!
//! * QoS 1: the hold ends with the connection, and the server delivers the message again. It is not
//!   recognised: servers that number such messages anew would make us take another for it.
//! * QoS 2: the packet id belongs to the exchange for as long as the session lives (§4.3.3), so the message is
//!   still held when the server repeats it. It is not delivered again, and answered when it is let go.

use alloc::collections::VecDeque;

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::session::event::{Failure, Verdict};
use crate::session::state::inbound::{Held, Hold, Lists, Skipped, Waiting};
use crate::session::state::{PendingEvent, Session, State};
use crate::wire::{PacketType, QoS, Version, reason};

/// More messages than packet ids cannot wait for an acknowledgement.
const MAX_LINE: usize = u16::MAX as usize;

impl Session {
    /// Numbers what is held from somewhere else than other sessions do, so that one of theirs is not mistaken
    /// for one of ours. For a new session.
    pub fn number_holds_from(&mut self, random: u64) {
        self.inbound.number_from(random);
    }

    /// Holds the acknowledgement of the message that is being handled until
    /// [`let_go`](Session::let_go), once for each time it is held. `None` for a message of QoS 0, which has
    /// nothing to hold; [`Code::NotFound`] if no message is being handled.
    pub fn hold(&mut self) -> Result<Option<Hold>, Code> {
        let (PendingEvent::Publish(qos, id) | PendingEvent::Cut(qos, id)) = self.pending_event else {
            return Err(Code::NotFound);
        };
        if qos == QoS::AtMostOnce {
            return Ok(None);
        }
        if let Some(hold) = self.inbound.lists.current {
            return self.hold_again(hold).map(|()| Some(hold));
        }
        self.inbound.hold(qos, id).map(Some)
    }

    /// Holds once more what is held already.
    pub fn hold_again(&mut self, hold: Hold) -> Result<(), Code> {
        self.inbound.change(hold, 0, reason::SUCCESS, |held| held.saturating_add(1))
    }

    /// Lets go of a held message; when nobody holds it any more, it is acknowledged as soon as its turn comes, with the
    /// first reason code that is not success.
    ///
    /// [`Code::NotFound`] if it is not held any more; [`Code::Stale`] if it came on an earlier connection, or in
    /// an earlier session for QoS 2: the server will deliver it again, if it kept the session. Both change
    /// nothing. Other errors: the connection cannot go on.
    pub fn let_go(&mut self, hold: Hold, reason: u8) -> Result<(), Failure> {
        if self.state != State::Up && !hold.outlives_link() {
            return Err(Failure::new(Code::Stale, ""));
        }
        // The handlers' own hold ends when they have returned, and the message is there, not before.
        let Lists { current, skipped, .. } = &*self.inbound.lists;
        let handlers = [*current, skipped.as_ref().and_then(|skipped| skipped.hold)];
        let others = u32::from(handlers.contains(&Some(hold)));
        let changed = self.inbound.change(hold, others, reason, |held| held - 1);
        changed.map_err(|code| Failure::new(code, ""))?;
        self.answer_line()
    }

    /// The handlers of a message have returned.
    pub(in crate::session) fn acknowledge(
        &mut self,
        qos: QoS,
        id: u16,
        verdict: Verdict,
    ) -> Result<(), Failure> {
        let reason = match verdict {
            Verdict::Ack(reason) => Some(reason),
            Verdict::ConnectionGone => None,
            Verdict::NotDelivered => return self.undo_hold(),
        };
        if let Some(hold) = self.inbound.take_current() {
            return self.handlers_let_go(hold, reason.unwrap_or(reason::SUCCESS));
        }
        if qos == QoS::ExactlyOnce {
            // Remembered even if the connection is gone: on the next one the server repeats
            // it, and it must not be delivered twice.
            self.inbound.remember(id)?;
        }
        match reason {
            Some(reason) if qos != QoS::AtMostOnce => self.answer_in_line(qos, id, reason),
            _ => Ok(()),
        }
    }

    /// The handlers of the beginning of a message have returned, and the rest is still to be skipped.
    pub(in crate::session) fn cut_handled(
        &mut self,
        qos: QoS,
        id: u16,
        verdict: Verdict,
    ) -> Result<(), Failure> {
        let Verdict::Ack(reason) = verdict else { return self.acknowledge(qos, id, verdict) };
        if qos == QoS::ExactlyOnce {
            self.inbound.remember(id)?;
        }
        let hold = self.inbound.take_current();
        self.inbound.lists()?.skipped = Some(Skipped { qos, id, told: None, hold, reason });
        Ok(())
    }

    /// The message counts as not delivered, whoever holds it: it will come again.
    fn undo_hold(&mut self) -> Result<(), Failure> {
        match self.inbound.take_current() {
            Some(hold) if hold.outlives_link() => drop(self.inbound.released(hold.id())),
            Some(_) => drop(self.inbound.lists()?.line1.pop_back()),
            None => {}
        }
        Ok(())
    }

    /// The handlers do not hold it any more. Their hold may have ended with the link.
    pub(in crate::session) fn handlers_let_go(&mut self, hold: Hold, reason: u8) -> Result<(), Failure> {
        let others = |held| if bug(Bug::HoldIgnored) { 0 } else { held - 1 };
        match self.inbound.change(hold, 0, reason, others) {
            Ok(()) => self.answer_line(),
            Err(_) => Ok(()),
        }
    }

    /// Acknowledges now, or behind what is held.
    fn answer_in_line(&mut self, qos: QoS, id: u16, reason: u8) -> Result<(), Failure> {
        let number = self.inbound.last;
        match qos {
            QoS::AtLeastOnce if !self.inbound.lists.line1.is_empty() && !bug(Bug::AckOutOfLine) => {
                in_line(&mut self.inbound.lists()?.line1, Waiting { number, id, held: 0, reason })
            }
            QoS::AtLeastOnce => self.answer_with(PacketType::PubAck, id, reason),
            _ if !self.inbound.lists.line2.is_empty() => {
                in_line(&mut self.inbound.lists()?.line2, (id, reason))
            }
            _ => self.answer_received(id, reason),
        }
    }

    /// Answers by PUBREC. One that refuses the message ends its exchange (MQTT 5.0 §4.3.3).
    fn answer_received(&mut self, id: u16, reason: u8) -> Result<(), Failure> {
        self.answer_with(PacketType::PubRec, id, reason)?;
        if reason >= reason::UNSPECIFIED_ERROR && self.version == Version::V5 {
            self.release(id);
        }
        Ok(())
    }

    /// Acknowledges what stands in line and is not held, up to the first that is.
    fn answer_line(&mut self) -> Result<(), Failure> {
        while let Some(Waiting { id, held: 0, reason, .. }) = self.inbound.lists.line1.front().copied() {
            self.answer_with(PacketType::PubAck, id, reason)?;
            self.inbound.lists()?.line1.pop_front();
        }
        while let Some((id, reason)) = self.inbound.lists.line2.front().copied()
            && self.inbound.lists.held.get(id).is_none()
        {
            // A server that released it without waiting for PUBREC wants none any more.
            if self.inbound.is_known(id) {
                self.answer_received(id, reason)?;
            }
            self.inbound.lists()?.line2.pop_front();
        }
        Ok(())
    }

    /// The server repeats a QoS 2 message that was delivered.
    pub(in crate::session) fn repeated(&mut self, id: u16, reason: u8) -> Result<(), Failure> {
        match self.inbound.lists.held.get(id).filter(|_| !bug(Bug::RepeatedNotHeld)) {
            None => self.answer_in_line(QoS::ExactlyOnce, id, reason),
            Some(held) if held.in_line => Ok(()),
            Some(held) => {
                let lists = self.inbound.lists()?;
                in_line(&mut lists.line2, (id, reason))?;
                lists.held.set(id, Held { in_line: true, ..held });
                Ok(())
            }
        }
    }
}

/// Stands for a message that nobody holds, behind one that is held: as new as the newest.
fn in_line<T>(line: &mut VecDeque<T>, entry: T) -> Result<(), Failure> {
    if line.len() >= MAX_LINE {
        return Err(Failure::protocol(
            "the server sent more than 65,535 messages without an acknowledgement",
        ));
    }
    line.try_reserve(1).map_err(|_| Failure::out_of_memory())?;
    line.push_back(entry);
    Ok(())
}
