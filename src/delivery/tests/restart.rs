//! Stopping, draining, being killed, and going on afterwards.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_what_is_under_way_and_the_rest_goes_after_the_restart() {
    let carrier = Script::new(|_, _| (ms(400), sent()));
    let world = world();
    let rig = Rig::start_in(Arc::new(Folder::new()), world.clone(), &LaneSettings::default(), &carrier, 4096);
    // The engine looks first and sees that the store is new.
    tokio::time::sleep(ms(1)).await;
    rig.accept(spread(50)).await;
    tokio::time::sleep(ms(2000)).await;
    let folder = rig.stop(ms(10_000)).await;
    let before = carrier.seen();
    assert!(before.len() > 30 && before.len() < 45, "{}", before.len());
    assert!(before.iter().all(|it| it.end.is_some()), "drained");
    let stopped = Instant::now();
    let rig = Rig::start_in(folder, world, &LaneSettings::default(), &carrier, 4096);
    rig.until_done().await;
    let seen = carrier.seen();
    let mut mids = carrier.sent(Direction::Outbound);
    mids.sort();
    mids.dedup();
    assert_eq!((seen.len(), mids.len()), (50, 50), "each once");
    let first = seen[before.len()].start;
    assert!(first - stopped >= ms(1000), "what was sent before the restart counts");
    assert!(most_in_any_window(seen.iter().map(|it| it.start).collect(), ms(1000)) <= 20);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_over_at_the_deadline_is_tried_again() {
    let carrier = Script::new(|_, n| (if n == 0 { ms(60_000) } else { ms(10) }, sent()));
    let rig = Rig::start(&unlimited(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    tokio::time::sleep(ms(100)).await;
    let began = Instant::now();
    let folder = rig.stop(ms(3000)).await;
    assert!(began.elapsed() >= ms(3000) && began.elapsed() < ms(3100), "{:?}", began.elapsed());
    let rig = Rig::start_in(folder, world(), &unlimited(), &carrier, 4096);
    rig.until_done().await;
    assert_eq!(carrier.sent(Direction::Outbound), ["1"]);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn waits_and_pauses_are_kept_across_a_restart() {
    let carrier = Script::new(|delivery, n| match (delivery.contact.as_str(), n) {
        ("a", 0) => (ms(1), throttled(Some(ms(50_000)))),
        _ => (ms(1), sent()),
    });
    let world = world();
    let rig = Rig::start_in(Arc::new(Folder::new()), world.clone(), &unlimited(), &carrier, 4096);
    rig.accept([("a", "1".to_owned())]).await;
    tokio::time::sleep(ms(100)).await;
    let answered = carrier.seen()[0].end.unwrap();
    rig.accept([("b", "2".to_owned())]).await;
    let folder = rig.stop(ms(100)).await;
    let rig = Rig::start_in(folder, world, &unlimited(), &carrier, 4096);
    rig.until_done().await;
    for seen in &carrier.seen()[1..] {
        assert!(seen.start - answered >= ms(49_999), "{:?}", seen.start - answered);
    }
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn after_being_killed_everything_is_delivered_at_least_once_and_in_order() {
    let carrier = Script::new(|_, _| (ms(70), sent()));
    let mut folder = Arc::new(Folder::new());
    let mut accepted = 0;
    for _ in 0..4 {
        let rig = Rig::start_in(folder, world(), &unlimited(), &carrier, 4096);
        rig.accept((0..40).map(|i| (["a", "b", "c"][i % 3], format!("{:04}", accepted + i)))).await;
        accepted += 40;
        tokio::time::sleep(ms(500)).await;
        // Gone without a word: nothing under way is waited for or written down.
        drop(rig.engine);
        tokio::time::sleep(ms(1)).await;
        rig.store.close().await.unwrap();
        folder = rig.folder;
    }
    let rig = Rig::start_in(folder, world(), &unlimited(), &carrier, 4096);
    rig.until_done().await;
    let mut mids = carrier.sent(Direction::Outbound);
    mids.sort();
    mids.dedup();
    assert_eq!(mids.len(), 160);
    for contact in ["a", "b", "c"] {
        let seen = carrier.seen();
        let ids: Vec<_> =
            seen.iter().filter(|it| it.delivery.contact == contact).map(|it| it.delivery.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] <= pair[1]), "{ids:?}");
    }
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_idles_ends_and_comes_back_without_waiting_a_window() {
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    rig.until_done().await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let again = Instant::now();
    rig.accept([("a", "2".to_owned())]).await;
    rig.until_done().await;
    assert_eq!(carrier.sent(Direction::Outbound), ["1", "2"]);
    assert!(carrier.seen()[1].start - again < ms(100));
    assert_eq!(rig.engine.stats()[0].sent, 2, "the counters go on");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_not_to_run_keeps_its_deliveries_until_it_is() {
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let runs = Arc::new(Mutex::new(None::<LaneSettings>));
    let folder = Arc::new(Folder::new());
    let (feed, reader) = feed(64);
    let store = SqliteStore::open(&folder.path(), &Options::default(), feed).unwrap();
    let store: Arc<dyn Store> = Arc::new(Patient(Arc::new(store), Duration::ZERO));
    let settings = Arc::clone(&runs);
    let world = world();
    let engine = Engine::start(Parts {
        store: Arc::clone(&store),
        feed: reader,
        carrier: Arc::clone(&carrier) as Arc<dyn Carrier>,
        settings: Arc::new(move |_| settings.lock().unwrap().clone()),
        reserve: 32_768,
        world: world.clone(),
    });
    let rig = Rig { folder, store, engine, world };
    for (round, runs_now) in [None, Some(unlimited()), None, Some(unlimited())].into_iter().enumerate() {
        let expected = if runs_now.is_some() { round + 1 } else { round };
        *runs.lock().unwrap() = runs_now;
        rig.engine.reload();
        tokio::time::sleep(ms(10)).await;
        rig.accept([("a", round.to_string())]).await;
        tokio::time::sleep(ms(5000)).await;
        assert_eq!(carrier.sent(Direction::Outbound).len(), expected, "round {round}");
    }
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_contact_s_rate_holds_across_a_restart_and_after_a_long_rest() {
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let per_contact = Rate::new(1, Duration::from_hours(1)).unwrap();
    let settings = LaneSettings { per_contact, ..LaneSettings::default() };
    let world = world();
    let rig = Rig::start_in(Arc::new(Folder::new()), world.clone(), &settings, &carrier, 4096);
    tokio::time::sleep(ms(1)).await;
    rig.accept([("a", "1".to_owned())]).await;
    // Long enough for the task of an idle lane to end.
    tokio::time::sleep(Duration::from_mins(10)).await;
    rig.accept([("a", "2".to_owned()), ("a", "3".to_owned())]).await;
    tokio::time::sleep(Duration::from_mins(55)).await;
    let rig = Rig::start_in(rig.stop(ms(100)).await, world, &settings, &carrier, 4096);
    rig.until_done_looking_every(Duration::from_mins(1)).await;
    let starts: Vec<Instant> = carrier.seen().iter().map(|it| it.start).collect();
    assert_eq!(carrier.sent(Direction::Outbound), ["1", "2", "3"]);
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_hours(1)), "{starts:?}");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_back_stretches_no_rest_beyond_the_longest() {
    let carrier = Script::new(|_, n| (ms(1), if n == 0 { throttled(Some(ms(50_000))) } else { sent() }));
    let retry = RetryPolicy { give_up_after: Duration::from_mins(10), ..RetryPolicy::default() };
    let settings = LaneSettings { retry, ..unlimited() };
    let folder = Arc::new(Folder::new());
    let rig = Rig::start_in(folder, World::fixed(START + 30 * 86_400_000, 1), &settings, &carrier, 4096);
    rig.accept([("a", "1".to_owned())]).await;
    tokio::time::sleep(ms(100)).await;
    let rig = Rig::start_in(rig.stop(ms(100)).await, World::fixed(START, 1), &settings, &carrier, 4096);
    let began = Instant::now();
    rig.until_done_looking_every(Duration::from_secs(10)).await;
    // The lane rests, then the message waits, each no longer than anything may.
    assert!(began.elapsed() < Duration::from_mins(21), "{:?}", began.elapsed());
    rig.stop(ms(100)).await;
}
