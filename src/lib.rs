//! An MQTT client for C firmware and applications, with a Rust core.
//!
//! The house, from the ground up; arrows run downwards only:
//!
//! | room          | what lives there                                                        |
//! |---------------|-------------------------------------------------------------------------|
//! | [`wire`]      | bytes to packets and back: no state, no time, no I/O                    |
//! | [`session`]   | the MQTT client state machine, sans-I/O; time is a parameter            |
//! | [`transport`] | non-blocking byte streams: TCP, TLS                                     |
//! | [`driver`]    | the loop: sockets' readiness, timers, name resolution, threads          |
//! | [`client`]    | one connection: session + transport + reconnect policy + handlers       |
//! | [`config`]    | server profiles, addresses, the JSON configuration text                 |
//! | [`error`]     | every error: number, name, text and the phase it belongs to             |
//! | [`patience`]  | how long to wait for the other end of a link that may be slow            |
//! | [`vocabulary`] | the same errors in the numbers of other systems                        |
//! | `capi`        | the C face, and the only room with `unsafe`                             |

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
pub mod patience;
mod rare;
pub mod session;
mod sync;
pub mod time;
pub mod transport;
pub mod vocabulary;
pub mod wire;
