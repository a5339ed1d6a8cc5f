//! The stream over an engine.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;

use mio::{Registry, Token};

use super::{Backend, Engine};
use crate::error::{Code, Phase};
use crate::patience::Delivery;
use crate::transport::{Endpoint, Expiry, LayerError, SendQueue, Stream, Transport};

/// With this much ciphertext waiting for the stream below, writes take nothing more.
const HIGH: usize = 64 * 1024;
/// The largest payload of a record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// A larger buffer is freed when it is empty.
pub(super) const KEEP: usize = 2 * 1024;

/// Puts TLS on top of a connected transport. `host` is the name, or the IP literal, that the server must
/// prove to be.
pub fn wrap(inner: Stream, backend: &Arc<dyn Backend>, host: &str) -> Result<Stream, LayerError> {
    let engine = backend.clone().engine(host)?;
    Ok(Stream::Other(Box::new(Tls {
        below: Below::new(inner),
        engine,
        marks: VecDeque::new(),
        taken: 0,
        gone: 0,
        farewell: 0,
        drained: true,
        ended: false,
        heard: false,
        broken: None,
    })))
}

/// Where a piece of plaintext ends, as a position in the ciphertext and in the plaintext.
struct Mark {
    cipher: u64,
    plain: u64,
}

/// The stream below, and what it has not taken yet. The engine writes its records here, and they go straight on as long as
/// the stream takes them, without another copy. None stay in the engine, so it is known exactly what has gone out; and
/// rustls would write by `writev`, which can raise SIGPIPE.
struct Below {
    inner: Stream,
    /// Ciphertext on its way to the socket, from `head` on.
    out: Vec<u8>,
    head: usize,
    /// Ciphertext that was ever made, and ever given to `inner`.
    made: u64,
    sent: u64,
    /// Why the socket took nothing when it was asked last; the next [`push`](Self::push) says so.
    refused: Option<io::Error>,
    /// Nothing goes out before the next [`push`](Self::push).
    gathers: bool,
}

impl Below {
    fn new(inner: Stream) -> Below {
        Below { inner, out: Vec::new(), head: 0, made: 0, sent: 0, refused: None, gathers: false }
    }

    /// How much waits for the socket.
    fn waiting(&self) -> usize {
        self.out.len() - self.head
    }

    /// Gives the socket what waits for it.
    fn push(&mut self) -> io::Result<()> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
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
}

