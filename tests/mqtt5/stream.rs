//! Messages that follow one another, with properties and without: what is told, and the bytes on the wire.

use std::ffi::CString;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use mgos_mqtt::client::{Event, Identity, Kind};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::wire::PropertyValue::{TwoByte, Utf8};
use mgos_mqtt::wire::topic::PlainTopic;
use mgos_mqtt::wire::{Packet, PacketType, Properties, Property, PropertyId, Publish, QoS, Version};

use crate::rig::{Client, LONG, Link, Q0, Q1, Q2, Server, Tell, block, profile};

const ALIASES: Property<'static> = (PropertyId::TopicAliasMaximum, TwoByte(2));

/// A client that takes two aliases, and announces so many messages that it receives at once.
fn connected(server: &Server, receive_maximum: u16) -> (Client, Link) {
    let list = [ALIASES, (PropertyId::ReceiveMaximum, TwoByte(receive_maximum))];
    let connect_properties = block(PacketType::Connect, &list);
    let profile = Profile { connect_properties, ..profile(server.address()) };
    server.connected_as(profile, Settings::default(), &[])
}

/// A handler of one filter: topic, payload, and how many properties.
fn listen(client: &Client, filter: &str, identity: usize) -> Receiver<(String, u8, usize)> {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = Tell(move |event: &Event<'_>| {
        if let Event::Message(message) = event {
            let properties = event.properties().iter().count();
            let told = (message.topic.as_str().to_owned(), message.payload[0], properties);
            let _ = tell.lock().unwrap().send(told);
        }
    });
    let identity = Identity(identity, identity);
    client.conn.subscribe(filter, Q1, identity, Kind::Message.bit(), Box::new(handler)).unwrap();
    told
}

