//! Lanes at work: the real store in a file, a scripted other side, and time that passes only when nothing else is
//! to be done.

mod batch;
mod breaker;
mod doubt;
mod faults;
mod order;
mod pacing;
mod queue;
mod restart;
mod statuses;
mod window;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use smol_str::SmolStr;
use tokio::time::Instant;

use super::*;
use crate::call::Departure;
use crate::memory::{Memory, Remember};
use crate::message::Fault;
use crate::store::testing::{Folder, outbound};
use crate::store::*;
use crate::world::{Clock, Entropy, Millis, SeededEntropy, World};

/// Time zero of the tests.
const START: Millis = 1_700_000_000_000;

/// A wall clock that goes with tokio's.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Millis {
        START + Millis::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

fn world() -> World {
    let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(7));
    World::new(Arc::new(TokioClock(Instant::now())), entropy)
}

/// A store for paused time: while it works, time does not pass (time stands still while a blocking task runs), but for
/// so long when the queue is read.
struct Patient(Arc<dyn Store>, Duration);

impl Patient {
    fn after_a_while<T: Send + 'static>(&self, answer: Answer<T>) -> Answer<T> {
        let (answer, takes) = (hold(answer), self.1);
        async move {
            tokio::time::sleep(takes).await;
            answer.await
        }
        .boxed()
    }
}

fn hold<T: Send + 'static>(answer: Answer<T>) -> Answer<T> {
    async move {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || runtime.block_on(answer)).await.unwrap()
    }
    .boxed()
}

impl Records for Patient {
    fn lanes(&self) -> Answer<Vec<LaneDepth>> {
        hold(self.0.lanes())
    }
    fn counts(&self) -> Answer<Counts> {
        hold(self.0.counts())
    }
    fn tally(&self) -> Answer<Tally> {
        hold(self.0.tally())
    }
    fn list(&self, filter: Filter) -> Answer<Vec<Record>> {
        hold(self.0.list(filter))
    }
    fn show(&self, id: DeliveryId) -> Answer<Option<Record>> {
        hold(self.0.show(id))
    }
    fn parked(&self, filter: ParkedFilter) -> Answer<Vec<Webhook>> {
        hold(self.0.parked(filter))
    }
    fn webhook(&self, id: WebhookId) -> Answer<Option<Webhook>> {
        hold(self.0.webhook(id))
    }
    fn examine(&self, channels: Vec<SmolStr>, keep: Retention, now: Millis) -> Answer<Vec<Finding>> {
        hold(self.0.examine(channels, keep, now))
    }
}

impl Store for Patient {
    fn accept(&self, acceptance: Acceptance) -> Answer<Accepted> {
        hold(self.0.accept(acceptance))
    }
    fn begin(&self, id: DeliveryId) -> Answer<()> {
        hold(self.0.begin(id))
    }
    fn settle(&self, settlement: Settlement) -> Answer<Settled> {
        hold(self.0.settle(settlement))
    }
    fn page(&self, lane: Lane, live: Above, bulk: Option<Above>) -> Answer<Page> {
        self.after_a_while(self.0.page(lane, live, bulk))
    }
    fn page_contact(
        &self,
        lane: Lane,
        contact: SmolStr,
        after: DeliveryId,
        upto: DeliveryId,
        limit: usize,
    ) -> Answer<Vec<Arc<Delivery>>> {
        self.after_a_while(self.0.page_contact(lane, contact, after, upto, limit))
    }
    fn original(&self, channel: SmolStr, alias: SmolStr) -> Answer<Option<SmolStr>> {
        hold(self.0.original(channel, alias))
    }
    fn sent(&self, channel: SmolStr, provider_id: SmolStr) -> Answer<Option<SentPart>> {
        hold(self.0.sent(channel, provider_id))
    }
    fn memory(&self, channel: SmolStr, contact: SmolStr, now: Millis) -> Answer<Memory> {
        hold(self.0.memory(channel, contact, now))
    }
    fn remember(&self, changes: Vec<Remember>) -> Answer<()> {
        hold(self.0.remember(changes))
    }
    fn release(&self, now: Millis) -> Answer<usize> {
        hold(self.0.release(now))
    }
    fn heard(&self, since: Millis, limit: usize) -> Answer<Vec<(SmolStr, SmolStr, Millis)>> {
        hold(self.0.heard(since, limit))
    }
    fn secret(&self, name: SmolStr, fresh: Vec<u8>) -> Answer<Vec<u8>> {
        hold(self.0.secret(name, fresh))
    }
    fn retry(&self, ids: Vec<DeliveryId>, at: Millis) -> Answer<Vec<Arc<Delivery>>> {
        hold(self.0.retry(ids, at))
    }
    fn drop_lost(&self, ids: Vec<DeliveryId>) -> Answer<usize> {
        hold(self.0.drop_lost(ids))
    }
    fn drop_parked(&self, ids: Vec<WebhookId>) -> Answer<usize> {
        hold(self.0.drop_parked(ids))
    }
    fn purge(&self, now: Millis) -> Answer<Purged> {
        hold(self.0.purge(now))
    }
    fn close(&self) -> Answer<()> {
        hold(self.0.close())
    }
}

