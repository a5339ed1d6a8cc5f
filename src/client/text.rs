//! Text that is made after memory ran out: what does not fit is left out, and nothing else happens.

use std::fmt::{self, Write};

/// Grows only into memory that is there.
struct Careful(String);

impl Write for Careful {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.0.try_reserve(part.len()).map_err(|_| fmt::Error)?;
        self.0.push_str(part);
        Ok(())
    }
}

/// As [`std::format`]; `None` without memory for all of it.
pub(in crate::client) fn format(text: fmt::Arguments<'_>) -> Option<String> {
    let mut careful = Careful(String::new());
    careful.write_fmt(text).ok()?;
    Some(careful.0)
}

/// A copy, or nothing.
pub(in crate::client) fn copy(text: &str) -> String {
    let mut copy = String::new();
    if copy.try_reserve_exact(text.len()).is_ok() {
        copy.push_str(text);
    }
    copy
}

/// A copy, or nothing.
pub(in crate::client) fn copy_all<T: Clone>(list: &[T]) -> Vec<T> {
    let mut copy = Vec::new();
    if copy.try_reserve_exact(list.len()).is_ok() {
        copy.extend_from_slice(list);
    }
    copy
}
