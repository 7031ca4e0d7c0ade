//! Everything that is seen of a run from outside, in the order in which it happened: what the checker judges, and
//! the trace of a seed.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use patchcord::message::{EventKind, Status};
use patchcord::store::{DeliveryId, Lane, Receipt};
use patchcord::world::{Clock as _, Millis};
use smol_str::SmolStr;

use super::clock::Wall;

/// The kind of a request that delivers nothing, but is needed for it.
pub const CALL: &str = "call";

/// Something that is delivered, as the other side sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub lane: Lane,
    pub mid: SmolStr,
    pub kind: &'static str,
    pub status: Option<Status>,
}

impl Item {
    pub fn new(lane: &Lane, mid: &str, kind: EventKind, status: Option<Status>) -> Self {
        Self { lane: lane.clone(), mid: mid.into(), kind: kind.as_str(), status }
    }
}

/// What the other side makes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It took it, gives its own id, and may want to be left alone for a while.
    Taken { id: SmolStr, rest: Option<Duration> },
    /// It gives out a token.
    Token(SmolStr),
    /// The token is no good any more.
    Expired,
    /// It wants fewer requests, and may say for how long.
    Throttled(Option<Duration>),
    /// It is in trouble, and may say for how long.
    Trouble(Option<Duration>),
    /// It refuses for good.
    Refused,
    /// The contact wants no messages.
    OptOut,
    /// It took it, but its answer never comes back.
    Lost { id: SmolStr },
    /// Nothing arrived.
    Unreachable,
    /// There is no answer, ever.
    Silent,
    /// The carrier itself fails.
    Panic,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A process starts.
    Start { life: usize },
    /// It is gone, in order or not.
    End { life: usize, crash: bool },
    /// The wall clock jumps.
    Jump(Millis),
    /// Something is handed in: messages, in this order; what a provider says.
    Asks { ask: usize, items: Vec<(Item, SmolStr)>, receipts: Vec<Receipt> },
    /// What was handed in is durable, and got these places in the queue.
    Keeps { ask: usize, new: Vec<DeliveryId> },
    /// It is answered: accepted or not.
    Answers { ask: usize, accepted: bool },
    /// A request begins; what will become of it is known from the start.
    Begins {
        attempt: usize,
        life: usize,
        item: Item,
        /// What else it holds for the same contact.
        more: Vec<Item>,
        contact: SmolStr,
        part: usize,
        arrives: Duration,
        said: Said,
    },
    /// It departs; from then on it counts for the rate.
    Departs { attempt: usize },
    /// The answer is back.
    Hears { attempt: usize },
    /// The outcome of an attempt is durable, and with it what is queued because of it.
    Settles { life: usize, id: DeliveryId, attempts: u32, ending: Ended, new: Vec<DeliveryId> },
}

/// How an attempt ended, as it was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Sent(Vec<Vec<String>>),
    Again { not_before: Millis, pause: Option<Millis> },
    Failed,
    Dead,
    Held,
}

/// An event with its moment: since the beginning, and by the wall clock.
#[derive(Clone, Debug)]
pub struct Entry {
    pub at: Duration,
    pub wall: Millis,
    pub event: Event,
}

#[derive(Clone)]
pub struct Log {
    pub wall: Wall,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Log {
    pub fn new(wall: Wall) -> Self {
        Self { wall, entries: Arc::default() }
    }

    /// How long the run has gone on.
    pub fn elapsed(&self) -> Duration {
        self.wall.elapsed()
    }

    /// How much has happened.
    pub fn length(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    /// Notes an event; gives its number.
    pub fn note(&self, event: Event) -> usize {
        let mut entries = self.entries.lock().unwrap();
        entries.push(Entry { at: self.wall.elapsed(), wall: self.wall.now(), event });
        entries.len() - 1
    }

    /// Notes an event that is known by its own number.
    pub fn note_as(&self, event: impl FnOnce(usize) -> Event) -> usize {
        let mut entries = self.entries.lock().unwrap();
        let number = entries.len();
        entries.push(Entry { at: self.wall.elapsed(), wall: self.wall.now(), event: event(number) });
        number
    }

    pub fn entries(&self) -> Vec<Entry> {
        std::mem::take(&mut self.entries.lock().unwrap())
    }
}

/// A run as text, one line for each event.
pub fn trace(entries: &[Entry]) -> String {
    let mut text = String::new();
    for (number, entry) in entries.iter().enumerate() {
        writeln!(text, "{number:>4} {:>12.3} {:?}", entry.at.as_secs_f64(), entry.event).unwrap();
    }
    text
}
