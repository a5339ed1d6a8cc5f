//! The system configuration: settings of the whole process, by name.
//!
//! It has the sections `mqtt` and `mqtt1`, the primary and the backup server, each with the fields of
//! struct mgos_config_mqtt; `debug.stdout_topic` and `debug.stderr_topic`; and `device.id`. At the
//! start of the process every field has its default. A program sets single fields,
//!
//!     mgos_sys_config_set_mqtt_server("broker.example.org:1883");
//!     mgos_sys_config_set_mqtt_enable(1);
//!
//! or loads a text:
//!
//!     {"mqtt": {"enable": true, "server": "broker.example.org:1883"}, "device": {"id": "pump-7"}}
//!
//! For each field X of each section S there are the macros MGOS_CONFIG_HAVE_S_X and
//! MGOS_SYS_CONFIG_HAVE_S_X (in upper case) and the functions mgos_sys_config_get_S_X(),
//! mgos_sys_config_get_default_S_X() and mgos_sys_config_set_S_X(), which stand at the end.
//!
//! A change does not affect a connection that is up; it may open the global connection, see mgos_mqtt.h. A connection
//! that was made from mgos_sys_config_get_mqtt() or mgos_sys_config_get_mqtt1(), as the global connection is, reads the
//! configuration again at each connect. A text with a number out of range is refused; with a setter, the error shows at
//! the next connect.
//!
//! Strings. A setter copies its string; NULL and "" both unset the field. A getter returns NULL for a
//! string that is not set, otherwise a pointer into the configuration, which is valid until that
//! field is set again. If one thread may set a string while another uses it, call
//! mgos_sys_config_get() instead, which returns a copy.
//!
//! Threads. Every function here may be called from any thread and in every handler, and none blocks.
//!
//! Errors. A function that fails changes nothing; mgos_mqtt_last_error() tells why.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use std::ffi::CString;

use crate::capi::base::boundary::{bytes, config_code, copy_out, value};
use crate::capi::bridge::defaults::{configuration_changed, warn_global};
use crate::capi::config::c_text;
use crate::capi::config::sections::{default_of, report, utf8};
use crate::capi::config::system::{self, System};
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::capi::types::mgos_sys_config::mgos_sys_config_unknown_fn_t;
use crate::config::schema::Fallback;
use crate::config::text::Unknown;
use crate::config::{Key, SectionId, Style};
use crate::error::Code;
use crate::sync::entering_user_code;

/// The section `mqtt` in place. Never NULL, and the same for the life of the process.
///
/// Given to mgos_mqtt_conn_create2() or mgos_mqtt_set_config() it means "this section, as it is at each
/// connect". To change a copy: `struct mgos_config_mqtt cfg = *mgos_sys_config_get_mqtt();` copies
/// numbers and pointers, mgos_config_mqtt_copy() copies the strings as well. Reading through the
/// pointer while another thread sets a field of the section is a data race.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_get_mqtt() -> *const mgos_config_mqtt {
    System::lock().address(SectionId::Mqtt)
}

/// The section `mqtt1` in place, as mgos_sys_config_get_mqtt().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_get_mqtt1() -> *const mgos_config_mqtt {
    System::lock().address(SectionId::Mqtt1)
}

/// The value of a dotted name as text: `mqtt.server`, `mqtt1.keep_alive`, `debug.stdout_topic`,
/// `device.id`. Flags are "true" or "false", numbers decimal, a string that is not set is empty;
/// `mqtt` and `mqtt1` alone are the JSON text of the section, with its passwords.
///
/// `val` receives a copy that ends with a NUL, which its length does not count; the caller releases
/// `val->p` with free(). Returns false, and sets `val` to NULL with length 0, if there is no such name
/// or no memory.
///
/// # Safety
/// `key` is readable for its length; `val` is NULL, which returns false, or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_get(key: mg_str, val: *mut mg_str) -> bool {
    value(false, || {
        if val.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { val.write(mg_str { p: ptr::null(), len: 0 }) };
        // SAFETY: promised by the caller.
        let key = unsafe { utf8(key) }?;
        let text = system::value_of(key).map_err(config_code)?;
        let copy = mg_str { p: c_text::allocate(&text)?, len: text.len() };
        // SAFETY: as above.
        unsafe { val.write(copy) };
        Ok(true)
    })
}

/// Sets a dotted name from text, in the form in which mgos_sys_config_get() returns it. A section is
/// set from a JSON text; only the fields named there are changed.
///
/// `free_strings` says whether the memory of the old string is released. With false it leaks, for
/// programs that still use a pointer they got from a getter.
///
/// Returns false, and changes nothing, if there is no such name, the value does not fit, or there is
/// no memory.
///
/// # Safety
/// `key` and `val` are readable for their length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_set(key: mg_str, val: mg_str, free_strings: bool) -> bool {
    value(false, || {
        // SAFETY: promised by the caller.
        let key = unsafe { utf8(key) }?;
        // SAFETY: promised by the caller.
        let text = unsafe { utf8(val) }?;
        system::set_value(key, text, free_strings).map_err(config_code)?;
        configuration_changed();
        Ok(true)
    })
}

