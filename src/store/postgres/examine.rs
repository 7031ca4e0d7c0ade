//! Looking for what can't be right. Invariant: it changes nothing.

use smol_str::SmolStr;
use tokio_postgres::{Error, Row};

use super::connection::Connection;
use super::{read, row};
use crate::store::{Finding, FindingKind, Retention};
use crate::world::Millis;

/// How long what is done now and then may be late: house is kept every few minutes.
const GRACE: Millis = 3_600_000;

/// Everything that can't be right.
pub(super) async fn examine(
    connection: &Connection,
    channels: &[SmolStr],
    keep: &Retention,
    now: Millis,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let lanes = read::lanes(connection).await?.into_iter();
    for depth in lanes.filter(|depth| depth.queued > 0 && !channels.contains(&depth.lane.channel)) {
        let what = format!("{} are queued for `{}`, which is no channel", depth.queued, depth.lane);
        findings.push(Finding::new(FindingKind::UnknownChannel, what));
    }
    // A webhook goes when it is old, so one is only missed that came after another that is young enough to be there.
    let young = now - keep.journal + GRACE;
    let webhooks = counted(
        connection,
        "SELECT count(*), min(id)::text FROM deliveries WHERE webhook IS NOT NULL \
         AND (webhook > (SELECT last_value FROM webhook_ids) OR webhook >= (SELECT min(id) FROM journal WHERE received_at >= $1)) \
         AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.id = deliveries.webhook)",
        young,
    );
    if let Some((count, first)) = webhooks.await? {
        let what =
            format!("{count} deliveries name a webhook that is not in the journal; the first is {first}");
        findings.push(Finding::new(FindingKind::MissingWebhook, what));
    }
    let messages = counted(
        connection,
        "SELECT count(*), min(provider_id) FROM provider_ids WHERE sent_at >= $1 AND NOT EXISTS (SELECT 1 FROM messages \
         WHERE messages.channel = provider_ids.channel AND messages.mid = provider_ids.mid)",
        now - keep.ids + GRACE,
    );
    if let Some((count, first)) = messages.await? {
        let what = format!("{count} ids of the provider lead to no message; the first is `{first}`");
        findings.push(Finding::new(FindingKind::MissingMessage, what));
    }
    let sql = "SELECT count(*), min(contact) FROM pieces WHERE due_at <= $1";
    if let Some((count, first)) = counted(connection, sql, now - GRACE).await? {
        let what = format!(
            "{count} pieces of messages are overdue, one of the contact `{first}`; a gateway that runs releases them"
        );
        findings.push(Finding::new(FindingKind::OverduePieces, what));
    }
    let sql = "SELECT count(*), min(id)::text FROM waiting_receipts WHERE seen_at < $1";
    if let Some((count, _)) = counted(connection, sql, now - keep.waiting - GRACE).await? {
        let what =
            format!("{count} receipts wait longer than they are kept; a gateway that runs removes them");
        findings.push(Finding::new(FindingKind::OverdueReceipts, what));
    }
    findings.extend(sequences(connection).await?);
    Ok(findings)
}

/// How many there are of what should not be, and the first of them.
async fn counted(
    connection: &Connection,
    sql: &'static str,
    moment: Millis,
) -> Result<Option<(u64, String)>, Error> {
    let row: Option<Row> = connection.row(sql, &[&moment]).await?;
    Ok(row
        .map(|row| (row::count(&row, 0), row::maybe(&row, 1).unwrap_or_default()))
        .filter(|found| found.0 > 0))
}

/// Ids are the order of the queue, and are never given out twice.
async fn sequences(connection: &Connection) -> Result<Vec<Finding>, Error> {
    let sql = "SELECT (SELECT last_value FROM delivery_ids), (SELECT last_value FROM webhook_ids), \
               (SELECT coalesce(max(id), 0) FROM deliveries), (SELECT coalesce(max(id), 0) FROM journal)";
    let Some(row) = connection.row(sql, &[]).await? else { return Ok(Vec::new()) };
    let tables =
        [("deliveries", row.get::<_, i64>(0), row.get::<_, i64>(2)), ("journal", row.get(1), row.get(3))];
    let wrong = tables.into_iter().filter(|(_, last, highest)| highest > last);
    Ok(wrong
        .map(|(table, last, highest)| {
            let what =
                format!("the table `{table}` holds the id {highest}, the last one given out is {last}");
            Finding::new(FindingKind::Sequence, what)
        })
        .collect())
}
