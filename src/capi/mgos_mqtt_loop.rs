//! The loop, which drives connections.
//!
//! A loop owns connections. There is a default one, made on first use, for the global connection and those of
//! mgos_mqtt_conn_create(); NULL means it wherever a loop is asked for. A loop is driven in one of three
//! ways; the same loop may change between them at any time:
//!
//! 1. by your own code, with mgos_mqtt_loop_poll() or mgos_mqtt_loop_run();
//! 2. by a foreign event loop (epoll, libuv, GLib): watch mgos_mqtt_loop_fd() for reading, wake up after
//!    mgos_mqtt_loop_timeout() milliseconds, and call mgos_mqtt_loop_process() for either;
//! 3. by a thread of its own, with mgos_mqtt_loop_start().
//!
//! THREADS. Every function of the library may be called from any thread, at any time, and from inside every callback,
//! unless it says otherwise. Callbacks run with no lock held, on the thread that drives the loop unless the table
//! says otherwise. If a connection is freed while nobody drives its loop, its callbacks run inside
//! mgos_mqtt_conn_free(), even if that is called in a callback of another loop. Inside a callback every function may
//! be called, including those that free a connection, except those that poll or wait: these return MGOS_MQTT_BUSY.
//!
//! | callback                                           | set by                                    | how often      |
//! |----------------------------------------------------|-------------------------------------------|----------------|
//! | handlers of events and messages (1)                | mgos_mqtt_conn_on(), ..._subscribe() ...  | any number     |
//! | places for one function (1)                        | mgos_mqtt_conn_on_connect() ...           | any number     |
//! | `done` of a publish (2)                            | struct mgos_mqtt_publication              | exactly once   |
//! | `done` of subscribing and unsubscribing (2)        | mgos_mqtt_conn_subscribe_all() ...        | exactly once   |
//! | `ok` or `fail` of an attempt (2)                   | mgos_mqtt_conn_connect_once()             | exactly once   |
//! | connect hook                                       | mgos_mqtt_conn_set_connect_fn()           | each CONNECT   |
//! | function that signs for TLS                        | mgos_mqtt_conn_set_sign_fn()              | each handshake |
//! | credentials function                               | mgos_mqtt_conn_set_credentials_fn()       | each attempt   |
//! | functions of a transport                           | mgos_mqtt_conn_set_transport()            | any number     |
//! | log function                                       | mgos_mqtt_loop_set_log()                  | any number     |
//! | user-data destructor `ud_free` (3)                 | every call that takes one                 | exactly once   |
//! | handlers of the event bus (4)                      | mgos_event_add_handler() ...              | any number     |
//! | poll callback, of the default loop                 | mgos_add_poll_cb()                        | each iteration |
//! | printer of `%M`, of JSON (5)                       | mgos_mqtt_pubf(), json_printf() ...       | each `%M`      |
//!
//! 1. Are not called any more after mgos_mqtt_conn_free().
//! 2. Have no destructor: after their one call the library does not use their user data any more. If the connection is
//!    freed before, they are called then, with MGOS_MQTT_INCOMPLETE, and must not use that connection.
//! 3. Runs after the last use: inside the call that removed the callback, on the calling thread, or on the thread
//!    that drives the loop. It must not poll or wait, nor use a connection that is being freed.
//! 4. Also on the thread that calls mgos_event_trigger(), inside that call.
//! 5. On the calling thread, inside the call; may poll and wait.
//!
//! A callback must return: no longjmp() and no C++ exception out of it.
//!
//! FORK. After fork() the child's calls on loops and connections of the parent, and on what belongs to them, fail at
//! once with MGOS_MQTT_FORKED and touch nothing that the two processes share. Calls that free close the child's copies
//! of the sockets; the memory is given up. The default loop and the global connection are new in the child: they are
//! made at their first use there, and the child has to drive the loop, even if the parent's has a thread. Servers,
//! options, will, certificate and log function are those of the parent; handlers, subscriptions, poll callbacks and
//! queued messages are not, and the first call logs a warning that says so, on the calling thread. Parent and child
//! then have the same client id, unless the child changes its own. All this also holds for a child that was forked
//! inside a callback, but it must not return from the callback.

