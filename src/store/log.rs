//! The messages of one class: segments in the order of their ids, of which the last is written to.
//!
//! A segment holds messages and nothing else. What became of them stands in the state, so a segment whose messages all
//! ended is removed at once, whatever stands before or behind it.

use std::collections::VecDeque;

use super::context::{Context, Stored};
use super::error::{Cause, Error, Kind, Loss, Result};
use super::files::File;
use super::ranges::Ranges;
use super::record::{Body, FILE_HEADER, FileHeader, Place, kind};
use super::scan::{Item, Scanner};
use super::state::MAX_TOKEN;

/// What is known of a segment without reading it.
pub(super) struct Segment {
    pub(super) first: u64,
    /// Nothing behind this id counts; of the segment that is written to, nothing is.
    pub(super) last: u64,
    /// Messages in it.
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) void_from: u64,
    pub(super) after_damage: bool,
    pub(super) applied: u64,
    pub(super) is_ended: bool,
    /// Something in it cannot be read: it is set aside, not removed.
    pub(super) is_damaged: bool,
    /// The messages that ended.
    pub(super) done: Ranges,
}

impl Segment {
    fn live(&self) -> u64 {
        self.count.saturating_sub(self.done.count())
    }

    /// About how many bytes of it are of messages that have not ended.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live() * (self.bytes / self.count.max(1))
    }
}

/// How far the segment that is written to is safe.
#[derive(Clone, Copy)]
struct Mark {
    len: u64,
    last: u64,
    count: u64,
}

/// The segment that is written to.
struct Tail {
    file: Box<dyn File>,
    place: Place,
    len: u64,
    synced: Mark,
    /// Nobody knows whether its name is durable, and what was in it when it was opened.
    is_new: bool,
    /// What a failed write left was cut off, and that is not durable yet.
    is_cut: bool,
}

impl Tail {
    fn is_unsynced(&self) -> bool {
        self.len > self.synced.len || self.is_new || self.is_cut
    }
}

/// A larger buffer is given back when it was written.
const KEEP_BUFFER: usize = 128 * 1024;

/// Where reading goes on.
struct Cursor {
    file: Box<dyn File>,
    scanner: Scanner,
    first: u64,
    /// The last message that was returned.
    after: u64,
}

/// The messages of one class.
pub(super) struct Log {
    pub(super) class: u8,
    pub(super) segments: VecDeque<Segment>,
    tail: Option<Tail>,
    /// What is to be written: whole records, and how many, and the id of the last.
    buffer: Vec<u8>,
    buffered: (u64, u64),
    /// Those of the buffered messages that ended already.
    buffered_done: Ranges,
    /// The last segment was given up: its records from this id on do not count.
    pub(super) void_from: u64,
    /// There may be such records in its file, and no header says yet that they do not count.
    is_void_unwritten: bool,
    /// Its end is damaged.
    pub(super) is_end_damaged: bool,
    /// Messages that ended, and of which the record was lost before it was safe. They are not written again, however often
    /// they are appended, until something behind them is safe.
    ended_lost: Ranges,
    /// The first ids of segments whose messages stand in another one now, and whose files are still there.
    pub(super) replaced: Vec<u64>,
    cursor: Option<Cursor>,
}

/// The name of a segment.
pub(super) fn segment_name(class: u8, first: u64) -> String {
    format!("{class:02x}-{first:016x}.seg")
}

/// The class and the first id in a segment's name.
pub(super) fn parse_name(name: &str) -> Option<(u8, u64)> {
    let (class, first) = name.strip_suffix(".seg")?.split_once('-')?;
    let found = (u8::from_str_radix(class, 16).ok()?, u64::from_str_radix(first, 16).ok()?);
    (segment_name(found.0, found.1) == name && found.1 < MAX_TOKEN).then_some(found)
}

/// Bytes of the record that ends a segment.
pub(super) const END_BODY: usize = 16;

