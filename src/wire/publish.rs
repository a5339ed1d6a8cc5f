//! PUBLISH: the packet that carries messages.

use alloc::vec::Vec;

use super::encode::{
    begin, packet_id, properties, property_error, put, put_field, put_properties, put_u16, put_var_int,
    remaining_length,
};
use super::header::{Header, var_int_len};
use super::read::Reader;
use super::topic::{self, TopicError};
use super::{
    Carrier, EncodeError, MAX_REMAINING, Malformed, PacketType, Properties, PropertyId, QoS, Version,
};

const CARRIER: Carrier = Carrier::Packet(PacketType::Publish);

// The flags of the fixed header (MQTT 3.1.1 §3.3.1).
const DUP: u8 = 0b1000;
const QOS_SHIFT: u8 = 1;
const RETAIN: u8 = 0b0001;

/// The first remaining length that takes three bytes.
const SHORT: usize = 0x4000;

/// Bytes of a topic alias among the properties.
const ALIAS: usize = 3;

/// An application message (MQTT 3.1.1 §3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publish<'a> {
    /// This is possibly not the first attempt to deliver it (MQTT 3.1.1 §3.3.1.1).
    pub dup: bool,
    /// Its delivery guarantee (MQTT 3.1.1 §3.3.1.2).
    pub qos: QoS,
    /// To the server: keep it for later subscribers; from the server: it was kept (MQTT 3.1.1 §3.3.1.3).
    pub retain: bool,
    /// The topic name (MQTT 3.1.1 §3.3.2.1); empty only with a Topic Alias (MQTT 5.0 §3.3.2.3.4).
    pub topic: &'a str,
    /// The packet identifier (MQTT 3.1.1 §3.3.2.2); 0 and not on the wire for QoS 0.
    pub packet_id: u16,
    /// The properties (MQTT 5.0 §3.3.2.3).
    pub properties: Properties<'a>,
    /// The message itself; it may be empty (MQTT 3.1.1 §3.3.3).
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    /// Decodes the body of a PUBLISH; `flags` are those of its fixed header.
    #[inline]
    pub fn decode(version: Version, flags: u8, body: &'a [u8]) -> Result<Publish<'a>, Malformed> {
        let received = Received::decode(version, flags, body)?;
        Ok(Publish {
            dup: received.dup,
            qos: received.qos,
            retain: received.retain,
            topic: core::str::from_utf8(received.topic).map_err(|_| Malformed::BadUtf8)?,
            packet_id: received.packet_id,
            properties: received.properties,
            payload: received.payload,
        })
    }

    /// Appends the packet.
    ///
    /// The topic is not checked again: whoever accepts a message for sending checks its topic once,
    /// with [`topic::valid_name`].
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let topic = self.topic.as_bytes();
        let mut head = 2 + topic.len();
        if self.qos != QoS::AtMostOnce {
            packet_id(self.packet_id)?;
            head += 2;
        } else if self.dup {
            return Err(EncodeError::DupOnQos0);
        }
        if topic.is_empty() || topic.len() > usize::from(u16::MAX) {
            self.check_odd_topic(version)?;
        }
        if !self.properties.is_empty() {
            head += properties(version, &self.properties, CARRIER)?;
        } else if version == Version::V5 {
            head += 1;
        }
        let remaining = remaining_length(head + self.payload.len())?;
        out.try_reserve(1 + var_int_len(remaining) + head + self.payload.len())
            .map_err(|_| EncodeError::NoMemory)?;

        // First byte, length and the topic's length in one write: the cost is in the number of writes, not
        // in their size.
        let mut start = [0; 7];
        start[0] = first_byte(self.dup, self.qos, self.retain);
        let mut at = 1;
        let mut rest = remaining;
        while rest > 0x7f {
            start[at] = rest as u8 | 0x80;
            rest >>= 7;
            at += 1;
        }
        start[at] = rest as u8;
        start[at + 1] = (topic.len() >> 8) as u8;
        start[at + 2] = topic.len() as u8;
        out.extend_from_slice(&start[..at + 3]);
        out.extend_from_slice(topic);
        if self.qos != QoS::AtMostOnce {
            put_u16(out, self.packet_id);
        }
        put_properties(out, version, &self.properties);
        out.extend_from_slice(self.payload);
        Ok(())
    }

    /// A topic that is empty or too long: right only if it is empty and an alias stands for it.
    #[cold]
    fn check_odd_topic(&self, version: Version) -> Result<(), EncodeError> {
        if !self.topic.is_empty() {
            return Err(EncodeError::StringTooLong);
        }
        if version == Version::V5 && has_alias(&self.properties) {
            Ok(())
        } else {
            Err(EncodeError::BadTopic)
        }
    }
}

