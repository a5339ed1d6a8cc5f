//! Where a formatted payload goes, and where a refusal is reported.

use core::ffi::{c_char, c_int};

use super::format::{FormatError, MAX_OUTPUT};
use crate::capi::base::boundary::{explain, set_call_error};
pub(super) use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::error::Code;

/// Publishes `payload`, as `mgos_mqtt_conn_pub` does; `conn` NULL is the global connection. Checks
/// topic and QoS. Called with no lock held. Returns the packet id, or 0 if nothing was accepted.
///
/// # Safety
/// `conn` must be NULL or a living connection; `topic` must be NULL or end with a NUL.
#[cfg(not(test))]
pub(super) unsafe fn publish_bytes(
    conn: *mut mgos_mqtt_conn,
    topic: *const c_char,
    payload: &[u8],
    qos: c_int,
    retain: bool,
) -> u16 {
    use crate::capi::base::boundary::value;
    use crate::capi::bridge::connection::publish;
    use crate::capi::bridge::defaults::global;
    use crate::capi::bridge::handle::Handle;
    value(0, || {
        let handle = if conn.is_null() {
            global()?
        } else {
            // SAFETY: not NULL, so a living connection, as the caller promises.
            Handle::of(conn)?
        };
        // SAFETY: promised by the caller.
        unsafe { publish(&handle, topic, payload, qos, retain) }
    })
}

/// Keeps why a call printed or published nothing, as the thread's last error.
pub(super) fn report(error: &FormatError, fmt: &[u8]) {
    set_call_error(error.code);
    let text = error.text(fmt);
    if error.code == Code::TooLarge {
        let at = error.offset;
        explain(format_args!(
            "the text takes more than the limit of MQTT, which is {MAX_OUTPUT} bytes, at offset {at}"
        ));
    } else if !text.is_empty() {
        let at = error.offset;
        // By hand, since a lossy conversion to a string may need memory, and that may be what is missing.
        match core::str::from_utf8(text) {
            Ok(text) => explain(format_args!("{}: {text:?} at offset {at}", error.code.text())),
            Err(_) => {
                explain(format_args!("{}: \"{}\" at offset {at}", error.code.text(), text.escape_ascii()))
            }
        }
    }
    #[cfg(test)]
    recorder::record_error(*error);
}

#[cfg(test)]
pub(super) use recorder::publish_bytes;

/// Stands in for the client in the unit tests.
#[cfg(test)]
pub(super) mod recorder {
    use super::*;
    use core::ffi::CStr;
    use std::cell::RefCell;

    #[derive(Debug, PartialEq, Eq)]
    pub(in crate::capi::json) struct Published {
        pub(in crate::capi::json) conn: usize,
        pub(in crate::capi::json) topic: String,
        pub(in crate::capi::json) payload: Vec<u8>,
        pub(in crate::capi::json) qos: c_int,
        pub(in crate::capi::json) retain: bool,
    }

    thread_local! {
        static PUBLISHED: RefCell<Vec<Published>> = const { RefCell::new(Vec::new()) };
        static ERROR: RefCell<Option<FormatError>> = const { RefCell::new(None) };
    }

    pub(in crate::capi::json) unsafe fn publish_bytes(
        conn: *mut mgos_mqtt_conn,
        topic: *const c_char,
        payload: &[u8],
        qos: c_int,
        retain: bool,
    ) -> u16 {
        // SAFETY: the tests hand over texts.
        let topic = unsafe { CStr::from_ptr(topic) }.to_string_lossy().into_owned();
        let entry = Published { conn: conn.addr(), topic, payload: payload.to_vec(), qos, retain };
        PUBLISHED.with_borrow_mut(|all| {
            all.push(entry);
            4711
        })
    }

    pub(in crate::capi::json) fn published() -> Vec<Published> {
        PUBLISHED.take()
    }

    pub(super) fn record_error(error: FormatError) {
        ERROR.set(Some(error));
    }

    pub(in crate::capi::json) fn error() -> Option<FormatError> {
        ERROR.take()
    }
}
