//! Outgoing QoS 1 and 2 messages, from acceptance to their outcome.
//!
//! Two lists over one slab. *Waiting* holds what is to be sent next, in the order of acceptance;
//! *flight* holds what was sent on this connection and is not acknowledged. When a connection is
//! lost, the flight goes back to the head of the waiting list, with its packet ids and with the
//! knowledge of how far each exchange had come: "redelivery" is nothing but sending that list again.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::session::event::Ended;
use crate::session::state::counts::Untracked;
use crate::session::state::index::Index;
use crate::time::{Moment, Time};
use crate::wire::{Carrier, Outgoing, PacketType, Properties, QoS, Version, publish_len};

/// The end of a list, and "no slot".
pub(crate) const NIL: u32 = u32::MAX;

/// Free slots keep their buffers for the next message: so many bytes of them, and none larger than `KEEP_BUFFER`. What
/// buffers have more than their messages counts as well. With a number of buffers as the limit, a window that is wider
/// than that would allocate for each message.
const KEEP_BYTES: usize = 1024 * 1024;

const KEEP_BUFFER: usize = 64 * 1024;

/// So many free slots are not worth giving back.
const SPARE: usize = 32;

/// Bytes of a packet id.
const PACKET_ID: usize = 2;

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The PUBLISH is to be sent (again), or its PUBACK or PUBREC is awaited.
    Publish,
    /// PUBREC came: the PUBREL is to be sent (again), or PUBCOMP is awaited. The PUBLISH must not
    /// be sent any more (MQTT 3.1.1 §4.3.3).
    Release,
    /// As `Publish`, but its [time](crate::session::Limits::ack_timeout) is over and its outcome was told.
    Late,
    /// As `Release`, of one that was late.
    LateRelease,
    /// Acknowledged; the slot is kept until the handlers that are told of it returned.
    Done,
}

impl Stage {
    /// Whether PUBREC came.
    pub(crate) fn is_released(self) -> bool {
        matches!(self, Stage::Release | Stage::LateRelease)
    }

    /// Whether its outcome was told, though the server has not acknowledged it.
    pub(crate) fn is_late(self) -> bool {
        matches!(self, Stage::Late | Stage::LateRelease)
    }
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Its number; 0 in a slot that is free.
    pub(crate) token: u64,
    pub(crate) accepted_at: Time,
    /// What the caller gave with it.
    pub(crate) cookie: u32,
    /// It is not sent for the first time from then on.
    pub(crate) expires: Moment,
    /// From when on the time for its acknowledgement runs; of no meaning before it was looked for that.
    pub(crate) since: Time,
    /// 0 until one is reserved or the message is sent. It stands in the body as well.
    packet_id: u16,
    /// The topic alias that the application wants for it; 0 for none.
    pub(crate) alias: u16,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// The PUBLISH was handed to the kernel on an earlier connection.
    pub(crate) dup: bool,
    /// That was in a session which the server lost. In the next one it is sent for the first time [MQTT-3.2.2-5].
    pub(crate) restarted: bool,
    pub(crate) stage: Stage,
    /// Where its last PUBLISH ended in the output stream.
    pub(crate) sent_end: u64,
    /// The list it is in.
    queue: Queue,
    /// Topic, packet id, properties without their length, payload: what stands in its packet behind the topic's length,
    /// as long as there are no properties. Then what is left of longer ones.
    body: Box<[u8]>,
    topic_len: u16,
    properties_len: u32,
    payload_len: u32,
    prev: u32,
    next: u32,
}

impl Entry {
    /// A slot that is free.
    fn free() -> Entry {
        Entry {
            token: 0,
            cookie: 0,
            expires: Moment::NONE,
            since: Time::ZERO,
            accepted_at: Time::ZERO,
            packet_id: 0,
            alias: 0,
            qos: QoS::AtMostOnce,
            retain: false,
            dup: false,
            restarted: false,
            stage: Stage::Done,
            sent_end: 0,
            queue: Queue::Waiting,
            body: Box::default(),
            topic_len: 0,
            properties_len: 0,
            payload_len: 0,
            prev: NIL,
            next: NIL,
        }
    }

