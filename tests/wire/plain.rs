//! The fast recognition of plain packets finds the same as the decoders do in the same bytes.

use mgos_mqtt::wire::{
    Ack, Header, Outgoing, PLAIN_ACK, Packet, PacketType, PlainPublish, Properties, PropertyId, Publish, QoS,
    Received, Version, topic,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const ALL: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Names of each length up to three words and more, some of which are no topic name or not ASCII.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(b'$'..=b'*', 0..40),
        3 => vec(b' '..=b'~', 0..40),
        2 => vec(any::<u8>(), 0..40),
        1 => any::<String>().prop_map(String::into_bytes),
    ]
}

/// What stands where MQTT 5.0 has its properties: none, an alias, something else, or nothing meant.
fn properties() -> impl Strategy<Value = Option<Vec<u8>>> {
    let alias = any::<[u8; 2]>().prop_map(|[high, low]| Some(vec![3, 0x23, high % 2, low % 3]));
    prop_oneof![
        3 => Just(Some(vec![0])),
        3 => alias,
        1 => Just(Some(vec![2, 1, 1])),
        1 => Just(Some(vec![5, 1, 1, 0x23, 0, 1])),
        2 => Just(None),
    ]
}

fn packet(first: u8, name: &[u8], rest: &[u8]) -> Vec<u8> {
    let mut body = (name.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(name);
    body.extend_from_slice(rest);
    let mut bytes = vec![first];
    let mut length = body.len();
    while length > 0x7f {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(&body);
    bytes
}

fn find<'a, const FIVE: bool>(bytes: &'a [u8], known: &[u8]) -> Option<(usize, PlainPublish<'a>)> {
    let (total, head) = PlainPublish::find::<FIVE>(bytes)?;
    Some((total, PlainPublish::decode::<FIVE>(&bytes[..total], head, known)?))
}

/// What is found is right, and what is plain is found.
fn agrees(bytes: &[u8], known: &[u8]) -> Result<(), TestCaseError> {
    for version in ALL {
        let five = version == Version::V5;
        let found = match five {
            true => find::<true>(bytes, known),
            false => find::<false>(bytes, known),
        };
        let header = match Header::parse_as(version, bytes) {
            Ok(Some(header)) if header.packet == PacketType::Publish && header.total() <= bytes.len() => {
                header
            }
            _ => {
                // What 3.1 allows and 3.1.1 does not is nothing plain.
                prop_assert!(found.is_none());
                continue;
            }
        };
        let body = &bytes[usize::from(header.header_len)..header.total()];
        match (Received::decode(version, header.flags, body), &found) {
            (Ok(decoded), Some((total, found))) => {
                let alias = decoded.properties.number(PropertyId::TopicAlias).unwrap_or(0);
                prop_assert_eq!(u32::from(found.alias), alias);
                prop_assert_eq!(decoded.properties.iter().count(), usize::from(alias > 0));
                let decoded = Received { properties: Properties::EMPTY, ..decoded };
                prop_assert_eq!(format!("{:?}", decoded), format!("{:?}", found.publish));
                prop_assert_eq!(header.total(), *total);
                let hash = topic::hash(decoded.topic);
                let fresh = decoded.topic != known && alias == 0;
                prop_assert_eq!(found.topic_hash, fresh.then_some(hash));
            }
            (Err(error), Some(_)) => return Err(TestCaseError::fail(format!("{error}"))),
            (Ok(decoded), None) => {
                let odd_dup = decoded.dup && decoded.qos == QoS::AtMostOnce;
                let properties = decoded.properties.iter().count();
                let alias = decoded.properties.get(PropertyId::TopicAlias).is_some();
                let odd_properties =
                    properties > 1 || properties == 1 && !(alias && decoded.topic.is_empty());
                let odd = odd_dup || odd_properties;
                prop_assert!(!decoded.topic.is_ascii() || header.header_len > 3 || odd);
            }
            (Err(_), None) => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_publish(
        (first, name, rest) in (0x30..=0x3fu8, name(), vec(any::<u8>(), 0..20)),
        (long, behind) in (0..3usize, vec(any::<u8>(), 0..5)),
        block in properties(),
        damage in prop::option::of((any::<Index>(), any::<u8>())),
        cut in prop::option::of(any::<Index>()),
        knows: bool,
        overlong in prop::bool::weighted(0.1),
    ) {
        let mut rest = rest;
        if let Some(block) = block {
            // Behind the packet id, where there is one.
            let at = if first & 6 == 0 { 0 } else { 2.min(rest.len()) };
            rest.splice(at..at, block);
        }
        rest.resize(rest.len() + [0, 200, 17_000][long], b'x');
        let mut bytes = packet(first, &name, &rest);
        if overlong && bytes[1] < 0x80 {
            bytes[1] |= 0x80;
            bytes.insert(2, 0);
        }
        bytes.extend_from_slice(&behind);
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(end) = cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let valid = topic::valid_name(&name).is_ok() && name.is_ascii();
        agrees(&bytes, if knows && valid { &name } else { b"" })?;
    }

    /// Each byte at each place of each length: what is no character of a plain name is seen.
    #[test]
    fn a_name(len in 1..40usize, at in any::<Index>(), byte: u8) {
        let mut name = vec![b'*'; len];
        name[at.index(len)] = byte;
        agrees(&packet(0x30, &name, b"payload"), b"")?;
    }

    #[test]
    fn an_acknowledgement(kind in 0..4usize, bytes in vec(select(&[0x40u8, 0x50, 0x62, 0x70, 0, 2, 3]), 0..8)) {
        let packet = [PacketType::PubAck, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp][kind];
        let Some(id) = Ack::plain(packet, &bytes) else { return Ok(()) };
        for version in ALL {
            let header = Header::parse_as(version, &bytes).unwrap().unwrap();
            prop_assert_eq!((header.packet, header.total()), (packet, PLAIN_ACK));
            let decoded = Packet::decode(version, &header, &bytes[2..PLAIN_ACK]).unwrap();
            prop_assert_eq!(Ack::decode(version, packet, &bytes[2..PLAIN_ACK]), Ok(Ack::new(id)));
            prop_assert_eq!(decoded.packet_type(), packet);
        }
    }
}

#[test]
fn names_that_differ_have_hashes_that_differ() {
    // Numbers at the front, in the middle and at the end; and the same byte in names of every length.
    let numbered =
        (0..40_000).flat_map(|n| [format!("{n}"), format!("site/{n}/temperature"), format!("t/{n:012}")]);
    let repeated = (1..200).map(|len| "a".repeat(len));
    let names: Vec<String> = numbered.chain(repeated).collect();
    let hashes: std::collections::HashSet<u64> =
        names.iter().map(|name| topic::hash(name.as_bytes())).collect();
    assert_eq!(hashes.len(), names.len());
    // In a table of twice as many places, hardly anything lies far from home.
    let mask = (names.len() * 2).next_power_of_two() - 1;
    let mut homes = vec![0u8; mask + 1];
    names.iter().for_each(|name| homes[topic::hash(name.as_bytes()) as usize & mask] += 1);
    assert!(homes.iter().max() < Some(&9), "{:?}", homes.iter().max());
}

#[test]
fn a_plain_publish_is_found() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { 7 };
        let mut bytes = Vec::new();
        let publish =
            Publish { qos, packet_id, topic: "a/b", payload: b"x", retain: true, ..Publish::default() };
        publish.encode(Version::V311, &mut bytes).unwrap();
        let total = bytes.len();
        bytes.push(0x30);
        let (found_total, head) = PlainPublish::find::<false>(&bytes).unwrap();
        assert_eq!(found_total, total);
        let found = PlainPublish::decode::<false>(&bytes[..total], head, b"").unwrap();
        assert_eq!(found.topic_hash, Some(topic::hash(b"a/b")));
        assert_eq!((found.publish.topic, found.publish.payload), (&b"a/b"[..], &b"x"[..]));
        assert_eq!(PlainPublish::decode::<false>(&bytes[..total], head, b"a/b").unwrap().topic_hash, None);
    }
}

/// What the fast encoders write is what the general ones do.
#[test]
fn a_plain_publish_is_written() {
    for (version, qos, size) in ALL.into_iter().flat_map(|version| {
        let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        qos.into_iter().flat_map(move |qos| [0, 117, 118, 119, 120, 16_000].map(|size| (version, qos, size)))
    }) {
        let payload = vec![b'x'; size];
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { 0x1234 };
        let packet = Outgoing::from(&Publish {
            qos,
            packet_id,
            topic: "a/b",
            payload: &payload,
            ..Publish::default()
        });
        let mut general = Vec::new();
        packet.encode(version, &mut general).unwrap();
        let mut fast = vec![0; packet.plain_len(version).unwrap()];
        packet.write_plain(version, &mut fast);
        assert_eq!(fast, general);
        if qos != QoS::AtMostOnce {
            let mut tail = vec![0; 3 + 2 + size];
            packet.write_tail(&mut tail);
            fast.fill(0);
            packet.write_plain_with(version, &tail, &mut fast);
            assert_eq!(fast, general);
        }
        if version == Version::V5 {
            general.clear();
            packet.encode_aliased(0x0203, true, &mut general).unwrap();
            let mut fast = vec![0; packet.alias_len().unwrap()];
            packet.write_alias(0x0203, &mut fast);
            assert_eq!(fast, general);
        }
    }
}
