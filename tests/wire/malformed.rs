//! Every way in which a packet can be malformed; and valid packets that must not be taken for
//! malformed.

use crate::wire_common::{VERSIONS, decode};
use mgos_mqtt::wire::{
    Carrier, Header, Malformed, Packet, PacketType, Properties, PropertyId, PropertyKind, QoS, Version,
    reason,
};

use Version::{V5, V31, V311};

#[rustfmt::skip]
const TABLE: &[(Malformed, &[Version], &[u8])] = &[
    (Malformed::BadPacketType, &VERSIONS, b"\0\0"),
    (Malformed::ReservedFlags, &[V311, V5], b"\x11\0"),
    (Malformed::ReservedFlags, &[V311, V5], b"\x60\x02\0\x01"),
    (Malformed::ReservedFlags, &[V311, V5], b"\x6a\x02\0\x01"),
    (Malformed::ReservedFlags, &[V311, V5], b"\x80\x06\0\x01\0\x01t\0"),
    (Malformed::ReservedFlags, &[V311, V5], b"\xd1\0"),
    (Malformed::RemainingLengthTooLong, &VERSIONS, b"\x30\xff\xff\xff\xff\x01"),
    (Malformed::RemainingLengthTooLong, &VERSIONS, b"\x30\x80\x80\x80\x80"),
    (Malformed::OverlongInteger, &[V5], b"\xc0\x80\0"),
    (Malformed::OverlongInteger, &[V5], b"\x30\x05\0\x01t\x80\0"),
    (Malformed::OverlongInteger, &[V5], b"\x30\x08\0\x01t\x80\x80\x80\x80\x01"),
    (Malformed::Truncated, &VERSIONS, b"\x30\x01\0"),
    (Malformed::Truncated, &VERSIONS, b"\x30\x04\0\x03ab"),
    (Malformed::Truncated, &VERSIONS, b"\x32\x04\0\x01t\0"),
    (Malformed::Truncated, &[V5], b"\x30\x03\0\x01t"),
    (Malformed::Truncated, &[V5], b"\x30\x04\0\x01t\x01"),
    (Malformed::Truncated, &[V5], b"\x30\x06\0\x01t\x02\x02\0"),
    (Malformed::Truncated, &VERSIONS, b"\x40\x01\0"),
    (Malformed::Truncated, &VERSIONS, b"\x40\0"),
    (Malformed::Truncated, &VERSIONS, b"\x20\x01\0"),
    (Malformed::Truncated, &[V31, V311], b"\x82\x05\0\x01\0\x01t"),
    (Malformed::Truncated, &VERSIONS, b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x02c"),
    (Malformed::Truncated, &VERSIONS, b"\x10\x0e\0\x04MQTT\x04\xc2\0\x3c\0\x02c1"),
    (Malformed::TrailingBytes, &[V31, V311], b"\x40\x03\0\x01\0"),
    (Malformed::TrailingBytes, &[V5], b"\x40\x05\0\x01\0\0\0"),
    (Malformed::TrailingBytes, &[V31, V311], b"\x20\x03\0\0\0"),
    (Malformed::TrailingBytes, &[V5], b"\x20\x04\0\0\0\0"),
    (Malformed::TrailingBytes, &[V31, V311], b"\xb0\x03\0\x01\0"),
    (Malformed::TrailingBytes, &VERSIONS, b"\xc0\x01\0"),
    (Malformed::TrailingBytes, &VERSIONS, b"\xd0\x01\0"),
    (Malformed::TrailingBytes, &[V31, V311], b"\xe0\x01\0"),
    (Malformed::TrailingBytes, &[V5], b"\xe0\x03\0\0\0"),
    (Malformed::TrailingBytes, &VERSIONS, b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x02c1!"),
    (Malformed::WrongVersion, &[V31, V311], b"\xf0\0"),

    (Malformed::BadUtf8, &VERSIONS, b"\x30\x04\0\x01\xff\0"),
    (Malformed::BadUtf8, &VERSIONS, b"\x30\x06\0\x03\xed\xa0\x80\0"),
    (Malformed::BadUtf8, &VERSIONS, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c\x80"),
    (Malformed::BadUtf8, &[V31, V311], b"\x82\x06\0\x01\0\x01\xff\0"),
    (Malformed::NulInString, &VERSIONS, b"\x30\x04\0\x01\0\0"),
    (Malformed::NulInString, &VERSIONS, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c\0"),
    (Malformed::NulInString, &[V5], b"\xe0\x06\0\x04\x1f\0\x01\0"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\x32\x06\0\x01t\0\0\0"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\x40\x02\0\0"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\x62\x02\0\0"),
    (Malformed::ZeroPacketId, &[V5], b"\x70\x03\0\0\0"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\x82\x06\0\0\0\x01t\0"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\x90\x03\0\0\0"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\xa2\x05\0\0\0\x01t"),
    (Malformed::ZeroPacketId, &VERSIONS, b"\xb0\x02\0\0"),
    (Malformed::InvalidQos, &VERSIONS, b"\x36\x06\0\x01t\0\x01\0"),
    (Malformed::InvalidQos, &[V31, V311], b"\x82\x06\0\x01\0\x01t\x03"),
    (Malformed::InvalidQos, &[V5], b"\x82\x07\0\x01\0\0\x01t\x03"),
    (Malformed::DupOnQos0, &[V311, V5], b"\x38\x04\0\x01t\0"),
    (Malformed::WildcardInTopic, &VERSIONS, b"\x30\x04\0\x01+\0"),
    (Malformed::WildcardInTopic, &VERSIONS, b"\x30\x06\0\x03a/#\0"),
    (Malformed::WildcardInTopic, &VERSIONS, b"\x10\x13\0\x04MQTT\x04\x06\0\x3c\0\x02c1\0\x01#\0\0"),
    (Malformed::WildcardInTopic, &[V5], b"\x30\x08\0\x01t\x04\x08\0\x01+"),
    (Malformed::EmptyTopic, &VERSIONS, b"\x30\x03\0\0\0"),
    (Malformed::EmptyTopic, &[V31, V311], b"\x82\x05\0\x01\0\0\0"),
    (Malformed::EmptyTopic, &[V31, V311], b"\xa2\x04\0\x01\0\0"),
    (Malformed::EmptyTopic, &VERSIONS, b"\x10\x12\0\x04MQTT\x04\x06\0\x3c\0\x02c1\0\0\0\0"),
    (Malformed::EmptyTopic, &[V5], b"\x30\x07\0\x01t\x03\x08\0\0"),
    (Malformed::BadFilter, &[V31, V311], b"\x82\x07\0\x01\0\x02a#\0"),
    (Malformed::BadFilter, &[V31, V311], b"\xa2\x06\0\x01\0\x02#/"),

    (Malformed::BadProtocolName, &VERSIONS, b"\x10\x0e\0\x04MQTX\x04\x02\0\x3c\0\x02c1"),
    (Malformed::BadProtocolName, &VERSIONS, b"\x10\x0e\0\x04mqtt\x04\x02\0\x3c\0\x02c1"),
    (Malformed::BadProtocolLevel, &VERSIONS, b"\x10\x0e\0\x04MQTT\x03\x02\0\x3c\0\x02c1"),
    (Malformed::BadProtocolLevel, &VERSIONS, b"\x10\x10\0\x06MQIsdp\x04\x02\0\x3c\0\x02c1"),
    (Malformed::BadConnectFlags, &VERSIONS, b"\x10\x0e\0\x04MQTT\x04\x03\0\x3c\0\x02c1"),
    (Malformed::BadWillFlags, &VERSIONS, b"\x10\x0e\0\x04MQTT\x04\x0a\0\x3c\0\x02c1"),
    (Malformed::BadWillFlags, &VERSIONS, b"\x10\x0e\0\x04MQTT\x04\x22\0\x3c\0\x02c1"),
    (Malformed::BadWillFlags, &VERSIONS, b"\x10\x13\0\x04MQTT\x04\x1e\0\x3c\0\x02c1\0\x01w\0\0"),
    (Malformed::PasswordWithoutUserName, &VERSIONS, b"\x10\x11\0\x04MQTT\x04\x42\0\x3c\0\x02c1\0\x01p"),
    (Malformed::BadConnackFlags, &[V311, V5], b"\x20\x02\x02\0"),
    (Malformed::BadConnackFlags, &[V311, V5], b"\x20\x02\x80\0"),
    (Malformed::SessionPresentWithError, &[V311, V5], b"\x20\x02\x01\x05"),

    (Malformed::EmptySubscribe, &[V31, V311], b"\x82\x02\0\x01"),
    (Malformed::EmptySubscribe, &[V5], b"\x82\x03\0\x01\0"),
    (Malformed::EmptySubscribe, &[V31, V311], b"\xa2\x02\0\x01"),
    (Malformed::EmptySubscribe, &[V5], b"\xa2\x03\0\x01\0"),
    (Malformed::BadSubscribeOptions, &[V31, V311], b"\x82\x06\0\x01\0\x01t\x04"),
    (Malformed::BadSubscribeOptions, &[V5], b"\x82\x07\0\x01\0\0\x01t\x40"),
    (Malformed::BadSubscribeOptions, &[V5], b"\x82\x07\0\x01\0\0\x01t\x30"),
    (Malformed::BadSubackCode, &[V31, V311], b"\x90\x03\0\x01\x03"),
    (Malformed::BadSubackCode, &[V31, V311], b"\x90\x04\0\x01\0\x87"),
    (Malformed::NoAckCodes, &[V31, V311], b"\x90\x02\0\x01"),
    (Malformed::NoAckCodes, &[V5], b"\x90\x03\0\x01\0"),
    (Malformed::NoAckCodes, &[V5], b"\xb0\x03\0\x01\0"),
    (Malformed::BadShare, &[V5], b"\x82\x0e\0\x01\0\0\x08$share/g\0"),
    (Malformed::BadShare, &[V5], b"\xa2\x0f\0\x01\0\0\x0a$share/+/t"),
    (Malformed::NoLocalOnShare, &[V5], b"\x82\x10\0\x01\0\0\x0a$share/g/t\x04"),

    (Malformed::BadReasonCode, &[V5], b"\x20\x03\0\x7f\0"),
    (Malformed::BadReasonCode, &[V5], b"\x40\x03\0\x01\x01"),
    (Malformed::BadReasonCode, &[V5], b"\x62\x03\0\x01\x10"),
    (Malformed::BadReasonCode, &[V5], b"\x90\x04\0\x01\0\x03"),
    (Malformed::BadReasonCode, &[V5], b"\xb0\x04\0\x01\0\x01"),
    (Malformed::BadReasonCode, &[V5], b"\xe0\x01\x01"),
    (Malformed::BadReasonCode, &[V5], b"\xf0\x01\x01"),
    (Malformed::BadProperty, &[V5], b"\x30\x06\0\x01t\x02\x04\0"),
    (Malformed::BadProperty, &[V5], b"\x30\x07\0\x01t\x03\x81\x01\0"),
    (Malformed::PropertyNotAllowed, &[V5], b"\x30\x06\0\x01t\x02\x24\0"),
    (Malformed::DuplicateProperty, &[V5], b"\x30\x08\0\x01t\x04\x01\0\x01\0"),
    (Malformed::DuplicateProperty, &[V5], b"\x82\x0b\0\x01\x04\x0b\x01\x0b\x01\0\x01t\0"),
    (Malformed::BadPropertyValue, &[V5], b"\x30\x06\0\x01t\x02\x01\x02"),
    (Malformed::BadPropertyValue, &[V5], b"\x30\x06\0\x01t\x02\x0b\0"),
    (Malformed::ZeroTopicAlias, &[V5], b"\x30\x07\0\x01t\x03\x23\0\0"),
    (Malformed::BadPropertyValue, &[V5], b"\x20\x06\0\0\x03\x21\0\0"),
    (Malformed::BadPropertyValue, &[V5], b"\x20\x08\0\0\x05\x27\0\0\0\0"),
    (Malformed::BadPropertyValue, &[V5], b"\x20\x05\0\0\x02\x24\x02"),
    (Malformed::MissingAuthMethod, &[V5], b"\xf0\x02\x18\0"),
    (Malformed::MissingAuthMethod, &[V5], b"\xf0\x06\0\x04\x16\0\x01!"),
    (Malformed::MissingAuthMethod, &[V5], b"\x20\x07\0\0\x04\x16\0\x01!"),
];

/// mqtt3: MQTT-1.5.3-1 MQTT-1.5.3-2 MQTT-3.1.2-14 MQTT-3.3.1-4
/// mqtt5: MQTT-1.5.4-1 MQTT-1.5.4-2 MQTT-3.1.2-12 MQTT-3.3.1-4 MQTT-3.3.2-8 MQTT-4.8.2-2
#[test]
fn each_is_provoked() {
    for &(expected, versions, bytes) in TABLE {
        for &version in versions {
            assert_eq!(decode(version, bytes), Err(expected), "{version:?} {bytes:02x?}");
        }
    }
    for malformed in Malformed::ALL {
        assert!(
            TABLE.iter().any(|(provoked, ..)| provoked == malformed),
            "{malformed:?} is not in the table"
        );
    }
}

#[test]
fn each_has_a_sentence_and_a_reference() {
    let mut texts = std::collections::BTreeSet::new();
    for malformed in Malformed::ALL {
        assert!(malformed.text().contains("[MQTT-") || malformed.text().contains('§'), "{malformed}");
        assert!(malformed.text().ends_with(')'));
        assert!(matches!(malformed.reason(), 0x81 | 0x82 | 0x94));
        assert!(texts.insert(malformed.to_string()));
    }
}

#[test]
fn the_body_must_be_as_long_as_announced() {
    let header = Header::parse(b"\x40\x02").unwrap().unwrap();
    assert_eq!(Packet::decode(V311, &header, b"\0"), Err(Malformed::Truncated));
    assert_eq!(Packet::decode(V311, &header, b"\0\x01\0"), Err(Malformed::TrailingBytes));
}

/// A header can also be made by hand.
#[test]
fn flags_of_a_made_up_header_do_no_harm() {
    let body = b"\0\x01t\0\x01\0";
    for flags in 0..=255 {
        let header = Header { packet: PacketType::Publish, flags, header_len: 2, remaining: 6 };
        let invalid = flags & 0b110 == 0b110;
        assert_eq!(Packet::decode(V5, &header, body).is_err(), invalid);
    }
}

#[test]
fn header_needs_more_until_it_is_whole() {
    for (bytes, total) in [
        (&b"\xd0\0"[..], 2),
        (b"\x30\x7f", 129),
        (b"\x30\x80\x01", 131),
        (b"\x30\xff\x7f", 16_386),
        (b"\x30\x80\x80\x01", 16_388),
        (b"\x30\xff\xff\xff\x7f", 268_435_460),
    ] {
        for end in 0..bytes.len() {
            assert_eq!(Header::parse(&bytes[..end]), Ok(None));
        }
        assert_eq!(Header::parse(bytes).unwrap().unwrap().total(), total);
    }
    // The first byte is judged alone: a TLS alert, an HTTP answer with an odd first byte.
    assert_eq!(Header::parse(b"\x15"), Err(Malformed::ReservedFlags));
    assert_eq!(Header::parse(b"H"), Err(Malformed::ReservedFlags));
}

/// What MQTT 3.1 leaves open is not refused there.
#[test]
fn flags_of_3_1() {
    for bytes in [&b"\x6a\x02\0\x01"[..], b"\x60\x02\0\x01", b"\x4f\x02\0\x01", b"\xd1\0", b"\x38\x03\0\x01t"]
    {
        assert!(decode(V31, bytes).is_ok(), "{bytes:02x?}");
        assert!(decode(V311, bytes).is_err(), "{bytes:02x?}");
    }
    let reserved_bit = b"\x10\x10\0\x06MQIsdp\x03\x03\0\x3c\0\x02c1";
    assert!(decode(V31, reserved_bit).is_ok());
}

/// Longer than needed, but within four bytes: only MQTT 5.0 refuses it.
#[test]
fn remaining_length_need_not_be_the_shortest_before_5_0() {
    let header = Header::parse(b"\xd0\x80\x80\0").unwrap().unwrap();
    assert_eq!((header.header_len, header.remaining, header.total()), (4, 0, 4));
    assert_eq!(decode(V311, b"\xd0\x80\x80\0"), Ok(Packet::PingResp));
}

/// mqtt3: MQTT-3.1.2-14 MQTT-3.3.1-4
/// mqtt5: MQTT-3.1.2-12 MQTT-3.3.1-4
#[test]
fn qos_bits() {
    assert_eq!([0, 1, 2].map(|bits| QoS::from_bits(bits).unwrap().bits()), [0, 1, 2]);
    assert!((3..=255).all(|bits| QoS::try_from(bits) == Err(Malformed::InvalidQos)));
}

/// A property with a good value, as bytes.
fn sample(id: PropertyId) -> Vec<u8> {
    let value: &[u8] = match id.kind() {
        PropertyKind::Byte | PropertyKind::VarInt => b"\x01",
        PropertyKind::TwoByte => b"\0\x01",
        PropertyKind::FourByte => b"\0\0\0\x01",
        PropertyKind::Binary | PropertyKind::Utf8 => b"\0\x01v",
        PropertyKind::Pair => b"\0\x01n\0\x01v",
    };
    [&[id as u8], value].concat()
}

/// Table 2-4 of MQTT 5.0 once more, by packet instead of by property.
#[test]
fn each_property_in_each_packet() {
    use PacketType::*;
    let table: &[(Carrier, &[u32])] = &[
        (Carrier::Packet(Connect), &[17, 21, 22, 23, 25, 33, 34, 38, 39]),
        (Carrier::Packet(ConnAck), &[17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 38, 39, 40, 41, 42]),
        (Carrier::Packet(Publish), &[1, 2, 3, 8, 9, 11, 35, 38]),
        (Carrier::Will, &[1, 2, 3, 8, 9, 24, 38]),
        (Carrier::Packet(PubAck), &[31, 38]),
        (Carrier::Packet(PubRec), &[31, 38]),
        (Carrier::Packet(PubRel), &[31, 38]),
        (Carrier::Packet(PubComp), &[31, 38]),
        (Carrier::Packet(Subscribe), &[11, 38]),
        (Carrier::Packet(SubAck), &[31, 38]),
        (Carrier::Packet(Unsubscribe), &[38]),
        (Carrier::Packet(UnsubAck), &[31, 38]),
        (Carrier::Packet(PingReq), &[]),
        (Carrier::Packet(PingResp), &[]),
        (Carrier::Packet(Disconnect), &[17, 28, 31, 38]),
        (Carrier::Packet(Auth), &[21, 22, 31, 38]),
    ];
    for &(carrier, allowed) in table {
        for number in 0..=256 {
            let Some(id) = PropertyId::from_number(number) else {
                assert!(!allowed.contains(&number));
                continue;
            };
            let method = sample(PropertyId::AuthenticationMethod);
            let mut block = sample(id);
            if id == PropertyId::AuthenticationData && allowed.contains(&number) {
                assert_eq!(Properties::from_raw(&block, carrier), Err(Malformed::MissingAuthMethod));
                block.extend_from_slice(&method);
            }
            let expected = if allowed.contains(&number) { None } else { Some(Malformed::PropertyNotAllowed) };
            assert_eq!(Properties::from_raw(&block, carrier).err(), expected, "{id:?} in {carrier:?}");
            assert_eq!(id.allowed_in(carrier), expected.is_none());
            if expected.is_some() {
                continue;
            }
            let twice = [block, sample(id)].concat();
            let repeatable = id == PropertyId::UserProperty
                || (id == PropertyId::SubscriptionIdentifier && carrier == Carrier::Packet(Publish));
            let expected = if repeatable { None } else { Some(Malformed::DuplicateProperty) };
            assert_eq!(Properties::from_raw(&twice, carrier).err(), expected, "{id:?} in {carrier:?}");
        }
    }
    assert_eq!(PropertyId::ALL.len(), 27);
}

/// The tables of MQTT 5.0 §3, by packet.
/// mqtt5: MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-3.6.2-1 MQTT-3.7.2-1 MQTT-3.14.2-1 MQTT-3.15.2-1
#[test]
fn each_reason_code_in_each_packet() {
    use PacketType::*;
    let puback: &[u8] = &[0, 16, 128, 131, 135, 144, 145, 151, 153];
    let table: &[(PacketType, &[u8])] = &[
        (
            ConnAck,
            &[
                0, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 140, 144, 149, 151, 153, 154, 155,
                156, 157, 159,
            ],
        ),
        (PubAck, puback),
        (PubRec, puback),
        (PubRel, &[0, 146]),
        (PubComp, &[0, 146]),
        (SubAck, &[0, 1, 2, 128, 131, 135, 143, 145, 151, 158, 161, 162]),
        (UnsubAck, &[0, 17, 128, 131, 135, 143, 145]),
        (
            Disconnect,
            &[
                0, 4, 128, 129, 130, 131, 135, 137, 139, 140, 141, 142, 143, 144, 147, 148, 149, 150, 151,
                152, 153, 154, 155, 156, 157, 158, 159, 160, 161, 162,
            ],
        ),
        (Auth, &[0, 24, 25]),
        (Connect, &[]),
        (Publish, &[]),
        (PingReq, &[]),
    ];
    for &(packet, codes) in table {
        for code in 0..=255 {
            assert_eq!(reason::valid(packet, code), codes.contains(&code), "{packet:?} {code}");
        }
    }
}

/// Known from the header alone, so that nobody waits for the rest of a packet that cannot be right. MQTT 5.0 has no
/// such lengths: properties may follow anywhere.
#[test]
fn lengths_that_cannot_be_right() {
    let fixed =
        [(0x20, 2), (0x40, 2), (0x50, 2), (0x62, 2), (0x70, 2), (0xb0, 2), (0xc0, 0), (0xd0, 0), (0xe0, 0)];
    for (first, right) in fixed {
        for length in 0..5 {
            let header = Header::parse(&[first, length]).unwrap().unwrap();
            let expected = match length {
                _ if length < right => Err(Malformed::Truncated),
                _ if length > right => Err(Malformed::TrailingBytes),
                _ => Ok(()),
            };
            assert_eq!(header.check_length(V311), expected, "{first:#x} {length}");
            assert_eq!(header.check_length(V31), expected, "{first:#x} {length}");
            assert_eq!(header.check_length(V5), Ok(()), "{first:#x} {length}");
        }
    }
    for first in [0x10, 0x30, 0x82, 0x90, 0xa2] {
        let header = Header::parse(&[first, 100]).unwrap().unwrap();
        assert_eq!(header.check_length(V311), Ok(()), "{first:#x}");
    }
}
