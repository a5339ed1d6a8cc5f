//! Moves the bytes of a stream that is no socket, in turns of its own, without the lock of its connection.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use crate::driver::{Loop, Source, SourceId, Turn};
use crate::sync::Mutex;
use crate::transport::custom::{Custom, Ringed, Rings};
use crate::transport::{Endpoint, Stream};

/// So many bytes are moved at a time.
const PIECE: usize = 16 * 1024;
/// So many pieces in a turn, in each direction.
const PIECES: usize = 8;

/// How far a stream is.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    New,
    /// The function has begun to open it.
    Opening,
    Open,
    /// Nothing more comes, and nothing more goes.
    Over,
    Closed,
}

struct Pump {
    id: SourceId,
    custom: Arc<dyn Custom>,
    rings: Arc<Rings>,
    stream: u64,
    host: String,
    port: u16,
    phase: Mutex<Phase>,
}

/// What moving bytes came to.
#[derive(Clone, Copy, PartialEq)]
enum Moved {
    /// There is nothing more for now.
    All,
    /// Others come first.
    Some,
    /// The stream is still being opened.
    NotOpen,
    /// It has ended.
    Over,
}

/// The number of a stream: that of its source, below one that never comes again.
fn number(id: SourceId) -> u64 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let unique = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    u64::from(unique) << 32 | id.bits() as u64
}

/// Says that a stream is ready. One that is closed is not known any more.
#[cfg(feature = "capi")]
pub fn ready(driver: &Loop, stream: u64) {
    driver.announce(mio::Token((stream & u64::from(u32::MAX)) as usize), true);
}

/// The pump as the loop has it: made before it, since the pump is to know its id.
pub(in crate::client) struct PumpSource(OnceLock<Pump>);

impl Source for PumpSource {
    fn drive(&self, turn: &mut Turn<'_>) {
        if let Some(pump) = self.0.get() {
            pump.drive(turn);
        }
    }
}

impl PumpSource {
    /// Begins to open a stream whose bytes `custom` moves, and who moves them.
    pub(in crate::client) fn open(
        driver: &Loop,
        custom: Arc<dyn Custom>,
        endpoint: &Endpoint,
        (host, port): (String, u16),
    ) -> io::Result<(Stream, Arc<PumpSource>)> {
        let source = Arc::new(PumpSource(OnceLock::new()));
        let id = driver.add(source.clone()).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
        let (wake, announce) = (driver.clone(), driver.clone());
        let rings =
            Rings::new(move || wake.schedule(id), move |token, readable| announce.announce(token, readable));
        let phase = Mutex::new(Phase::New);
        let pump = Pump { id, custom, rings: rings.clone(), stream: number(id), host, port, phase };
        // Set here and nowhere else.
        let _ = source.0.set(pump);
        driver.schedule(id);
        Ok((Stream::Other(Box::new(Ringed::new(rings, endpoint.clone()))), source))
    }

    /// The connection has ended: its stream is closed here, since there may be no further turn. Called with the driver's
    /// role, and without a lock.
    pub(in crate::client) fn finish(&self, driver: &Loop) {
        if let Some(pump) = self.0.get() {
            pump.end(&mut [0; 4096]);
            driver.remove(pump.id);
        }
    }
}

impl Pump {
    fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    fn enter(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    fn drive(&self, turn: &mut Turn<'_>) {
        let buffer = &mut turn.buffer[..PIECE];
        if self.rings.is_dropped() {
            self.end(buffer);
            turn.handle().remove(turn.id);
            return;
        }
        let mut more = false;
        match self.phase() {
            Phase::New => self.begin(),
            // What comes first, or an error, says how it went; `WouldBlock` that it is open.
            Phase::Opening if turn.readable => {
                let moved = self.receive(buffer);
                more |= moved == Moved::Some;
                if matches!(moved, Moved::All | Moved::Some) {
                    self.enter(Phase::Open);
                    self.rings.opened();
                }
            }
            _ => {}
        }
        if self.phase() == Phase::Open {
            more |= self.send(buffer) == Moved::Some;
        }
        if self.phase() == Phase::Open {
            more |= self.receive(buffer) == Moved::Some;
        }
        if more {
            turn.again();
        }
    }

    fn begin(&self) {
        self.enter(Phase::Opening);
        match self.custom.open(self.stream, &self.host, self.port) {
            Ok(()) => {
                self.enter(Phase::Open);
                self.rings.opened();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.over(Some(&error)),
        }
    }

    fn over(&self, error: Option<&io::Error>) {
        self.enter(Phase::Over);
        self.rings.ended(error);
    }

    /// Gives what waits to the function, as far as it takes it.
    fn send(&self, buffer: &mut [u8]) -> Moved {
        for _ in 0..PIECES {
            let n = self.rings.waiting(buffer);
            if n == 0 {
                return Moved::All;
            }
            match self.custom.write(self.stream, &buffer[..n]) {
                Ok(0) => return Moved::All,
                Ok(taken) => self.rings.taken(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Moved::All,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // The server may have said why.
                    if self.receive(buffer) != Moved::Over {
                        self.over(Some(&error));
                    }
                    return Moved::Over;
                }
            }
        }
        Moved::Some
    }

    /// Takes what there is from the function, as far as there is room.
    fn receive(&self, buffer: &mut [u8]) -> Moved {
        for _ in 0..PIECES {
            let room = self.rings.room().min(buffer.len());
            if room == 0 {
                // The stream wakes it when it was read.
                return Moved::All;
            }
            match self.custom.read(self.stream, &mut buffer[..room]) {
                Ok(n @ 1..) => {
                    if !self.rings.came(&buffer[..n.min(room)]) {
                        self.enter(Phase::Over);
                        return Moved::Over;
                    }
                }
                Ok(0) => {
                    self.over(None);
                    return Moved::Over;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Moved::All,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::NotConnected && self.phase() == Phase::Opening => {
                    return Moved::NotOpen;
                }
                Err(error) => {
                    self.over(Some(&error));
                    return Moved::Over;
                }
            }
        }
        Moved::Some
    }

    /// The stream is not used any more. What was written before is offered once more: DISCONNECT, for instance.
    fn end(&self, buffer: &mut [u8]) {
        if self.phase() == Phase::Open {
            self.send(buffer);
        }
        self.close();
    }

    fn close(&self) {
        let before = std::mem::replace(&mut *self.phase.lock(), Phase::Closed);
        if !matches!(before, Phase::New | Phase::Closed) {
            self.custom.close(self.stream);
        }
    }
}

/// The loop has ended before the stream.
impl Drop for Pump {
    fn drop(&mut self) {
        self.close();
    }
}
