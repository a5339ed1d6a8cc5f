//! What the application registers: a callback, the events that it wants, and its identity.
//!
//! `C`, here and in what holds callbacks, is what they are given: the connection. Only who calls them has to know it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::handlers::event::{Event, Kind, Message};

/// What an application registers. Dropping it releases the user data.
pub trait Callback<C>: Send + Sync {
    /// Tells the application. Runs on the thread that drives the loop, with no lock held.
    fn call(&self, conn: &C, event: &Event<'_>);

    /// [`call`](Self::call) for a message: for callbacks that do not need the event.
    fn message(&self, conn: &C, message: &Message<'_>) {
        self.call(conn, &Event::Message(*message));
    }

    /// The beginning of an iteration of the loop, for the [built-in handler](crate::client::Common) of a watched connection.
    /// It must not call the application.
    fn iteration_begin(&self, conn: &C) {
        let _ = conn;
    }

    /// The registration is discarded, because it failed or because an identical one owns the same
    /// user data: dropping it must not release that.
    fn disarm(&self) {}
}

/// What makes two registrations the same: the function and its argument, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity(pub usize, pub usize);

/// A slot for one callback beside the lists of handlers: setting one replaces the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// How each attempt to connect ended.
    Connect,
    /// The connection was up and is closed.
    Offline,
    /// Every message, whether a subscription matched or not.
    Message,
}

impl Slot {
    pub(in crate::client) const COUNT: usize = 3;

    pub(in crate::client) const fn kind(self) -> Kind {
        match self {
            Slot::Connect => Kind::ConnectResult,
            Slot::Offline => Kind::Close,
            Slot::Message => Kind::Message,
        }
    }
}

/// One registration.
pub(crate) struct Entry<C> {
    /// Subscriptions are numbered; newer ones are called first.
    pub(in crate::client) seq: u64,
    pub(in crate::client) identity: Identity,
    pub(in crate::client) kinds: u32,
    /// Shared by every connection of the loop; none of them ends it.
    pub(in crate::client) shared: bool,
    pub(in crate::client) alive: AtomicBool,
    pub(in crate::client) callback: Box<dyn Callback<C>>,
}

impl<C> Entry<C> {
    pub(crate) fn new(identity: Identity, kinds: u32, callback: Box<dyn Callback<C>>) -> Arc<Entry<C>> {
        Arc::new(Entry { seq: 0, identity, kinds, shared: false, alive: AtomicBool::new(true), callback })
    }

    /// The registration failed: the user data stays the caller's.
    pub(crate) fn disarm(&self) {
        self.callback.disarm();
    }

    /// It is not called any more.
    pub(in crate::client) fn end(&self) {
        if !self.shared {
            self.alive.store(false, Ordering::Release);
        }
    }

    pub(in crate::client) fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn call(&self, conn: &C, event: &Event<'_>) {
        if self.alive.load(Ordering::Acquire) {
            self.callback.call(conn, event);
        }
    }

    /// See [`Callback::iteration_begin`].
    pub(in crate::client) fn iteration_begin(&self, conn: &C) {
        self.callback.iteration_begin(conn);
    }

    #[inline]
    pub(crate) fn message(&self, conn: &C, message: &Message<'_>) {
        if self.alive.load(Ordering::Acquire) {
            self.callback.message(conn, message);
        }
    }
}

/// A handler that every connection of a loop has before all others, so that it runs last; or none.
pub struct Builtin<C>(pub(in crate::client) Option<Arc<Entry<C>>>);

#[cfg(feature = "capi")]
impl<C> Builtin<C> {
    /// It is called for these kinds of event.
    pub fn new(kinds: u32, callback: Box<dyn Callback<C>>) -> Self {
        let (identity, alive) = (Identity(0, 0), AtomicBool::new(true));
        Builtin(Some(Arc::new(Entry { seq: 0, identity, kinds, shared: true, alive, callback })))
    }
}

impl<C> Default for Builtin<C> {
    fn default() -> Self {
        Builtin(None)
    }
}
