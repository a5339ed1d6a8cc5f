//! TLS against a real broker: what works.

#![cfg(feature = "tls")]

mod tls_support;

use mgos_mqtt::session::Publication;
use mgos_mqtt::wire::QoS;
use tls_support::{Broker, Ca, Client, Folder, profile};

const HERE: &[&str] = &["localhost", "127.0.0.1"];

fn message<'a>(topic: &'a str, payload: &'a [u8], qos: QoS) -> Publication<'a> {
    Publication { topic, payload, qos, retain: false, reserve_id: false }
}

#[test]
fn a_ca_file_turns_tls_on() {
    let (ca, folder) = (Ca::new("Test CA"), Folder::new());
    let broker = Broker::tls(&ca.issue(HERE), "");
    let mut p = profile(broker.port);
    p.ssl_ca_cert = Some(folder.put("ca.pem", &ca.pem));
    let client = Client::new(p);
    client.up();
    client.subscribe("a/#");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.conn.publish(message("a/b", b"hello", qos)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 3 && seen.acknowledged == 2);
    assert!(client.log.lock().unwrap().iter().any(|line| line.starts_with("TLS 1.3, TLS_")));
}
