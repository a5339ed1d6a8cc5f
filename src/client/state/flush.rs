//! When output is written.

use crate::client::handlers::event::Report;

/// How an attempt to write the output ended.
pub(in crate::client) enum Flush {
    Done,
    Blocked,
    Failed(Report),
}
