//! Reason codes of MQTT 5.0 and which packet may carry which (MQTT 5.0 §2.4).

use super::PacketType;

/// Success, Normal disconnection, or Granted QoS 0.
pub const SUCCESS: u8 = 0x00;
/// Unspecified error; the one failure that SUBACK of MQTT 3.1.1 has.
pub const UNSPECIFIED_ERROR: u8 = 0x80;

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
