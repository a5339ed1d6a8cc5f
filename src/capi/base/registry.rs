//! Which handles are alive.
//!
//! C holds addresses. A call never dereferences one: it looks the address up here and gets a counted
//! reference, so that a handle which another thread frees meanwhile lives until the call is done. A handle
//! that was freed, or never existed, is an error and nothing worse.

use core::any::Any;
use std::sync::Arc;

use crate::sync::{ProcessWide, ReadGuard, RwLock, WriteGuard};

/// The living handles of one kind, sorted by address: every call looks one up, but handles are seldom made and freed.
/// The lock is held only for a look-up or a change of the table.
pub(in crate::capi) struct Registry<T>(RwLock<Vec<Arc<T>>>);

impl<T> Registry<T> {
    pub(in crate::capi) const fn new() -> Self {
        Registry(RwLock::new(Vec::new()))
    }

    #[inline(always)]
    fn read(&self) -> ReadGuard<'_, Vec<Arc<T>>> {
        self.0.read()
    }

    fn write(&self) -> Table<'_, T> {
        self.0.write()
    }

    /// Makes a handle known; its address is what C gets.
    pub(in crate::capi) fn insert(&self, handle: Arc<T>) -> *mut T {
        let address = Arc::as_ptr(&handle);
        let mut all = self.write();
        let (Ok(at) | Err(at)) = place(&all, address);
        all.insert(at, handle);
        address.cast_mut()
    }

    /// The handle at this address.
    #[inline(always)]
    pub(in crate::capi) fn get<P>(&self, address: *const P) -> Option<Arc<T>> {
        let all = self.read();
        place(&all, address).ok().map(|at| all[at].clone())
    }

    /// Whether there is a handle at this address; `None` if the table is locked at this moment. Takes no reference and
    /// never waits.
    pub(in crate::capi) fn has_now<P>(&self, address: *const P) -> Option<bool> {
        self.0.try_read().map(|all| place(&all, address).is_ok())
    }

    /// Takes the handle at this address out: no later call finds it.
    pub(in crate::capi) fn remove<P>(&self, address: *const P) -> Option<Arc<T>> {
        let mut all = self.write();
        place(&all, address).ok().map(|at| all.remove(at))
    }
}

impl<T> ProcessWide for Registry<T> {
    fn hold(&'static self) -> Box<dyn Any> {
        self.0.hold()
    }
}

type Table<'a, T> = WriteGuard<'a, Vec<Arc<T>>>;

/// The place of the handle at this address, or where it would be inserted.
#[inline(always)]
fn place<T, P>(all: &[Arc<T>], address: *const P) -> Result<usize, usize> {
    all.binary_search_by_key(&address.addr(), |handle| Arc::as_ptr(handle).addr())
}
