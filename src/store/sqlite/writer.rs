//! The one thread that writes, with group commit: it takes what waits (up to [`BATCH`]) and makes the changes in the open
//! transaction; when the log has them on disk, delivery is fed and everybody is answered, while the next batch is on its
//! way. The transaction is committed now and then. Without a log it is committed, synced, after each batch.
//!
//! Invariant: nobody is answered with success, and nothing is fed or committed, before it is on disk. One request
//! that cannot be written does not harm those that happen to be in its batch. After a disk error the database
//! is opened afresh, and gets from the log what it lost, so work goes on when the disk does. (Savepoints would spare that
//! after a request that can't be written, which hardly ever is, and cost every other.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::connect::Place;
use super::ledger::{self, SqliteLedger};
use super::purge::{self, Cursor};
use super::redo::{self, Changes, Redo};
use super::seen::Seen;
use super::tx::Tx;
use super::{fault, lost, memory, parked, secret};
use crate::memory::Remember;
use crate::store::ledger::Ledger as _;
use crate::store::unit;
use crate::store::{
    Acceptance, Accepted, Delivery, DeliveryId, Feed, Retention, Settled, Settlement, StoreError, WebhookId,
};
use crate::world::Millis;

/// How many requests share one commit at most.
const BATCH: usize = 256;
/// How long a transaction stays open at most, and when nothing comes: so old may be what another process sees.
const OPEN_FOR: Duration = Duration::from_millis(100);
const QUIET: Duration = Duration::from_millis(5);
/// How many bytes of changes a transaction holds at most, more or less.
const OPEN_BYTES: usize = 4 << 20;

/// Something to write.
pub(super) enum Work {
    /// An acceptance.
    Accept(Box<Acceptance>),
    /// An attempt that begins.
    Begin(DeliveryId),
    /// A settlement.
    Settle(Box<Settlement>),
    /// Changes of what is remembered.
    Remember(Vec<Remember>),
    /// One message whose missing pieces are overdue.
    Release(Millis),
    /// One slice of a purge.
    Purge(Cursor, Millis),
    /// Dead letters that are to be tried again, and when that is.
    Retry(Vec<DeliveryId>, Millis),
    /// Dead letters that are to go.
    DropLost(Vec<DeliveryId>),
    /// Parked webhooks that are to go.
    DropParked(Vec<WebhookId>),
    /// A secret by name, and what it is if there is none.
    Secret(SmolStr, Vec<u8>),
}

/// What came of it.
pub(super) enum Done {
    /// Of an acceptance.
    Accepted(Accepted),
    /// Of an attempt that begins.
    Begun,
    /// Of a settlement.
    Settled(Settled),
    /// Of changes of what is remembered.
    Remembered,
    /// Of a message whose pieces were overdue: what was queued.
    Released(Option<Arc<Delivery>>),
    /// Of a slice.
    Purged(purge::Slice),
    /// Of dead letters: what was queued.
    Retried(Vec<Arc<Delivery>>),
    /// How many went.
    Dropped(usize),
    /// The secret.
    Secret(Vec<u8>),
}

/// A request to the writer.
pub(super) enum Command {
    /// Something to write, and whom to answer.
    Write(Work, oneshot::Sender<Result<Done, StoreError>>),
    /// Commit what is written, for those who read elsewhere.
    Publish(oneshot::Sender<Result<(), StoreError>>),
    /// Something to look up, in what is written.
    Look(Box<dyn FnOnce(&Connection) + Send>),
    /// Something to do with the connection between two transactions.
    #[cfg(test)]
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    /// Let the next write to the log fail.
    #[cfg(test)]
    FailLog,
    /// Finish.
    Close,
}

/// The writer's own things.
pub(super) struct Writer {
    place: Place,
    connection: Connection,
    checkpoints: Option<Checkpoints>,
    redo: Option<Redo>,
    open: Option<Open>,
    /// Whether there is an open transaction, for those who read elsewhere.
    is_open: Arc<AtomicBool>,
    seen: Seen,
    retention: Retention,
    feed: Feed,
    doubtful: bool,
    /// The last frame of the log that is on disk, while the database is to be opened afresh.
    durable: Option<u64>,
}

