//! Rows to values and back.

use std::sync::Arc;

use bytes::Bytes;
use smol_str::SmolStr;
use tokio_postgres::Row;

use super::text;
use crate::message::EventKind;
use crate::store::{Delivery, Direction, JournalEntry, Lane, Record, State, Verdict, Webhook};

/// The columns of [`delivery`], in its order.
pub(super) const DELIVERY: &str = "id, channel, direction, contact, mid, kind, attempts, not_before, accepted_at, \
                                   webhook, progress, payload, in_doubt, bulk, behind";

/// The columns of [`webhook`], in its order.
pub(super) const WEBHOOK: &str =
    "id, received_at, channel, mapping, route, method, url, headers, body, verdict, reason";

/// The lane that a channel and a direction make.
pub(super) fn lane(row: &Row, channel: usize, direction: usize) -> Lane {
    Lane { channel: name(row, channel), direction: Direction::of(row.get(direction)) }
}

/// A delivery out of a row of [`DELIVERY`].
pub(super) fn delivery(row: &Row) -> Delivery {
    Delivery {
        id: row.get(0),
        lane: lane(row, 1, 2),
        contact: name(row, 3),
        mid: name(row, 4),
        kind: kind(row, 5),
        attempts: u32::try_from(row.get::<_, i32>(6)).unwrap_or_default(),
        not_before: row.get(7),
        accepted_at: row.get(8),
        webhook: row.get(9),
        progress: maybe(row, 10),
        payload: bytes(row, 11),
        in_doubt: row.get(12),
        bulk: row.get(13),
        behind: row.get(14),
    }
}

/// Deliveries out of rows of [`DELIVERY`].
pub(super) fn deliveries(rows: &[Row]) -> Vec<Arc<Delivery>> {
    rows.iter().map(|row| Arc::new(delivery(row))).collect()
}

/// A record out of a row of [`DELIVERY`] followed by `state, settled_at, error`.
pub(super) fn record(row: &Row) -> Record {
    Record {
        delivery: delivery(row),
        state: State::of(row.get(15)),
        settled_at: row.get(16),
        error: maybe(row, 17),
    }
}

/// A journalled webhook out of a row of [`WEBHOOK`].
pub(super) fn webhook(row: &Row) -> Webhook {
    Webhook {
        id: row.get(0),
        entry: JournalEntry {
            received_at: row.get(1),
            channel: row.get::<_, Option<&str>>(2).map(text::name),
            mapping: name(row, 3),
            route: name(row, 4),
            method: name(row, 5),
            url: text::read(row.get(6)).into_owned(),
            headers: text::read(row.get(7)).into_owned(),
            body: bytes(row, 8),
            verdict: match row.get(9) {
                "accepted" => Verdict::Accepted,
                "ignored" => Verdict::Ignored,
                _ => Verdict::Parked,
            },
            reason: maybe(row, 10),
        },
    }
}

/// A column that names something.
pub(super) fn name(row: &Row, column: usize) -> SmolStr {
    text::name(row.get(column))
}

/// A column of text that may be missing.
pub(super) fn maybe(row: &Row, column: usize) -> Option<String> {
    row.get::<_, Option<&str>>(column).map(|stored| text::read(stored).into_owned())
}

/// A column of bytes.
pub(super) fn bytes(row: &Row, column: usize) -> Bytes {
    Bytes::copy_from_slice(row.get(column))
}

/// A column with the word for a kind of event.
pub(super) fn kind(row: &Row, column: usize) -> EventKind {
    EventKind::named(row.get(column)).unwrap_or(EventKind::Event)
}

/// A column that counts something.
pub(super) fn count(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or_default()
}
