//! Looking for what can't be right. Invariant: it changes nothing, and what can't be read because the file is damaged is
//! a finding, not an error.

use rusqlite::{Connection, Row, params};
use smol_str::SmolStr;

use super::read;
use crate::store::{Finding, FindingKind, Retention};
use crate::world::Millis;

/// How many places of a damaged file are told.
const DAMAGES: u32 = 20;
/// How long what is done now and then may be late: house is kept every few minutes.
const GRACE: Millis = 3_600_000;

/// Everything that can't be right.
pub(super) fn examine(
    connection: &Connection,
    channels: &[SmolStr],
    keep: &Retention,
    now: Millis,
) -> Vec<Finding> {
    let checks: [&dyn Fn() -> rusqlite::Result<Vec<Finding>>; 7] = [
        &|| damage(connection),
        &|| missing_webhooks(connection, now - keep.journal + GRACE),
        &|| missing_messages(connection, now - keep.ids + GRACE),
        &|| unknown_channels(connection, channels),
        &|| overdue_pieces(connection, now - GRACE),
        &|| overdue_receipts(connection, now - keep.waiting - GRACE),
        &|| sequences(connection),
    ];
    let mut findings = Vec::new();
    for check in checks {
        match check() {
            Ok(found) => findings.extend(found),
            Err(error) => {
                let finding = Finding::new(FindingKind::Damaged, error.to_string());
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
    }
    findings
}

fn damage(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({DAMAGES})"))?;
    let lines = check.query_map([], |row| row.get::<_, String>(0))?;
    let lines = lines.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lines
        .into_iter()
        .filter(|line| line != "ok")
        .map(|line| Finding::new(FindingKind::Damaged, line.replace('\n', "; ")))
        .collect())
}

/// A webhook goes when it is old, so one is only missed that came after another that is young enough to be there.
fn missing_webhooks(connection: &Connection, young: Millis) -> rusqlite::Result<Vec<Finding>> {
    let sql = "SELECT count(*), min(id) FROM deliveries WHERE webhook IS NOT NULL \
               AND (webhook > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'journal'), 0) \
                    OR webhook >= (SELECT min(id) FROM journal WHERE received_at >= ?1)) \
               AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.id = deliveries.webhook)";
    let found = connection.query_row(sql, params![young], counted)?;
    Ok(told(found, FindingKind::MissingWebhook, |count, first| {
        format!("{count} deliveries name a webhook that is not in the journal; the first is {first}")
    }))
}

fn missing_messages(connection: &Connection, young: Millis) -> rusqlite::Result<Vec<Finding>> {
    let sql = "SELECT count(*), min(provider_id) FROM provider_ids WHERE sent_at >= ?1 AND NOT EXISTS \
               (SELECT 1 FROM messages WHERE messages.channel = provider_ids.channel \
                AND messages.mid = provider_ids.mid)";
    let found = connection
        .query_row(sql, params![young], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))?;
    Ok(told(found, FindingKind::MissingMessage, |count, first| {
        format!("{count} ids of the provider lead to no message; the first is `{first}`")
    }))
}

fn unknown_channels(connection: &Connection, channels: &[SmolStr]) -> rusqlite::Result<Vec<Finding>> {
    let lanes = read::lanes(connection)?.into_iter();
    let unknown = lanes.filter(|depth| depth.queued > 0 && !channels.contains(&depth.lane.channel));
    Ok(unknown
        .map(|depth| {
            let what = format!("{} are queued for `{}`, which is no channel", depth.queued, depth.lane);
            Finding::new(FindingKind::UnknownChannel, what)
        })
        .collect())
}

fn overdue_pieces(connection: &Connection, due: Millis) -> rusqlite::Result<Vec<Finding>> {
    let sql = "SELECT count(*), min(contact) FROM pieces WHERE due_at <= ?1";
    let found =
        connection.query_row(sql, params![due], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?)))?;
    Ok(told(found, FindingKind::OverduePieces, |count, first| {
        format!(
            "{count} pieces of messages are overdue, one of the contact `{first}`; a gateway that runs releases them"
        )
    }))
}

fn overdue_receipts(connection: &Connection, seen: Millis) -> rusqlite::Result<Vec<Finding>> {
    let sql = "SELECT count(*), min(id) FROM waiting_receipts WHERE seen_at < ?1";
    let found = connection.query_row(sql, params![seen], counted)?;
    Ok(told(found, FindingKind::OverdueReceipts, |count, _| {
        format!("{count} receipts wait longer than they are kept; a gateway that runs removes them")
    }))
}

/// Ids are the order of the queue, and are never given out twice.
fn sequences(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for table in ["deliveries", "journal"] {
        let sql = format!(
            "SELECT coalesce(max(id), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0) \
             FROM {table}"
        );
        let (highest, last): (i64, i64) =
            connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if highest > last {
            let what =
                format!("the table `{table}` holds the id {highest}, the last one given out is {last}");
            findings.push(Finding::new(FindingKind::Sequence, what));
        }
    }
    Ok(findings)
}

fn counted(row: &Row<'_>) -> rusqlite::Result<(i64, Option<i64>)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn told<T: Default>(
    (count, first): (i64, Option<T>),
    kind: FindingKind,
    what: impl Fn(i64, T) -> String,
) -> Vec<Finding> {
    if count == 0 { Vec::new() } else { vec![Finding::new(kind, what(count, first.unwrap_or_default()))] }
}
