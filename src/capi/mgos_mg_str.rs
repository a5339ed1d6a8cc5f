//! The strings of Mongoose: a pointer and a length, and what can be done with them. Nothing is copied but where a
//! function says so, and nothing needs a NUL at its end.
//!
//! The functions are exported as `mgos_mg_*` and mapped to their Mongoose names by macros at the end, as those of
//! mgos_mongoose.h, which includes this header.

use core::ffi::{CStr, c_char, c_int};

use super::boundary::{bytes, set_call_error};
use crate::error::Code;

/// A piece of text or data: a pointer and a length, in general without a NUL behind it. Whoever made
/// it says who owns the bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_str {
    /// The first byte; may be NULL if `len` is 0.
    pub p: *const c_char,
    /// How many bytes.
    pub len: usize,
}

const NOTHING: mg_str = mg_str { p: core::ptr::null(), len: 0 };

impl mg_str {
    /// Empty as a C string is: a text, which may be read up to its NUL.
    pub(super) const BLANK: mg_str = mg_str { p: c"".as_ptr(), len: 0 };

    pub(super) fn of(bytes: &[u8]) -> mg_str {
        mg_str { p: bytes.as_ptr().cast(), len: bytes.len() }
    }

    /// The bytes; NULL is empty.
    ///
    /// # Safety
    /// As for [`bytes`].
    pub(super) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: promised by the caller. NULL with a length is taken as empty here: there is nobody
        // to tell.
        unsafe { bytes(self.p.cast(), self.len) }.unwrap_or(&[])
    }
}

/// The text of a C string, without a copy. NULL gives `{NULL, 0}`.
///
/// # Safety
/// `s` is NULL or a C string; it must outlive the result.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mg_mk_str(s: *const c_char) -> mg_str {
    if s.is_null() {
        return NOTHING;
    }
    // SAFETY: not NULL, and the caller promises the terminating NUL.
    mg_str { p: s, len: unsafe { CStr::from_ptr(s) }.count_bytes() }
}

/// `len` bytes at `s`, without a copy.
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mg_mk_str_n(s: *const c_char, len: usize) -> mg_str {
    mg_str { p: s, len }
}

/// Compares with a C string: 0 if equal; otherwise negative or positive, like strcmp(). NULL is
/// taken as an empty string.
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

/// # Safety
/// As mg_vcmp().
unsafe fn compare(
    a: *const mg_str,
    b: *const c_char,
    order: impl Fn(&[u8], &[u8]) -> core::cmp::Ordering,
) -> c_int {
    // SAFETY: NULL, or valid as the caller promises.
    let a = unsafe { a.as_ref() }.copied().unwrap_or(NOTHING);
    // SAFETY: NULL, or a C string as the caller promises.
    let b = unsafe { mgos_mg_mk_str(b) };
    // SAFETY: the caller promises the bytes of both.
    let (a, b) = unsafe { (a.bytes(), b.bytes()) };
    order(a, b) as c_int
}

fn ignoring_case(a: &[u8], b: &[u8]) -> core::cmp::Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
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

/// # Safety
/// As mg_strdup().
unsafe fn duplicate(s: mg_str, nul: usize) -> mg_str {
    // SAFETY: promised by the caller.
    let from = unsafe { s.bytes() };
    if from.is_empty() {
        return NOTHING;
    }
    // SAFETY: any size may be asked for.
    let copy = unsafe { libc::malloc(from.len() + nul) }.cast::<u8>();
    if copy.is_null() {
        set_call_error(Code::NoMemory);
        return NOTHING;
    }
    // SAFETY: the new block has at least that many bytes.
    unsafe { copy.copy_from_nonoverlapping(from.as_ptr(), from.len()) };
    if nul == 1 {
        // SAFETY: and one more.
        unsafe { copy.add(from.len()).write(0) };
    }
    mg_str { p: copy.cast(), len: from.len() }
}

/// Releases what mg_strdup() made and makes it empty. NULL is ignored.
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
