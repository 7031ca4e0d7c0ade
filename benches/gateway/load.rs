//! The load: connections that are kept, each of which sends the next message when the last one is answered. Those of several
//! processes are theirs in turn; a contact stays with its connection.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::http::Wire;

/// How many contacts write over one connection, in turn.
const CONTACTS_EACH: u64 = 16;

/// A load.
#[derive(Clone, Copy)]
pub struct Load {
    /// How many connections.
    pub connections: u64,
    /// How many messages a second over all of them; as fast as possible without.
    pub rate: Option<f64>,
    /// How long it lasts.
    pub lasts: Duration,
    /// The number of the first message.
    pub first: u64,
}

/// A message that was sent.
#[derive(Clone, Copy)]
pub struct Sent {
    /// Its number.
    pub number: u64,
    /// When it was to be sent. With a rate its times count from here, so that a stall is not hidden.
    pub due: Instant,
    /// When the answer came.
    pub answered: Instant,
    /// The answer; 0 where there was none.
    pub status: u16,
}

impl Sent {
    /// Whether the gateway took it.
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Load {
    /// Between how many contacts the messages change; that of a message is its number modulo this.
    pub fn contacts(&self) -> u64 {
        self.connections * CONTACTS_EACH
    }

    /// Sends to these addresses until the time is over, on this thread. `request` gives the request for a number and its
    /// contact.
    pub fn run(
        self,
        to: &[SocketAddr],
        request: impl Fn(u64, u64) -> Vec<u8> + Copy + Send + Sync + 'static,
    ) -> Vec<Sent> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut wires = Vec::new();
            for address in to.iter().cycle().take(self.connections as usize) {
                wires.push((*address, Wire::connect(*address).await.unwrap()));
            }
            let began = Instant::now();
            let mut tasks = JoinSet::new();
            for (index, (to, wire)) in (0..).zip(wires) {
                tasks.spawn(self.one(began, index, to, wire, request));
            }
            tasks.join_all().await.into_iter().flatten().collect()
        })
    }

    async fn one(
        self,
        began: Instant,
        index: u64,
        to: SocketAddr,
        mut wire: Wire,
        request: impl Fn(u64, u64) -> Vec<u8>,
    ) -> Vec<Sent> {
        let mut sent = Vec::new();
        for nth in (index..).step_by(self.connections as usize) {
            let mut due = Instant::now();
            if let Some(rate) = self.rate {
                due = began + Duration::from_secs_f64(nth as f64 / rate);
            }
            if due - began >= self.lasts {
                break;
            }
            if self.rate.is_some() {
                sleep_until(due.into()).await;
            }
            let number = self.first + nth;
            let status = wire.ask(&request(number, number % self.contacts())).await;
            sent.push(Sent { number, due, answered: Instant::now(), status });
            if status == 0 {
                match Wire::connect(to).await {
                    Ok(new) => wire = new,
                    Err(_) => break,
                }
            }
        }
        sent
    }
}
