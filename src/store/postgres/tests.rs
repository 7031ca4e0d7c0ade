//! The conformance suite on a real server, and what only this store does.

#[path = "../../../tests/shared/postgres.rs"]
mod shared;

use std::ops::Deref;

use super::*;
use crate::store::testing::Folder;
use crate::store::testing::{inbound, outbound};
use crate::store::{Acceptance, Fed, FeedReader, SqliteStore, conformance, feed};

/// A schema of its own on the tests' server, which is dropped when the test is over.
struct Schema {
    server: String,
    name: String,
    address: String,
}

/// A store in a schema.
struct Kept {
    store: PostgresStore,
    feed: FeedReader,
    schema: Schema,
}

/// Runs SQL on a connection of its own.
fn run(address: &str, sql: String) -> Result<(), StoreError> {
    let (_, thread) = on_a_thread(Address::parse(address)?, async move |address| {
        let connection = Connection::open(&address).await?;
        let done = connection.client().batch_execute(&sql).await;
        done.map_err(|error| fault::store_error(&error))?;
        Ok(async {})
    })?;
    thread.join().map_err(|_| StoreError::Closed)
}

impl Schema {
    fn new() -> Option<Self> {
        let server = shared::server()?;
        let name = format!("t{}", crate::world::World::system().new_id().replace('-', ""));
        run(&server, format!("CREATE SCHEMA {name}")).unwrap();
        let address = format!("{server}?application_name={name}&options=-csearch_path%3D{name}");
        Some(Self { server, name, address })
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let _ = run(&self.server, format!("DROP SCHEMA {} CASCADE", self.name));
    }
}

impl Kept {
    fn new() -> Option<Self> {
        let schema = Schema::new()?;
        let (feed, reader) = feed(1024);
        let store = PostgresStore::open(&schema.address, &Options::default(), feed).unwrap();
        Some(Self { store, feed: reader, schema })
    }
}

impl Deref for Kept {
    type Target = PostgresStore;

    fn deref(&self) -> &PostgresStore {
        &self.store
    }
}

/// A store, or the end of the test where there is no server.
macro_rules! kept {
    () => {
        match Kept::new() {
            Some(kept) => kept,
            None => return,
        }
    };
}

conformance::suite!(kept!());

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let mut kept = kept!();
    let first = Acceptance { deliveries: vec![outbound("a\0b", "1")], ..Acceptance::default() };
    let first = kept.accept(first).await.unwrap().new.remove(0);
    assert_eq!(kept.feed.next().await, Some(Fed::New(Arc::clone(&first))));
    kept.close().await.unwrap();
    let (feed, _reader) = feed(1);
    kept.store = PostgresStore::open(&kept.schema.address, &Options::default(), feed).unwrap();
    let found = kept.show(first.id).await.unwrap().unwrap().delivery;
    assert_eq!(found, *first);
    let reader = PostgresReader::open(&kept.schema.address).unwrap();
    assert_eq!(reader.show(first.id).await.unwrap().unwrap().delivery, *first);
    let second = Acceptance { deliveries: vec![inbound("a", "2", None)], ..Acceptance::default() };
    assert!(kept.accept(second).await.unwrap().new[0].id > first.id);
}

#[tokio::test]
async fn a_request_that_can_t_be_written_harms_no_other() {
    let kept = kept!();
    // A name longer than what fits into a key of an index, however well it is packed.
    let mut bytes = [0; 9000];
    crate::world::World::system().fill(&mut bytes);
    let long: String = bytes.iter().map(|byte| char::from(b' ' + byte % 90)).collect();
    let mut sent = Vec::new();
    for mid in ["1", "2", "3"] {
        let queued = Acceptance { deliveries: vec![outbound("a", mid)], ..Acceptance::default() };
        sent.push(kept.accept(queued).await.unwrap().new.remove(0));
    }
    let settle = |delivery: &Arc<Delivery>, id: &str| {
        let ending = crate::store::Ending::Sent { ids: vec![vec![id.to_owned()]] };
        kept.settle(Settlement::new(1, Arc::clone(delivery), 1, ending))
    };
    let (one, two, three) =
        tokio::join!(settle(&sent[0], "p1"), settle(&sent[1], &long), settle(&sent[2], "p3"));
    assert!(one.unwrap().applied && three.unwrap().applied);
    assert!(matches!(two, Err(StoreError::Internal(_))), "{two:?}");
    assert!(settle(&sent[1], "p2").await.unwrap().applied, "the writer goes on");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_again_and_nothing_is_missed() {
    let mut kept = kept!();
    for round in 0..3 {
        run(
            &kept.schema.server,
            format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{0}'",
                kept.schema.name
            ),
        )
        .unwrap();
        let accepted = loop {
            let new =
                Acceptance { deliveries: vec![outbound("a", &round.to_string())], ..Acceptance::default() };
            match kept.accept(new).await {
                Ok(accepted) => break accepted,
                Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(other) => panic!("{other}"),
            }
        };
        // A loss is told first, since what was committed when the connection broke is not known.
        let mut fed = kept.feed.next().await.unwrap();
        if fed == Fed::Missed {
            fed = kept.feed.next().await.unwrap();
        }
        assert_eq!(fed, Fed::New(Arc::clone(&accepted.new[0])));
    }
}

