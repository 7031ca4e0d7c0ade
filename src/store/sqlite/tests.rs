//! The conformance suite on SQLite, and what only SQLite has: a file, a disk that fails, group commit.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::store::conformance::{stream, suite};
use crate::store::testing::{Folder, inbound, outbound};
use crate::store::{Fed, JournalEntry, Verdict, feed};

mod in_memory {
    use super::*;

    suite!({
        let (feed, _) = feed(16);
        Box::new(SqliteStore::in_memory(&Options::default(), feed).unwrap()) as Box<dyn Store>
    });
}

mod inline {
    use super::*;

    suite!({
        let (feed, _) = feed(16);
        Box::new(SqliteStore::inline(&Options::default(), feed).unwrap()) as Box<dyn Store>
    });
}

mod in_a_file {
    use super::*;

    suite!(kept());
}

struct Kept {
    store: SqliteStore,
    folder: Folder,
}

impl Deref for Kept {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &self.store
    }
}

fn open(folder: &Folder) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&folder.path(), &Options::default(), feed(16).0)
}

fn kept() -> Kept {
    let folder = Folder::new();
    Kept { store: open(&folder).unwrap(), folder }
}

fn one(mid: &str) -> Acceptance {
    Acceptance { at: 1, deliveries: vec![outbound("a", mid)], ..Acceptance::default() }
}

#[tokio::test]
async fn the_store_that_comes_after_has_what_was_committed_and_the_one_before_is_closed() {
    let before = SqliteStore::inline(&Options::default(), feed(16).0).unwrap();
    before.accept(one("1")).await.unwrap();
    let (feed, mut reader) = feed(16);
    let after = before.succeed(&Options::default(), feed).unwrap();
    assert_eq!(before.accept(one("2")).await.unwrap_err(), StoreError::Closed);
    after.accept(one("3")).await.unwrap();
    assert_eq!(after.counts().await.unwrap().queued, 2);
    assert!(matches!(reader.next().await, Some(Fed::New(new)) if new.mid == "3"));
}

#[tokio::test]
async fn a_cached_statement_is_not_prepared_anew_for_each_use() {
    const BY_CONTACT: &str =
        "SELECT status FROM watermarks WHERE channel = ?1 AND contact = ?2 AND up_to >= ?3 ORDER BY status";
    let (say, said) = std::sync::mpsc::channel();
    let store = SqliteStore::inline(&Options::default(), feed(16).0).unwrap();
    store.on_writer(move |connection| {
        for up_to in 0..3 {
            let mut statement = connection.prepare_cached(BY_CONTACT).unwrap();
            assert_eq!(statement.query_map(("c", "a", up_to), |_| Ok(())).unwrap().count(), 0);
            say.send(statement.get_status(rusqlite::StatementStatus::RePrepare)).unwrap();
        }
    });
    assert_eq!(said.iter().collect::<Vec<_>>(), [0, 0, 0]);
}

#[test]
fn only_known_addresses_are_opened() {
    for address in ["", "sqlite:", "mysql://x", "a.db"] {
        let (feed, _) = feed(1);
        assert!(matches!(
            crate::store::open(address, &Options::default(), feed),
            Err(StoreError::Address(_))
        ));
    }
}

#[tokio::test]
async fn a_second_process_is_kept_away_until_the_first_is_gone() {
    let kept = kept();
    assert_eq!(open(&kept.folder).err(), Some(StoreError::InUse(kept.folder.path().display().to_string())));
    let Kept { store, folder } = kept;
    drop(store);
    open(&folder).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = Folder::new();
    drop(open(&folder).unwrap());
    let connection = Connection::open(folder.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = open(&folder).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("schema version 99"), "{error}");
}

#[tokio::test]
async fn what_was_accepted_is_there_after_a_restart() {
    let Kept { store, folder } = kept();
    let accepted = store.accept(one("1")).await.unwrap();
    drop(store);
    let store = open(&folder).unwrap();
    assert_eq!(stream(&store, Lane::outbound("c"), false, 0, 9).await, accepted.new);
}

