//! What the writer is asked for, and what comes of it.

use std::sync::Arc;

use smol_str::SmolStr;
use tokio::sync::oneshot;

use super::calls::Wanted;
use super::purge::Table;
use crate::memory::Remember;
use crate::store::{
    Acceptance, Accepted, CallValue, Delivery, DeliveryId, Purged, Settled, Settlement, SharedCall,
    StoreError, WebhookId,
};
use crate::world::Millis;

/// Something that shares a commit with others.
pub(super) enum Work {
    Accept(Box<Acceptance>),
    Begin(DeliveryId),
    Settle(Box<Settlement>),
    Remember(Vec<Remember>),
}

/// Something that has a commit of its own.
pub(super) enum Chore {
    Retry(Vec<DeliveryId>, Millis),
    DropLost(Vec<DeliveryId>),
    DropParked(Vec<WebhookId>),
    Secret(SmolStr, Vec<u8>),
    ClaimCall(Wanted),
    EndCall(SmolStr, Option<CallValue>),
    Purge(Table, Millis),
}

/// What came of either.
pub(super) enum Done {
    Accepted(Accepted),
    Begun,
    Settled(Settled),
    Remembered,
    Released(Vec<Arc<Delivery>>),
    Retried(Vec<Arc<Delivery>>),
    Dropped(usize),
    /// Nothing was written: others have what this node held.
    Moved,
    Secret(Vec<u8>),
    Call(SharedCall),
    CallEnded,
    /// What was removed, and whether there may be more.
    Purged(Purged, bool),
}

impl Done {
    /// What was queued.
    pub(super) fn queued(&self) -> &[Arc<Delivery>] {
        match self {
            Self::Accepted(accepted) => &accepted.new,
            Self::Settled(settled) => &settled.new,
            Self::Released(new) | Self::Retried(new) => new,
            Self::Begun
            | Self::Remembered
            | Self::Moved
            | Self::Dropped(_)
            | Self::Secret(_)
            | Self::Call(_)
            | Self::CallEnded
            | Self::Purged(..) => &[],
        }
    }
}

/// Who is answered.
pub(super) type Reply = oneshot::Sender<Result<Done, StoreError>>;

/// A request to the writer.
pub(super) enum Command {
    Work(Work, Reply),
    Chore(Chore, Reply),
    /// Queue what there is of messages whose first piece is overdue.
    Release(Millis, Reply),
    Close,
}
