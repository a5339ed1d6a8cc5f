//! What every exported function goes through: panics are caught, pointers are checked, and the
//! call's error is kept.

use core::any::Any;
use core::cell::{Cell, RefCell};
use core::ffi::{CStr, c_char, c_int};
use core::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::ConfigError;
use crate::error::Code;
use crate::time::Span;
use crate::wire::QoS;
use crate::wire::topic::{PlainTopic, Topic};

/// The longest sentence that is kept.
const TEXT_MAX: usize = 255;

struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

/// How the last call of a thread ended.
struct Last {
    code: Cell<i32>,
    /// The running call has already set a sentence.
    explained: Cell<bool>,
    /// One of these has changed from its initial value, and the thread is counted in [`FAILED`].
    failed: Cell<bool>,
    text: RefCell<Text>,
}

thread_local! {
    // Without a destructor, so that it can be used at any moment of a thread's life, also at its
    // end.
    static LAST: Last = const {
        Last {
            code: Cell::new(0),
            explained: Cell::new(false),
            failed: Cell::new(false),
            text: RefCell::new(Text { bytes: [0; TEXT_MAX], len: 0 }),
        }
    };
}

/// How many threads have an error that their next successful call has to clear. While it is 0, which is nearly
/// always, a successful call need not access its thread-local variables. A thread that ends with an error stays
/// counted.
static FAILED: AtomicUsize = AtomicUsize::new(0);

