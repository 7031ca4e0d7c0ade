//! Folding receipts into the status of their message, and keeping those that came too early.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};
use smol_str::SmolStr;

use super::row;
use super::tx::Tx;
use crate::message::{Fault, IdOwner, Status};
use crate::store::fold::{Standing, status_of};
use crate::store::{Delivery, Receipt, StatusSet, notice};
use crate::world::Millis;

/// A message that a receipt is about.
struct Known {
    mid: SmolStr,
    part: Option<usize>,
    contact: SmolStr,
    standing: Standing,
}

/// Folds a receipt in, or keeps it until its message is known; gives the status for the platform, if any.
pub(super) fn receive(
    tx: &Tx<'_>,
    receipt: &Receipt,
    now: Millis,
) -> rusqlite::Result<Option<Arc<Delivery>>> {
    match known(tx, receipt)? {
        Some(known) => apply(tx, receipt, known, now),
        None => keep(tx, receipt, now).map(|()| None),
    }
}

/// Folds in the receipts that waited for a message that was just recorded; `ids` are the provider's.
pub(super) fn catch_up<'a>(
    tx: &Tx<'_>,
    channel: &SmolStr,
    mid: &SmolStr,
    ids: impl Iterator<Item = &'a str>,
    now: Millis,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    let mut new = Vec::new();
    let names = ids.map(|id| (id, IdOwner::Provider)).chain([(mid.as_str(), IdOwner::Own)]);
    for (id, owner) in names {
        for receipt in take_waiting(tx, channel, id, owner)? {
            if let Some(known) = known(tx, &receipt)? {
                new.extend(apply(tx, &receipt, known, now)?);
            }
        }
    }
    Ok(new)
}

/// Records a message that left the queue.
pub(super) fn record(
    tx: &Tx<'_>,
    delivery: &Delivery,
    standing: &Standing,
    at: Millis,
) -> rusqlite::Result<()> {
    tx.change(
        "INSERT OR REPLACE INTO messages (channel, mid, contact, status, parts, sent_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            delivery.lane.channel.as_str(),
            delivery.mid.as_str(),
            delivery.contact.as_str(),
            standing.message() as i64,
            standing.to_bytes(),
            at
        ],
    )?;
    Ok(())
}

/// Whether a message is on record as failed.
pub(super) fn has_failed(connection: &Connection, delivery: &Delivery) -> rusqlite::Result<bool> {
    let found = standing(connection, &delivery.lane.channel, &delivery.mid)?;
    Ok(found.is_some_and(|(_, standing)| standing.message() == Status::Failed))
}

/// The message and the part that a provider's id names.
pub(super) fn by_provider_id(
    connection: &Connection,
    channel: &str,
    id: &str,
) -> rusqlite::Result<Option<(SmolStr, usize)>> {
    connection
        .prepare_cached("SELECT mid, part FROM provider_ids WHERE channel = ?1 AND provider_id = ?2")?
        .query_row(params![channel, id], |row| {
            Ok((row::text(row, 0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
        })
        .optional()
}

/// The contact and the standing of a message.
pub(super) fn standing(
    connection: &Connection,
    channel: &str,
    mid: &str,
) -> rusqlite::Result<Option<(SmolStr, Standing)>> {
    connection
        .prepare_cached("SELECT contact, status, parts FROM messages WHERE channel = ?1 AND mid = ?2")?
        .query_row(params![channel, mid], |row| {
            let standing = Standing::from_bytes(row.get_ref(2)?.as_blob()?, status_of(row.get(1)?));
            Ok((row::text(row, 0)?, standing))
        })
        .optional()
}

fn known(connection: &Connection, receipt: &Receipt) -> rusqlite::Result<Option<Known>> {
    let (mid, part) = match receipt.id_owner {
        IdOwner::Own => (receipt.id.clone(), None),
        IdOwner::Provider => match by_provider_id(connection, &receipt.channel, &receipt.id)? {
            Some((mid, part)) => (mid, Some(part)),
            None => return Ok(None),
        },
    };
    let found = standing(connection, &receipt.channel, &mid)?;
    Ok(found.map(|(contact, standing)| Known { mid, part, contact, standing }))
}

fn apply(
    tx: &Tx<'_>,
    receipt: &Receipt,
    mut known: Known,
    now: Millis,
) -> rusqlite::Result<Option<Arc<Delivery>>> {
    let moved = fold(tx, &receipt.channel, &known.mid, &mut known.standing, known.part, receipt.status)?;
    let Some(status) = moved.filter(|status| receipt.post.contains(*status)) else { return Ok(None) };
    let error = if status == Status::Failed { receipt.error.clone() } else { None };
    let new =
        notice::status_delivery(&receipt.channel, &known.contact, &known.mid, status, error, receipt.at);
    row::insert(tx, &new, now, None).map(Some)
}

/// Moves a message, or a part of it, and writes down where it is; gives its new status if it moved.
pub(super) fn fold(
    tx: &Tx<'_>,
    channel: &str,
    mid: &str,
    standing: &mut Standing,
    part: Option<usize>,
    status: Status,
) -> rusqlite::Result<Option<Status>> {
    let before = standing.to_bytes();
    let moved = standing.fold(part, status);
    let after = standing.to_bytes();
    if before != after || moved.is_some() {
        tx.change(
            "UPDATE messages SET status = ?3, parts = ?4 WHERE channel = ?1 AND mid = ?2",
            params![channel, mid, standing.message() as i64, after],
        )?;
    }
    Ok(moved)
}

fn keep(tx: &Tx<'_>, receipt: &Receipt, now: Millis) -> rusqlite::Result<()> {
    let (code, message) = match &receipt.error {
        Some(fault) => (Some(fault.code.as_str()), Some(fault.message.as_str())),
        None => (None, None),
    };
    tx.change("INSERT INTO waiting_receipts (channel, own, message, status, error_code, error_message, post, at, seen_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", params![
            receipt.channel.as_str(),
            receipt.id_owner == IdOwner::Own,
            receipt.id.as_str(),
            receipt.status as i64,
            code,
            message,
            receipt.post.bits(),
            receipt.at,
            now
        ])?;
    Ok(())
}

fn take_waiting(
    tx: &Tx<'_>,
    channel: &SmolStr,
    id: &str,
    id_owner: IdOwner,
) -> rusqlite::Result<Vec<Receipt>> {
    let own = id_owner == IdOwner::Own;
    let receipts = tx
        .prepare_cached(
            "SELECT status, error_code, error_message, post, at FROM waiting_receipts \
             WHERE channel = ?1 AND own = ?2 AND message = ?3 ORDER BY id",
        )?
        .query_map(params![channel.as_str(), own, id], |row| {
            let (code, message): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
            Ok(Receipt {
                channel: channel.clone(),
                id: id.into(),
                id_owner,
                status: status_of(row.get(0)?),
                error: code.zip(message).map(|(code, message)| Fault { code, message }),
                post: StatusSet::from_bits(row.get(3)?),
                at: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if !receipts.is_empty() {
        tx.change(
            "DELETE FROM waiting_receipts WHERE channel = ?1 AND own = ?2 AND message = ?3",
            params![channel.as_str(), own, id],
        )?;
    }
    Ok(receipts)
}
