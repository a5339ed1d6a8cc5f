//! The calls that send: publish, subscribe, and the packets an application makes itself.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::{Entry, State};
use crate::client::handlers::callback::{Callback, Identity};
use crate::client::handlers::event::KeptReport;
use crate::client::handlers::registered::Removed;
use crate::client::state::Link;
use crate::client::state::flush::Flush;
use crate::client::state::log::Level;
use crate::client::state::over_limit::{check_filter, over_limit};
use crate::client::state::params::ConnectParams;
use crate::config::Protocol;
use crate::error::{Code, Trouble};
use crate::session::{Accepted, Publication, RawAck, Request, Session};
use crate::time::{Moment, Span};
use crate::wire::topic::{self, PlainTopic};
use crate::wire::{self, Properties, PropertyBlock, QoS, Version, reason};

/// With this much unwritten output, a call writes it itself instead of leaving it to the loop.
pub(in crate::client) const WRITE_AT: usize = 64 * 1024;

/// A call may write to the socket itself if the last such write is at least this long ago; output that
/// follows sooner is collected and written together.
pub(in crate::client) const QUIET: Span = Span::millis(1);

impl Conn {
    /// Whether what is sent next goes out in MQTT 5.0: on this connection, or, without one, on the next.
    pub fn speaks_v5(&self) -> bool {
        self.lock().speaks_v5()
    }

    /// As `authenticate`, for the attempt with this number alone; 0 is whichever goes on. [`Code::Stale`] if it is over.
    pub fn authenticate_for(&self, attempt: u64, reason: u8, properties: &PropertyBlock) -> Result<(), Code> {
        let mut st = self.usable()?;
        let is_over = !matches!(st.link, Link::Open(_)) || st.closing.is_some();
        if attempt != 0 && (st.attempt_number() != attempt || is_over) {
            return Err(Code::Stale);
        }
        let sent = match (&st.extras.scram, reason) {
            (None, _) => st.session.authenticate(reason, properties.properties()),
            (Some(_), reason::REAUTHENTICATE) => {
                st.repeat_scram(None, properties.properties()).map_err(|trouble| trouble.code)
            }
            // The library answers the server itself.
            (Some(_), _) => Err(Code::Busy),
        };
        self.output_grew(&mut st);
        sent
    }

    /// Publishes. The QoS is lowered to the connection's maximum. An accepted message is sent as soon as the
    /// connection and the window allow.
    pub fn publish(&self, message: Publication<'_>) -> Result<Accepted, Code> {
        self.publish_now(&mut *self.usable()?, message)
    }

    /// [`publish`](Conn::publish) for a message that gets its packet id at once and never expires, as those of Mongoose
    /// OS. Returns that id.
    ///
    /// Not inlined: the C interface is compiled for size, and this would be, too.
    #[inline(never)]
    pub fn publish_numbered(
        &self,
        topic: PlainTopic<'_>,
        payload: &[u8],
        qos: QoS,
        retain: bool,
    ) -> Result<u16, Code> {
        let mut st = self.usable_here()?;
        let (name, qos) = (topic.as_bytes(), if qos == QoS::AtMostOnce { qos } else { st.cap_qos(qos) });
        let accepted = if qos == QoS::AtMostOnce {
            st.session.publish_fast(name, payload, retain)
        } else {
            self.clock(&mut st);
            st.session.publish_tracked_fast(name, payload, qos, retain)
        };
        let published = match accepted {
            Some(id) => {
                // Nothing has ended by it.
                self.output_grew(&mut st);
                Ok(id)
            }
            None => {
                let message =
                    Publication { retain, reserve_id: true, ..Publication::of(topic.into(), payload, qos) };
                self.publish_now(&mut st, message).map(|accepted| accepted.packet_id)
            }
        };
        // Here for both.
        drop(st);
        published
    }

    #[inline(never)]
    fn publish_now(&self, st: &mut State, message: Publication<'_>) -> Result<Accepted, Code> {
        let accepted = self.accept(st, message)?;
        self.set_off(st);
        Ok(accepted)
    }

    /// Accepts a message; [`set_off`](Conn::set_off) follows.
    pub(in crate::client) fn accept(
        &self,
        st: &mut State,
        mut message: Publication<'_>,
    ) -> Result<Accepted, Code> {
        message.topic.check().map_err(|_| Code::BadTopic)?;
        if !message.properties.is_empty() && !st.speaks_v5() {
            return Err(Code::NeedsV5);
        }
        message.qos = st.cap_qos(message.qos);
        if message.qos != QoS::AtMostOnce {
            self.clock(st);
        }
        if st.traced {
            self.published_while_traced(st);
        }
        let accepted = st.session.publish(&message);
        match accepted {
            Err(code) => self.refused_to_publish(st, &message, code),
            // The loop may be asleep until later.
            Ok(_) if message.expires.is_some() || !message.properties.is_empty() => self.schedule(st),
            Ok(_) => self.watch_answers(st),
        }
        if accepted.is_ok() && matches!(st.link, Link::Idle) {
            self.warn_if_nobody_opens(st, "a published message");
        }
        accepted
    }

