//! A store that is full before the gateway starts.

use std::path::Path;
use std::time::{Duration, Instant};

use patchcord::message::{Contact, Content, Event, EventKind, IdOwner};
use patchcord::store::{Acceptance, NewDelivery, Options, event_delivery, feed, open};
use patchcord::world::World;
use smol_str::{SmolStr, format_smolstr};

use super::installation::{Folder, Installation, marked};
use super::process::Process;
use super::scale::Scale;
use super::sink::Sink;

/// How many messages are queued in one go.
const BATCH: usize = 1000;
/// How many contacts they are from, in each channel.
const CONTACTS: usize = 500;
const TEXT: &str = "Hi, I ordered the blue rain jacket in size M last week and the parcel arrived this morning, but the zip \
of the left pocket is broken and the hood is a different colour than in the picture. I can bring it to the shop on \
Saturday, or you send a courier to the same address as before. I kept the box, the labels and the invoice. Please tell me \
which of the two you prefer, and whether I have to pay for anything. Thanks a lot! My order is ";

/// Queues so many messages for the platform, for channels `c0`, `c1` .. in turn.
pub fn fill(store: &Path, channels: usize, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Nothing reads the feed: it is bounded, and the gateway will read the store.
        let (feed, _reader) = feed(1);
        let store = open(&format!("sqlite:{}", store.display()), &Options::default(), feed).unwrap();
        let at = World::system().now();
        for first in (0..count).step_by(BATCH) {
            let numbers = first..(first + BATCH).min(count);
            let deliveries = numbers.map(|number| delivery(number, channels, at)).collect();
            store.accept(Acceptance { at, deliveries, ..Acceptance::default() }).await.unwrap();
        }
        store.close().await.unwrap();
    });
}

fn delivery(number: usize, channels: usize, at: i64) -> NewDelivery {
    let channel = format_smolstr!("c{}", number % channels);
    let contact: SmolStr = format_smolstr!("+62811{:07}", number / channels % CONTACTS);
    let id = format_smolstr!("m-{number}");
    let event = Event {
        kind: EventKind::Message,
        id: id.to_string(),
        id_owner: IdOwner::Provider,
        timestamp: at,
        contact: Contact { id: contact.to_string(), ..Contact::default() },
        content: Content { text: Some(format!("{TEXT}{}", marked(number as u64))), ..Content::default() },
        status: None,
        error: None,
        up_to: None,
    };
    event_delivery(&channel, &contact, &id, &event)
}

/// How long a start takes with all that queued, and how much memory; the usual 20/s keep it queued.
pub fn restart(scale: &Scale) {
    let (folder, sink) = (Folder::new(), Sink::start());
    Installation { sink: sink.address, platform_rate: "20/s", chats: 1, channels: 1 }.write(&folder);
    let began = Instant::now();
    fill(&folder.store(), 1, scale.queued);
    let filled = began.elapsed().as_secs_f64();
    let size = std::fs::metadata(folder.store()).unwrap().len() >> 20;
    let started = Instant::now();
    let process = Process::serve(&folder.0);
    sink.wait(1, Duration::from_secs(20));
    let first = sink
        .look(|seen| seen.arrivals.first().map(|first| first.at - started))
        .expect("nothing is delivered");
    std::thread::sleep(scale.lasts);
    let (resident, peak) = process.memory();
    println!(
        "restart with {} queued ({size} MiB, filled in {filled:.1} s): ready after {:.3} s, first delivery after {:.3} s \
         (a window of 1 s is waited for), {resident:.1} MiB resident, {peak:.1} at most",
        scale.queued,
        process.ready_after.as_secs_f64(),
        first.as_secs_f64(),
    );
    drop(process);
    drain(&folder, scale);
}

/// How fast they leave where nothing holds them, and in how much memory.
fn drain(folder: &Folder, scale: &Scale) {
    let sink = Sink::start();
    Installation { sink: sink.address, platform_rate: "unlimited", chats: 1, channels: 1 }.write(folder);
    let process = Process::serve(&folder.0);
    sink.wait(1, Duration::from_secs(20));
    let (before, came) = (process.usage().cpu, sink.count());
    std::thread::sleep(scale.lasts);
    let (cpu, came) = (process.usage().cpu - before, sink.count() - came);
    println!(
        "  without a limit {:.0}/s leave it, in {:.2} CPU s/10k and at most {:.1} MiB\n",
        came as f64 / scale.lasts.as_secs_f64(),
        cpu / came.max(1) as f64 * 10_000.0,
        process.memory().1,
    );
}
