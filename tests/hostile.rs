//! Servers that break the protocol, or use it strangely: what the client does about each stream of
//! `hostile/corpus.txt` and `corpus5.txt`, over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource};
use mgos_mqtt::config::{Profile, Protocol, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::Publication;
use mgos_mqtt::wire::{Carrier, PacketType, Properties, PropertyBlock, PropertyId, PropertyValue, QoS};

/// Longer than anything takes; reached only by what hangs.
const LONG: Duration = Duration::from_secs(20);

/// One line of the corpus.
#[derive(Clone, Debug)]
struct Stream {
    name: String,
    situation: String,
    bytes: Vec<u8>,
    reaction: Reaction,
    /// The only version it is about.
    version: Option<Protocol>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reaction {
    /// With the reason code of the client's DISCONNECT, if it sends one.
    Close(Code, Option<u8>),
    Live {
        answer: Vec<u8>,
        messages: usize,
    },
    End(Code),
    Reset(Code),
}

fn corpus() -> Vec<Stream> {
    let texts = [include_str!("hostile/corpus.txt"), include_str!("hostile/corpus5.txt")];
    texts
        .into_iter()
        .flat_map(str::lines)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(stream)
        .collect()
}

fn stream(line: &str) -> Stream {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, situation, bytes, reaction, reference] = fields[..] else { panic!("five fields: {line}") };
    assert!(!reference.is_empty(), "{line}");
    let (kind, rest) = reaction.split_once(' ').unwrap_or((reaction, ""));
    let (code_name, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = || {
        *Code::ALL.iter().find(|code| code.name() == code_name).unwrap_or_else(|| panic!("no code: {line}"))
    };
    let reason = u8::from_str_radix(reason, 16).ok();
    let reaction = match kind {
        "close" => Reaction::Close(code(), reason),
        "end" => Reaction::End(code()),
        "reset" => Reaction::Reset(code()),
        "live" => {
            let (answer, messages) = rest.split_once('+').unwrap_or((rest, "0"));
            Reaction::Live { answer: packets(answer), messages: messages.parse().unwrap() }
        }
        _ => panic!("no reaction: {line}"),
    };
    let version = match reference.rsplit(' ').next() {
        Some("3.1.1") => Some(Protocol::V311),
        Some("3.1") => Some(Protocol::V31),
        Some("5") => Some(Protocol::V5),
        _ => None,
    };
    Stream { name: name.into(), situation: situation.into(), bytes: packets(bytes), reaction, version }
}

/// The bytes of a pattern; the corpus says how they are written.
fn packets(pattern: &str) -> Vec<u8> {
    pattern.split(';').flat_map(packet).collect()
}

fn packet(pattern: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut lengths = Vec::new();
    let mut rest = pattern.trim_start();
    let mut last = 0;
    while let Some(first) = rest.chars().next() {
        let before = bytes.len();
        rest = match first {
            ' ' => rest.trim_start(),
            '@' => {
                lengths.push(bytes.len());
                &rest[1..]
            }
            '=' | '\'' => {
                let open = rest.find('\'').expect("a text");
                let close = open + 1 + rest[open + 1..].find('\'').expect("the end of a text");
                let text = &rest.as_bytes()[open + 1..close];
                if first == '=' {
                    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
                }
                bytes.extend_from_slice(text);
                &rest[close + 1..]
            }
            '{' => {
                let close = rest.find('}').expect("the end of a number");
                let times: usize = rest[1..close].parse().expect("a number");
                let repeated = bytes[last..].to_vec();
                bytes.extend(repeated.iter().copied().cycle().take(repeated.len() * (times - 1)));
                &rest[close + 1..]
            }
            _ => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).unwrap_or_else(|_| panic!("hex: {pattern}")));
                &rest[2..]
            }
        };
        if bytes.len() > before {
            last = before;
        }
    }
    for at in lengths.into_iter().rev() {
        let length = bytes.len() - at;
        if length < 128 {
            bytes.insert(at, length as u8);
        } else {
            assert!(length < 0x4000, "a short packet: {pattern}");
            bytes.splice(at..at, [length as u8 | 0x80, (length >> 7) as u8]);
        }
    }
    bytes
}

/// What the client's handlers were told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// The attempt or the connection ended.
    Ended(Code),
    Message(u16),
}

struct Tell<F>(F);

impl<F: Fn(&Event<'_>) + Send + Sync> Callback<Conn> for Tell<F> {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        (self.0)(event);
    }
}

/// A client that is new, and the server's end of its link.
struct Pair {
    driver: Loop,
    conn: Arc<Conn>,
    link: TcpStream,
    told: Receiver<Told>,
    five: bool,
}

