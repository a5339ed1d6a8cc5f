//! Every way in which a few messages each way can go, with losses and repetitions anywhere: a search, breadth first, of all
//! states that the shipped session and a model broker can come into (`exchange.rs`).
//!
//! In each state each step is taken once. A state from which nothing goes on by itself must be one in which everything
//! is done; and the steps that are no faults never lead in a circle. So, whatever happened before, everything is done
//! once the link stays up.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

use crate::exchange::{Setting, Step, World};

/// What a search found.
pub struct Found {
    pub states: usize,
    pub steps: usize,
    /// The most steps that any state is away from the beginning.
    pub depth: usize,
    pub bad: Option<String>,
}

/// Where a state was come upon first.
#[derive(Clone, Copy)]
struct Origin {
    from: u32,
    step: Option<Step>,
}

pub fn search(setting: Setting) -> Found {
    // Two states with one hash would be taken for one: with 128 bits that does not happen.
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let name = |world: &World| {
        let state = world.state();
        (hasher.hash_one((0_u8, &state)), hasher.hash_one((1_u8, &state)))
    };
    let start = World::new(setting);
    let mut numbers = HashMap::from([(name(&start), 0_u32)]);
    let mut origins = vec![Origin { from: 0, step: None }];
    // Where the steps that are no faults lead.
    let mut onward: Vec<Vec<u32>> = vec![Vec::new()];
    let mut front = vec![(0, start)];
    let mut found = Found { states: 0, steps: 0, depth: 0, bad: None };
    let path = |origins: &[Origin], mut at: u32, last: &str| {
        let mut steps = vec![last.to_owned()];
        while let Some(Origin { from, step: Some(step) }) = origins.get(at as usize).copied() {
            steps.push(format!("{step:?}"));
            at = from;
        }
        steps.reverse();
        steps.join(", ")
    };
    while !front.is_empty() {
        let mut next = Vec::new();
        for (number, world) in front.drain(..) {
            let steps = world.steps();
            if steps.iter().all(|step| step.is_fault())
                && let Err(bad) = world.is_done()
            {
                found.bad = Some(path(&origins, number, &bad));
                return found;
            }
            for step in steps {
                let mut world = world.clone();
                found.steps += 1;
                if let Err(bad) = world.take(step) {
                    found.bad = Some(path(&origins, number, &format!("{step:?}: {bad}")));
                    return found;
                }
                let new = origins.len() as u32;
                let to = *numbers.entry(name(&world)).or_insert(new);
                if !step.is_fault() {
                    onward[number as usize].push(to);
                }
                if to == new {
                    origins.push(Origin { from: number, step: Some(step) });
                    onward.push(Vec::new());
                    next.push((new, world));
                }
            }
        }
        found.depth += usize::from(!next.is_empty());
        front = next;
    }
    found.states = origins.len();
    found.bad = circle(&onward).map(|at| path(&origins, at, "goes round in a circle"));
    found
}

/// A state from which the steps lead back to itself, if there is one.
fn circle(onward: &[Vec<u32>]) -> Option<u32> {
    let mut ways_in = vec![0_u32; onward.len()];
    onward.iter().flatten().for_each(|to| ways_in[*to as usize] += 1);
    let mut open: Vec<u32> = (0..onward.len() as u32).filter(|at| ways_in[*at as usize] == 0).collect();
    while let Some(at) = open.pop() {
        for to in &onward[at as usize] {
            ways_in[*to as usize] -= 1;
            if ways_in[*to as usize] == 0 {
                open.push(*to);
            }
        }
    }
    ways_in.iter().position(|n| *n > 0).map(|at| at as u32)
}

/// What is searched; each line is a search of its own.
fn settings(long: bool) -> Vec<Setting> {
    let setting = |out, inward, losses| Setting {
        five: false,
        out,
        inward,
        window: 2,
        report: false,
        losses,
        wipes: 1,
        repeats: 0,
    };
    let five = |out, inward, losses| Setting { five: true, ..setting(out, inward, losses) };
    let mut settings = vec![
        // QoS 2 one way, with everything that can happen to it.
        Setting { repeats: 1, ..setting(&[], &[2, 2], 2) },
        Setting { repeats: 1, ..setting(&[2, 2], &[], 2) },
        // What waits behind a window that is full; what is reported instead of being sent again.
        Setting { window: 1, report: true, ..setting(&[2, 1, 2], &[], 2) },
        // Both ways at once.
        Setting { repeats: 1, ..setting(&[2], &[2], 2) },
        setting(&[2, 1], &[2, 1], 1),
        // The same with MQTT 5.0, in which a session that was lost leaves nothing behind, and nobody repeats anything on a link.
        five(&[], &[2, 2], 2),
        five(&[2, 2], &[], 2),
        Setting { window: 1, report: true, ..five(&[2, 1, 2], &[], 2) },
        five(&[2], &[2], 2),
    ];
    if long {
        settings.push(five(&[2, 1], &[2, 1], 1));
        settings.push(setting(&[2, 2], &[2, 2], 1));
        settings.push(five(&[2, 2], &[2, 2], 1));
    }
    settings
}

/// Searches all of it, in so many threads, and prints what there was; whether everything held.
pub fn all(threads: usize, long: bool) -> bool {
    let start = Instant::now();
    let settings = settings(long);
    let (next, good) = (AtomicUsize::new(0), AtomicBool::new(true));
    let (states, steps) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        // The largest first, so that the threads end at about the same time.
        while let Some(setting) = settings.iter().rev().nth(next.fetch_add(1, SeqCst)) {
            let found = search(*setting);
            states.fetch_add(found.states, SeqCst);
            steps.fetch_add(found.steps, SeqCst);
            println!("{setting}: {} states, {} steps, {} deep", found.states, found.steps, found.depth);
            if let Some(bad) = found.bad {
                println!("VIOLATED: {bad}");
                good.store(false, SeqCst);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let good = good.into_inner();
    println!(
        "{} states, {} steps, {:.1} s: {}",
        states.into_inner(),
        steps.into_inner(),
        start.elapsed().as_secs_f64(),
        if good { "everything held" } else { "not everything held" }
    );
    good
}

/// Whether the search finds each of the deliberate bugs that are the session's and need no more than a few messages.
#[cfg(mgos_mqtt_bug)]
pub fn finds_bugs() -> bool {
    use mgos_mqtt::bugs::{Bug, choose};
    // Each with the search that finds it.
    const BUGS: &[(Bug, usize)] = &[
        (Bug::AckOnNewSocket, 0),
        (Bug::InboundNotCleared, 0),
        (Bug::InboundClearedEarly, 0),
        (Bug::LostConnackIgnored, 0),
        (Bug::SubscriptionsForgotten, 0),
        (Bug::DupTooEarly, 1),
        (Bug::DupForgotten, 1),
        (Bug::PubrelLost, 1),
        (Bug::PublishAfterPubrec, 1),
        (Bug::OutcomeTwice, 1),
        (Bug::OrderSwapped, 2),
        (Bug::WindowIgnored, 2),
    ];
    let mut missed = 0;
    for (bug, which) in BUGS {
        choose(Some(*bug));
        match search(settings(false)[*which]).bad {
            Some(bad) => println!("{bug:?}: {bad}"),
            None => {
                missed += 1;
                println!("{bug:?}: NOT FOUND");
            }
        }
    }
    choose(None);
    println!("{} deliberate bugs, {}", BUGS.len(), if missed == 0 { "all found" } else { "some not found" });
    missed == 0
}

/// In the library as it is shipped there are none.
#[cfg(not(mgos_mqtt_bug))]
pub fn finds_bugs() -> bool {
    true
}