/// The open transaction.
struct Open {
    since: Instant,
    bytes: usize,
}

impl Writer {
    /// A writer to the database at a place, which is created or migrated where needed.
    pub(super) fn open(place: Place, retention: Retention, feed: Feed) -> Result<Self, StoreError> {
        let (connection, redo) = place.writer(None)?;
        Self::new(place, connection, redo, retention, feed)
    }

    /// The writer of the process that comes after the one with this writer, to a database in memory.
    pub(super) fn succeed(self, retention: Retention, feed: Feed) -> Result<Self, StoreError> {
        Self::new(self.place, self.connection, None, retention, feed)
    }

    fn new(
        place: Place,
        connection: Connection,
        redo: Option<Redo>,
        retention: Retention,
        feed: Feed,
    ) -> Result<Self, StoreError> {
        let seen = Seen::load(&connection).map_err(|error| fault::store_error(&error))?;
        let is_open = Arc::default();
        let checkpoints = Checkpoints::start(&place)?;
        Ok(Self {
            place,
            connection,
            checkpoints,
            redo,
            open: None,
            is_open,
            seen,
            retention,
            feed,
            doubtful: false,
            durable: None,
        })
    }

    /// Whether what is written is not committed, which others must ask for.
    pub(super) fn is_open(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_open)
    }

    /// Does one thing at once; whether more may come.
    pub(super) fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Write(work, reply) => self.write(&mut vec![(work, reply)]),
            Command::Publish(reply) => {
                let _ = reply.send(self.commit());
            }
            Command::Look(job) => {
                // Where it can't be opened, looking says so.
                let _ = self.reopen();
                job(&self.connection);
            }
            #[cfg(test)]
            Command::Run(job) => {
                // It looks at what there is, whatever became of the commit.
                let _ = self.commit();
                job(&mut self.connection);
            }
            #[cfg(test)]
            Command::FailLog => self.redo.as_ref().unwrap().fail(),
            Command::Close => return false,
        }
        true
    }

    /// Commits everything, so that the log is not needed any more.
    fn finish(&mut self) {
        let ended = self.commit().and_then(|()| match &self.redo {
            Some(_) => redo::end(&self.connection).map_err(|error| fault::store_error(&error)),
            None => Ok(()),
        });
        if let Err(error) = ended {
            tracing::error!(%error, "the store is not closed in good order; what was written is in its log");
        }
    }

    /// Works until told to close or nobody can ask any more.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let next = match (&self.open, &clock) {
                (Some(_), Ok(clock)) => {
                    clock.block_on(async { tokio::time::timeout(QUIET, commands.recv()).await })
                }
                _ => Ok(commands.blocking_recv()),
            };
            let is_quiet = next.is_err();
            let more = match next {
                Ok(Some(first)) => self.take(first, &mut commands, &mut batch),
                Ok(None) => false,
                Err(_) => true,
            };
            if !more {
                break;
            }
            let is_due = |open: &Open| open.since.elapsed() >= OPEN_FOR || open.bytes >= OPEN_BYTES;
            if is_quiet || self.open.as_ref().is_some_and(is_due) {
                // Those whose changes these are have their answer; what is wrong is told, and the next try comes with
                // the next request.
                let _ = self.commit();
            }
        }
        self.finish();
    }

    /// Does what waits, as much as fits into one batch; whether more may come.
    fn take(
        &mut self,
        first: Command,
        commands: &mut mpsc::Receiver<Command>,
        batch: &mut Vec<Request>,
    ) -> bool {
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Write(work, reply) => batch.push((work, reply)),
                other => {
                    self.write(batch);
                    if !self.obey(other) {
                        return false;
                    }
                }
            }
            next = if batch.len() < BATCH { commands.try_recv().ok() } else { None };
        }
        self.write(batch);
        true
    }

    /// Writes a batch, and sees to it that it is answered.
    fn write(&mut self, batch: &mut Vec<Request>) {
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.reopen() {
            return refuse(batch.drain(..).map(|(_, reply)| reply), &error);
        }
        match self.change(batch.iter().map(|(work, _)| work)) {
            Ok((done, changes)) => {
                self.seen.written();
                let replies = batch.drain(..).map(|(_, reply)| reply).collect();
                self.keep(Answers { replies, done, feed: self.feed.clone() }, changes);
            }
            Err(error) => {
                self.seen.rolled_back();
                self.doubtful = true;
                if !fault::is_disk(&error) && batch.len() > 1 {
                    // One of them is to blame: each on its own.
                    for request in std::mem::take(batch) {
                        self.write(&mut vec![request]);
                    }
                    return;
                }
                refuse(batch.drain(..).map(|(_, reply)| reply), &fault::store_error(&error));
            }
        }
    }

    /// Makes the changes of a batch in the open transaction, which is of no use any more after an error.
    fn change<'a>(
        &mut self,
        works: impl Iterator<Item = &'a Work>,
    ) -> rusqlite::Result<(Vec<Done>, Option<Changes>)> {
        if self.open.is_none() {
            self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            self.open = Some(Open { since: Instant::now(), bytes: 0 });
            self.is_open.store(true, Ordering::SeqCst);
        }
        let tx = match &self.redo {
            Some(_) => Tx::recorded(&self.connection),
            None => Tx::unrecorded(&self.connection),
        };
        let done = works
            .map(|work| work_off(&tx, &mut self.seen, work, &self.retention))
            .collect::<rusqlite::Result<Vec<Done>>>()?;
        self.seen.step(&tx)?;
        Ok((done, tx.into_changes()))
    }

    /// Brings changes that were made to the disk, and then gives the answers.
    fn keep(&mut self, answers: Answers, changes: Option<Changes>) {
        match (&mut self.redo, changes) {
            (Some(redo), Some(changes)) if redo.has_room(&changes) => {
                if let Some(open) = &mut self.open {
                    open.bytes += changes.len();
                }
                redo.add(&changes, Box::new(|kept| answers.give(kept)));
            }
            _ => {
                let kept = self.seal();
                answers.give(kept);
            }
        }
    }

    /// Commits, so that everything that was written is in the database on disk, and the log begins anew.
    fn seal(&mut self) -> Result<(), StoreError> {
        self.commit_open()?;
        let Some(redo) = &mut self.redo else { return Ok(()) };
        match redo::begin(&self.connection) {
            Ok(epoch) => redo.turn_over(epoch),
            Err(error) => {
                self.doubtful = true;
                return Err(fault::store_error(&error));
            }
        }
        Ok(())
    }

    /// Commits what was answered, also after a disk error.
    fn commit(&mut self) -> Result<(), StoreError> {
        self.reopen()?;
        if self.open.is_none() { Ok(()) } else { self.commit_open() }
    }

    /// Commits the open transaction, when the log has all of it that was handed to it. After a disk error there is none:
    /// what was changed and not handed over is lost with it.
    fn commit_open(&mut self) -> Result<(), StoreError> {
        let committed = self.redo.as_ref().map(Redo::settle).transpose().and_then(|number| {
            let noted = number.map_or(Ok(()), |number| redo::set_number(&self.connection, number));
            noted
                .and_then(|()| self.connection.prepare_cached("COMMIT")?.execute([]))
                .map_err(|error| fault::store_error(&error))
        });
        match committed {
            Ok(_) => {
                self.open = None;
                self.is_open.store(false, Ordering::SeqCst);
                if let Some(checkpoints) = &self.checkpoints {
                    checkpoints.consider(&self.connection);
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "what was written can't be committed");
                self.doubtful = true;
                Err(error)
            }
        }
    }

    /// A fresh connection after a disk error, which gets from the log what was not committed; an in-memory database would
    /// be gone with its connection.
    fn reopen(&mut self) -> Result<(), StoreError> {
        let is_broken = self.redo.as_ref().is_some_and(Redo::is_broken);
        if !self.doubtful && !is_broken {
            return Ok(());
        }
        if !matches!(self.place, Place::File(_)) {
            self.doubtful = false;
            if self.open.take().is_some() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
            return Ok(());
        }
        self.doubtful = true;
        let durable = self.redo.take().map(Redo::stop);
        if durable.is_some() {
            self.durable = durable;
        }
        // The old ones go first, with their locks.
        self.checkpoints = None;
        let none = Connection::open_in_memory().map_err(|error| fault::store_error(&error))?;
        drop(std::mem::replace(&mut self.connection, none));
        self.open = None;
        let (connection, redo) = self.place.writer(self.durable).map_err(StoreError::or_unavailable)?;
        (self.connection, self.redo) = (connection, redo);
        self.checkpoints = Checkpoints::start(&self.place)?;
        self.seen = Seen::load(&self.connection).map_err(|error| fault::store_error(&error))?;
        self.is_open.store(false, Ordering::SeqCst);
        (self.doubtful, self.durable) = (false, None);
        Ok(())
    }
}

