//! Streams that are no plain TCP connection, and the addresses that ask for them.

mod tls_support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;
#[cfg(feature = "websocket")]
use std::sync::Arc;

#[cfg(feature = "websocket")]
use mgos_mqtt::client::{Conn, Credentials, CredentialsHook};
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::session::Publication;
use mgos_mqtt::wire::QoS;
use tls_support::{Broker, Ca, Client, Folder, free_port, profile};

/// All three QoS there and back, and large messages there. Back is what mosquitto is slow at over WebSocket: 4 KB each
/// tenth of a second.
#[track_caller]
fn works(client: &Client) {
    client.up();
    client.subscribe("a/#");
    let (small, large) = (vec![7; 2_000], vec![8; 300_000]);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.conn.publish(Publication::new("a/b", &small, qos)).unwrap();
        client.conn.publish(Publication::new("b", &large, qos)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 3 && seen.acknowledged == 4);
    assert!(client.seen.lock().unwrap().messages.iter().all(|(_, payload)| *payload == small));
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

// -- WebSocket ----------------------------------------------------------------------------------

/// A broker with a listener for WebSocket, whose port is returned, too.
fn websocket_broker(lines: &str) -> (Broker, u16) {
    let port = free_port();
    (Broker::with(&format!("listener {port}\nprotocol websockets\n{lines}")), port)
}

/// proves: NM-02 MG-54x
#[cfg(feature = "websocket")]
#[test]
fn mosquitto_over_websocket() {
    let (_broker, port) = websocket_broker("");
    let url = at(&format!("ws://127.0.0.1:{port}/mqtt"));
    let fields = Profile { ws_enable: true, ..at(&format!("127.0.0.1:{port}")) };
    for profile in [url, fields] {
        let client = Client::new(profile);
        works(&client);
        let said = client.log.lock().unwrap().join("\n");
        assert!(said.contains("WebSocket, subprotocol mqtt"), "{said}");
        client.conn.disconnect().unwrap();
        client.until(|seen| seen.closed == 1);
        assert_eq!(client.conn.report().code, Code::ClosedByClient);
        assert!(!client.conn.report().text.contains("acknowledged"), "{}", client.conn.report().text);
    }
}

/// proves: NM-02
#[cfg(all(feature = "websocket", feature = "tls"))]
#[test]
fn mosquitto_over_secure_websocket() {
    let (ca, folder) = (Ca::new("Test CA"), Folder::new());
    let pair = ca.issue(&["localhost", "127.0.0.1"]);
    let (certificate, key) =
        (folder.put("server.pem", &pair.certificate), folder.put("server.key", &pair.key));
    let (_broker, port) = websocket_broker(&format!("certfile {certificate}\nkeyfile {key}"));
    let mut url = at(&format!("wss://localhost:{port}/mqtt"));
    url.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    let ssl_ca_cert = Some(folder.put("ca.pem", &ca.pem));
    let fields = Profile { ws_enable: true, ssl_ca_cert, ..at(&format!("127.0.0.1:{port}")) };
    for profile in [url, fields] {
        let client = Client::new(profile);
        works(&client);
        let said = client.log.lock().unwrap().join("\n");
        assert!(said.contains("TLS 1.3") && said.contains("WebSocket, subprotocol mqtt"), "{said}");
    }
    // Whom it does not trust it sends no request.
    let report = Client::new(at(&format!("wss://localhost:{port}/mqtt"))).attempt();
    assert_eq!((report.code, report.phase), (Code::TlsUntrusted, Phase::Tls));
    // The other way round: a WebSocket where the server wants TLS.
    let report = Client::new(at(&format!("ws://127.0.0.1:{port}/mqtt"))).attempt();
    assert_eq!(report.phase, Phase::WebSocket, "{report:?}");
    assert!(report.text.contains("wss://"), "{}", report.text);
}

/// Passes the numbers of the attempts on; somebody else answers.
#[cfg(feature = "websocket")]
struct Asks(std::sync::mpsc::Sender<u64>);

#[cfg(feature = "websocket")]
impl CredentialsHook<Conn> for Asks {
    fn ask(&self, _: &Conn, attempt: u64) {
        self.0.send(attempt).unwrap();
    }
}

/// The request for a WebSocket has path and headers of the credentials hook, new ones for each attempt unless they are good
/// for longer; after a refusal it is asked again in any case.
#[cfg(feature = "websocket")]
#[test]
fn a_request_with_what_the_credentials_hook_says() {
    use tungstenite::handshake::server::{Request, Response};
    use tungstenite::{Message, accept_hdr};

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut requests, mut connects) = (Vec::new(), Vec::new());
        let mut refused = listener.accept().unwrap().0;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            refused.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let line =
            |start: &str| head.lines().find_map(|line| line.strip_prefix(start)).unwrap_or("").to_owned();
        requests.push((line("GET ").replace(" HTTP/1.1", ""), line("Authorization: "), line("X-Own: ")));
        refused.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").unwrap();
        drop(refused);
        for _ in 0..3 {
            #[expect(clippy::result_large_err, reason = "the callback is tungstenite's")]
            let check = |request: &Request, mut response: Response| {
                let header =
                    |name| request.headers().get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
                requests.push((request.uri().to_string(), header("Authorization"), header("X-Own")));
                response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
                Ok(response)
            };
            let mut socket = accept_hdr(listener.accept().unwrap().0, check).unwrap();
            let Ok(Message::Binary(connect)) = socket.read() else { panic!("no CONNECT") };
            connects.push(String::from_utf8_lossy(&connect).into_owned());
            socket.send(Message::binary(vec![0x20, 2, 0, 0])).unwrap();
            // A message: the client has seen CONNACK, and the connection may be lost.
            let _ = socket.read();
        }
        (requests, connects)
    });
    let mut profile = at(&format!("ws://127.0.0.1:{port}/unsigned"));
    profile.route.ws_headers = Some(Secret("X-Own: configured".into()));
    let client = Client::new(profile);
    let (asks, asked) = std::sync::mpsc::channel();
    client.conn.set_credentials_hook(Some(Arc::new(Asks(asks)))).unwrap();
    let conn = client.conn.clone();
    let answers = std::thread::spawn(move || {
        let mut n = 0;
        while let Ok(attempt) = asked.recv() {
            n += 1;
            let answer = Credentials {
                user: Some(format!("user {n}")),
                valid_until: 1e12,
                ws_path: Some(Secret(format!("/signed?token={n}"))),
                ws_headers: Some(Secret(format!("Authorization: Bearer {n}"))),
                ..Credentials::default()
            };
            conn.answer_credentials(attempt, Some(answer)).unwrap();
        }
        n
    });
    let report = client.attempt();
    assert_eq!((report.code, report.phase), (Code::WebSocketRefused, Phase::WebSocket), "{report:?}");
    let ready = || client.conn.publish(Publication::new("a", b"b", QoS::AtMostOnce)).unwrap();
    for n in 1..=2 {
        client.up();
        ready();
        client.until(|seen| seen.closed == n);
    }
    // Another function, and what the old one said is forgotten.
    let (asks, asked) = std::sync::mpsc::channel();
    client.conn.set_credentials_hook(Some(Arc::new(Asks(asks)))).unwrap();
    assert_eq!(answers.join().unwrap(), 2);
    let conn = client.conn.clone();
    let answers = std::thread::spawn(move || {
        let user = Some("user 3".to_owned());
        conn.answer_credentials(asked.recv().unwrap(), Some(Credentials { user, ..Credentials::default() }))
            .unwrap();
    });
    client.up();
    answers.join().unwrap();
    ready();
    client.until(|seen| seen.closed == 3);
    let said = client.log.lock().unwrap().join("\n");
    assert!(!said.contains("token=") && !said.contains("Bearer"), "{said}");
    let (requests, connects) = server.join().unwrap();
    let signed = |n: u32| (format!("/signed?token={n}"), format!("Bearer {n}"), String::new());
    let plain = ("/unsigned".to_owned(), String::new(), "configured".to_owned());
    assert_eq!(requests, [signed(1), signed(2), signed(2), plain]);
    for (connect, user) in connects.iter().zip(["user 2", "user 2", "user 3"]) {
        assert!(connect.contains(user), "{connect:?}");
    }
}

