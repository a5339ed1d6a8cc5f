//! A boxed value that is allocated when it is first written.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use crate::error::Code;

/// What a [`LazyBox`] reads as before it is first written.
pub trait Empty: 'static {
    /// Nothing.
    const EMPTY: &'static Self;
}

/// A value that is empty for most of its owners: one pointer, which reads as `T::EMPTY` until it is first written.
#[derive(Clone, Debug)]
pub struct LazyBox<T>(Option<Box<[T; 1]>>);

impl<T> LazyBox<T> {
    /// Nothing yet; allocates nothing.
    pub const fn new() -> Self {
        LazyBox(None)
    }

    /// The value, if there is one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.0.as_deref().map(|[value]| value)
    }

    /// The value to be changed, if there is one.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut().map(|[value]| value)
    }

    /// The value, mutable; made by `make` if there was none.
    #[inline]
    pub fn try_make_by(&mut self, make: impl FnOnce() -> T) -> Result<&mut T, Code> {
        match &mut self.0 {
            Some(boxed) => Ok(&mut boxed[0]),
            none => fill(none, make),
        }
    }

    /// Takes the value and leaves none.
    pub fn take(&mut self) -> Option<T> {
        self.0.take().map(|boxed| {
            let [value] = *boxed;
            value
        })
    }
}

impl<T: Default> LazyBox<T> {
    /// The value to be changed.
    #[inline]
    pub fn try_make(&mut self) -> Result<&mut T, Code> {
        self.try_make_by(T::default)
    }

    /// The value, mutable, where running out of memory may abort.
    pub fn make(&mut self) -> &mut T {
        match &mut self.0 {
            Some(boxed) => &mut boxed[0],
            none => relied_on(none),
        }
    }
}

impl<T> Default for LazyBox<T> {
    fn default() -> Self {
        LazyBox::new()
    }
}

impl<T: Empty> Deref for LazyBox<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Some(boxed) => &boxed[0],
            None => T::EMPTY,
        }
    }
}

/// Mutable access to an existing value. A caller that may be the first to write
/// [makes](LazyBox::try_make) it before.
impl<T: Empty + Default> DerefMut for LazyBox<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        debug_assert!(self.0.is_some(), "it was not made");
        match &mut self.0 {
            Some(boxed) => &mut boxed[0],
            none => relied_on(none),
        }
    }
}

#[cold]
#[inline(never)]
fn relied_on<T: Default>(place: &mut Option<Box<[T; 1]>>) -> &mut T {
    &mut place.get_or_insert_with(|| Box::new([T::default()]))[0]
}

/// `Box` has no stable fallible allocation; `Vec` has.
#[cold]
#[inline(never)]
fn fill<T>(place: &mut Option<Box<[T; 1]>>, make: impl FnOnce() -> T) -> Result<&mut T, Code> {
    Ok(&mut place.insert(try_box(make)?)[0])
}

/// A box of one, if there is memory for it.
pub fn try_box<T>(make: impl FnOnce() -> T) -> Result<Box<[T; 1]>, Code> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| Code::NoMemory)?;
    one.push(make());
    one.try_into().map_err(|_| Code::NoMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Empty for u64 {
        const EMPTY: &'static u64 = &7;
    }

    #[test]
    fn it_is_a_pointer_and_empty_until_it_is_written_to() {
        assert_eq!(size_of::<LazyBox<[u64; 9]>>(), size_of::<usize>());
        let mut rare = LazyBox::<u64>::new();
        assert_eq!((*rare, rare.get().copied(), rare.take()), (7, None, None));
        assert!(rare.get_mut().is_none());
        *rare.try_make_by(|| 1).unwrap() += 1;
        *rare.try_make().unwrap() += 1;
        *rare.make() += 1;
        assert_eq!((*rare, rare.take(), *rare), (4, Some(4), 7));
    }
}
