//! The properties of MQTT 5.0 one by one: identifier, type of value, and who may carry it.

use super::{Malformed, PacketType, topic};

/// What a property block belongs to: a packet, or the will inside CONNECT (MQTT 5.0 §3.1.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// The properties of a packet's variable header.
    Packet(PacketType),
    /// The will properties in the payload of CONNECT.
    Will,
}

impl Carrier {
    /// One bit for each carrier; packet types start at 1, so bit 0 is free for the will.
    const fn bit(self) -> u16 {
        match self {
            Carrier::Packet(packet) => 1 << packet as u8,
            Carrier::Will => 1,
        }
    }
}

/// How the value of a property is encoded (MQTT 5.0 §1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyKind {
    /// One byte. All such properties are flags: 0 or 1.
    Byte,
    /// Two Byte Integer.
    TwoByte,
    /// Four Byte Integer.
    FourByte,
    /// Variable Byte Integer.
    VarInt,
    /// Binary Data.
    Binary,
    /// UTF-8 Encoded String.
    Utf8,
    /// UTF-8 String Pair.
    Pair,
}

/// The value of a property (MQTT 5.0 §2.2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyValue<'a> {
    /// One byte.
    Byte(u8),
    /// Two Byte Integer.
    TwoByte(u16),
    /// Four Byte Integer.
    FourByte(u32),
    /// Variable Byte Integer.
    VarInt(u32),
    /// Binary Data.
    Binary(&'a [u8]),
    /// UTF-8 Encoded String.
    Utf8(&'a str),
    /// UTF-8 String Pair: name and value.
    Pair(&'a str, &'a str),
}

/// A property: its identifier and its value.
pub type Property<'a> = (PropertyId, PropertyValue<'a>);

impl PropertyValue<'_> {
    /// How this value is encoded.
    #[must_use]
    pub const fn kind(&self) -> PropertyKind {
        match self {
            PropertyValue::Byte(_) => PropertyKind::Byte,
            PropertyValue::TwoByte(_) => PropertyKind::TwoByte,
            PropertyValue::FourByte(_) => PropertyKind::FourByte,
            PropertyValue::VarInt(_) => PropertyKind::VarInt,
            PropertyValue::Binary(_) => PropertyKind::Binary,
            PropertyValue::Utf8(_) => PropertyKind::Utf8,
            PropertyValue::Pair(..) => PropertyKind::Pair,
        }
    }
}

const CONNECT: u16 = Carrier::Packet(PacketType::Connect).bit();
const CONNACK: u16 = Carrier::Packet(PacketType::ConnAck).bit();
const PUBLISH: u16 = Carrier::Packet(PacketType::Publish).bit();
const SUBSCRIBE: u16 = Carrier::Packet(PacketType::Subscribe).bit();
const UNSUBSCRIBE: u16 = Carrier::Packet(PacketType::Unsubscribe).bit();
const DISCONNECT: u16 = Carrier::Packet(PacketType::Disconnect).bit();
const AUTH: u16 = Carrier::Packet(PacketType::Auth).bit();
const WILL: u16 = Carrier::Will.bit();
/// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK carry the same two properties.
const ACKS: u16 = Carrier::Packet(PacketType::PubAck).bit()
    | Carrier::Packet(PacketType::PubRec).bit()
    | Carrier::Packet(PacketType::PubRel).bit()
    | Carrier::Packet(PacketType::PubComp).bit()
    | Carrier::Packet(PacketType::SubAck).bit()
    | Carrier::Packet(PacketType::UnsubAck).bit();

macro_rules! property_table {
    ($($variant:ident = $number:literal, $kind:ident, $carriers:expr, $name:literal;)*) => {
        /// A property identifier (MQTT 5.0 §2.2.2.2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $(#[doc = concat!($name, ".")] $variant = $number,)*
        }

        impl PropertyId {
            /// Every property, by number.
            pub const ALL: &'static [PropertyId] = &[$(PropertyId::$variant,)*];

            /// The property with this number, if there is one.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<PropertyId> {
                match number { $($number => Some(PropertyId::$variant),)* _ => None }
            }

            /// The name as the specification writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(PropertyId::$variant => $name,)* }
            }

            /// The same as a C string.
            #[must_use]
            pub const fn c_name(self) -> &'static core::ffi::CStr {
                match self { $(PropertyId::$variant => super::reason::c_str(concat!($name, "\0")),)* }
            }

            /// How its value is encoded.
            #[must_use]
            pub const fn kind(self) -> PropertyKind {
                match self { $(PropertyId::$variant => PropertyKind::$kind,)* }
            }

            const fn carriers(self) -> u16 {
                match self { $(PropertyId::$variant => $carriers,)* }
            }
        }
    };
}

