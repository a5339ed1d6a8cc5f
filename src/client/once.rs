//! Who wants to know how one attempt to connect ends, and is told once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::handlers::Callback;
use super::{Conn, Event, Link, State};
use crate::error::Code;
use crate::sync::MutexGuard;
use crate::time::Span;

/// No [`Code`] has this number.
const UNKNOWN: i32 = 1;

/// Who is told of one result.
pub(super) struct Once {
    /// The link whose attempt is meant, or the first after it: one that the application is ending already, or that a
    /// handler is just being told of, is not.
    since: u64,
    who: Who,
}

enum Who {
    /// A function, which runs on the thread that drives the loop.
    Callback(Box<dyn Callback>),
    /// A thread inside a wait.
    Waiter(Arc<AtomicI32>),
}

/// The result of an attempt, as an event without borrows.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) error: Code,
    pub(super) connack: Option<u8>,
    pub(super) session_present: bool,
    /// Its number; that of an earlier one if none was begun.
    pub(super) number: u64,
}

impl Attempt {
    pub(super) const fn failed(error: Code, number: u64) -> Attempt {
        Attempt { error, connack: None, session_present: false, number }
    }

    pub(super) const fn event(self) -> Event<'static> {
        let Attempt { error, connack, session_present, number: attempt } = self;
        Event::ConnectResult { error, connack, session_present, attempt }
    }
}

impl Conn {
    /// As [`connect`](Conn::connect), and tells `callback` once, by [`Event::ConnectResult`], how the attempt ends
    /// that begins now or is under way. On an error it is dropped untold.
    pub fn connect_once(&self, callback: Box<dyn Callback>) -> Result<(), Code> {
        let mut st = self.usable()?;
        self.begin_connect(&mut st)?;
        st.ask_once(Who::Callback(callback));
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
            st.ask_once(Who::Waiter(result.clone()));
            self.schedule(&mut st);
        }
        let waited = self.wait_for(timeout, |_| Code::from_number(result.load(Ordering::SeqCst)));
        match waited {
            Ok(Code::Ok) => Ok(()),
            Ok(code) => Err(code),
            Err(code) => {
                let is_mine =
                    |once: &Once| matches!(&once.who, Who::Waiter(other) if Arc::ptr_eq(other, &result));
                if let Some(seldom) = self.lock().seldom.get_mut() {
                    seldom.once.retain(|once| !is_mine(once));
                }
                if code == Code::TimedOut {
                    self.waited_in_vain();
                }
                Err(code)
            }
        }
    }

    /// The attempt of the link with this generation ended: tells who waits for that.
    pub(super) fn tell_once<'a>(
        &'a self,
        mut st: MutexGuard<'a, State>,
        generation: u64,
        attempt: Attempt,
    ) -> MutexGuard<'a, State> {
        if st.seldom.once.iter().all(|once| once.since > generation) {
            return st;
        }
        let (told, later) =
            std::mem::take(&mut st.seldom.once).into_iter().partition(|o| o.since <= generation);
        st.seldom.once = later;
        drop(st);
        self.tell_each(told, attempt);
        self.lock()
    }

    pub(super) fn tell_each(&self, told: Vec<Once>, attempt: Attempt) {
        for once in told {
            match once.who {
                Who::Callback(callback) => callback.call(self, &attempt.event()),
                Who::Waiter(result) => result.store(attempt.error.number(), Ordering::SeqCst),
            }
        }
    }

    /// Tells who came when the connection was up already, or whose attempt was taken back before it began.
    pub(super) fn tell_late<'a>(&'a self, st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        match st.late_result() {
            // There is no other attempt that anybody could mean.
            Some(attempt) => self.tell_once(st, u64::MAX, attempt),
            None => st,
        }
    }
}

impl State {
    /// The number of the attempt under way, or of the last one.
    pub(super) fn attempt_number(&self) -> u64 {
        self.stats.attempts.into()
    }

    fn ask_once(&mut self, who: Who) {
        let since = self.generation + u64::from(self.closing.is_some());
        self.seldom.make().once.push(Once { since, who });
    }

    /// CONNACK accepted us, and nobody asked for the end since.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.link, Link::Open(_)) && self.session.is_up() && self.closing.is_none()
    }

    /// The result of an attempt that is over, or will not be, although somebody waits for one.
    pub(super) fn late_result(&self) -> Option<Attempt> {
        let number = self.attempt_number();
        if self.seldom.once.is_empty() {
            None
        } else if self.is_up() {
            let session_present = self.session_present;
            Some(Attempt { error: Code::Ok, connack: Some(0), session_present, number })
        } else if matches!(self.link, Link::Idle) && !self.course.is_wanted() {
            Some(Attempt::failed(self.course.why_not(), number))
        } else {
            None
        }
    }
}
