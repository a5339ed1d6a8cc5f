//! What a connection knows, behind its lock.
//!
//! Its parts know nothing of each other where they can; [`State`] puts them together.
//!
//! | file               | what |
//! |--------------------|------|
//! | `stage.rs`         | what it is doing right now |
//! | `over_limit.rs`    | a message that is over a limit |
//! | `known.rs`         | the endpoint that was reached last |
//! | `log.rs`           | log records that wait, and where they go |
//! | `flush.rs`         | when output is written |
//! | `log_topics.rs`    | topics for log lines |
//! | `verdict.rs`       | which message handlers are told of, what they said, what they refused |
//! | `tries.rs`         | the connection attempt in progress |
//! | `stats.rs`         | what is counted |
//! | `slow.rs`          | when it is looked whether callbacks are slow |
//! | `receive_queue.rs` | messages that wait to be fetched |
//! | `profiles.rs`      | server profiles, and what connections have in common of them |
//! | `pace.rs`          | how long the callbacks of a turn may take |
//! | `requests.rs`      | requests that have no response yet |
//! | `outcomes.rs`      | who is told how a publish ended |
//! | `ends.rs`          | when certificates end |
//! | `course.rs`        | whether it is to be up |
//! | `reconnect.rs`     | when to try again, and where |
//! | `calls.rs`         | calls for several filters that have not ended |
//! | `backlog.rs`       | what was read and has to wait for the next turn |
//! | `redirect.rs`      | where a server has sent the client |
//! | `version.rs`       | which version of MQTT a server speaks |
//! | `scram.rs`         | an authentication by SCRAM |
//! | `asking.rs`        | the hook that is asked for credentials |
//! | `params.rs`        | what CONNECT is made of |
//! | `waiters.rs`       | who is told of the result of one attempt |

pub(in crate::client) mod asking;
pub(in crate::client) mod backlog;
pub(in crate::client) mod calls;
pub(in crate::client) mod course;
pub(in crate::client) mod ends;
pub(in crate::client) mod flush;
pub(in crate::client) mod known;
pub(in crate::client) mod log;
pub(in crate::client) mod log_topics;
pub(in crate::client) mod outcomes;
pub(in crate::client) mod over_limit;
pub(in crate::client) mod pace;
pub(in crate::client) mod params;
pub(in crate::client) mod profiles;
pub(in crate::client) mod receive_queue;
pub mod reconnect;
pub(in crate::client) mod redirect;
pub(in crate::client) mod requests;
pub(in crate::client) mod scram;
pub(in crate::client) mod slow;
pub(in crate::client) mod stage;
pub(in crate::client) mod stats;
pub(in crate::client) mod tries;
pub(in crate::client) mod verdict;
pub(in crate::client) mod version;
pub(in crate::client) mod waiters;

use crate::client::handlers::event::KeptReport;
use crate::client::handlers::event::Report;
use crate::client::handlers::registered::Handlers;
use crate::client::pump::PumpSource;
use crate::client::state::asking::Asking;
use crate::client::state::backlog::Backlog;
use crate::client::state::calls::Calls;
use crate::client::state::course::Course;
use crate::client::state::ends::Ends;
use crate::client::state::known::Known;
use crate::client::state::outcomes::Outcomes;
use crate::client::state::pace::Pace;
use crate::client::state::params::ConnectHook;
use crate::client::state::params::OwnCertificate;
use crate::client::state::profiles::ClientIdentity;
use crate::client::state::profiles::Common;
use crate::client::state::profiles::Now;
use crate::client::state::profiles::Servers;
use crate::client::state::receive_queue::ReceiveQueue;
use crate::client::state::reconnect::Reconnect;
use crate::client::state::redirect::Redirected;
use crate::client::state::requests::Requests;
use crate::client::state::scram::Scram;
use crate::client::state::slow::Looks;
use crate::client::state::stats::Stats;
use crate::client::state::tries::Opening;
use crate::client::state::tries::Tries;
use crate::client::state::verdict::HandlerVerdict;
use crate::client::state::verdict::InDelivery;
use crate::client::state::verdict::Refusals;
use crate::client::state::version::Versions;
use crate::client::state::waiters::ConnectResult;
use crate::client::state::waiters::ConnectWaiter;
use crate::client::text;
use crate::config;
use crate::config::Profile;
use crate::config::Secret;
use crate::config::Settings;
use crate::driver::Lookup;
use crate::error::Code;
use crate::error::Phase;
use crate::lazy_box::Empty;
use crate::lazy_box::LazyBox;
use crate::session::Session;
use crate::time::Moment;
use crate::time::Time;
use crate::transport::Endpoint;
use crate::transport::Layer;
use crate::transport::Stream;
use crate::transport::custom::Custom;
use crate::transport::tls_settings::Sign;
use crate::wire::PropertyBlock;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// The course of the connection.
pub(in crate::client) enum Link {
    /// Nothing happens until the application says so.
    Idle,
    /// The next attempt comes at this time.
    Waiting(Time),
    /// The server's name is being looked up.
    Resolving { lookup: Lookup, by: Moment },
    /// One of these is to be opened until then; further endpoints may be left.
    Opening { race: Vec<Opening>, by: Moment },
    /// The connection is open, and this one of the layers above it greets its peer.
    Handshaking { transport: Stream, layer: usize },
    /// Bytes flow: CONNECT, CONNACK, and the time while it is up.
    Open(Stream),
    /// DISCONNECT was written and our side shut; the server's side is read until it ends.
    /// `left` bytes were not acknowledged when it was looked last, and it is looked again at `by`.
    Draining { transport: Stream, by: Time, left: u64 },
}

