//! What varargs.c calls: one function for each way in, after the `va_list` has become a callback.
//!
//! Only hidden symbols: varargs.c declares them so, and the linker keeps them out of the shared
//! library's table.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::args::{CallArgs, Fetch};
use super::array::{Element, elements};
use super::format::{FormatError, Sink, format};
use super::out::{Growth, OutSink, poison};
use super::publish::{mgos_mqtt_conn, publish_bytes, report};
use crate::capi::types::mgos_json::json_out;
use crate::error::Code;

/// Runs `body`; a panic becomes `refused`. No panic is known; one must not reach C.
pub(in crate::capi) fn guarded<T>(refused: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        report(&whole(Code::Panic), &[]);
        refused
    })
}

/// An error that is about no part of the format string.
fn whole(code: Code) -> FormatError {
    FormatError::from(code)
}

/// Reports `code` for a call whose pointers cannot be used, and gives what it returns.
pub(in crate::capi) fn refuse(code: Code) -> c_int {
    report(&whole(code), &[]);
    -1
}

/// Formats into a buffer. No lock is held while `%M` functions run. `None` if nothing was printed.
///
/// # Safety
/// As [`CallArgs::new`] for `fetch` and `ctx`.
unsafe fn formatted(fmt: &[u8], fetch: Fetch, ctx: *mut c_void) -> Result<Option<Vec<u8>>, FormatError> {
    let mut growth = Growth::new();
    let growth_at = &raw mut growth;
    let mut out = Growth::out(growth_at);
    let out_at = &raw mut out;
    // SAFETY: `out` and `growth` outlive `args` and `sink`, and are not touched until both are done.
    let (mut args, mut sink) = unsafe { (CallArgs::new(fetch, ctx, out_at), OutSink::new(out_at)) };
    let result = format(fmt, &mut args, &mut sink);
    // SAFETY: `growth_at` is the address of the local `growth`; nobody else uses it any more.
    let Growth { text, printed, error } = unsafe { ptr::replace(growth_at, Growth::new()) };
    match (result, error) {
        // What stopped the buffer is the reason, not the -1 that the printer returned for it.
        (Err(stopped), Some(code)) => Err(FormatError { code, ..stopped }),
        (Ok(_), Some(code)) => Err(whole(code)),
        (Err(error), None) => Err(error),
        (Ok(_), None) => Ok(printed.then_some(text)),
    }
}

/// `mgos_mqtt_pubf`, `pubv`, `conn_pubf` and `conn_pubv`.
///
/// # Safety
/// Called by varargs.c with what the application gave: `topic` and `fmt` NULL or texts, `conn` a
/// living connection or NULL, arguments as `fmt` says.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgos__pub_formatted(
    conn: *mut mgos_mqtt_conn,
    is_global: c_int,
    topic: *const c_char,
    qos: c_int,
    retain: c_int,
    fmt: *const c_char,
    fetch: Fetch,
    ctx: *mut c_void,
) -> u16 {
    guarded(0, || {
        if topic.is_null() || fmt.is_null() || (conn.is_null() && is_global == 0) {
            report(&whole(Code::NullArgument), &[]);
            return 0;
        }
        // SAFETY: not NULL, so it is a text that the caller leaves alone during the call.
        let fmt = unsafe { CStr::from_ptr(fmt) }.to_bytes();
        // SAFETY: `fetch` and `ctx` are varargs.c's; the application's arguments match `fmt`.
        let payload = match unsafe { formatted(fmt, fetch, ctx) } {
            Ok(Some(payload)) => payload,
            Ok(None) => {
                report(&whole(Code::BadArgument), fmt);
                return 0;
            }
            Err(error) => {
                report(&error, fmt);
                return 0;
            }
        };
        // SAFETY: `conn` and `topic` as the application gave them, and NULL was sorted out.
        unsafe { publish_bytes(conn, topic, &payload, qos, retain != 0) }
    })
}

/// `mgos_json_printf` and `mgos_json_vprintf`.
///
/// # Safety
/// Called by varargs.c with what the application gave: `out` NULL or valid, `fmt` NULL or a text,
/// arguments as `fmt` says.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgos__json_formatted(
    out: *mut json_out,
    fmt: *const c_char,
    fetch: Fetch,
    ctx: *mut c_void,
) -> c_int {
    guarded(-1, || {
        if out.is_null() {
            return refuse(Code::NullArgument);
        }
        if fmt.is_null() {
            // SAFETY: not NULL, so it is valid.
            return unsafe { counted(Err(whole(Code::NullArgument)), &[], out) };
        }
        // SAFETY: not NULL, so it is a text that the caller leaves alone during the call.
        let fmt = unsafe { CStr::from_ptr(fmt) }.to_bytes();
        // SAFETY: `out` is not NULL, so it is valid; `fetch` and `ctx` are varargs.c's.
        let (mut args, mut sink) = unsafe { (CallArgs::new(fetch, ctx, out), OutSink::new(out)) };
        let result = match fmt {
            // Printers hear of an empty text, too: that of JSON_OUT_BUF ends it with a NUL.
            [] => sink.write(fmt).map_err(FormatError::from),
            _ => format(fmt, &mut args, &mut sink),
        };
        // SAFETY: `out` is valid.
        unsafe { counted(result, fmt, out) }
    })
}

