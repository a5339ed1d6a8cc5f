//! What a session knows. Its parts know nothing of each other where they can; [`Session`] puts them together.
//!
//! | file               | what |
//! |--------------------|------|
//! | `sending.rs`       | all that is needed to send: made for the first message, packet id or filter |
//! | `suspect.rs`       | the message after which the server closed the connection |
//! | `subscriptions.rs` | the filters that are wanted, and what the server was told of them |
//! | `ack_watch.rs`     | how far the bytes have come while an acknowledgement is awaited |
//! | `tickets.rs`       | who waits for the answer about a filter |
//! | `outbox.rs`        | QoS 1 and 2 messages, from acceptance to their outcome |
//! | `index.rs`         | from a token to the slot of its message |
//! | `history.rs`       | how the last messages ended |
//! | `ids.rs`           | packet ids: which are in use, and for what |
//! | `unsent.rs`        | QoS 0 messages that are not written yet |
//! | `inbound.rs`       | messages that are held, QoS 2 ids that came, what is being skipped |
//! | `id_map.rs`        | a table by packet id |
//! | `keep_alive.rs`    | when to ping |
//! | `path.rs`          | how long the path stays open without traffic |
//! | `five.rs`          | what only MQTT 5.0 has |
//! | `aliases.rs`       | topic aliases |
//! | `counts.rs`        | what is counted |

pub(super) mod ack_watch;
pub(super) mod aliases;
pub(super) mod counts;
pub(super) mod five;
pub(super) mod history;
pub(super) mod id_map;
pub(super) mod ids;
pub(super) mod inbound;
pub(super) mod index;
pub(super) mod keep_alive;
pub(super) mod outbox;
pub(super) mod path;
pub(super) mod sending;
pub(super) mod subscriptions;
pub(super) mod suspect;
pub(super) mod tickets;
pub(super) mod unsent;

use alloc::sync::Arc;

use crate::error::Code;
use crate::lazy_box::LazyBox;
use crate::patience::Patience;
use crate::session::event::Failure;
use crate::session::limits::Limits;
use crate::session::output::{Output, encode_code};
use crate::session::state::counts::{Flow, Untracked};
use crate::session::state::five::Five;
use crate::session::state::inbound::Inbound;
use crate::session::state::keep_alive::KeepAlive;
use crate::session::state::sending::{Sending, Terms};
use crate::session::state::subscriptions::Subscriptions;
use crate::time::{Span, Time};
use crate::wire::{self, PacketType, QoS, Version, reason};

/// The state of the connection below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No transport.
    Closed,
    /// The transport is open, CONNECT was not sent yet.
    Open,
    /// CONNECT was sent.
    Connecting,
    /// CONNACK accepted us.
    Up,
    /// DISCONNECT was appended; nothing more may be sent (MQTT 3.1.1 §3.14.4).
    Closing,
}

/// What [`Session::handled`] has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PendingEvent {
    Nothing,
    ConnAck,
    Publish(QoS, u16),
    /// The beginning of a message; the rest is skipped.
    Cut(QoS, u16),
    /// The slot of an acknowledged message, kept for its topic.
    Acknowledged(u32),
    SubAck,
}

