//! Which version of MQTT a server speaks, as far as attempts with [`Protocol::Auto`](crate::config::Protocol::Auto) have
//! found out.

use crate::time::{Span, Time};
use crate::wire::Version;

/// So long what was settled is used again; then the newest version is tried once more.
const REMEMBERED: Span = Span::secs(24 * 60 * 60);

/// After so many connections in a row that were closed instead of a CONNACK, the server does not seem to know the version.
const CLOSES: u8 = 2;

/// What is known of one server.
pub(in crate::client) struct Versions {
    server: Option<String>,
    /// The version that the next attempt has.
    next: Version,
    /// When the server accepted that.
    settled: Option<Time>,
    /// How many connections in a row it closed instead of sending CONNACK.
    closes: u8,
}

impl Versions {
    /// The server is tried for the first time.
    pub(in crate::client) const fn new(server: Option<String>) -> Versions {
        Versions { server, next: Version::V5, settled: None, closes: 0 }
    }

    /// Whether it is that server, and was not settled too long ago.
    pub(in crate::client) fn holds(&self, server: Option<&str>, now: Time) -> bool {
        self.server.as_deref() == server && self.settled.is_none_or(|at| now.since(at) < REMEMBERED)
    }

    /// The version of the next attempt.
    pub(in crate::client) const fn next(&self) -> Version {
        self.next
    }

    /// The version that the server accepted.
    pub(in crate::client) fn settled(&self) -> Option<Version> {
        self.settled.map(|_| self.next)
    }

    /// CONNACK accepted us.
    pub(in crate::client) fn accepted(&mut self, now: Time) {
        (self.closes, self.settled) = (0, Some(self.settled.unwrap_or(now)));
    }

    /// The server does not speak the version. True if there is an older one for the next attempt.
    pub(in crate::client) fn refused(&mut self) -> bool {
        (self.closes, self.settled) = (0, None);
        let (next, older) = match self.next {
            Version::V5 => (Version::V311, true),
            Version::V311 => (Version::V31, true),
            Version::V31 => (Version::V5, false),
        };
        self.next = next;
        older
    }

    /// It closed the connection instead of answering. As [`refused`](Self::refused), if it has done so before. A server that
    /// has accepted the version must have had another reason.
    pub(in crate::client) fn closed(&mut self) -> bool {
        self.closes += u8::from(self.settled.is_none());
        self.closes >= CLOSES && self.refused()
    }

    /// The attempt failed for another reason, which says nothing of the version.
    pub(in crate::client) fn failed(&mut self) {
        self.closes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_tried_and_then_the_newest_again() {
        let mut versions = Versions::new(None);
        let tried: Vec<_> = (0..4).map(|_| (versions.next(), versions.refused())).collect();
        let (v5, v311, v31) = ((Version::V5, true), (Version::V311, true), (Version::V31, false));
        assert_eq!(tried, [v5, v311, v31, v5]);
    }

    #[test]
    fn only_two_closes_in_a_row_say_something() {
        let mut versions = Versions::new(None);
        assert!(!versions.closed());
        versions.failed();
        assert!(!versions.closed() && versions.closed());
        assert_eq!(versions.next(), Version::V311);
        assert!(!versions.closed());
        versions.accepted(Time::ZERO);
        // It was accepted, so that is not the reason.
        assert!((0..9).all(|_| !versions.closed()));
        assert_eq!(versions.settled(), Some(Version::V311));
    }

    #[test]
    fn what_was_settled_holds_for_a_day_and_for_one_server() {
        let mut versions = Versions::new(Some("a".into()));
        versions.accepted(Time::ZERO + Span::secs(5));
        versions.accepted(Time::ZERO + Span::secs(3600));
        let day = Time::ZERO + REMEMBERED;
        assert!(
            versions.holds(Some("a"), day) && !versions.holds(Some("b"), day) && !versions.holds(None, day)
        );
        assert!(!versions.holds(Some("a"), day + Span::secs(5)));
    }
}
