//! Waiting for something to become true of a connection.

use crate::client::Conn;
use crate::client::conn::State;
use crate::driver::DriveError;
use crate::error::Code;
use crate::time::Span;

impl Conn {
    /// Whether this thread may wait here. To be asked before a call that waits changes anything.
    pub fn may_wait(&self) -> Result<(), Code> {
        if self.context.driver.is_busy_here() { Err(Code::Busy) } else { Ok(()) }
    }

    /// As [`wait_for`](Self::wait_for), for something that needs a connection that is up. Logs a warning if nobody will
    /// open it.
    pub(in crate::client) fn wait_for_link<T>(
        &self,
        timeout: Option<Span>,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, Code> {
        let mut waits = timeout != Some(Span::ZERO);
        self.wait_for(timeout, |st| {
            let found = look(st);
            if found.is_none() && std::mem::take(&mut waits) {
                self.warn_that_nobody_opens(st, "a call");
            }
            found
        })
    }

    /// Waits until `look` finds what it looks for in the state, at most `timeout` (`None`: without limit;
    /// zero: only looks). The calling thread drives the loop meanwhile if nobody else does.
    ///
    /// Whoever makes it true outside a turn has to [`notify`](crate::driver::Loop::notify); a turn does it at
    /// its end. [`Code::TimedOut`] when the time is over, [`Code::Busy`] inside a handler,
    /// [`Code::Incomplete`] when the connection or its loop ends meanwhile.
    pub(in crate::client) fn wait_for<T>(
        &self,
        timeout: Option<Span>,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, Code> {
        let driver = &self.context.driver;
        let by = timeout.map(|timeout| driver.now() + timeout);
        let mut found = None;
        let mut done = || {
            found = match self.usable() {
                Ok(mut st) => look(&mut st).map(Ok),
                // Freed: the driver has to end it first. If this thread left now, perhaps nobody
                // would drive.
                Err(Code::Incomplete) if !self.is_gone() => None,
                Err(code) => Some(Err(code)),
            };
            found.is_some()
        };
        match driver.wait(by, &mut done) {
            Ok(_) => found.unwrap_or_else(|| Err(self.usable().err().unwrap_or(Code::TimedOut))),
            Err(DriveError::Busy) => Err(Code::Busy),
            Err(DriveError::Closed) => Err(Code::Incomplete),
            Err(DriveError::Io(_) | DriveError::NoResources) => Err(Code::NoResources),
        }
    }
}
