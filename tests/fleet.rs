//! 500 connections of one real server that restarts, in real time: `make test-fleet`.
//!
//! tests/virtual_time/fleet.rs has the same without a server and without waiting.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgos_mqtt::client::{Conn, Context, ProfileSource};
use mgos_mqtt::config::{Backoff, Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::time::Span;

const DEVICES: usize = 500;

/// Without a configuration mosquitto listens on the loopback interface only, to anybody.
struct Mosquitto(Child);

impl Mosquitto {
    fn start(port: u16) -> Mosquitto {
        let mut command = Command::new("mosquitto");
        command.args(["-p", &port.to_string()]).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Mosquitto(child.expect("mosquitto is installed"))
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The most attempts within any second.
fn busiest(dials: &[Instant]) -> usize {
    let within = |from: &Instant| {
        dials.iter().filter(|at| *at >= from && **at < *from + Duration::from_secs(1)).count()
    };
    dials.iter().map(within).max().unwrap_or(0)
}

#[test]
#[ignore = "takes over a minute of real time: make test-fleet"]
fn a_fleet_comes_back_to_a_server_that_restarts() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let driver = Loop::new(Clock::monotonic()).unwrap();
    let mut context = Context::new(driver.clone());
    let dials = Arc::new(Mutex::new(Vec::new()));
    let noted = dials.clone();
    context.dial = Arc::new(move |endpoint, options| {
        noted.lock().unwrap().push(Instant::now());
        endpoint.open(options)
    });
    let context = Arc::new(context);
    let settings = Settings {
        backoff: Backoff::Decorrelated,
        first_delay: Span::secs(10),
        stable_after: Span::secs(5),
        ..Settings::default()
    };
    let devices: Vec<Arc<Conn>> = (0..DEVICES)
        .map(|n| {
            let profile = Profile {
                enable: true,
                server: Some(format!("127.0.0.1:{port}")),
                client_id: Some(format!("device-{n}")),
                clean_session: true,
                reconnect_min: Span::secs(1),
                reconnect_max: Span::secs(60),
                ..Profile::default()
            };
            let source = ProfileSource::Fixed(Arc::new(profile));
            Conn::new(context.clone(), 1, vec![source], settings.clone()).unwrap()
        })
        .collect();
    let run = |seconds, done: &dyn Fn(usize) -> bool| {
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            driver.poll(Some(Span::millis(50))).unwrap();
            if done(devices.iter().filter(|device| device.is_connected()).count()) {
                return true;
            }
        }
        false
    };
    let mut server = Mosquitto::start(port);
    devices.iter().for_each(|device| device.connect().unwrap());
    assert!(run(60, &|up| up == DEVICES), "some did not come");
    // Until the last one is stable.
    run(7, &|_| false);
    let first = busiest(&std::mem::take(&mut *dials.lock().unwrap()));
    drop(server);
    run(15, &|_| false);
    server = Mosquitto::start(port);
    let began = Instant::now();
    assert!(run(200, &|up| up == DEVICES), "some did not come back");
    let took = began.elapsed().as_secs();
    let all = std::mem::take(&mut *dials.lock().unwrap());
    let again = busiest(&all);
    println!(
        "{DEVICES} devices: at most {first} attempts a second at first; the server was away for 15 s: {} attempts, at most \
         {again} a second, and {took} s after it was back all are",
        all.len()
    );
    assert!(first <= 100 && again <= 100, "{first} {again}");
    devices.iter().for_each(|device| device.free(None));
    drop(server);
}
