//! A stream that is no socket: the application moves its bytes by functions of its own.
//!
//! These run on the thread that drives the loop and without a lock; the stream is read and written under that of its
//! connection, on any thread. So the two share two rings: the stream fills one and empties the other, and a source of the loop
//! moves bytes between them and the functions.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use mio::{Registry, Token};

use super::{Endpoint, LayerError, SendQueue, Transport};
use crate::error::{Code, Phase};
use crate::patience::Delivery;
use crate::sync::Mutex;

/// So many bytes wait in each direction at most.
const RING: usize = 64 * 1024;

/// Moves the bytes of streams. Called on the thread that drives the loop, with no lock held. `WouldBlock`: nothing before
/// the loop is told that the stream is ready.
pub trait Custom: Send + Sync {
    /// Begins to open the stream with this number. `WouldBlock`: it is open, or has failed, when it is ready.
    fn open(&self, stream: u64, host: &str, port: u16) -> io::Result<()>;

    /// Reads what there is; 0 is the end. `NotConnected` of one that is being opened: it still is.
    fn read(&self, stream: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Takes as many bytes as it can; 0 is as `WouldBlock`.
    fn write(&self, stream: u64, bytes: &[u8]) -> io::Result<usize>;

    /// The stream is not used any more. Called once for each that was to be opened.
    fn close(&self, stream: u64);
}

impl fmt::Debug for dyn Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custom")
    }
}

/// What asks the loop for something, from any thread.
type Tell<A> = Box<dyn Fn(A) + Send + Sync>;

/// What the stream and who moves its bytes share.
pub struct Rings {
    state: Mutex<State>,
    /// There is something to be moved.
    wake: Tell<()>,
    /// The stream with this token is ready: readable, or else only writable.
    announce: Tell<(Token, bool)>,
}

#[derive(Default)]
struct State {
    to_peer: VecDeque<u8>,
    from_peer: VecDeque<u8>,
    is_open: bool,
    /// No more comes.
    over: Option<Over>,
    /// The stream was dropped.
    dropped: bool,
    /// Of the connection.
    token: Option<Token>,
}

/// Why no more comes.
enum Over {
    /// It is the end of the stream.
    End,
    /// What the system calls the error.
    Os(i32),
    /// An error with a sentence of its own.
    Said(LayerError),
}

impl Over {
    fn of(error: &io::Error) -> Over {
        match LayerError::of(error) {
            Some(error) => Over::Said(error.clone()),
            None => Over::Os(error.raw_os_error().unwrap_or(EIO)),
        }
    }

    /// `None` at the end of the stream.
    fn error(&self) -> Option<io::Error> {
        match self {
            Over::End => None,
            Over::Os(number) => Some(io::Error::from_raw_os_error(*number)),
            Over::Said(error) => Some(error.clone().into()),
        }
    }
}

impl State {
    fn is_readable(&self) -> bool {
        !self.from_peer.is_empty() || self.over.is_some()
    }
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rings")
    }
}

impl Rings {
    /// Two empty ones.
    pub fn new(
        wake: impl Fn() + Send + Sync + 'static,
        announce: impl Fn(Token, bool) + Send + Sync + 'static,
    ) -> Arc<Rings> {
        Arc::new(Rings {
            state: Mutex::default(),
            wake: Box::new(move |()| wake()),
            announce: Box::new(move |(token, readable)| announce(token, readable)),
        })
    }

