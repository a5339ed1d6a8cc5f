//! The rooms that run when something begins, ends, or goes wrong: compiled for size, as a package of their own.
//!
//! What runs for each message has no place here, unless it is generic, or marked to be inlined, and so compiled where it is
//! used. Streams are the exception: they run for each read and write of many messages. Compiled for size, TLS costs a message
//! 12 instructions more at most. Who uses the library finds all of it as a part of `mgos_mqtt`: see lib.rs.

#![deny(unsafe_code)]

extern crate alloc;

pub mod base64;
pub mod bugs;
pub mod config;
pub mod error;
pub mod lazy_box;
pub mod patience;
pub mod scram;
#[cfg(feature = "store")]
pub mod store;
pub mod sync;
pub mod time;
pub mod transport;
pub mod vocabulary;

use mgos_mqtt_wire as wire;
