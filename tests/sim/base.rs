//! What a run's data are in, and the stores of its processes on them, one after another.
//!
//! Invariant: time does not go on while a request is at a database, however long that takes: the thread of the run waits.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use patchcord::store::{Answer, Feed, Options, PostgresStore, SqliteStore, Store, StoreError};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, sleep_until};

use super::database::Database;

/// How long a commit takes, while which requests gather for the next.
const COMMIT: Duration = Duration::from_millis(20);

/// Where a run keeps its data.
#[derive(Clone)]
pub enum Place {
    /// In SQLite, in memory.
    Memory,
    /// In PostgreSQL.
    Database {
        address: String,
        runtime: Handle,
        /// Whether requests gather while a commit is made, and so share one.
        together: bool,
    },
}

impl Place {
    /// In that database.
    pub fn database(database: &Database, together: bool) -> Self {
        Self::Database { address: database.address().to_owned(), runtime: database.runtime(), together }
    }
}

/// The data, with the store that works on them now.
pub struct Base {
    place: Place,
    now: Option<Now>,
}

#[derive(Clone)]
enum Now {
    Memory(Arc<SqliteStore>),
    Database(Arc<PostgresStore>, Arc<Aside>),
}

/// What a process has of the store.
#[derive(Clone)]
pub struct Access(Now);

/// Where requests to a database are made, while the run's own thread waits.
struct Aside {
    runtime: Handle,
    /// Since when commits are made one after another, where requests gather.
    together: Option<Instant>,
    /// What waits for the answers to what was handed over, in that order.
    waiting: Mutex<VecDeque<Box<dyn FnOnce() + Send>>>,
}

impl Base {
    pub fn new(place: Place) -> Self {
        Self { place, now: None }
    }

    /// The store as the process that starts finds it; the one before is closed from now on.
    pub fn open(&mut self, feed: Feed) -> Access {
        let options = Options::default();
        let now = match (&self.place, self.now.take()) {
            (Place::Memory, Some(Now::Memory(before))) => {
                Now::Memory(Arc::new(before.succeed(&options, feed).unwrap()))
            }
            (Place::Memory, _) => Now::Memory(Arc::new(SqliteStore::inline(&options, feed).unwrap())),
            (Place::Database { address, runtime, together }, before) => {
                close(before);
                let store = PostgresStore::open(address, &options, feed).unwrap();
                let (runtime, together) = (runtime.clone(), together.then(Instant::now));
                let aside = Aside { runtime, together, waiting: Mutex::default() };
                Now::Database(Arc::new(store), Arc::new(aside))
            }
        };
        Access(self.now.insert(now).clone())
    }

    /// The store of the last process.
    pub fn access(&self) -> Option<Access> {
        self.now.clone().map(Access)
    }

    /// The run is over.
    pub fn close(&mut self) {
        close(self.now.take());
    }
}

fn close(now: Option<Now>) {
    if let Some(Now::Database(store, aside)) = now {
        aside.catch_up();
        aside.hand_over(&store, |store| store.close()).recv().unwrap().unwrap();
    }
}

impl Access {
    /// Asks for something; `done` is told at the moment at which it is durable. `shares` is whether others may have the
    /// same commit.
    pub async fn ask<T: Send + 'static>(
        &self,
        shares: bool,
        request: impl FnOnce(&dyn Store) -> Answer<T> + Send + 'static,
        done: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (store, aside) = match &self.0 {
            Now::Memory(store) => {
                let result = request(&**store).await;
                if let Ok(result) = &result {
                    done(result);
                }
                return result;
            }
            Now::Database(store, aside) => (store, aside),
        };
        let together = aside.together.filter(|_| shares);
        match together {
            Some(began) => sleep_until(next_commit(began)).await,
            None => aside.catch_up(),
        }
        let answer = aside.hand_over(store, request);
        let (told, result) = channel();
        let wait = move || {
            let result = answer.recv().unwrap_or(Err(StoreError::Closed));
            if let Ok(result) = &result {
                done(result);
            }
            let _ = told.send(result);
        };
        aside.waiting.lock().unwrap().push_back(Box::new(wait));
        if together.is_some() {
            // What else has gathered is handed over first.
            yield_now().await;
        }
        aside.catch_up();
        result.recv().unwrap()
    }

    /// Waits for what is under way, so that everybody knows of it who must.
    pub fn catch_up(&self) {
        if let Now::Database(_, aside) = &self.0 {
            aside.catch_up();
        }
    }
}

fn next_commit(began: Instant) -> Instant {
    let made = began.elapsed().as_millis() / COMMIT.as_millis();
    began + COMMIT * u32::try_from(made + 1).unwrap()
}

impl Aside {
    fn hand_over<T: Send + 'static>(
        &self,
        store: &Arc<PostgresStore>,
        request: impl FnOnce(&dyn Store) -> Answer<T> + Send + 'static,
    ) -> Receiver<Result<T, StoreError>> {
        let (told, answer) = channel();
        let store = Arc::clone(store);
        self.runtime.spawn(async move {
            let _ = told.send(request(&*store).await);
        });
        answer
    }

    fn catch_up(&self) {
        loop {
            let next = self.waiting.lock().unwrap().pop_front();
            let Some(wait) = next else { return };
            wait();
        }
    }
}
