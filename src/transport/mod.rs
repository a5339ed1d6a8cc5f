//! Non-blocking byte streams.
//!
//! [`Transport`] is what a connection talks through. One is opened to an [`Endpoint`]; each [`Layer`] on it wraps one and
//! gives one, so they stack in any order that makes sense. No transport sleeps, calls back, or raises a signal.
//!
//! | file              | what |
//! |-------------------|------|
//! | `mod.rs`          | what all streams have in common |
//! | `endpoint.rs`     | what a stream is opened to |
//! | `layer.rs`        | what is put on one |
//! | `elsewhere.rs`    | in place of one that is in use without the connection's lock |
//! | `proxy/`          | the way through a proxy |
//! | `websocket/`      | WebSocket |
//! | `early.rs`        | what came together with the end of a conversation |
//! | `tls/`            | TLS; `no_tls.rs` in a library without it |
//! | `tls_settings.rs` | what TLS is made with |
//! | `custom.rs`       | streams that are no sockets |
//! | `unix.rs`         | local sockets |
//! | `tcp.rs`          | TCP |
//! | `tcp_options.rs`  | its socket, if that has options |

#![forbid(unsafe_code)]

pub mod custom;
#[cfg(any(feature = "websocket", feature = "proxy"))]
mod early;
mod elsewhere;
mod endpoint;
mod layer;
#[cfg(feature = "proxy")]
pub mod proxy;
mod tcp;
mod tcp_options;
#[cfg(any(feature = "tls", feature = "psk"))]
pub mod tls;
#[cfg(not(any(feature = "tls", feature = "psk")))]
#[path = "no_tls.rs"]
pub mod tls;
pub mod tls_settings;
mod unix;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use elsewhere::Elsewhere;
pub use endpoint::Endpoint;
pub use layer::Layer;
pub use tcp::Tcp;
pub use unix::Unix;

use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::RawFd;

use mio::{Registry, Token};

use crate::config::SocketOptions;
use crate::error::{Code, Phase};
use crate::patience::Delivery;

/// What went wrong in a layer above the socket, where an errno says nothing. It travels inside an
/// [`io::Error`].
#[derive(Clone, Debug)]
pub struct LayerError {
    /// The error.
    pub code: Code,
    /// The layer. [`Phase::None`]: that of the connection, since it may happen at any time.
    pub phase: Phase,
    /// A sentence that a person can act on.
    pub text: String,
    /// The number of the TLS alert that was received.
    pub alert: Option<u8>,
}

impl std::fmt::Display for LayerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for LayerError {}

impl From<LayerError> for io::Error {
    fn from(error: LayerError) -> io::Error {
        io::Error::other(error)
    }
}

impl LayerError {
    /// The layer's error inside `error`, if it is one.
    pub fn of(error: &io::Error) -> Option<&LayerError> {
        error.get_ref()?.downcast_ref()
    }
}

/// When certificates end, in seconds since 1970; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expiry {
    /// That of this client.
    pub client: Option<f64>,
    /// That of the server.
    pub server: Option<f64>,
}

/// Begins to open a stream, whose socket has these options if it is one of TCP.
pub type Dial = dyn Fn(&Endpoint, &SocketOptions) -> io::Result<Stream> + Send + Sync;

/// Asks the system how many of the bytes that were written to a socket its peer has not acknowledged; `None` if it
/// cannot tell.
pub type SendQueue = fn(RawFd) -> Option<u64>;

/// A transport. Most are a plain socket, which needs no allocation.
pub enum Stream {
    /// A socket.
    Tcp(Tcp),
    /// Anything else.
    Other(Box<dyn Transport>),
}

impl Deref for Stream {
    type Target = dyn Transport;

    fn deref(&self) -> &Self::Target {
        match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Other(transport) => &**transport,
        }
    }
}

impl DerefMut for Stream {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Stream::Tcp(tcp) => tcp,
            Stream::Other(transport) => &mut **transport,
        }
    }
}

impl From<Tcp> for Stream {
    fn from(tcp: Tcp) -> Stream {
        Stream::Tcp(tcp)
    }
}

impl From<Box<dyn Transport>> for Stream {
    fn from(transport: Box<dyn Transport>) -> Stream {
        Stream::Other(transport)
    }
}

/// A non-blocking byte stream, driven by readiness.
///
/// Its life: [`register`](Self::register); after writable events [`connected`](Self::connected) until true;
/// [`handshake`](Self::handshake) after each event until true; then [`read`](Self::read) and write. The defaults of the
/// handshake and buffer functions are those of a plain stream.
pub trait Transport: Send {
    /// Registers the socket, once: for reading and writing, edges only. A stream without a socket keeps the
    /// token, and says what is ready by the loop's `announce`.
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()>;

    /// Undoes that, for a socket that lives on in another loop. One that is dropped needs it not.
    fn deregister(&mut self, registry: &Registry);

    /// Whether the socket is connected by now, or the error why it will not be. Once true, it stays
    /// true.
    fn connected(&mut self) -> io::Result<bool>;

    /// Goes on with the handshake as far as it goes; true when it is complete.
    fn handshake(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    /// What the handshake settled, for the log.
    fn describe(&self) -> Option<String> {
        None
    }

    /// When the certificates of both sides end; `None` for a stream that knows of none.
    fn expiry(&self) -> Option<Expiry> {
        None
    }

    /// Reads what there is. `WouldBlock`: nothing before the next readable event; 0: the end.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Whether a read that gives less than there was room for took all there is: what comes later is told by another
    /// event. Not so with layers that hold bytes, and never when the other side ended, as the turn says.
    fn short_read_is_all(&self) -> bool {
        false
    }

    /// Whether a read would give bytes that a layer holds, which no event will announce.
    fn has_unread(&self) -> bool {
        false
    }

    /// Takes as many bytes as it can. `WouldBlock`: none until the next writable event. With an error nothing
    /// was taken.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// How many of the bytes that were taken are not yet given to the system, so that they are lost
    /// with the connection for sure.
    fn unsent(&self) -> usize {
        0
    }

    /// Gives them to the system, as far as it takes them; `WouldBlock` if some are left.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// How many of the bytes that this stream was given, `given` so far, its peer has acknowledged; bytes that only end
    /// the stream do not count. A call of the system, so only for when a deadline is due. `queue` asks it about a socket.
    /// `None` for a stream that cannot tell.
    fn delivery(&self, given: u64, queue: SendQueue) -> Option<Delivery> {
        let _ = (given, queue);
        None
    }

    /// Gives back memory that only bursts need.
    fn shrink(&mut self) {}

    /// Ends the sending half in order, after the last byte. Errors do not matter any more. Dropping
    /// the transport ends both halves.
    fn shutdown(&mut self);

    /// The other end, as far as the stream knows it.
    fn peer(&self) -> Option<Endpoint>;
}
