//! A disk in memory for the tests of the store: it counts, fails when told to, and when the power goes it keeps of what was not
//! synced any part, torn into sectors, and of its directory any part in any order.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Arc, Mutex, MutexGuard};

use mgos_mqtt::store::{File, Files};

/// What a disk writes as one.
const SECTOR: usize = 512;

/// A small generator: the same seed, the same disk.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    /// What programs see.
    now: Vec<u8>,
    /// What is safe.
    safe: Vec<u8>,
    changes: Vec<Change>,
    /// Sectors that cannot be read.
    broken: Vec<usize>,
}

#[derive(Clone, Debug)]
enum DirChange {
    Name(String, usize),
    Rename(String, String, usize),
    Unlink(String),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The power goes at this operation, of which a part may be done: it and all that follow fail.
    PowerCut(u64),
    /// This operation fails, and a write is done in part.
    Error(u64),
    /// Syncing a file fails from this operation on, for as many operations; what was to be made safe is lost.
    Sync(u64, u64),
}

#[derive(Clone, Debug, Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    dir_changes: Vec<DirChange>,
    locked: bool,
    fault: Option<Fault>,
    read_only: bool,
    /// Bytes of all files together.
    space: Option<u64>,
    operations: u64,
    bytes_written: u64,
    syncs: u64,
    bytes_read: u64,
    /// Files that are open, and the most that ever were.
    open: usize,
    most_open: usize,
}

/// The disk. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<Inner>>);

impl Inner {
    /// Counts an operation that changes something: how it fails, if it does.
    fn step(&mut self, is_sync: bool) -> std::result::Result<(), Error> {
        self.operations += 1;
        if self.read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        let n = self.operations;
        let fails = match self.fault {
            Some(Fault::PowerCut(at)) => n >= at,
            Some(Fault::Error(at)) => n == at,
            Some(Fault::Sync(at, len)) => is_sync && (at..at + len).contains(&n),
            None => false,
        };
        if fails { Err(Error::other("a fault of the test")) } else { Ok(()) }
    }

    fn is_partial(&self) -> bool {
        matches!(self.fault, Some(Fault::PowerCut(at) | Fault::Error(at)) if at == self.operations)
    }

    fn used(&self) -> u64 {
        self.names.values().map(|inode| self.inodes[*inode].now.len() as u64).sum()
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, new) => {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        Change::Truncate(len) => bytes.resize(*len, 0),
    }
}

/// A write as the sectors that it touches.
fn sectors(at: usize, bytes: &[u8]) -> Vec<Change> {
    let (mut all, mut done) = (Vec::new(), 0);
    while done < bytes.len() {
        let len = (SECTOR - (at + done) % SECTOR).min(bytes.len() - done);
        all.push(Change::Write(at + done, bytes[done..done + len].to_vec()));
        done += len;
    }
    all
}

impl Disk {
    pub fn new() -> Disk {
        Disk::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// A disk with these files.
    pub fn with(files: &BTreeMap<String, Vec<u8>>) -> Disk {
        let mut inner = Inner::default();
        for (name, bytes) in files {
            inner.names.insert(name.clone(), inner.inodes.len());
            inner.inodes.push(Inode { now: bytes.clone(), safe: bytes.clone(), ..Inode::default() });
        }
        inner.safe_names = inner.names.clone();
        Disk(Arc::new(Mutex::new(inner)))
    }

    /// All files as they are.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let inner = self.inner();
        inner.names.iter().map(|(name, inode)| (name.clone(), inner.inodes[*inode].now.clone())).collect()
    }

    pub fn fail(&self, fault: Option<Fault>) {
        self.inner().fault = fault;
    }

    /// A sector of a file cannot be read any more.
    pub fn break_sector(&self, name: &str, sector: usize) {
        let mut inner = self.inner();
        let inode = inner.names[name];
        inner.inodes[inode].broken.push(sector);
    }

    /// Whatever the store wants of the disk waits until this is dropped.
    pub fn hold(&self) -> impl Sized + '_ {
        self.inner()
    }

    pub fn set_space(&self, space: Option<u64>) {
        self.inner().space = space;
    }

    pub fn set_read_only(&self, read_only: bool) {
        self.inner().read_only = read_only;
    }

    pub fn operations(&self) -> u64 {
        self.inner().operations
    }

    pub fn bytes_written(&self) -> u64 {
        self.inner().bytes_written
    }

    pub fn syncs(&self) -> u64 {
        self.inner().syncs
    }

    pub fn used(&self) -> u64 {
        self.inner().used()
    }

    /// The bytes that were read since the last call.
    pub fn take_bytes_read(&self) -> u64 {
        std::mem::take(&mut self.inner().bytes_read)
    }

    /// The power goes and comes back: another disk, with what this one kept.
    pub fn crash(&self, random: &mut Random) -> Disk {
        let inner = self.inner();
        let mut next = Inner::default();
        // All, nothing, or any part.
        let keep = |random: &mut Random, mode: u64| match mode {
            0 => false,
            1 => true,
            _ => random.below(2) == 0,
        };
        for inode in &inner.inodes {
            let mode = random.below(4);
            let mut bytes = inode.safe.clone();
            for change in &inode.changes {
                let pieces = match change {
                    Change::Write(at, new) => sectors(*at, new),
                    Change::Truncate(_) => vec![change.clone()],
                };
                for mut piece in pieces {
                    if keep(random, mode) {
                        if let Change::Write(_, new) = &mut piece
                            && mode == 3
                            && random.below(8) == 0
                        {
                            new.truncate(random.below(new.len() as u64 + 1) as usize);
                        }
                        apply(&mut bytes, &piece);
                    }
                }
            }
            next.inodes.push(Inode { now: bytes.clone(), safe: bytes, ..Inode::default() });
        }
        let mode = random.below(4);
        let mut changes: Vec<_> = inner.dir_changes.iter().filter(|_| keep(random, mode)).cloned().collect();
        if mode == 3 {
            for at in (1..changes.len()).rev() {
                changes.swap(at, random.below(at as u64 + 1) as usize);
            }
        }
        next.names = inner.safe_names.clone();
        for change in changes {
            match change {
                DirChange::Name(name, inode) => drop(next.names.insert(name, inode)),
                DirChange::Unlink(name) => drop(next.names.remove(&name)),
                DirChange::Rename(from, to, inode) => {
                    if next.names.get(&from) == Some(&inode) {
                        next.names.remove(&from);
                    }
                    next.names.insert(to, inode);
                }
            }
        }
        next.safe_names = next.names.clone();
        Disk(Arc::new(Mutex::new(next)))
    }

    /// The most files that were open at the same time.
    pub fn most_open(&self) -> usize {
        self.inner().most_open
    }

    /// The folder as the store sees it.
    pub fn folder(&self) -> Box<dyn Files> {
        Box::new(Folder { disk: self.clone(), has_lock: false })
    }
}

