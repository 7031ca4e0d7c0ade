//! What every store must do, as functions over `&dyn Store` on an empty store; each implementation runs them all.

use bytes::Bytes;

use super::testing::{inbound, outbound};
use super::*;
use crate::expression::{Map, Value};
use crate::message::{EventKind, Fault, IdOwner, Piece, Status};
use crate::world::Millis;

const HOUR: Millis = 3_600_000;
const NOW: Millis = 1_000 * HOUR;

/// Runs every function of this suite against stores that `$open` makes.
macro_rules! suite {
    ($open:expr) => {
        $crate::store::conformance::suite!($open;
            redelivered_webhooks_are_dropped_for_48_hours,
            keys_are_apart_per_channel,
            pages_give_what_is_queued_in_order,
            a_contact_is_paged_on_its_own,
            a_reply_knows_what_its_contact_has_of_a_broadcast,
            a_delivery_is_settled_once,
            a_retry_keeps_its_place_and_its_progress,
            receipts_move_a_message_forward_only,
            a_message_of_parts_is_delivered_when_all_parts_are,
            one_failed_part_fails_the_message,
            a_receipt_that_overtakes_the_send_waits_for_it,
            receipts_by_our_own_id_concern_the_whole_message,
            only_wanted_statuses_are_posted,
            failed_and_dead_messages_are_told_to_the_platform,
            follow_ups_are_queued_with_the_settlement,
            aliases_are_reversed,
            parked_webhooks_are_kept_and_replayed,
            what_a_parked_webhook_gave_already_is_not_given_again,
            parked_webhooks_are_filtered_counted_and_dropped,
            dead_letters_are_listed_newest_first,
            a_dead_letter_is_queued_again_behind_the_others,
            what_was_told_to_have_failed_is_told_nothing_more,
            dead_letters_are_dropped_and_nothing_else,
            an_attempt_that_begins_is_noted_until_its_outcome,
            what_is_held_waits_for_an_operator_and_nobody_is_told,
            dead_letters_and_their_webhooks_are_kept_longer,
            a_sound_store_has_no_findings_and_one_that_is_not_has,
            a_pause_of_a_lane_is_remembered,
            small_memory_is_kept_until_it_expires_or_is_forgotten,
            a_redelivered_webhook_remembers_nothing_again,
            a_settlement_remembers_and_forgets_once,
            a_delayed_delivery_says_so,
            pieces_become_one_message_in_the_commit_of_the_last,
            pieces_are_released_when_others_are_missing,
            pieces_of_another_message_with_the_same_key_push_the_earlier_out,
            everything_that_was_sent_up_to_a_moment_is_read,
            a_watermark_waits_for_a_message_that_is_recorded_later,
            a_secret_stays_as_it_was_first,
            who_wrote_lately_is_known,
            old_things_are_purged_and_ids_are_not_given_out_twice,
        );
    };
    ($open:expr; $($name:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                let store = $open;
                $crate::store::conformance::$name(&*store).await;
            }
        )*
    };
}
pub(crate) use suite;

/// Puts something into every table.
pub(crate) async fn one_of_everything(store: &dyn Store) {
    let whole = Acceptance {
        webhook: Some(webhook(Verdict::Parked)),
        receipts: vec![receipt("nobody", Status::Failed)],
        remember: vec![kept("a", "lang", "\u{10FFFE}en", Some(NOW + HOUR)), kept("", "n", "1", None)],
        aliases: vec![Alias { channel: "c".into(), alias: "short".into(), original: "long\0er".into() }],
        ..accept(vec![inbound("a", "1", Some("k"))])
    };
    store.accept(whole).await.unwrap();
    store.accept(piece("p", 0)).await.unwrap();
    store.accept(watermark(NOW)).await.unwrap();
    let sent = queue(store, outbound("a\0", "2")).await;
    store.settle(settlement(&sent, ids(&[&["p1", "p2"], &["p3"]]))).await.unwrap();
    let failed = queue(store, NewDelivery { bulk: true, ..outbound("b", "3") }).await;
    store.settle(settlement(&failed, Ending::Dead { reason: "no".into() })).await.unwrap();
    let paused = queue(store, NewDelivery { bulk: true, ..outbound("b", "4") }).await;
    store.begin(paused.id).await.unwrap();
    let ending = Ending::Retry {
        not_before: NOW + 5,
        error: "busy".into(),
        progress: Some("{\"sent\":1}".into()),
        pause_lane: Some(NOW + 9),
    };
    store.settle(settlement(&paused, ending)).await.unwrap();
    store.begin(paused.id).await.unwrap();
    queue(store, outbound("b", "5")).await;
    store.secret("key".into(), vec![0, 1, 255]).await.unwrap();
}

pub(crate) fn accept(deliveries: Vec<NewDelivery>) -> Acceptance {
    Acceptance { at: NOW, deliveries, ..Acceptance::default() }
}

async fn queue(store: &dyn Store, new: NewDelivery) -> Arc<Delivery> {
    store.accept(accept(vec![new])).await.unwrap().new.remove(0)
}

fn settlement(delivery: &Arc<Delivery>, ending: Ending) -> Settlement {
    Settlement::new(NOW, Arc::clone(delivery), 1, ending)
}

fn ids(parts: &[&[&str]]) -> Ending {
    let ids = parts.iter().map(|part| part.iter().map(ToString::to_string).collect()).collect();
    Ending::Sent { ids }
}

fn retry() -> Ending {
    Ending::Retry { not_before: NOW + 5, error: "no".into(), progress: None, pause_lane: None }
}

fn receipt(id: &str, status: Status) -> Receipt {
    Receipt {
        channel: "c".into(),
        id: id.into(),
        id_owner: IdOwner::Provider,
        status,
        error: (status == Status::Failed).then(|| Fault { code: "7".into(), message: "gone".into() }),
        at: NOW + 1,
        post: StatusSet::default(),
    }
}

