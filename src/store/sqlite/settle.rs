//! Writing a settlement: the outcome, the provider's ids, waiting receipts, what the platform is told.

use rusqlite::params;

use super::tx::Tx;
use super::{memory, receipts, row, watermarks};
use crate::message::{EventKind, Fault, Status};
use crate::store::fold::Standing;
use crate::store::{Delivery, DeliveryId, Direction, Ending, Settled, Settlement, State, notice};

/// Writes `settlement` inside the open transaction; does nothing when the delivery has left the queue.
pub(super) fn settle(tx: &Tx<'_>, settlement: &Settlement) -> rusqlite::Result<Settled> {
    let mut settled = Settled { applied: outcome(tx, settlement)?, new: Vec::new() };
    if !settled.applied {
        return Ok(settled);
    }
    if is_message(&settlement.delivery) {
        match &settlement.ending {
            Ending::Sent { ids } => sent(tx, settlement, ids, &mut settled)?,
            Ending::Failed { fault } => failed(tx, settlement, fault.clone(), &mut settled)?,
            Ending::Dead { reason } => {
                let fault = Fault { code: String::new(), message: reason.clone() };
                failed(tx, settlement, fault, &mut settled)?;
            }
            Ending::Retry { .. } | Ending::Held { .. } => {}
        }
    }
    memory::remember(tx, &settlement.remember)?;
    for new in &settlement.follow_ups {
        settled.new.push(row::insert(tx, new, settlement.at, settlement.delivery.webhook)?);
    }
    Ok(settled)
}

/// Notes that an attempt begins.
pub(super) fn begin(tx: &Tx<'_>, id: DeliveryId) -> rusqlite::Result<()> {
    tx.change("UPDATE deliveries SET in_doubt = 1 WHERE id = ?1 AND state = 0", params![id])?;
    Ok(())
}

/// Whether its fate interests the platform.
fn is_message(delivery: &Delivery) -> bool {
    delivery.lane.direction == Direction::Outbound && delivery.kind == EventKind::Message
}

fn outcome(tx: &Tx<'_>, settlement: &Settlement) -> rusqlite::Result<bool> {
    let delivery = &settlement.delivery;
    let (state, error) = match &settlement.ending {
        Ending::Retry { not_before, error, progress, pause_lane } => {
            if let Some(until) = pause_lane {
                tx.change(
                    "INSERT INTO pauses (channel, direction, until) VALUES (?1, ?2, ?3) \
                         ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
                    params![
                        delivery.lane.channel.as_str(),
                        row::direction_number(delivery.lane.direction),
                        until
                    ],
                )?;
            }
            let changed = tx.change(
                "UPDATE deliveries SET attempts = ?2, not_before = ?3, error = ?4, in_doubt = 0, \
                     progress = coalesce(?5, progress) WHERE id = ?1 AND state = 0",
                params![delivery.id, settlement.attempts, not_before, error, progress],
            )?;
            return Ok(changed == 1);
        }
        Ending::Sent { .. } => (State::Sent, None),
        Ending::Failed { fault } => (State::Failed, Some(fault.to_string())),
        Ending::Dead { reason } => (State::Dead, Some(reason.clone())),
        Ending::Held { reason } => (State::Held, Some(reason.clone())),
    };
    let changed = tx.change(
        "UPDATE deliveries SET state = ?2, attempts = ?3, settled_at = ?4, error = ?5 \
             WHERE id = ?1 AND state = 0",
        params![delivery.id, row::state_number(state), settlement.attempts, settlement.at, error],
    )?;
    Ok(changed == 1)
}

fn sent(
    tx: &Tx<'_>,
    settlement: &Settlement,
    ids: &[Vec<String>],
    settled: &mut Settled,
) -> rusqlite::Result<()> {
    let delivery = &settlement.delivery;
    // One that was told to have failed, and was tried again: failed is final, so its status moves no more.
    let told_failed = receipts::has_failed(tx, delivery)?;
    if !told_failed {
        receipts::record(tx, delivery, &Standing::sent(ids.len()), settlement.begun_at)?;
    }
    for (part, id) in (0_i64..).zip(ids).flat_map(|(part, ids)| ids.iter().map(move |id| (part, id))) {
        tx.change(
            "INSERT OR REPLACE INTO provider_ids (channel, provider_id, mid, part, sent_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            params![delivery.lane.channel.as_str(), id, delivery.mid.as_str(), part, settlement.at],
        )?;
    }
    if settlement.post.contains(Status::Sent) && !told_failed {
        settled.new.push(tell(tx, settlement, Status::Sent, None)?);
    }
    let names = ids.iter().flatten().map(String::as_str);
    settled.new.extend(receipts::catch_up(tx, &delivery.lane.channel, &delivery.mid, names, settlement.at)?);
    settled.new.extend(watermarks::catch_up(tx, settlement)?);
    Ok(())
}

fn failed(tx: &Tx<'_>, settlement: &Settlement, fault: Fault, settled: &mut Settled) -> rusqlite::Result<()> {
    if receipts::has_failed(tx, &settlement.delivery)? {
        return Ok(());
    }
    receipts::record(tx, &settlement.delivery, &Standing::failed(), settlement.begun_at)?;
    if settlement.post.contains(Status::Failed) {
        settled.new.push(tell(tx, settlement, Status::Failed, Some(fault))?);
    }
    Ok(())
}

fn tell(
    tx: &Tx<'_>,
    settlement: &Settlement,
    status: Status,
    fault: Option<Fault>,
) -> rusqlite::Result<std::sync::Arc<Delivery>> {
    let delivery = &settlement.delivery;
    let new = notice::status_delivery(
        &delivery.lane.channel,
        &delivery.contact,
        &delivery.mid,
        status,
        fault,
        settlement.at,
    );
    row::insert(tx, &new, settlement.at, None)
}
