//! UNSUBSCRIBE.

use alloc::vec::Vec;

use super::encode::{begin, packet_id, properties, put_field, put_properties, put_u16};
use super::read::Reader;
use super::subscribe::{check_filter, received_filter};
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, Version};

const CARRIER: Carrier = Carrier::Packet(PacketType::Unsubscribe);

/// A request for no more messages (MQTT 3.1.1 §3.10), decoded. One is sent with
/// [`Unsubscribe::encode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The packet identifier, which UNSUBACK repeats.
    pub packet_id: u16,
    /// The properties (MQTT 5.0 §3.10.2.1).
    pub properties: Properties<'a>,
    filters: UnsubscribeFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    /// Decodes the body of an UNSUBSCRIBE.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<Unsubscribe<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let packet_id = reader.packet_id()?;
        let properties = match version {
            Version::V5 => Properties::read(&mut reader, CARRIER)?,
            _ => Properties::EMPTY,
        };
        if reader.is_empty() {
            return Err(Malformed::EmptySubscribe);
        }
        let filters = UnsubscribeFilters { version, reader };
        while !reader.is_empty() {
            received_filter(version, &mut reader)?;
        }
        Ok(Unsubscribe { packet_id, properties, filters })
    }

    /// The topic filters, in the order of the packet.
    #[must_use]
    pub fn filters(&self) -> UnsubscribeFilters<'a> {
        self.filters
    }

    /// Appends an UNSUBSCRIBE. The filters are iterated twice: to check and add up, and to write.
    pub fn encode<'f>(
        out: &mut Vec<u8>,
        version: Version,
        id: u16,
        block: Properties<'_>,
        filters: impl Iterator<Item = &'f str> + Clone,
    ) -> Result<(), EncodeError> {
        packet_id(id)?;
        let head = 2 + properties(version, &block, CARRIER)?;
        let mut size = head;
        for filter in filters.clone() {
            check_filter(version, filter)?;
            size = size.saturating_add(2 + filter.len());
        }
        if size == head {
            return Err(EncodeError::NoFilters);
        }
        begin(out, PacketType::Unsubscribe, size)?;
        put_u16(out, id);
        put_properties(out, version, &block);
        for filter in filters {
            put_field(out, filter.as_bytes());
        }
        Ok(())
    }
}

/// The topic filters of a decoded UNSUBSCRIBE; see [`Unsubscribe::filters`].
#[derive(Clone, Copy, Debug)]
pub struct UnsubscribeFilters<'a> {
    version: Version,
    reader: Reader<'a>,
}

impl<'a> Iterator for UnsubscribeFilters<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        // Validated when the packet was decoded: the only error left is the end.
        received_filter(self.version, &mut self.reader).ok()
    }
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &UnsubscribeFilters<'_>) -> bool {
        Iterator::eq(*self, *other)
    }
}

impl Eq for UnsubscribeFilters<'_> {}
