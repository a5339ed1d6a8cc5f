//! Requests and their responses.
//!
//! In MQTT 5.0 a request carries the topic for its response, and data by which that is recognised (§4.10). All requests of
//! a connection share one response topic, and one subscription to it: the data is the number of the request.
//!
//! MQTT 3.1.1 has no properties. There the topic of a request says both, by convention: `T/<name>/<number>` for a request to
//! `T`, with the name of the requester's connection and the number of the request, 16 hexadecimal digits each; the response
//! goes to `mgos/response/<name>/<number>`.

use std::cell::Cell;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use crate::client::Conn;
use crate::client::conn::{Entry, State};
use crate::client::handlers::callback::{Callback, Identity};
use crate::client::handlers::event::{Event, Kind, Message};
use crate::client::state::log::Level;
use crate::client::state::outcomes::{Listener, RawArgs};
use crate::client::state::over_limit::check_filter;
use crate::client::state::requests::{Asked, Unanswered};
use crate::client::text;
use crate::error::Code;
use crate::session::{Outcome, Publication, Request};
use crate::sync::MutexGuard;
use crate::time::{Span, Time};
use crate::wire::topic::{self, Topic};
use crate::wire::{Properties, Property, PropertyId, PropertyList, PropertyValue, QoS, Version};

/// Where responses go, unless the server or the application says otherwise.
const RESPONSES: &str = "mgos/response";

/// Names the subscriptions under which responses come.
const IDENTITY: Identity = Identity(0, usize::MAX);

/// A message that asks for a response.
pub struct Query<'a> {
    /// The message. The properties Response Topic and Correlation Data are not the application's.
    pub message: Publication<'a>,
    /// How long the response may take; `None` is without limit.
    pub timeout: Option<Span>,
    /// It ends with the link, if it has no response by then.
    pub ends_with_link: bool,
    /// The topic for its response (MQTT 5.0); `None` is one of the library's.
    pub response_topic: Option<&'a str>,
}

/// Where the response to a request goes, and what it has to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    topic: String,
    correlation: Option<Vec<u8>>,
}

impl ReplyTo {
    /// The topic of the response.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What the response to `message` is published to. [`Code::NotFound`] if it is no request; [`Code::NoMemory`].
    pub fn of(message: &Message<'_>) -> Result<ReplyTo, Code> {
        let properties = message.properties.properties();
        if let Some(topic) = properties.text(PropertyId::ResponseTopic) {
            let correlation = properties.bytes(PropertyId::CorrelationData).map(copy).transpose()?;
            return Ok(ReplyTo { topic: made(format_args!("{topic}"))?, correlation });
        }
        let (name, number) = asked_by(message.topic.as_str()).ok_or(Code::NotFound)?;
        Ok(ReplyTo { topic: made(format_args!("{RESPONSES}/{name}/{number}"))?, correlation: None })
    }
}

/// Text whose length the server has chosen.
fn made(text: fmt::Arguments<'_>) -> Result<String, Code> {
    text::format(text).ok_or(Code::NoMemory)
}

fn copy(data: &[u8]) -> Result<Vec<u8>, Code> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(data.len()).map_err(|_| Code::NoMemory)?;
    copy.extend_from_slice(data);
    Ok(copy)
}

/// The name and the number in the topic of a request as it is by convention.
fn asked_by(topic: &str) -> Option<(&str, &str)> {
    let mut levels = topic.rsplitn(3, '/');
    let (number, name, asked) = (levels.next()?, levels.next()?, levels.next()?);
    number_of(number)?;
    number_of(name)?;
    // What is published there is a response.
    (asked != RESPONSES).then_some((name, number))
}

/// The number that a level of a topic is by convention.
fn number_of(level: &str) -> Option<u64> {
    let plain = level.len() == 16 && level.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(level, 16).ok().filter(|_| plain)
}

/// Properties of the application, behind those of the library.
struct With<'a> {
    own: [Option<Property<'a>>; 2],
    others: Properties<'a>,
}

impl PropertyList for With<'_> {
    fn at(&self, position: usize) -> Option<Property<'_>> {
        let mut own = self.own.iter().flatten();
        match own.nth(position) {
            Some(property) => Some(*property),
            None => self.others.iter().nth(position - self.own.iter().flatten().count()),
        }
    }
}

