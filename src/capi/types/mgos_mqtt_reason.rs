//! The types of `mgos_mqtt_reason.h`.

use core::ffi::CStr;

use crate::wire::reason;

pub(in crate::capi) const UNKNOWN: &CStr = c"unknown reason code";

/// The second and third names that 0x00 has, each in packets of its own.
const OTHER_NAMES: [(u8, &str, &str); 2] =
    [(0, "NORMAL_DISCONNECTION", "Normal disconnection"), (0, "GRANTED_QOS_0", "Granted QoS 0")];

/// The text of the header's enumeration, from the one table in `src/wire/reason.rs`.
pub fn reason_enum_text() -> String {
    let mut text =
        String::from("/* The reason codes of MQTT 5.0 (section 2.4). 0x80 and above is a failure. */\n");
    text += "enum mgos_mqtt_reason {\n";
    let (success, others) = reason::ALL.split_at(1);
    for (code, name, meaning) in success.iter().chain(&OTHER_NAMES).chain(others) {
        text += &format!("  /* {meaning} */\n  MGOS_MQTT_REASON_{name} = {code:#04x},\n");
    }
    // Without the comma, which C89 and pedantic compilers do not like.
    text.truncate(text.trim_end().len() - 1);
    text + "\n};"
}
