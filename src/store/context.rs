//! What all parts of the store need, and pass around.

use super::cipher::Cipher;
use super::error::{Error, Loss};
use super::files::Files;

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its token.
    pub id: u64,
    /// Its [body](super::Message).
    pub body: Vec<u8>,
}

/// The folder, and what its files are written with.
pub(super) struct Context {
    pub(super) files: Box<dyn Files>,
    pub(super) cipher: Option<Box<dyn Cipher>>,
    pub(super) salt: [u8; 16],
    /// A segment is ended when it is at least so long.
    pub(super) segment_bytes: u64,
    /// The state is written anew when it has grown by so much.
    pub(super) snapshot_bytes: u64,
    /// What could not be read, and was not reported yet.
    pub(super) losses: Vec<Loss>,
}

impl Context {
    /// An error that says in which folder the file is.
    pub(super) fn name(&self, error: Error) -> Error {
        error.within(|| self.files.describe())
    }

    /// Gives a file that has damage in it a name under which it is kept.
    pub(super) fn set_aside(&mut self, name: &str) -> std::io::Result<()> {
        let aside = self.aside_name(name)?;
        self.files.rename(name, &aside)
    }

    /// A name under which a damaged file is kept.
    pub(super) fn aside_name(&mut self, name: &str) -> std::io::Result<String> {
        let names = self.files.list()?;
        let mut aside = format!("lost-{name}");
        let mut n = 1;
        while names.contains(&aside) {
            n += 1;
            aside = format!("lost-{name}-{n}");
        }
        Ok(aside)
    }
}
