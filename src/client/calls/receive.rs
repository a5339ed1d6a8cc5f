//! Messages that are fetched instead of delivered: a bounded queue between the loop and any number of threads.
//!
//! A subscription for the queue ([`Conn::subscribe_queue`]) is a subscription like any other, whose handler
//! copies the message and holds its acknowledgement until whoever fetched it has released it. So the window
//! of the server throttles QoS 1 and 2, and QoS 0 is dropped when the queue is full.
//!
//! QoS 1 and 2 over the limits of the queue cannot be dropped, nor may the socket be left unread. Such a message
//! counts as not delivered; when the queue is half empty again, the connection is closed and reopened, and the
//! server sends again what was not acknowledged.
//!
//! After a reconnect, a QoS 1 message that was not fetched yet is discarded if the server kept the session,
//! since it comes again; otherwise it stays, since it does not. One that was fetched may come again. A QoS 2
//! message never does: see `session/inbound/holds.rs`.

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::callback::Callback;
use crate::client::handlers::event::{Event, Kind, Message};
use crate::client::state::Link;
use crate::client::state::log::Level;
use crate::client::state::receive_queue::{OwnedMessage, QUEUE, ReceiveQueue};
use crate::config::ReceiveOverflow;
use crate::driver::Loop;
use crate::error::Code;
use crate::time::Span;
use crate::wire::{QoS, Version, reason};

/// The handler of the subscriptions for the queue.
pub(in crate::client) struct ToQueue;

impl Callback<Conn> for ToQueue {
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
        self.usable()?.extras.make().receive_queue.make();
        self.subscribe(filter, qos, QUEUE, Kind::Message.bit(), Box::new(ToQueue))
    }

    /// Ends such a subscription. Messages that already wait stay. False if there is none.
    pub fn unsubscribe_queue(&self, filter: &str) -> Result<bool, Code> {
        self.unsubscribe(filter, Some(QUEUE))
    }

    /// Fetches the oldest message of the queue; waits for one at most `timeout` (`None`: without limit). What
    /// is fetched has to be [released](Conn::release).
    ///
    /// [`Code::TimedOut`] if there is none in time; [`Code::Busy`] inside a handler with a time-out that is not
    /// zero; [`Code::Incomplete`] when the connection ends.
    pub fn receive(&self, timeout: Option<Span>) -> Result<OwnedMessage, Code> {
        if timeout == Some(Span::ZERO) && Loop::in_dispatch() {
            return self
                .usable()?
                .extras
                .get_mut()
                .and_then(|extras| extras.receive_queue.get_mut())
                .and_then(ReceiveQueue::fetch)
                .ok_or(Code::TimedOut);
        }
        self.wait_for_link(timeout, |st| {
            st.extras.get_mut().and_then(|extras| extras.receive_queue.get_mut())?.fetch()
        })
    }

    /// Releases a message from [`receive`](Conn::receive): now it is acknowledged. [`Code::Stale`] if the
    /// connection that it came on is gone: it may come again.
    pub fn release(&self, kept: OwnedMessage) -> Result<(), Code> {
        let mut st = self.usable()?;
        if let Some(receive_queue) = st.extras.get_mut().and_then(|extras| extras.receive_queue.get_mut()) {
            receive_queue.fetched = receive_queue.fetched.saturating_sub(1);
        }
        let released = kept.hold.map_or(Ok(()), |hold| self.let_go(&mut st, hold, reason::SUCCESS));
        self.fetch_rest(&mut st);
        drop(st);
        released
    }

    /// Messages that wait to be fetched, and their bytes.
    pub fn receive_pending(&self) -> (usize, usize) {
        let st = self.lock();
        (st.extras.receive_queue.queue.len(), st.extras.receive_queue.bytes)
    }

    /// QoS 0 messages that were dropped because the queue was full.
    pub fn receive_dropped(&self) -> u64 {
        self.lock().extras.receive_queue.dropped
    }

    /// A message for the queue, from its handler.
    fn enqueue(&self, message: &Message<'_>) {
        let mut st = self.lock();
        // Several filters may match it.
        if std::mem::replace(&mut st.handler_verdict.queued, true) {
            return;
        }
        let limits = (st.settings.receive_queue_length, st.settings.receive_queue_bytes);
        let len = message.topic.len() + message.payload.len();
        if message.qos == QoS::AtMostOnce {
            let room = match st.settings.receive_overflow {
                ReceiveOverflow::DropNew => st.extras.receive_queue.has_room(len, limits),
                ReceiveOverflow::DropOldest => st.extras.make().receive_queue.make().make_room(len, limits),
            };
            if !room || st.keep_for_queue(message).is_err() {
                st.extras.make().receive_queue.make().dropped += 1;
            }
            return;
        }
        // A message that other handlers get as well must not come again, so it is always queued.
        if (st.extras.receive_queue.overrun || !st.extras.make().receive_queue.make().make_room(len, limits))
            && !st.handler_verdict.shared
        {
            st.handler_verdict.not_delivered = true;
            if !std::mem::replace(&mut st.extras.make().receive_queue.make().overrun, true) {
                self.note(&mut st, Level::Warn, format_args!("{}", Code::ReceiveFull.text()));
            }
            return;
        }
        if let Err(code) = st.keep_for_queue(message) {
            st.handler_verdict.failed = Some(code);
        }
    }

    /// After an overrun: when there is room again, makes the server send again what did not fit.
    fn fetch_rest(&self, st: &mut State) {
        let few = st.extras.receive_queue.queue.len() <= st.settings.receive_queue_length / 2
            && st.extras.receive_queue.bytes <= st.settings.receive_queue_bytes / 2;
        let quiet = matches!(st.link, Link::Open(_)) && st.closing.is_none();
        if !st.extras.receive_queue.overrun || !few || st.extras.receive_queue.fetched > 0 || !quiet {
            return;
        }
        st.end_link(Code::ReceiveFull, true);
        st.course.hurry();
        self.schedule(st);
    }
}

