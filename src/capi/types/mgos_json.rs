//! The types of `mgos_json.h`.

use core::ffi::{c_char, c_int, c_void};

use libc::FILE;

/// Where JSON text goes: a function, and its data.
///
/// Filled in by JSON_OUT_BUF or JSON_OUT_FILE, or by hand with a printer of your own:
///
/// ```c
/// static int to_uart(struct json_out *out, const char *str, size_t len) {
///   return uart_write(out->u.data, str, len);
/// }
/// struct json_out out = { to_uart, { { (char *) uart0, 0, 0 } } };
/// json_printf(&out, "{uptime: %d}", 42);
/// ```
///
/// Ownership: yours; the library keeps no pointer to it. Threads: one `json_out` is used by one
/// thread at a time; different ones are independent of each other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct json_out {
    /// Called with each piece of text, which may be empty and has no NUL behind it. Returns the
    /// number of bytes to count in the result of json_printf(), normally `len`, or a negative number
    /// to give up. It runs on the caller's thread, with no lock held, and may call every function of
    /// this library; it must return (no longjmp, no C++ exception).
    pub printer: Option<unsafe extern "C" fn(out: *mut json_out, str: *const c_char, len: usize) -> c_int>,
    /// The printer's data; the printer decides which member it uses.
    pub u: json_out_u,
}

/// The buffer of JSON_OUT_BUF.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct json_out_buf {
    /// Where the text goes.
    pub buf: *mut c_char,
    /// How many bytes `buf` has.
    pub size: usize,
    /// How many of them are used, without the NUL; `size` if the text was cut off.
    pub len: usize,
}

/// The data of a printer.
#[repr(C)]
#[derive(Clone, Copy)]
pub union json_out_u {
    /// For json_printer_buf().
    pub buf: json_out_buf,
    /// For a printer of your own.
    pub data: *mut c_void,
    /// For json_printer_file().
    pub fp: *mut FILE,
}

/// A function for `%M`. It prints into `out`, takes its own arguments from the list with
/// `va_arg(*ap, type)`, and returns the number of bytes it printed. A negative number refuses the
/// whole output: nothing is published.
#[cfg(cbindgen)]
pub type json_printf_callback_t = Option<unsafe extern "C" fn(out: *mut json_out, ap: *mut va_list) -> c_int>;
