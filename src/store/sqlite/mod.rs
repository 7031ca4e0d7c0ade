//! The embedded store: SQLite with a log of changes in front of it ([`redo`]), one writing thread with group commit and a
//! few reading connections.
//!
//! Invariant: what is answered with success is on disk. Every queue to the writer is bounded.

mod checkpoint;
mod commands;
mod connect;
pub(super) mod copy;
mod examine;
mod fault;
mod ledger;
mod lost;
mod memory;
mod parked;
mod purge;
mod read;
mod redo;
mod row;
mod schema;
mod secret;
mod seen;
mod tx;
mod writer;

#[cfg(test)]
mod end_tests;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use rusqlite::Connection;
use smol_str::SmolStr;
use tokio::sync::{Semaphore, mpsc, oneshot};

use self::commands::Commands;
use self::connect::Place;
use self::purge::Cursor;
use self::writer::{Command, Done, Work, Writer};
use super::{
    Above, Acceptance, Accepted, Answer, Counts, Delivery, DeliveryId, Feed, Filter, Finding, Lane,
    LaneDepth, Options, Page, ParkedFilter, Purged, Record, Records, Retention, SentPart, Settled,
    Settlement, Store, StoreError, Tally, Webhook, WebhookId,
};
use crate::memory::{Memory, Remember};
use crate::world::Millis;

/// A store in one SQLite database.
pub struct SqliteStore {
    commands: Commands,
    /// `None` for a database in memory, which only the writer's connection can see.
    readers: Option<Arc<Readers>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    _lock: Option<File>,
}

struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    place: Place,
    /// Whether the writer has something that is not committed, which readers would not see.
    is_open: Arc<AtomicBool>,
}

impl SqliteStore {
    /// Opens the database in the file at `path`, and creates or migrates it where needed.
    pub fn open(path: &Path, options: &Options, feed: Feed) -> Result<Self, StoreError> {
        Self::start(&Place::File(path.to_owned()), options, feed)
    }

    /// A database that is gone when the store is.
    pub fn in_memory(options: &Options, feed: Feed) -> Result<Self, StoreError> {
        Self::start(&Place::Memory, options, feed)
    }

    /// The same without a thread: whoever asks does the work, so a run can be repeated.
    pub fn inline(options: &Options, feed: Feed) -> Result<Self, StoreError> {
        let place = Place::Memory;
        Ok(Self::of(Commands::inline(Writer::open(place, options.retention, feed)?)))
    }

    /// The store of the process that comes after the one with this [`SqliteStore::inline`], which is closed from now
    /// on.
    pub fn succeed(&self, options: &Options, feed: Feed) -> Result<Self, StoreError> {
        let before = self.commands.take().ok_or(StoreError::Closed)?;
        Ok(Self::of(Commands::inline(before.succeed(options.retention, feed)?)))
    }

    fn of(commands: Commands) -> Self {
        Self { commands, readers: None, thread: Mutex::default(), _lock: None }
    }

    fn start(place: &Place, options: &Options, feed: Feed) -> Result<Self, StoreError> {
        let lock = place.lock()?;
        let writer = Writer::open(place.clone(), options.retention, feed)?;
        let is_open = writer.is_open();
        let readers = match place {
            Place::Memory => None,
            Place::File(_) | Place::Foreign(_) => Some(Arc::new(Readers {
                idle: Mutex::default(),
                permits: Arc::new(Semaphore::new(options.readers.max(1))),
                place: place.clone(),
                is_open,
            })),
        };
        let (commands, requests) = mpsc::channel(options.queue.max(1));
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run(requests))
            .map_err(|error| StoreError::Internal(error.to_string()))?;
        let commands = Commands::Thread(commands);
        Ok(Self { commands, readers, thread: Mutex::new(Some(thread)), _lock: lock })
    }

    /// Asks for a write; refused at once when the queue is full.
    fn write_now(&self, work: Work) -> Answer<Done> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.try_send(Command::Write(work, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        });
        async move {
            sent?;
            answer.await.unwrap_or(Err(StoreError::Closed))
        }
        .boxed()
    }

    /// Asks for a write; waits for room in the queue.
    fn write(&self, work: Work) -> Answer<Done> {
        write(self.commands.clone(), work).boxed()
    }

    fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        match &self.readers {
            Some(readers) => {
                let (readers, commands) = (Arc::clone(readers), self.commands.clone());
                async move {
                    if readers.is_open.load(Ordering::SeqCst) {
                        publish(&commands).await?;
                    }
                    readers.read(job).await
                }
                .boxed()
            }
            None => self.look(job),
        }
    }

    /// Reads a page: beside the writer, or, where that has something open, on its connection, since a commit for each page
    /// costs far more than the little time that a page takes.
    fn page<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        match &self.readers {
            Some(readers) if !readers.is_open.load(Ordering::SeqCst) => Arc::clone(readers).read(job).boxed(),
            _ => self.look(job),
        }
    }

    /// Reads a little on the writer's connection, which need not commit for that.
    fn look<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let commands = self.commands.clone();
        async move {
            let (reply, answer) = oneshot::channel();
            let look = Command::Look(Box::new(move |connection| {
                let _ = reply.send(job(connection));
            }));
            commands.send(look).await.map_err(|_| StoreError::Closed)?;
            answer.await.map_err(|_| StoreError::Closed)?.map_err(|error| fault::store_error(&error))
        }
        .boxed()
    }

    /// Lets the next write to the log fail.
    #[cfg(test)]
    fn fail_log(&self) {
        self.commands.try_send(Command::FailLog).map_err(|_| "queue").unwrap();
    }

    /// Runs `job` on the writer's connection, for tests that need a sick disk.
    #[cfg(test)]
    fn on_writer(&self, job: impl FnOnce(&mut Connection) + Send + 'static) {
        self.commands.try_send(Command::Run(Box::new(job))).map_err(|_| "queue").unwrap();
    }
}

