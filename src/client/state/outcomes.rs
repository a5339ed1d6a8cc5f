//! Who is told how a publish ended, and who waits for it.

use std::sync::atomic::AtomicPtr;

use crate::client::handlers::event::Event;
use crate::error::Code;
use crate::lazy_box::{Empty, LazyBox};
use crate::session::Outcome;

/// What a listener has for itself: pointers that are only passed on.
pub type RawArgs = [*mut (); 3];

/// Is told how one publish ended: exactly once, on the thread that drives the loop, with no lock held. It is
/// plain data, so that a publish with a listener allocates no more than one without.
pub struct Listener<C> {
    pub(in crate::client) tell: fn(&C, &Event<'_>, RawArgs),
    pub(in crate::client) words: [AtomicPtr<()>; 3],
}

impl<C> Listener<C> {
    /// A function and what it is given.
    pub fn new(tell: fn(&C, &Event<'_>, RawArgs), words: RawArgs) -> Self {
        Listener { tell, words: words.map(AtomicPtr::new) }
    }

    pub(in crate::client) fn call(self, conn: &C, event: &Event<'_>) {
        (self.tell)(conn, event, self.words.map(AtomicPtr::into_inner));
    }
}

/// What becomes of a message whose outcome was waited for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// It stays accepted, and is sent when that is possible.
    Keep,
    /// It is cancelled, unless it is on its way already.
    Cancel,
}

/// A place for a listener.
pub(in crate::client) enum Place<C> {
    /// The next free place; [`NO_PLACE`] after the last.
    Free(u32),
    Taken(Listener<C>),
}

pub(in crate::client) const NO_PLACE: u32 = u32::MAX;

/// A thread that waits for an outcome.
pub(in crate::client) struct Waiter {
    pub(in crate::client) ticket: u64,
    pub(in crate::client) token: u64,
    pub(in crate::client) outcome: Option<Outcome>,
}

/// What a connection keeps about its publishes beside the session.
pub(in crate::client) struct Outcomes<C> {
    /// Made by the first who wants to know how one message ends.
    pub(in crate::client) asked: LazyBox<Asked<C>>,
    /// How many messages of the session had ended when they were settled last.
    pub(in crate::client) ended: u64,
    /// So many of the session's completions were shown to the waiters already, and are still to be told.
    pub(in crate::client) to_be_told: u32,
    /// Some handler of the connection wants all of them.
    pub(in crate::client) wanted: bool,
}

/// Who wants to know how one message ends.
pub(in crate::client) struct Asked<C> {
    /// The cookie of a message is the place of its listener, plus one.
    pub(in crate::client) listeners: Vec<Place<C>>,
    pub(in crate::client) free: u32,
    pub(in crate::client) waiters: Vec<Waiter>,
    pub(in crate::client) last_ticket: u64,
}

impl<C> Asked<C> {
    const fn new() -> Self {
        Asked { listeners: Vec::new(), free: NO_PLACE, waiters: Vec::new(), last_ticket: 0 }
    }
}

impl<C> Default for Asked<C> {
    fn default() -> Self {
        Asked::new()
    }
}

impl<C: 'static> Empty for Asked<C> {
    const EMPTY: &'static Self = &Asked::new();
}

impl<C> Default for Outcomes<C> {
    fn default() -> Self {
        Outcomes { asked: LazyBox::new(), ended: 0, to_be_told: 0, wanted: false }
    }
}

impl<C: 'static> Outcomes<C> {
    /// Whether `tell_outcomes()` has something to do.
    pub(in crate::client) fn are_waiting(&self) -> bool {
        self.to_be_told > 0
    }

    pub(in crate::client) fn add_listener(&mut self, listener: Listener<C>) -> Result<u32, Code> {
        let Asked { listeners, free, .. } = self.asked.try_make()?;
        if *free == NO_PLACE {
            listeners.try_reserve(1).map_err(|_| Code::NoMemory)?;
            listeners.push(Place::Taken(listener));
            return Ok(listeners.len() as u32);
        }
        let at = *free;
        let place = &mut listeners[at as usize];
        if let Place::Free(next) = std::mem::replace(place, Place::Taken(listener)) {
            *free = next;
        }
        Ok(at + 1)
    }

    pub(in crate::client) fn take_listener(&mut self, cookie: u32) -> Option<Listener<C>> {
        let at = cookie.checked_sub(1)?;
        let Asked { listeners, free, .. } = self.asked.get_mut()?;
        match std::mem::replace(&mut listeners[at as usize], Place::Free(*free)) {
            Place::Taken(listener) => {
                *free = at;
                Some(listener)
            }
            Place::Free(_) => None,
        }
    }

    /// Gives back the places of listeners and waiters if there are none.
    pub(in crate::client) fn shrink(&mut self) {
        let Some(asked) = self.asked.get_mut() else { return };
        if asked.listeners.iter().all(|place| matches!(place, Place::Free(_))) {
            asked.listeners = Vec::new();
            asked.free = NO_PLACE;
        }
        if asked.waiters.is_empty() {
            asked.waiters = Vec::new();
        }
    }

    /// Whether the session has to tell of every message that ended, not only of those with a listener.
    pub(in crate::client) fn want_all(&self) -> bool {
        self.wanted || !self.asked.waiters.is_empty()
    }

    pub(in crate::client) fn tell_waiters(&mut self, token: u64, outcome: Outcome) {
        let waiters = self.asked.get_mut().map(|asked| asked.waiters.iter_mut());
        for waiter in waiters.into_iter().flatten().filter(|waiter| waiter.token == token) {
            waiter.outcome = Some(outcome);
        }
    }

    /// Makes sure that another [waiter can be added](Self::add_waiter).
    pub(in crate::client) fn reserve_waiter(&mut self) -> Result<(), Code> {
        self.asked.try_make()?.waiters.try_reserve(1).map_err(|_| Code::NoMemory)
    }

    pub(in crate::client) fn add_waiter(&mut self, token: u64, outcome: Option<Outcome>) -> u64 {
        let Asked { waiters, last_ticket, .. } = &mut *self.asked;
        *last_ticket += 1;
        waiters.push(Waiter { ticket: *last_ticket, token, outcome });
        *last_ticket
    }
}