fn work_off(tx: &Tx<'_>, seen: &mut Seen, work: &Work, retention: &Retention) -> rusqlite::Result<Done> {
    let mut ledger = SqliteLedger { tx, seen };
    Ok(match work {
        Work::Accept(acceptance) => Done::Accepted(unit::accept(&mut ledger, acceptance, retention)?),
        Work::Begin(id) => {
            ledger.begin(*id)?;
            Done::Begun
        }
        Work::Settle(settlement) => Done::Settled(unit::settle(&mut ledger, settlement)?),
        Work::Remember(changes) => {
            memory::remember(tx, changes)?;
            Done::Remembered
        }
        Work::Release(now) => Done::Released(match ledger::overdue(tx, *now)? {
            Some(set) => unit::whole(&mut ledger, &set, *now)?,
            None => None,
        }),
        Work::Purge(cursor, now) => Done::Purged(purge::slice(tx, seen, cursor, *now, retention)?),
        Work::Retry(ids, at) => Done::Retried(lost::retry(tx, ids, *at)?),
        Work::DropLost(ids) => Done::Dropped(lost::drop(tx, ids)?),
        Work::DropParked(ids) => Done::Dropped(parked::drop(tx, ids)?),
        Work::Secret(name, fresh) => Done::Secret(secret::secret(tx, name, fresh)?),
    })
}

type Reply = oneshot::Sender<Result<Done, StoreError>>;
type Request = (Work, Reply);

/// The answers to a batch, with what is fed before they are given.
struct Answers {
    replies: Vec<Reply>,
    done: Vec<Done>,
    feed: Feed,
}

impl Answers {
    fn give(self, kept: Result<(), StoreError>) {
        if let Err(error) = kept {
            return refuse(self.replies.into_iter(), &error);
        }
        for done in &self.done {
            let new = match done {
                Done::Accepted(accepted) => accepted.new.as_slice(),
                Done::Settled(settled) => settled.new.as_slice(),
                Done::Released(released) => released.as_slice(),
                Done::Retried(retried) => retried.as_slice(),
                Done::Begun | Done::Remembered | Done::Purged(_) | Done::Dropped(_) | Done::Secret(_) => &[],
            };
            for delivery in new {
                self.feed.push(delivery);
            }
        }
        for (reply, done) in self.replies.into_iter().zip(self.done) {
            // A caller that went away is served by the feed.
            let _ = reply.send(Ok(done));
        }
    }
}

fn refuse(replies: impl ExactSizeIterator<Item = Reply>, error: &StoreError) {
    tracing::error!(%error, requests = replies.len(), "nothing was written");
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}