#[cfg(feature = "websocket")]
#[test]
fn a_credentials_hook_that_says_nothing_before_the_request() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut profile = at(&format!("ws://127.0.0.1:{}/mqtt", listener.local_addr().unwrap().port()));
    profile.timeouts.websocket = mgos_mqtt::time::Span::millis(50);
    let client = Client::new(profile);
    let (asks, asked) = std::sync::mpsc::channel();
    client.conn.set_credentials_hook(Some(Arc::new(Asks(asks)))).unwrap();
    let report = client.attempt();
    assert_eq!((report.code, report.phase), (Code::HookTimeout, Phase::WebSocket));
    assert!(report.text.contains("ws_timeout_ms"), "{}", report.text);
    // Its answer comes too late; the next one gives the attempt up.
    let late = asked.recv().unwrap();
    assert_eq!(client.conn.answer_credentials(late, Some(Credentials::default())), Err(Code::Stale));
    let conn = client.conn.clone();
    let answers = std::thread::spawn(move || conn.answer_credentials(asked.recv().unwrap(), None).unwrap());
    let report = client.attempt();
    answers.join().unwrap();
    assert_eq!((report.code, report.phase), (Code::HookAborted, Phase::WebSocket));
    assert!(report.text.contains("gave the attempt up"), "{}", report.text);
}

