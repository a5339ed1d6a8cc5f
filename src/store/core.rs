//! The store on one thread: what can be done with it, and how it becomes durable.

use super::cipher::Cipher;
use super::context::{Context, Stored};
use super::error::{Error, Kind, Loss, Result};
use super::journal::Journal;
use super::log::Log;
use super::record::{CLOSED, FILE_HEADER, FileHeader, Place, kind};
use super::state::{Changes, Fate, ONLY_LOG, Outcome, State, put_done};

/// Classes of messages: each has a log of its own, and an order of its own. What a class means is the caller's business.
pub const CLASSES: usize = 16;

/// So many tokens are reserved at once.
pub const TOKEN_BLOCK: u64 = 65_536;

/// The file that says how long the others were when the store was closed.
pub(super) const CLEAN: &str = "clean";

/// How a store is opened.
pub struct Options {
    /// A segment is ended when it is at least so long.
    pub segment_bytes: u64,
    /// The state is written anew when so many bytes stand behind what it was, or twice that, whichever is more.
    pub snapshot_bytes: u64,
    /// So many outcomes are kept.
    pub outcome_history: u64,
    /// Encrypts what is kept.
    pub cipher: Option<Box<dyn Cipher>>,
}

impl Default for Options {
    fn default() -> Options {
        Options { segment_bytes: 1024 * 1024, snapshot_bytes: 64 * 1024, outcome_history: 1024, cipher: None }
    }
}

/// What a commit has to make safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MakeSafe {
    /// The messages that were appended since the last time.
    pub messages: bool,
    /// What became of messages, packet ids, tokens, and what else is kept.
    pub state: bool,
}

impl MakeSafe {
    /// All of it.
    pub const ALL: MakeSafe = MakeSafe { messages: true, state: true };
}

/// What a commit failed to do.
#[derive(Clone, Debug, Default)]
pub struct Failed {
    /// Classes that failed. What was appended behind their [last](Store::last) message does not count.
    pub classes: Vec<(u8, Error)>,
    /// What changed is written with the next commit.
    pub state: Option<Error>,
}

impl Failed {
    /// Nothing failed.
    pub fn is_ok(&self) -> bool {
        self.classes.is_empty() && self.state.is_none()
    }

    /// The first error.
    pub fn first(&self) -> Option<&Error> {
        self.classes.first().map(|(_, error)| error).or(self.state.as_ref())
    }
}

/// A store that is open. Nothing is safe before a [`commit`](Self::commit) that says so.
pub struct Store {
    pub(super) ctx: Context,
    pub(super) logs: Vec<Log>,
    pub(super) state: State,
    pub(super) changes: Changes,
    pub(super) journal: Journal,
}

impl core::fmt::Debug for Store {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Store").field("folder", &self.ctx.files.describe()).finish_non_exhaustive()
    }
}

fn log(logs: &mut [Log], class: u8) -> Result<&mut Log> {
    let text = || Error::new(Kind::Usage, format!("class {class} is not one of 0 to {}", CLASSES - 1));
    logs.get_mut(usize::from(class)).ok_or_else(text)
}

fn copy(bytes: &[u8]) -> Result<Box<[u8]>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).map_err(|_| Error::no_memory())?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

impl Store {
    /// Reserves tokens that were never given before. They may be used when a commit made the state safe.
    pub fn reserve_tokens(&mut self) -> core::ops::Range<u64> {
        let first = self.state.reserved;
        self.state.reserved += TOKEN_BLOCK;
        self.changes.reserved = true;
        first..self.state.reserved
    }

    /// Takes a message, whose [body](super::Message::encode) this is. Tokens ascend within a class.
    pub fn append(&mut self, class: u8, token: u64, body: &[u8]) -> Result<()> {
        let appended = log(&mut self.logs, class)?.append(&mut self.ctx, token, body);
        appended.map_err(|error| self.ctx.name(error))
    }

    /// A message that was appended ended.
    pub fn end(&mut self, class: u8, token: u64, outcome: Outcome) -> Result<()> {
        log(&mut self.logs, class)?.end(token, token, u64::MAX);
        self.state.end(&mut self.changes, class, token, outcome);
        Ok(())
    }

    /// A message is sent with this packet id from now on.
    pub fn identify(&mut self, token: u64, packet_id: u16) {
        self.state.identify(&mut self.changes, token, packet_id);
    }

    /// PUBREC came for a message: it is not needed any more, its packet id is.
    pub fn release(&mut self, class: u8, token: u64, packet_id: u16) -> Result<()> {
        log(&mut self.logs, class)?.end(token, token, u64::MAX);
        self.state.release(&mut self.changes, class, token, packet_id);
        Ok(())
    }

