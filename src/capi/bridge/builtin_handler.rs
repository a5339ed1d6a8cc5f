//! The first handler of every connection of a loop: it keeps `nc` up to date and raises the cloud events.

use crate::capi::bridge::event_bus;
use crate::capi::bridge::handle::Handle;
use crate::capi::bridge::nc::Attempt;
use crate::client::{Callback, Conn, Event, Kind};
use crate::error::Code;

/// Raises the cloud events and then keeps the fields of `nc` up to date, for all connections of a loop.
pub(in crate::capi) struct BuiltinHandler;

impl BuiltinHandler {
    pub(in crate::capi) const KINDS: u32 =
        Kind::Connecting.bit() | Kind::ConnectResult.bit() | Kind::Close.bit() | event_bus::KINDS;
}

impl Callback<Conn> for BuiltinHandler {
    fn call(&self, conn: &Conn, event: &Event<'_>) {
        // SAFETY: what a connection is known by is its handle, which is there whenever a callback runs, or NULL.
        let Some(handle) = (unsafe { conn.owner_tag().cast::<Handle>().as_ref() }) else { return };
        event_bus::raise(conn, event);
        match event {
            // SAFETY: callbacks run on the thread that drives the loop.
            Event::Connecting => unsafe { handle.attempt_begins() },
            Event::ConnectResult { error, .. } => {
                let how = match error {
                    Code::Ok => Attempt::succeeded(conn),
                    _ => Attempt::ended(conn.report().os),
                };
                // SAFETY: as above.
                unsafe { handle.attempt_ended(how) };
            }
            // SAFETY: as above.
            Event::Close(report) => unsafe { handle.attempt_ended(Attempt::ended(report.os)) },
            _ => {}
        }
        // A handler of the event bus may have got `nc`, too.
        // SAFETY: as above.
        unsafe { handle.after_handler() };
    }

    fn iteration_begin(&self, conn: &Conn) {
        // SAFETY: as in `call`: a connection has its handle as long as it gets turns.
        let Some(handle) = (unsafe { conn.owner_tag().cast::<Handle>().as_ref() }) else { return };
        // SAFETY: this is the thread that drives the loop.
        unsafe { handle.after_handler() };
    }
}
