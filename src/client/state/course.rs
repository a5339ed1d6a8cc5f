//! Whether a connection is to be up, and when the next attempt comes.

use crate::client::state::reconnect::Lost;
use crate::driver::Loop;
use crate::error::Code;

/// When the next attempt begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::client) enum Next {
    /// As the policy says, if it says so.
    #[default]
    Policy,
    /// It was asked for by a handler that was told of an end: it comes, whatever the policy says, but not sooner than
    /// the schedule allows.
    Asked,
    /// In the next turn, or when the link that is ending has ended.
    AtOnce,
}

/// What is wanted of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::client) struct Course {
    /// The application wants it to be up.
    pub(in crate::client) wanted: bool,
    /// It was up since the application wanted that.
    pub(in crate::client) established: bool,
    /// It is to be up whenever its configuration says so, unless the application closed it.
    pub(in crate::client) by_itself: bool,
    /// The application closed it, and did not ask for it since.
    pub(in crate::client) closed: bool,
    /// Handlers are being told of an end; what comes next is planned after that.
    pub(in crate::client) ending: bool,
    pub(in crate::client) next: Next,
    /// Why it is not wanted.
    pub(in crate::client) why: Code,
    /// It was logged that something waits for what nobody will open.
    pub(in crate::client) warned: bool,
}

/// What a connection has that a call can meet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::client) enum Has {
    Nothing,
    Wait,
    Link,
    EndingLink,
}

/// How a link or an attempt ended.
#[derive(Clone, Copy)]
pub(in crate::client) struct Ended {
    pub(in crate::client) lost: Lost,
    /// The next attempt may begin at once, if somebody wants that.
    pub(in crate::client) may_hurry: bool,
}

impl Course {
    pub(in crate::client) const NEW: Course = Course {
        wanted: false,
        established: false,
        by_itself: false,
        closed: false,
        ending: false,
        next: Next::Policy,
        why: Code::NotConnected,
        warned: false,
    };

    /// Whether the application wants it to be up.
    pub(in crate::client) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Why it is not.
    pub(in crate::client) fn why_not(&self) -> Code {
        self.why
    }

    /// Whether the next attempt does not wait for its time.
    pub(in crate::client) fn is_due(&self) -> bool {
        self.wanted && self.next == Next::AtOnce
    }

    pub(in crate::client) fn was_warned(&self) -> bool {
        self.warned
    }

    pub(in crate::client) fn warned(&mut self) {
        self.warned = true;
    }

    /// An attempt begins.
    pub(in crate::client) fn begins(&mut self) {
        self.next = Next::Policy;
    }

    /// CONNACK accepted us.
    pub(in crate::client) fn came_up(&mut self) {
        self.established = true;
    }

    /// The next attempt begins when the present link has ended, or in the next turn.
    pub(in crate::client) fn hurry(&mut self) {
        if self.wanted {
            self.next = Next::AtOnce;
        }
    }

    pub(in crate::client) fn want(&mut self, has: Has) {
        self.established &= self.wanted;
        (self.wanted, self.closed, self.warned) = (true, false, false);
        if has != Has::Link {
            self.ask(has);
        }
    }

    /// The next attempt is to begin as soon as it may, for a connection that is wanted.
    pub(in crate::client) fn ask(&mut self, has: Has) {
        let next = match has {
            Has::Nothing if self.ending && Loop::in_dispatch() => Next::Asked,
            _ => Next::AtOnce,
        };
        self.next = self.next.max(next);
    }

    /// It is not to be up any more, or cannot be.
    pub(in crate::client) fn give_up(&mut self, why: Code) {
        (self.wanted, self.next, self.why) = (false, Next::Policy, why);
    }
}
