//! CONNECT, CONNACK, DISCONNECT, and what the server announces.

use std::sync::Arc;

use mgos_mqtt::client::{ProfileSource, Report};
use mgos_mqtt::config::{Profile, Protocol, Settings, Will};
use mgos_mqtt::error::Code;
use mgos_mqtt::wire::PropertyValue::{Byte, FourByte, Pair, TwoByte, Utf8};
use mgos_mqtt::wire::{Carrier, Disconnect, Packet, PacketType, Properties, PropertyBlock, PropertyId, QoS};

use crate::rig::{Client, Q0, Q1, Q2, Server, Told, block, profile};

/// The client's CONNECT, with these changes of the profile, given to `look`.
fn connect_of(change: impl FnOnce(&mut Profile), look: impl FnOnce(&mgos_mqtt::wire::Connect<'_>)) {
    let server = Server::new();
    let mut profile = profile(server.address());
    change(&mut profile);
    let client = Client::new(profile, Settings::default());
    client.conn.connect().unwrap();
    server.accept().next(|packet| match packet {
        Packet::Connect(connect) => look(connect),
        other => panic!("{other:?}"),
    });
}

/// mqtt5: MQTT-3.1.2-23
#[test]
fn a_session_is_kept_for_ever_or_not_at_all_unless_something_else_is_said() {
    let expiry = |connect: &mgos_mqtt::wire::Connect<'_>| {
        (connect.clean_session, connect.properties.number(PropertyId::SessionExpiryInterval))
    };
    connect_of(|p| p.clean_session = true, |connect| assert_eq!(expiry(connect), (true, None)));
    connect_of(|p| p.clean_session = false, |connect| assert_eq!(expiry(connect), (false, Some(u32::MAX))));
    let hour = block(PacketType::Connect, &[(PropertyId::SessionExpiryInterval, FourByte(3600))]);
    for clean in [true, false] {
        let change = |p: &mut Profile| {
            (p.clean_session, p.connect_properties) = (clean, hour.clone());
        };
        connect_of(change, |connect| assert_eq!(expiry(connect), (clean, Some(3600))));
    }
}

/// mqtt5: MQTT-3.1.2-9
#[test]
fn connect_carries_its_properties_and_those_of_the_will() {
    let list = [
        (PropertyId::ReceiveMaximum, TwoByte(7)),
        (PropertyId::UserProperty, Pair("a", "1")),
        (PropertyId::UserProperty, Pair("a", "2")),
    ];
    let will = [(PropertyId::WillDelayInterval, FourByte(9)), (PropertyId::ContentType, Utf8("text"))];
    let change = |p: &mut Profile| {
        p.connect_properties = block(PacketType::Connect, &list);
        let properties = PropertyBlock::new(Properties::from_list(&will), Carrier::Will).unwrap();
        p.will = Some(Will { topic: "gone".into(), properties, ..Will::default() });
    };
    connect_of(change, |connect| {
        assert_eq!(connect.properties, Properties::from_list(&list));
        assert_eq!(connect.will.unwrap().properties, Properties::from_list(&will));
    });
}

/// mqtt5: MQTT-3.1.0-1 MQTT-3.1.0-2 MQTT-3.14.1-1 MQTT-3.14.4-1 MQTT-3.14.4-2
#[test]
fn the_first_packet_is_connect_and_the_last_one_disconnect() {
    let server = Server::new();
    let client = Client::new(profile(server.address()), Settings::default());
    client.publish("t", b"x", Q1);
    client.conn.connect().unwrap();
    assert_eq!(client.conn.connect(), Ok(()), "once more changes nothing");
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &[]);
    client.up();
    link.expect(PacketType::Publish);
    client.subscribe("f", Q1);
    link.expect(PacketType::Subscribe);
    client.conn.disconnect().unwrap();
    // What comes meanwhile is not answered any more, and the client closes the link.
    link.publish("t", Q1, 7, &[]);
    assert_eq!(link.disconnect(), 0);
}

#[test]
fn a_password_needs_no_user_name() {
    let change = |p: &mut Profile| p.pass = Some(mgos_mqtt::config::Secret(b"token".to_vec()));
    connect_of(change, |connect| {
        assert_eq!((connect.user_name, connect.password), (None, Some(b"token".as_slice())));
    });
}