async fn write(commands: Commands, work: Work) -> Result<Done, StoreError> {
    let (reply, answer) = oneshot::channel();
    commands.send(Command::Write(work, reply)).await.map_err(|_| StoreError::Closed)?;
    answer.await.unwrap_or(Err(StoreError::Closed))
}

async fn publish(commands: &Commands) -> Result<(), StoreError> {
    let (reply, answer) = oneshot::channel();
    commands.send(Command::Publish(reply)).await.map_err(|_| StoreError::Closed)?;
    answer.await.unwrap_or(Err(StoreError::Closed))
}

impl Readers {
    async fn read<T: Send + 'static>(
        self: Arc<Self>,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let task = tokio::task::spawn_blocking(move || {
            let idle = self.idle().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => self.place.reader()?,
            };
            let result = job(&connection).map_err(|error| fault::store_error(&error));
            // One that failed is not used again.
            if result.is_ok() && !self.permits.is_closed() {
                self.idle().push(connection);
            }
            drop(permit);
            result
        });
        task.await.map_err(|error| StoreError::Internal(error.to_string()))?
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer of the kind that was asked for; the writer gives no other.
fn expect<T>(done: Answer<Done>, pick: fn(Done) -> Option<T>) -> Answer<T>
where
    T: Send + 'static,
{
    done.map(move |done| pick(done?).ok_or_else(|| StoreError::Internal("an answer of another kind".into())))
        .boxed()
}

impl Store for SqliteStore {
    fn accept(&self, acceptance: Acceptance) -> Answer<Accepted> {
        expect(self.write_now(Work::Accept(Box::new(acceptance))), |done| match done {
            Done::Accepted(accepted) => Some(accepted),
            _ => None,
        })
    }

    fn begin(&self, id: DeliveryId) -> Answer<()> {
        expect(self.write(Work::Begin(id)), |done| matches!(done, Done::Begun).then_some(()))
    }

    fn settle(&self, settlement: Settlement) -> Answer<Settled> {
        expect(self.write(Work::Settle(Box::new(settlement))), |done| match done {
            Done::Settled(settled) => Some(settled),
            _ => None,
        })
    }

    fn page(&self, lane: Lane, live: Above, bulk: Option<Above>) -> Answer<Page> {
        self.page(move |connection| read::page(connection, &lane, live, bulk))
    }

    fn page_contact(
        &self,
        lane: Lane,
        contact: SmolStr,
        after: DeliveryId,
        upto: DeliveryId,
        limit: usize,
    ) -> Answer<Vec<Arc<Delivery>>> {
        self.page(move |connection| read::page_contact(connection, &lane, &contact, after, upto, limit))
    }

    fn original(&self, channel: SmolStr, alias: SmolStr) -> Answer<Option<SmolStr>> {
        self.look(move |connection| read::original(connection, &channel, &alias))
    }

    fn sent(&self, channel: SmolStr, provider_id: SmolStr) -> Answer<Option<SentPart>> {
        self.look(move |connection| read::sent(connection, &channel, &provider_id))
    }

    fn memory(&self, channel: SmolStr, contact: SmolStr, now: Millis) -> Answer<Memory> {
        self.look(move |connection| memory::recall(connection, &channel, &contact, now))
    }

    fn remember(&self, changes: Vec<Remember>) -> Answer<()> {
        expect(self.write(Work::Remember(changes)), |done| match done {
            Done::Remembered => Some(()),
            _ => None,
        })
    }

    fn heard(&self, since: Millis, limit: usize) -> Answer<Vec<(SmolStr, SmolStr, Millis)>> {
        self.read(move |connection| read::heard(connection, since, limit))
    }

    fn secret(&self, name: SmolStr, fresh: Vec<u8>) -> Answer<Vec<u8>> {
        expect(self.write(Work::Secret(name, fresh)), |done| match done {
            Done::Secret(secret) => Some(secret),
            _ => None,
        })
    }