/// `mgos_json_asprintf` and `mgos_json_vasprintf`.
///
/// # Safety
/// Called by varargs.c with what the application gave: `fmt` NULL or a text, arguments as it says.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgos__json_allocated(fmt: *const c_char, fetch: Fetch, ctx: *mut c_void) -> *mut c_char {
    guarded(ptr::null_mut(), || {
        if fmt.is_null() {
            report(&whole(Code::NullArgument), &[]);
            return ptr::null_mut();
        }
        // SAFETY: not NULL, so it is a text that the caller leaves alone during the call.
        let fmt = unsafe { CStr::from_ptr(fmt) }.to_bytes();
        // SAFETY: `fetch` and `ctx` are varargs.c's; the application's arguments match `fmt`.
        let result = unsafe { formatted(fmt, fetch, ctx) };
        match result.and_then(|text| text.map(|text| malloced(&text)).transpose()) {
            Ok(text) => text.unwrap_or(ptr::null_mut()),
            Err(error) => {
                report(&error, fmt);
                ptr::null_mut()
            }
        }
    })
}

/// A copy of `text` with a NUL behind it, for C's `free`.
fn malloced(text: &[u8]) -> Result<*mut c_char, FormatError> {
    // SAFETY: any size may be asked for; it is at most MAX_OUTPUT + 1.
    let copy = unsafe { libc::malloc(text.len() + 1) }.cast::<u8>();
    if copy.is_null() {
        return Err(whole(Code::NoMemory));
    }
    // SAFETY: `copy` is new and has one byte more than `text`.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr(), copy, text.len()) };
    // SAFETY: that byte.
    unsafe { copy.add(text.len()).write(0) };
    Ok(copy.cast())
}

/// `mgos_json_printf_array`, with its four arguments taken.
///
/// # Safety
/// Called by varargs.c with what the application gave: `out` NULL or valid, `start` NULL or `total`
/// bytes, `fmt` NULL or a text; with `%s` or `%Q` in it the elements are pointers to texts.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgos__json_array(
    out: *mut json_out,
    start: *const c_void,
    total: usize,
    size: usize,
    fmt: *const c_char,
) -> c_int {
    guarded(-1, || {
        if out.is_null() {
            return refuse(Code::NullArgument);
        }
        // SAFETY: `start` is NULL or has `total` bytes.
        let elements = match (start.is_null(), fmt.is_null()) {
            (true, _) => Ok([].chunks_exact(1)),
            (false, true) => Err(Code::NullArgument),
            // SAFETY: `start` has `total` bytes that the caller leaves alone during the call.
            (false, false) => unsafe { elements(start, total, size) },
        };
        // SAFETY: it is a text, or NULL and then there are no elements to print.
        let fmt = if fmt.is_null() { &[] } else { unsafe { CStr::from_ptr(fmt) }.to_bytes() };
        // SAFETY: `out` is not NULL, so it is valid.
        let mut sink = unsafe { OutSink::new(out) };
        let result = elements.map_err(whole).and_then(|elements| {
            let put = |text: &[u8], sink: &mut OutSink| sink.write(text).map_err(whole);
            let mut total = put(b"[", &mut sink)?;
            for (i, element) in elements.enumerate() {
                if i > 0 {
                    total = total.saturating_add(put(b", ", &mut sink)?);
                }
                // SAFETY: with a `%s` or `%Q` in `fmt` the elements are pointers to texts.
                let mut args = unsafe { Element::new(element, fmt) };
                total = total.saturating_add(format(fmt, &mut args, &mut sink)?);
            }
            Ok(total.saturating_add(put(b"]", &mut sink)?))
        });
        // SAFETY: `out` is valid.
        unsafe { counted(result, fmt, out) }
    })
}

/// What `json_printf` returns; a failure also refuses the publish that `out` belongs to.
///
/// # Safety
/// `out` must be valid.
pub(in crate::capi) unsafe fn counted(
    result: Result<usize, FormatError>,
    fmt: &[u8],
    out: *mut json_out,
) -> c_int {
    let result = result.and_then(|count| c_int::try_from(count).map_err(|_| whole(Code::TooLarge)));
    result.unwrap_or_else(|error| {
        // A printer that ends its text with a NUL has to hear of a text that ends before its beginning, too. One that has
        // failed itself has been asked already.
        if error.code != Code::IoFailed {
            // SAFETY: promised by the caller.
            let _ = unsafe { OutSink::new(out) }.write(b"");
        }
        report(&error, fmt);
        // SAFETY: promised by the caller.
        unsafe { poison(out, error.code) };
        -1
    })
}
