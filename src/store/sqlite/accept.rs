//! Writing an acceptance: journal, de-duplication, queue and pieces, receipts, memory, aliases.

use rusqlite::{Connection, named_params, params};

use super::seen::{self, Seen};
use super::{memory, pieces, receipts, row, watermarks};
use crate::store::{Acceptance, Accepted, Alias, JournalEntry, WebhookId};
use crate::world::Millis;

/// Writes `acceptance` inside the open transaction; keys seen before `known_since` count as new.
pub(super) fn accept(
    connection: &Connection,
    seen: &mut Seen,
    acceptance: &Acceptance,
    known_since: Millis,
) -> rusqlite::Result<Accepted> {
    let mut accepted = Accepted::default();
    if let Some(entry) = &acceptance.webhook {
        accepted.webhook = Some(journal(connection, entry)?);
    }
    if let Some(id) = acceptance.replays {
        connection
            .prepare_cached("UPDATE journal SET verdict = 'accepted', reason = 'replayed' WHERE id = ?1")?
            .execute(params![id])?;
    }
    let webhook = accepted.webhook.or(acceptance.replays);
    for new in &acceptance.deliveries {
        let key = new.dedupe.as_ref().map(|key| seen::key(&new.lane.channel, key));
        if let Some(key) = &key
            && seen.last(connection, key)?.is_some_and(|at| at >= known_since)
        {
            accepted.duplicates += 1;
            continue;
        }
        if let Some(piece) = &new.piece {
            if let Some(key) = &key {
                Seen::add_to_table(connection, key, acceptance.at)?;
            }
            accepted.new.extend(pieces::add(connection, new, piece, acceptance.at, webhook)?);
        } else {
            let delivery = row::insert_seen(connection, new, key.as_ref(), acceptance.at, webhook)?;
            if let Some(key) = key {
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
