//! The configuration of one MQTT server, as a structure: its defaults, its JSON text, copy and free.
//!
//! A program fills a struct mgos_config_mqtt in one of three ways. It takes the defaults and sets
//! fields:
//!
//!     struct mgos_config_mqtt cfg;
//!     mgos_config_mqtt_set_defaults(&cfg);
//!     cfg.enable = 1;
//!     cfg.server = "broker.example.org:1883";
//!
//! or reads a text with mgos_config_mqtt_parse_ex(), or takes over the system configuration with
//! mgos_config_mqtt_copy(mgos_sys_config_get_mqtt(), &cfg). Functions that take a configuration
//! copy what they need before they return.
//!
//! Strings. In a structure that mgos_config_mqtt_parse*() or mgos_config_mqtt_copy() filled, every
//! string was allocated with malloc(), or is a compiled-in default, which
//! mgos_config_is_default_str() recognises; mgos_config_mqtt_free() releases the former and leaves
//! the latter alone. A structure that a program filled itself with literals must not be given to
//! mgos_config_mqtt_free(). NULL and "" both mean that a string is not set.
//!
//! Threads. Every function here may be called from any thread and in every handler; the structure
//! belongs to the caller, who keeps two threads from using one at the same time. Nothing here blocks
//! but reading and writing a file.
//!
//! Errors. What returns bool returns false, what returns a pointer NULL, and
//! mgos_mqtt_last_error() tells the reason. A NULL where a pointer is needed is such an error, never
//! a crash.
//!
//! The structure is frozen: it never gets another field and never changes its size. What is newer
//! stands in struct mgos_mqtt_options.

use core::ffi::c_char;
use core::ptr;

use crate::capi::base::boundary::{bytes, config_code, value};
use crate::capi::config::sections::{report, section_of};
use crate::capi::config::{c_struct, c_text, file};
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::config::Style;
use crate::error::Code;

/// Fills `cfg` with the defaults. Whatever was there is overwritten and not released.
///
/// # Safety
/// `cfg` is NULL, which does nothing, or points to a structure to write, which need not be
/// initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_set_defaults(cfg: *mut mgos_config_mqtt) {
    value((), || {
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { cfg.write(c_struct::defaults()) };
        Ok(())
    });
}

/// Fills `cfg` with the defaults, and then with what the text says.
///
/// `json` is the object of one section, `{"enable": true, "server": "broker:1883"}`, whose keys are
/// the names of the fields; flags are true or false. Whatever was in `cfg` is overwritten and not
/// released; release the result with mgos_config_mqtt_free().
///
/// Returns false if the text is not valid; `cfg` then has the defaults. mgos_config_mqtt_parse_ex()
/// also tells what is wrong with the text.
///
/// # Safety
/// `cfg` is NULL, which returns false, or points to a structure to write; `json` is readable for
/// its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_parse(json: mg_str, cfg: *mut mgos_config_mqtt) -> bool {
    // SAFETY: promised by the caller.
    unsafe { mgos_config_mqtt_parse_ex(json.p, json.len, cfg, ptr::null_mut(), 0) }
}

/// As mgos_config_mqtt_parse(); if the text is not valid, a sentence about it is written to `err`:
///
///     keep_alive: expected a number, found a string (line 4, column 20)
///
/// The sentence is cut to fit into `err_len` bytes and ends with a NUL; after a success it is empty.
/// `err` may be NULL. A text has at most 1 MiB. An unknown key, a duplicate key and a number out of
/// range are errors.
///
/// # Safety
/// `json` is readable for `len` bytes; `cfg` is NULL, which returns false, or points to a structure
/// to write; `err` is NULL or has room for `err_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_parse_ex(
    json: *const c_char,
    len: usize,
    cfg: *mut mgos_config_mqtt,
    err: *mut c_char,
    err_len: usize,
) -> bool {
    // SAFETY: promised by the caller.
    unsafe { mgos_config_mqtt_set_defaults(cfg) };
    value(false, || {
        // SAFETY: promised by the caller.
        let json = unsafe { bytes(json.cast(), len) };
        let parsed = json.map_err(Into::into).and_then(c_struct::parse);
        // SAFETY: promised by the caller.
        unsafe { report(&parsed, err, err_len) };
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        let section = parsed.map_err(config_code)?;
        let filled = c_struct::from_section(&section)?;
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { cfg.write(filled) };
        Ok(true)
    })
}

