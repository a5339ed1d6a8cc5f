//! (room)

mod json;
pub mod mgos_json;
