//! The C face: one file per generated header (see tests/headers.rs), and the only `unsafe`.
#![allow(non_camel_case_types)]

mod boundary;
mod config;
mod json;
pub mod mgos_config;
pub mod mgos_json;
// Until mgos_mongoose.rs compiles; then `pub mod mgos_mongoose;`, and the stub is removed.
#[path = "mg_str_stub.rs"]
pub mod mgos_mongoose;
pub mod mgos_mqtt_version;
pub mod mgos_sys_config;
