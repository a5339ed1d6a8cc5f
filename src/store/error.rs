//! What the store reports: errors, and what it could not read.

use core::fmt;
use std::io;

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Another process, or another connection of this one, has the store open.
    Locked,
    /// A later version of the library wrote it.
    NewerFormat,
    /// It is encrypted, and the key is missing or another one; or it is not, and a key was given.
    Key,
    /// There is no space left. What was accepted stays, and work goes on when there is space again.
    Full,
    /// The file system is read-only, or the permissions do not allow writing.
    ReadOnly,
    /// Reading or writing failed.
    Io,
    /// The message is larger than a record can be.
    TooLarge,
    /// The call does not fit what the store knows: a mistake of the caller.
    Usage,
    /// Out of memory.
    NoMemory,
    /// The store was closed.
    Closed,
}

impl Kind {
    fn of(error: &io::Error) -> Kind {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Kind::ReadOnly,
            io::ErrorKind::OutOfMemory => Kind::NoMemory,
            _ => Kind::Io,
        }
    }
}

/// Why a call failed: a kind to act upon, and a sentence for a human.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    text: Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Sentence(String),
    /// A system call failed: what was tried with which file, in which folder, and what the system says.
    System {
        action: &'static str,
        file: String,
        folder: Option<String>,
        error: String,
    },
}

/// What the functions of the store return.
pub type Result<T> = core::result::Result<T, Error>;

impl Error {
    pub(super) fn new(kind: Kind, text: impl Into<String>) -> Error {
        Error { kind, text: Text::Sentence(text.into()) }
    }

    /// A system call that failed: what was tried, with which file.
    pub(super) fn io(action: &'static str, file: &str, error: &io::Error) -> Error {
        let text = Text::System { action, file: file.to_owned(), folder: None, error: error.to_string() };
        Error { kind: Kind::of(error), text }
    }

    /// A system call that failed: what was tried, with the whole folder.
    pub(super) fn folder(action: &str, folder: &str, error: &io::Error) -> Error {
        Error::new(Kind::of(error), format!("cannot {action} the folder {folder} of the store: {error}"))
    }

    /// Says in which folder the file is.
    pub(super) fn within(mut self, name: impl FnOnce() -> String) -> Error {
        if let Text::System { folder: folder @ None, .. } = &mut self.text {
            *folder = Some(name());
        }
        self
    }

    pub(super) fn too_large(len: usize, max: usize) -> Error {
        let text =
            format!("a message of {len} bytes is larger than a record of the store can be: {max} bytes");
        Error::new(Kind::TooLarge, text)
    }

    pub(super) fn no_memory() -> Error {
        Error::new(Kind::NoMemory, "out of memory for a record of the store")
    }

    pub(super) fn closed() -> Error {
        Error::new(Kind::Closed, "the store is closed")
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Text::Sentence(text) => f.write_str(text),
            Text::System { action, file, folder, error } => {
                write!(f, "cannot {action} {file} of the store")?;
                if let Some(folder) = folder {
                    write!(f, " in {folder}")?;
                }
                write!(f, ": {error}")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Why bytes cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// They are not what was written there.
    Damaged,
    /// They stand at the end of what was being written when the power went. Nothing that was promised is in them.
    Torn,
    /// The file ends before it should; how much is missing is not known.
    Missing,
    /// They are intact, but the cipher refuses them: somebody changed the file, or it has another key.
    Refused,
}

/// A part of a file that cannot be used. Whatever stands around it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The file. When all others of its messages are through, it is kept under this name with `lost-` before it.
    pub file: String,
    /// Where the part begins.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Why.
    pub cause: Cause,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { file, offset, len, cause } = self;
        match cause {
            Cause::Damaged => write!(f, "{file}: {len} bytes from {offset} on are damaged"),
            Cause::Torn => write!(f, "{file}: {len} bytes from {offset} on were not completely written"),
            Cause::Missing => write!(f, "{file}: ends at {offset}, and more was written"),
            Cause::Refused => write!(f, "{file}: the cipher refuses {len} bytes from {offset} on"),
        }
    }
}
