//! The log function that comes with the library: it writes to standard error, with one write per
//! line.

use core::ffi::{CStr, c_char};
use std::fmt::Write;
use std::sync::Arc;

use crate::capi::base::boundary::explain;
use crate::client::{Level, Sink};
use crate::config::address::same_word;
use crate::error::Code;

/// The names of the levels in an environment variable, each at the index of its number.
const NAMES: [&str; 4] = ["error", "warn", "info", "debug"];

/// The level that a value of an environment variable names; `None` is off.
pub(in crate::capi) fn level_of(value: &str) -> Result<Option<Level>, Code> {
    let value = value.trim();
    if value.is_empty() || same_word(value, "off") {
        return Ok(None);
    }
    let named = NAMES.iter().position(|name| same_word(name, value));
    let number = named.and_then(|at| i32::try_from(at).ok()).or_else(|| value.parse().ok());
    match number.and_then(Level::from_number) {
        Some(level) => Ok(Some(level)),
        None => {
            explain(format_args!(
                "{}: a log level is off, {}, or their number, 0 to 3; it is {value:?}",
                Code::BadArgument.text(),
                NAMES.join(", "),
            ));
            Err(Code::BadArgument)
        }
    }
}

/// The value of an environment variable; `None` if it is not set.
///
/// # Safety
/// `name` is a C string, and no other thread changes the environment meanwhile.
pub(in crate::capi) unsafe fn variable<'a>(name: *const c_char) -> Result<Option<&'a str>, Code> {
    // SAFETY: promised by the caller.
    let value = unsafe { libc::getenv(name) };
    if value.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, and a C string for as long as nobody changes the environment.
    unsafe { CStr::from_ptr(value) }.to_str().map(Some).map_err(|_| Code::BadUtf8)
}

/// Writes each record to standard error.
pub(in crate::capi) struct Stderr;

impl Stderr {
    pub(in crate::capi) fn sink() -> Arc<dyn Sink> {
        Arc::new(Stderr)
    }
}

impl Sink for Stderr {
    fn log(&self, level: Level, connection: i32, text: &str) {
        let mut line = String::new();
        // Without memory for it, a record is left out.
        if line.try_reserve(text.len() + 64).is_err() {
            return;
        }
        stamp(&mut line);
        let letter = NAMES[level as usize].as_bytes()[0].to_ascii_uppercase();
        // The memory is already reserved.
        let _ = write!(line, " mgos_mqtt {connection} {} ", char::from(letter));
        // A name that came from the network must not control the terminal.
        line.extend(text.chars().map(|c| if c.is_control() { '?' } else { c }));
        line.push('\n');
        write_all(line.as_bytes());
    }
}

/// The time of day in UTC, as in RFC 3339.
fn stamp(line: &mut String) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as libc::time_t;
    // SAFETY: all zero is a time.
    let mut at: libc::tm = unsafe { core::mem::zeroed() };
    // SAFETY: both are valid places.
    if unsafe { libc::gmtime_r(&seconds, &mut at) }.is_null() {
        return;
    }
    let (year, month) = (i64::from(at.tm_year) + 1900, at.tm_mon + 1);
    // A string grows, or the process ends.
    let _ = write!(
        line,
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.tm_mday,
        at.tm_hour,
        at.tm_min,
        at.tm_sec,
        since.subsec_millis()
    );
}

/// Written by the system call, not through a buffer whose lock a fork could leave locked. What cannot be written is
/// lost.
fn write_all(mut rest: &[u8]) {
    while !rest.is_empty() {
        // SAFETY: the bytes are readable.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(0) => return,
            Ok(n) => rest = &rest[n..],
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_by_name_and_number() {
        for (at, name) in NAMES.iter().enumerate() {
            let level = Level::from_number(at as i32);
            assert_eq!(level_of(name), Ok(level));
            assert_eq!(level_of(&format!(" {at} ")), Ok(level));
        }
        assert_eq!(level_of("DEBUG"), Ok(Some(Level::Debug)));
        assert_eq!(level_of("off"), Ok(None));
        assert_eq!(level_of(""), Ok(None));
        for wrong in ["4", "-1", "verbose", "debug,info"] {
            assert_eq!(level_of(wrong), Err(Code::BadArgument), "{wrong}");
        }
    }
}
