//! TLS with a pre-shared key, by the system's OpenSSL.
//!
//! | file        | what                                  |
//! |-------------|---------------------------------------|
//! | `mod.rs`    | the engine                            |
//! | `config.rs` | what connections with one key share   |
//! | `suites.rs` | names of cipher suites                |
//! | `error.rs`  | sentences                             |
//!
//! OpenSSL reads from and writes to memory only, so that it can neither block nor raise SIGPIPE. Whoever has
//! the key is the server: there is no certificate, and one that a server sends instead is never accepted.

mod config;
mod error;
mod suites;

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use openssl::ssl::{ErrorCode, Ssl, SslStream};

pub(super) use config::Configs;

use super::alert::describe;
use super::stream::KEEP;
use super::{Backend, Engine, config_error};
use crate::error::Code;
use crate::transport::{LayerError, Transport};
use config::Config;

/// How much is read from the socket at a time: a large record and its header.
const CHUNK: usize = 16 * 1024 + 512;

impl Backend for Config {
    fn engine(self: Arc<Self>, host: &str) -> Result<Box<dyn Engine>, LayerError> {
        let failed = |error| config_error(Code::TlsFailed, format!("the handshake could not begin: {error}"));
        let mut ssl = Ssl::new(&self.context).map_err(failed)?;
        // For a server behind which there are many; an address has no place in it (RFC 6066, section 3).
        if !host.is_empty() && host.parse::<std::net::IpAddr>().is_err() {
            ssl.set_hostname(host.strip_suffix('.').unwrap_or(host)).map_err(failed)?;
        }
        ssl.set_connect_state();
        let stream = SslStream::new(ssl, Pipe::default()).map_err(failed)?;
        Ok(Box::new(OpenSsl { stream, config: self, done: false }))
    }
}

/// What came from the socket and what is to go there.
#[derive(Default)]
struct Pipe {
    incoming: Vec<u8>,
    /// How much of it was read.
    read: usize,
    outgoing: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = &self.incoming[self.read..];
        let n = left.len().min(buf.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buf[..n].copy_from_slice(&left[..n]);
        self.read += n;
        if self.read == self.incoming.len() {
            // An idle connection keeps no buffer.
            self.incoming = Vec::new();
            self.read = 0;
        }
        Ok(n)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        append(&mut self.outgoing, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(to: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    to.try_reserve(bytes.len()).map_err(|_| ErrorKind::OutOfMemory)?;
    to.extend_from_slice(bytes);
    Ok(())
}

struct OpenSsl {
    stream: SslStream<Pipe>,
    config: Arc<Config>,
    /// The handshake is over.
    done: bool,
}

impl OpenSsl {
    fn explain(&self, error: openssl::ssl::Error) -> io::Error {
        match error.into_io_error() {
            Ok(error) => error,
            Err(error) => error::explain(&error, &self.config, !self.done).into(),
        }
    }
}

fn wants_more(error: &openssl::ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

impl Engine for OpenSsl {
    fn is_handshaking(&self) -> bool {
        !self.done
    }

    fn receive(&mut self, socket: &mut dyn Transport) -> io::Result<usize> {
        let pipe = self.stream.get_mut();
        let before = pipe.incoming.len();
        pipe.incoming.try_reserve_exact(CHUNK).map_err(|_| ErrorKind::OutOfMemory)?;
        pipe.incoming.resize(before + CHUNK, 0);
        let outcome = socket.read(&mut pipe.incoming[before..]);
        let end = before + *outcome.as_ref().unwrap_or(&0);
        pipe.incoming.truncate(end);
        if end == 0 {
            pipe.incoming = Vec::new();
        }
        outcome
    }

    fn process(&mut self) -> Result<(), LayerError> {
        if self.done {
            return Ok(());
        }
        match self.stream.do_handshake() {
            Ok(()) if self.stream.ssl().peer_certificate().is_some() => {
                // Cannot be: there is nothing that it could have been verified with.
                Err(error::certificate(&self.config))
            }
            Ok(()) => {
                self.done = true;
                Ok(())
            }
            Err(error) if wants_more(&error) => Ok(()),
            Err(error) => Err(error::explain(&error, &self.config, true)),
        }
    }

    fn collect(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let made = &mut self.stream.get_mut().outgoing;
        while !made.is_empty() {
            let n = out.write(made)?;
            made.drain(..n);
        }
        if made.capacity() > KEEP {
            *made = Vec::new();
        }
        Ok(())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.stream.ssl_read(buf) {
            Ok(n) => Ok(n),
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(0),
            Err(error) if wants_more(&error) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.ssl_write(bytes) {
            Ok(n) => Ok(n),
            Err(error) if wants_more(&error) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn close_notify(&mut self) {
        if self.done {
            // Only our half; what the server answers is not waited for.
            let _ = self.stream.shutdown();
        }
    }

    fn closing_hint(&self) -> &'static str {
        "it may not know the identity of the pre-shared key, or have another key for it"
    }

    fn describe(&self) -> Option<String> {
        let ssl = self.stream.ssl();
        let version = ssl.version_str().replace("TLSv", "TLS ");
        let suite = ssl.current_cipher()?.standard_name().unwrap_or("unknown");
        let alpn = match ssl.selected_alpn_protocol() {
            Some(name) => format!(", {}", String::from_utf8_lossy(name)),
            None => String::new(),
        };
        Some(format!("{version}, {suite}{alpn}, pre-shared key"))
    }
}