async fn receive(store: &dyn Store, receipts: Vec<Receipt>) -> Vec<(SmolStr, Status)> {
    let acceptance = Acceptance { at: NOW, receipts, ..Acceptance::default() };
    store.accept(acceptance).await.unwrap().new.iter().map(|it| told(it)).collect()
}

/// The message and the status that an inbound delivery tells the platform.
fn told(delivery: &Delivery) -> (SmolStr, Status) {
    assert_eq!((delivery.kind, delivery.lane.direction), (EventKind::MessageStatus, Direction::Inbound));
    let event: serde_json::Value = serde_json::from_slice(&delivery.payload).unwrap();
    assert_eq!(event["type"], "message_status");
    assert_eq!(event["contact"]["id"], delivery.contact.as_str());
    assert_eq!(event["id"], delivery.mid.as_str());
    (delivery.mid.clone(), serde_json::from_value(event["status"].clone()).unwrap())
}

fn webhook(verdict: Verdict) -> JournalEntry {
    JournalEntry {
        received_at: NOW,
        channel: Some("c".into()),
        mapping: "m".into(),
        route: "r".into(),
        method: "POST".into(),
        url: "https://gateway/r?x=1".into(),
        headers: "{}".into(),
        body: Bytes::from_static(b"\x00\xffbody"),
        verdict,
        reason: Some("why".into()),
    }
}

/// What is queued of one stream.
pub(crate) async fn stream(
    store: &dyn Store,
    lane: Lane,
    bulk: bool,
    id: DeliveryId,
    limit: usize,
) -> Vec<Arc<Delivery>> {
    let (above, nothing) = (Above { id, limit }, Above { id: 0, limit: 0 });
    if bulk {
        store.page(lane, nothing, Some(above)).await.unwrap().bulk
    } else {
        store.page(lane, above, None).await.unwrap().live
    }
}

pub(crate) async fn redelivered_webhooks_are_dropped_for_48_hours(store: &dyn Store) {
    let at =
        |at| Acceptance { at, ..accept(vec![inbound("a", "1", Some("k")), inbound("a", "1", Some("k"))]) };
    let first = store.accept(at(NOW)).await.unwrap();
    assert_eq!((first.new.len(), first.duplicates), (1, 1));
    let again = store.accept(at(NOW + 47 * HOUR)).await.unwrap();
    assert_eq!((again.new.len(), again.duplicates), (0, 2));
    let later = store.accept(at(NOW + 49 * HOUR)).await.unwrap();
    assert_eq!((later.new.len(), later.duplicates), (1, 1));
}

pub(crate) async fn keys_are_apart_per_channel(store: &dyn Store) {
    let mut other = inbound("a", "1", Some("k"));
    other.lane.channel = "other".into();
    let accepted = store.accept(accept(vec![inbound("a", "1", Some("k")), other])).await.unwrap();
    assert_eq!((accepted.new.len(), accepted.duplicates), (2, 0));
}

pub(crate) async fn pages_give_what_is_queued_in_order(store: &dyn Store) {
    let mut queued = Vec::new();
    for mid in ["1", "2", "3", "4"] {
        queued.push(queue(store, outbound("a", mid)).await);
    }
    queue(store, inbound("a", "5", None)).await;
    assert!(queued.windows(2).all(|pair| pair[0].id < pair[1].id));
    store.settle(settlement(&queued[1], ids(&[]))).await.unwrap();
    let first = stream(store, Lane::outbound("c"), false, 0, 2).await;
    assert_eq!(first, [Arc::clone(&queued[0]), Arc::clone(&queued[2])]);
    let rest = stream(store, Lane::outbound("c"), false, queued[2].id, 9).await;
    assert_eq!(rest, [Arc::clone(&queued[3])]);
    let lanes = store.lanes().await.unwrap();
    let depths: Vec<_> = lanes.iter().map(|it| (it.lane.direction, it.queued, it.oldest)).collect();
    assert_eq!(depths, [(Direction::Inbound, 1, Some(NOW)), (Direction::Outbound, 3, Some(NOW))]);
    assert_eq!(store.counts().await.unwrap().queued, 4);
}

pub(crate) async fn a_contact_is_paged_on_its_own(store: &dyn Store) {
    let new = ["a", "b", "a", "b", "a"].map(|contact| outbound(contact, "m"));
    let queued = store.accept(accept(new.to_vec())).await.unwrap().new;
    let page =
        store.page_contact(Lane::outbound("c"), "a".into(), queued[0].id, queued[4].id, 9).await.unwrap();
    assert_eq!(page.iter().map(|it| it.id).collect::<Vec<_>>(), [queued[2].id, queued[4].id]);
    let page = store.page_contact(Lane::outbound("c"), "a".into(), 0, queued[3].id, 9).await.unwrap();
    assert_eq!(page.len(), 2);
}

pub(crate) async fn a_reply_knows_what_its_contact_has_of_a_broadcast(store: &dyn Store) {
    let bulk = |contact: &str, mid: &str| NewDelivery { bulk: true, ..outbound(contact, mid) };
    let first = queue(store, bulk("a", "1")).await;
    let second = queue(store, bulk("a", "2")).await;
    let other = queue(store, outbound("b", "3")).await;
    let reply = queue(store, outbound("a", "4")).await;
    assert_eq!((other.behind, reply.behind), (None, Some(first.id)));
    let lane = Lane::outbound("c");
    let page = |bulk| stream(store, lane.clone(), bulk, 0, 9);
    assert_eq!(page(true).await, [first.clone(), second.clone()]);
    assert_eq!(page(false).await, [other, reply.clone()]);
    let of = store.page_contact(lane.clone(), "a".into(), first.id - 1, reply.id, 2).await.unwrap();
    assert_eq!(of, [first.clone(), second.clone()], "in the order of ids");
    store.settle(settlement(&first, Ending::Sent { ids: Vec::new() })).await.unwrap();
    let of = store.page_contact(lane.clone(), "a".into(), 0, reply.id, 9).await.unwrap();
    assert_eq!(of, [second.clone(), reply.clone()]);
    let fifth = queue(store, outbound("a", "5")).await;
    assert_eq!(fifth.behind, Some(second.id));
    let sixth = queue(store, bulk("a", "6")).await;
    for (after, expected) in [(second.id, &of[1]), (reply.id, &fifth), (fifth.id, &sixth)] {
        let one = store.page_contact(lane.clone(), "a".into(), after, sixth.id, 1).await.unwrap();
        assert_eq!(one, std::slice::from_ref(expected));
    }
}

