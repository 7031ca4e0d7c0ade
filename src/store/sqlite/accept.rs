//! Writing an acceptance: journal, de-duplication, queue and pieces, receipts, memory, aliases.

use rusqlite::{Connection, named_params, params};

use super::seen::{self, Seen};
use super::{memory, parked, pieces, receipts, row, watermarks};
use crate::store::{Acceptance, Accepted, Alias, JournalEntry, Retention, Verdict, WebhookId};
use crate::world::Millis;

/// Writes `acceptance` inside the open transaction; keys that were seen longer ago than they are kept count as new.
pub(super) fn accept(
    connection: &Connection,
    seen: &mut Seen,
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
        let key = new.dedupe.as_ref().map(|key| seen::key(&new.lane.channel, key));
        if let Some(key) = &key
            && seen.last(connection, key)?.is_some_and(|at| at >= known_since)
        {
            accepted.duplicates += 1;
            continue;
        }
        // Beside a delivery a key counts as seen when the delivery was accepted; others go into the table at once.
        let beside = key.filter(|_| new.piece.is_none() && seen_at == acceptance.at);
        if let Some(key) = key.filter(|_| beside.is_none()) {
            Seen::add_to_table(connection, &key, seen_at)?;
        }
        if let Some(piece) = &new.piece {
            accepted.new.extend(pieces::add(connection, new, piece, acceptance.at, webhook)?);
        } else {
            let delivery = row::insert_seen(connection, new, beside.as_ref(), acceptance.at, webhook)?;
            if let Some(key) = beside {
                seen.add(key, acceptance.at, delivery.id);
            }
            accepted.new.push(delivery);
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

fn alias_of(connection: &Connection, alias: &Alias, at: Millis) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO aliases (channel, alias, original, seen_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![alias.channel.as_str(), alias.alias.as_str(), alias.original.as_str(), at])?;
    Ok(())
}
