//! The loop, without a client.
//!
//! | file           | what |
//! |----------------|------|
//! | `close.rs`     | the end of a loop |
//! | `foreign.rs`   | inside a foreign event loop |
//! | `sources.rs`   | driven by threads: `poll`, `wait`, and its own |
//! | `transport.rs` | TCP, alone and through a loop |
//! | `turns.rs`     | who gets a turn, and for how long |

#[path = "../driver_support/mod.rs"]
mod driver_support;

mod close;
mod foreign;
mod sources;
mod transport;
mod turns;
