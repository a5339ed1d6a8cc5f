//! QoS 0 messages whose bytes are not written yet.
//!
//! They are many at once, they follow one another, and nobody asks for one of them but in an exception. So neighbours
//! share an entry, a [run](Run): what is known of each of them follows from its place there, and where its packet ends
//! stands in the packets themselves.

use alloc::collections::VecDeque;
use core::ops::Range;

use crate::error::Code;
use crate::wire::Header;

/// Messages that were accepted one after the other, and whose packets stand like that in the output.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) numbers: Range<u64>,
    /// The packet id of the first one, which those of the others follow; 0 if none has one.
    first_id: u16,
    /// The id that the next one has to have, or one that none has if this run is not to become longer.
    next_id: u32,
    /// Of all of them: a message with one that is not 0 is alone.
    pub(crate) cookie: u32,
    /// Where the first of their packets ends in the output, and the last.
    first_end: u64,
    end: u64,
    /// See [`hold`](Run::hold).
    held: bool,
}

impl Run {
    const EMPTY: Run =
        Run { numbers: 0..0, first_id: 0, next_id: NO_ID, cookie: 0, first_end: 0, end: 0, held: false };

    /// Their ids are in the table now. What follows is another run.
    pub(crate) fn hold(&mut self) {
        self.held = true;
        self.next_id = NO_ID;
    }

    /// Whether their ids are in the table of ids in use.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    fn ids(&self) -> Range<u32> {
        let first = u32::from(self.first_id);
        first..first + if first == 0 { 0 } else { self.len() as u32 }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        (self.numbers.end - self.numbers.start) as usize
    }

    /// Their packet ids, if they have any.
    pub(crate) fn packet_ids(&self) -> impl Iterator<Item = u16> + use<> {
        // An id that would not fit is not in a run: see `push`.
        self.ids().map(|id| id as u16)
    }

    /// The number and the packet id of each.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (u64, u16)> + use<> {
        let first = self.first_id;
        let step = u16::from(first != 0);
        self.numbers
            .clone()
            .zip(0_u64..)
            .map(move |(number, n)| (number, first.wrapping_add(step.wrapping_mul(n as u16))))
    }

    /// Takes the first `n` out, of which there are more; the next packet ends at `first_end`.
    fn split(&mut self, n: usize, first_end: u64) -> Run {
        let mut front = self.clone();
        self.numbers.start += n as u64;
        self.first_id += if self.first_id == 0 { 0 } else { n as u16 };
        self.first_end = first_end;
        front.numbers.end = self.numbers.start;
        front
    }
}

/// No packet id, and not 0.
const NO_ID: u32 = u32::MAX;

/// So many runs at most are looked through for a packet id. Messages of other kinds in between make runs short, and
/// there may be as many as the output has packets.
const LOOKED_THROUGH: usize = 64;

/// All of them, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    /// All runs but the newest. Those that are [held](Run::is_held) come first.
    older: VecDeque<Run>,
    /// Each message has to do with this one, so it is no part of the list. Empty if there are no messages.
    newest: Run,
    /// Messages in all runs.
    len: usize,
}

impl Unsent {
    pub(crate) const fn new() -> Unsent {
        Unsent { older: VecDeque::new(), newest: Run::EMPTY, len: 0 }
    }

    /// How many messages there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes sure that one more can be put in.
    #[inline(always)]
    pub(crate) fn reserve(&mut self) -> Result<(), Code> {
        if self.older.len() == self.older.capacity() {
            self.older.try_reserve(1).map_err(|_| Code::NoMemory)?;
        }
        Ok(())
    }

    /// Puts a message in, whose packet stands between `start` and `end` in the output. `packet_id` may be 0.
    #[inline]
    pub(crate) fn push(&mut self, number: u64, packet_id: u16, cookie: u32, start: u64, end: u64) {
        if cookie == 0 && self.continues(number, packet_id, start) {
            return self.extend(end);
        }
        self.len += 1;
        self.push_run(number, packet_id, cookie, end);
    }

    /// Whether a message with this number and this packet id, whose packet begins at `start`, follows those of the
    /// newest run.
    #[inline(always)]
    pub(crate) fn continues(&self, number: u64, packet_id: u16, start: u64) -> bool {
        let run = &self.newest;
        run.numbers.end == number && run.end == start && run.next_id == u32::from(packet_id)
    }

