//! A gateway that works for long: both directions, receipts, and failures that are tried again. What it holds must not
//! grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::figures::{Faults, most_in_a_second};
use super::http::Wire;
use super::installation::{Folder, Installation, message, receipt, webhook};
use super::load::{Load, Sent};
use super::process::Process;
use super::scale::Scale;
use super::sink::Sink;

/// How many connections each direction comes over.
const CONNECTIONS: u64 = 8;
/// One in so many messages is refused once by the other side.
const REFUSED: u64 = 50;
/// The number of the first message of the platform.
const MESSAGES: u64 = 1_000_000_000;
/// How often the gateway is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The share of the time in which caches fill.
const WARM_UP: f64 = 0.2;

/// The log of the store is cut off at 64 MiB when it has become longer; a transaction may be in it beyond that.
const LARGEST_LOG: f64 = 80.0;
/// How many more files than in the first quarter may be open in the last one.
const MORE_FILES: f64 = 32.0;
/// How much more memory than in the first quarter may be in use in the last one, in MiB.
const MORE_MEMORY: f64 = 16.0;

/// One look at the gateway.
#[derive(Clone, Copy)]
struct Sample {
    at: f64,
    memory: f64,
    files: f64,
    log: f64,
}

/// Runs it.
pub fn soak(scale: &Scale) {
    let (folder, sink) = (Folder::new(), Sink::refusing(REFUSED));
    Installation { sink: sink.address, platform_rate: "unlimited", chats: 1, channels: 1 }.write(&folder);
    let process = Process::serve(&folder.0);
    println!(
        "soak: {:.0} s of {} webhooks and as many messages a second, a receipt for each message, one in {REFUSED} refused at first",
        scale.soak.as_secs_f64(),
        scale.soak_rate
    );
    let load =
        |first| Load { connections: CONNECTIONS, rate: Some(scale.soak_rate), lasts: scale.soak, first };
    let to = [process.address];
    let (before, began, over) = (process.usage(), Instant::now(), AtomicBool::new(false));
    let (webhooks, messages, samples) = std::thread::scope(|scope| {
        let webhooks = scope.spawn(|| load(MESSAGES / 2).run(&to, webhook));
        let messages = scope.spawn(|| load(MESSAGES).run(&to, message));
        let receipts = scope.spawn(|| receipts(&sink, &process, &over));
        let samples = samples(&process, &folder, began, scale.soak);
        let sent = (webhooks.join().unwrap(), messages.join().unwrap());
        sink.wait(sent.0.len() + sent.1.len(), Duration::from_secs(20));
        over.store(true, Ordering::Relaxed);
        receipts.join().unwrap();
        (sent.0, sent.1, samples)
    });
    let cpu = process.usage().cpu - before.cpu;
    report(&sink, &webhooks, &messages, cpu);
    let samples: Vec<Sample> =
        samples.into_iter().filter(|sample| sample.at >= scale.soak.as_secs_f64() * WARM_UP).collect();
    let memory = growth("memory, MiB", &samples, |sample| sample.memory);
    let files = growth("open files", &samples, |sample| sample.files);
    let log = growth("log of the store, MiB", &samples, |sample| sample.log);
    println!();
    assert!(log.most <= LARGEST_LOG, "the log of the store has grown to {:.1} MiB", log.most);
    assert!(files.more <= MORE_FILES, "{:.0} more files are open than at first", files.more);
    assert!(memory.more <= MORE_MEMORY, "{:.1} MiB more are in use than at first", memory.more);
}

/// Looks at the gateway until the time is over.
fn samples(process: &Process, folder: &Folder, began: Instant, lasts: Duration) -> Vec<Sample> {
    let log = folder.0.join("patchcord.db-wal");
    let mut samples = Vec::new();
    while began.elapsed() < lasts {
        std::thread::sleep(LOOK.min(lasts / 10));
        samples.push(Sample {
            at: began.elapsed().as_secs_f64(),
            memory: process.memory().0,
            files: process.open_files() as f64,
            log: std::fs::metadata(&log).map_or(0.0, |log| log.len() as f64 / f64::from(1 << 20)),
        });
    }
    samples
}

/// Tells the gateway of each message that reached the provider that it was delivered, until it is over.
fn receipts(sink: &Sink, process: &Process, over: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut wire = Wire::connect(process.address).await.unwrap();
        let mut seen = 0;
        loop {
            let last = over.load(Ordering::Relaxed);
            let new = sink.look(|sink| sink.arrivals[seen..].to_vec());
            seen += new.len();
            for arrival in new.iter().filter(|arrival| arrival.number >= MESSAGES) {
                assert_eq!(wire.ask(&receipt(arrival.number)).await, 200, "a receipt");
            }
            if last {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

fn report(sink: &Sink, webhooks: &[Sent], messages: &[Sent], cpu: f64) {
    let sent = [webhooks, messages].concat();
    let contacts = CONNECTIONS * 16;
    // A receipt becomes a status at the platform some time later.
    let until = Instant::now() + Duration::from_secs(10);
    while sink.look(|seen| seen.others) < messages.len() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (arrivals, statuses) = sink.look(|seen| (seen.arrivals.clone(), seen.others));
    let (to_provider, to_platform): (Vec<_>, Vec<_>) =
        arrivals.iter().partition(|arrival| arrival.number >= MESSAGES);
    let faults =
        [Faults::find(webhooks, &to_platform, contacts), Faults::find(messages, &to_provider, contacts)];
    let refused = sent.iter().filter(|sent| !sent.accepted()).count();
    let moments: Vec<Instant> = arrivals.iter().map(|arrival| arrival.at).collect();
    println!(
        "  {} accepted, {refused} not; {} arrived at the platform, {} at the provider, {statuses} statuses at the platform; most in a second {}; {:.2} CPU s/10k",
        sent.len() - refused,
        to_platform.len(),
        to_provider.len(),
        most_in_a_second(&moments),
        cpu / sent.len() as f64 * 10_000.0,
    );
    assert_eq!(refused, 0, "the gateway did not take everything");
    assert_eq!(faults, [Faults::default(); 2], "messages were lost, out of order or repeated");
    assert_eq!(statuses, messages.len(), "one status for each message");
}

/// How something changed after the warm-up.
struct Growth {
    most: f64,
    /// By how much the mean of the last quarter is above that of the first.
    more: f64,
}

fn growth(what: &str, samples: &[Sample], of: fn(&Sample) -> f64) -> Growth {
    let values: Vec<f64> = samples.iter().map(of).collect();
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        panic!("the soak is too short");
    };
    let quarter = (values.len() / 4).max(1);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let more = mean(&values[values.len() - quarter..]) - mean(&values[..quarter]);
    let most = values.iter().copied().fold(0.0, f64::max);
    let an_hour = slope(samples, of) * 3600.0;
    println!(
        "  {what}: first {first:.1}, last {last:.1}, most {most:.1}, last quarter {more:+.2} against the first, {an_hour:+.1} an hour"
    );
    Growth { most, more }
}

/// The slope of the line that fits best, per second.
fn slope(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let count = samples.len() as f64;
    let mean_at = samples.iter().map(|sample| sample.at).sum::<f64>() / count;
    let mean = samples.iter().map(of).sum::<f64>() / count;
    let over = samples.iter().map(|sample| (sample.at - mean_at) * (of(sample) - mean)).sum::<f64>();
    let under = samples.iter().map(|sample| (sample.at - mean_at).powi(2)).sum::<f64>();
    if under > 0.0 { over / under } else { 0.0 }
}
