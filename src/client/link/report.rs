//! What is told of an attempt that failed, and of a link that was lost: phase, address, cause, remedy.

use std::fmt::{self, Display, Formatter};

use crate::client::conn::State;
use crate::client::handlers::event::Report;
use crate::client::state::Link;
use crate::client::state::known::Known;
use crate::client::state::tries::Tries;
use crate::client::text;
use crate::error::{Code, Phase};
use crate::lazy_box::LazyBox;
use crate::session::{Event, Failure};
use crate::transport::{Endpoint, Layer, LayerError};
use crate::wire::{PropertyBlock, PropertyId, RawProperties, Version, reason};

/// ETIMEDOUT: stands for an endpoint that did not answer within our own limit.
pub(in crate::client) const TIMED_OUT: i32 = if cfg!(target_os = "linux") { 110 } else { 60 };

impl State {
    /// Every endpoint failed.
    pub(in crate::client) fn unreachable_report(&mut self) -> Report {
        use std::io::ErrorKind as Kind;
        let os = self.tries.others.tried.last().map_or(0, |(_, os)| *os);
        let code = match std::io::Error::from_raw_os_error(os).kind() {
            // NotFound: of a local socket.
            Kind::ConnectionRefused | Kind::NotFound => Code::ConnectRefused,
            Kind::TimedOut => Code::ConnectTimeout,
            Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => Code::ConnectUnreachable,
            _ if os == 0 => Code::ConnectFailed,
            // EMFILE, ENFILE, ENOBUFS: the system's limits, not the server.
            _ if is_resource_error(os) => Code::NoResources,
            _ => Code::ConnectFailed,
        };
        let list: Vec<String> =
            self.tries.others.tried.iter().map(|(endpoint, os)| tried_text(endpoint, *os)).collect();
        let mut list = list.join(", ");
        if let Some(why) = &self.tries.others.no_name {
            list = format!("{list}; {why}, so this was the last known address");
        }
        match self.is_proxied() {
            true => {
                let text = format!(
                    "the proxy cannot be reached, {}: {list}",
                    code.text().replace("the server", "the proxy")
                );
                self.report(code, Phase::Proxy, os, text)
            }
            false => self.report(code, Phase::Tcp, os, format!("{}: {list}", code.text())),
        }
    }

    /// An I/O error of an open link.
    pub(in crate::client) fn io_report(&mut self, error: &std::io::Error) -> Report {
        use std::io::ErrorKind as Kind;
        if let Some(error) = LayerError::of(error) {
            return self.layer_report(error);
        }
        let code = match error.kind() {
            Kind::ConnectionReset | Kind::BrokenPipe | Kind::ConnectionAborted => Code::ConnectionReset,
            Kind::TimedOut => Code::KeepAliveTimeout,
            Kind::OutOfMemory => Code::NoMemory,
            _ => Code::IoFailed,
        };
        let phase = self.open_phase();
        let hint = match (code, phase) {
            (Code::ConnectionReset, Phase::Connect) => self.why_no_connack(),
            _ => "",
        };
        let text = text::format(format_args!("{}: {error}{hint}", code.text())).unwrap_or_default();
        self.report(code, phase, error.raw_os_error().unwrap_or(0), text)
    }

    /// The server closed its side.
    pub(in crate::client) fn end_report(&mut self) -> Report {
        let phase = self.open_phase();
        let text = match phase {
            Phase::Connect => {
                format!(
                    "the server closed the connection instead of answering CONNECT{}",
                    self.why_no_connack()
                )
            }
            _ => text::copy(Code::ClosedByServer.text()),
        };
        self.report(Code::ClosedByServer, phase, 0, text)
    }

