//! A transport of the application: firmware that reaches its server over a modem, a serial line or a stack of its own gives the
//! library four functions that move bytes.
//!
//!     static int my_open(void *ud, uint64_t stream, const char *host, int port);
//!     static long my_read(void *ud, uint64_t stream, void *buf, size_t len);
//!     static long my_write(void *ud, uint64_t stream, const void *bytes, size_t len);
//!     static void my_close(void *ud, uint64_t stream);
//!
//!     struct mgos_mqtt_transport transport = mgos_mqtt_transport_init();
//!     transport.open = my_open;
//!     transport.read = my_read;
//!     transport.write = my_write;
//!     transport.close = my_close;
//!     mgos_mqtt_conn_set_transport(c, &transport, NULL, NULL);
//!     // and whenever a stream has bytes, or room, after -EAGAIN:
//!     mgos_mqtt_transport_ready(loop, stream, MGOS_MQTT_TRANSPORT_READABLE);
//!
//! A stream is a reliable sequence of bytes in both directions, as a TCP connection is. The server's address is written as
//! ever; TLS (mqtts://), WebSocket (ws://, wss://) and proxies work on top of it. What is said in the options about the TCP socket
//! means nothing here; a server at unix:// is reached by a local socket as ever.
//!
//! THREADS. The functions are callbacks as mgos_mqtt_loop.h says: they are called on the thread that drives the loop, one at a
//! time, with no lock held. They must not wait, since everything else on that loop waits for them. They may call every function
//! of the library, including those that free the connection, except those that poll or wait: these return MGOS_MQTT_BUSY.
//!
//! Examples: c_examples/transport_socketpair.c, and transport_serial.c for a line that loses bytes.

use core::ffi::{c_int, c_void};
use std::sync::Arc;

use crate::capi::base::boundary::{explain, status};
use crate::capi::base::sized;
use crate::capi::bridge::callbacks::UserData;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::lookup::loop_of;
use crate::capi::bridge::transport::Functions;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_loop::{mgos_mqtt_loop, mgos_mqtt_ud_free_fn_t};
use crate::capi::types::mgos_mqtt_transport::{
    MGOS_MQTT_TRANSPORT_READABLE, MGOS_MQTT_TRANSPORT_WRITABLE, mgos_mqtt_transport,
};
use crate::client::stream_ready;
use crate::error::Code;

/// The connection's streams are opened, read and written by these functions, from its next attempt on; a link that is up
/// stays. `transport` is copied; NULL: by sockets again. `ud` goes to each function.
///
/// `ud_free` is called with `ud` once they are not used any more: after another call of this function, or the end of the
/// connection, when close() of the last stream has returned. With NULL as `transport`, `ud` stays yours. Callable from
/// every thread, and in callbacks.
///
/// Returns 0, or MGOS_MQTT_NULL_ARGUMENT if a function is missing, MGOS_MQTT_BAD_STRUCTURE, MGOS_MQTT_NO_MEMORY; then nothing
/// changes, and `ud` stays yours.
///
/// # Safety
/// `c` is NULL or a living connection; `transport` is NULL or has `transport->size` bytes, and its functions can be called
/// with `ud` until `ud_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_conn_set_transport(
    c: *mut mgos_mqtt_conn,
    transport: *const mgos_mqtt_transport,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    let data = UserData::new(ud, ud_free);
    status(|| {
        let handle = Handle::of(c).inspect_err(|_| data.disarm())?;
        let conn = handle.conn().inspect_err(|_| data.disarm())?;
        if transport.is_null() {
            // Nothing is kept that `ud` could belong to.
            data.disarm();
            return conn.set_custom_transport(None);
        }
        // SAFETY: promised by the caller.
        let table = unsafe { sized::read(transport) }.inspect_err(|_| data.disarm())?;
        let functions = Arc::new(Functions::of(&table, data)?);
        conn.set_custom_transport(Some(functions.clone())).inspect_err(|_| functions.disarm())
    })
}

/// A stream is ready: MGOS_MQTT_TRANSPORT_READABLE, MGOS_MQTT_TRANSPORT_WRITABLE, or both. To be called after each function that
/// returned -EAGAIN, as soon as it would not any more; once more than necessary does no harm. Callable from any thread,
/// but not from a signal handler. A stream that is closed is ignored.
///
/// `loop` is that of the connection. Returns 0, or MGOS_MQTT_BAD_ARGUMENT for other bits.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_transport_ready(
    r#loop: *mut mgos_mqtt_loop,
    stream: u64,
    bits: c_int,
) -> c_int {
    status(|| {
        let all = MGOS_MQTT_TRANSPORT_READABLE | MGOS_MQTT_TRANSPORT_WRITABLE;
        if bits == 0 || bits & !all != 0 {
            explain(format_args!("bits is {bits}; allowed are 1 (readable), 2 (writable) and 3 (both)"));
            return Err(Code::BadArgument);
        }
        stream_ready(loop_of(r#loop)?.driver(), stream);
        Ok(())
    })
}
