//! The packets on the link, for the log at level DEBUG: the kind of each packet, its id, flags, topic and sizes; never
//! a payload, nor our identity or credentials.
//!
//! While it is off it costs nothing per message: packets sent are examined when the output is written, and while it is
//! on, the fast paths of receiving and publishing are not taken.
//!
//! A line must not be the cause of another. Packets of a topic on which log lines are published are left out, on all
//! connections of the loop. And a connection on which a log function publishes by itself is not traced any more.

use std::fmt::{self, Display, Formatter};

use crate::client::conn::State;
use crate::client::state::log::{self, Level};
use crate::client::{Conn, text};
use crate::wire::{Header, Packet, PacketType, PublishHead, QoS, Version, reason};

/// How many characters of a topic are shown, so that the other side cannot make a record arbitrarily
/// long.
const SHOWN: usize = 128;

/// With this many records waiting, they are delivered before more is read.
pub(in crate::client) const DELIVER_AT: usize = log::MOST_TRACED / 4;

impl Conn {
    /// Begins or ends tracing, at the beginning of a turn.
    #[inline]
    pub(in crate::client) fn trace_if_wanted(&self, st: &mut State) {
        let wanted = self.context.log.wants(Level::Debug) && !st.carries_log;
        if wanted != st.traced {
            st.trace(wanted);
        }
    }

    /// The application publishes on a connection that is traced.
    #[cold]
    pub(in crate::client) fn published_while_traced(&self, st: &mut State) {
        if log::is_delivering() {
            st.trace(false);
            st.carries_log = true;
            if st.session.is_up() {
                let text = "a log function publishes on this connection: its packets are not logged any more";
                st.record(Level::Debug, format_args!("{text}"));
            }
        }
    }

    /// A packet has come, or the beginning of one that is too large.
    #[cold]
    pub(in crate::client) fn trace_received(&self, st: &mut State, bytes: &[u8]) {
        let version = st.session.version();
        if let Ok(Some(header)) = Header::parse_as(version, bytes) {
            let line = Line { way: "received", version, header, bytes };
            if !line.topic().is_some_and(|topic| self.context.log.is_quiet(topic)) {
                st.record(Level::Debug, format_args!("{line}"));
            }
        }
    }

    /// Output may be written: traces the packets in it that were not traced yet.
    #[cold]
    pub(in crate::client) fn trace_sent(&self, st: &mut State) {
        let version = st.session.version();
        let mut lines = Vec::new();
        let mut rest = st.session.untraced_output();
        while let Ok(Some(header)) = Header::parse_as(version, rest) {
            let Some((packet, behind)) = rest.split_at_checked(header.total()) else { break };
            let line = Line { way: "sent", version, header, bytes: packet };
            let quiet = line.topic().is_some_and(|topic| self.context.log.is_quiet(topic));
            // Without memory for it, the line is left out.
            if !quiet && lines.try_reserve(1).is_ok() {
                lines.extend(text::format(format_args!("{line}")));
            }
            rest = behind;
        }
        for line in lines {
            st.record(Level::Debug, format_args!("{line}"));
        }
        if !st.in_turn {
            self.schedule(st);
        }
    }
}

impl State {
    fn trace(&mut self, on: bool) {
        self.traced = on;
        self.session.look_at_each_publish(on);
    }

    /// Keeps a record for the log. Without memory for it, it is left out.
    pub(in crate::client) fn record(&mut self, level: Level, record: fmt::Arguments<'_>) {
        let Ok(waiting) = self.log.try_make() else { return };
        let most = if level == Level::Debug { log::MOST_TRACED } else { log::MOST_WAITING };
        if waiting.records.len() >= most {
            waiting.lost += 1;
        } else if waiting.records.try_reserve(1).is_ok()
            && let Some(record) = text::format(record)
        {
            waiting.records.push((level, record));
        }
    }
}

/// A packet, as it is written to the log.
struct Line<'a> {
    way: &'static str,
    version: Version,
    header: Header,
    /// The packet, or its beginning.
    bytes: &'a [u8],
}

