//! JSON text from a format string, in the style of the frozen library of Mongoose OS.

use core::ffi::{c_char, c_int};

use crate::capi::json::{OutSink, append_truncating, bytes, counted, escape, guarded, refuse};
use crate::capi::types::mgos_json::json_out;
use crate::error::Code;

#[cfg(cbindgen)]
unsafe extern "C" {
    /// Prints JSON into `out`.
    ///
    /// The format string is scanned from left to right, without keeping track of the JSON
    /// structure:
    ///
    /// - `%` starts a conversion, see the table.
    /// - A letter or `_` starts a word, the longest run of letters, digits and `_`. It is printed
    ///   between double quotes, so keys need none: `{a: %d}` gives `{"a": 1}`. This holds for every
    ///   word: `{a: true}` gives `{"a": "true"}`; use `%B` for true and false, and `%Q` with NULL for
    ///   null. A key with other characters needs `%Q`: `{%Q: %d}`.
    /// - Everything else is copied.
    ///
    /// | conversion           | arguments                     | example                               |
    /// |----------------------|-------------------------------|---------------------------------------|
    /// | %Q                   | const char *                  | the text a"b gives "a\"b"; NULL gives null |
    /// | %.*Q                 | int, const char *             | 3, "abcdef" gives "abc"; exactly that many bytes are read |
    /// | %B                   | int                           | 1 gives true, 0 gives false           |
    /// | %H                   | int, const void *             | 3, "abc" gives "616263"               |
    /// | %V                   | const void *, int             | "hello", 5 gives "aGVsbG8=" (base64; note the order) |
    /// | %M                   | json_printf_callback_t, ...   | what the function prints; it takes its own arguments |
    /// | %d %u %x             | int                           | -5 with %d gives -5; 255 with %x gives ff |
    /// | %hhd %hd ... %hhx    | int                           | 300 with %hhu gives 44                |
    /// | %ld %lu %lx          | long                          |                                       |
    /// | %lld %llu %llx       | long long, int64_t            | also PRId64 and PRIu64                |
    /// | %zu                  | size_t                        | without width or flags                |
    /// | %c                   | int                           | 'x' gives x, without quotes           |
    /// | %f %lf %F            | double                        | 1.5 gives 1.500000; %.2f gives 1.50   |
    /// | %e %le %E            | double                        | 1.5 gives 1.500000e+00                |
    /// | %g %lg %G            | double                        | 0.1 gives 0.1                         |
    /// | %s                   | const char *                  | as it is: no quotes, no escapes; NULL gives (null) |
    /// | %.*s                 | int, const char *             | 3, "abcdef" gives abc                 |
    /// | %ls                  | const wchar_t *               | as UTF-8; U+FFFD for what is none       |
    /// | %lc                  | wint_t                        | as UTF-8                              |
    /// | %%                   | none                          | %                                     |
    ///
    /// `%d %u %x %f %e %g` take the flags `-` and `0`, a width, and a precision in digits (`%05d`, `%-8.2f`);
    /// `%s` and `%c` take the flag `-` and a width; `%s` and `%ls` also take a precision in bytes, where `%ls`
    /// cuts no character apart. Numbers are printed as C's printf() does in the "C" locale, whatever the locale
    /// of the process is: the decimal point is a point. Infinity and NaN give inf and nan, which are not valid
    /// JSON. Letters of the set `sdfFeEgGlhuIcx` and digits directly behind one of these printf conversions
    /// belong to it and get no quotes: `{t: \"%ds\"}` gives `{"t": "5s"}`.
    ///
    /// `%Q` escapes `"` and `\`, writes control characters and 0x7f as `\b \f \n \r \t` or `\u00XX`,
    /// copies UTF-8, and writes U+FFFD for each byte that is not valid UTF-8.
    ///
    /// Everything else is refused, including `%i %X %o %p %n %a %Lf %+d %#x %*d %.*f %5Q`. The format string
    /// is checked first, so in that case nothing is printed and no argument is read. A negative length, and
    /// NULL with a length that is not 0, are refused too (except for `%.*Q`, which prints null for NULL), but
    /// only when they are reached.
    ///
    /// @param out  Where to print; NULL is refused.
    /// @param fmt  The format string; NULL is refused.
    ///
    /// @return The number of bytes of the complete output, even if JSON_OUT_BUF had room for only a
    /// part of it; -1 if the output was refused, if a printer or a `%M` function returned a negative
    /// number, or if it has more than 268435455 bytes.
    ///
    /// Ownership: nothing is kept. The arguments must stay unchanged during the call. Threads: from
    /// any thread, and from every callback.
    ///
    /// Example:
    ///
    /// ```c
    /// char buf[100];
    /// struct json_out out = JSON_OUT_BUF(buf, sizeof(buf));
    /// json_printf(&out, "{name: %Q, on: %B, t: %.1f}", "lamp", 1, 21.5);
    /// // {"name": "lamp", "on": true, "t": 21.5}
    /// ```
    pub fn mgos_json_printf(out: *mut json_out, fmt: *const c_char, ...) -> c_int;

    /// json_printf() with its arguments in a list. The caller's `ap` is not advanced.
    pub fn mgos_json_vprintf(out: *mut json_out, fmt: *const c_char, ap: va_list) -> c_int;

    /// Prints JSON, as json_printf() does, into memory of its own.
    ///
    /// @return The NUL-terminated text, which the caller releases with free(); NULL if `fmt` is NULL
    /// or empty, if the output was refused (see json_printf()), or without memory.
    ///
    /// Threads: from any thread, and from every callback.
    pub fn mgos_json_asprintf(fmt: *const c_char, ...) -> *mut c_char;

    /// json_asprintf() with its arguments in a list. The caller's `ap` is not advanced.
    pub fn mgos_json_vasprintf(fmt: *const c_char, ap: va_list) -> *mut c_char;

    /// A function for `%M` that prints an array. It takes four arguments: `const void *arr`,
    /// `size_t total_bytes`, `size_t elem_bytes`, and `const char *elem_fmt`, a format string with one
    /// conversion.
    ///
    /// Elements may be integers of 1, 2, 4 or 8 bytes (`%d %u %x` with any length, `%B`), `float` or
    /// `double` (`%f %e %g`), or pointers to text (`%Q %s %ls`). An element that is larger than 8 bytes is a
    /// structure whose first member is printed, 8 bytes long. `%H %V %M`, and lengths with `*`, are refused.
    ///
    /// @return The number of bytes printed, or -1; NULL as the array prints `[]`.
    ///
    /// Example:
    ///
    /// ```c
    /// int arr[] = {1, 2, 3};
    /// json_printf(&out, "{a: %M}", json_printf_array, arr, sizeof(arr), sizeof(arr[0]), "%d");
    /// // {"a": [1, 2, 3]}
    /// ```
    ///
    /// Threads: from any thread; `out` and `ap` are those of the `%M` function that calls it.
    pub fn mgos_json_printf_array(out: *mut json_out, ap: *mut va_list) -> c_int;
}

