//! A loop's own thread.

use std::thread::JoinHandle;

use super::dispatch::{in_dispatch, thread_number};
use super::iteration::iteration;
use super::role::{Claim, Entry};
use super::spawn::spawn;
use super::sync::{Condvar, Mutex};
use super::{DriveError, Loop};
use crate::time::Time;

/// The loop's threads, of which one is wanted and others may be on their way out. Each joins its
/// predecessor before it begins, so they end in the order in which they were started.
#[derive(Debug, Default)]
pub(super) struct OwnThread {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    youngest: Option<JoinHandle<()>>,
    /// The generation of the youngest.
    started: usize,
    /// The last generation that ended.
    ended: usize,
}

impl Loop {
    /// Gives the loop a thread of its own, with this name.
    ///
    /// [`DriveError::Busy`] if it has one. The thread keeps the loop alive: whoever starts one ends
    /// with [`stop`](Self::stop) or [`close`](Self::close).
    pub fn start(&self, name: &str) -> Result<(), DriveError> {
        let inner = &*self.0;
        // Held until the handle is stored, so that a stop on another thread finds it.
        let mut state = inner.own.state.lock();
        let generation = match inner.protocol.start::<()>() {
            Ok(generation) => generation,
            Err(Entry::Closed) => return Err(DriveError::Closed),
            Err(_) => return Err(DriveError::Busy),
        };
        // One that was stopped from inside, perhaps this very thread, may be on its way out. If the
        // new thread cannot be made, the former is detached; it ends all the same.
        let former = state.youngest.take();
        let handle = self.clone();
        let body = move || {
            if let Some(former) = former {
                // A panic of that thread was reported when it happened.
                let _ = former.join();
            }
            handle.run(generation);
        };
        match spawn(inner.around, name, body) {
            Ok(thread) => {
                state.youngest = Some(thread);
                state.started = generation;
            }
            Err(_) => {
                inner.protocol.stop(Some(generation));
                return Err(DriveError::NoResources);
            }
        }
        drop(state);
        // Whoever drives now leaves the role to the thread.
        inner.protocol.ready.kick();
        Ok(())
    }

    /// Ends the loop's own thread, and waits for it: no handler runs on it when this returns.
    ///
    /// From inside a handler, of this loop or another, it does not wait: two handlers that stop
    /// each other's loop must not lock up. The thread then ends after its present iteration. Does
    /// nothing if there is no thread.
    pub fn stop(&self) -> Result<(), DriveError> {
        let inner = &*self.0;
        if self.is_closed() {
            return Err(DriveError::Closed);
        }
        inner.protocol.stop(None);
        self.join();
        Ok(())
    }

    /// Waits for every thread that was told to stop, unless inside a handler.
    pub(super) fn join(&self) {
        if in_dispatch() {
            return;
        }
        let own = &self.0.own;
        let mut state = own.state.lock();
        let generation = state.started;
        while state.ended < generation {
            state = own.ended.wait(state, None);
        }
        // Its last instructions, too; unless a handler started a successor, which joins it itself,
        // or another stop got here first.
        let thread = if state.started == generation { state.youngest.take() } else { None };
        drop(state);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }

    /// The body of the thread.
    fn run(&self, generation: usize) {
        let claim = Claim::Own { generation };
        // Also when a handler panics: the loop is in poll mode again and its waiters go on.
        let _end = EndOfThread { handle: self, generation };
        let me = thread_number();
        let Entry::Role(mut driving) = self.0.protocol.claim(claim, me, &|| None) else { return };
        while driving.may_go_on(claim, me) {
            if driving.iteration(&mut |engine| iteration(self, engine, Time::NEVER, true)).is_err() {
                // The poller is broken, and no later iteration would mend it; waiters notice when
                // they take the role.
                return;
            }
        }
    }
}

/// Leaves thread mode when the thread ends for whatever reason.
struct EndOfThread<'a> {
    handle: &'a Loop,
    generation: usize,
}

impl Drop for EndOfThread<'_> {
    fn drop(&mut self) {
        self.handle.0.protocol.stop(Some(self.generation));
        let own = &self.handle.0.own;
        own.state.lock().ended = self.generation;
        own.ended.notify_all();
    }
}