    /// Makes the body at least this long. False without memory for it.
    #[cold]
    fn grow(&mut self, size: usize) -> bool {
        let mut body = core::mem::take(&mut self.body).into_vec();
        let grown = body.try_reserve(size - body.len()).is_ok();
        if grown {
            body.resize(body.capacity(), 0);
        }
        self.body = body.into();
        grown
    }

    /// Whether it is the message with this token, which has no outcome yet.
    fn is(&self, token: u64) -> bool {
        self.token == token && matches!(self.stage, Stage::Publish | Stage::Release)
    }

    /// The topic name, in UTF-8.
    pub(crate) fn topic(&self) -> &[u8] {
        &self.body[..usize::from(self.topic_len)]
    }

    /// The server may know it: its last byte was handed to the kernel, on an earlier connection or on
    /// this one, whose output was taken up to `taken`.
    pub(crate) fn is_sent(&self, taken: u64) -> bool {
        self.dup || (self.queue == Queue::Flight && self.sent_end <= taken)
    }

    /// A waiting message that the server cannot know.
    pub(crate) fn never_left(&self) -> bool {
        self.stage == Stage::Publish && !self.dup
    }

    /// Bytes of topic, properties and payload.
    pub(crate) fn size(&self) -> usize {
        usize::from(self.topic_len) + self.properties_len as usize + self.payload_len as usize
    }

    pub(crate) fn has_properties(&self) -> bool {
        self.properties_len > 0
    }

    pub(crate) fn properties(&self) -> Properties<'_> {
        let block = &self.tail()[usize::from(self.topic_len) + PACKET_ID..][..self.properties_len as usize];
        // They were checked when the message was accepted.
        Properties::from_raw(block, Carrier::Packet(PacketType::Publish)).unwrap_or_default()
    }

    /// The size of its PUBLISH, without a topic alias.
    pub(crate) fn packet_size(&self, version: Version) -> usize {
        let properties = if version == Version::V5 { self.properties_len as usize } else { 0 };
        let topic = usize::from(self.topic_len);
        // What was accepted can be sent.
        publish_len(version, topic, self.qos, properties, self.payload_len as usize).unwrap_or(usize::MAX)
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.tail()[usize::from(self.topic_len) + PACKET_ID + self.properties_len as usize..]
    }

    /// What stands in its packet behind the topic's length, if it has no properties.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.body[..self.size() + PACKET_ID]
    }

    pub(crate) fn packet_id(&self) -> u16 {
        self.packet_id
    }

    /// A message that was retired, for somebody to have while the outbox is behind a lock. It has no topic here then.
    #[inline(always)]
    pub(crate) fn take_topic(&mut self, slot: u32) -> Ended {
        let body = core::mem::take(&mut self.body);
        let topic_len = core::mem::take(&mut self.topic_len);
        let &mut Entry { token, accepted_at, packet_id, .. } = self;
        Ended { token, slot, accepted_at, packet_id, topic_len, body }
    }

    /// Gives it its packet id.
    pub(crate) fn identify(&mut self, packet_id: u16) {
        self.packet_id = packet_id;
        let at = usize::from(self.topic_len);
        self.body[at..at + PACKET_ID].copy_from_slice(&packet_id.to_be_bytes());
    }
}

/// A doubly linked list through the slab.
#[derive(Clone, Copy, Debug)]
struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    const EMPTY: List = List { head: NIL, tail: NIL, len: 0 };
}

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Waiting,
    Flight,
}

