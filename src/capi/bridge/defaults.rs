//! The default loop and the global connection: one of each in a process, made on first use.
//!
//! The child of a fork makes its own. Its global connection is configured as the parent's was; subscriptions, handlers
//! and the queue stay with the parent.

use core::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::capi::base::boundary::value;
use crate::capi::base::pool::Ref;
use crate::capi::bridge::create_loop::create_loop;
use crate::capi::bridge::handle::{HANDLES, Handle, LoopHandle, give_up};
use crate::capi::bridge::profiles;
use crate::capi::types::mgos_mqtt_conn::mgos_mqtt_conn;
use crate::client::{Configured, Conn, Level, LogHeld};
use crate::config::{SectionId, Settings};
use crate::error::Code;
use crate::sync::{Mutex, MutexGuard};

/// The default loop, which is never freed; NULL before its first use. Written under [`CHANGES`].
static DEFAULT_LOOP: AtomicPtr<Arc<LoopHandle>> = AtomicPtr::new(ptr::null_mut());
/// The global connection; NULL before its first use. Written under [`CHANGES`].
static GLOBAL: AtomicPtr<Handle> = AtomicPtr::new(ptr::null_mut());
/// Held while either is made or ended, and never while user code runs.
pub(in crate::capi) static CHANGES: Mutex<Inheritance> = Mutex::new(Inheritance { global: None });

/// mgos_mqtt_loop_break() was called before there was a default loop.
static BROKEN: AtomicBool = AtomicBool::new(false);

/// As [`LoopHandle::break_runs`], for the default loop. Takes no lock and allocates no memory.
pub(in crate::capi) fn break_runs_of_default() {
    match known_loop().filter(|home| home.is_ours()) {
        Some(home) => home.break_runs(),
        None => BROKEN.store(true, Ordering::SeqCst),
    }
}

/// What the child of a fork takes over from its parent.
pub(in crate::capi) struct Inheritance {
    /// How the parent's global connection was configured, if it had one.
    global: Option<Configured>,
}

/// What is logged in the child when it first uses either.
const NEW_AFTER_FORK: &str = "this process was forked: its default loop and global connection are new and have to be \
    driven here; the configuration carries over, subscriptions, handlers and queued messages do not";

/// The default loop of this process or, in the child of a fork that has not used it yet, of its parent.
fn known_loop() -> Option<&'static Arc<LoopHandle>> {
    // SAFETY: NULL, or a box that is never released.
    unsafe { DEFAULT_LOOP.load(Ordering::Acquire).as_ref() }
}

/// The default loop, made on first use.
pub(in crate::capi) fn default_loop() -> Result<&'static Arc<LoopHandle>, Code> {
    match known_loop().filter(|home| home.is_ours()) {
        Some(home) => Ok(home),
        None => {
            let changes = CHANGES.lock();
            let made = make_default_loop(&changes)?;
            drop(changes);
            Ok(made.announce())
        }
    }
}

/// The default loop, and whether it is new in this process.
struct Made {
    home: &'static Arc<LoopHandle>,
    after_fork: bool,
}

impl Made {
    /// Logs that the child of a fork does not have its parent's subscriptions and handlers. Calls the log function:
    /// no lock may be held.
    fn announce(self) -> &'static Arc<LoopHandle> {
        if self.after_fork {
            self.home.context.log.now(Level::Warn, NEW_AFTER_FORK);
        }
        self.home
    }
}

fn make_default_loop(_: &MutexGuard<'_, Inheritance>) -> Result<Made, Code> {
    let former = known_loop();
    if let Some(home) = former.filter(|home| home.is_ours()) {
        return Ok(Made { home, after_fork: false });
    }
    let home = create_loop()?;
    if BROKEN.swap(false, Ordering::SeqCst) {
        home.break_runs();
    }
    if let Some(former) = former {
        home.context.log.inherit(&former.context.log);
    }
    let home: &'static Arc<LoopHandle> = Box::leak(Box::new(home));
    DEFAULT_LOOP.store(ptr::from_ref(home).cast_mut(), Ordering::Release);
    Ok(Made { home, after_fork: former.is_some() })
}