/// The id of the message that shows that the client lives.
const PROBE: u16 = 0x7777;

impl Pair {
    fn new(listener: &TcpListener, protocol: Protocol) -> Pair {
        let profile = Profile {
            enable: true,
            server: Some(listener.local_addr().unwrap().to_string()),
            client_id: Some("c".into()),
            clean_session: false,
            recv_limit: 2048,
            protocol,
            connect_properties: PropertyBlock::new(
                Properties::from_list(&[
                    (PropertyId::ReceiveMaximum, PropertyValue::TwoByte(3)),
                    (PropertyId::TopicAliasMaximum, PropertyValue::TwoByte(2)),
                    (PropertyId::MaximumPacketSize, PropertyValue::FourByte(3000)),
                ]),
                Carrier::Packet(PacketType::Connect),
            )
            .unwrap(),
            ..Profile::default()
        };
        let driver = Loop::new(Clock::monotonic()).unwrap();
        let context = Arc::new(Context::new(driver.clone()));
        let profiles = vec![ProfileSource::Fixed(Arc::new(profile))];
        let conn = Conn::new(context, 1, profiles, Settings::default()).unwrap();
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let on = Tell(move |event: &Event<'_>| {
            let told = match event {
                Event::ConnectResult { error, .. } if *error != Code::Ok => Told::Ended(*error),
                Event::Close(report) => Told::Ended(report.code),
                Event::Message(message) => Told::Message(message.packet_id),
                _ => return,
            };
            let _ = tell.lock().unwrap().send(told);
        });
        let kinds = [Kind::ConnectResult, Kind::Close, Kind::Message].map(Kind::bit).iter().sum();
        conn.add_handler(Identity(1, 1), kinds, Box::new(on)).unwrap();
        conn.connect().unwrap();
        driver.start("client").unwrap();
        let (link, _) = listener.accept().unwrap();
        link.set_read_timeout(Some(LONG)).unwrap();
        link.set_nodelay(true).unwrap();
        let five = protocol == Protocol::V5;
        let mut pair = Pair { driver, conn, link, told, five };
        pair.expect_packet(0x10);
        pair
    }

    fn send(&mut self, pattern: &str) {
        self.link.write_all(&packets(pattern)).unwrap();
    }

    fn expect(&mut self, wanted: &[u8]) {
        let mut bytes = vec![0; wanted.len()];
        self.link.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, wanted);
    }

    /// A short packet with this first byte.
    fn expect_packet(&mut self, first: u8) {
        let mut header = [0; 2];
        self.link.read_exact(&mut header).unwrap();
        assert_eq!(header[0], first);
        self.link.read_exact(&mut vec![0; usize::from(header[1])]).unwrap();
    }

    fn publish(&mut self, qos: QoS, first: u8) {
        self.conn.publish(Publication::new("t", b"x", qos)).unwrap();
        self.expect_packet(first);
    }

    fn subscribe(&mut self) {
        for filter in ["a", "b"] {
            let nobody = Box::new(Tell(|_: &Event<'_>| {}));
            self.conn
                .subscribe(filter, QoS::ExactlyOnce, Identity(2, 2), Kind::SubAck.bit(), nobody)
                .unwrap();
        }
    }

    /// Brings client and server into a situation of the corpus.
    fn bring(&mut self, situation: &str) {
        if situation == "subscribing" || situation == "unsubscribing" {
            // Before the connection is up, so that both filters go in one packet.
            self.subscribe();
        }
        if situation != "connecting" {
            self.send(if self.five { "20 03 000000" } else { "20 02 0000" });
        }
        match situation {
            "connecting" | "up" => {}
            "publishing-1" => self.publish(QoS::AtLeastOnce, 0x32),
            "publishing-2" => self.publish(QoS::ExactlyOnce, 0x34),
            "released" => {
                self.publish(QoS::ExactlyOnce, 0x34);
                self.send("50 02 0001");
                self.expect(&packets("62 02 0001"));
            }
            "receiving-2" => {
                self.send(if self.five { "34 @ ='t' 0007 00 'x'" } else { "34 @ ='t' 0007 'x'" });
                self.expect(&packets("50 02 0007"));
                assert_eq!(self.told.recv_timeout(LONG), Ok(Told::Message(7)));
            }
            "subscribing" => self.expect_packet(0x82),
            "unsubscribing" => {
                self.expect_packet(0x82);
                self.send(if self.five { "90 05 0001 00 0202" } else { "90 04 0001 0202" });
                assert_eq!(self.conn.unsubscribe("a", None), Ok(true));
                self.expect_packet(0xa2);
            }
            _ => panic!("no situation {situation}"),
        }
    }

    /// The error with which the connection ended.
    fn ended(&mut self) -> Code {
        match self.told.recv_timeout(LONG) {
            Ok(Told::Ended(code)) => code,
            other => panic!("not the end: {other:?}"),
        }
    }

    /// What the client still sent, until it closed.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.link.read_to_end(&mut rest) {
            Ok(_) => {}
            // It closes at once: bytes that it has not read make that a reset.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        rest
    }

    /// The client may have closed before the last byte was written.
    fn write(&mut self, bytes: &[u8], at_a_time: usize) {
        for part in bytes.chunks(at_a_time) {
            if let Err(error) = self.link.write_all(part) {
                assert!(
                    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                    "{error}"
                );
                return;
            }
        }
    }

    fn run(&mut self, stream: &Stream, at_a_time: usize) {
        self.bring(&stream.situation);
        self.write(&stream.bytes, at_a_time);
        match &stream.reaction {
            Reaction::Close(code, reason) => {
                let mut rest = self.rest();
                while let [0x50, 2, _, _, ..] = rest[..] {
                    // A message that came before was told of, and answered.
                    assert!(matches!(self.told.recv_timeout(LONG), Ok(Told::Message(_))));
                    rest.drain(..4);
                }
                assert_eq!(rest, reason.map_or(Vec::new(), |reason| vec![0xe0, 1, reason]));
                assert_eq!(self.ended(), *code);
            }
            Reaction::Live { answer, messages } => {
                self.expect(answer);
                let probe = if self.five { "32 @ ='probe' 7777 00" } else { "32 @ ='probe' 7777" };
                self.link.write_all(&packets(probe)).unwrap();
                self.expect(&packets("40 02 7777"));
                let mut heard = 0;
                while self.told.recv_timeout(LONG) != Ok(Told::Message(PROBE)) {
                    heard += 1;
                }
                assert_eq!(heard, *messages);
                assert!(self.conn.is_connected());
                self.conn.disconnect().unwrap();
                self.expect(b"\xe0\0");
            }
            Reaction::End(code) => {
                self.link.shutdown(std::net::Shutdown::Write).unwrap();
                assert_eq!((self.ended(), self.rest()), (*code, Vec::new()));
            }
            Reaction::Reset(code) => {
                let link = socket2::SockRef::from(&self.link);
                link.set_linger(Some(Duration::ZERO)).unwrap();
                // The last handle closes it.
                let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                self.link = TcpStream::connect(other.local_addr().unwrap()).unwrap();
                assert_eq!(self.ended(), *code);
            }
        }
        assert_eq!(self.told.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.conn.free(None);
        let _ = self.driver.close();
    }
}

fn run_all(protocol: Protocol, at_a_time: usize) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut failures = Vec::new();
    let fits = |version: &Option<Protocol>| match version {
        None => protocol != Protocol::V5,
        Some(version) => *version == protocol,
    };
    for stream in corpus().iter().filter(|s| fits(&s.version)) {
        let mut pair = Pair::new(&listener, protocol);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pair.run(stream, at_a_time)));
        if run.is_err() {
            failures.push(stream.name.clone());
            eprintln!("in {stream:02x?}");
        }
    }
    assert_eq!(failures, Vec::<String>::new());
}

#[test]
fn mqtt_3_1_1() {
    run_all(Protocol::V311, usize::MAX);
}

#[test]
fn mqtt_3_1_1_byte_by_byte() {
    run_all(Protocol::V311, 1);
}

#[test]
fn mqtt_3_1() {
    run_all(Protocol::V31, usize::MAX);
}

#[test]
fn mqtt_5_0() {
    run_all(Protocol::V5, usize::MAX);
}

#[test]
fn mqtt_5_0_byte_by_byte() {
    run_all(Protocol::V5, 1);
}

#[test]
fn the_corpus_is_large_and_its_names_are_unique() {
    let corpus = corpus();
    let names: std::collections::BTreeSet<_> = corpus.iter().map(|stream| &stream.name).collect();
    assert_eq!(names.len(), corpus.len());
    let five = corpus.iter().filter(|stream| stream.version == Some(Protocol::V5)).count();
    assert!(corpus.len() - five >= 400, "{}", corpus.len());
    let counted = format!("{},{:03} named streams", corpus.len() / 1000, corpus.len() % 1000);
    let page = include_str!("../docs/reliability.md");
    assert!(page.contains(&counted), "docs/reliability.md does not say that there are {counted}");
    assert!(five >= 600, "{five}");
}
