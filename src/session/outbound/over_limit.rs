//! Which limit a message or a filter is over.

use core::fmt;

use crate::session::outbound::Publication;
use crate::session::state::Session;
use crate::wire::{self, MAX_REMAINING, QoS, reason};

/// Why a message is not accepted: a limit, its value, and how the message is over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// It is too large.
    Size {
        /// Its size, in bytes.
        size: usize,
        /// Whose limit it is.
        limit: &'static str,
        /// The limit.
        most: usize,
    },
    /// Its QoS is higher than the server allows.
    QoS(QoS),
    /// It is to be retained.
    Retain,
    /// It is a filter, and the server would refuse it with this reason code.
    Filter(u8),
}

impl Session {
    /// For a message that was refused as too large, or as over a limit of the server.
    #[cold]
    pub fn over_limit(&self, message: &Publication<'_>) -> OverLimit {
        let (topic, payload, qos) = (message.topic.as_bytes(), message.payload, message.qos);
        let properties = message.properties.encoded_len();
        let size = wire::publish_len(self.version, topic.len(), qos, properties, payload.len());
        let (most, server) = (self.limits.max_outgoing_bytes, &self.sending.server);
        let of_server = size.and_then(|size| server.refuse_publish(qos, message.retain, size));
        match (size, of_server) {
            (Some(size), _) if size > most => {
                OverLimit::Size { size, limit: "max_outgoing_bytes of the options", most }
            }
            (Some(size), Some(reason::PACKET_TOO_LARGE)) => {
                let most = server.packet_size as usize;
                OverLimit::Size { size, limit: "the maximum packet size of the server", most }
            }
            (_, Some(reason::QOS_NOT_SUPPORTED)) => OverLimit::QoS(server.maximum_qos),
            (_, Some(_)) => OverLimit::Retain,
            _ => {
                let size = topic.len().saturating_add(payload.len());
                OverLimit::Size { size, limit: "the limit of MQTT", most: MAX_REMAINING as usize }
            }
        }
    }
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OverLimit::Size { size, limit, most } => {
                write!(f, "the message takes {size} bytes, and {limit} is {most}")
            }
            OverLimit::QoS(most) => {
                let most = most.bits();
                write!(
                    f,
                    "the maximum QoS of the server is {most}: publish with that, or set max_qos to {most}"
                )
            }
            OverLimit::Filter(reason::PACKET_TOO_LARGE) => {
                f.write_str("with this filter SUBSCRIBE is over the maximum packet size of the server")
            }
            OverLimit::Filter(code) => {
                write!(f, "the server says in CONNACK: {}", reason::name(*code).unwrap_or_default())
            }
            OverLimit::Retain => {
                f.write_str("the server does not retain messages: publish it without retain")
            }
        }
    }
}