#[inline(always)]
fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    (PacketType::Publish as u8) << 4 | u8::from(dup) << 3 | qos.bits() << QOS_SHIFT | u8::from(retain)
}

/// A PUBLISH to be sent; its topic name is given as bytes, which are valid and not checked again.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// See [`Publish::dup`].
    pub dup: bool,
    /// See [`Publish::qos`].
    pub qos: QoS,
    /// See [`Publish::retain`].
    pub retain: bool,
    /// A valid topic name in UTF-8.
    pub topic: &'a [u8],
    /// See [`Publish::packet_id`].
    pub packet_id: u16,
    /// See [`Publish::properties`].
    pub properties: Properties<'a>,
    /// See [`Publish::payload`].
    pub payload: &'a [u8],
}

impl Outgoing<'_> {
    /// The size of the packet, if [`write_plain`](Outgoing::write_plain) can write it.
    ///
    /// It can write every valid packet without properties whose length takes one or two bytes, and so nearly every
    /// message.
    #[inline(always)]
    #[must_use]
    pub fn plain_len(&self, version: Version) -> Option<usize> {
        let right = !self.topic.is_empty() && self.is_numbered() && self.properties.is_empty();
        if !right || self.topic.len() >= SHORT || self.payload.len() >= SHORT {
            return None;
        }
        short_len(self.plain_remaining(version))
    }

    /// The size of the packet without its topic, for which an alias stands that the server knows, if
    /// [`write_alias`](Outgoing::write_alias) can write it: as [`plain_len`](Self::plain_len) does, which is not `None`.
    #[inline(always)]
    #[must_use]
    pub fn alias_len(&self) -> Option<usize> {
        short_len(self.alias_remaining())
    }

    /// Whether it has a packet id if it needs one; and is no repetition if it cannot be one.
    #[inline(always)]
    fn is_numbered(&self) -> bool {
        if self.qos != QoS::AtMostOnce { self.packet_id != 0 } else { !self.dup }
    }

    /// The size of the packet, whatever it is, if there can be such a packet and its properties are right.
    pub fn packet_len(&self, version: Version) -> Result<usize, EncodeError> {
        properties(version, &self.properties, CARRIER)?;
        let properties = self.properties.encoded_len();
        publish_len(version, self.topic.len(), self.qos, properties, self.payload.len())
            .ok_or(EncodeError::TooLarge)
    }

    /// In MQTT 5.0 the length of the properties, which is 0, takes a byte.
    #[inline(always)]
    fn plain_remaining(&self, version: Version) -> usize {
        self.topic.len() + usize::from(version == Version::V5) + self.remaining_around()
    }

    #[inline(always)]
    fn alias_remaining(&self) -> usize {
        1 + ALIAS + self.remaining_around()
    }

    /// The topic's length, the packet id and the payload.
    #[inline(always)]
    fn remaining_around(&self) -> usize {
        2 + if self.qos == QoS::AtMostOnce { 0 } else { 2 } + self.payload.len()
    }

    /// Writes the packet into `room`, whose length is [`plain_len`](Outgoing::plain_len).
    ///
    /// Always inlined: with fields that are constant at the call, the conditions fold away.
    #[inline(always)]
    pub fn write_plain(&self, version: Version, room: &mut [u8]) {
        let room = self.write_front(self.write_head(self.plain_remaining(version), self.topic, room));
        put_no_properties(version, room).copy_from_slice(self.payload);
    }

    /// [`write_plain`](Outgoing::write_plain), copying a tail that [`write_tail`](Outgoing::write_tail) wrote
    /// before.
    #[inline(always)]
    pub fn write_plain_with(&self, version: Version, tail: &[u8], room: &mut [u8]) {
        let room = self.write_head(self.plain_remaining(version), self.topic, room);
        let (front, payload) = tail.split_at(tail.len() - self.payload.len());
        put_no_properties(version, put(room, front)).copy_from_slice(payload);
    }

    /// Writes the packet into `room`, whose length is [`alias_len`](Outgoing::alias_len).
    #[inline(always)]
    pub fn write_alias(&self, alias: u16, room: &mut [u8]) {
        let room = self.write_head(self.alias_remaining(), &[], room);
        let [high, low] = alias.to_be_bytes();
        let room = put(self.write_packet_id(room), &[ALIAS as u8, PropertyId::TopicAlias as u8, high, low]);
        room.copy_from_slice(self.payload);
    }

    /// Writes the first byte and both lengths; returns what is left.
    #[inline(always)]
    fn write_head<'r>(&self, remaining: usize, topic: &[u8], room: &'r mut [u8]) -> &'r mut [u8] {
        let [high, low] = (topic.len() as u16).to_be_bytes();
        let first = first_byte(self.dup, self.qos, self.retain);
        if remaining < 0x80 {
            put(room, &[first, remaining as u8, high, low])
        } else {
            put(room, &[first, remaining as u8 | 0x80, (remaining >> 7) as u8, high, low])
        }
    }

    /// Writes what follows the length of the topic into `room`, which has exactly that length: the topic, the packet
    /// id, the properties without their length (MQTT 5.0 only), and the payload.
    #[inline(always)]
    pub fn write_tail(&self, room: &mut [u8]) {
        self.properties.write(self.write_front(room)).copy_from_slice(self.payload);
    }

    /// Writes the topic and the packet id, and returns what is left.
    #[inline(always)]
    fn write_front<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        self.write_packet_id(put_topic(room, self.topic))
    }

    #[inline(always)]
    fn write_packet_id<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] {
        match self.qos {
            QoS::AtMostOnce => room,
            _ => put(room, &self.packet_id.to_be_bytes()),
        }
    }

    /// Appends the packet, whatever its size and version.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let &Outgoing { dup, qos, retain, topic, packet_id, properties, payload } = self;
        let topic = core::str::from_utf8(topic).map_err(|_| EncodeError::BadTopic)?;
        Publish { dup, qos, retain, topic, packet_id, properties, payload }.encode(version, out)
    }
}

