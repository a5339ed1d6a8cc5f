//! Servers that send the client on, and what becomes of that when the client is to do something else by then.

use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Callback, Conn, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{Profile, Protocol, Redirect, Secret, Settings};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::time::Span;

use crate::scripted::{NameService, World};

const HOME: &str = "mqtt.example.com";
const ELSEWHERE: &str = "elsewhere.example";

fn profile(server: &str) -> Profile {
    Profile {
        enable: true,
        server: Some(server.into()),
        protocol: Protocol::V5,
        reconnect_min: Span::secs(1),
        reconnect_max: Span::secs(1),
        keep_alive: 0,
        ..Profile::default()
    }
}

fn settings(redirect: Redirect) -> Settings {
    Settings { redirect, jitter_percent: 0, ..Settings::default() }
}

/// A server of MQTT 5.0.
fn world() -> World {
    let world = World::new();
    world.server(|server| server.connack = &[0x20, 3, 0, 0, 0]);
    world
}

/// DISCONNECT with a server reference.
fn sends_on(world: &World, to: &str) {
    let len = to.len() as u8;
    let head = [0xe0, len + 5, 0x9c, len + 3, 0x1c, 0, len];
    world.end_links(&[&head, to.as_bytes()].concat());
}

/// The connection is up, at the server that is configured.
fn begin(world: &World, conn: &Conn) {
    conn.connect().unwrap();
    world.settle();
    assert!(conn.is_connected(), "{:?}", conn.report());
    assert_eq!(world.take_names(), [HOME]);
}

/// However many servers have sent the client on.
#[test]
fn the_same_domain_is_that_of_the_configured_server() {
    let world = world();
    let conn = world.conn(profile(HOME), settings(Redirect::SameDomain));
    begin(&world, &conn);
    for to in ["x.y.example.com", "z.example.com"] {
        sends_on(&world, to);
        world.settle();
        assert!(conn.is_connected(), "{:?}", conn.report());
        assert_eq!(world.take_names(), [to]);
    }
    sends_on(&world, "example.org");
    world.settle();
    assert!(conn.report().text.contains("in another domain"), "{}", conn.report().text);
    world.run(Span::secs(10));
    assert_eq!(world.take_names(), [HOME]);
    conn.free(None);
}

/// Does something when it is told of the end.
struct Does<F>(F);

impl<F: Fn(&Conn) + Send + Sync> Callback<Conn> for Does<F> {
    fn call(&self, conn: &Conn, _: &Event<'_>) {
        (self.0)(conn);
    }
}

/// The names that are looked up after the server has sent the client elsewhere, and a handler that is told of that has done
/// something else.
fn names_after(does: impl Fn(&Conn) + Send + Sync + 'static) -> Vec<String> {
    let world = world();
    let conn = world.conn(profile(HOME), settings(Redirect::Any));
    begin(&world, &conn);
    conn.add_handler(Identity(1, 1), Kind::Close.bit(), Box::new(Does(does))).unwrap();
    sends_on(&world, ELSEWHERE);
    world.run(Span::secs(10));
    assert!(conn.is_connected(), "{:?}", conn.report());
    conn.free(None);
    world.take_names()
}

fn other() -> Vec<ProfileSource> {
    let credentials = (Some("user".into()), Some(Secret(b"secret".to_vec())));
    let (user, pass) = credentials;
    vec![ProfileSource::Fixed(Arc::new(Profile { user, pass, ..profile("other.test") }))]
}

/// The new credentials are not for whom the old server names.
#[test]
fn another_configuration_is_sent_nowhere() {
    assert_eq!(names_after(|_| {}), [ELSEWHERE]);
    assert_eq!(names_after(|conn| conn.set_profile(other().remove(0)).unwrap()), ["other.test"]);
    let options = |redirect, profiles: fn() -> Vec<ProfileSource>| {
        names_after(move |conn| conn.set_options(settings(redirect), profiles()).unwrap())
    };
    assert_eq!(options(Redirect::Any, other), ["other.test"]);
    assert_eq!(options(Redirect::Never, Vec::new), [HOME]);
    // What has nothing to do with it changes nothing.
    assert_eq!(options(Redirect::Any, Vec::new), [ELSEWHERE]);
}

