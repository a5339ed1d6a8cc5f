//! What the server allows: nothing else is sent.

use mgos_mqtt::client::Identity;
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::{Outcome, Publication, Request};
use mgos_mqtt::wire::PropertyValue::{Byte, FourByte, VarInt};
use mgos_mqtt::wire::{Packet, PacketType, Property, PropertyId};

use crate::rig::{Client, Q0, Q1, Q2, Server, Tell, Told, block, profile};

const MAXIMUM_QOS_1: Property<'static> = (PropertyId::MaximumQoS, Byte(1));
const NO_RETAIN: Property<'static> = (PropertyId::RetainAvailable, Byte(0));
const SMALL: Property<'static> = (PropertyId::MaximumPacketSize, FourByte(40));

/// mqtt5: MQTT-3.2.2-11 MQTT-3.2.2-14 MQTT-3.2.2-15
#[test]
fn a_publish_over_a_limit_is_refused_before_anything_is_sent() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[MAXIMUM_QOS_1, NO_RETAIN, SMALL]);
    let publish = |message| client.conn.publish(message).map(|accepted| accepted.token);
    for qos in [Q0, Q1, Q2] {
        let retained = Publication { retain: true, ..Publication::new("t", b"x", qos) };
        assert_eq!(publish(retained), Err(Code::ServerLimit));
        assert_eq!(publish(Publication::new("t", &[b'x'; 40], qos)), Err(Code::TooLarge));
    }
    assert_eq!(publish(Publication::new("t", b"x", Q2)), Err(Code::ServerLimit));
    // Nothing of this went out.
    publish(Publication::new("t", b"the first", Q1)).unwrap();
    link.next(|packet| match packet {
        Packet::Publish(publish) => assert_eq!(publish.payload, b"the first"),
        other => panic!("{other:?}"),
    });
}

/// mqtt5: MQTT-3.2.2-11 MQTT-3.2.2-14 MQTT-3.2.2-15
#[test]
fn what_was_accepted_before_is_measured_again() {
    let server = Server::new();
    let profile = Profile { clean_session: false, ..profile(server.address()) };
    let client = Client::new(profile, Settings::default());
    let publish = |message| client.conn.publish(message).unwrap().token;
    let large = publish(Publication::new("t", &[b'x'; 40], Q1));
    let retained = publish(Publication { retain: true, ..Publication::new("t", b"x", Q1) });
    let twice = publish(Publication::new("t", b"x", Q2));
    let fine = publish(Publication::new("t", b"fine", Q1));
    client.conn.connect().unwrap();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &[MAXIMUM_QOS_1, NO_RETAIN, SMALL]);
    client.up();
    assert_eq!(client.ended(), (large, Outcome::Rejected(0x95)));
    assert_eq!(client.ended(), (retained, Outcome::Rejected(0x9a)));
    assert_eq!(client.ended(), (twice, Outcome::Rejected(0x9b)));
    let id = link.next(|packet| match packet {
        Packet::Publish(publish) if publish.payload == b"fine" => publish.packet_id,
        other => panic!("{other:?}"),
    });
    // A server that allows less after a reconnect: what it may have seen already is not sent again either.
    drop(link);
    client.closed();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(true, 0, &[(PropertyId::MaximumQoS, Byte(0))]);
    let _ = (id, client.up());
    assert_eq!(client.ended(), (fine, Outcome::Rejected(0x9b)));
    client.publish("t", b"next", Q0);
    link.next(|packet| match packet {
        Packet::Publish(publish) => assert_eq!(publish.payload, b"next"),
        other => panic!("{other:?}"),
    });
}

/// An identified subscription.
fn identified(identifier: u32) -> Request {
    let block = block(PacketType::Subscribe, &[(PropertyId::SubscriptionIdentifier, VarInt(identifier))]);
    Request { properties: Some(block.into()), ..Request::from(Q1) }
}

#[test]
fn a_filter_that_the_server_does_not_allow_is_not_asked_for() {
    let none = |id| [(id, Byte(0))];
    let cases = [
        ("a/+", Request::from(Q1), none(PropertyId::WildcardSubscriptionAvailable), 0xa2),
        ("$share/g/a", Request::from(Q1), none(PropertyId::SharedSubscriptionAvailable), 0x9e),
        ("a", identified(7), none(PropertyId::SubscriptionIdentifierAvailable), 0xa1),
        ("a/long/filter/over/the/limit/of/the/packet", Request::from(Q1), [SMALL], 0x95),
    ];
    for (filter, request, connack, code) in cases {
        let subscribe = |client: &Client| {
            let nobody = Box::new(Tell(|_: &mgos_mqtt::client::Event<'_>| {}));
            client.conn.subscribe(filter, request.clone(), Identity(3, 3), 0, nobody)
        };
        // With a connection the call says so.
        let server = Server::new();
        let (client, mut link) = server.connected(Settings::default(), &connack);
        assert_eq!(subscribe(&client), Err(Code::ServerLimit));
        client.subscribe("allowed", Q1);
        let names = link.next(|packet| match packet {
            Packet::Subscribe(subscribe) => {
                subscribe.filters().map(|(f, _)| f.to_owned()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(names, ["allowed"]);

        // Without one, what is told is as if the server had refused it.
        let server = Server::new();
        let client = Client::new(profile(server.address()), Settings::default());
        subscribe(&client).unwrap();
        client.subscribe("allowed", Q1);
        client.conn.connect().unwrap();
        let mut link = server.accept();
        link.expect(PacketType::Connect);
        link.connack(false, 0, &connack);
        client.up();
        let Told::Granted(refused, with) = client.told() else { panic!() };
        assert_eq!((refused.as_str(), with), (filter, code));
        let names = link.next(|packet| match packet {
            Packet::Subscribe(subscribe) => {
                subscribe.filters().map(|(f, _)| f.to_owned()).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(names, ["allowed"]);
    }
}

/// mqtt5: MQTT-3.2.2-15
#[test]
fn many_filters_fit_the_servers_packets() {
    let server = Server::new();
    let client = Client::new(profile(server.address()), Settings::default());
    let filters: Vec<String> = (0..20).map(|n| format!("filter/{n:02}")).collect();
    for filter in &filters {
        client.subscribe(filter, Q1);
    }
    client.conn.connect().unwrap();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &[(PropertyId::MaximumPacketSize, FourByte(50))]);
    let mut names = Vec::new();
    while names.len() < filters.len() {
        let bytes = link.bytes();
        assert!(bytes.len() <= 50, "{}", bytes.len());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        names.extend(filters.iter().filter(|f| text.contains(f.as_str())).cloned());
    }
    assert_eq!(names, filters);
}

/// mqtt5: MQTT-4.5.0-2
#[test]
fn only_what_is_announced_limits_the_servers_packets() {
    // The receive limit alone skips, and the link lives.
    let server = Server::new();
    let profile = Profile { recv_limit: 100, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
    let mut large = vec![0x32, 0x81, 0x01, 0, 1, b't', 0, 9, 0];
    large.resize(3 + 0x81, b'x');
    link.write(&large);
    assert_eq!(link.bytes(), [0x40, 2, 0, 9]);
    link.publish("t", Q0, 0, &[]);
    assert_eq!(client.message().0, "t");
}
