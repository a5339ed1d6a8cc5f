//! Byte-exact vectors for every packet, in both directions, in all versions.

use crate::wire_common::{VERSIONS, decode};
use mgos_mqtt::wire::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Header, MAX_REMAINING, Malformed, Packet,
    PacketType, Properties, PropertyId, PropertyValue, Publish, PublishHead, QoS, RetainHandling, SubAck,
    Subscribe, SubscribeOptions, UnsubAck, Unsubscribe, Version, Will, encode_ack, encode_empty, publish_len,
};

/// Encoding gives the bytes, and decoding the bytes gives the packet.
#[track_caller]
fn both(version: Version, packet: Packet<'_>, bytes: &[u8]) {
    let mut out = b"before".to_vec();
    packet.encode(version, &mut out).unwrap();
    assert_eq!(&out[..6], b"before");
    assert_eq!(&out[6..], bytes, "{version:?} {packet:?}");
    assert_eq!(decode(version, bytes), Ok(packet));
}

/// Encoding fails in this way and leaves the output alone.
#[track_caller]
fn refused(version: Version, packet: Packet<'_>, error: EncodeError) {
    let mut out = b"before".to_vec();
    assert_eq!(packet.encode(version, &mut out), Err(error), "{version:?} {packet:?}");
    assert_eq!(out, b"before");
}

fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_session: true,
        keep_alive: 60,
        properties: Properties::EMPTY,
        client_id: "c1",
        will: None,
        user_name: None,
        password: None,
    }
}

const WILL: Will<'static> = Will {
    topic: "w",
    payload: b"\0off",
    qos: QoS::ExactlyOnce,
    retain: true,
    properties: Properties::EMPTY,
};

