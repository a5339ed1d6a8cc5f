//! How long the client may and must wait between attempts: worked out again, from what is promised.

use mgos_mqtt::config::{Backoff, Profile, Settings};

/// After so many connections in a row that were lost too soon, each further one is followed by the longest wait.
const SUSPICIOUS: u32 = 5;

/// The expected schedule of one client, in microseconds of its clock.
///
/// A connection ends at the time that the client read last from its clock, and where a callback took its time only the client
/// knows when that was. If the connection was as long up as it has to be by then, or not, there are two schedules,
/// until an attempt comes that fits only one of them.
#[derive(Debug)]
pub struct Pace(Vec<Way>);

impl Pace {
    pub fn new(settings: &Settings, profiles: &[Profile]) -> Pace {
        Pace(vec![Way::new(settings, profiles)])
    }

    /// In each of them.
    pub fn each(&mut self, change: impl FnMut(&mut Way)) {
        self.0.iter_mut().for_each(change);
    }

    /// The attempt or the connection has ended, before it is [told](Way::failed), in this round and not after `now`.
    pub fn ends(&mut self, now: u64) {
        for mut way in std::mem::take(&mut self.0) {
            let enough = way.up.map_or(vec![], |up| vec![up + way.stable, up + way.bounds[way.active].0]);
            for end in enough.into_iter().filter(|end| way.round < *end && *end <= now) {
                self.0.push(Way { end, ..way.clone() });
            }
            way.end = way.round;
            self.0.push(way);
        }
    }

    /// An attempt begins, to this server; `late` if it may be later than it should.
    pub fn begins(&mut self, server: usize, now: u64, late: bool) -> Result<(), String> {
        let mut wrong = String::new();
        self.0.retain_mut(|way| way.begins(server, now, late).map_err(|text| wrong = text).is_ok());
        self.0.dedup();
        if self.0.is_empty() { Err(wrong) } else { Ok(()) }
    }

    /// Whether it has been connected to the backup server for as long as it may.
    pub fn may_fail_back(&self, now: u64) -> bool {
        !self.0.is_empty() && self.0.iter().all(|way| way.may_fail_back(now))
    }
}

/// One schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    fixed: bool,
    jitter: u64,
    /// The shortest and the longest wait, by server.
    bounds: Vec<(u64, u64)>,
    /// The server of the next attempt.
    active: usize,
    /// It left the backup server to try the main one, and goes back if that fails.
    failing_back: bool,
    /// How long it stays with the backup server, 0 for ever; and since when it is connected, until the next attempt.
    stay: u64,
    since: Option<u64>,
    /// When the present round of the loop began.
    pub round: u64,
    /// When the last connection ended.
    end: u64,
    last: Option<u64>,
    /// When the server accepted the connection that is up, and how long that has to last.
    up: Option<u64>,
    stable: u64,
    /// The last connection was lost too soon: the next failure changes nothing.
    spared: bool,
    /// How many were, since one was not.
    early: u32,
    /// The application asked for the next attempt: it comes at once.
    at_once: bool,
    /// It does not want any.
    stopped: bool,
    /// The earliest and the latest time of the next attempt.
    due: Option<(u64, u64)>,
}

impl Way {
    fn new(settings: &Settings, profiles: &[Profile]) -> Way {
        let bounds = profiles.iter().map(bounds_of).collect();
        Way {
            fixed: settings.backoff == Backoff::Fixed,
            jitter: settings.jitter_percent.into(),
            bounds,
            stay: settings.fail_back.0,
            stable: settings.stable_after.0,
            ..Way::default()
        }
    }

    /// The main server's profile is another one.
    pub fn replaced(&mut self, profile: &Profile) {
        self.bounds[0] = bounds_of(profile);
    }

    /// Another client begins.
    pub fn born(&mut self) {
        self.up = None;
        self.started();
        self.wants(true);
    }

    /// The series of attempts begins anew, at the main server.
    pub fn started(&mut self) {
        self.failing_back = false;
        self.since = None;
        self.asked(true);
    }

