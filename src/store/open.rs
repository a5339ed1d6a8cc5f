//! Opening a store: what is there, what of it can be read, and what is missing.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use super::context::Context;
use super::core::{CLASSES, CLEAN, Options, Store, TOKEN_BLOCK};
use super::error::{Cause, Error, Kind, Loss, Result};
use super::files::{File, Files};
use super::journal::{self, Journal, state_name};
use super::log::{self, END_BODY, Log, Segment, examine, parse_end, segment_name};
use super::ranges::Ranges;
use super::record::{BadHeader, Body, CLOSED, FILE_HEADER, FileHeader, Place, RECORD_HEADER, STATE, kind};
use super::scan::{Item, Scanner, read_full};
use super::state::{Changes, State};

/// After damage to the state so many blocks of tokens are passed over: nobody knows which of them were given.
const BLOCKS_AFTER_DAMAGE: u64 = 16;

/// What was written down when the store was closed.
#[derive(Default)]
struct Closed {
    /// First record and length of the state.
    state: (u64, u64),
    /// First message and length of the last segment of each class.
    logs: BTreeMap<u8, (u64, u64)>,
}

/// A file that was found.
struct Found {
    first: u64,
    size: u64,
    header: core::result::Result<FileHeader, BadHeader>,
}

impl Store {
    /// Opens the store in a folder; an empty folder becomes one.
    ///
    /// What cannot be read is in [`take_losses`](Self::take_losses) then. Read are the state, the headers and ends of all
    /// segments, and the last segment of each class.
    pub fn open(mut files: Box<dyn Files>, options: Options) -> Result<Store> {
        let place = files.describe();
        match files.lock() {
            Ok(true) => {}
            Ok(false) => {
                let text = format!(
                    "the store in {place} is in use by another process, or by another connection of this one: give each a folder of its own"
                );
                return Err(Error::new(Kind::Locked, text));
            }
            Err(error) => return Err(Error::folder("lock", &place, &error)),
        }
        let Options { segment_bytes, snapshot_bytes, outcome_history, cipher } = options;
        let ctx = Context { files, cipher, salt: [0; 16], segment_bytes, snapshot_bytes, losses: Vec::new() };
        let mut opening = Opening { ctx, closed: None, is_clean: false };
        let opened = opening.run(outcome_history);
        let (logs, state, journal) = opened.map_err(|error| error.within(|| place.clone()))?;
        let mut store = Store { ctx: opening.ctx, logs, state, changes: Changes::default(), journal };
        for log in &mut store.logs {
            log.remove_dead(&mut store.ctx);
        }
        // What was read may have been in memory only, and what follows builds on it.
        let synced = if store.journal.has_file() { store.journal.sync() } else { store.write_snapshot() };
        synced.map_err(|error| error.within(|| place))?;
        Ok(store)
    }

    /// Whether there is a store in a folder, or what is left of one.
    pub fn is_in(files: &mut dyn Files) -> Result<bool> {
        let names = files.list().map_err(|error| Error::folder("list", &files.describe(), &error))?;
        let is_ours = |name: &String| journal::parse_name(name).is_some() || log::parse_name(name).is_some();
        Ok(names.iter().any(is_ours))
    }
}

struct Opening {
    ctx: Context,
    closed: Option<Closed>,
    /// It was closed, and what was written down then can be read.
    is_clean: bool,
}

