//! One MQTT connection: a session, a transport, the policy that brings it back, and the handlers.
//!
//! A [`Conn`] is shared between threads. Everything it knows stands in one [`State`] behind one lock, which
//! is held for short, bounded work only: never while user code runs, never while anything blocks. The
//! thread that drives the loop gives it turns (`turn.rs`); calls of the application change the state and,
//! where the loop has something to do about it, ask for a turn.
//!
//! | file           | what                                                         |
//! |----------------|--------------------------------------------------------------|
//! | `mod.rs`       | the connection, and what it is given                         |
//! | `course.rs`    | whether it is to be up, and when the next attempt comes      |
//! | `state.rs`     | what a connection knows, behind its lock                     |
//! | `messages.rs`  | the calls that send: publish, subscribe, raw packets         |
//! | `outcomes.rs`  | how publishes ended: who is told, who waits, what is remembered |
//! | `turn.rs`      | a turn of the loop, from start to end                        |
//! | `attempt.rs`   | connecting: name, address, transport, CONNECT; and the end   |
//! | `closing.rs`   | closing in order                                             |
//! | `secure.rs`    | the TLS part of connecting                                   |
//! | `credentials.rs` | hooks that make CONNECT, or a part of it                   |
//! | `expiry.rs`    | certificates that end                                        |
//! | `incoming.rs`  | reading, and telling the handlers                            |
//! | `stream.rs`    | messages, one after the other                                |
//! | `pace.rs`      | how long the callbacks of a turn may take                    |
//! | `backlog.rs`   | what was read and has to wait for the next turn              |
//! | `handlers.rs`, `called.rs`, `topics.rs` | who is told of what                 |
//! | `verdict.rs`   | acknowledging later, refusing, delivering again                 |
//! | `receive.rs`   | the queue of messages that are fetched                          |
//! | `profiles.rs`  | server profiles, and what connections have in common of them  |
//! | `options.rs`   | what goes over the profiles at each attempt                   |
//! | `inherit.rs`   | a connection configured as another one                        |
//! | `report.rs`    | what is told of a failed attempt and of a lost link          |
//! | `reconnect.rs` | when to try again, and where                                 |
//! | `log.rs`, `log_topic.rs` | log records, and publishing them                   |
//! | `trace.rs`     | log records about packets                                    |
//! | `slow.rs`      | a warning about slow callbacks                               |
//! | `stats.rs`, `metrics.rs` | what is counted, as numbers and as text            |
//! | `subscribe.rs` | calls for several filters, each with one end                 |
//! | `overdue.rs`   | what the server did not acknowledge in time                   |
//! | `poison.rs`  | messages that make the server close each time              |
//! | `stage.rs`     | what a connection is doing right now                         |
//! | `once.rs`      | who is told of the result of one attempt                     |
//! | `wait.rs`      | waiting for something to become true                         |
//! | `text.rs`      | texts that are made without relying on memory                |

mod attempt;
mod backlog;
mod called;
mod closing;
mod context;
mod course;
mod credentials;
mod event;
mod expiry;
mod handlers;
mod incoming;
#[cfg(feature = "capi")]
mod inherit;
mod log;
mod log_topic;
mod messages;
mod metrics;
mod once;
mod options;
mod outcomes;
mod overdue;
mod pace;
mod poison;
mod profiles;
mod receive;
pub mod reconnect;
mod report;
mod secure;
mod slow;
mod stage;
mod state;
mod stats;
mod stream;
mod subscribe;
mod text;
mod topics;
mod trace;
mod turn;
mod verdict;
mod wait;

use std::any::Any;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

