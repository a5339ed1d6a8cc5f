//! What all encoders share: their errors, the reservation, and the writing of fields.
//!
//! Every encoder works in two steps. First it checks its fields and adds up the size; whatever is
//! wrong is found here, before anything is written. Then [`begin`] reserves the room and writes the
//! fixed header, and the `put_*` functions fill the room: none of them ever makes the vector grow.

use alloc::vec::Vec;
use core::fmt;

use super::header::{MAX_REMAINING, var_int_len};
use super::{Malformed, PacketType, Properties, Version};

macro_rules! encode_errors {
    ($($variant:ident, $text:literal;)*) => {
        /// Why a packet was not encoded. The output is unchanged.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EncodeError {
            $(#[doc = concat!($text, ".")] $variant,)*
        }

        impl EncodeError {
            /// A sentence about it.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(EncodeError::$variant => $text,)* }
            }
        }
    };
}

encode_errors! {
    TooLarge, "the packet would be larger than 268435460 bytes";
    NoMemory, "there is no memory for the packet";
    WrongVersion, "this version of MQTT has no place for the packet or one of its fields";
    StringTooLong, "a string or binary field is longer than 65535 bytes";
    BadString, "a string contains U+0000";
    BadTopic, "a topic name or filter is empty or has a misplaced wildcard";
    ZeroPacketId, "a packet identifier of 0 is not allowed";
    DupOnQos0, "a QoS 0 message cannot be a duplicate";
    PasswordWithoutUserName, "before MQTT 5.0 a password needs a user name";
    SessionPresentWithError, "a refused connection has no session present";
    NoFilters, "a SUBSCRIBE or UNSUBSCRIBE needs a topic filter";
    BadReasonCode, "the packet cannot carry this return or reason code, or needs at least one";
    BadProperty, "the packet cannot carry this property, or not with this value, or not twice";
    BadPacketType, "this function does not encode packets of this type";
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for EncodeError {}

/// Appends a packet that is a fixed header and nothing else: PINGREQ and PINGRESP
/// (MQTT 3.1.1 §3.12, §3.13) and a DISCONNECT without reason (§3.14).
#[inline]
pub fn encode_empty(packet: PacketType, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        PacketType::PingReq | PacketType::PingResp | PacketType::Disconnect => {
            append(out, &[packet.first_byte(), 0])
        }
        _ => Err(EncodeError::BadPacketType),
    }
}

/// Appends a packet that is ready, or nothing.
#[inline]
pub(super) fn append(out: &mut Vec<u8>, packet: &[u8]) -> Result<(), EncodeError> {
    out.try_reserve(packet.len()).map_err(|_| EncodeError::NoMemory)?;
    out.extend_from_slice(packet);
    Ok(())
}

/// Reserves room for a whole packet and writes its fixed header.
pub(super) fn begin(out: &mut Vec<u8>, packet: PacketType, remaining: usize) -> Result<(), EncodeError> {
    let length = remaining_length(remaining)?;
    out.try_reserve(1 + var_int_len(length) + remaining).map_err(|_| EncodeError::NoMemory)?;
    out.push(packet.first_byte());
    put_var_int(out, length);
    Ok(())
}

/// `remaining`, if the fixed header can express it (MQTT 3.1.1 §2.2.3).
#[inline]
pub(super) fn remaining_length(remaining: usize) -> Result<u32, EncodeError> {
    match u32::try_from(remaining) {
        Ok(length) if length <= MAX_REMAINING => Ok(length),
        _ => Err(EncodeError::TooLarge),
    }
}

/// Copies `bytes` to the front of `room`, which is at least as long, and returns the rest of it.
#[inline]
pub(super) fn put<'r>(room: &'r mut [u8], bytes: &[u8]) -> &'r mut [u8] {
    let (front, rest) = room.split_at_mut(bytes.len());
    front.copy_from_slice(bytes);
    rest
}

#[inline]
pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// A variable byte integer (MQTT 5.0 §1.5.5; the remaining length of MQTT 3.1.1 §2.2.3).
#[inline]
pub(super) fn put_var_int(out: &mut Vec<u8>, value: u32) {
    let (bytes, len) = var_int(value);
    out.extend_from_slice(&bytes[..len]);
}

/// The bytes of a variable byte integer, and how many of them there are.
#[inline]
pub(super) fn var_int(mut value: u32) -> ([u8; 5], usize) {
    let mut bytes = [0; 5];
    let mut at = 0;
    while value > 0x7f {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    (bytes, at + 1)
}

/// A string or binary data behind its two byte length; [`field`] or [`string`] has checked it.
#[inline]
pub(super) fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u16(out, bytes.len() as u16);
    out.extend_from_slice(bytes);
}

/// The size on the wire of binary data with a two byte length.
#[inline]
pub(super) fn field(bytes: &[u8]) -> Result<usize, EncodeError> {
    if bytes.len() > usize::from(u16::MAX) { Err(EncodeError::StringTooLong) } else { Ok(2 + bytes.len()) }
}

/// The size on the wire of a string.
pub(super) fn string(text: &str) -> Result<usize, EncodeError> {
    if text.as_bytes().contains(&0) { Err(EncodeError::BadString) } else { field(text.as_bytes()) }
}

/// A packet identifier, which is never 0 (MQTT 3.1.1 §2.3.1).
#[inline]
pub(super) fn packet_id(id: u16) -> Result<(), EncodeError> {
    if id == 0 { Err(EncodeError::ZeroPacketId) } else { Ok(()) }
}

/// The size of a property block with its length, checked for its `carrier`. MQTT 3 has no such
/// block: properties, which would be lost silently, are refused there.
pub(super) fn properties(
    version: Version,
    properties: &Properties<'_>,
    carrier: super::Carrier,
) -> Result<usize, EncodeError> {
    match version {
        Version::V5 => {
            properties.check(carrier).map_err(property_error)?;
            let length = remaining_length(properties.encoded_len())?;
            Ok(var_int_len(length) + length as usize)
        }
        _ if properties.is_empty() => Ok(0),
        _ => Err(EncodeError::WrongVersion),
    }
}

/// Writes what [`properties`] measured.
#[inline]
pub(super) fn put_properties(out: &mut Vec<u8>, version: Version, properties: &Properties<'_>) {
    if version == Version::V5 {
        put_var_int(out, properties.encoded_len() as u32);
        properties.put(out);
    }
}

pub(super) fn property_error(error: Malformed) -> EncodeError {
    match error {
        Malformed::NulInString => EncodeError::BadString,
        Malformed::Truncated => EncodeError::StringTooLong,
        _ => EncodeError::BadProperty,
    }
}