    /// The application asks for a connection now, and perhaps for a new series, which begins at the main server.
    pub fn asked(&mut self, anew: bool) {
        self.at_once = true;
        self.due = None;
        if anew {
            self.last = None;
            self.spared = false;
            self.early = 0;
            self.active = 0;
        }
    }

    /// The application wants a connection, or none.
    pub fn wants(&mut self, wants: bool) {
        self.stopped = !wants;
        if !wants {
            self.at_once = false;
            self.due = None;
        }
    }

    /// It asks for one in a handler that is told of an end, before [`failed`](Way::failed); `own` if it asked for that.
    pub fn asked_at_the_end(&mut self, own: bool) {
        self.stopped = false;
        let lived = self.up.map(|up| self.end - up);
        let shortest = self.bounds[self.active].0;
        if own || lived.is_some_and(|lived| lived >= self.stable && lived >= shortest) {
            self.asked(false);
        }
    }

    /// It closed a connection that was up to try the main server again, or because the application changed that.
    pub fn fails_back(&mut self) {
        self.failing_back = self.active > 0;
        self.asked(true);
    }

    fn may_fail_back(&self, now: u64) -> bool {
        self.active > 0 && self.stay > 0 && self.since.is_some_and(|since| now - since >= self.stay)
    }

    /// The attempt failed, or the connection that was up was lost; `own` if the application asked for that.
    pub fn failed(&mut self, own: bool) {
        let lived = self.up.take().map(|up| self.end - up);
        if lived.is_some_and(|lived| lived >= self.stable) {
            self.last = None;
            self.spared = false;
            self.early = 0;
        }
        let early = lived.is_some_and(|lived| lived < self.stable);
        self.early += u32::from(early && !own);
        if self.at_once || self.stopped {
            return;
        }
        if std::mem::take(&mut self.failing_back) {
            self.asked(true);
            self.active = 1;
            return;
        }
        let max = self.bounds[self.active].1;
        if early && self.early >= SUSPICIOUS {
            self.spared = true;
            return self.waits(max);
        }
        let spared = !self.fixed && std::mem::replace(&mut self.spared, early);
        if !self.fixed
            && lived.is_none()
            && !spared
            && self.bounds.len() > 1
            && self.last.is_some_and(|last| last >= self.bounds[self.active].1)
        {
            self.active = 1 - self.active;
            self.last = None;
            self.spared = false;
            self.early = 0;
        }
        let (min, max) = self.bounds[self.active];
        let wait = match self.last {
            None => min,
            Some(last) => (last * 2).max(min),
        };
        self.waits(if self.fixed { min } else { wait.min(max) });
    }

    fn waits(&mut self, wait: u64) {
        self.last = Some(wait);
        let spread = wait * self.jitter / 100;
        self.due = Some((self.round + wait - spread, self.round + wait + spread));
    }

    pub fn succeeded(&mut self, now: u64) {
        self.since = Some(now);
        self.up = Some(now);
        self.failing_back = false;
        self.due = None;
    }

    fn begins(&mut self, server: usize, now: u64, late: bool) -> Result<(), String> {
        if server < self.active && self.may_fail_back(now) {
            // It was about to, when the link was lost.
            self.fails_back();
        }
        if self.stopped {
            return Err("an attempt, although the application closed the connection".into());
        }
        self.at_once = false;
        self.since = None;
        match self.due.take() {
            Some((low, _)) if now < low => Err(format!("back-off: an attempt {} us too early", low - now)),
            Some((_, high)) if now > high && !late => {
                Err(format!("back-off: an attempt {} us too late", now - high))
            }
            _ if server != self.active => Err(format!("server {server} is tried, {} is due", self.active)),
            _ => Ok(()),
        }
    }
}

fn bounds_of(profile: &Profile) -> (u64, u64) {
    (profile.reconnect_min.0.min(profile.reconnect_max.0), profile.reconnect_max.0)
}
