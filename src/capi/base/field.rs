//! Fields of a structure that C hands in. An error about one names it, its value and what is allowed.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::fmt::{self, Display};

use crate::capi::base::boundary::{bytes, explain};
use crate::error::Code;
use crate::time::Span;

/// A number with the name of its field, made by [`field!`].
pub(in crate::capi) struct Number {
    pub(in crate::capi) name: &'static str,
    pub(in crate::capi) value: c_int,
}

/// A pointer and its length with the names of their fields, made by [`memory!`].
pub(in crate::capi) struct Memory {
    pub(in crate::capi) name: &'static str,
    pub(in crate::capi) start: *const c_void,
    pub(in crate::capi) len_name: &'static str,
    pub(in crate::capi) len: usize,
}

/// A C string with the name of its field, made by [`text!`].
pub(in crate::capi) struct Text {
    pub(in crate::capi) name: &'static str,
    pub(in crate::capi) start: *const c_char,
}

/// `field!(options.retry)`: a number and its name.
macro_rules! field {
    ($from:ident.$name:ident) => {
        $crate::capi::base::field::Number { name: stringify!($name), value: $from.$name }
    };
}

/// `memory!(options.tls_ca, tls_ca_len)`: a pointer, its length, and the names of both.
macro_rules! memory {
    ($from:ident.$name:ident, $len:ident) => {
        $crate::capi::base::field::Memory {
            name: stringify!($name),
            start: $from.$name.cast(),
            len_name: stringify!($len),
            len: $from.$len,
        }
    };
    ($start:ident, $len:ident) => {
        $crate::capi::base::field::Memory {
            name: stringify!($start),
            start: $start.cast(),
            len_name: stringify!($len),
            len: $len,
        }
    };
}

/// `text!(options.tls_alpn)`: a C string and its name.
macro_rules! text {
    ($from:ident.$name:ident) => {
        $crate::capi::base::field::Text { name: stringify!($name), start: $from.$name }
    };
}

pub(in crate::capi) use {field, memory, text};

/// Keeps the sentence about a string that is NULL or not UTF-8.
#[cold]
pub(in crate::capi) fn wrong_text(name: &str, code: Code) -> Code {
    match code {
        Code::NullArgument => explain(format_args!("{name} is NULL")),
        Code::BadUtf8 => explain(format_args!("{name} is not UTF-8")),
        _ => {}
    }
    code
}

/// Keeps the sentence about a value that is not allowed.
#[cold]
pub(in crate::capi) fn refuse(code: Code, name: &str, value: impl Display, allowed: impl Display) -> Code {
    explain(format_args!("{name} is {value}; allowed are {allowed}"));
    code
}

/// The error about the level of a log.
#[cold]
pub(in crate::capi) fn wrong_level(level: c_int) -> Code {
    refuse(Code::BadArgument, "level", level, "0 (MGOS_MQTT_LOG_ERROR) to 3 (MGOS_MQTT_LOG_DEBUG)")
}

/// The error about a handle that is not alive.
#[cold]
pub(in crate::capi) fn no_such(what: &str) -> Code {
    explain(format_args!("the {what} was freed, or never was one"));
    Code::BadArgument
}

impl Number {
    fn refused(&self, allowed: fmt::Arguments<'_>) -> Code {
        refuse(Code::BadArgument, self.name, self.value, allowed)
    }

    /// A time in milliseconds: 0 is the default, -1 is off.
    pub(in crate::capi) fn ms(self, default: Span) -> Result<Span, Code> {
        match (self.value, u64::try_from(self.value)) {
            (0, _) => Ok(default),
            (-1, _) => Ok(Span::ZERO),
            (_, Ok(ms)) => Ok(Span::millis(ms)),
            (_, Err(_)) => {
                Err(self.refused(format_args!("0 (the default), -1 (off) and 1 to {} ms", c_int::MAX)))
            }
        }
    }

