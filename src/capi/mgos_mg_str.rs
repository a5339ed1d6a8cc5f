//! The strings of Mongoose, each a pointer and a length, and functions for them. Nothing is copied unless a
//! function says so, and nothing needs a NUL at its end.
//!
//! The functions are exported as `mgos_mg_*`; macros at the end give them their Mongoose names, as in
//! mgos_mongoose.h, which includes this header.

use core::ffi::{c_char, c_int};

use crate::capi::bridge::strings::{compare, duplicate, ignoring_case};
use crate::capi::types::mgos_mg_str::{NOTHING, mg_str};

/// The text of a C string, without a copy. NULL gives `{NULL, 0}`.
///
/// # Safety
/// `s` is NULL or a C string; it must outlive the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mk_str(s: *const c_char) -> mg_str {
    // SAFETY: promised by the caller.
    unsafe { mg_str::of_c(s) }
}

/// `len` bytes at `s`, without a copy.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mg_mk_str_n(s: *const c_char, len: usize) -> mg_str {
    mg_str { p: s, len }
}

/// Compares with a C string: 0 if equal; otherwise negative or positive, like strcmp(). NULL counts
/// as an empty string.
///
/// # Safety
/// `str2` is NULL or valid, `str1` is NULL or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_vcmp(str2: *const mg_str, str1: *const c_char) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { compare(str2, str1, |a, b| a.cmp(b)) }
}

/// mg_vcmp() without regard to the case of ASCII letters.
///
/// # Safety
/// As mg_vcmp().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_vcasecmp(str2: *const mg_str, str1: *const c_char) -> c_int {
    // SAFETY: promised by the caller.
    unsafe { compare(str2, str1, ignoring_case) }
}

/// A copy made by malloc(), to be released by mg_strfree() or free(). `{NULL, 0}` for an empty string
/// and without memory.
///
/// # Safety
/// `s.len` bytes at `s.p` must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strdup(s: mg_str) -> mg_str {
    // SAFETY: promised by the caller.
    unsafe { duplicate(s, 0) }
}

/// mg_strdup() with a NUL behind it, which is not counted.
///
/// # Safety
/// As mg_strdup().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strdup_nul(s: mg_str) -> mg_str {
    // SAFETY: promised by the caller.
    unsafe { duplicate(s, 1) }
}

/// Releases a copy made by mg_strdup() and makes `*s` empty. NULL is ignored.
///
/// # Safety
/// `s` is NULL or valid, and `s->p` is NULL or came from malloc().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strfree(s: *mut mg_str) {
    // SAFETY: NULL, or valid as the caller promises.
    if let Some(s) = unsafe { s.as_mut() } {
        // SAFETY: NULL, or from malloc, as the caller promises.
        unsafe { libc::free(s.p.cast_mut().cast()) };
        *s = NOTHING;
    }
}

/// The first byte `c` in `s`, or NULL.
///
/// # Safety
/// `s.len` bytes at `s.p` must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strchr(s: mg_str, c: c_int) -> *const c_char {
    // SAFETY: promised by the caller.
    let haystack = unsafe { s.bytes() };
    let at = haystack.iter().position(|b| c_int::from(*b) == (c & 0xff));
    at.map_or(core::ptr::null(), |at| haystack[at..].as_ptr().cast())
}

/// Compares: -1, 0 or 1. A prefix is less.
///
/// # Safety
/// The bytes of both must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strcmp(str1: mg_str, str2: mg_str) -> c_int {
    // SAFETY: promised by the caller.
    let (a, b) = unsafe { (str1.bytes(), str2.bytes()) };
    a.cmp(b) as c_int
}

/// mg_strcmp() of at most the first `n` bytes of each.
///
/// # Safety
/// As mg_strcmp().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strncmp(str1: mg_str, str2: mg_str, n: usize) -> c_int {
    // SAFETY: promised by the caller.
    let (a, b) = unsafe { (str1.bytes(), str2.bytes()) };
    a[..n.min(a.len())].cmp(&b[..n.min(b.len())]) as c_int
}

/// mg_strcmp() without regard to the case of ASCII letters.
///
/// # Safety
/// As mg_strcmp().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strcasecmp(str1: mg_str, str2: mg_str) -> c_int {
    // SAFETY: promised by the caller.
    let (a, b) = unsafe { (str1.bytes(), str2.bytes()) };
    ignoring_case(a, b) as c_int
}

/// Where `needle` begins in `haystack`, or NULL. An empty needle is found at the start.
///
/// # Safety
/// The bytes of both must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strstr(haystack: mg_str, needle: mg_str) -> *const c_char {
    // SAFETY: promised by the caller.
    let (all, part) = unsafe { (haystack.bytes(), needle.bytes()) };
    if part.is_empty() {
        return haystack.p;
    }
    let at = all.windows(part.len()).position(|window| window == part);
    at.map_or(core::ptr::null(), |at| all[at..].as_ptr().cast())
}

/// The same text without white space at both ends; nothing is copied.
///
/// # Safety
/// `s.len` bytes at `s.p` must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_strstrip(s: mg_str) -> mg_str {
    // SAFETY: promised by the caller.
    mg_str::of(unsafe { s.bytes() }.trim_ascii())
}

/// 1 if `s` begins with `prefix`, else 0.
///
/// # Safety
/// The bytes of both must be readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_str_starts_with(s: mg_str, prefix: mg_str) -> c_int {
    // SAFETY: promised by the caller.
    let (all, part) = unsafe { (s.bytes(), prefix.bytes()) };
    c_int::from(all.starts_with(part))
}