    fn release(&self, now: Millis) -> Answer<usize> {
        let commands = self.commands.clone();
        async move {
            for released in 0.. {
                match write(commands.clone(), Work::Release(now)).await? {
                    Done::Released(Some(_)) => {}
                    Done::Released(None) => return Ok(released),
                    _ => return Err(StoreError::Internal("an answer of another kind".into())),
                }
            }
            Ok(usize::MAX)
        }
        .boxed()
    }

    fn retry(&self, ids: Vec<DeliveryId>, at: Millis) -> Answer<Vec<Arc<Delivery>>> {
        expect(self.write(Work::Retry(ids, at)), |done| match done {
            Done::Retried(retried) => Some(retried),
            _ => None,
        })
    }

    fn drop_lost(&self, ids: Vec<DeliveryId>) -> Answer<usize> {
        expect(self.write(Work::DropLost(ids)), |done| match done {
            Done::Dropped(dropped) => Some(dropped),
            _ => None,
        })
    }

    fn drop_parked(&self, ids: Vec<WebhookId>) -> Answer<usize> {
        expect(self.write(Work::DropParked(ids)), |done| match done {
            Done::Dropped(dropped) => Some(dropped),
            _ => None,
        })
    }

    fn purge(&self, now: Millis) -> Answer<Purged> {
        let commands = self.commands.clone();
        async move {
            let mut total = Purged::default();
            let mut cursor = Cursor::Keys;
            while cursor != Cursor::Done {
                let Done::Purged(slice) = write(commands.clone(), Work::Purge(cursor, now)).await? else {
                    return Err(StoreError::Internal("an answer of another kind".into()));
                };
                total += slice.purged;
                cursor = slice.next;
            }
            Ok(total)
        }
        .boxed()
    }

    fn close(&self) -> Answer<()> {
        let commands = self.commands.clone();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let readers = self.readers.clone();
        async move {
            // An error means that the writer has finished already.
            let _ = commands.send(Command::Close).await;
            if let Some(readers) = readers {
                readers.permits.close();
                readers.idle().clear();
            }
            if let Some(thread) = thread {
                let joined = tokio::task::spawn_blocking(move || thread.join()).await;
                return match joined {
                    Ok(Ok(())) => Ok(()),
                    _ => Err(StoreError::Internal("the writing thread came to grief".into())),
                };
            }
            Ok(())
        }
        .boxed()
    }
}

/// The readable side, in terms of a `read` of one's own.
macro_rules! records {
    ($name:ty) => {
        impl Records for $name {
            fn lanes(&self) -> Answer<Vec<LaneDepth>> {
                self.read(read::lanes)
            }

            fn counts(&self) -> Answer<Counts> {
                self.read(read::counts)
            }

            fn tally(&self) -> Answer<Tally> {
                self.read(read::tally)
            }

            fn list(&self, filter: Filter) -> Answer<Vec<Record>> {
                self.read(move |connection| read::list(connection, &filter))
            }

            fn show(&self, id: DeliveryId) -> Answer<Option<Record>> {
                self.read(move |connection| read::show(connection, id))
            }

            fn parked(&self, filter: ParkedFilter) -> Answer<Vec<Webhook>> {
                self.read(move |connection| parked::list(connection, &filter))
            }

            fn webhook(&self, id: WebhookId) -> Answer<Option<Webhook>> {
                self.read(move |connection| read::webhook(connection, id))
            }

            fn examine(&self, channels: Vec<SmolStr>, keep: Retention, now: Millis) -> Answer<Vec<Finding>> {
                self.read(move |connection| Ok(examine::examine(connection, &channels, &keep, now)))
            }
        }
    };
}

records!(SqliteStore);
records!(SqliteReader);

/// A store in one SQLite database that is only read: no lock is taken, and nothing is written.
pub struct SqliteReader(Arc<Readers>);

impl SqliteReader {
    /// Opens the database in the file at `path`, beside the process that works with it if there is one.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let place = Place::Foreign(path.to_owned());
        let mut first = place.reader()?;
        // Without a process that works with it, what the last one wrote at its end may only be in the log. Where that can't
        // be made up for, what there is can still be read.
        if redo::is_needed(&first).unwrap_or_default()
            && SqliteStore::open(path, &Options::default(), super::feed(1).0).is_ok()
        {
            first = place.reader()?;
        }
        let readers = Readers {
            idle: Mutex::new(vec![first]),
            permits: Arc::new(Semaphore::new(1)),
            place,
            is_open: Arc::default(),
        };
        Ok(Self(Arc::new(readers)))
    }

    fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        Arc::clone(&self.0).read(job).boxed()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The lock on the file must not be let go while the writer still writes; it is done within one batch.
            // A full queue is drained by the writer, so the command is taken soon.
            let mut close = Command::Close;
            while let Err(mpsc::error::TrySendError::Full(back)) = self.commands.try_send(close) {
                close = back;
                std::thread::yield_now();
            }
            let _ = thread.join();
        }
    }
}
