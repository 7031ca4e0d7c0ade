//! What is asked for now and then, each in a transaction of its own: overdue pieces, dead letters and parked webhooks that
//! an operator wants changed, secrets.

use std::sync::Arc;

use tokio_postgres::{Error, Transaction};

use super::read::delivery;
use super::{row, text, turn};
use crate::store::ledger::PieceSet;
use crate::store::{Delivery, DeliveryId, WebhookId};
use crate::world::Millis;

/// The messages whose first piece is overdue.
pub(super) async fn overdue(client: &tokio_postgres::Client, now: Millis) -> Result<Vec<PieceSet>, Error> {
    let sql = "SELECT DISTINCT channel, contact, key FROM pieces WHERE due_at <= $1";
    let rows = client.query(sql, &[&now]).await?;
    let set =
        |row| PieceSet { channel: row::name(row, 0), contact: row::name(row, 1), key: row::name(row, 2) };
    Ok(rows.iter().map(set).collect())
}

/// Queues those of `ids` again that are dead letters, in this order. A new id is what puts each behind everything that
/// is queued; messages are bulk now, so that conversations go first. `last` are the last ids that were given out.
pub(super) async fn retry(
    transaction: &Transaction<'_>,
    last: (DeliveryId, WebhookId),
    ids: &[DeliveryId],
    at: Millis,
) -> Result<Vec<Arc<Delivery>>, Error> {
    let (mut last, webhook) = last;
    let mut queued = Vec::new();
    for id in ids {
        let sql = "INSERT INTO deliveries (id, channel, direction, contact, mid, kind, state, attempts, not_before, \
             accepted_at, webhook, error, progress, in_doubt, bulk, payload) \
             SELECT $2, channel, direction, contact, mid, kind, 0, 0, 0, $3, webhook, error, progress, false, \
             direction = 1, payload FROM deliveries WHERE id = $1 AND state IN (2, 3, 4)";
        if transaction.execute(sql, &[id, &(last + 1), &at]).await? == 0 {
            continue;
        }
        last += 1;
        drop_lost(transaction, &[*id]).await?;
        let row = transaction.query_one(delivery!("FROM deliveries WHERE id = $1"), &[&last]).await?;
        queued.push(Arc::new(row::delivery(&row)));
    }
    turn::note(transaction, last, webhook).await?;
    Ok(queued)
}

/// Removes those of `ids` that are dead letters.
pub(super) async fn drop_lost(transaction: &Transaction<'_>, ids: &[DeliveryId]) -> Result<usize, Error> {
    let sql = "DELETE FROM deliveries WHERE id = ANY($1) AND state IN (2, 3, 4)";
    transaction.execute(sql, &[&ids]).await.map(count)
}

/// Lets go of parked webhooks: each becomes one that was ignored, which goes when others do.
pub(super) async fn drop_parked(transaction: &Transaction<'_>, ids: &[WebhookId]) -> Result<usize, Error> {
    let sql = "UPDATE journal SET verdict = 'ignored', reason = 'dropped, was ' || coalesce(reason, 'parked') \
               WHERE id = ANY($1) AND verdict = 'parked'";
    transaction.execute(sql, &[&ids]).await.map(count)
}

/// The secret of that name, which is `fresh` if there was none.
pub(super) async fn secret(
    transaction: &Transaction<'_>,
    name: &str,
    fresh: &[u8],
) -> Result<Vec<u8>, Error> {
    let name = text::stored(name);
    let sql = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    transaction.execute(sql, &[&name, &fresh]).await?;
    Ok(transaction.query_one("SELECT value FROM secrets WHERE name = $1", &[&name]).await?.get(0))
}

fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
