//! What the tests of TLS share: certificates, brokers, and a client that is driven by the test.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod gate;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, Level, ProfileSource, Report, Sink};
use mgos_mqtt::config::{Profile, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::time::Span;
use mgos_mqtt::wire::QoS;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SerialNumber, date_time_ymd,
};

/// A directory that is gone when the test is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tls-{}-{}", std::process::id(), COUNT.fetch_add(1, SeqCst));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// Writes a file and returns its name.
    pub(crate) fn put(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key, both PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A certificate authority.
pub(crate) struct Ca {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Ca {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Ca { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) }
    }

    /// One whose certificate another one signed, with this number.
    pub(crate) fn below(above: &Ca, name: &str, serial: u64) -> Ca {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &above.issuer).unwrap();
        Ca { pem: certificate.pem(), der: certificate.der().to_vec(), issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Pair {
        self.issue_with(names, |_| {})
    }

    /// A certificate for a key that exists.
    pub(crate) fn issue_for(&self, names: &[&str], key_pem: &str) -> String {
        let key = KeyPair::from_pem(key_pem).unwrap();
        named(names[0], names).signed_by(&key, &self.issuer).unwrap().pem()
    }

    pub(crate) fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = named(names.first().unwrap_or(&"nobody"), names);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { certificate, key: key.serialize_pem() }
    }
}

/// A self-signed certificate, as `openssl req -x509` makes them.
pub(crate) fn self_signed(names: &[&str], is_ca: bool) -> Pair {
    self_signed_with(names, |params| {
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
    })
}

pub(crate) fn self_signed_with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = named(names[0], names);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    Pair { certificate, key: key.serialize_pem() }
}

fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params
}

/// A running mosquitto.
pub(crate) struct Broker {
    child: Child,
    pub(crate) port: u16,
    folders: Vec<Folder>,
}

impl Broker {
    /// A broker whose listener has these further lines of configuration.
    pub(crate) fn with(lines: &str) -> Broker {
        // The port is free now; another program may be faster, so it is tried a few times.
        (0..5)
            .find_map(|_| Broker::try_start("127.0.0.1", free_port(), lines))
            .expect("mosquitto does not start")
    }

    /// A broker with TLS.
    pub(crate) fn tls(pair: &Pair, lines: &str) -> Broker {
        (0..5)
            .find_map(|_| Broker::try_tls("127.0.0.1", free_port(), pair, lines))
            .expect("mosquitto does not start")
    }

    /// The same on a port of one's own choice.
    pub(crate) fn tls_on(port: u16, pair: &Pair) -> Option<Broker> {
        Broker::try_tls("127.0.0.1", port, pair, "")
    }

    /// The same at another address of this host.
    pub(crate) fn tls_at(host: &str, port: u16, pair: &Pair) -> Option<Broker> {
        Broker::try_tls(host, port, pair, "")
    }

    /// The same, with a plain listener beside it, whose port is returned, too.
    pub(crate) fn tls_and_plain(pair: &Pair) -> (Broker, u16) {
        let attempt = |_| {
            let plain = free_port();
            let lines = format!("listener {plain} 127.0.0.1");
            Some((Broker::try_tls("127.0.0.1", free_port(), pair, &lines)?, plain))
        };
        (0..5).find_map(attempt).expect("mosquitto does not start")
    }

    fn try_tls(host: &str, port: u16, pair: &Pair, lines: &str) -> Option<Broker> {
        let folder = Folder::new();
        let certificate = folder.put("server.pem", &pair.certificate);
        let key = folder.put("server.key", &pair.key);
        let lines = format!("certfile {certificate}\nkeyfile {key}\n{lines}\n");
        let mut broker = Broker::try_start(host, port, &lines)?;
        broker.folders.push(folder);
        Some(broker)
    }

    fn try_start(host: &str, port: u16, lines: &str) -> Option<Broker> {
        let folder = Folder::new();
        let config = format!(
            "user root\npersistence false\nlog_dest stderr\nlog_type error\nlog_type notice\nlog_type information\n\
             max_queued_messages 0\nmax_inflight_messages 100\n\
             listener {port} {host}\nallow_anonymous true\n{lines}\n"
        );
        let file = folder.put("mosquitto.conf", config);
        let mut child = Command::new("mosquitto")
            .args(["-c", &file])
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mosquitto is needed");
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let runs = log.by_ref().any(|line| line.trim_end().ends_with("running"));
        if !runs {
            let _ = child.wait();
            return None;
        }
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || log.for_each(drop));
        Some(Broker { child, port, folders: vec![folder] })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `openssl s_server`: TLS as a server wants it that mosquitto cannot be configured to be.
pub(crate) struct Peer {
    child: Child,
    pub(crate) port: u16,
    _folder: Folder,
}

impl Peer {
    pub(crate) fn new(pair: &Pair, arguments: &[&str]) -> Peer {
        let folder = Folder::new();
        let certificate = folder.put("server.pem", &pair.certificate);
        let key = folder.put("server.key", &pair.key);
        Peer::start(folder, &[&["-cert", &certificate, "-key", &key], arguments].concat())
    }

    /// One without a certificate.
    pub(crate) fn bare(arguments: &[&str]) -> Peer {
        Peer::start(Folder::new(), &[&["-nocert"], arguments].concat())
    }

