//! A way through a proxy: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, 1929). The proxy resolves the name of
//! the server, and carries bytes once it has connected.
//!
//! | file        | what                                       |
//! |-------------|--------------------------------------------|
//! | `stream.rs` | the stream                                 |
//! | `http.rs`   | the request of HTTP, and its answer        |
//! | `socks.rs`  | the greeting and the request of SOCKS, and their answers |

mod http;
mod socks;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;

pub use stream::wrap;

use crate::config::Secret;
use crate::error::{Code, Phase};
use crate::transport::LayerError;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, method CONNECT.
    Http,
    /// SOCKS version 5.
    Socks5,
}

/// What a proxy is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// How it is asked.
    pub protocol: Protocol,
    /// The user there, and the password.
    pub user: Option<(String, Secret<Vec<u8>>)>,
    /// The name of the server, or its IP literal.
    pub host: String,
    /// The port of the server.
    pub port: u16,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {}:{}", self.protocol, self.host, self.port)
    }
}

/// Half of a conversation with a proxy: what to say next, and what to make of its answers.
trait Dialog: Send {
    /// Takes what has come of the answer. How many bytes of it are done with, and what comes next.
    fn heard(&mut self, tunnel: &Tunnel, bytes: &[u8]) -> Result<(usize, Next), LayerError>;
}

/// What comes next.
enum Next {
    /// More of the answer.
    More,
    /// This is to be said.
    Say(Vec<u8>),
    /// The bytes of the server.
    Open,
}

fn error(code: Code, text: String) -> LayerError {
    LayerError { code, phase: Phase::Proxy, text, alert: None }
}

fn bad_answer(what: &str) -> LayerError {
    error(Code::ProxyBadAnswer, format!("{}: {what}", Code::ProxyBadAnswer.text()))
}
