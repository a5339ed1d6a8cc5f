//! The stream over frames.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use mio::{Registry, Token};

use super::frame::{Masks, OWN_HEADER, Opcode, append, close_name};
use super::incoming::{Incoming, Stop};
use super::upgrade::{ANSWER, Answer, Upgrade, key};
use crate::error::{Code, Phase};
use crate::patience::Delivery;
use crate::transport::early::Early;
use crate::transport::{Endpoint, Expiry, LayerError, SendQueue, Stream, Transport};

/// The largest payload of a frame: with its header it fits one record of TLS.
const FRAME: usize = 16 * 1024 - OWN_HEADER;

/// Puts a WebSocket on top of an open stream.
pub fn wrap(below: Stream, upgrade: &Arc<Upgrade>) -> Stream {
    let mut masks = Masks::new();
    let key = key(&mut masks);
    let request = upgrade.request(&key);
    let made = request.len() as u64;
    Stream::Other(Box::new(WebSocket {
        below,
        greeting: Some(Box::new(Greeting { upgrade: upgrade.clone(), key, answer: Vec::new() })),
        greeted: Answer::Mqtt,
        incoming: Incoming::default(),
        early: Early::default(),
        masks,
        out: request,
        head: 0,
        made,
        sent: 0,
        frames: VecDeque::new(),
        taken: 0,
        gone: 0,
        unsent: 0,
        farewell: 0,
        closed: false,
        drained: false,
        stop: None,
        broken: None,
    }))
}

/// The handshake.
struct Greeting {
    upgrade: Arc<Upgrade>,
    key: String,
    answer: Vec<u8>,
}

/// A data frame of ours that has not gone out completely: where its payload lies in the stream below.
struct Frame {
    begin: u64,
    end: u64,
}

struct WebSocket {
    below: Stream,
    /// Until the server has accepted.
    greeting: Option<Box<Greeting>>,
    greeted: Answer,
    incoming: Incoming,
    /// Frames that came together with the answer.
    early: Early,
    masks: Masks,
    /// Frames on their way to the stream below, from `head` on: at most one with data.
    out: Vec<u8>,
    head: usize,
    /// Bytes for the stream below that were ever made, and ever given to it.
    made: u64,
    sent: u64,
    /// Those of which not all has gone out.
    frames: VecDeque<Frame>,
    /// Payload that was ever taken, and that has gone out in whole frames.
    taken: u64,
    gone: u64,
    /// See [`unsent`](Transport::unsent). Who writes has counted it: it changes in `write` and `flush` only, whatever goes
    /// out with a pong meanwhile.
    unsent: usize,
    /// Bytes that only end the stream.
    farewell: u64,
    /// Our close frame was made.
    closed: bool,
    /// The last read took all there was.
    drained: bool,
    /// Why nothing counts that comes now.
    stop: Option<Stop>,
    /// The stream below failed when bytes had been taken already; the next call says so.
    broken: Option<io::Error>,
}

impl WebSocket {
    /// Looks what has gone out.
    fn count(&mut self) {
        let sent = self.sent - self.below.unsent() as u64;
        while self.frames.front().is_some_and(|frame| frame.end <= sent) {
            self.gone += self.frames.pop_front().map_or(0, |frame| frame.end - frame.begin);
        }
        let begun = self.frames.front().map_or(0, |frame| sent.saturating_sub(frame.begin));
        self.unsent = (self.taken - self.gone - begun) as usize;
    }

    /// Gives the stream below what waits for it.
    fn push(&mut self) -> io::Result<()> {
        while self.head < self.out.len() {
            let n = self.below.write(&self.out[self.head..])?;
            if n == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
            self.head += n;
            self.sent += n as u64;
        }
        self.head = 0;
        self.out.clear();
        self.below.flush()
    }

