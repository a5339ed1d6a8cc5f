//! The event bus of Mongoose OS, as far as an MQTT client needs it: its handlers, and calling them.

use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use crate::capi::base::boundary::explain;
use crate::capi::types::mgos_event::{mgos_cloud_arg, mgos_cloud_type, mgos_event_sys};
use crate::client::{Conn, Event, Kind};
use crate::error::Code;
use crate::sync::{ReadGuard, RwLock, WriteGuard, entering_user_code};

pub(in crate::capi) type Function =
    unsafe extern "C" fn(ev: c_int, ev_data: *mut c_void, userdata: *mut c_void);

/// The events of a group differ in these bits.
const IN_GROUP: c_int = 0xff;

pub(in crate::capi) struct Entry {
    ev: c_int,
    /// Every event of the group of `ev`.
    group: bool,
    function: Function,
    ud: *mut c_void,
    /// Removed during a dispatch that had already collected it.
    removed: AtomicBool,
}

// SAFETY: the pointer is only passed on; the header says on which thread it comes back.
unsafe impl Send for Entry {}
// SAFETY: as above.
unsafe impl Sync for Entry {}

impl Entry {
    fn is(&self, ev: c_int, group: bool, function: Function, ud: *mut c_void) -> bool {
        self.ev == ev
            && self.group == group
            && self.ud == ud
            && core::ptr::fn_addr_eq(self.function, function)
    }

    fn wants(&self, ev: c_int) -> bool {
        if self.group { self.ev & !IN_GROUP == ev & !IN_GROUP } else { self.ev == ev }
    }
}

/// The handlers, oldest first.
pub(in crate::capi) static ENTRIES: RwLock<Vec<Arc<Entry>>> = RwLock::new(Vec::new());
/// Groups that somebody registered.
pub(in crate::capi) static BASES: RwLock<Vec<c_int>> = RwLock::new(Vec::new());

fn read() -> ReadGuard<'static, Vec<Arc<Entry>>> {
    ENTRIES.read()
}

fn write() -> WriteGuard<'static, Vec<Arc<Entry>>> {
    ENTRIES.write()
}

pub(in crate::capi) fn register_base(base: c_int) -> Result<(), Code> {
    let base = base & !IN_GROUP;
    let mut bases = BASES.write();
    if bases.contains(&base) {
        explain(format_args!("the event base {base:#x} is registered already"));
        return Err(Code::BadArgument);
    }
    bases.try_reserve(1).map_err(|_| Code::NoMemory)?;
    bases.push(base);
    Ok(())
}

pub(in crate::capi) fn add(ev: c_int, group: bool, function: Function, ud: *mut c_void) -> Result<(), Code> {
    let mut entries = write();
    entries.try_reserve(1).map_err(|_| Code::NoMemory)?;
    entries.push(Arc::new(Entry { ev, group, function, ud, removed: AtomicBool::new(false) }));
    Ok(())
}

/// Removes the newest that is exactly this.
pub(in crate::capi) fn remove(
    ev: c_int,
    group: bool,
    function: Function,
    ud: *mut c_void,
) -> Result<(), Code> {
    let mut entries = write();
    let at = entries.iter().rposition(|entry| entry.is(ev, group, function, ud)).ok_or(Code::NotFound)?;
    entries.remove(at).removed.store(true, Ordering::Relaxed);
    Ok(())
}

/// Calls all handlers of an event, newest first, and returns how many there were. No lock is held meanwhile.
///
/// # Safety
/// `ev_data` is what handlers of this event expect.
pub(in crate::capi) unsafe fn trigger(ev: c_int, ev_data: *mut c_void) -> c_int {
    let called: Vec<Arc<Entry>> = read().iter().rev().filter(|entry| entry.wants(ev)).cloned().collect();
    let mut n = 0;
    for entry in called.iter().filter(|entry| !entry.removed.load(Ordering::Relaxed)) {
        entering_user_code();
        // SAFETY: the application's function with its own argument; the rest is promised by the caller.
        unsafe { (entry.function)(ev, ev_data, entry.ud) };
        n += 1;
    }
    n
}

/// The events of a connection that raise cloud events.
pub(in crate::capi) const KINDS: u32 =
    Kind::Connecting.bit() | Kind::ConnectResult.bit() | Kind::Disconnect.bit();

/// Raises the cloud event that an event of a connection is.
pub(in crate::capi) fn raise(conn: &Conn, event: &Event<'_>) {
    let ev = match event {
        // Whatever the configuration says, as in Mongoose OS.
        Event::Connecting => mgos_event_sys::MGOS_EVENT_CLOUD_CONNECTING,
        _ if !conn.cloud_events() => return,
        Event::ConnectResult { error: Code::Ok, .. } => mgos_event_sys::MGOS_EVENT_CLOUD_CONNECTED,
        // The application knows what it did.
        Event::ConnectResult {
            error: Code::ClosedByClient | Code::Reconfigured | Code::CredentialsExpired | Code::NetworkChanged,
            ..
        } => return,
        Event::ConnectResult { .. } => mgos_event_sys::MGOS_EVENT_CLOUD_CONNECTERROR,
        Event::Disconnect => mgos_event_sys::MGOS_EVENT_CLOUD_DISCONNECTED,
        _ => return,
    };
    let mut arg = mgos_cloud_arg { r#type: mgos_cloud_type::MGOS_CLOUD_MQTT };
    // SAFETY: what the header says for these events; it lives until the call returns.
    unsafe { trigger(ev as c_int, (&raw mut arg).cast()) };
}