impl Opening {
    fn run(&mut self, outcome_history: u64) -> Result<(Vec<Log>, State, Journal)> {
        let place = self.ctx.files.describe();
        let names = self.ctx.files.list().map_err(|error| Error::folder("list", &place, &error))?;
        // Half-made files of the store; others are somebody else's.
        let is_ours = |stem: &str| stem == CLEAN || stem == "state" || log::parse_name(stem).is_some();
        for name in names.iter().filter(|name| name.strip_suffix(".new").is_some_and(is_ours)) {
            self.ctx.files.unlink(name).map_err(|error| Error::io("remove", name, &error))?;
        }
        let mut states = self.find(&names, |name| journal::parse_name(name).map(|first| (STATE, first)))?;
        let mut segments = self
            .find(&names, |name| log::parse_name(name).filter(|(class, _)| usize::from(*class) < CLASSES))?;
        let closing = self.find(&names, |name| (name == CLEAN).then_some((CLOSED, 0)))?;
        let mut found: Vec<(u8, Found)> = closing;
        // The newest state first: that one is the store's.
        found.extend(states.drain(..).rev());
        let is_new = found.is_empty() && segments.is_empty();
        if !is_new {
            // A name that a file has in memory only is no reason to remove the one that it replaces.
            self.ctx.files.sync_dir().map_err(|error| Error::folder("sync", &place, &error))?;
        }
        self.know_salt(found.iter().chain(&segments))?;
        let mut states: Vec<Found> = Vec::new();
        for (class, file) in found {
            if class == CLOSED { self.read_closed(&file)? } else { states.push(file) }
        }
        let mut logs = Vec::new();
        for class in 0..CLASSES as u8 {
            let (own, others) = segments.into_iter().partition(|(c, _)| *c == class);
            segments = others;
            logs.push(self.open_log(class, own)?);
        }
        let mut state = State { reserved: 1, max_history: outcome_history.max(1), ..State::default() };
        let mut states = states.into_iter();
        let newest = states.next();
        for older in states {
            let name = state_name(older.first);
            self.ctx.files.unlink(&name).map_err(|error| Error::io("remove", &name, &error))?;
        }
        let (mut journal, is_whole) = match newest {
            Some(found) => self.read_state(&found, &mut state, &mut logs)?,
            None => {
                if !is_new {
                    self.lose(state_name(0), 0, 0, Cause::Missing);
                }
                (Journal::unwritten(&self.ctx, 1), is_new)
            }
        };
        let used = logs.iter().map(|log| log.last() + 1).max().unwrap_or(1);
        state.reserved = state.reserved.max(used);
        if !is_whole {
            state.reserved += BLOCKS_AFTER_DAMAGE * TOKEN_BLOCK;
        }
        // Numbers of records that segments refer to are not given again.
        let applied = logs.iter().flat_map(|log| log.segments.iter()).map(|segment| segment.applied).max();
        journal.seq = journal.seq.max(applied.unwrap_or(0) + 1);
        self.count_again(&mut logs)?;
        self.forget_closed()?;
        Ok((logs, state, journal))
    }

    fn lose(&mut self, file: String, offset: u64, len: u64, cause: Cause) {
        self.ctx.losses.push(Loss { file, offset, len, cause });
    }

    /// The files of a kind in the order of what their names say, with their headers.
    fn find(
        &mut self,
        names: &[String],
        parse: impl Fn(&str) -> Option<(u8, u64)>,
    ) -> Result<Vec<(u8, Found)>> {
        let mut all = Vec::new();
        for name in names {
            let Some((class, first)) = parse(name) else { continue };
            let failed = |error: &std::io::Error| Error::io("open", name, error);
            let mut file = self.ctx.files.open(name, false).map_err(|error| failed(&error))?;
            let size = file.size().map_err(|error| failed(&error))?;
            let mut bytes = [0; FILE_HEADER];
            // What cannot be read is damaged.
            let read = read_full(&mut *file, 0, &mut bytes).unwrap_or(0);
            let mut header = Err(BadHeader::Damaged);
            if read == FILE_HEADER {
                header = FileHeader::decode(&bytes);
            }
            if let Err(BadHeader::Newer(version)) = header {
                let text = format!(
                    "the store's file {name} has version {version} of the format, this library knows up to {}: use the version of the library that wrote it",
                    super::record::FORMAT
                );
                return Err(Error::new(Kind::NewerFormat, text));
            }
            if header.is_ok_and(|header| header.class != class || header.first != first) {
                header = Err(BadHeader::Damaged);
            }
            all.push((class, Found { first, size, header }));
        }
        all.sort_by_key(|(class, found)| (*class, found.first));
        Ok(all)
    }

