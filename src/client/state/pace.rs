//! Keeps callbacks that take long from holding up everything else.
//!
//! A turn may have thousands of callbacks to run: for messages, acknowledgements, outcomes, answers, log records. None
//! of them blocks for long, but all of them together may. So every callback is counted here, and now and then the clock is
//! read. When the time of the turn is used up, the turn ends: what is due is written, the other sources of the loop have
//! their turns, and the rest follows in the next one.
//!
//! Reading the clock for each message would cost more than the message. It is read after every [`WINDOW`] callbacks; only
//! while they are known to be slow, after each of them.

use crate::bugs::{Bug, bug};
use crate::driver::{LONG_SLICE, SHORT_SLICE};
use crate::time::Time;

/// So many callbacks run at most between two looks at the clock.
pub(in crate::client) const WINDOW: u8 = 16;

/// What callbacks can be waiting for, as a bit: each in its turn.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(in crate::client) enum Stage {
    /// The result of an attempt to connect, to those who asked for it.
    Results = 1,
    /// Calls that cover several filters.
    Calls = 1 << 1,
    /// Messages that were refused before.
    Refused = 1 << 2,
    /// What the server sends.
    Read = 1 << 3,
    /// How publishes ended.
    Outcomes = 1 << 4,
    /// The event POLL.
    Poll = 1 << 5,
    /// Log records.
    Log = 1 << 6,
    /// Requests that ended without a response.
    Requests = 1 << 7,
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Pace {
    /// When the turn has to end.
    until: Time,
    /// Callbacks until the clock is read.
    left: u8,
    /// While callbacks are slow: how many in a row found the turn not over.
    quick: u8,
    /// While they are not: how often the clock was read in this turn.
    looks: u8,
    /// The turn has to end.
    over: bool,
    slow: bool,
    /// Stages that have waited for longest: they come before the others.
    owed: u8,
    /// Stages that had to wait in this turn.
    denied: u8,
}

impl Pace {
    pub(in crate::client) const fn new() -> Pace {
        Pace {
            until: Time::NEVER,
            left: WINDOW,
            quick: 0,
            looks: 0,
            over: false,
            slow: false,
            owed: 0,
            denied: 0,
        }
    }

    /// A turn begins at `now`.
    pub(in crate::client) fn begin(&mut self, now: Time, bounded: bool) {
        if self.owed | self.denied != 0 {
            self.take_over(bounded);
        }
        self.start(now, bounded);
    }

    /// What the stages that had to wait in the last turn are owed in this one.
    #[cold]
    fn take_over(&mut self, bounded: bool) {
        // Whoever had nothing to do in the last turn is owed nothing.
        self.owed &= self.denied;
        if self.owed == 0 {
            self.owed = self.denied;
        }
        if !bounded {
            self.owed = 0;
        }
        self.denied = 0;
    }

    /// Callbacks begin at `now`, in a turn or beside one.
    #[inline]
    pub(in crate::client) fn start(&mut self, now: Time, bounded: bool) {
        self.until = if bounded { now + LONG_SLICE } else { Time::NEVER };
        (self.left, self.quick, self.looks, self.over) = (WINDOW, 0, 0, false);
        if self.slow && bounded {
            (self.left, self.until) = (1, now + SHORT_SLICE);
        }
    }

    /// Whether the callbacks of this stage may run now. None of the stages can use up all turns, since those that had to
    /// wait come first in the next.
    pub(in crate::client) fn may(&mut self, stage: Stage) -> bool {
        let stage = stage as u8;
        if self.over || self.owed != 0 && self.owed & stage == 0 {
            self.denied |= stage;
            return false;
        }
        self.owed &= !stage;
        true
    }

    /// The turn has to end: no further callback runs in it.
    #[inline]
    pub(in crate::client) fn is_over(&self) -> bool {
        self.over
    }

    /// There is more to be done than this turn had time for.
    pub(in crate::client) fn is_unfinished(&self) -> bool {
        self.over || self.denied != 0
    }

    /// Callbacks have run in this turn.
    pub(in crate::client) fn has_run(&self) -> bool {
        self.looks > 0 || !self.slow && self.left < WINDOW
    }

    /// How many callbacks may run before it has to be [asked](Self::count) whether there is time for more.
    #[inline]
    pub(in crate::client) fn most(&self) -> usize {
        usize::from(self.left)
    }

    /// So many callbacks have run. True if it is time for a [look](Self::look) at the clock.
    #[inline(always)]
    pub(in crate::client) fn count(&mut self, n: usize) -> bool {
        let left = usize::from(self.left).saturating_sub(n);
        self.left = left as u8;
        left == 0
    }

    pub(in crate::client) fn look(&mut self, now: Time) {
        self.left = 1;
        self.looks = self.looks.saturating_add(1);
        if now >= self.until && !bug(Bug::Starvation) {
            self.over = true;
            // Many that are quick use up a turn, too. Those go on as before in the next one.
            let took = now.since(self.until).0 + LONG_SLICE.0;
            self.slow |= took >= SHORT_SLICE.0 * u64::from(self.looks);
        } else if !self.slow {
            self.left = WINDOW;
        } else {
            self.quick += 1;
            if self.quick >= WINDOW {
                self.slow = false;
                self.left = WINDOW;
                // The rest of a turn that is as long as any other.
                if self.until != Time::NEVER {
                    self.until = now + LONG_SLICE;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn in which the stages of `with_work`, in order, each run slow callbacks; which of them came to it.
    fn turn(pace: &mut Pace, with_work: &[Stage]) -> Vec<u8> {
        pace.begin(Time::ZERO, true);
        let mut ran = Vec::new();
        for stage in with_work {
            if pace.may(*stage) {
                ran.push(*stage as u8);
                while !pace.is_over() {
                    if pace.count(1) {
                        pace.look(Time(1_000_000));
                    }
                }
            }
        }
        ran
    }

    #[test]
    fn each_stage_has_its_turn() {
        use Stage::{Log, Outcomes, Read};
        let mut pace = Pace::new();
        let ran: Vec<u8> = (0..30).flat_map(|_| turn(&mut pace, &[Read, Outcomes, Log])).collect();
        assert_eq!(ran.len(), 30, "one of them in each turn");
        for stage in [Read, Outcomes, Log] {
            assert!(ran.windows(5).all(|turns| turns.contains(&(stage as u8))), "{stage:?} waits: {ran:?}");
        }
    }

    /// A stage that was owed a turn, and has nothing to do when it comes, keeps no other waiting for ever.
    #[test]
    fn a_stage_without_work_blocks_nobody() {
        use Stage::{Outcomes, Read};
        let mut pace = Pace::new();
        assert_eq!(turn(&mut pace, &[Outcomes, Read]), [Outcomes as u8]);
        // The link is gone, and what was to be read with it.
        assert!(turn(&mut pace, &[Outcomes]).is_empty());
        assert!(pace.is_unfinished());
        assert_eq!(turn(&mut pace, &[Outcomes]), [Outcomes as u8]);
        assert!(turn(&mut pace, &[]).is_empty());
        assert!(!pace.is_unfinished());
    }
}
