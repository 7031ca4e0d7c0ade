//! Writing an acceptance: journal, de-duplication, queue and pieces, receipts, memory, aliases.

use rusqlite::{Connection, named_params, params};
use sha2::{Digest, Sha256};

use super::{memory, parked, pieces, receipts, row, watermarks};
use crate::store::{Acceptance, Accepted, Alias, AliasOf, JournalEntry, Retention, Verdict, WebhookId};
use crate::world::Millis;

/// Writes `acceptance` inside the open transaction; keys that were seen longer ago than they are kept count as new.
pub(super) fn accept(
    connection: &Connection,
    acceptance: &Acceptance,
    keep: &Retention,
) -> rusqlite::Result<Accepted> {
    let mut accepted = Accepted::default();
    if let Some(entry) = &acceptance.webhook {
        accepted.webhook = Some(journal(connection, entry)?);
    }
    if let Some(replay) = &acceptance.replays
        && !parked::replayed(connection, replay)?
    {
        return Ok(accepted);
    }
    let webhook = accepted.webhook.or(acceptance.replays.as_ref().map(|replay| replay.webhook));
    let known_since = acceptance.at - keep.dedupe;
    // What was understood of a webhook that is parked for the rest must be recognised as long as it may be replayed.
    let seen_at =
        if is_parked(acceptance) { known_since + keep.lost.max(keep.dedupe) } else { acceptance.at };
    for new in &acceptance.deliveries {
        let is_new = match &new.dedupe {
            Some(key) => first_seen(connection, &new.lane.channel, key, seen_at, known_since)?,
            None => true,
        };
        if !is_new {
            accepted.duplicates += 1;
            continue;
        }
        match &new.piece {
            Some(piece) => accepted.new.extend(pieces::add(connection, new, piece, acceptance.at, webhook)?),
            None => accepted.new.push(row::insert(connection, new, acceptance.at, webhook)?),
        }
        memory::remember(connection, &new.remember)?;
    }
    for receipt in &acceptance.receipts {
        accepted.new.extend(receipts::receive(connection, receipt, acceptance.at)?);
    }
    for watermark in &acceptance.watermarks {
        accepted.new.extend(watermarks::receive(connection, watermark, acceptance.at)?);
    }
    memory::remember(connection, &acceptance.remember)?;
    for alias in &acceptance.aliases {
        alias_of(connection, alias, acceptance.at)?;
    }
    Ok(accepted)
}

fn is_parked(acceptance: &Acceptance) -> bool {
    let verdict = acceptance.webhook.as_ref().map(|entry| entry.verdict);
    verdict.or(acceptance.replays.as_ref().map(|replay| replay.verdict)) == Some(Verdict::Parked)
}

fn journal(connection: &Connection, entry: &JournalEntry) -> rusqlite::Result<WebhookId> {
    connection
        .prepare_cached(
            "INSERT INTO journal (received_at, channel, mapping, route, method, url, verdict, reason, headers, body) \
             VALUES (:at, :channel, :mapping, :route, :method, :url, :verdict, :reason, :headers, :body)",
        )?
        .insert(named_params! {
            ":at": entry.received_at,
            ":channel": entry.channel.as_deref(),
            ":mapping": entry.mapping.as_str(),
            ":route": entry.route.as_str(),
            ":method": entry.method.as_str(),
            ":url": entry.url,
            ":verdict": entry.verdict.as_str(),
            ":reason": entry.reason,
            ":headers": entry.headers,
            ":body": entry.body.as_ref(),
        })
}

/// Whether the key was not seen lately; it counts as seen `at` from now on.
fn first_seen(
    connection: &Connection,
    channel: &str,
    key: &str,
    at: Millis,
    known_since: Millis,
) -> rusqlite::Result<bool> {
    let hash = Sha256::new().chain_update(channel).chain_update([0]).chain_update(key).finalize();
    // Half of the hash is far more than enough, and the table is the largest of all.
    let half: &[u8] = hash.as_slice().first_chunk::<16>().map_or(hash.as_slice(), <[u8; 16]>::as_slice);
    let changed = connection
        .prepare_cached(
            "INSERT INTO dedupe (key, seen_at) VALUES (?1, ?2) \
             ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at WHERE seen_at < ?3",
        )?
        .execute(params![half, at, known_since])?;
    Ok(changed == 1)
}

fn alias_of(connection: &Connection, alias: &Alias, at: Millis) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO aliases (channel, alias, original, expires, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            alias.channel.as_str(),
            alias.alias.as_str(),
            alias.original.as_str(),
            alias.of == AliasOf::Message,
            at
        ])?;
    Ok(())
}
