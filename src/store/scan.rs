//! Reading the records of a file one after the other, past whatever is damaged.

use std::io;

use super::cipher::Cipher;
use super::error::{Error, Result};
use super::files::File;
use super::record::{Frame, Place, RECORD_HEADER};

/// Read at once.
const CHUNK: usize = 64 * 1024;
/// What a disk reads or fails to read as one.
const SECTOR: usize = 512;
/// A search may sum up so many times the bytes of its file: a file that is made to mislead it costs no more.
const EFFORT: u64 = 64;

/// What stands in a file at some offset.
pub(super) enum Item<'a> {
    /// A record that is intact.
    Record { offset: u64, kind: u8, id: u64, body: &'a [u8] },
    /// A record that is intact, and that the cipher refuses.
    Refused { offset: u64, len: u64 },
    /// Bytes that are no record.
    Lost { offset: u64, len: u64 },
}

/// A position in a file, and what was read there.
pub(super) struct Scanner {
    place: Place,
    /// Of the next record.
    offset: u64,
    /// Where the file ends, as far as this reads.
    end: u64,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    begin: u64,
    effort: u64,
    plain: Vec<u8>,
}

impl Scanner {
    pub(super) fn new(place: Place, offset: u64, end: u64) -> Scanner {
        let effort = end.saturating_mul(EFFORT);
        Scanner { place, offset, end, buffer: Vec::new(), begin: offset, effort, plain: Vec::new() }
    }

    /// The file has grown.
    pub(super) fn extend(&mut self, end: u64) {
        self.effort += end.saturating_sub(self.end).saturating_mul(EFFORT);
        self.end = end;
    }

    /// What comes next; `None` at the end.
    pub(super) fn next(
        &mut self,
        file: &mut dyn File,
        name: &str,
        cipher: &mut Option<Box<dyn Cipher>>,
    ) -> Result<Option<Item<'_>>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let start = self.offset;
        let mut at = start;
        let found = loop {
            if at >= self.end {
                break None;
            }
            if let Some(frame) = self.record_at(file, name, at)? {
                break Some(frame);
            }
            at += 1;
        };
        if at > start {
            self.offset = at;
            return Ok(Some(Item::Lost { offset: start, len: at - start }));
        }
        let Some(frame) = found else { return Ok(None) };
        let size = RECORD_HEADER + frame.len;
        self.offset += size as u64;
        let from = (start - self.begin) as usize + RECORD_HEADER;
        let body = &self.buffer[from..from + frame.len];
        let Some(cipher) = cipher else {
            return Ok(Some(Item::Record { offset: start, kind: frame.kind, id: frame.id, body }));
        };
        self.plain.clear();
        let position = self.place.position(start, frame.kind, frame.id);
        if !cipher.open(&position, body, &mut self.plain) {
            return Ok(Some(Item::Refused { offset: start, len: size as u64 }));
        }
        Ok(Some(Item::Record { offset: start, kind: frame.kind, id: frame.id, body: &self.plain }))
    }

    /// The record that begins at `at`, if one does. It is in the buffer then.
    fn record_at(&mut self, file: &mut dyn File, name: &str, at: u64) -> Result<Option<Frame>> {
        let left = self.end - at;
        if left < RECORD_HEADER as u64 || !self.load(file, name, at, RECORD_HEADER)? {
            return Ok(None);
        }
        let from = (at - self.begin) as usize;
        let mut header = [0; RECORD_HEADER];
        header.copy_from_slice(&self.buffer[from..from + RECORD_HEADER]);
        let Some(frame) = self.place.frame(at, &header) else { return Ok(None) };
        let size = RECORD_HEADER + frame.len;
        if size as u64 > left || size as u64 > self.effort || !self.load(file, name, at, size)? {
            return Ok(None);
        }
        let from = (at - self.begin) as usize;
        if self.place.is_intact(at, &frame, &self.buffer[from..from + size]) {
            return Ok(Some(frame));
        }
        self.effort -= size as u64;
        Ok(None)
    }

    /// Has so many bytes from `at` on in the buffer. False if the file is shorter. `len` is never more than what the file
    /// had when it was opened, so no length is believed before the bytes are there.
    fn load(&mut self, file: &mut dyn File, name: &str, at: u64, len: usize) -> Result<bool> {
        let have = self.begin + self.buffer.len() as u64;
        if at >= self.begin && at + len as u64 <= have {
            return Ok(true);
        }
        if at >= self.begin && at <= have {
            self.buffer.drain(..(at - self.begin) as usize);
        } else {
            self.buffer.clear();
        }
        self.begin = at;
        let want = usize::try_from(self.end - at).unwrap_or(usize::MAX).min(len.max(CHUNK));
        let had = self.buffer.len();
        self.buffer.try_reserve(want - had).map_err(|_| Error::no_memory())?;
        self.buffer.resize(want, 0);
        let read = read_what_can_be_read(file, at + had as u64, &mut self.buffer[had..])
            .map_err(|error| Error::io("read", name, &error))?;
        self.buffer.truncate(had + read);
        Ok(self.buffer.len() >= len)
    }
}

/// Fills a buffer from a file, as far as that goes. Sectors that the disk cannot read are zeros, as long as there are
/// others that it can, or the file's first one is: that is damage like any other, and not the end of all that stands behind it.
fn read_what_can_be_read(file: &mut dyn File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let error = match read_full(file, offset, buffer) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let mut readable = read_full(file, 0, &mut [0; SECTOR]).is_ok_and(|read| read > 0);
    let mut done = 0;
    while done < buffer.len() {
        // As far as the end of the sector.
        let sector = SECTOR - (offset + done as u64) as usize % SECTOR;
        let end = buffer.len().min(done + sector);
        let piece = &mut buffer[done..end];
        match read_full(file, offset + done as u64, piece) {
            Ok(0) => break,
            Ok(read) => {
                readable = true;
                done += read;
                if read < piece.len() {
                    break;
                }
            }
            Err(_) => {
                piece.fill(0);
                done += piece.len();
            }
        }
    }
    if readable { Ok(done) } else { Err(error) }
}

/// Reads until the buffer is full or the file ends.
pub(super) fn read_full(file: &mut dyn File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(offset + done as u64, &mut buffer[done..])? {
            0 => break,
            read => done += read.min(buffer.len() - done),
        }
    }
    Ok(done)
}