/// An attempt that the other side saw.
#[derive(Clone, Debug)]
struct Seen {
    delivery: Arc<Delivery>,
    /// What went with it.
    more: Vec<Arc<Delivery>>,
    start: Instant,
    end: Option<Instant>,
    outcome: Option<Outcome>,
}

impl Seen {
    /// The message ids of one request.
    fn mids(&self) -> Vec<String> {
        std::iter::once(&self.delivery).chain(&self.more).map(|it| it.mid.to_string()).collect()
    }
}

type Answers = Box<dyn Fn(&Delivery, usize) -> (Duration, Outcome) + Send + Sync>;

/// Another side that does as it is told and remembers everything. The second parameter of the script is how many
/// attempts it has seen before.
struct Script {
    answers: Answers,
    /// How many deliveries it takes in one request beside the first.
    joins: usize,
    seen: Mutex<Vec<Seen>>,
}

impl Script {
    fn new(answers: impl Fn(&Delivery, usize) -> (Duration, Outcome) + Send + Sync + 'static) -> Arc<Self> {
        Self::joining(usize::MAX, answers)
    }

    fn joining(
        joins: usize,
        answers: impl Fn(&Delivery, usize) -> (Duration, Outcome) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answers: Box::new(answers), joins, seen: Mutex::default() })
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The message ids of the attempts that succeeded, in the order of their end, in one direction.
    fn sent(&self, direction: Direction) -> Vec<String> {
        let mut seen = self.seen();
        seen.retain(|it| {
            it.delivery.lane.direction == direction && matches!(it.outcome, Some(Outcome::Sent { .. }))
        });
        seen.sort_by_key(|it| it.end);
        seen.iter().flat_map(Seen::mids).collect()
    }
}

impl Carrier for Script {
    fn attempt<'a>(
        &'a self,
        delivery: &'a Arc<Delivery>,
        more: &'a [Arc<Delivery>],
        departure: Departure,
    ) -> BoxFuture<'a, Report> {
        async move {
            departure.note(Instant::now());
            let index = {
                let mut seen = self.seen.lock().unwrap();
                let more: Vec<_> = more.iter().take(self.joins).cloned().collect();
                let delivery = Arc::clone(delivery);
                seen.push(Seen { delivery, more, start: Instant::now(), end: None, outcome: None });
                seen.len() - 1
            };
            let (takes, outcome) = (self.answers)(delivery, index);
            let joined = more.len().min(self.joins);
            let poisoned = more.iter().take(joined).any(|it| it.mid.starts_with("poison"));
            let outcome = if poisoned { failed() } else { outcome };
            tokio::time::sleep(takes).await;
            let mut seen = self.seen.lock().unwrap();
            seen[index].end = Some(Instant::now());
            seen[index].outcome = Some(outcome.clone());
            let contacted = match &outcome {
                Outcome::Sent { .. } => Some(true),
                Outcome::Retry { fault, .. } if fault.code == "500" => Some(false),
                _ => None,
            };
            let host = delivery.lane.direction.as_str().into();
            let contacted = contacted.map(|is_well| Contacted { host, is_well });
            let in_doubt = matches!(&outcome, Outcome::Retry { fault, .. } if fault.code == "timeout");
            Report { joined, contacted, in_doubt, ..outcome.into() }
        }
        .boxed()
    }
}