    fn start(folder: Folder, arguments: &[&str]) -> Peer {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0"])
            .args(arguments)
            // Kept open: at its end the server would end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is needed");
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = out
            .by_ref()
            .find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok())
            .expect("the server says where it listens");
        std::thread::spawn(move || out.for_each(drop));
        Peer { child, port, _folder: folder }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// What the callbacks of a client saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Results of attempts.
    pub(crate) results: Vec<Code>,
    /// Connections that ended.
    pub(crate) closed: usize,
    /// Messages: topic and payload.
    pub(crate) messages: Vec<(String, Vec<u8>)>,
    /// Filters that the server acknowledged.
    pub(crate) subscribed: usize,
    /// PUBACK and PUBCOMP.
    pub(crate) acknowledged: usize,
}

struct Watch(Arc<Mutex<Seen>>);

impl Callback<Conn> for Watch {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        let mut seen = self.0.lock().unwrap();
        match event {
            Event::ConnectResult { error, .. } => seen.results.push(*error),
            Event::Close(_) => seen.closed += 1,
            Event::Message(m) => seen.messages.push((m.topic.as_str().to_owned(), m.payload.to_vec())),
            Event::SubAck { .. } => seen.subscribed += 1,
            Event::PubAck(..) | Event::PubComp(..) => seen.acknowledged += 1,
            _ => {}
        }
    }
}

struct Lines(Arc<Mutex<Vec<String>>>);

impl Sink for Lines {
    fn log(&self, _: Level, _: i32, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// A client on a loop of its own, driven by whoever waits for it.
pub(crate) struct Client {
    pub(crate) context: Arc<Context>,
    pub(crate) conn: Arc<Conn>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
}

impl Client {
    pub(crate) fn new(profile: Profile) -> Client {
        Client::on(Arc::new(Context::new(Loop::new(Clock::monotonic()).unwrap())), profile)
    }

    pub(crate) fn on(context: Arc<Context>, profile: Profile) -> Client {
        let settings = Settings { max_outgoing_bytes: 0, jitter_percent: 0, ..Settings::default() };
        let conn =
            Conn::new(context.clone(), 1, vec![ProfileSource::Fixed(Arc::new(profile))], settings).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        context.log.set(Level::Info, Some(Arc::new(Lines(log.clone()))));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let kinds = Kind::ConnectResult.bit()
            | Kind::Close.bit()
            | Kind::SubAck.bit()
            | Kind::PubAck.bit()
            | Kind::PubComp.bit();
        conn.add_handler(Identity(1, 0), kinds, Box::new(Watch(seen.clone()))).unwrap();
        Client { context, conn, seen, log }
    }

    /// Drives the loop until `done`.
    #[track_caller]
    pub(crate) fn until(&self, mut done: impl FnMut(&Seen) -> bool) {
        let driver = &self.context.driver;
        let late = Some(driver.now() + Span::secs(60));
        let done = driver.wait(late, &mut || done(&self.seen.lock().unwrap())).unwrap();
        assert!(done, "waited in vain; last error: {:?}", self.conn.report());
    }

    /// Makes one attempt and says how it ended.
    #[track_caller]
    pub(crate) fn attempt(&self) -> Report {
        let before = self.seen.lock().unwrap().results.len();
        self.conn.connect().unwrap();
        self.until(|seen| seen.results.len() > before);
        self.conn.report()
    }

    /// Makes one attempt, which must succeed.
    #[track_caller]
    pub(crate) fn up(&self) {
        let report = self.attempt();
        assert!(self.conn.is_connected(), "{report:?}");
    }

    /// Connects until the handshake is done, and gives what the log says about it.
    #[track_caller]
    pub(crate) fn secured(&self) -> String {
        self.conn.connect().unwrap();
        let line = || self.log.lock().unwrap().iter().find(|line| line.starts_with("TLS 1.")).cloned();
        self.until(|_| line().is_some());
        line().unwrap()
    }

    #[track_caller]
    pub(crate) fn subscribe(&self, filter: &str) {
        let before = self.seen.lock().unwrap().subscribed;
        let kinds = Kind::Message.bit() | Kind::SubAck.bit();
        let watch = Box::new(Watch(self.seen.clone()));
        self.conn.subscribe(filter, QoS::ExactlyOnce, Identity(2, 0), kinds, watch).unwrap();
        self.until(|seen| seen.subscribed > before);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.conn.free(None);
        // What it said is searched for secrets: see scripts/find_secrets.sh.
        if let Some(folder) = std::env::var_os("MGOS_MQTT_TEST_TEXTS") {
            let path = Path::new(&folder).join(format!("rust-{}.txt", std::process::id()));
            let lines = self.log.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
            let text = format!("{lines}\n{}\n", self.conn.report().text);
            let file = std::fs::File::options().create(true).append(true).open(path);
            let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
        }
    }
}

/// A profile for a server on this host.
pub(crate) fn profile(port: u16) -> Profile {
    Profile {
        enable: true,
        server: Some(format!("127.0.0.1:{port}")),
        client_id: Some("tls".into()),
        max_queue_length: 20_000,
        ..Profile::default()
    }
}
