//! What is counted beside the session.

use crate::error::{Code, Phase};
use crate::lazy_box::{Empty, LazyBox};
use crate::session::{Counts, Latency, Levels};
use crate::time::{Moment, Time};

/// Kept in the connection's state. Nothing here is touched more often than once per read.
#[derive(Debug, Default)]
pub(in crate::client) struct Stats {
    pub(in crate::client) rx_bytes: u64,
    pub(in crate::client) last_connect: Moment,
    pub(in crate::client) attempts: u32,
    pub(in crate::client) connects: u32,
    /// None as long as the first connection is up. Without memory for it, none of it is counted.
    pub(in crate::client) past: LazyBox<Past>,
}

/// How attempts and connections have ended.
#[derive(Debug, Default)]
pub(in crate::client) struct Past {
    pub(in crate::client) first_connect: Option<Time>,
    pub(in crate::client) last_disconnect: Option<Time>,
    pub(in crate::client) disconnects: u64,
    /// One entry for each way.
    pub(in crate::client) ends: Vec<End>,
}

impl Empty for Past {
    const EMPTY: &'static Self =
        &Past { first_connect: None, last_disconnect: None, disconnects: 0, ends: Vec::new() };
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
    pub(in crate::client) fn up_since(&self) -> Moment {
        self.last_connect
    }

    pub(in crate::client) fn came_up(&mut self, now: Time) {
        self.connects += 1;
        self.last_connect = now.into();
    }

    pub(in crate::client) fn went_down(&mut self, now: Time, was_up: bool, code: Code, phase: Phase) {
        let first = self.last_connect.get();
        let Ok(past) = self.past.try_make() else { return };
        past.first_connect = past.first_connect.or(first);
        if was_up {
            past.disconnects += 1;
            past.last_disconnect = Some(now);
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
