//! Topic aliases that the client gives, and messages whose time runs out.

use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::session::{Outcome, Publication};
use mgos_mqtt::wire::PropertyValue::{FourByte, TwoByte};
use mgos_mqtt::wire::{Packet, PacketType, Properties, Property, PropertyId};

use crate::rig::{Link, Q0, Q1, Server, profile};

const TEN: Property<'static> = (PropertyId::TopicAliasMaximum, TwoByte(10));

/// Topic, alias and payload of the next PUBLISH.
#[track_caller]
fn publish(link: &mut Link) -> (String, Option<u32>, bool) {
    link.next(|packet| match packet {
        Packet::Publish(publish) => {
            (publish.topic.to_owned(), publish.properties.number(PropertyId::TopicAlias), publish.dup)
        }
        other => panic!("{other:?}"),
    })
}

fn sent(topic: &str, alias: u32) -> (String, Option<u32>, bool) {
    (topic.to_owned(), Some(alias).filter(|alias| *alias > 0), false)
}

/// mqtt5: MQTT-3.2.2-17 MQTT-3.2.2-18 MQTT-3.3.2-7 MQTT-3.3.2-9
#[test]
fn a_topic_is_sent_once_and_its_alias_then() {
    let server = Server::new();
    let settings = Settings { topic_aliases: 2, ..Settings::default() };
    let profile = Profile { clean_session: false, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, settings, &[TEN]);
    for (topic, expected, alias) in [
        ("topic/1", "topic/1", 1),
        ("topic/1", "", 1),
        ("topic/2", "topic/2", 2),
        ("topic/1", "", 1),
        // The least recently used one makes room.
        ("topic/3", "topic/3", 2),
        ("topic/2", "topic/2", 1),
        // It is shorter than the alias.
        ("t", "t", 0),
    ] {
        client.publish(topic, b"x", Q0);
        assert_eq!(publish(&mut link), sent(expected, alias));
        assert_eq!(client.ended().1, Outcome::Sent);
    }
    client.publish("topic/2", b"x", Q1);
    assert_eq!(publish(&mut link), sent("", 1));
    // Again on the next connection: with the topic, and there it has an alias for the first time.
    drop(link);
    client.closed();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(true, 0, &[TEN]);
    client.up();
    assert_eq!(publish(&mut link), ("topic/2".into(), Some(1), true));
    client.publish("topic/2", b"x", Q0);
    assert_eq!(publish(&mut link), sent("", 1));
    // And none where the server takes none.
    client.ended();
    drop(link);
    client.closed();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(true, 0, &[]);
    client.up();
    assert_eq!(publish(&mut link), ("topic/2".into(), None, true));
}

/// mqtt5: MQTT-3.2.2-17 MQTT-3.3.2-8 MQTT-3.3.2-9
#[test]
fn the_application_may_choose_an_alias() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[TEN]);
    let say = |topic: &str, alias| {
        client.conn.publish(Publication { alias, ..Publication::new(topic, b"x", Q0) }).unwrap();
    };
    for (topic, alias, expected) in [
        ("a/b", 7, sent("a/b", 7)),
        ("a/b", 7, sent("", 7)),
        ("a/c", 7, sent("a/c", 7)),
        ("a/b", 0, sent("a/b", 0)),
        // More than the server takes: without.
        ("a/b", 11, sent("a/b", 0)),
    ] {
        say(topic, alias);
        assert_eq!(publish(&mut link), expected);
        client.ended();
    }
    // Among the properties it has no place.
    let list = [(PropertyId::TopicAlias, TwoByte(1))];
    let properties = Properties::from_list(&list);
    let message = Publication { properties, ..Publication::new("t", b"x", Q0) };
    assert_eq!(client.conn.publish(message).map(drop), Err(mgos_mqtt::error::Code::BadArgument));
}

#[test]
fn an_alias_does_not_make_a_packet_too_large() {
    let server = Server::new();
    let settings = Settings { topic_aliases: 2, ..Settings::default() };
    let small = (PropertyId::MaximumPacketSize, FourByte(20));
    let (client, mut link) = server.connected(settings, &[TEN, small]);
    client.publish("topic/1", b"12345678", Q0);
    assert_eq!(publish(&mut link), sent("topic/1", 0));
    client.publish("topic/1", b"12", Q0);
    assert_eq!(publish(&mut link), sent("topic/1", 1));
}

#[test]
fn a_message_whose_time_is_over_is_not_sent_and_a_repeated_one_has_less_left() {
    let expiring = |seconds| [(PropertyId::MessageExpiryInterval, FourByte(seconds))];
    let server = Server::new();
    let profile = Profile { clean_session: false, ..profile(server.address()) };
    let (client, mut link) = server.connected_as(profile, Settings::default(), &[]);
    let say = |seconds| {
        let list = expiring(seconds);
        let message = Publication::new("t", b"x", Q1);
        let properties = Properties::from_list(&list);
        client.conn.publish(Publication { properties, ..message }).unwrap().token
    };
    let left = |link: &mut Link| {
        link.next(|packet| match packet {
            Packet::Publish(publish) => {
                (publish.dup, publish.properties.number(PropertyId::MessageExpiryInterval).unwrap())
            }
            other => panic!("{other:?}"),
        })
    };
    say(1000);
    assert_eq!(left(&mut link), (false, 1000));
    drop(link);
    client.closed();
    // It waits at least for one second.
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    let short = say(1);
    assert_eq!(client.ended(), (short, Outcome::Expired));
    link.connack(true, 0, &[]);
    client.up();
    let (dup, seconds) = left(&mut link);
    assert!(dup && (900..1000).contains(&seconds), "{seconds}");
}
