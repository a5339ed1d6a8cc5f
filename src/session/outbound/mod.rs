//! What is sent: accepted, written, acknowledged, and how it ended.
//!
//! | file              | what |
//! |-------------------|------|
//! | `fast.rs`         | the fast path: publishing and acknowledgements that meet nothing unusual |
//! | `over_limit.rs`   | which limit a message is over |
//! | `publish.rs`      | accepting messages |
//! | `acknowledged.rs` | PUBACK, PUBREC, PUBCOMP |
//! | `overdue.rs`      | acknowledgements that do not come in time |
//! | `suspect.rs`      | a message for which the server closes the connection each time |
//! | `queue.rs`        | what waits: its limits, and who of it ends without being sent |
//! | `sending.rs`      | sending what waits, and what becomes of it when the link is lost |
//! | `outcomes.rs`     | how messages ended, and what is known of one |

mod acknowledged;
mod fast;
mod outcomes;
mod over_limit;
mod overdue;
mod publish;
mod queue;
mod sending;
mod suspect;

pub use outcomes::Known;
pub use over_limit::OverLimit;
pub use publish::{Accepted, Publication};
