//! An acceptance: journal, de-duplication, queue and pieces, receipts, memory, aliases.

use super::{pieces, receipts, watermarks};
use crate::store::ledger::{self, Ledger};
use crate::store::{Acceptance, Accepted, Retention, Verdict};

/// Writes `acceptance`; keys that were seen longer ago than they are kept count as new.
pub(in crate::store) fn accept<L: Ledger>(
    ledger: &mut L,
    acceptance: &Acceptance,
    keep: &Retention,
) -> Result<Accepted, L::Error> {
    let mut accepted = Accepted::default();
    if let Some(entry) = &acceptance.webhook {
        accepted.webhook = Some(ledger.journal(entry)?);
    }
    if let Some(replay) = &acceptance.replays
        && !ledger.replayed(replay)?
    {
        return Ok(accepted);
    }
    let webhook = accepted.webhook.or(acceptance.replays.as_ref().map(|replay| replay.webhook));
    let known_since = acceptance.at - keep.dedupe;
    // What was understood of a webhook that is parked for the rest must be recognised as long as it may be replayed.
    let seen_at =
        if is_parked(acceptance) { known_since + keep.lost.max(keep.dedupe) } else { acceptance.at };
    for new in &acceptance.deliveries {
        let key = new.dedupe.as_ref().map(|key| ledger::key(&new.lane.channel, key));
        if let Some(key) = &key
            && ledger.seen(key)?.is_some_and(|at| at >= known_since)
        {
            accepted.duplicates += 1;
            continue;
        }
        // Beside a delivery a key counts as seen when the delivery was accepted; others are noted on their own.
        let beside = key.filter(|_| new.piece.is_none() && seen_at == acceptance.at);
        if let Some(key) = key.filter(|_| beside.is_none()) {
            ledger.see(&key, seen_at)?;
        }
        if let Some(piece) = &new.piece {
            accepted.new.extend(pieces::add(ledger, new, piece, acceptance.at, webhook)?);
        } else {
            accepted.new.push(ledger.queue(new, beside.as_ref(), acceptance.at, webhook)?);
        }
        ledger.remember(&new.remember)?;
    }
    for receipt in &acceptance.receipts {
        accepted.new.extend(receipts::receive(ledger, receipt, acceptance.at)?);
    }
    for watermark in &acceptance.watermarks {
        accepted.new.extend(watermarks::receive(ledger, watermark, acceptance.at)?);
    }
    ledger.remember(&acceptance.remember)?;
    for alias in &acceptance.aliases {
        ledger.alias(alias, acceptance.at)?;
    }
    Ok(accepted)
}

fn is_parked(acceptance: &Acceptance) -> bool {
    let verdict = acceptance.webhook.as_ref().map(|entry| entry.verdict);
    verdict.or(acceptance.replays.as_ref().map(|replay| replay.verdict)) == Some(Verdict::Parked)
}
