//! A stream of packets, read in every version of the protocol: what is read can be written and is then read as the
//! same, and what is judged before a packet is complete is judged as when it is.

use mgos_mqtt::wire::{Header, Packet, PacketType, PublishHead, QoS, Version, topic};

/// The stream.
pub fn run(data: &[u8]) {
    for version in [Version::V31, Version::V311, Version::V5] {
        packets(version, data);
    }
    topics(data);
}

fn packets(version: Version, mut bytes: &[u8]) {
    while let Ok(Some(header)) = Header::parse_as(version, bytes) {
        let start = usize::from(header.header_len);
        let whole = bytes.get(..header.total());
        for cut in 0..start {
            assert_eq!(Header::parse_as(version, &bytes[..cut]), Ok(None));
        }
        head(version, &header, bytes, whole);
        let Some(whole) = whole else { return };
        let Ok(packet) = Packet::decode(version, &header, &whole[start..]) else { return };
        assert_eq!(header.check_length(version), Ok(()));
        assert_eq!(packet.packet_type(), header.packet);
        again(version, &packet);
        bytes = &bytes[whole.len()..];
    }
}

/// The beginning of a PUBLISH is read as in the whole packet, as soon as it is there.
fn head(version: Version, header: &Header, bytes: &[u8], whole: Option<&[u8]>) {
    if header.packet != PacketType::Publish {
        return;
    }
    let start = usize::from(header.header_len);
    let decoded = whole.map(|whole| Packet::decode(version, header, &whole[start..]));
    let available = whole.unwrap_or(bytes);
    for cut in [available.len() / 2, available.len()] {
        match (PublishHead::decode(version, header, &available[..cut]), &decoded) {
            (Ok(Some(head)), Some(Ok(Packet::Publish(packet)))) => {
                assert_eq!(head.topic, packet.topic);
                assert_eq!((head.qos, head.packet_id), (packet.qos, packet.packet_id));
                assert_eq!(head.properties, packet.properties);
            }
            (Ok(None), Some(Ok(_))) => assert!(cut < available.len()),
            (Err(_), Some(Ok(_))) => panic!("the head of a good packet is refused"),
            _ => {}
        }
    }
}

/// Written and read once more.
fn again(version: Version, packet: &Packet<'_>) {
    let version = match packet {
        Packet::Connect(connect) => connect.version,
        // A server that does not know MQTT 5.0 says so in the older form.
        Packet::ConnAck(connack) if connack.code == 1 => Version::V311,
        _ => version,
    };
    let mut packet = *packet;
    if let Packet::Publish(publish) = &mut packet {
        // MQTT 3.1 does not forbid it, and does not say what it means.
        assert!(!publish.dup || publish.qos != QoS::AtMostOnce || version == Version::V31);
        publish.dup &= publish.qos != QoS::AtMostOnce;
    }
    let mut bytes = vec![0xaa];
    if let Err(error) = packet.encode(version, &mut bytes) {
        assert_eq!(bytes, [0xaa]);
        panic!("{packet:?} was read and cannot be written: {error:?}");
    }
    let bytes = &bytes[1..];
    let header = Header::parse_as(version, bytes).unwrap().unwrap();
    assert_eq!(header.total(), bytes.len());
    assert_eq!(Packet::decode(version, &header, &bytes[usize::from(header.header_len)..]), Ok(packet));
}

/// The first line is a filter, the second a name.
fn topics(data: &[u8]) {
    let mut lines = data.splitn(2, |&byte| byte == b'\n');
    let (Some(filter), Some(name)) = (lines.next(), lines.next()) else { return };
    let valid = (topic::valid_filter(filter), topic::valid_name(name));
    let (Ok(filter), Ok(name)) = (str::from_utf8(filter), str::from_utf8(name)) else {
        assert!(valid.0.is_err() || valid.1.is_err());
        return;
    };
    assert_eq!(topic::Topic::from(name).check(), valid.1);
    let matches = topic::matches(filter, name);
    if valid == (Ok(()), Ok(())) {
        // A filter without wildcards matches itself alone; a share has the members of its filter.
        let shared = topic::share(filter).map(|(_, filter)| filter);
        if shared.is_none() && !filter.contains(['#', '+']) {
            assert_eq!(matches, filter == name);
        }
        assert_eq!(topic::levels(name).collect::<Vec<_>>().join("/"), name);
    }
}
