//! Properties of a publish: between packet id and payload in MQTT 5.0, nowhere before.

use super::*;

const BLOCK: [wire::Property<'static>; 3] = [
    (PropertyId::MessageExpiryInterval, PropertyValue::FourByte(60)),
    (PropertyId::ContentType, PropertyValue::Utf8("text/plain")),
    (PropertyId::UserProperty, PropertyValue::Pair("name", "value")),
];

fn with_block(qos: QoS) -> Publication<'static> {
    Publication { properties: Properties::from_list(&BLOCK), ..Publication::new("a/b", b"hello", qos) }
}

fn rig(version: Version) -> Rig {
    let mut rig = Rig::new(Limits::default());
    rig.connect.version = version;
    rig
}

/// CONNACK 0, as the version has it.
fn accept(rig: &mut Rig, session_present: bool) {
    let mut bytes = Vec::new();
    let connack = ConnAck { session_present, code: 0, properties: Properties::EMPTY };
    Packet::ConnAck(connack).encode(rig.connect.version, &mut bytes).unwrap();
    rig.feed(&bytes);
}

/// Takes a PUBLISH and compares it with the message.
#[track_caller]
fn expect(rig: &mut Rig, version: Version, message: &Publication<'_>, properties: Properties<'_>, dup: bool) {
    let bytes = rig.s.output().pending().to_vec();
    rig.s.wrote(rig.now, bytes.len());
    let header = Header::parse(&bytes).unwrap().unwrap();
    let body = &bytes[usize::from(header.header_len)..header.total()];
    let Packet::Publish(sent) = Packet::decode(version, &header, body).unwrap() else { panic!("{header:?}") };
    assert_eq!((sent.topic.as_bytes(), sent.payload), (message.topic.as_bytes(), message.payload));
    assert_eq!((sent.qos, sent.dup, sent.properties), (message.qos, dup, properties));
    assert_eq!(header.total(), bytes.len());
}

#[test]
fn they_are_kept_with_the_message() {
    for qos in [Q0, Q1, Q2] {
        let mut rig = rig(Version::V5);
        rig.open();
        accept(&mut rig, false);
        let message = with_block(qos);
        rig.s.publish(&message).unwrap();
        let held = if qos == Q0 { 0 } else { message.properties.encoded_len() + "a/bhello".len() };
        assert_eq!(rig.s.levels().queued_bytes, held);
        expect(&mut rig, Version::V5, &message, message.properties, false);
        if qos != Q0 {
            rig.down();
            rig.open();
            accept(&mut rig, true);
            expect(&mut rig, Version::V5, &message, message.properties, true);
            // A server that does not know them gets the message without.
            rig.down();
            rig.connect.version = Version::V311;
            rig.open();
            accept(&mut rig, true);
            expect(&mut rig, Version::V311, &message, Properties::EMPTY, true);
        }
    }
}

#[test]
fn mqtt_3_refuses_them_and_so_does_mqtt_5_if_they_are_wrong() {
    let twice = [BLOCK[0], BLOCK[0]];
    for qos in [Q1, Q2] {
        // Without a connection it is not known which version comes; the client asks its configuration.
        let mut rig = rig(Version::V311);
        rig.up(false);
        assert_eq!(rig.s.publish(&with_block(qos)), Err(Code::BadArgument));
        rig.connect.version = Version::V5;
        rig.down();
        rig.open();
        rig.down();
        // It would only be found when it is sent.
        let message = Publication { properties: Properties::from_list(&twice), ..with_block(qos) };
        assert_eq!(rig.s.publish(&message), Err(Code::BadArgument));
        assert_eq!(rig.s.queue_len(), 0);
    }
}
