//! From the socket to the handlers, packet by packet.

use std::io;
use std::ops::Range;

use crate::bugs::{Bug, bug};
use crate::client::Conn;
use crate::client::conn::{Handlers, Recipients, State};
use crate::client::dispatch::fast::{Ending, acknowledgement};
use crate::client::handlers::event::{Event, Kind, Message, TopicName};
use crate::client::link::secure::Foreign;
use crate::client::observe::trace::DELIVER_AT;
use crate::client::state::backlog::Backlog;
use crate::client::state::flush::Flush;
use crate::client::state::log::Level;
use crate::client::state::pace::Stage;
use crate::client::state::verdict::HandlerVerdict;
use crate::driver::Turn;
use crate::error::Code;
use crate::session::{self, Acknowledged, Failure, Verdict};
use crate::sync::MutexGuard;
use crate::wire::{Header, PublishHead, RawProperties, reason};

/// Bytes read in one turn before other connections get theirs.
pub(in crate::client) const READ_A_TURN: usize = 256 * 1024;

/// The buffer for the beginning of a packet is kept between reads up to this size.
pub(in crate::client) const KEEP_PARTIAL: usize = 16 * 1024;

/// With this much unwritten output nothing more is read: a server that sends but does not take our
/// acknowledgements must not fill our memory with them.
pub(in crate::client) const OUTPUT_HIGH: usize = 4 * 1024 * 1024;

/// What became of the bytes given to [`Conn::consume`].
pub(in crate::client) struct Consumed<'a> {
    pub(in crate::client) st: MutexGuard<'a, State>,
    pub(in crate::client) bytes: usize,
    /// False when the link is not the one that the bytes came from any more.
    pub(in crate::client) alive: bool,
}

