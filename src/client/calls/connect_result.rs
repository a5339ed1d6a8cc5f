//! Calls that learn, once, how one attempt to connect ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::client::Conn;
use crate::client::conn::State;
use crate::client::handlers::callback::Callback;
use crate::client::state::Link;
use crate::client::state::waiters::{Attempt, ConnectResult, ConnectWaiter, Notify, UNKNOWN};
use crate::error::Code;
use crate::sync::MutexGuard;
use crate::time::Span;
use crate::wire::RawProperties;

impl Conn {
    /// As [`connect`](Conn::connect), and tells `callback` once, by
    /// [`ConnectResult`](crate::client::Event::ConnectResult), how the attempt that begins now or is under way ends. On
    /// an error it is dropped without a call.
    pub fn connect_once(&self, callback: Box<dyn Callback<Conn>>) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.begin_connect(&mut st)?;
        st.ask_once(Notify::Callback(callback));
        self.schedule(&mut st);
        Ok(())
    }

    /// As [`connect`](Conn::connect), and waits for the result of the attempt that begins now or is under way.
    /// When the time is over, the connection goes on trying.
    pub fn connect_wait(&self, timeout: Option<Span>) -> Result<(), Code> {
        self.may_wait()?;
        let result = Arc::new(AtomicI32::new(UNKNOWN));
        {
            let mut st = self.usable()?;
            self.begin_connect(&mut st)?;
            if st.is_up() {
                return Ok(());
            }
            st.ask_once(Notify::Waiter(result.clone()));
            self.schedule(&mut st);
        }
        let waited = self.wait_for(timeout, |_| Code::from_number(result.load(Ordering::SeqCst)));
        match waited {
            Ok(Code::Ok) => Ok(()),
            Ok(code) => Err(code),
            Err(code) => {
                let is_mine = |once: &ConnectWaiter<Conn>| matches!(&once.notify, Notify::Waiter(other) if Arc::ptr_eq(other, &result));
                if let Some(extras) = self.lock().extras.get_mut() {
                    extras.connect_waiters.retain(|once| !is_mine(once));
                }
                if code == Code::TimedOut {
                    self.waited_in_vain();
                }
                Err(code)
            }
        }
    }

    /// The attempt of the link with this generation ended: informs those who wait for it.
    pub(in crate::client) fn tell_once<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        generation: u64,
        attempt: Attempt,
    ) -> MutexGuard<'a, State> {
        st.end_once(generation, attempt);
        self.tell_results(st)
    }

    /// Calls the functions that wait for a result, as many as this turn has time for.
    pub(in crate::client) fn tell_results<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
    ) -> MutexGuard<'a, State> {
        while !st.pace.is_over()
            && let Some(ConnectResult { callback, attempt }) =
                st.extras.get_mut().and_then(|extras| extras.results.pop_front())
        {
            drop(st);
            callback.call(self, &attempt.event(RawProperties::EMPTY));
            // What is dropped with it must not be dropped under the lock.
            drop(callback);
            st = self.lock();
            self.ran(&mut st, 1);
        }
        st
    }
}

impl State {
    /// The attempt of the link with this generation ended: waiting threads learn it now, functions are called later.
    pub(in crate::client) fn end_once(&mut self, generation: u64, attempt: Attempt) {
        let Some(extras) = self.extras.get_mut() else { return };
        for once in extras.connect_waiters.extract_if(.., |once| once.since <= generation) {
            match once.notify {
                Notify::Callback(callback) => extras.results.push_back(ConnectResult { callback, attempt }),
                Notify::Waiter(result) => result.store(attempt.error.number(), Ordering::SeqCst),
            }
        }
    }

    /// The connection is gone, and nobody is told anything else.
    pub(in crate::client) fn end_results(&mut self) {
        let incomplete = Attempt::failed(Code::Incomplete, self.attempt_number());
        self.end_once(u64::MAX, incomplete);
        if let Some(extras) = self.extras.get_mut() {
            extras.results.iter_mut().for_each(|told| told.attempt = incomplete);
        }
    }

    /// The number of the attempt under way, or of the last one.
    pub(in crate::client) fn attempt_number(&self) -> u64 {
        self.stats.attempts.into()
    }

    fn ask_once(&mut self, notify: Notify<Conn>) {
        let since = self.generation + u64::from(self.closing.is_some());
        self.extras.make().connect_waiters.push(ConnectWaiter { since, notify });
    }

    /// CONNACK accepted us, and nobody has asked to close the connection since.
    pub(in crate::client) fn is_up(&self) -> bool {
        matches!(self.link, Link::Open(_)) && self.session.is_up() && self.closing.is_none()
    }

    /// The result of an attempt that is over or will not take place, for those who wait for one.
    pub(in crate::client) fn late_result(&self) -> Option<Attempt> {
        let number = self.attempt_number();
        if self.extras.connect_waiters.is_empty() {
            None
        } else if self.is_up() {
            let session_present = self.session_present;
            let version = self.connect_version();
            Some(Attempt { error: Code::Ok, connack: Some(0), session_present, number, version })
        } else if matches!(self.link, Link::Idle) && !self.course.is_wanted() {
            Some(Attempt::failed(self.course.why_not(), number))
        } else {
            None
        }
    }
}
