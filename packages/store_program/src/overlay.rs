//! A folder that is not changed: what is written to it stays in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Result};
use std::sync::{Arc, Mutex, PoisonError};

use mgos_mqtt_base::store::{File, Files, Folder};

/// A file in memory, which everybody who opened it shares.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// What is on top of the folder.
pub(super) struct Overlay {
    folder: Folder,
    /// Files that were written to or renamed.
    changed: BTreeMap<String, Bytes>,
    /// Names of the folder that are not there any more.
    gone: BTreeSet<String>,
}

impl Overlay {
    pub(super) fn new(folder: Folder) -> Overlay {
        Overlay { folder, changed: BTreeMap::new(), gone: BTreeSet::new() }
    }

    /// A file of the folder in memory.
    fn load(&mut self, name: &str) -> Result<Bytes> {
        if let Some(bytes) = self.changed.get(name) {
            return Ok(Arc::clone(bytes));
        }
        if self.gone.contains(name) {
            return Err(ErrorKind::NotFound.into());
        }
        let mut file = self.folder.open(name, false)?;
        let mut bytes = vec![0; usize::try_from(file.size()?).map_err(|_| ErrorKind::OutOfMemory)?];
        let mut done = 0;
        while done < bytes.len() {
            match file.read_at(done as u64, &mut bytes[done..])? {
                0 => break,
                read => done += read,
            }
        }
        bytes.truncate(done);
        Ok(Arc::new(Mutex::new(bytes)))
    }
}

impl Files for Overlay {
    fn lock(&mut self) -> Result<bool> {
        self.folder.lock()
    }

    fn list(&mut self) -> Result<Vec<String>> {
        let mut names: BTreeSet<String> = self.folder.list()?.into_iter().collect();
        names.retain(|name| !self.gone.contains(name));
        names.extend(self.changed.keys().cloned());
        Ok(names.into_iter().collect())
    }

    fn open(&mut self, name: &str, create: bool) -> Result<Box<dyn File>> {
        let bytes = match self.load(name) {
            Err(error) if create && error.kind() == ErrorKind::NotFound => {
                let bytes = Bytes::default();
                self.changed.insert(name.to_owned(), Arc::clone(&bytes));
                bytes
            }
            loaded => loaded?,
        };
        // Only the state is written to when a store is opened; segments are read once and forgotten.
        if name.starts_with("state") {
            self.changed.insert(name.to_owned(), Arc::clone(&bytes));
        }
        Ok(Box::new(Memory(bytes)))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let bytes = self.load(from)?;
        self.unlink(from)?;
        self.changed.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn unlink(&mut self, name: &str) -> Result<()> {
        let had = self.changed.remove(name).is_some();
        let was_there = !self.gone.contains(name) && self.folder.list()?.iter().any(|there| there == name);
        if was_there {
            self.gone.insert(name.to_owned());
        }
        if had || was_there { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&mut self) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        self.folder.describe()
    }
}

struct Memory(Bytes);

impl Memory {
    fn with<T>(&self, with: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl File for Memory {
    fn size(&mut self) -> Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.with(|bytes| {
            let at = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            let len = buffer.len().min(bytes.len() - at);
            buffer[..len].copy_from_slice(&bytes[at..at + len]);
            Ok(len)
        })
    }

    fn write_at(&mut self, offset: u64, new: &[u8]) -> Result<()> {
        self.with(|bytes| {
            let at = usize::try_from(offset).map_err(|_| ErrorKind::OutOfMemory)?;
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[at..at + new.len()].copy_from_slice(new);
            Ok(())
        })
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::OutOfMemory)?;
        self.with(|bytes| bytes.resize(len, 0));
        Ok(())
    }
}
