//! One run: a gateway of one process or of several under load until everything has arrived, and what that took.

use std::time::{Duration, Instant};

use super::figures::{Faults, median, per_second, percentile, ways};
use super::load::{Load, Sent};
use super::process::{Process, Usage, cpu_of};
use super::sink::Sink;

/// When nothing has come for so long, nothing more will.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of a run. Times are in milliseconds, memory is in MiB.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub accepted: f64,
    pub delivered: f64,
    pub accept: [f64; 2],
    pub way: [f64; 2],
    pub cpu: f64,
    /// That of a PostgreSQL on this machine, all of it.
    pub database_cpu: f64,
    pub memory: [f64; 2],
    pub bytes: f64,
    pub writes: f64,
    pub faults: Faults,
}

/// Loads processes; `delivers` is whether what they accept is to come to the sink.
pub fn run(
    processes: &[Process],
    sink: &Sink,
    load: Load,
    delivers: bool,
    request: impl Fn(u64, u64) -> Vec<u8> + Copy + Send + Sync + 'static,
) -> Figures {
    let used = || processes.iter().map(Process::usage).fold(Usage::default(), Usage::plus);
    let addresses: Vec<_> = processes.iter().map(|process| process.address).collect();
    let (before, database, began) = (used(), cpu_of("postgres"), Instant::now());
    let sent = load.run(&addresses, request);
    let accepted = sent.iter().filter(|sent| sent.accepted()).count();
    assert!(
        accepted > 0,
        "nothing was accepted; the first answer is {:?}",
        sent.first().map(|sent| sent.status)
    );
    if delivers {
        sink.wait(accepted, PATIENCE);
    }
    let (after, database) = (used(), cpu_of("postgres") - database);
    let memory = processes.iter().map(Process::memory);
    let answered = sent.iter().map(|sent| sent.answered).max().unwrap_or(began);
    let mut figures = Figures {
        accepted: per_second(accepted, began, answered),
        accept: ends(
            sent.iter().filter(|sent| sent.accepted()).map(|sent| sent.answered - sent.due).collect(),
        ),
        cpu: (after.cpu - before.cpu) / accepted as f64 * 10_000.0,
        database_cpu: database / accepted as f64 * 10_000.0,
        memory: memory.fold([0.0; 2], |sum, (now, most)| [sum[0] + now, sum[1] + most]),
        ..Figures::default()
    };
    let per_message = |of: fn(Usage) -> u64| (of(after) - of(before)) as f64 / accepted as f64;
    figures.bytes = per_message(|usage| usage.written);
    figures.writes = per_message(|usage| usage.writes);
    if delivers {
        arrived(&mut figures, &sent, sink, began, load.contacts());
    }
    figures
}

fn arrived(figures: &mut Figures, sent: &[Sent], sink: &Sink, began: Instant, contacts: u64) {
    let arrivals = sink.look(|seen| seen.arrivals.clone());
    figures.delivered = arrivals.last().map_or(0.0, |last| per_second(arrivals.len(), began, last.at));
    figures.way = ends(ways(sent, &arrivals));
    figures.faults = Faults::find(sent, &arrivals, contacts);
}

/// The median and the 99th percentile, in milliseconds.
fn ends(mut times: Vec<Duration>) -> [f64; 2] {
    [50.0, 99.0].map(|percent| percentile(&mut times, percent).as_secs_f64() * 1000.0)
}

/// The medians of several runs, and all their faults.
pub fn medians(runs: &[Figures]) -> Figures {
    let of = |value: fn(&Figures) -> f64| median(runs.iter().map(value).collect());
    let mut faults = Faults::default();
    for run in runs {
        faults.lost += run.faults.lost;
        faults.out_of_order += run.faults.out_of_order;
        faults.repeated += run.faults.repeated;
    }
    Figures {
        accepted: of(|run| run.accepted),
        delivered: of(|run| run.delivered),
        accept: [of(|run| run.accept[0]), of(|run| run.accept[1])],
        way: [of(|run| run.way[0]), of(|run| run.way[1])],
        cpu: of(|run| run.cpu),
        database_cpu: of(|run| run.database_cpu),
        memory: [of(|run| run.memory[0]), of(|run| run.memory[1])],
        bytes: of(|run| run.bytes),
        writes: of(|run| run.writes),
        faults,
    }
}

/// Prints the names of the columns.
pub fn head() {
    println!(
        "{:34} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>5} {:>6} {:>7}",
        "",
        "accepted",
        "delivered",
        "accept",
        "accept",
        "way",
        "way",
        "CPU s",
        "memory",
        "peak",
        "bytes",
        "writes",
        "lost",
        "out of",
        "repeats"
    );
    println!(
        "{:34} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>8} {:>7} {:>5} {:>6} {:>7}",
        "",
        "/s",
        "/s",
        "p50 ms",
        "p99 ms",
        "p50 ms",
        "p99 ms",
        "/10k",
        "MiB",
        "MiB",
        "/message",
        "/message",
        "",
        "order",
        ""
    );
}

/// Prints a row.
pub fn row(name: &str, figures: &Figures) {
    let Figures { accepted, delivered, accept, way, cpu, memory, bytes, writes, faults, .. } = figures;
    println!(
        "{name:34} {accepted:9.0} {delivered:9.0} {:8.2} {:8.2} {:8.2} {:8.2} {cpu:7.2} {:7.1} {:7.1} {bytes:8.0} {writes:7.2} {:>5} {:>6} {:>7}",
        accept[0],
        accept[1],
        way[0],
        way[1],
        memory[0],
        memory[1],
        faults.lost,
        faults.out_of_order,
        faults.repeated
    );
}