impl Line<'_> {
    /// The topic of a PUBLISH.
    fn topic(&self) -> Option<&str> {
        if self.header.packet != PacketType::Publish {
            return None;
        }
        PublishHead::decode(self.version, &self.header, self.bytes).ok().flatten().map(|head| head.topic)
    }
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line { way, version, header, bytes } = self;
        write!(f, "{way} {}", header.packet.name())?;
        let body = bytes.get(header.header_len.into()..).unwrap_or_default();
        if body.len() < header.remaining as usize {
            // Too large to be kept.
            if let Some(topic) = self.topic() {
                write!(f, ": topic {}", Short(topic))?;
            }
            return write!(f, ", over the limit, {} bytes in all", header.total());
        }
        match Packet::decode(*version, header, body) {
            Ok(packet) => describe(&packet, f)?,
            Err(malformed) => write!(f, ": {malformed}")?,
        }
        write!(f, ", {} bytes in all", header.total())
    }
}

/// All but the name and the size. Of our identity it says only which parts are present.
fn describe(packet: &Packet<'_>, f: &mut Formatter<'_>) -> fmt::Result {
    match packet {
        Packet::Connect(connect) => {
            write!(f, ": client id {}, keep-alive {} s", Short(connect.client_id), connect.keep_alive)?;
            flag(f, connect.clean_session, "clean session")?;
            flag(f, connect.user_name.is_some(), "user name")?;
            flag(f, connect.password.is_some(), "password")?;
            if let Some(will) = &connect.will {
                let (len, qos) = (will.payload.len(), will.qos as u8);
                write!(f, ", will of {len} bytes, QoS {qos} on {}", Short(will.topic))?;
                flag(f, will.retain, "retained")?;
            }
            Ok(())
        }
        Packet::ConnAck(ack) => {
            write!(f, ": code {}", ack.code)?;
            flag(f, ack.session_present, "session present")
        }
        Packet::Publish(publish) => {
            if publish.qos != QoS::AtMostOnce {
                write!(f, " {}", publish.packet_id)?;
            }
            write!(f, ": QoS {}", publish.qos as u8)?;
            flag(f, publish.dup, "DUP")?;
            flag(f, publish.retain, "RETAIN")?;
            write!(f, ", topic {}, payload of {} bytes", Short(publish.topic), publish.payload.len())
        }
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            write!(f, " {}", ack.packet_id)?;
            if ack.reason == 0 { Ok(()) } else { why(f, ack.reason) }
        }
        Packet::Subscribe(subscribe) => {
            write!(f, " {}:", subscribe.packet_id)?;
            for (filter, options) in subscribe.filters() {
                write!(f, " {} QoS {}", Short(filter), options.qos as u8)?;
            }
            Ok(())
        }
        Packet::SubAck(ack) => codes(f, ack.packet_id, ack.codes),
        Packet::Unsubscribe(unsubscribe) => {
            write!(f, " {}:", unsubscribe.packet_id)?;
            unsubscribe.filters().try_for_each(|filter| write!(f, " {}", Short(filter)))
        }
        Packet::UnsubAck(ack) => codes(f, ack.packet_id, ack.codes),
        Packet::PingReq | Packet::PingResp => Ok(()),
        Packet::Disconnect(disconnect) if disconnect.reason == 0 => Ok(()),
        Packet::Disconnect(disconnect) => why(f, disconnect.reason),
        Packet::Auth(auth) => why(f, auth.reason),
    }
}

/// A reason code, by number and name.
fn why(f: &mut Formatter<'_>, code: u8) -> fmt::Result {
    write!(f, ": reason {code:#04x}")?;
    reason::name(code).map_or(Ok(()), |name| write!(f, " ({name})"))
}

/// The beginning of a topic, between quotation marks.
struct Short<'a>(&'a str);

impl Display for Short<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN) {
            None => write!(f, "{:?}", self.0),
            Some((at, _)) => write!(f, "{:?}...", &self.0[..at]),
        }
    }
}

fn flag(f: &mut Formatter<'_>, set: bool, name: &str) -> fmt::Result {
    if set { write!(f, ", {name}") } else { Ok(()) }
}

fn codes(f: &mut Formatter<'_>, id: u16, codes: &[u8]) -> fmt::Result {
    write!(f, " {id}")?;
    codes.iter().enumerate().try_for_each(|(at, code)| match at {
        0 => write!(f, ": code {code:#04x}"),
        _ => write!(f, " {code:#04x}"),
    })
}
