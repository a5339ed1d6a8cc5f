//! What an application sends by itself: the packets of the raw `mg_mqtt_*` calls.
//!
//! They share the connection's packet ids: an id is held until its exchange ends or the connection
//! does. Nothing of it is queued, sent again or remembered for the next connection.

use crate::error::Code;
use crate::session::output::{encode_code, put_publish};
use crate::session::state::ids::{RawUse, Use};
use crate::session::state::{Session, State};
use crate::time::Time;
use crate::wire::{self, Properties, QoS, SubscribeOptions};

/// The acknowledgements that an application may try to send itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawAck {
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBREL.
    PubRel,
    /// PUBCOMP.
    PubComp,
}

impl Session {
    fn up(&self) -> Result<(), Code> {
        if self.state == State::Up { Ok(()) } else { Err(Code::NotConnected) }
    }

    /// Counts the packet id on and returns the next free one, without holding it.
    pub fn next_packet_id(&mut self) -> Result<u16, Code> {
        self.sending()?.ids.next()
    }

    /// Sends a PUBLISH with the application's own packet id. The topic name is valid.
    pub fn raw_publish(&mut self, packet: &wire::Publish<'_>) -> Result<(), Code> {
        self.up()?;
        let outgoing = wire::Outgoing::from(packet);
        self.check_bytes(self.packet_size(&outgoing)?)?;
        let plain = outgoing.plain_len(self.version);
        let purpose = match packet.qos {
            QoS::AtMostOnce => {
                put_publish(&mut self.out, self.version, &outgoing, plain)?;
                self.flow.tx_messages += 1;
                return Ok(());
            }
            QoS::AtLeastOnce => Use::Raw(RawUse::Publish1),
            QoS::ExactlyOnce => Use::Raw(RawUse::Publish2),
        };
        // An application that retransmits by itself uses its own id again.
        let again = packet.dup && self.sending.ids.get(packet.packet_id) == Some(purpose);
        if !again {
            self.sending()?.ids.hold(packet.packet_id, purpose)?;
        }
        put_publish(&mut self.out, self.version, &outgoing, plain).inspect_err(|_| {
            if !again {
                self.sending.ids.release(packet.packet_id);
            }
        })?;
        self.flow.tx_messages += 1;
        Ok(())
    }

    /// Sends a SUBSCRIBE with the application's own packet id. The filters are valid.
    pub fn raw_subscribe<'a>(
        &mut self,
        packet_id: u16,
        filters: impl Iterator<Item = (&'a str, QoS)> + Clone,
    ) -> Result<(), Code> {
        self.up()?;
        self.sending()?.ids.hold(packet_id, Use::Raw(RawUse::Subscribe))?;
        let requests = filters.map(|(filter, qos)| (filter, SubscribeOptions::from(qos)));
        let (version, none) = (self.version, Properties::default());
        let encoded = self.out.append(|out| wire::Subscribe::encode(out, version, packet_id, none, requests));
        encoded.map_err(|error| {
            self.sending.ids.release(packet_id);
            encode_code(error)
        })
    }

    /// Sends an UNSUBSCRIBE with the application's own packet id. The filters are valid.
    pub fn raw_unsubscribe<'a>(
        &mut self,
        packet_id: u16,
        filters: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), Code> {
        self.up()?;
        self.sending()?.ids.hold(packet_id, Use::Raw(RawUse::Unsubscribe))?;
        let (version, none) = (self.version, Properties::default());
        let encoded =
            self.out.append(|out| wire::Unsubscribe::encode(out, version, packet_id, none, filters));
        encoded.map_err(|error| {
            self.sending.ids.release(packet_id);
            encode_code(error)
        })
    }

    /// Sends PINGREQ; its answer is watched like that of the keep-alive.
    pub fn raw_ping(&mut self, now: Time) -> Result<(), Code> {
        self.up()?;
        self.ping(now, None)
    }

    /// The application acknowledges by itself. The session answers every exchange that is open, once
    /// and after the handlers, so there is never anything left to send: an id that is awaiting an
    /// answer will get it, and any other must not be answered at all.
    pub fn raw_ack(&mut self, _kind: RawAck, _packet_id: u16) -> Result<(), Code> {
        self.up()
    }
}
