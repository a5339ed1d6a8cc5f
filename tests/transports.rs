//! Streams that are no plain TCP connection, and the addresses that ask for them.

mod tls_support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;

use mgos_mqtt::config::Profile;
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::session::Publication;
use mgos_mqtt::wire::QoS;
use tls_support::{Broker, Client, Folder, profile};

/// All three QoS there and back.
#[track_caller]
fn works(client: &Client) {
    client.up();
    client.subscribe("a/#");
    let large = vec![7; 300_000];
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.conn.publish(Publication::new("a/b", &large, qos)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 3 && seen.acknowledged == 2);
    assert!(client.seen.lock().unwrap().messages.iter().all(|(_, payload)| *payload == large));
}

fn at(server: &str) -> Profile {
    Profile { server: Some(server.to_owned()), ..profile(1) }
}

#[test]
fn a_local_socket() {
    let folder = Folder::new();
    let path = folder.put("socket", "");
    std::fs::remove_file(&path).unwrap();
    let _broker = Broker::with(&format!("listener 0 {path}"));
    for server in [format!("unix:{path}"), format!("UNIX://{path}")] {
        let client = Client::new(at(&server));
        works(&client);
        let said = client.log.lock().unwrap().join("\n");
        assert!(said.contains(&format!("connecting to unix:{path}")), "{said}");
        client.conn.disconnect().unwrap();
        client.until(|seen| seen.closed == 1);
        assert_eq!(client.conn.report().code, Code::ClosedByClient);
    }
}

#[test]
fn a_local_socket_that_nobody_serves() {
    let folder = Folder::new();
    let path = folder.put("socket", "");
    std::fs::remove_file(&path).unwrap();
    let report = Client::new(at(&format!("unix:{path}"))).attempt();
    assert_eq!((report.code, report.phase), (Code::ConnectRefused, Phase::Tcp));
    assert!(report.text.contains(&format!("unix:{path} (No such file or directory")), "{}", report.text);
    drop(UnixListener::bind(&path).unwrap());
    let report = Client::new(at(&format!("unix:{path}"))).attempt();
    assert_eq!(report.code, Code::ConnectRefused);
    assert!(report.text.contains("Connection refused"), "{}", report.text);
}

#[test]
fn a_server_that_closes_a_local_socket_is_named() {
    let folder = Folder::new();
    let path = folder.put("socket", "");
    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        let _ = listener.accept().unwrap().0.read(&mut [0; 1]);
    });
    let report = Client::new(at(&format!("unix:{path}"))).attempt();
    assert!(matches!(report.code, Code::ClosedByServer | Code::ConnectionReset), "{report:?}");
    assert!(report.text.contains(&path), "{}", report.text);
    server.join().unwrap();
}

#[test]
fn credentials_in_the_address_reach_the_server_decoded() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut connect = vec![0; 256];
        let n = stream.read(&mut connect).unwrap();
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        connect.truncate(n);
        let _ = stream.read(&mut [0; 16]);
        connect
    });
    let client = Client::new(at(&format!("MQTT://us%40er:p%3A%FFw@127.0.0.1:{port}")));
    client.up();
    let said = client.log.lock().unwrap().join("\n");
    assert!(!said.contains("us%40er") && !said.contains("p%3A"), "{said}");
    assert!(!client.conn.status().server.contains('@'), "{}", client.conn.status().server);
    drop(client);
    assert!(server.join().unwrap().ends_with(b"\0\x05us@er\0\x04p:\xffw"));
}
