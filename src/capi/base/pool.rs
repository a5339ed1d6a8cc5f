//! Handles that are looked up for each message.
//!
//! As in a [registry](super::registry), C holds addresses and a call gets a counted reference. Here that takes one atomic
//! step and no lock, since the memory of a value is never given back, only used again for the next of its kind: its count can be
//! read, whoever frees it meanwhile. So the memory of as many as ever lived at the same time is kept, some words each.

use core::any::Any;
use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering, fence};

use crate::sync::{ProcessWide, RwLock};

/// In the count of a value that calls find.
const KNOWN: u32 = 1 << 31;

/// So many addresses that were looked up last are found without the table.
const RECENT: usize = 64;

/// A kind of value, and where all of that kind are.
pub(in crate::capi) trait Pooled: Send + Sync + Sized + 'static {
    /// The pool.
    fn pool() -> &'static Pool<Self>;
}

/// The memory of a value.
#[repr(C)]
struct Place<T> {
    /// The first field: C has its address. There is a value while the count is not 0.
    value: UnsafeCell<MaybeUninit<T>>,
    /// The references, and [`KNOWN`]. There are never as many references as would reach that bit: each is held by a call,
    /// or takes more memory than it counts.
    count: AtomicU32,
}

// SAFETY: references to the value are all that threads share of it, and it is Sync; the last of them drops it, and it is Send.
unsafe impl<T: Send + Sync> Sync for Place<T> {}

impl<T: Pooled> Place<T> {
    /// One more reference, unless it is not known any more.
    #[inline(always)]
    fn take(&'static self) -> Option<Ref<T>> {
        let mut count = self.count.load(Ordering::Relaxed);
        while count & KNOWN != 0 {
            match self.count.compare_exchange_weak(count, count + 1, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Ref(self)),
                Err(now) => count = now,
            }
        }
        None
    }

    /// From now on no call finds it. What the pool held of it is the reference.
    fn forget(&'static self) -> Ref<T> {
        self.count.fetch_sub(KNOWN - 1, Ordering::AcqRel);
        Ref(self)
    }

    #[inline(always)]
    fn addr(&self) -> usize {
        ptr::from_ref(self).addr()
    }
}

/// A counted reference to a value.
pub(in crate::capi) struct Ref<T: Pooled>(&'static Place<T>);

impl<T: Pooled> Deref for Ref<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: there is a value as long as it is counted, and nobody has it mutably.
        unsafe { (*self.0.value.get()).assume_init_ref() }
    }
}

impl<T: Pooled> Clone for Ref<T> {
    fn clone(&self) -> Self {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Ref(self.0)
    }
}

impl<T: Pooled> Drop for Ref<T> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::Release) == 1 {
            end(self.0);
        }
    }
}

/// The last reference to a value that is not known is gone.
#[cold]
#[inline(never)]
fn end<T: Pooled>(place: &'static Place<T>) {
    // What others did with it comes before its end.
    fence(Ordering::Acquire);
    // SAFETY: there is a value, and nobody has a reference, or finds it to get one.
    unsafe { (*place.value.get()).assume_init_drop() };
    // There is room: see `Pool::place`.
    T::pool().tables.write().free.push(place);
}

/// The values of one kind.
pub(in crate::capi) struct Pool<T: 'static> {
    tables: RwLock<Tables<T>>,
    recent: [AtomicPtr<Place<T>>; RECENT],
}

struct Tables<T: 'static> {
    /// Sorted by address.
    known: Vec<&'static Place<T>>,
    /// Without a value.
    free: Vec<&'static Place<T>>,
    /// How many places there are.
    made: usize,
}

impl<T: Pooled> Pool<T> {
    pub(in crate::capi) const fn new() -> Self {
        Pool {
            tables: RwLock::new(Tables { known: Vec::new(), free: Vec::new(), made: 0 }),
            recent: [const { AtomicPtr::new(ptr::null_mut()) }; RECENT],
        }
    }

    /// A value that calls find by the address of what they get. It is `prepared` before the first of them can.
    pub(in crate::capi) fn insert(&self, value: T, prepare: impl FnOnce(&T)) -> Ref<T> {
        let place = self.place();
        // SAFETY: the place is free, so nobody looks at it.
        unsafe { (*place.value.get()).write(value) };
        place.count.store(1, Ordering::Relaxed);
        let value = Ref(place);
        prepare(&value);
        let mut tables = self.tables.write();
        let (Ok(at) | Err(at)) = find(&tables.known, place.addr());
        tables.known.insert(at, place);
        place.count.fetch_or(KNOWN, Ordering::Release);
        value
    }

