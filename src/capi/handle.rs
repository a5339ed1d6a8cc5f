//! What stands behind the opaque handles: loops, connections, and the process's default ones.

use core::ffi::{c_int, c_void};
use core::ptr;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use once_cell::race::OnceBox;
use once_cell::sync::OnceCell;

use super::boundary::timeout;
use super::callbacks::NcKeeper;
use super::fork::{forks, watch_forks};
use super::mgos_mongoose::{mg_connection, mg_mgr};
use super::mgos_mqtt_conn::{create, mgos_mqtt_conn};
use super::mgos_mqtt_loop::mgos_mqtt_loop;
use super::nc::{Attempt, Nc};
use super::registry::Registry;
use super::{config::system, profiles};
use crate::client::{Conn, Context, Entry, ProfileSource};
use crate::config::{SectionId, Settings};
use crate::driver::{Clock, DriveError, Loop};
use crate::error::Code;
use crate::rare::try_box;
use crate::time::{Span, Time};

/// A loop and the connections made on it.
pub(super) struct LoopHandle {
    pub(super) context: Arc<Context>,
    runs: Mutex<Runs>,
    forks: u32,
}

/// Who is inside mgos_mqtt_loop_run().
#[derive(Default)]
struct Runs {
    inside: usize,
    /// They shall leave. Stays until one has seen it.
    over: bool,
}

/// A connection.
pub(super) struct Handle {
    conn: Arc<Conn>,
    /// The loop is kept for its address, which `nc.mgr` shows.
    home: Arc<LoopHandle>,
    nc: OnceBox<[Nc; 1]>,
    attempt: Mutex<Attempt>,
    /// The application closed the global connection by hand, so a new configuration does not open it.
    pub(super) closed_by_hand: AtomicBool,
}

/// The connections that were created and not freed.
pub(super) static HANDLES: Registry<Handle> = Registry::new();
/// The loops that were created and not freed; not the default loop.
pub(super) static LOOPS: Registry<LoopHandle> = Registry::new();

static DEFAULT_LOOP: OnceCell<Arc<LoopHandle>> = OnceCell::new();
/// The global connection; NULL before its first use. Written under `GLOBAL_CHANGES`.
static GLOBAL: AtomicPtr<Handle> = AtomicPtr::new(ptr::null_mut());
static GLOBAL_CHANGES: Mutex<()> = Mutex::new(());

/// Seconds since 1970.
pub(super) fn wall_clock() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}

/// A clock that also counts the time a device sleeps, where the system has one.
fn boot_clock() -> Time {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the result. The clock exists on every system that this is
    // built for; without it the time would stand still, which is safe.
    unsafe { libc::clock_gettime(CLOCK, &mut now) };
    Time(now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000)
}

/// How many bytes of a TCP socket the other end has not acknowledged, where the system tells.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_queue(socket: RawFd) -> Option<u64> {
    let mut left: c_int = 0;
    // SAFETY: this request writes one `int`, and `left` is one. Of what is no TCP socket it is an error.
    let asked = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &mut left) };
    if asked == 0 { u64::try_from(left).ok() } else { None }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_queue(_: RawFd) -> Option<u64> {
    None
}

impl LoopHandle {
    pub(super) fn create() -> Result<Arc<LoopHandle>, Code> {
        watch_forks();
        let driver = Loop::new(Clock::from_fn(boot_clock)).map_err(|_| Code::NoResources)?;
        let mut context = Context::new(driver);
        // Before all others, so that it runs last.
        context.common.keeper = Some(Entry::shared(NcKeeper::KINDS, Box::new(NcKeeper)));
        context.send_queue = send_queue;
        context.default_client_id = || system::device_id().ok().flatten();
        let context = Arc::new(context);
        Ok(Arc::new(LoopHandle { context, runs: Mutex::default(), forks: forks() }))
    }

    /// The loop behind a handle; NULL is the default loop.
    pub(super) fn of(handle: *mut mgos_mqtt_loop) -> Result<Arc<LoopHandle>, Code> {
        let found = if handle.is_null() {
            default_loop()?.clone()
        } else {
            LOOPS.get(handle).ok_or(Code::BadArgument)?
        };
        if found.forks == forks() { Ok(found) } else { Err(Code::Forked) }
    }

    pub(super) fn driver(&self) -> &Loop {
        &self.context.driver
    }

    pub(super) fn as_mgr(&self) -> *mut mg_mgr {
        ptr::from_ref(self).cast_mut().cast()
    }

