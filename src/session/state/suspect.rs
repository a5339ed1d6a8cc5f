//! A message for which a server closes the connection each time that it comes.

/// From so many on it is sent alone.
const ALONE_AT: u32 = 2;

/// What is known of the message that is under suspicion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Suspect {
    pub(crate) token: u64,
    pub(crate) closes: u32,
    /// How many messages had been accepted when one was acknowledged last, 0 if none was on this connection. Those that
    /// came later were sent later.
    pub(crate) acknowledged_at: u64,
}

impl Suspect {
    pub(crate) const NONE: Suspect = Suspect { token: 0, closes: 0, acknowledged_at: 0 };

    /// Whether the first message in flight is to be alone there.
    pub(crate) fn is_sent_alone(&self) -> bool {
        self.closes >= ALONE_AT && self.acknowledged_at == 0
    }
}
