//! What stands behind the opaque handles: loops, connections, and the process's default ones.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use once_cell::sync::OnceCell;

use super::boundary::timeout;
use super::callbacks::NcKeeper;
use super::fork::{forks, watch_forks};
use super::mgos_mongoose::{
    MG_F_CLOSE_IMMEDIATELY, MG_F_CONNECTING, MG_F_RESOLVING, MG_F_SEND_AND_CLOSE, mbuf, mg_connection, mg_mgr,
};
use super::mgos_mqtt_conn::{create, mgos_mqtt_conn};
use super::mgos_mqtt_loop::mgos_mqtt_loop;
use super::registry::Registry;
use super::{config::system, profiles};
use crate::client::{Conn, ConnectParams, Context, Entry, ProfileSource};
use crate::config::{SectionId, Settings};
use crate::driver::{Clock, DriveError, Loop};
use crate::error::Code;
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

/// A connection. The `nc` that handlers see is a part of it, so it lives exactly as long.
pub(super) struct Handle {
    /// Only the thread that drives the loop, and the handlers it runs, touch the fields of this.
    nc: UnsafeCell<mg_connection>,
    conn: Arc<Conn>,
    /// The loop is kept for its address, which `nc.mgr` shows.
    home: Arc<LoopHandle>,
    forks: u32,
    rare: Mutex<Rarities>,
    /// The receive limit that was applied last, to see when a handler changes it.
    applied_limit: UnsafeCell<usize>,
    /// The application closed the global connection by hand, so a new configuration does not open it.
    pub(super) closed_by_hand: AtomicBool,
}

/// What few connections ever have.
struct Rarities {
    /// What CONNECT would say, while a connect hook may still answer.
    prepared: Option<Box<ConnectParams>>,
    /// The time of day for which mg_set_timer() was called.
    timer: f64,
}

// SAFETY: `nc` and `applied_limit` are touched by the thread that drives the loop only; the driver hands its
// role over with the synchronisation that this needs. Everything else is `Sync` by itself.
unsafe impl Sync for Handle {}
// SAFETY: nothing in it belongs to a thread; the pointers in `nc` are never followed by Rust.
unsafe impl Send for Handle {}

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

impl LoopHandle {
    pub(super) fn create() -> Result<Arc<LoopHandle>, Code> {
        watch_forks();
        let driver = Loop::new(Clock::from_fn(boot_clock)).map_err(|_| Code::NoResources)?;
        let mut context = Context::new(driver);
        // Before all others, so that it runs last.
        context.common.keeper = Some(Entry::shared(NcKeeper::KINDS, Box::new(NcKeeper)));
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
        let limit = conn.receive_limit();
        let empty = || mbuf { buf: ptr::null_mut(), len: 0, size: 0 };
        let nc = mg_connection {
            mgr: home.as_mgr(),
            priv_1: ptr::null_mut(),
            err: 0,
            recv_mbuf_limit: limit,
            recv_mbuf: empty(),
            send_mbuf: empty(),
            ev_timer_time: 0.0,
            proto_data: ptr::null_mut(),
            user_data: ptr::null_mut(),
            flags: 0,
        };
        let handle = Arc::new(Handle {
            nc: UnsafeCell::new(nc),
            conn,
            forks: home.forks,
            home,
            rare: Mutex::new(Rarities { prepared: None, timer: 0.0 }),
            applied_limit: UnsafeCell::new(limit),
            closed_by_hand: AtomicBool::new(false),
        });
        // SAFETY: just made, and nobody else has it yet.
        unsafe { (*handle.nc.get()).priv_1 = handle.as_ptr().cast() };
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
        if self.forks == forks() { Ok(&self.conn) } else { Err(Code::Forked) }
    }

    /// Whether it belongs to this loop.
    pub(super) fn is_on(&self, home: &LoopHandle) -> bool {
        ptr::eq(&*self.home, home)
    }

