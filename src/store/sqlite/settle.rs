//! Writing a settlement: the outcome, the provider's ids, waiting receipts, what the platform is told.

use rusqlite::{Connection, named_params, params};

use super::{memory, receipts, row, watermarks};
use crate::message::{EventKind, Fault, Status};
use crate::store::fold::Standing;
use crate::store::{Delivery, DeliveryId, Direction, Ending, Settled, Settlement, State, notice};

/// Writes `settlement` inside the open transaction; does nothing when the delivery has left the queue.
pub(super) fn settle(connection: &Connection, settlement: &Settlement) -> rusqlite::Result<Settled> {
    let mut settled = Settled { applied: outcome(connection, settlement)?, new: Vec::new() };
    if !settled.applied {
        return Ok(settled);
    }
    if is_message(&settlement.delivery) {
        match &settlement.ending {
            Ending::Sent { ids } => sent(connection, settlement, ids, &mut settled)?,
            Ending::Failed { fault } => failed(connection, settlement, fault.clone(), &mut settled)?,
            Ending::Dead { reason } => {
                let fault = Fault { code: String::new(), message: reason.clone() };
                failed(connection, settlement, fault, &mut settled)?;
            }
            Ending::Retry { .. } | Ending::Held { .. } => {}
        }
    }
    memory::remember(connection, &settlement.remember)?;
    for new in &settlement.follow_ups {
        settled.new.push(row::insert(connection, new, settlement.at, settlement.delivery.webhook)?);
    }
    Ok(settled)
}

/// Notes that an attempt begins.
pub(super) fn begin(connection: &Connection, id: DeliveryId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE deliveries SET in_doubt = 1 WHERE id = ?1 AND state = 0")?
        .execute(params![id])?;
    Ok(())
}

/// Whether its fate interests the platform.
fn is_message(delivery: &Delivery) -> bool {
    delivery.lane.direction == Direction::Outbound && delivery.kind == EventKind::Message
}

fn outcome(connection: &Connection, settlement: &Settlement) -> rusqlite::Result<bool> {
    let delivery = &settlement.delivery;
    let (state, error) = match &settlement.ending {
        Ending::Retry { not_before, error, progress, pause_lane } => {
            if let Some(until) = pause_lane {
                connection
                    .prepare_cached(
                        "INSERT INTO pauses (channel, direction, until) VALUES (?1, ?2, ?3) \
                         ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
                    )?
                    .execute(params![
                        delivery.lane.channel.as_str(),
                        row::direction_number(delivery.lane.direction),
                        until
                    ])?;
            }
            let changed = connection
                .prepare_cached(
                    "UPDATE deliveries SET attempts = :attempts, not_before = :not_before, error = :error, in_doubt = 0, \
                     progress = coalesce(:progress, progress) WHERE id = :id AND state = 0",
                )?
                .execute(named_params! {
                    ":id": delivery.id,
                    ":attempts": settlement.attempts,
                    ":not_before": not_before,
                    ":error": error,
                    ":progress": progress,
                })?;
            return Ok(changed == 1);
        }
        Ending::Sent { .. } => (State::Sent, None),
        Ending::Failed { fault } => (State::Failed, Some(fault.to_string())),
        Ending::Dead { reason } => (State::Dead, Some(reason.clone())),
        Ending::Held { reason } => (State::Held, Some(reason.clone())),
    };
    let changed = connection
        .prepare_cached(
            "UPDATE deliveries SET state = :state, attempts = :attempts, settled_at = :at, error = :error \
             WHERE id = :id AND state = 0",
        )?
        .execute(named_params! {
            ":id": delivery.id,
            ":state": row::state_number(state),
            ":attempts": settlement.attempts,
            ":at": settlement.at,
            ":error": error,
        })?;
    Ok(changed == 1)
}

fn sent(
    connection: &Connection,
    settlement: &Settlement,
    ids: &[Vec<String>],
    settled: &mut Settled,
) -> rusqlite::Result<()> {
    let delivery = &settlement.delivery;
    // One that was told to have failed, and was tried again: failed is final, so its status moves no more.
    let told_failed = receipts::has_failed(connection, delivery)?;
    if !told_failed {
        receipts::record(connection, delivery, &Standing::sent(ids.len()), settlement.begun_at)?;
    }
    for (part, id) in (0_i64..).zip(ids).flat_map(|(part, ids)| ids.iter().map(move |id| (part, id))) {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO provider_ids (channel, provider_id, mid, part, sent_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                delivery.lane.channel.as_str(),
                id,
                delivery.mid.as_str(),
                part,
                settlement.at
            ])?;
    }
    if settlement.post.contains(Status::Sent) && !told_failed {
        settled.new.push(tell(connection, settlement, Status::Sent, None)?);
    }
    let names = ids.iter().flatten().map(String::as_str);
    settled.new.extend(receipts::catch_up(
        connection,
        &delivery.lane.channel,
        &delivery.mid,
        names,
        settlement.at,
    )?);
    settled.new.extend(watermarks::catch_up(connection, settlement)?);
    Ok(())
}

fn failed(
    connection: &Connection,
    settlement: &Settlement,
    fault: Fault,
    settled: &mut Settled,
) -> rusqlite::Result<()> {
    if receipts::has_failed(connection, &settlement.delivery)? {
        return Ok(());
    }
    receipts::record(connection, &settlement.delivery, &Standing::failed(), settlement.begun_at)?;
    if settlement.post.contains(Status::Failed) {
        settled.new.push(tell(connection, settlement, Status::Failed, Some(fault))?);
    }
    Ok(())
}

fn tell(
    connection: &Connection,
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
    row::insert(connection, &new, settlement.at, None)
}