    /// Why a server may close the connection instead of sending CONNACK.
    fn why_no_connack(&self) -> &'static str {
        if self.is_secured() {
            "; it may want another client certificate, or refuse the protocol version, the client id or the \
             credentials"
        } else {
            "; it may refuse the protocol version, the client id or the credentials, or speak only TLS on this port"
        }
    }

    pub(in crate::client) fn closing_report(&mut self, code: Code) -> Report {
        let phase = if code == Code::HookAborted { Phase::Connect } else { Phase::None };
        self.report(code, phase, 0, text::copy(code.text()))
    }

    /// The session cannot go on.
    pub(in crate::client) fn failure_report(&mut self, failure: &Failure) -> Report {
        let phase = match failure.code {
            Code::KeepAliveTimeout => Phase::KeepAlive,
            _ => match self.open_phase() {
                Phase::Up => Phase::Protocol,
                phase => phase,
            },
        };
        let detail = match failure.malformed {
            Some(malformed) => malformed.text(),
            None => failure.what,
        };
        let separator = if detail.is_empty() { "" } else { ": " };
        let text =
            text::format(format_args!("{}{separator}{detail}", failure.code.text())).unwrap_or_default();
        let report = self.report(failure.code, phase, 0, text);
        Report { connack: failure.connack, ..report }
    }

    /// The server's last word: CONNACK with another code than 0, or DISCONNECT.
    pub(in crate::client) fn last_word(&mut self, event: &Event, properties: RawProperties<'_>) -> Report {
        let report = match event {
            Event::Disconnect(reason) => self.disconnected_report(*reason, properties),
            Event::ConnAck { code, .. } => self.refused_report(*code, properties),
            _ => self.end_report(),
        };
        let mut report = Report { properties: PropertyBlock::copy(properties), ..report };
        self.heed_reference(&mut report);
        report
    }

    /// CONNACK with another code than 0.
    fn refused_report(&mut self, connack: u8, properties: RawProperties<'_>) -> Report {
        let five = self.session.version() == Version::V5;
        let code = match connack {
            1 => Code::RefusedVersion,
            2 => Code::RefusedIdentifier,
            3 => Code::RefusedUnavailable,
            4 => Code::RefusedCredentials,
            5 => Code::RefusedNotAuthorized,
            reason::UNSUPPORTED_PROTOCOL_VERSION if five => Code::RefusedVersion,
            reason::CLIENT_IDENTIFIER_NOT_VALID if five => Code::RefusedIdentifier,
            reason::SERVER_UNAVAILABLE | reason::SERVER_BUSY if five => Code::RefusedUnavailable,
            reason::BAD_USER_NAME_OR_PASSWORD if five => Code::RefusedCredentials,
            reason::NOT_AUTHORIZED | reason::BANNED if five => Code::RefusedNotAuthorized,
            _ => Code::RefusedOther,
        };
        let said = Said { code: connack, properties };
        // Codes below are those of MQTT 3.x, also in the answer of a server that does not know MQTT 5.0.
        let text = if five && connack >= 0x80 {
            text::format(format_args!("{} (CONNACK {said})", code.text())).unwrap_or_default()
        } else {
            format!("{} (CONNACK {connack})", code.text())
        };
        let report = self.report(code, Phase::Connect, 0, text);
        Report { connack: Some(connack), ..report }
    }

    /// The server's DISCONNECT.
    fn disconnected_report(&mut self, reason: u8, properties: RawProperties<'_>) -> Report {
        let code = Code::ClosedByServer;
        let said = Said { code: reason, properties };
        let text = text::format(format_args!("{} (DISCONNECT {said})", code.text())).unwrap_or_default();
        Report { reason: Some(reason), ..self.report(code, Phase::Up, 0, text) }
    }

    /// Keeps the endpoint that was reached, unless it is the one that is configured; of a server that another one has sent
    /// the client to, as an endpoint of that server.
    pub(in crate::client) fn keep_peer(&mut self) {
        let Tries { target, is_literal, common, .. } = &*self.tries;
        let (Some(target), false) = (target, is_literal) else {
            self.known = LazyBox::new();
            return;
        };
        let by = common.as_ref().filter(|_| !self.is_elsewhere()).unwrap_or(&self.profile);
        let now = || Known { endpoint: target.clone(), by: by.clone(), is_linked: true };
        // Without memory a report is without it.
        if let Ok(known) = self.known.try_make_by(now) {
            *known = now();
        }
    }

    /// The other end of the link; empty without one.
    fn other_end(&self) -> String {
        match (&self.link, self.known.get().filter(|known| known.is_linked)) {
            (Link::Open(_) | Link::Draining { .. }, Some(known)) => {
                text::format(format_args!("{}", known.endpoint)).unwrap_or_default()
            }
            (Link::Open(_) | Link::Draining { .. }, None) => self.shown_server(),
            _ => String::new(),
        }
    }

    /// The report about a link that is lost, with who was at the other end.
    pub(in crate::client) fn with_other_end(&self, mut report: Report) -> Report {
        if !matches!(report.phase, Phase::None | Phase::Usage) && !report.text.is_empty() {
            let other_end = self.other_end();
            if !other_end.is_empty()
                && !report.text.contains(&other_end)
                && let Some(text) = text::format(format_args!("{} ({other_end})", report.text))
            {
                report.text = text;
            }
        }
        report
    }

    pub(in crate::client) fn open_phase(&self) -> Phase {
        match &self.link {
            Link::Idle | Link::Waiting(_) => Phase::None,
            Link::Resolving { .. } => Phase::Dns,
            Link::Opening { .. } => Phase::Tcp,
            Link::Handshaking { .. } => self.layer().map_or(Phase::None, Layer::phase),
            Link::Open(_) if self.session.is_up() => Phase::Up,
            Link::Open(_) => Phase::Connect,
            Link::Draining { .. } => Phase::Up,
        }
    }
}

/// What the server gave as the reason: its code, the name of that, and its own words.
struct Said<'a> {
    code: u8,
    properties: RawProperties<'a>,
}

impl Display for Said<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Said { code, properties } = self;
        match reason::name(*code) {
            Some(name) => write!(f, "{code:#04x}: {name}")?,
            None => write!(f, "{code}")?,
        }
        let properties = properties.properties();
        if let Some(text) = properties.text(PropertyId::ReasonString) {
            write!(f, "; the server says {:?}", Short(text))?;
        }
        if let Some(other) = properties.text(PropertyId::ServerReference) {
            write!(f, "; it names {:?} as another server", Short(other))?;
        }
        Ok(())
    }
}

/// The beginning of a text of the server, so that it cannot make ours arbitrarily long.
struct Short<'a>(&'a str);

impl fmt::Debug for Short<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 256;
        match self.0.char_indices().nth(SHOWN) {
            None => write!(f, "{:?}", self.0),
            Some((at, _)) => write!(f, "{:?}...", &self.0[..at]),
        }
    }
}

fn tried_text(endpoint: &Endpoint, os: i32) -> String {
    if os == TIMED_OUT {
        format!("{endpoint} (no answer in time)")
    } else {
        format!("{endpoint} ({})", std::io::Error::from_raw_os_error(os))
    }
}

fn is_resource_error(os: i32) -> bool {
    // ENFILE 23 and EMFILE 24 are the same everywhere; ENOBUFS is 105 on Linux, 55 on BSD; ENOMEM 12.
    matches!(os, 12 | 23 | 24) || os == if cfg!(target_os = "linux") { 105 } else { 55 }
}
