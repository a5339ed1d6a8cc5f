//! The three small vocabularies that every packet uses.

use super::Malformed;

/// A version of the protocol, by its protocol level (MQTT 3.1.1 §3.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1.
    V31 = 3,
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl Version {
    /// The protocol name of CONNECT (MQTT 3.1.1 §3.1.2.1; `MQIsdp` is MQTT 3.1 §3.1).
    #[must_use]
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Version::V31 => "MQIsdp",
            Version::V311 | Version::V5 => "MQTT",
        }
    }

    /// The protocol level of CONNECT (MQTT 3.1.1 §3.1.2.2).
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }
}

/// How surely a message is delivered (MQTT 3.1.1 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// Sent once, acknowledged by nobody (MQTT 3.1.1 §4.3.1).
    #[default]
    AtMostOnce = 0,
    /// Sent until PUBACK (MQTT 3.1.1 §4.3.2).
    AtLeastOnce = 1,
    /// Sent with PUBREC, PUBREL and PUBCOMP (MQTT 3.1.1 §4.3.3).
    ExactlyOnce = 2,
}

impl QoS {
    /// The QoS of a two-bit field; the value 3 is reserved (MQTT 3.1.1 §3.3.1.2).
    ///
    /// Higher bits must have been masked away: any value above 2 is refused.
    #[inline]
    pub const fn from_bits(bits: u8) -> Result<QoS, Malformed> {
        match bits {
            0 => Ok(QoS::AtMostOnce),
            1 => Ok(QoS::AtLeastOnce),
            2 => Ok(QoS::ExactlyOnce),
            _ => Err(Malformed::InvalidQos),
        }
    }

    /// The two-bit field.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for QoS {
    type Error = Malformed;

    fn try_from(value: u8) -> Result<QoS, Malformed> {
        QoS::from_bits(value)
    }
}

/// A control packet type, by its number on the wire (MQTT 3.1.1 §2.2.1, MQTT 5.0 §2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Client requests a connection (§3.1).
    Connect = 1,
    /// Answer to CONNECT (§3.2).
    ConnAck = 2,
    /// A message (§3.3).
    Publish = 3,
    /// Answer to a QoS 1 PUBLISH (§3.4).
    PubAck = 4,
    /// First answer to a QoS 2 PUBLISH (§3.5).
    PubRec = 5,
    /// Answer to PUBREC (§3.6).
    PubRel = 6,
    /// Answer to PUBREL, the end of a QoS 2 delivery (§3.7).
    PubComp = 7,
    /// Request for messages (§3.8).
    Subscribe = 8,
    /// Answer to SUBSCRIBE (§3.9).
    SubAck = 9,
    /// Request for no more messages (§3.10).
    Unsubscribe = 10,
    /// Answer to UNSUBSCRIBE (§3.11).
    UnsubAck = 11,
    /// Is anybody there? (§3.12)
    PingReq = 12,
    /// Answer to PINGREQ (§3.13).
    PingResp = 13,
    /// The sender is about to close the connection (§3.14).
    Disconnect = 14,
    /// A step of enhanced authentication, MQTT 5.0 only (MQTT 5.0 §3.15).
    Auth = 15,
}

impl PacketType {
    /// The type with this number, if there is one.
    #[inline]
    #[must_use]
    pub const fn from_number(number: u8) -> Option<PacketType> {
        Some(match number {
            1 => PacketType::Connect,
            2 => PacketType::ConnAck,
            3 => PacketType::Publish,
            4 => PacketType::PubAck,
            5 => PacketType::PubRec,
            6 => PacketType::PubRel,
            7 => PacketType::PubComp,
            8 => PacketType::Subscribe,
            9 => PacketType::SubAck,
            10 => PacketType::Unsubscribe,
            11 => PacketType::UnsubAck,
            12 => PacketType::PingReq,
            13 => PacketType::PingResp,
            14 => PacketType::Disconnect,
            15 => PacketType::Auth,
            _ => return None,
        })
    }

    /// The name as the specification writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PacketType::Connect => "CONNECT",
            PacketType::ConnAck => "CONNACK",
            PacketType::Publish => "PUBLISH",
            PacketType::PubAck => "PUBACK",
            PacketType::PubRec => "PUBREC",
            PacketType::PubRel => "PUBREL",
            PacketType::PubComp => "PUBCOMP",
            PacketType::Subscribe => "SUBSCRIBE",
            PacketType::SubAck => "SUBACK",
            PacketType::Unsubscribe => "UNSUBSCRIBE",
            PacketType::UnsubAck => "UNSUBACK",
            PacketType::PingReq => "PINGREQ",
            PacketType::PingResp => "PINGRESP",
            PacketType::Disconnect => "DISCONNECT",
            PacketType::Auth => "AUTH",
        }
    }

    /// The flag bits every packet of this type but PUBLISH must have (MQTT 3.1.1 §2.2.2).
    #[inline]
    #[must_use]
    pub const fn fixed_flags(self) -> u8 {
        match self {
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// The first byte of a packet with the fixed flags of its type.
    #[inline]
    pub(super) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.fixed_flags()
    }
}