    pub(super) fn as_ptr(&self) -> *mut mgos_mqtt_conn {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// The `nc` of this connection.
    pub(super) fn nc(&self) -> *mut mg_connection {
        self.nc.get()
    }

    /// Ends a handle that no later call finds any more: its memory goes when its loop and the calls that have
    /// begun have let go of it. Returns the connection, to wait for the loop.
    pub(super) fn give_up(self: Arc<Self>) -> Arc<Conn> {
        let conn = self.conn.clone();
        if self.forks == forks() {
            conn.free(Some(Box::new(self)));
        } else {
            // The loop is the parent's: nothing may be sent, and no set of sockets touched.
            conn.close_after_fork();
            core::mem::forget(self);
        }
        conn
    }

    /// Brings the fields of `nc` up to date before a handler sees them.
    ///
    /// # Safety
    /// The caller is the thread that drives the loop, inside a callback.
    #[inline]
    pub(super) unsafe fn before_handler(&self) {
        // SAFETY: no other thread touches it, as the caller promises.
        unsafe { (*self.nc.get()).send_mbuf.len = self.conn.output_level() };
    }

    /// Obeys what a handler did to the fields of `nc`.
    ///
    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    #[inline]
    pub(super) unsafe fn after_handler(&self) {
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &*self.nc.get() };
        // SAFETY: as above.
        let limit = unsafe { *self.applied_limit.get() };
        if nc.flags & (MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY) != 0 || nc.recv_mbuf_limit != limit {
            // SAFETY: as above.
            unsafe { self.obey() };
        }
    }

    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    #[cold]
    unsafe fn obey(&self) {
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &mut *self.nc.get() };
        if nc.flags & (MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY) != 0 {
            let graceful = nc.flags & MG_F_CLOSE_IMMEDIATELY == 0;
            nc.flags &= !(MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY);
            let code = if self.conn.awaits_connect() { Code::HookAborted } else { Code::ClosedByClient };
            // A connection that is being freed needs no closing.
            let _ = self.conn.drop_link(code, graceful);
        }
        // SAFETY: as above.
        let applied = unsafe { &mut *self.applied_limit.get() };
        if nc.recv_mbuf_limit != *applied {
            *applied = nc.recv_mbuf_limit;
            let _ = self.conn.set_receive_limit(nc.recv_mbuf_limit);
        }
    }

    /// A new attempt begins: what `nc` shows starts anew.
    ///
    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    pub(super) unsafe fn attempt_begins(&self) {
        let limit = self.conn.receive_limit();
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &mut *self.nc.get() };
        nc.flags &= !(MG_F_SEND_AND_CLOSE | MG_F_CLOSE_IMMEDIATELY);
        nc.flags |= MG_F_RESOLVING | MG_F_CONNECTING;
        nc.err = 0;
        nc.recv_mbuf_limit = limit;
        // SAFETY: as above.
        unsafe { *self.applied_limit.get() = limit };
    }

    /// An attempt ended, or a connection.
    ///
    /// # Safety
    /// As [`before_handler`](Self::before_handler).
    pub(super) unsafe fn attempt_ended(&self, os: c_int) {
        // SAFETY: no other thread touches it, as the caller promises.
        let nc = unsafe { &mut *self.nc.get() };
        nc.flags &= !(MG_F_RESOLVING | MG_F_CONNECTING);
        nc.err = os;
        lock(&self.rare).prepared = None;
    }

    pub(super) fn prepare(&self, params: &ConnectParams) {
        lock(&self.rare).prepared = Some(Box::new(params.clone()));
    }

    pub(super) fn prepared(&self) -> Option<ConnectParams> {
        lock(&self.rare).prepared.as_deref().cloned()
    }

    /// mg_set_timer().
    pub(super) fn set_timer(&self, timestamp: f64) -> Result<f64, Code> {
        if !timestamp.is_finite() {
            return Err(Code::BadArgument);
        }
        let conn = self.conn()?;
        let before = core::mem::replace(&mut lock(&self.rare).timer, timestamp);
        let at = (timestamp > 0.0).then(|| {
            let ahead = (timestamp - wall_clock()).clamp(0.0, 1e12);
            self.home.driver().now() + Span::micros((ahead * 1e6) as u64)
        });
        conn.set_timer(at)?;
        Ok(before)
    }

    /// The timer came: the time it was set for.
    pub(super) fn timer_came(&self) -> f64 {
        core::mem::replace(&mut lock(&self.rare).timer, 0.0)
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
    let handle = HANDLES.get(handle).filter(|handle| handle.nc() == nc).ok_or(Code::BadArgument)?;
    handle.conn()?;
    Ok(handle)
}
