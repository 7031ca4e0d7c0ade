//! Scenarios from files: what arrives when, how the network fares, what goes wrong, and what must be so in the end,
//! besides all promises. `PATCHCORD_SCENARIO=NAME` runs only that one and prints what happens in it.

mod file;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use patchcord::message::Status;
use patchcord::store::{Direction, Record};

use self::file::Scenario;
use crate::base::Place;
use crate::log::{CALL, Entry, Event, Said, trace};
use crate::promises::Tally;
use crate::schedule::{Depth, Run, play};

/// What can be said of a run in figures.
fn figure(name: &str, run: &Run, tally: &Tally) -> u64 {
    let told = |status| {
        let is = |event: &Event| matches!(event, Event::Begins { item, said: Said::Taken { .. }, .. } if item.status == Some(status));
        run.entries.iter().filter(|entry| is(&entry.event)).count() as u64
    };
    match name {
        "calls" => calls(&run.entries),
        "duplicates" => duplicates(&run.entries),
        "seconds" => run.entries.last().map_or(0, |last| last.at.as_secs()),
        "silence" => silence(&run.entries),
        "told_delivered" => told(Status::Delivered),
        "told_read" => told(Status::Read),
        "told_failed" => told(Status::Failed),
        "webhooks" => webhooks(&run.records),
        other => tally.of(other).unwrap_or_else(|| panic!("nothing is known of `{other}`")),
    }
}

fn calls(entries: &[Entry]) -> u64 {
    let is = |entry: &&Entry| matches!(&entry.event, Event::Begins { item, .. } if item.kind == CALL);
    entries.iter().filter(is).count() as u64
}

/// Messages from contacts that were queued.
fn webhooks(records: &[Record]) -> u64 {
    let is = |it: &&Record| {
        it.delivery.lane.direction == Direction::Inbound && it.delivery.kind.as_str() == "message"
    };
    records.iter().filter(is).count() as u64
}

/// How often something arrived that had arrived before.
fn duplicates(entries: &[Entry]) -> u64 {
    let mut arrived = BTreeSet::new();
    let again = entries.iter().filter(|entry| match &entry.event {
        Event::Begins { item, part, said: Said::Taken { .. } | Said::Lost { .. }, .. } => {
            !arrived.insert((item.clone(), *part))
        }
        _ => false,
    });
    again.count() as u64
}

/// For how many seconds the provider heard nothing, at most.
fn silence(entries: &[Entry]) -> u64 {
    let heard = entries.iter().filter_map(|entry| match &entry.event {
        Event::Begins { item, .. } if item.lane.direction == Direction::Outbound => Some(entry.at),
        _ => None,
    });
    let heard: Vec<Duration> = heard.collect();
    heard.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).max().unwrap_or_default()
}

fn run(path: &Path) -> Vec<String> {
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap();
    let scenario: Scenario = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let began = Instant::now();
    let run = play(Place::Memory, 1, Depth::Gateway, |_| scenario.schedule());
    if std::env::var("PATCHCORD_SCENARIO").is_ok() {
        println!("{}", trace(&run.entries));
    }
    let tally = match &run.verdict {
        Ok(tally) => *tally,
        Err(broken) => return broken.iter().map(|what| format!("{name}: {what}")).collect(),
    };
    let simulated = run.entries.last().map_or(Duration::ZERO, |last| last.at);
    println!("{name}: {simulated:.1?} in {:.1?}: {tally:?}", began.elapsed());
    let wrong = scenario.then.iter().filter_map(|(what, bound)| {
        let figure = figure(what, &run, &tally);
        (!bound.holds(figure)).then(|| format!("{name}: {what} is {figure}, wanted is {bound:?}"))
    });
    wrong.collect()
}

#[test]
fn scenarios_end_as_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/scenarios");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    if let Ok(only) = std::env::var("PATCHCORD_SCENARIO") {
        files.retain(|path| path.file_stem().is_some_and(|stem| stem == only.as_str()));
    }
    assert!(!files.is_empty());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = files.iter().map(|path| scope.spawn(|| run(path))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