    /// Makes a frame, if there is memory for it.
    fn make(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<Frame> {
        let before = self.out.len();
        self.out.try_reserve(payload.len() + OWN_HEADER).map_err(|_| ErrorKind::OutOfMemory)?;
        let begin = append(&mut self.out, opcode, payload, self.masks.mask());
        let frame = Frame {
            begin: self.made + (begin - before) as u64,
            end: self.made + (self.out.len() - before) as u64,
        };
        self.made = frame.end;
        Ok(frame)
    }

    /// Answers the last ping, as soon as there is room: so they never pile up.
    fn answer_ping(&mut self) {
        if self.head < self.out.len() && self.push().is_err() {
            return;
        }
        if let Some((payload, len)) = self.incoming.take_ping()
            && !self.closed
            && self.make(Opcode::Pong, &payload[..usize::from(len)]).is_ok()
        {
            // Whether it goes out now or later: a stream that is broken says so when it is used next.
            let _ = self.push();
        }
    }

    /// Says why this side closes, once (RFC 6455, section 7.1.2).
    fn close(&mut self, code: u16) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let before = self.made;
        let _ = self.make(Opcode::Close, &code.to_be_bytes());
        self.farewell += self.made - before;
        // What the stream below does not take now is lost, and only a courtesy is.
        let _ = self.push();
    }

    /// Nothing counts any more.
    fn stopped(&mut self, stop: Stop) {
        let code = match &stop {
            Stop::Closed(Some((code, _))) => *code,
            Stop::Closed(None) => 1000,
            Stop::Broken(_) => 1002,
        };
        let expected = self.closed && matches!(stop, Stop::Closed(_));
        self.close(code);
        self.stop = Some(stop);
        if expected {
            // The answer to our own: the good end, as that of any stream.
            self.stop = Some(Stop::Closed(None));
        }
    }

    /// The last thing that there is to be read.
    fn end(&self, stop: &Stop) -> io::Result<usize> {
        let text = match stop {
            Stop::Broken(violation) => return Err(violation.error().into()),
            Stop::Closed(None) => return Ok(0),
            Stop::Closed(Some((code, reason))) => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {reason:?}") };
                format!("the server closed the WebSocket with code {code} ({}){reason}", close_name(*code))
            }
        };
        // The phase is that of the connection: a server may close at any time.
        Err(LayerError { code: Code::ClosedByServer, phase: Phase::None, text, alert: None }.into())
    }

    /// The server may have said why before it went away.
    fn write_failed(&mut self, error: io::Error) -> io::Error {
        let mut buffer = [0; 512];
        for _ in 0..64 {
            match self.read(&mut buffer) {
                Ok(n) if n > 0 => {}
                Err(said) if LayerError::of(&said).is_some() => return said,
                _ => break,
            }
        }
        error
    }

    fn pushed_or_explained(&mut self) -> io::Result<()> {
        match self.push() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(self.write_failed(error)),
            other => other,
        }
    }

    /// Makes a frame of as many bytes as fit one, and sends what the stream below takes of it.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        if self.head < self.out.len() {
            self.pushed_or_explained()?;
        }
        if self.incoming.has_ping() {
            self.answer_ping();
        }
        let payload = &bytes[..bytes.len().min(FRAME)];
        let frame = self.make(Opcode::Binary, payload)?;
        self.frames.push_back(frame);
        self.taken += payload.len() as u64;
        match self.pushed_or_explained() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => self.broken = Some(error),
            _ => {}
        }
        Ok(payload.len())
    }

    /// The stream below ended before the server accepted.
    fn not_greeted(&self, error: Option<&io::Error>, heard: bool) -> io::Error {
        let how = error.map_or(String::new(), |error| format!(" ({error})"));
        let (code, text) = match heard {
            true => {
                (Code::WebSocketBadAnswer, format!("the server closed the connection within its answer{how}"))
            }
            false => {
                let help = "it may not speak WebSocket on this port, or want TLS (wss://)";
                let text = format!(
                    "the server closed the connection instead of answering the WebSocket request{how}"
                );
                (Code::WebSocketNotSpoken, format!("{text}: {help}"))
            }
        };
        LayerError { code, phase: Phase::WebSocket, text, alert: None }.into()
    }

    /// Reads what there is of the answer; true when it is complete.
    fn greet(&mut self) -> io::Result<bool> {
        let Some(greeting) = &mut self.greeting else { return Ok(true) };
        let Greeting { upgrade, key, answer } = &mut **greeting;
        let mut buffer = [0; 1024];
        loop {
            let n = match self.below.read(&mut buffer) {
                Ok(n @ 1..) => n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                outcome => {
                    let heard = !answer.is_empty();
                    return match outcome {
                        Err(error) if LayerError::of(&error).is_some() => Err(error),
                        other => Err(self.not_greeted(other.err().as_ref(), heard)),
                    };
                }
            };
            answer.extend_from_slice(&buffer[..n]);
            if let Some((len, how)) = upgrade.answer(key, &answer[..answer.len().min(ANSWER)])? {
                self.greeted = how;
                answer.drain(..len);
                self.early = Early::of(answer);
                self.greeting = None;
                return Ok(true);
            }
        }
    }
}