pub use context::Context;
pub use credentials::{Credentials, CredentialsHook};
use event::KeptReport;
pub use event::{Event, Kind, Message, Owner, Report, TopicName};
#[cfg(feature = "capi")]
pub(crate) use handlers::Entry;
pub use handlers::{Callback, Identity, Slot};
#[cfg(feature = "capi")]
pub(crate) use inherit::Configured;
pub use log::{Level, Sink};
#[cfg(feature = "capi")]
pub(crate) use log::{LogHeld, forget_callbacks_after_fork};
pub use log_topic::{DEFAULT_THRESHOLD, LogLine, LogTopics};
#[cfg(feature = "capi")]
pub(crate) use messages::take_over_limit;
pub use metrics::openmetrics;
pub use outcomes::{Listener, OnTimeout, Words};
pub use profiles::{Common, ProfileSource};
pub use receive::Kept;
pub use stage::{Stage, Status};
pub use stats::{End, Snapshot};
pub use subscribe::{FilterResult, FilterResults, Subscriber};

use crate::bugs::{Bug, bug};
use crate::config::{self, ConfigError, Profile, Resubscribe, Secret, Settings};
use crate::driver::SourceId;
use crate::error::Code;
use crate::rare::Rare;
use crate::session::{Limits, OnSessionLoss, Overflow, Session};
use crate::sync::{Mutex, MutexGuard};
use crate::time::{Moment, Time};
use course::Course;
use handlers::Handlers;
use options::Own;
use outcomes::Outcomes;
use pace::Pace;
use profiles::{Server, Servers};
use reconnect::Reconnect;
use state::{Link, Seldom, State};
use stats::Stats;
use verdict::{Handling, Wish};

/// A certificate in memory, PEM or DER, and its key; without one it is in the PEM of the certificate.
#[derive(Clone)]
pub struct OwnCertificate {
    /// The certificate, with those that lead to its issuer.
    pub certificate: Secret<Vec<u8>>,
    /// Its private key.
    pub key: Option<Secret<Vec<u8>>>,
}

/// What CONNECT is made of; a connect hook may change all of it.
#[derive(Clone, Debug)]
pub struct ConnectParams {
    /// Protocol version.
    pub version: crate::wire::Version,
    /// The client id; may be empty.
    pub client_id: String,
    /// Start without the session that the server may have kept.
    pub clean_session: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret<Vec<u8>>>,
    /// Topic, payload, QoS and retain flag of the will.
    pub will: Option<(String, Vec<u8>, crate::wire::QoS, bool)>,
}

/// Runs when CONNECT is about to be sent, on the thread that drives the loop, with no lock held. It sends
/// CONNECT itself by [`Conn::send_connect`], at once or later from any thread; until the CONNACK time-out.
pub trait ConnectHook: Send + Sync {
    /// `params` is what would be sent without a hook.
    fn about_to_connect(&self, conn: &Conn, params: &ConnectParams);
}

