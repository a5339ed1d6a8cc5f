//! Sections that C hands over, and what is wrong with them.

use core::ffi::{c_char, c_int};

use crate::capi::base::boundary::{bytes, config_code, copy_out};
use crate::capi::config::c_struct;
use crate::capi::types::mgos_config::mgos_config_mqtt;
use crate::capi::types::mgos_mg_str::mg_str;
use crate::config::Section;
use crate::config::schema::{Fallback, Field};
use crate::error::Code;

/// The section that a configuration given by C stands for.
///
/// # Safety
/// `cfg` is NULL or a configuration.
pub(in crate::capi) unsafe fn section_of(cfg: *const mgos_config_mqtt) -> Result<Section, Code> {
    // SAFETY: NULL or valid, as promised by the caller.
    let cfg = unsafe { cfg.as_ref() }.ok_or(Code::NullArgument)?;
    // SAFETY: its strings are C strings, as promised by the caller.
    unsafe { c_struct::to_section(cfg) }.map_err(config_code)
}

/// Writes the sentence of an error, or nothing, to a buffer given by C.
///
/// # Safety
/// `err` is NULL or has room for `err_len` bytes.
pub(in crate::capi) unsafe fn report<T>(
    result: &Result<T, crate::config::ConfigError>,
    err: *mut c_char,
    err_len: usize,
) {
    let text = result.as_ref().err().map_or(String::new(), ToString::to_string);
    // SAFETY: promised by the caller.
    unsafe { copy_out(&text, err, err_len) };
}

pub(in crate::capi) fn default_of(field: c_int) -> Result<Fallback, Code> {
    Ok(Field::of_number(field).ok_or(Code::BadArgument)?.info().default)
}

/// # Safety
/// `text` is readable for its length and stays unchanged for `'a`.
pub(in crate::capi) unsafe fn utf8<'a>(text: mg_str) -> Result<&'a str, Code> {
    // SAFETY: promised by the caller.
    let text = unsafe { bytes(text.p.cast(), text.len) }?;
    core::str::from_utf8(text).map_err(|_| Code::BadUtf8)
}
