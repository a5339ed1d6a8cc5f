//! TLS over another transport, by rustls.
//!
//! | file             | what                                                   |
//! |------------------|--------------------------------------------------------|
//! | `mod.rs`         | the stream                                             |
//! | `config.rs`      | what connections share: trust, own certificate, suites |
//! | `files.rs`       | certificates and keys from files and memory            |
//! | `suites.rs`      | names of cipher suites                                 |
//! | `verify.rs`      | the judgement of the server's certificate              |
//! | `certificate.rs` | a look into a certificate, for errors                  |
//! | `error.rs`       | sentences                                              |

mod certificate;
mod config;
mod error;
mod files;
mod suites;
mod verify;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;

use mio::{Registry, Token};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;

pub use config::{Config, Configs};

use super::{LayerError, Transport};
use crate::error::{Code, Phase};
use crate::time::Time;

/// With this much ciphertext waiting for the socket nothing more is taken.
const HIGH: usize = 64 * 1024;
/// The largest payload of a record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// A larger buffer is given back when it has run empty.
const KEEP: usize = 2 * 1024;

/// Puts TLS on top of a connected transport. `host` is the name, or the IP literal, that the server's
/// certificate must be for.
pub fn wrap(
    inner: Box<dyn Transport>,
    config: &Arc<Config>,
    host: &str,
) -> Result<Box<dyn Transport>, LayerError> {
    let name = server_name(host)?;
    let failed = |error: rustls::Error| LayerError {
        code: Code::TlsFailed,
        phase: Phase::Tls,
        text: format!("the handshake could not begin: {error}"),
        alert: None,
    };
    let mut tls = ClientConnection::new(config.client.clone(), name).map_err(failed)?;
    // What leaves rustls is collected here at once, and bounded here.
    tls.set_buffer_limit(None);
    Ok(Box::new(Tls {
        inner,
        tls,
        config: config.clone(),
        host: host.to_owned(),
        out: Vec::new(),
        head: 0,
        marks: VecDeque::new(),
        made: 0,
        sent: 0,
        taken: 0,
        gone: 0,
        drained: true,
        ended: false,
        heard: false,
        broken: None,
    }))
}

/// The name as it goes into SNI and the certificate's verification.
fn server_name(host: &str) -> Result<ServerName<'static>, LayerError> {
    // A scope belongs to this host's interfaces; no certificate has it. A dot at the end is DNS notation.
    let bare = host.split('%').next().unwrap_or_default();
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(ServerName::from(ip));
    }
    ServerName::try_from(bare.strip_suffix('.').unwrap_or(bare).to_owned()).map_err(|_| LayerError {
        code: Code::BadConfig,
        phase: Phase::Tls,
        text: format!("{host:?} is not a name that a certificate can be for; set tls_server_name"),
        alert: None,
    })
}

/// Where a piece of plaintext ends, in both streams.
struct Mark {
    cipher: u64,
    plain: u64,
}

struct Tls {
    inner: Box<dyn Transport>,
    tls: ClientConnection,
    config: Arc<Config>,
    host: String,
    /// Ciphertext on its way to the socket, from `head` on. It does not stay in rustls, so that what is
    /// known about it is exact, and because rustls writes by `writev`, which can raise SIGPIPE.
    out: Vec<u8>,
    head: usize,
    /// Pieces of plaintext in `out`.
    marks: VecDeque<Mark>,
    /// Ciphertext that was ever made, and ever given to `inner`.
    made: u64,
    sent: u64,
    /// Plaintext that was ever taken, and that has gone out completely.
    taken: u64,
    gone: u64,
    /// The last read of the socket found nothing more: everything that came is with the application.
    drained: bool,
    /// The server's side has ended.
    ended: bool,
    /// Something came from the server.
    heard: bool,
    /// The socket failed when bytes had been taken already; the next call says so.
    broken: Option<io::Error>,
}

impl Tls {
    /// Moves what rustls has to say into `out`.
    fn collect(&mut self) {
        while self.tls.wants_write() {
            let before = self.out.len();
            // A vector takes everything.
            if self.tls.write_tls(&mut self.out).is_err() {
                return;
            }
            self.made += (self.out.len() - before) as u64;
        }
    }

    /// Gives `out` to the socket.
    fn push(&mut self) -> io::Result<()> {
        let outcome = self.push_out();
        let sent = self.sent - self.inner.unsent() as u64;
        while self.marks.front().is_some_and(|mark| mark.cipher <= sent) {
            self.gone = self.marks.pop_front().map_or(self.gone, |mark| mark.plain);
        }
        outcome
    }

    fn push_out(&mut self) -> io::Result<()> {
        while self.head < self.out.len() {
            let n = self.inner.write(&self.out[self.head..])?;
            if n == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.head += n;
            self.sent += n as u64;
        }
        self.head = 0;
        self.out.clear();
        if self.out.capacity() > KEEP {
            self.out = Vec::new();
        }
        self.inner.flush()
    }

