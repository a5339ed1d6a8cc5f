//! What a session has for MQTT 5.0 alone. It is made by the first CONNECT of that version.

use alloc::boxed::Box;

use crate::lazy_box::Empty;
use crate::session::state::aliases;
use crate::wire::{self, PropertyBlock, PropertyId, reason};

/// What DISCONNECT says.
#[derive(Clone, Debug)]
pub(crate) struct DisconnectParts {
    pub(crate) reason: u8,
    pub(crate) properties: PropertyBlock,
}

/// Whose AUTH is next (MQTT 5.0 §4.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// Nobody's: the client has not asked for authentication, or it has ended.
    None,
    /// The server's.
    ServersTurn,
    /// Ours: the server waits for an answer.
    OurTurn,
}

/// What the server has to prove when it says that the authentication has ended well.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// Nothing that the session knows of.
    NotAsked,
    /// Something, and the exchange has not come so far that it could.
    Awaited,
    /// Its authentication data has to be this, or to begin with it and a comma.
    Expected(Box<[u8]>),
}

/// What CONNECT told the server, and what CONNACK said.
#[derive(Clone, Debug)]
pub(crate) struct Five {
    /// So many QoS 1 and 2 messages may the server send without an acknowledgement.
    pub(crate) receive_maximum: u16,
    /// The largest packet that it may send, in bytes.
    pub(crate) packet_size: u32,
    /// The server takes every PUBLISH up to this size.
    pub(crate) taken_up_to: u32,
    /// The highest topic alias that it may use.
    pub(crate) alias_maximum: u16,
    /// Messages of QoS 2 that came on the present connection, and were not released.
    pub(crate) unreleased: u32,
    /// How long the session is kept without a connection, in seconds, as CONNECT and CONNACK say.
    pub(crate) session_expiry: u32,
    /// The authentication method of CONNECT.
    pub(crate) method: Option<Box<str>>,
    /// How far an authentication is.
    pub(crate) exchange: Exchange,
    /// What the server has to prove at its end.
    pub(crate) proof: Proof,
    /// What DISCONNECT is to say.
    pub(crate) disconnect: DisconnectParts,
    /// The aliases that it has set, and that it was told.
    pub(crate) aliases: aliases::Incoming,
    pub(crate) outgoing: aliases::Outgoing,
    /// The properties of the last CONNACK.
    pub(crate) connack: PropertyBlock,
}

impl Five {
    const NONE: Five = Five {
        receive_maximum: u16::MAX,
        packet_size: u32::MAX,
        taken_up_to: 0,
        alias_maximum: 0,
        unreleased: 0,
        session_expiry: 0,
        method: None,
        exchange: Exchange::None,
        proof: Proof::NotAsked,
        disconnect: DisconnectParts { reason: reason::SUCCESS, properties: PropertyBlock::EMPTY },
        aliases: aliases::Incoming::new(),
        outgoing: aliases::Outgoing::new(),
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
            session_expiry: number(PropertyId::SessionExpiryInterval).unwrap_or(0),
            method: connect.properties.text(PropertyId::AuthenticationMethod).map(Box::from),
            exchange: match connect.properties.text(PropertyId::AuthenticationMethod) {
                Some(_) => Exchange::ServersTurn,
                None => Exchange::None,
            },
            ..Five::NONE
        };
    }
}

impl Five {
    /// The connection is over.
    pub(crate) fn closed(&mut self) {
        self.aliases.clear();
        self.outgoing.begin(0, 0);
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
