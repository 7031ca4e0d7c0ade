//! The real store, on a disk that is sometimes slow, sometimes refuses, and sometimes writes and does not say so.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use patchcord::memory::{Memory, Remember};
use patchcord::message::{self, EventKind, Status};
use patchcord::store::{
    Above, Acceptance, Accepted, Answer, Counts, Delivery, DeliveryId, Ending, Filter, Finding, Lane,
    LaneDepth, NewDelivery, Page, ParkedFilter, Purged, Record, Records, Retention, SentPart, Settled,
    Settlement, Store, StoreError, Tally, Webhook, WebhookId,
};
use patchcord::world::Millis;
use smol_str::SmolStr;
use tokio::time::sleep;

use super::base::Access;
use super::dice::Dice;
use super::log::{Ended, Event, Item, Log};

/// What goes wrong with the disk, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sick {
    pub from: Duration,
    pub until: Duration,
    /// How many operations in a thousand.
    pub permille: u64,
    /// How long an operation takes at most, in milliseconds.
    pub slowest: u64,
}

/// Decides what goes wrong.
pub struct Faults {
    pub dice: Dice,
    pub sick: Sick,
}

/// What becomes of one operation.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    before: Duration,
    after: Duration,
    refused: bool,
    mute: bool,
}

impl Faults {
    fn fate(&self, log: &Log) -> Fate {
        let Sick { from, until, permille, slowest } = self.sick;
        if !(from..until).contains(&log.elapsed()) {
            return Fate::default();
        }
        let slow = || if self.dice.chance(200) { self.dice.between(0, slowest) } else { Duration::ZERO };
        let sick = self.dice.chance(permille);
        Fate { before: slow(), after: slow(), refused: sick, mute: sick && self.dice.chance(500) }
    }
}

/// The store of one process.
pub struct Disk {
    store: Access,
    life: usize,
    alive: Arc<AtomicBool>,
    log: Log,
    faults: Arc<Faults>,
    open: Arc<Mutex<BTreeSet<DeliveryId>>>,
}

impl Disk {
    pub fn new(
        store: Access,
        life: usize,
        alive: Arc<AtomicBool>,
        log: Log,
        faults: Arc<Faults>,
        open: Arc<Mutex<BTreeSet<DeliveryId>>>,
    ) -> Self {
        Self { store, life, alive, log, faults, open }
    }

    /// Lets what was handed to the disk become durable.
    pub fn catch_up(&self) {
        self.store.catch_up();
    }

    /// Runs an operation as the disk fares; `done` is told when it is durable, `told` when it is answered. `shares` is
    /// whether others may have the same commit.
    fn run<T: Send + 'static>(
        &self,
        shares: bool,
        operation: impl FnOnce(&dyn Store) -> Answer<T> + Send + 'static,
        done: impl FnOnce(&T) + Send + 'static,
        told: impl FnOnce(bool) + Send + 'static,
    ) -> Answer<T> {
        let fate = self.faults.fate(&self.log);
        let (store, alive) = (self.store.clone(), Arc::clone(&self.alive));
        async move {
            pass(fate.before).await;
            let failed = || Err(StoreError::Unavailable("the disk is sick".into()));
            let result =
                if fate.refused && !fate.mute { failed() } else { store.ask(shares, operation, done).await };
            pass(fate.after).await;
            // Nobody is left to be answered by a process that is gone.
            if !alive.load(Ordering::SeqCst) {
                return Err(StoreError::Closed);
            }
            let result = if fate.mute { failed() } else { result };
            told(result.is_ok());
            result
        }
        .boxed()
    }
}