impl Outgoing<'_> {
    /// Appends the packet for MQTT 5.0 with a topic alias; without the topic, if the server knows what the alias
    /// stands for. The properties have none.
    pub fn encode_aliased(&self, alias: u16, known: bool, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let alias = [PropertyId::TopicAlias as u8, (alias >> 8) as u8, alias as u8];
        let topic = if known { &[] } else { self.topic };
        self.properties.check(CARRIER).map_err(property_error)?;
        let block = remaining_length(alias.len() + self.properties.encoded_len())?;
        let mut head = 2 + topic.len() + var_int_len(block) + block as usize;
        if self.qos != QoS::AtMostOnce {
            packet_id(self.packet_id)?;
            head += 2;
        }
        begin(out, PacketType::Publish, head.saturating_add(self.payload.len()))?;
        // The first byte is the one before the length.
        let at = out.len() - 1 - var_int_len(remaining_length(head + self.payload.len())?);
        out[at] = first_byte(self.dup, self.qos, self.retain);
        put_field(out, topic);
        if self.qos != QoS::AtMostOnce {
            put_u16(out, self.packet_id);
        }
        put_var_int(out, block);
        out.extend_from_slice(&alias);
        self.properties.put(out);
        out.extend_from_slice(self.payload);
        Ok(())
    }
}

/// The size of a packet whose remaining length takes one or two bytes.
#[inline(always)]
fn short_len(remaining: usize) -> Option<usize> {
    match remaining {
        n if n < 0x80 => Some(2 + n),
        n if n < SHORT => Some(3 + n),
        _ => None,
    }
}

/// The length of no properties, which MQTT 3.x does not have.
#[inline(always)]
fn put_no_properties(version: Version, room: &mut [u8]) -> &mut [u8] {
    if version == Version::V5 { put(room, &[0]) } else { room }
}

/// [`put`] for a topic. Most topics are short, and copying two words that may overlap is less work than a
/// function call.
#[inline(always)]
fn put_topic<'r>(room: &'r mut [u8], topic: &[u8]) -> &'r mut [u8] {
    let (place, rest) = room.split_at_mut(topic.len());
    match (topic.len(), topic.first_chunk::<8>(), topic.last_chunk::<8>()) {
        (8..=16, Some(first), Some(last)) => {
            place[..8].copy_from_slice(first);
            place[topic.len() - 8..].copy_from_slice(last);
        }
        _ => place.copy_from_slice(topic),
    }
    rest
}

impl<'a> From<&Publish<'a>> for Outgoing<'a> {
    fn from(publish: &Publish<'a>) -> Outgoing<'a> {
        let &Publish { dup, qos, retain, topic, packet_id, properties, payload } = publish;
        Outgoing { dup, qos, retain, topic: topic.as_bytes(), packet_id, properties, payload }
    }
}

