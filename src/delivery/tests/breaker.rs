//! A host that fails with everybody pauses its lanes; one that fails with one contact does not.

use super::*;

fn down() -> Outcome {
    Outcome::Retry {
        after: None,
        fault: Fault { code: "500".into(), message: "down".into() },
        progress: None,
    }
}

/// Everything outbound fails until then.
fn down_for(outage: Duration) -> Arc<Script> {
    let began = Instant::now();
    Script::new(move |_, _| (ms(20), if began.elapsed() < outage { down() } else { sent() }))
}

fn outbound_of(carrier: &Script) -> Vec<Seen> {
    carrier.seen().into_iter().filter(|it| it.delivery.lane.direction == Direction::Outbound).collect()
}

#[tokio::test(start_paused = true)]
async fn an_outage_burns_no_attempts_and_drops_nothing() {
    let hour = Duration::from_hours(1);
    let carrier = down_for(hour);
    let settings = LaneSettings {
        retry: RetryPolicy { attempts: Some(2), ..RetryPolicy::default() },
        in_flight: 4,
        ..unlimited()
    };
    let rig = Rig::start(&settings, &carrier);
    let began = Instant::now();
    rig.accept(spread(200)).await;
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert!(rig.engine.stats()[0].circuit_open);
    rig.until_done_looking_every(Duration::from_secs(1)).await;
    let took = began.elapsed();
    let seen = outbound_of(&carrier);
    let vain = seen.iter().filter(|it| it.outcome == Some(down())).count();
    // Ten until it opened, those under way then, six to the longest pause, one a minute from then on.
    assert!((60..90).contains(&vain), "{vain} requests in vain");
    assert!(took < hour + Duration::from_mins(1) + Duration::from_secs(2), "{took:?}");
    assert_eq!(carrier.sent(Direction::Outbound).len(), 200, "none was given up after two attempts");
    assert!(!rig.engine.stats()[0].circuit_open);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn one_poisonous_message_pauses_nobody() {
    let carrier =
        Script::new(|delivery, _| (ms(5), if delivery.contact == "poison" { down() } else { sent() }));
    let retry = RetryPolicy { first: ms(10), max: ms(10), attempts: Some(200), ..RetryPolicy::default() };
    let rig = Rig::start(&LaneSettings { retry, ..unlimited() }, &carrier);
    let began = Instant::now();
    rig.accept([("poison", "0".to_owned())]).await;
    // Alone, in vain, a hundred times.
    tokio::time::sleep(ms(1000)).await;
    assert!(outbound_of(&carrier).len() > 50 && !rig.engine.stats()[0].circuit_open);
    rig.accept(spread(100)).await;
    tokio::time::sleep(ms(100)).await;
    assert_eq!(carrier.sent(Direction::Outbound).len(), 100, "after {:?}", began.elapsed());
    rig.until_done().await;
    rig.stop(ms(100)).await;
}

/// Messages of a channel, one contact each.
async fn accept_for(rig: &Rig, channel: usize, n: usize) {
    let deliveries = (0..n).map(|i| {
        let new = outbound(&format!("+{channel}-{i}"), &format!("{channel}-{i}"));
        NewDelivery { lane: Lane { channel: format!("channel-{channel}").into(), ..new.lane }, ..new }
    });
    let acceptance =
        Acceptance { at: rig.world.now(), deliveries: deliveries.collect(), ..Acceptance::default() };
    rig.store.accept(acceptance).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lanes_of_one_host_probe_together_and_go_on_together() {
    let carrier = down_for(Duration::from_mins(10));
    let rig = Rig::start(&unlimited(), &carrier);
    for channel in 0..20 {
        accept_for(&rig, channel, 5).await;
    }
    tokio::time::sleep(Duration::from_mins(5)).await;
    let before = outbound_of(&carrier).len();
    tokio::time::sleep(Duration::from_mins(4)).await;
    let probes = outbound_of(&carrier).len() - before;
    assert!((3..=5).contains(&probes), "{probes} probes in four minutes for twenty lanes");
    rig.until_done_looking_every(Duration::from_secs(1)).await;
    assert_eq!(carrier.sent(Direction::Outbound).len(), 100);
    let seen = outbound_of(&carrier);
    let first = seen.iter().filter(|it| it.outcome == Some(sent())).map(|it| it.end.unwrap()).min().unwrap();
    let last = seen.iter().map(|it| it.end.unwrap()).max().unwrap();
    assert!(last - first <= Duration::from_mins(1), "{:?}", last - first);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_delays_no_other() {
    // Every request to the first channel's host hangs until it times out; the others' are answered.
    let carrier = Script::new(|delivery, _| {
        if delivery.lane.channel == "channel-0" {
            (Duration::from_secs(30), Outcome::Retry { after: None, fault: Fault::default(), progress: None })
        } else {
            (ms(20), sent())
        }
    });
    let rig = Rig::start(&LaneSettings { rate: Rate::new(20, ms(1000)).unwrap(), ..unlimited() }, &carrier);
    accept_for(&rig, 0, 5000).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let began = Instant::now();
    for channel in 1..=200 {
        accept_for(&rig, channel, 20).await;
    }
    tokio::time::sleep(ms(1500)).await;
    assert_eq!(carrier.sent(Direction::Outbound).len(), 4000);
    let last = carrier.seen().iter().filter_map(|it| it.end).max().unwrap();
    assert!(last - began <= ms(1100), "{:?}", last - began);
    rig.stop(ms(100)).await;
}
