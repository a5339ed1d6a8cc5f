//! Comparing and copying `struct mg_str`.

use core::ffi::{c_char, c_int};

use crate::capi::base::boundary::set_call_error;
use crate::capi::types::mgos_mg_str::{NOTHING, mg_str};
use crate::error::Code;

/// # Safety
/// As mg_vcmp().
pub(in crate::capi) unsafe fn compare(
    a: *const mg_str,
    b: *const c_char,
    order: impl Fn(&[u8], &[u8]) -> core::cmp::Ordering,
) -> c_int {
    // SAFETY: NULL, or valid as the caller promises.
    let a = unsafe { a.as_ref() }.copied().unwrap_or(NOTHING);
    // SAFETY: NULL, or a C string as the caller promises.
    let b = unsafe { mg_str::of_c(b) };
    // SAFETY: the caller promises the bytes of both.
    let (a, b) = unsafe { (a.bytes(), b.bytes()) };
    order(a, b) as c_int
}

pub(in crate::capi) fn ignoring_case(a: &[u8], b: &[u8]) -> core::cmp::Ordering {
    a.iter().map(u8::to_ascii_lowercase).cmp(b.iter().map(u8::to_ascii_lowercase))
}

/// # Safety
/// As mg_strdup().
pub(in crate::capi) unsafe fn duplicate(s: mg_str, nul: usize) -> mg_str {
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