/// The messages and their order.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    slots: Vec<Entry>,
    free: u32,
    waiting: List,
    flight: List,
    /// How many of both have their outcome.
    late: usize,
    /// Bytes in the buffers of all slots.
    buffers: usize,
    /// Topics, properties and payloads held, in bytes.
    bytes: usize,
    /// Payloads held, in bytes.
    payload_bytes: usize,
    /// Follows from the rest.
    index: Untracked<Index>,
}

impl Outbox {
    pub(crate) const fn new() -> Self {
        Outbox {
            slots: Vec::new(),
            free: NIL,
            waiting: List::EMPTY,
            flight: List::EMPTY,
            late: 0,
            buffers: 0,
            bytes: 0,
            payload_bytes: 0,
            index: Untracked(Index::new()),
        }
    }

    /// Messages waiting or in flight.
    pub(crate) fn len(&self) -> usize {
        (self.waiting.len + self.flight.len) as usize
    }

    /// How many of them have their outcome already: they were not acknowledged in time.
    #[inline]
    pub(crate) fn late(&self) -> usize {
        self.late
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flight.len as usize
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len as usize
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.payload_bytes
    }

    pub(crate) fn get(&self, slot: u32) -> &Entry {
        &self.slots[slot as usize]
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.slots[slot as usize]
    }

    /// The slot of a message that is waiting or in flight, and has no outcome.
    pub(crate) fn find(&mut self, token: u64) -> Option<u32> {
        let mut index = core::mem::take(&mut *self.index);
        let has = |token: u64, slot: u32| self.slots.get(slot as usize).is_some_and(|entry| entry.is(token));
        let found = if index.catch_up(self.newest_first(), self.len(), has) {
            index.find(token).filter(|slot| has(token, *slot))
        } else {
            // Without memory for it.
            self.newest_first()
                .find(|(there, slot)| *there == token && has(token, *slot))
                .map(|(_, slot)| slot)
        };
        *self.index = index;
        found
    }

    /// The messages of both lists with their slots, from the one that was accepted last back.
    fn newest_first(&self) -> impl Iterator<Item = (u64, u32)> {
        let back = |mut at: u32| {
            core::iter::from_fn(move || {
                let slot = (at != NIL).then_some(at)?;
                let entry = self.get(slot);
                at = entry.prev;
                Some((entry.token, slot))
            })
        };
        back(self.waiting.tail).chain(back(self.flight.tail))
    }

    /// Whether the message waits, and nothing of it was handed to the connection since the server could have
    /// seen it last.
    pub(crate) fn is_unsent(&self, slot: u32) -> bool {
        let entry = self.get(slot);
        entry.queue == Queue::Waiting && entry.never_left()
    }