    /// The salt of the store is in each header; a new store gets one. What another store wrote is not read.
    fn know_salt<'a>(&mut self, mut all: impl Iterator<Item = &'a (u8, Found)>) -> Result<()> {
        let Some(header) = all.find_map(|(_, found)| found.header.ok()) else {
            for half in self.ctx.salt.chunks_mut(8) {
                half.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
            }
            return Ok(());
        };
        self.ctx.salt = header.salt;
        let place = self.ctx.files.describe();
        match (header.sealed, &self.ctx.cipher) {
            (true, None) => {
                let text = format!("the store in {place} is encrypted: open it with its cipher");
                Err(Error::new(Kind::Key, text))
            }
            (false, Some(_)) => {
                let text = format!(
                    "the store in {place} is not encrypted, and a cipher was given: export it, and import it into a new one"
                );
                Err(Error::new(Kind::Key, text))
            }
            _ => Ok(()),
        }
    }

    /// Whether a header is of this store.
    fn is_ours(&self, header: &FileHeader) -> bool {
        header.salt == self.ctx.salt && header.sealed == self.ctx.cipher.is_some()
    }

    fn read_closed(&mut self, found: &Found) -> Result<()> {
        let mut file = open_file(&mut self.ctx, CLEAN)?;
        let mut scanner = Scanner::new(Place::new(self.ctx.salt, CLOSED, 0), FILE_HEADER as u64, found.size);
        let mut closed = None;
        // If it cannot be read it says nothing.
        while let Some(item) = scanner.next(&mut *file, CLEAN, &mut self.ctx.cipher).unwrap_or(None) {
            match item {
                Item::Record { kind: kind::CLOSED, body, .. } if closed.is_none() => {
                    closed = parse_closed(body)
                }
                _ => {
                    closed = None;
                    break;
                }
            }
        }
        if found.header.is_err() {
            closed = None;
        }
        self.is_clean = closed.is_some();
        if closed.is_none() {
            self.lose(CLEAN.to_owned(), 0, found.size, Cause::Damaged);
        }
        self.closed = closed;
        Ok(())
    }

    /// From now on what is written down there is not true any more.
    fn forget_closed(&mut self) -> Result<()> {
        let removed = self.ctx.files.unlink(CLEAN);
        match removed {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result
                .and_then(|()| self.ctx.files.sync_dir())
                .map_err(|error| Error::io("remove", CLEAN, &error)),
        }
    }

    fn open_log(&mut self, class: u8, found: Vec<(u8, Found)>) -> Result<Log> {
        let mut log = Log::new(class);
        for (at, (_, file)) in found.iter().enumerate() {
            let next = found.get(at + 1).map(|(_, next)| next);
            if let Some(segment) = self.open_segment(class, (file, next), &log)? {
                log.segments.push_back(segment);
            }
        }
        let count = log.segments.len();
        for at in 0..count {
            let is_last = at + 1 == count;
            let (mut next, after_damage) =
                log.segments.get(at + 1).map_or((0, false), |next| (next.void_from, next.after_damage));
            let segment = &mut log.segments[at];
            if segment.is_ended && next > segment.last {
                // The one of which that was said is gone.
                next = 0;
            }
            let is_damage = after_damage && next != 0;
            // One that was given up may have its end: that this could be made safe was what failed.
            segment.is_ended &= next == 0 || segment.applied > 0;
            if segment.is_ended {
                if is_last {
                    // Its end can be read; whether it is safe nobody knows.
                    let name = segment_name(class, segment.first);
                    let synced = open_file(&mut self.ctx, &name)?.sync();
                    synced.map_err(|error| Error::io("sync", &name, &error))?;
                }
                continue;
            }
            if next != 0 {
                segment.last = segment.last.min(next - 1);
            }
            let before = self.ctx.losses.len();
            let mut file = open_file(&mut self.ctx, &segment_name(class, segment.first))?;
            let examined = examine(&mut self.ctx, class, segment, &mut *file)?;
            segment.last = examined.last.max(segment.first.saturating_sub(1));
            if let Some((_, last)) = examined.end.filter(|_| next == 0 || segment.applied > 0) {
                // The cipher makes this record longer than what was read of the file's end.
                (segment.last, segment.is_ended) = (segment.last.max(last), true);
            }
            if segment.is_ended && self.ctx.losses.len() == before {
                if is_last {
                    file.sync()
                        .map_err(|error| Error::io("sync", &segment_name(class, segment.first), &error))?;
                }
            } else if is_last {
                self.end_of_log(&mut log, file, before);
            } else {
                self.end_of_segment(&mut log, at, (next != 0, is_damage), before);
            }
        }
        self.compare_with_closed(&log);
        Ok(log)
    }

    /// What is known of a segment by its header and its end; `None` if there is nothing in it.
    fn open_segment(
        &mut self,
        class: u8,
        (found, next): (&Found, Option<&Found>),
        log: &Log,
    ) -> Result<Option<Segment>> {
        let first = found.first;
        let name = segment_name(class, first);
        let header = found.header.ok().filter(|header| self.is_ours(header));
        let begin = FILE_HEADER as u64;
        if let Some(before) = log.segments.back()
            && before.is_ended
            && before.applied > 0
            && first <= before.last
        {
            // The one before has taken its place.
            self.ctx.files.unlink(&name).map_err(|error| Error::io("remove", &name, &error))?;
            return Ok(None);
        }
        let (void_from, applied) = header.map_or((0, 0), |header| (header.void_from, header.applied));
        let after_damage = header.is_some_and(|header| header.after_damage);
        // Where it cannot be read, all of the segment is looked through.
        let end = self.read_end(class, found).unwrap_or(None);
        let mut segment = Segment {
            first,
            last: u64::MAX,
            count: 0,
            bytes: found.size.max(begin),
            void_from,
            after_damage,
            applied,
            is_ended: false,
            is_damaged: false,
            done: Ranges::default(),
        };
        if header.is_none() {
            if found.size > begin || self.is_clean {
                self.lose(name, 0, found.size.min(begin), Cause::Damaged);
                segment.is_damaged = true;
            } else if next.is_some_and(|next| !self.is_given_up_before(first, next)) {
                // It had messages, or there would be none behind it: that is reported with its end.
                (segment.is_damaged, segment.bytes) = (true, found.size);
            } else {
                // The power went while it was made.
                if found.size > 0 {
                    self.lose(name.clone(), 0, found.size, Cause::Torn);
                }
                self.ctx.files.unlink(&name).map_err(|error| Error::io("remove", &name, &error))?;
                return Ok(None);
            }
        }
        // One without messages ends before its first.
        if let Some((count, last)) = end.filter(|(_, last)| *last + 1 >= first) {
            (segment.count, segment.last, segment.is_ended) = (count, last, true);
        }
        Ok(Some(segment))
    }

    /// Whether a segment says that nothing counts in the one before it, which begins at `first`.
    fn is_given_up_before(&self, first: u64, next: &Found) -> bool {
        let header = next.header.ok().filter(|header| self.is_ours(header));
        header.is_some_and(|header| header.void_from != 0 && header.void_from <= first)
    }

    /// The record that ends a segment, if it has one.
    fn read_end(&mut self, class: u8, found: &Found) -> Result<Option<(u64, u64)>> {
        let place = Place::new(self.ctx.salt, class, found.first);
        // A cipher makes it longer; then a few more bytes are read, and the search finds it.
        let extra = if self.ctx.cipher.is_some() { 128 } else { 0 };
        let size = (RECORD_HEADER + END_BODY + extra) as u64;
        let begin = found.size.saturating_sub(size).max(FILE_HEADER as u64);
        let mut scanner = Scanner::new(place, begin, found.size);
        let name = segment_name(class, found.first);
        let mut file = open_file(&mut self.ctx, &name)?;
        let mut end = None;
        while let Some(item) = scanner.next(&mut *file, &name, &mut self.ctx.cipher)? {
            end = match item {
                Item::Record { kind: kind::END, body, .. } => parse_end(body),
                _ => None,
            };
        }
        Ok(end)
    }

    /// The last segment was read to its end: either it is written on, or the next message begins another.
    fn end_of_log(&mut self, log: &mut Log, file: Box<dyn File>, before: usize) {
        let is_clean = self.is_clean;
        let Some(segment) = log.segments.back_mut() else { return };
        let name = segment_name(log.class, segment.first);
        let is_header_damaged = self.ctx.losses[..before].iter().any(|loss| loss.file == name);
        let end = segment.bytes;
        let losses = &mut self.ctx.losses[before..];
        let at_end = losses.iter_mut().find(|loss| loss.offset + loss.len == end);
        let Some(loss) = at_end else {
            if segment.is_damaged {
                log.void_from = segment.last + 1;
            } else {
                log.resume(&self.ctx, file);
            }
            return;
        };
        segment.bytes = loss.offset;
        log.void_from = segment.last + 1;
        log.is_end_damaged = is_clean;
        if !is_clean && loss.cause == Cause::Damaged {
            loss.cause = Cause::Torn;
            segment.is_damaged = losses.len() > 1 || is_header_damaged;
        }
    }

    /// A segment that others follow has an end, unless it was given up.
    fn end_of_segment(&mut self, log: &mut Log, at: usize, given_up: (bool, bool), before: usize) {
        let (was_given_up, after_damage) = given_up;
        let class = log.class;
        let segment = &mut log.segments[at];
        let end = segment.bytes;
        if was_given_up {
            let losses = &mut self.ctx.losses;
            if after_damage {
                segment.is_damaged = true;
            } else if losses.len() == before + 1 && losses[before].offset + losses[before].len == end {
                // That is why: it was reported when it happened, and is not read.
                segment.bytes = losses[before].offset;
                losses.truncate(before);
                segment.is_damaged = false;
            }
        } else if self.ctx.losses.len() == before {
            segment.is_damaged = true;
            self.lose(segment_name(class, segment.first), end, 0, Cause::Missing);
        }
    }

    fn compare_with_closed(&mut self, log: &Log) {
        let Some(closed) = &self.closed else { return };
        let Some(&(first, len)) = closed.logs.get(&log.class) else { return };
        let name = segment_name(log.class, first);
        let segment = log.segments.iter().find(|segment| segment.first == first);
        let known = self.ctx.losses.iter().any(|loss| loss.file == name);
        let size = segment.map_or(0, |segment| segment.bytes);
        if size < len && !known {
            self.lose(name, size, 0, Cause::Missing);
        }
    }

    /// Counts the messages of damaged segments now that it is known which of them ended.
    fn count_again(&mut self, logs: &mut [Log]) -> Result<()> {
        let reported = self.ctx.losses.len();
        for log in logs {
            for segment in log.segments.iter_mut().filter(|segment| segment.is_damaged) {
                let name = segment_name(log.class, segment.first);
                let mut file = open_file(&mut self.ctx, &name)?;
                examine(&mut self.ctx, log.class, segment, &mut *file)?;
            }
        }
        self.ctx.losses.truncate(reported);
        Ok(())
    }

    /// Reads the state. The second is whether all of it could be read.
    fn read_state(&mut self, found: &Found, state: &mut State, logs: &mut [Log]) -> Result<(Journal, bool)> {
        let name = state_name(found.first);
        let mut file = open_file(&mut self.ctx, &name)?;
        let begin = FILE_HEADER as u64;
        let mut is_whole = true;
        if !found.header.is_ok_and(|header| self.is_ours(&header)) {
            is_whole = false;
            self.lose(name.clone(), 0, found.size.min(begin), Cause::Damaged);
        }
        let mut scanner = Scanner::new(Place::new(self.ctx.salt, STATE, found.first), begin, found.size);
        let (mut seq, mut records, mut torn) = (found.first, 0, false);
        while let Some(item) = scanner.next(&mut *file, &name, &mut self.ctx.cipher)? {
            let (offset, len, cause) = match item {
                Item::Record { kind, id, body, offset } => {
                    let mut done = |class: u8, first, last| {
                        if let Some(log) = logs.get_mut(usize::from(class)) {
                            log.end(first, last, id);
                        }
                    };
                    records += 1;
                    seq = seq.max(id + 1);
                    if state.replay(kind, body, &mut done) {
                        continue;
                    }
                    (offset, (RECORD_HEADER + body.len()) as u64, Cause::Damaged)
                }
                Item::Refused { .. } if records == 0 => {
                    let place = self.ctx.files.describe();
                    let text = format!(
                        "the cipher does not open the store in {place}: it was sealed with another key"
                    );
                    return Err(Error::new(Kind::Key, text));
                }
                Item::Refused { offset, len } => (offset, len, Cause::Refused),
                Item::Lost { offset, len } => {
                    torn = offset + len == found.size && !self.is_clean;
                    (offset, len, if torn { Cause::Torn } else { Cause::Damaged })
                }
            };
            is_whole &= cause == Cause::Torn;
            self.lose(name.clone(), offset, len, cause);
        }
        let size = found.size;
        if let Some(closed) = &self.closed
            && is_whole
            && closed.state != (found.first, size)
        {
            is_whole = false;
            self.lose(name, size, 0, Cause::Missing);
        }
        if records == 0 && is_whole {
            // A snapshot is complete before it has its name.
            is_whole = false;
            self.lose(state_name(found.first), size, 0, Cause::Missing);
        }
        // A number of its own for the file that takes its place.
        let seq = seq.max(found.first + 1);
        let mut journal = Journal::resume(&self.ctx, file, found.first, size.max(1), seq);
        if torn || !is_whole {
            journal.give_up(!is_whole);
        }
        Ok((journal, is_whole))
    }
}

fn open_file(ctx: &mut Context, name: &str) -> Result<Box<dyn File>> {
    ctx.files.open(name, false).map_err(|error| Error::io("open", name, &error))
}

fn parse_closed(body: &[u8]) -> Option<Closed> {
    let mut body = Body(body);
    let state = (body.u64()?, body.u64()?);
    let mut logs = BTreeMap::new();
    while !body.is_empty() {
        logs.insert(body.byte()?, (body.u64()?, body.u64()?));
    }
    Some(Closed { state, logs })
}
