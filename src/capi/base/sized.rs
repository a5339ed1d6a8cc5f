//! Structures that may grow: they begin with their size as in the caller's header, and new fields are added at
//! the end. A caller with an older header passes a shorter structure, one with a newer header a longer one.

use core::mem::MaybeUninit;
use core::ptr;

use crate::capi::base::boundary::{bytes, explain};
use crate::error::Code;

/// No structure is longer: a larger first field is not a size.
const LONGEST: usize = 4096;

/// A structure that may grow.
///
/// # Safety
/// It is `repr(C)`, its first field is `size: usize`, and zeros are valid for every field.
pub(in crate::capi) unsafe trait Growing: Sized {
    /// What C calls it.
    const NAME: &'static str;
    /// The size of its first version; nothing shorter is accepted.
    const FIRST: usize;

    /// Zeros: every default.
    fn zeros() -> Self {
        // SAFETY: promised by whoever implements this.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

/// # Safety
/// `start` is not NULL and has a `size`.
unsafe fn size_of_callers<T: Growing>(start: *const T) -> Result<usize, Code> {
    // SAFETY: promised by the caller; the first field is there in every version.
    let size = unsafe { start.cast::<usize>().read() };
    if (T::FIRST..=LONGEST).contains(&size) {
        return Ok(size);
    }
    let remedy = if size == 0 { "; set it to the sizeof of the structure" } else { "" };
    explain(format_args!(
        "size of struct {} is {size}; allowed are {} to {LONGEST}{remedy}",
        T::NAME,
        T::FIRST
    ));
    Err(Code::BadStructure)
}

/// Reads the caller's structure, with zeros for fields that its header does not have. [`Code::BadStructure`] if it
/// sets fields that this library does not know.
///
/// # Safety
/// `start` is NULL or has as many bytes as its first field says, valid for `T`.
pub(in crate::capi) unsafe fn read<T: Growing>(start: *const T) -> Result<T, Code> {
    if start.is_null() {
        return Err(Code::NullArgument);
    }
    // SAFETY: promised by the caller.
    let size = unsafe { size_of_callers(start) }?;
    let known = size_of::<T>().min(size);
    // SAFETY: the caller has `size` bytes.
    let more = unsafe { bytes(start.cast::<u8>().add(known), size - known) }?;
    if let Some(at) = more.iter().position(|byte| *byte != 0) {
        explain(format_args!(
            "struct {} has a value at byte {}, in a field that this library does not know: it knows {known} bytes, and \
             size is {size}",
            T::NAME,
            known + at
        ));
        return Err(Code::BadStructure);
    }
    let mut copy = T::zeros();
    // SAFETY: both sides have that many bytes.
    unsafe { ptr::copy_nonoverlapping(start.cast::<u8>(), (&raw mut copy).cast(), known) };
    Ok(copy)
}

/// Fills the caller's structure as far as its header goes, with zeros for fields that this library does
/// not know. The size stays.
///
/// # Safety
/// `start` is NULL or has as many bytes as its first field says.
pub(in crate::capi) unsafe fn write<T: Growing>(start: *mut T, content: T) -> Result<(), Code> {
    if start.is_null() {
        return Err(Code::NullArgument);
    }
    // SAFETY: promised by the caller.
    let size = unsafe { size_of_callers(start) }?;
    let known = size_of::<T>().min(size);
    // SAFETY: both sides have that many bytes.
    unsafe { ptr::copy_nonoverlapping((&raw const content).cast::<u8>(), start.cast(), known) };
    // SAFETY: the caller has `size` bytes.
    unsafe { start.cast::<u8>().add(known).write_bytes(0, size - known) };
    // SAFETY: the first field is there in every version.
    unsafe { start.cast::<usize>().write(size) };
    Ok(())
}
