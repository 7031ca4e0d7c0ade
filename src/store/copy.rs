//! Everything that one store holds, into another that is empty: row by row, as it is, so ids and order stay.
//!
//! Invariants: either all of it is there in the end or nothing; neither store is used by anybody meanwhile.

use tokio::sync::mpsc;

use super::postgres::copy as postgres;
use super::sqlite::copy as sqlite;
use super::{DeliveryId, StoreError, WebhookId, is_postgres};

/// How many rows are on their way at once, and how many times that.
pub(super) const CHUNK: usize = 1000;
const CHUNKS: usize = 4;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Flag,
    Text,
    /// JSON as it is.
    Json,
    Bytes,
}

/// What a row holds in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// A table that every store has.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// What its rows are read in the order of, if their order means something that no column says.
    pub(super) order: Option<&'static str>,
}

use Kind::{Bytes, Flag, Int, Json, Text};

/// All tables, the queue among them.
pub(super) const TABLES: [Table; 12] = [
    Table {
        name: "journal",
        columns: &[
            ("id", Int),
            ("received_at", Int),
            ("channel", Text),
            ("mapping", Text),
            ("route", Text),
            ("method", Text),
            ("url", Text),
            ("verdict", Text),
            ("reason", Text),
            ("headers", Text),
            ("body", Bytes),
        ],
        order: None,
    },
    Table {
        name: "deliveries",
        columns: &[
            ("id", Int),
            ("channel", Text),
            ("direction", Int),
            ("contact", Text),
            ("mid", Text),
            ("kind", Text),
            ("state", Int),
            ("attempts", Int),
            ("not_before", Int),
            ("accepted_at", Int),
            ("settled_at", Int),
            ("webhook", Int),
            ("error", Text),
            ("progress", Text),
            ("in_doubt", Flag),
            ("bulk", Flag),
            ("behind", Int),
            ("payload", Bytes),
        ],
        order: None,
    },
    Table { name: "dedupe", columns: &[("key", Bytes), ("seen_at", Int)], order: None },
    Table {
        name: "messages",
        columns: &[
            ("channel", Text),
            ("mid", Text),
            ("contact", Text),
            ("status", Int),
            ("parts", Bytes),
            ("sent_at", Int),
        ],
        order: None,
    },
    Table {
        name: "provider_ids",
        columns: &[("channel", Text), ("provider_id", Text), ("mid", Text), ("part", Int), ("sent_at", Int)],
        order: None,
    },
    Table {
        name: "waiting_receipts",
        columns: &[
            ("channel", Text),
            ("own", Flag),
            ("message", Text),
            ("status", Int),
            ("error_code", Text),
            ("error_message", Text),
            ("post", Int),
            ("at", Int),
            ("seen_at", Int),
        ],
        order: Some("id"),
    },
    Table {
        name: "aliases",
        columns: &[("channel", Text), ("alias", Text), ("original", Text), ("seen_at", Int)],
        order: None,
    },
    Table { name: "pauses", columns: &[("channel", Text), ("direction", Int), ("until", Int)], order: None },
    Table {
        name: "memory",
        columns: &[
            ("channel", Text),
            ("contact", Text),
            ("name", Text),
            ("value", Json),
            ("expires_at", Int),
        ],
        order: None,
    },
    Table {
        name: "pieces",
        columns: &[
            ("channel", Text),
            ("contact", Text),
            ("key", Text),
            ("position", Int),
            ("total", Int),
            ("due_at", Int),
            ("mid", Text),
            ("kind", Text),
            ("not_before", Int),
            ("webhook", Int),
            ("payload", Bytes),
        ],
        order: None,
    },
    Table {
        name: "watermarks",
        columns: &[
            ("channel", Text),
            ("contact", Text),
            ("status", Int),
            ("up_to", Int),
            ("post", Int),
            ("at", Int),
            ("seen_at", Int),
        ],
        order: None,
    },
    Table { name: "secrets", columns: &[("name", Text), ("value", Bytes)], order: None },
];

impl Table {
    /// The names of its columns, as a list.
    pub(super) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// What is on its way.
#[derive(Debug)]
pub(super) enum Chunk {
    /// Rows of a table, by its place among [`TABLES`].
    Rows(usize, Vec<Vec<Cell>>),
    /// That was all; the last ids that were given out.
    End(DeliveryId, WebhookId),
}

/// How many rows of each table were copied.
pub type Copied = Vec<(&'static str, u64)>;

/// Copies everything from one store into another, which must be empty.
pub async fn copy(from: &str, to: &str) -> Result<Copied, StoreError> {
    let (chunks, taken) = mpsc::channel(CHUNKS);
    let reading = async {
        match from.strip_prefix("sqlite:") {
            _ if is_postgres(from) => postgres::read(from, chunks).await,
            Some(path) => sqlite::read(path.as_ref(), chunks).await,
            None => Err(StoreError::Address(from.to_owned())),
        }
    };
    let writing = async {
        match to.strip_prefix("sqlite:") {
            _ if is_postgres(to) => postgres::write(to, taken).await,
            Some(path) => sqlite::write(path.as_ref(), taken).await,
            None => Err(StoreError::Address(to.to_owned())),
        }
    };
    match tokio::join!(reading, writing) {
        // Whoever finds the other one gone is not to blame.
        (Err(StoreError::Closed) | Ok(()), written) => written,
        (Err(error), _) => Err(error),
    }
}

/// What was written, table by table.
#[derive(Default)]
pub(super) struct Tally([u64; TABLES.len()]);

impl Tally {
    pub(super) fn add(&mut self, table: usize, rows: usize) {
        if let Some(count) = self.0.get_mut(table) {
            *count += u64::try_from(rows).unwrap_or(u64::MAX);
        }
    }

    pub(super) fn told(&self) -> Copied {
        TABLES.iter().map(|table| table.name).zip(self.0).collect()
    }
}