// Table 2-4 of MQTT 5.0 §2.2.2.2.
property_table! {
    PayloadFormatIndicator = 1, Byte, PUBLISH | WILL, "Payload Format Indicator";
    MessageExpiryInterval = 2, FourByte, PUBLISH | WILL, "Message Expiry Interval";
    ContentType = 3, Utf8, PUBLISH | WILL, "Content Type";
    ResponseTopic = 8, Utf8, PUBLISH | WILL, "Response Topic";
    CorrelationData = 9, Binary, PUBLISH | WILL, "Correlation Data";
    SubscriptionIdentifier = 11, VarInt, PUBLISH | SUBSCRIBE, "Subscription Identifier";
    SessionExpiryInterval = 17, FourByte, CONNECT | CONNACK | DISCONNECT, "Session Expiry Interval";
    AssignedClientIdentifier = 18, Utf8, CONNACK, "Assigned Client Identifier";
    ServerKeepAlive = 19, TwoByte, CONNACK, "Server Keep Alive";
    AuthenticationMethod = 21, Utf8, CONNECT | CONNACK | AUTH, "Authentication Method";
    AuthenticationData = 22, Binary, CONNECT | CONNACK | AUTH, "Authentication Data";
    RequestProblemInformation = 23, Byte, CONNECT, "Request Problem Information";
    WillDelayInterval = 24, FourByte, WILL, "Will Delay Interval";
    RequestResponseInformation = 25, Byte, CONNECT, "Request Response Information";
    ResponseInformation = 26, Utf8, CONNACK, "Response Information";
    ServerReference = 28, Utf8, CONNACK | DISCONNECT, "Server Reference";
    ReasonString = 31, Utf8, CONNACK | ACKS | DISCONNECT | AUTH, "Reason String";
    ReceiveMaximum = 33, TwoByte, CONNECT | CONNACK, "Receive Maximum";
    TopicAliasMaximum = 34, TwoByte, CONNECT | CONNACK, "Topic Alias Maximum";
    TopicAlias = 35, TwoByte, PUBLISH, "Topic Alias";
    MaximumQoS = 36, Byte, CONNACK, "Maximum QoS";
    RetainAvailable = 37, Byte, CONNACK, "Retain Available";
    UserProperty = 38, Pair,
        CONNECT | CONNACK | PUBLISH | WILL | ACKS | SUBSCRIBE | UNSUBSCRIBE | DISCONNECT | AUTH, "User Property";
    MaximumPacketSize = 39, FourByte, CONNECT | CONNACK, "Maximum Packet Size";
    WildcardSubscriptionAvailable = 40, Byte, CONNACK, "Wildcard Subscription Available";
    SubscriptionIdentifierAvailable = 41, Byte, CONNACK, "Subscription Identifier Available";
    SharedSubscriptionAvailable = 42, Byte, CONNACK, "Shared Subscription Available";
}

impl PropertyId {
    /// May `carrier` have this property?
    #[must_use]
    pub const fn allowed_in(self, carrier: Carrier) -> bool {
        self.carriers() & carrier.bit() != 0
    }

    /// May this property be there more than once? Only User Property, and in a PUBLISH one
    /// Subscription Identifier for each subscription that matched (MQTT 5.0 §3.3.2.3.8).
    #[must_use]
    pub const fn repeatable_in(self, carrier: Carrier) -> bool {
        match self {
            PropertyId::UserProperty => true,
            PropertyId::SubscriptionIdentifier => carrier.bit() == PUBLISH,
            _ => false,
        }
    }

    /// The rules about single values that are spread over MQTT 5.0 §3.
    pub(super) fn check_value(self, value: &PropertyValue<'_>) -> Result<(), Malformed> {
        let good = match (self, value) {
            // A topic name, so the errors of a topic name.
            (PropertyId::ResponseTopic, PropertyValue::Utf8(name)) => {
                return topic::valid_name(name).map_err(topic::TopicError::in_name);
            }
            (PropertyId::TopicAlias, PropertyValue::TwoByte(0)) => return Err(Malformed::ZeroTopicAlias),
            (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(0)) => false,
            (PropertyId::MaximumPacketSize, PropertyValue::FourByte(0)) => false,
            (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(0)) => false,
            (_, PropertyValue::VarInt(number)) => *number <= super::MAX_REMAINING,
            (_, PropertyValue::Byte(flag)) => *flag <= 1,
            _ => true,
        };
        if good { Ok(()) } else { Err(Malformed::BadPropertyValue) }
    }
}
