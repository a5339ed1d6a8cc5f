//! The server's answers to a call for several filters.

use std::sync::Arc;

use crate::error::Code;

/// What became of one filter of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterResult {
    /// The filter.
    pub filter: Arc<str>,
    /// The server's code as it sent it: the granted QoS, or 0x80 and above for a refusal. When unsubscribing, 0.
    /// `None` if there was no answer.
    pub code: Option<u8>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterResults {
    /// [`Code::Ok`] if every filter was answered, also if the answer was a refusal; [`Code::AckTimeout`] if one was not in
    /// time; [`Code::Cancelled`] if a later call took one back before; [`Code::Incomplete`] if the connection was freed.
    pub error: Code,
    /// The filters in the order of the call.
    pub filters: Vec<FilterResult>,
}
