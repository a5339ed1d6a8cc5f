//! Any packet: the union of all types.

use alloc::vec::Vec;

use super::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodeError, Header, Malformed, PacketType, Properties, Publish,
    SubAck, Subscribe, UnsubAck, Unsubscribe, Version, encode_empty,
};

/// A decoded packet (MQTT 3.1.1 §3, MQTT 5.0 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// §3.1
    Connect(Connect<'a>),
    /// §3.2
    ConnAck(ConnAck<'a>),
    /// §3.3
    Publish(Publish<'a>),
    /// §3.4
    PubAck(Ack<'a>),
    /// §3.5
    PubRec(Ack<'a>),
    /// §3.6
    PubRel(Ack<'a>),
    /// §3.7
    PubComp(Ack<'a>),
    /// §3.8
    Subscribe(Subscribe<'a>),
    /// §3.9
    SubAck(SubAck<'a>),
    /// §3.10
    Unsubscribe(Unsubscribe<'a>),
    /// §3.11
    UnsubAck(UnsubAck<'a>),
    /// §3.12
    PingReq,
    /// §3.13
    PingResp,
    /// §3.14
    Disconnect(Disconnect<'a>),
    /// MQTT 5.0 §3.15
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Decodes the `header.remaining` bytes that follow a header.
    ///
    /// A CONNECT names its own version, and is decoded by it whatever `version` is.
    #[inline]
    pub fn decode(version: Version, header: &Header, body: &'a [u8]) -> Result<Packet<'a>, Malformed> {
        let remaining = header.remaining as usize;
        if body.len() != remaining {
            return Err(if body.len() < remaining { Malformed::Truncated } else { Malformed::TrailingBytes });
        }
        // The frequent packets first: these are small and may be inlined, the others are calls.
        let packet = header.packet;
        Ok(match packet {
            PacketType::Publish => Packet::Publish(Publish::decode(version, header.flags, body)?),
            PacketType::PubAck => Packet::PubAck(Ack::decode(version, packet, body)?),
            PacketType::PubRec => Packet::PubRec(Ack::decode(version, packet, body)?),
            PacketType::PubRel => Packet::PubRel(Ack::decode(version, packet, body)?),
            PacketType::PubComp => Packet::PubComp(Ack::decode(version, packet, body)?),
            PacketType::PingReq | PacketType::PingResp if remaining != 0 => {
                return Err(Malformed::TrailingBytes);
            }
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Connect => Packet::Connect(Connect::decode(body)?),
            PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(version, body)?),
            PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(version, body)?),
            PacketType::SubAck => Packet::SubAck(SubAck::decode(version, body)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(version, body)?),
            PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(version, body)?),
            PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(version, body)?),
            PacketType::Auth => Packet::Auth(Auth::decode(version, body)?),
        })
    }

    /// Appends the packet to `out`, or nothing.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Packet::Connect(connect) => connect.encode(version, out),
            Packet::ConnAck(connack) => connack.encode(version, out),
            Packet::Publish(publish) => publish.encode(version, out),
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                ack.encode(self.packet_type(), version, out)
            }
            Packet::Subscribe(packet) => {
                Subscribe::encode(out, version, packet.packet_id, packet.properties, packet.filters())
            }
            Packet::SubAck(suback) => suback.encode(version, out),
            Packet::Unsubscribe(packet) => {
                Unsubscribe::encode(out, version, packet.packet_id, packet.properties, packet.filters())
            }
            Packet::UnsubAck(unsuback) => unsuback.encode(version, out),
            Packet::PingReq | Packet::PingResp => encode_empty(self.packet_type(), out),
            Packet::Disconnect(disconnect) => disconnect.encode(version, out),
            Packet::Auth(auth) => auth.encode(version, out),
        }
    }

    /// Its properties; of CONNECT those that are not the will's.
    #[must_use]
    pub const fn properties(&self) -> Properties<'a> {
        match self {
            Packet::Connect(packet) => packet.properties,
            Packet::ConnAck(packet) => packet.properties,
            Packet::Publish(packet) => packet.properties,
            Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
                ack.properties
            }
            Packet::Subscribe(packet) => packet.properties,
            Packet::SubAck(packet) => packet.properties,
            Packet::Unsubscribe(packet) => packet.properties,
            Packet::UnsubAck(packet) => packet.properties,
            Packet::PingReq | Packet::PingResp => Properties::EMPTY,
            Packet::Disconnect(packet) => packet.properties,
            Packet::Auth(packet) => packet.properties,
        }
    }

    /// What the packet is.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }
}