    /// The token of the message without an outcome that was accepted first. Both lists are in the order of acceptance,
    /// and the flight is older.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let oldest = |queue| self.iter(queue).map(|slot| self.get(slot)).find(|entry| !entry.stage.is_late());
        oldest(Queue::Flight).or_else(|| oldest(Queue::Waiting)).map(|entry| entry.token)
    }

    /// The outcome of a message in flight is told, and it stays there.
    pub(crate) fn become_late(&mut self, slot: u32) -> &mut Entry {
        self.late += 1;
        let entry = &mut self.slots[slot as usize];
        entry.stage = Stage::Late;
        entry
    }

    /// [Retires](Self::retire) a message of any stage; whether it had its outcome before.
    pub(crate) fn retire_any(&mut self, slot: u32) -> (bool, &mut Entry) {
        let late = self.get(slot).stage.is_late();
        self.late -= usize::from(late);
        (late, self.retire(slot))
    }

    /// The first message of the waiting list.
    pub(crate) fn first_waiting(&self) -> Option<u32> {
        (self.waiting.head != NIL).then_some(self.waiting.head)
    }

    /// The slot that the next message gets, and in it the room for the [tail](Entry::tail) of one with `size` bytes.
    /// `None` if there is no slot or not enough memory in it.
    #[inline(always)]
    pub(crate) fn next_slot(&mut self, size: usize) -> Option<(u32, &mut [u8])> {
        let entry = self.slots.get_mut(self.free as usize)?;
        Some((self.free, entry.body.get_mut(..size + PACKET_ID)?))
    }

    /// Makes sure that there is a [next slot](Self::next_slot) for a message with `size` bytes. Nothing is changed when
    /// memory runs out.
    pub(crate) fn make_slot(&mut self, size: usize) -> Result<(), Code> {
        if self.free == NIL {
            self.add_slot()?;
        }
        let entry = &mut self.slots[self.free as usize];
        let before = entry.body.len();
        if before < size + PACKET_ID && !entry.grow(size + PACKET_ID) {
            return Err(Code::NoMemory);
        }
        self.buffers += entry.body.len() - before;
        Ok(())
    }

    /// Puts the message that was written into the next slot at the end of `queue`. Its token is higher than all before.
    #[inline(always)]
    pub(crate) fn push(
        &mut self,
        queue: Queue,
        token: u64,
        packet: &Outgoing<'_>,
        packet_id: u16,
    ) -> &mut Entry {
        let slot = self.free;
        let entry = &mut self.slots[slot as usize];
        self.free = entry.next;
        let properties = packet.properties.encoded_len();
        self.bytes += packet.topic.len() + properties + packet.payload.len();
        self.payload_bytes += packet.payload.len();
        // A topic name is at most 65,535 bytes long, and a packet 256 MiB; both were checked on acceptance.
        entry.topic_len = packet.topic.len() as u16;
        entry.properties_len = properties as u32;
        entry.payload_len = packet.payload.len() as u32;
        entry.token = token;
        entry.cookie = 0;
        entry.expires = Moment::NONE;
        entry.alias = 0;
        entry.packet_id = packet_id;
        entry.qos = packet.qos;
        entry.retain = packet.retain;
        entry.dup = false;
        entry.restarted = false;
        entry.stage = Stage::Publish;
        entry.sent_end = 0;
        self.append(queue, slot)
    }

    /// Makes another slot, and makes it the first free one.
    #[cold]
    fn add_slot(&mut self) -> Result<(), Code> {
        let slot = self.slots.len();
        if slot >= NIL as usize {
            return Err(Code::QueueFull);
        }
        self.slots.try_reserve(1).map_err(|_| Code::NoMemory)?;
        self.slots.push(Entry::free());
        self.free = slot as u32;
        Ok(())
    }

    /// Takes a message that ends, and has no outcome yet, out of its list, and out of what is counted; it stays
    /// readable until `discard`.
    #[inline(always)]
    pub(crate) fn retire(&mut self, slot: u32) -> &mut Entry {
        self.unlink(slot);
        let entry = &mut self.slots[slot as usize];
        entry.stage = Stage::Done;
        self.bytes -= entry.size();
        self.payload_bytes -= entry.payload_len as usize;
        entry
    }

    /// Takes a message out of its list.
    #[inline(always)]
    fn unlink(&mut self, slot: u32) {
        let Entry { queue, prev, next, .. } = self.slots[slot as usize];
        let list = match queue {
            Queue::Waiting => &mut self.waiting,
            Queue::Flight => &mut self.flight,
        };
        list.len -= 1;
        // NIL is no slot.
        match self.slots.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => list.head = next,
        }
        match self.slots.get_mut(next as usize) {
            Some(behind) => behind.prev = prev,
            None => list.tail = prev,
        }
    }

    /// Moves the first waiting message to the end of the flight.
    pub(crate) fn mark_in_flight(&mut self, slot: u32) {
        self.unlink(slot);
        self.append(Queue::Flight, slot);
    }

    /// Puts back what was lent of a message, if its slot is still there.
    pub(crate) fn put_back(&mut self, Ended { token, slot, body, .. }: Ended) {
        if let Some(entry) = self.slots.get_mut(slot as usize)
            && entry.token == token
        {
            entry.body = body;
        }
    }

    /// [Puts back](Self::put_back), and [discards](Self::discard).
    #[inline]
    pub(crate) fn discard_lent(&mut self, token: u64, slot: u32, body: Box<[u8]>) {
        if let Some(entry) = self.slots.get_mut(slot as usize)
            && entry.token == token
        {
            entry.body = body;
            self.discard(slot);
        }
    }

    /// Frees the slot of a message that was retired.
    #[inline]
    pub(crate) fn discard(&mut self, slot: u32) {
        let entry = &mut self.slots[slot as usize];
        entry.token = 0;
        entry.topic_len = 0;
        entry.properties_len = 0;
        entry.payload_len = 0;
        entry.next = self.free;
        self.free = slot;
        if entry.body.len() > KEEP_BUFFER || self.buffers - self.bytes > KEEP_BYTES {
            self.buffers -= entry.body.len();
            entry.body = Box::default();
        }
    }

    /// What waits is sent as if it had not been sent before.
    pub(crate) fn restart(&mut self) {
        let mut next = self.first_waiting();
        while let Some(slot) = next {
            let entry = self.get_mut(slot);
            entry.restarted = entry.dup;
            next = self.next(slot);
        }
    }

    /// The connection is lost: what was in flight is to be sent first, in its old order.
    pub(crate) fn requeue_in_flight(&mut self) {
        if self.flight.head == NIL {
            return;
        }
        let mut at = self.flight.head;
        while at != NIL {
            let entry = self.get_mut(at);
            entry.queue = Queue::Waiting;
            at = entry.next;
        }
        let swapped = bug(Bug::OrderSwapped) && self.waiting.head != NIL;
        let (flight, waiting) =
            if swapped { (self.waiting, self.flight) } else { (self.flight, self.waiting) };
        if waiting.head == NIL {
            self.waiting = flight;
        } else {
            self.get_mut(flight.tail).next = waiting.head;
            self.get_mut(waiting.head).prev = flight.tail;
            self.waiting = List { head: flight.head, tail: waiting.tail, len: flight.len + waiting.len };
        }
        self.flight = List::EMPTY;
    }

    /// The slots of a list, first to last.
    pub(crate) fn iter(&self, queue: Queue) -> impl Iterator<Item = u32> + '_ {
        let mut at = match queue {
            Queue::Waiting => self.waiting.head,
            Queue::Flight => self.flight.head,
        };
        core::iter::from_fn(move || {
            let slot = (at != NIL).then_some(at)?;
            at = self.get(slot).next;
            Some(slot)
        })
    }

    /// The slot after `slot` in its list.
    pub(crate) fn next(&self, slot: u32) -> Option<u32> {
        let next = self.get(slot).next;
        (next != NIL).then_some(next)
    }

    /// Whether [`shrink`](Self::shrink) has much to give back.
    pub(crate) fn has_spare(&self) -> bool {
        self.slots.capacity() > SPARE && self.len() == 0
    }

    /// Gives memory back that an empty outbox does not need.
    pub(crate) fn shrink(&mut self) {
        if self.len() == 0 {
            self.slots = Vec::new();
            self.index = Untracked(Index::new());
            self.free = NIL;
            self.buffers = 0;
        }
    }

    #[inline(always)]
    fn append(&mut self, queue: Queue, slot: u32) -> &mut Entry {
        let list = match queue {
            Queue::Waiting => &mut self.waiting,
            Queue::Flight => &mut self.flight,
        };
        let tail = core::mem::replace(&mut list.tail, slot);
        list.len += 1;
        match self.slots.get_mut(tail as usize) {
            Some(last) => last.next = slot,
            None => list.head = slot,
        }
        let entry = &mut self.slots[slot as usize];
        entry.queue = queue;
        entry.prev = tail;
        entry.next = NIL;
        entry
    }
}
