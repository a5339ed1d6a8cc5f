//! Getting through: what a connection does about a name service that is down, a network that changes, and a server that does
//! not want it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Callback, Conn, Event, Identity, Kind, Level, Sink};
use mgos_mqtt::config::{Backoff, Profile, Protocol, Settings, SocketOptions};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::transport::Endpoint;
use mgos_mqtt::wire::QoS;

use crate::scripted::{NameService, World};

const SECOND: u64 = 1_000_000;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn profile(server: &str) -> Profile {
    Profile {
        enable: true,
        server: Some(server.into()),
        reconnect_min: Span::secs(1),
        reconnect_max: Span::secs(100),
        keep_alive: 60,
        ..Profile::default()
    }
}

/// No jitter, so that times are as computed.
fn settings() -> Settings {
    Settings { jitter_percent: 0, ..Settings::default() }
}

/// What was logged as a warning.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Sink for Warnings {
    fn log(&self, level: Level, _: i32, text: &str) {
        if level == Level::Warn {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

impl Warnings {
    fn of(world: &World) -> Warnings {
        let warnings = Warnings::default();
        world.context.log.set(Level::Warn, Some(Arc::new(warnings.clone())));
        warnings
    }

    #[track_caller]
    fn have(&self, part: &str) {
        let all = self.0.lock().unwrap();
        assert!(all.iter().any(|text| text.contains(part)), "no {part:?} in {all:#?}");
    }
}

#[track_caller]
fn up(world: &World, conn: &Conn, within: Span) {
    assert!(world.run_until(world.now() + within, || conn.is_connected()), "{:?}", conn.report());
}

/// Where the attempts since then went, in order.
fn went(world: &World) -> Vec<String> {
    world.take_dials().into_iter().map(|(endpoint, _)| endpoint.to_string()).collect()
}

#[test]
fn the_address_that_was_good_last_comes_first() {
    let world = World::new();
    let two = [address("192.0.2.1:1883"), address("[2001:db8::2]:1883"), address("192.0.2.3:1883")];
    world.server(|server| server.name = vec![two[2]]);
    let conn = world.conn(profile("name.test"), settings());
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    assert_eq!(went(&world), ["192.0.2.3:1883"]);
    world.server(|server| (server.name, server.up) = (two.to_vec(), false));
    world.end_links(&[]);
    world.run(Span::secs(2));
    assert_eq!(went(&world)[..3], ["192.0.2.3:1883", "[2001:db8::2]:1883", "192.0.2.1:1883"]);
    // Of another server nothing is known.
    world.server(|server| server.up = true);
    conn.set_profile(mgos_mqtt::client::ProfileSource::Fixed(Arc::new(profile("other.test")))).unwrap();
    up(&world, &conn, Span::secs(200));
    assert_eq!(went(&world).last().unwrap(), "192.0.2.1:1883");
    conn.free(None);
}

#[test]
fn the_last_known_address_is_used_while_the_name_service_is_down() {
    for down in [NameService::Fails, NameService::Silent] {
        let world = World::new();
        let warnings = Warnings::of(&world);
        let conn = world.conn(profile("name.test"), settings());
        conn.connect().unwrap();
        up(&world, &conn, Span::secs(1));
        world.server(|server| (server.name_service, server.up) = (down, false));
        world.end_links(&[]);
        // It was up for too short a time to be called again at once; the name service has ten seconds.
        world.run(Span::secs(13));
        let report = conn.report();
        assert_eq!((report.code, report.phase), (Code::ConnectRefused, Phase::Tcp), "{}", report.text);
        assert!(report.text.contains("so this was the last known address"), "{}", report.text);
        world.server(|server| server.up = true);
        up(&world, &conn, Span::secs(200));
        warnings.have("trying the last known address, 192.0.2.1:1883");
        assert!(went(&world).iter().all(|at| at == "192.0.2.1:1883"));
        conn.free(None);
    }
}

#[test]
fn a_known_address_is_that_of_one_server_and_one_way() {
    let world = World::new();
    let conn = world.conn(profile("name.test"), settings());
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    world.server(|server| server.name_service = NameService::Fails);
    conn.set_profile(mgos_mqtt::client::ProfileSource::Fixed(Arc::new(profile("other.test")))).unwrap();
    world.take_dials();
    world.run(Span::secs(5));
    let report = conn.report();
    assert_eq!((report.code, report.phase), (Code::DnsFailed, Phase::Dns), "{}", report.text);
    let bound = SocketOptions { source_address: Some("::1".parse().unwrap()), ..SocketOptions::default() };
    let mut other_way = profile("name.test");
    other_way.route.socket = bound;
    conn.set_profile(mgos_mqtt::client::ProfileSource::Fixed(Arc::new(other_way))).unwrap();
    world.run(Span::secs(5));
    assert_eq!(conn.report().code, Code::DnsFailed);
    assert_eq!(went(&world), [""; 0]);
    conn.free(None);
}

#[test]
fn a_network_that_changed_is_probed_and_a_dead_link_opened_anew_at_once() {
    let world = World::new();
    let conn = world.conn(profile("192.0.2.1:1883"), settings());
    conn.network_changed(false).unwrap();
    world.run(Span::secs(1));
    assert_eq!(went(&world), [""; 0], "it opens nothing that nobody wants");
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    world.run(Span::secs(10));
    went(&world);
    // The link is there: it answers, and stays.
    let before = world.now();
    conn.network_changed(false).unwrap();
    world.run(Span::secs(20));
    assert!(conn.is_connected() && went(&world).is_empty());
    assert_eq!(world.pings(), [before], "one PINGREQ at once, and none that is early after it");
    // It is not.
    world.swallow();
    let before = world.now();
    conn.network_changed(false).unwrap();
    world.run(Span::millis(3_100));
    let dials = world.take_dials();
    assert_eq!(dials, [(Endpoint::from(address("192.0.2.1:1883")), before + Span::secs(3))]);
    assert_eq!(conn.report().code, Code::KeepAliveTimeout);
    assert!(conn.is_connected());
    conn.free(None);
}

#[test]
fn without_a_keep_alive_interval_a_probe_has_an_answer_too() {
    let world = World::new();
    let conn = world.conn(Profile { keep_alive: 0, ..profile("192.0.2.1:1883") }, settings());
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    conn.network_changed(false).unwrap();
    world.run(Span::secs(100));
    assert!(conn.is_connected() && world.pings().len() == 1);
    world.swallow();
    conn.network_changed(false).unwrap();
    world.run(Span::secs(100));
    assert!(conn.is_connected());
    assert_eq!(world.take_dials().len(), 2);
    conn.free(None);
}

/// The system may reset the link before the time of the answer is over, or the server closes it: that is an answer, too.
#[test]
fn a_link_that_breaks_while_it_is_probed_is_opened_anew_at_once() {
    let world = World::new();
    world.server(|server| server.connack = &[0x20, 3, 0, 0, 0]);
    let conn = world.conn(Profile { protocol: Protocol::V5, ..profile("192.0.2.1:1883") }, settings());
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    world.run(Span::secs(10));
    world.swallow();
    conn.network_changed(false).unwrap();
    world.run(Span::secs(1));
    world.take_dials();
    let before = world.now();
    world.end_links(&[]);
    world.settle();
    assert_eq!(world.take_dials(), [(Endpoint::from(address("192.0.2.1:1883")), before)]);
    assert!(conn.is_connected() && conn.report().code == Code::ClosedByServer);
    // With a reason the server has another one.
    world.run(Span::secs(10));
    world.swallow();
    conn.network_changed(false).unwrap();
    world.run(Span::secs(1));
    world.end_links(&[0xe0, 1, 0x8b]);
    world.settle();
    assert_eq!((conn.report().reason, went(&world)), (Some(0x8b), vec![]));
    up(&world, &conn, Span::secs(100));
    // And without a probe it is as any loss.
    world.take_dials();
    world.end_links(&[]);
    world.settle();
    assert_eq!(went(&world), [""; 0]);
    conn.free(None);
}

/// Says so on another thread while a handler is told of an end.
struct ElsewhereChanged;

impl Callback<Conn> for ElsewhereChanged {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        std::thread::scope(|scope| scope.spawn(|| conn.network_changed(false)).join().unwrap()).unwrap();
    }
}

/// In a handler itself it counts as `connect` there: `course.rs`.
#[test]
fn a_network_that_changes_while_handlers_are_told_of_an_end_is_not_missed() {
    let world = World::new();
    let conn = world.conn(profile("192.0.2.1:1883"), settings());
    conn.add_handler(Identity(1, 1), Kind::Close.bit(), Box::new(ElsewhereChanged)).unwrap();
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    world.take_dials();
    let before = world.now();
    world.end_links(&[]);
    world.settle();
    assert_eq!(world.take_dials(), [(Endpoint::from(address("192.0.2.1:1883")), before)]);
    // What nobody wants stays closed.
    conn.abort().unwrap();
    world.run(Span::secs(100));
    assert!(!conn.is_connected() && went(&world).is_empty());
    conn.free(None);
}

/// Wherever the connection is when the network changes.
#[test]
fn a_network_that_changed_ends_every_wait() {
    let world = World::new();
    let conn = world.conn(profile("name.test"), settings());
    // It waits for the name service.
    world.server(|server| server.name_service = NameService::Silent);
    conn.connect().unwrap();
    world.run(Span::secs(2));
    world.server(|server| server.name_service = NameService::Answers);
    // And then for CONNACK.
    world.server(|server| server.silent = true);
    conn.network_changed(false).unwrap();
    world.run(Span::secs(2));
    assert_eq!(went(&world).len(), 1);
    assert!(!conn.is_connected());
    assert_eq!(conn.report().code, Code::NetworkChanged);
    // And then for its next attempt.
    world.server(|server| (server.silent, server.up) = (false, false));
    conn.network_changed(false).unwrap();
    world.run(Span::secs(4));
    world.take_dials();
    world.server(|server| server.up = true);
    let before = world.now();
    conn.network_changed(false).unwrap();
    world.settle();
    assert!(conn.is_connected() && world.now() == before);
    // And anew, without a question.
    conn.network_changed(true).unwrap();
    world.settle();
    assert!(conn.is_connected());
    assert_eq!((went(&world).len(), world.pings().len()), (2, 0));
    assert_eq!(conn.report().code, Code::NetworkChanged);
    conn.free(None);
}

#[test]
fn the_first_attempt_of_a_connection_has_a_delay_of_its_own() {
    let world = World::new();
    let settings = Settings { first_delay: Span::secs(10), ..settings() };
    let mut delays = Vec::new();
    for _ in 0..20 {
        let conn = world.conn(profile("192.0.2.1:1883"), settings.clone());
        let before = world.now();
        conn.connect().unwrap();
        up(&world, &conn, Span::secs(10));
        delays.push(world.now().since(before).0 / SECOND);
        // From now on it is only waited for as the schedule says.
        conn.disconnect().unwrap();
        world.end_links(&[]);
        world.settle();
        let before = world.now();
        conn.connect().unwrap();
        up(&world, &conn, Span::secs(10));
        assert_eq!(world.now(), before);
        conn.free(None);
    }
    delays.sort_unstable();
    delays.dedup();
    assert!(delays.len() > 5, "{delays:?}");
    // Who asks twice means now.
    let conn = world.conn(profile("192.0.2.1:1883"), settings);
    conn.connect().unwrap();
    world.settle();
    assert!(!conn.is_connected());
    conn.connect().unwrap();
    world.settle();
    assert!(conn.is_connected());
    conn.free(None);
}

/// Asks for the next attempt as soon as a link is lost.
struct Insists;

impl Callback<Conn> for Insists {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        conn.connect().unwrap();
    }
}