/// A received PUBLISH; its topic name is given as bytes, which are valid UTF-8, but not checked a second time to
/// make a `str`.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// See [`Publish::dup`].
    pub dup: bool,
    /// See [`Publish::qos`].
    pub qos: QoS,
    /// See [`Publish::retain`].
    pub retain: bool,
    /// A valid topic name in UTF-8; empty only with a Topic Alias.
    pub topic: &'a [u8],
    /// See [`Publish::packet_id`].
    pub packet_id: u16,
    /// See [`Publish::properties`].
    pub properties: Properties<'a>,
    /// See [`Publish::payload`].
    pub payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// Decodes the body of a PUBLISH; `flags` are those of its fixed header.
    #[inline]
    pub fn decode(version: Version, flags: u8, body: &'a [u8]) -> Result<Received<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let topic = topic::name_bytes(reader.binary()?).map_err(TopicError::in_name)?;
        let qos = QoS::from_bits(flags >> QOS_SHIFT & 0b11)?;
        let packet_id = match qos {
            QoS::AtMostOnce => 0,
            _ => reader.packet_id()?,
        };
        let properties = match version {
            Version::V5 => Properties::read(&mut reader, CARRIER)?,
            _ => Properties::EMPTY,
        };
        // The properties of the older versions are empty, so this asks for the version as well.
        if topic.is_empty() && !has_alias(&properties) {
            return Err(Malformed::EmptyTopic);
        }
        Ok(Received {
            dup: flags & DUP != 0,
            qos,
            retain: flags & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
        })
    }
}

/// A PUBLISH of the plainest kind: less than 16 KiB, an ASCII topic, and no properties but a topic alias instead of that.
/// Nearly every message is one, and recognising it takes a fraction of what [`Header`] and [`Received::decode`] need,
/// which handle everything. Whatever is found here, they find as well; if nothing is found, the packet may still be valid.
#[derive(Clone, Copy, Debug)]
pub struct PlainPublish<'a> {
    /// Its fields, without the topic alias.
    pub publish: Received<'a>,
    /// The [hash](topic::hash) of its topic; `None` if the topic is the known one, or empty.
    pub topic_hash: Option<u64>,
    /// The topic alias that stands for its topic, which is empty then; 0 for none.
    pub alias: u16,
}

impl<'a> PlainPublish<'a> {
    /// The lengths of the packet at the start of `bytes` and of its fixed header, if it may be a plain one
    /// and is complete; `FIVE` in MQTT 5.0, where a length takes no more bytes than it must.
    #[inline(always)]
    pub fn find<const FIVE: bool>(bytes: &[u8]) -> Option<(usize, usize)> {
        let least = u8::from(FIVE);
        let (head, body) = match *bytes {
            [_, length, ..] if length < 0x80 => (2, usize::from(length)),
            [_, low, high, ..] if high < 0x80 && high >= least => {
                (3, usize::from(low & 0x7f) | usize::from(high) << 7)
            }
            _ => return None,
        };
        let whole = head + body <= bytes.len() && bytes[0] >> 4 == PacketType::Publish as u8;
        whole.then_some((head + body, head))
    }

    /// Decodes the packet with a fixed header of `head` bytes; `FIVE` in MQTT 5.0. `known` is the topic of an earlier
    /// packet, or empty: the same topic need not be checked again.
    ///
    /// Always inlined: the caller takes the result apart at once, so little of it need be stored in memory.
    #[inline(always)]
    pub fn decode<const FIVE: bool>(packet: &'a [u8], head: usize, known: &[u8]) -> Option<PlainPublish<'a>> {
        const QOS: u8 = 0b11 << QOS_SHIFT;
        const ALIAS_PROPERTY: u8 = PropertyId::TopicAlias as u8;
        let first = *packet.first()?;
        let (length, rest) = packet.get(head..)?.split_first_chunk()?;
        let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (dup, retain) = (first & DUP != 0, first & RETAIN != 0);
        let (qos, packet_id, rest) = if first & QOS == 0 {
            if dup {
                return None;
            }
            (QoS::AtMostOnce, 0, rest)
        } else {
            let (id, rest) = rest.split_first_chunk()?;
            let packet_id = u16::from_be_bytes(*id);
            if packet_id == 0 {
                return None;
            }
            (QoS::from_bits(first >> QOS_SHIFT & 0b11).ok()?, packet_id, rest)
        };
        let (alias, payload) = match rest {
            _ if !FIVE => (0, rest),
            [0, payload @ ..] => (0, payload),
            // A topic and an alias, which is set by it, are nothing plain.
            [3, ALIAS_PROPERTY, high, low, payload @ ..] if topic.is_empty() => {
                (u16::from_be_bytes([*high, *low]), payload)
            }
            _ => return None,
        };
        if topic.is_empty() && alias == 0 {
            return None;
        }
        let topic_hash =
            if topic == known || FIVE && alias != 0 { None } else { Some(topic::plain_hash(topic)?) };
        let publish = Received { dup, qos, retain, topic, packet_id, properties: Properties::EMPTY, payload };
        Some(PlainPublish { publish, topic_hash, alias })
    }
}

#[cold]
fn has_alias(properties: &Properties<'_>) -> bool {
    properties.get(PropertyId::TopicAlias).is_some()
}

/// The beginning of a PUBLISH that is too large to be received, up to its payload: enough to report
/// and to acknowledge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishHead<'a> {
    /// It may have been sent before.
    pub dup: bool,
    /// Its quality of service.
    pub qos: QoS,
    /// The topic name; empty only with a Topic Alias.
    pub topic: &'a str,
    /// The packet identifier; 0 for QoS 0.
    pub packet_id: u16,
    /// The properties (MQTT 5.0 §3.3.2.3).
    pub properties: Properties<'a>,
    /// How many bytes this takes, from the first one of the packet on.
    pub len: usize,
}