/// mqtt5: MQTT-3.1.3-2
#[test]
fn the_client_id_that_the_server_assigned_is_used_again() {
    let server = Server::new();
    let unnamed = Profile { client_id: None, ..profile(server.address()) };
    let assigned = [(PropertyId::AssignedClientIdentifier, Utf8("auto-1"))];
    let (client, link) = server.connected_as(unnamed, Settings::default(), &assigned);
    drop(link);
    assert_eq!(client.closed().code, Code::ClosedByServer);
    server.accept().next(|packet| match packet {
        Packet::Connect(connect) => assert_eq!(connect.client_id, "auto-1"),
        other => panic!("{other:?}"),
    });
}

/// The session is that of the client id: with another one, what the server says it kept is not what this client knew.
/// mqtt3: MQTT-3.1.3-2
/// mqtt5: MQTT-3.1.3-2
#[test]
fn another_client_id_is_another_session() {
    for (protocol, dup) in
        [(Protocol::V311, &b"\x3c\x06\0\x01t\0\x05x"[..]), (Protocol::V5, b"\x3c\x07\0\x01t\0\x05\0x")]
    {
        for (client_id, again) in [("c", false), ("other", true)] {
            let server = Server::new();
            let accept = || if protocol == Protocol::V5 { server.accept() } else { server.accept_old() };
            let first = Profile { protocol, clean_session: false, ..profile(server.address()) };
            let client = Client::new(first.clone(), Settings::default());
            client.conn.connect().unwrap();
            let mut link = accept();
            link.expect(PacketType::Connect);
            link.connack(false, 0, &[]);
            client.up();
            link.publish("t", Q2, 5, &[]);
            assert_eq!((client.message().0.as_str(), link.bytes()), ("t", vec![0x50, 2, 0, 5]));

            let next = Profile { client_id: Some(client_id.into()), ..first };
            client.conn.set_profile(ProfileSource::Fixed(Arc::new(next))).unwrap();
            assert_eq!(link.disconnect(), 0);
            client.closed();
            let mut link = accept();
            link.next(|packet| match packet {
                Packet::Connect(connect) => assert_eq!(connect.client_id, client_id),
                other => panic!("{other:?}"),
            });
            link.connack(true, 0, &[]);
            client.up();
            link.write(dup);
            assert_eq!(link.bytes(), [0x50, 2, 0, 5]);
            link.publish("end", Q0, 0, &[]);
            let told = client.message().0;
            assert_eq!(told, if again { "t" } else { "end" }, "{protocol:?} {client_id}");
        }
    }
}

/// mqtt5: MQTT-3.1.2-21 MQTT-3.2.2-21
#[test]
fn the_server_has_the_last_word_on_the_keep_alive() {
    let server = Server::new();
    // The test would wait for a minute, if it had not.
    let connack = [(PropertyId::ServerKeepAlive, TwoByte(1))];
    let (_client, mut link) = server.connected(Settings::default(), &connack);
    link.expect(PacketType::PingReq);
}

/// mqtt5: MQTT-4.13.2-1
#[test]
fn handlers_learn_what_connack_says_and_why_it_refuses() {
    let server = Server::new();
    let client = Client::new(profile(server.address()), Settings::default());
    client.conn.connect().unwrap();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    let list =
        [(PropertyId::ReasonString, Utf8("come back later")), (PropertyId::UserProperty, Pair("k", "v"))];
    link.connack(false, 0x89, &list);
    let Told::Failed { code, connack, properties } = client.told() else { panic!() };
    assert_eq!((code, connack), (Code::RefusedUnavailable, Some(0x89)));
    assert_eq!(properties, block(PacketType::ConnAck, &list));
    link.ended();
    let report = client.conn.report();
    let said = "(CONNACK 0x89: Server busy; the server says \"come back later\")";
    assert!(report.text.contains(said), "{}", report.text);

    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &[(PropertyId::MaximumQoS, Byte(1))]);
    let properties = client.up();
    assert_eq!(properties.properties().number(PropertyId::MaximumQoS), Some(1));
}

