//! What is durable: journal, queue, de-duplication, provider ids, receipts, aliases, small memory.
//!
//! One trait, [`Store`], with one implementation per database. Invariant: an operation that changes something
//! is one durable unit; it is answered after it is on disk, and an error means that nothing of it was written.
//! SQL is written nowhere else.

mod acceptance;
mod copy;
mod entry;
mod error;
mod feed;
mod finding;
mod fold;
mod lane;
mod lease;
mod ledger;
mod notice;
mod piece;
mod postgres;
mod query;
mod records;
mod settlement;
mod shared_call;
mod sqlite;
mod status_set;
mod unit;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::memory::{Memory, Remember};
use crate::world::Millis;

pub use acceptance::{
    Acceptance, Accepted, Alias, JournalEntry, Receipt, Replay, Verdict, Watermark, Webhook,
};
pub use copy::{Copied, copy};
pub use entry::{Delivery, DeliveryId, NewDelivery, Record, State, WebhookId};
pub use error::StoreError;
pub use feed::{Elsewhere, Fed, Feed, FeedReader, feed};
pub use finding::{Finding, FindingKind};
pub use lane::{Direction, Lane};
pub use lease::{Leases, SLOTS, Slot, Tenure};
pub use notice::{event_delivery, status_delivery};
pub use postgres::{PostgresReader, PostgresStore};
pub use query::{
    Above, Counts, Filter, LaneDepth, LostCount, Page, ParkedCount, ParkedFilter, Purged, Retention,
    SentPart, Tally,
};
pub use records::Records;
pub use settlement::{Ending, Settled, Settlement};
pub use shared_call::{CallValue, SharedCall};
pub use sqlite::{SqliteReader, SqliteStore};
pub use status_set::StatusSet;

/// An answer of the store, some time later. Dropping it does not take the request back.
pub type Answer<T> = BoxFuture<'static, Result<T, StoreError>>;

/// What delivery and server need of a database.
pub trait Store: Records {
    /// Writes a webhook and what follows from it, or a message of the platform. [`StoreError::Busy`] at once
    /// when too much is waiting.
    ///
    /// What was queued reaches the [`Feed`] after it is durable and before the answer, in queue order.
    fn accept(&self, acceptance: Acceptance) -> Answer<Accepted>;

    /// Notes that an attempt of a queued delivery begins, until its settlement: whoever finds the note knows that the
    /// attempt's outcome is not known. Waits for room instead of being refused.
    fn begin(&self, id: DeliveryId) -> Answer<()>;

    /// Writes the outcome of an attempt; waits for room instead of being refused.
    fn settle(&self, settlement: Settlement) -> Answer<Settled>;

    /// The queued deliveries of a lane, lowest ids first: those of conversations, and bulk where that is asked for.
    /// Both are of one moment.
    fn page(&self, lane: Lane, live: Above, bulk: Option<Above>) -> Answer<Page>;

    /// The queued deliveries of one contact in a lane, bulk and not, with ids above `after` up to `upto`, lowest first, at
    /// most `limit`.
    fn page_contact(
        &self,
        lane: Lane,
        contact: SmolStr,
        after: DeliveryId,
        upto: DeliveryId,
        limit: usize,
    ) -> Answer<Vec<Arc<Delivery>>>;

    /// What an alias stands for.
    fn original(&self, channel: SmolStr, alias: SmolStr) -> Answer<Option<SmolStr>>;

    /// The message that a provider's id belongs to, if we sent it.
    fn sent(&self, channel: SmolStr, provider_id: SmolStr) -> Answer<Option<SentPart>>;

    /// What is remembered about a contact and its channel, without what has expired.
    fn memory(&self, channel: SmolStr, contact: SmolStr, now: Millis) -> Answer<Memory>;

    /// Changes what is remembered.
    fn remember(&self, changes: Vec<Remember>) -> Answer<()>;

    /// Queues what there is of messages whose missing pieces are overdue; it reaches the [`Feed`]. Gives how many
    /// messages that were. Call it every second or so.
    fn release(&self, now: Millis) -> Answer<usize>;

    /// Who wrote since then, by channel and contact, with the moment: the latest first, at most `limit`.
    fn heard(&self, since: Millis, limit: usize) -> Answer<Vec<(SmolStr, SmolStr, Millis)>>;