impl Conn {
    /// Reads what is there, within bounds of bytes and of time, and tells the handlers.
    pub(in crate::client) fn read<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
    ) -> MutexGuard<'a, State> {
        // What came with the last SUBACK is told first.
        if !st.pace.may(Stage::Read) || st.session.has_subscribe_result() {
            return st;
        }
        let mut budget = READ_A_TURN;
        // The buffer has one byte more than is ever read into it: the place of the NUL behind a
        // payload.
        let room = turn.buffer.len() - 1;
        loop {
            if st.session.output().len() > OUTPUT_HIGH
                && let Flush::Blocked = self.flush(&mut st, turn.now)
            {
                return st;
            }
            if let Some(backlog) = st.backlog.take() {
                match self.work_off(st, turn, backlog) {
                    (back, true) => st = back,
                    (back, false) => return back,
                }
            }
            if budget == 0 || st.pace.is_over() {
                turn.again();
                return st;
            }
            if let Some(total) = st.large_packet(room) {
                match self.read_large(st, turn, total, &mut budget) {
                    (back, true) => st = back,
                    (back, false) => return back,
                }
                continue;
            }
            let have = st.partial.len();
            turn.buffer[..have].copy_from_slice(&st.partial);
            let ended = st.ended;
            let Some(transport) = st.link.stream() else { return st };
            let n = match transport.read(&mut turn.buffer[have..room]) {
                Ok(0) => return self.stream_ended(st, turn, None),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    st.unread = false;
                    return st;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return self.stream_ended(st, turn, Some(e)),
            };
            let all = n < room - have && !ended && transport.short_read_is_all();
            st.session.received(turn.now);
            st.stats.rx_bytes += n as u64;
            st.partial.clear();
            let mut buffer = std::mem::take(turn.buffer);
            let consumed = self.consume(st, turn, &mut buffer, have + n);
            st = consumed.st;
            let kept = match consumed.alive {
                true => st.keep_rest(&mut buffer, consumed.bytes..have + n, turn.spare),
                false => Ok(()),
            };
            *turn.buffer = buffer;
            if let Err(failure) = kept {
                return self.fail(st, turn, &failure);
            }
            if !consumed.alive {
                return st;
            }
            if all {
                // A call that would only say so is saved.
                st.unread = false;
                return st;
            }
            budget = budget.saturating_sub(n);
        }
    }

    /// Goes on with what an earlier turn had no time for. False when there is nothing more to be done in this one.
    fn work_off<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        backlog: Box<[Backlog; 1]>,
    ) -> (MutexGuard<'a, State>, bool) {
        let mut backlog = backlog;
        let len = backlog[0].len();
        let consumed = self.consume(st, turn, backlog[0].rest(), len);
        let mut st = consumed.st;
        if !consumed.alive {
            return (st, false);
        }
        backlog[0].consume(consumed.bytes);
        if st.pace.is_over() && backlog[0].len() > 0 {
            st.backlog = Some(backlog);
            return (st, false);
        }
        // The beginning of a packet.
        let [backlog] = *backlog;
        match backlog.into_rest() {
            Ok((rest, buffer)) => {
                st.partial = rest;
                if buffer.len() == turn.buffer.len() {
                    *turn.spare = buffer;
                }
            }
            Err(code) => {
                return (self.fail(st, turn, &Failure::new(code, "")), false);
            }
        }
        (st, true)
    }

    /// Reads more of a packet that is larger than the loop's buffer, straight to where it is collected.
    /// False when there is nothing more to be done in this turn.
    fn read_large<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        total: usize,
        budget: &mut usize,
    ) -> (MutexGuard<'a, State>, bool) {
        let have = st.partial.len();
        if st.partial.try_reserve_exact(total + 1 - have).is_err() {
            return (self.fail(st, turn, &Failure::out_of_memory()), false);
        }
        let state = &mut *st;
        // Only as much is made ready as this turn may read: what is not read would be filled for nothing,
        // again and again.
        let until = total.min(have + *budget);
        state.partial.resize(until, 0);
        let Some(transport) = state.link.stream() else { return (st, false) };
        let outcome = transport.read(&mut state.partial[have..until]);
        let n = *outcome.as_ref().unwrap_or(&0);
        st.partial.truncate(have + n);
        match outcome {
            Ok(0) => return (self.stream_ended(st, turn, None), false),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                st.unread = false;
                return (st, false);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return (st, true),
            Err(e) => return (self.stream_ended(st, turn, Some(e)), false),
        }
        st.session.received(turn.now);
        st.stats.rx_bytes += n as u64;
        *budget -= n;
        if st.partial.len() < total {
            return (st, true);
        }
        let mut packet = std::mem::take(&mut st.partial);
        packet.push(0);
        let consumed = self.consume(st, turn, &mut packet, total);
        (consumed.st, consumed.alive)
    }

    /// There is nothing more to read. After the application closed the connection that is its good end.
    fn stream_ended<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        error: Option<io::Error>,
    ) -> MutexGuard<'a, State> {
        let report = match (st.closing, error) {
            (Some(closing), error) => {
                let how =
                    error.map_or("before it closed".into(), |error| format!("before an error: {error}"));
                self.closed_report(&mut st, closing.code, &how)
            }
            (None, None) => st.end_report(),
            (None, Some(error)) => st.io_report(&error),
        };
        self.link_down(st, turn, report)
    }

    /// Gives bytes to the session, packet by packet, and tells the handlers. `buffer` is at least one byte
    /// longer than `len`.
    fn consume<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        buffer: &mut [u8],
        len: usize,
    ) -> Consumed<'a> {
        let generation = st.generation;
        let mut at = 0;
        while at < len && !st.pace.is_over() {
            let (back, bytes, ending) = self.stream(st, generation, &mut buffer[at..], len - at);
            st = back;
            at += bytes;
            let told = match ending {
                Ending::Failed(failure) => {
                    return Consumed { st: self.fail(st, turn, &failure), bytes: len, alive: false };
                }
                Ending::Told => true,
                Ending::Other if at == len => break,
                Ending::Other => {
                    let begins = st.traced && !st.session.skips();
                    let step = match st.session.input(turn.now, &buffer[at..len]) {
                        Ok(step) if begins && step.consumed > 0 => {
                            self.trace_received(&mut st, &buffer[at..at + step.consumed]);
                            step
                        }
                        Ok(step) => step,
                        Err(failure) => {
                            let st = match st.foreign(&buffer[at..len]) {
                                Foreign::MaybeTlsAlert => break,
                                Foreign::TlsAlert => {
                                    let report = st.tls_expected_report();
                                    self.link_down(st, turn, report)
                                }
                                Foreign::Unknown => self.fail(st, turn, &failure),
                            };
                            return Consumed { st, bytes: len, alive: false };
                        }
                    };
                    let Some(event) = &step.event else {
                        if step.consumed == 0 {
                            break;
                        }
                        at += step.consumed;
                        continue;
                    };
                    let properties = step.properties(&buffer[at..]);
                    if is_last_word(event) {
                        st = self.hear_last_word(st, turn, event, properties);
                        return Consumed { st, bytes: len, alive: false };
                    }
                    if bug(Bug::AckBeforeHandler) && matches!(event, session::Event::Publish(_)) {
                        let _ = st.session.handled(Verdict::Ack(reason::SUCCESS));
                        let _ = self.flush(&mut st, turn.now);
                    }
                    // After the application ended the connection, only its own messages concern it.
                    let told = st.closing.is_none() || event.is_acknowledgement();
                    if told {
                        st = self.told(st, turn, event, step.properties.clone(), &mut buffer[at..]);
                    }
                    at += step.consumed;
                    if let Some(session::Event::Publish(incoming)) = step.event {
                        st.session.give_back(incoming);
                    }
                    told
                }
            };
            let mut alive;
            (st, alive) = self.conclude(st, turn, generation, told);
            if alive && st.traced && st.log.records.len() >= DELIVER_AT {
                st = self.tell_log(st);
                alive = st.is_on(generation) && !st.freed && !st.broken;
            }
            if !alive {
                // Whatever follows belongs to a connection that is no more.
                return Consumed { st, bytes: len, alive: false };
            }
        }
        Consumed { st, bytes: at, alive: true }
    }

    /// The server does not want this connection. After the application closed it, that is its good end.
    fn hear_last_word<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        event: &session::Event,
        properties: RawProperties<'_>,
    ) -> MutexGuard<'a, State> {
        if st.closing.is_some() && matches!(event, session::Event::Disconnect(_)) {
            return self.stream_ended(st, turn, None);
        }
        let report = st.last_word(event, properties);
        self.link_down(st, turn, report)
    }

    /// The handlers of an event have returned, or it was not told: the session's part after it, and what the handlers
    /// brought about. False when the link is not that of `generation` any more.
    fn conclude<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        generation: u64,
        told: bool,
    ) -> (MutexGuard<'a, State>, bool) {
        let alive = st.is_on(generation);
        let HandlerVerdict { reason, not_delivered, failed, .. } = st.handler_verdict;
        let verdict = match (told, alive) {
            (false, _) => Verdict::NotDelivered,
            _ if not_delivered || failed.is_some() => Verdict::NotDelivered,
            (true, true) => Verdict::Ack(reason),
            (true, false) => Verdict::ConnectionGone,
        };
        let handled = st.session.handled(verdict);
        self.settle(&mut st);
        if reason != reason::SUCCESS || not_delivered || failed.is_some() {
            st.handler_verdict = HandlerVerdict::default();
        }
        if st.outcomes.are_waiting() {
            st = self.tell_outcomes(st);
        }
        let failed = failed.map_or(Ok(()), |code| Err(Failure::new(code, "")));
        if let Err(failure) = handled.and(failed) {
            return (self.fail(st, turn, &failure), false);
        }
        let alive = alive && st.is_on(generation) && !st.freed && !st.broken;
        (st, alive)
    }

    /// Tells the handlers of one event. `packet` begins with the bytes that the event's ranges index.
    fn told<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        event: &session::Event,
        properties: Range<usize>,
        packet: &mut [u8],
    ) -> MutexGuard<'a, State> {
        if let session::Event::Publish(incoming) = event {
            return self.deliver_incoming(st, incoming, properties, packet);
        }
        let packet = &*packet;
        let properties = RawProperties::of_checked(&packet[properties]);
        match event {
            session::Event::ConnAck { session_present, .. } => {
                let st = self.link_up(st, turn, *session_present, properties);
                // Filters that the server does not allow were not asked for.
                if st.session.has_subscribe_result() { self.tell_subscribed(st) } else { st }
            }
            session::Event::PubAck(ack) => {
                self.note_late(&mut st, "PUBACK", *ack);
                if ack.early {
                    let text = "the server answered a QoS 2 publish with PUBACK; taken as completed";
                    self.note(&mut st, Level::Warn, format_args!("{text}"));
                }
                self.tell_acknowledged(st, Kind::PubAck, *ack, properties)
            }
            session::Event::PubComp(ack) => {
                self.note_late(&mut st, "PUBCOMP", *ack);
                self.tell_acknowledged(st, Kind::PubComp, *ack, properties)
            }
            session::Event::PubRec(ack) => {
                self.note_late(&mut st, "PUBREC", *ack);
                let event = Event::PubRec(*ack, properties);
                self.tell(st, |h, recipients| h.connection(Kind::PubRec, recipients), &event)
            }
            session::Event::PubRel(id) => {
                let event = Event::PubRel(*id);
                self.tell(st, |h, recipients| h.connection(Kind::PubRel, recipients), &event)
            }
            session::Event::SubAck { packet_id, raw } => {
                if let Some(codes) = raw.clone().map(|range| &packet[range]) {
                    let event = Event::SubAck { packet_id: *packet_id, filter: None, codes, properties };
                    return self.tell(st, |h, recipients| h.connection(Kind::SubAck, recipients), &event);
                }
                self.tell_subscribed(st)
            }
            session::Event::UnsubAck(id) => {
                let event = Event::UnsubAck(*id, properties);
                st = self.tell(st, |h, recipients| h.connection(Kind::UnsubAck, recipients), &event);
                self.take_answers(&mut st);
                self.tell_ended(st)
            }
            session::Event::Oversize { topic, size, qos, .. } => {
                let Ok(topic) = std::str::from_utf8(topic) else { return st };
                let text = format_args!("{}: {size} bytes on {topic:?}", Code::Oversize.text());
                self.note(&mut st, Level::Warn, text);
                let event = Event::Oversize { topic, size: *size, qos: *qos };
                self.tell(st, |h, recipients| h.connection(Kind::Oversize, recipients), &event)
            }
            session::Event::Unasked(packet, id) => {
                let text =
                    format_args!("{} with packet id {id}, for which nothing waits: ignored", packet.name());
                self.note(&mut st, Level::Warn, text);
                st
            }
            session::Event::Auth(code) => {
                if st.extras.scram.is_some() && *code == reason::CONTINUE_AUTHENTICATION {
                    return self.challenged(st, turn, properties);
                }
                let event = Event::Auth { reason: *code, attempt: st.attempt_number(), properties };
                self.tell(st, |h, recipients| h.connection(Kind::Auth, recipients), &event)
            }
            // The first is delivered above, and the last ends the link before anybody is told.
            session::Event::Publish(_) | session::Event::PingResp | session::Event::Disconnect(_) => st,
        }
    }

    /// A message: its topic, payload and properties are in `packet`, as the event and `properties` say.
    fn deliver_incoming<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        incoming: &session::Incoming,
        properties: Range<usize>,
        packet: &mut [u8],
    ) -> MutexGuard<'a, State> {
        let (whole, behind) = packet.split_at_mut(incoming.payload.end);
        let message = Message {
            topic: TopicName(incoming.topic(whole)),
            payload: &whole[incoming.payload.clone()],
            qos: incoming.qos,
            retain: incoming.retain,
            dup: incoming.dup,
            packet_id: incoming.packet_id,
            size: incoming.size,
            attempt: 1,
            properties: RawProperties::of_checked(&whole[properties]),
        };
        self.deliver(st, &message, behind)
    }

    /// PUBACK or PUBCOMP as one event of the session.
    fn tell_acknowledged<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        kind: Kind,
        ack: Acknowledged,
        properties: RawProperties<'_>,
    ) -> MutexGuard<'a, State> {
        let ended = st.session.take_acknowledged();
        let topic = ended.as_ref().map(|ended| TopicName(ended.topic()));
        st = self.acknowledged(st, kind, ack, topic, properties);
        if let Some(ended) = ended {
            st.session.restore(ended);
        }
        st
    }

    /// PUBACK or PUBCOMP: to the subscribers whose filter matches the message's topic, and to the handlers
    /// of the connection.
    #[inline(never)]
    pub(in crate::client) fn acknowledged<'a>(
        &'a self,
        st: MutexGuard<'a, State>,
        kind: Kind,
        ack: Acknowledged,
        topic: Option<TopicName<'_>>,
        properties: RawProperties<'_>,
    ) -> MutexGuard<'a, State> {
        let collect = |h: &mut Handlers, recipients: &mut Recipients| {
            if let Some(topic) = topic {
                h.matching(topic.as_bytes(), kind, recipients);
            }
            h.connection(kind, recipients);
        };
        self.tell(st, collect, &acknowledgement(kind, ack, topic, properties))
    }

    /// SUBACK: each filter's code to its subscribers; what nobody claimed, to the handlers of the connection. Then the
    /// calls that have their answers now.
    pub(in crate::client) fn tell_subscribed<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        while !st.pace.is_over()
            && let Some((packet_id, result)) = st.session.take_subscribe_result()
        {
            if result.code >= 0x80 {
                let (text, code) = (Code::SubscribeRefused.text(), result.code);
                // The one failure of MQTT 3.1.1 says nothing that the sentence does not.
                let why = reason::name(code).filter(|_| code != reason::UNSPECIFIED_ERROR);
                let why = why.map(|why| format!(": {why} ({code:#04x})")).unwrap_or_default();
                let text = format_args!("{text}: {:?}{why}", result.filter);
                self.note(&mut st, Level::Warn, text);
            }
            let event = Event::SubAck {
                packet_id,
                filter: Some(&result.filter),
                codes: &[result.code],
                properties: RawProperties::EMPTY,
            };
            st = self.tell(
                st,
                |h, recipients| {
                    h.subscribers(&result.filter, Kind::SubAck, recipients);
                    if recipients.is_empty() {
                        h.connection(Kind::SubAck, recipients);
                    }
                },
                &event,
            );
        }
        if st.session.has_subscribe_result() {
            return st;
        }
        self.take_answers(&mut st);
        self.tell_ended(st)
    }
}

