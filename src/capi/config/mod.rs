//! What the two configuration headers share: strings in C's memory, the way between the C struct and
//! the safe types, files.
//!
//! | file          | what |
//! |---------------|------|
//! | `sections.rs` | sections that C hands over, and what is wrong with them |
//! | `file.rs`     | reading and writing a file whole |
//! | `system.rs`   | the system configuration, and its lock |
//! | `c_struct.rs` | `struct mgos_config_mqtt`, and sections |
//! | `c_text.rs`   | strings in C's memory |

pub(super) mod c_struct;
pub(super) mod c_text;
pub(super) mod file;
pub(super) mod sections;
pub(super) mod system;
#[cfg(test)]
mod tests;
