//! Everything but the messages: what became of them, packet ids, QoS 2 in both directions, tokens, and what the
//! application wants kept beside them. All of it is in memory, and in one file: a snapshot, and what changed since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::record::{Body, kind, put_varint};

/// No token is as large: what says so is not ours.
pub(super) const MAX_TOKEN: u64 = 1 << 62;

/// How a message ended. What the numbers mean is the caller's business; they are kept and returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// Which outcome, below 0xf0.
    pub kind: u8,
    /// More about it, such as a reason code.
    pub detail: u8,
}

/// In a record of ended messages: they left their log, and what became of them stands elsewhere.
pub(super) const ONLY_LOG: Outcome = Outcome { kind: 0xff, detail: 0 };

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It ended so.
    Ended(Outcome),
    /// It is not among the last that ended. Whether it still waits, its log knows.
    NotEnded,
}

/// The last outcomes.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// In the order of ending: how, first and last token.
    runs: VecDeque<(Outcome, u64, u64)>,
    count: u64,
}

impl History {
    fn push(&mut self, outcome: Outcome, first: u64, last: u64, max: u64) {
        match self.runs.back_mut() {
            Some((same, _, end)) if *same == outcome && *end + 1 == first => *end = last,
            _ => self.runs.push_back((outcome, first, last)),
        }
        self.count += last - first + 1;
        while self.count > max {
            let Some((_, first, last)) = self.runs.front_mut() else { break };
            let over = self.count - max;
            if *last - *first < over {
                self.count -= *last - *first + 1;
                self.runs.pop_front();
            } else {
                *first += over;
                self.count -= over;
            }
        }
    }

    pub(super) fn find(&self, token: u64) -> Option<Outcome> {
        let run = self.runs.iter().rev().find(|(_, first, last)| (*first..=*last).contains(&token));
        run.map(|(outcome, ..)| *outcome)
    }
}

/// Kind and name of what else is kept.
pub(super) type NoteKey = (u8, Box<[u8]>);

/// The state as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Tokens below this one may have been used.
    pub(super) reserved: u64,
    /// Packet ids of messages that were sent, or are about to be.
    pub(super) ids: BTreeMap<u64, u16>,
    /// Packet ids of messages for which PUBREC came.
    pub(super) released: BTreeMap<u64, u16>,
    /// Packet ids of messages of the server that were received, for which no PUBREL came.
    pub(super) inbound: BTreeSet<u16>,
    /// What else is kept, by its kind and name.
    pub(super) notes: BTreeMap<NoteKey, Box<[u8]>>,
    pub(super) history: History,
    pub(super) max_history: u64,
}

/// What changed since the last record that was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    pub(super) reserved: bool,
    /// By class, in runs.
    done: Vec<(u8, Outcome, u64, u64)>,
    ids: BTreeMap<u64, u16>,
    released: BTreeMap<u64, u16>,
    inbound: BTreeMap<u16, bool>,
    notes: BTreeSet<NoteKey>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        !self.reserved
            && self.done.is_empty()
            && self.ids.is_empty()
            && self.released.is_empty()
            && self.inbound.is_empty()
            && self.notes.is_empty()
    }

    fn done(&mut self, class: u8, outcome: Outcome, token: u64) {
        match self.done.last_mut() {
            Some((c, o, _, last)) if *c == class && *o == outcome && *last + 1 == token => *last = token,
            _ => self.done.push((class, outcome, token, token)),
        }
    }
}

/// Records are no longer than so many entries, so that damage in one does not reach far.
const ENTRIES: usize = 1024;

impl State {
    pub(super) fn identify(&mut self, changes: &mut Changes, token: u64, packet_id: u16) {
        self.ids.insert(token, packet_id);
        changes.ids.insert(token, packet_id);
    }

    pub(super) fn release(&mut self, changes: &mut Changes, class: u8, token: u64, packet_id: u16) {
        self.ids.remove(&token);
        self.released.insert(token, packet_id);
        changes.ids.remove(&token);
        changes.released.insert(token, packet_id);
        changes.done(class, ONLY_LOG, token);
    }

    pub(super) fn end(&mut self, changes: &mut Changes, class: u8, token: u64, outcome: Outcome) {
        self.ids.remove(&token);
        self.released.remove(&token);
        changes.ids.remove(&token);
        changes.released.remove(&token);
        changes.done(class, outcome, token);
        self.history.push(outcome, token, token, self.max_history);
    }