/// The handler of the library's own subscriptions.
struct Responses;

impl Callback<Conn> for Responses {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        match event {
            Event::Message(message) => conn.respond(message),
            Event::SubAck { filter: Some(filter), codes: [code, ..], .. } if *code >= 0x80 => {
                conn.responses_refused(filter, *code);
            }
            Event::Close(report) => {
                let mut st = conn.lock();
                conn.end_requests(&mut st, report.code, None, |request| request.ends_with_link);
                drop(conn.tell_requests(st));
            }
            _ => {}
        }
    }
}

/// How the message of a request ended.
fn published(conn: &Conn, event: &Event<'_>, [low, high, _]: RawArgs) {
    let Event::Outcome(ended) = event else { return };
    let reason = if let Outcome::Rejected(reason) = ended.outcome { Some(reason) } else { None };
    let id = low.addr() as u64 | (high.addr() as u64) << 32;
    let error = match ended.outcome {
        // The response may still come.
        Outcome::Acked | Outcome::Sent | Outcome::TimedOut => return,
        // Its own time, or that of the request.
        Outcome::Expired if conn.is_overdue(id) => Code::TimedOut,
        other => other.code(),
    };
    conn.end_request(id, error, reason);
}

impl Conn {
    /// Publishes a request. `listener` is told by [`Event::Response`], exactly once: of the response, or why there is none. On
    /// an error it is not called. `id` is set before that can be.
    pub fn request(&self, query: &Query<'_>, listener: Listener<Conn>, id: &Cell<u64>) -> Result<(), Code> {
        let mut st = self.usable()?;
        // In MQTT 5.0 it is another message than before.
        let Some(version) = st.next_version() else {
            let text = "no request before the first CONNACK: it says which version of MQTT the server speaks";
            self.note(&mut st, Level::Warn, format_args!("{text}"));
            return Err(Code::NotConnected);
        };
        let five = version == Version::V5;
        st.extras.try_make()?.requests.try_make()?.reserve()?;
        let response_topic = self.response_topic(&mut st, query, five)?;
        let filter = self.listen_for_responses(&mut st, &response_topic, five)?;
        let now = self.context.driver.now();
        let requests = st.extras.make().requests.make();
        let (name, number) = (requests.name, requests.next_id());
        let number_bytes = number.to_be_bytes();
        let asking = With {
            own: [
                Some((PropertyId::ResponseTopic, PropertyValue::Utf8(&response_topic))),
                Some((PropertyId::CorrelationData, PropertyValue::Binary(&number_bytes))),
            ],
            others: query.message.properties,
        };
        let mut message = query.message;
        let topic;
        if five {
            message.properties = Properties::from_foreign(&asking);
        } else {
            topic = format!("{}/{name:016x}/{number:016x}", message.topic.as_str());
            message.topic = Topic::from(topic.as_str());
        }
        let deadline = query.timeout.map(|timeout| now + timeout);
        message.expires = [message.expires, deadline].into_iter().flatten().min();
        let words = [number as u32 as usize, (number >> 32) as usize, 0].map(ptr::without_provenance_mut);
        let token = Cell::new(0);
        let accepted = self.accept_with(&mut st, message, Some(Listener::new(published, words)), &token);
        if let Err(code) = accepted {
            self.leave_idle(&mut st);
            return Err(code);
        }
        id.set(number);
        let ends_with_link = query.ends_with_link;
        let request = Asked { token: token.get(), deadline, ends_with_link, filter, listener };
        st.extras.make().requests.make().begin(number, request);
        self.leave_idle(&mut st);
        self.set_off(&mut st);
        // The loop may be asleep until later.
        self.schedule(&mut st);
        Ok(())
    }