    /// A time in milliseconds that cannot be switched off; `None` is the default.
    pub(in crate::capi) fn ms_or_default(self) -> Result<Option<Span>, Code> {
        match u64::try_from(self.value) {
            Ok(0) => Ok(None),
            Ok(ms) => Ok(Some(Span::millis(ms))),
            Err(_) => Err(self.refused(format_args!("0 (the default) and 1 to {} ms", c_int::MAX))),
        }
    }

    /// A number from 1 to `most`; 0 is the default.
    pub(in crate::capi) fn count<T: Copy + TryFrom<c_int>>(self, default: T, most: c_int) -> Result<T, Code> {
        if self.value == 0 {
            return Ok(default);
        }
        let value = (1..=most).contains(&self.value).then(|| T::try_from(self.value).ok()).flatten();
        value.ok_or_else(|| self.refused(format_args!("0 (the default) and 1 to {most}")))
    }

    /// A number from 1 to `most`; 0 is the default, and -1 is `off`.
    pub(in crate::capi) fn count_or_off<T: Copy + TryFrom<c_int>>(
        self,
        default: T,
        off: T,
        most: c_int,
    ) -> Result<T, Code> {
        if self.value == -1 {
            return Ok(off);
        }
        if self.value == 0 {
            return Ok(default);
        }
        let value = (1..=most).contains(&self.value).then(|| T::try_from(self.value).ok()).flatten();
        value.ok_or_else(|| self.refused(format_args!("0 (the default), -1 (off) and 1 to {most}")))
    }

    /// One of several, whose numbers run from 0, which is the default.
    pub(in crate::capi) fn choice<T: Copy, const N: usize>(self, of: [(c_int, T); N]) -> Result<T, Code> {
        let found = of.iter().find(|(number, _)| *number == self.value).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| self.refused(format_args!("0 (the default) to {}", N - 1)))
    }

    /// One of several with explicit numbers, which `allowed` names.
    pub(in crate::capi) fn one_of<T: Copy>(self, of: &[(c_int, T)], allowed: &str) -> Result<T, Code> {
        let found = of.iter().find(|(number, _)| *number == self.value).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| self.refused(format_args!("{allowed}")))
    }

    /// A quality of service.
    pub(in crate::capi) fn qos(self) -> Result<crate::wire::QoS, Code> {
        super::boundary::qos(self.value).map_err(|code| refuse(code, self.name, self.value, "0, 1 and 2"))
    }
}

impl Memory {
    /// The bytes; `None` for NULL.
    ///
    /// # Safety
    /// The pointer is NULL, or has that many bytes, unchanged for `'a`.
    pub(in crate::capi) unsafe fn get<'a>(self) -> Result<Option<&'a [u8]>, Code> {
        // SAFETY: promised by the caller.
        match unsafe { bytes(self.start.cast(), self.len) } {
            Ok(bytes) => Ok((!self.start.is_null()).then_some(bytes)),
            Err(code) => Err(self.refused(code)),
        }
    }

    #[cold]
    fn refused(self, code: Code) -> Code {
        match code {
            Code::NullArgument => {
                explain(format_args!("{} is NULL, and {} is {}", self.name, self.len_name, self.len));
                code
            }
            _ => refuse(code, self.len_name, self.len, format_args!("0 to {}", isize::MAX)),
        }
    }

    /// A copy of the bytes; `None` for NULL.
    ///
    /// # Safety
    /// As [`Memory::get`].
    #[inline(never)]
    pub(in crate::capi) unsafe fn copy(self) -> Result<Option<Vec<u8>>, Code> {
        // SAFETY: promised by the caller.
        Ok(unsafe { self.get() }?.map(<[u8]>::to_vec))
    }
}

impl Text {
    /// A copy of the string; `None` for NULL and for an empty one, as everywhere in configurations.
    ///
    /// # Safety
    /// The pointer is NULL or a C string.
    #[inline(never)]
    pub(in crate::capi) unsafe fn copy(self) -> Result<Option<String>, Code> {
        if self.start.is_null() {
            return Ok(None);
        }
        // SAFETY: not NULL, and promised by the caller.
        let text = unsafe { CStr::from_ptr(self.start) }
            .to_str()
            .map_err(|_| wrong_text(self.name, Code::BadUtf8))?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}
