//! The rate: used fully, never exceeded, not bursty; and the pauses that the other side asks for.

use super::*;

#[tokio::test(start_paused = true)]
async fn two_hundred_messages_at_20_a_second_take_199_spacings() {
    let carrier = Script::new(|_, _| (ms(3), sent()));
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    // Time passes only when the engine has nothing left to do: by then it has found the store empty.
    tokio::time::sleep(ms(1)).await;
    let began = Instant::now();
    rig.accept(spread(200)).await;
    rig.until_done().await;
    let starts: Vec<Instant> = carrier.seen().iter().map(|it| it.start).collect();
    assert_eq!(starts.len(), 200);
    let took = (starts[199] - starts[0]).as_secs_f64();
    println!("200 messages at 20/s: {took:.3} s, {:.2} % of the rate", 199.0 * 5.0 / took);
    assert!((took / (199.0 * 0.05) - 1.0).abs() < 0.02, "{took}");
    assert!(starts[0] - began < ms(100), "in a new store no window counts as full");
    assert!(most_in_any_window(starts, ms(1000)) <= 20);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_per_minute_is_kept_and_used() {
    let carrier = Script::new(|_, _| (ms(20), sent()));
    let settings = LaneSettings { rate: "100/m".parse().unwrap(), ..LaneSettings::default() };
    let rig = Rig::start(&settings, &carrier);
    rig.accept(spread(301)).await;
    rig.until_done().await;
    let starts: Vec<Instant> = carrier.seen().iter().map(|it| it.start).collect();
    let took = (starts[300] - starts[0]).as_secs_f64();
    assert!((180.0..180.0 * 1.02).contains(&took), "{took}");
    assert!(most_in_any_window(starts, Duration::from_mins(1)) <= 100);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn there_is_no_burst_after_idling() {
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    for round in ["a", "b"] {
        tokio::time::sleep(ms(10_000)).await;
        rig.accept((0..10).map(|i| (["1", "2", "3"][i % 3], format!("{round}{i}")))).await;
        rig.until_done().await;
    }
    let seen = carrier.seen();
    assert!(seen.windows(2).all(|pair| pair[1].start - pair[0].start >= ms(48)), "{seen:#?}");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn retry_after_pauses_the_lane_from_the_answer_on() {
    // The 10th request is answered after 200 ms, with requests under way; the others take 500 ms.
    let carrier = Script::new(|_, n| match n {
        9 => (ms(200), throttled(Some(ms(30_000)))),
        _ => (ms(500), sent()),
    });
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    rig.accept(spread(60)).await;
    tokio::time::sleep(ms(15_000)).await;
    let stats = rig.engine.stats();
    assert!(stats[0].paused_until.is_some_and(|until| until > rig.world.now()), "{stats:?}");
    assert_eq!((stats[0].throttled, stats[0].in_flight), (1, 0));
    rig.until_done().await;
    let seen = carrier.seen();
    let answer = seen[9].end.unwrap();
    let late = seen.iter().find(|it| it.start > answer).unwrap();
    assert!(late.start - answer >= ms(30_000) && late.start - answer < ms(30_100), "{late:?}");
    assert!(seen.iter().any(|it| it.start < answer && it.end.unwrap() > answer), "those under way finish");
    let again = seen.iter().skip(10).find(|it| it.delivery.mid == seen[9].delivery.mid).unwrap();
    assert_eq!(again.delivery.attempts, 0, "no attempt was counted");
    assert!(most_in_any_window(seen.iter().map(|it| it.start).collect(), ms(1000)) <= 20);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn throttling_without_a_time_pauses_longer_each_time() {
    let carrier = Script::new(|_, n| (ms(1), if n < 3 { throttled(None) } else { sent() }));
    let rig = Rig::start(&unlimited(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    rig.until_done().await;
    let starts: Vec<Instant> = carrier.seen().iter().map(|it| it.start).collect();
    let gaps: Vec<u64> = starts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!(gaps, [1, 2, 4]);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn requests_to_one_contact_are_spaced_and_others_do_not_wait_for_them() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let settings = LaneSettings {
        rate: Rate::UNLIMITED,
        per_contact: "1/s".parse().unwrap(),
        ..LaneSettings::default()
    };
    let rig = Rig::start(&settings, &carrier);
    rig.accept((0..6).map(|i| (["a", "b"][i % 2], i.to_string()))).await;
    rig.until_done().await;
    let seen = carrier.seen();
    assert_eq!(carrier.sent(Direction::Outbound), ["0", "1", "2", "3", "4", "5"]);
    let starts: Vec<Instant> = seen.iter().map(|it| it.start).collect();
    assert!(starts[1] - starts[0] < ms(100), "another contact is free");
    assert!(starts[2] - starts[0] >= ms(1000) && starts[4] - starts[2] >= ms(1000));
    assert!(starts[5] - starts[0] < ms(2200), "no longer than needed");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn every_request_of_a_message_has_a_place_of_its_own_in_the_rate() {
    let carrier = Script::new(|_, n| {
        (
            ms(5),
            if n % 3 == 2 {
                sent()
            } else {
                Outcome::Partly { progress: format!("{n}"), after: Duration::ZERO, rest: None }
            },
        )
    });
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    rig.accept((0..20).map(|i| ("a", format!("{i:02}")))).await;
    rig.until_done().await;
    let seen = carrier.seen();
    assert_eq!(seen.len(), 60, "three requests each");
    let starts: Vec<Instant> = seen.iter().map(|it| it.start).collect();
    assert!(most_in_any_window(starts.clone(), ms(1000)) <= 20);
    assert!(starts[59] - starts[0] < ms(3100), "the rate is used");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_rests_when_a_message_took_the_last_request_that_remained() {
    let carrier = Script::new(|_, n| match n {
        4 => (ms(10), Outcome::Sent { ids: Vec::new(), rest: Some(ms(30_000)) }),
        _ => (ms(10), sent()),
    });
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    rig.accept(spread(10)).await;
    rig.until_done().await;
    let seen = carrier.seen();
    assert_eq!(seen.len(), 10, "what was taken is not sent again");
    assert!(seen[5].start - seen[4].start >= ms(30_010), "{seen:#?}");
    assert!(seen[9].start - seen[5].start < ms(1000), "{seen:#?}");
    rig.stop(ms(100)).await;
}