pub(crate) async fn a_delivery_is_settled_once(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    assert!(store.settle(settlement(&delivery, ids(&[&["p1"]]))).await.unwrap().applied);
    let failed = Ending::Failed { fault: Fault::default() };
    let second = store.settle(settlement(&delivery, failed)).await.unwrap();
    assert!(!second.applied && second.new.is_empty());
    assert_eq!(store.show(delivery.id).await.unwrap().unwrap().state, State::Sent);
}

pub(crate) async fn a_retry_keeps_its_place_and_its_progress(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let ending = Ending::Retry {
        not_before: NOW + 5,
        error: "no".into(),
        progress: Some("[1]".into()),
        pause_lane: None,
    };
    store.settle(settlement(&delivery, ending)).await.unwrap();
    store.settle(Settlement { attempts: 2, ..settlement(&delivery, retry()) }).await.unwrap();
    let page = stream(store, Lane::outbound("c"), false, 0, 9).await;
    let [again] = page.as_slice() else { panic!("{page:?}") };
    assert_eq!((again.id, again.attempts, again.not_before), (delivery.id, 2, NOW + 5));
    assert_eq!(again.progress.as_deref(), Some("[1]"));
    assert_eq!(store.show(delivery.id).await.unwrap().unwrap().error.as_deref(), Some("no"));
}

pub(crate) async fn receipts_move_a_message_forward_only(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    store.settle(settlement(&delivery, ids(&[&["p1"]]))).await.unwrap();
    assert_eq!(receive(store, vec![receipt("p1", Status::Sent)]).await, []);
    let moved = vec![receipt("p1", Status::Delivered), receipt("p1", Status::Delivered)];
    assert_eq!(receive(store, moved).await, [("1".into(), Status::Delivered)]);
    assert_eq!(receive(store, vec![receipt("p1", Status::Read)]).await, [("1".into(), Status::Read)]);
    assert_eq!(receive(store, vec![receipt("p1", Status::Delivered)]).await, []);
    let part = store.sent("c".into(), "p1".into()).await.unwrap().unwrap();
    assert_eq!((part.mid.as_str(), part.contact.as_str(), part.part), ("1", "a", 0));
    assert_eq!((part.status, part.message_status), (Status::Read, Status::Read));
}

pub(crate) async fn a_message_of_parts_is_delivered_when_all_parts_are(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    store.settle(settlement(&delivery, ids(&[&["p1", "alias1"], &["p2"]]))).await.unwrap();
    assert_eq!(receive(store, vec![receipt("alias1", Status::Read)]).await, []);
    assert_eq!(
        receive(store, vec![receipt("p2", Status::Delivered)]).await,
        [("1".into(), Status::Delivered)]
    );
    assert_eq!(receive(store, vec![receipt("p2", Status::Read)]).await, [("1".into(), Status::Read)]);
}

pub(crate) async fn one_failed_part_fails_the_message(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    store.settle(settlement(&delivery, ids(&[&["p1"], &["p2"]]))).await.unwrap();
    let receipts = vec![receipt("p1", Status::Delivered), receipt("p2", Status::Failed)];
    let acceptance = Acceptance { at: NOW, receipts, ..Acceptance::default() };
    let new = store.accept(acceptance).await.unwrap().new;
    assert_eq!(told(&new[0]), ("1".into(), Status::Failed));
    let event: serde_json::Value = serde_json::from_slice(&new[0].payload).unwrap();
    assert_eq!((&event["error"]["code"], &event["timestamp"]), (&"7".into(), &(NOW + 1).into()));
    assert_eq!(receive(store, vec![receipt("p2", Status::Read), receipt("p1", Status::Read)]).await, []);
}

pub(crate) async fn a_receipt_that_overtakes_the_send_waits_for_it(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    assert_eq!(receive(store, vec![receipt("p1", Status::Read), receipt("p1", Status::Delivered)]).await, []);
    assert_eq!(store.counts().await.unwrap().waiting_receipts, 2);
    store.settle(settlement(&delivery, retry())).await.unwrap();
    let settled = store.settle(settlement(&delivery, ids(&[&["p1"]]))).await.unwrap();
    assert_eq!(settled.new.iter().map(|it| told(it)).collect::<Vec<_>>(), [("1".into(), Status::Read)]);
    assert_eq!(store.counts().await.unwrap().waiting_receipts, 0);
}

pub(crate) async fn receipts_by_our_own_id_concern_the_whole_message(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let own = |status| Receipt { id_owner: IdOwner::Own, ..receipt("1", status) };
    assert_eq!(receive(store, vec![own(Status::Delivered)]).await, []);
    let settled = store.settle(settlement(&delivery, ids(&[&["p1"], &["p2"]]))).await.unwrap();
    assert_eq!(told(&settled.new[0]), ("1".into(), Status::Delivered));
    assert_eq!(receive(store, vec![own(Status::Read)]).await, [("1".into(), Status::Read)]);
}

pub(crate) async fn only_wanted_statuses_are_posted(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let post: StatusSet = [Status::Sent, Status::Read].into_iter().collect();
    let early = Receipt { post, ..receipt("p1", Status::Delivered) };
    assert_eq!(receive(store, vec![early]).await, []);
    let settled = store.settle(Settlement { post, ..settlement(&delivery, ids(&[&["p1"]])) }).await.unwrap();
    assert_eq!(settled.new.iter().map(|it| told(it)).collect::<Vec<_>>(), [("1".into(), Status::Sent)]);
    let read = Receipt { post, ..receipt("p1", Status::Read) };
    assert_eq!(receive(store, vec![read]).await, [("1".into(), Status::Read)]);
}

