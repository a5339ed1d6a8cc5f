//! Compaction: segments that a few old messages keep alive become one.

use super::context::Context;
use super::error::{Error, Kind, Result};
use super::files::File;
use super::log::{Log, Segment, end_body, segment_name};
use super::ranges::Ranges;
use super::record::{FILE_HEADER, FileHeader, Place, kind};
use super::scan::{Item, Scanner, read_full};

/// No more segments are read for one step.
const MOST: usize = 8;
/// A segment by itself is written anew when what ended in it is in so many pieces.
const PIECES: usize = 1024;
/// Written at once.
const CHUNK: usize = 256 * 1024;

/// Segments side by side: the place of the first, and how many.
pub(super) type Run = (usize, usize);

impl Log {
    /// The segments that are worth merging: at least two, of which no more than a quarter is alive, and no more than
    /// half a segment altogether.
    pub(super) fn run_to_compact(&self, segment_bytes: u64) -> Option<Run> {
        let fits = |segment: &Segment| segment.is_ended && !segment.is_damaged;
        let mut at = 0;
        while at < self.segments.len() {
            let (mut len, mut live, mut bytes) = (0, 0, 0);
            let rest = self.segments.iter().skip(at).take(MOST);
            for segment in rest.take_while(|segment| fits(segment)) {
                // A record has four bytes for its token less the first of its file.
                let is_far = segment.last.saturating_sub(self.segments[at].first) > u64::from(u32::MAX);
                if is_far || live + segment.live_bytes() > segment_bytes / 2 {
                    break;
                }
                live += segment.live_bytes();
                bytes += segment.bytes;
                len += 1;
            }
            if len >= 2 && live <= bytes / 4 {
                return Some((at, len));
            }
            let alone = &self.segments[at];
            if fits(alone) && alone.done.pieces() > PIECES && alone.live_bytes() < alone.bytes * 3 / 4 {
                return Some((at, 1));
            }
            at += 1;
        }
        None
    }

    /// Makes one segment of several. The state must be safe up to record `applied`.
    pub(super) fn compact(&mut self, ctx: &mut Context, run: Run, applied: u64) -> Result<()> {
        let name = segment_name(self.class, self.segments[run.0].first);
        let new = format!("{name}.new");
        let made = self.write_compacted(ctx, run, applied, (&new, false)).inspect_err(|_| {
            let _ = ctx.files.unlink(&new);
        })?;
        match made {
            Some(made) => self.replace(ctx, run, applied, made),
            None => {
                // Something in it is damaged: it stays as it is until the rest of it is through.
                let _ = ctx.files.unlink(&new);
                Ok(())
            }
        }
    }

    /// Replaces a damaged segment by one with what can be read of it, and keeps the damaged one beside the store.
    pub(super) fn repair(&mut self, ctx: &mut Context, at: usize, applied: u64) -> Result<()> {
        let name = segment_name(self.class, self.segments[at].first);
        let new = format!("{name}.new");
        if at + 1 == self.segments.len() {
            // All of it was written; what follows begins another one.
            self.end_tail();
        }
        let made = self.write_compacted(ctx, (at, 1), applied, (&new, true)).inspect_err(|_| {
            let _ = ctx.files.unlink(&new);
        })?;
        // A copy first: at no moment the store is without the segment.
        copy_aside(ctx, &name)?;
        self.replace(ctx, (at, 1), applied, made.unwrap_or_default())
    }

    /// Puts the new segment in the place of those that it was made of.
    fn replace(
        &mut self,
        ctx: &mut Context,
        (at, len): Run,
        applied: u64,
        (count, bytes): (u64, u64),
    ) -> Result<()> {
        let first = self.segments[at].first;
        let name = segment_name(self.class, first);
        let new = format!("{name}.new");
        ctx.files.rename(&new, &name).map_err(|error| Error::io("replace", &name, &error))?;
        self.forget_cursor();
        let synced = ctx.files.sync_dir();
        let last = self.segments[at + len - 1].last;
        let Segment { void_from, after_damage, .. } = self.segments[at];
        self.replaced.extend(self.segments.iter().skip(at + 1).take(len - 1).map(|s| s.first));
        self.segments.drain(at + 1..at + len);
        self.segments[at] = Segment {
            first,
            last,
            count,
            bytes,
            void_from,
            after_damage,
            applied,
            is_ended: true,
            is_damaged: false,
            done: Ranges::default(),
        };
        // After a power cut either file may be there: both are right as long as the others are.
        synced.map_err(|error| Error::io("replace", &name, &error))?;
        // What is left is removed before the new one is, or when the store is opened: the new one says that it has taken their
        // place.
        let _ = self.unlink_replaced(ctx);
        Ok(())
    }