#[tokio::test]
async fn a_full_disk_is_an_error_for_callers_and_then_over() {
    let kept = kept();
    kept.store.accept(one("1")).await.unwrap();
    // The page count is a setting of the connection; opening afresh after the error forgets it, as if room had
    // been made.
    kept.store.on_writer(|connection| {
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        connection.pragma_update(None, "max_page_count", pages).unwrap();
    });
    let mut big = one("2");
    big.deliveries[0].payload = Bytes::from(vec![0; 1_000_000]);
    let (full, small) = tokio::join!(kept.store.accept(big.clone()), kept.store.accept(one("3")));
    assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
    // Those in the same commit may have suffered with it; nobody is told a lie.
    let survived = usize::from(small.is_ok());
    kept.store.accept(big).await.unwrap();
    let queued = stream(&kept.store, Lane::outbound("c"), false, 0, 9).await;
    assert_eq!(queued.len(), 2 + survived);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_an_error_until_it_can() {
    let kept = kept();
    kept.store.on_writer(|connection| connection.pragma_update(None, "query_only", true).unwrap());
    let refused = kept.store.accept(one("1")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    kept.store.accept(one("1")).await.unwrap();
}

#[tokio::test]
async fn one_bad_request_does_not_harm_the_others_in_its_commit() {
    let kept = kept();
    let (hold, go) = std::sync::mpsc::channel::<()>();
    kept.store.on_writer(move |connection| {
        connection
            .execute_batch(
                "CREATE TRIGGER bad BEFORE INSERT ON deliveries WHEN new.mid = 'bad' \
             BEGIN SELECT raise(ABORT, 'bad'); END",
            )
            .unwrap();
        go.recv().unwrap();
    });
    let all = ["1", "bad", "2"].map(|mid| kept.store.accept(one(mid)));
    hold.send(()).unwrap();
    let all = futures_util::future::join_all(all).await;
    assert!(all[0].is_ok() && all[2].is_ok());
    assert!(matches!(all[1], Err(StoreError::Internal(_))));
    assert_eq!(kept.store.counts().await.unwrap().queued, 2);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_settlements_wait() {
    let folder = Folder::new();
    let options = Options { queue: 2, ..Options::default() };
    let store = SqliteStore::open(&folder.path(), &options, feed(16).0).unwrap();
    let delivery = store.accept(one("1")).await.unwrap().new.remove(0);
    let (hold, go) = std::sync::mpsc::channel::<()>();
    let (started, running) = oneshot::channel();
    store.on_writer(move |_| {
        started.send(()).unwrap();
        go.recv().unwrap();
    });
    running.await.unwrap();
    let waiting = [store.accept(one("2")), store.accept(one("3"))];
    let refused = store.accept(one("4")).now_or_never();
    assert!(matches!(refused, Some(Err(StoreError::Busy))), "{refused:?}");
    let settlement = Settlement::new(1, delivery, 1, crate::store::Ending::Sent { ids: Vec::new() });
    let settled = tokio::spawn(store.settle(settlement));
    tokio::task::yield_now().await;
    hold.send(()).unwrap();
    assert!(settled.await.unwrap().unwrap().applied);
    for accepted in waiting {
        accepted.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn deliveries_are_fed_in_commit_order_and_before_the_answer() {
    let folder = Folder::new();
    let (feed, mut reader) = feed(10_000);
    let store = Arc::new(SqliteStore::open(&folder.path(), &Options::default(), feed).unwrap());
    let mut tasks = Vec::new();
    for task in 0..16 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            for i in 0..50 {
                store.accept(one(&format!("{task}-{i}"))).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let mut ids = Vec::new();
    while let Some(Fed::New(delivery)) = reader.try_next() {
        ids.push(delivery.id);
    }
    assert_eq!(ids, (1..=800).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let kept = kept();
    kept.close().await.unwrap();
    assert_eq!(kept.accept(one("1")).await.err(), Some(StoreError::Closed));
    assert_eq!(kept.counts().await.err(), Some(StoreError::Closed));
    open(&kept.folder).err().unwrap();
}

/// Prints how many acceptances and settlements a second the store takes; `cargo test --release -- --nocapture
/// group_commit` for figures that mean something.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn group_commit_throughput() {
    let each = if cfg!(debug_assertions) { 50 } else { 1000 };
    let folder = Folder::new();
    let store: Arc<dyn Store> = Arc::new(open(&folder).unwrap());
    let callers = 64;
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            for i in 0..each {
                let name = format!("{caller}-{i}");
                let mut new = inbound(&format!("+{caller}"), &name, Some(&name));
                new.payload = Bytes::from(vec![b'x'; 700]);
                let webhook = JournalEntry {
                    received_at: 1,
                    channel: Some("c".into()),
                    mapping: "m".into(),
                    route: "r".into(),
                    method: "POST".into(),
                    url: "https://gateway.example.com/channels/c/receive".into(),
                    headers: "{\"content-type\":\"application/json\"}".into(),
                    body: Bytes::from(vec![b'x'; 954]),
                    verdict: Verdict::Accepted,
                    reason: None,
                };
                let acceptance = Acceptance {
                    at: 1,
                    webhook: Some(webhook),
                    deliveries: vec![new],
                    ..Acceptance::default()
                };
                taken.extend(store.accept(acceptance).await.unwrap().new);
            }
            taken
        }));
    }
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    let accepted = begin.elapsed();
    let begin = Instant::now();
    let settlements = taken.iter().map(|delivery| {
        let sent = crate::store::Ending::Sent { ids: Vec::new() };
        store.settle(Settlement::new(1, Arc::clone(delivery), 1, sent))
    });
    let all = futures_util::stream::iter(settlements);
    futures_util::StreamExt::for_each_concurrent(all, 64, |settled| async {
        assert!(settled.await.unwrap().applied);
    })
    .await;
    let per_second = |took: std::time::Duration| f64::from(callers * each) / took.as_secs_f64();
    println!(
        "accepted {:.0}/s (journal, key, queue), settled {:.0}/s",
        per_second(accepted),
        per_second(begin.elapsed())
    );
}

#[tokio::test]
async fn a_key_outlives_the_dead_letter_that_it_came_with() {
    let Kept { store, folder } = kept();
    let again =
        || Acceptance { at: 1, deliveries: vec![inbound("a", "1", Some("k"))], ..Acceptance::default() };
    let delivery = store.accept(again()).await.unwrap().new.remove(0);
    let settlement = crate::store::Settlement {
        at: 1,
        begun_at: 1,
        attempts: 1,
        ending: crate::store::Ending::Dead { reason: "why".into() },
        post: crate::store::StatusSet::default(),
        remember: Vec::new(),
        follow_ups: Vec::new(),
        delivery: Arc::clone(&delivery),
    };
    store.settle(settlement).await.unwrap();
    assert_eq!(store.drop_lost(vec![delivery.id]).await.unwrap(), 1);
    drop(store);
    let store = open(&folder).unwrap();
    assert_eq!(store.accept(again()).await.unwrap().duplicates, 1);
}