    #[cold]
    fn refused_to_publish(&self, st: &mut State, message: &Publication<'_>, code: Code) {
        // Nothing follows that could use it.
        st.clock_was_read = Moment::NONE;
        let topic = message.topic.as_str();
        if matches!(code, Code::TooLarge | Code::ServerLimit) {
            let why = over_limit(&st.session, message);
            self.note(st, Level::Warn, format_args!("publish to {topic:?} refused: {why}"));
        } else {
            self.note(st, Level::Warn, format_args!("publish to {topic:?} refused: {code}"));
        }
    }

    /// A message was accepted: sends what can be sent, and records what has ended.
    #[inline]
    pub(in crate::client) fn set_off(&self, st: &mut State) {
        self.settle(st);
        self.output_grew(st);
    }

    /// Subscribes: now if the connection is up, and after every CONNACK. The same filter with the same
    /// identity and kinds is one subscription, however often it is made. What the last call asks for counts, but for the QoS,
    /// of which the highest does. On an error the callback is
    /// disarmed: its user data stays the caller's.
    pub fn subscribe(
        &self,
        filter: &str,
        request: impl Into<Request>,
        identity: Identity,
        kinds: u32,
        callback: Box<dyn Callback<Conn>>,
    ) -> Result<(), Code> {
        self.subscribe_entry(filter, request.into(), Entry::new(identity, kinds, callback))
    }

    fn subscribe_entry(&self, filter: &str, request: Request, entry: Arc<Entry>) -> Result<(), Code> {
        let mut st = topic::valid_filter(filter)
            .map_err(|_| Code::BadFilter)
            .and_then(|()| self.usable())
            .inspect_err(|_| entry.disarm())?;
        let filter: Arc<str> = filter.into();
        check_filter(&st.session, &filter, &request).inspect_err(|_| entry.disarm())?;
        st.handlers.reserve(1).inspect_err(|_| entry.disarm())?;
        let (request, same) = st.register(&filter, request, entry);
        self.registered();
        st.session.subscribe(filter, request);
        self.output_grew(&mut st);
        self.watch_answers(&mut st);
        self.take_answers(&mut st);
        self.warn_if_nobody_opens(&mut st, "a subscription");
        drop(st);
        drop(same);
        Ok(())
    }

    /// Ends the newest subscription to `filter`, or the newest with this identity. The server is told when it was the
    /// filter's last one; also of a filter that nobody here subscribed to, if it may hold that from an earlier
    /// process, in a session that it kept. False if there is none.
    pub fn unsubscribe(&self, filter: &str, identity: Option<Identity>) -> Result<bool, Code> {
        let mut st = self.usable()?;
        let (removed, last) = match st.handlers.unsubscribe(filter, identity) {
            Some(found) => found,
            None if st.handlers.qos_of(filter).is_some() => return Ok(false),
            None => (Removed::new(), true),
        };
        self.clock(&mut st);
        let found = !removed.is_empty();
        if !found {
            topic::valid_filter(filter).map_err(|_| Code::BadFilter)?;
        }
        let asked = last && st.session.unsubscribe(filter);
        if asked {
            self.output_grew(&mut st);
            self.watch_answers(&mut st);
            self.take_answers(&mut st);
        }
        drop(st);
        drop(removed);
        Ok(found || asked)
    }

    /// Filters asked for and not acknowledged.
    pub fn pending_subscriptions(&self) -> usize {
        self.lock().session.pending_subscriptions()
    }

    /// The next packet id; it is not reserved.
    pub fn next_packet_id(&self) -> Result<u16, Code> {
        self.usable()?.session.next_packet_id()
    }

    /// Sends CONNECT; for connect hooks.
    pub fn send_connect(&self, params: &ConnectParams) -> Result<(), Code> {
        let mut st = self.usable()?;
        if !st.session.awaits_connect() {
            return Err(Code::NotConnected);
        }
        self.note(&mut st, Level::Debug, format_args!("the connect hook sends CONNECT"));
        if let Err(trouble) = st.append_connect(params) {
            self.end_attempt(&mut st, trouble.code, "the connect hook's CONNECT was refused", &trouble.text);
            return Err(trouble.code);
        }
        self.output_grew(&mut st);
        Ok(())
    }