fn message(out: &mut Vec<u8>, topic: &str, qos: QoS, id: u16, n: u8, list: &[Property<'_>]) {
    let properties = Properties::from_list(list);
    let packet_id = if qos == Q0 { 0 } else { id };
    let publish = Publish { qos, topic, packet_id, properties, payload: &[n], ..Publish::default() };
    Packet::Publish(publish).encode(Version::V5, out).unwrap();
}

#[test]
fn each_message_of_a_stream_has_its_own_topic() {
    let alias = |n| (PropertyId::TopicAlias, TwoByte(n));
    let server = Server::new();
    let (client, mut link) = connected(&server, 100);
    let told = listen(&client, "a/one", 7);
    let other = listen(&client, "b/two", 8);
    link.expect(PacketType::Subscribe);
    link.expect(PacketType::Subscribe);
    let mut bytes = Vec::new();
    let (mut expected, mut expected_other, mut acks) = (Vec::new(), Vec::new(), Vec::new());
    let mut say = |name: &str, topic: &str, qos, list: &[Property<'_>]| {
        let n = acks.len() as u8;
        message(&mut bytes, topic, qos, u16::from(n) + 1, n, list);
        acks.push((qos, n + 1));
        let expected = if name == "a/one" { &mut expected } else { &mut expected_other };
        expected.push((name.to_owned(), n, list.len()));
    };
    say("a/one", "a/one", Q0, &[alias(1)]);
    say("b/two", "b/two", Q1, &[alias(2)]);
    for qos in [Q0, Q1, Q2] {
        // Runs of one alias, of a topic, and each after the other.
        for (name, topic, number) in [
            ("a/one", "", 1),
            ("a/one", "", 1),
            ("b/two", "", 2),
            ("b/two", "b/two", 0),
            ("b/two", "b/two", 0),
            ("a/one", "", 1),
            ("a/one", "a/one", 0),
            ("b/two", "", 2),
            ("a/one", "", 1),
        ] {
            let list = [alias(number)];
            say(name, topic, qos, if number > 0 { &list } else { &[] });
        }
        // Something else among the properties, and the alias of another topic from now on.
        say("a/one", "", qos, &[alias(1), (PropertyId::ContentType, Utf8("text"))]);
        say("a/one", "a/one", qos, &[alias(2)]);
        say("a/one", "", qos, &[alias(2)]);
        say("b/two", "b/two", qos, &[alias(2)]);
        say("b/two", "", qos, &[alias(2)]);
    }
    link.write(&bytes);
    for (told, expected) in [(told, expected), (other, expected_other)] {
        for (topic, n, properties) in expected {
            let (found, payload, count) = told.recv_timeout(LONG).unwrap();
            assert_eq!((found, payload), (topic, n));
            // The alias itself need not be told.
            assert!(count == properties || count + 1 == properties, "{count} {properties}");
        }
        assert!(told.try_recv().is_err());
    }
    for (qos, id) in acks.into_iter().filter(|(qos, _)| *qos != Q0) {
        assert_eq!(link.bytes(), [if qos == Q1 { 0x40 } else { 0x50 }, 2, 0, id]);
    }
}

#[test]
fn a_stream_ends_where_the_limits_do() {
    // Of QoS 2, what is not released counts, also behind messages of other kinds.
    let server = Server::new();
    let (client, mut link) = connected(&server, 2);
    let mut bytes = Vec::new();
    for (qos, id) in [(Q2, 1), (Q0, 0), (Q1, 2), (Q2, 3)] {
        message(&mut bytes, "t", qos, id, 0, &[]);
    }
    // One is released, and comes again; then there is no place for one of QoS 1.
    bytes.extend([0x62, 2, 0, 1, 0x62, 2, 0, 9]);
    message(&mut bytes, "t", Q2, 1, 0, &[]);
    message(&mut bytes, "t", Q1, 4, 0, &[]);
    link.write(&bytes);
    for expected in [&[0x50, 2, 0, 1][..], &[0x40, 2, 0, 2], &[0x50, 2, 0, 3], &[0x70, 2, 0, 1]] {
        assert_eq!(link.bytes(), expected);
    }
    // There was no such exchange.
    assert_eq!(link.bytes(), [0x70, 3, 0, 9, 0x92]);
    assert_eq!(link.bytes(), [0x50, 2, 0, 1]);
    assert_eq!(link.disconnect(), 0x93);
    for _ in 0..5 {
        client.message();
    }
    client.closed();
}

#[test]
fn what_is_published_takes_no_byte_more_than_it_must() {
    for (given, accepted) in [(0, 10), (2, 0), (2, 10)] {
        let server = Server::new();
        let settings = Settings { topic_aliases: given, ..Settings::default() };
        let most = [(PropertyId::TopicAliasMaximum, TwoByte(accepted))];
        let (client, mut link) = server.connected(settings, if accepted > 0 { &most } else { &[] });
        for (n, topic) in (0..12).map(|n| (n, ["topic/1", "topic/2"][n % 2])) {
            let qos = [Q0, Q1, Q2][n % 3];
            let c = CString::new(topic).unwrap();
            let plain = PlainTopic::of(&c).unwrap();
            let id = client.conn.publish_numbered(plain, b"payload", qos, false).unwrap();
            let alias = if given > 0 && accepted > 0 { n as u8 % 2 + 1 } else { 0 };
            let name = if alias > 0 && n >= 2 { "" } else { topic };
            let mut body = vec![0, name.len() as u8];
            body.extend_from_slice(name.as_bytes());
            if qos != Q0 {
                body.extend(id.to_be_bytes());
            }
            body.extend_from_slice(if alias > 0 { &[3, 0x23, 0, 0] } else { &[0] });
            if let Some(last) = body.last_mut() {
                *last = alias;
            }
            body.extend(b"payload");
            let mut expected = vec![0x30 | qos.bits() << 1, body.len() as u8];
            expected.extend(body);
            assert_eq!(link.bytes(), expected, "{given} {accepted} {n}");
            let kind = [0, 0x40, 0x50][n % 3];
            if qos != Q0 {
                let [high, low] = id.to_be_bytes();
                link.write(&[kind, 2, high, low]);
            }
            if qos == Q2 {
                let pubrel = link.bytes();
                link.write(&[0x70, 2, pubrel[2], pubrel[3]]);
            }
        }
    }
}