    /// As [`push`](Self::push), but an error is what the server said about it, if it said something.
    fn push_or_explain(&mut self) -> io::Result<()> {
        match self.push() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(self.write_failed(error)),
            other => other,
        }
    }

    /// The server may have said why before it went away.
    fn write_failed(&mut self, error: io::Error) -> io::Error {
        for _ in 0..16 {
            match self.receive() {
                Ok(()) if !self.ended => {}
                Err(said) if LayerError::of(&said).is_some() => return said,
                _ => break,
            }
        }
        error
    }

    /// Reads once from the socket and makes of it what can be made.
    fn receive(&mut self) -> io::Result<()> {
        match self.tls.read_tls(&mut Socket(&mut *self.inner)) {
            Ok(n) => {
                self.drained = false;
                self.ended = n == 0;
                self.heard |= n > 0;
            }
            Err(error) => {
                self.drained |= error.kind() == ErrorKind::WouldBlock;
                return Err(error);
            }
        }
        let outcome = self.tls.process_new_packets();
        // An alert that says what we do not like, or an answer to a change of keys. If the socket is
        // broken, the next read or write says so.
        self.collect();
        let _ = self.push();
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(&error).into()),
        }
    }

    fn explain(&self, error: &rustls::Error) -> LayerError {
        let at = error::At {
            host: &self.host,
            config: &self.config,
            handshaking: self.tls.is_handshaking(),
            server_proved: self.tls.peer_certificates().is_some(),
        };
        error::explain(error, &at)
    }

    /// The server's side ended before the handshake did.
    fn closed(&self, error: Option<&io::Error>) -> io::Error {
        let how = error.map_or(String::new(), |error| format!(" ({error})"));
        let (code, text) = if !self.heard {
            (
                Code::TlsNotSpoken,
                format!(
                    "the server closed the connection when it saw TLS{how}: it may not speak TLS on this port"
                ),
            )
        } else if self.config.has_certificate {
            (
                Code::TlsClosed,
                format!(
                    "the server closed during the handshake{how}: it may not accept this client's certificate"
                ),
            )
        } else {
            (
                Code::TlsClosed,
                format!("the server closed during the handshake{how}: it may want a client certificate"),
            )
        };
        LayerError { code, phase: Phase::Tls, text, alert: None }.into()
    }

    /// Encrypts as much of the two parts as there is room for, and sends what the socket takes.
    fn take(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if self.out.len() - self.head >= HIGH {
            self.push_or_explain()?;
        }
        let total = first.len() + second.len();
        let mut done = 0;
        while done < total && self.out.len() - self.head < HIGH {
            // One record each, so that it is known where each piece ends.
            let a = first.get(done..).unwrap_or_default();
            let a = &a[..a.len().min(RECORD)];
            let b = second.get((done + a.len()).saturating_sub(first.len())..).unwrap_or_default();
            let b = &b[..b.len().min(RECORD - a.len())];
            let n = self.tls.writer().write_vectored(&[IoSlice::new(a), IoSlice::new(b)])?;
            if n == 0 {
                break;
            }
            done += n;
            self.taken += n as u64;
            self.collect();
            self.marks.push_back(Mark { cipher: self.made, plain: self.taken });
        }
        match self.push_or_explain() {
            Err(error) if error.kind() != ErrorKind::WouldBlock && done == 0 => Err(error),
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                self.broken = Some(error);
                Ok(done)
            }
            _ => Ok(done),
        }
    }
}

impl Transport for Tls {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.inner.register(registry, token)
    }

    fn deregister(&mut self, registry: &Registry) {
        self.inner.deregister(registry);
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.inner.connected()
    }

    fn wants_handshake(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn handshake(&mut self, _: Time) -> io::Result<bool> {
        self.collect();
        loop {
            match self.push_or_explain() {
                Err(error) if LayerError::of(&error).is_some() => return Err(error),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(self.closed(Some(&error))),
                _ => {}
            }
            if !self.tls.is_handshaking() {
                return Ok(true);
            }
            if self.ended {
                return Err(self.closed(None));
            }
            match self.receive() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if LayerError::of(&error).is_some() => return Err(error),
                Err(error) => return Err(self.closed(Some(&error))),
            }
        }
    }

    fn phase(&self) -> Phase {
        Phase::Tls
    }

    fn describe(&self) -> Option<String> {
        let version = match self.tls.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => "TLS 1.2",
            _ => "TLS 1.3",
        };
        let suite = suites::name(self.tls.negotiated_cipher_suite()?.suite());
        let resumed = match self.tls.handshake_kind() {
            Some(rustls::HandshakeKind::Resumed) => ", resumed",
            _ => "",
        };
        let alpn = match self.tls.alpn_protocol() {
            Some(name) => format!(", {}", String::from_utf8_lossy(name)),
            None => String::new(),
        };
        Some(format!("{version}, {suite}{alpn}{resumed}"))
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buf) {
                // A packet of MQTT knows its own length, so an end without close_notify, which is
                // common, cuts nothing off unseen.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => return other,
            }
            if self.ended {
                return Ok(0);
            }
            self.receive()?;
        }
    }

    fn has_unread(&self) -> bool {
        // Before the socket is empty, rustls may hold plaintext, and the socket bytes of which no event
        // will tell.
        !self.drained
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes, &[])
    }

    fn write_two(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        self.take(first, second)
    }

    fn unsent(&self) -> usize {
        (self.taken - self.gone) as usize
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.broken.take() {
            Some(error) => Err(error),
            None => self.push_or_explain(),
        }
    }

    fn shutdown(&mut self) {
        self.tls.send_close_notify();
        self.collect();
        // What the socket does not take now is lost, and only a courtesy is.
        let _ = self.push();
        self.inner.shutdown();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }

    fn raw_fd(&self) -> RawFd {
        self.inner.raw_fd()
    }
}

/// A transport as rustls reads it.
struct Socket<'a>(&'a mut dyn Transport);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}
