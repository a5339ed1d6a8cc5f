//! Models of the driver's drive, wait and wake protocol.
//!
//! Each model is a small program of two or three threads; loom runs it once for every interleaving
//! and reports a deadlock (a lost wake-up), a failed assertion, or a leak. `model.rs` stands in for
//! what the models leave out: the system's poller and the iteration.

#![allow(dead_code, reason = "the models use less of the included files than the library does")]

#[cfg(test)]
mod driver;
#[cfg(test)]
mod model;
#[cfg(test)]
mod models;
#[cfg(test)]
#[path = "../../../src/time.rs"]
mod time;
