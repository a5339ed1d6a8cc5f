//! Between `struct mgos_config_mqtt` and the safe types, field by field along the schema.

use core::ffi::{c_char, c_int};
use core::ptr;

use super::c_text;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::config::schema::{FIELD_COUNT, Fallback, Field, Value};
use crate::config::text::parse_section;
use crate::config::{ConfigError, Profile, Secret, Section};
use crate::error::Code;

// The struct is part of the ABI and frozen.
#[cfg(all(target_pointer_width = "64", not(windows)))]
const _: () = assert!(size_of::<mgos_config_mqtt>() == 176 && align_of::<mgos_config_mqtt>() == 8);

/// One field of the struct.
pub(in crate::capi) enum Slot<'a> {
    Int(&'a mut c_int),
    Double(&'a mut f64),
    Text(&'a mut *const c_char),
}

/// The fields in the order of the schema. The pattern names each of them once, so the compiler sees
/// to it that none is missing, and a test that the order and the types are those of the schema.
pub(in crate::capi) fn slots(cfg: &mut mgos_config_mqtt) -> [Slot<'_>; FIELD_COUNT] {
    use Slot::{Double, Int, Text};
    let mgos_config_mqtt {
        enable,
        server,
        client_id,
        user,
        pass,
        reconnect_timeout_min,
        reconnect_timeout_max,
        ssl_cert,
        ssl_key,
        ssl_ca_cert,
        ssl_cipher_suites,
        ssl_psk_identity,
        ssl_psk_key,
        clean_session,
        keep_alive,
        will_topic,
        will_message,
        will_retain,
        max_qos,
        recv_mbuf_limit,
        require_time,
        cloud_events,
        max_queue_length,
        ws_enable,
        ws_path,
        debug_use_log_level,
    } = cfg;
    [
        Int(enable),
        Text(server),
        Text(client_id),
        Text(user),
        Text(pass),
        Double(reconnect_timeout_min),
        Double(reconnect_timeout_max),
        Text(ssl_cert),
        Text(ssl_key),
        Text(ssl_ca_cert),
        Text(ssl_cipher_suites),
        Text(ssl_psk_identity),
        Text(ssl_psk_key),
        Int(clean_session),
        Int(keep_alive),
        Text(will_topic),
        Text(will_message),
        Int(will_retain),
        Int(max_qos),
        Int(recv_mbuf_limit),
        Int(require_time),
        Int(cloud_events),
        Int(max_queue_length),
        Int(ws_enable),
        Text(ws_path),
        Int(debug_use_log_level),
    ]
}

/// One field of the struct.
pub(in crate::capi) fn slot(cfg: &mut mgos_config_mqtt, field: Field) -> Slot<'_> {
    slots(cfg).into_iter().nth(field as usize).expect("as many slots as fields")
}

/// All zero bytes: what a `memset` makes.
pub(in crate::capi) const fn zero() -> mgos_config_mqtt {
    let (none, null) = (0, ptr::null());
    mgos_config_mqtt {
        enable: none,
        server: null,
        client_id: null,
        user: null,
        pass: null,
        reconnect_timeout_min: 0.0,
        reconnect_timeout_max: 0.0,
        ssl_cert: null,
        ssl_key: null,
        ssl_ca_cert: null,
        ssl_cipher_suites: null,
        ssl_psk_identity: null,
        ssl_psk_key: null,
        clean_session: none,
        keep_alive: none,
        will_topic: null,
        will_message: null,
        will_retain: none,
        max_qos: none,
        recv_mbuf_limit: none,
        require_time: none,
        cloud_events: none,
        max_queue_length: none,
        ws_enable: none,
        ws_path: null,
        debug_use_log_level: none,
    }
}

/// Whether it was made by a `memset` instead of by the defaults. It is used as written, and the
/// client logs a warning.
pub(crate) fn is_all_zero(cfg: &mgos_config_mqtt) -> bool {
    let mut cfg = *cfg;
    slots(&mut cfg).iter().all(|slot| match slot {
        Slot::Int(i) => **i == 0,
        Slot::Double(d) => d.to_bits() == 0,
        Slot::Text(t) => t.is_null(),
    })
}

/// The defaults.
pub(in crate::capi) fn defaults() -> mgos_config_mqtt {
    let mut cfg = zero();
    for (field, slot) in Field::ALL.into_iter().zip(slots(&mut cfg)) {
        match (slot, field.info().default) {
            (Slot::Int(i), Fallback::Bool(b)) => *i = b.into(),
            (Slot::Int(i), Fallback::Int(n)) => *i = n,
            (Slot::Double(d), Fallback::Double(n)) => *d = n,
            (Slot::Text(t), Fallback::Text(text)) => *t = text.map_or(ptr::null(), |t| t.as_ptr()),
            // The types agree, see the test.
            _ => {}
        }
    }
    cfg
}

/// What the text of a section says, over the defaults.
pub(in crate::capi) fn parse(json: &[u8]) -> Result<Section, ConfigError> {
    let mut section = Section::default();
    for (field, value) in parse_section(json)? {
        // Cannot fail: the value has the type of its field.
        let _ = section.set(field, value);
    }
    Ok(section)
}

/// A struct with strings of its own; a string that equals its default is the default itself.
pub(in crate::capi) fn from_section(section: &Section) -> Result<mgos_config_mqtt, Code> {
    let mut cfg = defaults();
    let filled = Field::ALL
        .into_iter()
        .zip(slots(&mut cfg))
        .try_for_each(|(field, slot)| put(slot, section.get(field), &field.info().default_value()));
    match filled {
        Ok(()) => Ok(cfg),
        Err(code) => {
            // SAFETY: every string is a default or was allocated here.
            unsafe { free(&mut cfg) };
            Err(code)
        }
    }
}

/// Puts a value into a field that has its default.
fn put(slot: Slot<'_>, value: Value, default: &Value) -> Result<(), Code> {
    match (slot, value) {
        (_, value) if value == *default => {}
        (Slot::Int(i), Value::Bool(flag)) => *i = flag.into(),
        (Slot::Int(i), Value::Int(number)) => *i = number,
        (Slot::Double(d), Value::Double(number)) => *d = number,
        (Slot::Text(t), Value::Text(Some(text))) => *t = c_text::allocate(text.as_bytes())?,
        (Slot::Text(t), Value::Text(None)) => *t = ptr::null(),
        // The types agree, see the test.
        _ => {}
    }
    Ok(())
}

/// What a struct says.
///
/// # Safety
/// Every string in it is NULL or a C string.
pub(in crate::capi) unsafe fn to_section(cfg: &mgos_config_mqtt) -> Result<Section, ConfigError> {
    let mut cfg = *cfg;
    let mut section = Section::default();
    for (field, slot) in Field::ALL.into_iter().zip(slots(&mut cfg)) {
        let value = match slot {
            Slot::Int(i) if field.info().is_flag() => Value::Bool(*i != 0),
            Slot::Int(i) => Value::Int(*i),
            Slot::Double(d) => Value::Double(*d),
            // SAFETY: promised by the caller.
            Slot::Text(t) => Value::Text(unsafe { c_text::utf8(field.key(), *t) }?),
        };
        // Cannot fail: the types agree, see the test.
        let _ = section.set(field, value);
    }
    Ok(section)
}

/// A copy with strings of its own.
///
/// # Safety
/// Every string in it is NULL or a C string.
pub(in crate::capi) unsafe fn copy(cfg: &mgos_config_mqtt) -> Result<mgos_config_mqtt, Code> {
    let mut from = *cfg;
    let mut to = *cfg;
    let mut failure = None;
    for (from, to) in slots(&mut from).into_iter().zip(slots(&mut to)) {
        if let (Slot::Text(from), Slot::Text(to)) = (from, to) {
            *to = ptr::null();
            if failure.is_none() {
                // SAFETY: promised by the caller.
                match unsafe { c_text::copy(*from) } {
                    Ok(copy) => *to = copy,
                    Err(code) => failure = Some(code),
                }
            }
        }
    }
    match failure {
        None => Ok(to),
        Some(code) => {
            // SAFETY: every string is NULL, a default, or was allocated here.
            unsafe { free(&mut to) };
            Err(code)
        }
    }
}

/// Releases the strings.
///
/// # Safety
/// Every string in it is NULL, a default, or was allocated with `malloc` and is used nowhere else.
pub(in crate::capi) unsafe fn free(cfg: &mut mgos_config_mqtt) {
    for slot in slots(cfg) {
        if let Slot::Text(text) = slot {
            // SAFETY: promised by the caller.
            unsafe { c_text::free(text) };
        }
    }
}

/// The profile that a struct describes, as a deep copy. NULL and "" both mean that a string is not
/// set. A NULL `cfg` is an error.
///
/// # Safety
/// `cfg` is NULL, or a configuration whose strings are NULL or C strings.
pub(crate) unsafe fn profile_from_c(cfg: *const mgos_config_mqtt) -> Result<Profile, ConfigError> {
    // SAFETY: NULL or valid, as promised by the caller.
    let Some(cfg) = (unsafe { cfg.as_ref() }) else { return Err(Code::NullArgument.into()) };
    // Password and will are any bytes in MQTT; all other strings must be UTF-8.
    // SAFETY: promised by the caller.
    let pass = unsafe { c_text::raw(cfg.pass) };
    // SAFETY: promised by the caller.
    let message = unsafe { c_text::raw(cfg.will_message) };
    let stand_in = if message.is_some() { c"-".as_ptr() } else { ptr::null() };
    let texts = mgos_config_mqtt { pass: ptr::null(), will_message: stand_in, ..*cfg };
    // SAFETY: promised by the caller, and so are the two that were replaced.
    let mut section = unsafe { to_section(&texts) }?;
    let profile = Profile::from_section(&section);
    section.wipe_secrets();
    let mut profile = profile?;
    profile.pass = pass.map(|pass| Secret(pass.to_vec()));
    if let (Some(will), Some(message)) = (&mut profile.will, message) {
        will.payload = message.to_vec();
    }
    Ok(profile)
}
