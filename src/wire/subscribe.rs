//! SUBSCRIBE.

use alloc::vec::Vec;

use super::encode::{begin, packet_id, properties, put_field, put_properties, put_u16};
use super::read::Reader;
use super::topic::{self, TopicError};
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, QoS, Version};

const CARRIER: Carrier = Carrier::Packet(PacketType::Subscribe);

/// A request for messages (MQTT 3.1.1 §3.8), decoded. One is sent with [`Subscribe::encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The packet identifier, which SUBACK repeats.
    pub packet_id: u16,
    /// The properties (MQTT 5.0 §3.8.2.1).
    pub properties: Properties<'a>,
    filters: SubscribeFilters<'a>,
}

/// What one topic filter of a SUBSCRIBE asks for (MQTT 5.0 §3.8.3.1). Before MQTT 5.0 only the QoS
/// is on the wire; the default of the other options is what those versions do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest QoS at which the server may send messages (MQTT 3.1.1 §3.8.3).
    pub qos: QoS,
    /// Do not send back what this client published itself.
    pub no_local: bool,
    /// Forward messages with the RETAIN flag they were published with.
    pub retain_as_published: bool,
    /// Which retained messages to send for the subscription.
    pub retain_handling: RetainHandling,
}

/// Whether retained messages are sent when a subscription is made (MQTT 5.0 §3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RetainHandling {
    /// At each SUBSCRIBE, as before MQTT 5.0.
    #[default]
    Send = 0,
    /// Only if the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

const NO_LOCAL: u8 = 0b0000_0100;
const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;

impl From<QoS> for SubscribeOptions {
    fn from(qos: QoS) -> SubscribeOptions {
        SubscribeOptions { qos, ..SubscribeOptions::default() }
    }
}

impl SubscribeOptions {
    /// The options as a byte of the packet.
    const fn bits(self) -> u8 {
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let as_published = if self.retain_as_published { RETAIN_AS_PUBLISHED } else { 0 };
        self.qos.bits() | no_local | as_published | (self.retain_handling as u8) << 4
    }

    /// The options of a byte, as MQTT 5.0 has it on the wire.
    #[must_use]
    pub fn from_byte(bits: u8) -> Option<SubscribeOptions> {
        SubscribeOptions::from_bits(Version::V5, bits).ok()
    }

    fn from_bits(version: Version, bits: u8) -> Result<SubscribeOptions, Malformed> {
        let reserved = if version == Version::V5 { 0b1100_0000 } else { 0b1111_1100 };
        if bits & reserved != 0 {
            return Err(Malformed::BadSubscribeOptions);
        }
        Ok(SubscribeOptions {
            qos: QoS::from_bits(bits & 0b11)?,
            no_local: bits & NO_LOCAL != 0,
            retain_as_published: bits & RETAIN_AS_PUBLISHED != 0,
            retain_handling: match bits >> 4 {
                0 => RetainHandling::Send,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(Malformed::BadSubscribeOptions),
            },
        })
    }
}

impl<'a> Subscribe<'a> {
    /// Decodes the body of a SUBSCRIBE.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<Subscribe<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::read(&mut reader, CARRIER)?,
            _ => Properties::EMPTY,
        };
        if reader.is_empty() {
            return Err(Malformed::EmptySubscribe);
        }
        let filters = SubscribeFilters { version, reader };
        while !reader.is_empty() {
            read_filter(version, &mut reader)?;
        }
        Ok(Subscribe { packet_id, properties, filters })
    }

    /// The topic filters and their options, in the order of the packet.
    #[must_use]
    pub fn filters(&self) -> SubscribeFilters<'a> {
        self.filters
    }

    /// Appends a SUBSCRIBE. The filters are iterated twice: to check and add up, and to write.
    pub fn encode<'f>(
        out: &mut Vec<u8>,
        version: Version,
        id: u16,
        block: Properties<'_>,
        filters: impl Iterator<Item = (&'f str, SubscribeOptions)> + Clone,
    ) -> Result<(), EncodeError> {
        packet_id(id)?;
        let head = 2 + properties(version, &block, CARRIER)?;
        let mut size = head;
        for (filter, options) in filters.clone() {
            check(version, filter, options)?;
            size = size.saturating_add(2 + filter.len() + 1);
        }
        if size == head {
            return Err(EncodeError::NoFilters);
        }
        begin(out, PacketType::Subscribe, size)?;
        put_u16(out, id);
        put_properties(out, version, &block);
        for (filter, options) in filters {
            put_field(out, filter.as_bytes());
            out.push(options.bits());
        }
        Ok(())
    }
}

/// The topic filters of a decoded SUBSCRIBE; see [`Subscribe::filters`].
#[derive(Clone, Copy, Debug)]
pub struct SubscribeFilters<'a> {
    version: Version,
    reader: Reader<'a>,
}

impl<'a> Iterator for SubscribeFilters<'a> {
    type Item = (&'a str, SubscribeOptions);

    fn next(&mut self) -> Option<Self::Item> {
        // Validated when the packet was decoded: the only error left is the end.
        read_filter(self.version, &mut self.reader).ok()
    }
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &SubscribeFilters<'_>) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl Eq for SubscribeFilters<'_> {}

fn read_filter<'a>(
    version: Version,
    reader: &mut Reader<'a>,
) -> Result<(&'a str, SubscribeOptions), Malformed> {
    let filter = received_filter(version, reader)?;
    let options = SubscribeOptions::from_bits(version, reader.u8()?)?;
    // [MQTT-3.8.3-4] of MQTT 5.0.
    if options.no_local && topic::share(filter).is_some() {
        return Err(Malformed::NoLocalOnShare);
    }
    Ok((filter, options))
}

fn check(version: Version, filter: &str, options: SubscribeOptions) -> Result<(), EncodeError> {
    check_filter(version, filter)?;
    if version != Version::V5 && options != SubscribeOptions::from(options.qos) {
        return Err(EncodeError::WrongVersion);
    }
    if options.no_local && topic::share(filter).is_some() {
        return Err(EncodeError::BadTopic);
    }
    Ok(())
}

/// The next topic filter of a received SUBSCRIBE or UNSUBSCRIBE.
pub(super) fn received_filter<'a>(version: Version, reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    let filter = reader.string()?;
    topic::valid_filter(filter).map_err(TopicError::in_filter)?;
    if version == Version::V5 && topic::is_bad_share(filter) {
        return Err(Malformed::BadShare);
    }
    Ok(filter)
}

/// The same rules for a topic filter to be sent.
pub(super) fn check_filter(version: Version, filter: &str) -> Result<(), EncodeError> {
    topic::valid_filter(filter).map_err(TopicError::in_packet)?;
    if version == Version::V5 && topic::is_bad_share(filter) {
        return Err(EncodeError::BadTopic);
    }
    Ok(())
}
