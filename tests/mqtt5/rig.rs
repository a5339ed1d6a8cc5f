//! The client, and the server's end of its link.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mgos_mqtt::client::{Callback, Conn, Context, Event, Identity, Kind, ProfileSource, Report};
use mgos_mqtt::config::{Profile, Protocol, Settings};
use mgos_mqtt::driver::{Clock, Loop};
use mgos_mqtt::error::Code;
use mgos_mqtt::session::{Outcome, Publication};
use mgos_mqtt::wire::{
    Carrier, Header, Packet, PacketType, Properties, Property, PropertyBlock, QoS, Version,
};

/// Longer than anything takes; reached only by what hangs.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const Q0: QoS = QoS::AtMostOnce;
pub(crate) const Q1: QoS = QoS::AtLeastOnce;
pub(crate) const Q2: QoS = QoS::ExactlyOnce;

/// What handlers were told.
#[derive(Debug)]
pub(crate) enum Told {
    Up(PropertyBlock),
    Failed { code: Code, connack: Option<u8>, properties: PropertyBlock },
    Closed(Box<Report>),
    Message { topic: String, payload: Vec<u8>, properties: PropertyBlock },
    Acked { reason: u8, properties: PropertyBlock },
    Granted(String, u8),
    Ended(u64, Outcome),
}

pub(crate) struct Tell<F>(pub(crate) F);

impl<F: Fn(&Event<'_>) + Send + Sync> Callback<Conn> for Tell<F> {
    fn call(&self, _: &Conn, event: &Event<'_>) {
        (self.0)(event);
    }
}