    /// A secret of this installation: the one that is kept under that name, or `fresh`, which is kept from now on.
    fn secret(&self, name: SmolStr, fresh: Vec<u8>) -> Answer<Vec<u8>>;

    /// The value of a call that nodes share, by a name that is the same on all of them, if it is good at `now` and is not
    /// the one that would be used up at `refused`; or who makes the call. This node makes it until [`Store::end_call`], or
    /// until the others take it for gone; it may ask again after an error, but for a call that it makes only after that.
    fn claim_call(&self, _name: SmolStr, _refused: Option<Millis>, _now: Millis) -> Answer<SharedCall> {
        async { Ok(SharedCall::Make) }.boxed()
    }

    /// A call that this node makes is made, and came to that value, if any. Nothing happens where this node does not make it
    /// (any more).
    fn end_call(&self, _name: SmolStr, _value: Option<CallValue>) -> Answer<()> {
        async { Ok(()) }.boxed()
    }

    /// Puts those of these deliveries that failed or were given up into the queue again, in this order, behind
    /// everything that is queued; they reach the [`Feed`]. Each gets a new id, is as old as `at` and has no attempts;
    /// what its carrier noted about parts that are sent stays. The others are left alone.
    fn retry(&self, ids: Vec<DeliveryId>, at: Millis) -> Answer<Vec<Arc<Delivery>>>;

    /// Removes those of these deliveries that failed or were given up; gives how many that were.
    fn drop_lost(&self, ids: Vec<DeliveryId>) -> Answer<usize>;

    /// Parks those of these webhooks no longer that are parked: they are as good as ignored from now on. Gives how
    /// many that were.
    fn drop_parked(&self, ids: Vec<WebhookId>) -> Answer<usize>;

    /// Removes what is older than its retention, in small steps between other work. Call it now and then.
    fn purge(&self, now: Millis) -> Answer<Purged>;

    /// Which lanes this process may deliver.
    fn leases(&self) -> Leases {
        Leases::whole()
    }

    /// Finishes what is under way and lets go of the database; later requests get [`StoreError::Closed`].
    fn close(&self) -> Answer<()>;
}

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long things are kept.
    pub retention: Retention,
    /// How many requests may wait to be written before [`StoreError::Busy`].
    pub queue: usize,
    /// How many reads run at once.
    pub readers: usize,
    /// What makes this process one of the nodes that deliver, where a database can have several. The others read, and write
    /// what they are asked for.
    pub node: Option<Node>,
}

/// A process that delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// How it divides the lanes: in the same way as all for which this is the same.
    pub division: SmolStr,
    /// What only one process at a time can have: whoever had it before is gone.
    pub seat: Option<SmolStr>,
}

impl Default for Options {
    fn default() -> Self {
        Self { retention: Retention::default(), queue: 4096, readers: 2, node: None }
    }
}

/// Opens the store that `address` names (`sqlite:PATH`, `sqlite::memory:` or `postgres://..`), creates or migrates it
/// where needed, and feeds what it commits to `feed`.
pub fn open(address: &str, options: &Options, feed: Feed) -> Result<Arc<dyn Store>, StoreError> {
    if is_postgres(address) {
        return Ok(Arc::new(PostgresStore::open(address, options, feed)?));
    }
    match address.strip_prefix("sqlite:") {
        Some(":memory:") => Ok(Arc::new(SqliteStore::in_memory(options, feed)?)),
        Some(path) if !path.is_empty() => Ok(Arc::new(SqliteStore::open(path.as_ref(), options, feed)?)),
        _ => Err(StoreError::Address(address.to_owned())),
    }
}

/// Opens what `address` names for reading alone: beside a gateway that works with it, or without one.
pub fn open_records(address: &str) -> Result<Arc<dyn Records>, StoreError> {
    if is_postgres(address) {
        return Ok(Arc::new(PostgresReader::open(address)?));
    }
    match address.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() && path != ":memory:" => {
            Ok(Arc::new(SqliteReader::open(path.as_ref())?))
        }
        _ => Err(StoreError::Address(address.to_owned())),
    }
}

/// Whether an address of a store can be understood, or why not; says whether it holds a password.
pub fn judge(address: &str) -> Result<bool, String> {
    if is_postgres(address) { postgres::judge(address) } else { Err("there is no such kind of store".into()) }
}

/// Whether an address is that of a PostgreSQL database.
fn is_postgres(address: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme))
}
