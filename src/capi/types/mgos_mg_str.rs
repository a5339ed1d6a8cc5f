//! The types of `mgos_mg_str.h`.

use core::ffi::{CStr, c_char};

use crate::capi::base::boundary::bytes;

/// A piece of text or data: a pointer and a length, in general without a NUL behind it. Who owns the
/// bytes is said by the function that returns or takes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_str {
    /// The first byte; may be NULL if `len` is 0.
    pub p: *const c_char,
    /// How many bytes.
    pub len: usize,
}

impl mg_str {
    /// Empty as a C string is: a text, which may be read up to its NUL.
    pub(in crate::capi) const BLANK: mg_str = mg_str { p: c"".as_ptr(), len: 0 };

    pub(in crate::capi) fn of(bytes: &[u8]) -> mg_str {
        mg_str { p: bytes.as_ptr().cast(), len: bytes.len() }
    }

    /// The text of a C string; nothing for NULL.
    ///
    /// # Safety
    /// `s` is NULL or a C string.
    pub(in crate::capi) unsafe fn of_c(s: *const c_char) -> mg_str {
        if s.is_null() {
            return NOTHING;
        }
        // SAFETY: not NULL, and the caller promises the terminating NUL.
        mg_str { p: s, len: unsafe { CStr::from_ptr(s) }.count_bytes() }
    }

    /// The bytes; NULL is empty.
    ///
    /// # Safety
    /// As for [`bytes`].
    pub(in crate::capi) unsafe fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: promised by the caller. NULL with a length is taken as empty here: there is nobody
        // to tell.
        unsafe { bytes(self.p.cast(), self.len) }.unwrap_or(&[])
    }
}

pub(in crate::capi) const NOTHING: mg_str = mg_str { p: core::ptr::null(), len: 0 };
