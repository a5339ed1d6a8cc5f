//! TCP.

use std::ffi::c_int;
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use super::{Endpoint, SendQueue, Transport, tcp_options};
use crate::config::SocketOptions;
use crate::patience::Delivery;

/// Flags for every send: a peer that went away is an error, not a signal.
///
/// SIGPIPE kills a C host, and a library must not change the host's signal handlers. Rust's own
/// vectored write uses `writev`, which has no flags; so all sending goes through `send` and
/// `sendmsg` here. The value is the system's `MSG_NOSIGNAL`, which is not worth `libc` in this room.
pub(super) const NO_SIGNAL: c_int =
    if cfg!(any(target_os = "linux", target_os = "android", target_os = "emscripten")) {
        0x4000
    } else if cfg!(any(target_os = "freebsd")) {
        0x2_0000
    } else if cfg!(any(target_os = "openbsd", target_os = "netbsd", target_os = "dragonfly")) {
        0x400
    } else if cfg!(any(target_os = "illumos", target_os = "solaris")) {
        0x200
    } else {
        // Apple: mio sets SO_NOSIGPIPE on the socket instead.
        0
    };

/// A TCP stream.
#[derive(Debug)]
pub struct Tcp {
    stream: TcpStream,
    open: bool,
    shut: bool,
}

impl Tcp {
    /// Begins to connect to `address`. The socket is non-blocking and not inherited by children.
    pub fn connect(address: SocketAddr, options: &SocketOptions) -> io::Result<Tcp> {
        let stream = match *options == SocketOptions::default() {
            true => TcpStream::connect(address)?,
            false => TcpStream::from_std(tcp_options::connect(address, options)?),
        };
        Ok(Tcp { stream, open: false, shut: false })
    }
}

impl Transport for Tcp {
    fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    fn deregister(&mut self, registry: &Registry) {
        // Fails only if it was not registered.
        let _ = registry.deregister(&mut self.stream);
    }

    fn connected(&mut self) -> io::Result<bool> {
        // Once connected, it stays so: a stream whose both halves have ended has no peer address
        // either, but may still have bytes to be read.
        if self.open {
            return Ok(true);
        }
        if let Some(error) = self.stream.take_error()? {
            return Err(error);
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                // Packets are small and complete when they are written. Set only now because some
                // systems refuse it before; without it the stream is slower, not broken.
                let _ = self.stream.set_nodelay(true);
                self.open = true;
                Ok(true)
            }
            // Still under way.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
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

    /// The system counts the end of the stream (FIN) as a byte of it.
    fn delivery(&self, given: u64, queue: SendQueue) -> Option<Delivery> {
        let left = queue(self.stream.as_raw_fd())?.saturating_sub(u64::from(self.shut));
        Some(Delivery { left, moved: given.saturating_sub(left) })
    }

    fn shutdown(&mut self) {
        self.shut = true;
        // Fails if the peer was faster.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn peer(&self) -> Option<Endpoint> {
        self.stream.peer_addr().ok().map(Endpoint::Socket)
    }
}

/// Repeats a call that a signal interrupted.
pub(super) fn retry(mut io: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match io() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
