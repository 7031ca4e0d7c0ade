//! The engine: gives every lane with something to do a task, and hands what was committed to its lane.
//!
//! Invariants: a lane has at most one task, and none where another process has it or it is not to run; what a lane is not
//! told of it finds in the store; every task is awaited at shutdown. Up to one window after the start, or after a lane
//! came from another process, no request starts, since what was sent in it is not known (unless the store is new); the
//! pauses that the other side asked for are known, and kept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::carrier::Carrier;
use super::credential::Credentials;
use super::host::Hosts;
use super::lane::{self, Orders, Start};
use super::reserve::Reserve;
use super::settings::{LaneSettings, SettingsOf};
use super::stats::{Gauge, LaneStats};
use crate::store::{
    Delivery, DeliveryId, Elsewhere, Fed, Feed, FeedReader, Filter, Lane, LaneDepth, Leases, Slot, Store,
    Tenure, feed,
};
use crate::world::{Millis, World};

/// How many committed deliveries wait for a lane's task at most; the others it finds in the store.
const INBOX: usize = 1024;
/// How often idle lanes are looked for.
const TICK: Duration = Duration::from_secs(30);
/// How long a lane has nothing to do before its task ends.
const IDLE: Duration = Duration::from_mins(1);
/// How far apart lanes start that are started together, and how far at most: thousands that connect in the same moment hold
/// each other up, and the first requests of each arrive together.
const START_APART: Duration = Duration::from_millis(1);
const START_SPREAD: Duration = Duration::from_secs(1);

/// The running engine.
pub struct Engine {
    stop: watch::Sender<Option<Instant>>,
    reload: Arc<Notify>,
    gauges: Gauges,
    leases: Leases,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What an engine works with.
pub struct Parts {
    /// Where deliveries are.
    pub store: Arc<dyn Store>,
    /// The other end of the feed that the store was opened with.
    pub feed: FeedReader,
    /// What carries deliveries.
    pub carrier: Arc<dyn Carrier>,
    /// How lanes behave.
    pub settings: SettingsOf,
    /// How many deliveries lanes may hold in memory together, beyond the 64 of each stream that each may always hold.
    pub reserve: usize,
    /// Clock and randomness.
    pub world: World,
}

type Gauges = Arc<Mutex<HashMap<Lane, Gauge>>>;

impl Engine {
    /// Starts delivering: first what is in the store, then what is fed.
    pub fn start(parts: Parts) -> Self {
        let (stop, stopped) = watch::channel(None);
        let (reload, gauges) = (Arc::new(Notify::new()), Gauges::default());
        let reserve = Arc::new(Reserve::new(parts.reserve));
        let leases = parts.store.leases();
        let router = Router {
            parts,
            stop: stopped,
            reload: Arc::clone(&reload),
            gauges: Arc::clone(&gauges),
            leases: leases.clone(),
            lanes: BTreeMap::new(),
            slots: HashMap::new(),
            held: HashSet::new(),
            ended: HashMap::new(),
            pauses: HashMap::new(),
            tasks: JoinSet::new(),
            hosts: Arc::default(),
            credentials: Arc::default(),
            reserve,
            started: Instant::now(),
        };
        Self { stop, reload, gauges, leases, task: Mutex::new(Some(tokio::spawn(router.run()))) }
    }

    /// Asks for the settings of every lane again; lanes that may run now and did not before are started.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// How every lane that has had something to do is doing, in the order of their names.
    pub fn stats(&self) -> Vec<LaneStats> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats: Vec<LaneStats> = gauges.values().map(|gauge| gauge.lock().clone()).collect();
        stats.sort_by(|a, b| a.lane.cmp(&b.lane));
        stats
    }

    /// Starts nothing more, waits for what is under way, at most for `within`, and writes down how it went. What
    /// is not over then is tried again after the next start.
    pub async fn shutdown(&self, within: Duration) {
        let deadline = Instant::now() + within;
        self.leases.leave();
        self.stop.send_replace(Some(deadline));
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // An error means that the engine panicked or was aborted; there is nothing left to wait for.
            let _ = task.await;
        }
    }
}

