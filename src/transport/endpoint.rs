//! What streams are opened to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::{LayerError, Stream, Tcp, Unix};
use crate::config::SocketOptions;
use crate::error::{Code, Phase};

/// What a stream is opened to, as reports and log lines name it. A copy needs no memory: a variant that holds more than
/// numbers shares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An IP address and a TCP port.
    Socket(SocketAddr),
    /// The path of a local socket.
    Unix(Arc<str>),
    /// What the application's own functions open: host and port as configured.
    Custom(Arc<str>),
}

impl Endpoint {
    /// Begins to open a stream to it, for TCP with a socket as `options` say.
    pub fn open(&self, options: &SocketOptions) -> io::Result<Stream> {
        match self {
            Endpoint::Socket(address) => Ok(Tcp::connect(*address, options)?.into()),
            Endpoint::Unix(path) => Ok(Stream::Other(Box::new(Unix::connect(path)?))),
            // A handler did that.
            Endpoint::Custom(_) => {
                let text =
                    format!("{self}, was taken away while the attempt began; the next one uses sockets");
                Err(LayerError { code: Code::ConnectFailed, phase: Phase::Tcp, text, alert: None }.into())
            }
        }
    }

    /// What is opened there, in a sentence.
    pub fn what(&self) -> &'static str {
        match self {
            Endpoint::Socket(_) => "TCP connection",
            Endpoint::Unix(_) => "local socket",
            Endpoint::Custom(_) => "stream of the application",
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
            Endpoint::Custom(name) => write!(f, "{name}, by the transport of the application"),
        }
    }
}
