//! What a session has for MQTT 5.0 alone. It is made by the first CONNECT of that version.

use crate::lazy_box::Empty;
use crate::session::state::aliases;
use crate::wire::{self, PropertyBlock, PropertyId};

/// What CONNECT told the server, and what CONNACK said.
#[derive(Clone, Debug)]
pub(crate) struct Five {
    /// So many QoS 1 and 2 messages may the server send without an acknowledgement.
    pub(crate) receive_maximum: u16,
    /// The largest packet that it may send, in bytes.
    pub(crate) packet_size: u32,
    /// The highest topic alias that it may use.
    pub(crate) alias_maximum: u16,
    /// Messages of QoS 2 that came on the present connection, and were not released.
    pub(crate) unreleased: u32,
    /// The aliases that it has set.
    pub(crate) aliases: aliases::Incoming,
    /// The properties of the last CONNACK.
    pub(crate) connack: PropertyBlock,
}

impl Five {
    const NONE: Five = Five {
        receive_maximum: u16::MAX,
        packet_size: u32::MAX,
        alias_maximum: 0,
        unreleased: 0,
        aliases: aliases::Incoming::new(),
        connack: PropertyBlock::EMPTY,
    };

    /// Takes over what a CONNECT announces (MQTT 5.0 §3.1.2.11).
    pub(crate) fn announced(&mut self, connect: &wire::Connect<'_>) {
        let number = |id| connect.properties.number(id);
        let short = |id| number(id).and_then(|number| u16::try_from(number).ok());
        *self = Five {
            receive_maximum: short(PropertyId::ReceiveMaximum).unwrap_or(u16::MAX),
            packet_size: number(PropertyId::MaximumPacketSize).unwrap_or(u32::MAX),
            alias_maximum: short(PropertyId::TopicAliasMaximum).unwrap_or(0),
            ..Five::NONE
        };
    }
}

impl Five {
    /// The connection is over.
    pub(crate) fn closed(&mut self) {
        self.aliases.clear();
        self.unreleased = 0;
    }
}

impl Default for Five {
    fn default() -> Self {
        Five::NONE
    }
}

impl Empty for Five {
    const EMPTY: &'static Self = &Five::NONE;
}
