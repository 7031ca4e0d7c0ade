//! Reading: pages of the queue, lists for consoles, look-ups.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use smol_str::SmolStr;

use super::{ledger, row};
use crate::message::{EventKind, Status};
use crate::store::query::page_size;
use crate::store::{
    Above, Counts, Delivery, DeliveryId, Direction, Filter, Lane, LaneDepth, LostCount, Page, ParkedCount,
    Record, SentPart, State, Tally, Webhook, WebhookId,
};
use crate::world::Millis;

/// Queued deliveries of a lane, all of one moment.
pub(super) fn page(
    connection: &Connection,
    lane: &Lane,
    live: Above,
    bulk: Option<Above>,
) -> rusqlite::Result<Page> {
    // It is dropped, and so ended, when both were read; the writer's own is one moment anyway.
    let _moment = connection.is_autocommit().then(|| connection.unchecked_transaction()).transpose()?;
    Ok(Page {
        live: stream(connection, lane, false, live)?,
        bulk: bulk.map_or(Ok(Vec::new()), |bulk| stream(connection, lane, true, bulk))?,
    })
}

fn stream(
    connection: &Connection,
    lane: &Lane,
    bulk: bool,
    above: Above,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    connection
        .prepare_cached(&format!(
            "SELECT {} FROM deliveries INDEXED BY deliveries_queued WHERE state = 0 AND channel = ?1 AND direction = ?2 \
             AND bulk = ?3 AND id > ?4 ORDER BY id LIMIT ?5",
            row::DELIVERY
        ))?
        .query_map(
            params![
                lane.channel.as_str(),
                lane.direction.number(),
                bulk,
                above.id,
                number(above.limit)
            ],
            |row| row::delivery(row).map(Arc::new),
        )?
        .collect()
}

/// Queued deliveries of one contact above an id, up to another: those that are bulk by an index of their own, the others
/// among all of the lane that are not bulk.
pub(super) fn page_contact(
    connection: &Connection,
    lane: &Lane,
    contact: &str,
    after: DeliveryId,
    upto: DeliveryId,
    limit: usize,
) -> rusqlite::Result<Vec<Arc<Delivery>>> {
    let columns = row::DELIVERY;
    connection
        .prepare_cached(&format!(
            "SELECT * FROM (SELECT {columns} FROM deliveries INDEXED BY deliveries_queued \
             WHERE state = 0 AND channel = ?1 AND direction = ?2 AND bulk = 0 AND id > ?3 AND id <= ?4 AND contact = ?5 \
             ORDER BY id LIMIT ?6) \
             UNION ALL SELECT * FROM (SELECT {columns} FROM deliveries INDEXED BY deliveries_bulk \
             WHERE state = 0 AND bulk = 1 AND channel = ?1 AND direction = ?2 AND contact = ?5 AND id > ?3 AND id <= ?4 \
             ORDER BY id LIMIT ?6) ORDER BY id LIMIT ?6",
        ))?
        .query_map(
            params![
                lane.channel.as_str(),
                lane.direction.number(),
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
    Ok(Lane { channel: row::text(row, 0)?, direction: Direction::of(row.get(1)?) })
}

/// Who wrote since then, the latest first.
pub(super) fn heard(
    connection: &Connection,
    since: Millis,
    limit: usize,
) -> rusqlite::Result<Vec<(SmolStr, SmolStr, Millis)>> {
    let mut statement = connection
        .prepare("SELECT direction, kind, accepted_at, channel, contact FROM deliveries ORDER BY id DESC")?;
    let mut rows = statement.query([])?;
    let mut heard = Vec::new();
    while let Some(row) = rows.next()?
        && heard.len() < limit
    {
        let at: Millis = row.get(2)?;
        // Ids rise in the order of acceptance: the others came earlier.
        if at < since {
            break;
        }
        if row.get::<_, i64>(0)? == 0 && row.get_ref(1)?.as_str()? == EventKind::Message.as_str() {
            heard.push((row::text(row, 3)?, row::text(row, 4)?, at));
        }
    }
    Ok(heard)
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
    let Some((mid, part)) = ledger::named(connection, channel, provider_id)? else {
        return Ok(None);
    };
    let found = ledger::message(connection, channel, &mid)?;
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
        held: count("SELECT count(*) FROM deliveries WHERE state = 4 AND state >= 2")?,
        parked: count("SELECT count(*) FROM journal WHERE verdict = 'parked'")?,
        waiting_receipts: count("SELECT count(*) FROM waiting_receipts")?,
    })
}

