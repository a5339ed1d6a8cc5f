//! SUBACK and UNSUBACK.

use alloc::vec::Vec;

use super::encode::{begin, packet_id, properties, put_properties, put_u16};
use super::read::Reader;
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, Version, encode_ack, reason};

/// The answer to SUBSCRIBE (MQTT 3.1.1 §3.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Which SUBSCRIBE it answers.
    pub packet_id: u16,
    /// The properties (MQTT 5.0 §3.9.2.1).
    pub properties: Properties<'a>,
    /// One code for each topic filter, in their order: the granted QoS, or 0x80 and above for a
    /// refusal (MQTT 3.1.1 §3.9.3).
    pub codes: &'a [u8],
}

/// The answer to UNSUBSCRIBE (MQTT 3.1.1 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// Which UNSUBSCRIBE it answers.
    pub packet_id: u16,
    /// The properties (MQTT 5.0 §3.11.2.1).
    pub properties: Properties<'a>,
    /// One code for each topic filter, in their order; empty before MQTT 5.0 (MQTT 5.0 §3.11.3).
    pub codes: &'a [u8],
}

impl<'a> SubAck<'a> {
    /// Decodes the body of a SUBACK.
    ///
    /// 0x80 is accepted in MQTT 3.1 too, which does not define it: servers send it.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<SubAck<'a>, Malformed> {
        let (packet_id, properties, codes) = read(version, PacketType::SubAck, body)?;
        if codes.is_empty() {
            return Err(Malformed::NoAckCodes);
        }
        if !codes.iter().all(|&code| valid_code(version, code)) {
            return Err(match version {
                Version::V5 => Malformed::BadReasonCode,
                _ => Malformed::BadSubackCode,
            });
        }
        Ok(SubAck { packet_id, properties, codes })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.codes.is_empty() || !self.codes.iter().all(|&code| valid_code(version, code)) {
            return Err(EncodeError::BadReasonCode);
        }
        write(version, PacketType::SubAck, self.packet_id, &self.properties, self.codes, out)
    }
}

impl<'a> UnsubAck<'a> {
    /// Decodes the body of an UNSUBACK.
    pub fn decode(version: Version, body: &'a [u8]) -> Result<UnsubAck<'a>, Malformed> {
        let (packet_id, properties, codes) = read(version, PacketType::UnsubAck, body)?;
        if version == Version::V5 {
            if codes.is_empty() {
                return Err(Malformed::NoAckCodes);
            }
            if !codes.iter().all(|&code| reason::valid(PacketType::UnsubAck, code)) {
                return Err(Malformed::BadReasonCode);
            }
        } else if !codes.is_empty() {
            return Err(Malformed::TrailingBytes);
        }
        Ok(UnsubAck { packet_id, properties, codes })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version != Version::V5 {
            let plain = self.codes.is_empty() && self.properties.is_empty();
            return if plain {
                encode_ack(PacketType::UnsubAck, self.packet_id, out)
            } else {
                Err(EncodeError::WrongVersion)
            };
        }
        let valid = |&code: &u8| reason::valid(PacketType::UnsubAck, code);
        if self.codes.is_empty() || !self.codes.iter().all(valid) {
            return Err(EncodeError::BadReasonCode);
        }
        write(version, PacketType::UnsubAck, self.packet_id, &self.properties, self.codes, out)
    }
}

fn valid_code(version: Version, code: u8) -> bool {
    match version {
        Version::V5 => reason::valid(PacketType::SubAck, code),
        _ => matches!(code, 0..=2 | reason::UNSPECIFIED_ERROR),
    }
}

/// Packet identifier, properties, and the codes, which are all the rest.
fn read(
    version: Version,
    packet: PacketType,
    body: &[u8],
) -> Result<(u16, Properties<'_>, &[u8]), Malformed> {
    let mut reader = Reader::new(body);
    let packet_id = reader.packet_id()?;
    let properties = match version {
        Version::V5 => Properties::read(&mut reader, Carrier::Packet(packet))?,
        _ => Properties::EMPTY,
    };
    Ok((packet_id, properties, reader.rest()))
}

fn write(
    version: Version,
    packet: PacketType,
    id: u16,
    block: &Properties<'_>,
    codes: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    packet_id(id)?;
    let size = 2 + properties(version, block, Carrier::Packet(packet))?;
    begin(out, packet, size.saturating_add(codes.len()))?;
    put_u16(out, id);
    put_properties(out, version, block);
    out.extend_from_slice(codes);
    Ok(())
}
