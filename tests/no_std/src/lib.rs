//! The rooms that promise to need nothing but `core` and `alloc`, compiled with nothing else.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[path = "../../../src/bugs.rs"]
mod bugs;
#[path = "../../../src/error.rs"]
pub mod error;
#[path = "../../../src/patience.rs"]
mod patience;
// The client uses more of it.
#[allow(dead_code)]
#[path = "../../../src/lazy_box.rs"]
mod lazy_box;
#[path = "../../../src/session/mod.rs"]
pub mod session;
#[path = "../../../src/time.rs"]
pub mod time;
#[path = "../../../src/wire/mod.rs"]
pub mod wire;