/// Whether this is the global connection.
pub(in crate::capi) fn is_global(handle: *mut mgos_mqtt_conn) -> bool {
    GLOBAL.load(Ordering::Acquire) == handle.cast()
}

/// The global connection of this process, if there is one.
#[inline]
pub(in crate::capi) fn known_global() -> Option<Ref<Handle>> {
    HANDLES.get(GLOBAL.load(Ordering::Acquire)).filter(|handle| handle.is_ours())
}

/// Warns in the log of the global connection, if there is one.
pub(in crate::capi) fn warn_global(text: &str) {
    if let Some(handle) = known_global()
        && let Ok(conn) = handle.conn()
    {
        conn.warn(text);
    }
}

/// The global connection, made on first use. It has the system configuration's profiles, and connects by
/// itself in the loop's first iteration if they are enabled.
pub(in crate::capi) fn global() -> Result<Ref<Handle>, Code> {
    known_global().map_or_else(make_global, Ok)
}

fn make_global() -> Result<Ref<Handle>, Code> {
    let mut changes = CHANGES.lock();
    if let Some(made) = known_global() {
        return Ok(made);
    }
    let made = make_default_loop(&changes)?;
    let profiles = [SectionId::Mqtt, SectionId::Mqtt1].map(profiles::live);
    let handle = Handle::create(made.home.clone(), 0, profiles.into(), Settings::default())?;
    if let Some(configured) = changes.global.take() {
        handle.conn()?.configure(configured);
    }
    handle.conn()?.connect_by_itself();
    handle.conn()?.poll_each_iteration();
    GLOBAL.store(handle.as_ptr().cast(), Ordering::Release);
    drop(changes);
    made.announce();
    Ok(handle)
}

/// The system configuration has changed, which may open the global connection, if there is one. No lock of the
/// configuration may be held.
pub(in crate::capi) fn configuration_changed() {
    if let Some(handle) = known_global()
        && let Ok(conn) = handle.conn()
    {
        conn.follow_configuration();
    }
}

/// Ends the global connection, if there is one; the next use makes another.
pub(in crate::capi) fn end_global() -> Option<Arc<Conn>> {
    let mut changes = CHANGES.lock();
    // The next one starts from the system configuration, also in the child of a fork.
    changes.global = None;
    let handle = HANDLES.get(GLOBAL.swap(ptr::null_mut(), Ordering::AcqRel))?;
    // Destructors of the application may run now, and may use the global connection.
    drop(changes);
    if !handle.is_ours() {
        handle.close_after_fork();
        return None;
    }
    HANDLES.remove(handle.as_ptr()).map(give_up)
}

/// Before a fork: collects what the child takes over, and takes the locks that it must not find
/// locked. [`CHANGES`] is held.
pub(in crate::capi) fn before_fork() -> (Inheritance, Option<LogHeld<'static>>) {
    let global = known_global().and_then(|handle| handle.conn().ok().map(|conn| conn.configured()));
    // Also that of a parent's loop which this process never used itself: the child takes its log from there.
    (Inheritance { global }, known_loop().map(|home| home.context.log.hold()))
}

/// After a fork, in the child, with no lock held.
pub(in crate::capi) fn in_child(inheritance: Inheritance) {
    if inheritance.global.is_some() {
        // Otherwise the child takes over what this process inherited and did not use.
        *CHANGES.lock() = inheritance;
    }
}

/// Runs `call` with the global connection. Without one, the reason why there is none stays the call's error.
pub(in crate::capi) fn with_global<T>(refused: T, call: impl FnOnce(*mut mgos_mqtt_conn) -> T) -> T {
    let c = value(ptr::null_mut(), || Ok(global()?.as_ptr()));
    if c.is_null() { refused } else { call(c) }
}
