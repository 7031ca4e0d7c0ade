//! A durable queue on PostgreSQL written by hand: the limit of the database, to which the gateway's figures on it are put in
//! relation. It parses a webhook, inserts it with all that wait (one commit for up to [`BATCH`]), answers after the commit,
//! and reads what was inserted in its order, posts it on and deletes it in batches. It has no rate, no retries, no order, no
//! duplicates, and one process.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, mpsc};

use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio::sync::{Mutex, Notify};
use tokio_postgres::{Client, NoTls};

use super::by_hand::{AT_ONCE, Job, router};
use super::http::{Wire, post};
use super::installation::Folder;
use super::process::{Process, free_address};

/// The first argument of the process that does it.
pub const COMMAND: &str = "by-hand-postgres";
/// How many webhooks share a commit, or are read or deleted at once, at most.
const BATCH: usize = 256;
/// As the gateway has it: no plan that was made while the table was small, and nothing compiled anew each time.
const SESSION: &str = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; SET jit = off";
const TABLE: &str =
    "CREATE TABLE queue (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body BYTEA NOT NULL)";
const INSERT: &str = "INSERT INTO queue (body) SELECT * FROM unnest($1::bytea[])";
const READ: &str = "SELECT id, body FROM queue WHERE id > $1 ORDER BY id LIMIT 256";
const DELETE: &str = "DELETE FROM queue WHERE id = ANY($1)";

/// A webhook with its place in the table.
type Stored = (i64, Vec<u8>);

/// Starts it as a process of its own, in the folder's schema; with a sink it posts on what it gets.
pub fn start(folder: &Folder, sink: Option<SocketAddr>) -> Process {
    let address = free_address();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(COMMAND).arg(address.to_string()).arg(folder.address());
    command.args(sink.map(|sink| sink.to_string()));
    Process::start(command, address, "/readyz", &folder.0.join("by-hand.log"))
}

/// The process itself: its address, its database, and perhaps its sink.
pub fn serve(mut arguments: impl Iterator<Item = String>) {
    let address: SocketAddr = arguments.next().unwrap().parse().unwrap();
    let server = arguments.next().unwrap();
    let sink = arguments.next().map(|sink| sink.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        connect(&server).await.batch_execute(TABLE).await.unwrap();
        let (jobs, waiting) = mpsc::channel();
        let inserted = Arc::new(Notify::new());
        if let Some(sink) = sink {
            tokio::spawn(deliver(connect(&server).await, sink, inserted.clone()));
        }
        std::thread::spawn(move || insert(&server, &waiting, &inserted));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        axum::serve(listener, router(jobs)).await.unwrap();
    });
}

async fn connect(server: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(server, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(SESSION).await.unwrap();
    client
}

/// Inserts what waits, up to a batch at once, and answers when that is committed.
fn insert(server: &str, waiting: &mpsc::Receiver<Job>, inserted: &Notify) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = runtime.block_on(connect(server));
    let statement = runtime.block_on(client.prepare(INSERT)).unwrap();
    while let Ok(first) = waiting.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(waiting.try_iter()).take(BATCH).collect();
        let bodies: Vec<&[u8]> = jobs.iter().map(|(body, _)| &body[..]).collect();
        runtime.block_on(client.execute(&statement, &[&bodies])).unwrap();
        for (_, done) in jobs {
            let _ = done.send(());
        }
        inserted.notify_one();
    }
}

/// Reads what was inserted, and lets it be posted on and deleted.
async fn deliver(client: Client, sink: SocketAddr, inserted: Arc<Notify>) {
    let client = Arc::new(client);
    let (onward, queue) = channel(BATCH);
    let (delivered, done) = unbounded_channel();
    let queue = Arc::new(Mutex::new(queue));
    (0..AT_ONCE).for_each(|_| drop(tokio::spawn(forward(sink, queue.clone(), delivered.clone()))));
    tokio::spawn(delete(client.clone(), done));
    let statement = client.prepare(READ).await.unwrap();
    let mut last = 0_i64;
    loop {
        let rows = client.query(&statement, &[&last]).await.unwrap();
        if rows.is_empty() {
            inserted.notified().await;
        }
        for row in rows {
            last = row.get(0);
            onward.send((last, row.get(1))).await.unwrap();
        }
    }
}

async fn forward(sink: SocketAddr, queue: Arc<Mutex<Receiver<Stored>>>, delivered: UnboundedSender<i64>) {
    let mut wire = Wire::connect(sink).await.unwrap();
    loop {
        let Some((id, body)) = queue.lock().await.recv().await else { return };
        assert_eq!(wire.ask(&post("/platform/0", "", &body)).await, 200);
        delivered.send(id).unwrap();
    }
}

async fn delete(client: Arc<Client>, mut done: UnboundedReceiver<i64>) {
    let statement = client.prepare(DELETE).await.unwrap();
    let mut ids = Vec::with_capacity(BATCH);
    while done.recv_many(&mut ids, BATCH).await > 0 {
        client.execute(&statement, &[&ids]).await.unwrap();
        ids.clear();
    }
}