    /// Sends a PUBLISH that the application numbers itself; it is not tracked.
    pub fn raw_publish(
        &self,
        topic: &str,
        packet_id: u16,
        qos: QoS,
        retain: bool,
        dup: bool,
        payload: &[u8],
    ) -> Result<(), Code> {
        topic::valid_name(topic).map_err(|_| Code::BadTopic)?;
        let dup = dup && qos != QoS::AtMostOnce;
        let packet =
            wire::Publish { dup, qos, retain, topic, packet_id, properties: Properties::default(), payload };
        self.raw(|session| {
            session.raw_publish(&packet).inspect_err(|code| {
                if matches!(code, Code::TooLarge | Code::ServerLimit) {
                    over_limit(session, &Publication { retain, ..Publication::new(topic, payload, qos) });
                }
            })
        })
    }

    /// Sends a SUBSCRIBE that the application numbers itself; it is not remembered.
    pub fn raw_subscribe(&self, packet_id: u16, filters: &[(&str, QoS)]) -> Result<(), Code> {
        if filters.is_empty() || filters.iter().any(|(filter, _)| topic::valid_filter(filter).is_err()) {
            return Err(Code::BadFilter);
        }
        self.raw(|session| session.raw_subscribe(packet_id, filters.iter().copied()))
    }

    /// Sends an UNSUBSCRIBE that the application numbers itself.
    pub fn raw_unsubscribe(&self, packet_id: u16, filters: &[&str]) -> Result<(), Code> {
        if filters.is_empty() || filters.iter().any(|filter| topic::valid_filter(filter).is_err()) {
            return Err(Code::BadFilter);
        }
        self.raw(|session| session.raw_unsubscribe(packet_id, filters.iter().copied()))
    }

    /// Marks a message or exchange as acknowledged by the application; the packet goes out once.
    pub fn raw_ack(&self, kind: RawAck, packet_id: u16) -> Result<(), Code> {
        self.raw(|session| session.raw_ack(kind, packet_id))
    }

    /// Sends PINGREQ.
    pub fn raw_ping(&self) -> Result<(), Code> {
        let now = self.context.driver.now();
        self.raw(|session| session.raw_ping(now))?;
        // The answer has a deadline, and the loop may be asleep until a later one.
        let mut st = self.lock();
        self.schedule(&mut st);
        Ok(())
    }

    /// Sends AUTH (MQTT 5.0 §4.12), with the method of CONNECT among its properties: with reason code 0x18 as the answer
    /// to the server's, with 0x19 to authenticate again once the connection is up.
    ///
    /// [`Code::BadArgument`] if CONNECT had no method, another one, or AUTH cannot say this; [`Code::NotConnected`];
    /// [`Code::Busy`] if it is not the client's turn.
    pub fn authenticate(&self, reason: u8, properties: &PropertyBlock) -> Result<(), Code> {
        self.authenticate_for(0, reason, properties)
    }

    /// The version of MQTT of the last CONNECT, and what its CONNACK said if that was MQTT 5.0 (§3.2.2.3).
    pub fn server_word(&self) -> Result<(Version, PropertyBlock), Code> {
        let st = self.usable()?;
        Ok((st.session.version(), st.session.connack_properties().clone()))
    }

    fn raw(&self, send: impl FnOnce(&mut Session) -> Result<(), Code>) -> Result<(), Code> {
        let mut st = self.usable()?;
        if st.traced {
            self.published_while_traced(&mut st);
        }
        let sent = send(&mut st.session);
        self.output_grew(&mut st);
        sent
    }

    /// Something may have been appended to the output. The first bytes after a quiet moment are written at
    /// once, by the caller itself; what follows is collected for the loop, and what comes inside a turn for its
    /// end. Large output is written right away in any case.
    #[inline(always)]
    pub(in crate::client) fn output_grew(&self, st: &mut State) {
        let waiting = st.session.output().len();
        self.output_level.store(waiting, Ordering::Relaxed);
        if (st.in_turn || st.scheduled) && waiting < WRITE_AT {
            st.clock_was_read = Moment::NONE;
            return;
        }
        self.write_early(st, waiting);
    }

    #[inline(never)]
    fn write_early(&self, st: &mut State, waiting: usize) {
        let clock = st.clock_was_read.take();
        // A link that is to end without DISCONNECT accepts nothing any more.
        let ends = st.closing.is_some_and(|closing| !closing.graceful);
        if waiting == 0 || ends || !matches!(st.link, Link::Open(_)) {
            return;
        }
        let now = clock.unwrap_or_else(|| self.context.driver.now());
        let quiet = st.wrote_early.get().is_none_or(|at| now.since(at) >= QUIET);
        if !quiet && waiting < WRITE_AT {
            if bug(Bug::LostWakeup) {
                return;
            }
            return self.schedule(st);
        }
        st.wrote_early = now.into();
        match self.flush(st, now) {
            // If the socket is full, the loop is told when it has room again.
            Flush::Done | Flush::Blocked => {
                self.output_level.store(st.session.output().len(), Ordering::Relaxed);
                self.settle(st);
                self.watch_answers(st);
            }
            Flush::Failed(report) => {
                st.report = KeptReport::of(report);
                st.link_broke = true;
                self.schedule(st);
            }
        }
    }

