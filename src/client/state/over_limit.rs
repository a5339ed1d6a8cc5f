//! A message that is over a limit, for the sentence about it.

use std::cell::Cell;

use crate::session::{OverLimit, Publication, Session};

thread_local! {
    /// Which limit the call that goes on has found a message to be over. Without a destructor.
    static OVER_LIMIT: Cell<Option<OverLimit>> = const { Cell::new(None) };
}

/// Keeps which limit a message is over, for the call that goes on.
pub(in crate::client) fn over_limit(session: &Session, message: &Publication<'_>) -> OverLimit {
    let why = session.over_limit(message.topic.as_bytes(), message.payload, message.qos);
    OVER_LIMIT.set(Some(why));
    why
}

/// Why the last message of this thread was too large, once.
#[cfg(feature = "capi")]
pub(crate) fn take_over_limit() -> Option<OverLimit> {
    OVER_LIMIT.take()
}
