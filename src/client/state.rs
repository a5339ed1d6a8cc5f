//! What a connection knows, behind its lock.

use std::any::Any;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use super::attempt::Tries;
use super::backlog::Backlog;
use super::course::Course;
use super::credentials::Asking;
use super::event::{KeptReport, Report};
use super::expiry::Ends;
use super::handlers::Handlers;
use super::once::{Once, Told};
use super::outcomes::Outcomes;
use super::pace::Pace;
use super::profiles::{Common, Now, Servers, Who};
use super::receive::Pull;
use super::reconnect::Reconnect;
use super::slow::Looks;
use super::stats::Stats;
use super::subscribe::Calls;
use super::verdict::{Handling, Refusals, Wish};
use super::{ConnectHook, OwnCertificate, log, log_topic, text};
use crate::config::{self, Profile, Secret, Settings};
use crate::driver::Lookup;
use crate::error::{Code, Phase};
use crate::rare::{Empty, Rare};
use crate::session::Session;
use crate::time::{Moment, Time};
use crate::transport::{Stream, tls};

/// The course of the connection.
pub(super) enum Link {
    /// Nothing happens until the application says so.
    Idle,
    /// The next attempt comes at this time.
    Waiting(Time),
    /// The server's name is being looked up.
    Resolving { lookup: Lookup, by: Moment },
    /// A transport is being opened; further addresses are left.
    Opening { transport: Stream, by: Moment },
    /// The TCP connection is there, and a layer above it greets its peer.
    Handshaking { transport: Stream },
    /// Bytes flow: CONNECT, CONNACK, and the time while it is up.
    Open(Stream),
    /// DISCONNECT was written and our side shut; the server's side is read until it ends.
    /// `left` bytes were not acknowledged when it was looked last, and it is looked again at `by`.
    Draining { transport: Stream, by: Time, left: u64 },
}

impl Link {
    /// The transport, if there is something to be read from it.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match self {
            Link::Open(transport) | Link::Draining { transport, .. } => Some(transport),
            _ => None,
        }
    }
}

/// Why the present connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: Code,
    /// Flush and send DISCONNECT first, so that the server does not publish the will.
    pub(super) graceful: bool,
    pub(super) by: Moment,
}

/// The way back to the main server.
#[derive(Default)]
pub(super) struct FailBack {
    /// When it is tried again.
    pub(super) at: Option<Time>,
    /// The server that works, while it is tried.
    pub(super) from: Option<usize>,
}

impl Empty for FailBack {
    const EMPTY: &'static Self = &FailBack { at: None, from: None };
}

pub(super) struct State {
    /// Counts those who had a look: as long as it stands still, nothing here has changed.
    pub(super) visits: u32,
    pub(super) session: Session,
    pub(super) outcomes: Outcomes,
    pub(super) handlers: Handlers,
    pub(super) profiles: Servers,
    /// The options, but for the password.
    pub(super) settings: Arc<Settings>,
    /// The profile of the present attempt or connection under the options, but for who we are there.
    pub(super) profile: Arc<Profile>,
    pub(super) who: Arc<Who>,
    pub(super) reconnect: Reconnect,
    /// The client id and the server for which the session's inbound state holds.
    pub(super) session_of: Option<(Arc<Who>, Arc<Profile>)>,
    pub(super) max_qos: Option<i8>,
    pub(super) link: Link,
    /// What is wanted of it, and when the next attempt begins.
    pub(super) course: Course,
    /// What the last CONNACK said.
    pub(super) session_present: bool,
    pub(super) closing: Option<Closing>,
    /// The link failed outside a turn, as reported; the next turn takes it down.
    pub(super) link_broke: bool,
    /// Counts links: what belongs to an earlier one is dropped.
    pub(super) generation: u64,
    pub(super) tries: Rare<Tries>,
    /// The address of the link, if it is not in the configuration.
    pub(super) peer: Rare<SocketAddr>,
    /// How to secure the connection of the present attempt. It is kept for the next one, so that a session
    /// can be resumed.
    pub(super) tls: Option<Arc<dyn tls::Backend>>,
    pub(super) expiry: Rare<Ends>,
    /// The beginning of a packet that has not come whole.
    pub(super) partial: Vec<u8>,
    /// What was read and has to wait for the next turn.
    pub(super) backlog: Option<Box<[Backlog; 1]>>,
    /// The socket was not read to its end since it became readable.
    pub(super) unread: bool,
    /// The server sends no more: what is left is to be read to its end.
    pub(super) ended: bool,
    pub(super) report: KeptReport,
    pub(super) tick_at: Moment,
    /// Memory was given back since traffic before this time.
    pub(super) quieted: Time,

    pub(super) stats: Stats,
    /// The session knows the time near enough: in a turn, or since somebody looked after one was asked for.
    pub(super) now_holds: bool,
    /// The call that goes on has read the clock.
    pub(super) clock_was_read: Moment,

