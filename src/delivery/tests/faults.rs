//! What does not go well: giving up, refusals, panics, attempts without end, a disk that refuses an outcome.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

async fn states(rig: &Rig) -> Vec<(String, State, u32)> {
    let filter = Filter { direction: Some(Direction::Outbound), ..Filter::default() };
    let records = rig.store.list(filter).await.unwrap();
    records
        .into_iter()
        .rev()
        .map(|it| (it.delivery.mid.to_string(), it.state, it.delivery.attempts))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_a_dead_letter_and_the_next_one_goes() {
    let carrier = Script::new(|delivery, _| {
        let refused = delivery.mid == "1" && delivery.lane.direction == Direction::Outbound;
        (ms(1), if refused { retry() } else { sent() })
    });
    let rig = Rig::start(&unlimited(), &carrier);
    let began = Instant::now();
    rig.accept([("a", "1".to_owned()), ("a", "2".to_owned())]).await;
    rig.until_done_looking_every(Duration::from_mins(1)).await;
    let waited = began.elapsed();
    assert!(waited >= Duration::from_hours(24) && waited < Duration::from_hours(25), "{waited:?}");
    let states = states(&rig).await;
    assert_eq!((states[0].1, states[1].1), (State::Dead, State::Sent));
    assert!(states[0].2 > 100, "about every five minutes: {}", states[0].2);
    let platform =
        carrier.seen().into_iter().find(|it| it.delivery.lane.direction == Direction::Inbound).unwrap();
    let event: serde_json::Value = serde_json::from_slice(&platform.delivery.payload).unwrap();
    assert_eq!((&event["id"], &event["status"]), (&"1".into(), &"failed".into()));
    assert!(event["error"]["message"].as_str().unwrap().contains("try later"), "{event}");
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_and_the_platform_is_told_the_reason() {
    let carrier = Script::new(|delivery, _| match delivery.mid.as_str() {
        "1" if delivery.lane.direction == Direction::Outbound => (ms(1), failed()),
        "2" if delivery.lane.direction == Direction::Outbound => {
            (ms(1), Outcome::OptOut { fault: Fault { code: String::new(), message: "STOP".into() } })
        }
        _ => (ms(1), sent()),
    });
    let rig = Rig::start(&unlimited(), &carrier);
    rig.accept([("a", "1".to_owned()), ("a", "2".to_owned()), ("a", "3".to_owned())]).await;
    rig.until_done().await;
    let states = states(&rig).await;
    assert_eq!(states.iter().map(|it| it.1).collect::<Vec<_>>(), [State::Failed, State::Failed, State::Sent]);
    let seen = carrier.seen();
    let events: Vec<serde_json::Value> = seen
        .iter()
        .filter(|it| it.delivery.lane.direction == Direction::Inbound)
        .map(|it| serde_json::from_slice(&it.delivery.payload).unwrap())
        .collect();
    let kinds: Vec<_> = events.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message_status", "message_status", "opt_out"]);
    assert_eq!(events[0]["error"], serde_json::json!({"code": "131026", "message": "not a subscriber"}));
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_something_to_repeat() {
    let carrier = Script::new(|_, n| {
        assert!(n != 0, "a bug in a carrier");
        (ms(1), sent())
    });
    let rig = Rig::start(&unlimited(), &carrier);
    // The panic poisons nothing that matters: the script's lock is not held.
    rig.accept(spread(5)).await;
    rig.until_done().await;
    assert_eq!(carrier.sent(Direction::Outbound).len(), 5);
    assert_eq!(states(&rig).await.iter().filter(|it| it.2 == 2).count(), 1);
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_end_is_ended() {
    let carrier = Script::new(|_, n| (if n == 0 { Duration::from_hours(9) } else { ms(1) }, sent()));
    let rig = Rig::start(&unlimited(), &carrier);
    rig.accept([("a", "1".to_owned())]).await;
    rig.until_done().await;
    let seen = carrier.seen();
    let gap = seen[1].start - seen[0].start;
    assert!(gap >= Duration::from_mins(2) && gap < Duration::from_secs(122), "{gap:?}");
    rig.stop(ms(100)).await;
}

/// A store whose first settlements fail, as if the disk were full.
struct Full(Arc<dyn Store>, AtomicUsize);

macro_rules! delegate {
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Answer<$out> { self.0.$name($($arg),*) })*
    };
}

impl Records for Full {
    delegate! {
        lanes() -> Vec<LaneDepth>;
        counts() -> Counts;
        tally() -> Tally;
        list(filter: Filter) -> Vec<Record>;
        show(id: DeliveryId) -> Option<Record>;
        parked(filter: ParkedFilter) -> Vec<Webhook>;
        webhook(id: WebhookId) -> Option<Webhook>;
        examine(channels: Vec<SmolStr>, keep: Retention, now: Millis) -> Vec<Finding>;
    }
}

impl Store for Full {
    fn settle(&self, settlement: Settlement) -> Answer<Settled> {
        if self.1.fetch_sub(1, Ordering::SeqCst) > 0 {
            return async { Err(StoreError::Unavailable("disk full".into())) }.boxed();
        }
        self.1.store(0, Ordering::SeqCst);
        self.0.settle(settlement)
    }
    delegate! {
        accept(it: Acceptance) -> Accepted;
        begin(it: DeliveryId) -> ();
        page(lane: Lane, live: Above, bulk: Option<Above>) -> Page;
        page_contact(lane: Lane, contact: SmolStr, after: DeliveryId, upto: DeliveryId, limit: usize)
            -> Vec<Arc<Delivery>>;
        original(channel: SmolStr, alias: SmolStr) -> Option<SmolStr>;
        sent(channel: SmolStr, id: SmolStr) -> Option<SentPart>;
        memory(channel: SmolStr, contact: SmolStr, now: Millis) -> crate::memory::Memory;
        remember(changes: Vec<crate::memory::Remember>) -> ();
        release(now: Millis) -> usize;
        heard(since: Millis, limit: usize) -> Vec<(SmolStr, SmolStr, Millis)>;
        secret(name: SmolStr, fresh: Vec<u8>) -> Vec<u8>;
        retry(ids: Vec<DeliveryId>, at: Millis) -> Vec<Arc<Delivery>>;
        drop_lost(ids: Vec<DeliveryId>) -> usize;
        drop_parked(ids: Vec<WebhookId>) -> usize;
        purge(now: Millis) -> Purged;
        close() -> ();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_disk_refuses_is_written_later_and_nothing_is_sent_twice() {
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let folder = Arc::new(Folder::new());
    let (feed, reader) = feed(64);
    let real = SqliteStore::open(&folder.path(), &Options::default(), feed).unwrap();
    let patient: Arc<dyn Store> = Arc::new(Patient(Arc::new(real), Duration::ZERO));
    let store: Arc<dyn Store> = Arc::new(Full(patient, AtomicUsize::new(5)));
    let rig = Rig::start_with(folder, world(), &unlimited(), &carrier, store, reader);
    rig.accept([("a", "1".to_owned()), ("a", "2".to_owned())]).await;
    rig.until_done().await;
    assert_eq!(carrier.sent(Direction::Outbound), ["1", "2"]);
    let seen = carrier.seen();
    assert_eq!(seen.len(), 2);
    assert!(
        seen[1].start - seen[0].end.unwrap() >= ms(3000),
        "the next one waits for the outcome of the first"
    );
    rig.stop(ms(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_noticed_while_the_store_can_t_be_read() {
    let (feed, reader) = feed(64);
    let folder = Arc::new(Folder::new());
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open(&folder.path(), &Options::default(), feed).unwrap());
    store.close().await.unwrap();
    let carrier = Script::new(|_, _| (ms(1), sent()));
    let rig = Rig::start_with(folder, world(), &unlimited(), &carrier, store, reader);
    tokio::time::sleep(ms(300)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), rig.engine.shutdown(ms(1000))).await;
    assert!(stopped.is_ok(), "the engine goes on");
}