    pub(super) fn receive(&mut self, changes: &mut Changes, packet_id: u16, is_open: bool) {
        let changed = if is_open { self.inbound.insert(packet_id) } else { self.inbound.remove(&packet_id) };
        if changed {
            changes.inbound.insert(packet_id, is_open);
        }
    }

    pub(super) fn note(&mut self, changes: &mut Changes, key: NoteKey, value: Option<Box<[u8]>>) {
        match value {
            Some(value) => drop(self.notes.insert(key.clone(), value)),
            None => drop(self.notes.remove(&key)),
        }
        changes.notes.insert(key);
    }

    /// Everything as records.
    pub(super) fn snapshot(&self, mut put: impl FnMut(u8, &[u8])) {
        put(kind::TOKENS, &self.reserved.to_le_bytes());
        let runs: Vec<_> = self.history.runs.iter().copied().collect();
        for runs in runs.chunks(ENTRIES) {
            let mut body = Vec::new();
            for (outcome, first, last) in runs {
                body.extend_from_slice(&[outcome.kind, outcome.detail]);
                put_varint(&mut body, *first);
                put_varint(&mut body, last - first);
            }
            put(kind::HISTORY, &body);
        }
        put_ids(kind::RELEASED, &self.released, &mut put);
        put_ids(kind::IDS, &self.ids, &mut put);
        put_inbound(kind::INBOUND, self.inbound.iter().copied(), &mut put);
        for ((kind, name), value) in &self.notes {
            put_note(*kind, name, Some(value), &mut put);
        }
    }

    /// What changed, as records. What ended comes first: its packet ids may have been given to others since.
    pub(super) fn encode(&self, changes: &Changes, mut put: impl FnMut(u8, &[u8])) {
        if changes.reserved {
            put(kind::TOKENS, &self.reserved.to_le_bytes());
        }
        for group in changes.done.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            put_done(
                group[0].0,
                group[0].1,
                group.iter().map(|(_, _, first, last)| (*first, *last)),
                &mut put,
            );
        }
        put_ids(kind::RELEASED, &changes.released, &mut put);
        put_ids(kind::IDS, &changes.ids, &mut put);
        let of = |open: bool| changes.inbound.iter().filter(move |(_, is)| **is == open).map(|(id, _)| *id);
        put_inbound(kind::INBOUND_END, of(false), &mut put);
        put_inbound(kind::INBOUND, of(true), &mut put);
        for (kind, name) in &changes.notes {
            let value = self.notes.get(&(*kind, name.clone()));
            put_note(*kind, name, value.map(|value| &**value), &mut put);
        }
    }

    /// Does what a record says; `done` is told of messages that ended. False: it cannot be understood.
    pub(super) fn replay(&mut self, kind: u8, body: &[u8], done: &mut impl FnMut(u8, u64, u64)) -> bool {
        self.apply(kind, Body(body), done).is_some()
    }

    fn apply(&mut self, kind: u8, mut body: Body<'_>, done: &mut impl FnMut(u8, u64, u64)) -> Option<()> {
        match kind {
            kind::TOKENS => self.reserved = self.reserved.max(body.u64().filter(|n| *n < MAX_TOKEN)?),
            kind::IDS => read_ids(&mut body, |token, id| {
                self.ids.insert(token, id);
            })?,
            kind::RELEASED => read_ids(&mut body, |token, id| {
                self.ids.remove(&token);
                self.released.insert(token, id);
            })?,
            kind::DONE => {
                let class = body.byte()?;
                let outcome = Outcome { kind: body.byte()?, detail: body.byte()? };
                read_runs(&mut body, |first, last| self.ended(class, outcome, first, last, done))?;
            }
            kind::HISTORY => {
                while !body.is_empty() {
                    let outcome = Outcome { kind: body.byte()?, detail: body.byte()? };
                    let first = body.varint().filter(|n| *n < MAX_TOKEN)?;
                    let more = body.varint().filter(|n| *n < MAX_TOKEN)?;
                    self.history.push(outcome, first, first + more, self.max_history);
                }
            }
            kind::INBOUND | kind::INBOUND_END => {
                while !body.is_empty() {
                    let id = body.u16()?;
                    if kind == kind::INBOUND {
                        self.inbound.insert(id)
                    } else {
                        self.inbound.remove(&id)
                    };
                }
            }
            kind::PUT | kind::REMOVE => {
                let note = body.byte()?;
                let name_len = body.u16()?;
                let key = (note, Box::from(body.take(usize::from(name_len))?));
                if kind == kind::PUT {
                    self.notes.insert(key, body.0.into());
                } else {
                    self.notes.remove(&key);
                }
                return Some(());
            }
            _ => return None,
        }
        body.is_empty().then_some(())
    }

    fn ended(
        &mut self,
        class: u8,
        outcome: Outcome,
        first: u64,
        last: u64,
        done: &mut impl FnMut(u8, u64, u64),
    ) {
        for map in [&mut self.ids, &mut self.released] {
            let gone: Vec<u64> = map.range(first..=last).map(|(token, _)| *token).collect();
            for token in gone {
                map.remove(&token);
            }
        }
        if outcome != ONLY_LOG {
            self.history.push(outcome, first, last, self.max_history);
        }
        done(class, first, last);
    }
}

