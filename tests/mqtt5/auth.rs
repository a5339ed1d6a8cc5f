//! AUTH, and DISCONNECT with a reason and properties.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use mgos_mqtt::client::{Event, Identity, Kind};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::wire::PropertyValue::{Binary, FourByte, Utf8};
use mgos_mqtt::wire::{
    Auth, Disconnect, Packet, PacketType, Properties, Property, PropertyBlock, PropertyId,
};

use crate::rig::{Client, LONG, Link, Server, Tell, block, profile};

const METHOD: Property<'static> = (PropertyId::AuthenticationMethod, Utf8("steps"));

fn data(bytes: &[u8]) -> [Property<'_>; 2] {
    [METHOD, (PropertyId::AuthenticationData, Binary(bytes))]
}

fn client(server: &Server) -> Client {
    let connect_properties = block(PacketType::Connect, &data(b"hello"));
    let client =
        Client::new(Profile { connect_properties, ..profile(server.address()) }, Settings::default());
    client.conn.connect().unwrap();
    client
}

fn send_auth(link: &mut Link, reason: u8, list: &[Property<'_>]) {
    link.send(&Packet::Auth(Auth { reason, properties: Properties::from_list(list) }));
}

#[track_caller]
fn expect_auth(link: &mut Link, reason: u8, list: &[Property<'_>]) {
    link.next(|packet| match packet {
        Packet::Auth(auth) => {
            assert_eq!((auth.reason, auth.properties), (reason, Properties::from_list(list)));
        }
        other => panic!("{other:?}"),
    });
}

/// mqtt5: MQTT-3.15.2-1 MQTT-4.12.0-3 MQTT-4.12.0-5 MQTT-4.12.1-1
#[test]
fn client_and_server_take_turns_before_connack_and_later() {
    let server = Server::new();
    let client = client(&server);
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let on = Box::new(Tell(move |event: &Event<'_>| {
        if let Event::Auth { reason, properties, attempt: 1 } = event {
            let copy = PropertyBlock::new(
                properties.properties(),
                mgos_mqtt::wire::Carrier::Packet(PacketType::Auth),
            );
            tell.lock().unwrap().send((*reason, copy.unwrap())).unwrap();
        }
    }));
    client.conn.add_handler(Identity(7, 7), Kind::Auth.bit(), on).unwrap();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    // Not its turn, without a method, with another one, with a reason code of the server.
    let say =
        |reason, list: &[Property<'_>]| client.conn.authenticate(reason, &block(PacketType::Auth, list));
    let other = [(PropertyId::AuthenticationMethod, Utf8("other"))];
    assert_eq!(say(0x19, &data(b"x")), Err(Code::Busy));
    assert_eq!(say(0x18, &[]), Err(Code::BadArgument));
    assert_eq!(say(0x18, &other), Err(Code::BadArgument));
    assert_eq!(say(0, &data(b"x")), Err(Code::BadArgument));
    send_auth(&mut link, 0x18, &data(b"challenge"));
    assert_eq!(told.recv_timeout(LONG).unwrap(), (0x18, block(PacketType::Auth, &data(b"challenge"))));
    say(0x18, &data(b"proof")).unwrap();
    expect_auth(&mut link, 0x18, &data(b"proof"));
    // The server's turn.
    assert_eq!(say(0x18, &data(b"x")), Err(Code::Busy));
    link.connack(false, 0, &data(b"welcome"));
    client.up();
    // Again, once it is up.
    assert_eq!(say(0x18, &data(b"x")), Err(Code::Busy));
    say(0x19, &data(b"again")).unwrap();
    expect_auth(&mut link, 0x19, &data(b"again"));
    assert_eq!(say(0x19, &data(b"x")), Err(Code::Busy));
    send_auth(&mut link, 0, &data(b"fine"));
    assert_eq!(told.recv_timeout(LONG).unwrap(), (0, block(PacketType::Auth, &data(b"fine"))));
    // The exchange has ended: another AUTH is an error.
    send_auth(&mut link, 0x18, &data(b"?"));
    assert_eq!((link.disconnect(), client.closed().code), (0x82, Code::Protocol));
}

/// mqtt5: MQTT-4.12.0-5 MQTT-4.12.0-6
#[test]
fn auth_out_of_turn_or_with_another_method_ends_the_link() {
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    send_auth(&mut link, 0x18, &[METHOD]);
    assert_eq!((link.disconnect(), client.closed().code), (0x82, Code::Protocol));
    let server = Server::new();
    let _client = self::client(&server);
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    send_auth(&mut link, 0x18, &[(PropertyId::AuthenticationMethod, Utf8("other"))]);
    assert_eq!(link.disconnect(), 0x82);
    // Twice, without an answer between them.
    let server = Server::new();
    let client = self::client(&server);
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    send_auth(&mut link, 0x18, &data(b"one"));
    send_auth(&mut link, 0x18, &data(b"two"));
    assert_eq!(link.disconnect(), 0x82);
    let report = client.conn.report();
    assert!(report.text.contains("AUTH twice, without waiting for an answer"), "{}", report.text);
}

/// An answer names the attempt that it is for, and is not sent on another connection.
#[test]
fn an_answer_for_an_attempt_that_is_over_is_stale() {
    let server = Server::new();
    let client = client(&server);
    let say =
        |attempt| client.conn.authenticate_for(attempt, 0x18, &block(PacketType::Auth, &data(b"proof")));
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    send_auth(&mut link, 0x18, &data(b"challenge"));
    drop(link);
    // The next one is up as far as the server's turn.
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    assert_eq!((say(1), say(3), say(2)), (Err(Code::Stale), Err(Code::Stale), Err(Code::Busy)));
    client.conn.disconnect().unwrap();
    assert_eq!(say(2), Err(Code::Stale));
    assert_eq!(say(0), Err(Code::NotConnected));
}

/// mqtt5: MQTT-3.14.2-1
#[test]
fn disconnect_can_have_a_reason_and_another_expiry() {
    let expiry =
        |seconds| block(PacketType::Disconnect, &[(PropertyId::SessionExpiryInterval, FourByte(seconds))]);
    let server = Server::new();
    let (client, mut link) = server.connected(Settings::default(), &[]);
    // The session ends with the connection, so it cannot be kept any more; and not every code is the client's.
    assert_eq!(client.conn.disconnect_with(0, expiry(9)), Err(Code::BadArgument));
    assert_eq!(client.conn.disconnect_with(0x01, PropertyBlock::EMPTY), Err(Code::BadArgument));
    assert!(client.conn.is_connected());
    client.conn.disconnect_with(0x04, expiry(0)).unwrap();
    link.next(|packet| match packet {
        Packet::Disconnect(disconnect) => {
            assert_eq!(disconnect.reason, 4);
            assert_eq!(disconnect.properties.number(PropertyId::SessionExpiryInterval), Some(0));
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(client.conn.disconnect_with(0, PropertyBlock::EMPTY), Err(Code::NotConnected));
    drop(link);
    client.closed();
    // What it said holds for that connection alone.
    client.conn.connect().unwrap();
    let mut link = server.accept();
    link.expect(PacketType::Connect);
    link.connack(false, 0, &[]);
    client.up();
    client.conn.disconnect().unwrap();
    assert_eq!(link.bytes(), [0xe0, 0]);
}

/// mqtt5: MQTT-4.12.1-2
#[test]
fn a_reauthentication_that_fails_ends_the_connection() {
    for by_server in [true, false] {
        let server = Server::new();
        let client = self::client(&server);
        let mut link = server.accept();
        link.expect(PacketType::Connect);
        link.connack(false, 0, &[METHOD]);
        client.up();
        client.conn.authenticate(0x19, &block(PacketType::Auth, &data(b"again"))).unwrap();
        expect_auth(&mut link, 0x19, &data(b"again"));
        if by_server {
            let disconnect = Disconnect { reason: 0x87, ..Disconnect::default() };
            link.send(&Packet::Disconnect(disconnect));
            let report = client.closed();
            assert_eq!((report.code, report.reason), (Code::ClosedByServer, Some(0x87)));
        } else {
            // The proof of the server is not what the application expected.
            send_auth(&mut link, 0x18, &data(b"wrong"));
            client.conn.disconnect_with(0x80, PropertyBlock::EMPTY).unwrap();
            assert_eq!(link.disconnect(), 0x80);
        }
    }
}