struct Router {
    parts: Parts,
    stop: watch::Receiver<Option<Instant>>,
    reload: Arc<Notify>,
    gauges: Gauges,
    leases: Leases,
    /// In an order that repeats itself: they are told of things in turn.
    lanes: BTreeMap<Lane, Running>,
    /// The slots of lanes that others may have.
    slots: HashMap<Lane, Slot>,
    /// The slots that this process held when the store was looked at last: what is known of their lanes, such as their
    /// pauses, is known since then.
    held: HashSet<Slot>,
    /// When lanes ended that were another's: up to then something may have been sent.
    ended: HashMap<Lane, Instant>,
    pauses: HashMap<Lane, Millis>,
    tasks: JoinSet<()>,
    hosts: Arc<Hosts>,
    credentials: Arc<Credentials>,
    reserve: Arc<Reserve>,
    started: Instant,
}

struct Running {
    inbox: Feed,
    orders: watch::Sender<Orders>,
    gauge: Gauge,
    last_push: Instant,
    /// Deliveries up to this one are counted in the depth.
    counted: DeliveryId,
    /// It is another process's, and ends when what is under way is over.
    is_ending: bool,
    task: Id,
}

impl Router {
    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut leases = self.leases.changes();
        let mut look = true;
        self.apply();
        self.forgive().await;
        loop {
            if look {
                look = false;
                self.look().await;
            }
            // What was told while the store was looked at counts as seen.
            if self.stop.borrow().is_some() {
                break;
            }
            tokio::select! {
                biased;
                _ = self.stop.changed() => break,
                Some(over) = self.tasks.join_next_with_id() => look |= self.over(&over),
                () = self.reload.notified() => {
                    self.apply();
                    self.slots.clear();
                    look = true;
                }
                Ok(()) = leases.changed() => {
                    self.apply();
                    look = true;
                }
                _ = tick.tick() => self.retire(),
                fed = self.parts.feed.next() => match fed {
                    Some(Fed::New(delivery)) => {
                        self.hand(&delivery);
                    }
                    Some(Fed::Elsewhere(elsewhere)) => self.point(&elsewhere),
                    Some(Fed::Missed) => {
                        for lane in self.lanes.values() {
                            lane.inbox.miss();
                        }
                        look = true;
                    }
                    // The store is closed; the lanes may have something left to do.
                    None => {
                        let _ = self.stop.changed().await;
                        break;
                    }
                },
            }
        }
        while self.tasks.join_next().await.is_some() {}
    }

    /// A store that never held anything tells that no earlier process sent anything: no window is used up.
    async fn forgive(&mut self) {
        const LONG_AGO: Duration = Duration::from_hours(24);
        let newest = self.parts.store.list(Filter { limit: 1, ..Filter::default() }).await;
        if newest.is_ok_and(|newest| newest.is_empty()) {
            self.started = self.started.checked_sub(LONG_AGO).unwrap_or(self.started);
        }
    }

    /// Starts the lanes that have something in the store.
    async fn look(&mut self) {
        let mut wait = Duration::from_millis(200);
        let depths = loop {
            match self.parts.store.lanes().await {
                Ok(depths) => break depths,
                Err(error) => tracing::error!(%error, "the store cannot tell what there is to do"),
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(5)),
                _ = self.stop.changed() => return,
            }
        };
        for LaneDepth { lane, queued, newest, paused_until, .. } in depths {
            if let Some(until) = paused_until {
                self.pauses.insert(lane.clone(), until);
            }
            if queued > 0
                && let Some(running) = self.lane(&lane)
            {
                running.gauge.lock().depth = queued;
                running.counted = newest.unwrap_or_default();
            }
        }
    }

    fn hand(&mut self, delivery: &Arc<Delivery>) {
        if let Some(running) = self.lane(&delivery.lane) {
            running.last_push = Instant::now();
            if delivery.id > running.counted {
                running.gauge.lock().depth += 1;
            }
            running.inbox.push(delivery);
        }
    }

    /// Points a lane to what it finds in the store.
    fn point(&mut self, Elsewhere { lane, count, newest }: &Elsewhere) {
        if let Some(running) = self.lane(lane) {
            running.last_push = Instant::now();
            if *newest > running.counted {
                running.gauge.lock().depth += count;
            }
            running.inbox.miss();
        }
    }

    /// The task of a lane, started if need be; `None` if the lane is not to run, or is another's.
    fn lane(&mut self, lane: &Lane) -> Option<&mut Running> {
        if !self.lanes.contains_key(lane) {
            let is_another_s = |it: &Self, slot: &Slot| it.leases.are_shared() && !it.held.contains(slot);
            if self.slots.get(lane).is_some_and(|slot| is_another_s(self, slot)) {
                return None;
            }
            let settings = (self.parts.settings)(lane)?;
            let slot = self.slot(lane, &settings);
            if is_another_s(self, &slot) {
                return None;
            }
            let tenure = self.leases.enter(slot)?;
            let running = self.spawn(lane.clone(), settings, tenure);
            self.lanes.insert(lane.clone(), running);
        }
        self.lanes.get_mut(lane).filter(|running| !running.is_ending)
    }

    /// The slot of a lane.
    fn slot(&mut self, lane: &Lane, settings: &LaneSettings) -> Slot {
        let slot = settings.slot(lane);
        if self.leases.are_shared() {
            self.slots.insert(lane.clone(), slot);
        }
        slot
    }

    fn spawn(&mut self, lane: Lane, settings: LaneSettings, tenure: Tenure) -> Running {
        let gauge = {
            let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
            gauges.entry(lane.clone()).or_insert_with(|| Gauge::new(lane.clone())).clone()
        };
        gauge.lock().idle_since = None;
        let (inbox, reader) = feed(INBOX);
        let longest_rest = settings.retry.longest_rest();
        let (orders, orders_reader) = watch::channel(Orders { settings: Some(settings), ends: false });
        let now = Instant::now();
        let rest_until = self.pauses.remove(&lane).and_then(|until| {
            let rest =
                Duration::from_millis(u64::try_from(until.saturating_sub(self.parts.world.now())).ok()?);
            // A wall clock that was set back must not stretch a rest beyond the longest that there is.
            Some(now + rest.min(longest_rest))
        });
        let full_until =
            tenure.since().unwrap_or(self.started).max(self.ended.remove(&lane).unwrap_or(self.started));
        let before = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let full_until = full_until + START_APART.saturating_mul(before).min(START_SPREAD);
        let task = lane::run(Start {
            lane,
            tenure,
            store: Arc::clone(&self.parts.store),
            carrier: Arc::clone(&self.parts.carrier),
            world: self.parts.world.clone(),
            settings: orders_reader,
            inbox: reader,
            stop: self.stop.clone(),
            gauge: gauge.clone(),
            full_until,
            rest_until,
            hosts: Arc::clone(&self.hosts),
            credentials: Arc::clone(&self.credentials),
            reserve: Arc::clone(&self.reserve),
        });
        let task = self.tasks.spawn(task).id();
        Running { inbox, orders, gauge, last_push: now, counted: 0, is_ending: false, task }
    }

    /// A lane's task is over; whether the store has to be looked at, because it should not be.
    fn over(&mut self, over: &Result<(Id, ()), tokio::task::JoinError>) -> bool {
        // It was told to stop before this task was.
        if self.stop.borrow().is_some() {
            return false;
        }
        let id = match over {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(lane) = self.lanes.iter().find(|(_, it)| it.task == id).map(|(lane, _)| lane.clone()) else {
            return false;
        };
        let is_ending = self.lanes.remove(&lane).is_some_and(|running| running.is_ending);
        if is_ending {
            self.ended.insert(lane, Instant::now());
        } else {
            tracing::error!(%lane, "the lane's task ended unexpectedly and is started again");
        }
        // It may be to run again since.
        true
    }

    /// New settings for the lanes that have a task; those that are not to run, or are another's, start nothing more.
    fn apply(&mut self) {
        self.held = self.leases.held().into_iter().collect();
        for (lane, running) in self.lanes.iter_mut().filter(|(_, running)| !running.is_ending) {
            let settings = (self.parts.settings)(lane);
            let slot =
                settings.as_ref().map(|settings| settings.slot(lane)).or(self.slots.get(lane).copied());
            running.is_ending =
                self.leases.are_shared() && slot.is_none_or(|slot| !self.held.contains(&slot));
            let orders = Orders { settings, ends: running.is_ending };
            running.orders.send_if_modified(|old| {
                let changed = *old != orders;
                *old = orders;
                changed
            });
        }
    }

    /// Lets the tasks of lanes end that have had nothing to do for a while. Only the router gives a lane work, so
    /// one that was idle and was given nothing since is idle still.
    fn retire(&mut self) {
        let now = Instant::now();
        self.lanes.retain(|_, running| {
            // What was sent within a window is only known to the task.
            let window = running.orders.borrow().settings.as_ref().map_or(Duration::ZERO, |settings| {
                let limits = [settings.rate.limit(), settings.per_contact.limit()];
                limits.into_iter().flatten().map(|(_, window)| window).max().unwrap_or_default()
            });
            let idle_since = running.gauge.lock().idle_since;
            let idle = idle_since.is_some_and(|since| {
                since >= running.last_push && now.saturating_duration_since(since) > IDLE.max(window * 2)
            });
            !idle
        });
    }
}
