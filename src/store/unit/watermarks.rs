//! Folding what is said about everything up to a moment into the status of each message.

use std::sync::Arc;

use smol_str::SmolStr;

use super::receipts;
use crate::message::Status;
use crate::store::ledger::Ledger;
use crate::store::{Delivery, Settlement, Watermark, notice};
use crate::world::Millis;

/// By how much a provider's clock may be behind ours, or its moments be rounded, in milliseconds. Without it the
/// last message, which is the one that was just read, would be missed.
const SKEW: Millis = 1000;

/// Folds a watermark in, and keeps it for messages that are recorded later; gives the statuses for the platform.
pub(super) fn receive<L: Ledger>(
    ledger: &mut L,
    watermark: &Watermark,
    now: Millis,
) -> Result<Vec<Arc<Delivery>>, L::Error> {
    ledger.keep_watermark(watermark, now)?;
    let mut new = Vec::new();
    for mid in ledger.open_messages(&watermark.channel, &watermark.contact, reach(watermark))? {
        new.extend(apply(ledger, watermark, &mid, now)?);
    }
    Ok(new)
}

/// By our clock, the last moment at which something was sent that a watermark may be about.
pub(in crate::store) fn reach(watermark: &Watermark) -> Millis {
    watermark.up_to.saturating_add(SKEW)
}

/// Folds in the watermarks that came before a message was recorded.
pub(super) fn catch_up<L: Ledger>(
    ledger: &mut L,
    settlement: &Settlement,
) -> Result<Vec<Arc<Delivery>>, L::Error> {
    let Delivery { lane, contact, mid, .. } = &*settlement.delivery;
    let since = settlement.begun_at.saturating_sub(SKEW);
    let mut new = Vec::new();
    for watermark in ledger.watermarks(&lane.channel, contact, since)? {
        new.extend(apply(ledger, &watermark, mid, settlement.at)?);
    }
    Ok(new)
}

fn apply<L: Ledger>(
    ledger: &mut L,
    watermark: &Watermark,
    mid: &SmolStr,
    now: Millis,
) -> Result<Option<Arc<Delivery>>, L::Error> {
    let Watermark { channel, contact, status, .. } = watermark;
    let Some((_, mut standing)) = ledger.message(channel, mid)? else { return Ok(None) };
    // What is said about all messages says nothing of why one was lost.
    let status = (*status).min(Status::Read);
    let moved = receipts::fold(ledger, channel, mid, &mut standing, None, status)?;
    let Some(status) = moved.filter(|status| watermark.post.contains(*status)) else { return Ok(None) };
    let new = notice::status_delivery(channel, contact, mid, status, None, watermark.at);
    ledger.queue(&new, None, now, None).map(Some)
}