impl State {
    /// How many messages of QoS 1 and 2 the server may send before they are acknowledged (MQTT 5.0 §3.1.2.11.3): as many as
    /// fit into the queue, if there is one.
    pub(in crate::client) fn most_for_queue(&self) -> Option<u16> {
        self.extras.receive_queue.get()?;
        Some(u16::try_from(self.settings.receive_queue_length).unwrap_or(u16::MAX).max(1))
    }

    fn keep_for_queue(&mut self, message: &Message<'_>) -> Result<(), Code> {
        self.extras.try_make()?.receive_queue.try_make()?.queue.try_reserve(1).map_err(|_| Code::NoMemory)?;
        let mut kept = OwnedMessage::of(message)?;
        kept.hold = self.hold_handled()?;
        self.extras.try_make()?.receive_queue.try_make()?.push(kept);
        Ok(())
    }

    /// CONNACK came, and says whether unacknowledged messages come again. MQTT 3.1 does not say that, so
    /// nothing is discarded there.
    pub(in crate::client) fn session_is(&mut self, kept: bool) {
        if !kept {
            self.session_over();
        } else if self.session.version() != Version::V31 {
            if let Some(receive_queue) =
                self.extras.get_mut().and_then(|extras| extras.receive_queue.get_mut())
            {
                receive_queue.resumed();
            }
            if let Some(refusals) = self.extras.get_mut().and_then(|extras| extras.refusals.get_mut()) {
                refusals.resumed();
            }
        }
    }

    pub(in crate::client) fn session_over(&mut self) {
        if let Some(receive_queue) = self.extras.get_mut().and_then(|extras| extras.receive_queue.get_mut()) {
            receive_queue.session_over();
        }
        if let Some(refusals) = self.extras.get_mut().and_then(|extras| extras.refusals.get_mut()) {
            refusals.session_over();
        }
    }
}
