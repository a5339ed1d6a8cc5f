//! The two halves of the protocol together: who drives ([`role`](super::role)) and who has work
//! ([`ready`](super::ready)). No system call, no clock and no thread is named here, so that the
//! models in `tests/loom` run this file as it ships.

use super::ready::{Ready, Wake};
use super::role::{Claim, Entry, Seat};
use crate::time::{Span, Time};

/// See the module. `E` is the engine, `T` a source, `W` the waker that ends a sleep.
#[derive(Debug)]
pub(crate) struct Protocol<E, T, W: Wake> {
    /// Who drives.
    pub(crate) seat: Seat<E>,
    /// Who has work.
    pub(crate) ready: Ready<T, W>,
}

/// Possession of the role; gives it back when dropped, even by a panic in user code.
#[derive(Debug)]
pub(crate) struct Driving<'a, E, T: Clone, W: Wake> {
    protocol: &'a Protocol<E, T, W>,
    engine: Option<E>,
}

/// Why a wait ended without its condition, other than by time.
#[derive(Debug)]
pub(crate) enum WaitError<F> {
    /// The loop is closed.
    Closed,
    /// An iteration failed.
    Failed(F),
}

impl<E, T: Clone, W: Wake> Protocol<E, T, W> {
    /// A free engine, no sources, poll mode.
    pub(crate) fn new(engine: E, waker: W) -> Protocol<E, T, W> {
        Protocol { seat: Seat::new(engine), ready: Ready::new(waker) }
    }

    /// Waits for the role, see [`Seat::claim`].
    pub(crate) fn claim(
        &self,
        claim: Claim,
        me: usize,
        left: &dyn Fn() -> Option<Span>,
    ) -> Entry<Driving<'_, E, T, W>> {
        let entry = self.seat.claim(claim, me, &|| left().map(Span::to_duration));
        entry.map(|engine| self.driving(engine))
    }

    /// For one iteration of `poll`.
    pub(crate) fn poll(&self, me: usize, left: &dyn Fn() -> Option<Span>) -> Entry<Driving<'_, E, T, W>> {
        if let Some(engine) = self.seat.try_poll(me) {
            return Entry::Role(self.driving(engine));
        }
        if self.seat.polled() {
            self.ready.kick();
        }
        self.claim(Claim::Poll, me, left)
    }

    /// For one iteration of `process`. Does not wait: if somebody else drives, that one makes the
    /// descriptor readable when it leaves.
    pub(crate) fn process(&self, me: usize) -> Entry<Driving<'_, E, T, W>> {
        self.ready.watch();
        let (entry, kick) = self.seat.processed(me);
        if kick {
            self.ready.kick();
        }
        entry.map(|engine| {
            self.ready.driven(true);
            self.driving(engine)
        })
    }

    /// The role, if it is free at this moment.
    pub(crate) fn try_drive(&self, me: usize) -> Option<Driving<'_, E, T, W>> {
        self.seat.try_take(me).map(|engine| {
            self.ready.driven(false);
            self.driving(engine)
        })
    }

    /// How long a foreign loop may sleep, see [`Ready::next_timeout`].
    pub(crate) fn next_timeout(&self, now: Time, me: usize) -> Option<Span> {
        self.ready.watch();
        self.ready.next_timeout(now, self.seat.is_driver(me))
    }

    /// Waits until `done`; false when the time is over. `iteration` drives one iteration.
    pub(crate) fn wait<F>(
        &self,
        me: usize,
        left: &dyn Fn() -> Option<Span>,
        done: &mut dyn FnMut() -> bool,
        iteration: &mut dyn FnMut(&mut E) -> Result<(), F>,
    ) -> Result<bool, WaitError<F>> {
        let _waiting = Waiting::new(&self.seat);
        loop {
            // In this order: a change after the condition was checked raises the epoch, and the
            // claim fails.
            let epoch = self.seat.epoch();
            if done() {
                return Ok(true);
            }
            let claim = Claim::Wait { epoch };
            match self.claim(claim, me, left) {
                Entry::Role(mut driving) => loop {
                    driving.iteration(iteration).map_err(WaitError::Failed)?;
                    if done() {
                        return Ok(true);
                    }
                    if left() == Some(Span::ZERO) {
                        return Ok(false);
                    }
                    if !driving.may_go_on(claim, me) {
                        break;
                    }
                },
                Entry::TimedOut => return Ok(done()),
                Entry::Closed if done() => return Ok(true),
                Entry::Closed => return Err(WaitError::Closed),
                Entry::Changed | Entry::Busy => {}
            }
        }
    }

    /// Something changed that a waiter may wait for.
    pub(crate) fn notify(&self, me: usize) {
        if self.seat.notify(me) {
            self.ready.kick();
        }
    }

    /// Enters thread mode; the new thread claims with the generation. The caller calls
    /// [`Ready::kick`] when the thread exists.
    pub(crate) fn start<R>(&self) -> Result<usize, Entry<R>> {
        self.seat.start()
    }

    /// Leaves thread mode, see [`Seat::stop`].
    pub(crate) fn stop(&self, generation: Option<usize>) {
        if self.seat.stop(generation) {
            self.ready.kick();
        }
    }

    /// Begins to close: from now on only [`Claim::Close`] gets the role. False if it has begun.
    pub(crate) fn begin_close(&self) -> bool {
        let first = self.seat.begin_close();
        if first {
            self.ready.kick();
        }
        first
    }

    /// An iteration follows; its first step tells `ready`, unless that is told before.
    fn driving(&self, engine: E) -> Driving<'_, E, T, W> {
        Driving { protocol: self, engine: Some(engine) }
    }
}

impl<E, T: Clone, W: Wake> Driving<'_, E, T, W> {
    /// Runs `iteration` with the engine.
    pub(crate) fn iteration<F>(
        &mut self,
        iteration: &mut dyn FnMut(&mut E) -> Result<(), F>,
    ) -> Result<(), F> {
        match &mut self.engine {
            Some(engine) => iteration(engine),
            None => Ok(()),
        }
    }

    /// Whether the role may be kept for another iteration.
    pub(crate) fn may_go_on(&self, claim: Claim, me: usize) -> bool {
        self.protocol.seat.may_go_on(claim, me)
    }

    /// Leaves for good: the engine is gone when this returns.
    pub(crate) fn finish(mut self) {
        drop(self.engine.take());
        self.protocol.seat.leave(None);
    }
}

impl<E, T: Clone, W: Wake> Drop for Driving<'_, E, T, W> {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        let Protocol { seat, ready } = self.protocol;
        // While the role is still here: afterwards the flags belong to the next driver.
        let wrong = ready.rest();
        let missed = seat.leave(Some(engine));
        // A superfluous wake costs a foreign loop one empty iteration; a missing one would let it
        // sleep for ever.
        if wrong || missed {
            ready.wake_fd();
        }
    }
}

/// A thread is inside a wait.
struct Waiting<'a, E>(&'a Seat<E>);

impl<'a, E> Waiting<'a, E> {
    fn new(seat: &'a Seat<E>) -> Self {
        seat.arrive();
        Waiting(seat)
    }
}

impl<E> Drop for Waiting<'_, E> {
    fn drop(&mut self) {
        self.0.depart();
    }
}
