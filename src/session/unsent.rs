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
    /// Never empty.
    pub(crate) numbers: Range<u64>,
    /// The packet id of the first one, which those of the others follow; 0 if none has one.
    first_id: u16,
    /// The id that the next one would have.
    next_id: u16,
    /// Of all of them. With one that is not 0 a message is alone.
    pub(crate) cookie: u32,
    /// Where the first of their packets ends in the output, and the last.
    first_end: u64,
    end: u64,
    /// Their ids are in the table of ids in use.
    pub(crate) held: bool,
}

impl Run {
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
        let step = u16::from(self.first_id != 0);
        let first = self.first_id;
        self.numbers.clone().zip(0..).map(move |(number, n)| (number, first.wrapping_add(step.wrapping_mul(n))))
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

/// All of them, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    runs: VecDeque<Run>,
    len: usize,
}

impl Unsent {
    pub(crate) const fn new() -> Unsent {
        Unsent { runs: VecDeque::new(), len: 0 }
    }

    /// How many messages there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Makes sure that one more can be put in.
    #[inline(always)]
    pub(crate) fn reserve(&mut self) -> Result<(), Code> {
        if self.runs.len() == self.runs.capacity() {
            self.runs.try_reserve(1).map_err(|_| Code::NoMemory)?;
        }
        Ok(())
    }

    /// Puts a message in, whose packet stands between `start` and `end` in the output. `packet_id` may be 0.
    #[inline(always)]
    pub(crate) fn push(&mut self, number: u64, packet_id: u16, cookie: u32, start: u64, end: u64) {
        self.len += 1;
        if let Some(run) = self.runs.back_mut()
            && run.numbers.end == number
            && run.end == start
            && run.next_id == packet_id
            // After the highest id there would follow one that is none.
            && (run.first_id == 0) == (packet_id == 0)
            && run.cookie | cookie == 0
            && !run.held
        {
            run.numbers.end += 1;
            run.end = end;
            run.next_id = following(packet_id);
            return;
        }
        self.push_run(number, packet_id, cookie, end);
    }

    #[inline(never)]
    fn push_run(&mut self, number: u64, packet_id: u16, cookie: u32, end: u64) {
        self.runs.push_back(Run {
            numbers: number..number + 1,
            first_id: packet_id,
            next_id: following(packet_id),
            cookie,
            first_end: end,
            end,
            held: false,
        });
    }

    /// Takes out messages of the first run whose packets end at or before `taken`, if there are any. `at` has the output
    /// from a position on, and what was taken last is still in it.
    #[inline]
    pub(crate) fn take_sent<'a>(&mut self, taken: u64, at: impl Fn(u64) -> &'a [u8]) -> Option<Run> {
        let run = self.runs.front_mut()?;
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
        let run = self.runs.pop_front()?;
        self.len -= run.len();
        Some(run)
    }

    /// The number of the oldest message.
    pub(crate) fn oldest(&self) -> Option<u64> {
        Some(self.runs.front()?.numbers.start)
    }

    /// Whether the message of this number is one of them.
    pub(crate) fn has(&self, number: u64) -> bool {
        let at = self.runs.partition_point(|run| run.numbers.end <= number);
        self.runs.get(at).is_some_and(|run| run.numbers.contains(&number))
    }

    /// The number of the message that has this packet id.
    pub(crate) fn find(&self, packet_id: u16) -> Option<u64> {
        let id = u32::from(packet_id);
        let run = self.runs.iter().find(|run| run.ids().contains(&id))?;
        Some(run.numbers.start + u64::from(packet_id - run.first_id))
    }

    /// The runs whose packet ids are not in the table of ids.
    pub(crate) fn not_held(&mut self) -> impl Iterator<Item = &mut Run> {
        self.runs.iter_mut().filter(|run| !run.held)
    }

    /// Gives memory back that is not used.
    pub(crate) fn shrink(&mut self) {
        self.runs.shrink_to_fit();
    }
}

/// The packet id that a neighbour of the message with this one would have.
#[inline]
fn following(packet_id: u16) -> u16 {
    if packet_id == 0 { 0 } else { packet_id.wrapping_add(1) }
}