    /// Changes the state, and tells the connection that the stream is ready.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let (token, readable) = (state.token, state.is_readable());
        drop(state);
        if let Some(token) = token {
            (self.announce)((token, readable));
        }
    }

    /// The stream is open.
    pub fn opened(&self) {
        self.change(|state| state.is_open = true);
    }

    /// Nothing more comes from the peer: `None` is the end of the stream.
    pub fn ended(&self, error: Option<&io::Error>) {
        let over = error.map_or(Over::End, Over::of);
        self.change(|state| state.over = Some(over));
    }

    /// Whether the stream was dropped.
    pub fn is_dropped(&self) -> bool {
        self.state.lock().dropped
    }

    /// The beginning of what waits for the peer, as far as `buf` has room for it.
    pub fn waiting(&self, buf: &mut [u8]) -> usize {
        let state = self.state.lock();
        let (front, _) = state.to_peer.as_slices();
        let n = front.len().min(buf.len());
        buf[..n].copy_from_slice(&front[..n]);
        n
    }

    /// The peer has taken so many of these.
    pub fn taken(&self, n: usize) {
        self.change(|state| {
            let n = n.min(state.to_peer.len());
            state.to_peer.drain(..n);
        });
    }

    /// How many bytes of the peer there is room for.
    pub fn room(&self) -> usize {
        RING - self.state.lock().from_peer.len()
    }

    /// These came from the peer. False without memory for them: then nothing more comes.
    pub fn came(&self, bytes: &[u8]) -> bool {
        let mut fits = true;
        self.change(|state| {
            fits = state.from_peer.try_reserve(bytes.len()).is_ok();
            match fits {
                true => state.from_peer.extend(bytes),
                false => state.over = Some(Over::Os(ENOMEM)),
            }
        });
        fits
    }
}

/// These are the same everywhere: an error that is none of the system, and no memory.
const EIO: i32 = 5;
const ENOMEM: i32 = 12;

/// The stream above its rings.
#[derive(Debug)]
pub struct Ringed {
    rings: Arc<Rings>,
    endpoint: Endpoint,
}

impl Ringed {
    /// A stream to this endpoint, which is opened by who moves its bytes.
    pub fn new(rings: Arc<Rings>, endpoint: Endpoint) -> Ringed {
        Ringed { rings, endpoint }
    }
}

impl Drop for Ringed {
    fn drop(&mut self) {
        self.rings.state.lock().dropped = true;
        (self.rings.wake)(());
    }
}

impl Transport for Ringed {
    fn register(&mut self, _: &Registry, token: Token) -> io::Result<()> {
        self.rings.change(|state| state.token = Some(token));
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {
        self.rings.state.lock().token = None;
    }

    fn connected(&mut self) -> io::Result<bool> {
        let state = self.rings.state.lock();
        match &state.over {
            _ if state.is_open => Ok(true),
            None => Ok(false),
            Some(over) => Err(over.error().unwrap_or_else(|| {
                let text = format!("{}: the stream ended before it was open", self.endpoint);
                LayerError { code: Code::ConnectFailed, phase: Phase::Tcp, text, alert: None }.into()
            })),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.rings.state.lock();
        let n = state.from_peer.len().min(buf.len());
        if n == 0 {
            return match &state.over {
                None => Err(ErrorKind::WouldBlock.into()),
                Some(over) => over.error().map_or(Ok(0), Err),
            };
        }
        let was_full = state.from_peer.len() == RING;
        for (to, byte) in buf.iter_mut().zip(state.from_peer.drain(..n)) {
            *to = byte;
        }
        drop(state);
        if was_full {
            (self.rings.wake)(());
        }
        Ok(n)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.rings.state.lock();
        if let Some(error) = state.over.as_ref().and_then(Over::error) {
            return Err(error);
        }
        let n = (RING - state.to_peer.len()).min(bytes.len());
        if n == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.to_peer.try_reserve(n).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        state.to_peer.extend(&bytes[..n]);
        drop(state);
        (self.rings.wake)(());
        Ok(n)
    }

    /// What is in the ring counts as sent, as with the buffer of a socket; but whoever waits for it to arrive learns that the
    /// functions have not taken it.
    fn delivery(&self, given: u64, _: SendQueue) -> Option<Delivery> {
        let left = self.rings.state.lock().to_peer.len() as u64;
        Some(Delivery { left, moved: given.saturating_sub(left) })
    }

    /// Nothing: there is no function that ends one half. The server closes after DISCONNECT ([MQTT-3.14.4-3]), and dropping
    /// the stream closes in any case.
    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        Some(self.endpoint.clone())
    }
}
