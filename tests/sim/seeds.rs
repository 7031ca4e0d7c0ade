//! Many random schedules. `PATCHCORD_SEED=N` runs only that one and prints what happens in it, and
//! `PATCHCORD_SCHEDULES=N` sets how many there are; `just simulate` runs 100,000. Some of them run on PostgreSQL too:
//! `PATCHCORD_SCHEDULES_POSTGRES=N`.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::base::Place;
use super::database::Database;
use super::log::trace;
use super::promises::Tally;
use super::schedule::{Depth, Run, run, run_on};

/// How many failing seeds are enough.
const ENOUGH: usize = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn promises_hold_in_random_schedules_of_the_engine() {
    hold("Engine", schedules(), processors(), |seed| run(seed, Depth::Engine));
}

#[test]
fn promises_hold_in_random_schedules_of_the_gateway() {
    hold("Gateway", schedules() / 50, processors(), |seed| run(seed, Depth::Gateway));
}

#[test]
fn promises_hold_in_random_schedules_with_the_engine_on_postgresql() {
    let Some(database) = Database::new() else { return };
    let run = |seed| on_postgresql(&database, seed, Depth::Engine);
    hold("Engine on PostgreSQL", schedules_on_postgresql(), 1, run);
}

#[test]
fn promises_hold_in_random_schedules_with_the_gateway_on_postgresql() {
    let Some(database) = Database::new() else { return };
    let run = |seed| on_postgresql(&database, seed, Depth::Gateway);
    hold("Gateway on PostgreSQL", schedules_on_postgresql() / 5, 1, run);
}

/// Runs the schedule of a seed on an empty database; in every second of them requests gather while a commit is made.
fn on_postgresql(database: &Database, seed: u64, depth: Depth) -> Run {
    database.empty();
    run_on(Place::database(database, seed % 2 == 1), seed, depth)
}

/// How many schedules there are.
fn schedules() -> u64 {
    number("PATCHCORD_SCHEDULES").unwrap_or(2000)
}

/// About twenty seconds of them.
fn schedules_on_postgresql() -> u64 {
    number("PATCHCORD_SCHEDULES_POSTGRES").unwrap_or(100)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs so many schedules, some at a time, and lets the promises be judged.
fn hold(name: &str, count: u64, at_once: usize, run: impl Fn(u64) -> Run + Sync) {
    if let Some(seed) = number("PATCHCORD_SEED") {
        let run = run(seed);
        println!("{}", trace(&run.entries));
        match run.verdict {
            Ok(tally) => println!("{tally:?}"),
            Err(broken) => panic!("\n{}", broken.join("\n")),
        }
        return;
    }
    let began = Instant::now();
    let (next, total, failing) = (AtomicU64::new(0), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    let work = || {
        let mut tally = Tally::default();
        while failing.lock().unwrap().len() < ENOUGH {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                break;
            }
            match run(seed).verdict {
                Ok(one) => tally.add(&one),
                Err(broken) => failing.lock().unwrap().push((seed, broken)),
            }
        }
        total.lock().unwrap().add(&tally);
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let (tally, failing) = (total.into_inner().unwrap(), failing.into_inner().unwrap());
    println!("{name}: {} schedules in {:.1?}: {tally:?}", next.into_inner().min(count), began.elapsed());
    let told: Vec<String> = failing
        .iter()
        .map(|(seed, broken)| format!("PATCHCORD_SEED={seed}\n{}", broken.join("\n")))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    // A promise that was never put to the test holds nothing.
    assert!(count < 100 || !tally.has_none(), "{tally:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    gives_the_same(Depth::Engine, 200, |seed| run(seed, Depth::Engine));
    gives_the_same(Depth::Gateway, 20, |seed| run(seed, Depth::Gateway));
    let Some(database) = Database::new() else { return };
    gives_the_same(Depth::Engine, 10, |seed| on_postgresql(&database, seed, Depth::Engine));
}

fn gives_the_same(depth: Depth, seeds: u64, run: impl Fn(u64) -> Run) {
    let mut runs = BTreeSet::new();
    for seed in 0..seeds {
        let (one, two) = (run(seed), run(seed));
        let text = trace(&one.entries);
        assert_eq!(text, trace(&two.entries), "{depth:?} {seed}");
        assert_eq!(one.records, two.records, "{depth:?} {seed}");
        runs.insert(text);
    }
    assert_eq!(runs.len() as u64, seeds, "different seeds give different runs");
}