    /// A QoS 2 message of the server was received, or its PUBREL came.
    pub fn receive(&mut self, packet_id: u16, is_open: bool) {
        self.state.receive(&mut self.changes, packet_id, is_open);
    }

    /// Keeps a value under a kind and a name, or removes it.
    pub fn note(&mut self, kind: u8, name: &[u8], value: Option<&[u8]>) -> Result<()> {
        if name.len() > usize::from(u16::MAX) || value.is_some_and(|value| value.len() > 1 << 20) {
            return Err(Error::new(
                Kind::TooLarge,
                "a name of at most 65535 bytes and a value of at most 1 MiB are kept",
            ));
        }
        let value = value.map(copy).transpose()?;
        self.state.note(&mut self.changes, (kind, copy(name)?), value);
        Ok(())
    }

    /// The values of a kind, by their names.
    pub fn notes(&self, kind: u8) -> impl Iterator<Item = (&[u8], &[u8])> {
        let all = self.state.notes.iter().filter(move |((k, _), _)| *k == kind);
        all.map(|((_, name), value)| (&**name, &**value))
    }

    /// Packet ids of messages that were sent, or were about to be.
    pub fn packet_ids(&self) -> impl Iterator<Item = (u64, u16)> {
        self.state.ids.iter().map(|(token, id)| (*token, *id))
    }

    /// Messages for which PUBREC came and PUBCOMP did not, and their packet ids.
    pub fn released(&self) -> impl Iterator<Item = (u64, u16)> {
        self.state.released.iter().map(|(token, id)| (*token, *id))
    }

    /// Packet ids of QoS 2 messages of the server that were received, and not released by it.
    pub fn received(&self) -> impl Iterator<Item = u16> {
        self.state.inbound.iter().copied()
    }

    /// What became of a message, as far as the last outcomes say.
    pub fn fate(&self, token: u64) -> Fate {
        self.state.history.find(token).map_or(Fate::NotEnded, Fate::Ended)
    }

    /// Tokens from this one on were never given.
    pub fn next_token(&self) -> u64 {
        self.state.reserved
    }

    /// Messages of a class that have not ended.
    pub fn waiting(&self, class: u8) -> u64 {
        self.logs.get(usize::from(class)).map_or(0, Log::live)
    }

    /// The token of the last message of a class that counts; 0 if there is none.
    pub fn last(&self, class: u8) -> u64 {
        self.logs.get(usize::from(class)).map_or(0, Log::last)
    }

    /// How many files a class has.
    pub fn segments(&self, class: u8) -> usize {
        self.logs.get(usize::from(class)).map_or(0, |log| log.segments.len())
    }

    /// Bytes of the files of a class.
    pub fn bytes(&self, class: u8) -> u64 {
        self.logs.get(usize::from(class)).map_or(0, Log::bytes)
    }

    /// What could not be read since the last time this was asked.
    pub fn take_losses(&mut self) -> Vec<Loss> {
        core::mem::take(&mut self.ctx.losses)
    }

    /// Appends the messages of a class behind a token that have not ended, in their order: at most `count`, and no more
    /// once their bodies are `bytes` long. Only what was committed is found. False: there are no more.
    pub fn read(
        &mut self,
        class: u8,
        after: u64,
        count: usize,
        bytes: usize,
        out: &mut Vec<Stored>,
    ) -> Result<bool> {
        let read = log(&mut self.logs, class)?.read(&mut self.ctx, after, (count, bytes), out);
        read.map_err(|error| self.ctx.name(error))
    }

    /// Writes what was appended and what changed, and makes it safe if that is asked for.
    ///
    /// Of a class that fails, nothing counts that was appended for this commit, and, if making it safe failed, nothing that
    /// was not safe before: it may be appended once more, with the same tokens. What was safe stays, and other classes do not
    /// suffer.
    pub fn commit(&mut self, sync: MakeSafe) -> Failed {
        let Store { ctx, logs, .. } = self;
        let mut failed = Failed::default();
        for log in logs.iter_mut().filter(|log| log.is_buffered() || log.is_unsynced()) {
            let mut result = log.write();
            // What was written before this commit can be made safe even so.
            if sync.messages {
                result = result.and(log.sync(ctx));
            }
            if let Err(error) = result {
                failed.classes.push((log.class, ctx.name(error)));
            }
        }
        failed.state = self.commit_state(sync.state).err().map(|error| self.ctx.name(error));
        for log in &mut self.logs {
            // If that fails, too, the next commit tries it again.
            let _ = log.write_void(&mut self.ctx, sync.messages);
            log.remove_dead(&mut self.ctx);
        }
        failed
    }

