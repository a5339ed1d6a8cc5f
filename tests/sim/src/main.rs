//! Whole clients against a model broker, in virtual time. See docs/reliability.md.
//!
//!   sim --seed N           one run, with everything that happened
//!   sim --faults N         runs until that many faults struck; prints the table
//!   sim --least N          and until each cell of the table has that many
//!   sim --seconds N        runs for that long
//!   sim --from N           the first seed
//!   sim --bugs N           built with `--cfg mgos_mqtt_bug`: gives the library one bug after the other, and tries at
//!                          most N seeds to find each
//!   sim --every N          every interleaving of a few messages: 0 is what `make test` has time for, 1 more; and, built
//!                          with bugs, whether that finds them

mod app;
mod broker;
mod codec;
mod every;
mod exchange;
mod net;
mod pace;
mod plan;
mod rng;
mod run;
mod untaken;
mod watch;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use plan::Table;

/// Sums of many runs.
struct Sums {
    table: Table,
    runs: u64,
    messages: u64,
    rounds: u64,
    time: u64,
    missed: u64,
    bad: Vec<(u64, String)>,
}

fn many(from: u64, threads: u64, most_bad: usize, enough: impl Fn(&Sums) -> bool + Sync) -> Sums {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let sums = Mutex::new(Sums {
        table: Table::new(),
        runs: 0,
        messages: 0,
        rounds: 0,
        time: 0,
        missed: 0,
        bad: Vec::new(),
    });
    let work = || {
        while !stop.load(SeqCst) {
            let seed = next.fetch_add(1, SeqCst);
            let outcome = run::run(seed, false);
            let mut sums = sums.lock().unwrap();
            sums.table.add(&outcome.table);
            sums.runs += 1;
            sums.messages += outcome.messages;
            sums.rounds += outcome.rounds;
            sums.time += outcome.time;
            sums.missed += outcome.missed;
            if let Some(bad) = outcome.bad {
                sums.bad.push((seed, bad));
            }
            if sums.bad.len() >= most_bad || enough(&sums) {
                stop.store(true, SeqCst);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    sums.into_inner().unwrap()
}

/// Whether each deliberate bug is found.
#[cfg(mgos_mqtt_bug)]
fn bugs(from: u64, threads: u64, seeds: u64) -> bool {
    use mgos_mqtt::bugs::{ALL, choose};
    let mut all = true;
    for bug in ALL {
        choose(Some(*bug));
        let sums = many(from, threads, 1, |sums| sums.runs >= seeds);
        match sums.bad.first() {
            Some((seed, text)) => println!("{bug:?}: found after {} runs, by seed {seed}: {text}", sums.runs),
            None => {
                all = false;
                println!("{bug:?}: NOT FOUND in {} runs", sums.runs);
            }
        }
    }
    choose(None);
    println!("{} deliberate bugs, {}", ALL.len(), if all { "all found" } else { "some not found" });
    all
}

#[cfg(not(mgos_mqtt_bug))]
fn bugs(_: u64, _: u64, _: u64) -> bool {
    println!("the library was built without deliberate bugs: RUSTFLAGS='--cfg mgos_mqtt_bug'");
    false
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut seed, mut tried, mut every, mut from) = (None, None, None, 1);
    let (mut faults, mut least, mut seconds) = (1_000_000, 0, u64::MAX);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|v| v.parse::<u64>().ok()).expect("a number");
        match &*name {
            "--seed" => seed = Some(value),
            "--faults" => faults = value,
            "--least" => least = value,
            "--seconds" => seconds = value,
            "--from" => from = value,
            "--bugs" => tried = Some(value),
            "--every" => every = Some(value),
            _ => panic!("unknown argument {name}"),
        }
    }
    if let Some(seed) = seed {
        let outcome = run::run(seed, true);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        println!("seed {seed}: {}", outcome.bad.as_deref().unwrap_or("everything held"));
        std::process::exit(i32::from(outcome.bad.is_some()));
    }
    let start = Instant::now();
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().min(8)) as u64;
    if let Some(size) = every {
        let good = every::all(threads as usize, size > 0);
        std::process::exit(i32::from(!every::finds_bugs() || !good));
    }
    if let Some(seeds) = tried {
        std::process::exit(i32::from(!bugs(from, threads, seeds)));
    }
    let sums = many(from, threads, 5, |sums| {
        // Not after each run: to look at all cells takes as long as a short run.
        let looks = sums.runs.is_multiple_of(500);
        start.elapsed().as_secs() >= seconds
            || (sums.table.total() >= faults && (least == 0 || looks && sums.table.least().0 >= least))
    });
    let (smallest, cell, kept) = sums.table.least();
    println!("{}", sums.table.markdown());
    println!(
        "{} runs, {} faults ({} could not be brought about), {:.1} messages a run, {} rounds, {:.1} years, {:.1} s",
        sums.runs,
        sums.table.total(),
        sums.missed,
        sums.messages as f64 / sums.runs as f64,
        sums.rounds,
        sums.time as f64 / 1e6 / 86_400.0 / 365.0,
        start.elapsed().as_secs_f64(),
    );
    println!(
        "the smallest cell has {smallest}: {} while {}, QoS {}, kept {kept}",
        cell.fault.text(),
        cell.phase.text(),
        cell.qos
    );
    for (seed, bad) in &sums.bad {
        println!("VIOLATED by seed {seed}: {bad}\n  make sim SEED={seed} shows it");
    }
    std::process::exit(i32::from(!sums.bad.is_empty()));
}