impl Last {
    /// Notes that there is something to clear.
    fn fails(&self) {
        if !self.failed.replace(true) {
            FAILED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Keeps a call's error for `mgos_mqtt_last_error`. A sentence from an earlier call is discarded.
#[cold]
#[inline(never)]
pub(in crate::capi) fn set_call_error(code: Code) {
    LAST.with(|last| {
        last.fails();
        last.code.set(code.number());
        let why =
            crate::client::take_over_limit().filter(|_| matches!(code, Code::TooLarge | Code::ServerLimit));
        if !last.explained.replace(false) {
            let mut text = last.text.borrow_mut();
            text.len = 0;
            if let Some(why) = why {
                // What does not fit is cut off, which is no error.
                let _ = write!(text, "{why}");
            }
        }
    });
}

/// A call succeeded. The sentence of an earlier one stays in memory; it is read after errors only.
#[inline]
fn set_call_done() {
    // A thread always sees what it has counted itself.
    if FAILED.load(Ordering::Relaxed) > 0 {
        clear_call_error();
    }
}

#[cold]
#[inline(never)]
fn clear_call_error() {
    LAST.with(|last| {
        if last.failed.replace(false) {
            FAILED.fetch_sub(1, Ordering::Relaxed);
            last.code.set(Code::Ok.number());
            last.explained.set(false);
        }
    });
}

pub(in crate::capi) fn call_error() -> c_int {
    LAST.with(|last| last.code.get())
}

/// Keeps a sentence that says more than the code, for `mgos_mqtt_last_error_text`. Cut where it does not
/// fit; kept until the thread's next call that fails.
#[cold]
#[inline(never)]
pub(in crate::capi) fn explain(text: fmt::Arguments<'_>) {
    LAST.with(|last| {
        last.fails();
        last.explained.set(true);
        let mut kept = last.text.borrow_mut();
        kept.len = 0;
        // What does not fit is cut off, which is no error.
        let _ = kept.write_fmt(text);
    });
}

impl Write for Text {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = TEXT_MAX - self.len;
        let n = (0..=room.min(part.len())).rev().find(|n| part.is_char_boundary(*n)).unwrap_or(0);
        self.bytes[self.len..self.len + n].copy_from_slice(&part.as_bytes()[..n]);
        self.len += n;
        if n < part.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// The code of a configuration error, whose sentence is kept.
#[cold]
#[inline(never)]
pub(in crate::capi) fn config_code(error: ConfigError) -> Code {
    explain(format_args!("{error}"));
    error.code
}

/// The sentence about the last error of this thread: its own if there is one, else that of its code.
pub(in crate::capi) fn with_error_text<T>(read: impl FnOnce(&str) -> T) -> T {
    let code = Code::from_number(call_error()).unwrap_or(Code::Ok);
    LAST.with(|last| {
        let kept = last.text.borrow();
        match core::str::from_utf8(&kept.bytes[..kept.len]) {
            _ if code == Code::Ok => read(""),
            Ok(text) if !text.is_empty() => read(text),
            _ => read(code.text()),
        }
    })
}

/// Restores the application's `errno` at the end of a call: what happens inside (EAGAIN, EINPROGRESS) means nothing to
/// the caller.
struct Errno {
    /// This thread's `errno`. Not NULL on systems where it is [known](Errno::KNOWN) how to find it.
    place: *mut c_int,
    value: c_int,
}

impl Errno {
    const KNOWN: bool = cfg!(any(target_os = "linux", target_vendor = "apple"));

    #[inline(always)]
    fn keep() -> Errno {
        #[cfg(target_os = "linux")]
        // SAFETY: always callable.
        let place = unsafe { libc::__errno_location() };
        #[cfg(target_vendor = "apple")]
        // SAFETY: always callable.
        let place = unsafe { libc::__error() };
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        let place = core::ptr::null_mut::<c_int>();
        // SAFETY: this thread's own variable.
        Errno { place, value: if Errno::KNOWN { unsafe { place.read() } } else { 0 } }
    }
}

impl Drop for Errno {
    #[inline(always)]
    fn drop(&mut self) {
        if Errno::KNOWN {
            // SAFETY: this thread's own variable, and the call ends on the thread where it began.
            unsafe { self.place.write(self.value) }
        }
    }
}

/// How a call that panicked ends. The payload of the panic is released here, once, instead of in each exported function.
#[cold]
#[inline(never)]
fn panicked(thrown: Box<dyn Any + Send>) -> Result<(), Code> {
    drop(thrown);
    Err(Code::Panic)
}

/// Runs the body of an exported function that returns an error code.
#[inline(always)]
pub(in crate::capi) fn status(body: impl FnOnce() -> Result<(), Code>) -> c_int {
    let _errno = Errno::keep();
    match catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(panicked) {
        Ok(()) => {
            set_call_done();
            Code::Ok.number()
        }
        Err(code) => {
            set_call_error(code);
            code.number()
        }
    }
}

/// Runs the body of an exported function that returns something else; it returns `refused` on an
/// error.
#[inline(always)]
pub(in crate::capi) fn value<T>(refused: T, body: impl FnOnce() -> Result<T, Code>) -> T {
    let mut value = refused;
    status(|| {
        value = body()?;
        Ok(())
    });
    value
}

/// A time given by C in milliseconds; negative is without limit.
pub(in crate::capi) fn timeout(ms: c_int) -> Option<Span> {
    u64::try_from(ms).ok().map(Span::millis)
}

/// A quality of service given by C.
pub(in crate::capi) fn qos(number: c_int) -> Result<QoS, Code> {
    match number {
        0 => Ok(QoS::AtMostOnce),
        1 => Ok(QoS::AtLeastOnce),
        2 => Ok(QoS::ExactlyOnce),
        _ => Err(Code::BadQos),
    }
}

/// Bytes given by C. C passes NULL with length 0 for "nothing".
///
/// # Safety
/// `start` is NULL, or `len` bytes there stay readable and unchanged for `'a`.
pub(in crate::capi) unsafe fn bytes<'a>(start: *const u8, len: usize) -> Result<&'a [u8], Code> {
    match (start.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Code::NullArgument),
        (_, n) if n > isize::MAX as usize => Err(Code::BadArgument),
        // SAFETY: not NULL, and the caller promises the bytes.
        (false, n) => Ok(unsafe { core::slice::from_raw_parts(start, n) }),
    }
}

/// A string given by C, which must not be NULL and must be UTF-8.
///
/// # Safety
/// `text` is NULL, or a C string that stays unchanged for `'a`.
pub(in crate::capi) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Code> {
    // SAFETY: promised by the caller.
    unsafe { optional(text) }?.ok_or(Code::NullArgument)
}

/// A string given by C, which must not be NULL; of its bytes nothing is known.
///
/// # Safety
/// As [`text`].
#[inline(always)]
pub(in crate::capi) unsafe fn unchecked_text<'a>(text: *const c_char) -> Result<&'a CStr, Code> {
    if text.is_null() {
        return Err(Code::NullArgument);
    }
    // SAFETY: not NULL, and the caller promises the terminating NUL.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// A string given by C as a topic name. It must not be NULL and must be UTF-8.
///
/// # Safety
/// As [`text`].
pub(in crate::capi) unsafe fn topic<'a>(text: *const c_char) -> Result<Topic<'a>, Code> {
    // SAFETY: promised by the caller.
    let text = unsafe { unchecked_text(text) }?;
    PlainTopic::of(text).map_or_else(|| any_topic(text), |topic| Ok(topic.into()))
}

/// Text that is not known to be a topic name.
pub(in crate::capi) fn any_topic(text: &CStr) -> Result<Topic<'_>, Code> {
    text.to_str().map(Topic::from).map_err(|_| Code::BadUtf8)
}

/// A string given by C, or NULL.
///
/// # Safety
/// As [`text`].
pub(in crate::capi) unsafe fn optional<'a>(text: *const c_char) -> Result<Option<&'a str>, Code> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and the caller promises the terminating NUL.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    core::str::from_utf8(text).map(Some).map_err(|_| Code::BadUtf8)
}

/// Copies `text` into a C buffer, cut at `len - 1` bytes and always ended with a NUL. Returns the length of
/// the whole text.
///
/// # Safety
/// `buffer` is NULL or has room for `len` bytes.
pub(in crate::capi) unsafe fn copy_out(text: &str, buffer: *mut c_char, len: usize) -> usize {
    if !buffer.is_null() && len > 0 {
        let n = text.len().min(len - 1);
        // SAFETY: `n < len`, and a Rust string does not overlap the caller's buffer.
        unsafe { core::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), n) };
        // SAFETY: `n < len`.
        unsafe { buffer.add(n).write(0) };
    }
    text.len()
}
