//! What can be observed of a connection.
//!
//! | file           | what |
//! |----------------|------|
//! | `stats.rs`     | what is counted, as numbers |
//! | `stage.rs`     | what it is doing right now |
//! | `slow.rs`      | a warning about slow callbacks |
//! | `metrics.rs`   | what is counted, as text |
//! | `log_topic.rs` | publishing log lines |
//! | `log.rs`       | keeping log records until no lock is held |
//! | `expiry.rs`    | certificates that end |
//! | `trace.rs`     | log records about packets |

pub(in crate::client) mod expiry;
pub(in crate::client) mod log;
pub(in crate::client) mod log_topic;
pub(in crate::client) mod metrics;
pub(in crate::client) mod slow;
pub(in crate::client) mod stage;
pub(in crate::client) mod stats;
pub(in crate::client) mod trace;
