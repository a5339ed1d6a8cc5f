//! Fast path of receiving: message after message.
//!
//! Almost every message needs only decode, deliver, acknowledge; the rest (handlers that disconnect, free, refuse or defer, a
//! full queue, the end of the session) is in incoming.rs. The fast path goes on while the [epoch](State::epoch) stands
//! still, so nobody but the loop has touched the connection's state; otherwise every condition is checked again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::{Entry, Recipients, State};
use crate::client::handlers::event::{Event, Kind, Message, TopicName};
use crate::client::handlers::registered::Audience;
use crate::client::state::Link;
use crate::client::state::receive_queue::is_queue;
use crate::client::state::verdict::{HandlerVerdict, InDelivery};
use crate::session::{Acknowledged, Ended, Failure, LentTopic};
use crate::sync::MutexGuard;
use crate::wire::{PLAIN_ACK, PacketType, PlainPublish, RawProperties, Received, Version, reason, topic};

/// What handlers are told of PUBACK, or of PUBCOMP.
pub(in crate::client) fn acknowledgement<'a>(
    kind: Kind,
    ack: Acknowledged,
    topic: Option<TopicName<'a>>,
    properties: RawProperties<'a>,
) -> Event<'a> {
    match kind {
        Kind::PubComp => Event::PubComp(ack, topic, properties),
        _ => Event::PubAck(ack, topic, properties),
    }
}

/// What handlers are told of an acknowledgement that says nothing but the packet id.
fn accepted(kind: Kind, ended: &Ended) -> Event<'_> {
    acknowledgement(kind, ended.accepted(), Some(TopicName(ended.topic())), RawProperties::EMPTY)
}

/// What handlers get of a message that comes for the first time, and whole.
#[inline(always)]
fn first_delivery<'a>(publish: &Received<'a>) -> Message<'a> {
    Message {
        topic: TopicName(publish.topic),
        payload: publish.payload,
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        packet_id: publish.packet_id,
        size: publish.payload.len(),
        attempt: 1,
        properties: RawProperties::EMPTY,
    }
}

/// The topic of the message before, or its alias, if it had only one handler.
#[derive(Clone, Copy)]
struct Known<'a> {
    topic: &'a [u8],
    alias: u16,
}

impl<'a> Known<'a> {
    const NOTHING: Known<'static> = Known { topic: &[], alias: 0 };

    /// This message is the next, and `only` the handler of it, if it has one alone. Returns its topic; `None` if its
    /// alias stands for nothing.
    #[inline(always)]
    fn follow<'t, const FIVE: bool>(
        &mut self,
        st: &mut State,
        found: &PlainPublish<'a>,
        lent: &'t mut LentTopic,
        only: &mut Option<Arc<Entry>>,
    ) -> Option<&'t [u8]>
    where
        'a: 't,
    {
        let &PlainPublish { publish: Received { topic, .. }, topic_hash, alias } = found;
        if FIVE && alias != 0 {
            if !lent.is(alias) && !st.session.lend_topic(alias, lent) {
                return None;
            }
            if alias != self.alias {
                *only = st.handlers.only(lent.name(), topic::hash(lent.name())).cloned();
                *self = Known { topic: &[], alias: if only.is_some() { alias } else { 0 } };
            }
            return Some(lent.name());
        }
        if let Some(hash) = topic_hash {
            *only = st.handlers.only(topic, hash).cloned();
            *self = Known { topic: if only.is_some() { topic } else { &[] }, alias: 0 };
        }
        Some(topic)
    }
}

/// So many acknowledgements at most are taken in before the handlers are told of them.
const TOGETHER: usize = 32;

/// Where [`Conn::stream`] stopped.
pub(in crate::client) enum Ending {
    /// At something else, or at the end of the bytes.
    Other,
    /// Behind a message that was delivered. Something happened meanwhile, or the turn has to end, and it is not
    /// acknowledged yet.
    Told,
    /// Behind a message that could not be acknowledged.
    Failed(Failure),
}

