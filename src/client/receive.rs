//! Messages that are fetched instead of delivered: a bounded queue between the loop and any number of threads.
//!
//! A subscription for the queue ([`Conn::subscribe_queue`]) is a subscription like any other, whose handler
//! copies the message and holds its acknowledgement until the one who fetched it has released it. So the
//! window of the server is what throttles QoS 1 and 2, and QoS 0 is dropped when the queue is full.
//!
//! QoS 1 and 2 over the limits of the queue cannot be dropped, nor may the socket be left unread. Such a message
//! counts as not delivered; when the queue has been emptied for the better part, the connection is closed and
//! opened again, and the server sends what it got no answer for.
//!
//! After a reconnect: a QoS 1 message that was not fetched yet goes when the server kept the session, since it
//! comes again; when it did not, the message stays, since it does not. One that was fetched may come
//! again. A QoS 2 message never does: see `session/inbound.rs`.

use std::collections::VecDeque;

use super::event::{Event, Kind, Message, TopicName};
use super::handlers::{Callback, Entry, Identity};
use super::{Conn, Level, Link, State};
use crate::config::ReceiveOverflow;
use crate::driver::Loop;
use crate::error::Code;
use crate::rare::Empty;
use crate::session::Hold;
use crate::time::Span;
use crate::wire::{QoS, Version};

/// The identity of the queue as a subscriber: no function has this address.
const QUEUE: Identity = Identity(usize::MAX, 0);

pub(super) fn is_queue(entry: &Entry) -> bool {
    entry.identity() == QUEUE
}

/// A copy of a message.
#[derive(Debug)]
pub struct Kept {
    /// The topic, the payload, and one NUL.
    bytes: Vec<u8>,
    topic_len: usize,
    /// Quality of service.
    pub qos: QoS,
    /// The server had it retained.
    pub retain: bool,
    /// It may have been delivered before.
    pub dup: bool,
    /// 0 for QoS 0.
    pub packet_id: u16,
    /// The payload's size as the server sent it.
    pub size: usize,
    /// What is acknowledged when it is done with. None for QoS 0, and when its session is over.
    pub(super) hold: Option<Hold>,
}

impl Kept {
    pub(super) fn of(message: &Message<'_>) -> Result<Kept, Code> {
        let mut bytes = Vec::new();
        let len = message.topic.len() + message.payload.len() + 1;
        bytes.try_reserve_exact(len).map_err(|_| Code::NoMemory)?;
        bytes.extend_from_slice(message.topic.as_bytes());
        bytes.extend_from_slice(message.payload);
        bytes.push(0);
        let &Message { qos, retain, dup, packet_id, size, .. } = message;
        Ok(Kept { bytes, topic_len: message.topic.len(), qos, retain, dup, packet_id, size, hold: None })
    }

    /// The topic name, which is UTF-8.
    pub fn topic(&self) -> &[u8] {
        &self.bytes[..self.topic_len]
    }