/// mqtt5: MQTT-4.13.2-1
#[test]
fn the_servers_disconnect_says_why_it_closes() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let list = [
        (PropertyId::ReasonString, Utf8("elsewhere")),
        (PropertyId::ServerReference, Utf8("other.example:1883")),
    ];
    let properties = Properties::from_list(&list);
    link.send(&Packet::Disconnect(Disconnect { reason: 0x9c, properties }));
    let report: Report = client.closed();
    assert_eq!((report.code, report.reason), (Code::ClosedByServer, Some(0x9c)));
    assert_eq!(report.properties.properties(), properties);
    link.ended();
    let said = "(DISCONNECT 0x9c: Use another server; the server says \"elsewhere\"; it names \"other.example:1883\" as another server)";
    assert!(report.text.contains(said), "{}", report.text);
    // It is tried again.
    server.accept();
}

/// What the server sends, with a CONNECT that has these properties, and the reason of the DISCONNECT that follows.
#[track_caller]
fn forbidden(connect: &[mgos_mqtt::wire::Property<'_>], bytes: &[u8]) -> (Code, u8) {
    let server = Server::new();
    let connect_properties = block(PacketType::Connect, connect);
    let profile = Profile { connect_properties, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
    link.write(bytes);
    let reason = link.disconnect();
    (client.closed().code, reason)
}

/// mqtt5: MQTT-4.13.1-1 MQTT-4.13.2-1
#[test]
fn what_a_server_must_not_send_is_answered_with_the_reason() {
    // A malformed packet, a protocol error, and the three limits of CONNECT.
    assert_eq!(forbidden(&[], b"\x36\x05\0\x01t\0\x01"), (Code::Protocol, 0x81));
    assert_eq!(forbidden(&[], b"\x20\x03\0\0\0"), (Code::Protocol, 0x82));
    let two = [(PropertyId::ReceiveMaximum, TwoByte(2))];
    let three = b"\x34\x06\0\x01t\0\x01\0\x34\x06\0\x01t\0\x02\0\x34\x06\0\x01t\0\x03\0";
    let server = Server::new();
    let connect_properties = block(PacketType::Connect, &two);
    let profile = Profile { connect_properties, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
    link.write(three);
    for id in [1, 2] {
        client.message();
        assert_eq!(link.bytes(), [0x50, 2, 0, id]);
    }
    assert_eq!((link.disconnect(), client.closed().code), (0x93, Code::Protocol));

    let alias = |value: u8| [0x30, 8, 0, 1, b't', 3, 0x23, 0, value, b'x'];
    let most = [(PropertyId::TopicAliasMaximum, TwoByte(2))];
    assert_eq!(forbidden(&[], &alias(1)), (Code::Protocol, 0x94));
    assert_eq!(forbidden(&most, &alias(0)), (Code::Protocol, 0x94));
    assert_eq!(forbidden(&most, &alias(3)), (Code::Protocol, 0x94));
    // One that was never set.
    assert_eq!(forbidden(&most, b"\x30\x07\0\0\x03\x23\0\x01x"), (Code::Protocol, 0x82));
    let small = [(PropertyId::MaximumPacketSize, FourByte(20))];
    assert_eq!(forbidden(&small, b"\x30\x13\0\x01t\0xxxxxxxxxxxxxxx"), (Code::Oversize, 0x95));
}

/// mqtt5: MQTT-3.7.2-1 MQTT-4.3.3-11
#[test]
fn what_the_window_allows_is_counted_until_it_is_acknowledged() {
    let server = Server::new();
    let connect_properties = block(PacketType::Connect, &[(PropertyId::ReceiveMaximum, TwoByte(1))]);
    let profile = Profile { connect_properties, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
    for id in 1..4 {
        link.publish("t", Q1, id, &[]);
        client.message();
        assert_eq!(link.bytes(), [0x40, 2, 0, id as u8]);
        link.publish("t", Q2, id, &[]);
        client.message();
        assert_eq!(link.bytes(), [0x50, 2, 0, id as u8]);
        link.write(&[0x62, 2, 0, id as u8]);
        assert_eq!(link.bytes(), [0x70, 2, 0, id as u8]);
    }
    // A PUBREL for nothing is answered so that the server knows.
    link.write(&[0x62, 2, 0, 9]);
    assert_eq!(link.bytes(), [0x70, 3, 0, 9, 0x92]);
}

/// The server is told how much the queue holds, unless the application says something else.
#[test]
fn a_queue_is_a_receive_maximum() {
    let server = Server::new();
    let of_application = block(PacketType::Connect, &[(PropertyId::ReceiveMaximum, TwoByte(3))]);
    for (queue, connect_properties, expected) in [
        (false, PropertyBlock::EMPTY, None),
        (true, PropertyBlock::EMPTY, Some(7)),
        (true, of_application, Some(3)),
    ] {
        let profile = Profile { connect_properties, ..profile(server.address()) };
        let settings = Settings { receive_queue_length: 7, ..Settings::default() };
        let client = Client::new(profile, settings);
        if queue {
            client.conn.subscribe_queue("t", Q1).unwrap();
        }
        client.conn.connect().unwrap();
        server.accept().next(|packet| match packet {
            Packet::Connect(connect) => {
                assert_eq!(connect.properties.number(PropertyId::ReceiveMaximum), expected);
            }
            other => panic!("{other:?}"),
        });
    }
}

/// mqtt5: MQTT-3.3.2-7 MQTT-3.3.2-10
#[test]
fn an_alias_stands_for_its_topic_until_the_connection_ends() {
    let server = Server::new();
    let connect_properties = block(PacketType::Connect, &[(PropertyId::TopicAliasMaximum, TwoByte(3))]);
    let profile = Profile { connect_properties, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
    let alias = |n| [(PropertyId::TopicAlias, TwoByte(n))];
    let topic = || client.message().0;
    link.publish("first", Q0, 0, &alias(1));
    assert_eq!(topic(), "first");
    link.publish("third", Q1, 1, &alias(3));
    assert_eq!(topic(), "third");
    for (qos, id) in [(Q0, 0), (Q1, 2), (Q2, 3), (Q0, 0)] {
        link.publish("", qos, id, &alias(1));
        assert_eq!(topic(), "first");
        link.publish("", qos, id + 10 * id.min(1), &alias(3));
        assert_eq!(topic(), "third");
    }
    link.publish("other", Q0, 0, &alias(1));
    link.publish("", Q0, 0, &alias(1));
    assert_eq!((topic(), topic()), ("other".into(), "other".into()));
    // On the next connection it is nothing.
    drop(link);
    client.closed();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &[]);
    client.up();
    link.publish("", Q0, 0, &alias(1));
    assert_eq!(link.disconnect(), 0x82);
}

#[test]
fn a_message_comes_with_its_properties() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let list = [
        (PropertyId::ContentType, Utf8("text/plain")),
        (PropertyId::UserProperty, Pair("k", "2")),
        (PropertyId::UserProperty, Pair("k", "1")),
    ];
    for (qos, id) in [(Q0, 0), (Q1, 1), (Q2, 2)] {
        link.publish("t", qos, id, &list);
        let (topic, payload, properties) = client.message();
        assert_eq!((topic.as_str(), payload.as_slice()), ("t", b"x".as_slice()));
        assert_eq!(properties.properties(), Properties::from_list(&list));
    }
}

#[test]
fn an_acknowledgement_says_more() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let list = [(PropertyId::ReasonString, Utf8("no room"))];
    let properties = Properties::from_list(&list);
    for qos in [Q1, Q2] {
        let token = client.publish("t", b"x", qos);
        let id = link.next(|packet| match packet {
            Packet::Publish(publish) => publish.packet_id,
            other => panic!("{other:?}"),
        });
        let ack = mgos_mqtt::wire::Ack { packet_id: id, reason: 0x97, properties };
        if qos == QoS::AtLeastOnce {
            link.send(&Packet::PubAck(ack));
            let Told::Acked { reason, properties: told } = client.told() else { panic!() };
            assert_eq!((reason, told.properties()), (0x97, properties));
        } else {
            link.send(&Packet::PubRec(ack));
        }
        assert_eq!(client.ended(), (token, mgos_mqtt::session::Outcome::Rejected(0x97)));
    }
}
