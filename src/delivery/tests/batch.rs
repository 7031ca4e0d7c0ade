//! Several deliveries of a contact in one request.

use super::*;
use crate::store::testing::inbound;

fn batches(batch: usize) -> LaneSettings {
    LaneSettings { batch, ..LaneSettings::default() }
}

/// Accepts these events of contacts, before the lane sees any of them.
async fn accept(rig: &Rig, events: impl IntoIterator<Item = (&str, String)>) {
    let deliveries = events.into_iter().map(|(contact, mid)| inbound(contact, &mid, None)).collect();
    let acceptance = Acceptance { at: rig.world.now(), deliveries, ..Acceptance::default() };
    rig.store.accept(acceptance).await.unwrap();
}

/// The message ids of each request, by its start.
fn requests(carrier: &Script) -> Vec<Vec<String>> {
    carrier.seen().iter().map(Seen::mids).collect()
}

async fn attempts(rig: &Rig) -> Vec<u32> {
    let all = rig.store.list(Filter { after: Some(0), limit: 1000, ..Filter::default() }).await.unwrap();
    all.iter().map(|record| record.delivery.attempts).collect()
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_in_requests_of_several_each_with_its_place_in_the_rate() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let rig = Rig::start(&batches(10), &carrier);
    accept(&rig, (0..400).map(|i| (["a", "b"][i % 2], format!("{i}")))).await;
    rig.until_done().await;
    let starts: Vec<Instant> = carrier.seen().iter().map(|it| it.start).collect();
    assert!((40..=50).contains(&starts.len()), "{} requests", starts.len());
    let gaps: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= ms(45)), "each has its own place: {gaps:?}");
    for contact in ["a", "b"] {
        let mut seen = carrier.seen();
        seen.retain(|it| it.delivery.contact == contact);
        assert!(seen.windows(2).all(|pair| pair[1].start >= pair[0].end.unwrap()), "one at a time");
        let sent: Vec<usize> = seen.iter().flat_map(Seen::mids).map(|mid| mid.parse().unwrap()).collect();
        assert_eq!(sent.len(), 200);
        assert!(sent.is_sorted());
    }
    let stats = rig.engine.stats();
    assert_eq!((stats[0].sent, stats[0].depth), (400, 0), "deliveries are counted, not requests");
    assert!(attempts(&rig).await.iter().all(|attempts| *attempts == 1));
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_together_unless_that_is_asked_for() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let rig = Rig::start(&LaneSettings::default(), &carrier);
    accept(&rig, (0..20).map(|i| ("a", format!("{i}")))).await;
    rig.until_done().await;
    assert_eq!(carrier.seen().len(), 20);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_carrier_does_not_take_goes_with_the_next_request() {
    let carrier = Script::joining(2, |_, _| (ms(5), sent()));
    let rig = Rig::start(&batches(10), &carrier);
    accept(&rig, (0..12).map(|i| ("a", format!("{i}")))).await;
    rig.until_done().await;
    let sizes: Vec<usize> = requests(&carrier).iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 3, 3, 3]);
    assert_eq!(carrier.sent(Direction::Inbound), (0..12).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(attempts(&rig).await.iter().all(|attempts| *attempts == 1));
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn of_several_that_are_refused_only_the_one_to_blame_fails() {
    let carrier =
        Script::new(|first, _| (ms(5), if first.mid.starts_with("poison") { failed() } else { sent() }));
    let rig = Rig::start(&batches(4), &carrier);
    let mids = ["0", "1", "poison", "3", "4", "5", "6", "7"];
    accept(&rig, mids.map(|mid| ("a", mid.to_owned()))).await;
    rig.until_done().await;
    let expected: [&[&str]; 6] =
        [&["0", "1", "poison", "3"], &["0"], &["1"], &["poison"], &["3"], &["4", "5", "6", "7"]];
    assert_eq!(requests(&carrier), expected);
    let starts: Vec<Instant> = carrier.seen().iter().map(|it| it.start).collect();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] >= ms(48)), "each has its own place");
    let stats = rig.engine.stats();
    assert_eq!((stats[0].sent, stats[0].failed, stats[0].retried), (7, 1, 0));
    assert_eq!(attempts(&rig).await, [1; 8], "the refusal of several is nobody's attempt");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_counts_for_the_first_alone_and_a_pause_for_nobody() {
    let carrier = Script::new(|_, n| match n {
        0 => (ms(5), retry()),
        2 => (ms(5), throttled(None)),
        _ => (ms(5), sent()),
    });
    let rig = Rig::start(&batches(3), &carrier);
    accept(&rig, (0..6).map(|i| ("a", format!("{i}")))).await;
    rig.until_done().await;
    // What was tried in vain goes alone; after a pause they go together again.
    let expected: [&[&str]; 5] = [&["0", "1", "2"], &["0"], &["1", "2", "3"], &["1", "2", "3"], &["4", "5"]];
    assert_eq!(requests(&carrier), expected);
    assert_eq!(attempts(&rig).await, [2, 1, 1, 1, 1, 1]);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_due_and_what_follows_it_does_not_go_along() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let rig = Rig::start(&batches(9), &carrier);
    let now = rig.world.now();
    let event = |mid: &str, delay| NewDelivery { not_before: now + delay, ..inbound("a", mid, None) };
    let deliveries = vec![event("0", 0), event("1", 0), event("2", 5000), event("3", 0)];
    rig.store.accept(Acceptance { at: now, deliveries, ..Acceptance::default() }).await.unwrap();
    rig.until_done().await;
    let expected: [&[&str]; 2] = [&["0", "1"], &["2", "3"]];
    assert_eq!(requests(&carrier), expected);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_noted_before_it_is_tried_goes_alone() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let rig = Rig::start(&LaneSettings { hold_doubtful: true, ..batches(9) }, &carrier);
    accept(&rig, (0..5).map(|i| ("a", format!("{i}")))).await;
    rig.until_done().await;
    assert_eq!(carrier.seen().len(), 5);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_told_of_one_message_does_not_go_together() {
    let carrier = Script::new(|_, _| (ms(5), sent()));
    let rig = Rig::start(&batches(9), &carrier);
    accept(&rig, ["0", "1", "0", "1", "2"].map(|mid| ("a", mid.to_owned()))).await;
    rig.until_done().await;
    let expected: [&[&str]; 2] = [&["0", "1"], &["0", "1", "2"]];
    assert_eq!(requests(&carrier), expected);
    rig.stop(ms(100)).await;
}