/// What waits for an operator, by channel.
pub(super) fn tally(connection: &Connection) -> rusqlite::Result<Tally> {
    let mut lost = connection.prepare_cached(
        "SELECT channel, direction, state, count(*) FROM deliveries INDEXED BY deliveries_lost_lane \
         WHERE state >= 2 GROUP BY channel, direction, state",
    )?;
    let lost = lost.query_map([], |row| {
        Ok(LostCount { lane: lane(row)?, state: State::of(row.get(2)?), count: row::count(row, 3)? })
    })?;
    let mut parked = connection.prepare_cached(
        "SELECT channel, mapping, count(*) FROM journal INDEXED BY journal_parked_channel \
         WHERE verdict = 'parked' GROUP BY channel, mapping",
    )?;
    let parked = parked.query_map([], |row| {
        let channel = row.get::<_, Option<String>>(0)?.map(SmolStr::from);
        Ok(ParkedCount { channel, mapping: row::text(row, 1)?, count: row::count(row, 2)? })
    })?;
    Ok(Tally {
        lost: lost.collect::<rusqlite::Result<_>>()?,
        parked: parked.collect::<rusqlite::Result<_>>()?,
    })
}

/// The conditions of a query, with the values that they name.
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// A first condition, which names no value.
    pub(super) fn new(first: &str) -> Self {
        Self { sql: first.to_owned(), values: Vec::new() }
    }

    /// Compares with a value, if there is one.
    pub(super) fn want(&mut self, compared: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.values.push(value);
            self.sql.push_str(&format!(" AND {compared} ?{}", self.values.len()));
        }
    }

    /// All of them.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Their values.
    pub(super) fn values(&self) -> impl rusqlite::Params + use<> {
        params_from_iter(self.values.clone())
    }
}

/// Deliveries that pass `filter`, newest first unless they are wanted after one.
pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Record>> {
    // As literals, so that the partial index of lost deliveries is used where it holds all of them.
    let states: Vec<i16> = filter.states.iter().map(|state| state.number()).collect();
    let mut conditions = match states.as_slice() {
        [] => Conditions::new("1"),
        [state] => Conditions::new(&format!("state = {state}")),
        several => {
            let list = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let lost = if several.iter().all(|state| *state >= 2) { " AND state >= 2" } else { "" };
            Conditions::new(&format!("state IN ({list}){lost}"))
        }
    };
    conditions.want("channel =", filter.channel.as_ref().map(|it| it.to_string().into()));
    conditions.want("direction =", filter.direction.map(|it| it.number().into()));
    conditions.want("contact =", filter.contact.as_ref().map(|it| it.to_string().into()));
    conditions.want("mid =", filter.mid.as_ref().map(|it| it.to_string().into()));
    conditions.want("accepted_at >=", filter.since.map(Value::from));
    conditions.want("accepted_at <", filter.until.map(Value::from));
    conditions.want("id <", filter.before.map(Value::from));
    conditions.want("id >", filter.after.map(Value::from));
    let order = if filter.after.is_some() { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT {}, state, settled_at, error FROM deliveries WHERE {} ORDER BY id {order} LIMIT {}",
        row::DELIVERY,
        conditions.sql(),
        page_size(filter.limit)
    );
    connection.prepare(&sql)?.query_map(conditions.values(), row::record)?.collect()
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
