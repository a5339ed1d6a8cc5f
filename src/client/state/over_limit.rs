//! A message that is over a limit, for the sentence about it.

use std::cell::Cell;

use crate::error::Code;
use crate::session::{OverLimit, Publication, Request, Session};

thread_local! {
    /// Which limit the call that goes on has found a message to be over. Without a destructor.
    static OVER_LIMIT: Cell<Option<OverLimit>> = const { Cell::new(None) };
}

/// Keeps which limit a message is over, for the call that goes on.
pub(in crate::client) fn over_limit(session: &Session, message: &Publication<'_>) -> OverLimit {
    let why = session.over_limit(message);
    OVER_LIMIT.set(Some(why));
    why
}

/// Whether the server allows a subscription; if not, why is kept for the call that goes on.
pub(in crate::client) fn check_filter(
    session: &Session,
    filter: &str,
    request: &Request,
) -> Result<(), Code> {
    session.may_subscribe(filter, request).map_err(|reason| {
        OVER_LIMIT.set(Some(OverLimit::Filter(reason)));
        Code::ServerLimit
    })
}

/// Why the last message of this thread was too large, once.
#[cfg(feature = "capi")]
pub fn take_over_limit() -> Option<OverLimit> {
    OVER_LIMIT.take()
}
