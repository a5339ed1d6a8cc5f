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
//! | `no_scram` | in its place in a library that was built without it |
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
//! The rooms from `transport` on, without `session`, are a package that is compiled for size, `wire` is one that it shares with
//! this one (Cargo.toml says why). Here they are parts of this crate as the others are.

#![deny(unsafe_code)]

extern crate alloc;

#[cfg(feature = "capi")]
#[allow(unsafe_code)]
pub mod capi;
pub mod client;
pub mod driver;
pub mod session;

#[cfg(mgos_mqtt_bug)]
pub use mgos_mqtt_base::bugs;
pub use mgos_mqtt_base::{config, error, patience, scram, time, transport, vocabulary};
pub use mgos_mqtt_wire as wire;

#[cfg(not(mgos_mqtt_bug))]
use mgos_mqtt_base::bugs;
#[cfg(feature = "store")]
pub use mgos_mqtt_base::store;
use mgos_mqtt_base::{lazy_box, sync};
