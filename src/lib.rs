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
//! | [`config`]     | server profiles, addresses, the JSON configuration text |
//! | [`wire`]       | bytes to packets and back: no state, no time, no I/O |
//! | [`vocabulary`] | the error numbers of other systems |
//! | [`patience`] | how long to wait for an answer on a link that may be slow |
//! | `lazy_box` | values that few connections need |
//! | `bugs`         | deliberate bugs, for the tests that have to find them |
//! | `sync`         | the locks, counted in debug builds |
//! | [`time`]       | moments and spans |
//! | [`error`]      | every error: number, name, text and the phase it belongs to |

#![deny(unsafe_code)]

extern crate alloc;

#[cfg(mgos_mqtt_bug)]
pub mod bugs;
#[cfg(not(mgos_mqtt_bug))]
mod bugs;
#[cfg(feature = "capi")]
#[allow(unsafe_code)]
pub mod capi;
pub mod client;
pub mod config;
pub mod driver;
pub mod error;
mod lazy_box;
pub mod patience;
pub mod session;
mod sync;
pub mod time;
pub mod transport;
pub mod vocabulary;
pub mod wire;
