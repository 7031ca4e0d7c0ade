//! What Patchcord promises, judged by what was seen from outside and by what the store says in the end.

mod endings;
mod requests;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use patchcord::delivery::LaneSettings;
use patchcord::message::Status;
use patchcord::store::{DeliveryId, Lane, Receipt, Record};
use patchcord::world::Millis;
use smol_str::SmolStr;

use crate::disk::item;
use crate::log::{CALL, Entry, Event, Item, Said};

pub use self::tally::Tally;

/// What holds in a run.
pub struct Terms<'a> {
    /// How lanes behave.
    pub settings: &'a dyn Fn(&Lane) -> LaneSettings,
    /// Whether the network delays evenly enough for the receiver to see the rate that the sender keeps.
    pub is_even: bool,
}

/// A request, as far as it has come.
struct Attempt {
    life: usize,
    /// What it delivers, in order; nothing where it is only needed for that.
    ids: Vec<DeliveryId>,
    lane: Lane,
    contact: SmolStr,
    part: usize,
    began: Duration,
    said: Said,
    heard: bool,
    /// How often the wall clock had jumped when it began.
    jumps: u64,
}

/// A contact in a lane.
#[derive(Default)]
struct Contact {
    queued: BTreeSet<DeliveryId>,
    departed: Vec<Duration>,
    under_way: Option<usize>,
}

/// A delivery, as far as it has come.
#[derive(Default)]
struct Delivery {
    begun: u32,
    /// How often its token had expired.
    expired: u32,
    last: Option<usize>,
    /// Parts that were taken, by the process that heard it.
    taken: BTreeMap<usize, usize>,
    /// Parts of which it is on disk that they were taken.
    durable: BTreeSet<usize>,
    /// Parts that arrived and were taken, whether anybody heard of it or not.
    arrived: BTreeSet<usize>,
    /// Not before this, in that life.
    rest: Option<(usize, Duration)>,
    /// Not before this by the wall clock, unless it jumped since; and how often it had.
    not_before: Option<(u64, Millis)>,
}

/// A lane.
#[derive(Default)]
struct Known {
    departed: Vec<Duration>,
    arrived: Vec<Duration>,
    under_way: BTreeSet<usize>,
    /// Requests that delivered nothing.
    calls: u32,
    /// The last of them.
    called: Option<usize>,
    /// Whether it was ever asked for fewer requests.
    throttled: bool,
    /// Left alone from, and until, in that life.
    silences: Vec<(usize, Duration, Duration)>,
    /// The pause on disk: who wrote it, until when by the wall clock, and how often that had jumped.
    pause: Option<(usize, Millis, u64)>,
}

/// Goes through a run.
struct Judge<'a> {
    terms: &'a Terms<'a>,
    records: BTreeMap<DeliveryId, &'a Record>,
    ids: BTreeMap<Item, DeliveryId>,
    attempts: BTreeMap<usize, Attempt>,
    contacts: BTreeMap<(Lane, SmolStr), Contact>,
    lanes: BTreeMap<Lane, Known>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// The process that runs.
    life: Option<usize>,
    /// What is handed in, by its number.
    asked: BTreeMap<usize, (Vec<Item>, Vec<Receipt>)>,
    /// What providers said that is on disk.
    receipts: Vec<Receipt>,
    /// What the platform was told last of each message.
    told: BTreeMap<(SmolStr, SmolStr), Status>,
    newest: DeliveryId,
    tally: Tally,
    broken: Vec<String>,
}

/// Judges a run; gives what was broken.
pub fn judge(entries: &[Entry], records: &[Record], terms: &Terms<'_>) -> Result<Tally, Vec<String>> {
    let mut judge = Judge {
        terms,
        records: records.iter().map(|record| (record.delivery.id, record)).collect(),
        ids: BTreeMap::new(),
        attempts: BTreeMap::new(),
        contacts: BTreeMap::new(),
        lanes: BTreeMap::new(),
        deliveries: BTreeMap::new(),
        life: None,
        asked: BTreeMap::new(),
        receipts: Vec::new(),
        told: BTreeMap::new(),
        newest: 0,
        tally: Tally::default(),
        broken: Vec::new(),
    };
    for record in records {
        let (id, item) = (record.delivery.id, item_of(record));
        if let Some(other) = judge.ids.insert(item.clone(), id) {
            judge.broken.push(format!("{item:?} is in the queue twice, as {other} and {id}"));
        }
    }
    for (number, entry) in entries.iter().enumerate() {
        judge.hear(number, entry);
    }
    judge.rates();
    judge.endings();
    if judge.broken.is_empty() { Ok(judge.tally) } else { Err(judge.broken) }
}

