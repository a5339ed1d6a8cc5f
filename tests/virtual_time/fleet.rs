//! Many devices that lose one server together: how they come back.

use std::sync::Arc;

use mgos_mqtt::client::Conn;
use mgos_mqtt::config::{Backoff, Profile, Settings};
use mgos_mqtt::time::{Span, Time};

use crate::scripted::World;

const DEVICES: usize = 500;

/// The most attempts within any second.
fn busiest(dials: &[Time]) -> usize {
    let mut first = 0;
    (0..dials.len())
        .map(|at| {
            while dials[at].since(dials[first]) >= Span::secs(1) {
                first += 1;
            }
            at + 1 - first
        })
        .max()
        .unwrap_or(0)
}

/// All are switched on together; later the server is away for so long. The most attempts within a second, both times.
fn fleet(settings: &Settings, away: Span) -> [usize; 2] {
    let world = World::new();
    let profile = Profile {
        enable: true,
        server: Some("192.0.2.1:1883".into()),
        reconnect_min: Span::secs(1),
        reconnect_max: Span::secs(60),
        ..Profile::default()
    };
    let devices: Vec<Arc<Conn>> =
        (0..DEVICES).map(|_| world.conn(profile.clone(), settings.clone())).collect();
    devices.iter().for_each(|device| device.connect().unwrap());
    let all_up = || devices.iter().all(|device| device.is_connected());
    let come = |within| {
        assert!(world.run_until(world.now() + within, all_up), "some do not come");
        let dials: Vec<Time> = world.take_dials().into_iter().map(|(_, at)| at).collect();
        assert!(dials.len() >= DEVICES);
        busiest(&dials)
    };
    let first = come(Span::secs(20));
    // They are stable by then.
    world.run(Span::secs(40));
    assert!(all_up());
    world.server(|server| server.up = false);
    world.end_links(&[]);
    world.run(away);
    assert!(!devices.iter().any(|device| device.is_connected()));
    world.server(|server| server.up = true);
    let again = come(Span::secs(200));
    devices.iter().for_each(|device| device.free(None));
    world.settle();
    [first, again]
}

#[test]
fn a_fleet_that_loses_its_server_does_not_come_back_at_once() {
    let calm =
        Settings { backoff: Backoff::Decorrelated, first_delay: Span::secs(10), ..Settings::default() };
    for away in [Span::millis(1), Span::secs(5), Span::secs(60), Span::secs(300)] {
        let [first, again] = fleet(&calm, away);
        println!(
            "away for {} s: at most {first} attempts a second at first, then {again}",
            away.0 / 1_000_000
        );
        assert!(first <= 100 && again <= 100, "{first} {again}");
    }
    // What it is there against.
    let [first, again] = fleet(&Settings { jitter_percent: 10, ..Settings::default() }, Span::secs(5));
    assert!(first == DEVICES && again > 200, "{first} {again}");
}
