//! What handlers are told.

use crate::client::handlers::filter_results::FilterResults;
use crate::client::text;
use crate::error::{Code, Phase};
use crate::lazy_box::{Empty, LazyBox};
use crate::session::{Acknowledged, Completion};
use crate::transport::Endpoint;
use crate::wire::{Properties, PropertyBlock, QoS, RawProperties, Version, publish_len};

/// The topic name of a message: bytes that were checked when they were decoded. As a `str` they are checked
/// again; the C interface does not need that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicName<'a>(pub(in crate::client) &'a [u8]);

impl<'a> TopicName<'a> {
    /// As bytes, in UTF-8.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// As text.
    pub fn as_str(self) -> &'a str {
        std::str::from_utf8(self.0).unwrap_or_default()
    }
}

impl std::ops::Deref for TopicName<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

/// A message from the server. Borrowed from the loop's read buffer: valid until the handler returns.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic name.
    pub topic: TopicName<'a>,
    /// The payload. In memory one NUL byte follows it, which is not part of it.
    pub payload: &'a [u8],
    /// Quality of service.
    pub qos: QoS,
    /// The server had it retained.
    pub retain: bool,
    /// It may have been delivered before.
    pub dup: bool,
    /// 0 for QoS 0.
    pub packet_id: u16,
    /// The payload's size as the server sent it: more than its length when the message was cut.
    pub size: usize,
    /// 1, and one more each time it is delivered again after it was refused.
    pub attempt: u32,
    /// Its properties.
    pub properties: RawProperties<'a>,
}

