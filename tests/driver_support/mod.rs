//! What the tests of the driver share.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use mgos_mqtt::config::SocketOptions;
use mgos_mqtt::driver::{Clock, Loop, Source, SourceId, Turn};
use mgos_mqtt::time::{Span, Time};
use mgos_mqtt::transport::{Tcp, Transport};

/// A source made of a closure.
pub(crate) struct Run<F>(F);

impl<F: Fn(&mut Turn<'_>) + Send + Sync> Source for Run<F> {
    fn drive(&self, turn: &mut Turn<'_>) {
        (self.0)(turn);
    }
}

/// A source that calls `f` for its turns.
pub(crate) fn source(f: impl Fn(&mut Turn<'_>) + Send + Sync + 'static) -> Arc<dyn Source> {
    Arc::new(Run(f))
}

/// Counts the rounds of a loop.
#[derive(Default)]
pub(crate) struct Rounds(AtomicUsize);

impl Source for Rounds {
    fn drive(&self, _: &mut Turn<'_>) {}

    fn iteration_end(&self, _: &mut Turn<'_>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Rounds {
    pub(crate) fn of(on: &Loop) -> Arc<Rounds> {
        let rounds = Arc::new(Rounds::default());
        let id = on.add(rounds.clone()).unwrap();
        on.set_every_iteration(id, true);
        rounds
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

pub(crate) fn new_loop() -> Loop {
    Loop::new(Clock::monotonic()).unwrap()
}

/// A moment that a correct loop never reaches: so a wait that fails does not hang the tests.
pub(crate) fn patience(on: &Loop) -> Option<Time> {
    Some(on.now() + Span::secs(20))
}

/// Waits for `done`, and fails if it does not come, or if nobody told: then the wait would see it at its deadline only.
#[track_caller]
pub(crate) fn until(on: &Loop, mut done: impl FnMut() -> bool) {
    let late = patience(on).unwrap();
    assert!(on.wait(Some(late), &mut done).unwrap() && on.now() < late, "waited in vain");
}

/// A server on this host that runs `serve` for the one connection it takes.
pub(crate) fn server<R: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> R + Send + 'static,
) -> (SocketAddr, JoinHandle<R>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (address, std::thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Sends back what it gets, until the end.
pub(crate) fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..n]).unwrap();
    }
}

/// A client that sends `request` once connected, and reads at most `bound` bytes a turn.
pub(crate) struct Client {
    state: Mutex<ClientState>,
    bound: usize,
}

struct ClientState {
    tcp: Tcp,
    registered: bool,
    open: bool,
    request: Vec<u8>,
    received: Vec<u8>,
    end: bool,
}

impl Client {
    /// Connects, and adds itself to the loop.
    pub(crate) fn add(
        on: &Loop,
        address: SocketAddr,
        request: &[u8],
        bound: usize,
    ) -> (Arc<Client>, SourceId) {
        let state = ClientState {
            tcp: Tcp::connect(address, &SocketOptions::default()).unwrap(),
            registered: false,
            open: false,
            request: request.to_vec(),
            received: Vec::new(),
            end: false,
        };
        let client = Arc::new(Client { state: Mutex::new(state), bound });
        let id = on.add(client.clone()).unwrap();
        on.schedule(id);
        (client, id)
    }

    pub(crate) fn received(&self) -> usize {
        self.state.lock().unwrap().received.len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().received.clone()
    }
}

impl Source for Client {
    fn drive(&self, turn: &mut Turn<'_>) {
        let state = &mut *self.state.lock().unwrap();
        if !state.registered {
            state.registered = true;
            state.tcp.register(turn.registry(), turn.token()).unwrap();
            return;
        }
        if !state.open {
            state.open = state.tcp.connected().unwrap();
        }
        if !state.open || state.end {
            return;
        }
        while !state.request.is_empty() {
            match state.tcp.write(&state.request) {
                Ok(n) => drop(state.request.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        match state.tcp.read(&mut turn.buffer[..self.bound]) {
            Ok(0) => state.end = true,
            Ok(n) => {
                state.received.extend_from_slice(&turn.buffer[..n]);
                turn.again();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        turn.handle().notify();
    }
}