/// Messages of one class that ended alike: pairs of how many tokens lie between, and how many follow the first.
pub(super) fn put_done(
    class: u8,
    outcome: Outcome,
    runs: impl Iterator<Item = (u64, u64)>,
    put: &mut impl FnMut(u8, &[u8]),
) {
    let new = || vec![class, outcome.kind, outcome.detail];
    let (mut body, mut before, mut entries) = (new(), 0, 0);
    for (first, last) in runs {
        // Ascending within a record.
        if entries == ENTRIES || (entries > 0 && first < before) {
            put(kind::DONE, &body);
            (body, before, entries) = (new(), 0, 0);
        }
        put_varint(&mut body, first - before);
        put_varint(&mut body, last - first);
        before = last;
        entries += 1;
    }
    if entries > 0 {
        put(kind::DONE, &body);
    }
}

fn read_runs(body: &mut Body<'_>, mut run: impl FnMut(u64, u64)) -> Option<()> {
    let mut before = 0;
    while !body.is_empty() {
        let gap = body.varint().filter(|n| *n < MAX_TOKEN)?;
        let more = body.varint().filter(|n| *n < MAX_TOKEN)?;
        let first = before + gap;
        let last = first + more;
        if last >= MAX_TOKEN {
            return None;
        }
        run(first, last);
        before = last;
    }
    Some(())
}

/// Tokens and their packet ids: how many tokens lie between, and the id.
fn put_ids(kind: u8, ids: &BTreeMap<u64, u16>, put: &mut impl FnMut(u8, &[u8])) {
    let mut ids = ids.iter().peekable();
    while ids.peek().is_some() {
        let (mut body, mut before) = (Vec::new(), 0);
        for (token, id) in ids.by_ref().take(ENTRIES) {
            put_varint(&mut body, token - before);
            body.extend_from_slice(&id.to_le_bytes());
            before = *token;
        }
        put(kind, &body);
    }
}

fn read_ids(body: &mut Body<'_>, mut entry: impl FnMut(u64, u16)) -> Option<()> {
    let mut token = 0;
    while !body.is_empty() {
        token += body.varint().filter(|n| *n < MAX_TOKEN)?;
        if token >= MAX_TOKEN {
            return None;
        }
        entry(token, body.u16()?);
    }
    Some(())
}

fn put_inbound(kind: u8, ids: impl Iterator<Item = u16>, put: &mut impl FnMut(u8, &[u8])) {
    let body: Vec<u8> = ids.flat_map(u16::to_le_bytes).collect();
    for body in body.chunks(2 * ENTRIES) {
        put(kind, body);
    }
}

fn put_note(note: u8, name: &[u8], value: Option<&[u8]>, put: &mut impl FnMut(u8, &[u8])) {
    let mut body = vec![note];
    #[allow(clippy::cast_possible_truncation, reason = "checked when it was taken")]
    body.extend_from_slice(&(name.len() as u16).to_le_bytes());
    body.extend_from_slice(name);
    body.extend_from_slice(value.unwrap_or_default());
    put(if value.is_some() { kind::PUT } else { kind::REMOVE }, &body);
}
