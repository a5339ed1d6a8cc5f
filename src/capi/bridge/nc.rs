//! The `nc` that handlers of Mongoose see. A connection gets one with its first such handler.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_ulong, c_void};
use core::ptr;

use crate::capi::bridge::hook_strings::HookStrings;
use crate::capi::types::mgos_mongoose::{
    MG_F_CLOSE_IMMEDIATELY, MG_F_CONNECTING, MG_F_IS_WEBSOCKET, MG_F_RESOLVING, MG_F_SEND_AND_CLOSE,
    MG_F_SSL, mbuf, mg_connection, mg_mgr,
};
use crate::client::{Conn, ConnectParams};
use crate::error::Code;
use crate::sync::{Mutex, MutexGuard};

/// What an attempt to connect does to the fields of `nc`.
#[derive(Clone, Copy, Default)]
pub(in crate::capi) struct Attempt {
    err: c_int,
    /// Among [`STATE`].
    flags: u16,
}

/// The flags that say how far it is, and what the connection runs over.
const STATE: c_ulong = MG_F_RESOLVING | MG_F_CONNECTING | MG_F_SSL | MG_F_IS_WEBSOCKET;
const _: () = assert!(STATE <= u16::MAX as c_ulong);

impl Attempt {
    /// One is under way.
    pub(in crate::capi) const BEGUN: Attempt =
        Attempt { err: 0, flags: (MG_F_RESOLVING | MG_F_CONNECTING) as u16 };

    /// The last one, or the connection, ended with this error number.
    pub(in crate::capi) fn ended(os: c_int) -> Attempt {
        Attempt { err: os, flags: 0 }
    }

    /// The connection is up.
    pub(in crate::capi) fn succeeded(conn: &Conn) -> Attempt {
        let (tls, websocket) = conn.runs_over();
        let flag = |is: bool, flag: c_ulong| if is { flag as u16 } else { 0 };
        Attempt { err: 0, flags: flag(tls, MG_F_SSL) | flag(websocket, MG_F_IS_WEBSOCKET) }
    }
}

/// It lives exactly as long as its connection.
pub(in crate::capi) struct Nc {
    /// The fields of this are touched only by the thread that drives the loop and the handlers it
    /// runs.
    shown: UnsafeCell<mg_connection>,
    /// The receive limit that was applied last, to see when a handler changes it.
    applied_limit: UnsafeCell<usize>,
    hooked: Mutex<Hooked>,
}

/// What few connections ever need.
struct Hooked {
    /// What CONNECT would say, while a connect hook may still answer.
    prepared: Option<Box<(ConnectParams, HookStrings)>>,
    /// The time of day for which mg_set_timer() was called.
    timer: f64,
}

// SAFETY: `shown` and `applied_limit` are touched by the thread that drives the loop only; the driver hands its
// role over with the synchronisation that this needs. Everything else is `Sync` by itself.
unsafe impl Sync for Nc {}
// SAFETY: nothing in it belongs to a thread; the pointers in `shown` are never followed by Rust.
unsafe impl Send for Nc {}

impl Nc {
    /// `handle` is the application's handle of the connection.
    pub(in crate::capi) fn new(conn: &Conn, mgr: *mut mg_mgr, handle: *mut c_void, attempt: Attempt) -> Nc {
        let limit = conn.receive_limit();
        let empty = || mbuf { buf: ptr::null_mut(), len: 0, size: 0 };
        let shown = mg_connection {
            mgr,
            priv_1: handle,
            err: attempt.err,
            recv_mbuf_limit: limit,
            recv_mbuf: empty(),
            send_mbuf: empty(),
            ev_timer_time: 0.0,
            proto_data: ptr::null_mut(),
            user_data: ptr::null_mut(),
            flags: attempt.flags.into(),
        };
        Nc {
            shown: UnsafeCell::new(shown),
            applied_limit: UnsafeCell::new(limit),
            hooked: Mutex::new(Hooked { prepared: None, timer: 0.0 }),
        }
    }

    /// What handlers get.
    #[inline]
    pub(in crate::capi) fn as_ptr(&self) -> *mut mg_connection {
        self.shown.get()
    }

    /// Brings the fields up to date before a handler sees them.
    ///
    /// # Safety
    /// The caller is the thread that drives the loop, inside a callback.
    #[inline]
    pub(in crate::capi) unsafe fn before_handler(&self, conn: &Conn) {
        // SAFETY: no other thread touches it, as the caller promises.
        unsafe { (*self.shown.get()).send_mbuf.len = conn.output_level() };
    }

    /// Obeys what a handler did to the fields.
    ///
    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    #[inline]
    pub(in crate::capi) unsafe fn after_handler(&self, conn: &Conn) {
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &*self.shown.get() };
        // SAFETY: as above.
        let limit = unsafe { *self.applied_limit.get() };
        if nc.flags & (MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY) != 0 || nc.recv_mbuf_limit != limit {
            // SAFETY: as above.
            unsafe { self.obey(conn) };
        }
    }

    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    #[cold]
    unsafe fn obey(&self, conn: &Conn) {
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &mut *self.shown.get() };
        if nc.flags & (MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY) != 0 {
            let graceful = nc.flags & MG_F_CLOSE_IMMEDIATELY == 0;
            nc.flags &= !(MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY);
            let code = if conn.awaits_connect() { Code::HookAborted } else { Code::ClosedByClient };
            // A connection that is being freed needs no closing.
            let _ = conn.drop_link(code, graceful);
        }
        // SAFETY: as above.
        let applied = unsafe { &mut *self.applied_limit.get() };
        if nc.recv_mbuf_limit != *applied {
            *applied = nc.recv_mbuf_limit;
            let _ = conn.set_receive_limit(nc.recv_mbuf_limit);
        }
    }

    /// A new attempt begins: the fields are reset.
    ///
    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    pub(in crate::capi) unsafe fn attempt_begins(&self, conn: &Conn) {
        let limit = conn.receive_limit();
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &mut *self.shown.get() };
        nc.flags &= !(MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY);
        nc.recv_mbuf_limit = limit;
        // SAFETY: as above.
        unsafe { *self.applied_limit.get() = limit };
        // SAFETY: as above.
        unsafe { self.show(Attempt::BEGUN) };
    }

    /// An attempt ended, or a connection.
    ///
    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    pub(in crate::capi) unsafe fn attempt_ended(&self, attempt: Attempt) {
        // SAFETY: promised by the caller.
        unsafe { self.show(attempt) };
        self.hooked().prepared = None;
    }

    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    unsafe fn show(&self, attempt: Attempt) {
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &mut *self.shown.get() };
        nc.flags = nc.flags & !STATE | c_ulong::from(attempt.flags);
        nc.err = attempt.err;
    }

    fn hooked(&self) -> MutexGuard<'_, Hooked> {
        self.hooked.lock()
    }

    /// A hook is about to be given `strings`, made from `params`.
    pub(in crate::capi) fn prepare(&self, params: &ConnectParams, strings: HookStrings) {
        self.hooked().prepared = Some(Box::new((params.clone(), strings)));
    }

    pub(in crate::capi) fn prepared(&self) -> Option<ConnectParams> {
        self.hooked().prepared.as_deref().map(|(params, _)| params.clone())
    }

    /// mg_set_timer() was called for `timestamp`; the time it was set for before.
    pub(in crate::capi) fn set_timer(&self, timestamp: f64) -> f64 {
        core::mem::replace(&mut self.hooked().timer, timestamp)
    }
}
