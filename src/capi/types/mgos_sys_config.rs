//! The types of `mgos_sys_config.h`.

use core::ffi::{c_char, c_int, c_void};

/// The section `mqtt`, the primary server, for the functions that take a section.
pub const MGOS_SYS_CONFIG_MQTT: c_int = 0;

/// The section `mqtt1`, the backup server, for the functions that take a section.
pub const MGOS_SYS_CONFIG_MQTT1: c_int = 1;

/// Called for a key of a configuration that this library does not know, with its dotted name, e.g. `mqtt.pub`, and
/// its value as it was written, which is JSON. Both are valid until it returns. It may call every function.
pub type mgos_sys_config_unknown_fn_t =
    Option<unsafe extern "C" fn(name: *const c_char, value: *const c_char, ud: *mut c_void)>;
