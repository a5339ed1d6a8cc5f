//! Who gets a turn in which iteration of the loop, and for how long together: by a clock that only turns move.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use crate::driver_support::{Rounds, source};
use mgos_mqtt::driver::{Clock, Loop, Source, SourceId, Turn};
use mgos_mqtt::time::{Span, Time};

/// A loop whose clock stands still, and that clock.
fn still() -> (Loop, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(1_000_000));
    let clock = time.clone();
    (Loop::new(Clock::from_fn(move || Time(clock.load(SeqCst)))).unwrap(), time)
}

fn iteration(on: &Loop) {
    on.poll(Some(Span::ZERO)).unwrap();
}

/// What each of four sources was told of the iteration it had its turn in, after the first one did `first`.
fn turns(first: fn(&Loop, [SourceId; 4])) -> Vec<(char, usize)> {
    let (on, _) = still();
    let rounds = Rounds::of(&on);
    let log = Arc::new(Mutex::new(Vec::new()));
    let ids = Arc::new(Mutex::new(Vec::new()));
    for name in ['a', 'b', 'c', 'd'] {
        let (log, rounds, all) = (log.clone(), rounds.clone(), ids.clone());
        let id = on
            .add(source(move |turn| {
                log.lock().unwrap().push((name, rounds.count()));
                if name == 'a' {
                    let ids = all.lock().unwrap().clone();
                    first(turn.handle(), ids.try_into().unwrap());
                }
            }))
            .unwrap();
        ids.lock().unwrap().push(id);
    }
    ids.lock().unwrap()[..3].iter().for_each(|&id| on.schedule(id));
    iteration(&on);
    iteration(&on);
    log.lock().unwrap().clone()
}

/// An iteration goes through those that were there when it began: neither fewer nor more, whoever is removed meanwhile.
#[test]
fn an_iteration_is_for_those_that_were_there() {
    assert_eq!(turns(|_, _| ()), [('a', 0), ('b', 0), ('c', 0)]);
    let scheduled = turns(|on, [.., d]| on.schedule(d));
    assert_eq!(scheduled, [('a', 0), ('b', 0), ('c', 0), ('d', 1)]);
    let one_less = turns(|on, [.., c, d]| {
        on.remove(c);
        on.schedule(d);
    });
    assert_eq!(one_less, [('a', 0), ('b', 0), ('d', 1)]);
    let one_of_the_next = turns(|on, [.., d]| {
        on.schedule(d);
        on.remove(d);
    });
    assert_eq!(one_of_the_next, [('a', 0), ('b', 0), ('c', 0)]);
}

/// How many turns each of some iterations gave to 100 sources that take a tenth of a millisecond and ask for another turn.
#[test]
fn those_that_ask_for_more_get_half_a_millisecond_together() {
    let (on, time) = still();
    let count = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let (time, count) = (time.clone(), count.clone());
        let id = on
            .add(source(move |turn| {
                count.fetch_add(1, SeqCst);
                time.fetch_add(100, SeqCst);
                turn.again();
            }))
            .unwrap();
        on.schedule(id);
    }
    let each: Vec<usize> = (0..4)
        .map(|_| {
            iteration(&on);
            count.swap(0, SeqCst)
        })
        .collect();
    // Eight milliseconds for those that became ready; the rest of them comes first in the next one.
    assert_eq!(each, [80, 20 + 5, 5, 5]);
}

/// Counts beginnings and ends of iterations, at whose end it takes 0.2 milliseconds.
#[derive(Default)]
struct Ticks {
    begins: AtomicUsize,
    ends: Arc<AtomicUsize>,
    time: Arc<AtomicU64>,
}

impl Source for Ticks {
    fn drive(&self, _: &mut Turn<'_>) {}

    fn iteration_begin(&self) {
        self.begins.fetch_add(1, SeqCst);
    }

    fn iteration_end(&self, _: &mut Turn<'_>) {
        self.ends.fetch_add(1, SeqCst);
        self.time.fetch_add(200, SeqCst);
    }
}

/// The end of an iteration takes half a millisecond, unless one source takes longer; the others have theirs in the next.
#[test]
fn ends_of_iterations_take_turns() {
    let (on, time) = still();
    let ends = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        let ticks = Ticks { ends: ends.clone(), time: time.clone(), ..Ticks::default() };
        let id = on.add(Arc::new(ticks)).unwrap();
        on.set_every_iteration(id, true);
    }
    let each: Vec<usize> = (0..5)
        .map(|_| {
            iteration(&on);
            ends.swap(0, SeqCst)
        })
        .collect();
    assert_eq!(each, [3, 3, 3, 1, 3]);
}

/// Who does not want to be told any more, or is gone, takes it from nobody else.
#[test]
fn one_tick_less_leaves_the_others() {
    let (on, _) = still();
    let all = [(); 3].map(|()| {
        let ticks = Arc::new(Ticks::default());
        let id = on.add(ticks.clone()).unwrap();
        on.set_every_iteration(id, true);
        // Asked for twice, told once.
        on.set_every_iteration(id, true);
        assert!(on.set_every_begin(id) && on.set_every_begin(id));
        (ticks, id)
    });
    let mut expected = [(0, 0); 3];
    let mut tick = |begins: [usize; 3], ends: [usize; 3]| {
        iteration(&on);
        for n in 0..3 {
            expected[n] = (expected[n].0 + begins[n], expected[n].1 + ends[n]);
            let seen = (all[n].0.begins.load(SeqCst), all[n].0.ends.load(SeqCst));
            assert_eq!(seen, expected[n], "source {n}");
        }
    };
    tick([1; 3], [1; 3]);
    on.set_every_iteration(all[1].1, false);
    on.set_every_iteration(all[1].1, false);
    tick([1; 3], [1, 0, 1]);
    on.remove(all[0].1);
    tick([0, 1, 1], [0, 0, 1]);
    on.set_every_iteration(all[1].1, true);
    tick([0, 1, 1], [0, 1, 1]);
}
