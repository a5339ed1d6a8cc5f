//! One MQTT connection: a session, a transport, the policy that brings it back, and the handlers.
//!
//! A [`Conn`] is shared between threads. Everything it knows stands in one [`State`](state::State) behind one lock,
//! which is held for short, bounded work only: never while user code runs, never while anything blocks. The thread
//! that drives the loop gives it turns (`dispatch/turn.rs`); calls of the application change the state and, where the
//! loop has something to do about it, ask for a turn.
//!
//! | file         | what |
//! |--------------|------|
//! | `dispatch/`  | a turn of the loop: reading, telling the handlers, what they say |
//! | `calls/`     | what the application calls, beside connecting |
//! | `observe/`   | statistics, log, state query, warnings |
//! | `link/`      | from a configuration to a connection that is up, and to its end |
//! | `conn.rs`    | a connection: what stands around its state, and how that is locked |
//! | `context.rs` | the loop, and what belongs to it |
//! | `state/`     | what a connection knows, behind its lock |
//! | `pump.rs`    | moves the bytes of a stream that is no socket |
//! | `handlers/`  | who is told of what |
//! | `text.rs`    | texts that are made without relying on memory |
//!
//! In this table and those of the directories each file uses only what stands below it; tests/rooms.rs holds that.
//! Handlers are given the connection, and it holds them: so `handlers/` and `state/` are written for any type `C`, and
//! `conn.rs` says that it is [`Conn`].

mod calls;
mod conn;
mod context;
mod dispatch;
mod handlers;
mod link;
mod observe;
mod pump;
mod state;
mod text;

use std::any::Any;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize};
use std::sync::{Arc, OnceLock};

pub use calls::request::{Query, ReplyTo};
pub use conn::{Conn, Context};
#[cfg(feature = "capi")]
pub use handlers::callback::Builtin;
pub use handlers::callback::{Callback, Identity, Slot};
pub use handlers::event::{Event, Kind, Message, Owner, Report, TopicName};
pub use handlers::filter_results::{FilterResult, FilterResults};
#[cfg(feature = "capi")]
pub use link::inherit::Configured;
pub use observe::metrics::openmetrics;
#[cfg(feature = "capi")]
pub use pump::ready as stream_ready;
pub use state::asking::{Credentials, CredentialsHook};
pub use state::log::{Level, Sink};
#[cfg(feature = "capi")]
pub use state::log::{LogHeld, forget_callbacks_after_fork};
pub use state::log_topics::{DEFAULT_THRESHOLD, LogLine, LogTopics};
pub use state::outcomes::{OnTimeout, RawArgs};
#[cfg(feature = "capi")]
pub use state::over_limit::take_over_limit;
pub use state::params::{ConnectHook, ConnectParams, OwnCertificate};
pub use state::profiles::{Common, ProfileSource};
pub use state::receive_queue::OwnedMessage;
pub use state::reconnect;
pub use state::stage::{Stage, Status};
pub use state::stats::{End, Snapshot};

use crate::bugs::{Bug, bug};
use crate::config::Settings;
use crate::error::Code;
use crate::session::Session;
use crate::sync::Mutex;
use conn::State;
use link::configure::session_limits;
use state::profiles::{Own, Servers};

/// Is told how one publish ended.
pub type Listener = state::outcomes::Listener<Conn>;

/// Who gets the messages of the filters of a call.
pub type Subscriber = state::calls::Subscriber<Conn>;

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
        if let Some(builtin_handler) = &context.builtin_handler.0 {
            let mut st = conn.lock();
            st.handlers.add(builtin_handler.clone());
        }
        let id = context.driver.add(conn.clone()).map_err(|_| Code::NoResources)?;
        // Set here and nowhere else.
        let _ = conn.source.set(id);
        Ok(conn)
    }

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
}
