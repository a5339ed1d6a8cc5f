//! Credentials that end while the connection is up.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use mgos_mqtt::client::{Conn, Credentials, CredentialsHook};
use mgos_mqtt::config::{Profile, Secret, Settings};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::PropertyValue::{Binary, Utf8};
use mgos_mqtt::wire::{Auth, Packet, PacketType, Properties, PropertyId};

use crate::rig::{Client, LONG, Link, Q1, Server, Told, block, profile};

/// Long enough for what a test does first, on a busy machine too.
const LIFE: f64 = 3.0;

fn clock() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Answers with the number of the question as password, and as data; the first answer ends soon.
struct Numbered {
    asked: Mutex<(u32, Sender<u64>)>,
    has_data: bool,
    ends: f64,
}

impl CredentialsHook<Conn> for Numbered {
    fn ask(&self, conn: &Conn, attempt: u64) {
        let mut asked = self.asked.lock().unwrap();
        asked.0 += 1;
        asked.1.send(attempt).unwrap();
        let text = asked.0.to_string().into_bytes();
        let credentials = Credentials {
            user: Some("user".into()),
            password: Some(Secret(text.clone())),
            valid_until: if asked.0 == 1 { self.ends } else { clock() + 3600.0 },
            auth_data: self.has_data.then_some(Secret(text)),
            ..Credentials::default()
        };
        conn.answer_credentials(attempt, Some(credentials)).unwrap();
    }
}

struct Rig {
    server: Server,
    client: Client,
    /// The attempts that it was asked for.
    asked: Receiver<u64>,
    ends: f64,
}

fn rig(method: bool) -> Rig {
    let server = Server::new();
    let mut profile = Profile { clean_session: false, ..profile(server.address()) };
    // A wait that is never over: what comes next comes at once.
    (profile.reconnect_min, profile.reconnect_max) = (Span::secs(3600), Span::secs(3600));
    if method {
        let list = [(PropertyId::AuthenticationMethod, Utf8("token"))];
        profile.connect_properties = block(PacketType::Connect, &list);
    }
    let client = Client::new(profile, Settings::default());
    let (tell, asked) = channel();
    let ends = clock() + LIFE;
    let hook = Numbered { asked: Mutex::new((0, tell)), has_data: method, ends };
    client.conn.set_credentials_hook(Some(Arc::new(hook))).unwrap();
    client.conn.connect().unwrap();
    Rig { server, client, asked, ends }
}

/// The password and the authentication data of the next CONNECT.
fn connect(link: &mut Link) -> (Vec<u8>, Option<Vec<u8>>) {
    link.next(|packet| match packet {
        Packet::Connect(connect) => (
            connect.password.unwrap().to_vec(),
            connect.properties.bytes(PropertyId::AuthenticationData).map(<[u8]>::to_vec),
        ),
        other => panic!("{other:?}"),
    })
}

#[test]
fn without_a_method_the_connection_is_opened_anew_in_a_quiet_moment() {
    let Rig { server, client, asked, ends } = rig(false);
    let mut link = server.accept();
    assert_eq!(connect(&mut link), (b"1".to_vec(), None));
    link.connack(false, 0, &[]);
    client.up();
    assert_eq!(link.disconnect(), 0);
    assert_eq!(client.closed().code, Code::CredentialsExpired);
    // On a machine that was not too busy: before the end.
    println!("renewed {:.3} s before the end", ends - clock());
    let mut link = server.accept();
    assert_eq!(connect(&mut link), (b"2".to_vec(), None));
    link.connack(true, 0, &[]);
    client.up();
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn what_is_in_flight_has_until_the_end() {
    let Rig { server, client, asked: _asked, ends } = rig(false);
    let mut link = server.accept();
    connect(&mut link);
    link.connack(false, 0, &[]);
    client.up();
    client.publish("t", b"x", Q1);
    link.expect(PacketType::Publish);
    assert_eq!(link.disconnect(), 0);
    assert!(clock() >= ends);
    assert_eq!(client.closed().code, Code::CredentialsExpired);
    let mut link = server.accept();
    connect(&mut link);
    link.connack(true, 0, &[]);
    client.up();
    // It goes on.
    let again = link.expect(PacketType::Publish);
    assert_eq!(again[0] & 8, 8, "DUP");
}

#[test]
fn with_a_method_they_go_out_in_auth() {
    let Rig { server, client, asked, .. } = rig(true);
    let mut link = server.accept();
    assert_eq!(connect(&mut link), (b"1".to_vec(), Some(b"1".to_vec())));
    link.connack(false, 0, &[]);
    client.up();
    assert_eq!(asked.recv_timeout(LONG), Ok(1));
    link.next(|packet| match packet {
        Packet::Auth(auth) => {
            let list = [
                (PropertyId::AuthenticationMethod, Utf8("token")),
                (PropertyId::AuthenticationData, Binary(b"2")),
            ];
            assert_eq!((auth.reason, auth.properties), (0x19, Properties::from_list(&list)));
        }
        other => panic!("{other:?}"),
    });
    // For the same attempt, on the same connection, which stays.
    assert_eq!(asked.recv_timeout(LONG), Ok(1));
    let list = [(PropertyId::AuthenticationMethod, Utf8("token"))];
    link.send(&Packet::Auth(Auth { reason: 0, properties: Properties::from_list(&list) }));
    client.publish("t", b"x", Q1);
    link.expect(PacketType::Publish);
    assert!(client.conn.is_connected());
    // And on the next one they are still good.
    client.conn.reconnect().unwrap();
    let mut link = server.accept();
    assert_eq!(connect(&mut link), (b"2".to_vec(), Some(b"2".to_vec())));
    assert!(asked.try_recv().is_err());
}

/// There is nothing that the data could be for. Another answer may be better, however long this one would hold.
#[test]
fn authentication_data_needs_a_method() {
    let server = Server::new();
    let client = Client::new(profile(server.address()), Settings::default());
    let (tell, asked) = channel();
    let hook = Numbered { asked: Mutex::new((0, tell)), has_data: true, ends: clock() + 3600.0 };
    client.conn.set_credentials_hook(Some(Arc::new(hook))).unwrap();
    client.conn.connect().unwrap();
    let Told::Failed { code: Code::BadProperty, .. } = client.told() else { panic!("not failed") };
    assert!(client.conn.report().text.contains("no Authentication Method"));
    assert_eq!([(); 2].map(|()| asked.recv_timeout(LONG)), [Ok(1), Ok(2)]);
}
