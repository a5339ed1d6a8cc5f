//! The functions of a transport as the client calls them.

use core::ffi::{c_char, c_int, c_long, c_void};
use std::ffi::CString;
use std::io::{self, ErrorKind};

use crate::capi::base::boundary::explain;
use crate::capi::bridge::callbacks::UserData;
use crate::capi::types::mgos_mqtt_transport::mgos_mqtt_transport;
use crate::error::{Code, Phase};
use crate::sync::entering_user_code;
use crate::transport::LayerError;
use crate::transport::custom::Custom;

/// The four functions and their argument.
pub(in crate::capi) struct Functions {
    open: unsafe extern "C" fn(*mut c_void, u64, *const c_char, c_int) -> c_int,
    read: unsafe extern "C" fn(*mut c_void, u64, *mut c_void, usize) -> c_long,
    write: unsafe extern "C" fn(*mut c_void, u64, *const c_void, usize) -> c_long,
    close: unsafe extern "C" fn(*mut c_void, u64),
    data: UserData,
}

impl Functions {
    /// Those of a table. If one is missing, that is an error, and the user data stays the caller's.
    pub(in crate::capi) fn of(table: &mgos_mqtt_transport, data: UserData) -> Result<Functions, Code> {
        let mgos_mqtt_transport { size: _, open, read, write, close } = *table;
        let (Some(open), Some(read), Some(write), Some(close)) = (open, read, write, close) else {
            data.disarm();
            explain(format_args!("a function of struct mgos_mqtt_transport is NULL: all four are needed"));
            return Err(Code::NullArgument);
        };
        Ok(Functions { open, read, write, close, data })
    }

    /// The user data stays the caller's.
    pub(in crate::capi) fn disarm(&self) {
        self.data.disarm();
    }
}

/// An answer that a function must not give.
fn nonsense(code: Code, phase: Phase, text: String) -> io::Error {
    LayerError { code, phase, text, alert: None }.into()
}

/// What `function` answered: a count, or what is negative of an errno.
fn counted(function: &str, answer: c_long, most: usize) -> io::Result<usize> {
    match usize::try_from(answer) {
        Ok(n) if n <= most => Ok(n),
        Ok(_) => Err(nonsense(
            Code::IoFailed,
            Phase::None,
            format!(
                "{function}() of the application's transport returned {answer}, but was called with {most} bytes"
            ),
        )),
        Err(_) => Err(errno(answer)),
    }
}

fn errno(answer: c_long) -> io::Error {
    let number = c_int::try_from(-i128::from(answer)).unwrap_or(libc::EIO);
    io::Error::from_raw_os_error(number)
}

impl Custom for Functions {
    fn open(&self, stream: u64, host: &str, port: u16) -> io::Result<()> {
        let host = CString::new(host)?;
        entering_user_code();
        // SAFETY: the application's function with its own argument; the name lives until it returns.
        let answer = unsafe { (self.open)(self.data.ud(), stream, host.as_ptr(), port.into()) };
        match answer.wrapping_neg() {
            0 => Ok(()),
            libc::EAGAIN | libc::EINPROGRESS => Err(ErrorKind::WouldBlock.into()),
            1.. => Err(errno(answer.into())),
            _ => Err(nonsense(
                Code::ConnectFailed,
                Phase::Tcp,
                format!(
                    "open() of the application's transport returned {answer} for {}:{port}: only 0 and negative numbers \
                     of errors are allowed",
                    host.to_string_lossy()
                ),
            )),
        }
    }

    fn read(&self, stream: u64, buf: &mut [u8]) -> io::Result<usize> {
        entering_user_code();
        // SAFETY: the application's function with its own argument; the buffer has so many bytes.
        let answer = unsafe { (self.read)(self.data.ud(), stream, buf.as_mut_ptr().cast(), buf.len()) };
        match answer == -c_long::from(libc::EINPROGRESS) {
            true => Err(io::Error::from_raw_os_error(libc::ENOTCONN)),
            false => counted("read", answer, buf.len()),
        }
    }

    fn write(&self, stream: u64, bytes: &[u8]) -> io::Result<usize> {
        entering_user_code();
        // SAFETY: as above.
        let answer = unsafe { (self.write)(self.data.ud(), stream, bytes.as_ptr().cast(), bytes.len()) };
        counted("write", answer, bytes.len())
    }

    fn close(&self, stream: u64) {
        entering_user_code();
        // SAFETY: the application's function with its own argument.
        unsafe { (self.close)(self.data.ud(), stream) }
    }
}