    /// The payload. In memory one NUL byte follows it, which is not part of it.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.topic_len..self.bytes.len() - 1]
    }

    /// Bytes of topic and payload.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - 1
    }

    /// The message, delivered for the `attempt`th time.
    pub(super) fn message(&self, attempt: u32) -> Message<'_> {
        Message {
            topic: TopicName(self.topic()),
            payload: self.payload(),
            qos: self.qos,
            retain: self.retain,
            dup: self.dup || attempt > 1,
            packet_id: self.packet_id,
            size: self.size,
            attempt,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Pull {
    queue: VecDeque<Kept>,
    bytes: usize,
    /// Messages that were fetched and not released.
    fetched: usize,
    /// QoS 0 messages for which there was no room.
    dropped: u64,
    /// The server sent more than there is room for, and has to send it again.
    overrun: bool,
}

impl Empty for Pull {
    const EMPTY: &'static Self =
        &Pull { queue: VecDeque::new(), bytes: 0, fetched: 0, dropped: 0, overrun: false };
}

impl Pull {
    fn has_room(&self, len: usize, limits: (usize, usize)) -> bool {
        // One message is always taken, however large.
        self.queue.is_empty() || self.queue.len() < limits.0 && len <= limits.1.saturating_sub(self.bytes)
    }

    /// Drops the oldest QoS 0 messages until there is room.
    fn make_room(&mut self, len: usize, limits: (usize, usize)) -> bool {
        while !self.has_room(len, limits) {
            let oldest = self.queue.iter().position(|kept| kept.qos == QoS::AtMostOnce);
            let Some(kept) = oldest.and_then(|at| self.queue.remove(at)) else { return false };
            self.bytes -= kept.len();
            self.dropped += 1;
        }
        true
    }

    fn push(&mut self, kept: Kept) {
        self.bytes += kept.len();
        self.queue.push_back(kept);
    }

    fn fetch(&mut self) -> Option<Kept> {
        let kept = self.queue.pop_front()?;
        self.bytes -= kept.len();
        self.fetched += 1;
        Some(kept)
    }

    /// Gives back the room of the queue if that is empty.
    pub(super) fn shrink(&mut self) {
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }

    /// The link is gone, and what the server has to send again with it.
    pub(super) fn closed(&mut self) {
        self.overrun = false;
    }

    /// The server kept the session: it sends again what was not acknowledged.
    pub(super) fn resumed(&mut self) {
        let bytes = &mut self.bytes;
        self.queue.retain(|kept| {
            let comes_again = comes_again(kept);
            *bytes -= if comes_again { kept.len() } else { 0 };
            !comes_again
        });
    }

    /// The session is over: nothing of it comes again, and nothing is left to be acknowledged.
    pub(super) fn session_over(&mut self) {
        self.queue.iter_mut().for_each(|kept| kept.hold = None);
    }
}

/// Whether the server sends this again on a connection that resumes the session.
pub(super) fn comes_again(kept: &Kept) -> bool {
    kept.hold.is_some_and(|hold| !hold.outlives_link())
}

/// The handler of the subscriptions for the queue.
struct ToQueue;

impl Callback for ToQueue {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        if let Event::Message(message) = event {
            conn.enqueue(message);
        }
    }
}

impl Conn {
    /// Subscribes for the queue: messages that match wait there for [`receive`](Conn::receive).
    pub fn subscribe_queue(&self, filter: &str, qos: QoS) -> Result<(), Code> {
        // So that it is there when a message comes.
        self.usable()?.seldom.make().pull.make();
        self.subscribe(filter, qos, QUEUE, Kind::Message.bit(), Box::new(ToQueue))
    }

    /// Takes such a subscription back. What waits already stays. False if there is none.
    pub fn unsubscribe_queue(&self, filter: &str) -> Result<bool, Code> {
        self.unsubscribe(filter, Some(QUEUE))
    }

    /// Fetches the oldest message of the queue; waits for one at most `timeout` (`None`: without limit). What
    /// is fetched has to be [released](Conn::release).
    ///
    /// [`Code::TimedOut`] if there is none in time; [`Code::Busy`] inside a handler with a time-out that is not
    /// zero; [`Code::Incomplete`] when the connection ends.
    pub fn receive(&self, timeout: Option<Span>) -> Result<Kept, Code> {
        if timeout == Some(Span::ZERO) && Loop::in_dispatch() {
            return self
                .usable()?
                .seldom
                .get_mut()
                .and_then(|seldom| seldom.pull.get_mut())
                .and_then(Pull::fetch)
                .ok_or(Code::TimedOut);
        }
        self.wait_for_link(timeout, |st| {
            st.seldom.get_mut().and_then(|seldom| seldom.pull.get_mut())?.fetch()
        })
    }

    /// Gives back a message from [`receive`](Conn::receive): now it is acknowledged. [`Code::Stale`] if the
    /// connection that it came on is gone: it may come again.
    pub fn release(&self, kept: Kept) -> Result<(), Code> {
        let mut st = self.usable()?;
        if let Some(pull) = st.seldom.get_mut().and_then(|seldom| seldom.pull.get_mut()) {
            pull.fetched = pull.fetched.saturating_sub(1);
        }
        let released = kept.hold.map_or(Ok(()), |hold| self.let_go(&mut st, hold));
        self.fetch_rest(&mut st);
        drop(st);
        released
    }