impl Link {
    /// The transport, if there is something to be read from it.
    pub(in crate::client) fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Link::Open(transport) | Link::Draining { transport, .. } => Some(transport),
            _ => None,
        }
    }
}

/// Why the present connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) struct Closing {
    pub(in crate::client) code: Code,
    /// Flush and send DISCONNECT first, so that the server does not publish the will.
    pub(in crate::client) graceful: bool,
    pub(in crate::client) by: Moment,
}

/// The way back to the main server.
#[derive(Default)]
pub(in crate::client) struct FailBack {
    /// When it is tried again.
    pub(in crate::client) at: Option<Time>,
    /// The server that works, while it is tried.
    pub(in crate::client) from: Option<usize>,
}

impl Empty for FailBack {
    const EMPTY: &'static Self = &FailBack { at: None, from: None };
}

/// What a connection knows. `C` is the connection, which handlers are given.
pub(in crate::client) struct State<C> {
    /// Incremented on every tracked lock; unchanged means that nobody else touched the state.
    pub(in crate::client) epoch: u32,
    pub(in crate::client) session: Session,
    pub(in crate::client) outcomes: Outcomes<C>,
    pub(in crate::client) handlers: Handlers<C>,
    pub(in crate::client) profiles: Servers,
    /// The options, but for the password.
    pub(in crate::client) settings: Arc<Settings>,
    /// The profile of the present attempt or connection under the options, but for who we are there.
    pub(in crate::client) profile: Arc<Profile>,
    pub(in crate::client) client: Arc<ClientIdentity>,
    pub(in crate::client) reconnect: Reconnect,
    /// The client id and the server for which the session's inbound state holds.
    pub(in crate::client) session_of: Option<(Arc<ClientIdentity>, Arc<Profile>)>,
    pub(in crate::client) max_qos: Option<i8>,
    pub(in crate::client) link: Link,
    /// What is wanted of it, and when the next attempt begins.
    pub(in crate::client) course: Course,
    /// What the last CONNACK said.
    pub(in crate::client) session_present: bool,
    pub(in crate::client) closing: Option<Closing>,
    /// The link failed outside a turn, as reported; the next turn takes it down.
    pub(in crate::client) link_broke: bool,
    /// Counts links: what belongs to an earlier one is dropped.
    pub(in crate::client) generation: u64,
    pub(in crate::client) tries: LazyBox<Tries>,
    /// The endpoint that was reached last, if it is not in the configuration.
    pub(in crate::client) known: LazyBox<Known>,
    /// The layers between the socket and MQTT in the present attempt, from the socket upwards. They are kept for the
    /// next one, so that a TLS session can be resumed.
    pub(in crate::client) layers: Box<[Layer]>,
    pub(in crate::client) expiry: LazyBox<Ends>,
    /// The beginning of a packet that has not come whole.
    pub(in crate::client) partial: Vec<u8>,
    /// What was read and has to wait for the next turn.
    pub(in crate::client) backlog: Option<Box<[Backlog; 1]>>,
    /// The socket was not read to its end since it became readable.
    pub(in crate::client) unread: bool,
    /// The server sends no more: what is left is to be read to its end.
    pub(in crate::client) ended: bool,
    pub(in crate::client) report: KeptReport,
    pub(in crate::client) tick_at: Moment,
    /// Memory was given back since traffic before this time.
    pub(in crate::client) quieted: Time,

    pub(in crate::client) stats: Stats,
    /// The session knows the time near enough: in a turn, or since somebody looked after one was asked for.
    pub(in crate::client) now_holds: bool,
    /// The call that goes on has read the clock.
    pub(in crate::client) clock_was_read: Moment,

