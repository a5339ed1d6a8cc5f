//! A server on the loopback device that is driven by hand, on the thread of its clients.

use std::ffi::CString;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use mgos_mqtt::wire::{Header, Packet, PacketType, QoS, Version};

use super::input::Input;
use super::session::{ack, encode, server_packet, unsuback};
use mgos_mqtt::wire::{ConnAck, Properties, SubAck};

struct Link {
    stream: TcpStream,
    /// What came and is not a whole packet yet.
    read: Vec<u8>,
    version: Version,
    /// What an obedient server would say.
    answers: Vec<Vec<u8>>,
}

pub(super) struct Server {
    listener: TcpListener,
    links: Vec<Link>,
}

impl Server {
    pub(super) fn new() -> Server {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Server { listener, links: Vec::new() }
    }

    pub(super) fn address(&self) -> CString {
        CString::new(self.listener.local_addr().unwrap().to_string()).unwrap()
    }

    pub(super) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            let version = Version::V311;
            self.links.push(Link { stream, read: Vec::new(), version, answers: Vec::new() });
        }
    }

    /// Says on the newest link what an obedient server would, or one piece of it.
    pub(super) fn answer(&mut self, input: &mut Input<'_>) {
        let all = input.flag();
        let at = usize::from(input.byte());
        let present = input.flag();
        let Some(link) = self.links.last_mut() else { return };
        link.read(present);
        let n = link.answers.len();
        let chosen = match all {
            true => link.answers.drain(..).flatten().collect(),
            false if n > 0 => link.answers.remove(at % n),
            false => Vec::new(),
        };
        let _ = link.stream.write(&chosen);
    }

    /// Says anything.
    pub(super) fn say(&mut self, input: &mut Input<'_>) {
        let version = self.links.last().map_or(Version::V311, |link| link.version);
        let bytes = if input.below(4) == 3 { input.bytes().to_vec() } else { server_packet(version, input) };
        if let Some(link) = self.links.last_mut() {
            let _ = link.stream.write(&bytes);
        }
    }

    /// Closes the newest link.
    pub(super) fn close(&mut self, reset: bool) {
        self.accept();
        if let Some(link) = self.links.pop() {
            link.close(reset);
        }
    }

    pub(super) fn close_all(&mut self) {
        self.accept();
        for link in self.links.drain(..) {
            link.close(true);
        }
    }
}

impl Link {
    /// With a reset nothing of it stays in the system, where a run a millisecond would use up the ports.
    fn close(self, reset: bool) {
        let socket = socket2::SockRef::from(&self.stream);
        if reset {
            let _ = socket.set_linger(Some(std::time::Duration::ZERO));
        }
    }

    fn read(&mut self, present: bool) {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = self.stream.read(&mut buffer) {
            self.read.extend_from_slice(&buffer[..n]);
        }
        while let Some(header) = Header::parse(&self.read).expect("what the client writes is good")
            && header.total() <= self.read.len()
        {
            let whole: Vec<u8> = self.read.drain(..header.total()).collect();
            let body = &whole[usize::from(header.header_len)..];
            let packet = Packet::decode(self.version, &header, body).expect("what the client writes is good");
            self.packet(&packet, present);
        }
    }

    fn packet(&mut self, packet: &Packet<'_>, present: bool) {
        let properties = Properties::EMPTY;
        let answer = match packet {
            Packet::Connect(connect) => {
                self.version = connect.version;
                let session_present = present && !connect.clean_session && connect.version != Version::V31;
                encode(self.version, &Packet::ConnAck(ConnAck { session_present, code: 0, properties }))
            }
            Packet::Publish(publish) if publish.qos == QoS::AtMostOnce => return,
            Packet::Publish(publish) if publish.qos == QoS::AtLeastOnce => {
                ack(PacketType::PubAck, publish.packet_id)
            }
            Packet::Publish(publish) => ack(PacketType::PubRec, publish.packet_id),
            Packet::PubRel(release) => ack(PacketType::PubComp, release.packet_id),
            Packet::PubRec(answer) => ack(PacketType::PubRel, answer.packet_id),
            Packet::Subscribe(subscribe) => {
                let codes = vec![1; subscribe.filters().count()];
                let suback = SubAck { packet_id: subscribe.packet_id, properties, codes: &codes };
                encode(self.version, &Packet::SubAck(suback))
            }
            Packet::Unsubscribe(unsubscribe) => {
                unsuback(self.version, unsubscribe.packet_id, unsubscribe.filters().count())
            }
            Packet::PingReq => vec![0xd0, 0],
            _ => return,
        };
        self.answers.push(answer);
    }
}
