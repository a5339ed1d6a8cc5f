//! When to try again, and with which server profile.
//!
//! Pure arithmetic: no clock and no randomness of its own, so that every schedule can be tested to the
//! microsecond. The schedule is that of Mongoose OS: the wait doubles from the minimum to the maximum of
//! the active profile; when an attempt failed after the maximum wait, the next enabled profile takes over
//! and the wait starts again at its minimum.
//!
//! A connection that was accepted and lost before it was stable changes the server as little as one that was stable, but the
//! wait goes on where it was: a server that closes at once is called as rarely as one that is not there.

use crate::time::Span;

/// The waits of one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The first wait.
    pub min: Span,
    /// The longest wait. If it is shorter than the minimum, it wins.
    pub max: Span,
}

/// How the wait grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Growth {
    /// Minimum, twice that, and so on up to the maximum.
    #[default]
    Doubling,
    /// Always this long, and never another profile.
    Fixed(Span),
    /// Between the minimum and three times the last wait, by a random number, up to the maximum.
    Decorrelated {
        /// The number.
        random: u64,
        /// The first wait after a stable connection may be as long as this; what follows goes on as if it had been.
        first: Span,
    },
}

/// What a wait follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// An attempt that failed.
    Attempt,
    /// A connection that was up, and not for long.
    Early,
    /// A connection that was up for long enough: [`Reconnect::succeeded`] was called.
    Stable,
    /// The server is not to be called again soon, whatever it was before: it is busy, or another client has the session.
    Unwelcome {
        /// It had accepted the connection.
        was_up: bool,
    },
}

/// After this many connections in a row that were lost early, something must be wrong that is not the network.
pub const SUSPICIOUS: u8 = 5;

/// Where a series of failed attempts stands.
#[derive(Clone, Debug)]
pub struct Reconnect {
    /// The wait before the attempt that failed last; [`FIRST`] if the attempt was the first.
    last: Span,
    /// The profile in use, by index.
    active: u32,
    /// How many connections were lost early since one was stable.
    early: u8,
    /// The last one was: the next failure does not change the server, however long the wait was.
    spared: bool,
}

/// Longer than any wait.
const FIRST: Span = Span(u64::MAX);

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect { last: FIRST, active: 0, early: 0, spared: false }
    }
}

impl Reconnect {
    /// The profile that the next attempt uses.
    pub fn active(&self) -> usize {
        self.active as usize
    }

    fn last(&self) -> Option<Span> {
        (self.last != FIRST).then_some(self.last)
    }

    /// Uses another profile from the next attempt on, as if it had been the first.
    pub fn select(&mut self, profile: usize) {
        *self = Reconnect { active: profile as u32, ..Reconnect::default() };
    }

    /// The connection was stable: the next series starts anew, on the same profile.
    pub fn succeeded(&mut self) {
        self.select(self.active());
    }

    /// The server accepted the connection, and it was lost before it was stable. True if that happens too often now.
    pub fn lost_early(&mut self) -> bool {
        self.early = self.early.saturating_add(1);
        self.early == SUSPICIOUS
    }

    /// It has happened too often since a connection was stable.
    pub fn is_suspicious(&self) -> bool {
        self.early >= SUSPICIOUS
    }

    /// An attempt failed, or a connection was lost. Returns the wait before the next attempt, counted
    /// from now, and moves on to the next profile when it is time to.
    ///
    /// `profiles` holds the waits of each profile; `None` for one that is disabled.
    pub fn failed(&mut self, profiles: &[Option<Waits>], growth: Growth, lost: Lost) -> Span {
        let mut waits = self.waits(profiles);
        if let Lost::Unwelcome { was_up } = lost {
            // It does not change the server by itself; the next failure may, as after other losses.
            (self.last, self.spared) = (waits.max, was_up);
            return waits.max;
        }
        if let Growth::Fixed(wait) = growth {
            return wait;
        }
        let spared = std::mem::replace(&mut self.spared, lost == Lost::Early);
        if lost == Lost::Attempt
            && !spared
            && self.last().is_some_and(|last| last >= waits.max)
            && let Some(next) = self.next_enabled(profiles)
        {
            self.select(next);
            waits = self.waits(profiles);
        }
        let wait = match (self.last(), growth) {
            (last, Growth::Decorrelated { random, first }) => {
                let three_times = |wait: Span| Span(wait.0.saturating_mul(3));
                let most = match last {
                    Some(last) => three_times(last),
                    None if lost == Lost::Stable => three_times(waits.min).max(first),
                    None => three_times(waits.min.max(first)),
                };
                let wait = between(waits.min, most.min(waits.max), random);
                if last.is_none() && wait < first {
                    self.last = first.min(waits.max);
                    return wait;
                }
                wait
            }
            (None, _) => waits.min,
            (Some(last), _) => Span(last.0.saturating_mul(2)).max(waits.min),
        };
        let wait = wait.min(waits.max);
        self.last = wait;
        wait
    }

