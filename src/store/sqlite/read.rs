//! Reading: pages of the queue, lists for consoles, look-ups.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use smol_str::SmolStr;

use super::{receipts, row};
use crate::message::Status;
use crate::store::{
    Counts, Delivery, DeliveryId, Direction, Filter, Lane, LaneDepth, Record, SentPart, Webhook, WebhookId,
};
use crate::world::Millis;

/// Queued deliveries of a lane above an id.
pub(super) fn page(
    connection: &Connection,
    lane: &Lane,
    after: DeliveryId,
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM deliveries INDEXED BY deliveries_queued \
             WHERE state = 0 AND channel = ?1 AND direction = ?2 AND id > ?3 ORDER BY id LIMIT ?4",
            row::DELIVERY
        ))?
        .query_map(
            params![lane.channel.as_str(), row::direction_number(lane.direction), after, number(limit)],
            |row| row::delivery(row).map(Arc::new),
        )?
        .collect()
}

/// Queued deliveries of one contact above an id, up to another.
pub(super) fn page_contact(
    connection: &Connection,
    lane: &Lane,
    contact: &str,
    after: DeliveryId,
    upto: DeliveryId,
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM deliveries INDEXED BY deliveries_queued \
             WHERE state = 0 AND channel = ?1 AND direction = ?2 AND id > ?3 AND id <= ?4 AND contact = ?5 \
             ORDER BY id LIMIT ?6",
            row::DELIVERY
        ))?
        .query_map(
            params![
                lane.channel.as_str(),
                row::direction_number(lane.direction),
                after,
                upto,
                contact,
                number(limit)
            ],
            |row| row::delivery(row).map(Arc::new),
        )?
        .collect()
}

/// Lanes with something queued, or paused.
pub(super) fn lanes(connection: &Connection) -> rusqlite::Result<Vec<LaneDepth>> {
    let mut found: BTreeMap<Lane, LaneDepth> = BTreeMap::new();
    // The oldest is the one with the lowest id: ids rise in the order of acceptance.
    let mut statement = connection.prepare_cached(
        "SELECT channel, direction, queued, (SELECT accepted_at FROM deliveries WHERE id = first), last FROM \
         (SELECT channel, direction, count(*) AS queued, min(id) AS first, max(id) AS last FROM deliveries \
          INDEXED BY deliveries_queued WHERE state = 0 GROUP BY channel, direction)",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let lane = lane(row)?;
        let depth = LaneDepth {
            lane: lane.clone(),
            queued: row::count(row, 2)?,
            oldest: row.get(3)?,
            newest: row.get(4)?,
            paused_until: None,
        };
        found.insert(lane, depth);
    }
    let mut statement = connection.prepare_cached("SELECT channel, direction, until FROM pauses")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (lane, until): (Lane, Millis) = (lane(row)?, row.get(2)?);
        found
            .entry(lane.clone())
            .or_insert(LaneDepth { lane, queued: 0, oldest: None, newest: None, paused_until: None })
            .paused_until = Some(until);
    }
    Ok(found.into_values().collect())
}

fn lane(row: &rusqlite::Row<'_>) -> rusqlite::Result<Lane> {
    let direction = if row.get::<_, i64>(1)? == 0 { Direction::Inbound } else { Direction::Outbound };
    Ok(Lane { channel: row::text(row, 0)?, direction })
}

/// What an alias stands for.
pub(super) fn original(
    connection: &Connection,
    channel: &str,
    alias: &str,
) -> rusqlite::Result<Option<SmolStr>> {
    connection
        .prepare_cached("SELECT original FROM aliases WHERE channel = ?1 AND alias = ?2")?
        .query_row(params![channel, alias], |row| row::text(row, 0))
        .optional()
}

/// Where a provider's id leads.
pub(super) fn sent(
    connection: &Connection,
    channel: &str,
    provider_id: &str,
) -> rusqlite::Result<Option<SentPart>> {
    let Some((mid, part)) = receipts::by_provider_id(connection, channel, provider_id)? else {
        return Ok(None);
    };
    let found = receipts::standing(connection, channel, &mid)?;
    Ok(found.map(|(contact, standing)| SentPart {
        mid,
        contact,
        part,
        status: standing.part(part).unwrap_or(Status::Sent),
        message_status: standing.message(),
    }))
}

/// How much of everything there is.
pub(super) fn counts(connection: &Connection) -> rusqlite::Result<Counts> {
    let count = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| row::count(row, 0));
    Ok(Counts {
        queued: count("SELECT count(*) FROM deliveries INDEXED BY deliveries_queued WHERE state = 0")?,
        dead: count("SELECT count(*) FROM deliveries WHERE state = 3 AND state >= 2")?,
        failed: count("SELECT count(*) FROM deliveries WHERE state = 2 AND state >= 2")?,
        parked: count("SELECT count(*) FROM journal WHERE verdict = 'parked'")?,
        waiting_receipts: count("SELECT count(*) FROM waiting_receipts")?,
    })
}

/// Deliveries that pass `filter`, newest first.
pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Record>> {
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut want = |column: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{column} ?{}", values.len()));
        }
    };
    want("channel =", filter.channel.as_ref().map(|it| it.to_string().into()));
    want("direction =", filter.direction.map(|it| row::direction_number(it).into()));
    want("contact =", filter.contact.as_ref().map(|it| it.to_string().into()));
    want("mid =", filter.mid.as_ref().map(|it| it.to_string().into()));
    want("id <", filter.before.map(Value::from));
    if let Some(state) = filter.state {
        // As a literal, so that the partial index of lost deliveries is used.
        conditions.push(format!("state = {}", row::state_number(state)));
    }
    let limit = if filter.limit == 0 { 50 } else { filter.limit.min(1000) };
    connection
        .prepare(&format!(
            "SELECT {}, state, settled_at, error FROM deliveries WHERE {} ORDER BY id DESC LIMIT {limit}",
            row::DELIVERY,
            conditions.join(" AND ")
        ))?
        .query_map(params_from_iter(values), row::record)?
        .collect()
}

/// One delivery.
pub(super) fn show(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Record>> {
    connection
        .prepare_cached(&format!(
            "SELECT {}, state, settled_at, error FROM deliveries WHERE id = ?1",
            row::DELIVERY
        ))?
        .query_row(params![id], row::record)
        .optional()
}

/// Parked webhooks, oldest first.
pub(super) fn parked(
    connection: &Connection,
    after: WebhookId,
    limit: usize,
) -> rusqlite::Result<Vec<Webhook>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM journal WHERE verdict = 'parked' AND id > ?1 ORDER BY id LIMIT ?2",
            row::WEBHOOK
        ))?
        .query_map(params![after, number(limit)], row::webhook)?
        .collect()
}

/// One journalled webhook.
pub(super) fn webhook(connection: &Connection, id: WebhookId) -> rusqlite::Result<Option<Webhook>> {
    connection
        .prepare_cached(&format!("SELECT {} FROM journal WHERE id = ?1", row::WEBHOOK))?
        .query_row(params![id], row::webhook)
        .optional()
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
