//! Through proxies to a real broker, whatever is spoken to that.
#![cfg(feature = "proxy")]

mod tls_support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use mgos_mqtt::config::proxy::ProxyVariables;
use mgos_mqtt::config::{Profile, Secret};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::session::Publication;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::QoS;
use tls_support::{Broker, Ca, Client, Folder, free_port, profile};

/// A proxy that resolves every name to this host, and remembers what it was asked for.
struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(serve: fn(&mut TcpStream) -> Option<(String, u16)>) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let to = asked.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let to = to.clone();
                std::thread::spawn(move || {
                    let Some((host, port)) = serve(&mut client) else { return };
                    to.lock().unwrap().push(format!("{host}:{port}"));
                    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
                    let (mut from, mut back) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut back);
                        let _ = back.shutdown(Shutdown::Write);
                    });
                    let (mut server, mut client) = (server, client);
                    let _ = std::io::copy(&mut server, &mut client);
                    let _ = client.shutdown(Shutdown::Write);
                });
            }
        });
        Proxy { port, asked }
    }

    /// HTTP, for the user `me` with the password `p@ss`.
    fn http() -> Proxy {
        Proxy::start(|client| {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).ok()?;
                request.extend(byte);
            }
            let text = String::from_utf8(request).unwrap();
            if !text.contains("\r\nProxy-Authorization: Basic bWU6cEBzcw==\r\n") {
                let answer = b"HTTP/1.1 407 Auth\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
                client.write_all(answer).ok()?;
                return None;
            }
            let target = text.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
            let (host, port) = target.rsplit_once(':').unwrap();
            // In pieces.
            client.write_all(b"HTTP/1.1 200 ").ok()?;
            client.write_all(b"Connection established\r\n\r\n").ok()?;
            Some((host.to_owned(), port.parse().unwrap()))
        })
    }

    /// SOCKS5, for everybody.
    fn socks() -> Proxy {
        Proxy::start(|client| {
            let mut greeting = [0; 2];
            client.read_exact(&mut greeting).ok()?;
            client.read_exact(&mut vec![0; usize::from(greeting[1])]).ok()?;
            client.write_all(&[5, 0]).ok()?;
            let mut request = [0; 5];
            client.read_exact(&mut request).ok()?;
            assert_eq!(request[..4], [5, 1, 0, 3], "a name, not an address");
            let mut rest = vec![0; usize::from(request[4]) + 2];
            client.read_exact(&mut rest).ok()?;
            client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1]).ok()?;
            let [name @ .., high, low] = &rest[..] else { unreachable!() };
            Some((String::from_utf8(name.to_vec()).unwrap(), u16::from_be_bytes([*high, *low])))
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// The server's name exists for the proxy only.
const NAME: &str = "broker.invalid";

fn at(server: String, proxy: String) -> Profile {
    let mut profile = Profile { server: Some(server), ..profile(1) };
    profile.route.proxy = Some(Secret(proxy));
    profile
}

#[track_caller]
fn works(profile: Profile) -> Client {
    let client = Client::new(profile);
    client.up();
    client.subscribe("a/#");
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.conn.publish(Publication::new("a/b", &[7; 3_000], qos)).unwrap();
    }
    client.until(|seen| seen.messages.len() == 3 && seen.acknowledged == 2);
    let said = client.log.lock().unwrap().join("\n");
    assert!(
        said.contains(" through the proxy 127.0.0.1:") || said.contains(" through the proxy localhost:"),
        "{said}"
    );
    assert!(!said.contains("p@ss") && !said.contains("p%40ss"), "{said}");
    client
}

#[test]
fn mqtt_through_each_kind_of_proxy() {
    let broker = Broker::with("");
    let (http, socks) = (Proxy::http(), Proxy::socks());
    let server = format!("{NAME}:{}", broker.port);
    works(at(server.clone(), format!("http://me:p%40ss@127.0.0.1:{}", http.port)));
    works(at(server.clone(), format!("SOCKS5://localhost:{}", socks.port)));
    assert_eq!((http.asked(), socks.asked()), (vec![server.clone()], vec![server]));
}

#[cfg(all(feature = "tls", feature = "websocket"))]
#[test]
fn tls_and_websocket_through_each_kind_of_proxy() {
    let (ca, folder) = (Ca::new("Test CA"), Folder::new());
    let pair = ca.issue(&[NAME]);
    let (certificate, key) =
        (folder.put("server.pem", &pair.certificate), folder.put("server.key", &pair.key));
    let (tls, ws, wss) = (free_port(), free_port(), free_port());
    let secure = format!("certfile {certificate}\nkeyfile {key}");
    let _broker = Broker::with(&format!(
        "listener {tls} 127.0.0.1\n{secure}\nlistener {ws}\nprotocol websockets\nlistener {wss}\nprotocol websockets\n{secure}"
    ));
    let (http, socks) = (Proxy::http(), Proxy::socks());
    for proxy in
        [format!("http://me:p%40ss@127.0.0.1:{}", http.port), format!("socks5h://127.0.0.1:{}", socks.port)]
    {
        for server in [
            format!("mqtts://{NAME}:{tls}"),
            format!("ws://{NAME}:{ws}/mqtt"),
            format!("wss://{NAME}:{wss}/mqtt"),
        ] {
            let mut profile = at(server.clone(), proxy.clone());
            if !server.starts_with("ws:") {
                profile.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
            }
            works(profile);
        }
    }
    let expected = [tls, ws, wss].map(|port| format!("{NAME}:{port}"));
    assert_eq!((http.asked(), socks.asked()), (expected.to_vec(), expected.to_vec()));
    // It is the server's certificate that counts, and the server's name.
    let report =
        Client::new(at(format!("mqtts://other.invalid:{tls}"), format!("socks5://127.0.0.1:{}", socks.port)))
            .attempt();
    assert_eq!((report.code, report.phase), (Code::TlsUntrusted, Phase::Tls));
    let mut profile =
        at(format!("mqtts://other.invalid:{tls}"), format!("socks5://127.0.0.1:{}", socks.port));
    profile.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    let report = Client::new(profile).attempt();
    assert_eq!((report.code, report.phase), (Code::TlsWrongName, Phase::Tls));
}

