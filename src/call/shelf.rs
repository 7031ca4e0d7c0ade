//! Where processes share the values of calls, so that one of them makes a call and the others wait for its value.
//!
//! Invariants: whoever is told to make a call gives its leave back, with the value or without, and asks for nothing else of
//! that call before; a value is on the shelf only if its maker had leave. A shelf that does not answer holds nobody up for
//! longer than [`PATIENCE`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::cache::{Cached, CallCache, Entry, Leave};
use crate::expression::Value;
use crate::world::Millis;

/// How long the shelf may take to answer before calls are made without its leave.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is asked for what another process is making.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How long after a failure it is told something again, at first and at most.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_AT_MOST: Duration = Duration::from_secs(8);
/// How long a leave is kept that nobody uses.
const UNUSED: Duration = Duration::from_secs(1);

/// The values of calls that several processes use.
pub trait Shelf: Send + Sync {
    /// Asks for the value of the call with that key, one that is good at `now`. The one that would be used up at `refused`
    /// is no good. After an error it is not known whether leave was given.
    fn ask(&self, key: &str, refused: Option<Millis>, now: Millis) -> Said<Shelved>;

    /// Gives back the leave to make a call, with its value and when that is used up, or without one. Nothing happens where
    /// another process has the leave by now, or nobody.
    fn give_back(&self, key: &str, value: Option<(Value, Millis)>) -> Said<()>;
}

/// What a shelf says, some time later.
pub type Said<T> = BoxFuture<'static, Result<T, ShelfError>>;

/// What a shelf has of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Shelved {
    /// The value, and when it is used up.
    Found(Value, Millis),
    /// Nothing: the asker has leave to make the call.
    Make,
    /// Another process has.
    Busy,
}

/// Why a shelf does not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShelfError(pub String);

/// What is said to a shelf about one call: there is one errand at a time for each, as long as somebody waits or something is
/// to be given back.
pub(super) struct Errand {
    cache: Arc<CallCache>,
    shelf: Arc<dyn Shelf>,
    key: String,
    /// Since when the shelf is silent.
    silent: Option<Instant>,
}

impl Errand {
    pub(super) fn new(cache: Arc<CallCache>, shelf: Arc<dyn Shelf>, key: &str) -> Self {
        Self { cache, shelf, key: key.to_string(), silent: None }
    }

    pub(super) async fn run(mut self) {
        loop {
            let (refused, wanted_at) = self.with(|entry| (entry.refused, entry.wanted_at));
            let asked = self.shelf.ask(&self.key, refused, wanted_at);
            let said = self.said(asked).await;
            if said.is_some() {
                self.hear();
            }
            let again = match said {
                Some(Shelved::Found(value, expires_at)) => {
                    self.with(|entry| _ = entry.value.get_or_insert(Cached { value: Ok(value), expires_at }));
                    Duration::ZERO
                }
                Some(Shelved::Busy) => LOOK_EVERY,
                Some(Shelved::Make) => {
                    self.lend().await;
                    self.give_back().await;
                    self.hear();
                    Duration::ZERO
                }
                None => {
                    self.give_back().await;
                    AGAIN
                }
            };
            let is_over = self.with(|entry| {
                entry.has_errand = entry.value.is_none() && entry.waiting > 0;
                !entry.has_errand
            });
            self.cache.tell();
            if is_over {
                return;
            }
            sleep(again).await;
        }
    }

    /// Lets somebody make the call, until there is one who does.
    async fn lend(&self) {
        self.with(|entry| (entry.leave, entry.refused) = (Leave::Once, None));
        self.cache.tell();
        let used = self.cache.until(&self.key, |entry| (entry.leave != Leave::Once).then_some(()));
        let _ = timeout(UNUSED, used).await;
    }

    /// Gives back what leave there may be, as soon as nobody makes the call.
    async fn give_back(&mut self) {
        let made = self.cache.until(&self.key, |entry| {
            if entry.claimed {
                return None;
            }
            if entry.leave == Leave::Once {
                entry.leave = Leave::Ask;
            }
            let good = |cached: &Cached| Some((cached.value.clone().ok()?, cached.expires_at));
            Some(entry.value.as_ref().and_then(good))
        });
        let made = made.await;
        let mut again = AGAIN;
        while self.said(self.shelf.give_back(&self.key, made.clone())).await.is_none() {
            sleep(again).await;
            again = (again * 2).min(AGAIN_AT_MOST);
        }
    }