impl<'a> PublishHead<'a> {
    /// Nobody need collect more than this of a packet that is too large: with a longer topic and properties it is not
    /// worth that.
    pub const MOST: usize = 0x2_0000;

    /// Decodes the beginning of a packet with this `header`; `None` if `bytes` does not hold enough of it.
    /// At most 65,544 bytes are needed, and in MQTT 5.0 the properties.
    pub fn decode(
        version: Version,
        header: &Header,
        bytes: &'a [u8],
    ) -> Result<Option<PublishHead<'a>>, Malformed> {
        let start = usize::from(header.header_len);
        let Some(&[high, low]) = bytes.get(start..start + 2) else { return Ok(None) };
        let qos = QoS::from_bits(header.flags >> QOS_SHIFT & 0b11)?;
        let id_len = if qos == QoS::AtMostOnce { 0 } else { 2 };
        let body = 2 + usize::from(u16::from_be_bytes([high, low])) + id_len;
        if body > header.total() - start {
            return Err(Malformed::Truncated);
        }
        let Some(head) = bytes.get(start..start + body) else { return Ok(None) };
        let mut reader = Reader::new(head);
        let topic = topic::name(reader.binary()?).map_err(TopicError::in_name)?;
        let packet_id = if id_len == 0 { 0 } else { reader.packet_id()? };
        let dup = header.flags & DUP != 0;
        let mut len = start + body;
        let mut properties = Properties::EMPTY;
        if version == Version::V5 {
            let available = bytes.len().min(header.total());
            match PublishHead::properties(&bytes[len..available], available == header.total())? {
                Some((block, taken)) => (properties, len) = (block, len + taken),
                None => return Ok(None),
            }
        }
        if topic.is_empty() && !has_alias(&properties) {
            return Err(Malformed::EmptyTopic);
        }
        Ok(Some(PublishHead { dup, qos, topic, packet_id, properties, len }))
    }

    /// The properties at the start of `bytes` and how many bytes they take; `None` if those are not enough, and not `all`
    /// that there is of the packet.
    fn properties(bytes: &'a [u8], all: bool) -> Result<Option<(Properties<'a>, usize)>, Malformed> {
        let mut reader = Reader::new(bytes);
        let block = reader.var_int().and_then(|length| reader.bytes(length as usize));
        match block {
            Ok(block) => {
                let taken = bytes.len() - reader.rest().len();
                Ok(Some((Properties::from_raw(block, CARRIER)?, taken)))
            }
            Err(Malformed::Truncated) if !all => Ok(None),
            Err(malformed) => Err(malformed),
        }
    }
}

/// The size of a whole PUBLISH, or `None` if there cannot be such a packet: its topic is longer
/// than 65535 bytes, or the packet than 268435460 (MQTT 3.1.1 §2.2.3).
///
/// `properties_len` is [`Properties::encoded_len`]; it counts in MQTT 5.0 only.
#[inline]
#[must_use]
pub const fn publish_len(
    version: Version,
    topic_len: usize,
    qos: QoS,
    properties_len: usize,
    payload_len: usize,
) -> Option<usize> {
    const MAX: usize = MAX_REMAINING as usize;
    // Each part is at most the maximum, so their sum cannot overflow.
    if topic_len > u16::MAX as usize || properties_len > MAX || payload_len > MAX {
        return None;
    }
    let packet_id = if matches!(qos, QoS::AtMostOnce) { 0 } else { 2 };
    let properties = match version {
        Version::V5 => var_int_len(properties_len as u32) + properties_len,
        _ => 0,
    };
    let remaining = 2 + topic_len + packet_id + properties + payload_len;
    if remaining > MAX { None } else { Some(1 + var_int_len(remaining as u32) + remaining) }
}
