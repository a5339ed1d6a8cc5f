//! With mosquitto.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::session::Publication;
use mgos_mqtt::wire::PropertyValue::{Pair, TwoByte, Utf8};
use mgos_mqtt::wire::{PacketType, Properties, PropertyId};

use crate::rig::{Client, Q0, Q1, Q2, Told, block, profile};

/// A mosquitto of our own on a loopback port that was free a moment ago; killed when dropped.
pub(crate) struct Broker {
    process: Child,
    pub(crate) address: SocketAddr,
    config: std::path::PathBuf,
}

impl Broker {
    /// `None` if there is no mosquitto on this machine. `more` are lines of its configuration.
    pub(crate) fn start(name: &str, more: &str) -> Option<Broker> {
        // Somebody else may take the port before it does.
        for _ in 0..5 {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
            let file = format!("mqtt5-{name}-{}.conf", std::process::id());
            let config = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n{more}", address.port());
            std::fs::write(&config, text).unwrap();
            let process = ["mosquitto", "/usr/sbin/mosquitto"].into_iter().find_map(|program| {
                let mut command = Command::new(program);
                command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
            })?;
            let mut broker = Broker { process, address, config };
            if broker.listens() {
                return Some(broker);
            }
        }
        panic!("no broker came up");
    }

    fn listens(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if std::net::TcpStream::connect(self.address).is_ok() {
                return true;
            }
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        false
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

/// mqtt5: MQTT-4.2-1 MQTT-4.2.0-1
#[test]
fn messages_go_there_and_back_with_their_properties() {
    let Some(broker) = Broker::start("there", "") else {
        eprintln!("skipped: mosquitto is not installed");
        return;
    };
    let connect_properties = block(PacketType::Connect, &[(PropertyId::TopicAliasMaximum, TwoByte(10))]);
    let profile = Profile { clean_session: false, connect_properties, ..profile(broker.address) };
    let client = Client::new(profile, Settings::default());
    client.subscribe("t/#", Q2);
    client.conn.connect().unwrap();
    let connack = client.up();
    assert_eq!(connack.properties().number(PropertyId::TopicAliasMaximum), Some(10));
    let Told::Granted(filter, 2) = client.told() else { panic!("not granted") };
    assert_eq!(filter, "t/#");
    let list = [(PropertyId::ContentType, Utf8("text/plain")), (PropertyId::UserProperty, Pair("k", "v"))];
    for (n, qos) in [Q0, Q1, Q2].into_iter().enumerate() {
        let payload = n.to_string();
        let message = Publication::new("t/x", payload.as_bytes(), qos);
        let properties = Properties::from_list(&list);
        client.conn.publish(Publication { properties, ..message }).unwrap();
        let mut messages = 0;
        let mut outcomes = 0;
        while messages + outcomes < 2 {
            match client.told() {
                Told::Message { topic, payload: got, properties: with } => {
                    assert_eq!((topic.as_str(), got.as_slice()), ("t/x", payload.as_bytes()));
                    assert_eq!(with.properties(), properties);
                    messages += 1;
                }
                Told::Ended(..) => outcomes += 1,
                Told::Acked { reason: 0, .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    // Nobody has subscribed to this, and mosquitto says so.
    client.publish("nobody", b"", Q1);
    let Told::Acked { reason, .. } = client.told() else { panic!() };
    assert_eq!(reason, 0x10);
}
