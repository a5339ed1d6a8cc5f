//! The files under the store: what it needs of a file system, and that of the operating system.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One folder of a file system. Names are plain file names, in ASCII.
///
/// The store asks nothing else of it than: what was written before a [`sync`](File::sync) that succeeded is there
/// after a power cut, and so are names after [`sync_dir`](Files::sync_dir). Anything else may be lost, torn, or
/// written in any order. A [`rename`](Files::rename) over an existing file leaves one or the other.
pub trait Files: Send {
    /// Takes the folder for this store alone until it is dropped. False: somebody else has it.
    fn lock(&mut self) -> io::Result<bool>;

    /// The names of all files.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing. With `create` one is made if there is none.
    fn open(&mut self, name: &str, create: bool) -> io::Result<Box<dyn File>>;

    /// Gives a file another name, in place of the one that had it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn unlink(&mut self, name: &str) -> io::Result<()>;

    /// Makes names durable: those that are new, and the absence of those that were removed.
    fn sync_dir(&mut self) -> io::Result<()>;

    /// What to call the folder in a sentence.
    fn describe(&self) -> String;
}

/// An open file.
pub trait File: Send {
    /// Its length in bytes.
    fn size(&mut self) -> io::Result<u64>;

    /// Reads from an offset on; less than asked for at the end of the file alone, and perhaps before it.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of it. After an error any part of it may be there.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes content and length durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Shortens it to a length.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// The name of the file that is locked.
const LOCK: &str = "lock";

/// A folder of the operating system.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    is_read_only: bool,
    /// Kept open: the lock ends with it, and also when the process does, however it ends. And the process that has it.
    lock: Option<(fs::File, u32)>,
}

impl Folder {
    /// The folder at a path. It is made if it is not there, for this user alone: messages are nobody else's business.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Folder> {
        let path = path.into();
        make(&path)?;
        Ok(Folder { path, is_read_only: false, lock: None })
    }

    /// The folder at a path, to look into it: nothing in it is changed. Several may do so at the same time, but not while
    /// the store is in use.
    pub fn read_only(path: impl Into<PathBuf>) -> Folder {
        Folder { path: path.into(), is_read_only: true, lock: None }
    }

    fn may_write(&self) -> io::Result<()> {
        if self.is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

/// Makes a folder and those above it, with names that are durable.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make(above)?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    // Who may write to the one above may perhaps not open it: then the folder alone is made safe.
    fs::File::open(above).or_else(|_| fs::File::open(path))?.sync_all()
}

/// A child process that was forked has the lock, too, and would keep it: it is given back by the process that took it.
impl Drop for Folder {
    fn drop(&mut self) {
        if let Some((file, process)) = &self.lock
            && *process == std::process::id()
        {
            // Closing it is the rest.
            let _ = file.unlock();
        }
    }
}

impl Files for Folder {
    fn lock(&mut self) -> io::Result<bool> {
        let path = self.path.join(LOCK);
        let mut options = fs::OpenOptions::new();
        let (file, locked) = if self.is_read_only {
            let file = match options.read(true).open(path) {
                // Nobody ever used it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
                file => file?,
            };
            let locked = file.try_lock_shared();
            (file, locked)
        } else {
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
            let locked = file.try_lock();
            (file, locked)
        };
        match locked {
            Ok(()) => {
                self.lock = Some((file, std::process::id()));
                Ok(true)
            }
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&mut self, name: &str, create: bool) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(!self.is_read_only).create(create && !self.is_read_only).mode(0o600);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.may_write()?;
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn unlink(&mut self, name: &str) -> io::Result<()> {
        self.may_write()?;
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

impl File for fs::File {
    fn size(&mut self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}
