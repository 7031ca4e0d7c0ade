//! Reading: pages of the queue, lists for consoles, look-ups.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::connection::Connection;
use super::row;
use super::text;
use crate::expression::Value;
use crate::memory::Memory;
use crate::message::{EventKind, Status};
use crate::store::fold::{Standing, status_of};
use crate::store::query::page_size;
use crate::store::{
    Above, Counts, Delivery, DeliveryId, Direction, Filter, Lane, LaneDepth, LostCount, Page, ParkedCount,
    ParkedFilter, Record, SentPart, State, Tally, Webhook, WebhookId,
};
use crate::world::Millis;

/// The columns of a delivery in a statement that is put together at compile time.
macro_rules! delivery {
    ($rest:literal) => {
        concat!(
            "SELECT id, channel, direction, contact, mid, kind, attempts, not_before, accepted_at, webhook, progress, ",
            "payload, in_doubt, bulk, behind ",
            $rest
        )
    };
}
pub(super) use delivery;

/// Queued deliveries of a lane, all of one moment: a statement sees one.
pub(super) async fn page(
    connection: &Connection,
    lane: &Lane,
    live: Above,
    bulk: Option<Above>,
) -> Result<Page, Error> {
    const SQL: &str = concat!(
        "(",
        delivery!(
            "FROM deliveries WHERE state = 0 AND channel = $1 AND direction = $2 AND NOT bulk AND id > $3 ORDER BY id LIMIT $4"
        ),
        ") UNION ALL (",
        delivery!(
            "FROM deliveries WHERE state = 0 AND channel = $1 AND direction = $2 AND bulk AND id > $5 ORDER BY id LIMIT $6"
        ),
        ")"
    );
    let bulk = bulk.unwrap_or(Above { id: 0, limit: 0 });
    let rows = connection
        .rows(
            SQL,
            &[
                &text::stored(&lane.channel),
                &lane.direction.number(),
                &live.id,
                &number(live.limit),
                &bulk.id,
                &number(bulk.limit),
            ],
        )
        .await?;
    let (bulk, live) = row::deliveries(&rows).into_iter().partition(|delivery| delivery.bulk);
    Ok(Page { live, bulk })
}

/// Queued deliveries of one contact above an id, up to another.
pub(super) async fn page_contact(
    connection: &Connection,
    lane: &Lane,
    contact: &str,
    after: DeliveryId,
    upto: DeliveryId,
    limit: usize,
) -> Result<Vec<Arc<Delivery>>, Error> {
    const SQL: &str = concat!(
        "(",
        delivery!(
            "FROM deliveries WHERE state = 0 AND channel = $1 AND direction = $2 AND NOT bulk AND id > $3 AND id <= $4 AND contact = $5 ORDER BY id LIMIT $6"
        ),
        ") UNION ALL (",
        delivery!(
            "FROM deliveries WHERE state = 0 AND channel = $1 AND direction = $2 AND bulk AND id > $3 AND id <= $4 AND contact = $5 ORDER BY id LIMIT $6"
        ),
        ") ORDER BY id LIMIT $6"
    );
    let rows = connection
        .rows(
            SQL,
            &[
                &text::stored(&lane.channel),
                &lane.direction.number(),
                &after,
                &upto,
                &text::stored(contact),
                &number(limit),
            ],
        )
        .await?;
    Ok(row::deliveries(&rows))
}

/// Lanes with something queued, or paused.
pub(super) async fn lanes(connection: &Connection) -> Result<Vec<LaneDepth>, Error> {
    let mut found: BTreeMap<Lane, LaneDepth> = BTreeMap::new();
    let depth = |lane: Lane| LaneDepth { lane, queued: 0, oldest: None, newest: None, paused_until: None };
    // The oldest is the one with the lowest id: ids rise in the order of acceptance.
    let rows = connection
        .rows(
            "SELECT channel, direction, queued, (SELECT accepted_at FROM deliveries WHERE id = first), last FROM \
             (SELECT channel, direction, count(*) AS queued, min(id) AS first, max(id) AS last FROM deliveries \
             WHERE state = 0 GROUP BY channel, direction) AS depths",
            &[],
        )
        .await?;
    for row in &rows {
        let lane = row::lane(row, 0, 1);
        let depth = LaneDepth {
            queued: row::count(row, 2),
            oldest: row.get(3),
            newest: row.get(4),
            ..depth(lane.clone())
        };
        found.insert(lane, depth);
    }
    for row in &connection.rows("SELECT channel, direction, until FROM pauses", &[]).await? {
        let lane = row::lane(row, 0, 1);
        found.entry(lane.clone()).or_insert_with(|| depth(lane)).paused_until = Some(row.get(2));
    }
    Ok(found.into_values().collect())
}

