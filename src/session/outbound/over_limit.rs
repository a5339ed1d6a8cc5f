//! Which limit a message is over.

use core::fmt;

use crate::session::state::Session;
use crate::wire::{self, MAX_REMAINING, QoS};

/// Why a message is too large: a limit, its value, and the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    size: usize,
    limit: &'static str,
    most: usize,
}

impl Session {
    /// For a message that was refused as too large.
    #[cold]
    pub fn over_limit(&self, topic: &[u8], payload: &[u8], qos: QoS) -> OverLimit {
        let size = wire::publish_len(self.version, topic.len(), qos, 0, payload.len());
        let (most, server) = (self.limits.max_outgoing_bytes, self.sending.server.packet_size as usize);
        match size {
            Some(size) if size > most => OverLimit { size, limit: "max_outgoing_bytes of the options", most },
            Some(size) if size > server => {
                OverLimit { size, limit: "the maximum packet size of the server", most: server }
            }
            _ => {
                let size = topic.len().saturating_add(payload.len());
                OverLimit { size, limit: "the limit of MQTT", most: MAX_REMAINING as usize }
            }
        }
    }
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OverLimit { size, limit, most } = self;
        write!(f, "the message takes {size} bytes, and {limit} is {most}")
    }
}