/// Loads a text with sections; only the fields named there are changed:
///
///     {"mqtt": {"server": "a:1883"}, "mqtt1": {"server": "b:1883"}, "device": {"id": "pump-7"}}
///
/// Sections other than `mqtt`, `mqtt1`, `debug` and `device` belong to the application and are skipped; so are unknown
/// keys in `debug` and `device`. Errors are: an unknown key in `mqtt` or `mqtt1`; in all four, a duplicate key, a value
/// of the wrong type, and a number out of range; a section whose name differs from `mqtt` or `mqtt1` only in case or in
/// one letter (but `mqtt2` belongs to the application); and a dotted name such as `mqtt.server` in place of a section.
/// For a text with the application's keys in these sections see mgos_sys_config_load_json_with().
///
/// Returns true, or false and changes nothing; `err` then gets a sentence that names field, line and
/// column, cut to fit into `err_len` bytes and NUL-terminated. After a success it is empty. `err`
/// may be NULL. A text may have at most 1 MiB.
///
/// # Safety
/// `text` is readable for `len` bytes; `err` is NULL or has room for `err_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_load_json(
    text: *const c_char,
    len: usize,
    err: *mut c_char,
    err_len: usize,
) -> bool {
    value(false, || {
        // SAFETY: promised by the caller.
        let text = unsafe { bytes(text.cast(), len) };
        let loaded = text.map_err(Into::into).and_then(system::load);
        // SAFETY: promised by the caller.
        unsafe { report(&loaded, err, err_len) };
        loaded.map_err(config_code)?;
        configuration_changed();
        Ok(true)
    })
}

/// As mgos_sys_config_load_json(), for texts that were written for Mongoose OS, where an application may add keys to
/// any section. Unknown keys, and names that differ only a little from the library's, are not errors here: they are
/// handed to `fn` after the text was loaded, one after the other on this thread, with no lock held. `fn` may be NULL.
///
/// If there were any, it still returns true, and `err` has one warning that says how many; so has the log of the global
/// connection, if there is one. It returns false, changes nothing and does not call `fn` for the other errors of
/// mgos_sys_config_load_json(), and if such a name contains U+0000.
///
/// # Safety
/// As mgos_sys_config_load_json(); `fn` can be called with `ud` until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_load_json_with(
    text: *const c_char,
    len: usize,
    r#fn: mgos_sys_config_unknown_fn_t,
    ud: *mut c_void,
    err: *mut c_char,
    err_len: usize,
) -> bool {
    value(false, || {
        // SAFETY: promised by the caller.
        let text = unsafe { bytes(text.cast(), len) };
        let loaded = text.map_err(Into::into).and_then(system::load_with_unknown);
        // SAFETY: promised by the caller.
        unsafe { report(&loaded, err, err_len) };
        let unknown = loaded.map_err(config_code)?;
        configuration_changed();
        if unknown.is_empty() {
            return Ok(true);
        }
        let warning = format!(
            "names of the configuration that this library does not know, and leaves to the application: {}",
            unknown.len()
        );
        // SAFETY: promised by the caller.
        unsafe { copy_out(&warning, err, err_len) };
        warn_global(&warning);
        for Unknown { name, value } in &unknown {
            // Neither has a NUL: see above.
            let (Ok(name), Ok(value)) = (CString::new(name.as_str()), CString::new(value.as_str())) else {
                continue;
            };
            if let Some(function) = r#fn {
                entering_user_code();
                // SAFETY: promised by the caller; both strings live until it returns.
                unsafe { function(name.as_ptr(), value.as_ptr(), ud) };
            }
        }
        Ok(true)
    })
}

/// Loads a text with sections, as mgos_sys_config_load_json().
///
/// `save` must be false: this library has no file system of its own. To save the configuration, the
/// application writes the text of mgos_sys_config_to_json(). With `save` true the function changes
/// nothing and returns false, so that no application believes that its settings survive a restart.
///
/// # Safety
/// `json` is NULL, which returns false, or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_apply(json: *const c_char, save: bool) -> bool {
    // SAFETY: promised by the caller.
    let json = unsafe { c_text::raw(json) }.unwrap_or_default();
    // SAFETY: the text was just measured.
    unsafe { mgos_config_apply_s(mg_str { p: json.as_ptr().cast(), len: json.len() }, save) }
}

/// As mgos_config_apply(), with a text that need not end with a NUL.
///
/// # Safety
/// `json` is readable for its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_apply_s(json: mg_str, save: bool) -> bool {
    if save {
        return value(false, || Err(Code::NotBuilt));
    }
    // SAFETY: promised by the caller.
    unsafe { mgos_sys_config_load_json(json.p, json.len, ptr::null_mut(), 0) }
}

