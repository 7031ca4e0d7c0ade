//! Dead letters: deliveries that were refused for good, given up or held, back into the queue or out of the store.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::row;
use super::tx::Tx;
use crate::store::{Delivery, DeliveryId};
use crate::world::Millis;

/// Queues those of `ids` again that are dead letters, in this order. A new id is what puts each behind everything that
/// is queued; messages are bulk now, so that conversations go first.
pub(super) fn retry(tx: &Tx<'_>, ids: &[DeliveryId], at: Millis) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    let mut find = tx.prepare_cached(&format!("SELECT {} FROM deliveries WHERE id = ?1", row::DELIVERY))?;
    let mut queued = Vec::new();
    for id in ids {
        let copied = tx.change(
            "INSERT INTO deliveries (channel, direction, contact, mid, kind, state, attempts, not_before, accepted_at, \
             webhook, error, progress, payload, bulk) \
             SELECT channel, direction, contact, mid, kind, 0, 0, 0, ?2, webhook, error, progress, payload, direction \
             FROM deliveries WHERE id = ?1 AND state IN (2, 3, 4)",
            params![id, at],
        )?;
        if copied == 0 {
            continue;
        }
        let new = tx.last_insert_rowid();
        drop(tx, &[*id])?;
        queued.extend(find.query_row(params![new], row::delivery).optional()?.map(Arc::new));
    }
    Ok(queued)
}

/// Removes those of `ids` that are dead letters. The keys beside them outlive them.
pub(super) fn drop(tx: &Tx<'_>, ids: &[DeliveryId]) -> rusqlite::Result<usize> {
    for id in ids {
        tx.change(
            "INSERT OR IGNORE INTO dedupe (key, seen_at) SELECT dedupe, accepted_at FROM deliveries \
             WHERE id = ?1 AND state IN (2, 3, 4) AND dedupe IS NOT NULL AND id > (SELECT upto FROM moved)",
            params![id],
        )?;
    }
    ids.iter().try_fold(0, |dropped, id| {
        let gone = tx.change("DELETE FROM deliveries WHERE id = ?1 AND state IN (2, 3, 4)", params![id])?;
        Ok(dropped + gone)
    })
}