    /// What the shelf says; none if that is not known. While it is silent for too long, calls are made without it.
    async fn said<T>(&mut self, mut said: Said<T>) -> Option<T> {
        let until = *self.silent.get_or_insert_with(Instant::now) + PATIENCE;
        let said = match timeout_at(until, &mut said).await {
            Ok(said) => said,
            Err(_) => {
                self.go_alone("it does not answer");
                said.await
            }
        };
        match said {
            Ok(said) => Some(said),
            Err(error) => {
                if until <= Instant::now() {
                    self.go_alone(&error.to_string());
                }
                None
            }
        }
    }

    /// The shelf is not silent (any more).
    fn hear(&mut self) {
        self.silent = None;
        self.with(|entry| entry.leave = Leave::Ask);
    }

    fn go_alone(&self, reason: &str) {
        let before = self.with(|entry| std::mem::replace(&mut entry.leave, Leave::Free));
        if before != Leave::Free {
            let channel = self.key.split(' ').next();
            tracing::warn!(
                channel,
                reason,
                "what other nodes know of a call can't be asked: this one makes it itself"
            );
            self.cache.tell();
        }
    }

    fn with<T>(&self, job: impl FnOnce(&mut Entry) -> T) -> T {
        self.cache.with(&self.key, job)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use futures_util::FutureExt as _;
    use tokio::task::JoinSet;

    use super::*;
    use crate::call::{Claim, Lookup};
    use crate::message::Fault;
    use crate::world::World;

    /// What processes share: by key, a value or who makes the call.
    #[derive(Default)]
    struct Table(Mutex<HashMap<String, Row>>);

    enum Row {
        Value(Value, Millis),
        Maker(usize),
    }

    /// A shelf as one process sees it.
    struct Seen {
        table: Arc<Table>,
        process: usize,
        /// How long an answer takes, and whether it is lost on its way back.
        way: Box<dyn Fn() -> (Duration, bool) + Send + Sync>,
        asked: AtomicUsize,
    }

    impl Seen {
        fn after<T: Send + 'static>(&self, job: impl FnOnce(&Table, usize) -> T + Send + 'static) -> Said<T> {
            let (table, process, (delay, is_lost)) = (self.table.clone(), self.process, (self.way)());
            let said = async move {
                sleep(delay / 2).await;
                let said = job(&table, process);
                sleep(delay / 2).await;
                if is_lost { Err(ShelfError("lost".into())) } else { Ok(said) }
            };
            // As in a store, what was asked for is done even if nobody wants the answer any more.
            let said = tokio::spawn(said);
            async { said.await.unwrap() }.boxed()
        }
    }

    impl Shelf for Seen {
        fn ask(&self, key: &str, refused: Option<Millis>, now: Millis) -> Said<Shelved> {
            self.asked.fetch_add(1, SeqCst);
            let key = key.to_string();
            self.after(move |table, process| {
                let mut rows = table.0.lock().unwrap();
                match rows.get(&key) {
                    Some(Row::Value(value, until)) if *until > now && refused != Some(*until) => {
                        return Shelved::Found(value.clone(), *until);
                    }
                    Some(Row::Maker(maker)) => {
                        assert_ne!(*maker, process, "it has leave already");
                        return Shelved::Busy;
                    }
                    _ => {}
                }
                rows.insert(key, Row::Maker(process));
                Shelved::Make
            })
        }

        fn give_back(&self, key: &str, value: Option<(Value, Millis)>) -> Said<()> {
            let key = key.to_string();
            self.after(move |table, process| {
                let mut rows = table.0.lock().unwrap();
                if matches!(rows.get(&key), Some(Row::Maker(maker)) if *maker == process) {
                    rows.remove(&key);
                    rows.extend(value.map(|(value, until)| (key, Row::Value(value, until))));
                }
            })
        }
    }

    fn process(table: &Arc<Table>, process: usize) -> (Arc<CallCache>, Arc<Seen>) {
        process_with(table, process, || (Duration::from_millis(4), false))
    }

