//! SCRAM-SHA-256, with a server that does it as well, and with hostile ones.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use mgos_mqtt::client::{
    Conn, Context, Credentials, CredentialsHook, Event, Identity, Kind, Level, Report, Sink,
};
use mgos_mqtt::config::{Authentication, Profile, Protocol, Secret, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::{Code, Phase};
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::PropertyValue::{Binary, Utf8};
use mgos_mqtt::wire::{Auth, Packet, PacketType, Properties, Property, PropertyId};
use ring::{digest, hmac, pbkdf2};

use crate::rig::{Client, LONG, Link, Server, Tell, Told, block, profile};

const PASSWORD: &str = "pencil";
const SALT: &str = "c2FsdA==";

/// A server's proof, of another exchange.
const ANOTHER: &[u8] = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn scram(server: &Server) -> Profile {
    Profile {
        user: Some("us,er".into()),
        pass: Some(Secret(PASSWORD.as_bytes().to_vec())),
        authentication: Authentication::ScramSha256,
        ..profile(server.address())
    }
}

fn connect(profile: Profile) -> Client {
    let client = Client::new(profile, Settings::default());
    client.conn.connect().unwrap();
    client
}

fn data(bytes: &[u8]) -> [Property<'_>; 2] {
    [
        (PropertyId::AuthenticationMethod, Utf8("SCRAM-SHA-256")),
        (PropertyId::AuthenticationData, Binary(bytes)),
    ]
}

fn base64(bytes: &[u8]) -> String {
    mgos_mqtt_base::base64::encode(bytes)
}

fn sign(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// The server's side of one exchange.
struct Exchange {
    hello: String,
    challenge: String,
}

impl Exchange {
    /// The client has said hello, in CONNECT or in AUTH.
    fn begins(hello: &str) -> Exchange {
        let bare = hello.strip_prefix("n,,").unwrap();
        let nonce = bare.strip_prefix("n=us=2Cer,r=").unwrap();
        Exchange { hello: bare.into(), challenge: format!("r={nonce}more,s={SALT},i=4096") }
    }

    /// Checks the client's proof, and gives the server's.
    fn ends(&self, last: &str) -> String {
        let (without_proof, proof) = last.rsplit_once(",p=").unwrap();
        let nonce = self.challenge.split_once(',').unwrap().0;
        assert_eq!(without_proof, format!("c=biws,{nonce}"));
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(4096).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"salt", PASSWORD.as_bytes(), &mut salted);
        let signed = format!("{},{},{without_proof}", self.hello, self.challenge);
        let client_key = sign(&salted, "Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let signature = sign(stored.as_ref(), &signed);
        let right: Vec<u8> =
            client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, sign)| key ^ sign).collect();
        assert_eq!(proof, base64(&right), "the client's proof");
        format!("v={}", base64(sign(sign(&salted, "Server Key").as_ref(), &signed).as_ref()))
    }
}

fn text_of(properties: Properties<'_>) -> String {
    assert_eq!(properties.text(PropertyId::AuthenticationMethod), Some("SCRAM-SHA-256"));
    String::from_utf8(properties.bytes(PropertyId::AuthenticationData).unwrap().to_vec()).unwrap()
}

/// Takes CONNECT, which has neither name nor password.
fn hello(link: &mut Link) -> Exchange {
    link.next(|packet| match packet {
        Packet::Connect(connect) => {
            assert_eq!((connect.user_name, connect.password), (None, None));
            Exchange::begins(&text_of(connect.properties))
        }
        other => panic!("{other:?}"),
    })
}

fn send_auth(link: &mut Link, reason: u8, bytes: &[u8]) {
    link.send(&Packet::Auth(Auth { reason, properties: Properties::from_list(&data(bytes)) }));
}

