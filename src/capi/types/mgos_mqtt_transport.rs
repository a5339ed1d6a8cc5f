//! The types of `mgos_mqtt_transport.h`.

use core::ffi::{c_char, c_int, c_long, c_void};
use core::mem::offset_of;

use crate::capi::base::sized::Growing;

/// A stream has bytes to be read, or has ended.
pub const MGOS_MQTT_TRANSPORT_READABLE: c_int = 1;
/// A stream takes bytes again, or is open now, or could not be opened.
pub const MGOS_MQTT_TRANSPORT_WRITABLE: c_int = 2;

/// The functions of a transport; all of them must be set. Begin with mgos_mqtt_transport_init().
#[repr(C)]
pub struct mgos_mqtt_transport {
    /// `sizeof(struct mgos_mqtt_transport)`.
    pub size: usize,
    /// Begins to open a stream to this host and port, as they are configured; those of the proxy if there is one. The name
    /// is the transport's to resolve; it is valid until the function returns. `stream` is a number that is never 0 and never
    /// comes twice.
    ///
    /// Returns 0 if it is open; -EAGAIN or -EINPROGRESS if that takes longer: mgos_mqtt_transport_ready() is to be called when
    /// it is open or has failed, and then read() tells which; the limit is `tcp_timeout_ms`. Another negative number is
    /// -errno.
    pub open:
        Option<unsafe extern "C" fn(ud: *mut c_void, stream: u64, host: *const c_char, port: c_int) -> c_int>,
    /// Reads at most `len` bytes, without waiting. Returns how many, 0 at the end of the stream, -EAGAIN if the stream is open
    /// and there is nothing yet, -EINPROGRESS if it is still being opened, or another -errno.
    pub read:
        Option<unsafe extern "C" fn(ud: *mut c_void, stream: u64, buf: *mut c_void, len: usize) -> c_long>,
    /// Takes at most `len` bytes, without waiting. Returns how many, 0 or -EAGAIN if there is no room, or another -errno. Up
    /// to 64 KiB may wait for it and count as sent, as in the buffer of a socket; closing in order waits for it to take them.
    pub write: Option<
        unsafe extern "C" fn(ud: *mut c_void, stream: u64, bytes: *const c_void, len: usize) -> c_long,
    >,
    /// The stream is not used any more. Called once for each for which open() was called, also after it failed; none of the
    /// functions is called for it afterwards.
    pub close: Option<unsafe extern "C" fn(ud: *mut c_void, stream: u64)>,
}

// SAFETY: plain numbers and functions; all of them were there from the beginning.
unsafe impl Growing for mgos_mqtt_transport {
    const NAME: &'static str = "mgos_mqtt_transport";
    const FIRST: usize = offset_of!(mgos_mqtt_transport, close) + size_of::<usize>();
}