pub(crate) async fn failed_and_dead_messages_are_told_to_the_platform(store: &dyn Store) {
    let one = queue(store, outbound("a", "1")).await;
    let two = queue(store, outbound("a", "2")).await;
    let event = queue(store, inbound("a", "3", None)).await;
    let fault = Fault { code: "131026".into(), message: "not a subscriber".into() };
    let failed = store.settle(settlement(&one, Ending::Failed { fault: fault.clone() })).await.unwrap();
    assert_eq!(told(&failed.new[0]), ("1".into(), Status::Failed));
    let payload: serde_json::Value = serde_json::from_slice(&failed.new[0].payload).unwrap();
    assert_eq!(payload["error"]["message"], "not a subscriber");
    let dead = store.settle(settlement(&two, Ending::Dead { reason: "too old".into() })).await.unwrap();
    assert_eq!(told(&dead.new[0]), ("2".into(), Status::Failed));
    let inbound = store.settle(settlement(&event, Ending::Failed { fault })).await.unwrap();
    assert!(inbound.applied && inbound.new.is_empty());
    let own = Receipt { id_owner: IdOwner::Own, ..receipt("1", Status::Read) };
    assert_eq!(receive(store, vec![own]).await, [], "failed is final");
}

pub(crate) async fn follow_ups_are_queued_with_the_settlement(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let with = Settlement {
        follow_ups: vec![inbound("a", "x", None)],
        ..settlement(&delivery, Ending::Failed { fault: Fault::default() })
    };
    let new = store.settle(with).await.unwrap().new;
    assert_eq!(new.iter().map(|it| it.mid.as_str()).collect::<Vec<_>>(), ["1", "x"]);
    assert_eq!(stream(store, Lane::inbound("c"), false, 0, 9).await, new);
}

pub(crate) async fn aliases_are_reversed(store: &dyn Store) {
    let alias = |channel: &str, original: &str| Alias {
        channel: channel.into(),
        alias: "short".into(),
        original: original.into(),
    };
    let aliases = vec![alias("c", "long.one"), alias("d", "long.two"), alias("c", "later")];
    store.accept(Acceptance { at: NOW, aliases, ..Acceptance::default() }).await.unwrap();
    assert_eq!(store.original("c".into(), "short".into()).await.unwrap().as_deref(), Some("long.one"));
    assert_eq!(store.original("d".into(), "short".into()).await.unwrap().as_deref(), Some("long.two"));
    assert_eq!(store.original("e".into(), "short".into()).await.unwrap(), None);
}

pub(crate) async fn parked_webhooks_are_kept_and_replayed(store: &dyn Store) {
    let park = |verdict| Acceptance { at: NOW, webhook: Some(webhook(verdict)), ..Acceptance::default() };
    store.accept(park(Verdict::Ignored)).await.unwrap();
    let parked = store.accept(park(Verdict::Parked)).await.unwrap().webhook.unwrap();
    let found = store.parked(ParkedFilter::default()).await.unwrap();
    assert_eq!(found, [Webhook { id: parked, entry: webhook(Verdict::Parked) }]);
    assert_eq!(store.counts().await.unwrap().parked, 1);
    let replay = |verdict, reason: &str| {
        let replays = Some(Replay { webhook: parked, verdict, reason: Some(reason.into()) });
        Acceptance { replays, ..accept(vec![inbound("a", "1", Some("k"))]) }
    };
    store.accept(Acceptance { deliveries: vec![], ..replay(Verdict::Parked, "still") }).await.unwrap();
    let again = store.parked(ParkedFilter::default()).await.unwrap();
    assert_eq!(again[0].entry.reason.as_deref(), Some("still"), "it stays, with the new reason");
    let accepted = store.accept(replay(Verdict::Accepted, "replayed")).await.unwrap();
    assert_eq!(accepted.new[0].webhook, Some(parked));
    assert_eq!(store.parked(ParkedFilter::default()).await.unwrap(), []);
    assert_eq!(store.webhook(parked).await.unwrap().unwrap().entry.verdict, Verdict::Accepted);
    let mut twice = replay(Verdict::Accepted, "replayed");
    twice.deliveries = vec![inbound("a", "2", None)];
    assert!(store.accept(twice).await.unwrap().new.is_empty(), "it is replayed once");
}

pub(crate) async fn what_a_parked_webhook_gave_already_is_not_given_again(store: &dyn Store) {
    let first = Acceptance {
        webhook: Some(webhook(Verdict::Parked)),
        ..accept(vec![inbound("a", "1", Some("k")), inbound("a", "2", None)])
    };
    let parked = store.accept(first).await.unwrap().webhook.unwrap();
    let late = NOW + 20 * 24 * HOUR;
    store.purge(late).await.unwrap();
    let replays = Some(Replay { webhook: parked, verdict: Verdict::Accepted, reason: None });
    let deliveries = vec![inbound("a", "1", Some("k")), inbound("a", "3", Some("other"))];
    let accepted =
        store.accept(Acceptance { at: late, replays, deliveries, ..Acceptance::default() }).await.unwrap();
    let mids: Vec<_> = accepted.new.iter().map(|it| it.mid.as_str()).collect();
    assert_eq!((mids, accepted.duplicates), (vec!["3"], 1), "though it came 20 days ago");
}