    pub(super) fn poll(&self, timeout_ms: c_int) -> Result<(), Code> {
        self.driver().poll(timeout(timeout_ms)).map_err(drive_code)
    }

    /// Drives the loop, or lets others drive it, until [`break_runs`](Self::break_runs).
    pub(super) fn run(&self) -> Result<(), Code> {
        // Into poll mode, unless a thread drives it.
        match self.driver().poll(Some(Span::ZERO)) {
            Err(DriveError::Busy) if !Loop::in_dispatch() => {}
            other => other.map_err(drive_code)?,
        }
        lock(&self.runs).inside += 1;
        let outcome = self.driver().wait(None, &mut || lock(&self.runs).over);
        let mut runs = lock(&self.runs);
        runs.inside -= 1;
        // The last one leaves nothing behind for the next.
        runs.over &= runs.inside > 0;
        outcome.map(drop).map_err(drive_code)
    }

    pub(super) fn break_runs(&self) {
        lock(&self.runs).over = true;
        self.driver().notify();
    }

    /// Frees every connection of this loop and ends it.
    pub(super) fn close(&self) -> Result<(), Code> {
        for handle in HANDLES.remove_all(|handle| ptr::eq(&*handle.home, self)) {
            handle.give_up();
        }
        self.driver().close().map_err(drive_code)
    }
}

