//! `Args` over the callback of varargs.c, which owns the `va_list`.

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr;
use core::slice;

use super::format::{Args, MAX_OUTPUT, Sink, character, length};
use crate::capi::types::mgos_json::json_out;
use crate::error::Code;
use crate::sync::entering_user_code;
use libc::wchar_t;

/// One argument on its way; `union mgos__arg` of varargs.c.
#[repr(C)]
pub(super) union Value {
    integer: i64,
    real: f64,
    pointer: *const c_void,
}

/// Takes the next argument of the given kind; [`PRINTER`] takes a function, calls it with the
/// `json_out` in `pointer` and puts its result into `integer`. 0, or -1 for a NULL function.
pub(super) type Fetch = unsafe extern "C" fn(ctx: *mut c_void, kind: c_int, value: *mut Value) -> c_int;

// The kinds, as in varargs.c.
const INT: c_int = 0;
const LONG: c_int = 1;
const LONG_LONG: c_int = 2;
const SIZE: c_int = 3;
const DOUBLE: c_int = 4;
const POINTER: c_int = 5;
const PRINTER: c_int = 6;

/// The arguments of a C call.
pub(super) struct CallArgs {
    fetch: Fetch,
    ctx: *mut c_void,
    out: *mut json_out,
}

impl CallArgs {
    /// `out` is what `%M` functions are given; text written by the formatter must go there too.
    ///
    /// # Safety
    /// `fetch` and `ctx` must be varargs.c's, and valid as long as this lives; so must `out`. The
    /// arguments must be what the format string says, as for C's `printf`, and must not change
    /// during the call.
    pub(super) unsafe fn new(fetch: Fetch, ctx: *mut c_void, out: *mut json_out) -> CallArgs {
        CallArgs { fetch, ctx, out }
    }

    fn take(&mut self, kind: c_int) -> Value {
        let mut value = Value { integer: 0 };
        // SAFETY: `new` was promised a matching pair; `value` is valid for the call. Each kind but
        // PRINTER only fills in `value`.
        unsafe { (self.fetch)(self.ctx, kind, &raw mut value) };
        value
    }

    fn integer(&mut self, kind: c_int) -> i64 {
        let value = self.take(kind);
        // SAFETY: varargs.c fills `integer` for every integer kind, and all bits are valid.
        unsafe { value.integer }
    }

    fn pointer(&mut self) -> *const c_void {
        let value = self.take(POINTER);
        // SAFETY: varargs.c fills `pointer` for this kind.
        unsafe { value.pointer }
    }
}

impl Args for CallArgs {
    fn int(&mut self) -> Result<c_int, Code> {
        Ok(self.integer(INT) as c_int)
    }

    fn long(&mut self) -> Result<c_long, Code> {
        Ok(self.integer(LONG) as c_long)
    }

    fn long_long(&mut self) -> Result<i64, Code> {
        Ok(self.integer(LONG_LONG))
    }

    fn size(&mut self) -> Result<usize, Code> {
        Ok(self.integer(SIZE) as usize)
    }

    fn double(&mut self) -> Result<f64, Code> {
        let value = self.take(DOUBLE);
        // SAFETY: varargs.c fills `real` for this kind.
        Ok(unsafe { value.real })
    }

    fn text(&mut self, limit: Option<usize>) -> Result<Option<&[u8]>, Code> {
        let start = self.pointer().cast::<c_char>();
        // SAFETY: `new` was promised that this argument is NULL or a text as `%s` wants it.
        Ok(unsafe { text(start, limit) })
    }

    fn wide_text(&mut self, limit: Option<usize>) -> Result<Option<Vec<u8>>, Code> {
        let start = self.pointer().cast::<wchar_t>();
        // SAFETY: `new` was promised that this argument is NULL or a text as `%ls` wants it.
        unsafe { wide_text(start, limit) }
    }

    fn bytes(&mut self, len: usize) -> Result<Option<&[u8]>, Code> {
        let start = self.pointer();
        // SAFETY: `new` was promised that this argument is NULL or has the bytes that the length
        // before it says.
        Ok(unsafe { bytes(start, len) })
    }

    fn bytes_then_len(&mut self) -> Result<&[u8], Code> {
        let start = self.pointer();
        let len = length(self.int()?)?;
        // SAFETY: as in `bytes`, with the length behind it.
        match unsafe { bytes(start, len) } {
            Some(data) => Ok(data),
            None if len == 0 => Ok(&[]),
            None => Err(Code::NullArgument),
        }
    }

    fn printer(&mut self, _out: &mut dyn Sink) -> Result<usize, Code> {
        // The formatter's sink and the C function print into the same `json_out`.
        let mut value = Value { pointer: ptr::null() };
        value.pointer = self.out.cast_const().cast();
        entering_user_code();
        // SAFETY: `new` was promised a matching pair and a valid `out`, and that the next argument
        // is a function for `%M`. No reference into `out` lives here while it runs.
        if unsafe { (self.fetch)(self.ctx, PRINTER, &raw mut value) } != 0 {
            return Err(Code::NullArgument);
        }
        // SAFETY: varargs.c has put the function's result into `integer`.
        let counted = unsafe { value.integer };
        usize::try_from(counted).map_err(|_| Code::Cancelled)
    }
}

/// The text before its NUL, or before `limit` bytes if no NUL comes earlier.
///
/// # Safety
/// `start` must be NULL, or lead to such a text that stays unchanged for `'a`.
pub(super) unsafe fn text<'a>(start: *const c_char, limit: Option<usize>) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    let Some(limit) = limit else {
        // SAFETY: not NULL, and without a limit there is a NUL.
        return Some(unsafe { CStr::from_ptr(start) }.to_bytes());
    };
    // SAFETY: not NULL; `strnlen` stops at the NUL or at the limit, whichever comes first.
    let len = unsafe { libc::strnlen(start, limit) };
    // SAFETY: `strnlen` has just read these bytes.
    Some(unsafe { slice::from_raw_parts(start.cast(), len) })
}

/// The wide characters before a NUL, as UTF-8; as many as fit whole into `limit` bytes. No more of them are read.
///
/// # Safety
/// `start` must be NULL, or lead to such a text that stays unchanged.
pub(super) unsafe fn wide_text(start: *const wchar_t, limit: Option<usize>) -> Result<Option<Vec<u8>>, Code> {
    if start.is_null() {
        return Ok(None);
    }
    let limit = limit.unwrap_or(MAX_OUTPUT + 1);
    let mut text = Vec::new();
    let mut at = 0;
    while text.len() < limit {
        // SAFETY: no NUL came before it, and the limit is not reached.
        let unit = unsafe { start.add(at).read() };
        if unit == 0 {
            break;
        }
        at += 1;
        #[allow(clippy::unnecessary_cast, reason = "wchar_t has 16 or 32 bits, with a sign or without")]
        let character = character(unit as u32);
        if text.len() + character.len_utf8() > limit {
            break;
        }
        text.try_reserve(4).map_err(|_| Code::NoMemory)?;
        text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(Some(text))
}

/// `len` bytes at `start`; `None` if it is NULL.
///
/// # Safety
/// `start` must be NULL, or lead to `len` bytes that stay unchanged for `'a`.
pub(in crate::capi) unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: not NULL, and the caller promised the bytes; no object is larger than `isize::MAX`.
    Some(unsafe { slice::from_raw_parts(start.cast(), len) })
}
