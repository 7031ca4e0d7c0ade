//! What a run's data are in, and the stores of its processes on them, one after another.
//!
//! Invariant: time does not go on while a request is at a database, however long that takes: the thread of the run waits.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
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
    Database(Arc<Aside>),
}

/// What a process has of the store.
#[derive(Clone)]
pub struct Access(Now);

/// Where requests to a database are made, while the run's own thread waits.
struct Aside {
    store: Arc<PostgresStore>,
    runtime: Handle,
    /// Since when commits are made one after another, where requests gather.
    together: Option<Instant>,
    waiting: Mutex<Vec<Request>>,
}

type Make = Box<dyn FnOnce(&dyn Store) -> BoxFuture<'static, ()> + Send>;

/// A request that waits to be made.
struct Request {
    make: Make,
    /// Waits for the answer, and tells everybody of it.
    tell: Box<dyn FnOnce() + Send>,
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
                Now::Database(Arc::new(Aside {
                    store: Arc::new(store),
                    runtime: runtime.clone(),
                    together: together.then(Instant::now),
                    waiting: Mutex::default(),
                }))
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
    if let Some(Now::Database(aside)) = now {
        aside.catch_up();
        let closed = aside.put(|store| store.close(), |()| {});
        aside.catch_up();
        closed.recv().unwrap().unwrap();
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
        let aside = match &self.0 {
            Now::Memory(store) => {
                let result = request(&**store).await;
                if let Ok(result) = &result {
                    done(result);
                }
                return result;
            }
            Now::Database(aside) => aside,
        };
        match aside.together.filter(|_| shares) {
            None => {
                aside.catch_up();
                let answer = aside.put(request, done);
                aside.catch_up();
                answer.recv().unwrap()
            }
            Some(began) => {
                sleep_until(next_commit(began)).await;
                let answer = aside.put(request, done);
                // What else has gathered comes first.
                yield_now().await;
                aside.catch_up();
                answer.recv().unwrap()
            }
        }
    }

    /// Lets what waits be done.
    pub fn catch_up(&self) {
        if let Now::Database(aside) = &self.0 {
            aside.catch_up();
        }
    }
}

fn next_commit(began: Instant) -> Instant {
    let made = began.elapsed().as_millis() / COMMIT.as_millis();
    began + COMMIT * u32::try_from(made + 1).unwrap()
}

impl Aside {
    /// Takes a request, whose answer will be there when all have been made.
    fn put<T: Send + 'static>(
        &self,
        request: impl FnOnce(&dyn Store) -> Answer<T> + Send + 'static,
        done: impl FnOnce(&T) + Send + 'static,
    ) -> Receiver<Result<T, StoreError>> {
        let ((answers, answer), (told, result)) = (channel(), channel());
        let make = |store: &dyn Store| {
            let answer = request(store);
            async move { drop(answers.send(answer.await)) }.boxed()
        };
        let tell = move || {
            let result = answer.recv().unwrap();
            if let Ok(result) = &result {
                done(result);
            }
            let _ = told.send(result);
        };
        self.waiting.lock().unwrap().push(Request { make: Box::new(make), tell: Box::new(tell) });
        result
    }

    /// Makes all requests that wait, in their order, and waits for the answers to all of them: meanwhile the store wakes
    /// nobody.
    fn catch_up(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap());
        if waiting.is_empty() {
            return;
        }
        let (make, tell): (Vec<_>, Vec<_>) = waiting.into_iter().map(|it| (it.make, it.tell)).unzip();
        let store = Arc::clone(&self.store);
        self.runtime.spawn(async move {
            // Some are handed over when they are made, others when they are first waited for.
            join_all(make.into_iter().map(async |make| make(&*store).await)).await
        });
        tell.into_iter().for_each(|tell| tell());
    }
}