pub(crate) async fn parked_webhooks_are_filtered_counted_and_dropped(store: &dyn Store) {
    let mut parked = Vec::new();
    for (channel, mapping, route, at) in
        [(Some("c"), "m", "r", 0), (Some("d"), "m", "r", 1), (None, "n", "q", 2), (Some("c"), "m", "q", 3)]
    {
        let entry = JournalEntry {
            channel: channel.map(SmolStr::from),
            mapping: mapping.into(),
            route: route.into(),
            received_at: NOW + at,
            ..webhook(Verdict::Parked)
        };
        let acceptance = Acceptance { at: NOW, webhook: Some(entry), ..Acceptance::default() };
        parked.push(store.accept(acceptance).await.unwrap().webhook.unwrap());
    }
    let ids = async |filter| {
        let found = store.parked(filter).await.unwrap();
        found.iter().map(|it| parked.iter().position(|id| *id == it.id).unwrap()).collect::<Vec<_>>()
    };
    let all = ParkedFilter::default();
    assert_eq!(ids(all.clone()).await, [0, 1, 2, 3], "oldest first");
    assert_eq!(ids(ParkedFilter { channel: Some("c".into()), ..all.clone() }).await, [0, 3]);
    assert_eq!(ids(ParkedFilter { mapping: Some("n".into()), ..all.clone() }).await, [2]);
    assert_eq!(ids(ParkedFilter { route: Some("r".into()), ..all.clone() }).await, [0, 1]);
    assert_eq!(ids(ParkedFilter { since: Some(NOW + 1), until: Some(NOW + 3), ..all.clone() }).await, [1, 2]);
    assert_eq!(ids(ParkedFilter { after: parked[1], limit: 1, ..all.clone() }).await, [2]);
    let count = |channel: Option<&str>, mapping: &str, count| ParkedCount {
        channel: channel.map(SmolStr::from),
        mapping: mapping.into(),
        count,
    };
    let tally = store.tally().await.unwrap();
    assert_eq!(tally.parked, [count(None, "n", 1), count(Some("c"), "m", 2), count(Some("d"), "m", 1)]);
    assert_eq!(store.drop_parked(vec![parked[0], parked[0], 999]).await.unwrap(), 1);
    assert_eq!(ids(all).await, [1, 2, 3]);
    assert_eq!(store.webhook(parked[0]).await.unwrap().unwrap().entry.verdict, Verdict::Ignored);
}

