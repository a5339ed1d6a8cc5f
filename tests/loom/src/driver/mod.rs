//! The files that ship, around a `sync` that is loom's.

#[path = "../../../../src/driver/protocol.rs"]
pub(crate) mod protocol;
#[path = "../../../../src/driver/ready.rs"]
pub(crate) mod ready;
#[path = "../../../../src/driver/role.rs"]
pub(crate) mod role;
#[path = "../../../../src/driver/slots.rs"]
pub(crate) mod slots;
pub(crate) mod sync;
#[path = "../../../../src/driver/timers.rs"]
pub(crate) mod timers;
