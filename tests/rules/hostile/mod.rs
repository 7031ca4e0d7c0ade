//! A thousand hostile payloads for every shipped mapping and every variant, from either side: never a panic, always a
//! verdict, and nothing that the platform or an HTTP client would refuse ever leaves.
//!
//! `cargo test --test rules hostile -- --nocapture` shows what became of them.

mod answers;
mod messages;
mod mutation;
mod subject;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use subject::Subject;

/// How often something became of the payloads of one mapping, by its word.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, usize>,
    /// What must not be.
    bad: Vec<String>,
}

impl Tally {
    fn add(&mut self, word: &str, count: usize) {
        *self.counts.entry(word.into()).or_default() += count;
    }

    fn count(&self, word: &str) -> usize {
        self.counts.get(word).copied().unwrap_or_default()
    }
}

/// Attacks all subjects, on all cores; prints what became of each, and fails if something must not be.
fn attack(
    title: &str,
    subjects: &[Subject],
    attack_one: impl Fn(&Subject) -> Tally + Sync,
) -> Vec<(String, Tally)> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(2, usize::from).min(subjects.len());
    let work = || {
        let mut done = Vec::new();
        while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((subject.name.clone(), attack_one(subject)));
        }
        done
    };
    let mut tallies: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    tallies.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut shown = format!("{title}\n");
    let mut total = Tally::default();
    for (name, tally) in &tallies {
        let _ = writeln!(shown, "  {name}: {}", words(tally));
        tally.counts.iter().for_each(|(word, count)| total.add(word, *count));
    }
    println!("{shown}  all {}: {}", tallies.len(), words(&total));
    let short = |problem: &String| problem.chars().take(600).collect::<String>();
    let bad: Vec<_> = tallies.iter().flat_map(|(_, tally)| tally.bad.iter().map(short)).collect();
    assert!(
        bad.is_empty(),
        "{} bad:\n{}",
        bad.len(),
        bad.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
    tallies
}

fn words(tally: &Tally) -> String {
    tally.counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}

/// Runs one case; a panic is one of the problems that it gives.
fn attempt(run: impl FnOnce() -> Vec<String>) -> Vec<String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        vec![format!("PANIC: {}", why.unwrap_or_default())]
    })
}
