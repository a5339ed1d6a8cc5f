//! What stands behind the opaque handles: loops and connections.

use core::ffi::{c_int, c_void};
use core::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::OnceBox;

use crate::capi::base::boundary::timeout;
use crate::capi::base::field::{no_such, refuse};
use crate::capi::base::pool::{Pool, Pooled, Ref};
use crate::capi::base::process::forks;
use crate::capi::base::registry::Registry;
use crate::capi::base::system::wall_clock;
use crate::capi::bridge::nc::{Attempt, Nc};
use crate::capi::types::mgos_mongoose::{mg_connection, mg_mgr};
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::capi::types::mgos_mqtt_loop::mgos_mqtt_loop;
use crate::client::{Conn, Context, ProfileSource};
use crate::config::Settings;
use crate::driver::{DriveError, Loop};
use crate::error::Code;
use crate::lazy_box::try_box;
use crate::sync::Mutex;
use crate::time::Span;

/// A loop and the connections made on it.
pub(in crate::capi) struct LoopHandle {
    pub(in crate::capi) context: Arc<Context>,
    /// How many are inside mgos_mqtt_loop_run().
    runs: Mutex<usize>,
    /// Set when they are to return; stays set until one has seen it.
    over: AtomicBool,
    forks: u32,
}

/// A connection.
pub(in crate::capi) struct Handle {
    conn: Arc<Conn>,
    /// The loop is kept for its address, which `nc.mgr` shows.
    home: Arc<LoopHandle>,
    nc: OnceBox<[Nc; 1]>,
    attempt: Mutex<Attempt>,
}

/// The connections that were created and not freed.
pub(in crate::capi) static HANDLES: Pool<Handle> = Pool::new();
/// The loops that were created and not freed; not the default loop.
pub(in crate::capi) static LOOPS: Registry<LoopHandle> = Registry::new();

impl LoopHandle {
    /// A loop of this process.
    pub(in crate::capi) fn new(context: Arc<Context>) -> Arc<LoopHandle> {
        Arc::new(LoopHandle { context, runs: Mutex::default(), over: AtomicBool::new(false), forks: forks() })
    }

    /// Whether it was made in this process, and not in one that this was forked from.
    #[inline(always)]
    pub(in crate::capi) fn is_ours(&self) -> bool {
        self.forks == forks()
    }

    pub(in crate::capi) fn driver(&self) -> &Loop {
        &self.context.driver
    }

    pub(in crate::capi) fn as_mgr(&self) -> *mut mg_mgr {
        ptr::from_ref(self).cast_mut().cast()
    }

    pub(in crate::capi) fn poll(&self, timeout_ms: c_int) -> Result<(), Code> {
        self.driver().poll(timeout(timeout_ms)).map_err(drive_code)
    }

    /// Drives the loop, or lets others drive it, until [`break_runs`](Self::break_runs).
    pub(in crate::capi) fn run(&self) -> Result<(), Code> {
        // Into poll mode, unless a thread drives it.
        match self.driver().poll(Some(Span::ZERO)) {
            Err(DriveError::Busy) if !Loop::in_dispatch() => {}
            other => other.map_err(drive_code)?,
        }
        *self.runs.lock() += 1;
        let outcome = self.driver().wait(None, &mut || self.over.load(Ordering::SeqCst));
        let mut runs = self.runs.lock();
        *runs -= 1;
        if *runs == 0 {
            // The last one clears the flag for the next run.
            self.over.store(false, Ordering::SeqCst);
        }
        outcome.map(drop).map_err(drive_code)
    }

    /// Ends every [`run`](Self::run), or the next one. Takes no lock and allocates no memory.
    pub(in crate::capi) fn break_runs(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.driver().interrupt();
    }

    /// In the child of a fork, for a loop of the parent: as [`Handle::close_after_fork`], for all its connections.
    pub(in crate::capi) fn close_after_fork(handle: *mut mgos_mqtt_loop) {
        if let Some(home) = LOOPS.get(handle).filter(|home| !home.is_ours()) {
            HANDLES.all(|handle| handle.is_on(&home)).iter().for_each(|handle| handle.close_after_fork());
        }
    }

    /// Frees every connection of this loop and ends it.
    pub(in crate::capi) fn close(&self) -> Result<(), Code> {
        for handle in HANDLES.remove_all(|handle| ptr::eq(&*handle.home, self)) {
            give_up(handle);
        }
        self.driver().close().map_err(drive_code)
    }
}

pub(in crate::capi) fn drive_code(error: DriveError) -> Code {
    match error {
        DriveError::Busy => Code::Busy,
        DriveError::Closed => Code::Incomplete,
        DriveError::Io(_) | DriveError::NoResources => Code::NoResources,
    }
}

impl Handle {
    /// A connection, which lives until it is taken out of [`HANDLES`] and [given up](give_up).
    pub(in crate::capi) fn create(
        home: Arc<LoopHandle>,
        number: c_int,
        profiles: Vec<ProfileSource>,
        settings: Settings,
    ) -> Result<Ref<Handle>, Code> {
        let conn = Conn::new(home.context.clone(), number, profiles, settings)?;
        let handle = Handle { conn, home, nc: OnceBox::new(), attempt: Mutex::default() };
        Ok(HANDLES.insert(handle, |handle| handle.conn.set_owner_tag(handle.as_ptr().cast())))
    }

    /// The connection behind a handle.
    pub(in crate::capi) fn of(handle: *mut mgos_mqtt_conn) -> Result<Ref<Handle>, Code> {
        Handle::find(handle)
    }