    fn waits(&self, profiles: &[Option<Waits>]) -> Waits {
        // A profile that was disabled while it was in use keeps the schedule of the original's defaults.
        profiles
            .get(self.active())
            .copied()
            .flatten()
            .unwrap_or(Waits { min: Span::secs(2), max: Span::secs(60) })
    }

    /// The next enabled profile after the active one, round the ring; `None` if there is no other.
    fn next_enabled(&self, profiles: &[Option<Waits>]) -> Option<usize> {
        let n = profiles.len();
        (1..n).map(|step| (self.active() + step) % n).find(|i| profiles[*i].is_some())
    }
}

/// Evenly one of the times from `low` to `high`, by a random number; `low` if that is the later one.
pub fn between(low: Span, high: Span, random: u64) -> Span {
    let spread = u128::from(high.0.saturating_sub(low.0));
    Span(low.0 + ((u128::from(random >> 32) * (spread + 1)) >> 32) as u64)
}

/// Spreads `wait` evenly over ±`percent` around it, by a random number.
pub fn jitter(wait: Span, percent: u32, random: u64) -> Span {
    let spread = u128::from(wait.0) * u128::from(percent.min(100)) / 100;
    let low = u128::from(wait.0) - spread;
    let at = (u128::from(random >> 32) * (2 * spread + 1)) >> 32;
    Span((low + at).min(u128::from(u64::MAX)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Option<Waits> = Some(Waits { min: Span::secs(2), max: Span::secs(60) });

    fn decorrelated(random: u64) -> Growth {
        Growth::Decorrelated { random, first: Span::ZERO }
    }

    /// Attempts at their times when each fails at once: (profile, second).
    fn schedule(profiles: &[Option<Waits>], growth: Growth, attempts: usize) -> Vec<(usize, u64)> {
        let mut reconnect = Reconnect::default();
        let mut now = 0;
        let mut seen = Vec::new();
        for _ in 0..attempts {
            seen.push((reconnect.active(), now));
            let wait = reconnect.failed(profiles, growth, Lost::Attempt);
            assert_eq!(wait.0 % 1_000_000, 0);
            now += wait.0 / 1_000_000;
        }
        seen
    }

    #[test]
    fn the_backup_schedule_of_mongoose_os() {
        let seen = schedule(&[DEFAULT, DEFAULT], Growth::Doubling, 15);
        let main = [0, 2, 6, 14, 30, 62, 122].map(|t| (0, t));
        let backup = [124, 128, 136, 152, 184, 244].map(|t| (1, t));
        assert_eq!(seen[..7], main);
        assert_eq!(seen[7..13], backup);
        assert_eq!(seen[13], (0, 246));
    }

    #[test]
    fn one_profile_stays_at_the_maximum() {
        let seen = schedule(&[DEFAULT, None], Growth::Doubling, 9);
        assert_eq!(seen.iter().map(|s| s.1).collect::<Vec<_>>(), [0, 2, 6, 14, 30, 62, 122, 182, 242]);
        assert!(seen.iter().all(|s| s.0 == 0));
    }

    #[test]
    fn three_profiles_go_round_and_skip_the_disabled() {
        let fast = Some(Waits { min: Span::secs(1), max: Span::secs(2) });
        let seen = schedule(&[fast, None, fast], Growth::Doubling, 7);
        assert_eq!(seen, [(0, 0), (0, 1), (0, 3), (2, 4), (2, 6), (0, 7), (0, 9)]);
    }

    #[test]
    fn the_new_profile_brings_its_own_waits() {
        let main = Some(Waits { min: Span::secs(1), max: Span::secs(1) });
        let backup = Some(Waits { min: Span::secs(5), max: Span::secs(7) });
        let seen = schedule(&[main, backup], Growth::Doubling, 5);
        assert_eq!(seen, [(0, 0), (0, 1), (1, 6), (1, 13), (0, 14)]);
    }

    #[test]
    fn the_maximum_wins_over_the_minimum() {
        let odd = Some(Waits { min: Span::secs(9), max: Span::secs(3) });
        assert_eq!(schedule(&[odd], Growth::Doubling, 3), [(0, 0), (0, 3), (0, 6)]);
    }

    #[test]
    fn a_fixed_delay_never_grows_and_never_switches() {
        let seen = schedule(&[DEFAULT, DEFAULT], Growth::Fixed(Span::secs(5)), 40);
        assert!(seen.iter().enumerate().all(|(i, s)| *s == (0, 5 * i as u64)));
    }

    /// Each wait follows from the one before: never below the minimum, never above three times the last one or the maximum.
    #[test]
    fn decorrelated_waits_stay_within_their_bounds_and_use_all_of_them() {
        let (min, max) = (Span::secs(2), Span::secs(60));
        let profiles = [DEFAULT];
        let (mut reconnect, mut random, mut last) = (Reconnect::default(), 1_u64, min);
        let (mut lowest, mut highest) = (max, min);
        for _ in 0..2_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let wait = reconnect.failed(&profiles, decorrelated(random), Lost::Attempt);
            assert!(wait >= min && wait <= max.min(Span(last.0 * 3)), "{wait:?} after {last:?}");
            (lowest, highest, last) = (lowest.min(wait), highest.max(wait), wait);
        }
        assert!(lowest < Span::secs(3) && highest > Span::secs(50), "{lowest:?} {highest:?}");
        assert_eq!(reconnect.failed(&profiles, decorrelated(0), Lost::Attempt), min);
    }

    #[test]
    fn a_first_wait_that_may_be_longer_sets_the_scale_of_those_behind_it() {
        let most = Growth::Decorrelated { random: u64::MAX, first: Span::secs(10) };
        let least = Growth::Decorrelated { random: 0, first: Span::secs(10) };
        let waits = |lost, growths: &[Growth]| -> Vec<u64> {
            let mut reconnect = Reconnect::default();
            let mut lost = Some(lost);
            let mut next = |growth: &Growth| {
                reconnect.failed(&[DEFAULT], *growth, lost.take().unwrap_or(Lost::Attempt)).0 / 1_000_000
            };
            growths.iter().map(&mut next).collect()
        };
        assert_eq!(waits(Lost::Stable, &[most, most, most]), [10, 30, 60]);
        assert_eq!(waits(Lost::Stable, &[least, most]), [2, 30]);
        assert_eq!(waits(Lost::Attempt, &[most, most]), [30, 60]);
        assert_eq!(waits(Lost::Attempt, &[least, least, most]), [2, 2, 6]);
    }

    #[test]
    fn an_unwelcome_client_waits_as_long_as_it_may() {
        let profiles = [DEFAULT, DEFAULT];
        for growth in [Growth::Doubling, Growth::Fixed(Span::secs(1)), decorrelated(7)] {
            let mut reconnect = Reconnect::default();
            assert_eq!(
                reconnect.failed(&profiles, growth, Lost::Unwelcome { was_up: false }),
                Span::secs(60),
                "{growth:?}"
            );
            assert_eq!(reconnect.active(), 0);
        }
        // The next failure behind the longest wait is one for the backup server.
        let mut reconnect = Reconnect::default();
        reconnect.failed(&profiles, Growth::Doubling, Lost::Unwelcome { was_up: false });
        assert_eq!(reconnect.failed(&profiles, Growth::Doubling, Lost::Attempt), Span::secs(2));
        assert_eq!(reconnect.active(), 1);
    }

    #[test]
    fn success_starts_anew_on_the_same_profile() {
        let profiles = [DEFAULT, DEFAULT];
        let mut reconnect = Reconnect::default();
        for _ in 0..8 {
            reconnect.failed(&profiles, Growth::Doubling, Lost::Attempt);
        }
        assert_eq!(reconnect.active(), 1);
        reconnect.succeeded();
        assert_eq!(reconnect.failed(&profiles, Growth::Doubling, Lost::Stable), Span::secs(2));
        assert_eq!(reconnect.active(), 1);
    }

    /// A connection that was lost early: the wait goes on, and neither that loss nor the failure after it changes the
    /// server.
    #[test]
    fn a_short_success_keeps_the_wait_and_the_profile() {
        let profiles = [DEFAULT, DEFAULT];
        let mut reconnect = Reconnect::default();
        let mut lost = |how| {
            let wait = reconnect.failed(&profiles, Growth::Doubling, how).0 / 1_000_000;
            (reconnect.active(), wait)
        };
        assert_eq!([2, 4, 8, 16, 32, 60, 60, 60].map(|wait| (0, wait)), [Lost::Early; 8].map(&mut lost));
        assert_eq!(lost(Lost::Attempt), (0, 60));
        assert_eq!(lost(Lost::Early), (0, 60));
        assert_eq!([Lost::Attempt; 2].map(&mut lost), [(0, 60), (1, 2)]);
        let told = (0..20).filter(|_| reconnect.lost_early()).count();
        assert_eq!(told, 1);
    }

    #[test]
    fn jitter_covers_its_range_and_nothing_else() {
        let wait = Span::secs(10);
        assert_eq!(jitter(wait, 10, 0), Span::secs(9));
        assert_eq!(jitter(wait, 10, u64::MAX), Span::secs(11));
        assert_eq!(jitter(wait, 0, 12345), wait);
        assert_eq!(jitter(Span(u64::MAX), 100, u64::MAX), Span(u64::MAX));
    }
}
