//! The backup server once for real: two brokers, one clock.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::QoS;

/// A mosquitto of our own on a loopback port that was free a moment ago; killed when dropped.
struct Broker {
    process: Child,
    address: SocketAddr,
    config: std::path::PathBuf,
}

impl Broker {
    /// `None` if there is no mosquitto on this machine.
    fn start(name: &str) -> Option<Broker> {
        // Somebody else may take the port before it does.
        for _ in 0..5 {
            let mut broker = Broker::at_some_port(name)?;
            if broker.answers() {
                return Some(broker);
            }
        }
        panic!("no broker came up");
    }

    fn at_some_port(name: &str) -> Option<Broker> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let file = format!("{name}-{}.conf", std::process::id());
        let config = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", address.port());
        std::fs::write(&config, text).unwrap();
        let process = spawn(&config)?;
        Some(Broker { process, address, config })
    }

    /// Waits until it answers CONNECT; false if it ended instead.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Ok(mut probe) = TcpStream::connect(self.address) {
                let mut answer = [0; 4];
                let connect = b"\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02pr";
                if probe.write_all(connect).is_ok() && probe.read_exact(&mut answer).is_ok() {
                    assert_eq!(&answer, b"\x20\x02\0\0");
                    return true;
                }
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        false
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = spawn(&self.config).expect("it started before");
        assert!(self.answers());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// Debian puts it where only root's path looks.
fn spawn(config: &std::path::Path) -> Option<Child> {
    ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|program| {
        Command::new(program).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
    })
}

#[derive(Default)]
struct Seen {
    /// The number in the message that came last.
    message: AtomicUsize,
    course: Mutex<Vec<String>>,
}

struct Handler(Arc<Seen>);

impl Callback<Conn> for Handler {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        match event {
            Event::Message(message) => {
                let text = std::str::from_utf8(message.payload).unwrap();
                self.0.message.store(text.parse().unwrap(), SeqCst);
            }
            Event::ConnAck(_) => self.0.course.lock().unwrap().push(format!("up {}", conn.active_profile())),
            Event::Close(_) => self.0.course.lock().unwrap().push("down".into()),
            _ => {}
        }
    }
}

/// proves: MG-24 MG-29
#[test]
fn the_backup_takes_over_and_main_comes_back() {
    let (Some(mut main), Some(mut backup)) = (Broker::start("main"), Broker::start("backup")) else {
        eprintln!("skipped: mosquitto is not installed");
        return;
    };
    let profile = |broker: &Broker| {
        ProfileSource::Fixed(Arc::new(Profile {
            enable: true,
            server: Some(broker.address.to_string()),
            reconnect_min: Span::millis(20),
            reconnect_max: Span::millis(80),
            ..Profile::default()
        }))
    };
    let driver = Loop::new(Clock::monotonic()).unwrap();
    let context = Arc::new(Context::new(driver.clone()));
    let settings = Settings { jitter_percent: 0, ..Settings::default() };
    let conn = Conn::new(context, 1, vec![profile(&main), profile(&backup)], settings).unwrap();
    let seen = Arc::new(Seen::default());
    let kinds = Kind::ConnAck.bit() | Kind::Close.bit();
    conn.add_handler(Identity(1, 1), kinds, Box::new(Handler(seen.clone()))).unwrap();
    let messages = Kind::Message.bit();
    conn.subscribe("t/#", QoS::AtLeastOnce, Identity(2, 2), messages, Box::new(Handler(seen.clone())))
        .unwrap();

    let until = |what: &str, done: &mut dyn FnMut() -> bool| {
        let end = driver.now() + Span::secs(20);
        assert!(driver.wait(Some(end), done).unwrap(), "{what}: {:?}", seen.course.lock().unwrap());
    };
    // Where it is, and that messages go there and back.
    let works_on = |which: usize, number: usize| {
        until("not connected", &mut || conn.is_connected() && conn.active_profile() == which);
        // By its number: one whose acknowledgement was lost with a broker comes a second time.
        let payload = number.to_string();
        let message = Publication::new("t/x", payload.as_bytes(), QoS::AtLeastOnce);
        conn.publish(message).unwrap();
        until("no message", &mut || seen.message.load(SeqCst) == number);
    };

    conn.connect().unwrap();
    works_on(0, 1);
    main.kill();
    until("main is not missed", &mut || !conn.is_connected());
    works_on(1, 2);
    // Main is back, and the backup keeps its client.
    main.restart();
    let later = driver.now() + Span::millis(300);
    assert!(!driver.wait(Some(later), &mut || !conn.is_connected()).unwrap(), "it did not stay");
    works_on(1, 3);
    backup.kill();
    until("the backup is not missed", &mut || !conn.is_connected());
    works_on(0, 4);
    assert_eq!(*seen.course.lock().unwrap(), ["up 0", "down", "up 1", "down", "up 0"]);
    conn.free(None);
}
