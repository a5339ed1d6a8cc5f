//! The version and the features of this library, as Cargo knows them.

use core::ffi::{CStr, c_int};

pub(in crate::capi) const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("the version has a NUL byte"),
    };

pub(in crate::capi) const VERSION_NUMBER: c_int = decimal(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
    + decimal(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
    + decimal(env!("CARGO_PKG_VERSION_PATCH"));

/// The enabled Cargo features, between commas; written by build.rs.
pub(in crate::capi) const FEATURES: &str = env!("MGOS_MQTT_FEATURES");

pub(in crate::capi) const fn decimal(text: &str) -> c_int {
    match c_int::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("a version component is not a number"),
    }
}