impl Conn {
    /// Delivers the messages that `buffer` begins with; `len` bytes of it have come. Returns how many bytes they take.
    #[inline(always)]
    pub(in crate::client) fn stream<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        generation: u64,
        buffer: &mut [u8],
        len: usize,
    ) -> (MutexGuard<'a, State>, usize, Ending) {
        if st.session.version() == Version::V5 {
            return self.stream_five(st, generation, buffer, len);
        }
        self.stream_of::<false>(st, generation, buffer, len, &mut LentTopic::default())
    }

    #[inline(never)]
    fn stream_five<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        generation: u64,
        buffer: &mut [u8],
        len: usize,
    ) -> (MutexGuard<'a, State>, usize, Ending) {
        let mut lent = LentTopic::default();
        let (mut st, bytes, ending) = self.stream_of::<true>(st, generation, buffer, len, &mut lent);
        st.session.return_topic(lent);
        (st, bytes, ending)
    }

    /// [`stream`](Conn::stream); `FIVE` in MQTT 5.0, where the topic of messages that follow one another may be `lent`.
    ///
    /// A function of its own, so that the compiler has the registers for nothing else.
    #[inline(never)]
    fn stream_of<'a, const FIVE: bool>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        generation: u64,
        buffer: &mut [u8],
        len: usize,
        lent: &mut LentTopic,
    ) -> (MutexGuard<'a, State>, usize, Ending) {
        if bug(Bug::AckBeforeHandler) || !st.is_on_fast_path(generation) {
            return (st, 0, Ending::Other);
        }
        st.handler_verdict = HandlerVerdict::default();
        // As long as no registration comes or goes both are right, and the handler is also there, so that dropping it
        // here is never the end of it.
        let mut known = Known::NOTHING;
        let mut only: Option<Arc<Entry>> = None;
        let mut changes = st.handlers.changes();
        let mut rest = buffer;
        let mut left = len;
        loop {
            let Some((total, head)) = PlainPublish::find::<FIVE>(&rest[..left]) else {
                let (back, bytes, ending) = self.acknowledgements(st, generation, &rest[..left], &mut only);
                st = back;
                rest = &mut rest[bytes..];
                left -= bytes;
                match ending {
                    Ending::Other if bytes > 0 => known = Known::NOTHING,
                    Ending::Other => break,
                    _ => return (st, len - left, ending),
                }
                continue;
            };
            let (packet, behind) = rest.split_at_mut(total);
            let packet: &[u8] = packet;
            let Some(found) = PlainPublish::decode::<FIVE>(packet, head, known.topic) else { break };
            let Some(topic) = known.follow::<FIVE>(&mut st, &found, lent, &mut only) else { break };
            let publish = Received { topic, ..found.publish };
            if !st.session.fast_message::<FIVE>(total, publish.qos, publish.packet_id) {
                break;
            }
            left -= total;
            let message = first_delivery(&publish);
            let epoch = st.epoch;
            match &only {
                // Nobody else gets it.
                Some(entry) => {
                    st = self.tell_message(st, &message, behind, 1, |message| {
                        entry.message(self, message);
                        None
                    });
                }
                None => {
                    st = self.deliver(st, &message, behind);
                    st.handler_verdict.shared = false;
                }
            }
            if st.epoch != epoch {
                if st.handlers.changes() != changes {
                    st = self.drop_unlocked(st, &mut only);
                    changes = st.handlers.changes();
                    known = Known::NOTHING;
                }
                if !st.is_on_fast_path(generation) {
                    return (st, len - left, Ending::Told);
                }
                st.handler_verdict = HandlerVerdict::default();
            }
            if let Err(failure) = st.session.fast_handled(publish.qos, publish.packet_id) {
                return (st, len - left, Ending::Failed(failure));
            }
            rest = behind;
        }
        (st, len - left, Ending::Other)
    }

    /// As [`stream`](Conn::stream), for the acknowledgements that `bytes` begins with. A handler that is `known` to get
    /// messages is let go of when it may be there no more.
    ///
    /// Apart from the messages for the same reason.
    #[inline(never)]
    fn acknowledgements<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        generation: u64,
        bytes: &[u8],
        known: &mut Option<Arc<Entry>>,
    ) -> (MutexGuard<'a, State>, usize, Ending) {
        let mut at = 0;
        // Every packet that this is for: PUBACK, PUBREC, PUBREL and PUBCOMP.
        while let Some(packet @ 4..=7) = bytes.get(at).map(|first| first >> 4) {
            if let 5 | 6 = packet {
                match st.fast_answer(packet, &bytes[at..]) {
                    Some(consumed) => at += consumed,
                    None => break,
                }
                continue;
            }
            let mut acked = st.session.lend_list();
            let packet = match acked.capacity() {
                0 if acked.try_reserve_exact(TOGETHER).is_err() => None,
                _ => {
                    let most = st.most_acknowledged();
                    st.session.fast_acknowledgements(&bytes[at..], &mut acked, most)
                }
            };
            let Some(packet) = packet else {
                st.session.return_list(acked);
                break;
            };
            at += acked.len() * PLAIN_ACK;
            let (epoch, changes) = (st.epoch, st.handlers.changes());
            let kind = if packet == PacketType::PubComp { Kind::PubComp } else { Kind::PubAck };
            st = self.tell_acked(st, kind, &acked);
            st.session.fast_ended(&mut acked);
            st.session.return_list(acked);
            if st.epoch != epoch {
                if st.handlers.changes() != changes {
                    st = self.drop_unlocked(st, known);
                }
                if !st.is_on_fast_path(generation) {
                    return (st, at, Ending::Told);
                }
            }
            self.settle(&mut st);
            if st.outcomes.are_waiting() {
                return (st, at, Ending::Told);
            }
        }
        (st, at, Ending::Other)
    }

    /// Tells of messages that were acknowledged, one after the other. The lock is not taken in between, as long as it
    /// is known who is told.
    #[inline]
    fn tell_acked<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        kind: Kind,
        acked: &[Ended],
    ) -> MutexGuard<'a, State> {
        if !st.handlers.anybody_wants(kind) {
            return st;
        }
        let mut told = 0;
        if let Some(only) = st.handlers.only_of_connection(kind).cloned() {
            let known = self.registrations.load(Ordering::Relaxed);
            drop(st);
            for ended in acked {
                told += 1;
                only.call(self, &accepted(kind, ended));
                // One that was registered meanwhile, here or on another thread, is told of the next.
                if self.registrations.load(Ordering::Relaxed) != known {
                    break;
                }
            }
            // What ends with it must not end under the lock.
            drop(only);
            st = self.lock_untracked();
            self.ran(&mut st, told);
        }
        for ended in &acked[told..] {
            match st.handlers.acknowledged(ended.topic(), kind) {
                Audience::Nobody => {}
                Audience::One(entry) => {
                    let entry = entry.clone();
                    drop(st);
                    entry.call(self, &accepted(kind, ended));
                    // As above.
                    drop(entry);
                    st = self.lock_untracked();
                    self.ran(&mut st, 1);
                }
                Audience::Several => {
                    let topic = Some(TopicName(ended.topic()));
                    st = self.acknowledged(st, kind, ended.accepted(), topic, RawProperties::EMPTY);
                }
            }
        }
        st
    }

    /// Drops a handler that may be there no more: what ends with it is the application's, and must not end under a
    /// lock.
    fn drop_unlocked<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        entry: &mut Option<Arc<Entry>>,
    ) -> MutexGuard<'a, State> {
        if entry.is_none() {
            return st;
        }
        drop(st);
        *entry = None;
        self.lock_untracked()
    }

    /// A message: to the subscribers, newest first; without one, to the handlers of the connection. `behind` it is at
    /// least one byte.
    #[inline(never)]
    pub(in crate::client) fn deliver<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        message: &Message<'_>,
        behind: &mut [u8],
    ) -> MutexGuard<'a, State> {
        let mut recipients = st.handlers.recipients();
        st.handlers.message(message.topic.as_bytes(), message.properties, &mut recipients);
        if recipients.is_empty() {
            st.handlers.told(recipients);
            return st;
        }
        st.handler_verdict = HandlerVerdict {
            shared: recipients.iter().any(|entry| !is_queue(entry)),
            ..HandlerVerdict::default()
        };
        self.tell_message(st, message, behind, recipients.len(), |message| {
            for entry in recipients.iter() {
                entry.message(self, message);
            }
            // Entries removed meanwhile end here, and with them their user data.
            recipients.clear();
            Some(recipients)
        })
    }

    /// Runs `tell`, which has `n` to call, without the lock. It returns the list of who is called, if it had taken
    /// that.
    #[inline(always)]
    fn tell_message<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        message: &Message<'_>,
        behind: &mut [u8],
        n: usize,
        tell: impl FnOnce(&Message<'_>) -> Option<Recipients>,
    ) -> MutexGuard<'a, State> {
        st.in_delivery = InDelivery::Fresh;
        drop(st);
        // One NUL stands behind the payload while the handlers run, for those who print it as a string;
        // the byte that it covers comes back.
        let covered = std::mem::replace(&mut behind[0], 0);
        let recipients = tell(message);
        let mut st = self.lock_untracked();
        // Before anything that tells others.
        if let Some(recipients) = recipients {
            st.handlers.told(recipients);
        }
        if let Some(reason) = st.handler_verdict.refused {
            st = self.refused(st, message, reason);
        }
        st.in_delivery = InDelivery::Nothing;
        behind[0] = covered;
        self.ran(&mut st, n);
        st
    }
}

