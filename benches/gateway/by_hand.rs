//! The same job written by hand, without anything that makes a gateway of it: the limit of the machine, to which the
//! gateway's figures are put in relation. It parses a webhook, appends it to a file, answers when the file is on disk (one
//! `fdatasync` for all that wait), and posts it on. It has no rate, no retries, no order, no duplicates, and forgets what
//! it has when it ends.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{any, get};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};

use super::http::{Wire, post};
use super::process::{Process, free_address};

/// The first argument of the process that does it.
pub const COMMAND: &str = "by-hand";
/// How many requests to the sink are under way at most.
pub const AT_ONCE: usize = 32;

/// A webhook, and who waits until it is durable.
pub type Job = (Bytes, oneshot::Sender<()>);

/// Starts it as a process of its own; with a sink it posts on what it gets.
pub fn start(folder: &Path, sink: Option<SocketAddr>) -> Process {
    let address = free_address();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(COMMAND).arg(address.to_string()).arg(folder.join("by-hand"));
    command.args(sink.map(|sink| sink.to_string()));
    Process::start(command, address, "/readyz", &folder.join("by-hand.log"))
}

/// The process itself: its address, its file, and perhaps its sink.
pub fn serve(mut arguments: impl Iterator<Item = String>) {
    let address: SocketAddr = arguments.next().unwrap().parse().unwrap();
    let file = PathBuf::from(arguments.next().unwrap());
    let sink = arguments.next().map(|sink| sink.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (jobs, waiting) = mpsc::channel();
        let (onward, stored) = unbounded_channel();
        std::thread::spawn(move || append(&file, &waiting, &onward));
        match sink {
            None => drop(stored),
            Some(sink) => {
                let stored = Arc::new(Mutex::new(stored));
                (0..AT_ONCE).for_each(|_| drop(tokio::spawn(forward(sink, stored.clone()))));
            }
        }
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        axum::serve(listener, router(jobs)).await.unwrap();
    });
}

/// Takes webhooks, and answers when they are done with.
pub fn router(jobs: mpsc::Sender<Job>) -> Router {
    Router::new().route("/readyz", get(async || "ready")).fallback(any(accept)).with_state(jobs)
}

async fn accept(State(jobs): State<mpsc::Sender<Job>>, body: Bytes) -> StatusCode {
    if serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        return StatusCode::BAD_REQUEST;
    }
    let (done, is_done) = oneshot::channel();
    if jobs.send((body, done)).is_ok() && is_done.await.is_ok() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Writes what waits, all at once, and passes it on.
fn append(file: &Path, waiting: &mpsc::Receiver<Job>, onward: &UnboundedSender<Bytes>) {
    let mut file = File::create(file).unwrap();
    while let Ok(first) = waiting.recv() {
        let jobs: Vec<Job> = std::iter::once(first).chain(waiting.try_iter()).collect();
        let mut lines = Vec::new();
        for (body, _) in &jobs {
            lines.extend_from_slice(body);
            lines.push(b'\n');
        }
        file.write_all(&lines).unwrap();
        file.sync_data().unwrap();
        for (body, done) in jobs {
            let _ = done.send(());
            let _ = onward.send(body);
        }
    }
}

async fn forward(sink: SocketAddr, stored: Arc<Mutex<UnboundedReceiver<Bytes>>>) {
    let mut wire = Wire::connect(sink).await.unwrap();
    loop {
        let Some(body) = stored.lock().await.recv().await else { return };
        assert_eq!(wire.ask(&post("/platform/0", "", &body)).await, 200);
    }
}