pub(super) fn drive_code(error: DriveError) -> Code {
    match error {
        DriveError::Busy => Code::Busy,
        DriveError::Closed => Code::Incomplete,
        DriveError::Io(_) | DriveError::NoResources => Code::NoResources,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The default loop, made on first use.
pub(super) fn default_loop() -> Result<&'static Arc<LoopHandle>, Code> {
    let found = DEFAULT_LOOP.get_or_try_init(LoopHandle::create)?;
    // After a fork it is the parent's.
    if found.forks == forks() { Ok(found) } else { Err(Code::Forked) }
}

/// Whether this is the global connection.
pub(super) fn is_global(handle: *mut mgos_mqtt_conn) -> bool {
    GLOBAL.load(Ordering::Acquire) == handle.cast()
}

/// The global connection, made on first use. It has the system configuration's profiles, and connects by
/// itself in the loop's first round if they are enabled.
pub(super) fn global() -> Result<Arc<Handle>, Code> {
    let handle = HANDLES.get(GLOBAL.load(Ordering::Acquire)).map_or_else(make_global, Ok)?;
    handle.conn()?;
    Ok(handle)
}

fn make_global() -> Result<Arc<Handle>, Code> {
    let _changes = lock(&GLOBAL_CHANGES);
    if let Some(made) = HANDLES.get(GLOBAL.load(Ordering::Acquire)) {
        return Ok(made);
    }
    let profiles = [SectionId::Mqtt, SectionId::Mqtt1].map(profiles::live);
    let home = default_loop()?.clone();
    let handle = create(home, 0, profiles.into(), Settings::default())?;
    handle.conn.connect_by_itself();
    GLOBAL.store(handle.as_ptr().cast(), Ordering::Release);
    Ok(handle)
}

/// Ends the global connection, if there is one; the next use makes another.
pub(super) fn end_global() -> Option<Arc<Conn>> {
    let _changes = lock(&GLOBAL_CHANGES);
    let handle = HANDLES.remove(GLOBAL.swap(ptr::null_mut(), Ordering::AcqRel))?;
    Some(handle.give_up())
}

impl Handle {
    /// A connection, which lives until it is taken out of [`HANDLES`] and [given up](Handle::give_up).
    pub(super) fn create(
        home: Arc<LoopHandle>,
        number: c_int,
        profiles: Vec<ProfileSource>,
        settings: Settings,
    ) -> Result<Arc<Handle>, Code> {
        let conn = Conn::new(home.context.clone(), number, profiles, settings)?;
        let handle = Arc::new(Handle {
            conn,
            home,
            nc: OnceBox::new(),
            attempt: Mutex::default(),
            closed_by_hand: AtomicBool::new(false),
        });
        handle.conn.set_face(handle.as_ptr().cast());
        HANDLES.insert(handle.clone());
        Ok(handle)
    }

    /// The connection behind a handle.
    pub(super) fn of(handle: *mut mgos_mqtt_conn) -> Result<Arc<Handle>, Code> {
        Handle::find(handle)
    }

    /// [`of`](Handle::of), as a part of its caller: for the calls that are made for each message.
    #[inline(always)]
    pub(super) fn find(handle: *mut mgos_mqtt_conn) -> Result<Arc<Handle>, Code> {
        if handle.is_null() {
            return Err(Code::NullArgument);
        }
        let handle = HANDLES.get(handle).ok_or(Code::BadArgument)?;
        handle.conn()?;
        Ok(handle)
    }

    /// The connection of a handle that was [found](Handle::find) by the call that goes on.
    #[inline(always)]
    pub(super) fn found_conn(&self) -> &Arc<Conn> {
        &self.conn
    }

    /// The connection, unless it came here by a fork.
    pub(super) fn conn(&self) -> Result<&Arc<Conn>, Code> {
        if self.home.forks == forks() { Ok(&self.conn) } else { Err(Code::Forked) }
    }

    /// Whether it belongs to this loop.
    pub(super) fn is_on(&self, home: &LoopHandle) -> bool {
        ptr::eq(&*self.home, home)
    }

    pub(super) fn as_ptr(&self) -> *mut mgos_mqtt_conn {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// The `nc` of this connection, if there is one.
    #[inline]
    pub(super) fn nc(&self) -> Option<&Nc> {
        self.nc.get().map(|nc| &nc[0])
    }

    /// The `nc` of this connection, made if there is none.
    pub(super) fn make_nc(&self) -> Result<&Nc, Code> {
        // No attempt begins or ends meanwhile.
        let attempt = lock(&self.attempt);
        if self.nc().is_none() {
            let (mgr, handle) = (self.home.as_mgr(), self.as_ptr().cast());
            // It stays empty: this is the only place that sets it, and the lock is held.
            let _ = self.nc.set(try_box(|| Nc::new(&self.conn, mgr, handle, *attempt))?);
        }
        self.nc().ok_or(Code::NoMemory)
    }

    /// Ends a handle that no later call finds any more: its memory goes when its loop and the calls that have
    /// begun have let go of it. Returns the connection, to wait for the loop.
    pub(super) fn give_up(self: Arc<Self>) -> Arc<Conn> {
        let conn = self.conn.clone();
        if self.home.forks == forks() {
            conn.free(Some(Box::new(self)));
        } else {
            // The loop is the parent's: nothing may be sent, and no set of sockets touched.
            conn.close_after_fork();
            core::mem::forget(self);
        }
        conn
    }

    /// Obeys what a handler did to the fields of `nc`.
    ///
    /// # Safety
    /// The caller is the thread that drives the loop, inside a callback.
    #[inline]
    pub(super) unsafe fn after_handler(&self) {
        if let Some(nc) = self.nc() {
            // SAFETY: as the caller promises.
            unsafe { nc.after_handler(&self.conn) };
        }
    }

    /// A new attempt begins.
    ///
    /// # Safety
    /// As [`after_handler`](Self::after_handler).
    pub(super) unsafe fn attempt_begins(&self) {
        let mut attempt = lock(&self.attempt);
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
    pub(super) unsafe fn attempt_ended(&self, os: c_int) {
        let mut attempt = lock(&self.attempt);
        *attempt = Attempt::ended(os);
        if let Some(nc) = self.nc() {
            // SAFETY: as the caller promises.
            unsafe { nc.attempt_ended(os) };
        }
    }

    /// mg_set_timer().
    pub(super) fn set_timer(&self, timestamp: f64) -> Result<f64, Code> {
        if !timestamp.is_finite() {
            return Err(Code::BadArgument);
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

    pub(super) fn by_hand(&self, closed: bool) {
        self.closed_by_hand.store(closed, Ordering::Relaxed);
    }
}

/// The connection of an `nc`.
///
/// # Safety
/// `nc` is NULL or points to a `struct mg_connection`.
pub(super) unsafe fn conn_of(nc: *mut mg_connection) -> Result<Arc<Handle>, Code> {
    if nc.is_null() {
        return Err(Code::NullArgument);
    }
    // SAFETY: not NULL, and valid as the caller promises. This field never changes, so it may be read
    // from any thread.
    let handle: *mut c_void = unsafe { (*nc).priv_1 };
    // What stands there is an address to be looked up, not followed.
    let handle = HANDLES
        .get(handle)
        .filter(|handle| handle.nc().is_some_and(|own| own.as_ptr() == nc))
        .ok_or(Code::BadArgument)?;
    handle.conn()?;
    Ok(handle)
}
