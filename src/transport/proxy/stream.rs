//! The stream through a proxy.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use mio::{Registry, Token};

use super::http::{self, Http};
use super::socks::{self, Socks5};
use super::{Dialog, Next, Protocol, Tunnel, error};
use crate::error::Code;
use crate::patience::Delivery;
use crate::transport::early::Early;
use crate::transport::{Endpoint, Expiry, LayerError, SendQueue, Stream, Transport};

/// Asks the proxy at the other end of an open stream for a way to its server.
pub fn wrap(below: Stream, tunnel: &Arc<Tunnel>) -> Stream {
    let (out, dialog): (Vec<u8>, Box<dyn Dialog>) = match tunnel.protocol {
        Protocol::Http => (http::request(tunnel), Box::new(Http)),
        Protocol::Socks5 => (socks::greeting(tunnel), Box::new(Socks5::Method)),
    };
    let asking = Asking { tunnel: tunnel.clone(), dialog, out, answer: Vec::new(), heard: false };
    Stream::Other(Box::new(Proxied {
        below,
        asking: Some(Box::new(asking)),
        early: Early::default(),
        asked: 0,
    }))
}

/// The conversation with the proxy.
struct Asking {
    tunnel: Arc<Tunnel>,
    dialog: Box<dyn Dialog>,
    /// What is still to be said.
    out: Vec<u8>,
    answer: Vec<u8>,
    /// Something came from the proxy.
    heard: bool,
}

struct Proxied {
    below: Stream,
    /// Until the proxy has connected.
    asking: Option<Box<Asking>>,
    /// What came together with its last answer.
    early: Early,
    /// So many bytes were for the proxy.
    asked: u64,
}

impl Asking {
    /// The stream ended before the way was open.
    fn closed(&self, problem: Option<&io::Error>) -> io::Error {
        let how = problem.map_or(String::new(), |error| format!(" ({error})"));
        let text = match self.heard {
            true => format!("the proxy closed the connection within its answer{how}"),
            false => format!(
                "the proxy closed the connection instead of answering{how}: is it a proxy of this kind, and at this port?"
            ),
        };
        error(Code::ProxyBadAnswer, text).into()
    }

    fn failed(&self, problem: io::Error) -> io::Error {
        if LayerError::of(&problem).is_some() { problem } else { self.closed(Some(&problem)) }
    }
}

impl Transport for Proxied {
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
        let Some(asking) = &mut self.asking else { return Ok(true) };
        let mut buffer = [0; 512];
        loop {
            while !asking.out.is_empty() {
                match self.below.write(&asking.out) {
                    Ok(n) => {
                        asking.out.drain(..n);
                        self.asked += n as u64;
                    }
                    Err(problem) if problem.kind() == ErrorKind::WouldBlock => break,
                    Err(problem) => return Err(asking.failed(problem)),
                }
            }
            match self.below.flush() {
                Err(problem) if problem.kind() != ErrorKind::WouldBlock => return Err(asking.failed(problem)),
                _ => {}
            }
            match self.below.read(&mut buffer) {
                Ok(0) => return Err(asking.closed(None)),
                Ok(n) => asking.answer.extend_from_slice(&buffer[..n]),
                Err(problem) if problem.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(problem) => return Err(asking.failed(problem)),
            }
            asking.heard = true;
            loop {
                let (done, next) = asking.dialog.heard(&asking.tunnel, &asking.answer)?;
                asking.answer.drain(..done);
                match next {
                    Next::More if done > 0 => {}
                    Next::More => break,
                    Next::Say(bytes) => {
                        asking.out.extend(bytes);
                        break;
                    }
                    Next::Open => {
                        self.early = Early::of(&mut asking.answer);
                        self.asking = None;
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn describe(&self) -> Option<String> {
        Some("the proxy has connected".into())
    }

    fn expiry(&self) -> Option<Expiry> {
        // That of a proxy is not the server's.
        None
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.early.is_empty() { self.below.read(buf) } else { Ok(self.early.read(buf)) }
    }

    fn short_read_is_all(&self) -> bool {
        self.early.is_empty() && self.below.short_read_is_all()
    }

    fn has_unread(&self) -> bool {
        !self.early.is_empty() || self.below.has_unread()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.below.write(bytes)
    }

    fn unsent(&self) -> usize {
        self.below.unsent()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.below.flush()
    }

    /// To the proxy: whether it has passed the bytes on, nobody can tell.
    fn delivery(&self, given: u64, queue: SendQueue) -> Option<Delivery> {
        self.below.delivery(given + self.asked, queue)
    }

    fn shrink(&mut self) {
        self.below.shrink();
    }

    /// Nothing: many proxies take the end of one half for that of both, and what is still in them is lost. The server closes
    /// after DISCONNECT ([MQTT-3.14.4-3]), and dropping the stream closes in any case.
    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        self.below.peer()
    }
}
