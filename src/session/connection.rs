//! The life of a connection as the session sees it: a transport, CONNECT, CONNACK, DISCONNECT, and its end.

use crate::bugs::{Bug, bug};
use crate::error::Code;
use crate::lazy_box::LazyBox;
use crate::patience::{Delivery, Patience};
use crate::session::event::{Event, Failure, Outcome, Poison};
use crate::session::limits::ServerLimits;
use crate::session::output::encode_code;
use crate::session::state::five::{DisconnectParts, Exchange};
use crate::session::state::{PendingEvent, Session, State};
use crate::time::{Span, Time};
use crate::wire::{self, PacketType, PropertyBlock, PropertyId, RawProperties, Version, reason};

impl Session {
    /// A transport is open. CONNACK has to come before `now + connack_within`, whoever sends CONNECT, or so long after
    /// the server got that. `delivery` is what the system knows of the transport.
    pub fn opened(&mut self, now: Time, connack_within: Span, delivery: Option<Delivery>) {
        self.out.reset();
        self.inbound.opened();
        self.pending_event = PendingEvent::Nothing;
        self.disconnect_due = false;
        self.elsewhere = false;
        self.state = State::Open;
        let within = if bug(Bug::ConnackAwaitedForever) { Span::ZERO } else { connack_within };
        self.patience = Patience::before_question(now, within, delivery);
    }

    /// Appends CONNECT. The session obeys what is in it: version, clean session, keep-alive. `ping_reply`
    /// is how long PINGRESP may take; zero is without limit.
    pub fn connect(&mut self, connect: &wire::Connect<'_>, ping_reply: Span) -> Result<(), Code> {
        if self.state != State::Open {
            return Err(Code::Busy);
        }
        self.out.append(|out| connect.encode(connect.version, out)).map_err(encode_code)?;
        self.out.mark_secret();
        self.patience.asked(self.out.end());
        self.version = connect.version;
        self.in_doubt |= self.unanswered && !self.clean && !bug(Bug::LostConnackIgnored);
        self.clean = connect.clean_session;
        self.unanswered = true;
        match connect.version {
            Version::V5 => self.five.try_make()?.announced(connect),
            _ => self.five = LazyBox::new(),
        }
        self.keep_alive.set(connect.keep_alive, ping_reply);
        self.keep_alive.adapt(self.limits.adaptive_keep_alive);
        self.state = State::Connecting;
        Ok(())
    }

