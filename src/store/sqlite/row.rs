//! Rows to values and back.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row, params};
use smol_str::SmolStr;

use super::tx::Tx;
use crate::message::EventKind;
use crate::store::ledger::Key;
use crate::store::{
    Delivery, DeliveryId, Direction, JournalEntry, Lane, NewDelivery, Record, State, Verdict, Webhook,
    WebhookId,
};
use crate::world::Millis;

/// The columns of [`delivery`], in its order.
pub(super) const DELIVERY: &str = "id, channel, direction, contact, mid, kind, attempts, not_before, accepted_at, \
                                   webhook, progress, payload, in_doubt, bulk, behind";

/// The columns of [`webhook`], in its order.
pub(super) const WEBHOOK: &str =
    "id, received_at, channel, mapping, route, method, url, headers, body, verdict, reason";

/// Puts a delivery into the queue, with the key that it is known by, and gives it its place.
pub(super) fn insert(
    tx: &Tx<'_>,
    new: &NewDelivery,
    key: Option<&Key>,
    at: Millis,
    webhook: Option<WebhookId>,
) -> rusqlite::Result<Arc<Delivery>> {
    let behind = first_bulk(tx, new)?;
    let id = tx.insert(
        "INSERT INTO deliveries (channel, direction, contact, mid, kind, state, attempts, not_before, accepted_at, \
         webhook, dedupe, payload, bulk, behind) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            new.lane.channel.as_str(),
            new.lane.direction.number(),
            new.contact.as_str(),
            new.mid.as_str(),
            new.kind.as_str(),
            new.not_before,
            at,
            webhook,
            key,
            new.payload.as_ref(),
            new.bulk,
            behind,
        ],
    )?;
    Ok(Arc::new(Delivery::queued(id, new, behind, at, webhook)))
}

/// What a new delivery has to wait for: the first of its contact's bulk deliveries. Only messages can be bulk.
fn first_bulk(connection: &Connection, new: &NewDelivery) -> rusqlite::Result<Option<DeliveryId>> {
    if new.bulk || new.lane.direction == Direction::Inbound {
        return Ok(None);
    }
    connection
        .prepare_cached(
            "SELECT min(id) FROM deliveries INDEXED BY deliveries_bulk \
             WHERE state = 0 AND bulk = 1 AND channel = ?1 AND direction = ?2 AND contact = ?3",
        )?
        .query_row(
            params![new.lane.channel.as_str(), new.lane.direction.number(), new.contact.as_str()],
            |row| row.get(0),
        )
}

/// A delivery out of a row of [`DELIVERY`].
pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let direction = Direction::of(row.get(2)?);
    Ok(Delivery {
        id: row.get(0)?,
        lane: Lane { channel: text(row, 1)?, direction },
        contact: text(row, 3)?,
        mid: text(row, 4)?,
        kind: kind(row, 5)?,
        attempts: row.get(6)?,
        not_before: row.get(7)?,
        accepted_at: row.get(8)?,
        webhook: row.get(9)?,
        progress: row.get(10)?,
        in_doubt: row.get(12)?,
        bulk: row.get(13)?,
        behind: row.get(14)?,
        payload: Bytes::copy_from_slice(row.get_ref(11)?.as_blob()?),
    })
}

/// A record out of a row of [`DELIVERY`] followed by `state, settled_at, error`.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        delivery: delivery(row)?,
        state: State::of(row.get(15)?),
        settled_at: row.get(16)?,
        error: row.get(17)?,
    })
}

/// A journalled webhook out of a row of [`WEBHOOK`].
pub(super) fn webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let verdict = match row.get_ref(9)?.as_str()? {
        "accepted" => Verdict::Accepted,
        "ignored" => Verdict::Ignored,
        _ => Verdict::Parked,
    };
    Ok(Webhook {
        id: row.get(0)?,
        entry: JournalEntry {
            received_at: row.get(1)?,
            channel: row.get::<_, Option<String>>(2)?.map(SmolStr::from),
            mapping: text(row, 3)?,
            route: text(row, 4)?,
            method: text(row, 5)?,
            url: row.get(6)?,
            headers: row.get(7)?,
            body: Bytes::copy_from_slice(row.get_ref(8)?.as_blob()?),
            verdict,
            reason: row.get(10)?,
        },
    })
}

/// A text column.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<SmolStr> {
    Ok(SmolStr::new(row.get_ref(column)?.as_str()?))
}

/// A column that counts something.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

/// A column with the word for a kind of event.
pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<EventKind> {
    Ok(EventKind::named(row.get_ref(column)?.as_str()?).unwrap_or(EventKind::Event))
}
