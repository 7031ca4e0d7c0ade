//! Order per contact, contacts that do not block each other, and a queue much longer than the memory for it.

use std::collections::HashMap;

use super::*;

/// Per contact: attempts do not overlap, and succeed in the order of acceptance, each once.
fn assert_order(seen: &[Seen], expected: usize) {
    let mut per_contact: HashMap<SmolStr, Vec<&Seen>> = HashMap::new();
    for it in seen {
        per_contact.entry(it.delivery.contact.clone()).or_default().push(it);
    }
    let mut sent = 0;
    for (contact, seen) in per_contact {
        assert!(seen.windows(2).all(|pair| pair[1].start >= pair[0].end.unwrap()), "{contact} overlaps");
        let ids: Vec<DeliveryId> = seen
            .iter()
            .filter(|it| matches!(it.outcome, Some(Outcome::Sent { .. })))
            .map(|it| it.delivery.id)
            .collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{contact}: {ids:?}");
        sent += ids.len();
    }
    assert_eq!(sent, expected);
}

fn noise(delivery: &Delivery, n: usize) -> u64 {
    let mut bytes = [0; 8];
    let seed = u64::try_from(delivery.id).unwrap() << 20 | n as u64;
    SeededEntropy::new(seed).fill(&mut bytes);
    u64::from_le_bytes(bytes) >> 8
}

