//! Stands in for `mgos_mongoose.rs` until that file is part of the build; see `mod.rs`.

use core::ffi::c_char;

/// A piece of text: a pointer and a length, in general without a NUL behind it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_str {
    /// The first byte; may be NULL if `len` is 0.
    pub p: *const c_char,
    /// How many bytes.
    pub len: usize,
}
