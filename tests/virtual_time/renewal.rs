//! Credentials that end, with a clock that is set while the connection is up, or that they do not fit.

use std::sync::{Arc, Mutex};

use mgos_mqtt::client::{Conn, Credentials, CredentialsHook, Level, Sink};
use mgos_mqtt::config::{Profile, Secret, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::Span;

use crate::scripted::World;

const HOUR: u64 = 3600;

/// Answers at once, always with the same.
struct Until(f64);

impl CredentialsHook<Conn> for Until {
    fn ask(&self, conn: &Conn, attempt: u64) {
        let credentials = Credentials {
            user: Some("user".into()),
            password: Some(Secret(b"secret".to_vec())),
            valid_until: self.0,
            ..Credentials::default()
        };
        conn.answer_credentials(attempt, Some(credentials)).unwrap();
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Sink for Warnings {
    fn log(&self, level: Level, _: i32, text: &str) {
        if level == Level::Warn {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

/// A connection that is up with credentials that end then.
fn up(world: &World, valid_until: f64) -> Arc<Conn> {
    let profile = Profile {
        enable: true,
        server: Some("192.0.2.1:1883".into()),
        keep_alive: 60,
        reconnect_min: Span::secs(1),
        reconnect_max: Span::secs(1),
        ..Profile::default()
    };
    let conn = world.conn(profile, Settings { jitter_percent: 0, ..Settings::default() });
    conn.set_credentials_hook(Some(Arc::new(Until(valid_until)))).unwrap();
    conn.connect().unwrap();
    world.settle();
    assert!(conn.is_connected(), "{:?}", conn.report());
    assert_eq!(world.take_dials().len(), 1);
    conn
}

/// Seconds from now, where seconds since 1970 are meant: the connection is not opened again and again.
#[test]
fn credentials_that_were_over_before_they_began_are_not_renewed() {
    let world = World::new();
    let warnings = Arc::new(Warnings::default());
    world.context.log.set(Level::Warn, Some(warnings.clone()));
    for valid_until in [HOUR as f64, world.wall_clock()] {
        let conn = up(&world, valid_until);
        world.run(Span::secs(2 * HOUR));
        assert!(conn.is_connected() && world.take_dials().is_empty());
        let warned = std::mem::take(&mut *warnings.0.lock().unwrap());
        assert!(warned.len() == 1 && warned[0].contains("is valid_until seconds since 1970?"), "{warned:?}");
        conn.free(None);
        world.settle();
    }
}

/// They are good for two hours, which a clock that was not set yet took for more than sixty years.
#[test]
fn a_clock_that_is_set_while_the_connection_is_up_is_heeded() {
    let world = World::new();
    let now = world.wall_clock();
    world.set_wall_clock(10.0);
    let conn = up(&world, now + 2.0 * HOUR as f64);
    let before = world.now();
    world.run(Span::secs(30));
    world.set_wall_clock(now + 30.0);
    world.run(Span::secs(2 * HOUR - 331));
    assert!(conn.is_connected() && world.take_dials().is_empty());
    world.run(Span::secs(300));
    let dials = world.take_dials();
    let after = dials[0].1.since(before);
    assert!((Span::secs(2 * HOUR - 300)..Span::secs(2 * HOUR)).contains(&after), "{after:?}");
    assert_eq!(conn.report().code, Code::CredentialsExpired);
    conn.free(None);
}

/// A clock that is set back gives them more time, which is used.
#[test]
fn a_clock_that_is_set_back_delays_the_renewal() {
    let world = World::new();
    let now = world.wall_clock();
    let conn = up(&world, now + HOUR as f64);
    world.set_wall_clock(now - HOUR as f64);
    world.run(Span::secs(2 * HOUR - 301));
    assert!(conn.is_connected() && world.take_dials().is_empty());
    world.run(Span::secs(2));
    assert_eq!(world.take_dials().len(), 1);
    assert_eq!(conn.report().code, Code::CredentialsExpired);
    conn.free(None);
}
