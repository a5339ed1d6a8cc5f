//! The rooms that run for each message: compiled for speed, as a package of their own.
//!
//! Who uses the library finds all of it as a part of `mgos_mqtt`: see lib.rs.

#![deny(unsafe_code)]

extern crate alloc;

pub mod client;
pub mod driver;
pub mod session;

use mgos_mqtt_base::{bugs, config, error, lazy_box, patience, scram, sync, time, transport};
use mgos_mqtt_wire as wire;