/// When the next attempt came, in seconds, after a link that was up for so long ended with these words.
fn next_after(words: &[u8], lived: Span, warning: &str) -> u64 {
    let world = World::new();
    let warnings = Warnings::of(&world);
    world.server(|server| server.connack = &[0x20, 3, 0, 0, 0]);
    let conn = world.conn(
        Profile { protocol: Protocol::V5, reconnect_max: Span::secs(77), ..profile("192.0.2.1:1883") },
        settings(),
    );
    conn.add_handler(Identity(1, 1), Kind::Close.bit(), Box::new(Insists)).unwrap();
    conn.connect().unwrap();
    up(&world, &conn, Span::secs(1));
    world.run(lived);
    world.take_dials();
    let before = world.now();
    world.end_links(words);
    world.run(Span::secs(100));
    assert!(conn.is_connected(), "it never gives up");
    if !warning.is_empty() {
        warnings.have(warning);
    }
    conn.free(None);
    world.take_dials()[0].1.since(before).0 / SECOND
}

#[test]
fn a_server_that_does_not_want_it_is_called_again_after_the_longest_wait() {
    for (code, warning) in [
        (0x8e, "another client has taken the session over"),
        (0x89, "too busy (0x89, server busy): if it is tried again, then after the longest wait, 77000 ms"),
        (0x97, "too busy (0x97, quota exceeded)"),
        (0x9f, "too busy (0x9F, connection rate exceeded)"),
    ] {
        for lived in [Span::secs(1), Span::secs(50)] {
            assert_eq!(next_after(&[0xe0, 1, code], lived, warning), 77, "{code:#x}");
        }
    }
    // Administrative action: as any other loss, and this application insists.
    assert_eq!(next_after(&[0xe0, 1, 0x98], Span::secs(50), ""), 0);
}

