//! A folder that is not changed: what is written to it stays in memory.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Result};
use std::sync::{Arc, Mutex, PoisonError};

use mgos_mqtt_base::store::{File, Files, Folder};

/// A file in memory, which everybody who opened it shares.
type Bytes = Arc<Mutex<Vec<u8>>>;

/// What a name stands for that is not what the folder says.
enum Entry {
    /// A file that was made here.
    Made(Bytes),
    /// A file of the folder, under the name that it has there.
    Renamed(String),
    /// It is not there any more.
    Gone,
}

/// What is on top of the folder.
pub(super) struct Overlay {
    folder: Folder,
    changed: BTreeMap<String, Entry>,
}

impl Overlay {
    pub(super) fn new(folder: Folder) -> Overlay {
        Overlay { folder, changed: BTreeMap::new() }
    }

    /// What has this name.
    fn find(&mut self, name: &str) -> Result<Entry> {
        match self.changed.get(name) {
            Some(Entry::Made(bytes)) => Ok(Entry::Made(Arc::clone(bytes))),
            Some(Entry::Renamed(under)) => Ok(Entry::Renamed(under.clone())),
            Some(Entry::Gone) => Err(ErrorKind::NotFound.into()),
            None if self.folder.list()?.iter().any(|there| there == name) => {
                Ok(Entry::Renamed(name.to_owned()))
            }
            None => Err(ErrorKind::NotFound.into()),
        }
    }
}

impl Files for Overlay {
    fn lock(&mut self) -> Result<bool> {
        self.folder.lock()
    }

    fn list(&mut self) -> Result<Vec<String>> {
        let mut names = self.folder.list()?;
        names.retain(|name| !self.changed.contains_key(name));
        let there = self.changed.iter().filter(|(_, entry)| !matches!(entry, Entry::Gone));
        names.extend(there.map(|(name, _)| name.clone()));
        Ok(names)
    }

    fn open(&mut self, name: &str, create: bool) -> Result<Box<dyn File>> {
        match self.find(name) {
            Ok(Entry::Made(bytes)) => Ok(Box::new(Memory(bytes))),
            Ok(Entry::Renamed(under)) => Ok(Box::new(Under(self.folder.open(&under, false)?))),
            Err(error) if create && error.kind() == ErrorKind::NotFound => {
                let bytes = Bytes::default();
                self.changed.insert(name.to_owned(), Entry::Made(Arc::clone(&bytes)));
                Ok(Box::new(Memory(bytes)))
            }
            Ok(Entry::Gone) => Err(ErrorKind::NotFound.into()),
            Err(error) => Err(error),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let entry = self.find(from)?;
        self.changed.insert(from.to_owned(), Entry::Gone);
        self.changed.insert(to.to_owned(), entry);
        Ok(())
    }

    fn unlink(&mut self, name: &str) -> Result<()> {
        self.find(name)?;
        self.changed.insert(name.to_owned(), Entry::Gone);
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<()> {
        Ok(())
    }

    fn describe(&self) -> String {
        self.folder.describe()
    }
}

/// A file of the folder, which is only read: who looks into a store writes to files alone that it makes.
struct Under(Box<dyn File>);

impl File for Under {
    fn size(&mut self) -> Result<u64> {
        self.0.size()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, buffer)
    }

    fn write_at(&mut self, _offset: u64, _bytes: &[u8]) -> Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _len: u64) -> Result<()> {
        Err(ErrorKind::ReadOnlyFilesystem.into())
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