/// Whether nothing comes after it: a CONNACK that refuses, or DISCONNECT.
fn is_last_word(event: &session::Event) -> bool {
    matches!(event, session::Event::ConnAck { code: 1.., .. } | session::Event::Disconnect(_))
}

impl State {
    /// Keeps what was read and not told, in this range of the loop's buffer: the beginning of a packet, or all that the
    /// turn had no time for.
    fn keep_rest(
        &mut self,
        buffer: &mut Vec<u8>,
        left: Range<usize>,
        spare: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if self.pace.is_over() && !left.is_empty() {
            let backlog = Backlog::of(buffer, left, std::mem::take(spare));
            self.backlog = Some(backlog.map_err(|code| Failure::new(code, ""))?);
            return Ok(());
        }
        let rest = &buffer[left];
        self.partial.try_reserve(rest.len()).map_err(|_| Failure::out_of_memory())?;
        self.partial.extend_from_slice(rest);
        if rest.is_empty() && self.partial.capacity() > KEEP_PARTIAL {
            self.partial = Vec::new();
        }
        Ok(())
    }

    /// Whether something came, or may have come, that was not told yet.
    pub(in crate::client) fn is_behind(&self) -> bool {
        self.unread || self.backlog.is_some()
    }

    /// Whether the link is still that of `generation`, and there is something to be read from it.
    fn is_on(&mut self, generation: u64) -> bool {
        self.generation == generation && self.link.stream().is_some()
    }

    /// The size of the packet that `partial` begins, or of what is wanted of it, if that does not fit the loop's
    /// buffer, which has `room` for what is read.
    fn large_packet(&self, room: usize) -> Option<usize> {
        let header = Header::parse(&self.partial).ok().flatten()?;
        let limits = self.session.limits();
        let total = header.total();
        // One over the limit is not collected: the session skips it, but for its beginning. But if the limit
        // was lowered meanwhile, what was collected is too much for the buffer already.
        let wanted = if total <= limits.max_incoming {
            total
        } else {
            let keep = limits.keep_oversize.min(limits.max_incoming);
            let version = self.session.version();
            let head =
                PublishHead::decode(version, &header, &self.partial).ok().flatten().filter(|_| keep > 0);
            match head.map(|head| total.min(head.len + keep)) {
                Some(beginning) if self.partial.len() < beginning => beginning,
                _ if self.partial.len() >= room => total,
                _ => return None,
            }
        };
        (wanted > room).then_some(wanted)
    }
}