    fn commit_state(&mut self, sync: bool) -> Result<()> {
        if self.journal.is_due() {
            match self.write_snapshot() {
                Ok(()) => return Ok(()),
                Err(error) if !self.journal.has_file() => return Err(error),
                Err(_) => self.journal.postpone(&self.ctx),
            }
        }
        if !self.changes.is_empty() {
            let Store { ctx, state, changes, journal, .. } = self;
            journal.write(ctx, |put| state.encode(changes, put))?;
            self.changes = Changes::default();
        }
        if sync { self.journal.sync() } else { Ok(()) }
    }

    /// Writes the state anew, whole.
    pub(super) fn write_snapshot(&mut self) -> Result<()> {
        let Store { ctx, logs, state, journal, .. } = self;
        journal.replace(ctx, |put| {
            let mut put = put;
            // First: what is said of packet ids later is of messages that left their log.
            for log in logs.iter() {
                put_done(log.class, ONLY_LOG, log.done(), &mut put);
            }
            state.snapshot(put);
        })?;
        self.changes = Changes::default();
        Ok(())
    }

    /// Does a part of the work that may be done at any time, such as freeing space that a few old messages hold. False:
    /// there is nothing to do.
    pub fn maintain(&mut self) -> Result<bool> {
        self.compact().map_err(|error| self.ctx.name(error))
    }

    fn compact(&mut self) -> Result<bool> {
        for class in 0..self.logs.len() {
            if let Some(run) = self.logs[class].run_to_compact(self.ctx.segment_bytes) {
                // What ended is left out, so nothing may come back that says otherwise.
                self.commit_state(true)?;
                let applied = self.journal.seq - 1;
                self.logs[class].compact(&mut self.ctx, run, applied)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Replaces the segments in which damage was found by such with what can be read of them; the damaged files are kept under
    /// other names. How many there were. What was not completely written when the power went is not reported any more.
    pub fn repair(&mut self) -> Result<usize> {
        self.replace_damaged().map_err(|error| self.ctx.name(error))
    }

    fn replace_damaged(&mut self) -> Result<usize> {
        if let Some(error) = self.commit(MakeSafe::ALL).first() {
            return Err(error.clone());
        }
        let applied = self.journal.seq - 1;
        let mut repaired = 0;
        for log in &mut self.logs {
            for at in 0..log.segments.len() {
                if log.segments[at].is_damaged {
                    log.repair(&mut self.ctx, at, applied)?;
                    repaired += 1;
                }
            }
            log.pass_torn(&mut self.ctx)?;
        }
        Ok(repaired)
    }

    /// Makes all of it safe, and says in a file how long the others are: who opens the store next knows that nothing is
    /// missing.
    pub fn close(mut self) -> Result<()> {
        self.close_in_place()
    }

    pub(super) fn close_in_place(&mut self) -> Result<()> {
        self.write_clean().map_err(|error| self.ctx.name(error))
    }

    fn write_clean(&mut self) -> Result<()> {
        let failed = self.commit(MakeSafe::ALL);
        if let Some(error) = failed.first() {
            return Err(error.clone());
        }
        for log in &mut self.logs {
            log.write_void(&mut self.ctx, true)?;
        }
        let mut body = Vec::new();
        body.extend_from_slice(&self.journal.first().to_le_bytes());
        body.extend_from_slice(&self.journal.len.to_le_bytes());
        for log in &self.logs {
            if let Some(segment) = log.segments.back() {
                body.push(log.class);
                body.extend_from_slice(&segment.first.to_le_bytes());
                body.extend_from_slice(&segment.bytes.to_le_bytes());
            }
        }
        let ctx = &mut self.ctx;
        let (salt, sealed) = (ctx.salt, ctx.cipher.is_some());
        let header = FileHeader {
            class: CLOSED,
            sealed,
            salt,
            first: 0,
            void_from: 0,
            after_damage: false,
            applied: 0,
        };
        let mut bytes = header.encode().to_vec();
        let place = Place::new(salt, CLOSED, 0);
        place.append(&mut bytes, FILE_HEADER as u64, (kind::CLOSED, 0), &body, &mut ctx.cipher)?;
        let new = format!("{CLEAN}.new");
        let written = ctx.files.open(&new, true).and_then(|mut file| {
            file.truncate(0)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            ctx.files.rename(&new, CLEAN)?;
            ctx.files.sync_dir()
        });
        written.map_err(|error| Error::io("write", CLEAN, &error))
    }
}