impl Write for Below {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut n = 0;
        if self.waiting() == 0 && self.refused.is_none() && !self.gathers {
            match self.inner.write(bytes) {
                Ok(taken) => n = taken,
                Err(error) => self.refused = Some(error),
            }
        }
        self.sent += n as u64;
        let rest = &bytes[n..];
        // On a busy link it may never run empty. Moves at most as much as has gone out.
        if self.head > 0 && self.head >= self.waiting() {
            self.out.drain(..self.head);
            self.head = 0;
        }
        if self.out.try_reserve(rest.len()).is_ok() {
            self.out.extend_from_slice(rest);
            n = bytes.len();
        }
        self.made += n as u64;
        if n == 0 && !bytes.is_empty() { Err(ErrorKind::OutOfMemory.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Tls {
    below: Below,
    engine: Box<dyn Engine>,
    /// Pieces of plaintext that have not gone out completely.
    marks: VecDeque<Mark>,
    /// Plaintext that was ever taken, and that has gone out completely.
    taken: u64,
    gone: u64,
    /// Bytes of close_notify.
    farewell: u64,
    /// The last read found nothing more, and the engine holds no plaintext: everything that came was read.
    drained: bool,
    /// The server's side has ended.
    ended: bool,
    /// Something came from the server.
    heard: bool,
    /// The socket failed when bytes had been taken already; the next call says so.
    broken: Option<io::Error>,
}

impl Tls {
    /// Keeps what the engine has to say by itself for [`push`](Self::push), which follows: a flight of the handshake is
    /// several small records, and goes out as one piece.
    fn collect(&mut self) -> io::Result<()> {
        self.below.gathers = true;
        let outcome = self.engine.collect(&mut self.below);
        self.below.gathers = false;
        outcome
    }

    /// Gives the socket what waits for it, and looks what has gone out.
    fn push(&mut self) -> io::Result<()> {
        let outcome = self.below.push();
        let sent = self.below.sent - self.below.inner.unsent() as u64;
        while self.marks.front().is_some_and(|mark| mark.cipher <= sent) {
            self.gone = self.marks.pop_front().map_or(self.gone, |mark| mark.plain);
        }
        outcome
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
        match self.engine.receive(&mut *self.below.inner) {
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
        let outcome = self.engine.process();
        // An alert that says what we do not like, or an answer to a change of keys. If the socket is
        // broken, the next read or write says so. What goes out here of what was written is known to be out when
        // the writer goes on: he has counted what is not, see `unsent`.
        self.collect()?;
        let _ = self.below.push();
        Ok(outcome?)
    }

    /// The server's side ended before the handshake did.
    fn closed(&self, error: Option<&io::Error>) -> io::Error {
        let how = error.map_or(String::new(), |error| format!(" ({error})"));
        let (code, text) = if self.heard {
            let hint = self.engine.closing_hint();
            (Code::TlsClosed, format!("the server closed during the handshake{how}: {hint}"))
        } else {
            let text = "it may not speak TLS on this port";
            (Code::TlsNotSpoken, format!("the server closed the connection when it saw TLS{how}: {text}"))
        };
        LayerError { code, phase: Phase::Tls, text, alert: None }.into()
    }

    /// Encrypts as many bytes as there is room for, and sends what the socket takes.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if self.below.waiting() >= HIGH {
            self.push_or_explain()?;
        }
        let mut done = 0;
        while done < bytes.len() && self.below.waiting() < HIGH {
            // One record each, so that it is known where each piece ends.
            let piece = &bytes[done..bytes.len().min(done + RECORD)];
            let n = match self.engine.write(piece) {
                Ok(0) => break,
                Ok(n) => n,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            done += n;
            self.taken += n as u64;
            if let Err(error) = self.engine.collect(&mut self.below) {
                // Taken, but never to arrive.
                self.broken = Some(error);
                return Ok(done);
            }
            self.marks.push_back(Mark { cipher: self.below.made, plain: self.taken });
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
        self.below.inner.register(registry, token)
    }

    fn deregister(&mut self, registry: &Registry) {
        self.below.inner.deregister(registry);
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.below.inner.connected()
    }

    fn handshake(&mut self) -> io::Result<bool> {
        self.engine.process()?;
        self.collect()?;
        loop {
            match self.push_or_explain() {
                Err(error) if LayerError::of(&error).is_some() => return Err(error),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(self.closed(Some(&error))),
                _ => {}
            }
            if !self.engine.is_handshaking() {
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

    fn describe(&self) -> Option<String> {
        self.engine.describe()
    }

    fn expiry(&self) -> Option<Expiry> {
        Some(self.engine.expiry())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.engine.read(buf) {
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
        // Before the socket is empty, the engine may hold plaintext, and the socket bytes of which no event
        // will tell.
        !self.drained
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes)
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

    /// Counted in ciphertext, which has more bytes than what it carries.
    fn delivery(&self, _: u64, queue: SendQueue) -> Option<Delivery> {
        let below = self.below.inner.delivery(self.below.sent, queue)?;
        let left = (below.left + self.below.waiting() as u64).saturating_sub(self.farewell);
        Some(Delivery { left, ..below })
    }

    fn shutdown(&mut self) {
        let before = self.below.made;
        self.engine.close_notify();
        let _ = self.collect();
        self.farewell += self.below.made - before;
        // What the socket does not take now is lost, and only a courtesy is.
        let _ = self.push();
        self.below.inner.shutdown();
    }

    fn peer(&self) -> Option<Endpoint> {
        self.below.inner.peer()
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