struct Folder {
    disk: Disk,
    has_lock: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.has_lock {
            self.disk.inner().locked = false;
        }
    }
}

impl Files for Folder {
    fn lock(&mut self) -> Result<bool> {
        let mut inner = self.disk.inner();
        if inner.locked {
            return Ok(false);
        }
        inner.locked = true;
        self.has_lock = true;
        Ok(true)
    }

    fn list(&mut self) -> Result<Vec<String>> {
        Ok(self.disk.inner().names.keys().cloned().collect())
    }

    fn open(&mut self, name: &str, create: bool) -> Result<Box<dyn File>> {
        let mut inner = self.disk.inner();
        let inode = match inner.names.get(name) {
            Some(inode) => *inode,
            None if !create => return Err(ErrorKind::NotFound.into()),
            None => {
                inner.step(false)?;
                let inode = inner.inodes.len();
                inner.inodes.push(Inode::default());
                inner.names.insert(name.to_owned(), inode);
                inner.dir_changes.push(DirChange::Name(name.to_owned(), inode));
                inode
            }
        };
        inner.open += 1;
        inner.most_open = inner.most_open.max(inner.open);
        Ok(Box::new(Open { disk: self.disk.clone(), inode }))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let mut inner = self.disk.inner();
        inner.step(false)?;
        let inode = inner.names.remove(from).ok_or(ErrorKind::NotFound)?;
        inner.names.insert(to.to_owned(), inode);
        inner.dir_changes.push(DirChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn unlink(&mut self, name: &str) -> Result<()> {
        let mut inner = self.disk.inner();
        inner.step(false)?;
        inner.names.remove(name).ok_or(ErrorKind::NotFound)?;
        inner.dir_changes.push(DirChange::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&mut self) -> Result<()> {
        let mut inner = self.disk.inner();
        inner.step(true)?;
        inner.safe_names = inner.names.clone();
        inner.dir_changes.clear();
        Ok(())
    }

    fn describe(&self) -> String {
        "the disk of the test".to_owned()
    }
}

struct Open {
    disk: Disk,
    inode: usize,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.disk.inner().open -= 1;
    }
}

impl File for Open {
    fn size(&mut self) -> Result<u64> {
        Ok(self.disk.inner().inodes[self.inode].now.len() as u64)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut inner = self.disk.inner();
        let Inode { now: bytes, broken, .. } = &inner.inodes[self.inode];
        let at = usize::try_from(offset).unwrap().min(bytes.len());
        let len = buffer.len().min(bytes.len() - at);
        if len > 0 && broken.iter().any(|sector| (at / SECTOR..=(at + len - 1) / SECTOR).contains(sector)) {
            return Err(Error::other("a sector that the test broke"));
        }
        buffer[..len].copy_from_slice(&bytes[at..at + len]);
        inner.bytes_read += len as u64;
        Ok(len)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut inner = self.disk.inner();
        let offset = usize::try_from(offset).unwrap();
        let mut len = bytes.len();
        let mut result = inner.step(false);
        if result.is_err() {
            len = if inner.is_partial() { len / 2 } else { 0 };
        } else if let Some(space) = inner.space {
            let grows = (offset + len).saturating_sub(inner.inodes[self.inode].now.len()) as u64;
            let left = space.saturating_sub(inner.used());
            if grows > left {
                len = len.saturating_sub((grows - left) as usize);
                result = Err(ErrorKind::StorageFull.into());
            }
        }
        if len > 0 {
            let change = Change::Write(offset, bytes[..len].to_vec());
            let inode = &mut inner.inodes[self.inode];
            apply(&mut inode.now, &change);
            inode.changes.push(change);
            inner.bytes_written += len as u64;
        }
        result
    }

    fn sync(&mut self) -> Result<()> {
        let mut inner = self.disk.inner();
        inner.syncs += 1;
        if let Err(error) = inner.step(true) {
            // As Linux does it: the pages count as clean, and what was in them is in memory only.
            if matches!(inner.fault, Some(Fault::Sync(..))) {
                inner.inodes[self.inode].changes.clear();
            }
            return Err(error);
        }
        let inode = &mut inner.inodes[self.inode];
        inode.safe = inode.now.clone();
        inode.changes.clear();
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> Result<()> {
        let mut inner = self.disk.inner();
        inner.step(false)?;
        let change = Change::Truncate(usize::try_from(len).unwrap());
        let inode = &mut inner.inodes[self.inode];
        apply(&mut inode.now, &change);
        inode.changes.push(change);
        Ok(())
    }
}
