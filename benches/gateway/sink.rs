//! The other side, platform and provider in one: takes every request, and notes when which message came.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

use super::http::Wire;

/// What stands before the number of a message, which has ten digits.
pub const MARK: &[u8] = b"no.";

/// A request that came in and was taken.
#[derive(Clone, Copy)]
pub struct Arrival {
    /// The message's number.
    pub number: u64,
    /// The number in the path.
    pub channel: usize,
    /// When it came.
    pub at: Instant,
}

/// What came so far.
#[derive(Default)]
pub struct Seen {
    /// Messages, in the order in which they came.
    pub arrivals: Vec<Arrival>,
    /// Requests without the number of a message: receipts.
    pub others: usize,
    /// How often a connection was opened.
    pub connections: usize,
    /// By how much the sink itself was late at worst, since others had its core: times of arrival are as uncertain.
    pub late: Duration,
    /// Messages that were refused once.
    refused: HashSet<u64>,
}

impl Seen {
    /// Notes a request; false if it is refused.
    fn note(&mut self, number: Option<u64>, channel: usize, at: Instant, one_in: u64) -> bool {
        let Some(number) = number else {
            self.others += 1;
            return true;
        };
        if one_in > 0 && number.is_multiple_of(one_in) && self.refused.insert(number) {
            return false;
        }
        self.arrivals.push(Arrival { number, channel, at });
        true
    }
}

/// A running sink; it ends with the process.
pub struct Sink {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

impl Sink {
    /// Starts one that takes everything.
    pub fn start() -> Self {
        Self::refusing(0)
    }

    /// Starts one that refuses one in so many messages, for now and once; 0 for none.
    pub fn refusing(one_in: u64) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = seen.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::spawn(look_at_the_clock(noted.clone()));
                while let Ok((stream, _)) = listener.accept().await {
                    noted.lock().unwrap().connections += 1;
                    tokio::spawn(serve(stream, noted.clone(), one_in));
                }
            });
        });
        Self { address, seen }
    }

    /// Looks at what came so far.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    /// How many messages came.
    pub fn count(&self) -> usize {
        self.look(|seen| seen.arrivals.len())
    }

    /// Waits until so many messages came, or for `patience` none.
    pub fn wait(&self, count: usize, patience: Duration) {
        let (mut last, mut changed) = (self.count(), Instant::now());
        while last < count && changed.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(5));
            let now = self.count();
            if now != last {
                (last, changed) = (now, Instant::now());
            }
        }
    }
}

/// Notes how late it is called.
async fn look_at_the_clock(seen: Arc<Mutex<Seen>>) {
    const EVERY: Duration = Duration::from_millis(5);
    loop {
        let due = Instant::now() + EVERY;
        tokio::time::sleep_until(due.into()).await;
        let mut seen = seen.lock().unwrap();
        seen.late = seen.late.max(due.elapsed());
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Seen>>, one_in: u64) {
    let mut wire = Wire::new(stream);
    while let Ok(true) = wire.read().await {
        let at = Instant::now();
        let number = number(wire.body());
        let channel = wire.second_word().rsplit('/').next().and_then(|word| word.parse().ok());
        let taken = seen.lock().unwrap().note(number, channel.unwrap_or(0), at, one_in);
        let id = number.unwrap_or_default();
        let body = format!(r#"{{"data":{{"messages":[{{"status":"SUCCESS","message_id":"p-{id}"}}]}}}}"#);
        let status = if taken { "200 OK" } else { "500 Later" };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if wire.write(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The number behind the first mark.
fn number(body: &[u8]) -> Option<u64> {
    let at = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    std::str::from_utf8(body.get(at..at + 10)?).ok()?.parse().ok()
}
