//! Servers that send the client to another one.

use mgos_mqtt::config::{Profile, Redirect, Secret, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::PropertyValue::Utf8;
use mgos_mqtt::wire::{Disconnect, Packet, PacketType, Properties, PropertyId, Version};

use crate::rig::{Client, Link, Q2, Server, Told, profile};

const MOVED: u8 = 0x9d;
const ANOTHER: u8 = 0x9c;

/// No wait is ever over, unless there is none.
fn client(server: &Server, redirect: Redirect) -> Client {
    let hour = Span::secs(3600);
    let profile = Profile {
        clean_session: false,
        reconnect_min: hour,
        reconnect_max: hour,
        user: Some("user".into()),
        pass: Some(Secret(b"secret".to_vec())),
        ..profile(server.address())
    };
    let client = Client::new(profile, Settings { redirect, ..Settings::default() });
    client.conn.connect().unwrap();
    client
}

fn accept(server: &Server) -> Link {
    let mut link = server.accept();
    link.next(|packet| match packet {
        Packet::Connect(connect) => {
            assert_eq!((connect.version, connect.user_name), (Version::V5, Some("user")));
        }
        other => panic!("{other:?}"),
    });
    link
}

fn refuse(link: &mut Link, code: u8, reference: &str) {
    link.connack(false, code, &[(PropertyId::ServerReference, Utf8(reference))]);
}

fn send_away(link: &mut Link, reference: &str) {
    let list = [(PropertyId::ServerReference, Utf8(reference))];
    link.send(&Packet::Disconnect(Disconnect { reason: ANOTHER, properties: Properties::from_list(&list) }));
}

#[track_caller]
fn failed(client: &Client, wanted: u8, reference: &str) -> String {
    let Told::Failed { code: Code::RefusedOther, connack, properties } = client.told() else {
        panic!("not failed")
    };
    assert_eq!(connack, Some(wanted));
    assert_eq!(properties.properties().text(PropertyId::ServerReference), Some(reference));
    client.conn.report().text
}

#[test]
fn by_connack_and_by_disconnect_the_other_server_is_next_at_once() {
    let [one, two] = [(); 2].map(|()| Server::new());
    let there = two.address().to_string();
    let client = client(&one, Redirect::SameDomain);
    let mut link = accept(&one);
    // The first of the list that may be followed.
    let list = format!("elsewhere.example {there}");
    refuse(&mut link, MOVED, &list);
    let text = failed(&client, MOVED, &list);
    assert!(text.contains("0x9d: Server moved") && text.contains("which is tried next"), "{text}");
    let mut link = accept(&two);
    link.connack(false, 0, &[]);
    client.up();
    assert_eq!(client.conn.status().server, format!("mqtt://{there}"));
    // From there to a third and back to the second one, which are hops of the same way.
    let three = Server::new();
    send_away(&mut link, &three.address().to_string());
    let report = client.closed();
    assert_eq!((report.code, report.reason), (Code::ClosedByServer, Some(ANOTHER)));
    let mut link = accept(&three);
    link.connack(false, 0, &[]);
    client.up();
    send_away(&mut link, &there);
    client.closed();
    let mut link = accept(&two);
    link.connack(false, 0, &[]);
    client.up();
    // A fourth is too much.
    send_away(&mut link, &three.address().to_string());
    let text = client.closed().text;
    assert!(text.contains("not followed, since three servers in a row have sent the client on"), "{text}");
    client.conn.connect().unwrap();
    // The configured one, with a new account of hops.
    refuse(&mut accept(&one), ANOTHER, &there);
    failed(&client, ANOTHER, &there);
    accept(&two).connack(false, 0, &[]);
    client.up();
}

#[test]
fn what_is_not_followed_is_an_end_like_any_other() {
    for (policy, reference, why) in [
        (Redirect::Never, "127.0.0.1:1", "since the option redirect does not allow it"),
        (Redirect::SameDomain, "127.0.0.2:1", "in another domain"),
        (Redirect::Any, "mqtt://127.0.0.1:1", "not a name with a port or without"),
        (Redirect::Any, "", "it names no server"),
    ] {
        let server = Server::new();
        let client = client(&server, policy);
        refuse(&mut accept(&server), ANOTHER, reference);
        let text = failed(&client, ANOTHER, reference);
        assert!(text.contains(": not followed, ") && text.contains(why), "{text}");
        // The next attempt is one at the same server.
        client.conn.connect().unwrap();
        accept(&server);
    }
    // Other reasons do not send anybody anywhere.
    let server = Server::new();
    let client = client(&server, Redirect::Any);
    let there = Server::new().address().to_string();
    refuse(&mut accept(&server), 0x97, &there);
    let text = failed(&client, 0x97, &there);
    assert!(!text.contains("followed") && !text.contains("tried next"), "{text}");
    client.conn.connect().unwrap();
    accept(&server);
}

/// Who gives up meanwhile is not sent on.
#[test]
fn a_redirection_ends_with_the_wish_to_be_connected() {
    let [one, two] = [(); 2].map(|()| Server::new());
    let client = client(&one, Redirect::Any);
    let mut link = accept(&one);
    link.connack(false, 0, &[]);
    client.up();
    client.conn.disconnect().unwrap();
    link.expect(PacketType::Disconnect);
    send_away(&mut link, &two.address().to_string());
    drop(link);
    client.closed();
    client.conn.connect().unwrap();
    accept(&one);
}

/// A server that only sends the client on has not taken the session over from the one that has it: what that one sends again
/// is still known.
#[test]
fn a_message_of_qos_2_comes_once_also_by_way_of_another_server() {
    let [one, two] = [(); 2].map(|()| Server::new());
    let there = two.address().to_string();
    let client = client(&one, Redirect::Any);
    client.subscribe("t", Q2);
    refuse(&mut accept(&one), ANOTHER, &there);
    failed(&client, ANOTHER, &there);
    let mut link = accept(&two);
    link.connack(false, 0, &[]);
    client.up();
    link.expect(PacketType::Subscribe);
    link.publish("t", Q2, 7, &[]);
    client.message();
    link.expect(PacketType::PubRec);
    drop(link);
    client.closed();
    client.conn.connect().unwrap();
    refuse(&mut accept(&one), ANOTHER, &there);
    failed(&client, ANOTHER, &there);
    let mut link = accept(&two);
    link.connack(true, 0, &[]);
    client.up();
    link.publish("t", Q2, 7, &[]);
    // Acknowledged, and not told again; then a new one is.
    while link.bytes()[0] >> 4 != PacketType::PubRec as u8 {}
    link.publish("u", Q2, 8, &[]);
    assert_eq!(client.message().0, "u");
    link.expect(PacketType::PubRec);
    client.conn.disconnect().unwrap();
    link.expect(PacketType::Disconnect);
    drop(link);
    client.closed();
}