    /// [`of`](Handle::of), inlined into its caller: for calls that are made for each message.
    #[inline(always)]
    pub(in crate::capi) fn find(handle: *mut mgos_mqtt_conn) -> Result<Ref<Handle>, Code> {
        if handle.is_null() {
            return Err(Code::NullArgument);
        }
        let handle = HANDLES.get(handle).ok_or_else(|| no_such("connection"))?;
        handle.conn()?;
        Ok(handle)
    }

    /// The connection of a handle that the running call has [found](Handle::find).
    #[inline(always)]
    pub(in crate::capi) fn found_conn(&self) -> &Arc<Conn> {
        &self.conn
    }

    /// The connection, unless it belongs to a process that this was forked from.
    pub(in crate::capi) fn conn(&self) -> Result<&Arc<Conn>, Code> {
        if self.is_ours() { Ok(&self.conn) } else { Err(Code::Forked) }
    }

    /// Whether it was made in this process, and not in one that this was forked from.
    #[inline(always)]
    pub(in crate::capi) fn is_ours(&self) -> bool {
        self.home.is_ours()
    }

    /// In the child of a fork: closes this process's copy of the socket. Everything else belongs to the parent, and the
    /// handle stays known, so that every later call fails with the right error.
    pub(in crate::capi) fn close_after_fork(&self) {
        self.conn.close_after_fork();
    }

    /// Whether it belongs to this loop.
    pub(in crate::capi) fn is_on(&self, home: &LoopHandle) -> bool {
        ptr::eq(&*self.home, home)
    }

    pub(in crate::capi) fn as_ptr(&self) -> *mut mgos_mqtt_conn {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// The `nc` of this connection, if there is one.
    #[inline]
    pub(in crate::capi) fn nc(&self) -> Option<&Nc> {
        self.nc.get().map(|nc| &nc[0])
    }

    /// The `nc` of this connection, made if there is none.
    pub(in crate::capi) fn make_nc(&self) -> Result<&Nc, Code> {
        // No attempt begins or ends meanwhile.
        let attempt = self.attempt.lock();
        if self.nc().is_none() {
            let (mgr, handle) = (self.home.as_mgr(), self.as_ptr().cast());
            // It stays empty: this is the only place that sets it, and the lock is held.
            let _ = self.nc.set(try_box(|| Nc::new(&self.conn, mgr, handle, *attempt))?);
        }
        self.nc().ok_or(Code::NoMemory)
    }

    /// The `nc` for a caller outside of a handler: changes to its fields are read in each iteration.
    pub(in crate::capi) fn watched_nc(&self) -> Result<&Nc, Code> {
        let nc = self.make_nc()?;
        if !Loop::in_dispatch() {
            self.conn.watch()?;
        }
        Ok(nc)
    }

    /// Obeys what a handler did to the fields of `nc`.
    ///
    /// # Safety
    /// The caller is the thread that drives the loop, inside a callback.
    #[inline]
    pub(in crate::capi) unsafe fn after_handler(&self) {
        if let Some(nc) = self.nc() {
            // SAFETY: as the caller promises.
            unsafe { nc.after_handler(&self.conn) };
        }
    }

    /// A new attempt begins.
    ///
    /// # Safety
    /// As [`after_handler`](Self::after_handler).
    pub(in crate::capi) unsafe fn attempt_begins(&self) {
        let mut attempt = self.attempt.lock();
        *attempt = Attempt::BEGUN;
        if let Some(nc) = self.nc() {
            // SAFETY: as the caller promises.
            unsafe { nc.attempt_begins(&self.conn) };
        }
    }

    /// An attempt ended, or a connection.
    ///
    /// # Safety
    /// As [`after_handler`](Self::after_handler).
    pub(in crate::capi) unsafe fn attempt_ended(&self, how: Attempt) {
        let mut attempt = self.attempt.lock();
        *attempt = how;
        if let Some(nc) = self.nc() {
            // SAFETY: as the caller promises.
            unsafe { nc.attempt_ended(how) };
        }
    }

    /// mg_set_timer().
    pub(in crate::capi) fn set_timer(&self, timestamp: f64) -> Result<f64, Code> {
        if !timestamp.is_finite() {
            return Err(refuse(Code::BadArgument, "timestamp", timestamp, "finite numbers"));
        }
        let conn = self.conn()?;
        let before = self.make_nc()?.set_timer(timestamp);
        let at = (timestamp > 0.0).then(|| {
            let ahead = (timestamp - wall_clock()).clamp(0.0, 1e12);
            self.home.driver().now() + Span::micros((ahead * 1e6) as u64)
        });
        conn.set_timer(at)?;
        Ok(before)
    }
}

/// Ends a handle that no later call finds any more, when its loop and the running calls have dropped it. Returns the
/// connection, to wait for the loop.
pub(in crate::capi) fn give_up(handle: Ref<Handle>) -> Arc<Conn> {
    let conn = handle.conn.clone();
    conn.free(Some(Box::new(handle)));
    conn
}

impl Pooled for Handle {
    fn pool() -> &'static Pool<Handle> {
        &HANDLES
    }
}

/// The connection of an `nc`.
///
/// # Safety
/// `nc` is NULL or points to a `struct mg_connection`.
pub(in crate::capi) unsafe fn conn_of(nc: *mut mg_connection) -> Result<Ref<Handle>, Code> {
    if nc.is_null() {
        return Err(Code::NullArgument);
    }
    // SAFETY: not NULL, and valid as the caller promises. This field never changes, so it may be read
    // from any thread.
    let handle: *mut c_void = unsafe { (*nc).priv_1 };
    // The value is an address to be looked up, never dereferenced.
    let handle = HANDLES
        .get(handle)
        .filter(|handle| handle.nc().is_some_and(|own| own.as_ptr() == nc))
        .ok_or_else(|| no_such("connection of this nc"))?;
    handle.conn()?;
    Ok(handle)
}
