//! Properties of MQTT 5.0 (section 2.2.2): what a packet carries beside its older fields.
//!
//! TO THE SERVER they go as an array in the structure that describes the packet: `properties` and `num_properties` of
//! struct mgos_mqtt_publication, for instance. The array and what it points to are copied: those of a message are kept
//! with the message; only those of a subscription or of the options take memory of their own. They are sent in their
//! order. What the packet cannot carry, or not with this value, or not twice, is refused with MGOS_MQTT_BAD_PROPERTY
//! before anything is sent: mgos_mqtt_last_error_text() names the property, its place in the array and the packet. On a
//! connection that speaks an older version they are refused with MGOS_MQTT_NEEDS_V5.
//!
//! FROM THE SERVER they are read one by one with mgos_mqtt_event_property(), for messages that were fetched with
//! mgos_mqtt_msg_property().

use core::ffi::c_char;

use crate::wire::PropertyId;

/// What a property is called in the specification, e.g. "Content Type", for an `id` of struct mgos_mqtt_property. Never NULL;
/// the text belongs to the library and lives as long as the process. For another number the text says so.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_property_name(id: u32) -> *const c_char {
    PropertyId::from_number(id).map_or(c"unknown property", PropertyId::c_name).as_ptr()
}
