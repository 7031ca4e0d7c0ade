//! A settlement: the outcome, the provider's ids, waiting receipts, what the platform is told.

use std::sync::Arc;

use super::{receipts, watermarks};
use crate::message::{EventKind, Fault, Status};
use crate::store::fold::Standing;
use crate::store::ledger::Ledger;
use crate::store::{Delivery, Direction, Ending, Settled, Settlement, notice};

/// Writes `settlement`; does nothing when the delivery has left the queue.
pub(in crate::store) fn settle<L: Ledger>(
    ledger: &mut L,
    settlement: &Settlement,
) -> Result<Settled, L::Error> {
    let mut settled = Settled { applied: ledger.outcome(settlement)?, new: Vec::new() };
    if !settled.applied {
        return Ok(settled);
    }
    if is_message(&settlement.delivery) {
        match &settlement.ending {
            Ending::Sent { ids } => sent(ledger, settlement, ids, &mut settled)?,
            Ending::Failed { fault } => failed(ledger, settlement, fault.clone(), &mut settled)?,
            Ending::Dead { reason } => {
                let fault = Fault { code: String::new(), message: reason.clone() };
                failed(ledger, settlement, fault, &mut settled)?;
            }
            Ending::Retry { .. } | Ending::Held { .. } => {}
        }
    }
    ledger.remember(&settlement.remember)?;
    for new in &settlement.follow_ups {
        settled.new.push(ledger.queue(new, None, settlement.at, settlement.delivery.webhook)?);
    }
    Ok(settled)
}

/// Whether its fate interests the platform.
fn is_message(delivery: &Delivery) -> bool {
    delivery.lane.direction == Direction::Outbound && delivery.kind == EventKind::Message
}

fn sent<L: Ledger>(
    ledger: &mut L,
    settlement: &Settlement,
    ids: &[Vec<String>],
    settled: &mut Settled,
) -> Result<(), L::Error> {
    let delivery = &settlement.delivery;
    // One that was told to have failed, and was tried again: failed is final, so its status moves no more.
    let told_failed = has_failed(ledger, delivery)?;
    if !told_failed {
        ledger.record(delivery, &Standing::sent(ids.len()), settlement.begun_at)?;
    }
    for (part, id) in ids.iter().enumerate().flat_map(|(part, ids)| ids.iter().map(move |id| (part, id))) {
        ledger.name(settlement, id, part)?;
    }
    if settlement.post.contains(Status::Sent) && !told_failed {
        settled.new.push(tell(ledger, settlement, Status::Sent, None)?);
    }
    let names = ids.iter().flatten().map(String::as_str);
    settled.new.extend(receipts::catch_up(ledger, settlement, names)?);
    settled.new.extend(watermarks::catch_up(ledger, settlement)?);
    Ok(())
}

fn failed<L: Ledger>(
    ledger: &mut L,
    settlement: &Settlement,
    fault: Fault,
    settled: &mut Settled,
) -> Result<(), L::Error> {
    if has_failed(ledger, &settlement.delivery)? {
        return Ok(());
    }
    ledger.record(&settlement.delivery, &Standing::failed(), settlement.begun_at)?;
    if settlement.post.contains(Status::Failed) {
        settled.new.push(tell(ledger, settlement, Status::Failed, Some(fault))?);
    }
    Ok(())
}

/// Whether a message is on record as failed.
fn has_failed<L: Ledger>(ledger: &mut L, delivery: &Delivery) -> Result<bool, L::Error> {
    let found = ledger.message(&delivery.lane.channel, &delivery.mid)?;
    Ok(found.is_some_and(|(_, standing)| standing.message() == Status::Failed))
}

fn tell<L: Ledger>(
    ledger: &mut L,
    settlement: &Settlement,
    status: Status,
    fault: Option<Fault>,
) -> Result<Arc<Delivery>, L::Error> {
    let Delivery { lane, contact, mid, .. } = &*settlement.delivery;
    let new = notice::status_delivery(&lane.channel, contact, mid, status, fault, settlement.at);
    ledger.queue(&new, None, settlement.at, None)
}