fn item_of(record: &Record) -> Item {
    let it = &record.delivery;
    item(&it.lane, &it.mid, it.kind, &it.payload)
}

impl Judge<'_> {
    fn broken(&mut self, number: usize, what: impl Display) {
        self.broken.push(format!("{number:>4}: {what}"));
    }

    fn hear(&mut self, number: usize, entry: &Entry) {
        match &entry.event {
            Event::Start { life } => self.life = Some(*life),
            Event::End { life, crash } => {
                self.life = self.life.filter(|alive| alive != life);
                self.tally.crashes += u64::from(*crash);
            }
            Event::Jump(by) => self.tally.jumps += u64::from(*by != 0),
            Event::Asks { ask, items, receipts } => {
                let items = items.iter().map(|(item, _)| item.clone()).collect();
                self.asked.insert(*ask, (items, receipts.clone()));
            }
            Event::Keeps { ask, new } => self.keeps(number, *ask, new),
            Event::Answers { ask, accepted: true } => {
                for item in self.asked.get(ask).map(|(items, _)| items.clone()).unwrap_or_default() {
                    self.tally.messages += 1;
                    if !self.ids.contains_key(&item) {
                        self.broken(number, format!("{item:?} was accepted and is nowhere"));
                    }
                }
            }
            Event::Answers { .. } => {}
            Event::Begins { attempt, life, item, more, contact, part, arrives, said } => {
                let lane = self.lanes.entry(item.lane.clone()).or_default();
                if !matches!(said, Said::Unreachable) {
                    lane.arrived.push(*arrives);
                }
                self.tally.requests += 1;
                self.tally.together += more.len() as u64;
                if self.life != Some(*life) {
                    self.broken(number, format!("process {life} makes a request, and {:?} runs", self.life));
                }
                let items = || std::iter::once(item).chain(more);
                for unknown in items()
                    .filter(|item| item.kind != CALL && !self.ids.contains_key(item))
                    .cloned()
                    .collect::<Vec<_>>()
                {
                    self.broken(number, format!("{unknown:?} was never accepted"));
                }
                let begins = Attempt {
                    life: *life,
                    ids: items().filter_map(|item| self.ids.get(item).copied()).collect(),
                    lane: item.lane.clone(),
                    contact: contact.clone(),
                    part: *part,
                    began: entry.at,
                    said: said.clone(),
                    heard: false,
                    jumps: self.tally.jumps,
                };
                self.silence(number, entry, &begins);
                self.room(number, *attempt, &begins);
                if begins.ids.is_empty() {
                    let lane = self.lanes.entry(item.lane.clone()).or_default();
                    (lane.calls, lane.called) = (lane.calls + 1, Some(*attempt));
                } else {
                    self.turn(number, *attempt, entry, contact, &begins);
                }
                self.attempts.insert(*attempt, begins);
                items().for_each(|item| self.forward(number, item));
            }
            Event::Departs { attempt } => self.departs(*attempt, entry.at),
            Event::Hears { attempt } => self.answered(*attempt, entry.at),
            Event::Settles { life, id, attempts, ending, new } => {
                self.queue(number, new);
                self.settles(number, entry, *life, *id, *attempts, ending);
            }
        }
    }

    fn keeps(&mut self, number: usize, ask: usize, new: &[DeliveryId]) {
        self.queue(number, new);
        if let Some((_, receipts)) = self.asked.get(&ask) {
            self.receipts.extend(receipts.iter().cloned());
        }
    }

    /// Places in the queue rise in the order of commit.
    fn queue(&mut self, number: usize, new: &[DeliveryId]) {
        for id in new {
            if *id <= self.newest {
                self.broken(number, format!("{id} comes after {}", self.newest));
            }
            self.newest = *id;
            match self.records.get(id) {
                Some(record) => {
                    let key = (record.delivery.lane.clone(), record.delivery.contact.clone());
                    self.contacts.entry(key).or_default().queued.insert(*id);
                }
                None => self.broken(number, format!("{id} was queued and is nowhere")),
            }
        }
    }
}
