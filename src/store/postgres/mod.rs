//! The store that several nodes share: PostgreSQL, with one writing connection and one reading connection of each node,
//! driven by a thread of their own.
//!
//! Invariant: what is answered with success is committed. The queue to the writer is bounded.

mod calls;
mod chores;
mod command;
mod connection;
pub(super) mod copy;
mod draft;
mod examine;
mod fault;
mod flush;
mod load;
mod nodes;
mod purge;
mod read;
mod row;
mod schema;
mod text;
mod turn;
mod writer;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::FutureExt as _;
use smol_str::SmolStr;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::calls::Wanted;
use self::command::{Chore, Command, Done, Reply, Work};
use self::connection::{Address, Connection};
use self::nodes::Membership;
use self::purge::Table;
use self::writer::Writer;
use super::{
    Above, Acceptance, Accepted, Answer, CallValue, Counts, Delivery, DeliveryId, Feed, Filter, Finding,
    Lane, LaneDepth, Leases, Options, Page, ParkedFilter, Purged, Record, Records, Retention, SentPart,
    Settled, Settlement, SharedCall, Store, StoreError, Tally, Webhook, WebhookId,
};
use crate::memory::{Memory, Remember};
use crate::world::Millis;

/// How long a read may take before its connection is given up.
const ANSWER: Duration = Duration::from_secs(30);

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    commands: mpsc::Sender<Command>,
    reader: Reader,
    leases: Leases,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Reading alone: beside a gateway that works with the database, or without one.
pub struct PostgresReader {
    reader: Reader,
    /// Ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
}

/// The reading connection, which is made anew after an error.
#[derive(Clone)]
struct Reader {
    address: Address,
    connection: Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>,
    /// What the connection's work is done on.
    runtime: Handle,
}

/// Whether an address can be understood, or why not; says whether it holds a password.
pub(super) fn judge(address: &str) -> Result<bool, String> {
    match Address::parse(address) {
        Ok(address) => Ok(address.has_password()),
        Err(StoreError::Open { reason, .. }) => Err(reason),
        Err(other) => Err(other.to_string()),
    }
}

impl PostgresStore {
    /// Connects to the database at `address`, and creates or migrates the tables where needed.
    pub fn open(address: &str, options: &Options, feed: Feed) -> Result<Self, StoreError> {
        let address = Address::parse(address)?;
        let (commands, requests) = mpsc::channel(options.queue.max(1));
        let (retention, node) = (options.retention, options.node.clone());
        let leases = if node.is_some() { Leases::shared() } else { Leases::whole() };
        let membership = node.map(|node| Membership::new(node, leases.clone()));
        let (runtime, thread) = on_a_thread(address.clone(), async move |address| {
            Ok(Writer::open(address, membership, retention, feed).await?.run(requests))
        })?;
        Ok(Self { commands, reader: Reader::new(address, runtime), leases, thread: Mutex::new(Some(thread)) })
    }

    /// Asks for something that changes something; waits for room in the queue.
    fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(Reply) -> Command + Send + 'static,
        pick: fn(Done) -> Option<T>,
    ) -> Answer<T> {
        ask(self.commands.clone(), command, pick).boxed()
    }
}

async fn ask<T>(
    commands: mpsc::Sender<Command>,
    command: impl FnOnce(Reply) -> Command,
    pick: fn(Done) -> Option<T>,
) -> Result<T, StoreError> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
    picked(answer, pick).await
}

/// The answer of the kind that was asked for; the writer gives no other.
async fn picked<T>(
    answer: oneshot::Receiver<Result<Done, StoreError>>,
    pick: fn(Done) -> Option<T>,
) -> Result<T, StoreError> {
    let done = answer.await.unwrap_or(Err(StoreError::Closed))?;
    if matches!(done, Done::Moved) {
        return Err(StoreError::Moved);
    }
    pick(done).ok_or_else(|| StoreError::Internal("an answer of another kind".into()))
}

