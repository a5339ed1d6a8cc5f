//! PUBACK, PUBREC, PUBREL and PUBCOMP: four packets of one shape.

use alloc::vec::Vec;

use super::encode::{append, begin, packet_id, properties, put_properties, put_u16};
use super::read::Reader;
use super::{Carrier, EncodeError, Malformed, PacketType, Properties, Version, reason};

/// The size of an acknowledgement with nothing but the packet identifier.
pub const PLAIN_ACK: usize = 4;

/// The answer to a PUBLISH, or a step of a QoS 2 delivery (MQTT 3.1.1 §3.4 to §3.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which PUBLISH it is about.
    pub packet_id: u16,
    /// The reason code; 0 before MQTT 5.0 (MQTT 5.0 §3.4.2.1).
    pub reason: u8,
    /// The properties (MQTT 5.0 §3.4.2.2).
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// The packet id of the acknowledgement at the start of `bytes`, if that is complete, of this type, and
    /// contains nothing else: then it takes [`PLAIN_ACK`] bytes. As with [`PlainPublish`](super::PlainPublish),
    /// `None` does not mean that anything is wrong.
    #[inline]
    pub fn plain(packet: PacketType, bytes: &[u8]) -> Option<u16> {
        match *bytes {
            [first, 2, high, low, ..] if first == packet.first_byte() => {
                Some(u16::from_be_bytes([high, low])).filter(|id| *id != 0)
            }
            _ => None,
        }
    }

    /// Success, without properties.
    #[must_use]
    pub const fn new(packet_id: u16) -> Ack<'a> {
        Ack { packet_id, reason: reason::SUCCESS, properties: Properties::EMPTY }
    }

    /// Decodes the body of a PUBACK, PUBREC, PUBREL or PUBCOMP.
    #[inline]
    pub fn decode(version: Version, packet: PacketType, body: &'a [u8]) -> Result<Ack<'a>, Malformed> {
        // In every version, success without properties is the two bytes of the packet identifier.
        if let [high, low] = *body {
            return match u16::from_be_bytes([high, low]) {
                0 => Err(Malformed::ZeroPacketId),
                packet_id => Ok(Ack::new(packet_id)),
            };
        }
        Ack::decode_long(version, packet, body)
    }

    fn decode_long(version: Version, packet: PacketType, body: &'a [u8]) -> Result<Ack<'a>, Malformed> {
        let mut reader = Reader::new(body);
        let mut ack = Ack::new(reader.packet_id()?);
        if version == Version::V5 {
            ack.reason = reader.u8()?;
            if !reason::valid(packet, ack.reason) {
                return Err(Malformed::BadReasonCode);
            }
            // The property length may be left out (MQTT 5.0 §3.4.2.2.1).
            if !reader.is_empty() {
                ack.properties = Properties::read(&mut reader, Carrier::Packet(packet))?;
            }
        }
        reader.end()?;
        Ok(ack)
    }

    /// Appends the acknowledgement as a packet of the given type.
    pub fn encode(&self, packet: PacketType, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.reason == reason::SUCCESS && self.properties.is_empty() {
            return match packet {
                PacketType::UnsubAck => Err(EncodeError::BadPacketType),
                _ => encode_ack(packet, self.packet_id, out),
            };
        }
        if version != Version::V5 {
            return Err(EncodeError::WrongVersion);
        }
        match packet {
            PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp => {}
            _ => return Err(EncodeError::BadPacketType),
        }
        packet_id(self.packet_id)?;
        if !reason::valid(packet, self.reason) {
            return Err(EncodeError::BadReasonCode);
        }
        if self.properties.is_empty() {
            begin(out, packet, 3)?;
            put_u16(out, self.packet_id);
            out.push(self.reason);
        } else {
            begin(out, packet, 3 + properties(version, &self.properties, Carrier::Packet(packet))?)?;
            put_u16(out, self.packet_id);
            out.push(self.reason);
            put_properties(out, version, &self.properties);
        }
        Ok(())
    }
}

/// Appends the four bytes of an acknowledgement with nothing but the packet identifier: PUBACK,
/// PUBREC, PUBREL and PUBCOMP in every version (MQTT 3.1.1 §3.4 to §3.7), UNSUBACK before MQTT 5.0
/// (MQTT 3.1.1 §3.11).
#[inline]
pub fn encode_ack(packet: PacketType, id: u16, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    append(out, &ack(packet, id)?)
}

/// The packet that [`encode_ack`] appends.
#[inline]
pub fn ack(packet: PacketType, id: u16) -> Result<[u8; 4], EncodeError> {
    match packet {
        PacketType::PubAck
        | PacketType::PubRec
        | PacketType::PubRel
        | PacketType::PubComp
        | PacketType::UnsubAck => {}
        _ => return Err(EncodeError::BadPacketType),
    }
    packet_id(id)?;
    let [high, low] = id.to_be_bytes();
    Ok([packet.first_byte(), 2, high, low])
}