/// mqtt3: MQTT-3.1.2-1 MQTT-3.1.2-3 MQTT-3.1.2-11 MQTT-3.1.2-13 MQTT-3.1.2-15 MQTT-3.1.2-18 MQTT-3.1.2-20 MQTT-3.1.3-3
/// mqtt5: MQTT-2.2.2-1 MQTT-3.1.2-1 MQTT-3.1.2-3 MQTT-3.1.2-11 MQTT-3.1.2-13 MQTT-3.1.2-16 MQTT-3.1.2-18 MQTT-3.1.3-3
#[test]
fn connect_plain() {
    both(Version::V31, Packet::Connect(connect(Version::V31)), b"\x10\x10\0\x06MQIsdp\x03\x02\0\x3c\0\x02c1");
    both(Version::V311, Packet::Connect(connect(Version::V311)), b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c1");
    both(Version::V5, Packet::Connect(connect(Version::V5)), b"\x10\x0f\0\x04MQTT\x05\x02\0\x3c\0\0\x02c1");
}

/// mqtt3: MQTT-3.1.2-9 MQTT-3.1.2-19 MQTT-3.1.2-21 MQTT-3.1.3-1 MQTT-3.1.3-3
/// mqtt5: MQTT-3.1.2-9 MQTT-3.1.2-17 MQTT-3.1.2-19 MQTT-3.1.3-1 MQTT-3.1.3-3
#[test]
fn connect_full() {
    let full = |version| Connect {
        clean_session: false,
        keep_alive: 0xffff,
        will: Some(WILL),
        user_name: Some("u\u{e9}"),
        password: Some(b"\xff\0"),
        ..connect(version)
    };
    both(
        Version::V311,
        Packet::Connect(full(Version::V311)),
        b"\x10\x20\0\x04MQTT\x04\xf4\xff\xff\0\x02c1\0\x01w\0\x04\0off\0\x03u\xc3\xa9\0\x02\xff\0",
    );
    both(
        Version::V31,
        Packet::Connect(full(Version::V31)),
        b"\x10\x22\0\x06MQIsdp\x03\xf4\xff\xff\0\x02c1\0\x01w\0\x04\0off\0\x03u\xc3\xa9\0\x02\xff\0",
    );
    let list = [
        (PropertyId::SessionExpiryInterval, PropertyValue::FourByte(10)),
        (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(20)),
        (PropertyId::UserProperty, PropertyValue::Pair("k", "v")),
        (PropertyId::UserProperty, PropertyValue::Pair("k", "v")),
    ];
    let will_list = [(PropertyId::WillDelayInterval, PropertyValue::FourByte(1))];
    let packet = Connect {
        properties: Properties::from_list(&list),
        will: Some(Will { properties: Properties::from_list(&will_list), ..WILL }),
        ..full(Version::V5)
    };
    both(
        Version::V5,
        Packet::Connect(packet),
        b"\x10\x3d\0\x04MQTT\x05\xf4\xff\xff\x16\x11\0\0\0\x0a\x21\0\x14\x26\0\x01k\0\x01v\x26\0\x01k\0\x01v\
          \0\x02c1\x05\x18\0\0\0\x01\0\x01w\0\x04\0off\0\x03u\xc3\xa9\0\x02\xff\0",
    );
}

/// mqtt3: MQTT-3.1.2-22
#[test]
fn connect_password_alone_is_for_5_0() {
    let alone = |version| Packet::Connect(Connect { password: Some(b"p"), ..connect(version) });
    refused(Version::V31, alone(Version::V31), EncodeError::PasswordWithoutUserName);
    refused(Version::V311, alone(Version::V311), EncodeError::PasswordWithoutUserName);
    both(Version::V5, alone(Version::V5), b"\x10\x12\0\x04MQTT\x05\x42\0\x3c\0\0\x02c1\0\x01p");
}

/// Each field holds 65,535 bytes, and not one more.
/// mqtt3: MQTT-4.7.3-3
/// mqtt5: MQTT-4.7.3-3
#[test]
fn connect_with_the_longest_fields() {
    let (text, bytes) = ("x".repeat(65_536), vec![b'x'; 65_536]);
    for version in VERSIONS {
        let with = |field: usize, len: usize| {
            let (text, bytes) = (&text[..len], &bytes[..len]);
            let mut full = Connect { user_name: Some("u"), password: Some(b"p"), ..connect(version) };
            let mut will = WILL;
            match field {
                0 => full.client_id = text,
                1 => full.user_name = Some(text),
                2 => full.password = Some(bytes),
                3 => will.topic = text,
                _ => will.payload = bytes,
            }
            Connect { will: Some(will), ..full }
        };
        for field in 0..5 {
            let mut out = Vec::new();
            let packet = Packet::Connect(with(field, 65_535));
            packet.encode(version, &mut out).unwrap();
            assert_eq!(decode(version, &out), Ok(packet));
            refused(version, Packet::Connect(with(field, 65_536)), EncodeError::StringTooLong);
        }
    }
}

#[test]
fn connect_names_its_own_version() {
    for version in VERSIONS {
        let bytes = b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02c1";
        assert_eq!(decode(version, bytes), Ok(Packet::Connect(connect(Version::V311))));
    }
    refused(Version::V5, Packet::Connect(connect(Version::V311)), EncodeError::WrongVersion);
}

#[test]
fn connect_3_1_may_announce_strings_that_are_not_there() {
    let bytes = b"\x10\x10\0\x06MQIsdp\x03\xc3\0\x3c\0\x02c1";
    assert_eq!(decode(Version::V31, bytes), Ok(Packet::Connect(connect(Version::V31))));
}

#[test]
fn connack() {
    for version in [Version::V31, Version::V311] {
        both(version, Packet::ConnAck(ConnAck::default()), b"\x20\x02\0\0");
        for code in 1..=255 {
            both(version, Packet::ConnAck(ConnAck { code, ..ConnAck::default() }), &[0x20, 2, 0, code]);
        }
    }
    let present = Packet::ConnAck(ConnAck { session_present: true, ..ConnAck::default() });
    both(Version::V311, present, b"\x20\x02\x01\0");
    both(Version::V5, present, b"\x20\x03\x01\0\0");
    refused(Version::V31, present, EncodeError::WrongVersion);
    let contradiction = ConnAck { session_present: true, code: 5, ..ConnAck::default() };
    refused(Version::V311, Packet::ConnAck(contradiction), EncodeError::SessionPresentWithError);

    let list = [
        (PropertyId::AssignedClientIdentifier, PropertyValue::Utf8("id")),
        (PropertyId::MaximumQoS, PropertyValue::Byte(1)),
        (PropertyId::ServerKeepAlive, PropertyValue::TwoByte(300)),
    ];
    let packet = ConnAck { session_present: false, code: 0, properties: Properties::from_list(&list) };
    both(Version::V5, Packet::ConnAck(packet), b"\x20\x0d\0\0\x0a\x12\0\x02id\x24\x01\x13\x01\x2c");
    refused(Version::V311, Packet::ConnAck(packet), EncodeError::WrongVersion);
    let unknown = ConnAck { code: 1, ..ConnAck::default() };
    refused(Version::V5, Packet::ConnAck(unknown), EncodeError::BadReasonCode);
}

#[test]
fn connack_first_byte_is_reserved_in_3_1() {
    for flags in [0, 1, 0xff] {
        let expected = ConnAck { code: 5, ..ConnAck::default() };
        assert_eq!(decode(Version::V31, &[0x20, 2, flags, 5]), Ok(Packet::ConnAck(expected)));
    }
}

#[test]
fn connack_of_an_older_server_is_understood_in_5_0() {
    let expected = ConnAck { code: 1, ..ConnAck::default() };
    assert_eq!(decode(Version::V5, b"\x20\x02\0\x01"), Ok(Packet::ConnAck(expected)));
    assert!(decode(Version::V5, b"\x20\x02\0\0").is_err());
    assert!(decode(Version::V5, b"\x20\x02\0\x02").is_err());
    assert!(decode(Version::V5, b"\x20\x03\0\x01\0").is_err());
}

/// mqtt3: MQTT-2.3.1-5 MQTT-3.3.2-1
/// mqtt5: MQTT-2.2.1-2 MQTT-2.2.2-1 MQTT-3.3.2-1
#[test]
fn publish() {
    let qos0 = Publish { topic: "a/b", payload: b"hi", ..Publish::default() };
    let qos1 = Publish { qos: QoS::AtLeastOnce, packet_id: 0x1234, retain: true, ..qos0 };
    let qos2 = Publish { qos: QoS::ExactlyOnce, packet_id: 0xffff, dup: true, payload: b"", ..qos0 };
    for version in [Version::V31, Version::V311] {
        both(version, Packet::Publish(qos0), b"\x30\x07\0\x03a/bhi");
        both(version, Packet::Publish(qos1), b"\x33\x09\0\x03a/b\x12\x34hi");
        both(version, Packet::Publish(qos2), b"\x3c\x07\0\x03a/b\xff\xff");
    }
    both(Version::V5, Packet::Publish(qos0), b"\x30\x08\0\x03a/b\0hi");
    both(Version::V5, Packet::Publish(qos1), b"\x33\x0a\0\x03a/b\x12\x34\0hi");
    both(Version::V5, Packet::Publish(qos2), b"\x3c\x08\0\x03a/b\xff\xff\0");

    let list = [
        (PropertyId::TopicAlias, PropertyValue::TwoByte(7)),
        (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(1)),
        (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(300)),
        (PropertyId::CorrelationData, PropertyValue::Binary(b"\0\xff")),
    ];
    let alias = Publish { topic: "", properties: Properties::from_list(&list), ..qos0 };
    both(
        Version::V5,
        Packet::Publish(alias),
        b"\x30\x12\0\0\x0d\x23\0\x07\x0b\x01\x0b\xac\x02\x09\0\x02\0\xffhi",
    );
    refused(Version::V311, Packet::Publish(alias), EncodeError::BadTopic);
    refused(Version::V311, Packet::Publish(Publish { topic: "t", ..alias }), EncodeError::WrongVersion);
}

/// mqtt3: MQTT-4.7.3-1 MQTT-4.7.3-3
/// mqtt5: MQTT-4.7.3-1 MQTT-4.7.3-3
#[test]
fn publish_refused() {
    let good = Publish { topic: "t", qos: QoS::AtLeastOnce, packet_id: 1, ..Publish::default() };
    let long = "x".repeat(65_536);
    for version in VERSIONS {
        refused(version, Packet::Publish(Publish { packet_id: 0, ..good }), EncodeError::ZeroPacketId);
        refused(version, Packet::Publish(Publish { topic: "", ..good }), EncodeError::BadTopic);
        refused(version, Packet::Publish(Publish { topic: &long, ..good }), EncodeError::StringTooLong);
        let dup = Publish { qos: QoS::AtMostOnce, dup: true, ..good };
        refused(version, Packet::Publish(dup), EncodeError::DupOnQos0);
        let payload = vec![0; MAX_REMAINING as usize - 4];
        refused(version, Packet::Publish(Publish { payload: &payload, ..good }), EncodeError::TooLarge);
    }
}

/// The largest packet there can be: five bytes of header, and what they can count (MQTT 3.1.1 §2.2.3).
const MAX_PACKET: usize = MAX_REMAINING as usize + 5;

/// The largest packet there can be, one byte more, and each change of the header's length.
#[test]
fn publish_sizes() {
    let publish = Publish { topic: "t", ..Publish::default() };
    for version in VERSIONS {
        let head = if version == Version::V5 { 4 } else { 3 };
        for remaining in [127, 128, 16_383, 16_384, 2_097_151, 2_097_152] {
            let payload = vec![7; remaining - head];
            let mut out = Vec::new();
            Publish { payload: &payload, ..publish }.encode(version, &mut out).unwrap();
            assert_eq!(publish_len(version, 1, QoS::AtMostOnce, 0, payload.len()), Some(out.len()));
            let header = Header::parse(&out).unwrap().unwrap();
            assert_eq!((header.remaining as usize, header.total()), (remaining, out.len()));
        }
        let most = MAX_REMAINING as usize - head;
        assert_eq!(publish_len(version, 1, QoS::AtMostOnce, 0, most), Some(MAX_PACKET));
        let over = most + 1;
        assert_eq!(publish_len(version, 1, QoS::AtMostOnce, 0, over), None);
        assert_eq!(publish_len(version, 1, QoS::AtMostOnce, 0, usize::MAX), None);
        assert_eq!(publish_len(version, 65_536, QoS::AtMostOnce, 0, 0), None);
    }
    let most = MAX_REMAINING as usize - 2 - 1 - 2;
    assert_eq!(publish_len(Version::V311, 1, QoS::AtLeastOnce, 9, most), Some(MAX_PACKET));
    assert_eq!(publish_len(Version::V5, 1, QoS::ExactlyOnce, 200, 10), Some(3 + 2 + 1 + 2 + 2 + 200 + 10));
    assert_eq!(publish_len(Version::V5, 1, QoS::ExactlyOnce, usize::MAX, 10), None);
}

/// The beginning of a PUBLISH tells as much as all of it, as soon as there is enough.
#[test]
fn publish_heads() {
    let topic = "some/topic";
    for version in [Version::V31, Version::V311] {
        for (qos, dup, payload) in [
            (QoS::AtMostOnce, false, 0),
            (QoS::AtLeastOnce, false, 1),
            (QoS::AtLeastOnce, true, 300),
            (QoS::ExactlyOnce, true, 20_000),
        ] {
            let packet_id = if qos == QoS::AtMostOnce { 0 } else { 0x1234 };
            let payload = vec![7; payload];
            for retain in [false, true] {
                let publish =
                    Publish { topic, qos, dup, retain, packet_id, payload: &payload, ..Publish::default() };
                let mut bytes = Vec::new();
                publish.encode(version, &mut bytes).unwrap();
                let header = Header::parse(&bytes).unwrap().unwrap();
                let len = bytes.len() - payload.len();
                for enough in 0..len {
                    assert_eq!(
                        PublishHead::decode(Version::V311, &header, &bytes[..enough]),
                        Ok(None),
                        "{enough} bytes"
                    );
                }
                let expected = PublishHead { dup, qos, topic, packet_id, properties: Properties::EMPTY, len };
                assert_eq!(PublishHead::decode(Version::V311, &header, &bytes[..len]), Ok(Some(expected)));
                assert_eq!(PublishHead::decode(Version::V311, &header, &bytes), Ok(Some(expected)));
            }
        }
    }
    // A topic that is longer than the packet is none, and that is known before all of it is there.
    for (length, topic_len, expected) in [(12, 10, Ok(None)), (11, 10, Err(Malformed::Truncated))] {
        let bytes = [0x30, length, 0, topic_len, b't'];
        let header = Header::parse(&bytes).unwrap().unwrap();
        assert_eq!(PublishHead::decode(Version::V311, &header, &bytes), expected);
    }
}

/// A byte order mark is a character like any other.
/// mqtt3: MQTT-1.5.3-3
/// mqtt5: MQTT-1.5.4-3
#[test]
fn a_byte_order_mark_stays() {
    let publish = Publish { topic: "\u{feff}a\u{feff}", ..Publish::default() };
    for version in [Version::V31, Version::V311] {
        both(version, Packet::Publish(publish), b"\x30\x09\0\x07\xef\xbb\xbfa\xef\xbb\xbf");
    }
    both(Version::V5, Packet::Publish(publish), b"\x30\x0a\0\x07\xef\xbb\xbfa\xef\xbb\xbf\0");
}

/// By its identifier, and only as what it is.
#[test]
fn properties_are_found() {
    let list = [
        (PropertyId::PayloadFormatIndicator, PropertyValue::Byte(1)),
        (PropertyId::TopicAlias, PropertyValue::TwoByte(300)),
        (PropertyId::MessageExpiryInterval, PropertyValue::FourByte(70_000)),
        (PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(200)),
        (PropertyId::ContentType, PropertyValue::Utf8("json")),
        (PropertyId::CorrelationData, PropertyValue::Binary(b"\xff")),
        (PropertyId::UserProperty, PropertyValue::Pair("a", "b")),
        (PropertyId::UserProperty, PropertyValue::Pair("a", "second")),
    ];
    let properties = Properties::from_list(&list);
    let numbers = [Some(1), Some(300), Some(70_000), Some(200), None, None, None];
    let texts = [None, None, None, None, Some("json"), None, None];
    for (((id, value), number), text) in list.into_iter().zip(numbers).zip(texts) {
        assert_eq!(properties.get(id), Some(value));
        assert_eq!((properties.number(id), properties.text(id)), (number, text), "{id:?}");
    }
    let missing = PropertyId::ResponseTopic;
    assert_eq!((properties.get(missing), properties.text(missing)), (None, None));
}

fn ack_packet(packet: PacketType, ack: Ack<'_>) -> Packet<'_> {
    match packet {
        PacketType::PubAck => Packet::PubAck(ack),
        PacketType::PubRec => Packet::PubRec(ack),
        PacketType::PubRel => Packet::PubRel(ack),
        PacketType::PubComp => Packet::PubComp(ack),
        _ => unreachable!(),
    }
}

/// mqtt3: MQTT-2.2.2-1 MQTT-3.6.1-1
/// mqtt5: MQTT-2.1.3-1 MQTT-3.4.2-1 MQTT-3.5.2-1 MQTT-3.6.1-1 MQTT-3.6.2-1 MQTT-3.7.2-1
#[test]
fn acks() {
    let types = [
        (PacketType::PubAck, 0x40, 0x10),
        (PacketType::PubRec, 0x50, 0x97),
        (PacketType::PubRel, 0x62, 0x92),
        (PacketType::PubComp, 0x70, 0x92),
    ];
    for (packet, first, reason) in types {
        for version in VERSIONS {
            both(version, ack_packet(packet, Ack::new(0x0102)), &[first, 2, 1, 2]);
            refused(version, ack_packet(packet, Ack::new(0)), EncodeError::ZeroPacketId);
        }
        let mut out = Vec::new();
        encode_ack(packet, 0x0102, &mut out).unwrap();
        assert_eq!(out, [first, 2, 1, 2]);
        assert_eq!(encode_ack(packet, 0, &mut out), Err(EncodeError::ZeroPacketId));

        let failed = Ack { reason, ..Ack::new(3) };
        both(Version::V5, ack_packet(packet, failed), &[first, 3, 0, 3, reason]);
        refused(Version::V311, ack_packet(packet, failed), EncodeError::WrongVersion);
        refused(Version::V5, ack_packet(packet, Ack { reason: 0x01, ..failed }), EncodeError::BadReasonCode);
        refused(Version::V5, ack_packet(packet, Ack { packet_id: 0, ..failed }), EncodeError::ZeroPacketId);
        let list = [(PropertyId::ReasonString, PropertyValue::Utf8("no"))];
        let why = Ack { properties: Properties::from_list(&list), ..failed };
        both(Version::V5, ack_packet(packet, why), &[first, 9, 0, 3, reason, 5, 0x1f, 0, 2, b'n', b'o']);
        // The long form of what is usually said shortly.
        let long = [first, 4, 0, 3, 0, 0];
        assert_eq!(decode(Version::V5, &long), Ok(ack_packet(packet, Ack::new(3))));
    }
    assert_eq!(encode_ack(PacketType::Publish, 1, &mut Vec::new()), Err(EncodeError::BadPacketType));
    let ack = Ack { reason: 0x80, ..Ack::new(3) };
    for packet in [PacketType::Publish, PacketType::UnsubAck] {
        assert_eq!(ack.encode(packet, Version::V5, &mut Vec::new()), Err(EncodeError::BadPacketType));
        assert_eq!(Ack::new(3).encode(packet, Version::V5, &mut Vec::new()), Err(EncodeError::BadPacketType));
    }
}

/// mqtt3: MQTT-3.8.1-1
/// mqtt5: MQTT-2.2.2-1 MQTT-3.8.1-1
#[test]
fn subscribe() {
    let filters =
        [("a/+", SubscribeOptions::from(QoS::ExactlyOnce)), ("#", SubscribeOptions::from(QoS::AtMostOnce))];
    let wire: [(Version, &[u8]); 3] = [
        (Version::V31, b"\x82\x0c\0\x0a\0\x03a/+\x02\0\x01#\0"),
        (Version::V311, b"\x82\x0c\0\x0a\0\x03a/+\x02\0\x01#\0"),
        (Version::V5, b"\x82\x0d\0\x0a\0\0\x03a/+\x02\0\x01#\0"),
    ];
    for (version, bytes) in wire {
        let mut out = Vec::new();
        Subscribe::encode(&mut out, version, 10, Properties::EMPTY, filters.into_iter()).unwrap();
        assert_eq!(out, bytes);
        let packet = decode(version, bytes).unwrap();
        let Packet::Subscribe(subscribe) = packet else { panic!("{packet:?}") };
        assert_eq!(subscribe.packet_id, 10);
        assert!(subscribe.filters().eq(filters));
        both(version, packet, bytes);
        // Another filter, another QoS, one filter less: each makes it another packet.
        for others in
            [&[("b/+", filters[0].1), filters[1]][..], &[filters[0], ("#", filters[0].1)], &filters[..1]]
        {
            let mut out = Vec::new();
            let others = others.iter().copied();
            Subscribe::encode(&mut out, version, 10, Properties::EMPTY, others).unwrap();
            assert_ne!(decode(version, &out), Ok(packet));
        }
    }
}

/// mqtt3: MQTT-3.8.3-3 MQTT-4.7.3-1 MQTT-4.7.3-2 MQTT-4.7.3-3
/// mqtt5: MQTT-3.8.3-2 MQTT-3.8.3-4 MQTT-4.7.3-1 MQTT-4.7.3-2 MQTT-4.7.3-3 MQTT-4.8.2-1
#[test]
fn subscribe_refused() {
    let refused = |version, id, filter, options| {
        let mut out = Vec::new();
        let filters = [(filter, options)].into_iter();
        let result = Subscribe::encode(&mut out, version, id, Properties::EMPTY, filters);
        assert!(out.is_empty());
        result.unwrap_err()
    };
    let options = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    let (plain, long) = (SubscribeOptions::default(), "x".repeat(65_536));
    assert_eq!(refused(Version::V311, 1, "t", options), EncodeError::WrongVersion);
    for version in VERSIONS {
        assert_eq!(refused(version, 0, "t", plain), EncodeError::ZeroPacketId);
        assert_eq!(refused(version, 1, "", plain), EncodeError::BadTopic);
        assert_eq!(refused(version, 1, "a#", plain), EncodeError::BadTopic);
        assert_eq!(refused(version, 1, "a\0", plain), EncodeError::BadString);
        assert_eq!(refused(version, 1, &long, plain), EncodeError::StringTooLong);
        let none = core::iter::empty();
        let result = Subscribe::encode(&mut Vec::new(), version, 1, Properties::EMPTY, none);
        assert_eq!(result, Err(EncodeError::NoFilters));
    }
    assert_eq!(refused(Version::V5, 1, "$share/g", plain), EncodeError::BadTopic);
    assert_eq!(refused(Version::V5, 1, "$share/g/t", options), EncodeError::BadTopic);
}

/// mqtt5: MQTT-3.8.3-5
#[test]
fn subscribe_options() {
    let options = SubscribeOptions {
        qos: QoS::AtLeastOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let list = [(PropertyId::SubscriptionIdentifier, PropertyValue::VarInt(128))];
    let properties = Properties::from_list(&list);
    let mut out = Vec::new();
    Subscribe::encode(&mut out, Version::V5, 1, properties, [("t", options)].into_iter()).unwrap();
    assert_eq!(out, b"\x82\x0a\0\x01\x03\x0b\x80\x01\0\x01t\x2d");
    let packet = decode(Version::V5, &out).unwrap();
    let Packet::Subscribe(subscribe) = packet else { panic!("{packet:?}") };
    assert!(subscribe.filters().eq([("t", options)]));
    assert_eq!(subscribe.properties, properties);
    assert_eq!(subscribe.properties.number(PropertyId::SubscriptionIdentifier), Some(128));
}

#[test]
fn suback() {
    let packet = |codes| Packet::SubAck(SubAck { packet_id: 10, properties: Properties::EMPTY, codes });
    for version in [Version::V31, Version::V311] {
        both(version, packet(&[0, 1, 2, 0x80]), b"\x90\x06\0\x0a\0\x01\x02\x80");
        refused(version, packet(&[3]), EncodeError::BadReasonCode);
        refused(version, packet(&[0x87]), EncodeError::BadReasonCode);
        refused(version, packet(&[]), EncodeError::BadReasonCode);
    }
    both(Version::V5, packet(&[2, 0x87]), b"\x90\x05\0\x0a\0\x02\x87");
    refused(Version::V5, packet(&[0x11]), EncodeError::BadReasonCode);
}

/// mqtt3: MQTT-3.10.1-1 MQTT-3.10.3-1 MQTT-3.10.3-2
/// mqtt5: MQTT-3.10.1-1 MQTT-3.10.3-2
#[test]
fn unsubscribe() {
    let filters = ["a/+", "#"];
    let wire: [(Version, &[u8]); 3] = [
        (Version::V31, b"\xa2\x0a\0\x0a\0\x03a/+\0\x01#"),
        (Version::V311, b"\xa2\x0a\0\x0a\0\x03a/+\0\x01#"),
        (Version::V5, b"\xa2\x0b\0\x0a\0\0\x03a/+\0\x01#"),
    ];
    for (version, bytes) in wire {
        let mut out = Vec::new();
        Unsubscribe::encode(&mut out, version, 10, Properties::EMPTY, filters.into_iter()).unwrap();
        assert_eq!(out, bytes);
        let packet = decode(version, bytes).unwrap();
        let Packet::Unsubscribe(unsubscribe) = packet else { panic!("{packet:?}") };
        assert_eq!(unsubscribe.packet_id, 10);
        assert!(unsubscribe.filters().eq(filters));
        both(version, packet, bytes);
    }
    for version in VERSIONS {
        let none = core::iter::empty();
        let result = Unsubscribe::encode(&mut Vec::new(), version, 1, Properties::EMPTY, none);
        assert_eq!(result, Err(EncodeError::NoFilters));
    }
}

#[test]
fn unsuback() {
    let packet = |codes| Packet::UnsubAck(UnsubAck { packet_id: 10, properties: Properties::EMPTY, codes });
    for version in [Version::V31, Version::V311] {
        both(version, packet(&[]), b"\xb0\x02\0\x0a");
        refused(version, packet(&[0]), EncodeError::WrongVersion);
    }
    both(Version::V5, packet(&[0, 0x11, 0x8f]), b"\xb0\x06\0\x0a\0\0\x11\x8f");
    refused(Version::V5, packet(&[]), EncodeError::BadReasonCode);
    refused(Version::V5, packet(&[1]), EncodeError::BadReasonCode);
}

#[test]
fn ping() {
    for version in VERSIONS {
        both(version, Packet::PingReq, b"\xc0\0");
        both(version, Packet::PingResp, b"\xd0\0");
    }
    assert_eq!(encode_empty(PacketType::Connect, &mut Vec::new()), Err(EncodeError::BadPacketType));
}

/// mqtt3: MQTT-3.14.1-1
/// mqtt5: MQTT-3.14.1-1 MQTT-3.14.2-1
#[test]
fn disconnect() {
    for version in VERSIONS {
        both(version, Packet::Disconnect(Disconnect::default()), b"\xe0\0");
    }
    let will = Disconnect { reason: 4, properties: Properties::EMPTY };
    both(Version::V5, Packet::Disconnect(will), b"\xe0\x01\x04");
    refused(Version::V311, Packet::Disconnect(will), EncodeError::WrongVersion);
    refused(Version::V5, Packet::Disconnect(Disconnect { reason: 1, ..will }), EncodeError::BadReasonCode);
    let list = [(PropertyId::ServerReference, PropertyValue::Utf8("b"))];
    let moved = Disconnect { reason: 0x9d, properties: Properties::from_list(&list) };
    both(Version::V5, Packet::Disconnect(moved), b"\xe0\x06\x9d\x04\x1c\0\x01b");
    assert_eq!(decode(Version::V5, b"\xe0\x02\0\0"), Ok(Packet::Disconnect(Disconnect::default())));
}

/// mqtt5: MQTT-3.15.1-1 MQTT-3.15.2-1
#[test]
fn auth() {
    both(Version::V5, Packet::Auth(Auth::default()), b"\xf0\0");
    let list = [
        (PropertyId::AuthenticationMethod, PropertyValue::Utf8("m")),
        (PropertyId::AuthenticationData, PropertyValue::Binary(b"\0")),
    ];
    let auth = Auth { reason: 0x18, properties: Properties::from_list(&list) };
    both(Version::V5, Packet::Auth(auth), b"\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01\0");
    refused(Version::V311, Packet::Auth(auth), EncodeError::WrongVersion);
    refused(Version::V5, Packet::Auth(Auth { reason: 1, ..auth }), EncodeError::BadReasonCode);
    let bare = Auth { properties: Properties::EMPTY, ..auth };
    refused(Version::V5, Packet::Auth(bare), EncodeError::BadProperty);
}

#[test]
fn names_of_versions() {
    let names = VERSIONS.map(|version| (version.protocol_name(), version.level()));
    assert_eq!(names, [("MQIsdp", 3), ("MQTT", 4), ("MQTT", 5)]);
}
