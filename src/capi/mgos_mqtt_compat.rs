//! For programs that come from another system: its error numbers, and its defaults.
//!
//! The error numbers of Electric Imp, NodeMCU and Zerynth collide, so the library has numbers of
//! its own (mgos_mqtt_error.h), and a function that translates them for each of these systems.
//! docs/errors.md has the whole table.

use core::ffi::{CStr, c_char, c_int};

use crate::capi::base::boundary::status;
use crate::capi::base::field::refuse;
use crate::capi::base::sized::{self, Growing};
use crate::capi::config::c_struct;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mqtt_compat::{
    MGOS_MQTT_AS_ELECTRIC_IMP, MGOS_MQTT_AS_MONGOOSE_OS, MGOS_MQTT_AS_NODEMCU, MGOS_MQTT_AS_ZERYNTH,
    MGOS_MQTT_NO_EQUIVALENT, ZERYNTH_TIMEOUT_MS,
};
use crate::capi::types::mgos_mqtt_options::{MGOS_MQTT_RETRY_NEVER, mgos_mqtt_options};
use crate::error::Code;
use crate::vocabulary::{Zerynth, as_electric_imp, as_electric_imp_connect, as_nodemcu, as_zerynth};

/// The number (MGOS_MQTT_EI_*, which are Paho's MQTTASYNC_*) that a method of Electric Imp's mqttclient would return
/// for an error of this library.
///
/// MGOS_MQTT_NO_EQUIVALENT for a number that is no error of this library.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_error_as_electric_imp(code: c_int) -> c_int {
    Code::from_number(code).map_or(MGOS_MQTT_NO_EQUIVALENT, as_electric_imp)
}

/// The `resultCode` that Electric Imp's onconnect would get: 0 to 5 as in CONNACK, -1 for every error before
/// CONNACK.
///
/// MGOS_MQTT_NO_EQUIVALENT for a number that is no error of this library.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_connect_error_as_electric_imp(code: c_int) -> c_int {
    Code::from_number(code).map_or(MGOS_MQTT_NO_EQUIVALENT, as_electric_imp_connect)
}

/// The `reason` (MGOS_MQTT_NM_*) that NodeMCU's failure callback would get, for the error with which an attempt to
/// connect ended.
///
/// MGOS_MQTT_NO_EQUIVALENT for errors with which no attempt can end.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_error_as_nodemcu(code: c_int) -> c_int {
    Code::from_number(code).and_then(as_nodemcu).unwrap_or(MGOS_MQTT_NO_EQUIVALENT)
}

/// The exception (MGOS_MQTT_ZY_*) that Zerynth would raise for an error of this library.
///
/// MGOS_MQTT_NO_EQUIVALENT for a number that is no error of this library.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_error_as_zerynth(code: c_int) -> c_int {
    Code::from_number(code).map_or(MGOS_MQTT_NO_EQUIVALENT, |code| as_zerynth(code) as c_int)
}

/// The name of a Zerynth exception (MGOS_MQTT_ZY_*), e.g. "MQTTPublishTimeout"; empty for any other number. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_zerynth_name(exception: c_int) -> *const c_char {
    let found = Zerynth::ALL.into_iter().find(|e| *e as c_int == exception);
    found.map_or(c"", |e: Zerynth| -> &'static CStr { e.c_name() }).as_ptr()
}

/// The QoS with which a system subscribes when a program does not give one: 1 in Mongoose OS and Zerynth, 0 in
/// NodeMCU and Electric Imp. -1 for an unknown system.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_subscribe_qos_of(system: c_int) -> c_int {
    match system {
        MGOS_MQTT_AS_ELECTRIC_IMP | MGOS_MQTT_AS_NODEMCU => 0,
        MGOS_MQTT_AS_MONGOOSE_OS | MGOS_MQTT_AS_ZERYNTH => 1,
        _ => -1,
    }
}

/// Fills options and a configuration with the defaults that programs of another system (MGOS_MQTT_AS_*)
/// expect: those of this library, except where that system differs:
///
/// | system | differences |
/// |--------------|---------------------------------------------------------------------------------------------|
/// | Electric Imp | MQTT 3.1.1 only; does not reconnect by itself; enabled |
/// | Mongoose OS | a queue of 5 messages, of which the oldest makes room for a new one; after each CONNACK the waits start from the shortest again |
/// | NodeMCU | keep-alive 120 s; does not reconnect by itself; enabled |
/// | Zerynth | always exactly 5 s between attempts; 6 s for each step of connecting and for PINGRESP; enabled |
///
/// `options->size` must be set. Both are overwritten, and what their pointers pointed to is not released. Either
/// may be NULL; if both are given, `cfg` becomes the only profile of `options`, and must live as long as
/// `options` is used:
///
///     struct mgos_mqtt_options options = mgos_mqtt_options_init();
///     struct mgos_config_mqtt cfg;
///     mgos_mqtt_options_set_defaults_of(&options, &cfg, MGOS_MQTT_AS_ZERYNTH);
///     cfg.server = "broker";
///     c = mgos_mqtt_conn_create_on(NULL, 1, &options);
///
/// Returns 0, MGOS_MQTT_BAD_ARGUMENT for an unknown system, or MGOS_MQTT_BAD_STRUCTURE; then nothing changed.
///
/// # Safety
/// `options` is NULL or has `options->size` bytes; `cfg` is NULL or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_options_set_defaults_of(
    options: *mut mgos_mqtt_options,
    cfg: *mut mgos_config_mqtt,
    system: c_int,
) -> c_int {
    status(|| {
        let mut config = c_struct::defaults();
        let mut settings = mgos_mqtt_options::zeros();
        config.enable = c_int::from(system != MGOS_MQTT_AS_MONGOOSE_OS);
        match system {
            MGOS_MQTT_AS_ELECTRIC_IMP => {
                settings.protocol_version = 4;
                settings.retry = MGOS_MQTT_RETRY_NEVER;
            }
            MGOS_MQTT_AS_MONGOOSE_OS => {
                config.max_queue_length = 5;
                settings.overflow = 1;
                settings.stable_after_ms = -1;
            }
            MGOS_MQTT_AS_NODEMCU => {
                config.keep_alive = 120;
                settings.retry = MGOS_MQTT_RETRY_NEVER;
            }
            MGOS_MQTT_AS_ZERYNTH => {
                config.reconnect_timeout_min = 5.0;
                config.reconnect_timeout_max = 5.0;
                settings.fixed_delay = 1;
                settings.jitter_percent = -1;
                settings.dns_timeout_ms = ZERYNTH_TIMEOUT_MS;
                settings.tcp_timeout_ms = ZERYNTH_TIMEOUT_MS;
                settings.tls_timeout_ms = ZERYNTH_TIMEOUT_MS;
                settings.connack_timeout_ms = ZERYNTH_TIMEOUT_MS;
                settings.pingresp_timeout_ms = ZERYNTH_TIMEOUT_MS;
            }
            _ => return Err(refuse(Code::BadArgument, "system", system, "MGOS_MQTT_AS_*")),
        }
        if !options.is_null() {
            if !cfg.is_null() {
                settings.profiles = cfg;
                settings.num_profiles = 1;
            }
            // SAFETY: not NULL, and promised by the caller.
            unsafe { sized::write(options, settings) }?;
        }
        if !cfg.is_null() {
            // SAFETY: not NULL, and promised by the caller.
            unsafe { cfg.write(config) };
        }
        Ok(())
    })
}
