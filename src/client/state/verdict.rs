//! Which message the handlers are being told of, what they said, and messages that they refused.

use std::collections::VecDeque;

use crate::client::state::receive_queue::{OwnedMessage, comes_again};
use crate::error::Code;
use crate::lazy_box::Empty;
use crate::session::Hold;
use crate::time::Time;

/// Which message the handlers are being told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::client) enum InDelivery {
    /// None.
    #[default]
    Nothing,
    /// One that has just come.
    Fresh,
    /// One that was refused before, with what is acknowledged at its end.
    Again(Option<Hold>),
}

/// What they said.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::client) struct HandlerVerdict {
    /// There are others beside the queue.
    pub(in crate::client) shared: bool,
    /// It is in the queue.
    pub(in crate::client) queued: bool,
    /// It was refused, for this reason.
    pub(in crate::client) refused: Option<u8>,
    /// The reason code of its acknowledgement.
    pub(in crate::client) reason: u8,
    /// The server shall send it again, on another connection.
    pub(in crate::client) not_delivered: bool,
    /// It is a response that its request is being told of: nobody would be, if it came again.
    pub(in crate::client) answers: bool,
    /// It could not be kept, and the connection cannot go on.
    pub(in crate::client) failed: Option<Code>,
}

pub(in crate::client) struct Refused {
    pub(in crate::client) kept: OwnedMessage,
    pub(in crate::client) refusals: u32,
    pub(in crate::client) due: Time,
}

/// Messages that were refused and will be delivered again, the next one first.
#[derive(Default)]
pub(in crate::client) struct Refusals {
    pub(in crate::client) waiting: VecDeque<Refused>,
    pub(in crate::client) bytes: usize,
}

impl Empty for Refusals {
    const EMPTY: &'static Self = &Refusals { waiting: VecDeque::new(), bytes: 0 };
}

impl Refusals {
    pub(in crate::client) fn due(&self) -> Option<Time> {
        self.waiting.front().map(|refused| refused.due)
    }

    pub(in crate::client) fn push(&mut self, refused: Refused) {
        self.bytes += refused.kept.len();
        self.waiting.push_back(refused);
    }

    pub(in crate::client) fn pop(&mut self) -> Option<Refused> {
        let refused = self.waiting.pop_front()?;
        self.bytes -= refused.kept.len();
        Some(refused)
    }

    /// Gives back the room of the list if that is empty.
    pub(in crate::client) fn shrink(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
    }

    /// The server kept the session: it sends again what was not acknowledged.
    pub(in crate::client) fn resumed(&mut self) {
        let bytes = &mut self.bytes;
        self.waiting.retain(|refused| {
            let comes_again = comes_again(&refused.kept);
            *bytes -= if comes_again { refused.kept.len() } else { 0 };
            !comes_again
        });
    }

    /// The session is over: nothing is left to be acknowledged.
    pub(in crate::client) fn session_over(&mut self) {
        self.waiting.iter_mut().for_each(|refused| refused.kept.hold = None);
    }
}
