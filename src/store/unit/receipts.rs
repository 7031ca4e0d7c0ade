//! Folding receipts into the status of their message, and keeping those that came too early.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::message::{IdOwner, Status};
use crate::store::fold::Standing;
use crate::store::ledger::Ledger;
use crate::store::{Delivery, Receipt, Settlement, notice};
use crate::world::Millis;

/// A message that a receipt is about.
struct Known {
    mid: SmolStr,
    part: Option<usize>,
    contact: SmolStr,
    standing: Standing,
}

/// Folds a receipt in, or keeps it until its message is known; gives the status for the platform, if any.
pub(super) fn receive<L: Ledger>(
    ledger: &mut L,
    receipt: &Receipt,
    now: Millis,
) -> Result<Option<Arc<Delivery>>, L::Error> {
    match known(ledger, receipt)? {
        Some(known) => apply(ledger, receipt, known, now),
        None => ledger.keep_receipt(receipt, now).map(|()| None),
    }
}

/// Folds in the receipts that waited for a message that was just recorded; `ids` are the provider's.
pub(super) fn catch_up<'a, L: Ledger>(
    ledger: &mut L,
    settlement: &Settlement,
    ids: impl Iterator<Item = &'a str>,
) -> Result<Vec<Arc<Delivery>>, L::Error> {
    let Delivery { lane, mid, .. } = &*settlement.delivery;
    let mut new = Vec::new();
    let names = ids.map(|id| (id.into(), IdOwner::Provider)).chain([(mid.clone(), IdOwner::Own)]);
    for (id, owner) in names {
        for receipt in ledger.take_receipts(&lane.channel, &id, owner)? {
            if let Some(known) = known(ledger, &receipt)? {
                new.extend(apply(ledger, &receipt, known, settlement.at)?);
            }
        }
    }
    Ok(new)
}

fn known<L: Ledger>(ledger: &mut L, receipt: &Receipt) -> Result<Option<Known>, L::Error> {
    let (mid, part) = match receipt.id_owner {
        IdOwner::Own => (receipt.id.clone(), None),
        IdOwner::Provider => match ledger.named(&receipt.channel, &receipt.id)? {
            Some((mid, part)) => (mid, Some(part)),
            None => return Ok(None),
        },
    };
    let found = ledger.message(&receipt.channel, &mid)?;
    Ok(found.map(|(contact, standing)| Known { mid, part, contact, standing }))
}

fn apply<L: Ledger>(
    ledger: &mut L,
    receipt: &Receipt,
    mut known: Known,
    now: Millis,
) -> Result<Option<Arc<Delivery>>, L::Error> {
    let moved = fold(ledger, &receipt.channel, &known.mid, &mut known.standing, known.part, receipt.status)?;
    let Some(status) = moved.filter(|status| receipt.post.contains(*status)) else { return Ok(None) };
    let error = if status == Status::Failed { receipt.error.clone() } else { None };
    let new =
        notice::status_delivery(&receipt.channel, &known.contact, &known.mid, status, error, receipt.at);
    ledger.queue(&new, None, now, None).map(Some)
}

/// Moves a message, or a part of it, and writes down where it is; gives its new status if it moved.
pub(super) fn fold<L: Ledger>(
    ledger: &mut L,
    channel: &SmolStr,
    mid: &SmolStr,
    standing: &mut Standing,
    part: Option<usize>,
    status: Status,
) -> Result<Option<Status>, L::Error> {
    let before = standing.clone();
    let moved = standing.fold(part, status);
    if before != *standing {
        ledger.moved(channel, mid, standing)?;
    }
    Ok(moved)
}
