//! Dead letters: deliveries that were refused for good, given up or held, back into the queue or out of the store.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::row;
use crate::store::{Delivery, DeliveryId};
use crate::world::Millis;

/// Queues those of `ids` again that are dead letters, in this order. A new id is what puts each behind everything that
/// is queued; messages are bulk now, so that conversations go first.
pub(super) fn retry(
    connection: &Connection,
    ids: &[DeliveryId],
    at: Millis,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    let mut copy = connection.prepare_cached(
        "INSERT INTO deliveries (channel, direction, contact, mid, kind, state, attempts, not_before, accepted_at, \
         webhook, error, progress, payload, bulk) \
         SELECT channel, direction, contact, mid, kind, 0, 0, 0, ?2, webhook, error, progress, payload, direction \
         FROM deliveries WHERE id = ?1 AND state IN (2, 3, 4)",
    )?;
    let mut find =
        connection.prepare_cached(&format!("SELECT {} FROM deliveries WHERE id = ?1", row::DELIVERY))?;
    let mut queued = Vec::new();
    for id in ids {
        if copy.execute(params![id, at])? == 0 {
            continue;
        }
        let new = connection.last_insert_rowid();
        drop(connection, &[*id])?;
        queued.extend(find.query_row(params![new], row::delivery).optional()?.map(Arc::new));
    }
    Ok(queued)
}

/// Removes those of `ids` that are dead letters. The keys beside them outlive them.
pub(super) fn drop(connection: &Connection, ids: &[DeliveryId]) -> rusqlite::Result<usize> {
    let mut keep_key = connection.prepare_cached(
        "INSERT OR IGNORE INTO dedupe (key, seen_at) SELECT dedupe, accepted_at FROM deliveries \
         WHERE id = ?1 AND state IN (2, 3, 4) AND dedupe IS NOT NULL AND id > (SELECT upto FROM moved)",
    )?;
    for id in ids {
        keep_key.execute(params![id])?;
    }
    let mut statement =
        connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND state IN (2, 3, 4)")?;
    ids.iter().try_fold(0, |dropped, id| Ok(dropped + statement.execute(params![id])?))
}
