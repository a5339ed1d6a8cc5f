//! Subscription options and identifiers.

use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Event, Identity, Kind};
use mgos_mqtt::config::Settings;
use mgos_mqtt::session::Request;
use mgos_mqtt::wire::PropertyValue::{Pair, VarInt};
use mgos_mqtt::wire::{Packet, PacketType, Properties, PropertyId, RetainHandling, SubAck, SubscribeOptions};

use crate::rig::{Q0, Q1, Server, Tell, block};

#[test]
fn options_and_properties_go_into_subscribe() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let options = SubscribeOptions {
        qos: Q1,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
    };
    let list =
        [(PropertyId::SubscriptionIdentifier, VarInt(300)), (PropertyId::UserProperty, Pair("k", "v"))];
    let properties = Some(Arc::new(block(PacketType::Subscribe, &list)));
    let nobody = || Box::new(Tell(|_: &Event<'_>| {}));
    let request = Request { options, properties };
    client.conn.subscribe("f", request, Identity(1, 2), 0, nobody()).unwrap();
    link.next(|packet| match packet {
        Packet::Subscribe(subscribe) => {
            assert_eq!(subscribe.filters().collect::<Vec<_>>(), [("f", options)]);
            assert_eq!(subscribe.properties, Properties::from_list(&list));
        }
        other => panic!("{other:?}"),
    });
}

/// What of `filters` the handlers were told, one letter for each call, for messages that carry these identifiers.
fn told(filters: &[(&str, u32)], copies: &[&[u32]]) -> String {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    let heard = Arc::new(Mutex::new(String::new()));
    for (n, (filter, identifier)) in filters.iter().enumerate() {
        let letter = (b'a' + n as u8) as char;
        let heard = heard.clone();
        let on = Box::new(Tell(move |_: &Event<'_>| heard.lock().unwrap().push(letter)));
        let mut request = Request::from(Q0);
        if *identifier > 0 {
            let list = [(PropertyId::SubscriptionIdentifier, VarInt(*identifier))];
            request.properties = Some(Arc::new(block(PacketType::Subscribe, &list)));
        }
        client.conn.subscribe(filter, request, Identity(9, n), Kind::Message.bit(), on).unwrap();
        let packet_id = link.next(|packet| match packet {
            Packet::Subscribe(subscribe) => subscribe.packet_id,
            other => panic!("{other:?}"),
        });
        link.send(&Packet::SubAck(SubAck { packet_id, properties: Properties::EMPTY, codes: &[0] }));
        client.told();
    }
    for ids in copies {
        let list: Vec<_> = ids.iter().map(|id| (PropertyId::SubscriptionIdentifier, VarInt(*id))).collect();
        link.publish("a/b", Q0, 0, &list);
    }
    // Behind all of them.
    link.publish("end", Q0, 0, &[]);
    client.message();
    let mut heard: Vec<char> = heard.lock().unwrap().chars().collect();
    heard.sort_unstable();
    heard.into_iter().collect()
}

#[test]
fn with_identifiers_each_handler_is_called_once() {
    let filters = [("a/b", 1), ("a/+", 2), ("a/#", 3)];
    // A server that sends a copy for each filter, and one that sends one for all.
    assert_eq!(told(&filters, &[&[1], &[2], &[3]]), "abc");
    assert_eq!(told(&filters, &[&[3, 1, 2]]), "abc");
    assert_eq!(told(&filters, &[&[2]]), "b");
    // Without identifiers each copy is for all, as in MQTT 3.1.1.
    assert_eq!(told(&[("a/b", 0), ("a/+", 0)], &[&[], &[]]), "aabb");
    // One that nobody here gave, from an earlier process: for all that match.
    assert_eq!(told(&filters, &[&[77]]), "abc");
    // One without may be in the same copy.
    assert_eq!(told(&[("a/b", 1), ("a/+", 0)], &[&[1]]), "ab");
    // A shared one beside one of its own.
    assert_eq!(told(&[("a/b", 1), ("$share/g/a/b", 2)], &[&[1], &[2]]), "ab");
}