    /// The topic for the response to a request.
    fn response_topic(&self, st: &mut State, query: &Query<'_>, five: bool) -> Result<String, Code> {
        let others = query.message.properties;
        if !five && (query.response_topic.is_some() || !others.is_empty()) {
            return Err(Code::NeedsV5);
        }
        if [PropertyId::ResponseTopic, PropertyId::CorrelationData].iter().any(|id| others.get(*id).is_some())
        {
            return Err(Code::BadProperty);
        }
        if st.extras.requests.name == 0 {
            // The session that the server has kept for an earlier process has the subscription of this one already.
            let name = st.client.client_id.as_ref().map(|id| topic::hash(id.as_bytes()));
            let (name, number) = (name.unwrap_or_else(|| st.random()), st.random());
            st.extras.make().requests.make().begin_from(name, number);
        }
        if let Some(by_hand) = query.response_topic {
            topic::valid_name(by_hand).map_err(|_| Code::BadTopic)?;
            return Ok(by_hand.to_owned());
        }
        let own = format!("{RESPONSES}/{:016x}", st.extras.requests.name);
        let connack = st.session.connack_properties().properties();
        let Some(information) = connack.text(PropertyId::ResponseInformation).filter(|_| five) else {
            return Ok(own);
        };
        // What the server reserves for this client.
        let reserved = information.trim_end_matches('/');
        let topic = made(format_args!("{reserved}/response"))?;
        if !reserved.is_empty() && topic::valid_name(&topic).is_ok() {
            return Ok(topic);
        }
        if !st.extras.requests.listens_to(&own) {
            let text = made(format_args!(
                "the RESPONSE INFORMATION of the server, {information:?}, is not the beginning of a topic name: \
                 responses come on {own:?}"
            ))?;
            self.note(st, Level::Warn, format_args!("{text}"));
        }
        Ok(own)
    }

    /// Makes sure that responses on this topic come, in front of the request. Returns the filter.
    fn listen_for_responses(&self, st: &mut State, topic: &str, five: bool) -> Result<Arc<str>, Code> {
        let filter: Arc<str> = if five { topic.into() } else { format!("{topic}/+").into() };
        if st.extras.make().requests.make().use_from_now(&filter) {
            return Ok(filter);
        }
        let request = Request::from(QoS::AtLeastOnce);
        check_filter(&st.session, &filter, &request)?;
        st.handlers.reserve(1)?;
        let kinds = Kind::Message.bit() | Kind::SubAck.bit() | Kind::Close.bit();
        let entry = Entry::new(IDENTITY, kinds, Box::new(Responses));
        // It has no user data: nothing of the application's ends with it.
        let (request, _) = st.register(&filter, request, entry);
        self.registered();
        st.session.subscribe(filter.clone(), request);
        st.extras.make().requests.make().add_inbox(filter.clone());
        self.asked(st);
        Ok(filter)
    }

    /// SUBSCRIBE or UNSUBSCRIBE may have been appended.
    fn asked(&self, st: &mut State) {
        self.output_grew(st);
        self.watch_answers(st);
        self.take_answers(st);
    }