async fn pass(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

/// What a delivery is to the other side.
pub fn item(lane: &Lane, mid: &str, kind: EventKind, payload: &[u8]) -> Item {
    Item::new(lane, mid, kind, status(kind, payload))
}

fn status(kind: EventKind, payload: &[u8]) -> Option<Status> {
    (kind == EventKind::MessageStatus)
        .then(|| serde_json::from_slice::<message::Event>(payload).ok().and_then(|event| event.status))
        .flatten()
}

fn handed_in(new: &NewDelivery) -> (Item, SmolStr) {
    (item(&new.lane, &new.mid, new.kind, &new.payload), new.contact.clone())
}

macro_rules! pass_on {
    ($shares:literal: $($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> Answer<$out> {
            self.run($shares, move |store| store.$name($($arg),*), |_| {}, |_| {})
        })*
    };
}

impl Records for Disk {
    pass_on! { false:
        lanes() -> Vec<LaneDepth>;
        counts() -> Counts;
        tally() -> Tally;
        list(filter: Filter) -> Vec<Record>;
        show(id: DeliveryId) -> Option<Record>;
        parked(filter: ParkedFilter) -> Vec<Webhook>;
        webhook(id: WebhookId) -> Option<Webhook>;
        examine(channels: Vec<SmolStr>, keep: Retention, now: Millis) -> Vec<Finding>;
    }
}

impl Store for Disk {
    pass_on! { true:
        begin(id: DeliveryId) -> ();
        remember(changes: Vec<Remember>) -> ();
    }

    pass_on! { false:
        page(lane: Lane, live: Above, bulk: Option<Above>) -> Page;
        page_contact(lane: Lane, contact: SmolStr, after: DeliveryId, upto: DeliveryId, limit: usize) -> Vec<Arc<Delivery>>;
        original(channel: SmolStr, alias: SmolStr) -> Option<SmolStr>;
        sent(channel: SmolStr, provider_id: SmolStr) -> Option<SentPart>;
        memory(channel: SmolStr, contact: SmolStr, now: Millis) -> Memory;
        release(now: Millis) -> usize;
        heard(since: Millis, limit: usize) -> Vec<(SmolStr, SmolStr, Millis)>;
        secret(name: SmolStr, fresh: Vec<u8>) -> Vec<u8>;
        retry(ids: Vec<DeliveryId>, at: Millis) -> Vec<Arc<Delivery>>;
        drop_lost(ids: Vec<DeliveryId>) -> usize;
        drop_parked(ids: Vec<WebhookId>) -> usize;
        purge(now: Millis) -> Purged;
        close() -> ();
    }

    fn accept(&self, acceptance: Acceptance) -> Answer<Accepted> {
        let items = acceptance.deliveries.iter().map(handed_in).collect();
        let receipts = acceptance.receipts.clone();
        let ask = self.log.note_as(|ask| Event::Asks { ask, items, receipts });
        let (log, open) = (self.log.clone(), Arc::clone(&self.open));
        let keeps = move |accepted: &Accepted| {
            let new: Vec<DeliveryId> = accepted.new.iter().map(|new| new.id).collect();
            open.lock().unwrap().extend(&new);
            log.note(Event::Keeps { ask, new });
        };
        let log = self.log.clone();
        let answers = move |accepted| {
            log.note(Event::Answers { ask, accepted });
        };
        self.run(true, move |store| store.accept(acceptance), keeps, answers)
    }

    fn settle(&self, settlement: Settlement) -> Answer<Settled> {
        let (id, attempts, life) = (settlement.delivery.id, settlement.attempts, self.life);
        let ending = match &settlement.ending {
            Ending::Sent { ids } => Ended::Sent(ids.clone()),
            Ending::Retry { not_before, pause_lane, .. } => {
                Ended::Again { not_before: *not_before, pause: *pause_lane }
            }
            Ending::Failed { .. } => Ended::Failed,
            Ending::Dead { .. } => Ended::Dead,
            Ending::Held { .. } => Ended::Held,
        };
        let (log, open) = (self.log.clone(), Arc::clone(&self.open));
        let settles = move |settled: &Settled| {
            if !settled.applied {
                return;
            }
            let mut open = open.lock().unwrap();
            let new: Vec<DeliveryId> = settled.new.iter().map(|new| new.id).collect();
            open.extend(&new);
            if !matches!(ending, Ended::Again { .. }) {
                open.remove(&id);
            }
            log.note(Event::Settles { life, id, attempts, ending, new });
        };
        self.run(true, move |store| store.settle(settlement), settles, |_| {})
    }
}
