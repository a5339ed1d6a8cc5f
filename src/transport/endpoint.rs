//! What streams are opened to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Stream, Tcp, Unix};
use crate::config::SocketOptions;

/// What a stream is opened to, as reports and log lines name it. A copy needs no memory: a variant that holds more than
/// numbers shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and a TCP port.
    Socket(SocketAddr),
    /// The path of a local socket.
    Unix(Arc<str>),
}

impl Endpoint {
    /// Begins to open a stream to it, for TCP with a socket as `options` say.
    pub fn open(&self, options: &SocketOptions) -> io::Result<Stream> {
        match self {
            Endpoint::Socket(address) => Ok(Tcp::connect(*address, options)?.into()),
            Endpoint::Unix(path) => Ok(Stream::Other(Box::new(Unix::connect(path)?))),
        }
    }

    /// What is opened there, in a sentence.
    pub fn what(&self) -> &'static str {
        match self {
            Endpoint::Socket(_) => "TCP connection",
            Endpoint::Unix(_) => "local socket",
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Endpoint {
        Endpoint::Socket(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Socket(address) => address.fmt(f),
            Endpoint::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}