    /// A turn was asked for and has not begun.
    pub(in crate::client) scheduled: bool,
    /// A turn is going on; what is appended to the output will be written at its end.
    pub(in crate::client) in_turn: bool,
    pub(in crate::client) pace: Pace,
    /// A call wrote to the socket itself since the last turn, at this time.
    pub(in crate::client) wrote_early: Moment,
    pub(in crate::client) in_delivery: InDelivery,
    pub(in crate::client) handler_verdict: HandlerVerdict,
    pub(in crate::client) log: LazyBox<log::Waiting>,
    /// When it is looked whether callbacks are slow.
    pub(in crate::client) looks: Looks,
    /// Each packet is written to the log.
    pub(in crate::client) traced: bool,
    /// A log function publishes here, so that no packet is.
    pub(in crate::client) carries_log: bool,
    pub(in crate::client) random: u64,
    /// A panic was caught: this connection is closed for good.
    pub(in crate::client) broken: bool,
    pub(in crate::client) freed: bool,
    pub(in crate::client) extras: LazyBox<Extras<C>>,
}

/// What few connections have.
pub(in crate::client) struct Extras<C> {
    pub(in crate::client) hook: Option<Arc<dyn ConnectHook<C>>>,
    pub(in crate::client) asking: Option<Box<Asking<C>>>,
    /// Where a server has sent the client.
    pub(in crate::client) redirected: Option<Box<Redirected>>,
    /// What is known of the versions that a server speaks.
    pub(in crate::client) versions: Option<Box<Versions>>,
    /// An authentication that the library does itself, on the present connection.
    pub(in crate::client) scram: Option<Box<Scram>>,
    /// Who waits for the result of an attempt.
    pub(in crate::client) connect_waiters: Vec<ConnectWaiter<C>>,
    /// Who is to be told of one.
    pub(in crate::client) results: VecDeque<ConnectResult<C>>,
    /// Calls that wait for the server's answers about filters.
    pub(in crate::client) calls: LazyBox<Calls<C>>,
    /// Requests that have no response yet.
    pub(in crate::client) requests: LazyBox<Requests<C>>,
    /// The password of the options.
    pub(in crate::client) password: Option<Box<config::Secret<Vec<u8>>>>,
    /// The will instead of the profile's: `Some(None)` is none.
    pub(in crate::client) will: Option<Box<Option<config::Will>>>,
    /// The client's certificate and key, instead of those of the profiles; and whether they came since they were
    /// used last.
    pub(in crate::client) own: Option<Box<OwnCertificate>>,
    pub(in crate::client) own_is_new: bool,
    /// The password of the key, instead of the profile's.
    pub(in crate::client) key_password: Option<Secret<Vec<u8>>>,
    /// Signs instead of a key.
    pub(in crate::client) signer: Option<Arc<dyn Sign>>,
    /// Moves the bytes of its streams, which are no sockets.
    pub(in crate::client) custom: Option<Arc<dyn Custom>>,
    /// Moves those of the last one.
    pub(in crate::client) pump: Option<Weak<PumpSource>>,
    pub(in crate::client) fail_back: LazyBox<FailBack>,
    /// The client id that a server assigned, and its address.
    pub(in crate::client) assigned: Option<Box<(Option<String>, String)>>,
    pub(in crate::client) timer_at: Option<Time>,
    /// Somebody waits until then for the end of a connection that is to be closed.
    pub(in crate::client) close_until: Option<Time>,
    /// Then it is said that something waits for a connection that has no server.
    pub(in crate::client) without_server: Option<Time>,
    /// It gets POLL in each iteration.
    pub(in crate::client) each_iteration: bool,
    pub(in crate::client) log_topics: Option<Box<crate::client::state::log_topics::LogState>>,
    pub(in crate::client) refusals: LazyBox<Refusals>,
    pub(in crate::client) receive_queue: LazyBox<ReceiveQueue>,
    /// Dropped when the connection is gone.
    pub(in crate::client) owner: Option<Box<dyn Any + Send>>,
}

impl<C> Extras<C> {
    const NONE: Self = Extras {
        hook: None,
        asking: None,
        redirected: None,
        versions: None,
        scram: None,
        connect_waiters: Vec::new(),
        results: VecDeque::new(),
        calls: LazyBox::new(),
        requests: LazyBox::new(),
        password: None,
        will: None,
        own: None,
        own_is_new: false,
        key_password: None,
        signer: None,
        custom: None,
        pump: None,
        fail_back: LazyBox::new(),
        assigned: None,
        timer_at: None,
        close_until: None,
        without_server: None,
        each_iteration: false,
        log_topics: None,
        refusals: LazyBox::new(),
        receive_queue: LazyBox::new(),
        owner: None,
    };
}

