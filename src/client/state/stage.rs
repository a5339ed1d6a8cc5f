//! What a connection is doing right now, as it is told.

use crate::client::handlers::event::Report;
use crate::error::Code;
use crate::time::Span;
use crate::transport::Endpoint;
use crate::wire::Version;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Stage {
    /// Nothing, and nothing is planned.
    Idle = 0,
    /// It waits for its next attempt.
    Waiting = 1,
    /// It asks the name service.
    Resolving = 2,
    /// It opens the connection to an address.
    Opening = 3,
    /// A layer above the socket greets its peer.
    Handshaking = 4,
    /// A hook is to send CONNECT, or to give what belongs into it.
    AwaitingHook = 5,
    /// CONNECT is on its way, and the answer has not come.
    AwaitingConnack = 6,
    /// CONNACK accepted us.
    Up = 7,
    /// It is being closed in order.
    Closing = 8,
}

/// The stage, and what explains it: the server, the next attempt, the last error.
#[derive(Clone, Debug)]
pub struct Status {
    /// What it is doing.
    pub stage: Stage,
    /// While it waits: until the next attempt begins.
    pub wait: Option<Span>,
    /// The number of the attempt under way, or of the last one.
    pub attempt: u64,
    /// The server as configured.
    pub server: String,
    /// The other end of the stream.
    pub endpoint: Option<Endpoint>,
    /// The handshake that is going on.
    pub handshake: Option<&'static str>,
    /// The version of MQTT that was settled with the server, while the connection is up.
    pub version: Option<Version>,
    /// Whether the application wants the connection to be up.
    pub wanted: bool,
    /// Why it is idle.
    pub why_idle: Code,
    /// Why it cannot be up, if there is no server that can be tried.
    pub why_disabled: Option<&'static str>,
    /// The last error.
    pub report: Report,
}

impl Status {
    /// What it is doing, as a sentence.
    pub fn text(&self) -> String {
        let server = if self.server.is_empty() { "no server" } else { &self.server };
        let at = self.endpoint.as_ref().map(|endpoint| format!(" {endpoint}")).unwrap_or_default();
        match self.stage {
            Stage::Idle if self.wanted => "an attempt begins in the next round of the loop".into(),
            Stage::Idle => match (self.why_idle, self.why_disabled) {
                (Code::NotConnected | Code::Disabled, Some(why)) => {
                    format!("nothing can be planned: {why}")
                }
                (Code::NotConnected, None) => {
                    "nobody has asked for the connection: mgos_mqtt_conn_connect() does".into()
                }
                (code, _) => format!("nothing is planned: {}", code.text()),
            },
            Stage::Waiting => {
                let wait = self.wait.unwrap_or(Span::ZERO).as_millis_ceil();
                format!("waiting {wait} ms for the next attempt at {server}")
            }
            Stage::Resolving => format!("waiting for the name service to resolve the name in {server:?}"),
            Stage::Opening => {
                let what = self.endpoint.as_ref().map_or("connection", Endpoint::what);
                format!("waiting for{at} ({server}) to accept the {what}")
            }
            Stage::Handshaking => {
                format!("waiting for{at} ({server}) in the {}", self.handshake.unwrap_or("handshake"))
            }
            Stage::AwaitingHook => "waiting for the hook that is to send CONNECT, or to answer for it".into(),
            Stage::AwaitingConnack => {
                format!("waiting for{at} ({server}) to answer CONNECT: is it an MQTT server, on this port?")
            }
            Stage::Up => format!("connected to {server}"),
            Stage::Closing => format!("closing the connection to {server}"),
        }
    }
}
