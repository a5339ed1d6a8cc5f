//! How a connection behaves, independent of its server: its options.

use super::options::ProfileOptions;
use super::reference::Redirect;
use crate::time::Span;

/// What happens to a message for which the queue has no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The new message is refused.
    #[default]
    Refuse,
    /// The oldest message that was not sent yet makes room.
    DropOldest,
}

/// When the filters are subscribed again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resubscribe {
    /// After every CONNACK, as the original does.
    #[default]
    Always,
    /// After a CONNACK which says that the server lost the session, or from which that cannot be known: with MQTT 3.1,
    /// and after a change of server.
    WhenSessionLost,
}

/// What happens to unfinished messages when the server lost the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSessionLoss {
    /// They are sent again; a message may then arrive twice.
    #[default]
    Resend,
    /// They end with the outcome `lost`; a message may then not arrive.
    Report,
}

/// Which message is dropped when the queue of received messages has no room for a QoS 0 message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiveOverflow {
    /// The new one.
    #[default]
    DropNew,
    /// The oldest of QoS 0.
    DropOldest,
}

/// How the delay before a reconnect grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backoff {
    /// It doubles from the shortest to the longest.
    #[default]
    Doubling,
    /// It is always the shortest.
    Fixed,
    /// It is chosen at random between the shortest and three times the one before, up to the longest.
    Decorrelated,
}

/// Whether a connection tries again after a failed attempt or a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// Always, until the application ends it.
    #[default]
    Always,
    /// Only if it was up before: if the first attempt fails, it is the last.
    OnceUp,
    /// Never: the application asks for each attempt.
    Never,
}

/// The options, which belong to a connection and not to one of its servers. A new option is a field here or in one of
/// the structures of [`ProfileOptions`], with its default; a line in `src/capi/bridge/options.rs` reads it from C. The
/// compiler and the tests there report where it is forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many bytes may wait to be sent, over all messages; 0 is without limit.
    pub max_outgoing_bytes: usize,
    /// How many QoS 1 and 2 messages may be unacknowledged at a time, at least 1.
    pub in_flight_window: u16,
    /// What happens when the queue is full.
    pub overflow: Overflow,
    /// When the filters are subscribed again.
    pub resubscribe: Resubscribe,
    /// What happens to unfinished messages when the server lost the session.
    pub on_session_loss: OnSessionLoss,
    /// Whether a connection tries again after a failed attempt or a loss.
    pub retry: Retry,
    /// How the delay before a reconnect grows.
    pub backoff: Backoff,
    /// By how many percent a delay is randomly shorter or longer, 0 to 100; 0 is off.
    pub jitter_percent: u8,
    /// A random part of this comes before the first attempt, and is added to the delay that follows the loss of a connection
    /// which was up for long enough; with decorrelated delays it is how long that one may be.
    pub first_delay: Span,
    /// How long a connection has to be up for the delays to start from the shortest again.
    pub stable_after: Span,
    /// After how long on the backup server the primary one is tried again; zero is never.
    pub fail_back: Span,
    /// How many of the last outcomes of publishes are remembered.
    pub outcome_history: usize,
    /// How long closing in order may go on without progress, and at most six times that in all; zero is
    /// without limit.
    pub close: Span,
    /// How often a connection with handlers gets a POLL event; zero is never.
    pub poll_tick: Span,
    /// How long the callbacks of a turn may take before a warning is logged; zero is without limit.
    pub slow_callback: Span,
    /// How many bytes of the payload of a message over the receive limit are delivered; 0: it is only
    /// reported.
    pub keep_oversize: usize,
    /// How often a message that a handler refused is delivered again.
    pub refuse_retries: u32,
    /// How long after each refusal.
    pub refuse_delay: Span,
    /// How many messages may wait to be fetched, and how many refused ones to be delivered again.
    pub receive_queue_length: usize,
    /// How many bytes of topics and payloads the waiting messages may have together, and likewise
    /// the refused ones.
    pub receive_queue_bytes: usize,
    /// Which QoS 0 message is dropped when the queue is full.
    pub receive_overflow: ReceiveOverflow,
    /// How long the server may take to answer SUBSCRIBE and UNSUBSCRIBE; zero is without limit.
    pub ack_timeout: Span,
    /// How many topic aliases are given without being asked for, as far as the server takes them (MQTT 5.0 §3.3.2.3.4).
    pub topic_aliases: u16,
    /// After how many closed connections in a row a message is set aside; 0 is never.
    pub poison_after: u32,
    /// Where a server may send the client (MQTT 5.0 §4.11).
    pub redirect: Redirect,
    /// PINGREQ is sent after as much silence as the path bears, and never later than the keep-alive interval says.
    pub adaptive_keep_alive: bool,
    /// The options that override each profile.
    pub profile: ProfileOptions,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_outgoing_bytes: 1 << 20,
            in_flight_window: 20,
            overflow: Overflow::Refuse,
            resubscribe: Resubscribe::Always,
            on_session_loss: OnSessionLoss::Resend,
            retry: Retry::Always,
            backoff: Backoff::Doubling,
            jitter_percent: 10,
            first_delay: Span::ZERO,
            stable_after: Span::secs(30),
            fail_back: Span::ZERO,
            outcome_history: 1024,
            close: Span::secs(10),
            poll_tick: Span::secs(1),
            slow_callback: Span::secs(1),
            keep_oversize: 0,
            refuse_retries: 3,
            refuse_delay: Span::secs(1),
            receive_queue_length: 1024,
            receive_queue_bytes: 4 << 20,
            receive_overflow: ReceiveOverflow::DropNew,
            ack_timeout: Span::ZERO,
            topic_aliases: 0,
            poison_after: 0,
            redirect: Redirect::Never,
            adaptive_keep_alive: false,
            profile: ProfileOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_each_mistake_is_named() {
        let good = Settings::default();
        assert_eq!(good.validate(), Ok(()));
        let text = |s: Settings| s.validate().unwrap_err().to_string();
        assert_eq!(
            text(Settings { in_flight_window: 0, ..good.clone() }),
            "in_flight_window: 0 would never send anything: use 1 to 65535"
        );
        assert_eq!(
            text(Settings { jitter_percent: 101, ..good }),
            "jitter_percent: 101 is not between 0 and 100 percent"
        );
    }
}