/// TLS to the proxy, and inside that TLS to the server.
#[cfg(feature = "tls")]
#[test]
fn tls_through_a_proxy_over_tls() {
    let (ca, proxy_ca) = (Ca::new("Server CA"), Ca::new("Proxy CA"));
    let broker = Broker::tls(&ca.issue(&[NAME]), "");
    let http = Proxy::http();
    let gate = tls_gate(&proxy_ca, http.port);
    let mut profile =
        at(format!("mqtts://{NAME}:{}", broker.port), format!("https://me:p%40ss@localhost:{}", gate.port));
    profile.tls.ca = Some(Secret(ca.pem.clone().into_bytes()));
    // Nobody vouches for the proxy.
    let report = Client::new(profile.clone()).attempt();
    assert_eq!((report.code, report.phase), (Code::ProxyTls, Phase::Proxy));
    assert!(report.text.contains("CN=Proxy CA"), "{}", report.text);
    assert_eq!(http.asked(), [""; 0]);
    profile.route.proxy_ca = Some(Secret(proxy_ca.pem.clone().into_bytes()));
    works(profile);
    assert_eq!(http.asked(), [format!("{NAME}:{}", broker.port)]);
}

/// Takes TLS off and passes the bytes on: socat, as in front of a proxy.
#[cfg(feature = "tls")]
struct Gate {
    port: u16,
    child: std::process::Child,
    _folder: Folder,
}

#[cfg(feature = "tls")]
impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(feature = "tls")]
fn tls_gate(ca: &Ca, to: u16) -> Gate {
    let folder = Folder::new();
    let pair = ca.issue(&["localhost", "127.0.0.1"]);
    let file = folder.put("gate.pem", format!("{}{}", pair.certificate, pair.key));
    let port = free_port();
    let listen = format!("OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,cert={file}");
    let child = std::process::Command::new("socat")
        .args([listen, format!("TCP:127.0.0.1:{to}")])
        .spawn()
        .expect("socat is needed");
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        std::thread::yield_now();
    }
    Gate { port, child, _folder: folder }
}

#[test]
fn what_the_proxy_refuses_is_told() {
    let http = Proxy::http();
    let fails = |proxy: String, code, phase, part: &str| {
        let mut profile = at(format!("{NAME}:1883"), proxy);
        profile.timeouts.proxy = Span::millis(100);
        let report = Client::new(profile).attempt();
        assert_eq!((report.code, report.phase), (code, phase), "{}", report.text);
        assert!(report.text.contains(part), "{part:?} is not in {:?}", report.text);
        assert!(!report.text.contains("hunter2"), "{}", report.text);
    };
    let port = http.port;
    let text = "http://user:password@host:port";
    fails(format!("http://127.0.0.1:{port}"), Code::ProxyCredentials, Phase::Proxy, text);
    let text = "does not accept this user name and password";
    fails(format!("http://me:hunter2@127.0.0.1:{port}"), Code::ProxyCredentials, Phase::Proxy, text);
    let text = "the proxy cannot be reached, nothing listens at the proxy's address and port: 127.0.0.1:";
    fails(format!("http://127.0.0.1:{}", free_port()), Code::ConnectRefused, Phase::Proxy, text);
    fails("http://no-proxy.invalid".into(), Code::DnsFailed, Phase::Dns, "proxy no-proxy.invalid");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    fails(format!("socks5://127.0.0.1:{port}"), Code::ProxyTimeout, Phase::Proxy, "did not answer in time");
    fails("ftp://x".into(), Code::BadAddress, Phase::Usage, "proxy: a proxy begins with http://");
}

#[test]
fn the_environment_is_asked_on_request_only_and_knows_exceptions() {
    let broker = Broker::with("");
    let http = Proxy::http();
    let variables = |no: &str| ProxyVariables {
        all: Some(Secret(format!("http://me:p%40ss@127.0.0.1:{}", http.port))),
        no: no.into(),
        ..ProxyVariables::default()
    };
    let mut profile = Profile { server: Some(format!("localhost:{}", broker.port)), ..profile(1) };
    profile.route.proxy_variables = Some(variables("example.org"));
    works(profile.clone());
    assert_eq!(http.asked().len(), 1);
    profile.route.proxy_variables = Some(variables("example.org, localhost"));
    Client::new(profile).up();
    assert_eq!(http.asked().len(), 1);
}
