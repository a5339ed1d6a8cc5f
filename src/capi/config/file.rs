//! Configuration files.

use core::ffi::c_char;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::c_text;
use crate::capi::base::boundary::explain;
use crate::config::text::MAX_TEXT;
use crate::error::Code;

/// A path given by C.
///
/// # Safety
/// `name` is NULL or a C string.
pub(in crate::capi) unsafe fn path(name: *const c_char) -> Result<PathBuf, Code> {
    if name.is_null() {
        return Err(Code::NullArgument);
    }
    // SAFETY: promised by the caller.
    let name = unsafe { c_text::raw(name) }.ok_or(Code::BadArgument)?;
    #[cfg(unix)]
    let name: OsString = std::os::unix::ffi::OsStringExt::from_vec(name.to_vec());
    #[cfg(not(unix))]
    let name: OsString = core::str::from_utf8(name).map_err(|_| Code::BadUtf8)?.into();
    Ok(name.into())
}

/// The content of a file, which is refused if it is longer than a configuration can be.
pub(in crate::capi) fn read(path: &Path) -> Result<Vec<u8>, Code> {
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| failed(path, "read", &error))?;
    let most = MAX_TEXT as u64 + 1;
    file.take(most).read_to_end(&mut content).map_err(|error| failed(path, "read", &error))?;
    if content.len() > MAX_TEXT {
        let len = fs::metadata(path).map_or(content.len() as u64, |about| about.len());
        explain(format_args!("the file has {len} bytes, and the limit of a configuration is {MAX_TEXT}"));
        return Err(Code::TooLarge);
    }
    Ok(content)
}

/// Writes a file, of which at every moment the old or the new content is on the disk.
pub(in crate::capi) fn write(path: &Path, content: &[u8]) -> Result<(), Code> {
    // Only a plain file is replaced: a device, a pipe or a symbolic link is written through.
    let plain = match fs::symlink_metadata(path) {
        Ok(about) => about.is_file(),
        Err(e) => e.kind() == io::ErrorKind::NotFound,
    };
    let done = if plain { replace(path, content) } else { fs::write(path, content) };
    done.map_err(|error| failed(path, "written", &error))
}

/// Says which file, and what the system says about it.
fn failed(path: &Path, what: &str, error: &io::Error) -> Code {
    explain(format_args!("{} cannot be {what}: {error}", path.display()));
    Code::IoFailed
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    static WRITES: AtomicU32 = AtomicU32::new(0);
    // Neither another program nor another thread that writes the same file shall write to this one.
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.{number}.tmp", std::process::id()));
    let new = path.with_file_name(name);
    // After a power failure a device starts again with the same process ids: what was left goes.
    let _ = fs::remove_file(&new);
    let done = write_new(&new, content).and_then(|()| fs::rename(&new, path));
    if done.is_err() {
        // Nothing more can be done about a file that cannot be removed either.
        let _ = fs::remove_file(&new);
    }
    done
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // It holds passwords.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