#[tokio::test]
async fn a_copy_there_and_back_has_everything() {
    let (Some(schema), Some(used)) = (Schema::new(), Schema::new()) else { return };
    let (first, last) = (Folder::new(), Folder::new());
    let sqlite = |folder: &Folder| format!("sqlite:{}", folder.path().display());
    let store = SqliteStore::open(&first.path(), &Options::default(), feed(1).0).unwrap();
    conformance::one_of_everything(&store).await;
    store.close().await.unwrap();
    drop(store);

    let copied = crate::store::copy(&sqlite(&first), &schema.address).await.unwrap();
    assert!(copied.iter().all(|(_, rows)| *rows > 0), "{copied:?}");
    let back = crate::store::copy(&schema.address, &sqlite(&last)).await.unwrap();
    assert_eq!(copied, back);
    assert_eq!(dump(&first.path()).await, dump(&last.path()).await);

    let onto = crate::store::copy(&sqlite(&first), &schema.address).await;
    assert!(matches!(&onto, Err(StoreError::Open { reason, .. }) if reason == "it is not empty"), "{onto:?}");
    let onto = crate::store::copy(&schema.address, &sqlite(&last)).await;
    assert!(matches!(&onto, Err(StoreError::Open { reason, .. }) if reason == "it is not empty"), "{onto:?}");
    let nothing = Folder::new();
    let missing = crate::store::copy(&sqlite(&nothing), &used.address).await;
    assert!(matches!(missing, Err(StoreError::Open { .. })), "{missing:?}");
    assert!(!nothing.path().exists(), "a mistyped path makes no store");

    // What follows goes on where the copy ends.
    let store = PostgresStore::open(&schema.address, &Options::default(), feed(1).0).unwrap();
    let newest = store.list(Filter { limit: 1, ..Filter::default() }).await.unwrap().remove(0).delivery.id;
    let again =
        Acceptance { deliveries: vec![inbound("a", "again", Some("k"))], ..conformance::accept(vec![]) };
    assert_eq!(store.accept(again).await.unwrap().duplicates, 1);
    let new = store.accept(conformance::accept(vec![inbound("a", "new", None)])).await.unwrap();
    assert!(new.new[0].id > newest);
    let in_use = crate::store::copy(&schema.address, &sqlite(&nothing)).await;
    assert!(matches!(in_use, Err(StoreError::InUse(_))), "{in_use:?}");
}

/// All rows of a database in a file, in one order.
async fn dump(path: &std::path::Path) -> Vec<String> {
    let (chunks, mut taken) = mpsc::channel(1000);
    crate::store::sqlite::copy::read(path, chunks).await.unwrap();
    let mut rows = Vec::new();
    while let Some(chunk) = taken.recv().await {
        match chunk {
            crate::store::copy::Chunk::Rows(table, chunk) => {
                rows.extend(chunk.iter().map(|row| format!("{table} {row:?}")));
            }
            end @ crate::store::copy::Chunk::End(..) => rows.push(format!("{end:?}")),
        }
    }
    rows.sort();
    rows
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("postgres://me@{}/x", silent.local_addr().unwrap());
    let opened = tokio::task::spawn_blocking(move || PostgresReader::open(&address).err());
    let error = opened.await.unwrap();
    assert!(
        matches!(&error, Some(StoreError::Open { reason, .. }) if reason.contains("answer")),
        "{error:?}"
    );
}

