//! Who drives: the one role, the mode, the waiters.
//!
//! Whoever owns the engine (`E`: the poller, the event list, the read buffer) has the role, so the
//! types rule out two drivers at a time. Whoever wants the role claims it here, and sleeps here as
//! long as somebody else has it and the claim may still come true.
//!
//! Why nobody sleeps for ever:
//!
//! - A waiter reads the `epoch`, then looks at its condition, then claims. Whoever changes what a
//!   waiter may wait for calls [`Seat::notify`] *afterwards*, which raises the epoch under the lock;
//!   a claim with an old epoch returns at once. If the waiter drives, it is kicked instead.
//! - A driver that leaves in poll mode wakes one sleeper, since any of them can take the role. That
//!   one does take it: a time-out is only checked when the role is not free, and everything else
//!   that makes a claim fail (a new epoch, a change of the mode, closing) wakes all sleepers.
//! - A change of the mode, and closing, also kick the driver.

use std::time::Duration;

use super::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering};

/// Who drives a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Application threads, inside `poll` and `wait`.
    Poll,
    /// A foreign event loop, through `process`.
    Foreign,
    /// The loop's own thread.
    Thread,
}

/// What a thread wants the role for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// One iteration of `poll`.
    Poll,
    /// A wait whose condition was false at this epoch.
    Wait {
        /// From [`Seat::epoch`], read before the condition.
        epoch: usize,
    },
    /// The loop's own thread of this generation.
    Own {
        /// From [`Seat::start`].
        generation: usize,
    },
    /// Closing the loop.
    Close,
}

/// The result of a claim.
#[derive(Debug)]
pub(crate) enum Entry<E> {
    /// The caller is the driver now, and must give the engine back by [`Seat::leave`].
    Role(E),
    /// Another mode than the claim needs.
    Busy,
    /// The epoch or the mode is another: look again.
    Changed,
    /// The time is over.
    TimedOut,
    /// The loop is closed.
    Closed,
}