use core::ffi::{c_int, c_void};
use std::sync::Arc;

use crate::capi::base::boundary::{status, value};
use crate::capi::base::field::{no_such, wrong_level};
use crate::capi::base::signals::keeping_errno;
use crate::capi::bridge::callbacks::{LogFunction, UserData};
use crate::capi::bridge::create_loop::create_loop;
use crate::capi::bridge::handle::{LOOPS, LoopHandle, drive_code};
use crate::capi::bridge::lookup::{break_runs_of, loop_of};
use crate::capi::types::mgos_mqtt_loop::{mgos_mqtt_log_fn_t, mgos_mqtt_loop, mgos_mqtt_ud_free_fn_t};
use crate::client::{Level, Sink};
use crate::driver::{DriveError, Loop};
use crate::error::Code;

/// Makes a loop. NULL without memory or file descriptors. End it with mgos_mqtt_loop_free().
#[unsafe(no_mangle)]
pub extern "C" fn mgos_mqtt_loop_create() -> *mut mgos_mqtt_loop {
    value(core::ptr::null_mut(), || Ok(LOOPS.insert(create_loop()?).cast()))
}

/// Ends a loop: its thread, if it has one, and every connection on it, as mgos_mqtt_conn_free() does.
/// Neither the loop's handle nor those of its connections may be used afterwards. When the call returns,
/// all of this has happened and every user-data destructor has run.
///
/// Ignores NULL; the default loop cannot be freed. Returns 0, MGOS_MQTT_BUSY inside a callback,
/// MGOS_MQTT_BAD_ARGUMENT for the default loop. Takes less than a second, plus the time of a
/// callback that is running, whatever the name service, the network and the server are doing.
///
/// # Safety
/// `loop` is NULL or came from mgos_mqtt_loop_create() and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_free(r#loop: *mut mgos_mqtt_loop) -> c_int {
    status(|| {
        if r#loop.is_null() {
            return Ok(());
        }
        let handle = loop_of(r#loop).inspect_err(|_| LoopHandle::close_after_fork(r#loop))?;
        if Loop::in_dispatch() {
            return Err(Code::Busy);
        }
        // The default loop is not in the list.
        LOOPS.remove(r#loop).ok_or_else(|| no_such("loop"))?;
        handle.close()
    })
}