    /// Puts in the message that [continues](Self::continues) the newest run, and whose packet ends at `end`.
    #[inline(always)]
    pub(crate) fn extend(&mut self, end: u64) {
        self.len += 1;
        self.newest.numbers.end += 1;
        self.newest.end = end;
        // None follows the highest one.
        self.newest.next_id += u32::from(self.newest.first_id != 0);
    }

    /// Puts in the first message of all, whose packet ends at `end`. That needs no memory.
    #[inline(always)]
    pub(crate) fn begin(&mut self, number: u64, packet_id: u16, end: u64) {
        debug_assert_eq!(self.len, 0);
        self.len = 1;
        self.push_run(number, packet_id, 0, end);
    }

    #[inline(never)]
    fn push_run(&mut self, number: u64, packet_id: u16, cookie: u32, end: u64) {
        let next_id = match (cookie, packet_id) {
            (0, 0) => 0,
            (0, id) => u32::from(id) + 1,
            _ => NO_ID,
        };
        let run = Run {
            numbers: number..number + 1,
            first_id: packet_id,
            next_id,
            cookie,
            first_end: end,
            end,
            held: false,
        };
        let before = core::mem::replace(&mut self.newest, run);
        if before.len() > 0 {
            self.older.push_back(before);
        }
    }

    /// Takes out messages of the first run whose packets end at or before `taken`, if there are any. `at` has the output
    /// from a position on, and what was taken last is still in it.
    #[inline]
    pub(crate) fn take_sent<'a>(&mut self, taken: u64, at: impl Fn(u64) -> &'a [u8]) -> Option<Run> {
        let run = self.older.front_mut().unwrap_or(&mut self.newest);
        if run.end <= taken {
            return self.take_first();
        }
        if run.first_end > taken {
            return None;
        }
        // The last one is not among them.
        let (mut n, mut end) = (0, run.first_end);
        while end <= taken {
            let header = Header::parse(at(end)).ok().flatten()?;
            n += 1;
            end += header.total() as u64;
        }
        self.len -= n;
        Some(run.split(n, end))
    }

    /// Takes the first run out.
    pub(crate) fn take_first(&mut self) -> Option<Run> {
        let run = match self.older.pop_front() {
            None if self.len == 0 => return None,
            None => core::mem::replace(&mut self.newest, Run::EMPTY),
            Some(run) => run,
        };
        self.len -= run.len();
        Some(run)
    }

    fn first_not_held(&self) -> usize {
        self.older.partition_point(Run::is_held)
    }

    /// Whether there are too many runs to be looked through: they are to be [held](Run::hold).
    pub(crate) fn are_scattered(&self) -> bool {
        self.older.len() - self.first_not_held() >= LOOKED_THROUGH
    }

    /// The number of the oldest message.
    pub(crate) fn oldest(&self) -> Option<u64> {
        (self.len > 0).then(|| self.older.front().unwrap_or(&self.newest).numbers.start)
    }

    /// Whether the message of this number is one of them.
    pub(crate) fn has(&self, number: u64) -> bool {
        let at = self.older.partition_point(|run| run.numbers.end <= number);
        self.older.get(at).unwrap_or(&self.newest).numbers.contains(&number)
    }

    /// The number of the message that has this packet id.
    pub(crate) fn find(&self, packet_id: u16) -> Option<u64> {
        let id = u32::from(packet_id);
        let run = self.older.iter().chain(Some(&self.newest)).find(|run| run.ids().contains(&id))?;
        Some(run.numbers.start + u64::from(packet_id - run.first_id))
    }

    /// Whether one of the runs that are not [held](Run::hold) has this packet id.
    pub(crate) fn has_unheld(&self, packet_id: u16) -> bool {
        let newest = Some(&self.newest).filter(|run| !run.held);
        let mut runs = self.older.range(self.first_not_held()..).chain(newest);
        runs.any(|run| run.ids().contains(&u32::from(packet_id)))
    }

    /// The runs whose packet ids are not in the table of ids, oldest first.
    pub(crate) fn not_held(&mut self) -> impl Iterator<Item = &mut Run> {
        let first = self.first_not_held();
        let newest = Some(&mut self.newest).filter(|run| !run.held && run.len() > 0);
        self.older.range_mut(first..).chain(newest)
    }

    /// Gives memory back that is not used.
    pub(crate) fn shrink(&mut self) {
        self.older.shrink_to_fit();
    }
}