impl<E> Entry<E> {
    /// The same outcome with another kind of engine.
    pub(crate) fn map<F>(self, f: impl FnOnce(E) -> F) -> Entry<F> {
        match self {
            Entry::Role(engine) => Entry::Role(f(engine)),
            Entry::Busy => Entry::Busy,
            Entry::Changed => Entry::Changed,
            Entry::TimedOut => Entry::TimedOut,
            Entry::Closed => Entry::Closed,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Seat<E> {
    state: Mutex<State<E>>,
    changed: Condvar,
    /// Threads between [`Seat::arrive`] and [`Seat::depart`].
    waiting: AtomicUsize,
    /// The driver's thread number; 0: nobody.
    driver: AtomicUsize,
}

#[derive(Debug)]
struct State<E> {
    /// Present while the role is free.
    engine: Option<E>,
    mode: Mode,
    /// The thread that last called `process`.
    processing: usize,
    /// The driver is inside a wait, so a notification concerns it too.
    driver_waits: bool,
    missed: bool,
    closing: bool,
    /// Which own thread may run; a stopped one is of an older generation.
    generation: usize,
    epoch: usize,
    sleepers: usize,
}

enum Verdict {
    Admit,
    Sleep,
}

impl<E> Seat<E> {
    /// A free seat in poll mode.
    pub(crate) fn new(engine: E) -> Seat<E> {
        let state = State {
            engine: Some(engine),
            mode: Mode::Poll,
            processing: 0,
            driver_waits: false,
            missed: false,
            closing: false,
            generation: 0,
            epoch: 0,
            sleepers: 0,
        };
        Seat {
            state: Mutex::new(state),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            driver: AtomicUsize::new(0),
        }
    }

    /// Claims the role, and sleeps until the claim succeeds or can no longer succeed. `left` tells
    /// how much time there is (`None`: no limit).
    pub(crate) fn claim(&self, claim: Claim, me: usize, left: &dyn Fn() -> Option<Duration>) -> Entry<E> {
        let mut state = self.state.lock();
        loop {
            match state.judge(claim, me) {
                Err(refused) => return refused,
                Ok(Verdict::Sleep) => {}
                Ok(Verdict::Admit) => {
                    if let Some(engine) = state.engine.take() {
                        state.driver_waits = matches!(claim, Claim::Wait { .. });
                        self.driver.store(me, Ordering::Relaxed);
                        return Entry::Role(engine);
                    }
                }
            }
            let limit = left();
            if limit == Some(Duration::ZERO) {
                return Entry::TimedOut;
            }
            state.sleepers += 1;
            state = self.changed.wait(state, limit);
            state.sleepers -= 1;
        }
    }

    /// The usual case of a claim for an iteration of `poll`: the role is free, and the loop is already in poll
    /// mode.
    #[inline]
    pub(crate) fn try_poll(&self, me: usize) -> Option<E> {
        let mut state = self.state.lock();
        if state.closing || state.mode != Mode::Poll {
            return None;
        }
        let engine = state.engine.take()?;
        state.driver_waits = false;
        self.driver.store(me, Ordering::Relaxed);
        Some(engine)
    }

    /// Takes the role if it is free at this moment.
    pub(crate) fn try_take(&self, me: usize) -> Option<E> {
        let mut state = self.state.lock();
        if state.closing {
            return None;
        }
        let engine = state.engine.take()?;
        state.driver_waits = false;
        self.driver.store(me, Ordering::Relaxed);
        Some(engine)
    }

    /// Gives the role back, for good when the loop closes (`engine` is `None`). True if a foreign
    /// loop tried to process meanwhile and could not: it must be woken.
    pub(crate) fn leave(&self, engine: Option<E>) -> bool {
        let mut state = self.state.lock();
        self.driver.store(0, Ordering::Relaxed);
        state.engine = engine;
        state.driver_waits = false;
        if state.sleepers > 0 {
            // In poll mode any sleeper can take it; in the others perhaps only a certain one.
            if state.mode == Mode::Poll && !state.closing {
                self.changed.notify_one();
            } else {
                self.changed.notify_all();
            }
        }
        std::mem::take(&mut state.missed)
    }

    /// Whether a driver that got its role by `claim` may do another iteration.
    pub(crate) fn may_go_on(&self, claim: Claim, me: usize) -> bool {
        // A waiter looked at its condition itself, so its epoch does not matter here.
        let mut state = self.state.lock();
        let claim = match claim {
            Claim::Wait { .. } => Claim::Wait { epoch: state.epoch },
            other => other,
        };
        matches!(state.judge(claim, me), Ok(Verdict::Admit))
    }

    /// `poll` was called: leaves foreign mode. Kick the driver if true.
    pub(crate) fn polled(&self) -> bool {
        let mut state = self.state.lock();
        let change = state.mode == Mode::Foreign && !state.closing;
        if change {
            self.set_mode(&mut state, Mode::Poll);
        }
        change && state.engine.is_none()
    }

    /// `process` was called by `me`: enters foreign mode, and takes the role if it is free. The
    /// second value: kick the driver.
    pub(crate) fn processed(&self, me: usize) -> (Entry<E>, bool) {
        let mut state = self.state.lock();
        if state.closing {
            return (Entry::Closed, false);
        }
        if state.mode == Mode::Thread {
            return (Entry::Busy, false);
        }
        let change = state.mode != Mode::Foreign || state.processing != me;
        if change {
            state.processing = me;
            self.set_mode(&mut state, Mode::Foreign);
        }
        match state.engine.take() {
            Some(engine) => {
                state.driver_waits = false;
                self.driver.store(me, Ordering::Relaxed);
                (Entry::Role(engine), false)
            }
            None => {
                state.missed = true;
                (Entry::Changed, change)
            }
        }
    }

    /// Enters thread mode: the generation that the new thread claims with. Kick the driver.
    /// Fails if the loop has a thread already, or is closed.
    pub(crate) fn start<R>(&self) -> Result<usize, Entry<R>> {
        let mut state = self.state.lock();
        if state.closing {
            return Err(Entry::Closed);
        }
        if state.mode == Mode::Thread {
            return Err(Entry::Busy);
        }
        state.generation = state.generation.wrapping_add(1);
        self.set_mode(&mut state, Mode::Thread);
        Ok(state.generation)
    }

    /// Leaves thread mode, if `generation` (`None`: whichever) is the one running. Kick the driver
    /// if true.
    pub(crate) fn stop(&self, generation: Option<usize>) -> bool {
        let mut state = self.state.lock();
        let running = state.mode == Mode::Thread && generation.is_none_or(|it| it == state.generation);
        if running {
            self.set_mode(&mut state, Mode::Poll);
        }
        running
    }

    /// From now on only closing gets the role; everybody else learns that the loop is closed. Kick
    /// the driver. False if somebody closes it already.
    pub(crate) fn begin_close(&self) -> bool {
        let mut state = self.state.lock();
        if state.closing {
            return false;
        }
        state.closing = true;
        self.set_mode(&mut state, Mode::Poll);
        true
    }

    /// A thread begins to wait.
    pub(crate) fn arrive(&self) {
        // SeqCst, against the load in `notify`: either this thread's look at its condition sees
        // the change, or the notifier sees this thread.
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// It waits no more.
    pub(crate) fn depart(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number of notifications so far.
    pub(crate) fn epoch(&self) -> usize {
        self.state.lock().epoch
    }

    /// Whether any thread is inside a wait. To be asked after what it may wait for was changed.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Something that a waiter may wait for has changed. Kick the driver if true.
    pub(crate) fn notify(&self, me: usize) -> bool {
        if !self.is_waited_for() {
            return false;
        }
        let mut state = self.state.lock();
        state.epoch = state.epoch.wrapping_add(1);
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
        // A driver looks at its condition after each iteration anyway: no need to kick oneself.
        state.driver_waits && self.driver.load(Ordering::Relaxed) != me
    }

    /// Whether this thread drives.
    pub(crate) fn is_driver(&self, me: usize) -> bool {
        self.driver.load(Ordering::Relaxed) == me
    }

    /// Who drives.
    pub(crate) fn mode(&self) -> Mode {
        self.state.lock().mode
    }

    fn set_mode(&self, state: &mut MutexGuard<'_, State<E>>, mode: Mode) {
        state.mode = mode;
        self.changed.notify_all();
    }
}

impl<E> State<E> {
    /// The result of a claim at this moment, if the role is free.
    fn judge(&mut self, claim: Claim, me: usize) -> Result<Verdict, Entry<E>> {
        if self.closing && claim != Claim::Close {
            return Err(Entry::Closed);
        }
        match (claim, self.mode) {
            (Claim::Close, _) | (Claim::Poll, Mode::Poll) => Ok(Verdict::Admit),
            (Claim::Poll, Mode::Thread) => Err(Entry::Busy),
            // It changed while the call slept.
            (Claim::Poll, Mode::Foreign) => Err(Entry::Changed),
            (Claim::Wait { epoch }, _) if epoch != self.epoch => Err(Entry::Changed),
            (Claim::Wait { .. }, Mode::Poll) => Ok(Verdict::Admit),
            (Claim::Wait { .. }, Mode::Foreign) if self.processing == me => Ok(Verdict::Admit),
            (Claim::Wait { .. }, _) => Ok(Verdict::Sleep),
            (Claim::Own { generation }, Mode::Thread) if generation == self.generation => Ok(Verdict::Admit),
            (Claim::Own { .. }, _) => Err(Entry::Changed),
        }
    }
}
