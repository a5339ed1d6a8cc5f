//! What comes: messages, their acknowledgements, and who holds those back.
//!
//! | file          | what |
//! |---------------|------|
//! | `fast.rs`     | the fast path: messages that meet nothing unusual |
//! | `messages.rs` | PUBLISH and PUBREL; messages that are too large |
//! | `holds.rs`    | acknowledging when everybody has let go, in the order of the messages |

mod fast;
mod holds;
mod messages;

pub use fast::LentTopic;