#[test]
fn a_busy_server_says_so_in_connack_too() {
    let world = World::new();
    let warnings = Warnings::of(&world);
    world.server(|server| server.connack = &[0x20, 3, 0, 0x89, 0]);
    let conn = world.conn(Profile { protocol: Protocol::V5, ..profile("192.0.2.1:1883") }, settings());
    conn.connect().unwrap();
    world.run(Span::secs(250));
    let times: Vec<u64> = world.take_dials().iter().map(|(_, at)| at.0 / SECOND).collect();
    assert_eq!(times, [3_000, 3_100, 3_200]);
    warnings.have("too busy (0x89, server busy)");
    assert_eq!(conn.report().code, Code::RefusedUnavailable);
    conn.free(None);
}

/// A server that does not know MQTT 5.0 answers with a code of MQTT 3.x, which has no name of 5.0.
#[test]
fn a_refusal_of_an_old_server_is_not_given_another_meaning() {
    let world = World::new();
    world.server(|server| server.connack = &[0x20, 2, 0, 1]);
    let conn = world.conn(Profile { protocol: Protocol::V5, ..profile("192.0.2.1:1883") }, settings());
    conn.connect().unwrap();
    world.settle();
    let report = conn.report();
    assert_eq!((report.code, report.connack), (Code::RefusedVersion, Some(1)));
    assert!(report.text.contains(" (CONNACK 1)"), "{}", report.text);
    conn.free(None);
}

