//! A database in a file as a source and as a target of a copy. Its log is ended before, and nobody else has it open.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params, params_from_iter};
use tokio::sync::mpsc::{Receiver, Sender};

use super::SqliteStore;
use super::connect::Place;
use super::fault;
use crate::store::copy::{CHUNK, Cell, Chunk, Copied, TABLES, Table, Tally};
use crate::store::{Options, Store as _, StoreError, feed};

/// Keys beside deliveries that are not moved yet are keys like the others.
const KEYS: &str = "SELECT key, max(seen_at) FROM (SELECT key, seen_at FROM dedupe UNION ALL \
     SELECT dedupe, accepted_at FROM deliveries WHERE dedupe IS NOT NULL AND id > (SELECT upto FROM moved)) GROUP BY key";

/// Reads everything.
pub(in crate::store) async fn read(path: &Path, chunks: Sender<Chunk>) -> Result<(), StoreError> {
    if !path.exists() {
        let reason = "there is no such file".into();
        return Err(StoreError::Open { place: path.display().to_string(), reason });
    }
    on_its_own(path, move |connection| {
        for (at, table) in TABLES.iter().enumerate() {
            let sql = match (table.name, table.order) {
                ("dedupe", _) => KEYS.to_owned(),
                (name, Some(order)) => format!("SELECT {} FROM {name} ORDER BY {order}", table.names()),
                (name, None) => format!("SELECT {} FROM {name}", table.names()),
            };
            let mut statement = connection.prepare(&sql).map_err(failed)?;
            let mut rows = statement.query([]).map_err(failed)?;
            let mut chunk = Vec::with_capacity(CHUNK);
            while let Some(row) = rows.next().map_err(failed)? {
                chunk.push(cells(row, table).map_err(failed)?);
                if chunk.len() == CHUNK {
                    send(&chunks, Chunk::Rows(at, std::mem::take(&mut chunk)))?;
                }
            }
            send(&chunks, Chunk::Rows(at, chunk))?;
        }
        let (deliveries, webhooks) = (last_id(connection, "deliveries")?, last_id(connection, "journal")?);
        send(&chunks, Chunk::End(deliveries, webhooks))
    })
    .await
}

/// Writes what comes.
pub(in crate::store) async fn write(path: &Path, mut chunks: Receiver<Chunk>) -> Result<Copied, StoreError> {
    let place = path.display().to_string();
    on_its_own(path, move |connection| {
        let used =
            "SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE seq > 0) OR EXISTS (SELECT 1 FROM secrets)";
        if connection.query_row(used, [], |row| row.get(0)).map_err(failed)? {
            return Err(StoreError::Open { place, reason: "it is not empty".into() });
        }
        let transaction = connection.unchecked_transaction().map_err(failed)?;
        let mut tally = Tally::default();
        while let Some(chunk) = chunks.blocking_recv() {
            match chunk {
                Chunk::Rows(at, rows) => {
                    let Some(table) = TABLES.get(at) else { continue };
                    tally.add(at, rows.len());
                    insert(&transaction, table, &rows).map_err(failed)?;
                }
                Chunk::End(deliveries, webhooks) => {
                    for (table, last) in [("deliveries", deliveries), ("journal", webhooks)] {
                        give_out_after(&transaction, table, last).map_err(failed)?;
                    }
                    transaction.commit().map_err(failed)?;
                    return Ok(tally.told());
                }
            }
        }
        Err(StoreError::Closed)
    })
    .await
}

/// Does something with a database that nobody else has open, and whose log is ended.
async fn on_its_own<T: Send + 'static>(
    path: &Path,
    job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = SqliteStore::open(path, &Options::default(), feed(1).0)?;
    store.close().await?;
    drop(store);
    let place: PathBuf = path.to_owned();
    let done = tokio::task::spawn_blocking(move || {
        let _lock: Option<File> = Place::File(place.clone()).lock()?;
        let connection = Connection::open(&place).map_err(failed)?;
        connection.execute_batch("PRAGMA synchronous = FULL").map_err(failed)?;
        job(&connection)
    });
    done.await.map_err(|error| StoreError::Internal(error.to_string()))?
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: rusqlite::Error) -> StoreError {
    fault::store_error(&error)
}

fn send(chunks: &Sender<Chunk>, chunk: Chunk) -> Result<(), StoreError> {
    chunks.blocking_send(chunk).map_err(|_| StoreError::Closed)
}

fn cells(row: &Row<'_>, table: &Table) -> rusqlite::Result<Vec<Cell>> {
    (0..table.columns.len())
        .map(|column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Int(number),
                ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
                other @ ValueRef::Real(_) => {
                    return Err(rusqlite::Error::InvalidColumnType(
                        column,
                        table.name.into(),
                        other.data_type(),
                    ));
                }
            })
        })
        .collect()
}

fn insert(connection: &Connection, table: &Table, rows: &[Vec<Cell>]) -> rusqlite::Result<()> {
    let places: Vec<String> = (1..=table.columns.len()).map(|place| format!("?{place}")).collect();
    let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, table.names(), places.join(", "));
    let mut statement = connection.prepare_cached(&sql)?;
    for row in rows {
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => bytes.as_slice().into(),
        })
    }
}

/// The last id that was given out in a table.
fn last_id(connection: &Connection, table: &str) -> Result<i64, StoreError> {
    let sql = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0)";
    connection.query_row(sql, params![table], |row| row.get(0)).map_err(failed)
}

/// Ids that are given out in a table are above this one from now on.
fn give_out_after(connection: &Connection, table: &str, last: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", params![table])?;
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, last])?;
    Ok(())
}
