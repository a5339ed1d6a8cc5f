//! What a connection counts, beside what its session does.

use super::{Conn, Link};
use crate::error::{Code, Phase};
use crate::rare::{Empty, Rare};
use crate::session::{Counts, Latency, Levels};
use crate::time::{Moment, Time};

/// Kept in the connection's state. Nothing here is touched more often than once per read.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) rx_bytes: u64,
    last_connect: Moment,
    pub(super) attempts: u32,
    connects: u32,
    /// None as long as the first connection is up. Without memory for it, none of it is counted.
    past: Rare<Past>,
}

/// How attempts and connections have ended.
#[derive(Debug, Default)]
struct Past {
    first_connect: Option<Time>,
    last_disconnect: Option<Time>,
    failures: u64,
    disconnects: u64,
    /// One entry for each way.
    ends: Vec<End>,
}

impl Empty for Past {
    const EMPTY: &'static Self =
        &Past { first_connect: None, last_disconnect: None, failures: 0, disconnects: 0, ends: Vec::new() };
}

/// How often attempts or connections ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// True: a connection that was up. False: an attempt.
    pub was_up: bool,
    /// Why.
    pub code: Code,
    /// Where.
    pub phase: Phase,
    /// How often.
    pub count: u64,
}

/// What is known of a connection at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The number given at creation.
    pub number: i32,
    /// The client id as configured; empty if the server chooses it.
    pub client_id: String,
    /// The moment, on the clock of the loop; all other times are on that too.
    pub now: Time,
    /// CONNACK accepted us and the connection was not closed since.
    pub is_up: bool,
    /// Whether an attempt is under way.
    pub is_connecting: bool,
    /// When the server accepted us for the first time.
    pub first_connect: Option<Time>,
    /// And for the last.
    pub last_connect: Option<Time>,
    /// When a connection that was up ended.
    pub last_disconnect: Option<Time>,
    /// Attempts begun.
    pub attempts: u64,
    /// Attempts that succeeded.
    pub connects: u64,
    /// Attempts that did not.
    pub failures: u64,
    /// Connections that were up and ended.
    pub disconnects: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// The session's part.
    pub counts: Counts,
    /// From accepting a publish to its PUBACK or PUBCOMP.
    pub ack_latency: Latency,
    /// How full it is.
    pub levels: Levels,
    /// In which ways attempts and connections ended.
    pub ends: Vec<End>,
}

impl Stats {
    /// When the connection that is up came up.
    pub(super) fn up_since(&self) -> Moment {
        self.last_connect
    }

    pub(super) fn came_up(&mut self, now: Time) {
        self.connects += 1;
        self.last_connect = now.into();
    }

    pub(super) fn went_down(&mut self, now: Time, was_up: bool, code: Code, phase: Phase) {
        let first = self.last_connect.get();
        let Ok(past) = self.past.try_make() else { return };
        past.first_connect = past.first_connect.or(first);
        if was_up {
            past.disconnects += 1;
            past.last_disconnect = Some(now);
        } else {
            past.failures += 1;
        }
        let same = |end: &&mut End| end.was_up == was_up && end.code == code && end.phase == phase;
        if let Some(end) = past.ends.iter_mut().find(same) {
            end.count += 1;
        } else if past.ends.try_reserve(1).is_ok() {
            // Without memory for it there is one reason less to be seen, and nothing else.
            past.ends.push(End { was_up, code, phase, count: 1 });
        }
    }
}

impl Conn {
    /// A snapshot of what was counted. The connection's lock is held for a copy of some hundred bytes.
    pub fn stats(&self) -> Snapshot {
        let now = self.context().driver.now();
        let st = self.lock();
        let (stats, past) = (&st.stats, &*st.stats.past);
        let last_connect = stats.last_connect.get();
        Snapshot {
            number: self.number(),
            client_id: st.who.client_id.as_deref().unwrap_or_default().to_owned(),
            now,
            is_up: self.is_connected(),
            is_connecting: !self.is_connected() && !matches!(st.link, Link::Idle | Link::Waiting(_)),
            first_connect: past.first_connect.or(last_connect),
            last_connect,
            last_disconnect: past.last_disconnect,
            attempts: stats.attempts.into(),
            connects: stats.connects.into(),
            failures: past.failures,
            disconnects: past.disconnects,
            rx_bytes: stats.rx_bytes,
            counts: st.session.counts(),
            ack_latency: st.session.ack_latency(),
            levels: st.session.levels(),
            ends: past.ends.clone(),
        }
    }
}
