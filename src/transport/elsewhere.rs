//! In place of a stream that is in use without the connection's lock.

use std::io::{self, ErrorKind};

use mio::{Registry, Token};

use super::{Endpoint, Stream, Transport};

/// A stream that never gives and never takes anything. Whoever took the real one puts it back.
#[derive(Debug)]
pub struct Elsewhere;

impl From<Elsewhere> for Stream {
    fn from(it: Elsewhere) -> Stream {
        // Without a size, so that this allocates nothing.
        Stream::Other(Box::new(it))
    }
}

impl Transport for Elsewhere {
    fn register(&mut self, _: &Registry, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn deregister(&mut self, _: &Registry) {}

    fn connected(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn handshake(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    fn shutdown(&mut self) {}

    fn peer(&self) -> Option<Endpoint> {
        None
    }
}
