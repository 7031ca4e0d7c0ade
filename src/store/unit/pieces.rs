//! Messages that come in pieces: kept until the last piece is there, or overdue.
//!
//! Invariant: a piece is let go in the unit that queues the message that it is part of.

use std::sync::Arc;

use bytes::Bytes;

use crate::message::Piece;
use crate::store::ledger::{KeptPiece, Ledger, PieceSet};
use crate::store::{Delivery, Lane, NewDelivery, WebhookId, piece};
use crate::world::Millis;

/// Keeps a piece; queues what is complete with it. A piece whose place is taken belongs to another message with
/// the same key: what there is of the earlier one goes first.
pub(super) fn add<L: Ledger>(
    ledger: &mut L,
    new: &NewDelivery,
    place: &Piece,
    at: Millis,
    webhook: Option<WebhookId>,
) -> Result<Vec<Arc<Delivery>>, L::Error> {
    let set = PieceSet::of(new, place);
    let mut queued = Vec::new();
    if ledger.has_piece(&set, place.index)? {
        queued.extend(whole(ledger, &set, at)?);
    }
    let piece = KeptPiece {
        mid: new.mid.clone(),
        kind: new.kind,
        not_before: new.not_before,
        webhook,
        payload: new.payload.clone(),
    };
    let (there, wanted) = ledger.keep_piece(&set, place, at.saturating_add(place.ttl), &piece)?;
    if there >= wanted {
        queued.extend(whole(ledger, &set, at)?);
    }
    Ok(queued)
}

/// Puts together and queues what there is of a message.
pub(in crate::store) fn whole<L: Ledger>(
    ledger: &mut L,
    set: &PieceSet,
    at: Millis,
) -> Result<Option<Arc<Delivery>>, L::Error> {
    let pieces = ledger.take_pieces(set)?;
    let Some(first) = pieces.first() else { return Ok(None) };
    let payloads: Vec<Bytes> = pieces.iter().map(|piece| piece.payload.clone()).collect();
    let lane = Lane::inbound(set.channel.clone());
    let mut new = NewDelivery::new(lane, &set.contact, &first.mid, first.kind, piece::join(&payloads));
    new.not_before = first.not_before;
    ledger.queue(&new, None, at, first.webhook).map(Some)
}
