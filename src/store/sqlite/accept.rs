//! Writing an acceptance: journal, de-duplication, queue and pieces, receipts, memory, aliases.

use rusqlite::params;

use super::seen::{self, Seen};
use super::tx::Tx;
use super::{memory, parked, pieces, receipts, row, watermarks};
use crate::store::{Acceptance, Accepted, Alias, JournalEntry, Retention, Verdict, WebhookId};
use crate::world::Millis;

/// Writes `acceptance` inside the open transaction; keys that were seen longer ago than they are kept count as new.
pub(super) fn accept(
    tx: &Tx<'_>,
    seen: &mut Seen,
    acceptance: &Acceptance,
    keep: &Retention,
) -> rusqlite::Result<Accepted> {
    let mut accepted = Accepted::default();
    if let Some(entry) = &acceptance.webhook {
        accepted.webhook = Some(journal(tx, entry)?);
    }
    if let Some(replay) = &acceptance.replays
        && !parked::replayed(tx, replay)?
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
            && seen.last(tx, key)?.is_some_and(|at| at >= known_since)
        {
            accepted.duplicates += 1;
            continue;
        }
        // Beside a delivery a key counts as seen when the delivery was accepted; others go into the table at once.
        let beside = key.filter(|_| new.piece.is_none() && seen_at == acceptance.at);
        if let Some(key) = key.filter(|_| beside.is_none()) {
            Seen::add_to_table(tx, &key, seen_at)?;
        }
        if let Some(piece) = &new.piece {
            accepted.new.extend(pieces::add(tx, new, piece, acceptance.at, webhook)?);
        } else {
            let delivery = row::insert_seen(tx, new, beside.as_ref(), acceptance.at, webhook)?;
            if let Some(key) = beside {
                seen.add(key, acceptance.at, delivery.id);
            }
            accepted.new.push(delivery);
        }
        memory::remember(tx, &new.remember)?;
    }
    for receipt in &acceptance.receipts {
        accepted.new.extend(receipts::receive(tx, receipt, acceptance.at)?);
    }
    for watermark in &acceptance.watermarks {
        accepted.new.extend(watermarks::receive(tx, watermark, acceptance.at)?);
    }
    memory::remember(tx, &acceptance.remember)?;
    for alias in &acceptance.aliases {
        alias_of(tx, alias, acceptance.at)?;
    }
    Ok(accepted)
}

fn is_parked(acceptance: &Acceptance) -> bool {
    let verdict = acceptance.webhook.as_ref().map(|entry| entry.verdict);
    verdict.or(acceptance.replays.as_ref().map(|replay| replay.verdict)) == Some(Verdict::Parked)
}

fn journal(tx: &Tx<'_>, entry: &JournalEntry) -> rusqlite::Result<WebhookId> {
    tx.insert(
        "INSERT INTO journal (received_at, channel, mapping, route, method, url, verdict, reason, headers, body) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            entry.received_at,
            entry.channel.as_deref(),
            entry.mapping.as_str(),
            entry.route.as_str(),
            entry.method.as_str(),
            entry.url,
            entry.verdict.as_str(),
            entry.reason,
            entry.headers,
            entry.body.as_ref(),
        ],
    )
}

fn alias_of(tx: &Tx<'_>, alias: &Alias, at: Millis) -> rusqlite::Result<()> {
    tx.change(
        "INSERT OR IGNORE INTO aliases (channel, alias, original, seen_at) VALUES (?1, ?2, ?3, ?4)",
        params![alias.channel.as_str(), alias.alias.as_str(), alias.original.as_str(), at],
    )?;
    Ok(())
}
