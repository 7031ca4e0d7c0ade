//! The turn to write: one transaction after the other, in all of an installation.
//!
//! Invariants: whoever writes takes the turn first and has it until the commit, so ids rise in the order of commits, and no
//! unit sees another half done. The last ids that were given out are noted outside of transactions, so one that is rolled
//! back leaves a gap, and no row has to be rewritten for each commit.

use tokio_postgres::{Error, Transaction};

use crate::store::{DeliveryId, WebhookId};

macro_rules! take {
    () => {
        "SELECT pg_advisory_xact_lock(1348564069, hashtext(current_schema()))"
    };
}

/// Takes the turn, which ends with the transaction.
pub(super) const TAKE: &str = take!();
/// Begins a transaction and takes the turn.
pub(super) const BEGIN: &str = concat!("BEGIN; ", take!());
/// The last ids that were given out.
pub(super) const LAST: &str =
    "SELECT (SELECT last_value FROM delivery_ids), (SELECT last_value FROM webhook_ids)";
/// Notes the last ids that are given out.
pub(super) const NOTE: &str = "SELECT setval('delivery_ids', $1), setval('webhook_ids', $2)";

/// Takes the turn; gives the last ids that were given out.
pub(super) async fn take(transaction: &Transaction<'_>) -> Result<(DeliveryId, WebhookId), Error> {
    transaction.batch_execute(TAKE).await?;
    let last = transaction.query_one(LAST, &[]).await?;
    Ok((last.get(0), last.get(1)))
}

/// Notes the last ids that are given out.
pub(super) async fn note(
    transaction: &Transaction<'_>,
    delivery: DeliveryId,
    webhook: WebhookId,
) -> Result<(), Error> {
    transaction.query_one(NOTE, &[&delivery, &webhook]).await.map(drop)
}