    fn place(&self) -> &'static Place<T> {
        let mut tables = self.tables.write();
        if let Some(place) = tables.free.pop() {
            return place;
        }
        tables.made += 1;
        // So that there is room for each of them when its value ends.
        let made = tables.made;
        tables.free.reserve(made);
        Box::leak(Box::new(Place { value: UnsafeCell::new(MaybeUninit::uninit()), count: AtomicU32::new(0) }))
    }

    /// The value at this address.
    #[inline(always)]
    pub(in crate::capi) fn get<P>(&self, address: *const P) -> Option<Ref<T>> {
        let recent = self.recent(address.addr()).load(Ordering::Acquire);
        let place = if recent.addr() == address.addr() && !recent.is_null() {
            // SAFETY: it is a place, and they stay.
            unsafe { &*recent }
        } else {
            self.look_up(address.addr())?
        };
        place.take()
    }

    #[inline(always)]
    fn recent(&self, addr: usize) -> &AtomicPtr<Place<T>> {
        // Memory comes in multiples of 16 bytes.
        &self.recent[(addr >> 4) % RECENT]
    }

    #[inline(never)]
    fn look_up(&self, addr: usize) -> Option<&'static Place<T>> {
        let tables = self.tables.read();
        let place = tables.known[find(&tables.known, addr).ok()?];
        self.recent(addr).store(ptr::from_ref(place).cast_mut(), Ordering::Release);
        Some(place)
    }

    /// Takes the value at this address out: no later call finds it.
    pub(in crate::capi) fn remove<P>(&self, address: *const P) -> Option<Ref<T>> {
        let mut tables = self.tables.write();
        let at = find(&tables.known, address.addr()).ok()?;
        Some(tables.known.remove(at).forget())
    }

    /// All values of which `which` says so.
    pub(in crate::capi) fn all(&self, which: impl Fn(&T) -> bool) -> Vec<Ref<T>> {
        let tables = self.tables.read();
        tables.known.iter().filter_map(|place| place.take()).filter(|value| which(value)).collect()
    }

    /// Takes out all values of which `which` says so.
    pub(in crate::capi) fn remove_all(&self, which: impl Fn(&T) -> bool) -> Vec<Ref<T>> {
        let which = |place: &mut &'static Place<T>| place.take().is_some_and(|value| which(&value));
        self.tables.write().known.extract_if(.., which).map(Place::forget).collect()
    }
}

impl<T: Pooled> ProcessWide for Pool<T> {
    fn hold(&'static self) -> Box<dyn Any> {
        self.tables.hold()
    }
}

fn find<T: Pooled>(known: &[&'static Place<T>], addr: usize) -> Result<usize, usize> {
    known.binary_search_by_key(&addr, |place| place.addr())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    static POOL: Pool<Value> = Pool::new();

    /// How often its number is there is how many of these are alive.
    struct Value {
        number: Arc<u32>,
    }

    impl Pooled for Value {
        fn pool() -> &'static Pool<Value> {
            &POOL
        }
    }

    fn addr(value: &Ref<Value>) -> *const Value {
        &raw const **value
    }

    /// One test, as there is one pool.
    #[test]
    fn a_value_lives_as_long_as_somebody_has_it() {
        assert!(POOL.get(ptr::null::<u8>()).is_none());
        let alive = Arc::new(7);
        let first = POOL.insert(Value { number: alive.clone() }, |value| assert_eq!(*value.number, 7));
        let address = addr(&first);
        for _ in 0..2 {
            // By the table, and as the one before.
            assert_eq!(*POOL.get(address).unwrap().number, 7);
        }
        assert!(POOL.get(address.wrapping_add(1)).is_none());

        drop(first);
        assert_eq!(Arc::strong_count(&alive), 2, "the pool has it");
        let last = POOL.remove(address).unwrap();
        assert!(POOL.get(address).is_none() && POOL.remove(address).is_none());
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(last.clone());
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(last);
        assert_eq!(Arc::strong_count(&alive), 1);

        // Its memory is used again, and then an old address is that of the new value.
        let second = POOL.insert(Value { number: Arc::new(8) }, |_| ());
        assert_eq!(addr(&second), address);
        assert_eq!(*POOL.get(address).unwrap().number, 8);

        // Whatever other threads find meanwhile is whole, and ends once.
        let rounds = if cfg!(miri) { 20 } else { 2_000 };
        let number = address.addr();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        if let Some(found) = POOL.get(ptr::without_provenance::<Value>(number)) {
                            assert!([7, 8].contains(&*found.number));
                        }
                    }
                });
            }
            let mut value = second;
            for _ in 0..rounds {
                drop(POOL.remove(addr(&value)).unwrap());
                drop(value);
                value = POOL.insert(Value { number: alive.clone() }, |_| ());
            }
            assert_eq!(POOL.all(|value| *value.number == 7).len(), 1);
            assert_eq!(POOL.remove_all(|value| *value.number == 7).len(), 1);
        });
        assert_eq!(Arc::strong_count(&alive), 1);
        assert!(POOL.all(|_| true).is_empty());
    }
}