#[cfg(feature = "websocket")]
#[test]
fn a_plain_mqtt_server_is_no_websocket() {
    let broker = Broker::with("");
    let report = Client::new(at(&format!("ws://127.0.0.1:{}/mqtt", broker.port))).attempt();
    assert_eq!((report.code, report.phase), (Code::WebSocketNotSpoken, Phase::WebSocket));
    assert!(report.text.contains("it may not speak WebSocket on this port"), "{}", report.text);
}

#[cfg(feature = "websocket")]
#[test]
fn a_server_that_does_not_answer_the_request() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut profile = at(&format!("ws://127.0.0.1:{}/mqtt", listener.local_addr().unwrap().port()));
    profile.timeouts.websocket = mgos_mqtt::time::Span::millis(50);
    let client = Client::new(profile);
    let report = client.attempt();
    assert_eq!((report.code, report.phase), (Code::WebSocketTimeout, Phase::WebSocket));
    assert!(report.text.contains("by 127.0.0.1:"), "{}", report.text);
}

/// Another implementation as the server: fragments, pings in between, many packets in a frame, a close code.
/// mqtt3: MQTT-6.0.0-1 MQTT-6.0.0-2 MQTT-6.0.0-3
/// mqtt5: MQTT-6.0.0-1 MQTT-6.0.0-2 MQTT-6.0.0-3
#[cfg(feature = "websocket")]
#[test]
fn tungstenite_as_the_server() {
    use tungstenite::handshake::server::{Request, Response};
    use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
    use tungstenite::protocol::frame::{CloseFrame, Frame};
    use tungstenite::{Message, accept_hdr};

    const MESSAGES: usize = 1_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        #[expect(clippy::result_large_err, reason = "the callback is tungstenite's")]
        let check = |request: &Request, mut response: Response| {
            assert_eq!(request.uri().to_string(), "/deep/path?token=a%20b");
            assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "mqtt");
            assert_eq!(request.headers()["Authorization"], "Bearer hunter2");
            assert_eq!(request.headers()["Host"], format!("127.0.0.1:{port}"));
            response.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
            Ok(response)
        };
        let mut socket = accept_hdr(listener.accept().unwrap().0, check).unwrap();
        let frame = |bytes: &[u8], opcode, last| Message::Frame(Frame::message(bytes.to_vec(), opcode, last));
        let ping = |bytes: &[u8]| Message::Frame(Frame::ping(bytes.to_vec()));
        let mut received = Vec::new();
        let read = |socket: &mut tungstenite::WebSocket<_>, received: &mut Vec<u8>| match socket.read() {
            Ok(Message::Binary(bytes)) => received.extend_from_slice(&bytes),
            Ok(Message::Pong(bytes)) => assert_eq!(&bytes[..], b"in between"),
            other => panic!("{other:?}"),
        };
        while received.is_empty() {
            read(&mut socket, &mut received);
        }
        assert_eq!(received[0], 0x10, "CONNECT");
        // CONNACK in three frames, with a ping in between.
        socket.send(frame(&[0x20], OpCode::Data(Data::Binary), false)).unwrap();
        socket.send(ping(b"in between")).unwrap();
        socket.send(frame(&[2, 0], OpCode::Data(Data::Continue), false)).unwrap();
        socket.send(frame(&[0], OpCode::Data(Data::Continue), true)).unwrap();
        // SUBSCRIBE, and its answer together with many messages in one frame.
        received.clear();
        while received.len() < 4 {
            read(&mut socket, &mut received);
        }
        assert_eq!(received[0], 0x82, "SUBSCRIBE");
        let mut all = vec![0x90, 3, received[2], received[3], 2];
        for n in 0..MESSAGES {
            all.extend([0x30, 5, 0, 1, b'a', (n >> 8) as u8, n as u8]);
        }
        socket.send(frame(&all, OpCode::Data(Data::Binary), true)).unwrap();
        let (code, reason) = (CloseCode::Policy, "not you".into());
        socket.close(Some(CloseFrame { code, reason })).unwrap();
        loop {
            match socket.read() {
                Ok(Message::Close(answer)) => break assert_eq!(answer.unwrap().code, CloseCode::Policy),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let mut profile = at(&format!("ws://127.0.0.1:{port}/deep/path?token=a%20b"));
    profile.route.ws_headers = Some(Secret("Authorization: Bearer hunter2".into()));
    let client = Client::new(profile);
    client.up();
    client.subscribe("a");
    client.until(|seen| seen.closed == 1);
    let seen = client.seen.lock().unwrap();
    assert_eq!(seen.messages.len(), MESSAGES);
    let in_order = |(n, (_, payload)): (usize, &(String, Vec<u8>))| *payload == [(n >> 8) as u8, n as u8];
    assert!(seen.messages.iter().enumerate().all(in_order));
    let report = client.conn.report();
    assert_eq!((report.code, report.phase), (Code::ClosedByServer, Phase::Up));
    assert!(report.text.contains("code 1008 (policy violation"), "{}", report.text);
    let said = client.log.lock().unwrap().join("\n");
    assert!(!said.contains("hunter2") && !said.contains("token="), "{said}");
    server.join().unwrap();
}

/// Around the sizes at which the length of a frame takes more bytes.
#[cfg(feature = "websocket")]
#[test]
fn messages_of_every_small_size_come_back() {
    let (_broker, port) = websocket_broker("");
    let client = Client::new(at(&format!("ws://127.0.0.1:{port}/mqtt")));
    client.up();
    client.subscribe("size");
    let payload = |n: usize| (0..n).map(|i| (i * 31 + n) as u8).collect::<Vec<u8>>();
    for size in 105..135 {
        client.conn.publish(Publication::new("size", &payload(size), QoS::AtLeastOnce)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 30);
    let seen = client.seen.lock().unwrap();
    assert!((105..135).zip(&seen.messages).all(|(size, (_, found))| *found == payload(size)));
}
