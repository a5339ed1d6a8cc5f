//! A connection: what stands around its [state](State), and how that is locked.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::client::context;
use crate::client::handlers::event::Report;
use crate::client::handlers::{callback, recipients, registered};
use crate::client::state::{self, Link};
use crate::driver::SourceId;
use crate::error::Code;
use crate::sync::{Mutex, MutexGuard};

/// What connections of one loop share.
pub type Context = context::Context<Conn>;

/// What a connection knows.
pub(in crate::client) type State = state::State<Conn>;

/// Who is told of what.
pub(in crate::client) type Handlers = registered::Handlers<Conn>;

/// Who is told of one event.
pub(in crate::client) type Recipients = recipients::Recipients<Conn>;

/// One registration.
pub(in crate::client) type Entry = callback::Entry<Conn>;

/// A connection to one server at a time.
pub struct Conn {
    pub(in crate::client) context: Arc<Context>,
    pub(in crate::client) number: i32,
    pub(in crate::client) source: OnceLock<SourceId>,
    pub(in crate::client) connected: AtomicBool,
    pub(in crate::client) gone: AtomicBool,
    pub(in crate::client) output_level: AtomicUsize,
    /// What its owner, the C face, knows it by.
    pub(in crate::client) owner_tag: AtomicPtr<()>,
    /// Counts the handlers that were registered, for who calls some of them without a look into the state.
    pub(in crate::client) registrations: AtomicU32,
    pub(in crate::client) state: Mutex<State>,
}

impl Conn {
    /// The loop and what belongs to it.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Gives it a name that its built-in handler finds it by.
    pub fn set_owner_tag(&self, owner_tag: *mut ()) {
        self.owner_tag.store(owner_tag, Ordering::Relaxed);
    }

    /// What was [set](Self::set_owner_tag); NULL if it is to end.
    #[cfg(feature = "capi")]
    pub fn owner_tag(&self) -> *mut () {
        self.owner_tag.load(Ordering::Relaxed)
    }

    /// The number given at creation.
    pub fn number(&self) -> i32 {
        self.number
    }

    // -- what it is like ------------------------------------------------------------------------

    /// Whether CONNACK accepted us and the connection was not closed since. Takes no lock.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Whether a connection attempt exists or the connection is up.
    pub fn is_busy(&self) -> bool {
        !matches!(self.lock().link, Link::Idle | Link::Waiting(_))
    }

    /// The last error of the link.
    pub fn report(&self) -> Report {
        self.lock().report.copy()
    }

    /// Whether cloud events are raised for it.
    pub fn cloud_events(&self) -> bool {
        self.lock().profile.cloud_events
    }

    /// Payload bytes not acknowledged plus packet bytes not written.
    pub fn unsent_bytes(&self) -> usize {
        self.lock().session.unsent_bytes()
    }

    /// Packet bytes not written yet, as of the last call or turn that changed them. Takes no lock.
    pub fn output_level(&self) -> usize {
        self.output_level.load(Ordering::Relaxed)
    }

    /// Whether a connect hook is expected to send CONNECT.
    pub fn awaits_connect(&self) -> bool {
        self.lock().session.awaits_connect()
    }

    /// The largest packet accepted from the server, in bytes.
    pub fn receive_limit(&self) -> usize {
        self.lock().session.limits().max_incoming
    }

    // -- the end --------------------------------------------------------------------------------

    /// In the child of a fork: closes this process's copy of the socket and touches nothing that the parent
    /// shares. The memory is given up: a lock may be held by a thread that does not exist here.
    pub fn close_after_fork(&self) {
        if let Some(mut st) = self.state.try_lock() {
            st.link = Link::Idle;
        }
    }

    /// Whether everything that [`free`](Conn::free) started has happened.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    // -- inside ---------------------------------------------------------------------------------

    /// The state. A thread that panicked while it held the lock leaves a connection that is closed for
    /// good, never a poisoned lock.
    pub(in crate::client) fn lock(&self) -> MutexGuard<'_, State> {
        let mut st = self.lock_untracked();
        st.epoch = st.epoch.wrapping_add(1);
        st
    }

    /// As [`lock`](Self::lock), for one who wants to know whether anybody else was there.
    #[inline(never)]
    pub(in crate::client) fn lock_untracked(&self) -> MutexGuard<'_, State> {
        self.state.lock_or(|st| self.unpoison(st))
    }

    #[cold]
    fn unpoison<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.state.clear_poison();
        st.epoch = st.epoch.wrapping_add(1);
        st.broken = true;
        self.schedule(&mut st);
        st
    }

    /// The state of a connection that calls may still change.
    pub(in crate::client) fn usable(&self) -> Result<MutexGuard<'_, State>, Code> {
        self.usable_here()
    }

    /// [`usable`](Self::usable), as a part of its caller: for the calls that are made for each message.
    #[inline(always)]
    pub(in crate::client) fn usable_here(&self) -> Result<MutexGuard<'_, State>, Code> {
        let mut st = self.state.lock_or(|st| self.unpoison(st));
        st.epoch = st.epoch.wrapping_add(1);
        if st.broken {
            Err(Code::Panic)
        } else if st.freed {
            Err(Code::Incomplete)
        } else {
            Ok(st)
        }
    }

    /// Asks for a turn.
    pub(in crate::client) fn schedule(&self, st: &mut State) {
        if !st.scheduled
            && let Some(id) = self.source.get()
        {
            st.scheduled = true;
            self.context.driver.schedule(*id);
        }
    }
}
