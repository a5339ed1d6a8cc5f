//! Reason codes of MQTT 5.0 and which packet may carry which (MQTT 5.0 §2.4).

use super::PacketType;

/// Success, Normal disconnection, or Granted QoS 0.
pub const SUCCESS: u8 = 0x00;
/// Disconnect with Will Message.
pub const DISCONNECT_WITH_WILL: u8 = 0x04;
/// No matching subscribers.
pub const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
/// No subscription existed.
pub const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
/// Continue authentication.
pub const CONTINUE_AUTHENTICATION: u8 = 0x18;
/// Re-authenticate.
pub const RE_AUTHENTICATE: u8 = 0x19;
/// Unspecified error; the one failure that SUBACK of MQTT 3.1.1 has.
pub const UNSPECIFIED_ERROR: u8 = 0x80;
/// Malformed Packet.
pub const MALFORMED_PACKET: u8 = 0x81;
/// Protocol Error.
pub const PROTOCOL_ERROR: u8 = 0x82;
/// Implementation specific error.
pub const IMPLEMENTATION_SPECIFIC_ERROR: u8 = 0x83;
/// Unsupported Protocol Version.
pub const UNSUPPORTED_PROTOCOL_VERSION: u8 = 0x84;
/// Client Identifier not valid.
pub const CLIENT_IDENTIFIER_NOT_VALID: u8 = 0x85;
/// Bad User Name or Password.
pub const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
/// Not authorized.
pub const NOT_AUTHORIZED: u8 = 0x87;
/// Server unavailable.
pub const SERVER_UNAVAILABLE: u8 = 0x88;
/// Keep Alive timeout.
pub const KEEP_ALIVE_TIMEOUT: u8 = 0x8d;
/// Packet Identifier not found.
pub const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;
/// Receive Maximum exceeded.
pub const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
/// Topic Alias invalid.
pub const TOPIC_ALIAS_INVALID: u8 = 0x94;
/// Packet too large.
pub const PACKET_TOO_LARGE: u8 = 0x95;

/// Does the code report a failure (MQTT 5.0 §2.4)?
#[inline]
#[must_use]
pub const fn is_error(code: u8) -> bool {
    code >= 0x80
}

/// May a packet of this type carry this code in MQTT 5.0?
#[must_use]
pub const fn valid(packet: PacketType, code: u8) -> bool {
    match packet {
        PacketType::ConnAck => matches!(
            code,
            0x00 | 0x80..=0x8a | 0x8c | 0x90 | 0x95 | 0x97 | 0x99..=0x9d | 0x9f
        ),
        PacketType::PubAck | PacketType::PubRec => {
            matches!(code, 0x00 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
        }
        PacketType::PubRel | PacketType::PubComp => matches!(code, 0x00 | 0x92),
        PacketType::SubAck => {
            matches!(code, 0x00..=0x02 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91 | 0x97 | 0x9e | 0xa1 | 0xa2)
        }
        PacketType::UnsubAck => matches!(code, 0x00 | 0x11 | 0x80 | 0x83 | 0x87 | 0x8f | 0x91),
        // 0x8c is in the table of §2.4, though not in that of §3.14.2.1.
        PacketType::Disconnect => matches!(
            code,
            0x00 | 0x04 | 0x80..=0x83 | 0x87 | 0x89 | 0x8b..=0x90 | 0x93..=0xa2
        ),
        PacketType::Auth => matches!(code, 0x00 | 0x18 | 0x19),
        _ => false,
    }
}
