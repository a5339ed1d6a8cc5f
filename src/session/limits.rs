//! What a session may use, and its policies; and what its server allows.

use crate::time::Span;
use crate::wire::{self, Properties, PropertyId, QoS, reason, topic};

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
    /// So many topic aliases are given, as far as the server takes them, without being asked for (MQTT 5.0
    /// §3.3.2.3.4).
    pub topic_aliases: u16,
    /// A message after which the server closed the connection so many times in a row is set aside; 0 is never.
    pub poison_after: u32,
    /// PINGREQ is sent after as much silence as the path bears, and never later than CONNECT says.
    pub adaptive_keep_alive: bool,
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
            topic_aliases: 0,
            poison_after: 0,
            adaptive_keep_alive: false,
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
    /// The highest topic alias.
    pub(super) alias_maximum: u16,
    /// The largest packet, in bytes.
    pub(super) packet_size: u32,
    /// The highest QoS of a message.
    pub(super) maximum_qos: QoS,
    /// Messages may be retained.
    pub(super) retain: bool,
    /// Filters may have wildcards.
    pub(super) wildcards: bool,
    /// Subscriptions may have identifiers.
    pub(super) identifiers: bool,
    /// Subscriptions may be shared.
    pub(super) shared: bool,
}

impl ServerLimits {
    pub(super) const NONE: ServerLimits = ServerLimits {
        receive_maximum: u16::MAX,
        alias_maximum: 0,
        packet_size: u32::MAX,
        maximum_qos: QoS::ExactlyOnce,
        retain: true,
        wildcards: true,
        identifiers: true,
        shared: true,
    };

    /// The limits in a CONNACK (MQTT 5.0 §3.2.2.3).
    pub(super) fn of(connack: &wire::ConnAck<'_>) -> ServerLimits {
        let number = |id| connack.properties.number(id);
        let short = |id| number(id).and_then(|number| u16::try_from(number).ok());
        let available = |id| number(id) != Some(0);
        ServerLimits {
            receive_maximum: short(PropertyId::ReceiveMaximum).unwrap_or(u16::MAX),
            alias_maximum: short(PropertyId::TopicAliasMaximum).unwrap_or(0),
            packet_size: number(PropertyId::MaximumPacketSize).unwrap_or(u32::MAX),
            maximum_qos: match number(PropertyId::MaximumQoS) {
                Some(0) => QoS::AtMostOnce,
                Some(1) => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            retain: available(PropertyId::RetainAvailable),
            wildcards: available(PropertyId::WildcardSubscriptionAvailable),
            identifiers: available(PropertyId::SubscriptionIdentifierAvailable),
            shared: available(PropertyId::SharedSubscriptionAvailable),
        }
    }

    /// Up to this size it takes every PUBLISH.
    pub(super) fn taken_up_to(&self) -> u32 {
        if self.maximum_qos == QoS::ExactlyOnce && self.retain { self.packet_size } else { 0 }
    }

    /// The reason code with which the server would refuse a PUBLISH of this size.
    pub(super) fn refuse_publish(&self, qos: QoS, retain: bool, size: usize) -> Option<u8> {
        if size > self.packet_size as usize {
            Some(reason::PACKET_TOO_LARGE)
        } else if qos > self.maximum_qos {
            Some(reason::QOS_NOT_SUPPORTED)
        } else if retain && !self.retain {
            Some(reason::RETAIN_NOT_SUPPORTED)
        } else {
            None
        }
    }

    /// The reason code with which it would refuse a filter, in a SUBSCRIBE of its own.
    pub(super) fn refuse_filter(&self, filter: &str, properties: Properties<'_>) -> Option<u8> {
        // Fixed header, packet id, the lengths, and the options.
        const AROUND: usize = 5 + 2 + 4 + 2 + 1;
        if filter.len() + properties.encoded_len() + AROUND > self.packet_size as usize {
            Some(reason::PACKET_TOO_LARGE)
        } else if !self.shared && topic::share(filter).is_some() {
            Some(reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if !self.wildcards && filter.contains(['+', '#']) {
            Some(reason::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if !self.identifiers && properties.get(PropertyId::SubscriptionIdentifier).is_some() {
            Some(reason::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED)
        } else {
            None
        }
    }
}
