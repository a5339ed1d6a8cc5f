//! The C face: one file per generated header (see tests/headers.rs), and the only `unsafe`.
//!
//! | file            | what                                                                |
//! |-----------------|---------------------------------------------------------------------|
//! | `mgos_*.rs`     | the exported functions, and nothing else; each is a header          |
//! | `boundary.rs`   | what every call passes: panics, pointers, the call's error          |
//! | `handle.rs`     | what stands behind the handles                                      |
//! | `defaults.rs`   | the default loop and the global connection                          |
//! | `nc.rs`         | the `nc` of Mongoose                                                |
//! | `field.rs`      | fields of structures, and the errors that name them                 |
//! | `options.rs`    | `struct mgos_mqtt_options` as the client's settings                 |
//! | `sized.rs`      | structures that begin with their size, and may grow                 |
//! | `registry.rs`   | which handles are alive                                             |
//! | `fork.rs`       | what a fork means for them                                          |
//! | `signals.rs`    | signals, and the threads of the library                             |
//! | `callbacks.rs`  | C functions as handlers of the client                               |
//! | `event_bus.rs`  | who listens to the events of the system                             |
//! | `profiles.rs`   | C configurations as the client's server profiles                    |
//! | `stderr_log.rs` | the log function that comes with the library                       |
//! | `poll_callback.rs` | functions that the loop calls at the end of each round            |
//! | `config/`       | the configuration structure and the system configuration            |
//! | `json/`         | the variadic functions and their formatter                          |
#![allow(non_camel_case_types)]

mod boundary;
mod callbacks;
mod config;
mod defaults;
mod event_bus;
#[cfg(test)]
mod fed_tests;
mod field;
mod fork;
mod handle;
mod json;
mod nc;
mod options;
#[cfg(test)]
mod options_tests;
mod poll_callback;
mod profiles;
mod registry;
mod signals;
mod sized;
mod stderr_log;

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
pub mod mgos_mqtt_publish;
pub mod mgos_mqtt_receive;
pub mod mgos_mqtt_stats;
pub mod mgos_mqtt_subscribe;
pub mod mgos_mqtt_version;
pub mod mgos_sys_config;