/// A running gateway's inner part.
struct Rig {
    folder: Arc<Folder>,
    store: Arc<dyn Store>,
    engine: Engine,
    world: World,
}

impl Rig {
    fn start(settings: &LaneSettings, carrier: &Arc<Script>) -> Self {
        Self::start_in(Arc::new(Folder::new()), world(), settings, carrier, 4096)
    }

    fn start_in(
        folder: Arc<Folder>,
        world: World,
        settings: &LaneSettings,
        carrier: &Arc<Script>,
        feed_size: usize,
    ) -> Self {
        let (feed, reader) = feed(feed_size);
        let store = SqliteStore::open(&folder.path(), &Options::default(), feed).unwrap();
        let store: Arc<dyn Store> = Arc::new(Patient(Arc::new(store), Duration::ZERO));
        Self::start_with(folder, world, settings, carrier, store, reader)
    }

    fn start_with(
        folder: Arc<Folder>,
        world: World,
        settings: &LaneSettings,
        carrier: &Arc<Script>,
        store: Arc<dyn Store>,
        feed: FeedReader,
    ) -> Self {
        let settings = settings.clone();
        let engine = Engine::start(Parts {
            store: Arc::clone(&store),
            feed,
            carrier: Arc::clone(carrier) as Arc<dyn Carrier>,
            settings: Arc::new(move |_| Some(settings.clone())),
            reserve: 32_768,
            world: world.clone(),
        });
        Self { folder, store, engine, world }
    }

    /// Accepts messages of the platform: the contact and the message id of each.
    async fn accept<'a>(&self, messages: impl IntoIterator<Item = (&'a str, String)>) {
        let deliveries = messages.into_iter().map(|(contact, mid)| outbound(contact, &mid)).collect();
        let acceptance = Acceptance { at: self.world.now(), deliveries, ..Acceptance::default() };
        self.store.accept(acceptance).await.unwrap();
    }

    /// Waits until nothing is queued.
    async fn until_done(&self) {
        self.until_done_looking_every(ms(50)).await;
    }

    async fn until_done_looking_every(&self, step: Duration) {
        for _ in 0..10_000 {
            if self.store.counts().await.unwrap().queued == 0 {
                return;
            }
            tokio::time::sleep(step).await;
        }
        panic!("still queued: {:?}", self.engine.stats());
    }

    /// Stops everything; a second one can be started in the same folder.
    async fn stop(self, within: Duration) -> Arc<Folder> {
        self.engine.shutdown(within).await;
        self.store.close().await.unwrap();
        self.folder
    }
}

fn sent() -> Outcome {
    Outcome::Sent { ids: Vec::new(), rest: None }
}

fn retry() -> Outcome {
    Outcome::Retry {
        after: None,
        fault: Fault { code: "503".into(), message: "try later".into() },
        progress: None,
    }
}

fn throttled(after: Option<Duration>) -> Outcome {
    Outcome::Throttled {
        after,
        fault: Fault { code: "429".into(), message: "slow down".into() },
        progress: None,
    }
}

fn failed() -> Outcome {
    Outcome::Failed { fault: Fault { code: "131026".into(), message: "not a subscriber".into() } }
}

fn unlimited() -> LaneSettings {
    LaneSettings { rate: Rate::UNLIMITED, ..LaneSettings::default() }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `n` messages, each to a contact of its own.
fn spread(n: usize) -> Vec<(&'static str, String)> {
    (0..n).map(|i| (&*Box::leak(format!("+{i}").into_boxed_str()), format!("m{i}"))).collect()
}

/// The most that fall into any window.
fn most_in_any_window(mut moments: Vec<Instant>, window: Duration) -> usize {
    moments.sort_unstable();
    let mut most = 0;
    let mut first = 0;
    for (index, moment) in moments.iter().enumerate() {
        while *moment - moments[first] >= window {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most
}
