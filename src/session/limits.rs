//! What a session may use, and its policies; and what its server allows.

use crate::time::Span;
use crate::wire::{self, PropertyId};

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is not accepted.
    #[default]
    RefuseNew,
    /// The oldest message that was never sent makes room.
    DropOldest,
}

/// What happens to messages in flight when the server lost the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSessionLoss {
    /// They are sent again: nothing is lost, but the receiver may see a message twice.
    #[default]
    Resend,
    /// They end with [`Outcome::Lost`](super::Outcome::Lost).
    Report,
}

/// What a session may use, and its policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// QoS 1 and 2 messages in flight at once.
    pub window: u16,
    /// QoS 1 and 2 messages waiting or in flight. With 0 nothing is queued for later, and only the
    /// window limits what is in flight.
    pub max_queue: usize,
    /// Bytes of topics, payloads and unwritten packets held for sending.
    pub max_outgoing_bytes: usize,
    /// The largest packet accepted from the server, in bytes.
    pub max_incoming: usize,
    /// Of the payload of a larger PUBLISH, this much is delivered; with 0 it is only reported.
    pub keep_oversize: usize,
    /// What happens when the queue is full.
    pub overflow: Overflow,
    /// What happens to messages in flight when the server lost the session.
    pub on_session_loss: OnSessionLoss,
    /// So many outcomes are remembered.
    pub outcome_history: usize,
    /// Subscribe to every filter after each CONNACK, or only to those that the session lacks.
    pub always_subscribe: bool,
    /// The next CONNECT is to ask for a session that the server kept, as far as that is known: it may have filters that
    /// an earlier process asked for.
    pub keep_session: bool,
    /// How long the server may take to acknowledge PUBLISH (with PUBACK or PUBREC), SUBSCRIBE and UNSUBSCRIBE; zero is
    /// without limit. Who waits for it is told then, and the connection stays.
    pub ack_timeout: Span,
    /// A message after which the server closed the connection so many times in a row is set aside; 0 is never.
    pub poison_after: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            window: 20,
            max_queue: 1024,
            max_outgoing_bytes: 1024 * 1024,
            max_incoming: 4 * 1024 * 1024,
            keep_oversize: 0,
            overflow: Overflow::RefuseNew,
            on_session_loss: OnSessionLoss::Resend,
            outcome_history: 1024,
            always_subscribe: true,
            keep_session: true,
            ack_timeout: Span::ZERO,
            poison_after: 0,
        }
    }
}

impl Limits {
    /// The window, or fewer where the queue has no room for as many.
    pub(super) fn in_flight(&self) -> u16 {
        let queue = if self.max_queue == 0 { usize::MAX } else { self.max_queue };
        queue.min(usize::from(self.window)) as u16
    }
}

/// What the server allows to be sent on the present connection, as its CONNACK says. MQTT 3.x cannot say it: there is
/// no limit then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerLimits {
    /// So many QoS 1 and 2 messages may be in flight at once.
    pub(super) receive_maximum: u16,
    /// The largest packet, in bytes.
    pub(super) packet_size: u32,
}

impl ServerLimits {
    pub(super) const NONE: ServerLimits = ServerLimits { receive_maximum: u16::MAX, packet_size: u32::MAX };

    /// The limits in a CONNACK (MQTT 5.0 §3.2.2.3).
    pub(super) fn of(connack: &wire::ConnAck<'_>) -> ServerLimits {
        let number = |id| connack.properties.number(id);
        let receive_maximum = number(PropertyId::ReceiveMaximum).and_then(|most| u16::try_from(most).ok());
        ServerLimits {
            receive_maximum: receive_maximum.unwrap_or(u16::MAX),
            packet_size: number(PropertyId::MaximumPacketSize).unwrap_or(u32::MAX),
        }
    }
}