    fn process_with(
        table: &Arc<Table>,
        process: usize,
        way: impl Fn() -> (Duration, bool) + Send + Sync + 'static,
    ) -> (Arc<CallCache>, Arc<Seen>) {
        let (table, way, asked) = (table.clone(), Box::new(way), AtomicUsize::new(0));
        let shelf = Arc::new(Seen { table, process, way, asked });
        (Arc::new(CallCache::shared(shelf.clone())), shelf)
    }

    fn good(value: &str, expires_at: Millis) -> Cached {
        Cached { value: Ok(Value::text(value)), expires_at }
    }

    /// The claim to make the call, for one who waited for it.
    async fn leave(cache: &Arc<CallCache>) -> Claim {
        assert!(matches!(cache.look_up("k", 0), Lookup::Busy));
        assert!(cache.wait("k").await);
        let Lookup::Make(claim) = cache.look_up("k", 0) else { panic!("no leave") };
        claim
    }

    /// The value, for one who waited for it.
    async fn found(cache: &Arc<CallCache>) -> Value {
        loop {
            match cache.look_up("k", 0) {
                Lookup::Found(value) => return value.unwrap(),
                Lookup::Busy => assert!(!cache.wait("k").await, "leave to make it"),
                Lookup::Make(_) => panic!("leave to make it"),
            }
        }
    }

    fn is_there(table: &Table) -> bool {
        table.0.lock().unwrap().contains_key("k")
    }

