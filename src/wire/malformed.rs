//! Every way in which bytes can fail to be MQTT.

use core::fmt;

macro_rules! malformed {
    ($($variant:ident, $reason:literal, $text:literal, $reference:literal;)*) => {
        /// Why bytes are not a packet. The connection they came from must be closed
        /// (MQTT 3.1.1 §4.8 \[MQTT-4.8.0-1\]).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Malformed {
            $(#[doc = concat!($text, " (", $reference, ").")] $variant,)*
        }

        impl Malformed {
            /// Every variant, in the order of the table.
            pub const ALL: &'static [Malformed] = &[$(Malformed::$variant,)*];

            /// A sentence about it, with the place in the specification.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Malformed::$variant => concat!($text, " (", $reference, ")"),)* }
            }

            /// The reason code with which an MQTT 5.0 DISCONNECT reports it (MQTT 5.0 §4.13.1):
            /// 0x81 Malformed Packet, 0x82 Protocol Error, or 0x94 Topic Alias invalid.
            #[must_use]
            pub const fn reason(self) -> u8 {
                match self { $(Malformed::$variant => $reason,)* }
            }
        }
    };
}

// References are to MQTT 3.1.1 unless they say otherwise.
malformed! {
    BadPacketType, 0x81, "the packet type 0 is reserved", "§2.2.1";
    ReservedFlags, 0x81, "the reserved flags of the fixed header are wrong", "[MQTT-2.2.2-2]";
    RemainingLengthTooLong, 0x81, "the remaining length has more than four bytes", "§2.2.3";
    OverlongInteger, 0x81, "an integer is not in its shortest form", "MQTT 5.0 [MQTT-1.5.5-1]";
    Truncated, 0x81, "a field reaches beyond the end of the packet", "§2.2.3";
    TrailingBytes, 0x81, "bytes are left over after the last field", "§2.2.3";
    WrongVersion, 0x82, "this packet exists only in MQTT 5.0", "§2.2.1";

    BadUtf8, 0x81, "a string is not valid UTF-8", "[MQTT-1.5.3-1]";
    NulInString, 0x81, "a string contains U+0000", "[MQTT-1.5.3-2]";
    ZeroPacketId, 0x82, "the packet identifier is 0", "[MQTT-2.3.1-1]";
    InvalidQos, 0x81, "the QoS is 3", "[MQTT-3.3.1-4]";
    DupOnQos0, 0x81, "DUP is set on a QoS 0 message", "[MQTT-3.3.1-2]";
    WildcardInTopic, 0x81, "a topic name contains a wildcard", "[MQTT-3.3.2-2]";
    EmptyTopic, 0x82, "a topic name or filter is empty", "[MQTT-4.7.3-1]";
    BadFilter, 0x81, "a wildcard in a topic filter is misplaced", "[MQTT-4.7.1-2] [MQTT-4.7.1-3]";

    BadProtocolName, 0x81, "the protocol name is neither MQTT nor MQIsdp", "[MQTT-3.1.2-1]";
    BadProtocolLevel, 0x82, "the protocol level does not fit the protocol name", "[MQTT-3.1.2-2]";
    BadConnectFlags, 0x81, "the reserved bit of the connect flags is set", "[MQTT-3.1.2-3]";
    BadWillFlags, 0x81, "will QoS or will retain is impossible", "[MQTT-3.1.2-11] [MQTT-3.1.2-14]";
    PasswordWithoutUserName, 0x81, "there is a password but no user name", "[MQTT-3.1.2-22]";

    BadConnackFlags, 0x81, "reserved bits of the connect acknowledge flags are set", "§3.2.2.1";
    SessionPresentWithError, 0x82, "session present is set on a refused connection", "[MQTT-3.2.2-4]";

    EmptySubscribe, 0x82, "the packet names no topic filter", "[MQTT-3.8.3-3] [MQTT-3.10.3-2]";
    BadSubscribeOptions, 0x81, "reserved bits of the subscription options are set", "[MQTT-3-8.3-4]";
    BadSubackCode, 0x81, "a return code of SUBACK is reserved", "[MQTT-3.9.3-2]";
    NoAckCodes, 0x81, "the acknowledgement has no return code", "[MQTT-3.8.4-5]";
    BadShare, 0x81, "a shared subscription is not $share/name/filter", "MQTT 5.0 [MQTT-4.8.2-2]";
    NoLocalOnShare, 0x82, "No Local is set on a shared subscription", "MQTT 5.0 [MQTT-3.8.3-4]";

    BadReasonCode, 0x81, "the packet cannot carry this reason code", "MQTT 5.0 §2.4";
    BadProperty, 0x81, "there is no property with this identifier", "MQTT 5.0 §2.2.2.2";
    PropertyNotAllowed, 0x81, "the packet cannot carry this property", "MQTT 5.0 §2.2.2.2";
    DuplicateProperty, 0x82, "a property is there more than once", "MQTT 5.0 §2.2.2.2";
    BadPropertyValue, 0x82, "a property has a value that is not allowed", "MQTT 5.0 §2.2.2.2";
    ZeroTopicAlias, 0x94, "the topic alias is 0", "MQTT 5.0 [MQTT-3.3.2-8]";
    MissingAuthMethod, 0x82, "authentication without its method", "MQTT 5.0 §3.1.2.11.10, §3.15.2.2.2";
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Malformed {}
