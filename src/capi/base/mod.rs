//! What every call at the boundary needs. Nothing here knows a type of the headers.
//!
//! | file          | what |
//! |---------------|------|
//! | `version.rs`  | the version and the features that were built |
//! | `system.rs`   | what only the operating system knows: the time, what a peer has acknowledged |
//! | `sized.rs`    | structures that begin with their size, and may grow |
//! | `signals.rs`  | signals, and the threads of the library |
//! | `registry.rs` | which handles are alive |
//! | `pool.rs`     | the same for those that are looked up for each message |
//! | `process.rs`  | which process this is, after a fork |
//! | `field.rs`    | fields of structures, and the errors that name them |
//! | `boundary.rs` | what every call goes through: panics, pointers, the error of the call |

pub(super) mod boundary;
pub(super) mod field;
pub(super) mod pool;
pub(super) mod process;
pub(super) mod registry;
pub(super) mod signals;
pub(super) mod sized;
pub(super) mod system;
pub(super) mod version;
