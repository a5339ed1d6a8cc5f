//! The file of the state: a snapshot and the records behind it. `state-` and the number of its first record is its name.

use super::context::Context;
use super::error::{Error, Result};
use super::files::File;
use super::record::{FILE_HEADER, FileHeader, Place, STATE};
use super::state::MAX_TOKEN;

const NEW: &str = "state.new";

/// The file that is written to.
pub(super) struct Journal {
    /// `None`: it was given up, and the next thing to write is a snapshot.
    file: Option<Box<dyn File>>,
    place: Place,
    pub(super) len: u64,
    synced: u64,
    /// The number of the next record.
    pub(super) seq: u64,
    /// At this length a snapshot is due.
    due: u64,
    /// Its file is kept under another name when a new one takes its place.
    is_damaged: bool,
    /// The first records of files that have their names, which could not be made durable.
    unsafe_names: Vec<u64>,
}

/// The name of the file whose first record has this number.
pub(super) fn state_name(first: u64) -> String {
    format!("state-{first:016x}")
}

/// The number in the name of such a file.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let first = u64::from_str_radix(name.strip_prefix("state-")?, 16).ok()?;
    (state_name(first) == name && first < MAX_TOKEN).then_some(first)
}

/// Records for one file, one behind the other.
struct Records<'a> {
    place: &'a Place,
    bytes: Vec<u8>,
    offset: u64,
    seq: u64,
    result: Result<()>,
}

impl Records<'_> {
    fn put(&mut self, ctx: &mut Context, kind: u8, body: &[u8]) {
        if self.result.is_ok() {
            let offset = self.offset + self.bytes.len() as u64;
            let id = (kind, self.seq);
            self.result = self.place.append(&mut self.bytes, offset, id, body, &mut ctx.cipher);
            self.seq += 1;
        }
    }
}

impl Journal {
    /// One whose next write is a snapshot, with a record of this number.
    pub(super) fn unwritten(ctx: &Context, seq: u64) -> Journal {
        Journal {
            file: None,
            place: Place::new(ctx.salt, STATE, seq),
            len: 0,
            synced: 0,
            seq,
            due: 0,
            is_damaged: false,
            unsafe_names: Vec::new(),
        }
    }

    /// Goes on behind the last record of a file that was read to its end.
    pub(super) fn resume(ctx: &Context, file: Box<dyn File>, first: u64, len: u64, seq: u64) -> Journal {
        let place = Place::new(ctx.salt, STATE, first);
        Journal {
            file: Some(file),
            place,
            len,
            synced: 0,
            seq,
            // So that a store that is opened often does not keep all that was ever noted.
            due: len.max(ctx.snapshot_bytes),
            is_damaged: false,
            unsafe_names: Vec::new(),
        }
    }

    /// Nothing more is written to its file. If there is damage in it, it is kept.
    pub(super) fn give_up(&mut self, is_damaged: bool) {
        self.file = None;
        self.is_damaged = is_damaged;
    }

    /// The number in its name.
    pub(super) fn first(&self) -> u64 {
        self.place.first
    }

    /// Whether the next thing to write is a snapshot.
    pub(super) fn is_due(&self) -> bool {
        self.file.is_none() || self.len >= self.due
    }

    /// A snapshot that could not be written is tried again when the file has grown by as much again.
    pub(super) fn postpone(&mut self, ctx: &Context) {
        self.due = self.len + ctx.snapshot_bytes;
    }

    pub(super) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Appends what `records` puts. After an error nothing of it is there.
    pub(super) fn write(
        &mut self,
        ctx: &mut Context,
        records: impl FnOnce(&mut dyn FnMut(u8, &[u8])),
    ) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let name = state_name(self.place.first);
        let new = self.len;
        let mut all =
            Records { place: &self.place, bytes: Vec::new(), offset: new, seq: self.seq, result: Ok(()) };
        records(&mut |kind, body| all.put(ctx, kind, body));
        all.result?;
        if let Err(error) = file.write_at(self.len, &all.bytes) {
            if file.truncate(self.len).is_err() {
                self.file = None;
            }
            return Err(Error::io("write", &name, &error));
        }
        self.len += all.bytes.len() as u64;
        self.seq = all.seq;
        Ok(())
    }

    /// Makes safe what was written. After an error a snapshot has to follow.
    pub(super) fn sync(&mut self) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if self.len == self.synced {
            return Ok(());
        }
        if let Err(error) = file.sync() {
            self.file = None;
            return Err(Error::io("sync", &state_name(self.place.first), &error));
        }
        self.synced = self.len;
        Ok(())
    }

    /// Writes a new file in place of this one, and makes it safe. Once the new one has its name nothing more is written to
    /// this one: whoever opens the store next takes the newer one.
    pub(super) fn replace(
        &mut self,
        ctx: &mut Context,
        records: impl FnOnce(&mut dyn FnMut(u8, &[u8])),
    ) -> Result<()> {
        let first = self.seq;
        let place = Place::new(ctx.salt, STATE, first);
        let header = FileHeader {
            class: STATE,
            sealed: ctx.cipher.is_some(),
            salt: ctx.salt,
            first,
            void_from: 0,
            after_damage: false,
            applied: 0,
        };
        let offset = FILE_HEADER as u64;
        let mut all = Records { place: &place, bytes: Vec::new(), offset, seq: first, result: Ok(()) };
        records(&mut |kind, body| all.put(ctx, kind, body));
        all.result?;
        let (body, seq) = (all.bytes, all.seq);
        let name = state_name(first);
        let made = write_new(ctx, &header, &body).and_then(|file| {
            // Files that were removed stay so: it does not say any more that their messages ended.
            ctx.files.sync_dir()?;
            ctx.files.rename(NEW, &name)?;
            Ok(file)
        });
        let file = made.map_err(|error| {
            let _ = ctx.files.unlink(NEW);
            Error::io("write", &name, &error)
        })?;
        if let Err(error) = ctx.files.sync_dir() {
            self.file = None;
            self.seq = seq;
            self.unsafe_names.push(first);
            return Err(Error::io("write", &name, &error));
        }
        // What cannot be removed now is removed when the store is opened.
        for first in self.unsafe_names.drain(..) {
            let _ = ctx.files.unlink(&state_name(first));
        }
        let before = state_name(self.place.first);
        if self.place.first != first && self.len > 0 {
            let _ = if self.is_damaged { ctx.set_aside(&before) } else { ctx.files.unlink(&before) };
        }
        let len = offset + body.len() as u64;
        let due = len + ctx.snapshot_bytes.max(2 * len);
        let unsafe_names = Vec::new();
        *self =
            Journal { file: Some(file), place, len, synced: len, seq, due, is_damaged: false, unsafe_names };
        Ok(())
    }
}

fn write_new(ctx: &mut Context, header: &FileHeader, body: &[u8]) -> std::io::Result<Box<dyn File>> {
    let mut file = ctx.files.open(NEW, true)?;
    file.truncate(0)?;
    file.write_at(0, &header.encode())?;
    file.write_at(FILE_HEADER as u64, body)?;
    file.sync()?;
    Ok(file)
}