impl Transport for WebSocket {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.below.register(registry, token)
    }

    fn deregister(&mut self, registry: &Registry) {
        self.below.deregister(registry);
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.below.connected()
    }

    fn handshake(&mut self) -> io::Result<bool> {
        match self.push() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if LayerError::of(&error).is_some() => return Err(error),
            // It may have answered before it went away.
            Err(error) if !self.greet()? => return Err(self.not_greeted(Some(&error), false)),
            _ => {}
        }
        self.greet()
    }

    fn describe(&self) -> Option<String> {
        Some(match self.greeted {
            Answer::Mqtt => "WebSocket, subprotocol mqtt".into(),
            Answer::WithoutProtocol => {
                "WebSocket; the server did not name the subprotocol mqtt, as it should".into()
            }
        })
    }

    fn expiry(&self) -> Option<Expiry> {
        self.below.expiry()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(stop) = &self.stop {
                return self.end(stop);
            }
            let n = if self.early.is_empty() {
                let n = self.below.read(buf)?;
                if n == 0 {
                    return Ok(0);
                }
                self.drained = n < buf.len() && self.below.short_read_is_all();
                n
            } else {
                self.drained = false;
                self.early.read(buf)
            };
            let (len, stop) = self.incoming.unwrap(&mut buf[..n]);
            if self.incoming.has_ping() {
                self.answer_ping();
            }
            if let Some(stop) = stop {
                self.stopped(stop);
                self.drained = false;
            }
            if len > 0 {
                return Ok(len);
            }
        }
    }

    fn short_read_is_all(&self) -> bool {
        self.drained
    }

    fn has_unread(&self) -> bool {
        !self.early.is_empty() || self.stop.is_some() || self.below.has_unread()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.take(bytes);
        self.count();
        outcome
    }

    fn unsent(&self) -> usize {
        self.unsent
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = match self.broken.take() {
            Some(error) => Err(error),
            None => self.pushed_or_explained(),
        };
        if outcome.is_ok() && self.incoming.has_ping() {
            self.answer_ping();
        }
        self.count();
        outcome
    }

    /// Counted in bytes of the stream below, which are more than what they carry.
    fn delivery(&self, _: u64, queue: SendQueue) -> Option<Delivery> {
        let below = self.below.delivery(self.sent, queue)?;
        let waiting = (self.out.len() - self.head) as u64;
        Some(Delivery { left: (below.left + waiting).saturating_sub(self.farewell), ..below })
    }

    fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
        self.below.shrink();
    }

    fn shutdown(&mut self) {
        self.close(1000);
        self.below.shutdown();
    }

    fn peer(&self) -> Option<Endpoint> {
        self.below.peer()
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
