//! A turn of the loop: reading, telling the handlers, what they say.
//!
//! | file          | what |
//! |---------------|------|
//! | `verdict.rs`  | acknowledging later, refusing, delivering again |
//! | `turn.rs`     | a turn, from start to end |
//! | `poison.rs`   | messages that make the server close each time |
//! | `pace.rs`     | asking the clock while callbacks run |
//! | `overdue.rs`  | what the server did not acknowledge in time |
//! | `incoming.rs` | reading, and telling the handlers |
//! | `fast.rs`   | the fast path: message after message that meets nothing unusual |

pub(in crate::client) mod fast;
pub(in crate::client) mod incoming;
pub(in crate::client) mod overdue;
pub(in crate::client) mod pace;
pub(in crate::client) mod poison;
pub(in crate::client) mod turn;
pub(in crate::client) mod verdict;