#[tokio::test(start_paused = true)]
async fn order_per_contact_is_kept_under_random_failures() {
    let carrier = Script::new(|delivery, n| {
        let noise = noise(delivery, n);
        (ms(noise % 300), if noise % 10 < 3 { retry() } else { sent() })
    });
    let rig = Rig::start(&LaneSettings { rate: "100/s".parse().unwrap(), ..unlimited() }, &carrier);
    for round in 0..10 {
        rig.accept((0..50).map(|i| (["a", "b", "c", "d", "e", "f", "g"][i % 7], format!("{round}-{i}"))))
            .await;
        tokio::time::sleep(ms(200)).await;
    }
    rig.until_done().await;
    assert_order(&carrier.seen(), 500);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_contact_that_waits_blocks_only_itself() {
    let carrier = Script::new(|delivery, n| {
        (ms(5), if delivery.contact == "bad" && n < 1000 { retry() } else { sent() })
    });
    let rig = Rig::start(&LaneSettings { window: 64, ..unlimited() }, &carrier);
    // Far more of the blocked contact than the window holds, ahead of the others.
    rig.accept((0..300).map(|i| ("bad", format!("bad{i}")))).await;
    rig.accept(spread(200)).await;
    tokio::time::sleep(ms(2000)).await;
    assert_eq!(carrier.sent(Direction::Outbound).len(), 200);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_falls_behind_its_window_catches_up_without_loss_or_repetition() {
    let carrier = Script::new(|delivery, n| {
        let noise = noise(delivery, n);
        (ms(noise % 20), if noise.is_multiple_of(50) { retry() } else { sent() })
    });
    // A window of 20 and a feed of 8: almost everything is missed by the feed and read from the store.
    let settings = LaneSettings { window: 20, in_flight: 8, ..unlimited() };
    let rig = Rig::start_in(Arc::new(Folder::new()), world(), &settings, &carrier, 8);
    let contacts = spread(13);
    for round in 0..30 {
        rig.accept((0..100).map(|i| (contacts[(i * 7 + round) % 13].0, format!("{round}-{i}")))).await;
        tokio::time::sleep(ms(u64::try_from(round % 5).unwrap() * 40)).await;
    }
    rig.until_done().await;
    // Caught up: the next ones come by the feed.
    rig.accept((0..5).map(|i| ("last", format!("last{i}")))).await;
    rig.until_done().await;
    assert_order(&carrier.seen(), 3005);
    let stats = rig.engine.stats();
    assert_eq!((stats[0].depth, stats[0].sent), (0, 3005));
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn at_most_so_many_are_under_way() {
    let carrier = Script::new(|_, _| (ms(100), sent()));
    let rig = Rig::start(&LaneSettings { in_flight: 4, ..unlimited() }, &carrier);
    rig.accept(spread(40)).await;
    rig.until_done().await;
    let starts = carrier.seen().iter().map(|it| it.start).collect();
    assert_eq!(most_in_any_window(starts, ms(100)), 4);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_delayed_delivery_holds_back_its_contact_alone_also_after_a_restart() {
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let world = world();
    let rig = Rig::start_in(Arc::new(Folder::new()), world.clone(), &unlimited(), &carrier, 4096);
    let now = rig.world.now();
    let delayed = |contact: &str, mid: &str, delay| NewDelivery {
        not_before: now + delay,
        ..crate::store::testing::inbound(contact, mid, None)
    };
    let deliveries =
        vec![delayed("a", "a1", 0), delayed("a", "a2", 5000), delayed("a", "a3", 0), delayed("b", "b1", 0)];
    rig.store.accept(Acceptance { at: now, deliveries, ..Acceptance::default() }).await.unwrap();
    tokio::time::sleep(ms(2000)).await;
    assert_eq!(carrier.sent(Direction::Inbound), ["a1", "b1"]);
    let folder = rig.stop(ms(100)).await;
    let rig = Rig::start_in(folder, world, &unlimited(), &carrier, 4096);
    rig.until_done().await;
    let seen = carrier.seen();
    assert_eq!(carrier.sent(Direction::Inbound), ["a1", "b1", "a2", "a3"]);
    assert!(seen[2].start - seen[0].start >= ms(4990), "{:?}", seen[2].start - seen[0].start);
    rig.stop(ms(100)).await;
}

/// Prints how fast a lane without limit drains a store of a million, and how much memory that takes. Run it with
/// `cargo test --release --lib -- --ignored --nocapture a_million`.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "takes half a minute and is about figures"]
async fn a_million_queued_stay_flat_in_memory() {
    let carrier: Arc<dyn Carrier> = Arc::new(Quick);
    let folder = Folder::new();
    let (feed, reader) = feed(4096);
    let address = format!("sqlite:{}", folder.path().display());
    let store = crate::store::open(&address, &Options::default(), feed).unwrap();
    let idle = resident();
    for round in 0..1000 {
        let new = (0..1000).map(|i| NewDelivery {
            payload: vec![b'x'; 700].into(),
            ..outbound(&format!("+{}", i * 7 % 500), &format!("{round}-{i}"))
        });
        let acceptance = Acceptance { at: START, deliveries: new.collect(), ..Acceptance::default() };
        store.accept(acceptance).await.unwrap();
    }
    let queued = resident();
    let began = std::time::Instant::now();
    let engine = Engine::start(Parts {
        store: Arc::clone(&store),
        feed: reader,
        carrier,
        settings: Arc::new(|_| Some(unlimited())),
        reserve: 32_768,
        world: World::system(),
    });
    tokio::time::sleep(ms(10_000)).await;
    let sent = engine.stats()[0].sent;
    println!(
        "resident MiB: {idle} idle, {queued} with a million queued, {} while draining; {:.0}/s sent and settled",
        resident(),
        f64::from(u32::try_from(sent).unwrap()) / began.elapsed().as_secs_f64()
    );
    engine.shutdown(ms(5000)).await;
    let queued = store.counts().await.unwrap().queued;
    assert!(resident() < 150 && queued < 1_000_000);
}

/// Another side that takes everything at once.
struct Quick;

impl Carrier for Quick {
    fn attempt<'a>(
        &'a self,
        _: &'a Arc<Delivery>,
        _: &'a [Arc<Delivery>],
        _: Departure,
    ) -> BoxFuture<'a, Report> {
        async { sent().into() }.boxed()
    }
}

/// Resident memory in MiB; 0 where `/proc` is not there.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}