    /// Tells the session the time at which something is accepted. Within a turn it is the turn's own time.
    /// Between the call that asked for a turn and the turn itself it is the time of the first call that needed
    /// it: a burst reads the clock once.
    #[inline(always)]
    pub(in crate::client) fn clock(&self, st: &mut State) {
        if !st.now_holds {
            self.read_clock(st);
        }
    }

    #[inline(never)]
    fn read_clock(&self, st: &mut State) {
        let now = self.context.driver.now();
        st.now_holds = st.scheduled;
        st.clock_was_read = now.into();
        st.session.clock(now);
    }

    /// Logs a warning about this connection.
    pub fn warn(&self, text: &str) {
        let mut st = self.lock();
        if self.context.log.wants(Level::Warn) {
            self.note(&mut st, Level::Warn, format_args!("{text}"));
        }
    }

    /// Without memory for it, a record is left out.
    #[inline(never)]
    pub(in crate::client) fn note(&self, st: &mut State, level: Level, text: fmt::Arguments<'_>) {
        if !self.context.log.wants(level) {
            return;
        }
        st.record(level, text);
        if !st.in_turn {
            self.schedule(st);
        }
    }
}

impl State {
    /// Whether what is sent next goes out in MQTT 5.0: on this connection, or, without one, on the next.
    #[cold]
    pub(in crate::client) fn speaks_v5(&self) -> bool {
        self.next_version() == Some(Version::V5)
    }

    /// The version in which goes out what is sent next; `None` if the server has to agree first.
    #[cold]
    pub(in crate::client) fn next_version(&self) -> Option<Version> {
        if self.session.is_up() {
            return Some(self.session.version());
        }
        match self.settings.profile.protocol.unwrap_or(self.profile.protocol) {
            Protocol::V5 => Some(Version::V5),
            Protocol::Auto => self.settled_version(),
            Protocol::V311 => Some(Version::V311),
            Protocol::V31 => Some(Version::V31),
        }
    }

    /// Adds a subscriber; what the server is to be asked for then, and the entry if there is one like it already.
    pub(in crate::client) fn register(
        &mut self,
        filter: &Arc<str>,
        mut request: Request,
        entry: Arc<Entry>,
    ) -> (Request, Option<Arc<Entry>>) {
        let (qos, same) = self.handlers.subscribe(filter, request.options.qos, entry);
        self.handlers.identify(filter, request.identifier());
        request.options.qos = self.cap_qos(qos);
        (request, same)
    }

    /// The QoS that a publish or subscription may have.
    pub(in crate::client) fn cap_qos(&self, qos: QoS) -> QoS {
        let limit = self.max_qos.unwrap_or_else(|| self.profile.max_qos.map_or(-1, |most| most as i8));
        match limit {
            0 => QoS::AtMostOnce,
            1 => qos.min(QoS::AtLeastOnce),
            _ => qos,
        }
    }

    /// Appends CONNECT.
    pub(in crate::client) fn append_connect(&mut self, params: &ConnectParams) -> Result<(), Trouble> {
        let five = params.version == Version::V5;
        let scram = self.begin_scram(params)?;
        let properties = scram.as_ref().unwrap_or(&params.connect_properties);
        let will = params.will.as_ref().map(|will| wire::Will {
            topic: &will.topic,
            payload: &will.payload,
            qos: QoS::try_from(will.qos).unwrap_or(QoS::AtMostOnce),
            retain: will.retain,
            properties: if five { will.properties.properties() } else { Properties::EMPTY },
        });
        let connect = wire::Connect {
            version: params.version,
            clean_session: params.clean_session,
            keep_alive: params.keep_alive,
            properties: if five { properties.properties() } else { Properties::EMPTY },
            client_id: &params.client_id,
            will,
            // With SCRAM neither is needed.
            user_name: params.user.as_deref().filter(|_| scram.is_none()),
            password: params.password.as_ref().map(|secret| secret.as_slice()).filter(|_| scram.is_none()),
        };
        // As configured; else the keep-alive itself, at most ten seconds.
        let keep_alive = Span::secs(u64::from(params.keep_alive));
        let reply = self.profile.timeouts.pingresp.unwrap_or(keep_alive.min(Span::secs(10)));
        let mut sent = self.session.connect(&connect, reply);
        if scram.is_some() {
            sent = sent.and_then(|()| self.session.demand_proof(None));
        }
        sent.map_err(|code| Trouble { code, text: code.text().into() })
    }
}
