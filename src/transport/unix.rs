//! Local (unix-domain) sockets.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::tcp::{NO_SIGNAL, retry};
use super::{Endpoint, SendQueue, Transport};
use crate::patience::Delivery;

/// A stream to a local socket. The system connects it at once or not at all.
#[derive(Debug)]
pub struct Unix {
    stream: UnixStream,
    path: Arc<str>,
}

impl Unix {
    /// Connects to the socket at `path`. The own socket is non-blocking and not inherited by children.
    pub fn connect(path: &Arc<str>) -> io::Result<Unix> {
        Ok(Unix { stream: UnixStream::connect(&**path)?, path: path.clone() })
    }
}

impl Transport for Unix {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    fn deregister(&mut self, registry: &Registry) {
        // Fails only if it was not registered.
        let _ = registry.deregister(&mut self.stream);
    }

    fn connected(&mut self) -> io::Result<bool> {
        self.stream.take_error()?.map_or(Ok(true), Err)
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        retry(|| self.stream.read(buf))
    }

    fn short_read_is_all(&self) -> bool {
        true
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        retry(|| self.stream.try_io(|| SockRef::from(&self.stream).send_with_flags(bytes, NO_SIGNAL)))
    }

    /// The system counts the memory of what the peer has not read, which is more than its bytes, and 0 when it has read
    /// everything.
    fn delivery(&self, given: u64, queue: SendQueue) -> Option<Delivery> {
        let left = queue(self.stream.as_raw_fd())?.min(given);
        Some(Delivery { left, moved: given - left })
    }

    fn shutdown(&mut self) {
        // Fails if the peer was faster.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn peer(&self) -> Option<Endpoint> {
        Some(Endpoint::Unix(self.path.clone()))
    }
}
