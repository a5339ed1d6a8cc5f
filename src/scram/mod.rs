//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side, without I/O.
//!
//! | file           | what |
//! |----------------|------|
//! | `exchange.rs`  | the messages of an exchange, and the proofs in them |
//! | `not_built.rs` | in its place in a library that was built without it |
//! | `method.rs`    | its name, and what it demands |

#[cfg(feature = "scram")]
mod exchange;
mod method;
#[cfg(not(feature = "scram"))]
mod not_built;

#[cfg(feature = "scram")]
pub use exchange::{Answer, Challenge, Hello, Login};
pub use method::{FEWEST_ITERATIONS, METHOD};
#[cfg(not(feature = "scram"))]
pub use not_built::{Answer, Challenge, Hello, Login};