fn take_auth(link: &mut Link, reason: u8) -> String {
    link.next(|packet| match packet {
        Packet::Auth(auth) => {
            assert_eq!(auth.reason, reason);
            text_of(auth.properties)
        }
        other => panic!("{other:?}"),
    })
}

/// Challenges the client, and takes its proof. What the server has to prove with.
fn challenge(link: &mut Link, exchange: &Exchange) -> String {
    send_auth(link, 0x18, exchange.challenge.as_bytes());
    exchange.ends(&take_auth(link, 0x18))
}

fn auth_events(client: &Client) -> Receiver<u8> {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let on = Tell(move |event: &Event<'_>| {
        if let Event::Auth { reason, .. } = event {
            tell.lock().unwrap().send(*reason).unwrap();
        }
    });
    client.conn.add_handler(Identity(7, 7), Kind::Auth.bit(), Box::new(on)).unwrap();
    told
}

#[test]
fn both_sides_prove_that_they_know_the_password() {
    let server = Server::new();
    let client = connect(scram(&server));
    let events = auth_events(&client);
    let mut link = server.accept();
    let exchange = hello(&mut link);
    let proof = challenge(&mut link, &exchange);
    assert!(!client.conn.is_connected());
    link.connack(false, 0, &data(format!("{proof},ext=1").as_bytes()));
    client.up();
    // Only the library answers.
    let say =
        |reason, list: &[Property<'_>]| client.conn.authenticate(reason, &block(PacketType::Auth, list));
    assert_eq!(say(0x18, &data(b"x")), Err(Code::Busy));
    assert_eq!(say(0x19, &data(b"x")), Err(Code::BadProperty));
    // Again, while messages go on.
    say(0x19, &[]).unwrap();
    let exchange = Exchange::begins(&take_auth(&mut link, 0x19));
    assert_eq!(say(0x19, &[]), Err(Code::Busy));
    client.publish("t", b"x", crate::rig::Q0);
    link.expect(PacketType::Publish);
    client.ended();
    let proof = challenge(&mut link, &exchange);
    send_auth(&mut link, 0, proof.as_bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(0));
    // And once more, with a server that has forgotten the password.
    say(0x19, &[]).unwrap();
    let exchange = Exchange::begins(&take_auth(&mut link, 0x19));
    challenge(&mut link, &exchange);
    send_auth(&mut link, 0, proof.as_bytes());
    assert_eq!(link.disconnect(), 0x80);
    let report = client.closed();
    assert_eq!((report.code, report.phase), (Code::AuthenticationFailed, Phase::Protocol));
    assert!(events.try_recv().is_err());
}

/// How an attempt fails when the server goes on like this.
fn fails(profile: impl FnOnce(Profile) -> Profile, server_does: impl FnOnce(&mut Link, Exchange)) -> Report {
    let server = Server::new();
    let client = connect(profile(scram(&server)));
    let events = auth_events(&client);
    let mut link = server.accept();
    let exchange = hello(&mut link);
    server_does(&mut link, exchange);
    assert_eq!(link.disconnect(), 0x80);
    let Told::Failed { code, connack: None, .. } = client.told() else { panic!("not failed") };
    assert_eq!(code, Code::AuthenticationFailed);
    assert!(events.try_recv().is_err());
    client.conn.report()
}

#[test]
fn a_server_that_proves_nothing_is_not_connected_to() {
    let text = |server_does: fn(&mut Link, Exchange)| {
        let report = fails(|profile| profile, server_does);
        assert_eq!((report.code, report.phase), (Code::AuthenticationFailed, Phase::Connect));
        report.text
    };
    for (said, wanted) in [
        (text(|link, _| link.connack(false, 0, &[])), "before the client had proved who it is"),
        (text(|link, _| link.connack(false, 0, &data(ANOTHER))), "before the client had proved who it is"),
        (
            text(|link, exchange| {
                challenge(link, &exchange);
                link.connack(true, 0, &[]);
            }),
            "without a proof that it knows the password",
        ),
        (
            text(|link, exchange| {
                challenge(link, &exchange);
                link.connack(false, 0, &data(ANOTHER));
            }),
            "the server's proof is wrong",
        ),
        (
            text(|link, exchange| {
                let proof = challenge(link, &exchange);
                link.connack(false, 0, &data(&proof.as_bytes()[..proof.len() - 1]));
            }),
            "the server's proof is wrong",
        ),
        (
            text(|link, exchange| {
                let proof = challenge(link, &exchange);
                link.connack(false, 0, &data(format!("{proof}x").as_bytes()));
            }),
            "the server's proof is wrong",
        ),
        (
            text(|link, exchange| {
                let proof = challenge(link, &exchange);
                send_auth(link, 0x18, proof.as_bytes());
            }),
            "another challenge",
        ),
    ] {
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn challenges_that_are_not_answered() {
    let text = |challenge: &dyn Fn(&str) -> String| {
        fails(
            |profile| Profile { scram_max_iterations: 5000, ..profile },
            |link, exchange| {
                let nonce = exchange.challenge.split(',').next().unwrap();
                send_auth(link, 0x18, challenge(nonce).as_bytes());
            },
        )
        .text
    };
    for (said, wanted) in [
        (
            text(&|nonce| format!("{},s={SALT},i=4096", &nonce[..nonce.len() - 4])),
            "does not begin with ours and go on",
        ),
        (text(&|_| format!("r=x,s={SALT},i=4096")), "does not begin with ours and go on"),
        (text(&|_| String::new()), "does not begin with a nonce"),
        (text(&|nonce| format!("{nonce},s=***,i=4096")), "its salt is not Base64"),
        (text(&|nonce| format!("{nonce},s={SALT},i=0")), "not a positive number"),
        (text(&|nonce| format!("{nonce},s={SALT},i=4095")), "at least 4096"),
        (
            text(&|nonce| format!("{nonce},s={SALT},i=5001")),
            "more than the 5000 iterations that scram_max_iterations",
        ),
        (text(&|nonce| format!("{nonce},s={SALT},i=999999999999")), "more than the 5000 iterations"),
    ] {
        assert!(said.contains(wanted), "{said}");
        assert!(!said.contains(PASSWORD), "{said}");
    }
}

/// Answers at once, with another login each time.
struct Logins(Mutex<Vec<Credentials>>);

impl CredentialsHook<Conn> for Logins {
    fn ask(&self, conn: &Conn, attempt: u64) {
        let next = self.0.lock().unwrap().pop();
        conn.answer_credentials(attempt, next).unwrap();
    }
}

#[test]
fn the_login_may_come_from_the_credentials_hook() {
    let server = Server::new();
    // No attempt comes by itself, so that the report is that of the last one that was told.
    let hour = Span::secs(3600);
    let (reconnect_min, reconnect_max) = (hour, hour);
    let profile = Profile { user: None, pass: None, reconnect_min, reconnect_max, ..scram(&server) };
    let client = Client::new(profile, Settings::default());
    let login = |user: &str, password: &str| Credentials {
        user: Some(user.into()),
        password: Some(Secret(password.as_bytes().to_vec())),
        valid_until: 0.0,
        ..Credentials::default()
    };
    // The last comes first. One cannot be prepared.
    let logins = vec![login("us,er", PASSWORD), login("us,er", "p\u{e9}ncil"), login("", "x")];
    client.conn.set_credentials_hook(Some(Arc::new(Logins(Mutex::new(logins))))).unwrap();
    client.conn.connect().unwrap();
    for wanted in ["SCRAM-SHA-256 needs a user name", "passwords of printable ASCII"] {
        let Told::Failed { code: Code::BadConfig, .. } = client.told() else { panic!("not failed") };
        let text = client.conn.report().text;
        assert!(text.contains(wanted) && !text.contains("ncil"), "{text}");
        client.conn.connect().unwrap();
    }
    // Those attempts opened a connection each, and sent nothing.
    let mut link = server.accept();
    let exchange = hello(&mut link);
    let proof = challenge(&mut link, &exchange);
    link.connack(false, 0, &data(proof.as_bytes()));
    client.up();
}

/// Those of the hook end soon: another exchange, with new ones, on the same connection.
#[test]
fn credentials_that_end_are_renewed_by_another_exchange() {
    let server = Server::new();
    let client = Client::new(Profile { user: None, pass: None, ..scram(&server) }, Settings::default());
    let events = auth_events(&client);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let login = |valid_until| Credentials {
        user: Some("us,er".into()),
        password: Some(Secret(PASSWORD.as_bytes().to_vec())),
        valid_until,
        ..Credentials::default()
    };
    // The last comes first.
    let logins = vec![login(0.0), login(now + 3.0)];
    client.conn.set_credentials_hook(Some(Arc::new(Logins(Mutex::new(logins))))).unwrap();
    client.conn.connect().unwrap();
    let mut link = server.accept();
    let exchange = hello(&mut link);
    let proof = challenge(&mut link, &exchange);
    link.connack(false, 0, &data(proof.as_bytes()));
    client.up();
    let exchange = Exchange::begins(&take_auth(&mut link, 0x19));
    let proof = challenge(&mut link, &exchange);
    send_auth(&mut link, 0, proof.as_bytes());
    assert_eq!(events.recv_timeout(LONG), Ok(0));
    assert!(client.conn.is_connected());
}

/// How late the device's clock is, in seconds.
static CLOCK_IS_LATE: AtomicU64 = AtomicU64::new(0);

fn late_clock() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    now - CLOCK_IS_LATE.load(SeqCst) as f64
}

/// Says what happens.
struct Says(Mutex<Sender<String>>);

impl Sink for Says {
    fn log(&self, _: Level, _: i32, text: &str) {
        let _ = self.0.lock().unwrap().send(text.to_owned());
    }
}

/// Answers as [`Logins`]. When the last of them is asked for, the clock is set back: so the end that the credentials before it
/// have does not come while the test goes on.
struct LastInTime(Logins);

impl CredentialsHook<Conn> for LastInTime {
    fn ask(&self, conn: &Conn, attempt: u64) {
        if self.0.0.lock().unwrap().len() == 1 {
            CLOCK_IS_LATE.store(3600, SeqCst);
        }
        self.0.ask(conn, attempt);
    }
}

/// New credentials that cannot be used change nothing: neither those that come while the application authenticates anew, which
/// goes on with the login with which it began, nor those with authentication data, which is the library's.
#[test]
fn new_credentials_that_cannot_be_used_spoil_nothing() {
    let login = |password: &str, valid_until, auth_data| Credentials {
        user: Some("us,er".into()),
        password: Some(Secret(password.as_bytes().to_vec())),
        valid_until,
        auth_data,
        ..Credentials::default()
    };
    for (busy, auth_data, why) in [
        (true, None, Code::Busy.text()),
        (
            false,
            Some(Secret(b"x".to_vec())),
            "authentication data, which is the library's with SCRAM-SHA-256",
        ),
    ] {
        CLOCK_IS_LATE.store(0, SeqCst);
        let server = Server::new();
        let mut context = Context::new(Loop::new(Clock::monotonic()).unwrap());
        context.wall_clock = late_clock;
        let (say, said) = channel();
        context.log.set(Level::Warn, Some(Arc::new(Says(Mutex::new(say)))));
        let client =
            Client::on(context, Profile { user: None, pass: None, ..scram(&server) }, Settings::default());
        // The last comes first.
        let logins = vec![login("another", 0.0, auth_data), login(PASSWORD, late_clock() + 3.0, None)];
        client.conn.set_credentials_hook(Some(Arc::new(LastInTime(Logins(Mutex::new(logins)))))).unwrap();
        client.conn.connect().unwrap();
        let mut link = server.accept();
        let exchange = hello(&mut link);
        let proof = challenge(&mut link, &exchange);
        link.connack(false, 0, &data(proof.as_bytes()));
        client.up();
        let again = || client.conn.authenticate(0x19, &block(PacketType::Auth, &[])).unwrap();
        let refused = || {
            let text = said.recv_timeout(LONG).unwrap();
            assert!(text.starts_with("the new credentials cannot be used") && text.ends_with(why), "{text}");
        };
        if busy {
            again();
            refused();
        } else {
            refused();
            again();
        }
        let exchange = Exchange::begins(&take_auth(&mut link, 0x19));
        let proof = challenge(&mut link, &exchange);
        send_auth(&mut link, 0, proof.as_bytes());
        client.publish("t", b"x", crate::rig::Q0);
        link.expect(PacketType::Publish);
        assert!(client.conn.is_connected());
    }
}

/// It is MQTT 5.0, and never the password in clear instead.
#[test]
fn what_the_configuration_has_to_be_like() {
    let server = Server::new();
    let problem = |profile: Profile| {
        let error = profile.validate().unwrap_err();
        (error.code, error.to_string())
    };
    let (code, text) = problem(Profile { protocol: Protocol::V311, ..scram(&server) });
    assert!(
        code == Code::NeedsV5 && text.starts_with("authentication: SCRAM-SHA-256 needs MQTT 5.0"),
        "{text}"
    );
    let (code, text) = problem(Profile { user: Some("J\u{fc}rgen".into()), ..scram(&server) });
    assert!(
        code == Code::BadConfig && text.starts_with("user: SCRAM-SHA-256 takes names of printable"),
        "{text}"
    );
    let (code, text) = problem(Profile { pass: Some(Secret(vec![0])), ..scram(&server) });
    assert!(code == Code::BadConfig && text.starts_with("pass: SCRAM-SHA-256 takes passwords of"), "{text}");
    let connect_properties = block(PacketType::Connect, &[(PropertyId::AuthenticationMethod, Utf8("m"))]);
    let (code, text) = problem(Profile { connect_properties, ..scram(&server) });
    assert!(code == Code::BadConfig && text.starts_with("properties: Authentication Method"), "{text}");
    let (code, text) = problem(Profile { scram_max_iterations: 4095, ..scram(&server) });
    let wanted = "scram_max_iterations: at least 4096, which every server asks for (RFC 7677)";
    assert_eq!((code, text.as_str()), (Code::BadConfig, wanted));
    assert!(Profile { scram_max_iterations: 4096, ..scram(&server) }.validate().is_ok());
    // Without SCRAM nobody asks for any.
    let authentication = Authentication::Password;
    assert!(Profile { scram_max_iterations: 1, authentication, ..scram(&server) }.validate().is_ok());
}

/// Keeps what is logged.
struct Lines(Arc<Mutex<Vec<String>>>);

impl Sink for Lines {
    fn log(&self, _: Level, _: i32, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// Nothing of it is in the log, with every packet in it.
#[test]
fn the_log_has_no_secret_in_it() {
    let server = Server::new();
    let client = Client::new(scram(&server), Settings::default());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    client.conn.context().log.set(Level::Debug, Some(Arc::new(Lines(log))));
    client.conn.connect().unwrap();
    let mut link = server.accept();
    let exchange = hello(&mut link);
    let proof = challenge(&mut link, &exchange);
    link.connack(false, 0, &data(proof.as_bytes()));
    client.up();
    let lines = lines.lock().unwrap().join("\n");
    assert!(lines.contains("AUTH"), "{lines}");
    for secret in [PASSWORD, "us,er", "us=2Cer", SALT, proof.as_str(), "v=", "p="] {
        assert!(!lines.contains(secret), "{secret}: {lines}");
    }
}