/// MQTT 3.1.1 has no word for it: the connection is accepted and closed, again and again.
#[test]
fn what_looks_like_two_clients_with_one_id_waits_as_long_as_it_may() {
    let world = World::new();
    let warnings = Warnings::of(&world);
    let settings = Settings { backoff: Backoff::Decorrelated, ..settings() };
    let conn = world.conn(profile("192.0.2.1:1883"), settings);
    conn.connect().unwrap();
    for n in 1..8 {
        up(&world, &conn, Span::secs(101));
        let lost = world.now();
        world.end_links(&[]);
        assert!(!world.run_until(lost, || false));
        up(&world, &conn, Span::secs(101));
        let wait = world.now().since(lost).0 / SECOND;
        assert_eq!(wait == 100, n >= 5, "{n}: {wait} s");
    }
    warnings.have("perhaps another device has the same client id");
    // Nothing of it stays once it is stable.
    world.run(Span::secs(31));
    conn.publish(Publication::new("a", b"", QoS::AtMostOnce)).unwrap();
    let lost = world.now();
    world.end_links(&[]);
    world.settle();
    up(&world, &conn, Span::secs(101));
    assert!(world.now().since(lost) <= Span::secs(3));
    conn.free(None);
}

/// A path that forgets links on which nothing is said for a hundred seconds, and a keep-alive interval of five minutes.
#[test]
fn a_keep_alive_that_adapts_finds_how_long_the_path_stays_open() {
    let world = World::new();
    world.server(|server| {
        server.forgets_after = Some(Span::secs(100));
        server.round_trip = Span::millis(200);
    });
    let settings = Settings { adaptive_keep_alive: true, ..settings() };
    let conn = world.conn(Profile { keep_alive: 300, ..profile("192.0.2.1:1883") }, settings);
    conn.connect().unwrap();
    world.run(Span::secs(10_000));
    let losses = world.take_dials().len() - 1;
    assert!((1..=6).contains(&losses), "{losses}");
    // From then on no link is lost, and nothing is said that need not be.
    let before = world.pings().len();
    world.run(Span::secs(10_000));
    assert_eq!(world.take_dials().len(), 0);
    let pings = world.pings().len() - before;
    assert!((100..=125).contains(&pings), "{pings} in 10,000 s: one each 80 to 99 s is expected");
    // The path becomes another one, and the application says so.
    world.server(|server| server.forgets_after = None);
    conn.network_changed(false).unwrap();
    let before = world.pings().len();
    world.run(Span::secs(10_000));
    let pings = world.pings().len() - before;
    assert!(pings <= 40 && world.take_dials().is_empty(), "{pings}: CONNECT's interval again");
    conn.free(None);
}

/// Without the option each silence costs the link.
#[test]
fn a_keep_alive_that_does_not_adapt_loses_the_link_again_and_again() {
    let world = World::new();
    world.server(|server| server.forgets_after = Some(Span::secs(100)));
    let conn = world.conn(Profile { keep_alive: 300, ..profile("192.0.2.1:1883") }, settings());
    conn.connect().unwrap();
    world.run(Span::secs(10_000));
    let losses = world.take_dials().len() - 1;
    assert!(losses >= 25, "{losses}");
    conn.free(None);
}

/// A server that is away for longer than a minute says nothing about the path.
#[test]
fn a_server_that_is_away_does_not_shorten_the_keep_alive() {
    let world = World::new();
    let settings = Settings { adaptive_keep_alive: true, ..settings() };
    let conn = world.conn(Profile { keep_alive: 300, ..profile("192.0.2.1:1883") }, settings);
    conn.connect().unwrap();
    world.run(Span::secs(250));
    world.swallow();
    world.server(|server| server.up = false);
    world.run(Span::secs(200));
    world.server(|server| server.up = true);
    up(&world, &conn, Span::secs(101));
    let before = world.pings().len();
    world.run(Span::secs(3_000));
    let pings = world.pings().len() - before;
    assert!((9..=10).contains(&pings), "{pings}: CONNECT's interval");
    conn.free(None);
}