/// Who wrote since then, the latest first.
pub(super) async fn heard(
    connection: &Connection,
    since: Millis,
    limit: usize,
) -> Result<Vec<(SmolStr, SmolStr, Millis)>, Error> {
    let rows = connection
        .rows(
            // By age first: in the order of ids, all rows would be looked at for the few that are young.
            "WITH young AS MATERIALIZED (SELECT id, channel, contact, accepted_at FROM deliveries \
             WHERE accepted_at >= $2 AND direction = 0 AND kind = $1) \
             SELECT channel, contact, accepted_at FROM young ORDER BY id DESC LIMIT $3",
            &[&EventKind::Message.as_str(), &since, &number(limit)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row::name(row, 0), row::name(row, 1), row.get(2))).collect())
}

/// What an alias stands for.
pub(super) async fn original(
    connection: &Connection,
    channel: &str,
    alias: &str,
) -> Result<Option<SmolStr>, Error> {
    let sql = "SELECT original FROM aliases WHERE channel = $1 AND alias = $2";
    let row = connection.row(sql, &[&text::stored(channel), &text::stored(alias)]).await?;
    Ok(row.map(|row| row::name(&row, 0)))
}

/// Where a provider's id leads.
pub(super) async fn sent(
    connection: &Connection,
    channel: &str,
    provider_id: &str,
) -> Result<Option<SentPart>, Error> {
    let row = connection
        .row(
            // One after the other: joined, all messages of the channel would be read.
            "SELECT mid, part, contact, status, parts FROM provider_ids AS id CROSS JOIN LATERAL \
             (SELECT contact, status, parts FROM messages WHERE channel = id.channel AND mid = id.mid OFFSET 0) AS message \
             WHERE channel = $1 AND provider_id = $2",
            &[&text::stored(channel), &text::stored(provider_id)],
        )
        .await?;
    Ok(row.map(|row| {
        let standing = Standing::from_bytes(row.get(4), status_of(row.get::<_, i16>(3).into()));
        let part = usize::try_from(row.get::<_, i32>(1)).unwrap_or_default();
        SentPart {
            mid: row::name(&row, 0),
            contact: row::name(&row, 2),
            part,
            status: standing.part(part).unwrap_or(Status::Sent),
            message_status: standing.message(),
        }
    }))
}

/// What is remembered about a contact and its channel.
pub(super) async fn memory(
    connection: &Connection,
    channel: &str,
    contact: &str,
    now: Millis,
) -> Result<Memory, Error> {
    let rows = connection
        .rows(
            "SELECT contact, name, value FROM memory WHERE channel = $1 AND contact IN ('', $2) \
             AND (expires_at IS NULL OR expires_at > $3) ORDER BY name COLLATE \"C\"",
            &[&text::stored(channel), &text::stored(contact), &now],
        )
        .await?;
    let mut memory = Memory::default();
    for row in &rows {
        let part = if row.get::<_, &str>(0).is_empty() { &mut memory.channel } else { &mut memory.contact };
        part.insert(
            row::name(row, 1),
            Value::from_json(row.get::<_, &str>(2).as_bytes()).unwrap_or_default(),
        );
    }
    Ok(memory)
}

/// How much of everything there is.
pub(super) async fn counts(connection: &Connection) -> Result<Counts, Error> {
    let row = connection
        .row(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 0), \
             (SELECT count(*) FROM deliveries WHERE state = 3 AND state >= 2), \
             (SELECT count(*) FROM deliveries WHERE state = 2 AND state >= 2), \
             (SELECT count(*) FROM deliveries WHERE state = 4 AND state >= 2), \
             (SELECT count(*) FROM journal WHERE verdict = 'parked'), (SELECT count(*) FROM waiting_receipts)",
            &[],
        )
        .await?;
    Ok(row.map_or_else(Counts::default, |row| Counts {
        queued: row::count(&row, 0),
        dead: row::count(&row, 1),
        failed: row::count(&row, 2),
        held: row::count(&row, 3),
        parked: row::count(&row, 4),
        waiting_receipts: row::count(&row, 5),
    }))
}