impl Message<'_> {
    /// The size of the packet in which it came (or would have come before it was cut), as MQTT 3.1.1 has it.
    #[inline]
    pub fn packet_len(&self) -> usize {
        // A message that came has a size.
        publish_len(Version::V311, self.topic.as_bytes().len(), self.qos, 0, self.size).unwrap_or(usize::MAX)
    }
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A loop iteration, or the tick of an idle connection.
    Poll,
    /// The timer set by [`Conn::set_timer`](crate::client::Conn::set_timer) came.
    Timer,
    /// An attempt to connect begins.
    Connecting,
    /// An attempt ended: with CONNACK 0 if `error` is [`Code::Ok`].
    ConnectResult {
        /// The error, or [`Code::Ok`].
        error: Code,
        /// The CONNACK code as the server sent it, if one came.
        connack: Option<u8>,
        /// The server kept the session.
        session_present: bool,
        /// The number of the attempt, from 1 on, as given to a [credentials hook](crate::client::CredentialsHook).
        attempt: u64,
        /// The version of MQTT that CONNECT asked for, if one was sent: on success, what was settled.
        version: Option<Version>,
        /// The properties of CONNACK, if one came, as long as its connection is the present one.
        properties: RawProperties<'a>,
    },
    /// CONNACK with code 0, and its properties.
    ConnAck(RawProperties<'a>),
    /// A message.
    Message(Message<'a>),
    /// A message over the receive limit was skipped and acknowledged.
    Oversize {
        /// Its topic.
        topic: &'a str,
        /// Its payload's size in bytes.
        size: usize,
        /// Its quality of service.
        qos: QoS,
    },
    /// PUBACK, with the topic of the message if it is one of ours.
    PubAck(Acknowledged, Option<TopicName<'a>>, RawProperties<'a>),
    /// PUBREC.
    PubRec(Acknowledged, RawProperties<'a>),
    /// PUBREL.
    PubRel(u16),
    /// PUBCOMP, with the topic of the message if it is one of ours.
    PubComp(Acknowledged, Option<TopicName<'a>>, RawProperties<'a>),
    /// SUBACK.
    SubAck {
        /// The packet id.
        packet_id: u16,
        /// The filter, or `None` for a SUBSCRIBE that the application sent itself.
        filter: Option<&'a str>,
        /// The server's codes, each the granted QoS, or 0x80 and above: that of the filter, or all of the
        /// packet.
        codes: &'a [u8],
        /// Those of the packet.
        properties: RawProperties<'a>,
    },
    /// UNSUBACK.
    UnsubAck(u16, RawProperties<'a>),
    /// The connection ends; comes just before [`Event::Close`].
    Disconnect,
    /// The connection was up and is closed.
    Close(&'a Report),
    /// How a publish ended.
    Outcome(Completion),
    /// A call of [`Conn::subscribe_all`](crate::client::Conn::subscribe_all) ended; told to nobody else.
    Subscribed(&'a FilterResults),
    /// A call of [`Conn::unsubscribe_all`](crate::client::Conn::unsubscribe_all) ended; told to nobody else.
    Unsubscribed(&'a FilterResults),
    /// A [request](crate::client::Conn::request) ended; told to nobody else.
    Response {
        /// Its number.
        id: u64,
        /// Why there is no response, or [`Code::Ok`].
        error: Code,
        /// The reason code of the server's refusal, if it refused.
        reason: Option<u8>,
        /// The response.
        message: Option<Message<'a>>,
    },
    /// A message was refused too often and is acknowledged now; with the last reason.
    SetAside(Message<'a>, u8),
    /// The server closed the connection several times in a row after this message of ours.
    Poison {
        /// The topic name.
        topic: &'a str,
        /// The message.
        token: u64,
        /// Its packet id.
        packet_id: u16,
        /// How many times.
        closes: u32,
        /// It is not sent any more.
        set_aside: bool,
    },
    /// The server's AUTH; [`Conn::authenticate`](crate::client::Conn::authenticate) answers it.
    Auth {
        /// 0x18: it asks the client to go on; 0: a re-authentication has ended well.
        reason: u8,
        /// The number of the attempt that the connection comes from.
        attempt: u64,
        /// With the method, and the server's data.
        properties: RawProperties<'a>,
    },
    /// A certificate ends soon.
    Expiry {
        /// Whose it is.
        owner: Owner,
        /// How many whole days are left; negative after its end.
        days: i32,
    },
}

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// That of this client.
    Client,
    /// That of the server.
    Server,
}

/// The kind of an event, for registrations that want only some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Poll,
    Timer,
    Connecting,
    ConnectResult,
    ConnAck,
    Message,
    Oversize,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    SubAck,
    UnsubAck,
    Disconnect,
    Close,
    Outcome,
    Expiry,
    SetAside,
    Subscribed,
    Unsubscribed,
    Poison,
    Auth,
    /// From here on, events that go to one callback only, which no mask has to name.
    Response = 1 << 7 | 1,
}

impl Kind {
    /// The bit of this kind in a mask; for one that goes to one callback only, a number with the highest bit.
    pub const fn bit(self) -> u32 {
        match self as u8 {
            bit if bit < 1 << 7 => 1 << bit,
            number => 1 << 31 | (number & 0x7f) as u32,
        }
    }
}

impl Event<'_> {
    /// The properties of the packet that it is about; none before MQTT 5.0.
    pub fn properties(&self) -> Properties<'_> {
        match self {
            Event::ConnectResult { properties, .. }
            | Event::ConnAck(properties)
            | Event::PubAck(_, _, properties)
            | Event::PubRec(_, properties)
            | Event::PubComp(_, _, properties)
            | Event::SubAck { properties, .. }
            | Event::Auth { properties, .. }
            | Event::UnsubAck(_, properties) => properties.properties(),
            Event::Message(message) | Event::SetAside(message, _) => message.properties.properties(),
            Event::Close(report) => report.properties.properties(),
            Event::Response { message: Some(message), .. } => message.properties.properties(),
            _ => Properties::EMPTY,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Event::Poll => Kind::Poll,
            Event::Timer => Kind::Timer,
            Event::Connecting => Kind::Connecting,
            Event::ConnectResult { .. } => Kind::ConnectResult,
            Event::ConnAck(_) => Kind::ConnAck,
            Event::Message(_) => Kind::Message,
            Event::Oversize { .. } => Kind::Oversize,
            Event::PubAck(..) => Kind::PubAck,
            Event::PubRec(..) => Kind::PubRec,
            Event::PubRel(_) => Kind::PubRel,
            Event::PubComp(..) => Kind::PubComp,
            Event::SubAck { .. } => Kind::SubAck,
            Event::UnsubAck(..) => Kind::UnsubAck,
            Event::Disconnect => Kind::Disconnect,
            Event::Close(_) => Kind::Close,
            Event::Outcome(_) => Kind::Outcome,
            Event::Expiry { .. } => Kind::Expiry,
            Event::Subscribed(_) => Kind::Subscribed,
            Event::Unsubscribed(_) => Kind::Unsubscribed,
            Event::SetAside(..) => Kind::SetAside,
            Event::Poison { .. } => Kind::Poison,
            Event::Auth { .. } => Kind::Auth,
            Event::Response { .. } => Kind::Response,
        }
    }
}

/// Why a connection failed or ended, with the details needed to act on it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The error.
    pub code: Code,
    /// Where it happened.
    pub phase: Phase,
    /// The operating system's error number, or 0.
    pub os: i32,
    /// The CONNACK code as the server sent it, if one came.
    pub connack: Option<u8>,
    /// The number of the TLS alert that the server sent, if one came.
    pub alert: Option<u8>,
    /// The reason code of the server's DISCONNECT, if one came (MQTT 5.0 §3.14.2.1).
    pub reason: Option<u8>,
    /// The properties of that DISCONNECT, or of a CONNACK that refused the connection.
    pub properties: PropertyBlock,
    /// The server as configured.
    pub server: String,
    /// Each endpoint tried in this attempt, with the error number it ended with.
    pub tried: Vec<(Endpoint, i32)>,
    /// A sentence that a person can act on.
    pub text: String,
}

impl Report {
    /// A copy; without memory, parts of it are missing.
    pub(crate) fn copy(&self) -> Self {
        Report {
            server: text::copy(&self.server),
            tried: text::copy_all(&self.tried),
            text: text::copy(&self.text),
            properties: PropertyBlock::copy(self.properties.raw()),
            ..*self
        }
    }
}

/// A report as a connection keeps it: a few bytes as long as nothing ever went wrong.
#[derive(Debug)]
pub(in crate::client) struct KeptReport {
    code: Code,
    phase: Phase,
    os: i32,
    connack: Option<u8>,
    alert: Option<u8>,
    texts: LazyBox<Texts>,
}

#[derive(Debug)]
struct Texts {
    server: String,
    tried: Vec<(Endpoint, i32)>,
    text: String,
    reason: Option<u8>,
    properties: PropertyBlock,
}

impl Empty for Texts {
    const EMPTY: &'static Self = &Texts {
        server: String::new(),
        tried: Vec::new(),
        text: String::new(),
        reason: None,
        properties: PropertyBlock::EMPTY,
    };
}

impl KeptReport {
    /// No error yet.
    pub(in crate::client) fn none() -> Self {
        let (code, phase) = (Code::Ok, Phase::None);
        KeptReport { code, phase, os: 0, connack: None, alert: None, texts: LazyBox::new() }
    }

    pub(in crate::client) fn code(&self) -> Code {
        self.code
    }

    /// Without memory the texts are missing.
    pub(in crate::client) fn of(report: Report) -> Self {
        let Report { code, phase, os, connack, alert, reason, properties, server, tried, text } = report;
        let mut texts = LazyBox::<Texts>::new();
        let _ = texts.try_make_by(|| Texts { server, tried, text, reason, properties });
        KeptReport { code, phase, os, connack, alert, texts }
    }

    /// A copy; without memory, parts of it are missing.
    pub(in crate::client) fn copy(&self) -> Report {
        let KeptReport { code, phase, os, connack, alert, ref texts } = *self;
        let server = text::copy(&texts.server);
        let (tried, text) = (text::copy_all(&texts.tried), text::copy(&texts.text));
        let (reason, properties) = (texts.reason, PropertyBlock::copy(texts.properties.raw()));
        Report { code, phase, os, connack, alert, reason, properties, server, tried, text }
    }
}
