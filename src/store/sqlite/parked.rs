//! Parked webhooks: listing them, and what becomes of them.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::read::Conditions;
use super::row;
use super::tx::Tx;
use crate::store::query::page_size;
use crate::store::{ParkedFilter, Replay, Webhook, WebhookId};

/// The parked webhooks that pass `filter`, oldest first.
pub(super) fn list(connection: &Connection, filter: &ParkedFilter) -> rusqlite::Result<Vec<Webhook>> {
    let mut conditions = Conditions::new("verdict = 'parked'");
    conditions.want("channel =", filter.channel.as_ref().map(|it| it.to_string().into()));
    conditions.want("mapping =", filter.mapping.as_ref().map(|it| it.to_string().into()));
    conditions.want("route =", filter.route.as_ref().map(|it| it.to_string().into()));
    conditions.want("received_at >=", filter.since.map(Value::from));
    conditions.want("received_at <", filter.until.map(Value::from));
    conditions.want("id >", Some(filter.after.into()));
    let sql = format!(
        "SELECT {} FROM journal INDEXED BY journal_parked WHERE {} ORDER BY id LIMIT {}",
        row::WEBHOOK,
        conditions.sql(),
        page_size(filter.limit)
    );
    connection.prepare(&sql)?.query_map(conditions.values(), row::webhook)?.collect()
}

/// Notes what became of a webhook that was parked; whether it was still.
pub(super) fn replayed(tx: &Tx<'_>, replay: &Replay) -> rusqlite::Result<bool> {
    let changed = tx.change(
        "UPDATE journal SET verdict = ?2, reason = ?3 WHERE id = ?1 AND verdict = 'parked'",
        params![replay.webhook, replay.verdict.as_str(), replay.reason],
    )?;
    Ok(changed == 1)
}

/// Lets go of parked webhooks: each becomes one that was ignored, which goes when others do.
pub(super) fn drop(tx: &Tx<'_>, ids: &[WebhookId]) -> rusqlite::Result<usize> {
    ids.iter().try_fold(0, |dropped, id| {
        let gone = tx.change(
            "UPDATE journal SET verdict = 'ignored', reason = 'dropped, was ' || coalesce(reason, 'parked') \
             WHERE id = ?1 AND verdict = 'parked'",
            params![id],
        )?;
        Ok(dropped + gone)
    })
}
