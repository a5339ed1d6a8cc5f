//! How long the path to the server stays open without traffic: a NAT or a firewall on it may forget a quiet connection long
//! before the keep-alive interval is over, and then the link is dead and nobody knows.
//!
//! What is tried first is the interval of CONNECT. A PINGREQ without an answer, after so much silence, says that the path
//! was closed by then, if the server is there again within a minute: otherwise the server or the network was away, which says
//! nothing. From then on the longest silence that an answer followed and the shortest that none followed close in on each
//! other. A longer silence is tried only after three answers in a row, since a wrong guess costs a link.

use crate::time::{Moment, Span, Time};

/// Nothing shorter is tried, in seconds.
const LEAST: u16 = 5;
/// So many answers in a row make the next try.
const ENOUGH: u8 = 3;
/// A server that comes back so soon had not been away.
const SOON: Span = Span::secs(60);

/// What is known of a path. Times are in seconds, 0 is not known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    /// The longest silence that an answer followed.
    open: u16,
    /// The shortest that none followed.
    closed: u16,
    /// The silence that is tried; 0: that of CONNECT.
    tried: u16,
    answers: u8,
    /// The link was lost after such a silence, and no server has been reached since.
    lost_at: Moment,
}

impl Path {
    /// After how much silence a PINGREQ is due; never more than `interval`, which is CONNECT's.
    pub(crate) fn silence(&self, interval: u16) -> u16 {
        if self.tried == 0 { interval } else { self.tried.min(interval) }
    }

    /// An answer came after so much silence.
    pub(crate) fn answered(&mut self, silence: u16) {
        self.open = self.open.max(silence);
        self.answers = self.answers.saturating_add(1);
        if self.closed > 0 && self.closed <= self.open {
            // The path has become another one.
            self.closed = 0;
        }
        if self.answers >= ENOUGH && !self.is_found() {
            self.answers = 0;
            self.tried = match self.closed {
                0 => 0,
                closed => self.open + (closed - self.open) / 2,
            };
        }
    }

    /// The link was lost while an answer was awaited.
    pub(crate) fn lost(&mut self, now: Time) {
        self.lost_at = now.into();
    }

    /// A server was reached, which took up to `interval` seconds of silence. True if something new is known.
    pub(crate) fn back(&mut self, now: Time, interval: u16) -> bool {
        let lost = core::mem::replace(&mut self.lost_at, Moment::NONE).get();
        if lost.is_none_or(|at| now.since(at) > SOON) {
            return false;
        }
        let silence = self.silence(interval);
        self.closed = silence;
        if self.open >= silence {
            self.open = 0;
        }
        self.answers = 0;
        self.tried = if self.open > 0 { self.open } else { (silence / 2).max(LEAST.min(silence)) };
        true
    }

    /// Whether it is known well enough.
    fn is_found(&self) -> bool {
        self.closed > 0 && self.open > 0 && self.closed - self.open <= (self.open / 8).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that closes after so many seconds: what is settled on, and how many links that costs.
    fn settles(closes: u16, interval: u16) -> (u16, u32) {
        let (mut path, mut now, mut lost) = (Path::default(), Time(0), 0);
        for _ in 0..200 {
            let silence = path.silence(interval);
            assert!(silence <= interval && silence > 0);
            now = now + Span::secs(u64::from(silence));
            if silence < closes {
                path.answered(silence);
            } else {
                path.lost(now);
                lost += 1;
                now = now + Span::secs(10);
                assert!(path.back(now, interval));
            }
        }
        (path.silence(interval), lost)
    }

    #[test]
    fn it_finds_how_long_a_path_stays_open() {
        for (closes, interval) in [(100, 300), (31, 60), (61, 1200), (290, 300), (7, 3600), (1000, 65_535)] {
            let (found, lost) = settles(closes, interval);
            assert!(found < closes, "{closes}: {found}");
            assert!(
                u32::from(found) * 10 >= u32::from(closes) * 7 || closes - found <= 6,
                "{closes}: {found}"
            );
            assert!(lost <= 13, "{closes}: {lost} links");
        }
        assert_eq!(settles(301, 300), (300, 0));
    }

    #[test]
    fn a_server_that_was_away_says_nothing() {
        let mut path = Path::default();
        path.lost(Time(0));
        assert!(!path.back(Time(0) + Span::secs(61), 300));
        assert_eq!(path.silence(300), 300);
        assert!(!path.back(Time(0) + Span::secs(62), 300));
    }

    #[test]
    fn a_path_that_became_shorter_is_found_anew() {
        let mut path = Path::default();
        path.lost(Time(0));
        path.back(Time(1), 300);
        (0..3).for_each(|_| path.answered(150));
        assert_eq!(path.silence(300), 225);
        path.lost(Time(0));
        path.back(Time(1), 300);
        assert_eq!(path.silence(300), 150);
        // And now not even that.
        path.lost(Time(0));
        path.back(Time(1), 300);
        assert_eq!(path.silence(300), 75);
    }
}