impl<C> Default for Extras<C> {
    fn default() -> Self {
        Extras::NONE
    }
}

impl<C: 'static> Empty for Extras<C> {
    const EMPTY: &'static Self = &Extras::NONE;
}

impl<C: 'static> Extras<C> {
    /// Gives back the room of lists that are empty.
    pub(in crate::client) fn shrink(&mut self) {
        if self.results.is_empty() {
            self.results = VecDeque::new();
        }
        if let Some(receive_queue) = self.receive_queue.get_mut() {
            receive_queue.shrink();
        }
        if let Some(refusals) = self.refusals.get_mut() {
            refusals.shrink();
        }
        if let Some(calls) = self.calls.get_mut() {
            calls.shrink();
        }
        if let Some(requests) = self.requests.get_mut() {
            requests.shrink();
        }
    }
}

impl<C: 'static> State<C> {
    /// What a connection knows that has done nothing yet.
    pub(in crate::client) fn new(
        session: Session,
        profiles: Servers,
        settings: Arc<Settings>,
        profile: Arc<Profile>,
        client: Arc<ClientIdentity>,
        random_seed: u64,
    ) -> Self {
        State {
            epoch: 0,
            session,
            outcomes: Outcomes::default(),
            handlers: Handlers::new(),
            profiles,
            settings,
            profile,
            client,
            reconnect: Reconnect::default(),
            session_of: None,
            max_qos: None,
            link: Link::Idle,
            course: Course::NEW,
            session_present: false,
            closing: None,
            link_broke: false,
            generation: 0,
            tries: LazyBox::new(),
            known: LazyBox::new(),
            layers: Box::default(),
            expiry: LazyBox::new(),
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
            in_delivery: InDelivery::Nothing,
            handler_verdict: HandlerVerdict::default(),
            log: LazyBox::new(),
            looks: Looks::new(),
            traced: false,
            carries_log: false,
            // The generator's state must never be zero.
            random: random_seed | 1,
            broken: false,
            freed: false,
            extras: LazyBox::new(),
        }
    }

    /// The profile for the next attempt, merged with the options: the active one, or if that is disabled the next that
    /// is not.
    pub(in crate::client) fn next_profile(&self, common: &Common) -> Option<(usize, Result<Now, String>)> {
        let n = self.profiles.len();
        let active = self.reconnect.active();
        (0..n).map(|step| (active + step) % n).find_map(|at| match self.profiles[at].now() {
            Ok((profile, _)) if !profile.enable || profile.server.is_none() => None,
            Ok((profile, client)) => {
                let merged = common.merged(&self.settings, &profile);
                Some((at, merged.map(|merged| (merged, client)).map_err(|error| error.to_string())))
            }
            Err(text) => Some((at, Err(text))),
        })
    }

    #[cold]
    #[inline(never)]
    pub(in crate::client) fn report(&mut self, code: Code, phase: Phase, os: i32, text: String) -> Report {
        Report {
            code,
            phase,
            os,
            connack: None,
            alert: None,
            reason: None,
            properties: PropertyBlock::EMPTY,
            server: self.shown_server(),
            tried: self.take_tried(),
            text,
        }
    }

    /// The addresses that were tried in vain, and why.
    pub(in crate::client) fn take_tried(&mut self) -> Vec<(Endpoint, i32)> {
        let others = self.tries.get_mut().and_then(|tries| tries.others.get_mut());
        others.map(|others| std::mem::take(&mut others.tried)).unwrap_or_default()
    }

    /// The server as it may be shown; nothing without memory for it.
    #[inline(never)]
    pub(in crate::client) fn shown_server(&self) -> String {
        let server = self.profile.server.as_deref().unwrap_or_default();
        text::format(format_args!("{}", config::Shown(server))).unwrap_or_default()
    }

    /// What is published from now on has this QoS at most.
    pub(in crate::client) fn limit_qos(&mut self, max_qos: Option<u8>) {
        let common = self.tries.get_mut().and_then(|tries| tries.common.as_mut());
        for profile in [Some(&mut self.profile), common].into_iter().flatten() {
            if profile.max_qos != max_qos {
                Arc::make_mut(profile).max_qos = max_qos;
            }
        }
    }

    /// Whatever server is tried next, it is not to return to another.
    pub(in crate::client) fn forget_fail_back(&mut self) {
        if let Some(back) = self.extras.get_mut().and_then(|extras| extras.fail_back.get_mut()) {
            back.from = None;
        }
    }

    pub(in crate::client) fn random(&mut self) -> u64 {
        // xorshift64*: spreads reconnects of a fleet; nothing secret hangs on it.
        let mut x = self.random;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