    /// Ends a request without its response. [`Code::NotFound`] if it has ended.
    pub fn cancel_request(&self, id: u64) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.abandon_request(&mut st, id, Code::Cancelled).ok_or(Code::NotFound)?;
        self.settle(&mut st);
        self.schedule(&mut st);
        Ok(())
    }

    /// Publishes the response to a request. Its topic is that of the request; `listener` and `token` are as in
    /// [`publish_with`](Conn::publish_with). [`Code::NeedsV5`] for correlation data on a connection that speaks an older version.
    pub fn reply(
        &self,
        to: &ReplyTo,
        message: Publication<'_>,
        listener: Option<Listener<Conn>>,
        token: &Cell<u64>,
    ) -> Result<(), Code> {
        let others = message.properties;
        if others.get(PropertyId::CorrelationData).is_some() {
            return Err(Code::BadProperty);
        }
        let data = to.correlation.as_deref();
        let data = data.map(|data| (PropertyId::CorrelationData, PropertyValue::Binary(data)));
        let list = With { own: [data, None], others };
        let (topic, properties) = (Topic::from(to.topic.as_str()), Properties::from_foreign(&list));
        self.publish_with(Publication { topic, properties, ..message }, listener, token)
    }

    /// A message on a response topic.
    fn respond(&self, message: &Message<'_>) {
        let id = match message.properties.properties().bytes(PropertyId::CorrelationData) {
            Some(data) => data.try_into().ok().map(u64::from_be_bytes),
            None => message.topic.as_str().rsplit('/').next().and_then(number_of),
        };
        let mut st = self.lock();
        let Some(request) = id.and_then(|id| self.take_request(&mut st, id)) else {
            let text = format_args!("a response on {:?} for which nothing waits", message.topic.as_str());
            return self.note(&mut st, Level::Debug, text);
        };
        st.handler_verdict.answers = true;
        drop(st);
        let id = id.unwrap_or_default();
        let event = Event::Response { id, error: Code::Ok, reason: None, message: Some(*message) };
        request.listener.call(self, &event);
        self.lock().handler_verdict.answers = false;
    }

    /// Whether the time of a request is over.
    fn is_overdue(&self, id: u64) -> bool {
        self.lock().extras.requests.is_overdue(id, self.context.driver.now())
    }

    /// Ends a request without a response. On the thread that drives the loop.
    fn end_request(&self, id: u64, error: Code, reason: Option<u8>) {
        let Some(request) = self.take_request(&mut self.lock(), id) else { return };
        request.listener.call(self, &Event::Response { id, error, reason, message: None });
    }

    /// Ends those that `which` is true of. They are told later, and their messages are not sent any more, if they are not on
    /// their way.
    fn end_requests(
        &self,
        st: &mut State,
        error: Code,
        reason: Option<u8>,
        which: impl Fn(&Asked<Conn>) -> bool,
    ) {
        let State { extras, session, .. } = st;
        let Some(requests) = extras.get_mut().and_then(|extras| extras.requests.get_mut()) else { return };
        for token in requests.end(error, reason, which) {
            let _ = session.cancel(token);
        }
        self.leave_idle(st);
        self.settle(st);
    }

    /// The server does not let responses come under this filter: it is asked again with the next request.
    fn responses_refused(&self, filter: &str, code: u8) {
        let mut st = self.lock();
        self.end_requests(&mut st, Code::SubscribeRefused, Some(code), |request| *request.filter == *filter);
        let requests = st.extras.get_mut().and_then(|extras| extras.requests.get_mut());
        if requests.is_some_and(|requests| requests.remove_inbox(filter)) {
            self.leave(&mut st, filter);
        }
        drop(self.tell_requests(st));
    }

    /// Takes a request that ends.
    fn take_request(&self, st: &mut State, id: u64) -> Option<Asked<Conn>> {
        let request = st.extras.get_mut()?.requests.get_mut()?.take(id)?;
        self.leave_idle(st);
        Some(request)
    }

    /// Ends the subscriptions under which nothing more is awaited, but for the one that was used last.
    fn leave_idle(&self, st: &mut State) {
        while let Some(requests) = st.extras.get_mut().and_then(|extras| extras.requests.get_mut())
            && let Some(filter) = requests.take_idle()
        {
            self.leave(st, &filter);
        }
    }

    fn leave(&self, st: &mut State, filter: &str) {
        if let Some((_, true)) = st.handlers.unsubscribe(filter, Some(IDENTITY)) {
            st.session.unsubscribe(filter);
            self.asked(st);
        }
    }

    /// A request ends, is told of later, and its message is not sent any more, if it is not on its way.
    fn abandon_request(&self, st: &mut State, id: u64, error: Code) -> Option<()> {
        let Asked { token, listener, .. } = self.take_request(st, id)?;
        let _ = st.session.cancel(token);
        let unanswered = Unanswered { id, token, error, reason: None, listener };
        st.extras.get_mut()?.requests.get_mut()?.tell_later(unanswered);
        Some(())
    }

    /// Ends the requests whose time is over.
    pub(in crate::client) fn end_late_requests<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        now: Time,
    ) -> MutexGuard<'a, State> {
        while let Some(id) = st.extras.requests.overdue(now) {
            self.abandon_request(&mut st, id, Code::TimedOut);
        }
        self.settle(&mut st);
        self.tell_requests(st)
    }

    /// The connection is gone, and with it all responses.
    pub(in crate::client) fn end_all_requests(&self, st: &mut State) {
        self.end_requests(st, Code::Incomplete, None, |_| true);
    }

    /// Tells of requests that ended without a response, as many as this turn has time for.
    pub(in crate::client) fn tell_requests<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        while !st.pace.is_over()
            && let Some(requests) = st.extras.get_mut().and_then(|extras| extras.requests.get_mut())
            && let Some(Unanswered { id, error, reason, listener, .. }) = requests.next_ended()
        {
            drop(st);
            listener.call(self, &Event::Response { id, error, reason, message: None });
            st = self.lock();
            self.ran(&mut st, 1);
        }
        st
    }
}
