//! What stands behind a message that was fetched.

use core::ptr;
use std::sync::Weak;

use crate::capi::base::boundary::value;
use crate::capi::types::mgos_mqtt_receive::mgos_mqtt_msg;
use crate::client::{Conn, OwnedMessage};
use crate::error::Code;

/// What stands behind it.
pub(in crate::capi) struct Fetched {
    pub(in crate::capi) kept: OwnedMessage,
    /// The connection may end before the message is released.
    pub(in crate::capi) conn: Weak<Conn>,
    pub(in crate::capi) forks: u32,
}

/// # Safety
/// `msg` is NULL or was fetched and not released.
pub(in crate::capi) unsafe fn read<T>(
    msg: *const mgos_mqtt_msg,
    none: T,
    get: impl FnOnce(&OwnedMessage) -> T,
) -> T {
    // SAFETY: NULL, or a message that mgos_mqtt_conn_receive() made.
    let fetched = unsafe { msg.cast::<Fetched>().as_ref() };
    value(none, || fetched.map(|fetched| get(&fetched.kept)).ok_or(Code::NullArgument))
}

/// # Safety
/// As [`read`]; `len` is NULL or valid.
pub(in crate::capi) unsafe fn read_bytes(
    msg: *const mgos_mqtt_msg,
    len: *mut usize,
    get: impl FnOnce(&OwnedMessage) -> &[u8],
) -> *const u8 {
    // SAFETY: promised by the caller.
    let (start, n) = unsafe {
        read(msg, (ptr::null(), 0), |kept| {
            let bytes = get(kept);
            (bytes.as_ptr(), bytes.len())
        })
    };
    // SAFETY: NULL or valid, as the caller promises.
    if let Some(len) = unsafe { len.as_mut() } {
        *len = n;
    }
    start
}