/// A configuration that is read for each attempt may be another one by then, or none.
#[test]
fn a_configuration_that_has_changed_is_sent_nowhere() {
    const SAME: u8 = 0;
    const OTHER: u8 = 1;
    const DISABLED: u8 = 2;
    const UNREADABLE: u8 = 3;
    for now in [SAME, OTHER, DISABLED, UNREADABLE] {
        let world = world();
        let reads = Arc::new(AtomicU8::new(SAME));
        let is = reads.clone();
        let source = ProfileSource::Live(Arc::new(move || match is.load(SeqCst) {
            OTHER => Ok(profile("other.test")),
            DISABLED => Ok(Profile { enable: false, ..profile(HOME) }),
            UNREADABLE => Err("there is no such file".into()),
            _ => Ok(profile(HOME)),
        }));
        let conn = world.conn_of(source, settings(Redirect::Any));
        begin(&world, &conn);
        let changes = reads.clone();
        let does = Does(move |_: &Conn| changes.store(now, SeqCst));
        conn.add_handler(Identity(1, 1), Kind::Close.bit(), Box::new(does)).unwrap();
        sends_on(&world, ELSEWHERE);
        world.run(Span::secs(10));
        let (code, names): (_, &[&str]) = match now {
            SAME => (Code::ClosedByServer, &[ELSEWHERE]),
            OTHER => (Code::ClosedByServer, &["other.test"]),
            DISABLED => (Code::Disabled, &[]),
            _ => (Code::BadConfig, &[]),
        };
        assert_eq!(
            (conn.report().code, world.take_names()),
            (code, names.iter().map(|&n| n.into()).collect())
        );
        // It is not remembered for later either.
        if matches!(now, DISABLED | UNREADABLE) {
            reads.store(SAME, SeqCst);
            conn.connect().unwrap();
            world.run(Span::secs(10));
            assert!(conn.is_connected() && world.take_names() == [HOME]);
        }
        conn.free(None);
    }
}

/// Where another server was is not where the configured one is.
#[test]
fn the_last_known_address_is_not_that_of_another_server() {
    let world = world();
    let conn = world.conn(profile(HOME), settings(Redirect::Any));
    begin(&world, &conn);
    world.server(|server| server.name = vec!["192.0.2.9:1883".parse().unwrap()]);
    sends_on(&world, ELSEWHERE);
    world.settle();
    assert!(conn.is_connected());
    let dials: Vec<_> = world.take_dials().into_iter().map(|(endpoint, _)| endpoint.to_string()).collect();
    assert_eq!(dials, ["192.0.2.1:1883", "192.0.2.9:1883"]);
    world.server(|server| server.name_service = NameService::Fails);
    world.end_links(&[]);
    world.run(Span::secs(10));
    let report = conn.report();
    assert_eq!((report.code, report.phase), (Code::DnsFailed, Phase::Dns), "{}", report.text);
    assert_eq!(world.take_dials(), []);
    conn.free(None);
}

/// What a handler that is told of the failure sees.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Code>>>);

impl Callback<Conn> for Seen {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        if let Event::ConnectResult { error, .. } = event {
            self.0.lock().unwrap().push(*error);
        }
    }
}

/// Another server that does not answer has had its one attempt: the configured one is next, as the schedule says.
#[test]
fn another_server_that_is_not_there_is_tried_once() {
    let world = world();
    let conn = world.conn(profile(HOME), settings(Redirect::Any));
    begin(&world, &conn);
    let seen = Seen::default();
    conn.add_handler(Identity(1, 1), Kind::ConnectResult.bit(), Box::new(seen.clone())).unwrap();
    world.server(|server| server.up = false);
    sends_on(&world, ELSEWHERE);
    world.settle();
    assert_eq!(world.take_names(), [ELSEWHERE]);
    world.server(|server| server.up = true);
    world.run(Span::secs(10));
    assert_eq!(world.take_names(), [HOME]);
    assert_eq!(*seen.0.lock().unwrap(), [Code::ConnectRefused, Code::Ok]);
    conn.free(None);
}
