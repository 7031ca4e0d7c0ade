//! What lanes hold in memory together, however many of them have a backlog.

use super::*;
use crate::delivery::lane::LEAST_WINDOW;
use crate::store::testing::inbound;

/// An engine whose lanes share `reserve`, on a store that takes `slow` to be read.
fn start(settings: LaneSettings, reserve: usize, slow: Duration, carrier: &Arc<Script>) -> Rig {
    let (feed, reader) = feed(8);
    let (folder, world) = (Arc::new(Folder::new()), world());
    let store = SqliteStore::open(&folder.path(), &Options::default(), feed).unwrap();
    let store: Arc<dyn Store> = Arc::new(Patient(Arc::new(store), slow));
    let engine = Engine::start(Parts {
        store: Arc::clone(&store),
        feed: reader,
        carrier: Arc::clone(carrier) as Arc<dyn Carrier>,
        settings: Arc::new(move |_| Some(settings.clone())),
        reserve,
        world: world.clone(),
    });
    Rig { folder, store, engine, world }
}

/// Queues so many events in a lane, each of a contact of its own.
async fn queue(rig: &Rig, lane: usize, count: usize) {
    let event = |i: usize| NewDelivery {
        lane: Lane::inbound(format!("c{lane}")),
        ..inbound(&format!("{i}"), &format!("{lane}-{i}"), None)
    };
    let deliveries = (0..count).map(event).collect();
    let acceptance = Acceptance { at: rig.world.now(), deliveries, ..Acceptance::default() };
    rig.store.accept(acceptance).await.unwrap();
}

fn held(rig: &Rig) -> Vec<usize> {
    rig.engine.stats().iter().map(|stats| stats.held_in_memory).collect()
}

#[tokio::test(start_paused = true)]
async fn lanes_with_a_backlog_hold_no_more_than_the_reserve_and_the_least_of_each() {
    const RESERVE: usize = 300;
    let carrier = Script::new(|_, _| (Duration::from_hours(1), sent()));
    let settings = LaneSettings { time_limit: Duration::from_hours(2), ..unlimited() };
    let rig = start(settings, RESERVE, Duration::ZERO, &carrier);
    for lane in 0..10 {
        queue(&rig, lane, 400).await;
    }
    tokio::time::sleep(ms(5000)).await;
    let held = held(&rig);
    let all = held.iter().sum::<usize>();
    assert!(all <= RESERVE + 10 * LEAST_WINDOW, "{all}: {held:?}");
    assert!(all > RESERVE, "the reserve is used: {held:?}");
    // None starves, though some have more than others.
    assert!(held.len() == 10 && held.iter().all(|held| *held >= LEAST_WINDOW / 2), "{held:?}");
    assert!(rig.engine.stats().iter().all(|stats| stats.in_flight == 32));
    rig.stop(ms(0)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_lane_does_not_need_any_more_the_others_may_have() {
    let takes = |it: &Delivery| if it.lane.channel == "c0" { ms(1) } else { Duration::from_hours(1) };
    let carrier = Script::new(move |it, _| (takes(it), sent()));
    let settings = LaneSettings { time_limit: Duration::from_hours(2), ..unlimited() };
    let rig = start(settings, 300, Duration::ZERO, &carrier);
    queue(&rig, 0, 1000).await;
    rig.until_done().await;
    // The lane hears of it a moment after the store.
    tokio::time::sleep(ms(1000)).await;
    queue(&rig, 1, 1000).await;
    tokio::time::sleep(ms(5000)).await;
    let stats = rig.engine.stats();
    let held: Vec<usize> = stats.iter().map(|stats| stats.held_in_memory + stats.in_flight).collect();
    assert_eq!(held, [0, 300 + LEAST_WINDOW]);
    rig.stop(ms(0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_without_any_of_the_reserve_keeps_its_pace_while_the_store_is_slow() {
    let carrier = Script::new(|_, _| (ms(100), sent()));
    let rig = start(LaneSettings::default(), 0, ms(300), &carrier);
    for lane in 0..3 {
        queue(&rig, lane, 400).await;
    }
    rig.until_done().await;
    for lane in ["c0", "c1", "c2"] {
        let mut seen = carrier.seen();
        seen.retain(|it| it.delivery.lane.channel == lane);
        let took = (seen[399].start - seen[0].start).as_secs_f64();
        assert!((took / (399.0 * 0.05) - 1.0).abs() < 0.02, "{lane} took {took} s");
    }
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_without_any_of_the_reserve_still_sends_several_in_one_request() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let rig = start(LaneSettings { batch: 10, ..LaneSettings::default() }, 0, Duration::ZERO, &carrier);
    let event = |i: usize| inbound("a", &i.to_string(), None);
    let deliveries = (0..200).map(event).collect();
    rig.store.accept(Acceptance { at: START, deliveries, ..Acceptance::default() }).await.unwrap();
    rig.until_done().await;
    // Eight contacts have their place in the window, so each has room for eight.
    let requests = carrier.seen().len();
    assert!((25..=27).contains(&requests), "{requests}");
    rig.stop(ms(100)).await;
}
