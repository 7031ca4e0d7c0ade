//! What a durable unit reads and changes of a database, in the words of the store. What follows from what is decided in
//! [`super::unit`], once for all databases; a ledger only knows how to find and to write.
//!
//! Invariant: what was changed through a ledger is what is read through it, in the same unit and in the next.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::fold::Standing;
use super::{
    Alias, Delivery, DeliveryId, JournalEntry, NewDelivery, Receipt, Replay, Settlement, Watermark, WebhookId,
};
use crate::memory::Remember;
use crate::message::{EventKind, IdOwner, Piece};
use crate::world::Millis;

/// A hash of a channel and a key: what tells that something was delivered to us before.
pub(super) type Key = [u8; 16];

/// The hash of `key` in `channel`. Half of SHA-256 is far more than enough.
pub(super) fn key(channel: &str, key: &str) -> Key {
    let hash: [u8; 32] =
        Sha256::new().chain_update(channel).chain_update([0]).chain_update(key).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// What the pieces of one message have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PieceSet {
    pub(super) channel: SmolStr,
    pub(super) contact: SmolStr,
    pub(super) key: SmolStr,
}

impl PieceSet {
    /// The set that a piece belongs to.
    pub(super) fn of(new: &NewDelivery, piece: &Piece) -> Self {
        Self { channel: new.lane.channel.clone(), contact: new.contact.clone(), key: piece.key.clone() }
    }
}

/// One piece of a message that is not complete.
#[derive(Clone, Debug)]
pub(super) struct KeptPiece {
    pub(super) mid: SmolStr,
    pub(super) kind: EventKind,
    pub(super) not_before: Millis,
    pub(super) webhook: Option<WebhookId>,
    pub(super) payload: Bytes,
}

/// An open transaction, in the words of the store.
pub(super) trait Ledger {
    /// Why the database can't do it.
    type Error;

    /// Journals a webhook.
    fn journal(&mut self, entry: &JournalEntry) -> Result<WebhookId, Self::Error>;

    /// Notes what became of a webhook that was parked; whether it was still.
    fn replayed(&mut self, replay: &Replay) -> Result<bool, Self::Error>;

    /// When a key was seen last.
    fn seen(&mut self, key: &Key) -> Result<Option<Millis>, Self::Error>;

    /// A key was seen, if not later already.
    fn see(&mut self, key: &Key, at: Millis) -> Result<(), Self::Error>;

    /// Puts a delivery into the queue and gives it its place; its key, if it has one, was seen `at` the same time.
    fn queue(
        &mut self,
        new: &NewDelivery,
        key: Option<&Key>,
        at: Millis,
        webhook: Option<WebhookId>,
    ) -> Result<Arc<Delivery>, Self::Error>;

    /// Notes that an attempt of a queued delivery begins.
    fn begin(&mut self, id: DeliveryId) -> Result<(), Self::Error>;

    /// Writes the outcome of an attempt to the delivery, if it is queued; whether it was. Notes a pause of its lane.
    fn outcome(&mut self, settlement: &Settlement) -> Result<bool, Self::Error>;

    /// The message and the part that a provider's id names.
    fn named(&mut self, channel: &SmolStr, id: &SmolStr) -> Result<Option<(SmolStr, usize)>, Self::Error>;

    /// A part of a message has that name at the provider.
    fn name(&mut self, settlement: &Settlement, id: &str, part: usize) -> Result<(), Self::Error>;

    /// The contact and the standing of a message that left the queue.
    fn message(
        &mut self,
        channel: &SmolStr,
        mid: &SmolStr,
    ) -> Result<Option<(SmolStr, Standing)>, Self::Error>;

    /// Records a message that left the queue.
    fn record(&mut self, delivery: &Delivery, standing: &Standing, at: Millis) -> Result<(), Self::Error>;

    /// Writes down where a recorded message is now.
    fn moved(&mut self, channel: &SmolStr, mid: &SmolStr, standing: &Standing) -> Result<(), Self::Error>;

    /// Keeps a receipt until its message is known.
    fn keep_receipt(&mut self, receipt: &Receipt, now: Millis) -> Result<(), Self::Error>;

    /// Takes the receipts that wait for a message, in the order in which they came.
    fn take_receipts(
        &mut self,
        channel: &SmolStr,
        id: &SmolStr,
        owner: IdOwner,
    ) -> Result<Vec<Receipt>, Self::Error>;

    /// Keeps a watermark, unless there is a later one of the same contact and status.
    fn keep_watermark(&mut self, watermark: &Watermark, now: Millis) -> Result<(), Self::Error>;

    /// The watermarks of a contact that reach `since` or further, in the order of their status.
    fn watermarks(
        &mut self,
        channel: &SmolStr,
        contact: &SmolStr,
        since: Millis,
    ) -> Result<Vec<Watermark>, Self::Error>;

    /// The messages of a contact that were neither read nor lost and were sent at that moment or before, in the order in
    /// which they were sent.
    fn open_messages(
        &mut self,
        channel: &SmolStr,
        contact: &SmolStr,
        upto: Millis,
    ) -> Result<Vec<SmolStr>, Self::Error>;

    /// Whether there is a piece in that place.
    fn has_piece(&mut self, set: &PieceSet, index: u16) -> Result<bool, Self::Error>;

    /// Keeps a piece; gives how many there are now, and of how many.
    fn keep_piece(
        &mut self,
        set: &PieceSet,
        place: &Piece,
        due_at: Millis,
        piece: &KeptPiece,
    ) -> Result<(u32, u32), Self::Error>;

    /// Takes all pieces of a message, in their order.
    fn take_pieces(&mut self, set: &PieceSet) -> Result<Vec<KeptPiece>, Self::Error>;

    /// Changes what is remembered, in that order.
    fn remember(&mut self, changes: &[Remember]) -> Result<(), Self::Error>;

    /// Remembers an alias, unless it is known.
    fn alias(&mut self, alias: &Alias, at: Millis) -> Result<(), Self::Error>;
}
