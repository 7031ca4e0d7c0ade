//! Many random schedules. `PATCHCORD_SEED=N` runs one of them and prints it; `PATCHCORD_SCHEDULES=N` sets how many.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::log::trace;
use super::promises::Tally;
use super::schedule::run;

/// How many failing seeds are enough.
const ENOUGH: usize = 5;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn promises_hold_in_random_schedules() {
    if let Some(seed) = number("PATCHCORD_SEED") {
        let run = run(seed);
        println!("{}", trace(&run.entries));
        match run.verdict {
            Ok(tally) => println!("seed {seed}: {tally:?}"),
            Err(broken) => panic!("seed {seed}:\n{}", broken.join("\n")),
        }
        return;
    }
    let count = number("PATCHCORD_SCHEDULES").unwrap_or(100_000);
    let began = Instant::now();
    let (next, total, failing) = (AtomicU64::new(0), Mutex::new(Tally::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut tally = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count || failing.lock().unwrap().len() >= ENOUGH {
                        break;
                    }
                    match run(seed).verdict {
                        Ok(one) => tally.add(&one),
                        Err(broken) => failing.lock().unwrap().push((seed, broken)),
                    }
                }
                total.lock().unwrap().add(&tally);
            });
        }
    });
    let done = next.into_inner().min(count);
    println!("{done} schedules in {:.1?}: {:?}", began.elapsed(), total.into_inner().unwrap());
    let failing = failing.into_inner().unwrap();
    let told: Vec<String> = failing
        .iter()
        .map(|(seed, broken)| format!("PATCHCORD_SEED={seed}: {}", broken.join("\n    ")))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (mut runs, seeds) = (std::collections::BTreeSet::new(), 200);
    for seed in 0..seeds {
        let (one, two) = (run(seed), run(seed));
        let text = trace(&one.entries);
        assert_eq!(text, trace(&two.entries), "seed {seed}");
        assert_eq!(one.records, two.records, "seed {seed}");
        runs.insert(text);
    }
    assert_eq!(runs.len(), seeds as usize, "different seeds give different runs");
}