    /// A turn was asked for and has not begun.
    pub(super) scheduled: bool,
    /// A turn is going on; what is appended to the output will be written at its end.
    pub(super) in_turn: bool,
    pub(super) pace: Pace,
    /// A call wrote to the socket itself since the last turn, at this time.
    pub(super) wrote_early: Moment,
    pub(super) handling: Handling,
    pub(super) wish: Wish,
    pub(super) log: Rare<log::Waiting>,
    /// When it is looked whether callbacks are slow.
    pub(super) looks: Looks,
    /// Each packet is written to the log.
    pub(super) traced: bool,
    /// A log function publishes here, so that no packet is.
    pub(super) carries_log: bool,
    pub(super) random: u64,
    /// A panic was caught: this connection is closed for good.
    pub(super) broken: bool,
    pub(super) freed: bool,
    pub(super) seldom: Rare<Seldom>,
}

/// What few connections have.
#[derive(Default)]
pub(super) struct Seldom {
    pub(super) hook: Option<Arc<dyn ConnectHook>>,
    pub(super) asking: Option<Box<Asking>>,
    /// Who waits for the result of an attempt.
    pub(super) once: Vec<Once>,
    /// Who is to be told of one.
    pub(super) results: VecDeque<Told>,
    /// Calls that wait for the server's answers about filters.
    pub(super) calls: Rare<Calls>,
    /// The password of the options.
    pub(super) password: Option<Box<config::Secret<Vec<u8>>>>,
    /// The will instead of the profile's: `Some(None)` is none.
    pub(super) will: Option<Box<Option<config::Will>>>,
    /// The client's certificate and key, instead of those of the profiles; and whether they came since they were
    /// used last.
    pub(super) own: Option<Box<OwnCertificate>>,
    pub(super) own_is_new: bool,
    /// The password of the key, instead of the profile's.
    pub(super) key_password: Option<Secret<Vec<u8>>>,
    pub(super) fail_back: Rare<FailBack>,
    pub(super) timer_at: Option<Time>,
    /// Somebody waits until then for the end of a connection that is to be closed.
    pub(super) close_until: Option<Time>,
    /// Then it is said that something waits for a connection that has no server.
    pub(super) without_server: Option<Time>,
    /// It gets POLL in each round.
    pub(super) each_round: bool,
    pub(super) log_topics: Option<Box<log_topic::LogState>>,
    pub(super) refusals: Rare<Refusals>,
    pub(super) pull: Rare<Pull>,
    /// Dropped when the connection is gone.
    pub(super) owner: Option<Box<dyn Any + Send>>,
}

impl Empty for Seldom {
    const EMPTY: &'static Self = &Seldom {
        hook: None,
        asking: None,
        once: Vec::new(),
        results: VecDeque::new(),
        calls: Rare::new(),
        password: None,
        will: None,
        own: None,
        own_is_new: false,
        key_password: None,
        fail_back: Rare::new(),
        timer_at: None,
        close_until: None,
        without_server: None,
        each_round: false,
        log_topics: None,
        refusals: Rare::new(),
        pull: Rare::new(),
        owner: None,
    };
}

impl Seldom {
    /// Gives back the room of lists that are empty.
    pub(super) fn shrink(&mut self) {
        if self.results.is_empty() {
            self.results = VecDeque::new();
        }
        if let Some(pull) = self.pull.get_mut() {
            pull.shrink();
        }
        if let Some(refusals) = self.refusals.get_mut() {
            refusals.shrink();
        }
        if let Some(calls) = self.calls.get_mut() {
            calls.shrink();
        }
    }
}

impl State {
    /// The profile for the next attempt, merged with the options: the active one, or if that is disabled the next that is
    /// not.
    pub(super) fn next_profile(&self, common: &Common) -> Option<(usize, Result<Now, String>)> {
        let n = self.profiles.len();
        let active = self.reconnect.active();
        (0..n).map(|step| (active + step) % n).find_map(|at| match self.profiles[at].now() {
            Ok((profile, _)) if !profile.enable || profile.server.is_none() => None,
            Ok((profile, who)) => {
                let merged = common.merged(&self.settings, &profile);
                Some((at, merged.map(|merged| (merged, who)).map_err(|error| error.to_string())))
            }
            Err(text) => Some((at, Err(text))),
        })
    }

    #[cold]
    #[inline(never)]
    pub(super) fn report(&mut self, code: Code, phase: Phase, os: i32, text: String) -> Report {
        Report {
            code,
            phase,
            os,
            connack: None,
            alert: None,
            server: self.shown_server(),
            tried: self.take_tried(),
            text,
        }
    }

    /// The server as it may be shown; nothing without memory for it.
    #[inline(never)]
    pub(super) fn shown_server(&self) -> String {
        let server = self.profile.server.as_deref().unwrap_or_default();
        text::format(format_args!("{}", config::Shown(server))).unwrap_or_default()
    }

    /// What is published from now on has this QoS at most.
    pub(super) fn limit_qos(&mut self, max_qos: Option<u8>) {
        let common = self.tries.get_mut().and_then(|tries| tries.common.as_mut());
        for profile in [Some(&mut self.profile), common].into_iter().flatten() {
            if profile.max_qos != max_qos {
                Arc::make_mut(profile).max_qos = max_qos;
            }
        }
    }

    /// Whatever server is tried next, it is not to return to another.
    pub(super) fn forget_fail_back(&mut self) {
        if let Some(back) = self.seldom.get_mut().and_then(|seldom| seldom.fail_back.get_mut()) {
            back.from = None;
        }
    }

    pub(super) fn random(&mut self) -> u64 {
        // xorshift64*: spreads reconnects of a fleet; nothing secret hangs on it.
        let mut x = self.random;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        self.random = x;
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }
}
