//! Who is told of the result of one attempt.

use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use crate::client::handlers::callback::Callback;
use crate::client::handlers::event::Event;
use crate::error::Code;
use crate::wire::{RawProperties, Version};

/// No [`Code`] has this number.
pub(in crate::client) const UNKNOWN: i32 = 1;

/// Who is told of one result.
pub(in crate::client) struct ConnectWaiter<C> {
    /// The link whose attempt is meant, or the first after it: one that the application is ending already, or that a
    /// handler is just being told of, is not.
    pub(in crate::client) since: u64,
    pub(in crate::client) notify: Notify<C>,
}

pub(in crate::client) enum Notify<C> {
    /// A function, which runs on the thread that drives the loop.
    Callback(Box<dyn Callback<C>>),
    /// A thread inside a wait.
    Waiter(Arc<AtomicI32>),
}

/// A function that is to be told of a result.
pub(in crate::client) struct ConnectResult<C> {
    pub(in crate::client) callback: Box<dyn Callback<C>>,
    pub(in crate::client) attempt: Attempt,
}

/// The result of an attempt, as an event without borrows.
#[derive(Clone, Copy)]
pub(in crate::client) struct Attempt {
    pub(in crate::client) error: Code,
    pub(in crate::client) connack: Option<u8>,
    pub(in crate::client) session_present: bool,
    /// Its number; that of an earlier one if none was begun.
    pub(in crate::client) number: u64,
    /// The version of its CONNECT, if one was sent.
    pub(in crate::client) version: Option<Version>,
}

impl Attempt {
    pub(in crate::client) const fn failed(error: Code, number: u64) -> Attempt {
        Attempt { error, connack: None, session_present: false, number, version: None }
    }

    /// With the properties of its CONNACK.
    pub(in crate::client) const fn event(self, properties: RawProperties<'_>) -> Event<'_> {
        let Attempt { error, connack, session_present, number: attempt, version } = self;
        Event::ConnectResult { error, connack, session_present, attempt, version, properties }
    }
}
