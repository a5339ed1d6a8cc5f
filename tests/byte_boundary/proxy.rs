//! A proxy for one client, which breaks one of its connections after a given number of bytes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    ToBroker,
    ToClient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// Both sides see the stream end.
    Closed,
    /// The client sees a reset.
    Reset,
    /// Nothing goes through any more, and nobody is told.
    Stalled,
}

/// Where and how a connection is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cut {
    pub(crate) direction: Direction,
    pub(crate) after: usize,
    pub(crate) how: How,
}

/// What a test says to the proxy, and hears from it.
pub(crate) struct State {
    stop: AtomicBool,
    /// The number of the connection that is to be broken; should it end before its byte has come, a later one.
    target: usize,
    cut: Option<Cut>,
    /// It was broken.
    struck: AtomicBool,
    accepted: AtomicUsize,
    /// Nothing more goes this way; by direction.
    mute: [AtomicBool; 2],
    /// Bytes that went through the connection to be broken.
    counts: [AtomicUsize; 2],
    /// Weak: a link is closed, and reset, by its two directions letting go of it.
    latest: Mutex<Weak<Link>>,
}

impl State {
    /// Whether the next connection is the one to be broken.
    pub(crate) fn is_next(&self) -> bool {
        self.cut.is_some() && !self.struck.load(SeqCst) && self.accepted.load(SeqCst) >= self.target
    }

    /// How many connections were meant to be broken and ended before.
    pub(crate) fn missed(&self) -> usize {
        self.accepted.load(SeqCst).saturating_sub(self.target)
    }

    pub(crate) fn has_struck(&self) -> bool {
        self.struck.load(SeqCst)
    }

    pub(crate) fn bytes(&self) -> [usize; 2] {
        [0, 1].map(|at: usize| self.counts[at].load(SeqCst))
    }

    /// From now on nothing goes through in this direction; for the connection that is up.
    pub(crate) fn silence(&self, direction: Direction) {
        self.mute[direction as usize].store(true, SeqCst);
    }

    /// Closes the connection that is up, and lets the next one speak again.
    pub(crate) fn close(&self) {
        if let Some(link) = self.latest.lock().unwrap().upgrade() {
            link.break_off(How::Closed);
        }
        for mute in &self.mute {
            mute.store(false, SeqCst);
        }
    }
}

/// What the two directions of one connection share.
struct Link {
    client: TcpStream,
    broker: TcpStream,
    /// It is the one to be broken, or to be measured.
    chosen: bool,
    broken: AtomicBool,
    state: Arc<State>,
}

impl Link {
    /// Breaks the connection; nothing is forwarded afterwards.
    fn break_off(&self, how: How) {
        self.broken.store(true, SeqCst);
        match how {
            How::Closed => {
                let _ = self.client.shutdown(Shutdown::Both);
            }
            How::Reset => {
                // Closing it will reset it; until then its reader has to be woken.
                let _ = socket2::SockRef::from(&self.client).set_linger(Some(Duration::ZERO));
                let _ = self.client.shutdown(Shutdown::Read);
            }
            How::Stalled => return,
        }
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    /// Moves the bytes of one direction, until the end.
    fn forward(&self, direction: Direction) {
        let (mut from, mut to) = match direction {
            Direction::ToBroker => (&self.client, &self.broker),
            Direction::ToClient => (&self.broker, &self.client),
        };
        let mine = self.state.cut.filter(|cut| self.chosen && cut.direction == direction);
        let mute = &self.state.mute[direction as usize];
        let mut buffer = [0; 4096];
        let mut count = 0;
        loop {
            if let Some(cut) = mine.filter(|cut| cut.after == count)
                && !self.broken.load(SeqCst)
            {
                // Before the client can notice, and connect again.
                self.state.struck.store(true, SeqCst);
                self.break_off(cut.how);
                if cut.how != How::Stalled {
                    return;
                }
            }
            let room = mine.map_or(buffer.len(), |cut| (cut.after.wrapping_sub(count)).min(buffer.len()));
            let n = match from.read(&mut buffer[..room.max(1)]) {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            if self.broken.load(SeqCst) || mute.load(SeqCst) {
                // It only has to be seen when the client gives up.
                continue;
            }
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
            count += n;
            if self.chosen {
                self.state.counts[direction as usize].fetch_add(n, SeqCst);
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        if direction == Direction::ToBroker {
            let _ = self.broker.shutdown(Shutdown::Both);
        } else if !self.broken.load(SeqCst) {
            let _ = self.client.shutdown(Shutdown::Both);
        }
    }
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Breaks the connection with this number, from 0, and those that come after it until one of them has struck.
    /// Without a cut that connection is only measured.
    pub(crate) fn start(broker: SocketAddr, target: usize, cut: Option<Cut>) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            stop: AtomicBool::new(false),
            target,
            cut,
            struck: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            mute: Default::default(),
            counts: Default::default(),
            latest: Mutex::default(),
        });
        let thread = std::thread::spawn({
            let state = state.clone();
            move || accept(&listener, broker, &state)
        });
        Proxy { address, state, thread: Some(thread) }
    }
}

fn accept(listener: &TcpListener, broker: SocketAddr, state: &Arc<State>) {
    let mut halves = Vec::new();
    for client in listener.incoming() {
        if state.stop.load(SeqCst) {
            break;
        }
        let client = client.unwrap();
        let to_broker = TcpStream::connect(broker).unwrap();
        client.set_nodelay(true).unwrap();
        to_broker.set_nodelay(true).unwrap();
        let chosen = match state.cut {
            Some(_) => state.is_next(),
            None => state.accepted.load(SeqCst) == state.target,
        };
        state.accepted.fetch_add(1, SeqCst);
        let link = Arc::new(Link {
            client,
            broker: to_broker,
            chosen,
            broken: AtomicBool::new(false),
            state: state.clone(),
        });
        *state.latest.lock().unwrap() = Arc::downgrade(&link);
        for direction in [Direction::ToBroker, Direction::ToClient] {
            let link = link.clone();
            halves.push(std::thread::spawn(move || link.forward(direction)));
        }
    }
    for half in halves {
        half.join().unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.stop.store(true, SeqCst);
        // Wakes the accept.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