/// An MQTT client session.
///
/// A copy is for checkers, which go on from one state in every way there is.
#[derive(Clone, Debug)]
pub struct Session {
    /// Mostly those of other sessions, too.
    pub(super) limits: Arc<Limits>,
    /// So many messages may be in flight as long as none waits.
    pub(super) flight_limit: u16,
    pub(super) version: Version,
    pub(super) state: State,
    pub(super) clean: bool,
    pub(super) out: Output,
    /// There is none before something was published or subscribed to.
    pub(super) sending: LazyBox<Sending>,
    pub(super) inbound: Inbound,
    pub(super) subscriptions: LazyBox<Subscriptions>,
    /// There is none before a CONNECT of MQTT 5.0.
    pub(super) five: LazyBox<Five>,
    pub(super) keep_alive: KeepAlive,
    /// How long CONNACK or PINGRESP may take.
    pub(super) patience: Patience,
    /// No CONNACK came yet.
    pub(super) unanswered: bool,
    /// An earlier one never came. It may have said that the session is lost, and the next will find the new one
    /// and call it present. Or it was another server's, and what this one has of us may be older than what we know.
    pub(super) in_doubt: bool,
    /// The next CONNACK is one of another server or for another client than the one before.
    pub(super) elsewhere: bool,
    pub(super) pending_event: PendingEvent,
    /// The server had the session when the present connection came up.
    pub(super) resumed: bool,
    /// DISCONNECT follows the acknowledgement of the message that is being handled.
    pub(super) disconnect_due: bool,
    /// Those without a cookie are told as well.
    pub(super) tell_all: bool,
    /// No message is to take the fast path.
    pub(super) each_publish: bool,
    /// See [`watch_began`](Session::watch_began).
    pub(super) watch_began: bool,
    /// See [`found_path`](Session::found_path).
    pub(super) found_path: bool,
    /// The time of the last step, to the caller's precision.
    pub(super) now: Time,
    pub(super) flow: Untracked<Flow>,
}

impl Session {
    /// A session without a connection.
    pub fn new(limits: impl Into<Arc<Limits>>) -> Self {
        let limits = limits.into();
        Session {
            flight_limit: if limits.ack_timeout == Span::ZERO { limits.in_flight() } else { 0 },
            limits,
            version: Version::V311,
            state: State::Closed,
            clean: true,
            out: Output::new(),
            sending: LazyBox::new(),
            inbound: Inbound::new(),
            subscriptions: LazyBox::new(),
            five: LazyBox::new(),
            keep_alive: KeepAlive::new(),
            patience: Patience::NONE,
            unanswered: false,
            in_doubt: false,
            elsewhere: false,
            pending_event: PendingEvent::Nothing,
            resumed: false,
            disconnect_due: false,
            tell_all: true,
            each_publish: false,
            watch_began: false,
            found_path: false,
            now: Time::ZERO,
            flow: Untracked::default(),
        }
    }

    /// The version of MQTT of the last CONNECT.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The limits and policies in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether CONNACK accepted us and nothing ended it since.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether CONNECT may be sent now.
    pub fn awaits_connect(&self) -> bool {
        self.state == State::Open
    }

    /// How many QoS 1 and 2 messages may be in flight at once.
    #[inline]
    pub(super) fn window(&self) -> u16 {
        self.limits.window.min(self.sending.server.receive_maximum)
    }

    /// Makes sure that something can be sent under a packet id. Whatever changes what is in there comes after this, or
    /// is about something that is there already.
    #[inline]
    pub(super) fn sending(&mut self) -> Result<&mut Sending, Code> {
        self.sending.try_make()
    }

    /// What the end of a message needs.
    pub(super) fn terms(&self) -> Terms {
        Terms::of(&self.limits, self.tell_all)
    }

    /// Appends an acknowledgement with a reason code, which MQTT 3.x has none of, unless the connection takes nothing more.
    pub(super) fn answer_with(&mut self, packet: PacketType, id: u16, reason: u8) -> Result<(), Failure> {
        if reason == reason::SUCCESS || self.version != Version::V5 || !self.takes_answers() {
            return self.answer(packet, id);
        }
        let reason = if reason::valid(packet, reason) { reason } else { reason::UNSPECIFIED_ERROR };
        let ack = wire::Ack { reason, ..wire::Ack::new(id) };
        let encoded = self.out.append(|out| ack.encode(packet, Version::V5, out));
        encoded.map_err(|error| Failure::new(encode_code(error), ""))
    }

    fn takes_answers(&self) -> bool {
        self.state == State::Up || self.disconnect_due
    }

    /// Appends an acknowledgement that says nothing but the packet id, unless the connection takes nothing more.
    #[inline(always)]
    pub(super) fn answer(&mut self, packet: PacketType, id: u16) -> Result<(), Failure> {
        if !self.takes_answers() {
            return Ok(());
        }
        let packet = wire::ack(packet, id).map_err(|error| Failure::new(encode_code(error), ""))?;
        self.out.put(&packet).map_err(|code| Failure::new(code, ""))
    }
}
