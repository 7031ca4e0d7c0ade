//! The end of a process at any moment, and a log that can't be written: what was answered is there afterwards, and the
//! rest is as if it had never been asked for.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::types::Value;

use super::*;
use crate::memory::Remember;
use crate::message::{Fault, IdOwner, Piece, Status};
use crate::store::testing::{Folder, inbound, outbound};
use crate::store::{Ending, JournalEntry, Receipt, Replay, StatusSet, Verdict, Watermark, feed};

type Dump = Vec<(String, Vec<String>)>;

/// Everything in the database but where its log is.
fn dump(connection: &Connection) -> Dump {
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'redo' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let rows = |table: &String| {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            (0..columns).map(|column| Ok(shown(row.get(column)?))).collect::<rusqlite::Result<String>>()
        });
        let mut rows: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
        rows.sort();
        rows
    };
    tables.iter().map(|table| (table.clone(), rows(table))).collect()
}

/// A value; bytes by their hash.
fn shown(value: Value) -> String {
    match value {
        Value::Blob(bytes) => format!("[{} {}] ", bytes.len(), crc32fast::hash(&bytes)),
        other => format!("{other:?} "),
    }
}

async fn dump_of(store: &SqliteStore) -> Dump {
    store.look(|connection| Ok(dump(connection))).await.unwrap()
}

fn start(path: &Path) -> SqliteStore {
    SqliteStore::open(path, &Options::default(), feed(64).0).unwrap()
}

/// A folder that is there.
fn there() -> Folder {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    folder
}

/// The files as a process that ended now would leave them.
async fn ended(store: &SqliteStore, path: &Path) -> Folder {
    let folder = there();
    let (from, to) = (path.to_owned(), folder.path());
    // On the writer's thread, so that it changes nothing meanwhile.
    let copy = store.look(move |_| {
        for ending in ["", "-wal", "-redo"] {
            let name = |path: &Path| format!("{}{ending}", path.display());
            std::fs::copy(name(&from), name(&to)).unwrap();
        }
        Ok(())
    });
    copy.await.unwrap();
    folder
}

/// What another process finds in them; and by how many rows that is more than without the log.
async fn left(store: &SqliteStore, path: &Path) -> (Dump, usize) {
    let folder = ended(store, path).await;
    let copy = folder.path();
    let committed = dump(&Connection::open(&copy).unwrap());
    let store = start(&copy);
    let all = dump_of(&store).await;
    let count = |dump: &Dump| dump.iter().map(|(_, rows)| rows.len()).sum::<usize>();
    let behind = count(&all).abs_diff(count(&committed));
    (all, behind)
}

fn webhook(number: usize, verdict: Verdict) -> JournalEntry {
    JournalEntry {
        received_at: 1,
        channel: Some("c".into()),
        mapping: "m".into(),
        route: "r".into(),
        method: "POST".into(),
        url: format!("https://gateway.example.com/{number}"),
        headers: "{}".into(),
        body: Bytes::from(vec![b'x'; 954]),
        verdict,
        reason: (verdict == Verdict::Parked).then(|| "why".into()),
    }
}

fn remember(name: &str, value: Option<&str>) -> Remember {
    Remember {
        channel: "c".into(),
        contact: "a".into(),
        name: name.into(),
        value: value.map_or(crate::expression::Value::Null, crate::expression::Value::text),
        expires_at: None,
    }
}

fn ending(number: usize) -> Ending {
    match number % 5 {
        0 => Ending::Failed { fault: Fault { code: "1".into(), message: "no".into() } },
        1 => Ending::Dead { reason: "why".into() },
        2 => Ending::Retry {
            not_before: 9,
            error: "later".into(),
            progress: Some("{}".into()),
            pause_lane: Some(99),
        },
        3 => Ending::Held { reason: "doubt".into() },
        _ => Ending::Sent { ids: vec![vec![format!("p-{number}"), format!("q-{number}")]] },
    }
}

fn one(mid: &str) -> Acceptance {
    Acceptance { at: 1, deliveries: vec![inbound("a", mid, Some(mid))], ..Acceptance::default() }
}

