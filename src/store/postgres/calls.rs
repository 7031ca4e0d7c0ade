//! The values of calls that nodes share, and which node makes which call.
//!
//! Invariants: a row is a value, with when it is used up, or the claim of the node that makes the call. A claim of a node
//! whose row in `nodes` is gone is nobody's, so no clock tells how long a call may take.

use tokio_postgres::{Error, Row, Transaction};

use super::connection::Connection;
use super::nodes::{self, NodeId};
use crate::store::{CallValue, SharedCall};
use crate::world::Millis;

const FIND: &str =
    "SELECT value, expires_at, maker, EXISTS (SELECT FROM nodes WHERE id = maker) FROM calls WHERE name = $1";

/// What is wanted of a call.
pub(super) struct Wanted {
    pub(super) name: String,
    /// The value that would be used up then is no good.
    pub(super) refused: Option<Millis>,
    pub(super) now: Millis,
}

impl Wanted {
    /// What is known of the call; none if `node` may make it.
    fn known(&self, row: &Row, node: Option<NodeId>) -> Option<SharedCall> {
        if let (Some(json), Some(expires_at)) = (row.get(0), row.get(1)) {
            let is_good = expires_at > self.now && self.refused != Some(expires_at);
            return is_good.then_some(SharedCall::Found(CallValue { json, expires_at }));
        }
        let maker: Option<NodeId> = row.get(2);
        (maker != node && row.get(3)).then_some(SharedCall::Busy)
    }
}

/// What is known of a call, without having the turn; none if somebody may make it.
pub(super) async fn find(connection: &Connection, wanted: &Wanted) -> Result<Option<SharedCall>, Error> {
    let row = connection.row(FIND, &[&wanted.name]).await?;
    Ok(row.and_then(|row| wanted.known(&row, None)))
}

/// What is known of a call, which `node` makes otherwise; none if its own row is gone.
pub(super) async fn claim(
    transaction: &Transaction<'_>,
    wanted: &Wanted,
    node: NodeId,
) -> Result<Option<SharedCall>, Error> {
    if !transaction.query_one(nodes::IS_THERE, &[&node]).await?.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = transaction.query_opt(FIND, &[&wanted.name]).await?;
    if let Some(known) = row.and_then(|row| wanted.known(&row, Some(node))) {
        return Ok(Some(known));
    }
    let sql = "INSERT INTO calls (name, maker) VALUES ($1, $2) \
               ON CONFLICT (name) DO UPDATE SET value = NULL, expires_at = NULL, maker = excluded.maker";
    transaction.execute(sql, &[&wanted.name, &node]).await?;
    Ok(Some(SharedCall::Make))
}

/// Puts the value in the place of the claim of `node`, if it has that.
pub(super) async fn end(
    transaction: &Transaction<'_>,
    name: &str,
    value: Option<&CallValue>,
    node: NodeId,
) -> Result<(), Error> {
    let changed = match value {
        Some(CallValue { json, expires_at }) => {
            let sql =
                "UPDATE calls SET value = $3, expires_at = $4, maker = NULL WHERE name = $1 AND maker = $2";
            transaction.execute(sql, &[&name, &node, json, expires_at]).await
        }
        None => {
            transaction.execute("DELETE FROM calls WHERE name = $1 AND maker = $2", &[&name, &node]).await
        }
    };
    changed.map(drop)
}