/// A connection to one server at a time.
pub struct Conn {
    context: Arc<Context>,
    number: i32,
    source: OnceLock<SourceId>,
    connected: AtomicBool,
    gone: AtomicBool,
    output_level: AtomicUsize,
    /// What the face of the library that made it knows it by.
    face: AtomicPtr<()>,
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
        let (profile, who) = profiles.first().and_then(|p| p.now().ok()).unwrap_or_default();
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
            face: AtomicPtr::new(ptr::null_mut()),
            registrations: AtomicU32::new(0),
            state: Mutex::new(State {
                visits: 0,
                session,
                outcomes: Outcomes::default(),
                handlers: Handlers::new(),
                profiles,
                settings,
                profile,
                who,
                reconnect: Reconnect::default(),
                session_of: None,
                max_qos: None,
                link: Link::Idle,
                course: Course::NEW,
                session_present: false,
                closing: None,
                link_broke: false,
                generation: 0,
                tries: Rare::new(),
                peer: Rare::new(),
                tls: None,
                expiry: Rare::new(),
                partial: Vec::new(),
                backlog: None,
                unread: false,
                ended: false,
                report: KeptReport::none(),
                tick_at: Moment::NONE,
                quieted: Time::ZERO,
                stats: Stats::default(),
                now_holds: false,
                clock_was_read: Moment::NONE,
                scheduled: false,
                in_turn: false,
                pace: Pace::new(),
                wrote_early: Moment::NONE,
                handling: Handling::Nothing,
                wish: Wish::default(),
                log: Rare::new(),
                looks: slow::Looks::new(),
                traced: false,
                carries_log: false,
                // The generator's state must never be zero.
                random: (context.random_seed)() | 1,
                broken: false,
                freed: false,
                seldom: Rare::new(),
            }),
        });
        if password.is_some() {
            conn.lock().seldom.try_make()?.password = password;
        }
        if let Some(keeper) = &context.common.keeper {
            let mut st = conn.lock();
            st.handlers.add(keeper.clone());
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

    /// Gives it a name that its [keeper](Context) finds it by.
    pub(crate) fn set_face(&self, face: *mut ()) {
        self.face.store(face, Ordering::Relaxed);
    }

    /// What was [set](Self::set_face); NULL if it is to end.
    #[cfg(feature = "capi")]
    pub(crate) fn face(&self) -> *mut () {
        self.face.load(Ordering::Relaxed)
    }

    /// The number given at creation.
    pub fn number(&self) -> i32 {
        self.number
    }

    // -- what it is to do ---------------------------------------------------------------------------

    /// Replaces the main profile, over which the options go as over the old one. A connection that is up or on its way is
    /// closed and opened again with the new one; with a disabled profile it is closed and stays down. Fails, and nothing
    /// changes, if it cannot be connected with.
    pub fn set_profile(&self, profile: ProfileSource) -> Result<(), ConfigError> {
        let profile = Server::new(profile, &self.context.common);
        let mut st = self.usable()?;
        if bug(Bug::OptionDropped) {
            st.settings = Arc::default();
        }
        let (snapshot, who) = profile.now().map_err(|text| ConfigError::new("", text))?;
        if let Server::Fixed(..) = profile {
            st.settings.check(&st.whole(&snapshot, &who))?;
        }
        let merged = self.context.common.merged(&st.settings, &snapshot);
        if snapshot.enable {
            merged.clone()?.address()?;
        }
        let snapshot = merged.unwrap_or(snapshot);
        match st.profiles.first_mut() {
            Some(first) => *first = profile,
            None => st.profiles = Servers::One([profile]),
        }
        st.reconnect.select(0);
        // It was about the main profile as it had been: the new one has a series of attempts of its own.
        st.forget_fail_back();
        let limits = session_limits(&st.settings, &snapshot);
        st.session.set_limits(self.context.common.limits.share(limits));
        // What is published from now on goes out under the new profile; the rest of it comes with the next
        // attempt.
        st.limit_qos(snapshot.max_qos);
        self.apply_profile(&mut st, snapshot.enable);
        Ok(())
    }

    /// Replaces the client's certificate and key from the next attempt on, whichever server that is for; in a handler
    /// of [`Event::Connecting`] from the present one on. `None`: those of the profiles again.
    pub fn set_certificate(&self, own: Option<OwnCertificate>) -> Result<(), Code> {
        let mut st = self.usable()?;
        let seldom = st.seldom.try_make()?;
        seldom.own = own.map(Box::new);
        seldom.own_is_new = true;
        Ok(())
    }

    /// Sets the password of an encrypted key, instead of the configured one: for the next attempt, and in a handler that is
    /// told of one, for that.
    pub fn set_key_password(&self, password: Option<Secret<Vec<u8>>>) -> Result<(), Code> {
        let mut st = self.usable()?;
        let seldom = st.seldom.try_make()?;
        seldom.key_password = password;
        seldom.own_is_new = true;
        Ok(())
    }

    /// The index of the profile in use.
    pub fn active_profile(&self) -> usize {
        self.lock().reconnect.active()
    }

    /// The main profile as it is now, if there is one; without the options.
    pub fn main_profile(&self) -> Result<Option<Arc<Profile>>, Code> {
        let Some(main) = self.usable()?.profiles.first().cloned() else { return Ok(None) };
        let (profile, who) = main.now().map_err(|_| Code::BadConfig)?;
        Ok(Some(Arc::new(who.with(&profile))))
    }

    /// The will from the next attempt on, whichever the server, instead of the profile's; `None` for none.
    pub fn set_will(&self, will: Option<config::Will>) -> Result<(), Code> {
        self.usable()?.seldom.try_make()?.will = Some(Box::new(will));
        Ok(())
    }

    /// Sets or clears the connect hook; the old one is dropped outside the lock.
    pub fn set_hook(&self, hook: Option<Arc<dyn ConnectHook>>) -> Result<(), Code> {
        let old = std::mem::replace(&mut self.usable()?.seldom.try_make()?.hook, hook);
        drop(old);
        Ok(())
    }

    /// Overrides the profile's highest QoS; `None` takes the profile's again. Negative is unlimited.
    pub fn set_max_qos(&self, max_qos: Option<i32>) -> Result<(), Code> {
        // There is none above 2.
        self.usable()?.max_qos = max_qos.map(|most| most.clamp(-1, 2) as i8);
        Ok(())
    }

    /// Asks for one [`Event::Timer`] at `at`; `None` takes it back.
    pub fn set_timer(&self, at: Option<Time>) -> Result<(), Code> {
        let mut st = self.usable()?;
        if at.is_some() || st.seldom.get().is_some() {
            st.seldom.try_make()?.timer_at = at;
        }
        self.schedule(&mut st);
        Ok(())
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

    /// Changes that limit for this connection, until the next attempt reads the configuration again. 0
    /// is without limit.
    pub fn set_receive_limit(&self, bytes: usize) -> Result<(), Code> {
        let mut st = self.usable()?;
        let limits = Limits { max_incoming: no_limit_if_zero(bytes), ..st.session.limits().clone() };
        st.session.set_limits(self.context.common.limits.share(limits));
        Ok(())
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
            self.set_face(ptr::null_mut());
        }
        st.seldom.make().owner = owner;
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
        let mut st = self.lock_unseen();
        st.visits = st.visits.wrapping_add(1);
        st
    }

    /// As [`lock`](Self::lock), for one who wants to know whether anybody else was there.
    #[inline(never)]
    fn lock_unseen(&self) -> MutexGuard<'_, State> {
        self.state.lock_or(|st| self.unpoison(st))
    }

    #[cold]
    fn unpoison<'a>(&'a self, mut st: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.state.clear_poison();
        st.visits = st.visits.wrapping_add(1);
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
        st.visits = st.visits.wrapping_add(1);
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

/// What of the configuration concerns the session.
fn session_limits(settings: &Settings, profile: &Profile) -> Limits {
    Limits {
        window: settings.in_flight_window,
        max_queue: profile.max_queue_length,
        max_outgoing_bytes: no_limit_if_zero(settings.max_outgoing_bytes),
        max_incoming: no_limit_if_zero(profile.recv_limit),
        keep_oversize: settings.keep_oversize,
        overflow: match settings.overflow {
            config::Overflow::Refuse => Overflow::RefuseNew,
            config::Overflow::DropOldest => Overflow::DropOldest,
        },
        on_session_loss: match settings.on_session_loss {
            config::OnSessionLoss::Resend => OnSessionLoss::Resend,
            config::OnSessionLoss::Report => OnSessionLoss::Report,
        },
        outcome_history: settings.outcome_history,
        always_subscribe: settings.resubscribe == Resubscribe::Always,
        keep_session: !profile.clean_session,
        ack_timeout: settings.ack_timeout,
        poison_after: settings.poison_after,
    }
}

fn no_limit_if_zero(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit }
}
