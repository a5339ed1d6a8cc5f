//! The C face: one file per generated header (see tests/headers.rs), and the only `unsafe`.
#![allow(non_camel_case_types)]

mod json;
pub mod mgos_json;
pub mod mgos_mqtt_version;
