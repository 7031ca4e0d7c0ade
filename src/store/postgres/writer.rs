//! Whoever writes, with group commit: it takes what waits (up to [`BATCH`]), reads at once what the units may ask for, runs
//! them, writes at once what they changed, and commits; then delivery is fed and everybody is answered.
//!
//! Invariants: nobody is answered with success, and nothing is fed, before it is committed. One request that can't be
//! written does not harm those that happen to be in its batch. After any other error the connection is given up, and
//! the next request makes a new one, unless the last try was a moment ago: then it is refused at once, so that whoever
//! has to answer a webhook can say so in time.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Transaction;

use super::command::{Chore, Command, Done, Reply, Work};
use super::connection::{Address, Connection};
use super::draft::Draft;
use super::nodes::{Membership, NodeId};
use super::purge;
use super::{calls, chores, fault, flush, load, schema, turn};
use crate::store::ledger::Ledger as _;
use crate::store::{DeliveryId, Elsewhere, Feed, Retention, StoreError, WebhookId, unit};
use crate::world::Millis;

/// How many requests share one commit at most.
const BATCH: usize = 256;
/// How long a transaction may take before its connection is given up.
const ANSWER: Duration = Duration::from_secs(10);
/// How long making a connection may take, with bringing the tables up to date.
const UP_TO_DATE: Duration = Duration::from_secs(60);
/// How long after a try to connect that came to nothing the next is made, at first and at most.
const AGAIN: Duration = Duration::from_millis(100);
const AGAIN_AT_MOST: Duration = Duration::from_secs(2);

/// How long after a node was woken it looks what others queued, unless it writes before: then it sees that anyway.
const LOOK: Duration = Duration::from_millis(3);

/// The advisory lock, in its schema, of those who work with the database: many share it, and who copies has it alone.
const IN_USE: i32 = 0x5061_7463;

/// The writer's own things.
pub(super) struct Writer {
    address: Address,
    connection: Option<Connection>,
    retention: Retention,
    feed: Feed,
    /// This process as a node, if it is one.
    membership: Option<Membership>,
    /// The newest delivery that delivery has been told of.
    known: DeliveryId,
    /// When to look what others queued, if there may be something.
    look_at: Option<Instant>,
    /// When the next try to connect may be made, what the last one came to, and how long the wait was.
    resting: Option<(Instant, StoreError)>,
    wait: Duration,
}

/// What the writer turns to next.
enum Next {
    Beat,
    Woken,
    Look,
    Do(Command),
    End,
}

impl Writer {
    /// Connects, and enters the other nodes.
    pub(super) async fn open(
        address: Address,
        membership: Option<Membership>,
        retention: Retention,
        feed: Feed,
    ) -> Result<Self, StoreError> {
        let connection = connect(&address, Use::Shared).await?;
        let last = connection.row(turn::LAST, &[]).await.map_err(|error| connection.open_error(&error))?;
        let known = last.map(|row| row.get(0)).unwrap_or_default();
        let (resting, wait) = (None, AGAIN);
        let mut writer = Self {
            address,
            connection: Some(connection),
            retention,
            feed,
            membership,
            known,
            look_at: None,
            resting,
            wait,
        };
        if let (Some(membership), Some(connection)) = (&mut writer.membership, &mut writer.connection) {
            let entered = async {
                membership.listen(connection).await?;
                membership.beat(connection).await
            };
            entered.await.map_err(|error| fault::store_error(&error))?;
        }
        Ok(writer)
    }