/// One iteration: waits until there is something to do, at most `timeout_ms` milliseconds (0: not at all, negative:
/// without limit), and does it. It may return early, and does so at once on a signal; call it in a loop. However many
/// callbacks are due and however slow they are, it returns soon after its time; the next iteration goes on with the
/// rest.
///
/// Returns 0, or MGOS_MQTT_BUSY inside a callback or while the loop has a thread of its own. If another
/// thread polls already, it waits for its turn, at most `timeout_ms`.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_poll(r#loop: *mut mgos_mqtt_loop, timeout_ms: c_int) -> c_int {
    status(|| loop_of(r#loop)?.poll(timeout_ms))
}

/// Drives the loop until mgos_mqtt_loop_break(): all that is needed by a program whose work is done in handlers.
/// While the loop has a thread of its own or another thread polls it, the caller sleeps. Any number of threads may
/// call this.
///
/// Returns 0 after mgos_mqtt_loop_break(), MGOS_MQTT_BUSY inside a callback, MGOS_MQTT_INCOMPLETE if the loop is
/// freed meanwhile, MGOS_MQTT_NO_RESOURCES if the system refuses to wait.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_run(r#loop: *mut mgos_mqtt_loop) -> c_int {
    status(|| loop_of(r#loop)?.run())
}

/// Makes every mgos_mqtt_loop_run() of a loop return, after the present handler. If none is running, the next one
/// returns at once. A mgos_mqtt_loop_poll() that sleeps returns, too, as does the next one. Callable from any thread,
/// inside handlers, and in signal handlers: it takes no lock, allocates no memory, and leaves `errno` alone. Returns 0.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_break(r#loop: *mut mgos_mqtt_loop) -> c_int {
    // Not as other calls, which note for their thread how they ended: this one may be in the middle of one of those.
    // SAFETY: promised by the caller.
    match keeping_errno(|| unsafe { break_runs_of(r#loop) }) {
        Ok(()) => 0,
        Err(code) => status(|| Err(code)),
    }
}

/// A file descriptor for a foreign event loop. It becomes readable when mgos_mqtt_loop_process() has something
/// to do; watch it for reading, level- or edge-triggered. It belongs to the loop, do not read, write or close
/// it, and stays the same for the loop's whole life. Negative if there is none.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_fd(r#loop: *mut mgos_mqtt_loop) -> c_int {
    value(-1, || Ok(loop_of(r#loop)?.driver().fd()))
}

/// After how many milliseconds mgos_mqtt_loop_process() has to be called even if the file descriptor does not
/// become readable; -1: not at all. Ask again after each mgos_mqtt_loop_process(). When a call from another
/// thread makes it shorter, the file descriptor becomes readable.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_timeout(r#loop: *mut mgos_mqtt_loop) -> c_int {
    value(-1, || {
        let handle = loop_of(r#loop)?;
        let timeout = handle.driver().next_timeout();
        Ok(timeout.map_or(-1, |t| c_int::try_from(t.as_millis_ceil()).unwrap_or(c_int::MAX)))
    })
}

/// Does what there is to do, without waiting. The calling thread drives the loop meanwhile.
///
/// Returns 0, or MGOS_MQTT_BUSY inside a callback or while the loop has a thread of its own.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_process(r#loop: *mut mgos_mqtt_loop) -> c_int {
    status(|| loop_of(r#loop)?.driver().process().map_err(drive_code))
}

/// Gives the loop a thread of its own; callbacks run there. Does nothing if it has one.
///
/// Returns 0, or MGOS_MQTT_NO_RESOURCES if no thread can be started.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_start(r#loop: *mut mgos_mqtt_loop) -> c_int {
    status(|| match loop_of(r#loop)?.driver().start("mgos_mqtt") {
        // It has a thread already.
        Ok(()) | Err(DriveError::Busy) => Ok(()),
        Err(error) => Err(drive_code(error)),
    })
}

/// Ends the loop's own thread and waits for that; called inside one of its callbacks, the thread ends after
/// the present iteration. Connections stay, and go on when the loop is driven again. Does nothing without a
/// thread. Takes less than a second, plus the time of a callback that is running. The process may also just
/// end: exit() does not wait for the thread.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_stop(r#loop: *mut mgos_mqtt_loop) -> c_int {
    status(|| loop_of(r#loop)?.driver().stop().map_err(drive_code))
}

/// Sets the function that gets the log records of a loop and its connections: all that are at least as
/// important as `level` (MGOS_MQTT_LOG_*). NULL switches the log off, which is the default: the library
/// prints nothing by itself. Most programs want mgos_mqtt_log_to_stderr() instead.
///
/// `fn` runs on the thread that drives the loop, with no lock held. `ud` is passed to it; `ud_free`, if
/// not NULL, takes it back when the function is replaced or the loop freed. An unknown level is refused
/// with MGOS_MQTT_BAD_ARGUMENT, and `ud` stays yours.
///
/// # Safety
/// `loop` is NULL (the default loop) or a living loop; the functions can be called with `ud`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgos_mqtt_loop_set_log(
    r#loop: *mut mgos_mqtt_loop,
    level: c_int,
    r#fn: mgos_mqtt_log_fn_t,
    ud: *mut c_void,
    ud_free: mgos_mqtt_ud_free_fn_t,
) -> c_int {
    status(|| {
        let handle = loop_of(r#loop)?;
        let level = Level::from_number(level).ok_or_else(|| wrong_level(level))?;
        let sink = r#fn.map(|function| {
            let data = UserData::new(ud, ud_free);
            Arc::new(LogFunction { function: Some(function), data }) as Arc<dyn Sink>
        });
        drop(handle.context.log.set(level, sink));
        Ok(())
    })
}
