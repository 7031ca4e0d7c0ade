//! Removing what is older than its retention, one small slice at a time so that other writes are not held up.

use tokio_postgres::{Error, Transaction};

use crate::store::{Purged, Retention};
use crate::world::Millis;

/// How many rows a slice removes at most.
const SLICE: i64 = 2000;

/// Where a purge has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Deliveries,
    Lost,
    Journal,
    Dedupe,
    Messages,
    ProviderIds,
    Waiting,
    Memory,
    Calls,
}

impl Table {
    /// All of them, in the order in which they are gone through.
    pub(super) const ALL: [Self; 9] = [
        Self::Deliveries,
        Self::Lost,
        Self::Journal,
        Self::Dedupe,
        Self::Messages,
        Self::ProviderIds,
        Self::Waiting,
        Self::Memory,
        Self::Calls,
    ];
}

/// Removes one slice; says how much that was, and whether there may be more.
pub(super) async fn slice(
    transaction: &Transaction<'_>,
    table: Table,
    now: Millis,
    keep: &Retention,
) -> Result<(Purged, bool), Error> {
    let mut purged = Purged::default();
    // What is settled was accepted before, which is what the index of ranges is on.
    let (sql, before) = match table {
        Table::Deliveries => (
            "DELETE FROM deliveries WHERE id = ANY(ARRAY(SELECT id FROM deliveries \
             WHERE state = 1 AND accepted_at < $1 AND settled_at < $1 LIMIT $2))",
            now - keep.settled,
        ),
        Table::Lost => (
            "DELETE FROM deliveries WHERE id = ANY(ARRAY(SELECT id FROM deliveries \
             WHERE state >= 2 AND settled_at < $1 LIMIT $2))",
            now - keep.lost,
        ),
        Table::Journal => (
            // By age first: looked for together, all of the journal would be read while nothing in it is old.
            "WITH old AS MATERIALIZED (SELECT id, verdict, received_at FROM journal \
             WHERE received_at < greatest($1::bigint, $3::bigint)) \
             DELETE FROM journal WHERE id = ANY(ARRAY(SELECT id FROM old \
             WHERE received_at < CASE verdict WHEN 'parked' THEN $3 ELSE $1 END \
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE webhook = old.id AND state >= 2) LIMIT $2))",
            now - keep.journal,
        ),
        Table::Dedupe => (
            "DELETE FROM dedupe WHERE key = ANY(ARRAY(SELECT key FROM dedupe WHERE seen_at < $1 LIMIT $2))",
            now - keep.dedupe,
        ),
        Table::Messages => (
            "DELETE FROM messages USING (SELECT channel, mid FROM messages WHERE sent_at < $1 LIMIT $2) AS old \
             WHERE messages.channel = old.channel AND messages.mid = old.mid",
            now - keep.ids,
        ),
        Table::ProviderIds => (
            "DELETE FROM provider_ids USING (SELECT channel, provider_id FROM provider_ids WHERE sent_at < $1 LIMIT $2) \
             AS old WHERE provider_ids.channel = old.channel AND provider_ids.provider_id = old.provider_id",
            now - keep.ids,
        ),
        Table::Waiting => (
            "DELETE FROM waiting_receipts WHERE id = ANY(ARRAY(SELECT id FROM waiting_receipts WHERE seen_at < $1 LIMIT $2))",
            now - keep.waiting,
        ),
        Table::Memory => (
            "DELETE FROM memory USING (SELECT channel, contact, name FROM memory \
             WHERE expires_at IS NOT NULL AND expires_at <= $1 LIMIT $2) AS old \
             WHERE memory.channel = old.channel AND memory.contact = old.contact AND memory.name = old.name",
            now,
        ),
        Table::Calls => (
            "DELETE FROM calls WHERE name = ANY(ARRAY(SELECT name FROM calls WHERE expires_at <= $1 \
             OR expires_at IS NULL AND NOT EXISTS (SELECT FROM nodes WHERE id = maker) LIMIT $2))",
            now,
        ),
    };
    let mut gone = match table {
        Table::Journal => transaction.execute(sql, &[&before, &SLICE, &(now - keep.lost)]).await?,
        _ => transaction.execute(sql, &[&before, &SLICE]).await?,
    };
    if table == Table::Waiting {
        transaction.execute("DELETE FROM pauses WHERE until < $1", &[&now]).await?;
        gone += transaction.execute("DELETE FROM watermarks WHERE seen_at < $1", &[&before]).await?;
    }
    match table {
        Table::Deliveries | Table::Lost => purged.deliveries = gone,
        Table::Journal => purged.webhooks = gone,
        Table::Dedupe => purged.keys = gone,
        Table::Messages | Table::ProviderIds => purged.ids = gone,
        Table::Waiting => purged.receipts = gone,
        Table::Memory => purged.memories = gone,
        // What is used up is no news.
        Table::Calls => {}
    }
    Ok((purged, gone >= u64::try_from(SLICE).unwrap_or(u64::MAX)))
}