/// Starts a thread that opens something and then runs what came of it; gives what tasks can be spawned on.
fn on_a_thread<F, R>(
    address: Address,
    open: impl FnOnce(Address) -> F + Send + 'static,
) -> Result<(Handle, JoinHandle<()>), StoreError>
where
    F: Future<Output = Result<R, StoreError>>,
    R: Future<Output = ()>,
{
    let internal = |error: std::io::Error| StoreError::Internal(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal)?;
    let handle = runtime.handle().clone();
    let (opened, is_open) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("store-postgres".into())
        .spawn(move || match runtime.block_on(open(address)) {
            Ok(run) => {
                let _ = opened.send(Ok(()));
                runtime.block_on(run);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        })
        .map_err(internal)?;
    is_open.recv().unwrap_or(Err(StoreError::Closed))?;
    Ok((handle, thread))
}

impl PostgresReader {
    /// Connects to the database at `address`, whose tables must be up to date.
    pub fn open(address: &str) -> Result<Self, StoreError> {
        let address = Address::parse(address)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (runtime, _) = on_a_thread(address.clone(), async move |address| {
            schema::must_be_known(&Connection::open(&address).await?).await?;
            Ok(async move {
                let _ = stopped.await;
            })
        })?;
        Ok(Self { reader: Reader::new(address, runtime), _stop: stop })
    }
}

impl Reader {
    fn new(address: Address, runtime: Handle) -> Self {
        Self { address, connection: Arc::default(), runtime }
    }

    /// Reads something; several reads share the connection, one behind the other.
    fn read<T, F>(&self, job: impl FnOnce(Arc<Connection>) -> F + Send + 'static) -> Answer<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, tokio_postgres::Error>> + Send + 'static,
    {
        let reader = self.clone();
        let task = self.runtime.spawn(async move { reader.run(job).await });
        async move { task.await.unwrap_or(Err(StoreError::Closed)) }.boxed()
    }

    async fn run<T, F>(self, job: impl FnOnce(Arc<Connection>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, tokio_postgres::Error>>,
    {
        let connection = self.connection().await?;
        let error = match timeout(ANSWER, job(Arc::clone(&connection))).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => fault::store_error(&error),
            Err(_) => StoreError::Unavailable("the database does not answer".into()),
        };
        if matches!(error, StoreError::Unavailable(_)) {
            let mut kept = self.connection.lock().await;
            // Unless another has made a new one already.
            if kept.as_ref().is_some_and(|it| Arc::ptr_eq(it, &connection)) {
                *kept = None;
            }
        }
        Err(error)
    }

    async fn connection(&self) -> Result<Arc<Connection>, StoreError> {
        let mut kept = self.connection.lock().await;
        if let Some(connection) = kept.as_ref().filter(|it| !it.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let opened = Connection::open(&self.address).await.map_err(StoreError::or_unavailable)?;
        Ok(Arc::clone(kept.insert(Arc::new(opened))))
    }
}

impl Store for PostgresStore {
    fn accept(&self, acceptance: Acceptance) -> Answer<Accepted> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.try_send(Command::Work(Work::Accept(Box::new(acceptance)), reply));
        let sent = sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        });
        async move {
            sent?;
            picked(answer, |done| match done {
                Done::Accepted(accepted) => Some(accepted),
                _ => None,
            })
            .await
        }
        .boxed()
    }

    fn begin(&self, id: DeliveryId) -> Answer<()> {
        let begin = move |reply| Command::Work(Work::Begin(id), reply);
        self.ask(begin, |done| matches!(done, Done::Begun).then_some(()))
    }

    fn settle(&self, settlement: Settlement) -> Answer<Settled> {
        self.ask(
            move |reply| Command::Work(Work::Settle(Box::new(settlement)), reply),
            |done| match done {
                Done::Settled(settled) => Some(settled),
                _ => None,
            },
        )
    }

    fn page(&self, lane: Lane, live: Above, bulk: Option<Above>) -> Answer<Page> {
        self.reader.read(move |it| async move { read::page(&it, &lane, live, bulk).await })
    }

    fn page_contact(
        &self,
        lane: Lane,
        contact: SmolStr,
        after: DeliveryId,
        upto: DeliveryId,
        limit: usize,
    ) -> Answer<Vec<Arc<Delivery>>> {
        self.reader
            .read(move |it| async move { read::page_contact(&it, &lane, &contact, after, upto, limit).await })
    }

    fn original(&self, channel: SmolStr, alias: SmolStr) -> Answer<Option<SmolStr>> {
        self.reader.read(move |it| async move { read::original(&it, &channel, &alias).await })
    }

    fn sent(&self, channel: SmolStr, provider_id: SmolStr) -> Answer<Option<SentPart>> {
        self.reader.read(move |it| async move { read::sent(&it, &channel, &provider_id).await })
    }

    fn memory(&self, channel: SmolStr, contact: SmolStr, now: Millis) -> Answer<Memory> {
        self.reader.read(move |it| async move { read::memory(&it, &channel, &contact, now).await })
    }

    fn remember(&self, changes: Vec<Remember>) -> Answer<()> {
        let remember = move |reply| Command::Work(Work::Remember(changes), reply);
        self.ask(remember, |done| matches!(done, Done::Remembered).then_some(()))
    }

    fn heard(&self, since: Millis, limit: usize) -> Answer<Vec<(SmolStr, SmolStr, Millis)>> {
        self.reader.read(move |it| async move { read::heard(&it, since, limit).await })
    }

    fn secret(&self, name: SmolStr, fresh: Vec<u8>) -> Answer<Vec<u8>> {
        self.ask(
            move |reply| Command::Chore(Chore::Secret(name, fresh), reply),
            |done| match done {
                Done::Secret(secret) => Some(secret),
                _ => None,
            },
        )
    }

    fn claim_call(&self, name: SmolStr, refused: Option<Millis>, now: Millis) -> Answer<SharedCall> {
        if !self.leases.are_shared() {
            return async { Ok(SharedCall::Make) }.boxed();
        }
        let wanted = move || Wanted { name: name.to_string(), refused, now };
        let (commands, looked_up) = (self.commands.clone(), wanted());
        let found = self.reader.read(move |it| async move { calls::find(&it, &looked_up).await });
        async move {
            if let Some(known) = found.await? {
                return Ok(known);
            }
            let claim = move |reply| Command::Chore(Chore::ClaimCall(wanted()), reply);
            ask(commands, claim, |done| match done {
                Done::Call(call) => Some(call),
                _ => None,
            })
            .await
        }
        .boxed()
    }

    fn end_call(&self, name: SmolStr, value: Option<CallValue>) -> Answer<()> {
        let end = move |reply| Command::Chore(Chore::EndCall(name, value), reply);
        self.ask(end, |done| matches!(done, Done::CallEnded).then_some(()))
    }

    fn release(&self, now: Millis) -> Answer<usize> {
        self.ask(
            move |reply| Command::Release(now, reply),
            |done| match done {
                Done::Released(released) => Some(released.len()),
                _ => None,
            },
        )
    }

    fn retry(&self, ids: Vec<DeliveryId>, at: Millis) -> Answer<Vec<Arc<Delivery>>> {
        self.ask(
            move |reply| Command::Chore(Chore::Retry(ids, at), reply),
            |done| match done {
                Done::Retried(retried) => Some(retried),
                _ => None,
            },
        )
    }

    fn drop_lost(&self, ids: Vec<DeliveryId>) -> Answer<usize> {
        self.ask(
            move |reply| Command::Chore(Chore::DropLost(ids), reply),
            |done| match done {
                Done::Dropped(dropped) => Some(dropped),
                _ => None,
            },
        )
    }

    fn drop_parked(&self, ids: Vec<WebhookId>) -> Answer<usize> {
        self.ask(
            move |reply| Command::Chore(Chore::DropParked(ids), reply),
            |done| match done {
                Done::Dropped(dropped) => Some(dropped),
                _ => None,
            },
        )
    }

    fn purge(&self, now: Millis) -> Answer<Purged> {
        let commands = self.commands.clone();
        async move {
            let mut total = Purged::default();
            for table in Table::ALL {
                let mut more = true;
                while more {
                    let slice = |reply| Command::Chore(Chore::Purge(table, now), reply);
                    let (purged, may_be_more) = ask(commands.clone(), slice, |done| match done {
                        Done::Purged(purged, more) => Some((purged, more)),
                        _ => None,
                    })
                    .await?;
                    total += purged;
                    more = may_be_more;
                }
            }
            Ok(total)
        }
        .boxed()
    }

    fn leases(&self) -> Leases {
        self.leases.clone()
    }

    fn close(&self) -> Answer<()> {
        let commands = self.commands.clone();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            // An error means that the writer has finished already.
            let _ = commands.send(Command::Close).await;
            let Some(thread) = thread else { return Ok(()) };
            match tokio::task::spawn_blocking(move || thread.join()).await {
                Ok(Ok(())) => Ok(()),
                _ => Err(StoreError::Internal("the store's thread came to grief".into())),
            }
        }
        .boxed()
    }
}

