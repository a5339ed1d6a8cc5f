//! The durable store, without a client.
//!
//! | file        | what |
//! |-------------|------|
//! | `power.rs`  | power cuts, failures and a full disk at every moment |
//! | `faults.rs` | one failure at a time, where it hurts most |
//! | `damage.rs` | damaged files; encryption |
//! | `kill.rs`   | a process that is killed at any moment |
//! | `writer.rs` | the thread that works on the files; what a message costs |
#![cfg(feature = "store")]

#[allow(unreachable_pub, reason = "the fuzz target has it, too")]
#[path = "../store_support/mod.rs"]
mod store_support;

mod damage;
mod faults;
mod kill;
mod power;
mod writer;