/// A block for a packet of this type.
pub(crate) fn block(packet: PacketType, list: &[Property<'_>]) -> PropertyBlock {
    PropertyBlock::new(Properties::from_list(list), Carrier::Packet(packet)).unwrap()
}

fn note(event: &Event<'_>) -> Option<Told> {
    let properties = |packet| PropertyBlock::new(event.properties(), Carrier::Packet(packet)).unwrap();
    Some(match event {
        Event::ConnAck(_) => Told::Up(properties(PacketType::ConnAck)),
        Event::ConnectResult { error: Code::Ok, .. } => return None,
        Event::ConnectResult { error, connack, .. } => {
            Told::Failed { code: *error, connack: *connack, properties: properties(PacketType::ConnAck) }
        }
        Event::Close(report) => Told::Closed(Box::new((*report).clone())),
        Event::Message(message) => Told::Message {
            topic: message.topic.as_str().to_owned(),
            payload: message.payload.to_vec(),
            properties: properties(PacketType::Publish),
        },
        Event::PubAck(ack, ..) | Event::PubComp(ack, ..) => {
            Told::Acked { reason: ack.reason, properties: properties(PacketType::PubAck) }
        }
        Event::SubAck { filter, codes, .. } => Told::Granted(filter.unwrap_or("").to_owned(), codes[0]),
        Event::Outcome(ended) => Told::Ended(ended.token, ended.outcome),
        _ => return None,
    })
}

pub(crate) fn profile(server: SocketAddr) -> Profile {
    Profile {
        enable: true,
        server: Some(server.to_string()),
        client_id: Some("c".into()),
        protocol: Protocol::V5,
        reconnect_min: mgos_mqtt::time::Span::millis(10),
        reconnect_max: mgos_mqtt::time::Span::millis(10),
        ..Profile::default()
    }
}

/// A client whose loop has its own thread.
pub(crate) struct Client {
    pub(crate) driver: Loop,
    pub(crate) conn: Arc<Conn>,
    told: Receiver<Told>,
}

impl Client {
    pub(crate) fn new(profile: Profile, settings: Settings) -> Client {
        Client::on(Context::new(Loop::new(Clock::monotonic()).unwrap()), profile, settings)
    }

    /// In a context that is as the test needs it.
    pub(crate) fn on(context: Context, profile: Profile, settings: Settings) -> Client {
        let (driver, context) = (context.driver.clone(), Arc::new(context));
        let profiles = vec![ProfileSource::Fixed(Arc::new(profile))];
        let conn = Conn::new(context, 1, profiles, settings).unwrap();
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let on = Tell(move |event: &Event<'_>| {
            if let Some(told) = note(event) {
                let _ = tell.lock().unwrap().send(told);
            }
        });
        let kinds = [
            Kind::ConnAck,
            Kind::ConnectResult,
            Kind::Close,
            Kind::Message,
            Kind::PubAck,
            Kind::PubComp,
            Kind::SubAck,
            Kind::Outcome,
        ];
        conn.add_handler(Identity(1, 1), kinds.map(Kind::bit).iter().sum(), Box::new(on)).unwrap();
        driver.start("client").unwrap();
        Client { driver, conn, told }
    }

    /// The next thing that handlers are told.
    #[track_caller]
    pub(crate) fn told(&self) -> Told {
        self.told.recv_timeout(LONG).expect("nobody was told anything")
    }

    #[track_caller]
    pub(crate) fn up(&self) -> PropertyBlock {
        match self.told() {
            Told::Up(properties) => properties,
            other => panic!("not up: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn message(&self) -> (String, Vec<u8>, PropertyBlock) {
        match self.told() {
            Told::Message { topic, payload, properties } => (topic, payload, properties),
            other => panic!("no message: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn closed(&self) -> Report {
        match self.told() {
            Told::Closed(report) => *report,
            other => panic!("not closed: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn ended(&self) -> (u64, Outcome) {
        match self.told() {
            Told::Ended(token, outcome) => (token, outcome),
            other => panic!("no outcome: {other:?}"),
        }
    }

    pub(crate) fn publish(&self, topic: &str, payload: &[u8], qos: QoS) -> u64 {
        self.conn.publish(Publication::new(topic, payload, qos)).unwrap().token
    }

    /// Subscribes without a handler of its own: what comes is told to those of the connection.
    pub(crate) fn subscribe(&self, filter: &str, qos: QoS) {
        let nobody = Box::new(Tell(|_: &Event<'_>| {}));
        self.conn.subscribe(filter, qos, Identity(2, 2), 0, nobody).unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.conn.free(None);
        let _ = self.driver.close();
    }
}

/// A server whose every packet the test writes.
pub(crate) struct Server {
    listener: TcpListener,
}

/// The server's end of a link.
pub(crate) struct Link {
    stream: TcpStream,
    version: Version,
}

impl Server {
    pub(crate) fn new() -> Server {
        Server { listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next link.
    pub(crate) fn accept(&self) -> Link {
        loop {
            let (stream, _) = self.listener.accept().unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream.set_nodelay(true).unwrap();
            // Somebody else who found the port free a moment ago looks whether his own server listens there, and goes.
            if stream.peek(&mut [0]).unwrap() > 0 {
                return Link { stream, version: Version::V5 };
            }
        }
    }

    /// The next link, which speaks MQTT 3.1.1.
    pub(crate) fn accept_old(&self) -> Link {
        Link { version: Version::V311, ..self.accept() }
    }

    /// A client that is connected, with these properties of CONNACK.
    pub(crate) fn connected(&self, settings: Settings, connack: &[Property<'_>]) -> (Client, Link) {
        self.connected_as(profile(self.address()), settings, connack)
    }

    pub(crate) fn connected_as(
        &self,
        profile: Profile,
        settings: Settings,
        connack: &[Property<'_>],
    ) -> (Client, Link) {
        let client = Client::new(profile, settings);
        client.conn.connect().unwrap();
        let mut link = self.accept();
        link.expect(PacketType::Connect);
        link.connack(false, 0, connack);
        client.up();
        (client, link)
    }
}

impl Link {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.write(&bytes);
    }

    pub(crate) fn connack(&mut self, session_present: bool, code: u8, list: &[Property<'_>]) {
        let properties = Properties::from_list(list);
        self.send(&Packet::ConnAck(mgos_mqtt::wire::ConnAck { session_present, code, properties }));
    }

    /// A PUBLISH of the server.
    pub(crate) fn publish(&mut self, topic: &str, qos: QoS, packet_id: u16, list: &[Property<'_>]) {
        let properties = Properties::from_list(list);
        let publish = mgos_mqtt::wire::Publish {
            qos,
            topic,
            packet_id,
            properties,
            payload: b"x",
            ..Default::default()
        };
        self.send(&Packet::Publish(publish));
    }

    /// The bytes of the next packet.
    #[track_caller]
    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            if let Some(header) = Header::parse(&bytes).unwrap() {
                let mut rest = vec![0; header.total() - bytes.len()];
                self.stream.read_exact(&mut rest).unwrap();
                bytes.extend(rest);
                return bytes;
            }
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.extend(byte);
        }
    }

    /// The next packet, given to `look`.
    #[track_caller]
    pub(crate) fn next<T>(&mut self, look: impl FnOnce(&Packet<'_>) -> T) -> T {
        let bytes = self.bytes();
        let header = Header::parse(&bytes).unwrap().unwrap();
        let body = &bytes[usize::from(header.header_len)..];
        look(&Packet::decode(self.version, &header, body).unwrap())
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, wanted: PacketType) -> Vec<u8> {
        let bytes = self.bytes();
        assert_eq!(bytes[0] >> 4, wanted as u8, "{bytes:02x?}");
        bytes
    }

    /// The reason code of the client's DISCONNECT, which is the next and the last packet.
    #[track_caller]
    pub(crate) fn disconnect(&mut self) -> u8 {
        let reason = self.next(|packet| match packet {
            Packet::Disconnect(disconnect) => disconnect.reason,
            other => panic!("no DISCONNECT: {other:?}"),
        });
        self.ended();
        reason
    }

    /// The client sends nothing more, and closes the link.
    #[track_caller]
    pub(crate) fn ended(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert_eq!(rest, Vec::<u8>::new());
    }
}
