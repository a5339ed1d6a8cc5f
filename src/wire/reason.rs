//! Reason codes of MQTT 5.0 and which packet may carry which (MQTT 5.0 §2.4).

use core::ffi::CStr;

use super::PacketType;

macro_rules! reasons {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        $(#[doc = $text] pub const $name: u8 = $number;)*

        /// Every reason code: its number, the name of its constant, and its name in the specification. A number that
        /// has several names, as 0x00 has, is there once.
        pub const ALL: &[(u8, &str, &str)] = &[$(($number, stringify!($name), $text),)*];

        /// The names of a code as C strings: of its constant in C, and in the specification.
        #[must_use]
        pub const fn c_names(code: u8) -> Option<(&'static CStr, &'static CStr)> {
            match code {
                $($number => Some((
                    c_str(concat!("MGOS_MQTT_REASON_", stringify!($name), "\0")),
                    c_str(concat!($text, "\0")),
                )),)*
                _ => None,
            }
        }
    };
}

/// A literal that ends with a NUL, as a C string.
pub(super) const fn c_str(text: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a name has a NUL inside"),
    }
}

// The table of MQTT 5.0 §2.4.
reasons! {
    SUCCESS = 0x00, "Success";
    GRANTED_QOS_1 = 0x01, "Granted QoS 1";
    GRANTED_QOS_2 = 0x02, "Granted QoS 2";
    DISCONNECT_WITH_WILL = 0x04, "Disconnect with Will Message";
    NO_MATCHING_SUBSCRIBERS = 0x10, "No matching subscribers";
    NO_SUBSCRIPTION_EXISTED = 0x11, "No subscription existed";
    CONTINUE_AUTHENTICATION = 0x18, "Continue authentication";
    REAUTHENTICATE = 0x19, "Re-authenticate";
    UNSPECIFIED_ERROR = 0x80, "Unspecified error";
    MALFORMED_PACKET = 0x81, "Malformed Packet";
    PROTOCOL_ERROR = 0x82, "Protocol Error";
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83, "Implementation specific error";
    UNSUPPORTED_PROTOCOL_VERSION = 0x84, "Unsupported Protocol Version";
    CLIENT_IDENTIFIER_NOT_VALID = 0x85, "Client Identifier not valid";
    BAD_USER_NAME_OR_PASSWORD = 0x86, "Bad User Name or Password";
    NOT_AUTHORIZED = 0x87, "Not authorized";
    SERVER_UNAVAILABLE = 0x88, "Server unavailable";
    SERVER_BUSY = 0x89, "Server busy";
    BANNED = 0x8a, "Banned";
    SERVER_SHUTTING_DOWN = 0x8b, "Server shutting down";
    BAD_AUTHENTICATION_METHOD = 0x8c, "Bad authentication method";
    KEEP_ALIVE_TIMEOUT = 0x8d, "Keep Alive timeout";
    SESSION_TAKEN_OVER = 0x8e, "Session taken over";
    TOPIC_FILTER_INVALID = 0x8f, "Topic Filter invalid";
    TOPIC_NAME_INVALID = 0x90, "Topic Name invalid";
    PACKET_IDENTIFIER_IN_USE = 0x91, "Packet Identifier in use";
    PACKET_IDENTIFIER_NOT_FOUND = 0x92, "Packet Identifier not found";
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "Receive Maximum exceeded";
    TOPIC_ALIAS_INVALID = 0x94, "Topic Alias invalid";
    PACKET_TOO_LARGE = 0x95, "Packet too large";
    MESSAGE_RATE_TOO_HIGH = 0x96, "Message rate too high";
    QUOTA_EXCEEDED = 0x97, "Quota exceeded";
    ADMINISTRATIVE_ACTION = 0x98, "Administrative action";
    PAYLOAD_FORMAT_INVALID = 0x99, "Payload format invalid";
    RETAIN_NOT_SUPPORTED = 0x9a, "Retain not supported";
    QOS_NOT_SUPPORTED = 0x9b, "QoS not supported";
    USE_ANOTHER_SERVER = 0x9c, "Use another server";
    SERVER_MOVED = 0x9d, "Server moved";
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9e, "Shared Subscriptions not supported";
    CONNECTION_RATE_EXCEEDED = 0x9f, "Connection rate exceeded";
    MAXIMUM_CONNECT_TIME = 0xa0, "Maximum connect time";
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xa1, "Subscription Identifiers not supported";
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xa2, "Wildcard Subscriptions not supported";
}

/// The name of a reason code as the specification writes it; `None` for a number that it does not define.
#[must_use]
pub fn name(code: u8) -> Option<&'static str> {
    ALL.iter().find(|(number, ..)| *number == code).map(|(_, _, text)| *text)
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