pub(crate) async fn a_dead_letter_is_queued_again_behind_the_others(store: &dyn Store) {
    let first = queue(store, outbound("a", "1")).await;
    let again = Ending::Retry {
        not_before: NOW + 5,
        error: "no".into(),
        progress: Some("part".into()),
        pause_lane: None,
    };
    store.settle(settlement(&first, again)).await.unwrap();
    store.settle(settlement(&first, Ending::Dead { reason: "worn out".into() })).await.unwrap();
    let second = queue(store, outbound("a", "2")).await;
    store.settle(settlement(&second, Ending::Failed { fault: Fault::default() })).await.unwrap();
    let waiting = queue(store, outbound("a", "3")).await;
    let count = |state| LostCount { lane: Lane::outbound("c"), state, count: 1 };
    assert_eq!(store.tally().await.unwrap().lost, [count(State::Failed), count(State::Dead)]);
    let later = NOW + 48 * HOUR;
    let retried = store.retry(vec![first.id, waiting.id, 999, second.id], later).await.unwrap();
    assert_eq!(retried.iter().map(|it| it.mid.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let page = async |bulk| stream(store, Lane::outbound("c"), bulk, 0, 9).await;
    assert_eq!(page(false).await, [waiting]);
    let page = page(true).await;
    assert_eq!(page, retried, "in order, behind what is queued and behind conversations");
    let it = &page[0];
    assert_eq!((it.attempts, it.not_before, it.accepted_at), (0, 0, later));
    assert_eq!(it.progress.as_deref(), Some("part"), "what is sent already is not sent again");
    assert_eq!(store.show(first.id).await.unwrap(), None);
    assert_eq!(store.tally().await.unwrap(), Tally::default());
    assert!(store.retry(vec![first.id], later).await.unwrap().is_empty(), "once");
}

pub(crate) async fn what_was_told_to_have_failed_is_told_nothing_more(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let dead = || Ending::Dead { reason: "worn out".into() };
    let told_of = |settled: &Settled| settled.new.iter().map(|it| told(it)).collect::<Vec<_>>();
    let settled = store.settle(settlement(&delivery, dead())).await.unwrap();
    assert_eq!(told_of(&settled), [("1".into(), Status::Failed)]);
    let again = store.retry(vec![delivery.id], NOW).await.unwrap().remove(0);
    let settled = store.settle(settlement(&again, dead())).await.unwrap();
    assert_eq!(told_of(&settled), [], "failed is told once");
    let again = store.retry(vec![again.id], NOW).await.unwrap().remove(0);
    let settled = store.settle(settlement(&again, ids(&[&["p1"]]))).await.unwrap();
    assert_eq!(told_of(&settled), []);
    assert_eq!(receive(store, vec![receipt("p1", Status::Delivered)]).await, [], "failed is final");
    let sent = store.sent("c".into(), "p1".into()).await.unwrap().unwrap();
    assert_eq!((sent.mid.as_str(), sent.message_status), ("1", Status::Failed), "its own echo is recognised");
    assert_eq!(store.show(again.id).await.unwrap().unwrap().state, State::Sent);
}

pub(crate) async fn dead_letters_are_dropped_and_nothing_else(store: &dyn Store) {
    let dead = queue(store, outbound("a", "1")).await;
    store.settle(settlement(&dead, Ending::Dead { reason: String::new() })).await.unwrap();
    let sent = queue(store, outbound("a", "2")).await;
    store.settle(settlement(&sent, ids(&[]))).await.unwrap();
    let queued = queue(store, outbound("a", "3")).await;
    assert_eq!(store.drop_lost(vec![dead.id, sent.id, queued.id]).await.unwrap(), 1);
    let direction = Some(Direction::Outbound);
    let left = store.list(Filter { direction, after: Some(0), ..Filter::default() }).await.unwrap();
    assert_eq!(
        left.iter().map(|it| it.delivery.id).collect::<Vec<_>>(),
        [sent.id, queued.id],
        "oldest first"
    );
}

pub(crate) async fn an_attempt_that_begins_is_noted_until_its_outcome(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let in_doubt = async || stream(store, Lane::outbound("c"), false, 0, 9).await[0].in_doubt;
    assert!(!in_doubt().await);
    store.begin(delivery.id).await.unwrap();
    assert!(in_doubt().await);
    let again = Ending::Retry { not_before: 0, error: "no".into(), progress: None, pause_lane: None };
    store.settle(settlement(&delivery, again)).await.unwrap();
    assert!(!in_doubt().await);
}

pub(crate) async fn what_is_held_waits_for_an_operator_and_nobody_is_told(store: &dyn Store) {
    let held = queue(store, outbound("a", "1")).await;
    let dropped = queue(store, outbound("a", "2")).await;
    store.begin(held.id).await.unwrap();
    for it in [&held, &dropped] {
        let settled =
            store.settle(settlement(it, Ending::Held { reason: "no answer".into() })).await.unwrap();
        assert!(settled.applied && settled.new.is_empty());
    }
    let count = LostCount { lane: Lane::outbound("c"), state: State::Held, count: 2 };
    assert_eq!(store.tally().await.unwrap().lost, [count]);
    let records = store.list(Filter { states: vec![State::Held], ..Filter::default() }).await.unwrap();
    assert_eq!(records[1].error.as_deref(), Some("no answer"));
    assert_eq!(store.drop_lost(vec![dropped.id]).await.unwrap(), 1);
    let again = store.retry(vec![held.id], NOW).await.unwrap();
    assert!(!again[0].in_doubt && store.counts().await.unwrap().held == 0);
}

pub(crate) async fn dead_letters_and_their_webhooks_are_kept_longer(store: &dyn Store) {
    let acceptance =
        Acceptance { webhook: Some(webhook(Verdict::Accepted)), ..accept(vec![inbound("a", "1", None)]) };
    let accepted = store.accept(acceptance).await.unwrap();
    let (id, webhook) = (accepted.new[0].id, accepted.webhook.unwrap());
    store.settle(settlement(&accepted.new[0], Ending::Dead { reason: String::new() })).await.unwrap();
    store.purge(NOW + 29 * 24 * HOUR).await.unwrap();
    assert!(store.show(id).await.unwrap().is_some());
    assert!(store.webhook(webhook).await.unwrap().is_some(), "the bytes are kept with the dead letter");
    store.purge(NOW + 31 * 24 * HOUR).await.unwrap();
    assert!(store.show(id).await.unwrap().is_none() && store.webhook(webhook).await.unwrap().is_none());
}

pub(crate) async fn a_sound_store_has_no_findings_and_one_that_is_not_has(store: &dyn Store) {
    let whole = Acceptance {
        webhook: Some(webhook(Verdict::Accepted)),
        receipts: vec![receipt("nobody", Status::Read)],
        ..accept(vec![inbound("a", "1", Some("k"))])
    };
    store.accept(whole).await.unwrap();
    store.accept(piece("p", 0)).await.unwrap();
    let sent = queue(store, outbound("a", "2")).await;
    store.settle(settlement(&sent, ids(&[&["p1"]]))).await.unwrap();
    let examine = async |channels: &[&str], now| {
        let channels = channels.iter().map(SmolStr::new).collect();
        let found = store.examine(channels, Retention::default(), now).await.unwrap();
        found.iter().map(|it| it.kind).collect::<Vec<_>>()
    };
    assert_eq!(examine(&["c"], NOW).await, []);
    assert_eq!(examine(&["d"], NOW).await, [FindingKind::UnknownChannel]);
    let late = [FindingKind::OverduePieces, FindingKind::OverdueReceipts];
    assert_eq!(examine(&["c"], NOW + 60 * HOUR).await, late);
}

pub(crate) async fn dead_letters_are_listed_newest_first(store: &dyn Store) {
    for mid in ["1", "2", "3"] {
        let delivery = queue(store, outbound(if mid == "2" { "b" } else { "a" }, mid)).await;
        store.settle(settlement(&delivery, Ending::Dead { reason: format!("r{mid}") })).await.unwrap();
    }
    queue(store, outbound("a", "4")).await;
    let mids =
        |records: Vec<Record>| records.iter().map(|it| it.delivery.mid.to_string()).collect::<Vec<_>>();
    let dead = Filter { states: vec![State::Dead], ..Filter::default() };
    let all = store.list(dead.clone()).await.unwrap();
    assert_eq!((all[0].error.as_deref(), all[0].settled_at), (Some("r3"), Some(NOW)));
    let last = all[1].delivery.id;
    assert_eq!(mids(all), ["3", "2", "1"]);
    let of = Filter { contact: Some("a".into()), channel: Some("c".into()), ..dead.clone() };
    assert_eq!(mids(store.list(of).await.unwrap()), ["3", "1"]);
    let next = Filter { before: Some(last), limit: 5, ..dead };
    assert_eq!(mids(store.list(next).await.unwrap()), ["1"]);
    let outbound = Filter { direction: Some(Direction::Outbound), ..Filter::default() };
    assert_eq!(mids(store.list(outbound.clone()).await.unwrap()), ["4", "3", "2", "1"]);
    let one = Filter { mid: Some("2".into()), states: vec![State::Failed, State::Dead], ..Filter::default() };
    assert_eq!(mids(store.list(one).await.unwrap()), ["2"]);
    let since = Filter { since: Some(NOW), until: Some(NOW), ..outbound };
    assert_eq!(store.list(since.clone()).await.unwrap(), []);
    assert_eq!(store.list(Filter { until: Some(NOW + 1), ..since }).await.unwrap().len(), 4);
    assert_eq!(store.counts().await.unwrap().dead, 3);
}

pub(crate) async fn a_pause_of_a_lane_is_remembered(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    let pause = |until| Ending::Retry {
        not_before: until,
        error: "slow down".into(),
        progress: None,
        pause_lane: Some(until),
    };
    store.settle(settlement(&delivery, pause(NOW + 9))).await.unwrap();
    store.settle(settlement(&delivery, pause(NOW + 7))).await.unwrap();
    let lanes = store.lanes().await.unwrap();
    assert_eq!((lanes.len(), lanes[0].paused_until), (1, Some(NOW + 9)));
    store.purge(NOW + 10).await.unwrap();
    assert_eq!(store.lanes().await.unwrap()[0].paused_until, None);
}

pub(crate) async fn old_things_are_purged_and_ids_are_not_given_out_twice(store: &dyn Store) {
    let delivery = queue(store, outbound("a", "1")).await;
    store.settle(settlement(&delivery, ids(&[&["p1"]]))).await.unwrap();
    let kept = queue(store, inbound("a", "2", Some("k"))).await;
    let alias = Alias { channel: "c".into(), alias: "short".into(), original: "o".into() };
    let more = Acceptance {
        webhook: Some(webhook(Verdict::Accepted)),
        receipts: vec![receipt("nobody", Status::Read)],
        aliases: vec![alias],
        ..accept(vec![outbound("b", "3")])
    };
    let last = store.accept(more).await.unwrap().new.remove(0);
    store.settle(settlement(&last, ids(&[]))).await.unwrap();
    assert_eq!(store.purge(NOW + HOUR).await.unwrap(), Purged::default());
    let purged = store.purge(NOW + 49 * HOUR).await.unwrap();
    assert_eq!((purged.keys, purged.receipts, purged.deliveries), (1, 1, 0));
    let purged = store.purge(NOW + 8 * 24 * HOUR).await.unwrap();
    assert_eq!((purged.deliveries, purged.webhooks, purged.ids), (2, 1, 0));
    let purged = store.purge(NOW + 31 * 24 * HOUR).await.unwrap();
    assert_eq!(purged.ids, 3, "two messages, a provider id");
    assert_eq!(store.original("c".into(), "short".into()).await.unwrap().as_deref(), Some("o"));
    assert_eq!(stream(store, Lane::inbound("c"), false, 0, 9).await, [kept], "what is queued stays");
    assert!(queue(store, outbound("a", "4")).await.id > last.id);
}

fn kept(contact: &str, name: &str, value: &str, expires_at: Option<Millis>) -> Remember {
    let value = if value.is_empty() { Value::Null } else { Value::text(value) };
    Remember { channel: "c".into(), contact: contact.into(), name: name.into(), value, expires_at }
}

/// What is remembered about a contact and its channel at a time, as JSON.
async fn memory(store: &dyn Store, contact: &str, now: Millis) -> (String, String) {
    let json = |map: Map| Value::Map(map.into()).to_json().unwrap();
    let memory = store.memory("c".into(), contact.into(), now).await.unwrap();
    (json(memory.contact), json(memory.channel))
}

pub(crate) async fn small_memory_is_kept_until_it_expires_or_is_forgotten(store: &dyn Store) {
    let changes = vec![
        kept("a", "token", "t", Some(NOW + 5)),
        kept("a", "name", "n", None),
        kept("", "key", "k", None),
    ];
    store.remember(changes).await.unwrap();
    let other = Remember { channel: "d".into(), ..kept("a", "token", "u", None) };
    store.remember(vec![other, kept("b", "token", "v", None)]).await.unwrap();
    let told = |contact: &str, channel: &str| (contact.to_owned(), channel.to_owned());
    assert_eq!(memory(store, "a", NOW).await, told(r#"{"name":"n","token":"t"}"#, r#"{"key":"k"}"#));
    assert_eq!(memory(store, "a", NOW + 5).await, told(r#"{"name":"n"}"#, r#"{"key":"k"}"#));
    assert_eq!(memory(store, "", NOW).await, told("{}", r#"{"key":"k"}"#));
    assert_eq!(store.purge(NOW + 5).await.unwrap().memories, 1);
    store.remember(vec![kept("a", "name", "", None), kept("", "key", "l", Some(NOW + 9))]).await.unwrap();
    assert_eq!(memory(store, "a", NOW).await, told("{}", r#"{"key":"l"}"#));
}

pub(crate) async fn a_redelivered_webhook_remembers_nothing_again(store: &dyn Store) {
    let new = |value: &str| {
        let remember = vec![kept("a", "token", value, None)];
        accept(vec![NewDelivery { remember, ..inbound("a", "1", Some("k")) }])
    };
    store.accept(new("t")).await.unwrap();
    store.remember(vec![kept("a", "token", "", None)]).await.unwrap();
    store.accept(new("t")).await.unwrap();
    assert_eq!(memory(store, "a", NOW).await.0, "{}");
    let alone = Acceptance { remember: vec![kept("a", "token", "u", None)], ..accept(vec![]) };
    store.accept(alone).await.unwrap();
    assert_eq!(memory(store, "a", NOW).await.0, r#"{"token":"u"}"#);
}

pub(crate) async fn a_settlement_remembers_and_forgets_once(store: &dyn Store) {
    store.remember(vec![kept("a", "token", "t", None)]).await.unwrap();
    let delivery = queue(store, outbound("a", "1")).await;
    let remember = vec![kept("a", "token", "", None), kept("", "cursor", "1", None)];
    store.settle(Settlement { remember, ..settlement(&delivery, retry()) }).await.unwrap();
    assert_eq!(memory(store, "a", NOW).await, ("{}".into(), r#"{"cursor":"1"}"#.into()));
    let with = |value: &str| Settlement {
        remember: vec![kept("", "cursor", value, None)],
        ..settlement(&delivery, ids(&[]))
    };
    store.settle(with("2")).await.unwrap();
    store.settle(with("3")).await.unwrap();
    assert_eq!(memory(store, "a", NOW).await.1, r#"{"cursor":"2"}"#);
}

pub(crate) async fn a_delayed_delivery_says_so(store: &dyn Store) {
    let new = NewDelivery { not_before: NOW + 2000, ..inbound("a", "1", None) };
    let queued = queue(store, new).await;
    assert_eq!(queued.not_before, NOW + 2000);
    assert_eq!(stream(store, Lane::inbound("c"), false, 0, 9).await, [queued]);
}

/// A piece of a message of three, and the acceptance that brings it.
fn piece(mid: &str, index: u16) -> Acceptance {
    let piece = Piece { key: "k".into(), index, total: 3, ttl: 300 };
    let payload = format!(r#"{{"id":"{mid}","text":"<{index}>"}}"#).into();
    accept(vec![NewDelivery { piece: Some(piece), payload, ..inbound("a", mid, Some(mid)) }])
}

fn texts(new: &[Arc<Delivery>]) -> Vec<String> {
    let text = |it: &Arc<Delivery>| serde_json::from_slice::<serde_json::Value>(&it.payload).unwrap();
    new.iter().map(|it| format!("{} {}", it.mid, text(it)["text"].as_str().unwrap())).collect()
}

pub(crate) async fn pieces_become_one_message_in_the_commit_of_the_last(store: &dyn Store) {
    for (mid, index) in [("3", 3), ("1", 1), ("3", 3)] {
        assert_eq!(store.accept(piece(mid, index)).await.unwrap().new, []);
    }
    let last = store.accept(piece("2", 2)).await.unwrap();
    assert_eq!(texts(&last.new), ["1 <1><2><3>"]);
    assert_eq!(store.accept(piece("2", 2)).await.unwrap().duplicates, 1);
    assert_eq!(store.release(NOW + 300).await.unwrap(), 0);
    assert_eq!(stream(store, Lane::inbound("c"), false, 0, 9).await, last.new);
}

pub(crate) async fn pieces_are_released_when_others_are_missing(store: &dyn Store) {
    store.accept(piece("3", 3)).await.unwrap();
    store.accept(piece("2", 2)).await.unwrap();
    assert_eq!(store.release(NOW + 299).await.unwrap(), 0);
    assert_eq!(store.release(NOW + 300).await.unwrap(), 1);
    assert_eq!(texts(&stream(store, Lane::inbound("c"), false, 0, 9).await), ["2 <2><3>"]);
    store.accept(piece("1", 1)).await.unwrap();
    assert_eq!(store.release(NOW + 600).await.unwrap(), 1, "what comes too late comes all the same");
}

pub(crate) async fn pieces_of_another_message_with_the_same_key_push_the_earlier_out(store: &dyn Store) {
    store.accept(piece("1", 1)).await.unwrap();
    store.accept(piece("2", 2)).await.unwrap();
    assert_eq!(texts(&store.accept(piece("4", 1)).await.unwrap().new), ["1 <1><2>"]);
    store.accept(piece("5", 2)).await.unwrap();
    assert_eq!(texts(&store.accept(piece("6", 3)).await.unwrap().new), ["4 <1><2><3>"]);
}

fn watermark(up_to: Millis) -> Acceptance {
    let watermark = Watermark {
        channel: "c".into(),
        contact: "a".into(),
        status: Status::Read,
        up_to,
        at: NOW,
        post: StatusSet::default(),
    };
    Acceptance { watermarks: vec![watermark], ..accept(vec![]) }
}

pub(crate) async fn everything_that_was_sent_up_to_a_moment_is_read(store: &dyn Store) {
    for (contact, mid, begun_at) in
        [("a", "1", NOW), ("b", "2", NOW), ("a", "3", NOW + 5000), ("a", "4", NOW + 9000)]
    {
        let delivery = queue(store, outbound(contact, mid)).await;
        store.settle(Settlement { begun_at, ..settlement(&delivery, ids(&[&[mid]])) }).await.unwrap();
    }
    let new = store.accept(watermark(NOW + 5000)).await.unwrap().new;
    let told: Vec<_> = new.iter().map(|it| told(it)).collect();
    assert_eq!(told, [("1".into(), Status::Read), ("3".into(), Status::Read)]);
    assert_eq!(store.accept(watermark(NOW + 5000)).await.unwrap().new, []);
    assert_eq!(store.accept(watermark(NOW + 9000)).await.unwrap().new.len(), 1);
}

pub(crate) async fn a_watermark_waits_for_a_message_that_is_recorded_later(store: &dyn Store) {
    let (one, two) = (queue(store, outbound("a", "1")).await, queue(store, outbound("a", "2")).await);
    store.accept(watermark(NOW + 5000)).await.unwrap();
    let earlier = Settlement { begun_at: NOW + 4000, ..settlement(&one, ids(&[&["p1"]])) };
    let new = store.settle(earlier).await.unwrap().new;
    assert_eq!(new.iter().map(|it| told(it)).collect::<Vec<_>>(), [("1".into(), Status::Read)]);
    let later = Settlement { begun_at: NOW + 8000, ..settlement(&two, ids(&[&["p2"]])) };
    assert_eq!(store.settle(later).await.unwrap().new, []);
    assert_eq!(store.purge(NOW + 49 * HOUR).await.unwrap().receipts, 1);
}

pub(crate) async fn who_wrote_lately_is_known(store: &dyn Store) {
    for (at, new) in [
        (NOW, inbound("a", "1", None)),
        (NOW + 1, inbound("b", "2", None)),
        (NOW + 2, outbound("c", "3")),
        (NOW + 3, inbound("a", "4", None)),
    ] {
        store.accept(Acceptance { at, ..accept(vec![new]) }).await.unwrap();
    }
    let heard = |since, limit| store.heard(since, limit);
    let all: Vec<(SmolStr, SmolStr, Millis)> = [("a", NOW + 3), ("b", NOW + 1), ("a", NOW)]
        .map(|(contact, at)| ("c".into(), contact.into(), at))
        .into();
    assert_eq!(heard(NOW, 9).await.unwrap(), all);
    assert_eq!(heard(NOW + 1, 9).await.unwrap(), all[..2]);
    assert_eq!(heard(NOW, 1).await.unwrap(), all[..1]);
}

pub(crate) async fn a_secret_stays_as_it_was_first(store: &dyn Store) {
    assert_eq!(store.secret("media".into(), vec![1]).await, Ok(vec![1]));
    assert_eq!(store.secret("media".into(), vec![2]).await, Ok(vec![1]));
    assert_eq!(store.secret("other".into(), vec![3]).await, Ok(vec![3]));
}
