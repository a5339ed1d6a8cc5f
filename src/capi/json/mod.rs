//! The formatted publish and the `json_printf` family.
//!
//! | file         | what |
//! |--------------|------|
//! | `forward.rs` | exported naked functions, one jump each: C code linked into a cdylib is not exported |
//! | `entry.rs`   | what `varargs.c` calls: unsafe edges, panics stopped here |
//! | `publish.rs` | where the finished payload goes |
//! | `out.rs`     | `Sink` over a `struct json_out`, and the buffer that grows |
//! | `array.rs`   | `Args` over one element of an array |
//! | `args.rs`    | `Args` over the callback of `varargs.c`, which owns the va_list |
//! | `format.rs`  | the formatter: safe, no C, no unsafe |
//! | `number.rs`  | numbers as C's printf writes them |
//!
//! A format string is checked as a whole before the first argument is read. So an unsupported
//! conversion has no effect at all: nothing is printed, no `%M` function runs, and no argument is
//! read with the wrong type.

mod args;
mod array;
mod entry;
mod format;
mod forward;
mod number;
mod out;
mod publish;
#[cfg(test)]
mod tests;

// For `mgos_json.rs`.
pub(super) use args::bytes;
pub(super) use entry::{counted, guarded, refuse};
pub(super) use format::escape;
pub(super) use out::{OutSink, append_truncating};