/// The statements are planned once, while the tables are empty, and not again when they are large.
#[tokio::test]
async fn a_batch_reads_no_index_from_one_end_to_the_other() {
    let kept = kept!();
    let connection = Connection::open(&Address::parse(&kept.schema.address).unwrap()).await.unwrap();
    let client = connection.client();
    let first_column = "SELECT relname::text, pg_get_indexdef(indexrelid, 1, true) FROM pg_index \
                        JOIN pg_class ON indexrelid = oid WHERE relnamespace = current_schema()::regnamespace";
    let indexes: std::collections::HashMap<String, String> =
        client.query(first_column, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut looked_at = 0;
    let parts = flush::of_all_parts();
    for sql in load::STATEMENTS.iter().chain(&flush::STATEMENTS).copied().chain([&*parts]) {
        let values = client.prepare(sql).await.unwrap().params().len();
        let values =
            if values == 0 { String::new() } else { format!("({})", vec!["NULL"; values].join(", ")) };
        let explain = format!("PREPARE it AS {sql}; EXPLAIN (COSTS OFF) EXECUTE it{values}; DEALLOCATE it");
        let answers = client.simple_query(&explain).await.unwrap();
        let plan: Vec<&str> = answers
            .iter()
            .filter_map(|answer| match answer {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        for (line, next) in plan.iter().zip(plan.iter().skip(1).chain([&""])) {
            let Some((_, rest)) =
                line.split_once("using ").or_else(|| line.split_once("Bitmap Index Scan on "))
            else {
                continue;
            };
            let index = rest.split(' ').next().unwrap();
            let is_narrowed = next.contains("Index Cond") && next.contains(&format!("({} ", indexes[index]));
            assert!(is_narrowed, "{sql}\n{}", plan.join("\n"));
            looked_at += 1;
        }
    }
    assert!(looked_at >= 15, "{looked_at}");
}

/// A node of an installation.
struct Node {
    store: PostgresStore,
    feed: FeedReader,
}

impl Node {
    fn start(schema: &Schema, division: &str) -> Self {
        Self::start_on(schema, division, None)
    }

    fn start_on(schema: &Schema, division: &str, seat: Option<&str>) -> Self {
        let (feed, reader) = feed(1024);
        let node = crate::store::Node { division: division.into(), seat: seat.map(Into::into) };
        let options = Options { node: Some(node), ..Options::default() };
        Self { store: PostgresStore::open(&schema.address, &options, feed).unwrap(), feed: reader }
    }

    /// How many slots it holds.
    fn slots(&self) -> usize {
        self.store.leases().held().len()
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn nodes_share_the_slots_and_hand_over_what_is_not_used() {
    let Some(schema) = Schema::new() else { return };
    let first = Node::start(&schema, "d");
    assert_eq!(first.slots(), 256, "the first has everything at once");
    let second = Node::start(&schema, "d");
    until("they share", || (first.slots(), second.slots()) == (128, 128)).await;
    let slot = first.store.leases().held()[0];
    assert!(!second.store.leases().holds(slot));
    let tenure = first.store.leases().enter(slot).unwrap();
    first.store.leases().leave();
    until("the other has what is not used", || second.slots() == 255).await;
    drop(tenure);
    until("and what was", || second.slots() == 256).await;
    let third = Node::start(&schema, "d");
    until("a third gets its share", || third.slots() == 128).await;
    third.store.close().await.unwrap();
    until("and gives it back", || second.slots() == 256).await;
}

#[tokio::test]
async fn a_node_without_work_leaves_the_database_alone() {
    let Some(schema) = Schema::new() else { return };
    let _node = Node::start(&schema, "d");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let connection = Connection::open(&Address::parse(&schema.address).unwrap()).await.unwrap();
    let beats: i64 = connection.row("SELECT beat FROM nodes", &[]).await.unwrap().unwrap().get(0);
    assert!((1..=4).contains(&beats), "{beats} beats in 2.5 s");
}

#[tokio::test]
async fn who_has_a_seat_has_what_its_last_holder_had() {
    let Some(schema) = Schema::new() else { return };
    let (one, _other) = (Node::start_on(&schema, "d", Some("a")), Node::start_on(&schema, "d", Some("b")));
    until("they share", || one.slots() == 128).await;
    // As if its process had been killed: its row stays.
    let next = Node::start_on(&schema, "d", Some("a"));
    assert_eq!(next.slots(), 128);
}

#[tokio::test]
async fn nodes_that_divide_otherwise_wait_for_each_other() {
    let Some(schema) = Schema::new() else { return };
    let (old, new) = (Node::start(&schema, "old"), Node::start(&schema, "new"));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((old.slots(), new.slots()), (256, 0));
    assert!(new.store.leases().are_good(), "it may do everything else");
    old.store.close().await.unwrap();
    until("its turn", || new.slots() == 256).await;
}

#[tokio::test]
async fn what_one_node_accepts_the_others_are_pointed_to_in_order() {
    let Some(schema) = Schema::new() else { return };
    let (mut first, second) = (Node::start(&schema, "d"), Node::start(&schema, "d"));
    let accept = |mid: &str| Acceptance { deliveries: vec![outbound("a", mid)], ..Acceptance::default() };
    let far = second.store.accept(accept("1")).await.unwrap().new.remove(0);
    let near = first.store.accept(accept("2")).await.unwrap().new.remove(0);
    assert!(near.id > far.id);
    let pointed = crate::store::Elsewhere { lane: far.lane.clone(), count: 1, newest: far.id };
    assert_eq!(first.feed.next().await, Some(Fed::Elsewhere(pointed)));
    assert_eq!(first.feed.next().await, Some(Fed::New(near)));
    // A node that has nothing to write is woken.
    let began = std::time::Instant::now();
    let far = second.store.accept(accept("3")).await.unwrap().new.remove(0);
    let Some(Fed::Elsewhere(pointed)) = first.feed.next().await else { panic!() };
    assert_eq!((pointed.newest, pointed.count), (far.id, 1));
    assert!(began.elapsed() < Duration::from_millis(900), "sooner than its next renewal");
}

#[tokio::test]
async fn a_node_that_was_taken_for_gone_changes_nothing() {
    let Some(schema) = Schema::new() else { return };
    let node = Node::start(&schema, "d");
    let accept = Acceptance { deliveries: vec![outbound("a", "1")], ..Acceptance::default() };
    let delivery = node.store.accept(accept).await.unwrap().new.remove(0);
    let slot = crate::store::Slot::of_lane(&delivery.lane);
    let tenure = node.store.leases().enter(slot).unwrap();
    run(&schema.address, "DELETE FROM nodes".into()).unwrap();
    let sent = crate::store::Ending::Sent { ids: vec![vec!["p".to_owned()]] };
    let settlement = Settlement::new(1, Arc::clone(&delivery), 1, sent);
    let (begun, settled) = tokio::join!(node.store.begin(delivery.id), node.store.settle(settlement.clone()));
    assert_eq!(settled.err(), Some(StoreError::Moved));
    assert_eq!(begun, Err(StoreError::Moved));
    let record = node.store.show(delivery.id).await.unwrap().unwrap();
    assert_eq!(record.state, crate::store::State::Queued);
    assert!(!record.delivery.in_doubt);
    // It enters anew, as another, when nothing of what it was is under way.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(node.slots(), 0);
    let since = tenure.since();
    drop(tenure);
    until("it holds everything again", || node.slots() == 256 && node.store.leases().are_good()).await;
    let again = node.store.leases().enter(slot).unwrap();
    assert!(again.since() > since, "what was sent meanwhile is not known");
    assert!(node.store.settle(settlement).await.unwrap().applied);
}

/// A node whose feed nobody reads.
fn node(schema: &Schema) -> PostgresStore {
    Node::start(schema, "d").store
}

fn call_value(json: &str, expires_at: Millis) -> CallValue {
    CallValue { json: json.to_owned(), expires_at }
}

#[tokio::test]
async fn one_node_makes_a_call_and_the_others_find_its_value() {
    let Some(schema) = Schema::new() else { return };
    let (one, other) = (node(&schema), node(&schema));
    let ask = |it: &PostgresStore, now| it.claim_call("k".into(), None, now);
    assert_eq!(ask(&one, 0).await.unwrap(), SharedCall::Make);
    assert_eq!(ask(&other, 0).await.unwrap(), SharedCall::Busy);
    assert_eq!(other.claim_call("another".into(), None, 0).await.unwrap(), SharedCall::Make);
    other.end_call("k".into(), Some(call_value("\"theirs\"", 100))).await.unwrap();
    assert_eq!(ask(&other, 0).await.unwrap(), SharedCall::Busy, "it was not the other's to end");
    let value = call_value(r#"{"token":"a\u0000b"}"#, 100);
    one.end_call("k".into(), Some(value.clone())).await.unwrap();
    one.end_call("k".into(), None).await.unwrap();
    for it in [&one, &other] {
        assert_eq!(ask(it, 99).await.unwrap(), SharedCall::Found(value.clone()));
    }
    assert_eq!(ask(&other, 100).await.unwrap(), SharedCall::Make, "it is used up");
    assert_eq!(ask(&one, 99).await.unwrap(), SharedCall::Busy, "for everybody");
    other.end_call("k".into(), None).await.unwrap();
    assert_eq!(ask(&one, 0).await.unwrap(), SharedCall::Make);
}

#[tokio::test]
async fn a_value_that_is_no_good_is_made_anew_unless_there_is_another() {
    let Some(schema) = Schema::new() else { return };
    let (one, other) = (node(&schema), node(&schema));
    let ask = |it: &PostgresStore, refused| it.claim_call("k".into(), refused, 0);
    assert_eq!(ask(&one, Some(100)).await.unwrap(), SharedCall::Make);
    let (first, second) = (call_value("1", 100), call_value("2", 200));
    one.end_call("k".into(), Some(first.clone())).await.unwrap();
    assert_eq!(ask(&other, Some(99)).await.unwrap(), SharedCall::Found(first));
    assert_eq!(ask(&other, Some(100)).await.unwrap(), SharedCall::Make);
    assert_eq!(ask(&one, None).await.unwrap(), SharedCall::Busy, "nobody is given what is no good");
    other.end_call("k".into(), Some(second.clone())).await.unwrap();
    assert_eq!(ask(&one, Some(100)).await.unwrap(), SharedCall::Found(second));
}

#[tokio::test]
async fn calls_of_a_node_that_is_gone_are_made_by_others() {
    let Some(schema) = Schema::new() else { return };
    let (one, other) = (node(&schema), node(&schema));
    let ask = |it: &PostgresStore| it.claim_call("k".into(), None, 0);
    assert_eq!(ask(&one).await.unwrap(), SharedCall::Make);
    one.close().await.unwrap();
    assert_eq!(ask(&other).await.unwrap(), SharedCall::Make);
    // One that was taken for gone makes nothing before it has entered anew, and ends nobody else's call.
    run(&schema.address, "DELETE FROM nodes".to_owned()).unwrap();
    let third = node(&schema);
    assert_eq!(ask(&third).await.unwrap(), SharedCall::Make);
    other.end_call("k".into(), Some(call_value("1", 100))).await.unwrap();
    assert_eq!(ask(&other).await.unwrap(), SharedCall::Busy);
    let again = loop {
        match other.claim_call("another".into(), None, 0).await {
            Ok(answer) => break answer,
            Err(StoreError::Moved) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(again, SharedCall::Make);
}

#[tokio::test]
async fn values_that_are_used_up_and_calls_that_nobody_makes_are_purged() {
    let Some(schema) = Schema::new() else { return };
    let (one, other) = (node(&schema), node(&schema));
    for (name, value) in [("old", Some(call_value("1", 100))), ("good", Some(call_value("1", 200)))] {
        assert_eq!(one.claim_call(name.into(), None, 0).await.unwrap(), SharedCall::Make);
        one.end_call(name.into(), value).await.unwrap();
    }
    for (it, name) in [(&one, "left"), (&other, "under way")] {
        assert_eq!(it.claim_call(name.into(), None, 0).await.unwrap(), SharedCall::Make);
    }
    one.close().await.unwrap();
    other.purge(100).await.unwrap();
    let left =
        "DO $$ BEGIN ASSERT (SELECT array_agg(name ORDER BY name) FROM calls) = '{good,under way}'; END $$";
    run(&schema.address, left.to_owned()).unwrap();
}