/// As mgos_config_mqtt_parse(), with the content of a file.
///
/// Also returns false if the file cannot be read or has more than 1 MiB.
///
/// # Safety
/// `fname` is NULL, which returns false, or ends with a NUL; `cfg` is NULL, which returns false, or
/// points to a structure to write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_parse_f(fname: *const c_char, cfg: *mut mgos_config_mqtt) -> bool {
    // SAFETY: promised by the caller.
    unsafe { mgos_config_mqtt_set_defaults(cfg) };
    value(false, || {
        // SAFETY: promised by the caller.
        let path = unsafe { file::path(fname) }?;
        if cfg.is_null() {
            return Err(Code::NullArgument);
        }
        let section = c_struct::parse(&file::read(&path)?).map_err(config_code)?;
        let filled = c_struct::from_section(&section)?;
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { cfg.write(filled) };
        Ok(true)
    })
}

/// Writes `cfg` to a file as JSON, including passwords, so that mgos_config_mqtt_parse_f() reads
/// back the same; with `pretty`, one field per line.
///
/// The new content is written to a second file beside it, which then replaces it: after a power
/// failure the file has either the old content or the new. Only its owner can read it.
///
/// Returns false if a string is not UTF-8, a number cannot be written in JSON, or the file cannot be
/// written.
///
/// # Safety
/// `cfg` is NULL, which returns false, or a configuration; `fname` is NULL, which returns false, or
/// ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_emit_f(
    cfg: *const mgos_config_mqtt,
    pretty: bool,
    fname: *const c_char,
) -> bool {
    value(false, || {
        // SAFETY: promised by the caller.
        let path = unsafe { file::path(fname) }?;
        // SAFETY: promised by the caller.
        let section = unsafe { section_of(cfg) }?;
        let text = section.to_json(Style { pretty, secrets: true }).map_err(config_code)?;
        file::write(&path, text.as_bytes())?;
        Ok(true)
    })
}

/// The JSON text of `cfg`. With `with_secrets` false, `pass`, `ssl_key` and `ssl_psk_key` are
/// written as "***": such a text is meant for a log and cannot be used as a configuration.
///
/// Returns a string that the caller releases with free(); NULL if a string is not UTF-8, a number
/// cannot be written in JSON, or there is no memory.
///
/// # Safety
/// `cfg` is NULL, which returns NULL, or a configuration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_to_json(
    cfg: *const mgos_config_mqtt,
    pretty: bool,
    with_secrets: bool,
) -> *mut c_char {
    value(ptr::null_mut(), || {
        // SAFETY: promised by the caller.
        let section = unsafe { section_of(cfg) }?;
        let text = section.to_json(Style { pretty, secrets: with_secrets }).map_err(config_code)?;
        c_text::allocate(text.as_bytes())
    })
}

/// Copies a configuration with its strings. Whatever was in `dst` is overwritten and not released;
/// release the copy with mgos_config_mqtt_free(). Copying a configuration onto itself changes
/// nothing.
///
/// Returns false if there is no memory; `dst` is then unchanged.
///
/// # Safety
/// `src` is NULL, which returns false, or a configuration; `dst` is NULL, which returns false, or
/// points to a structure to write, which need not be initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_copy(
    src: *const mgos_config_mqtt,
    dst: *mut mgos_config_mqtt,
) -> bool {
    value(false, || {
        if src.is_null() || dst.is_null() {
            return Err(Code::NullArgument);
        }
        if ptr::eq(src, dst) {
            return Ok(true);
        }
        // SAFETY: not NULL, and a configuration as promised by the caller.
        let copy = unsafe { c_struct::copy(&*src) }?;
        // SAFETY: not NULL, and the caller promises that it can be written.
        unsafe { dst.write(copy) };
        Ok(true)
    })
}

/// Releases the strings of a configuration that mgos_config_mqtt_parse*() or mgos_config_mqtt_copy()
/// filled, and sets them to NULL. The structure itself stays the caller's; calling this again for it
/// does nothing. NULL does nothing.
///
/// # Safety
/// `cfg` is NULL, or every string in it is NULL, a compiled-in default, or was allocated with
/// malloc() and is used nowhere else.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_config_mqtt_free(cfg: *mut mgos_config_mqtt) {
    value((), || {
        // SAFETY: NULL or valid, as promised by the caller.
        if let Some(cfg) = unsafe { cfg.as_mut() } {
            // SAFETY: promised by the caller.
            unsafe { c_struct::free(cfg) };
        }
        Ok(())
    });
}

/// Whether `s` is a string that was compiled into the library as the default of a field: it lives as
/// long as the process and must not be given to free(). The pointer is compared, not the text; false
/// for NULL.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_config_is_default_str(s: *const c_char) -> bool {
    value(false, || Ok(c_text::is_default(s)))
}
