//! The one thread that writes, with group commit: it takes what waits (up to [`BATCH`]), writes it in one
//! transaction, commits, feeds delivery, then answers everybody.
//!
//! Invariant: nobody is answered with success, and nothing is fed, before the commit is on disk. One request
//! that cannot be written does not harm those that happen to be in its batch. After a disk error the database
//! is opened afresh, so work goes on when the disk does.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};

use super::connect::Place;
use super::purge::{self, Cursor};
use super::seen::Seen;
use super::{accept, fault, lost, memory, parked, pieces, secret, settle};
use crate::memory::Remember;
use crate::store::{
    Acceptance, Accepted, Delivery, DeliveryId, Feed, Retention, Settled, Settlement, StoreError, WebhookId,
};
use crate::world::Millis;

/// How many requests share one commit at most.
const BATCH: usize = 256;

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
    /// Something to do with the connection between two transactions.
    Run(Box<dyn FnOnce(&mut Connection) + Send>),
    /// Finish.
    Close,
}

/// The writer's own things.
pub(super) struct Writer {
    place: Place,
    pub(super) connection: Connection,
    seen: Seen,
    retention: Retention,
    feed: Feed,
    doubtful: bool,
}

impl Writer {
    /// A writer to an open database.
    pub(super) fn new(
        place: Place,
        connection: Connection,
        retention: Retention,
        feed: Feed,
    ) -> Result<Self, StoreError> {
        let seen = Seen::load(&connection).map_err(|error| fault::store_error(&error))?;
        Ok(Self { place, connection, seen, retention, feed, doubtful: false })
    }

    /// Does one thing at once; whether more may come.
    pub(super) fn obey(&mut self, command: Command) -> bool {
        match command {
            Command::Write(work, reply) => self.write(&mut vec![(work, reply)]),
            Command::Run(job) => job(&mut self.connection),
            Command::Close => return false,
        }
        true
    }

    /// Works until told to close or nobody can ask any more.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(mut command) = commands.blocking_recv() {
            loop {
                match command {
                    Command::Write(work, reply) => batch.push((work, reply)),
                    Command::Run(job) => {
                        self.write(&mut batch);
                        job(&mut self.connection);
                    }
                    Command::Close => {
                        self.write(&mut batch);
                        return;
                    }
                }
                if batch.len() >= BATCH {
                    break;
                }
                match commands.try_recv() {
                    Ok(next) => command = next,
                    Err(_) => break,
                }
            }
            self.write(&mut batch);
        }
    }

    /// Writes and answers a batch.
    fn write(&mut self, batch: &mut Vec<Request>) {
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.reopen() {
            refuse(batch, &error);
            return;
        }
        let done = self.transact(batch.iter().map(|(work, _)| work));
        match &done {
            Ok(_) => self.seen.committed(),
            Err(_) => self.seen.rolled_back(),
        }
        match done {
            Ok(done) => self.answer(batch.drain(..).zip(done)),
            Err(error) if fault::is_disk(&error) => {
                self.doubtful = true;
                refuse(batch, &fault::store_error(&error));
            }
            Err(error) if batch.len() == 1 => refuse(batch, &fault::store_error(&error)),
            // One of them is to blame: each on its own.
            Err(_) => {
                for request in batch.drain(..) {
                    self.write(&mut vec![request]);
                }
            }
        }
    }

    fn transact<'a>(&mut self, works: impl Iterator<Item = &'a Work>) -> rusqlite::Result<Vec<Done>> {
        let retention = self.retention;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut done = Vec::with_capacity(BATCH);
        for work in works {
            done.push(match work {
                Work::Accept(acceptance) => {
                    Done::Accepted(accept::accept(&transaction, &mut self.seen, acceptance, &retention)?)
                }
                Work::Begin(id) => {
                    settle::begin(&transaction, *id)?;
                    Done::Begun
                }
                Work::Settle(settlement) => Done::Settled(settle::settle(&transaction, settlement)?),
                Work::Remember(changes) => {
                    memory::remember(&transaction, changes)?;
                    Done::Remembered
                }
                Work::Release(now) => Done::Released(pieces::release(&transaction, *now)?),
                Work::Purge(cursor, now) => {
                    Done::Purged(purge::slice(&transaction, &mut self.seen, cursor, *now, &retention)?)
                }
                Work::Retry(ids, at) => Done::Retried(lost::retry(&transaction, ids, *at)?),
                Work::DropLost(ids) => Done::Dropped(lost::drop(&transaction, ids)?),
                Work::DropParked(ids) => Done::Dropped(parked::drop(&transaction, ids)?),
                Work::Secret(name, fresh) => Done::Secret(secret::secret(&transaction, name, fresh)?),
            });
        }
        self.seen.step(&transaction)?;
        // Dropping the transaction on an error above, or a failed commit, rolls it back.
        transaction.commit()?;
        Ok(done)
    }

    fn answer(&self, done: impl Iterator<Item = (Request, Done)>) {
        let mut answers = Vec::with_capacity(BATCH);
        for ((_, reply), done) in done {
            let new = match &done {
                Done::Accepted(accepted) => accepted.new.as_slice(),
                Done::Settled(settled) => settled.new.as_slice(),
                Done::Released(released) => released.as_slice(),
                Done::Retried(retried) => retried.as_slice(),
                Done::Begun | Done::Remembered | Done::Purged(_) | Done::Dropped(_) | Done::Secret(_) => &[],
            };
            for delivery in new {
                self.feed.push(delivery);
            }
            answers.push((reply, done));
        }
        for (reply, done) in answers {
            // A caller that went away is served by the feed.
            let _ = reply.send(Ok(done));
        }
    }

    /// A fresh connection after a disk error; an in-memory database would be gone with its connection.
    fn reopen(&mut self) -> Result<(), StoreError> {
        if self.doubtful && matches!(self.place, Place::File(_)) {
            self.connection = self.place.writer().map_err(|error| match error {
                StoreError::Open { reason, .. } => StoreError::Unavailable(reason),
                other => other,
            })?;
            // Whether the transaction that failed is on disk is not known.
            self.seen = Seen::load(&self.connection).map_err(|error| fault::store_error(&error))?;
        }
        self.doubtful = false;
        Ok(())
    }
}

type Request = (Work, oneshot::Sender<Result<Done, StoreError>>);

fn refuse(batch: &mut Vec<Request>, error: &StoreError) {
    tracing::error!(%error, requests = batch.len(), "nothing was written");
    for (_, reply) in batch.drain(..) {
        let _ = reply.send(Err(error.clone()));
    }
}
