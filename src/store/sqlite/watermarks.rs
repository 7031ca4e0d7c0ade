//! Folding what is said about everything up to a moment into the status of each message.

use std::sync::Arc;

use rusqlite::params;
use smol_str::SmolStr;

use super::tx::Tx;
use super::{receipts, row};
use crate::message::Status;
use crate::store::fold::status_of;
use crate::store::{Delivery, Settlement, StatusSet, Watermark, notice};
use crate::world::Millis;

/// By how much a provider's clock may be behind ours, or its moments be rounded, in milliseconds. Without it the
/// last message, which is the one that was just read, would be missed.
const SKEW: Millis = 1000;

/// Folds a watermark in, and keeps it for messages that are recorded later; gives the statuses for the platform.
pub(super) fn receive(
    tx: &Tx<'_>,
    watermark: &Watermark,
    now: Millis,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    tx.change(
        "INSERT INTO watermarks (channel, contact, status, up_to, post, at, seen_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET up_to = excluded.up_to, post = excluded.post, at = excluded.at, \
             seen_at = excluded.seen_at WHERE excluded.up_to > up_to",
        params![
            watermark.channel.as_str(),
            watermark.contact.as_str(),
            watermark.status as i64,
            watermark.up_to,
            watermark.post.bits(),
            watermark.at,
            now
        ],
    )?;
    let messages: Vec<SmolStr> = tx
        .prepare_cached(
            "SELECT mid FROM messages INDEXED BY messages_open \
             WHERE status < 2 AND channel = ?1 AND contact = ?2 AND sent_at <= ?3 ORDER BY sent_at, mid",
        )?
        .query_map(
            params![
                watermark.channel.as_str(),
                watermark.contact.as_str(),
                watermark.up_to.saturating_add(SKEW)
            ],
            |row| row::text(row, 0),
        )?
        .collect::<rusqlite::Result<_>>()?;
    let mut new = Vec::new();
    for mid in messages {
        new.extend(apply(tx, watermark, &mid, now)?);
    }
    Ok(new)
}

/// Folds in the watermarks that came before a message was recorded.
pub(super) fn catch_up(tx: &Tx<'_>, settlement: &Settlement) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    let delivery = &settlement.delivery;
    let (channel, contact) = (&delivery.lane.channel, &delivery.contact);
    let watermarks: Vec<Watermark> = tx
        .prepare_cached(
            "SELECT status, up_to, post, at FROM watermarks \
             WHERE channel = ?1 AND contact = ?2 AND up_to >= ?3 ORDER BY status",
        )?
        .query_map(
            params![channel.as_str(), contact.as_str(), settlement.begun_at.saturating_sub(SKEW)],
            |row| {
                Ok(Watermark {
                    channel: channel.clone(),
                    contact: contact.clone(),
                    status: status_of(row.get(0)?),
                    up_to: row.get(1)?,
                    post: StatusSet::from_bits(row.get(2)?),
                    at: row.get(3)?,
                })
            },
        )?
        .collect::<rusqlite::Result<_>>()?;
    let mut new = Vec::new();
    for watermark in &watermarks {
        new.extend(apply(tx, watermark, &delivery.mid, settlement.at)?);
    }
    Ok(new)
}

fn apply(
    tx: &Tx<'_>,
    watermark: &Watermark,
    mid: &SmolStr,
    now: Millis,
) -> rusqlite::Result<Option<Arc<Delivery>>> {
    let Watermark { channel, contact, status, .. } = watermark;
    let Some((_, mut standing)) = receipts::standing(tx, channel, mid)? else { return Ok(None) };
    // What is said about all messages says nothing of why one was lost.
    let status = (*status).min(Status::Read);
    let moved = receipts::fold(tx, channel, mid, &mut standing, None, status)?;
    let Some(status) = moved.filter(|status| watermark.post.contains(*status)) else { return Ok(None) };
    let new = notice::status_delivery(channel, contact, mid, status, None, watermark.at);
    row::insert(tx, &new, now, None).map(Some)
}