    #[tokio::test(start_paused = true)]
    async fn one_process_makes_the_call_and_the_others_wait_for_its_value() {
        let table = Arc::default();
        let ((one, _), (other, _)) = (process(&table, 1), process(&table, 2));
        let claim = leave(&one).await;
        let waiting = tokio::spawn(async move { (found(&other).await, other) });
        sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished());
        one.put("k", good("t1", 100));
        drop(claim);
        let (value, other) = waiting.await.unwrap();
        assert_eq!(value, Value::text("t1"));
        assert!(matches!(other.look_up("k", 99), Lookup::Found(_)));
        assert!(matches!(other.look_up("k", 100), Lookup::Busy), "used up: the shelf is to be asked again");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_the_call_to_another_process() {
        let table = Arc::default();
        let ((one, _), (other, _)) = (process(&table, 1), process(&table, 2));
        let claim = leave(&one).await;
        let waiting = tokio::spawn(async move { leave(&other).await });
        let fault = Fault { code: "no".into(), message: String::new() };
        one.put("k", Cached { value: Err(fault), expires_at: 100 });
        drop(claim);
        waiting.await.unwrap();
        assert!(matches!(one.look_up("k", 0), Lookup::Found(Err(_))), "a failure is this process's own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_no_good_is_made_anew_once() {
        let table = Arc::default();
        let ((one, _), (other, _)) = (process(&table, 1), process(&table, 2));
        let claim = leave(&one).await;
        one.put("k", good("t1", 100));
        drop(claim);
        assert_eq!(found(&other).await, Value::text("t1"));
        let t1 = Ok(Value::text("t1"));
        one.forget("k", &t1);
        let claim = leave(&one).await;
        one.put("k", good("t2", 200));
        drop(claim);
        other.forget("k", &t1);
        assert_eq!(found(&other).await, Value::text("t2"), "not made a third time");
        other.forget("k", &t1);
        assert_eq!(found(&other).await, Value::text("t2"), "it was not this one that is no good");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shelf_that_does_not_answer_is_not_waited_for() {
        let table = Arc::<Table>::default();
        let (cache, shelf) = process_with(&table, 1, || (Duration::from_secs(10), false));
        let began = Instant::now();
        let claim = leave(&cache).await;
        assert_eq!(began.elapsed(), PATIENCE);
        assert!(matches!(cache.look_up("k", 0), Lookup::Busy), "one of this process makes it");
        cache.put("k", good("t1", 100));
        drop(claim);
        assert_eq!(found(&cache).await, Value::text("t1"));
        sleep(Duration::from_secs(30)).await;
        assert!(matches!(table.0.lock().unwrap().get("k"), Some(Row::Value(..))), "leave came late");
        assert_eq!(shelf.asked.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shelf_that_fails_is_not_waited_for() {
        let table = Arc::<Table>::default();
        let (cache, shelf) = process_with(&table, 1, || (Duration::from_millis(1), true));
        let began = Instant::now();
        drop(leave(&cache).await);
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
        assert!(matches!(cache.look_up("k", 0), Lookup::Make(_)), "as long as it fails");
        sleep(Duration::from_secs(10)).await;
        assert!(shelf.asked.load(SeqCst) < 10);
    }

    #[tokio::test(start_paused = true)]
    async fn leave_that_nobody_uses_is_given_back() {
        let table = Arc::<Table>::default();
        let (cache, shelf) = process(&table, 1);
        let is_busy = matches!(cache.look_up("k", 0), Lookup::Busy);
        assert!(is_busy && timeout(Duration::from_millis(1), cache.wait("k")).await.is_err());
        sleep(Duration::from_millis(100)).await;
        assert!(is_there(&table));
        sleep(UNUSED).await;
        assert!(!is_there(&table));
        assert_eq!(shelf.asked.load(SeqCst), 1, "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shelf_is_asked_only_while_somebody_waits() {
        let table = Arc::default();
        let ((one, _), (other, shelf)) = (process(&table, 1), process(&table, 2));
        let _claim = leave(&one).await;
        assert!(timeout(LOOK_EVERY * 10, other.wait("k")).await.is_err());
        let asked = shelf.asked.load(SeqCst);
        assert!((8..=11).contains(&asked), "{asked}");
        sleep(Duration::from_secs(60)).await;
        assert!(shelf.asked.load(SeqCst) <= asked + 1);
    }

    /// Processes that want a value again and again, on a shelf whose answers take their time and get lost; who wants it goes
    /// away, or makes the call in vain.
    #[tokio::test(start_paused = true)]
    async fn no_two_processes_make_a_call_at_once() {
        for seed in 0..200 {
            let (table, world) = (Arc::default(), World::fixed(0, seed));
            let (making, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let mut tasks = JoinSet::new();
            for number in 0..3 {
                let (random, since) = (world.clone(), AtomicUsize::new(0));
                let (cache, _) = process_with(&table, number, move || {
                    // Not so often that the shelf would seem silent.
                    let is_lost = since.fetch_add(1, SeqCst) > 4 && random.fraction() < 0.3;
                    if is_lost {
                        since.store(0, SeqCst);
                    }
                    (Duration::from_millis(1).mul_f64(100.0 * random.fraction()), is_lost)
                });
                for _ in 0..4 {
                    let (cache, world, making, made) =
                        (cache.clone(), world.clone(), making.clone(), made.clone());
                    tasks.spawn(async move {
                        let mut wanted = 10;
                        while wanted > 0 {
                            sleep(Duration::from_secs(1).mul_f64(world.fraction())).await;
                            let now = Millis::try_from(made.load(SeqCst)).unwrap();
                            match cache.look_up("k", now) {
                                Lookup::Found(value) => {
                                    wanted -= 1;
                                    if world.fraction() < 0.3 {
                                        cache.forget("k", &value);
                                    }
                                }
                                Lookup::Busy => {
                                    let patience = Duration::from_secs(5).mul_f64(world.fraction());
                                    let _ = timeout(patience, cache.wait("k")).await;
                                }
                                Lookup::Make(_claim) => {
                                    assert_eq!(making.fetch_add(1, SeqCst), 0, "two at once (seed {seed})");
                                    sleep(Duration::from_secs(1).mul_f64(world.fraction())).await;
                                    if world.fraction() < 0.7 {
                                        let number = made.fetch_add(1, SeqCst) + 1;
                                        let expires_at = Millis::try_from(number + 2).unwrap();
                                        cache.put("k", good(&number.to_string(), expires_at));
                                    }
                                    making.fetch_sub(1, SeqCst);
                                }
                            }
                        }
                    });
                }
            }
            let all = timeout(Duration::from_hours(1), async {
                while tasks.join_next().await.is_some_and(|it| it.map(|()| true).unwrap()) {}
            });
            assert!(all.await.is_ok(), "it does not end (seed {seed})");
            sleep(Duration::from_secs(10)).await;
            let left = table.0.lock().unwrap().values().filter(|row| matches!(row, Row::Maker(_))).count();
            assert_eq!(left, 0, "leave that nobody gave back (seed {seed})");
        }
    }
}
