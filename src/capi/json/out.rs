//! `Sink` over a `struct json_out`, and the `json_out` of a publish: a buffer that grows.

use core::ffi::{c_char, c_int};
use core::ptr;

use super::format::{MAX_OUTPUT, Sink};
use crate::capi::types::mgos_json::{json_out, json_out_buf, json_out_u};
use crate::error::Code;
use crate::sync::entering_user_code;

/// Writes through the printer of a `struct json_out`.
pub(in crate::capi) struct OutSink {
    out: *mut json_out,
}

impl OutSink {
    /// # Safety
    /// `out` must be valid, and stay so while the sink is used; its printer must keep to the
    /// contract of `struct json_out`. No Rust reference to it may exist at the same time: the
    /// printer writes to it.
    pub(in crate::capi) unsafe fn new(out: *mut json_out) -> OutSink {
        OutSink { out }
    }
}

impl Sink for OutSink {
    fn write(&mut self, text: &[u8]) -> Result<usize, Code> {
        // SAFETY: `new` was promised a valid `out`; the field is copied out, no reference is made.
        let printer = unsafe { (*self.out).printer }.ok_or(Code::NullArgument)?;
        // A slice without bytes may point anywhere; a printer in C gets a real address.
        let start = if text.is_empty() { c"".as_ptr() } else { text.as_ptr().cast() };
        entering_user_code();
        // SAFETY: `new` was promised a printer that keeps to its contract; `start` is the address
        // of `text.len()` readable bytes for the time of the call.
        let counted = unsafe { printer(self.out, start, text.len()) };
        usize::try_from(counted).map_err(|_| Code::IoFailed)
    }
}

/// The text of a publish while it grows.
pub(super) struct Growth {
    pub(super) text: Vec<u8>,
    /// Whether anything was printed, be it empty: `%s` with "" is an empty message, an empty format
    /// string is none.
    pub(super) printed: bool,
    /// The first thing that went wrong, also in a `json_printf` that a `%M` function called and
    /// whose result it threw away.
    pub(super) error: Option<Code>,
}

impl Growth {
    pub(super) fn new() -> Growth {
        Growth { text: Vec::new(), printed: false, error: None }
    }

    /// The `json_out` that prints into `growth`. A printer may copy it: it leads to `growth` through
    /// a pointer, not through its own address.
    pub(super) fn out(growth: *mut Growth) -> json_out {
        json_out { printer: Some(grow), u: json_out_u { data: growth.cast() } }
    }

    fn append(&mut self, text: &[u8]) -> Result<(), Code> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if text.len() > MAX_OUTPUT - self.text.len() {
            return Err(Code::TooLarge);
        }
        self.text.try_reserve(text.len()).map_err(|_| Code::NoMemory)?;
        self.text.extend_from_slice(text);
        self.printed = true;
        Ok(())
    }
}

/// The printer of [`Growth::out`]. Not inlined: [`poison`] knows a publish by this address.
#[inline(never)]
unsafe extern "C" fn grow(out: *mut json_out, text: *const c_char, len: usize) -> c_int {
    if out.is_null() {
        return -1;
    }
    // SAFETY: a `json_out` with this printer was made by `Growth::out`, so `data` is the active
    // field and leads to a `Growth` that lives until the format call is over. Printers run on one
    // thread, one after the other, and this reference ends with the call.
    let growth = unsafe { &mut *(*out).u.data.cast::<Growth>() };
    // SAFETY: the caller of a printer hands over `len` readable bytes.
    let result = match unsafe { super::args::bytes(text.cast(), len) } {
        Some(text) => growth.append(text),
        None => growth.append(&[]),
    };
    match result {
        // No more than MAX_OUTPUT, which an int can hold.
        Ok(()) => len as c_int,
        Err(code) => {
            growth.error.get_or_insert(code);
            -1
        }
    }
}

/// If `out` belongs to a publish, refuses it: a `json_printf` into it failed.
///
/// # Safety
/// `out` must be valid.
pub(super) unsafe fn poison(out: *mut json_out, code: Code) {
    // SAFETY: promised by the caller.
    let printer = unsafe { (*out).printer };
    if printer.is_some_and(|printer| ptr::fn_addr_eq(printer, grow as Printer)) {
        // SAFETY: as in `grow`: this printer's `data` leads to a living `Growth`.
        let growth = unsafe { &mut *(*out).u.data.cast::<Growth>() };
        growth.error.get_or_insert(code);
    }
}

type Printer = unsafe extern "C" fn(*mut json_out, *const c_char, usize) -> c_int;

/// `mgos_json_printer_buf`: appends what fits, ends it with a NUL, counts everything.
///
/// # Safety
/// `buf.buf` must have `buf.size` writable bytes, or be NULL; `text` must not overlap it.
pub(in crate::capi) unsafe fn append_truncating(buf: &mut json_out_buf, text: &[u8]) {
    if buf.buf.is_null() || buf.size == 0 {
        return;
    }
    // When the buffer is full, `len` is `size`, and the last byte of the text has become the NUL.
    let len = buf.len.min(buf.size);
    let fits = text.len().min(buf.size - len);
    // SAFETY: `len + fits` is at most `size`, and the caller promised `size` writable bytes apart
    // from `text`.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), buf.buf.cast::<u8>().add(len), fits) };
    buf.len = len + fits;
    let end = buf.len.min(buf.size - 1);
    // SAFETY: `end` is below `size`.
    unsafe { buf.buf.add(end).write(0) };
}
