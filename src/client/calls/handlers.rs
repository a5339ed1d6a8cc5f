//! Registering and removing handlers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::client::Conn;
use crate::client::conn::{Entry, State};
use crate::client::handlers::callback::{Callback, Identity, Slot};
use crate::client::handlers::event::Kind;
use crate::error::Code;
use crate::time::Moment;

impl Conn {
    /// Adds a handler for the events of this connection that `kinds` has the bits of. On an error the
    /// callback is disarmed: its user data stays the caller's.
    pub fn add_handler(
        &self,
        identity: Identity,
        kinds: u32,
        callback: Box<dyn Callback<Conn>>,
    ) -> Result<(), Code> {
        self.add_entry(Entry::new(identity, kinds, callback))
    }

    fn add_entry(&self, entry: Arc<Entry>) -> Result<(), Code> {
        let mut st = self.usable().inspect_err(|_| entry.disarm())?;
        st.handlers.reserve(1).inspect_err(|_| entry.disarm())?;
        st.handlers.add(entry);
        self.handlers_changed(&mut st);
        Ok(())
    }

    /// Removes the newest handler with this identity; false if there is none.
    pub fn remove_handler(&self, identity: Identity) -> bool {
        let mut st = self.lock();
        let removed = st.handlers.remove(identity);
        self.handlers_changed(&mut st);
        drop(st);
        !removed.is_empty()
    }

    /// Puts a callback into a slot, or clears that; the callback that was there is not called any more.
    pub fn set_slot(&self, slot: Slot, callback: Option<Box<dyn Callback<Conn>>>) -> Result<(), Code> {
        let entry = callback.map(|callback| Entry::new(Identity(0, 0), slot.kind().bit(), callback));
        self.set_slot_entry(slot, entry)
    }

    fn set_slot_entry(&self, slot: Slot, entry: Option<Arc<Entry>>) -> Result<(), Code> {
        let mut st = match self.usable() {
            Ok(st) => st,
            Err(code) => {
                if let Some(entry) = entry {
                    entry.disarm();
                }
                return Err(code);
            }
        };
        if let Err(code) = st.handlers.reserve(1) {
            drop(st);
            if let Some(entry) = entry {
                entry.disarm();
            }
            return Err(code);
        }
        let removed = st.handlers.set_slot(slot, entry);
        drop(st);
        drop(removed);
        Ok(())
    }

    /// A handler was added, or its event mask grew.
    pub(in crate::client) fn registered(&self) {
        self.registrations.fetch_add(1, Ordering::Relaxed);
    }

    /// Handlers of [`Poll`](crate::client::Event::Poll) are called in each iteration of the loop from now on, not only after a turn of this
    /// connection.
    pub fn poll_each_iteration(&self) {
        let mut st = self.lock();
        st.extras.make().each_iteration = true;
        self.handlers_changed(&mut st);
    }

    /// From now on the [built-in handler](crate::client::Common) is called at the beginning of each iteration of the loop.
    pub fn watch(&self) -> Result<(), Code> {
        drop(self.usable()?);
        match self.source.get() {
            Some(id) if self.context.driver.set_every_begin(*id) => Ok(()),
            _ => Err(Code::NoMemory),
        }
    }

    fn handlers_changed(&self, st: &mut State) {
        self.registered();
        let wants_outcomes = st.handlers.wants(Kind::Outcome);
        st.want_outcomes(wants_outcomes);
        let wanted = st.handlers.wants(Kind::Poll) && !st.freed;
        if let Some(id) = self.source.get() {
            self.context.driver.set_every_iteration(*id, wanted && st.extras.each_iteration);
        }
        if !wanted {
            st.tick_at = Moment::NONE;
        }
        self.schedule(st);
    }
}
