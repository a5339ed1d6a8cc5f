//! Reason codes of MQTT 5.0 (section 2.4): why the server accepted, refused or ended something.
//!
//! A code is given as the server sent it by mgos_mqtt_event_code(), and by `reason` of struct mgos_mqtt_error_info. The
//! server may have said more in words: the property MGOS_MQTT_PROPERTY_REASON_STRING of the event, see
//! mgos_mqtt_event_property().
//!
//! MQTT 3.1 and 3.1.1 have return codes of their own in CONNACK (1 to 5), which are not among these.

use core::ffi::{c_char, c_int};

use crate::capi::types::mgos_mqtt_reason::UNKNOWN;
use crate::wire::reason;

/// The name of a reason code as in the header, e.g. "MGOS_MQTT_REASON_NOT_AUTHORIZED"; for 0 it is
/// "MGOS_MQTT_REASON_SUCCESS". Never NULL; the text belongs to the library and lives as long as the process. For a number
/// that is no reason code the text says so.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_reason_name(code: c_int) -> *const c_char {
    u8::try_from(code).ok().and_then(reason::c_names).map_or(UNKNOWN, |(name, _)| name).as_ptr()
}

/// What a reason code is called in the specification, e.g. "Not authorized". Otherwise as mgos_mqtt_reason_name().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_reason_text(code: c_int) -> *const c_char {
    u8::try_from(code).ok().and_then(reason::c_names).map_or(UNKNOWN, |(_, text)| text).as_ptr()
}
