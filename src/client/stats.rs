//! What a connection counts, beside what its session does.

use super::{Conn, Link};
use crate::error::{Code, Phase};
use crate::session::{Counts, Latency, Levels};
use crate::time::Time;

/// Kept in the connection's state. Nothing here is touched more often than once per read.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub(super) rx_bytes: u64,
    pub(super) attempts: u64,
    first_connect: Option<Time>,
    last_connect: Option<Time>,
    last_disconnect: Option<Time>,
    connects: u64,
    failures: u64,
    disconnects: u64,
    /// One entry for each way in which attempts and connections have ended.
    ends: Vec<End>,
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
    pub(super) fn came_up(&mut self, now: Time) {
        self.connects += 1;
        self.first_connect.get_or_insert(now);
        self.last_connect = Some(now);
    }

    pub(super) fn went_down(&mut self, now: Time, was_up: bool, code: Code, phase: Phase) {
        if was_up {
            self.disconnects += 1;
            self.last_disconnect = Some(now);
        } else {
            self.failures += 1;
        }
        let same = |end: &&mut End| end.was_up == was_up && end.code == code && end.phase == phase;
        if let Some(end) = self.ends.iter_mut().find(same) {
            end.count += 1;
        } else if self.ends.try_reserve(1).is_ok() {
            // Without memory for it there is one reason less to be seen, and nothing else.
            self.ends.push(End { was_up, code, phase, count: 1 });
        }
    }
}

impl Conn {
    /// A snapshot of what was counted. The connection's lock is held for a copy of some hundred bytes.
    pub fn stats(&self) -> Snapshot {
        let now = self.context().driver.now();
        let st = self.lock();
        let stats = &st.stats;
        Snapshot {
            number: self.number(),
            client_id: st.who.client_id.as_deref().unwrap_or_default().to_owned(),
            now,
            is_up: self.is_connected(),
            is_connecting: !self.is_connected() && !matches!(st.link, Link::Idle | Link::Waiting(_)),
            first_connect: stats.first_connect,
            last_connect: stats.last_connect,
            last_disconnect: stats.last_disconnect,
            attempts: stats.attempts,
            connects: stats.connects,
            failures: stats.failures,
            disconnects: stats.disconnects,
            rx_bytes: stats.rx_bytes,
            counts: st.session.counts(),
            ack_latency: st.session.ack_latency(),
            levels: st.session.levels(),
            ends: stats.ends.clone(),
        }
    }
}
