//! Strings that C owns: allocated with `malloc`, or compiled-in defaults that nobody frees.

use core::ffi::{CStr, c_char};
use core::ptr;

use crate::config::ConfigError;
use crate::config::schema::{FIELDS, Fallback};
use crate::error::Code;
use zeroize::Zeroize;

/// Whether this is one of the compiled-in defaults.
pub(in crate::capi) fn is_default(text: *const c_char) -> bool {
    let same = |d: Fallback| matches!(d, Fallback::Text(Some(d)) if ptr::eq(d.as_ptr(), text));
    !text.is_null() && FIELDS.iter().any(|field| same(field.default))
}

/// A copy in C's memory with a NUL behind it.
pub(in crate::capi) fn allocate(text: &[u8]) -> Result<*mut c_char, Code> {
    // Room for the NUL too, so never the zero that malloc answers as it likes. No overflow: a
    // slice has at most isize::MAX bytes.
    // SAFETY: malloc takes any size.
    let copy: *mut u8 = unsafe { libc::malloc(text.len() + 1) }.cast();
    if copy.is_null() {
        return Err(Code::NoMemory);
    }
    // SAFETY: the new memory has room for the text, and one byte more.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len()) };
    // SAFETY: as above.
    unsafe { copy.add(text.len()).write(0) };
    Ok(copy.cast())
}

/// A copy of a string of a configuration: NULL and "" become NULL, a default stays itself.
///
/// # Safety
/// `text` is NULL or a C string.
pub(in crate::capi) unsafe fn copy(text: *const c_char) -> Result<*const c_char, Code> {
    if is_default(text) {
        return Ok(text);
    }
    // SAFETY: promised by the caller.
    match unsafe { raw(text) } {
        Some(text) => allocate(text).map(<*mut c_char>::cast_const),
        None => Ok(ptr::null()),
    }
}

/// The bytes of a string of a configuration, if it is set.
///
/// # Safety
/// `text` is NULL, or a C string that stays unchanged for `'a`.
pub(in crate::capi) unsafe fn raw<'a>(text: *const c_char) -> Option<&'a [u8]> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not NULL, so a C string.
    Some(unsafe { CStr::from_ptr(text) }.to_bytes()).filter(|text| !text.is_empty())
}

/// The same as UTF-8; the error names the field `key`.
///
/// # Safety
/// As [`raw`].
pub(in crate::capi) unsafe fn utf8(key: &str, text: *const c_char) -> Result<Option<String>, ConfigError> {
    // SAFETY: promised by the caller.
    let Some(text) = (unsafe { raw(text) }) else { return Ok(None) };
    match core::str::from_utf8(text) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(e) => {
            let problem = format!("not valid UTF-8 from byte {} on", e.valid_up_to() + 1);
            Err(ConfigError::new(key, problem).with_code(Code::BadUtf8))
        }
    }
}

/// Wipes and releases a string, if it is neither NULL nor a default, and makes it NULL.
///
/// # Safety
/// `text` is NULL, a default, or was allocated with `malloc` and is used nowhere else.
pub(in crate::capi) unsafe fn free(text: &mut *const c_char) {
    if !is_default(*text) && !text.is_null() {
        // SAFETY: a C string that nobody else uses, as promised by the caller.
        let bytes =
            unsafe { core::slice::from_raw_parts_mut(text.cast_mut().cast::<u8>(), libc::strlen(*text)) };
        // It may be a password; which field it is of is not known here.
        bytes.zeroize();
        // SAFETY: allocated by malloc, as promised by the caller.
        unsafe { libc::free(text.cast_mut().cast()) };
    }
    *text = ptr::null();
}
