//! How long the client may and must wait between attempts: worked out again, from what is promised.

use mgos_mqtt::config::Profile;

/// The expected schedule of one client, in microseconds of its clock.
#[derive(Debug, Default)]
pub struct Pace {
    fixed: bool,
    jitter: u64,
    min: u64,
    max: u64,
    /// When the present round of the loop began.
    pub round: u64,
    last: Option<u64>,
    /// The application asked for the next attempt: it comes at once.
    at_once: bool,
    /// The earliest and the latest time of the next attempt.
    due: Option<(u64, u64)>,
}

impl Pace {
    pub fn new(fixed: bool, jitter: u8, profile: &Profile) -> Pace {
        let mut pace = Pace { fixed, jitter: jitter.into(), ..Pace::default() };
        pace.bounds(profile);
        pace
    }

    pub fn bounds(&mut self, profile: &Profile) {
        (self.min, self.max) =
            (profile.reconnect_min.0.min(profile.reconnect_max.0), profile.reconnect_max.0);
    }

    /// The application asks for a connection now, and perhaps for a new series.
    pub fn asked(&mut self, anew: bool) {
        self.at_once = true;
        self.due = None;
        if anew {
            self.last = None;
        }
    }

    pub fn failed(&mut self) {
        if self.at_once {
            return;
        }
        let wait = match self.last {
            None => self.min,
            Some(last) => (last * 2).max(self.min),
        };
        let wait = if self.fixed { self.min } else { wait.min(self.max) };
        self.last = Some(wait);
        let spread = wait * self.jitter / 100;
        self.due = Some((self.round + wait - spread, self.round + wait + spread));
    }

    pub fn succeeded(&mut self) {
        self.last = None;
        self.due = None;
    }

    /// An attempt begins; `late` if it may be later than it should.
    pub fn begins(&mut self, now: u64, late: bool) -> Result<(), String> {
        self.at_once = false;
        match self.due.take() {
            Some((low, _)) if now < low => Err(format!("back-off: an attempt {} us too early", low - now)),
            Some((_, high)) if now > high && !late => {
                Err(format!("back-off: an attempt {} us too late", now - high))
            }
            _ => Ok(()),
        }
    }
}
