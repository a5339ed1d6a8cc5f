//! An MQTT client for C firmware and applications, with a Rust core.
//!
//! The rooms, from the top down: each uses only those below it (tests/rooms.rs checks that).
//!
//! | room           | what |
//! |----------------|------|
//! | `capi` | the C interface, and the only room with `unsafe` |
//! | [`client`]     | one connection: session, transport, reconnect policy, handlers |
//! | [`driver`]     | the loop: readiness of sockets, timers, name resolution, threads |
//! | [`transport`]  | byte streams that do not block: TCP, TLS |
//! | [`session`]    | the MQTT client state machine, without I/O; time is a parameter |
//! | `store`        | what was accepted, on disk: a segmented log |
//! | [`config`]     | server profiles, addresses, the JSON configuration text |
//! | [`scram`]      | SCRAM-SHA-256, the client's side, without I/O |
//! | [`wire`]       | bytes to packets and back: no state, no time, no I/O |
//! | [`vocabulary`] | the error numbers of other systems |
//! | [`patience`] | how long to wait for an answer on a link that may be slow |
//! | `base64` | Base64 |
//! | `lazy_box` | values that few connections need |
//! | `bugs`         | deliberate bugs, for the tests that have to find them |
//! | `sync`         | the locks, counted in debug builds |
//! | [`time`]       | moments and spans |
//! | [`error`]      | every error: number, name, text and the phase it belongs to |

//!
//! `client`, `driver` and `session` are a package that is compiled for speed, and so is `wire`; the rooms from `transport` on, without
//! these, are one that is compiled for size, as `capi` is (Cargo.toml says why). Here they are parts of this crate.

#![deny(unsafe_code)]

extern crate alloc;

#[cfg(feature = "capi")]
#[allow(unsafe_code)]
pub mod capi;

#[cfg(mgos_mqtt_bug)]
pub use mgos_mqtt_base::bugs;
#[cfg(feature = "store")]
pub use mgos_mqtt_base::store;
pub use mgos_mqtt_base::{config, error, patience, scram, time, transport, vocabulary};
pub use mgos_mqtt_core::{client, driver, session};
pub use mgos_mqtt_wire as wire;

#[cfg(feature = "capi")]
use mgos_mqtt_base::{lazy_box, sync};
