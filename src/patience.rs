//! How long to wait for an answer while our bytes may still be on their way to the other end.
//!
//! A link may be slow: bytes that the kernel took a minute ago may not have arrived yet. A peer cannot answer a
//! question it has not received, so the time for an answer begins when the other end has acknowledged the question, and
//! as long as it acknowledges any bytes, it is alive. Where the system does not report acknowledged bytes, the time
//! begins when the question was handed to the kernel.

use crate::time::{Moment, Span, Time};

/// How often progress is checked, within the time that an answer may take, while the question is on
/// its way.
const LOOKS: u64 = 4;

/// What the system knows about the bytes that were written to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How many of them the other end has not acknowledged.
    pub left: u64,
    /// Grows with each byte that it acknowledges, counted in bytes of the stream.
    pub moved: u64,
}

/// How far a question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is in the output buffer: each byte that leaves is progress.
    Waits,
    /// It is everything written to the stream, which may still grow.
    Stream,
    /// The kernel has it, as far as anybody knows.
    Left,
    /// The other end has it.
    Arrived,
}

/// Waiting for an answer, or for bytes to be acknowledged.
#[derive(Clone, Debug)]
pub struct Patience {
    /// How long it may take.
    within: Span,
    /// From when that time counts.
    since: Time,
    /// When to check next; none if nothing is waited for, or without a limit.
    look_at: Moment,
    /// Where the question ends in the output.
    end: u64,
    /// What was acknowledged at the last check.
    moved: u64,
    stage: Stage,
    /// Nothing was on its way when the question was asked, and there was no check since.
    alone: bool,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience::NONE
    }
}

impl Patience {
    /// Waits for nothing.
    pub const NONE: Patience = Patience {
        within: Span::ZERO,
        since: Time::ZERO,
        look_at: Moment::NONE,
        end: 0,
        moved: 0,
        stage: Stage::Arrived,
        alone: false,
    };

    /// Waits for the answer to a question that is still to be asked, [`within`](Self::within) this time. The time
    /// runs from now on, as long as nothing is on its way.
    pub fn before_question(now: Time, within: Span, delivery: Option<Delivery>) -> Patience {
        let moved = delivery.map_or(0, |delivery| delivery.moved);
        let waiting = Patience { end: u64::MAX, stage: Stage::Left, alone: true, moved, ..Patience::NONE };
        Patience { since: now, ..waiting }.within(within, delivery.is_some())
    }

    /// The question was asked; `end` is where it ends in the output.
    pub fn asked(&mut self, end: u64) {
        self.end = end;
    }

    /// Waits for the answer to a question that was put into the output behind `before`, and ends at `end`. The time runs
    /// from when its last byte leaves.
    pub fn of_question(
        now: Time,
        within: Span,
        (before, end): (u64, u64),
        taken: u64,
        delivery: Option<Delivery>,
    ) -> Patience {
        let alone = delivery.is_none_or(|delivery| has_arrived(before, taken, delivery));
        let moved = delivery.map_or(0, |delivery| delivery.moved);
        let waiting = Patience { since: now, end, moved, stage: Stage::Waits, alone, ..Patience::NONE };
        // A question with nothing ahead of it arrives at once, or its loss is noticed soon enough.
        waiting.within(within, !alone)
    }

    /// Waits without a limit if `within` is zero.
    fn within(self, within: Span, looks: bool) -> Patience {
        let first = if looks { between_looks(within) } else { within };
        let look_at = (within > Span::ZERO).then(|| self.since + first).into();
        Patience { within, look_at, ..self }
    }

    /// Waits for the answer to everything that is written to a stream from now on.
    pub fn of_stream(now: Time, within: Span, delivery: Option<Delivery>) -> Patience {
        Patience { end: 0, stage: Stage::Stream, ..Patience::before_question(now, within, delivery) }
    }

