//! Incoming QoS 2 exchanges, and the skipping of messages that are too large.

use super::ids::IdMap;
use crate::error::Code;
use crate::wire::QoS;

/// What is known about incoming messages.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// QoS 2 packet ids that were delivered and not yet released by the server. A PUBLISH with one
    /// of them is a repetition (MQTT 3.1.1 §4.3.3, method B).
    received: IdMap<()>,
    /// The server may have lost the session in which they came, without our knowledge.
    doubtful: bool,
    /// Bytes of an oversize packet still to come, and what to acknowledge after them.
    pub(crate) skip: usize,
    pub(crate) skipped: Option<(QoS, u16)>,
}

impl Inbound {
    pub(crate) const fn new() -> Self {
        Inbound { received: IdMap::new(), doubtful: false, skip: 0, skipped: None }
    }

    /// A new connection starts at a packet boundary.
    pub(crate) fn opened(&mut self) {
        self.skip = 0;
        self.skipped = None;
    }

    pub(crate) fn forget(&mut self) {
        self.received.clear();
        self.doubtful = false;
    }

    /// The ids may be of another session than the present one.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Whether a PUBLISH with this id was delivered already. A server that kept the session marks what it sends
    /// again (MQTT 3.1.1 §3.3.1.1), so if there is doubt about that, what is not marked is new.
    pub(crate) fn is_known(&self, id: u16, dup: bool) -> bool {
        (dup || !self.doubtful) && self.received.get(id).is_some()
    }

    /// Makes sure that one more id can be remembered.
    pub(crate) fn reserve(&mut self) -> Result<(), Code> {
        self.received.reserve()
    }

    pub(crate) fn remember(&mut self, id: u16) -> Result<(), Code> {
        self.received.insert(id, ())
    }

    pub(crate) fn released(&mut self, id: u16) {
        self.received.remove(id);
    }
}