/// The printer of JSON_OUT_BUF: appends what fits into the buffer and always ends it with a NUL.
///
/// @return `len`, even if not all of it fitted; -1 if `out` is NULL, or `str` is NULL and `len` is not 0.
///
/// If the buffer is NULL or full, the bytes are only counted. Threads: one `out` is used by one
/// thread at a time.
///
/// # Safety
/// `out` must be valid and made by JSON_OUT_BUF; `str` must have `len` bytes outside of its buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_json_printer_buf(out: *mut json_out, str: *const c_char, len: usize) -> c_int {
    guarded(-1, || {
        if out.is_null() || (str.is_null() && len > 0) {
            return -1;
        }
        // SAFETY: `str` has `len` bytes, or is NULL.
        let text = unsafe { bytes(str.cast(), len) }.unwrap_or_default();
        // SAFETY: `out` is valid and `buf` its active member.
        let buf = unsafe { &mut (*out).u.buf };
        // SAFETY: JSON_OUT_BUF gave the buffer its size; the text is not in it.
        unsafe { append_truncating(buf, text) };
        c_int::try_from(len).unwrap_or(-1)
    })
}

/// The printer of JSON_OUT_FILE: writes to a `FILE *` with fwrite().
///
/// @return The number of bytes written; -1 if `out` or its file is NULL, or if `str` is NULL and `len` is not 0.
///
/// Threads: as fwrite().
///
/// # Safety
/// `out` must be valid and made by JSON_OUT_FILE with an open file; `str` must have `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_json_printer_file(out: *mut json_out, str: *const c_char, len: usize) -> c_int {
    guarded(-1, || {
        if out.is_null() || (str.is_null() && len > 0) {
            return -1;
        }
        // SAFETY: `out` is valid and `fp` its active member.
        let file = unsafe { (*out).u.fp };
        if file.is_null() {
            return -1;
        }
        // SAFETY: the file is open, and `str` has `len` bytes.
        let written = unsafe { libc::fwrite(str.cast(), 1, len, file) };
        c_int::try_from(written).unwrap_or(-1)
    })
}

/// Prints the content of a JSON string without the quotes around it: what `%.*Q` prints between them.
///
/// @param out  Where to print; NULL is refused.
/// @param p    The text; NULL is refused if `len` is not 0. A NUL in it gives `\u0000`.
/// @param len  How many bytes it has.
///
/// @return The number of bytes printed, or -1.
///
/// Ownership: nothing is kept. Threads: from any thread, and from every callback.
///
/// # Safety
/// `out` must be valid; `p` must have `len` bytes that stay unchanged during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_json_escape(out: *mut json_out, p: *const c_char, len: usize) -> c_int {
    guarded(-1, || {
        if out.is_null() {
            return refuse(Code::NullArgument);
        }
        // SAFETY: `p` has `len` bytes, or is NULL.
        let result = match unsafe { bytes(p.cast(), len) } {
            None if len > 0 => Err(Code::NullArgument),
            text => {
                // SAFETY: `out` is not NULL, so it is valid.
                let mut sink = unsafe { OutSink::new(out) };
                escape(text.unwrap_or_default(), &mut sink)
            }
        };
        // SAFETY: `out` is valid.
        unsafe { counted(result.map_err(Into::into), &[], out) }
    })
}
