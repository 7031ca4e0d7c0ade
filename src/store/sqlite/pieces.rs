//! Messages that come in pieces: kept until the last piece is there, or overdue.
//!
//! Invariant: a piece leaves this table in the commit that queues the message that it is part of.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use smol_str::SmolStr;

use super::row;
use super::tx::Tx;
use crate::message::Piece;
use crate::store::{Delivery, Lane, NewDelivery, WebhookId, piece};
use crate::world::Millis;

/// What the pieces of one message have in common.
struct Set {
    channel: SmolStr,
    contact: SmolStr,
    key: SmolStr,
}

/// Keeps a piece; queues what is complete with it. A piece whose place is taken belongs to another message with
/// the same key: what there is of the earlier one goes first.
pub(super) fn add(
    tx: &Tx<'_>,
    new: &NewDelivery,
    piece: &Piece,
    at: Millis,
    webhook: Option<WebhookId>,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    let set = Set { channel: new.lane.channel.clone(), contact: new.contact.clone(), key: piece.key.clone() };
    let mut queued = Vec::new();
    if is_taken(tx, &set, piece.index)? {
        queued.extend(whole(tx, &set, at)?);
    }
    tx.change("INSERT INTO pieces (channel, contact, key, position, total, due_at, mid, kind, not_before, webhook, payload) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)", params![
            set.channel.as_str(),
            set.contact.as_str(),
            set.key.as_str(),
            piece.index,
            piece.total,
            at.saturating_add(piece.ttl),
            new.mid.as_str(),
            new.kind.as_str(),
            new.not_before,
            webhook,
            new.payload.as_ref(),
        ])?;
    let (there, wanted): (u32, u32) = tx
        .prepare_cached(
            "SELECT count(*), max(total) FROM pieces WHERE channel = ?1 AND contact = ?2 AND key = ?3",
        )?
        .query_row(params![set.channel.as_str(), set.contact.as_str(), set.key.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if there >= wanted {
        queued.extend(whole(tx, &set, at)?);
    }
    Ok(queued)
}

/// Queues what there is of one message whose first piece is overdue; none if there is none.
pub(super) fn release(tx: &Tx<'_>, now: Millis) -> rusqlite::Result<Option<Arc<Delivery>>> {
    let overdue = tx
        .prepare_cached(
            "SELECT channel, contact, key FROM pieces INDEXED BY pieces_due WHERE due_at <= ?1 \
             ORDER BY due_at LIMIT 1",
        )?
        .query_row(params![now], |row| {
            Ok(Set { channel: row::text(row, 0)?, contact: row::text(row, 1)?, key: row::text(row, 2)? })
        })
        .optional()?;
    match overdue {
        Some(set) => whole(tx, &set, now),
        None => Ok(None),
    }
}

fn is_taken(connection: &Connection, set: &Set, index: u16) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM pieces WHERE channel = ?1 AND contact = ?2 AND key = ?3 AND position = ?4",
        )?
        .exists(params![set.channel.as_str(), set.contact.as_str(), set.key.as_str(), index])
}

/// Puts together and queues what there is of a message.
fn whole(tx: &Tx<'_>, set: &Set, at: Millis) -> rusqlite::Result<Option<Arc<Delivery>>> {
    let key = params![set.channel.as_str(), set.contact.as_str(), set.key.as_str()];
    let mut payloads: Vec<Bytes> = Vec::new();
    let mut first: Option<(NewDelivery, Option<WebhookId>)> = None;
    let mut statement = tx.prepare_cached(
        "SELECT mid, kind, not_before, webhook, payload FROM pieces \
         WHERE channel = ?1 AND contact = ?2 AND key = ?3 ORDER BY position",
    )?;
    let mut rows = statement.query(key)?;
    while let Some(row) = rows.next()? {
        payloads.push(Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?));
        if first.is_none() {
            let (mid, kind) = (row::text(row, 0)?, row::kind_of(row.get_ref(1)?));
            let lane = Lane::inbound(set.channel.clone());
            let mut new = NewDelivery::new(lane, &set.contact, &mid, kind, Bytes::new());
            new.not_before = row.get(2)?;
            first = Some((new, row.get(3)?));
        }
    }
    let Some((mut new, webhook)) = first else { return Ok(None) };
    new.payload = piece::join(&payloads);
    tx.change("DELETE FROM pieces WHERE channel = ?1 AND contact = ?2 AND key = ?3", key)?;
    row::insert(tx, &new, at, webhook).map(Some)
}