/// The whole system configuration as JSON, as mgos_sys_config_load_json() reads it; `pretty` writes
/// one field in each line. With `with_secrets` false, `pass`, `ssl_key` and `ssl_psk_key` are written
/// as "***", and so are credentials in `server`: such a text is meant for a log and cannot be loaded
/// again.
///
/// Returns a string that the caller releases with free(); NULL if a string is not UTF-8, a number
/// cannot be written in JSON, or there is no memory.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_to_json(pretty: bool, with_secrets: bool) -> *mut c_char {
    value(ptr::null_mut(), || {
        let document = System::lock().document();
        let style = Style { pretty, secrets: with_secrets };
        let text = document.and_then(|d| d.to_json(style)).map_err(config_code)?;
        c_text::allocate(text.as_bytes())
    })
}

/// `device.id`: the client id of servers whose `client_id` is not set. NULL if it is not set.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_get_device_id() -> *const c_char {
    value(ptr::null(), || System::lock().string(Key::DeviceId))
}

/// Sets `device.id`.
///
/// # Safety
/// `v` is NULL or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_set_device_id(v: *const c_char) {
    // SAFETY: promised by the caller.
    value((), || unsafe { System::lock().set_string(Key::DeviceId, v, true) });
}

/// `debug.stdout_topic`: the topic to which standard output is published; NULL if it is not
/// published.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_get_debug_stdout_topic() -> *const c_char {
    value(ptr::null(), || System::lock().string(Key::StdoutTopic))
}

/// Sets `debug.stdout_topic`.
///
/// # Safety
/// `v` is NULL or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_set_debug_stdout_topic(v: *const c_char) {
    // SAFETY: promised by the caller.
    value((), || unsafe { System::lock().set_string(Key::StdoutTopic, v, true) });
}

/// `debug.stderr_topic`: the topic to which standard error is published; NULL if it is not
/// published.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_get_debug_stderr_topic() -> *const c_char {
    value(ptr::null(), || System::lock().string(Key::StderrTopic))
}

/// Sets `debug.stderr_topic`.
///
/// # Safety
/// `v` is NULL or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_set_debug_stderr_topic(v: *const c_char) {
    // SAFETY: promised by the caller.
    value((), || unsafe { System::lock().set_string(Key::StderrTopic, v, true) });
}

/// Reads a string field of a section; the functions mgos_sys_config_get_S_X() call this. `field` is
/// the index of the field in struct mgos_config_mqtt. NULL if the string is not set, or if there is no
/// such section or string field.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_read_string(section: c_int, field: c_int) -> *const c_char {
    value(ptr::null(), || System::lock().string(system::key(section, field)?))
}

/// Reads an int field of a section, as mgos_sys_config_read_string(); 0 if there is no such field.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_read_int(section: c_int, field: c_int) -> c_int {
    value(0, || System::lock().int(system::key(section, field)?))
}

/// Reads a double field of a section, as mgos_sys_config_read_string(); 0 if there is no such field.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_read_double(section: c_int, field: c_int) -> f64 {
    value(0.0, || System::lock().double(system::key(section, field)?))
}

/// The default of a string field; the functions mgos_sys_config_get_default_S_X() call this. The string
/// lives as long as the process. NULL if the default is "not set", or if there is no such field.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_default_string(field: c_int) -> *const c_char {
    value(ptr::null(), || match default_of(field)? {
        Fallback::Text(text) => Ok(text.map_or(ptr::null(), |text| text.as_ptr())),
        _ => Err(Code::BadArgument),
    })
}

/// The default of an int field; 0 if there is no such field.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_default_int(field: c_int) -> c_int {
    value(0, || match default_of(field)? {
        Fallback::Bool(flag) => Ok(flag.into()),
        Fallback::Int(number) => Ok(number),
        _ => Err(Code::BadArgument),
    })
}

/// The default of a double field; 0 if there is no such field.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_default_double(field: c_int) -> f64 {
    value(0.0, || match default_of(field)? {
        Fallback::Double(number) => Ok(number),
        _ => Err(Code::BadArgument),
    })
}

/// Sets a string field of a section; the functions mgos_sys_config_set_S_X() call this. The string is
/// copied and the old one released; NULL and "" unset the field; passing the pointer that is already
/// there changes nothing. Without memory the old value stays.
///
/// # Safety
/// `v` is NULL or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_sys_config_write_string(section: c_int, field: c_int, v: *const c_char) {
    value((), || {
        let key = system::key(section, field)?;
        // SAFETY: promised by the caller.
        unsafe { System::lock().set_string(key, v, true) }?;
        configuration_changed();
        Ok(())
    });
}

/// Sets an int field of a section.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_write_int(section: c_int, field: c_int, v: c_int) {
    value((), || {
        System::lock().set_int(system::key(section, field)?, v)?;
        configuration_changed();
        Ok(())
    });
}

/// Sets a double field of a section.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_sys_config_write_double(section: c_int, field: c_int, v: f64) {
    value((), || System::lock().set_double(system::key(section, field)?, v));
}