/// Does a little of everything that changes something.
async fn work(store: &SqliteStore, number: usize) {
    let mut outbound = outbound("a", &format!("m-{number}"));
    outbound.bulk = number.is_multiple_of(2);
    // Now and then so much that the log is full.
    outbound.payload = Bytes::from(vec![b'y'; if number % 7 == 6 { 5 << 20 } else { 300 }]);
    let mut piece = inbound("a", &format!("piece-{number}"), None);
    piece.piece =
        Some(Piece { key: "k".into(), index: u16::try_from(number % 2).unwrap(), total: 2, ttl: 5 });
    let key = format!("key-{}", number / 2);
    let accepted = store
        .accept(Acceptance {
            at: 10,
            webhook: Some(webhook(
                number,
                if number.is_multiple_of(3) { Verdict::Parked } else { Verdict::Accepted },
            )),
            deliveries: vec![outbound, inbound("b", &key, Some(&key)), piece],
            receipts: vec![Receipt {
                channel: "c".into(),
                id: format!("p-{}", number + 1).into(),
                id_owner: IdOwner::Provider,
                status: Status::Delivered,
                error: None,
                at: 10,
                post: StatusSet::default(),
            }],
            watermarks: vec![Watermark {
                channel: "c".into(),
                contact: "a".into(),
                status: Status::Read,
                up_to: 10,
                at: 10,
                post: StatusSet::default(),
            }],
            remember: vec![remember(&format!("n-{number}"), Some("v")), remember("n-1", None)],
            ..Acceptance::default()
        })
        .await
        .unwrap();
    let delivery = Arc::clone(&accepted.new[0]);
    store.begin(delivery.id).await.unwrap();
    let mut settlement = Settlement::new(11, Arc::clone(&delivery), 1, ending(number));
    settlement.post = StatusSet::default();
    store.settle(settlement).await.unwrap();
    if number % 4 == 1 {
        store.retry(vec![delivery.id], 12).await.unwrap();
    }
    if number % 10 == 5 {
        store.drop_lost(vec![delivery.id]).await.unwrap();
    }
    if number.is_multiple_of(6) {
        let replays = Replay {
            webhook: accepted.webhook.unwrap(),
            verdict: Verdict::Ignored,
            reason: Some("again".into()),
        };
        store.accept(Acceptance { at: 13, replays: Some(replays), ..Acceptance::default() }).await.unwrap();
    }
    store.secret("s".into(), vec![7; 32]).await.unwrap();
    store.release(100).await.unwrap();
    if number % 8 == 7 {
        store.purge(2).await.unwrap();
    }
}

#[tokio::test]
async fn a_process_that_ends_at_any_moment_leaves_all_that_was_answered() {
    let folder = Folder::new();
    let store = start(&folder.path());
    let mut behind = 0;
    for number in 0..24 {
        work(&store, number).await;
        let (found, only_in_log) = left(&store, &folder.path()).await;
        behind += usize::from(only_in_log > 0);
        assert_eq!(found, dump_of(&store).await, "after {number}");
    }
    assert!(behind > 5, "only {behind} times something was in the log alone");
    let all = dump_of(&store).await;
    drop(store);
    let closed = Connection::open(folder.path()).unwrap();
    assert_eq!(dump(&closed), all);
    let epoch: i64 = closed.query_row("SELECT epoch FROM redo", [], |row| row.get(0)).unwrap();
    assert_eq!(epoch, 0, "a store that was closed needs no log");
}

#[tokio::test]
async fn what_the_log_does_not_take_is_refused_and_the_rest_stays() {
    let folder = Folder::new();
    let store = start(&folder.path());
    let first = store.accept(one("1")).await.unwrap();
    store.fail_log();
    let refused = store.accept(one("2")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let third = store.accept(one("3")).await.unwrap();
    assert_eq!(third.new[0].id, first.new[0].id + 1);
    assert_eq!(store.accept(one("2")).await.unwrap().duplicates, 0, "it was never there");
    assert_eq!(store.accept(one("1")).await.unwrap().duplicates, 1);
    let (found, _) = left(&store, &folder.path()).await;
    assert_eq!(found, dump_of(&store).await);
    assert_eq!(store.counts().await.unwrap().queued, 3);
}

#[tokio::test]
async fn what_the_log_may_still_refuse_is_not_committed() {
    let folder = Folder::new();
    let store = start(&folder.path());
    for number in 0..20 {
        let mid = number.to_string();
        store.fail_log();
        let refused = store.accept(one(&mid));
        // Commits while the log is being written.
        store.on_writer(|_| ());
        assert!(matches!(refused.await, Err(StoreError::Unavailable(_))), "{mid}");
        assert_eq!(store.accept(one(&mid)).await.unwrap().duplicates, 0, "{mid} was never there");
    }
}

/// The log fails while a unit is changed that is too large for it.
#[tokio::test]
async fn a_log_that_fails_meanwhile_takes_nothing_away_that_was_answered() {
    let folder = Folder::new();
    let store = start(&folder.path());
    let one = |delivery| Acceptance { at: 1, deliveries: vec![delivery], ..Acceptance::default() };
    let mut taken = 0;
    for number in 0..5 {
        let mut large = inbound("b", &format!("large-{number}"), None);
        large.payload = Bytes::from(vec![b'y'; 17 << 20]);
        store.fail_log();
        let small = store.accept(one(inbound("a", &format!("small-{number}"), None)));
        // What is looked up ends a batch.
        let look = tokio::spawn(store.look(|_| Ok(())));
        tokio::task::yield_now().await;
        let large = store.accept(one(large)).await;
        let small = small.await;
        look.await.unwrap().unwrap();
        assert!(small.is_err(), "{small:?}");
        taken += u64::from(large.is_ok());
        assert_eq!(store.counts().await.unwrap().queued, taken, "after {number}");
    }
}

#[tokio::test]
async fn without_room_for_a_log_each_batch_is_committed() {
    let folder = there();
    let log = format!("{}-redo", folder.path().display());
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let store = start(&folder.path());
    work(&store, 0).await;
    let committed = dump(&Connection::open(folder.path()).unwrap());
    assert_eq!(committed, dump_of(&store).await);
}

#[tokio::test]
async fn whoever_only_reads_finds_what_a_process_left_in_its_log() {
    let folder = Folder::new();
    let store = start(&folder.path());
    for number in 0..20 {
        work(&store, number).await;
        let ended = ended(&store, &folder.path()).await;
        let counts = store.counts().await.unwrap();
        assert_eq!(SqliteReader::open(&ended.path()).unwrap().counts().await.unwrap(), counts, "{number}");
    }
}