/// What waits for an operator, by channel.
pub(super) async fn tally(connection: &Connection) -> Result<Tally, Error> {
    let lost = connection
        .rows(
            "SELECT channel, direction, state, count(*) FROM deliveries WHERE state >= 2 \
             GROUP BY channel, direction, state ORDER BY channel COLLATE \"C\", direction, state",
            &[],
        )
        .await?;
    let parked = connection
        .rows(
            "SELECT channel, mapping, count(*) FROM journal WHERE verdict = 'parked' \
             GROUP BY channel, mapping ORDER BY channel COLLATE \"C\" NULLS FIRST, mapping COLLATE \"C\"",
            &[],
        )
        .await?;
    Ok(Tally {
        lost: lost
            .iter()
            .map(|row| LostCount {
                lane: row::lane(row, 0, 1),
                state: State::of(row.get(2)),
                count: row::count(row, 3),
            })
            .collect(),
        parked: parked
            .iter()
            .map(|row| ParkedCount {
                channel: row.get::<_, Option<&str>>(0).map(text::name),
                mapping: row::name(row, 1),
                count: row::count(row, 2),
            })
            .collect(),
    })
}

/// The conditions of a query, with the values that they name.
struct Conditions {
    sql: String,
    values: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl Conditions {
    fn new(first: &str) -> Self {
        Self { sql: first.to_owned(), values: Vec::new() }
    }

    /// Compares with a value, if there is one.
    fn want<T: ToSql + Sync + Send + 'static>(&mut self, compared: &str, value: Option<T>) {
        if let Some(value) = value {
            self.values.push(Box::new(value));
            self.sql.push_str(&format!(" AND {compared} ${}", self.values.len()));
        }
    }

    /// The rows of a query that ends with them and `rest`.
    async fn rows(&self, connection: &Connection, select: &str, rest: &str) -> Result<Vec<Row>, Error> {
        let values: Vec<&(dyn ToSql + Sync)> = self.values.iter().map(|value| &**value as _).collect();
        connection.client().query(&format!("{select} WHERE {} {rest}", self.sql), &values).await
    }
}

fn owned(name: &SmolStr) -> String {
    text::stored(name).into_owned()
}

/// Deliveries that pass `filter`, newest first unless they are wanted after one.
pub(super) async fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Record>, Error> {
    // As literals, so that the partial indexes are used.
    let states: Vec<String> = filter.states.iter().map(|state| state.number().to_string()).collect();
    let mut conditions = Conditions::new("true");
    if !states.is_empty() {
        conditions.sql = format!("state IN ({})", states.join(", "));
        if filter.states.iter().all(|state| State::LOST.contains(state)) {
            conditions.sql.push_str(" AND state >= 2");
        }
    }
    conditions.want("channel =", filter.channel.as_ref().map(owned));
    conditions.want("direction =", filter.direction.map(Direction::number));
    conditions.want("contact =", filter.contact.as_ref().map(owned));
    conditions.want("mid =", filter.mid.as_ref().map(owned));
    conditions.want("accepted_at >=", filter.since);
    conditions.want("accepted_at <", filter.until);
    conditions.want("id <", filter.before);
    conditions.want("id >", filter.after);
    let order = if filter.after.is_some() { "ASC" } else { "DESC" };
    let select = format!("SELECT {}, state, settled_at, error FROM deliveries", row::DELIVERY);
    let rest = format!("ORDER BY id {order} LIMIT {}", page_size(filter.limit));
    Ok(conditions.rows(connection, &select, &rest).await?.iter().map(row::record).collect())
}

/// The parked webhooks that pass `filter`, oldest first.
pub(super) async fn parked(connection: &Connection, filter: &ParkedFilter) -> Result<Vec<Webhook>, Error> {
    let mut conditions = Conditions::new("verdict = 'parked'");
    conditions.want("channel =", filter.channel.as_ref().map(owned));
    conditions.want("mapping =", filter.mapping.as_ref().map(owned));
    conditions.want("route =", filter.route.as_ref().map(owned));
    conditions.want("received_at >=", filter.since);
    conditions.want("received_at <", filter.until);
    conditions.want("id >", Some(filter.after));
    let select = format!("SELECT {} FROM journal", row::WEBHOOK);
    let rest = format!("ORDER BY id LIMIT {}", page_size(filter.limit));
    Ok(conditions.rows(connection, &select, &rest).await?.iter().map(row::webhook).collect())
}

/// One delivery.
pub(super) async fn show(connection: &Connection, id: DeliveryId) -> Result<Option<Record>, Error> {
    let sql = format!("SELECT {}, state, settled_at, error FROM deliveries WHERE id = $1", row::DELIVERY);
    Ok(connection.client().query_opt(&sql, &[&id]).await?.as_ref().map(row::record))
}

/// One journalled webhook.
pub(super) async fn webhook(connection: &Connection, id: WebhookId) -> Result<Option<Webhook>, Error> {
    let sql = format!("SELECT {} FROM journal WHERE id = $1", row::WEBHOOK);
    Ok(connection.client().query_opt(&sql, &[&id]).await?.as_ref().map(row::webhook))
}

fn number(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
