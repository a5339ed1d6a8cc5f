//! The fast recognition of plain packets finds the same as the decoders do in the same bytes.

use mgos_mqtt::wire::{
    Ack, Header, PLAIN_ACK, Packet, PacketType, PlainPublish, Publish, QoS, Received, Version, topic,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// The versions whose packets may be looked for.
const OLD: [Version; 2] = [Version::V31, Version::V311];

/// Names of each length up to three words and more, some of which are no topic name or not ASCII.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(b'$'..=b'*', 0..40),
        3 => vec(b' '..=b'~', 0..40),
        2 => vec(any::<u8>(), 0..40),
        1 => any::<String>().prop_map(String::into_bytes),
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

/// What is found is right, and what is plain is found.
fn agrees(bytes: &[u8], known: &[u8]) -> Result<(), TestCaseError> {
    let found = PlainPublish::find(bytes)
        .and_then(|(total, head)| Some((total, PlainPublish::decode(&bytes[..total], head, known)?)));
    for version in OLD {
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
                prop_assert_eq!(format!("{:?}", decoded), format!("{:?}", found.publish));
                prop_assert_eq!(header.total(), *total);
                let hash = topic::hash(decoded.topic);
                prop_assert_eq!(found.topic_hash, (decoded.topic != known).then_some(hash));
            }
            (Err(error), Some(_)) => return Err(TestCaseError::fail(format!("{error}"))),
            (Ok(decoded), None) => {
                let odd_dup = decoded.dup && decoded.qos == QoS::AtMostOnce;
                prop_assert!(!decoded.topic.is_ascii() || header.header_len > 3 || odd_dup);
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
        damage in prop::option::of((any::<Index>(), any::<u8>())),
        cut in prop::option::of(any::<Index>()),
        knows: bool,
    ) {
        let mut rest = rest;
        rest.resize(rest.len() + [0, 200, 17_000][long], b'x');
        let mut bytes = packet(first, &name, &rest);
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
        for version in OLD {
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
        let (found_total, head) = PlainPublish::find(&bytes).unwrap();
        assert_eq!(found_total, total);
        let found = PlainPublish::decode(&bytes[..total], head, b"").unwrap();
        assert_eq!(found.topic_hash, Some(topic::hash(b"a/b")));
        assert_eq!((found.publish.topic, found.publish.payload), (&b"a/b"[..], &b"x"[..]));
        assert_eq!(PlainPublish::decode(&bytes[..total], head, b"a/b").unwrap().topic_hash, None);
    }
}
