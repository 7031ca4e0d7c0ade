//! Removing what is older than its retention, one small slice at a time so that other writes are not held up.

use rusqlite::{OptionalExtension, params};

use super::memory;
use super::seen::Seen;
use super::tx::Tx;
use crate::store::{Purged, Retention};
use crate::world::Millis;

/// How many rows a slice looks at.
const SLICE: i64 = 2000;
/// How many keys a slice moves.
const KEYS: usize = 2000;

/// Where a purge has got to; the tables are gone through one after the other, each in the order of its key.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cursor {
    /// Keys that are kept beside deliveries and are to outlive them.
    Keys,
    /// Deliveries above this id.
    Deliveries(i64),
    /// Webhooks above this id.
    Journal(i64),
    /// Keys above this one.
    Dedupe(Vec<u8>),
    /// Messages above this channel and id.
    Messages(String, String),
    /// Provider ids above this channel and id.
    ProviderIds(String, String),
    /// Receipts that wait, oldest first, watermarks, and pauses that are over.
    Waiting,
    /// What is remembered and has expired.
    Memory,
    /// Nothing left to look at.
    Done,
}

/// What a slice did.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    /// Where to go on.
    pub(super) next: Cursor,
    /// What was removed.
    pub(super) purged: Purged,
}

/// Looks at one slice inside the open transaction.
pub(super) fn slice(
    tx: &Tx<'_>,
    seen: &mut Seen,
    at: &Cursor,
    now: Millis,
    keep: &Retention,
) -> rusqlite::Result<Slice> {
    let mut purged = Purged::default();
    let next = match at {
        Cursor::Keys => {
            if seen.hurry(tx, KEYS)? {
                Cursor::Deliveries(0)
            } else {
                Cursor::Keys
            }
        }
        Cursor::Deliveries(after) => {
            let (last, gone) = by_id(
                tx,
                "SELECT max(id) FROM (SELECT id FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2)",
                "DELETE FROM deliveries WHERE id > ?1 AND id <= ?2 AND state <> 0 \
                 AND settled_at < iif(state >= 2, ?4, ?3) \
                 AND (dedupe IS NULL OR id <= (SELECT upto FROM moved))",
                *after,
                now - keep.settled,
                now - keep.lost,
            )?;
            purged.deliveries = gone;
            last.map_or(Cursor::Journal(0), Cursor::Deliveries)
        }
        Cursor::Journal(after) => {
            let (last, gone) = by_id(
                tx,
                "SELECT max(id) FROM (SELECT id FROM journal WHERE id > ?1 ORDER BY id LIMIT ?2)",
                "DELETE FROM journal WHERE id > ?1 AND id <= ?2 AND received_at < iif(verdict = 'parked', ?4, ?3) \
                 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE webhook = journal.id AND state >= 2)",
                *after,
                now - keep.journal,
                now - keep.lost,
            )?;
            purged.webhooks = gone;
            last.map_or_else(|| Cursor::Dedupe(Vec::new()), Cursor::Journal)
        }
        Cursor::Dedupe(after) => {
            let last: Option<Vec<u8>> = tx
                .prepare_cached(
                    "SELECT max(key) FROM (SELECT key FROM dedupe WHERE key > ?1 ORDER BY key LIMIT ?2)",
                )?
                .query_row(params![after, SLICE], |row| row.get(0))?;
            match last {
                Some(last) => {
                    purged.keys = count(tx.change(
                        "DELETE FROM dedupe WHERE key > ?1 AND key <= ?2 AND seen_at < ?3",
                        params![after, last, now - keep.dedupe],
                    )?);
                    Cursor::Dedupe(last)
                }
                None => Cursor::Messages(String::new(), String::new()),
            }
        }
        Cursor::Messages(channel, id) => {
            let (last, gone) = by_name(tx, "messages", "mid", "sent_at", channel, id, now - keep.ids)?;
            purged.ids = gone;
            last.map_or_else(
                || Cursor::ProviderIds(String::new(), String::new()),
                |(channel, id)| Cursor::Messages(channel, id),
            )
        }
        Cursor::ProviderIds(channel, id) => {
            let (last, gone) =
                by_name(tx, "provider_ids", "provider_id", "sent_at", channel, id, now - keep.ids)?;
            purged.ids = gone;
            last.map_or(Cursor::Waiting, |(channel, id)| Cursor::ProviderIds(channel, id))
        }
        Cursor::Waiting => {
            let gone = tx.change(
                "DELETE FROM waiting_receipts WHERE id IN \
                     (SELECT id FROM waiting_receipts ORDER BY id LIMIT ?2) AND seen_at < ?1",
                params![now - keep.waiting, SLICE],
            )?;
            tx.change("DELETE FROM pauses WHERE until < ?1", params![now])?;
            let old = tx.change(
                "DELETE FROM watermarks WHERE (channel, contact, status) IN \
                     (SELECT channel, contact, status FROM watermarks WHERE seen_at < ?1 LIMIT ?2)",
                params![now - keep.waiting, SLICE],
            )?;
            purged.receipts = count(gone + old);
            if gone + old == 0 { Cursor::Memory } else { Cursor::Waiting }
        }
        Cursor::Memory => {
            let gone = memory::purge(tx, now, SLICE)?;
            purged.memories = count(gone);
            if gone == 0 { Cursor::Done } else { Cursor::Memory }
        }
        Cursor::Done => Cursor::Done,
    };
    Ok(Slice { next, purged })
}

fn by_id(
    tx: &Tx<'_>,
    select: &str,
    delete: &str,
    after: i64,
    before: Millis,
    lost_before: Millis,
) -> rusqlite::Result<(Option<i64>, u64)> {
    let last: Option<i64> = tx.prepare_cached(select)?.query_row(params![after, SLICE], |row| row.get(0))?;
    let Some(last) = last else { return Ok((None, 0)) };
    let gone = tx.change(delete, params![after, last, before, lost_before])?;
    Ok((Some(last), count(gone)))
}

/// One slice of a table whose key is a channel and a name; gives the last key looked at.
fn by_name(
    tx: &Tx<'_>,
    table: &str,
    name: &str,
    age: &str,
    channel: &str,
    after: &str,
    before: Millis,
) -> rusqlite::Result<(Option<(String, String)>, u64)> {
    let span = format!("(channel, {name}) > (?1, ?2)");
    let last: Option<(String, String)> = tx
        .prepare_cached(&format!(
            "SELECT channel, {name} FROM {table} WHERE {span} ORDER BY channel, {name} LIMIT 1 OFFSET ?3"
        ))?
        .query_row(params![channel, after, SLICE - 1], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let gone = match &last {
        Some((last_channel, last_name)) => tx.change(
            &format!("DELETE FROM {table} WHERE {span} AND (channel, {name}) <= (?3, ?4) AND {age} < ?5"),
            params![channel, after, last_channel, last_name, before],
        )?,
        None => tx.change(
            &format!("DELETE FROM {table} WHERE {span} AND {age} < ?3"),
            params![channel, after, before],
        )?,
    };
    Ok((last, count(gone)))
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