    /// When to check next; none if nothing is waited for.
    pub fn look_at(&self) -> Option<Time> {
        self.look_at.get()
    }

    /// Bytes of the output were handed to the kernel, up to the position `taken`.
    #[inline]
    pub fn wrote(&mut self, now: Time, taken: u64) {
        if matches!(self.stage, Stage::Waits | Stage::Stream) {
            self.since = now;
            if self.end <= taken && self.stage == Stage::Waits {
                self.stage = Stage::Left;
            }
        }
    }

    /// Checks for progress and returns whether the time is over. `heard` is when something last came from the other
    /// end, `taken` the position in the output up to which the kernel has it.
    pub fn is_over(&mut self, now: Time, heard: Time, taken: u64, delivery: Option<Delivery>) -> bool {
        if now < self.look_at.or_never() {
            return false;
        }
        let mut under_way = false;
        if let Some(delivery) = delivery
            && self.stage != Stage::Arrived
        {
            let moved = delivery.moved > self.moved;
            self.moved = self.moved.max(delivery.moved);
            under_way = self.stage == Stage::Waits || !has_arrived(self.end, taken, delivery);
            if self.stage == Stage::Left && !under_way {
                self.stage = Stage::Arrived;
            }
            let is_asked = self.end != u64::MAX;
            // A question with nothing ahead of it arrived when it left.
            if moved && is_asked && (under_way || !self.alone) {
                self.since = now;
            }
            self.alone &= !is_asked;
        }
        let by = self.since.max(heard) + self.within;
        let look_at = if under_way { by.min(now + between_looks(self.within)) } else { by };
        self.look_at = look_at.into();
        by <= now
    }
}

fn between_looks(within: Span) -> Span {
    Span((within.0 / LOOKS).max(1))
}