/// The readable side of both.
macro_rules! records {
    ($name:ty) => {
        impl Records for $name {
            fn lanes(&self) -> Answer<Vec<LaneDepth>> {
                self.reader.read(move |it| async move { read::lanes(&it).await })
            }

            fn counts(&self) -> Answer<Counts> {
                self.reader.read(move |it| async move { read::counts(&it).await })
            }

            fn tally(&self) -> Answer<Tally> {
                self.reader.read(move |it| async move { read::tally(&it).await })
            }

            fn list(&self, filter: Filter) -> Answer<Vec<Record>> {
                self.reader.read(move |it| async move { read::list(&it, &filter).await })
            }

            fn show(&self, id: DeliveryId) -> Answer<Option<Record>> {
                self.reader.read(move |it| async move { read::show(&it, id).await })
            }

            fn parked(&self, filter: ParkedFilter) -> Answer<Vec<Webhook>> {
                self.reader.read(move |it| async move { read::parked(&it, &filter).await })
            }

            fn webhook(&self, id: WebhookId) -> Answer<Option<Webhook>> {
                self.reader.read(move |it| async move { read::webhook(&it, id).await })
            }

            fn examine(&self, channels: Vec<SmolStr>, keep: Retention, now: Millis) -> Answer<Vec<Finding>> {
                self.reader.read(move |it| async move { examine::examine(&it, &channels, &keep, now).await })
            }
        }
    };
}

records!(PostgresStore);
records!(PostgresReader);
