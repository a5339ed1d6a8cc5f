//! One MQTT connection: a session, a transport, the policy that brings it back, and the handlers.
//!
//! A [`Conn`] is shared between threads. Everything it knows stands in one [`State`] behind one lock, which
//! is held for short, bounded work only: never while user code runs, never while anything blocks. The
//! thread that drives the loop gives it turns (`dispatch/turn.rs`); calls of the application change the state and,
//! where the loop has something to do about it, ask for a turn.
//!
//! | file         | what |
//! |--------------|------|
//! | `dispatch/`  | a turn of the loop: reading, telling the handlers, what they say |
//! | `calls/`     | what the application calls, beside connecting |
//! | `observe/`   | statistics, log, state query, warnings |
//! | `link/`      | from a configuration to a connection that is up, and to its end |
//! | `context.rs` | the loop, and what belongs to it |
//! | `state/`     | what a connection knows, behind its lock |
//! | `handlers/`  | who is told of what |
//! | `text.rs`    | texts that are made without relying on memory |
//!
//! In this table and those of the directories each file uses only what stands below it; tests/rooms.rs holds that.
//! Every file may name [`Conn`], which stands here: handlers are given it, and it holds them.

mod calls;
mod context;
mod dispatch;
mod handlers;
mod link;
mod observe;
mod state;
mod text;

use std::any::Any;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub use context::Context;
#[cfg(feature = "capi")]
pub(crate) use handlers::callback::Entry;
pub use handlers::callback::{Callback, Identity, Slot};
pub use handlers::event::{Event, Kind, Message, Owner, Report, TopicName};
pub use handlers::filter_results::{FilterResult, FilterResults};
#[cfg(feature = "capi")]
pub(crate) use link::inherit::Configured;
pub use observe::metrics::openmetrics;
pub use state::asking::{Credentials, CredentialsHook};
pub use state::calls::Subscriber;
pub use state::log::{Level, Sink};
#[cfg(feature = "capi")]
pub(crate) use state::log::{LogHeld, forget_callbacks_after_fork};
pub use state::log_topics::{DEFAULT_THRESHOLD, LogLine, LogTopics};
pub use state::outcomes::{Listener, OnTimeout, RawArgs};
#[cfg(feature = "capi")]
pub(crate) use state::over_limit::take_over_limit;
pub use state::params::{ConnectHook, ConnectParams, OwnCertificate};
pub use state::profiles::{Common, ProfileSource};
pub use state::receive_queue::OwnedMessage;
pub use state::reconnect;
pub use state::stage::{Stage, Status};
pub use state::stats::{End, Snapshot};

use crate::bugs::{Bug, bug};
use crate::config::Settings;
use crate::driver::SourceId;
use crate::error::Code;
use crate::session::Session;
use crate::sync::{Mutex, MutexGuard};
use link::configure::session_limits;
use state::profiles::{Own, Servers};
use state::{Link, State};

/// A connection to one server at a time.
pub struct Conn {
    context: Arc<Context>,
    number: i32,
    source: OnceLock<SourceId>,
    connected: AtomicBool,
    gone: AtomicBool,
    output_level: AtomicUsize,
    /// What its owner, the C face, knows it by.
    owner_tag: AtomicPtr<()>,
    /// Counts the handlers that were registered, for who calls some of them without a look into the state.
    registrations: AtomicU32,
    state: Mutex<State>,
}

impl Conn {
    /// A connection that does nothing yet. `number` names it in the log; `profiles` has the main server
    /// first.
    pub fn new(
        context: Arc<Context>,
        number: i32,
        profiles: Vec<ProfileSource>,
        settings: Settings,
    ) -> Result<Arc<Conn>, Code> {
        let profiles = Servers::new(profiles, &context.common);
        let (profile, client) = profiles.first().and_then(|p| p.now().ok()).unwrap_or_default();
        let Own { settings, password } = Own::new(settings, &context.common);
        // What is wrong is told by the attempt.
        let profile = context.common.merged(&settings, &profile).unwrap_or(profile);
        let mut session = Session::new(context.common.limits.share(session_limits(&settings, &profile)));
        session.number_holds_from((context.random_seed)());
        let conn = Arc::new(Conn {
            context: context.clone(),
            number,
            source: OnceLock::new(),
            connected: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            output_level: AtomicUsize::new(0),
            owner_tag: AtomicPtr::new(ptr::null_mut()),
            registrations: AtomicU32::new(0),
            state: Mutex::new(State::new(
                session,
                profiles,
                settings,
                profile,
                client,
                (context.random_seed)(),
            )),
        });
        if password.is_some() {
            conn.lock().extras.try_make()?.password = password;
        }
        if let Some(builtin_handler) = &context.common.builtin_handler {
            let mut st = conn.lock();
            st.handlers.add(builtin_handler.clone());
        }
        let id = context.driver.add(conn.clone()).map_err(|_| Code::NoResources)?;
        // Set here and nowhere else.
        let _ = conn.source.set(id);
        Ok(conn)
    }

    /// The loop and what belongs to it.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Gives it a name that its [built-in handler](Common) finds it by.
    pub(crate) fn set_owner_tag(&self, owner_tag: *mut ()) {
        self.owner_tag.store(owner_tag, Ordering::Relaxed);
    }

    /// What was [set](Self::set_owner_tag); NULL if it is to end.
    #[cfg(feature = "capi")]
    pub(crate) fn owner_tag(&self) -> *mut () {
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

    /// Ends the connection and everything that belongs to it, then drops `owner`. Returns at once; if no
    /// thread drives the loop right now, all of it has happened when the call returns.
    pub fn free(&self, owner: Option<Box<dyn Any + Send>>) {
        let mut st = self.lock();
        if st.freed {
            return;
        }
        st.freed = true;
        st.course.give_up(Code::Incomplete);
        // The rest of a dispatch that goes on would see a handle that is gone.
        if !bug(Bug::HandlerAfterFree) {
            st.handlers.silence();
            self.set_owner_tag(ptr::null_mut());
        }
        st.extras.make().owner = owner;
        self.schedule(&mut st);
        drop(st);
        self.context.driver.try_drive(|| self.tear_down(None));
    }

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
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut st = self.lock_untracked();
        st.epoch = st.epoch.wrapping_add(1);
        st
    }

    /// As [`lock`](Self::lock), for one who wants to know whether anybody else was there.
    #[inline(never)]
    fn lock_untracked(&self) -> MutexGuard<'_, State> {
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
    fn usable(&self) -> Result<MutexGuard<'_, State>, Code> {
        self.usable_here()
    }

    /// [`usable`](Self::usable), as a part of its caller: for the calls that are made for each message.
    #[inline(always)]
    fn usable_here(&self) -> Result<MutexGuard<'_, State>, Code> {
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
    fn schedule(&self, st: &mut State) {
        if !st.scheduled
            && let Some(id) = self.source.get()
        {
            st.scheduled = true;
            self.context.driver.schedule(*id);
        }
    }
}