    pub(super) fn connack(
        &mut self,
        now: Time,
        connack: &wire::ConnAck<'_>,
    ) -> Result<Option<Event>, Failure> {
        let &wire::ConnAck { session_present, code, .. } = connack;
        self.patience = Patience::NONE;
        self.unanswered = false;
        if let Some(five) = self.five.get_mut() {
            five.connack = PropertyBlock::copy(RawProperties::of_checked(connack.properties.raw()));
            five.exchange = Exchange::None;
            if let Some(seconds) = connack.properties.number(PropertyId::SessionExpiryInterval) {
                five.session_expiry = seconds;
            }
        }
        if code != 0 {
            self.state = State::Closing;
            return Ok(Some(Event::ConnAck { session_present, code }));
        }
        self.check_method(connack.properties)?;
        self.check_proof(connack.properties)?;
        if core::mem::take(&mut self.elsewhere) {
            self.forget_inbound();
        }
        if session_present && self.clean {
            // MQTT-3.2.2-1. What that server takes for ours may be another client's.
            let remedy =
                "the connection would work with clean_session 0, or as MQTT 3.1 if the server speaks that";
            return Err(Failure::new(Code::UnexpectedSession, remedy).because(reason::PROTOCOL_ERROR));
        }
        // MQTT 3.1 cannot say it: there a session is kept unless it was asked to be clean.
        let session_present = !self.clean && (session_present || self.version == Version::V31);
        self.obey(ServerLimits::of(connack))?;
        let (server, automatic) = (&self.sending.server, self.limits.topic_aliases);
        if let Some(five) = self.five.get_mut() {
            five.outgoing.begin(server.alias_maximum, automatic);
            five.taken_up_to = server.taken_up_to();
        }
        self.state = State::Up;
        if let Some(seconds) = connack.properties.number(PropertyId::ServerKeepAlive) {
            // A two byte integer [MQTT-3.1.2-21].
            self.keep_alive.instead(seconds as u16);
        }
        self.resumed = session_present;
        self.found_path |= self.keep_alive.start(now);
        if !session_present && !bug(Bug::InboundNotCleared) || bug(Bug::InboundClearedEarly) {
            self.inbound.forget();
        }
        if !session_present {
            self.session_lost();
        }
        self.end_what_the_server_refuses();
        if bug(Bug::AckOnNewSocket) {
            for id in 1..20 {
                if self.inbound.is_known(id) {
                    self.answer(PacketType::PubRec, id)?;
                }
            }
        }
        // Nor can it say that it is a new one.
        let in_doubt = core::mem::take(&mut self.in_doubt) || self.version == Version::V31;
        let in_doubt = in_doubt && session_present && !bug(Bug::KeptBelieved);
        if in_doubt {
            self.inbound.doubt();
        }
        let known = session_present || bug(Bug::SubscriptionsForgotten);
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.connected(known, self.limits.always_subscribe || in_doubt);
        }
        self.pump_subscriptions();
        self.pending_event = PendingEvent::ConnAck;
        Ok(Some(Event::ConnAck { session_present, code }))
    }

    /// What the server allows holds from now on. Without any limit there need not be anything that remembers it.
    fn obey(&mut self, server: ServerLimits) -> Result<(), Code> {
        if server != self.sending.server {
            self.sending()?.server = server;
            self.flight_limit = self.fast_flight_limit();
        }
        Ok(())
    }

    /// Appends DISCONNECT if the connection is up, behind the acknowledgement of the message that is being
    /// handled: without it the server would deliver that message again, and a handler that disconnects
    /// would never get past it. Nothing else is accepted for this connection any more.
    pub fn disconnect(&mut self) {
        if self.state == State::Up {
            self.disconnect_due = true;
            if !matches!(self.pending_event, PendingEvent::Publish(..) | PendingEvent::Cut(..)) {
                self.append_disconnect();
            }
        }
        // Who asks again does not wait longer for that.
        if !matches!(self.state, State::Closed | State::Closing) {
            self.state = State::Closing;
            self.patience = Patience::NONE;
        }
        self.keep_alive.stop();
        self.end_watch();
    }

    /// The server's DISCONNECT. Nothing may be sent after it (MQTT 5.0 §3.14.4).
    pub(super) fn disconnected(&mut self, disconnect: &wire::Disconnect<'_>) -> Result<Event, Failure> {
        if disconnect.properties.number(PropertyId::SessionExpiryInterval).is_some() {
            let what = "the server's DISCONNECT has a session expiry interval [MQTT-3.14.2-2]";
            return Err(Failure::protocol(what));
        }
        self.state = State::Closing;
        self.disconnect_due = false;
        self.keep_alive.stop();
        self.end_watch();
        Ok(Event::Disconnect(disconnect.reason))
    }

    /// Appends DISCONNECT with the reason why the connection cannot go on. False if the server cannot be told: in MQTT
    /// 3.x, and behind another DISCONNECT.
    pub fn disconnect_because(&mut self, reason: u8) -> bool {
        if self.version != Version::V5 || !matches!(self.state, State::Connecting | State::Up) {
            return false;
        }
        self.state = State::Closing;
        self.keep_alive.stop();
        self.end_watch();
        let disconnect = wire::Disconnect { reason, ..wire::Disconnect::default() };
        self.out.append(|out| disconnect.encode(Version::V5, out)).is_ok()
    }

    /// The properties of the last CONNACK of MQTT 5.0 (§3.2.2.3).
    pub fn connack_properties(&self) -> &PropertyBlock {
        &self.five.connack
    }

    /// What the [DISCONNECT](Session::disconnect) of this connection is to say (MQTT 5.0 §3.14).
    ///
    /// [`Code::BadArgument`] if DISCONNECT cannot say it, or in MQTT 3.x, where it says nothing; [`Code::TooLarge`] if the
    /// server takes no packet of that size.
    pub fn set_disconnect(&mut self, reason: u8, properties: PropertyBlock) -> Result<(), Code> {
        let disconnect = wire::Disconnect { reason, properties: properties.properties() };
        let expiry = disconnect.properties.number(PropertyId::SessionExpiryInterval);
        if expiry.is_some_and(|seconds| seconds > 0) && self.five.session_expiry == 0 {
            // [MQTT-3.14.2.2.2]: a session that was to end with its connection cannot be kept any more.
            return Err(Code::BadArgument);
        }
        if disconnect.is_empty() {
            return Ok(());
        }
        if self.version != Version::V5 || !reason::valid(PacketType::Disconnect, reason) {
            return Err(Code::BadArgument);
        }
        self.check_closing_len(&disconnect.properties)?;
        self.five.try_make()?.disconnect = DisconnectParts { reason, properties };
        Ok(())
    }

    /// Whether the server takes a DISCONNECT or AUTH with these properties (MQTT 5.0 §3.2.2.3.6).
    pub(super) fn check_closing_len(&self, properties: &wire::Properties<'_>) -> Result<(), Code> {
        let size = wire::closing_len(properties);
        if size > self.sending.server.packet_size as usize { Err(Code::TooLarge) } else { Ok(()) }
    }

    pub(super) fn append_disconnect(&mut self) {
        if core::mem::take(&mut self.disconnect_due) {
            // A few bytes; should memory be out even for them, the server sees the link close.
            let version = self.version;
            let DisconnectParts { reason, properties } = &self.five.disconnect;
            let disconnect = wire::Disconnect { reason: *reason, properties: properties.properties() };
            let _ = self.out.append(|out| disconnect.encode(version, out));
        }
    }

    /// The transport is gone. What was in flight will be sent again on the next connection.
    pub fn closed(&mut self) {
        if self.sending.get().is_some() {
            self.requeue_in_flight();
            self.sending.suspect.acknowledged_at = 0;
        }
        self.inbound.closed();
        if let Some(five) = self.five.get_mut() {
            five.closed();
            // The next server says for itself what it allows.
            let _ = self.obey(ServerLimits::NONE);
        }
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.disconnected();
        }
        self.keep_alive.lost(self.now);
        self.patience = Patience::NONE;
        self.end_watch();
        self.disconnect_due = false;
        self.out.reset();
        self.state = State::Closed;
    }

    /// As [`closed`](Session::closed), when it was the server that ended a connection that was up. A message that made it do
    /// so again and again is returned once, and when it is set aside.
    pub fn closed_by_server(&mut self) -> Option<Poison> {
        let poison = self.suspect();
        self.closed();
        // What was in flight is at the front now.
        if let Some(poison) = poison.as_ref().filter(|poison| poison.set_aside) {
            self.end_first_waiting(poison.token, Outcome::Rejected(0));
        }
        poison
    }

    /// Whether the CONNECT on the transport that was [opened](Session::opened) last is for another server or another client:
    /// if that accepts it, what is known of the [old one](Session::forget_inbound) is forgotten.
    pub fn at_another_server(&mut self, elsewhere: bool) {
        self.elsewhere = elsewhere;
    }

    /// The next connection belongs to another server or another client: the inbound QoS 2 ids of
    /// the old one mean nothing there.
    pub fn forget_inbound(&mut self) {
        self.inbound.forget();
        // What it has of us may be older than what was wanted meanwhile.
        self.in_doubt = true;
    }

    /// The connection is freed: nothing will be sent any more; every message has its outcome, every
    /// ticket its answer.
    pub fn abandon(&mut self) {
        self.closed();
        self.end_all_waiting(Outcome::Abandoned);
        if let Some(subscriptions) = self.subscriptions.get_mut() {
            subscriptions.abandon();
        }
    }
}
