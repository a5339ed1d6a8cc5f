//! The fixed header: what the packet is and how long it is.

use core::cmp::Ordering;

use super::{Malformed, PacketType, Version};

/// The largest remaining length: four groups of seven bits (MQTT 3.1.1 §2.2.3).
pub const MAX_REMAINING: u32 = 268_435_455;

/// A parsed fixed header (MQTT 3.1.1 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the packet is.
    pub packet: PacketType,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// How many bytes the header itself takes: 2 to 5.
    pub header_len: u8,
    /// How many bytes follow the header.
    pub remaining: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` if there are not enough bytes yet.
    ///
    /// The first byte is checked as soon as it is there, so a peer that does not speak MQTT is
    /// recognised before it has sent a length.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
        Header::parse_with(bytes, first_byte)
    }

    /// Like [`Header::parse`], with the rules of one version.
    ///
    /// MQTT 3.1 (§2.1) leaves the flags of most packets unused and lets DUP be set on a repeated
    /// PUBREL, SUBSCRIBE or UNSUBSCRIBE, so there they are ignored except for QoS 3. MQTT 5.0 wants the
    /// shortest form of the remaining length \[MQTT-1.5.5-1\].
    #[inline]
    pub fn parse_as(version: Version, bytes: &[u8]) -> Result<Option<Header>, Malformed> {
        match version {
            Version::V31 => Header::parse_with(bytes, first_byte_v31),
            Version::V311 => Header::parse(bytes),
            Version::V5 => match Header::parse(bytes)? {
                Some(header) if header.is_overlong() => Err(Malformed::OverlongInteger),
                header => Ok(header),
            },
        }
    }

    #[inline]
    fn parse_with(
        bytes: &[u8],
        first: fn(u8) -> Result<(PacketType, u8), Malformed>,
    ) -> Result<Option<Header>, Malformed> {
        let Some((&byte, rest)) = bytes.split_first() else { return Ok(None) };
        let (packet, flags) = first(byte)?;
        match rest.first() {
            None => Ok(None),
            // Acknowledgements, pings and most messages: a length of one byte.
            Some(&length) if length < 0x80 => {
                Ok(Some(Header { packet, flags, header_len: 2, remaining: u32::from(length) }))
            }
            Some(_) => Ok(remaining_length(rest)?.map(|(remaining, length)| Header {
                packet,
                flags,
                header_len: 1 + length,
                remaining,
            })),
        }
    }

    /// The size of the whole packet.
    #[inline]
    #[must_use]
    pub fn total(&self) -> usize {
        usize::from(self.header_len) + self.remaining as usize
    }

    /// Whether a packet of this type can have this length, as far as MQTT 3 can tell before the rest has come: so
    /// nobody waits for the rest of an invalid packet.
    pub fn check_length(&self, version: Version) -> Result<(), Malformed> {
        use PacketType::*;
        let length = match self.packet {
            _ if version == Version::V5 => return Ok(()),
            ConnAck | PubAck | PubRec | PubRel | PubComp | UnsubAck => 2,
            PingReq | PingResp | Disconnect => 0,
            _ => return Ok(()),
        };
        match self.remaining.cmp(&length) {
            Ordering::Less => Err(Malformed::Truncated),
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(Malformed::TrailingBytes),
        }
    }

    fn is_overlong(&self) -> bool {
        usize::from(self.header_len) != 1 + var_int_len(self.remaining)
    }
}

/// Packet type and flags of a first byte (MQTT 3.1.1 §2.2.1, §2.2.2).
#[inline]
fn first_byte(byte: u8) -> Result<(PacketType, u8), Malformed> {
    let flags = byte & 0x0f;
    let packet = PacketType::from_number(byte >> 4).ok_or(Malformed::BadPacketType)?;
    if packet == PacketType::Publish {
        if flags & 0b0110 == 0b0110 {
            return Err(Malformed::InvalidQos);
        }
        if flags & 0b1110 == 0b1000 {
            return Err(Malformed::DupOnQos0);
        }
    } else if flags != packet.fixed_flags() {
        return Err(Malformed::ReservedFlags);
    }
    Ok((packet, flags))
}

#[inline]
fn first_byte_v31(byte: u8) -> Result<(PacketType, u8), Malformed> {
    let flags = byte & 0x0f;
    let packet = PacketType::from_number(byte >> 4).ok_or(Malformed::BadPacketType)?;
    if packet == PacketType::Publish && flags & 0b0110 == 0b0110 {
        return Err(Malformed::InvalidQos);
    }
    Ok((packet, flags))
}

/// The remaining length at the start of `bytes` and the number of bytes it takes.
fn remaining_length(bytes: &[u8]) -> Result<Option<(u32, u8)>, Malformed> {
    let mut value = 0;
    let mut taken = 0;
    for &byte in bytes.iter().take(4) {
        value |= u32::from(byte & 0x7f) << (7 * u32::from(taken));
        taken += 1;
        if byte & 0x80 == 0 {
            return Ok(Some((value, taken)));
        }
    }
    // A fourth byte that announces a fifth is always wrong.
    if taken == 4 { Err(Malformed::RemainingLengthTooLong) } else { Ok(None) }
}

/// How many bytes a variable byte integer takes (MQTT 5.0 §1.5.5).
#[inline]
pub(super) const fn var_int_len(value: u32) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}
