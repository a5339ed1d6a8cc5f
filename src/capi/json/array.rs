//! The elements of `json_printf_array`: one element is the one argument of its format string.
//!
//! The original put the bytes of an element into an 8-byte union, the rest of it uninitialised,
//! and took it for a `double` if the format contained an e, f or g anywhere. Here an element has
//! the type that its conversion and its size say, so 1- and 2-byte integers and `float` work too.

use core::ffi::{c_char, c_int, c_long, c_void};

use super::args;
use super::format::{Args, Sink, is_signed};
use crate::error::Code;

/// One element, until it is taken.
pub(super) struct Element<'a> {
    bytes: Option<&'a [u8]>,
    signed: bool,
}

impl<'a> Element<'a> {
    /// # Safety
    /// If `fmt` has a `%s`, `%ls` or `%Q`, `bytes` must hold a pointer to such a text, or NULL.
    pub(super) unsafe fn new(bytes: &'a [u8], fmt: &[u8]) -> Element<'a> {
        Element { bytes: Some(bytes), signed: is_signed(fmt) }
    }

    /// A format string with two conversions would need two arguments: refused.
    fn take(&mut self) -> Result<&'a [u8], Code> {
        self.bytes.take().ok_or(Code::BadFormat)
    }

    fn pointer(&mut self) -> Result<*const c_void, Code> {
        const SIZE: usize = size_of::<*const c_void>();
        let bytes = self.take()?;
        if bytes.len() < SIZE {
            return Err(Code::BadArgument);
        }
        // SAFETY: there are SIZE bytes, and `new` was promised that they hold a pointer. It is read
        // as a pointer, not put together from an integer, so it keeps its provenance.
        Ok(unsafe { bytes.as_ptr().cast::<*const c_void>().read_unaligned() })
    }

    fn integer(&mut self) -> Result<i64, Code> {
        let signed = self.signed;
        let bytes = self.take()?;
        if let Some(&[a]) = as_array(bytes) {
            return Ok(if signed { i64::from(a as i8) } else { i64::from(a) });
        }
        if let Some(&two) = as_array(bytes) {
            let n = u16::from_ne_bytes(two);
            return Ok(if signed { i64::from(n as i16) } else { i64::from(n) });
        }
        if let Some(&four) = as_array(bytes) {
            let n = u32::from_ne_bytes(four);
            return Ok(if signed { i64::from(n as i32) } else { i64::from(n) });
        }
        // A larger element is a structure that starts with what is printed.
        bytes.first_chunk().map(|eight| i64::from_ne_bytes(*eight)).ok_or(Code::BadArgument)
    }
}

fn as_array<const N: usize>(bytes: &[u8]) -> Option<&[u8; N]> {
    bytes.try_into().ok()
}

impl Args for Element<'_> {
    fn int(&mut self) -> Result<c_int, Code> {
        Ok(self.integer()? as c_int)
    }

    fn long(&mut self) -> Result<c_long, Code> {
        Ok(self.integer()? as c_long)
    }

    fn long_long(&mut self) -> Result<i64, Code> {
        self.integer()
    }

    fn size(&mut self) -> Result<usize, Code> {
        self.signed = false;
        Ok(self.integer()? as usize)
    }

    fn double(&mut self) -> Result<f64, Code> {
        let bytes = self.take()?;
        match as_array(bytes) {
            Some(four) => Ok(f64::from(f32::from_ne_bytes(*four))),
            None => bytes.first_chunk().map(|eight| f64::from_ne_bytes(*eight)).ok_or(Code::BadArgument),
        }
    }

    fn text(&mut self, limit: Option<usize>) -> Result<Option<&[u8]>, Code> {
        let start = self.pointer()?.cast::<c_char>();
        // SAFETY: `new` was promised a text, or NULL.
        Ok(unsafe { args::text(start, limit) })
    }

    fn wide_text(&mut self, limit: Option<usize>) -> Result<Option<Vec<u8>>, Code> {
        let start = self.pointer()?.cast::<libc::wchar_t>();
        // SAFETY: `new` was promised a text as the format says, or NULL.
        unsafe { args::wide_text(start, limit) }
    }

    fn bytes(&mut self, _len: usize) -> Result<Option<&[u8]>, Code> {
        Err(Code::BadFormat)
    }

    fn bytes_then_len(&mut self) -> Result<&[u8], Code> {
        Err(Code::BadFormat)
    }

    fn printer(&mut self, _out: &mut dyn Sink) -> Result<usize, Code> {
        Err(Code::BadFormat)
    }
}

/// The elements of the array at `start`: `total / size` of them.
///
/// # Safety
/// `start` must be NULL or lead to `total` bytes that stay unchanged for `'a`.
pub(super) unsafe fn elements<'a>(
    start: *const c_void,
    total: usize,
    size: usize,
) -> Result<core::slice::ChunksExact<'a, u8>, Code> {
    // SAFETY: promised by the caller.
    let all = unsafe { args::bytes(start, total) }.unwrap_or_default();
    if size == 0 { Err(Code::BadArgument) } else { Ok(all.chunks_exact(size)) }
}