/// Whether the other end has everything up to `end`. Layers such as TLS add bytes, so the unacknowledged bytes contain
/// at most as many of the output.
fn has_arrived(end: u64, taken: u64, delivery: Delivery) -> bool {
    taken >= end.saturating_add(delivery.left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Span = Span::secs(10);
    const START: Time = Time(5_000_000);

    fn at(ms: u64) -> Time {
        START + Span::millis(ms)
    }

    fn left(given: u64, left: u64) -> Option<Delivery> {
        Some(Delivery { left, moved: given - left })
    }

    /// Checks whenever that is due; returns when the time was over, in milliseconds. `left` says what is on its
    /// way then.
    fn over(mut patience: Patience, given: u64, left_at: impl Fn(u64) -> u64) -> u64 {
        for _ in 0..1_000 {
            let now = patience.look_at().expect("a limit");
            let ms = now.since(START).0 / 1_000;
            assert!(!patience.is_over(Time(now.0 - 1), Time::ZERO, given, None), "looks early");
            if patience.is_over(now, Time::ZERO, given, left(given, left_at(ms))) {
                return ms;
            }
            assert!(patience.look_at().expect("a limit") > now, "spins");
        }
        panic!("it is never over");
    }

    /// `before` bytes are on their way when a question of two bytes is asked.
    fn ping(before: u64) -> Patience {
        let ends = (before, before + 2);
        let mut patience = Patience::of_question(START, TEN, ends, before, left(before, before));
        patience.wrote(START, before + 2);
        patience
    }

    #[test]
    fn a_question_that_nothing_is_ahead_of_has_its_time_from_when_it_left() {
        assert_eq!(over(ping(0), 2, |_| 0), 10_000);
        assert_eq!(over(ping(0), 2, |_| 2), 10_000, "it never arrived");
    }

    #[test]
    fn the_time_runs_from_when_the_question_arrived() {
        // A thousand bytes a second, so the question is there at 60 s.
        let ms = over(ping(60_000), 60_002, |ms| 60_002_u64.saturating_sub(ms));
        assert!((70_000..=72_500).contains(&ms), "{ms}");
    }

    #[test]
    fn what_does_not_move_for_as_long_as_an_answer_may_take_never_will() {
        // It stops at 60 s.
        let ms = over(ping(100_000), 100_002, |ms| 100_002 - ms.min(60_000));
        assert!((70_000..=72_500).contains(&ms), "{ms}");
        assert_eq!(over(ping(100_000), 100_002, |_| 100_002), 10_000);
    }

    /// What follows the question says nothing about it.
    #[test]
    fn bytes_behind_the_question_show_no_life() {
        let mut patience = ping(1_000);
        for second in 1..=100_u64 {
            // All that was ahead arrived at once, and a hundred bytes more each second.
            let given = 1_002 + 100 * second;
            if patience.is_over(at(1_000 * second), Time::ZERO, given, left(given, 0)) {
                assert!(second <= 13, "{second}");
                return;
            }
        }
        panic!("it is never over");
    }

    #[test]
    fn what_is_heard_shows_life() {
        let mut patience = ping(0);
        assert!(!patience.is_over(at(10_000), at(4_000), 2, left(2, 0)));
        assert_eq!(patience.look_at(), Some(at(14_000)));
        assert!(patience.is_over(at(14_000), at(4_000), 2, left(2, 0)));
    }

    /// As CONNACK, while a hook makes CONNECT, and when CONNECT is long.
    #[test]
    fn a_question_that_is_asked_later() {
        let waiting = || Patience::before_question(START, TEN, left(0, 0));
        assert_eq!(over(waiting(), 0, |_| 0), 10_000, "never asked");
        let mut asked = waiting();
        asked.asked(100);
        assert_eq!(over(asked.clone(), 100, |_| 0), 10_000);
        assert_eq!(over(asked, 100, |_| 100), 10_000);
        let mut long = waiting();
        long.asked(60_000);
        let ms = over(long, 60_000, |ms| 60_000_u64.saturating_sub(ms));
        assert!((70_000..=72_500).contains(&ms), "{ms}");
    }

    /// As a handshake: what is sent in its middle has its time, too.
    #[test]
    fn a_stream_that_is_given_more() {
        assert_eq!(over(Patience::of_stream(START, TEN, left(0, 0)), 300, |_| 0), 10_000);
        let mut patience = Patience::of_stream(START, TEN, left(0, 0));
        assert!(!patience.is_over(at(2_500), Time::ZERO, 0, left(300, 0)));
        // At 9 s come 5,000 bytes more, of which 100 arrive each second.
        let mut ms = 10_000;
        while !patience.is_over(
            at(ms),
            Time::ZERO,
            0,
            left(5_300, 5_000_u64.saturating_sub((ms - 9_000) / 10)),
        ) {
            ms = patience.look_at().expect("a limit").since(START).0 / 1_000;
        }
        assert!((68_000..=73_500).contains(&ms), "{ms}");
    }

    #[test]
    fn without_knowledge_the_time_runs_from_when_the_kernel_took_it() {
        let mut patience = Patience::of_question(START, TEN, (1_000, 1_002), 0, None);
        patience.wrote(at(4_000), 500);
        assert!(!patience.is_over(at(10_000), Time::ZERO, 500, None));
        assert_eq!(patience.look_at(), Some(at(14_000)));
        patience.wrote(at(11_000), 1_002);
        patience.wrote(at(13_000), 2_000);
        assert!(!patience.is_over(at(14_000), Time::ZERO, 2_000, None));
        assert!(patience.is_over(at(21_000), Time::ZERO, 2_000, None));
    }

    #[test]
    fn without_a_limit_nobody_looks() {
        assert_eq!(Patience::of_stream(START, Span::ZERO, left(0, 0)).look_at(), None);
        assert_eq!(Patience::of_question(START, Span::ZERO, (0, 2), 0, None).look_at(), None);
        let mut none = Patience::NONE;
        assert!(!none.is_over(Time(u64::MAX - 1), Time::ZERO, 0, None));
    }
}
