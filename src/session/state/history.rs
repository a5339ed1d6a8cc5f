//! How the last messages ended.

use alloc::collections::VecDeque;
use core::ops::Range;

use crate::error::Code;
use crate::session::event::Outcome;

/// Messages that followed one another and ended alike.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) numbers: Range<u64>,
    outcome: Outcome,
}

/// The outcomes of the messages that ended last, by their numbers. Neighbours that ended alike, as most do, share
/// an entry.
#[derive(Clone, Debug)]
pub(crate) struct History {
    runs: VecDeque<Run>,
    /// Messages in all runs. They may be more than are to be remembered, until the next run is put in.
    len: u64,
}

impl History {
    pub(crate) const fn new() -> History {
        History { runs: VecDeque::new(), len: 0 }
    }

    /// Makes room for `n` more, so that recording them cannot fail.
    #[inline]
    pub(crate) fn reserve(&mut self, n: usize, limit: usize) -> Result<(), Code> {
        if self.room(limit) >= n { Ok(()) } else { self.grow(n, limit) }
    }

    /// How many can be recorded without making room.
    pub(crate) fn room(&self, limit: usize) -> usize {
        let room = self.runs.capacity() - self.runs.len();
        if self.runs.capacity() > limit { usize::MAX } else { room }
    }

    #[cold]
    fn grow(&mut self, n: usize, limit: usize) -> Result<(), Code> {
        // One more than are kept: the oldest goes when the newest is in.
        let more = n.min(limit.saturating_add(1).saturating_sub(self.runs.len()));
        self.runs.try_reserve(more).map_err(|_| Code::NoMemory)
    }

    /// These messages ended. At most `limit` are remembered. Whether that took a place; those that end like their
    /// neighbours, as most do, need none, and with them nothing is forgotten yet.
    #[inline]
    pub(crate) fn record(&mut self, numbers: Range<u64>, outcome: Outcome, limit: usize) -> bool {
        self.len += length(&numbers);
        match self.runs.back_mut() {
            Some(run) if run.numbers.end == numbers.start && run.outcome == outcome => {
                run.numbers.end = numbers.end;
                false
            }
            _ => {
                self.push(Run { numbers, outcome }, limit);
                true
            }
        }
    }

    #[cold]
    fn push(&mut self, run: Run, limit: usize) {
        // There is room, unless the limit was raised while the message was on its way. Without memory for more, no more
        // are remembered.
        if self.runs.try_reserve(1).is_err() {
            let Some(oldest) = self.runs.pop_front() else {
                self.len -= length(&run.numbers);
                return;
            };
            self.len -= length(&oldest.numbers);
        }
        self.runs.push_back(run);
        self.forget(limit);
    }

    /// Forgets all but the last `limit`.
    pub(crate) fn forget(&mut self, limit: usize) {
        let limit = limit as u64;
        while let Some(Run { numbers, .. }) = self.runs.front_mut()
            && self.len > limit
        {
            let n = length(numbers).min(self.len - limit);
            numbers.start += n;
            self.len -= n;
            if numbers.is_empty() {
                self.runs.pop_front();
            }
        }
    }

    /// How message `number` ended, if it is one of the last `limit`.
    pub(crate) fn find(&self, number: u64, limit: usize) -> Option<Outcome> {
        let mut left = limit as u64;
        for Run { numbers, outcome } in self.runs.iter().rev() {
            let first = numbers.start.max(numbers.end.saturating_sub(left));
            if (first..numbers.end).contains(&number) {
                return Some(*outcome);
            }
            left -= numbers.end - first;
        }
        None
    }

    /// Gives memory back that is not used.
    pub(crate) fn shrink(&mut self) {
        self.runs.shrink_to_fit();
    }
}

fn length(numbers: &Range<u64>) -> u64 {
    numbers.end - numbers.start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(
        history: &History,
        numbers: impl Iterator<Item = u64>,
        limit: usize,
    ) -> alloc::vec::Vec<Option<Outcome>> {
        numbers.map(|number| history.find(number, limit)).collect()
    }

    #[test]
    fn the_last_ones_are_remembered_each_with_its_own_outcome() {
        let mut history = History::new();
        for (number, outcome) in [
            (1, Outcome::Acked),
            (2, Outcome::Acked),
            (4, Outcome::Acked),
            (3, Outcome::Cancelled),
            (5, Outcome::Sent),
            (6, Outcome::Sent),
        ] {
            history.record(number..number + 1, outcome, 5);
        }
        let expected = [
            None,
            Some(Outcome::Acked),
            Some(Outcome::Cancelled),
            Some(Outcome::Acked),
            Some(Outcome::Sent),
            Some(Outcome::Sent),
            None,
        ];
        assert_eq!(outcomes(&history, 1..8, 5), expected);
    }

    #[test]
    fn a_limit_that_shrinks_is_obeyed_and_none_remembers_nothing() {
        let mut history = History::new();
        history.record(1..4, Outcome::Sent, 10);
        history.record(4..11, Outcome::Sent, 10);
        history.record(11..12, Outcome::Sent, 2);
        assert_eq!(outcomes(&history, 9..12, 2), [None, Some(Outcome::Sent), Some(Outcome::Sent)]);
        history.record(12..13, Outcome::Sent, 0);
        assert_eq!(outcomes(&history, 1..13, 0), [None; 12]);
    }

    #[test]
    fn what_was_reserved_is_enough_however_they_end() {
        for limit in [0, 1, 3, 100] {
            let mut history = History::new();
            for number in 1..=300 {
                history.reserve(1, limit).unwrap();
                let room = history.runs.capacity();
                history.record(2 * number..2 * number + 1, Outcome::Acked, limit);
                assert_eq!(history.runs.capacity(), room);
            }
        }
    }
}