    /// Writes the new segment: how many messages, and its length. `None` if damage was met, unless that is passed over.
    fn write_compacted(
        &mut self,
        ctx: &mut Context,
        (at, len): Run,
        applied: u64,
        (new, pass_over): (&str, bool),
    ) -> Result<Option<(u64, u64)>> {
        let (first, last) = (self.segments[at].first, self.segments[at + len - 1].last);
        let place = Place::new(ctx.salt, self.class, first);
        let sealed = ctx.cipher.is_some();
        let Segment { void_from, after_damage, .. } = self.segments[at];
        let (class, salt) = (self.class, ctx.salt);
        let header = FileHeader { class, sealed, salt, first, void_from, after_damage, applied };
        let mut file = ctx.files.open(new, true).map_err(|error| Error::io("make", new, &error))?;
        file.truncate(0).map_err(|error| Error::io("shorten", new, &error))?;
        let mut out = Output { file, name: new, bytes: header.encode().to_vec(), len: 0 };
        let mut count = 0;
        for segment in self.segments.iter_mut().skip(at).take(len) {
            let name = segment_name(self.class, segment.first);
            let mut old = ctx.files.open(&name, false).map_err(|error| Error::io("open", &name, &error))?;
            let from = Place::new(ctx.salt, self.class, segment.first);
            let mut scanner = Scanner::new(from, FILE_HEADER as u64, segment.bytes);
            loop {
                let item = match scanner.next(&mut *old, &name, &mut ctx.cipher) {
                    Ok(Some(item)) => item,
                    Ok(None) => break,
                    // It stays as it is; what the rest of it is, reading says.
                    Err(error) if error.kind() == Kind::Io && !pass_over => {
                        segment.is_damaged = true;
                        return Ok(None);
                    }
                    Err(error) => return Err(error),
                };
                match item {
                    Item::Record { kind: kind::MESSAGE, id, body, .. } => {
                        if id <= segment.last && !segment.done.contains(id) {
                            let at = out.end();
                            place.append(&mut out.bytes, at, (kind::MESSAGE, id), body, &mut ctx.cipher)?;
                            count += 1;
                            out.write(CHUNK)?;
                        }
                    }
                    Item::Record { .. } => {}
                    Item::Lost { .. } | Item::Refused { .. } if pass_over => {}
                    Item::Lost { .. } | Item::Refused { .. } => {
                        segment.is_damaged = true;
                        super::log::examine(ctx, self.class, segment, &mut *old)?;
                        return Ok(None);
                    }
                }
            }
        }
        let end = out.end();
        place.append(&mut out.bytes, end, (kind::END, first), &end_body(count, last), &mut ctx.cipher)?;
        out.write(0)?;
        out.file.sync().map_err(|error| Error::io("sync", new, &error))?;
        Ok(Some((count, out.len)))
    }
}

/// Copies a file to a name under which it is kept.
fn copy_aside(ctx: &mut Context, name: &str) -> Result<()> {
    let aside = ctx.aside_name(name).map_err(|error| Error::io("keep", name, &error))?;
    let failed = |error: &std::io::Error| Error::io("copy", name, error);
    let mut from = ctx.files.open(name, false).map_err(|error| failed(&error))?;
    let mut to = ctx.files.open(&aside, true).map_err(|error| failed(&error))?;
    let (mut buffer, mut at) = (vec![0; CHUNK], 0);
    loop {
        let read = read_full(&mut *from, at, &mut buffer).map_err(|error| failed(&error))?;
        to.write_at(at, &buffer[..read]).map_err(|error| failed(&error))?;
        at += read as u64;
        if read < buffer.len() {
            break;
        }
    }
    let synced = to.sync().and_then(|()| ctx.files.sync_dir());
    synced.map_err(|error| failed(&error))
}

/// A file that is written from its beginning to its end.
struct Output<'a> {
    file: Box<dyn File>,
    name: &'a str,
    bytes: Vec<u8>,
    len: u64,
}

impl Output<'_> {
    fn end(&self) -> u64 {
        self.len + self.bytes.len() as u64
    }

    /// Writes what there is, if it is more than `keep`.
    fn write(&mut self, keep: usize) -> Result<()> {
        if self.bytes.len() > keep {
            self.file
                .write_at(self.len, &self.bytes)
                .map_err(|error| Error::io("write", self.name, &error))?;
            self.len += self.bytes.len() as u64;
            self.bytes.clear();
        }
        Ok(())
    }
}