    /// Works until told to close or nobody can ask any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut held = None;
        loop {
            if self.membership.as_ref().is_some_and(Membership::is_due_now) {
                self.beat().await;
            }
            let next = match held.take() {
                Some(command) => Next::Do(command),
                None => self.next(&mut commands).await,
            };
            match next {
                Next::Beat => self.beat().await,
                Next::Woken => self.look_at = Some(Instant::now() + LOOK),
                Next::Look => self.look().await,
                Next::Do(Command::Work(work, reply)) => {
                    let mut batch = Batch::default();
                    held = batch.fill(work, reply, &mut commands);
                    self.write(batch.requests).await;
                }
                Next::Do(Command::Chore(chore, reply)) => {
                    let (retention, node) = (self.retention, self.membership.as_ref().map(Membership::id));
                    let done = self.within(async |it| one_chore(it, &chore, &retention, node).await).await;
                    if matches!(done, Ok(Done::Moved)) {
                        self.membership.iter_mut().for_each(Membership::lost);
                    }
                    self.answer(vec![reply], done.map(|done| vec![done]));
                }
                Next::Do(Command::Release(now, reply)) => {
                    let done = self.within(async |it| release(it, now).await).await;
                    self.answer(vec![reply], done.map(|done| vec![done]));
                }
                Next::Do(Command::Close) | Next::End => return self.leave().await,
            }
        }
    }

    async fn next(&self, commands: &mut mpsc::Receiver<Command>) -> Next {
        let (membership, connection) = (self.membership.as_ref(), self.connection.as_ref());
        let beat = async {
            match membership {
                Some(membership) => membership.is_due().await,
                None => std::future::pending().await,
            }
        };
        let woken = async {
            match connection.filter(|_| membership.is_some()) {
                Some(connection) => tokio::select! {
                    () = connection.woken_to_divide() => Next::Beat,
                    () = connection.woken(), if self.look_at.is_none() => Next::Woken,
                },
                None => std::future::pending().await,
            }
        };
        let look = async {
            match self.look_at {
                Some(then) => tokio::time::sleep_until(then.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = commands.recv() => command.map_or(Next::End, Next::Do),
            () = beat => Next::Beat,
            () = look => Next::Look,
            next = woken => next,
        }
    }

    /// Renews the leases, and finds what others queued.
    async fn beat(&mut self) {
        match self.as_node(async |membership, it| membership.beat(it).await).await {
            Ok(()) => self.look().await,
            Err(error) => tracing::warn!(%error, "the leases were not renewed"),
        }
    }

    /// Does something as a node, which must be over in time.
    async fn as_node(
        &mut self,
        job: impl AsyncFnOnce(&mut Membership, &mut Connection) -> Result<(), tokio_postgres::Error>,
    ) -> Result<(), StoreError> {
        self.membership.iter_mut().for_each(Membership::later);
        self.connection().await?;
        let (Some(membership), Some(connection)) = (&mut self.membership, &mut self.connection) else {
            return Ok(());
        };
        let error = match timeout(ANSWER, job(membership, connection)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => fault::store_error(&error),
            Err(_) => StoreError::Unavailable("the database does not answer".into()),
        };
        self.failed(&error).await;
        Err(error)
    }

    /// Tells delivery of what others queued. Commits become visible in the order of their ids, so what is found is all there
    /// is up to the newest of it.
    async fn look(&mut self) {
        let known = self.known;
        self.look_at = None;
        let failed = |error: tokio_postgres::Error| fault::store_error(&error);
        match self.within(async |it| load::elsewhere(it, known).await.map_err(failed)).await {
            Ok(elsewhere) => self.tell(elsewhere),
            Err(error) => tracing::warn!(%error, "what other nodes accepted is not known now"),
        }
    }

    fn tell(&mut self, elsewhere: Vec<Elsewhere>) {
        for it in elsewhere {
            self.known = self.known.max(it.newest);
            self.feed.tell(it);
        }
    }

    /// Hands everything over to the other nodes.
    async fn leave(mut self) {
        if self.membership.is_some()
            && let Err(error) = self.as_node(async |membership, it| membership.leave(it).await).await
        {
            tracing::warn!(%error, "the other nodes have to find out that this one is gone");
        }
    }

    /// Writes a batch, and sees to it that it is answered.
    async fn write(&mut self, requests: Vec<(Work, Reply)>) {
        let (works, replies): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        match self.transact(&works).await {
            Err(StoreError::Internal(_)) if works.len() > 1 => {
                // One of them is to blame: each on its own.
                for (work, reply) in works.iter().zip(replies) {
                    let done = self.transact(std::slice::from_ref(work)).await;
                    self.answer(vec![reply], done);
                }
            }
            done => self.answer(replies, done),
        }
    }

    fn answer(&self, replies: Vec<Reply>, done: Result<Vec<Done>, StoreError>) {
        match done {
            Ok(done) => {
                done.iter().flat_map(Done::queued).for_each(|delivery| self.feed.push(delivery));
                for (reply, done) in replies.into_iter().zip(done) {
                    // A caller that went away is served by the feed.
                    let _ = reply.send(Ok(done));
                }
            }
            Err(error) => {
                tracing::error!(%error, requests = replies.len(), "nothing was written");
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Runs units in one transaction.
    async fn transact(&mut self, works: &[Work]) -> Result<Vec<Done>, StoreError> {
        let retention = self.retention;
        let mut draft = Draft::default();
        if let Some(membership) = &self.membership {
            draft.node = Some(membership.id());
            draft.known = self.known;
            draft.wake = membership.wake().map(str::to_owned);
        }
        let done = self.within(async |it| units(it, &mut draft, works, &retention).await).await;
        let is_moved = draft.is_moved;
        self.tell(draft.elsewhere);
        if done.is_ok() {
            // It has seen all that was queued up to its turn.
            self.look_at = None;
            self.known = self.known.max(draft.last_delivery);
        }
        if let Some(membership) = self.membership.as_mut().filter(|_| is_moved) {
            membership.lost();
        }
        done
    }

    /// Does something with the connection, which must be over in time.
    async fn within<T>(
        &mut self,
        job: impl AsyncFnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.connection().await?;
        let error = match timeout(ANSWER, job(connection)).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => error,
            Err(_) => StoreError::Unavailable("the database does not answer".into()),
        };
        self.failed(&error).await;
        Err(error)
    }

    /// After an error the transaction is ended; a connection that may be to blame is not used again. Whether the commit
    /// was made is not known then, so what there is must be looked for.
    async fn failed(&mut self, error: &StoreError) {
        let is_sound = matches!(error, StoreError::Internal(_));
        if is_sound
            && let Some(connection) = &self.connection
            && connection.client().batch_execute("ROLLBACK").await.is_ok()
        {
            return;
        }
        self.connection = None;
    }

    /// The connection, which is made anew if need be.
    async fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.as_ref().is_none_or(Connection::is_closed) {
            self.connection = None;
            if let Some((until, error)) = &self.resting
                && Instant::now() < *until
            {
                return Err(error.clone());
            }
            let silent = || Err(StoreError::Unavailable("the database does not answer".into()));
            let connected = async {
                let connection = connect(&self.address, Use::Shared).await?;
                if let Some(membership) = &mut self.membership {
                    let listening = membership.listen(&connection).await;
                    listening.map_err(|error| connection.open_error(&error))?;
                }
                Ok(connection)
            };
            match timeout(UP_TO_DATE, connected).await.unwrap_or_else(|_| silent()) {
                Ok(connection) => {
                    tracing::info!("connected to the database again");
                    self.connection = Some(connection);
                    (self.resting, self.wait) = (None, AGAIN);
                    // What was committed without anybody knowing is found by those who look.
                    self.feed.miss();
                }
                Err(error) => {
                    let error = error.or_unavailable();
                    self.resting = Some((Instant::now() + self.wait, error.clone()));
                    self.wait = (self.wait * 2).min(AGAIN_AT_MOST);
                    return Err(error);
                }
            }
        }
        self.connection.as_mut().ok_or(StoreError::Closed)
    }
}

/// How a database is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// By several.
    Shared,
    /// By one who wants nobody else there.
    Alone,
}

/// A connection to write with, to a database whose tables are up to date. Its statements are prepared, since those of a
/// batch have to arrive in their order.
pub(super) async fn connect(address: &Address, by: Use) -> Result<Connection, StoreError> {
    let connection = Connection::open(address).await?;
    let take = match by {
        Use::Shared => "SELECT pg_try_advisory_lock_shared($1, hashtext(current_schema()))",
        Use::Alone => "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))",
    };
    let taken = connection.client().query_one(take, &[&IN_USE]).await;
    if !taken.map_err(|error| connection.open_error(&error))?.get::<_, bool>(0) {
        return Err(StoreError::InUse(connection.place().to_owned()));
    }
    schema::migrate(&connection).await?;
    let statements = load::STATEMENTS.iter().chain(&flush::STATEMENTS);
    connection.prepare(statements.copied()).await.map_err(|error| connection.open_error(&error))?;
    Ok(connection)
}

/// Requests that are written together.
#[derive(Default)]
struct Batch {
    requests: Vec<(Work, Reply)>,
    /// The deliveries that are changed: each once, since one statement changes them all.
    changed: HashSet<DeliveryId>,
}

impl Batch {
    /// Takes the first and what else waits; gives back what does not fit in.
    fn fill(&mut self, work: Work, reply: Reply, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut next = Some(Command::Work(work, reply));
        while let Some(command) = next.take() {
            match command {
                Command::Work(work, reply) if self.has_room(&work) => self.requests.push((work, reply)),
                other => return Some(other),
            }
            next = commands.try_recv().ok();
        }
        None
    }

    fn has_room(&mut self, work: &Work) -> bool {
        let changes = match work {
            Work::Settle(settlement) => Some(settlement.delivery.id),
            Work::Begin(id) => Some(*id),
            Work::Accept(_) | Work::Remember(_) => None,
        };
        self.requests.len() < BATCH && changes.is_none_or(|id| self.changed.insert(id))
    }
}

/// Runs units in one transaction, which is committed.
async fn units(
    connection: &Connection,
    draft: &mut Draft,
    works: &[Work],
    retention: &Retention,
) -> Result<Vec<Done>, StoreError> {
    for work in works {
        match work {
            Work::Accept(acceptance) => draft.announce_acceptance(acceptance),
            Work::Settle(settlement) => draft.announce_settlement(settlement),
            Work::Begin(_) | Work::Remember(_) => {}
        }
    }
    load::load(connection, draft).await.map_err(|error| fault::store_error(&error))?;
    let done = works.iter().map(|work| run(draft, work, retention)).collect::<Result<Vec<_>, _>>()?;
    flush::flush(connection, draft).await.map_err(|error| fault::store_error(&error))?;
    Ok(done)
}

fn run(draft: &mut Draft, work: &Work, retention: &Retention) -> Result<Done, StoreError> {
    Ok(match work {
        Work::Begin(_) | Work::Settle(_) if draft.is_moved => Done::Moved,
        Work::Accept(acceptance) => Done::Accepted(unit::accept(draft, acceptance, retention)?),
        Work::Begin(id) => {
            draft.begin(*id)?;
            Done::Begun
        }
        Work::Settle(settlement) => Done::Settled(unit::settle(draft, settlement)?),
        Work::Remember(changes) => {
            draft.remember(changes)?;
            Done::Remembered
        }
    })
}

async fn one_chore(
    connection: &mut Connection,
    chore: &Chore,
    retention: &Retention,
    node: Option<NodeId>,
) -> Result<Done, StoreError> {
    let failed = |error: tokio_postgres::Error| fault::store_error(&error);
    let transaction = connection.transaction().await.map_err(failed)?;
    let last = turn::take(&transaction).await.map_err(failed)?;
    let done = in_transaction(&transaction, last, chore, retention, node.unwrap_or_default())
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(done)
}

async fn in_transaction(
    transaction: &Transaction<'_>,
    last: (DeliveryId, WebhookId),
    chore: &Chore,
    retention: &Retention,
    node: NodeId,
) -> Result<Done, tokio_postgres::Error> {
    Ok(match chore {
        Chore::Retry(ids, at) => Done::Retried(chores::retry(transaction, last, ids, *at).await?),
        Chore::DropLost(ids) => Done::Dropped(chores::drop_lost(transaction, ids).await?),
        Chore::DropParked(ids) => Done::Dropped(chores::drop_parked(transaction, ids).await?),
        Chore::Secret(name, fresh) => Done::Secret(chores::secret(transaction, name, fresh).await?),
        Chore::ClaimCall(wanted) => {
            calls::claim(transaction, wanted, node).await?.map_or(Done::Moved, Done::Call)
        }
        Chore::EndCall(name, value) => {
            calls::end(transaction, name, value.as_ref(), node).await?;
            Done::CallEnded
        }
        Chore::Purge(table, now) => {
            let (purged, may_be_more) = purge::slice(transaction, *table, *now, retention).await?;
            Done::Purged(purged, may_be_more)
        }
    })
}

/// Queues what there is of messages whose first piece is overdue.
async fn release(connection: &mut Connection, now: Millis) -> Result<Done, StoreError> {
    let overdue = chores::overdue(connection.client(), now).await;
    let overdue = overdue.map_err(|error| fault::store_error(&error))?;
    if overdue.is_empty() {
        return Ok(Done::Released(Vec::new()));
    }
    let mut draft = Draft::default();
    overdue.iter().for_each(|set| draft.pieces.announce(set.clone()));
    load::load(connection, &mut draft).await.map_err(|error| fault::store_error(&error))?;
    let mut released = Vec::new();
    for set in &overdue {
        released.extend(unit::whole(&mut draft, set, now)?);
    }
    flush::flush(connection, &draft).await.map_err(|error| fault::store_error(&error))?;
    Ok(Done::Released(released))
}
