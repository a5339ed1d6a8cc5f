//! The C interface, and the only `unsafe`: one exported file and one file of types per generated header (see tests/headers.rs).
//!
//! | file           | what |
//! |----------------|------|
//! | `mgos_mqtt.rs` | the functions for the global connection, which call those for any connection |
//! | `mgos_*.rs`    | the exported functions, and nothing else; each file is a header |
//! | `json/`        | the variadic functions and their formatter |
//! | `bridge/`      | between C and the client: what stands behind handles, callbacks, values |
//! | `config/`      | the configuration structure and the system configuration |
//! | `types/`       | the types and constants of the headers |
//! | `base/` | what every call goes through: panics, pointers, errors, sizes |
//!
//! In this table and those of the directories each file uses only what stands below it; tests/rooms.rs holds that.
#![allow(non_camel_case_types)]

mod base;
mod bridge;
mod config;
#[cfg(test)]
mod fed_tests;
mod json;
#[cfg(test)]
mod options_tests;
pub mod types;

pub mod mgos_config;
pub mod mgos_event;
pub mod mgos_json;
pub mod mgos_mg_str;
pub mod mgos_mongoose;
pub mod mgos_mqtt;
pub mod mgos_mqtt_compat;
pub mod mgos_mqtt_conn;
pub mod mgos_mqtt_connect;
pub mod mgos_mqtt_error;
pub mod mgos_mqtt_event;
pub mod mgos_mqtt_log;
pub mod mgos_mqtt_loop;
pub mod mgos_mqtt_options;
pub mod mgos_mqtt_property;
pub mod mgos_mqtt_publish;
pub mod mgos_mqtt_reason;
pub mod mgos_mqtt_receive;
pub mod mgos_mqtt_request;
pub mod mgos_mqtt_stats;
pub mod mgos_mqtt_subscribe;
pub mod mgos_mqtt_transport;
pub mod mgos_mqtt_version;
pub mod mgos_sys_config;
