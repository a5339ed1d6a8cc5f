//! A socket that is full when the test says so.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use mgos_mqtt::transport::{Endpoint, Stream, Transport};
use mio::{Registry, Token};

pub(crate) struct Gated {
    pub(crate) socket: Stream,
    pub(crate) full: Arc<AtomicBool>,
}

impl Transport for Gated {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token)
    }

    fn deregister(&mut self, registry: &Registry) {
        self.socket.deregister(registry);
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.socket.connected()
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(buf)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.full.load(SeqCst) { Err(ErrorKind::WouldBlock.into()) } else { self.socket.write(bytes) }
    }

    fn shutdown(&mut self) {
        self.socket.shutdown();
    }

    fn peer(&self) -> Option<Endpoint> {
        self.socket.peer()
    }
}
