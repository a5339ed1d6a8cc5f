//! What the two configuration headers share: strings in C's memory, the way between the C struct and
//! the safe types, files.

pub(super) mod c_struct;
pub(super) mod c_text;
pub(super) mod file;
pub(super) mod system;
#[cfg(test)]
mod tests;