pub(super) fn end_body(count: u64, last: u64) -> [u8; END_BODY] {
    let mut body = [0; END_BODY];
    body[..8].copy_from_slice(&count.to_le_bytes());
    body[8..].copy_from_slice(&last.to_le_bytes());
    body
}

impl Log {
    pub(super) fn new(class: u8) -> Log {
        Log {
            class,
            segments: VecDeque::new(),
            tail: None,
            buffer: Vec::new(),
            buffered: (0, 0),
            buffered_done: Ranges::default(),
            void_from: 0,
            is_void_unwritten: false,
            is_end_damaged: false,
            ended_lost: Ranges::default(),
            replaced: Vec::new(),
            cursor: None,
        }
    }

    /// Messages that have not ended.
    pub(super) fn live(&self) -> u64 {
        self.segments.iter().map(Segment::live).sum()
    }

    /// Bytes of all its files.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn last(&self) -> u64 {
        let written = self.segments.back().map_or(0, |segment| segment.last);
        written.max(self.buffered.1)
    }

    /// Whether there is anything to write.
    pub(super) fn is_buffered(&self) -> bool {
        self.buffered.0 > 0
    }

    /// Whether something was written that is not safe yet.
    pub(super) fn is_unsynced(&self) -> bool {
        self.tail.as_ref().is_some_and(Tail::is_unsynced)
    }

    /// The messages that ended and are in a segment, are about to be, or may be found in one after a power cut.
    pub(super) fn done(&self) -> impl Iterator<Item = (u64, u64)> {
        let written = self.segments.iter().flat_map(|segment| segment.done.iter());
        written.chain(self.buffered_done.iter()).chain(self.ended_lost.iter())
    }

    /// Takes a message to be written with the next [`write`](Self::write). Its id is greater than all before it.
    pub(super) fn append(&mut self, ctx: &mut Context, id: u64, body: &[u8]) -> Result<()> {
        if self.ended_lost.contains(id) {
            return Ok(());
        }
        if id <= self.last() {
            let text = format!(
                "token {id} was appended after token {}; tokens must ascend within a class",
                self.last()
            );
            return Err(Error::new(Kind::Usage, text));
        }
        if !self.is_buffered() {
            self.make_tail(ctx, id)?;
        }
        let tail = self.tail.as_mut().expect("it was made with the first message of the group");
        let offset = tail.len + self.buffer.len() as u64;
        tail.place.append(&mut self.buffer, offset, (kind::MESSAGE, id), body, &mut ctx.cipher)?;
        self.buffered = (self.buffered.0 + 1, id);
        Ok(())
    }

    /// Forgets what is buffered.
    pub(super) fn discard(&mut self) {
        self.buffer.clear();
        self.buffered = (0, 0);
        if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = Vec::new();
        }
    }

    /// Has a segment to write to, in which a message with this id has a place. One group never goes to two.
    fn make_tail(&mut self, ctx: &mut Context, id: u64) -> Result<()> {
        if let Some(tail) = &self.tail {
            if tail.len < ctx.segment_bytes && id - tail.place.first < u64::from(u32::MAX) {
                return Ok(());
            }
            self.end_segment(ctx)?;
        }
        let name = segment_name(self.class, id);
        // One that was given up before anything in it was safe makes room for its successor.
        let is_again = self.segments.back().is_some_and(|segment| segment.first == id);
        let (void_from, after_damage) = match self.segments.back() {
            Some(same) if is_again => (same.void_from, same.after_damage),
            _ => (self.void_from, self.is_end_damaged),
        };
        let mut file = ctx.files.open(&name, true).map_err(|error| Error::io("make", &name, &error))?;
        // A group may have failed here before.
        file.truncate(0).map_err(|error| Error::io("shorten", &name, &error))?;
        let header = FileHeader {
            class: self.class,
            sealed: ctx.cipher.is_some(),
            salt: ctx.salt,
            first: id,
            void_from,
            after_damage,
            applied: 0,
        };
        file.write_at(0, &header.encode()).map_err(|error| {
            // Nothing is in it; when there is space again it is made again.
            let _ = ctx.files.unlink(&name);
            Error::io("write", &name, &error)
        })?;
        (self.void_from, self.is_end_damaged, self.is_void_unwritten) = (0, false, false);
        if is_again {
            self.segments.pop_back();
            self.cursor = None;
        }
        let len = FILE_HEADER as u64;
        let synced = Mark { len: 0, last: id - 1, count: 0 };
        self.tail = Some(Tail {
            file,
            place: Place::new(ctx.salt, self.class, id),
            len,
            synced,
            is_new: true,
            is_cut: false,
        });
        self.segments.push_back(Segment {
            first: id,
            last: id - 1,
            count: 0,
            bytes: len,
            void_from,
            after_damage,
            applied: 0,
            is_ended: false,
            is_damaged: false,
            done: Ranges::default(),
        });
        Ok(())
    }

    /// Ends the segment that is written to.
    fn end_segment(&mut self, ctx: &mut Context) -> Result<()> {
        let (Some(tail), Some(segment)) = (&mut self.tail, self.segments.back_mut()) else { return Ok(()) };
        let name = segment_name(self.class, segment.first);
        let mut record = Vec::new();
        let body = end_body(segment.count, segment.last);
        let id = (kind::END, segment.first);
        tail.place.append(&mut record, tail.len, id, &body, &mut ctx.cipher)?;
        let written =
            tail.file.write_at(tail.len, &record).map_err(|error| Error::io("write", &name, &error));
        if let Err(error) = written {
            self.cut_tail();
            return Err(error);
        }
        tail.len += record.len() as u64;
        segment.bytes = tail.len;
        self.sync(ctx)?;
        let segment = self.segments.back_mut().expect("the same");
        segment.is_ended = true;
        self.tail = None;
        Ok(())
    }

    /// After a failed write: the file is again as long as before, or nobody writes to it any more.
    fn cut_tail(&mut self) {
        let Some(tail) = &mut self.tail else { return };
        match tail.file.truncate(tail.len) {
            Ok(()) => tail.is_cut = true,
            Err(_) => self.give_up(),
        }
    }

    /// What was given up is not found any more, also by the next one who opens the store: the header of a segment behind it
    /// says so. With `sync` that is made safe, too.
    pub(super) fn write_void(&mut self, ctx: &mut Context, sync: bool) -> Result<()> {
        if !self.is_void_unwritten {
            return Ok(());
        }
        self.make_tail(ctx, self.void_from)?;
        if sync { self.sync(ctx) } else { Ok(()) }
    }

    /// What was not completely written at the end of the last segment is passed over by all who open the store from now on.
    pub(super) fn pass_torn(&mut self, ctx: &mut Context) -> Result<()> {
        if self.void_from == 0 || self.segments.back().is_none_or(|last| last.is_ended) {
            return Ok(());
        }
        self.make_tail(ctx, self.void_from)?;
        self.sync(ctx)
    }

    /// Nothing more is written to the last segment, and what is not safe in it does not count any more.
    fn give_up(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        let segment = self.segments.back_mut().expect("the segment of the tail");
        segment.last = tail.synced.last;
        segment.count = tail.synced.count;
        segment.bytes = tail.synced.len;
        self.ended_lost.add_all(&segment.done.split_off(segment.last + 1));
        self.void_from = segment.last + 1;
        self.is_void_unwritten = true;
        self.cursor = None;
    }

    /// Writes what is buffered. After an error nothing of it counts.
    pub(super) fn write(&mut self) -> Result<()> {
        if !self.is_buffered() {
            return Ok(());
        }
        let (Some(tail), Some(segment)) = (&mut self.tail, self.segments.back_mut()) else { return Ok(()) };
        let written = tail.file.write_at(tail.len, &self.buffer);
        match written {
            Ok(()) => {
                tail.len += self.buffer.len() as u64;
                segment.bytes = tail.len;
                segment.count += self.buffered.0;
                segment.last = self.buffered.1;
                segment.done.add_all(&core::mem::take(&mut self.buffered_done));
                self.discard();
                Ok(())
            }
            Err(error) => {
                let name = segment_name(self.class, segment.first);
                self.ended_lost.add_all(&core::mem::take(&mut self.buffered_done));
                self.discard();
                self.cut_tail();
                Err(Error::io("write", &name, &error))
            }
        }
    }

    /// Makes safe what was written. After an error, what was written since the last time does not count: nobody knows
    /// what of it the disk has, and a second try would only seem to succeed.
    pub(super) fn sync(&mut self, ctx: &mut Context) -> Result<()> {
        let (Some(tail), Some(segment)) = (&mut self.tail, self.segments.back()) else { return Ok(()) };
        if !tail.is_unsynced() {
            return Ok(());
        }
        let mut result = tail.file.sync();
        if result.is_ok() && tail.is_new {
            result = ctx.files.sync_dir();
        }
        match result {
            Ok(()) => {
                (tail.is_new, tail.is_cut) = (false, false);
                self.ended_lost = self.ended_lost.split_off(segment.last + 1);
                tail.synced = Mark { len: tail.len, last: segment.last, count: segment.count };
                Ok(())
            }
            Err(error) => {
                let name = segment_name(self.class, segment.first);
                self.give_up();
                Err(Error::io("sync", &name, &error))
            }
        }
    }

    /// Messages that ended, first to last.
    pub(super) fn end(&mut self, first: u64, last: u64, seq: u64) {
        let from = self.segments.partition_point(|segment| segment.last < first);
        for segment in self.segments.iter_mut().skip(from) {
            if segment.first > last {
                break;
            }
            let (first, last) = (first.max(segment.first), last.min(segment.last));
            // What it was made of took account of that. One that is empty has no last message.
            if seq > segment.applied && first <= last {
                segment.done.add(first, last);
            }
        }
        let written = self.segments.back().map_or(0, |segment| segment.last);
        let (first, last) = (first.max(written + 1), last.min(self.buffered.1));
        if self.is_buffered() && first <= last {
            self.buffered_done.add(first, last);
        }
    }

    /// The next message begins a new segment. Everything was written and is safe.
    pub(super) fn end_tail(&mut self) {
        self.tail = None;
    }

    /// Reading begins anew: what it read has another place.
    pub(super) fn forget_cursor(&mut self) {
        self.cursor = None;
    }

    /// Goes on writing behind the last message of the last segment, whose file was read to its end.
    pub(super) fn resume(&mut self, ctx: &Context, file: Box<dyn File>) {
        let Some(segment) = self.segments.back() else { return };
        let place = Place::new(ctx.salt, self.class, segment.first);
        // Nothing of it is known to be safe. If that cannot be made so it stays even so: all of it can be read.
        let synced = Mark { len: segment.bytes, last: segment.last, count: segment.count };
        self.tail = Some(Tail { file, place, len: segment.bytes, synced, is_new: true, is_cut: false });
    }

    /// Removes the segments of which nothing lives. What cannot be removed now is removed later.
    pub(super) fn remove_dead(&mut self, ctx: &mut Context) {
        let mut at = 0;
        while at < self.segments.len() {
            let is_tail = self.tail.is_some() && at + 1 == self.segments.len();
            let segment = &self.segments[at];
            // What the one before must not have any more is said in this one.
            let is_needed = segment.void_from != 0 && at > 0;
            if is_tail || is_needed || segment.live() > 0 || !self.is_dead(ctx, at) {
                at += 1;
                continue;
            }
            // Without it nothing would say that it has taken their place.
            if self.remove_replaced(ctx).is_err() || self.remove(ctx, at).is_err() {
                return;
            }
        }
    }

    /// Looks whether a segment of which nothing should live has no message that did not end: counts may be wrong, since a caller
    /// may have ended what is not there. It is cheap, and nothing is removed on the word of a number.
    fn is_dead(&mut self, ctx: &mut Context, at: usize) -> bool {
        let segment = &mut self.segments[at];
        let (was_damaged, reported) = (segment.is_damaged, ctx.losses.len());
        let name = segment_name(self.class, segment.first);
        let examined = match ctx.files.open(&name, false) {
            Ok(mut file) => examine(ctx, self.class, segment, &mut *file),
            Err(error) => Err(Error::io("open", &name, &error)),
        };
        if was_damaged {
            ctx.losses.truncate(reported);
        }
        // One that cannot be read is kept beside the store.
        segment.is_damaged |= examined.is_err();
        segment.live() == 0
    }

    /// Removes the files of segments whose messages stand in another one, once that cannot lose its name any more.
    fn remove_replaced(&mut self, ctx: &mut Context) -> Result<()> {
        if self.replaced.is_empty() {
            return Ok(());
        }
        let place = ctx.files.describe();
        ctx.files.sync_dir().map_err(|error| Error::folder("write", &place, &error))?;
        self.unlink_replaced(ctx)
    }

    /// As [`remove_replaced`](Self::remove_replaced), when the folder was just made safe.
    pub(super) fn unlink_replaced(&mut self, ctx: &mut Context) -> Result<()> {
        while let Some(first) = self.replaced.last() {
            let name = segment_name(self.class, *first);
            ctx.files.unlink(&name).map_err(|error| Error::io("remove", &name, &error))?;
            self.replaced.pop();
        }
        Ok(())
    }

    fn remove(&mut self, ctx: &mut Context, at: usize) -> Result<()> {
        let segment = &self.segments[at];
        let name = segment_name(self.class, segment.first);
        if self.cursor.as_ref().is_some_and(|cursor| cursor.first == segment.first) {
            self.cursor = None;
        }
        let result = if segment.is_damaged { ctx.set_aside(&name) } else { ctx.files.unlink(&name) };
        result.map_err(|error| Error::io("remove", &name, &error))?;
        if at + 1 == self.segments.len() {
            // What must not be found is gone with it. If a power cut brings it back, the header of the next one says so.
            if at == 0 && !self.is_void_unwritten {
                (self.void_from, self.is_end_damaged) = (0, false);
            }
            self.is_void_unwritten = false;
        }
        self.segments.remove(at);
        Ok(())
    }

    /// Appends the messages behind `after` that have not ended, in their order: at most `count`, and no more once they
    /// are `bytes`. False: there are no more.
    pub(super) fn read(
        &mut self,
        ctx: &mut Context,
        after: u64,
        (count, bytes): (usize, usize),
        out: &mut Vec<Stored>,
    ) -> Result<bool> {
        let mut limit = Limit { after, count, bytes };
        let begin = self.segments.partition_point(|segment| segment.last <= after);
        for at in begin..self.segments.len() {
            let segment = &mut self.segments[at];
            let open = self.cursor.take().filter(|c| c.first == segment.first && c.after == limit.after);
            let mut cursor = match open {
                Some(cursor) => cursor,
                None => Cursor::open(ctx, self.class, segment, limit.after)?,
            };
            cursor.scanner.extend(segment.bytes);
            let is_full = cursor.read(ctx, self.class, segment, &mut limit, out)?;
            cursor.after = limit.after;
            if is_full || at + 1 == self.segments.len() {
                self.cursor = Some(cursor);
            }
            if is_full {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How much is still to be read, and behind which message.
struct Limit {
    after: u64,
    count: usize,
    bytes: usize,
}

impl Cursor {
    fn open(ctx: &mut Context, class: u8, segment: &Segment, after: u64) -> Result<Cursor> {
        let name = segment_name(class, segment.first);
        let file = ctx.files.open(&name, false).map_err(|error| Error::io("open", &name, &error))?;
        let place = Place::new(ctx.salt, class, segment.first);
        let scanner = Scanner::new(place, FILE_HEADER as u64, segment.bytes);
        Ok(Cursor { file, scanner, first: segment.first, after })
    }

    /// Reads on in the segment; true if it stopped because it has enough.
    fn read(
        &mut self,
        ctx: &mut Context,
        class: u8,
        segment: &mut Segment,
        limit: &mut Limit,
        out: &mut Vec<Stored>,
    ) -> Result<bool> {
        let name = segment_name(class, segment.first);
        loop {
            if limit.count == 0 || limit.bytes == 0 {
                return Ok(true);
            }
            match self.scanner.next(&mut *self.file, &name, &mut ctx.cipher)? {
                None => return Ok(false),
                Some(Item::Record { kind: kind::MESSAGE, id, body, .. }) => {
                    if id <= limit.after || id > segment.last || segment.done.contains(id) {
                        continue;
                    }
                    let mut copy = Vec::new();
                    let has_room = copy.try_reserve_exact(body.len()).and_then(|()| out.try_reserve(1));
                    has_room.map_err(|_| Error::no_memory())?;
                    copy.extend_from_slice(body);
                    limit.after = id;
                    limit.count -= 1;
                    limit.bytes = limit.bytes.saturating_sub(copy.len());
                    out.push(Stored { id, body: copy });
                }
                Some(Item::Record { .. }) => {}
                Some(Item::Lost { .. } | Item::Refused { .. }) => {
                    // The first that is met of it: all of it is looked through, so that it is known what is left.
                    if !segment.is_damaged {
                        examine(ctx, class, segment, &mut *self.file)?;
                    }
                }
            }
        }
    }
}

/// The record that ends a segment: how many messages, and the last token. `None` if it cannot be understood.
pub(super) fn parse_end(body: &[u8]) -> Option<(u64, u64)> {
    let mut body = Body(body);
    let (count, last) = (body.u64()?, body.u64()?);
    body.is_empty().then_some((count, last)).filter(|(count, last)| *count < 1 << 32 && *last < MAX_TOKEN)
}

/// What was found when a segment was looked through.
pub(super) struct Examined {
    /// The last message that it has.
    pub(super) last: u64,
    /// What the record that ends it says, if it has one.
    pub(super) end: Option<(u64, u64)>,
}

/// Looks through a whole segment: counts what is there, and reports what cannot be read.
pub(super) fn examine(
    ctx: &mut Context,
    class: u8,
    segment: &mut Segment,
    file: &mut dyn File,
) -> Result<Examined> {
    let name = segment_name(class, segment.first);
    let place = Place::new(ctx.salt, class, segment.first);
    let mut scanner = Scanner::new(place, FILE_HEADER as u64, segment.bytes);
    let (mut live, mut before, mut end) = (0, segment.first.saturating_sub(1), None);
    while let Some(item) = scanner.next(file, &name, &mut ctx.cipher)? {
        // Nothing stands behind it.
        end = match &item {
            Item::Record { kind: kind::END, body, .. } => parse_end(body),
            _ => None,
        };
        let (offset, len, cause) = match item {
            Item::Record { kind: kind::MESSAGE, id, .. } => {
                // Ids ascend; a record that breaks this was not written here.
                if id > before && id <= segment.last {
                    live += u64::from(!segment.done.contains(id));
                    before = id;
                }
                continue;
            }
            Item::Record { .. } => continue,
            Item::Lost { offset, len } => (offset, len, Cause::Damaged),
            Item::Refused { offset, len } => (offset, len, Cause::Refused),
        };
        segment.is_damaged = true;
        ctx.losses.push(Loss { file: name.clone(), offset, len, cause });
    }
    segment.count = live + segment.done.count();
    Ok(Examined { last: before, end })
}
