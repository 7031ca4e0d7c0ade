//! The rate of each channel, by the clock of the one who receives them, in many channels at once.

use std::time::{Duration, Instant};

use super::backlog::fill;
use super::figures::{median, most_in_a_second};
use super::installation::{Folder, Installation};
use super::process::Process;
use super::scale::Scale;
use super::sink::Sink;

/// The share of it, in per cent, that is used where the machine is fast enough.
const CARRIED: f64 = 98.0;
/// By how much requests may arrive unevenly, in milliseconds; where the receiver stands still for longer, no sender knows.
const UNEVEN: f64 = 50.0;

/// Some channels, more, and many.
pub fn pace(scale: &Scale) {
    println!(
        "{:>8} {:>11} {:>14} {:>12} {:>12} {:>9} {:>9} {:>8} {:>12} {:>16}",
        "channels",
        "requests/s",
        "most in any s",
        "share used",
        "of slowest",
        "CPU s/10k",
        "cores",
        "MiB",
        "connections",
        "receiver late ms"
    );
    for channels in &scale.channels {
        one(*channels, scale.rate, scale.lasts * 2);
    }
    println!();
}

fn one(channels: usize, rate: usize, lasts: Duration) {
    let (folder, sink) = (Folder::new(), Sink::start());
    let platform_rate = format!("{rate}/s");
    Installation { sink: sink.address, platform_rate: &platform_rate, chats: 1, channels }.write(&folder);
    // More than can go, so that every channel always has something to send.
    fill(&folder.store(), channels, channels * rate * (lasts.as_secs() as usize + 4));
    let process = Process::serve(&folder.0);
    sink.wait(1, Duration::from_secs(20));
    // Connections are opened first.
    std::thread::sleep(Duration::from_secs(1));
    let (before, began) = (process.usage(), Instant::now());
    std::thread::sleep(lasts);
    let cpu = process.usage().cpu - before.cpu;
    let ended = Instant::now();
    let memory = process.memory().0;
    let mut moments = vec![Vec::new(); channels];
    let (connections, late) = sink.look(|seen| {
        seen.arrivals.iter().for_each(|arrival| moments[arrival.channel].push(arrival.at));
        (seen.connections, seen.late.as_secs_f64() * 1000.0)
    });
    drop(process);
    let most = moments.iter().map(|moments| most_in_a_second(moments)).max().unwrap_or(0);
    moments.iter_mut().for_each(|moments| moments.retain(|at| (began..ended).contains(at)));
    let count: usize = moments.iter().map(Vec::len).sum();
    let ideal = rate as f64 * lasts.as_secs_f64();
    let shares: Vec<f64> = moments.iter().map(|moments| moments.len() as f64 / ideal * 100.0).collect();
    let share = median(shares.clone());
    let slowest = shares.into_iter().fold(f64::INFINITY, f64::min);
    println!(
        "{channels:8} {:11.0} {most:14} {:10.1} % {slowest:10.1} % {:9.2} {:9.2} {memory:8.1} {connections:12} {late:16.0}",
        count as f64 / lasts.as_secs_f64(),
        share,
        cpu / count as f64 * 10_000.0,
        cpu / lasts.as_secs_f64(),
    );
    if share < CARRIED {
        println!(
            "         this machine carries {:.0} channels; beyond, requests wait for a core between their turn and the network",
            count as f64 / ideal
        );
    }
    assert!(most <= rate || late > UNEVEN, "{most} requests came within a second");
}