    /// Messages that wait to be fetched, and their bytes.
    pub fn receive_pending(&self) -> (usize, usize) {
        let st = self.lock();
        (st.seldom.pull.queue.len(), st.seldom.pull.bytes)
    }

    /// QoS 0 messages that were dropped because the queue was full.
    pub fn receive_dropped(&self) -> u64 {
        self.lock().seldom.pull.dropped
    }

    /// A message for the queue, from its handler.
    fn enqueue(&self, message: &Message<'_>) {
        let mut st = self.lock();
        // Several filters may match it.
        if std::mem::replace(&mut st.wish.queued, true) {
            return;
        }
        let limits = (st.settings.receive_queue_length, st.settings.receive_queue_bytes);
        let len = message.topic.len() + message.payload.len();
        if message.qos == QoS::AtMostOnce {
            let room = match st.settings.receive_overflow {
                ReceiveOverflow::DropNew => st.seldom.pull.has_room(len, limits),
                ReceiveOverflow::DropOldest => st.seldom.make().pull.make().make_room(len, limits),
            };
            if !room || st.keep_for_queue(message).is_err() {
                st.seldom.make().pull.make().dropped += 1;
            }
            return;
        }
        // What other handlers get as well must not come again, so it is taken in any case.
        if (st.seldom.pull.overrun || !st.seldom.make().pull.make().make_room(len, limits)) && !st.wish.shared
        {
            st.wish.not_delivered = true;
            if !std::mem::replace(&mut st.seldom.make().pull.make().overrun, true) {
                self.note(&mut st, Level::Warn, format_args!("{}", Code::ReceiveFull.text()));
            }
            return;
        }
        if let Err(code) = st.keep_for_queue(message) {
            st.wish.failed = Some(code);
        }
    }

    /// After an overrun: when there is room again, the server is made to send again what found none.
    fn fetch_rest(&self, st: &mut State) {
        let few = st.seldom.pull.queue.len() <= st.settings.receive_queue_length / 2
            && st.seldom.pull.bytes <= st.settings.receive_queue_bytes / 2;
        let quiet = matches!(st.link, Link::Open(_)) && st.closing.is_none();
        if !st.seldom.pull.overrun || !few || st.seldom.pull.fetched > 0 || !quiet {
            return;
        }
        st.end_link(Code::ReceiveFull, true);
        st.course.hurry();
        self.schedule(st);
    }
}

impl State {
    fn keep_for_queue(&mut self, message: &Message<'_>) -> Result<(), Code> {
        self.seldom.try_make()?.pull.try_make()?.queue.try_reserve(1).map_err(|_| Code::NoMemory)?;
        let mut kept = Kept::of(message)?;
        kept.hold = self.hold_handled()?;
        self.seldom.try_make()?.pull.try_make()?.push(kept);
        Ok(())
    }

    /// CONNACK came, and says what became of what was not acknowledged. MQTT 3.1 does not say it, so nothing is
    /// given up there.
    pub(super) fn session_is(&mut self, kept: bool) {
        if !kept {
            self.session_over();
        } else if self.session.version() != Version::V31 {
            if let Some(pull) = self.seldom.get_mut().and_then(|seldom| seldom.pull.get_mut()) {
                pull.resumed();
            }
            if let Some(refusals) = self.seldom.get_mut().and_then(|seldom| seldom.refusals.get_mut()) {
                refusals.resumed();
            }
        }
    }

    pub(super) fn session_over(&mut self) {
        if let Some(pull) = self.seldom.get_mut().and_then(|seldom| seldom.pull.get_mut()) {
            pull.session_over();
        }
        if let Some(refusals) = self.seldom.get_mut().and_then(|seldom| seldom.refusals.get_mut()) {
            refusals.session_over();
        }
    }
}
