//! The newest version that a server speaks.

use std::time::Instant;

use mgos_mqtt::client::{Stage, Status};
use mgos_mqtt::config::{Profile, Protocol, Settings};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::{PacketType, Version};

use crate::rig::{Client, LONG, Link, Server, Told, profile};

/// No wait is ever over, unless there is none.
fn auto(server: &Server) -> Profile {
    let hour = Span::secs(3600);
    Profile {
        protocol: Protocol::Auto,
        reconnect_min: hour,
        reconnect_max: hour,
        ..profile(server.address())
    }
}

/// The protocol level of the next CONNECT.
fn level(server: &Server) -> (Link, u8) {
    let mut link = server.accept();
    let bytes = link.expect(PacketType::Connect);
    // Behind the fixed header and the name, "MQTT" or "MQIsdp".
    let level = bytes[4 + usize::from(bytes[3])];
    (link, level)
}

fn version(client: &Client) -> Option<Version> {
    let Status { stage, version, .. } = client.conn.status();
    assert_eq!(stage == Stage::Up, version.is_some());
    version
}

/// What comes next is planned: an attempt when the schedule says so.
#[track_caller]
fn waits(client: &Client) {
    let began = Instant::now();
    loop {
        match client.conn.status().stage {
            Stage::Waiting => return,
            // The handlers that were told of the failure may not have returned.
            Stage::Idle if began.elapsed() < LONG => std::thread::yield_now(),
            other => panic!("{other:?}"),
        }
    }
}

#[track_caller]
fn fails(client: &Client, wanted: (Code, Option<u8>)) {
    let Told::Failed { code, connack, .. } = client.told() else { panic!("not failed") };
    assert_eq!((code, connack), wanted);
}

#[test]
fn each_version_is_tried_at_once_until_the_server_knows_one() {
    let server = Server::new();
    let client = Client::new(auto(&server), Settings::default());
    assert!(!client.conn.speaks_v5());
    client.conn.connect().unwrap();
    // In the form of 3.x, which is all that such a server knows; and in that of 3.1.
    for wanted in [5, 4] {
        let (mut link, level) = level(&server);
        assert_eq!(level, wanted);
        assert_eq!(version(&client), None);
        link.write(b"\x20\x02\0\x01");
        fails(&client, (Code::RefusedVersion, Some(1)));
    }
    let (mut link, level_of) = level(&server);
    assert_eq!(level_of, 3);
    link.write(b"\x20\x02\0\0");
    client.up();
    assert_eq!(version(&client), Some(Version::V31));
    // It is remembered, until the configuration is set anew.
    client.conn.disconnect().unwrap();
    link.expect(PacketType::Disconnect);
    client.closed();
    client.conn.connect().unwrap();
    let (mut link, level_of) = level(&server);
    assert_eq!(level_of, 3);
    link.write(b"\x20\x02\0\0");
    client.up();
    let again = mgos_mqtt::client::ProfileSource::Fixed(std::sync::Arc::new(auto(&server)));
    client.conn.set_profile(again).unwrap();
    client.closed();
    let (mut link, level_of) = level(&server);
    assert_eq!(level_of, 5);
    link.write(b"\x20\x03\0\0\0");
    client.up();
    assert_eq!(version(&client), Some(Version::V5));
    assert!(client.conn.speaks_v5());
}

/// Also by options that bring servers with them; options alone change nothing of it.
#[test]
fn what_was_settled_is_forgotten_with_the_servers() {
    let server = Server::new();
    let client = Client::new(auto(&server), Settings::default());
    client.conn.connect().unwrap();
    let comes_up = |levels: &[u8]| {
        for wanted in levels {
            let (mut link, level) = level(&server);
            assert_eq!(level, *wanted);
            if level == 5 {
                link.write(b"\x20\x02\0\x01");
                fails(&client, (Code::RefusedVersion, Some(1)));
                continue;
            }
            link.write(b"\x20\x02\0\0");
            client.up();
            client.conn.abort().unwrap();
            client.closed();
        }
    };
    comes_up(&[5, 4]);
    client.conn.set_options(Settings { in_flight_window: 7, ..Settings::default() }, Vec::new()).unwrap();
    client.conn.connect().unwrap();
    comes_up(&[4]);
    let again = mgos_mqtt::client::ProfileSource::Fixed(std::sync::Arc::new(auto(&server)));
    client.conn.set_options(Settings::default(), vec![again]).unwrap();
    client.conn.connect().unwrap();
    comes_up(&[5, 4]);
}

#[test]
fn a_server_that_knows_none_is_asked_again_when_the_schedule_says_so() {
    let server = Server::new();
    let client = Client::new(auto(&server), Settings::default());
    client.conn.connect().unwrap();
    for wanted in [5, 4, 3] {
        let (mut link, level) = level(&server);
        assert_eq!(level, wanted);
        // 5.0 has its own code for it.
        let refusal: &[u8] = if wanted == 5 { b"\x20\x03\0\x84\0" } else { b"\x20\x02\0\x01" };
        link.write(refusal);
        fails(&client, (Code::RefusedVersion, Some(if wanted == 5 { 0x84 } else { 1 })));
    }
    waits(&client);
    client.conn.connect().unwrap();
    assert_eq!(level(&server).1, 5);
}

#[test]
fn a_server_that_closes_twice_instead_of_answering_is_asked_in_an_older_version() {
    let server = Server::new();
    let client = Client::new(auto(&server), Settings::default());
    client.conn.connect().unwrap();
    let close = |wanted| {
        let (link, level) = level(&server);
        assert_eq!(level, wanted);
        drop(link);
        let Told::Failed { code, connack: None, .. } = client.told() else { panic!("not failed") };
        assert!(matches!(code, Code::ClosedByServer | Code::ConnectionReset), "{code:?}");
        assert_eq!(client.conn.report().phase, Phase::Connect);
    };
    close(5);
    // Once may have been for another reason: the schedule goes on.
    waits(&client);
    client.conn.connect().unwrap();
    close(5);
    // And another answer says that it knows the version.
    let (mut link, level_of) = level(&server);
    assert_eq!(level_of, 4);
    link.write(b"\x20\x02\0\x03");
    fails(&client, (Code::RefusedUnavailable, Some(3)));
    client.conn.connect().unwrap();
    let (mut link, level_of) = level(&server);
    assert_eq!(level_of, 4);
    link.write(b"\x20\x02\0\0");
    client.up();
    assert_eq!(version(&client), Some(Version::V311));
    assert!(!client.conn.speaks_v5());
}
