//! From the server's bytes to events, one packet a step.

use crate::error::Code;
use crate::patience::Patience;
use crate::session::event::{Event, Failure, Step, Verdict, properties_in};
use crate::session::state::five::Exchange;
use crate::session::state::{PendingEvent, Session, State};
use crate::time::Time;
use crate::wire::{self, Header, Packet, PacketType, Version, reason};

/// What every packet but PUBLISH may have. The longest is a SUBACK, with a byte for each filter.
const CONTROL_PACKET: usize = 1024;

impl Session {
    /// Bytes came from the server: the connection is alive.
    pub fn received(&mut self, now: Time) {
        self.now = now;
        self.keep_alive.read(now);
    }

    /// Consumes at most one packet from the front of `bytes`.
    ///
    /// After a step with an event the caller tells the application and then calls
    /// [`handled`](Session::handled), before the next step. After an error the connection has to be
    /// closed.
    pub fn input(&mut self, now: Time, bytes: &[u8]) -> Result<Step, Failure> {
        self.step(now, bytes).map_err(|failure| match self.state {
            State::Connecting if failure.code == Code::Protocol => no_connack(failure, bytes),
            _ => failure,
        })
    }

    fn step(&mut self, now: Time, bytes: &[u8]) -> Result<Step, Failure> {
        debug_assert_eq!(self.pending_event, PendingEvent::Nothing);
        let to_skip = self.inbound.to_skip();
        if to_skip > 0 {
            let consumed = to_skip.min(bytes.len());
            return Ok(Step::of(consumed, self.skip(consumed)?));
        }
        let Some(header) = Header::parse_as(self.version, bytes)? else { return Ok(Step::MORE) };
        self.expect(header.packet)?;
        let total = header.total();
        if total > self.five.packet_size as usize {
            let what = "a packet is over the maximum packet size of CONNECT [MQTT-3.1.2-24]";
            return Err(Failure::new(Code::Oversize, what).because(reason::PACKET_TOO_LARGE));
        }
        let limit = match header.packet {
            PacketType::Publish => self.limits.max_incoming,
            // The limit is for messages: a small one must not keep a CONNACK out.
            _ => self.limits.max_incoming.max(CONTROL_PACKET),
        };
        if total > limit {
            header.check_length(self.version)?;
            return self.oversize(&header, bytes, limit);
        }
        if bytes.len() < total {
            header.check_length(self.version)?;
            return Ok(Step::MORE);
        }
        let start = usize::from(header.header_len);
        if header.packet == PacketType::Publish {
            // By far the most frequent one, and the only one whose decoding is not a handful of instructions.
            let received = wire::Received::decode(self.version, header.flags, &bytes[start..total])?;
            let properties = properties_in(bytes, &received.properties);
            return Ok(Step { consumed: total, event: self.publish_in(&received, bytes)?, properties });
        }
        let packet = Packet::decode(self.version, &header, &bytes[start..total])?;
        let properties = properties_in(bytes, &packet.properties());
        let event = self.control_packet(now, packet, bytes)?;
        Ok(Step { consumed: total, event, properties })
    }

    /// Any packet but PUBLISH.
    fn control_packet(
        &mut self,
        now: Time,
        packet: Packet<'_>,
        bytes: &[u8],
    ) -> Result<Option<Event>, Failure> {
        Ok(match packet {
            Packet::PubAck(ack) => self.puback(ack.packet_id, ack.reason)?,
            Packet::PubRec(ack) => self.pubrec(ack.packet_id, ack.reason)?,
            Packet::PubRel(ack) => self.pubrel(ack.packet_id)?,
            Packet::PubComp(ack) => self.pubcomp(ack.packet_id, ack.reason)?,
            // The application gave up before it came. What it says of the session stays unknown.
            Packet::ConnAck(_) if self.state == State::Closing => None,
            Packet::ConnAck(ack) => self.connack(now, &ack)?,
            Packet::SubAck(ack) => self.suback(ack.packet_id, ack.codes, bytes)?,
            Packet::UnsubAck(ack) => self.unsuback(ack.packet_id, ack.codes)?,
            Packet::PingResp => {
                if self.keep_alive.ponged() {
                    self.patience = Patience::NONE;
                }
                Some(Event::PingResp)
            }
            Packet::Disconnect(disconnect) if self.version == Version::V5 => {
                Some(self.disconnected(&disconnect)?)
            }
            Packet::Auth(auth) => Some(self.auth(&auth)?),
            _ => return Err(Failure::protocol("the server sent a packet that only clients send")),
        })
    }

    /// The application was told of the last event.
    pub fn handled(&mut self, verdict: Verdict) -> Result<(), Failure> {
        match core::mem::replace(&mut self.pending_event, PendingEvent::Nothing) {
            PendingEvent::Nothing | PendingEvent::SubAck => Ok(()),
            PendingEvent::ConnAck => {
                self.pump();
                Ok(())
            }
            PendingEvent::Publish(qos, id) => {
                let acknowledged = self.acknowledge(qos, id, verdict);
                self.append_disconnect();
                acknowledged
            }
            PendingEvent::Cut(qos, id) => {
                let handled = self.cut_handled(qos, id, verdict);
                self.append_disconnect();
                handled
            }
            PendingEvent::Acknowledged(slot) => {
                self.sending.outbox.discard(slot);
                Ok(())
            }
        }
    }

    /// Which packets may come in which state.
    fn expect(&self, packet: PacketType) -> Result<(), Failure> {
        match (self.state, packet) {
            (State::Closing, PacketType::ConnAck) if self.unanswered => Ok(()),
            (State::Up | State::Closing, PacketType::ConnAck) => {
                Err(Failure::protocol("the server sent a second CONNACK"))
            }
            (State::Up | State::Closing, _) | (State::Connecting, PacketType::ConnAck) => Ok(()),
            (State::Connecting, PacketType::Auth) if self.five.exchange != Exchange::None => Ok(()),
            (State::Connecting, _) => Err(Failure::new(Code::NotConnack, "").because(reason::PROTOCOL_ERROR)),
            _ => Err(Failure::protocol("the server sent something before it was asked")),
        }
    }
}

/// A server said something that is not allowed instead of a CONNACK, or as one. What another protocol says is mostly
/// text: then the second byte is not so small.
fn no_connack(failure: Failure, bytes: &[u8]) -> Failure {
    match *bytes {
        [0x20, length, ..] if length < b' ' => {
            let code = bytes.get(3).copied().filter(|_| length == 2);
            Failure { code: Code::MalformedConnack, connack: code, ..failure }
        }
        _ => Failure { code: Code::NotConnack, ..failure },
    }
}