impl State {
    /// How many acknowledgements may be taken in before their handlers run: no more than may be told in this turn.
    #[inline]
    fn most_acknowledged(&self) -> usize {
        let wanted = self.handlers.anybody_wants(Kind::PubAck) || self.handlers.anybody_wants(Kind::PubComp);
        if wanted { self.pace.most() } else { TOGETHER }
    }

    /// A step that only answers, for the packet of this type that `bytes` begin with; how many of them it took.
    #[inline]
    fn fast_answer(&mut self, packet: u8, bytes: &[u8]) -> Option<usize> {
        match packet {
            5 if !self.handlers.wants(Kind::PubRec) => self.session.fast_receipt(bytes),
            6 if !self.handlers.wants(Kind::PubRel) => self.session.fast_release(bytes),
            _ => None,
        }
    }

    /// Whether there is nothing to be done but to go on with what came on the link of `generation`: it is up, and no
    /// handler, and nobody else, asked for anything. A feature that needs a look at each message says so here, or, if
    /// the session alone knows of it, in [`Session::is_on_fast_path`](crate::session::Session::is_on_fast_path).
    #[inline(never)]
    fn is_on_fast_path(&self, generation: u64) -> bool {
        let stopped = self.freed | self.broken | self.traced | self.pace.is_over();
        let told = &self.handler_verdict;
        matches!(self.link, Link::Open(_))
            && self.generation == generation
            && self.closing.is_none()
            && !(stopped | told.not_delivered | told.failed.is_some() | (told.reason != reason::SUCCESS))
            && !self.outcomes.are_waiting()
            && self.session.is_on_fast_path()
    }
}
