//! WebSocket (RFC 6455) over another transport, as a client that speaks MQTT (MQTT 3.1.1, section 6).
//!
//! The frames are our own: what a client may receive is one small header, and every frame that breaks the RFC is refused.
//! The general libraries either hand out whole messages in memory of their own, or check nothing and leave that to the
//! caller, which is most of the work. HTTP is read by `httparse`, SHA-1 is `sha1_smol`.
//!
//! | file          | what                                                        |
//! |---------------|-------------------------------------------------------------|
//! | `stream.rs`   | the stream                                                  |
//! | `upgrade.rs`  | the request that makes a WebSocket of an HTTP connection, and its answer |
//! | `incoming.rs` | frames that come: checked, and unwrapped where they lie     |
//! | `frame.rs`    | what a frame begins with; masks; close codes                |

mod frame;
mod incoming;
#[cfg(test)]
mod incoming_tests;
mod stream;
mod upgrade;

pub use frame::Violation;
pub use incoming::{Incoming, Stop};
pub use stream::wrap;
pub use upgrade::Upgrade;
