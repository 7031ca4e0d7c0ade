//! A database as a source and as a target of a copy, in one transaction. No node works with it meanwhile.

use tokio::sync::mpsc::{Receiver, Sender};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use super::connection::{Address, Connection};
use super::{fault, text, turn, writer};
use crate::store::StoreError;
use crate::store::copy::{CHUNK, Cell, Chunk, Copied, Kind, TABLES, Table, Tally};

/// Reads everything.
pub(in crate::store) async fn read(address: &str, chunks: Sender<Chunk>) -> Result<(), StoreError> {
    let connection = taken(address).await?;
    let client = connection.client();
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(failed)?;
    for (at, table) in TABLES.iter().enumerate() {
        let columns: Vec<String> =
            table.columns.iter().map(|(name, kind)| format!("{name}::{}", sql_type(*kind))).collect();
        let order = table.order.map(|order| format!("ORDER BY {order}")).unwrap_or_default();
        let cursor = format!(
            "DECLARE rows NO SCROLL CURSOR FOR SELECT {} FROM {} {order}",
            columns.join(", "),
            table.name
        );
        client.batch_execute(&cursor).await.map_err(failed)?;
        let fetch = format!("FETCH {CHUNK} FROM rows");
        loop {
            let rows = client.query(&fetch, &[]).await.map_err(failed)?;
            let is_last = rows.len() < CHUNK;
            let rows = rows.iter().map(|row| cells(row, table)).collect();
            chunks.send(Chunk::Rows(at, rows)).await.map_err(|_| StoreError::Closed)?;
            if is_last {
                break;
            }
        }
        client.batch_execute("CLOSE rows").await.map_err(failed)?;
    }
    let last = client.query_one(turn::LAST, &[]).await.map_err(failed)?;
    chunks.send(Chunk::End(last.get(0), last.get(1))).await.map_err(|_| StoreError::Closed)
}

/// Writes what comes.
pub(in crate::store) async fn write(
    address: &str,
    mut chunks: Receiver<Chunk>,
) -> Result<Copied, StoreError> {
    let mut connection = taken(address).await?;
    let place = connection.place().to_owned();
    let transaction = connection.transaction().await.map_err(failed)?;
    let last = turn::take(&transaction).await.map_err(failed)?;
    let secrets = transaction.query_opt("SELECT 1 FROM secrets LIMIT 1", &[]).await.map_err(failed)?;
    if last != (0, 0) || secrets.is_some() {
        return Err(StoreError::Open { place, reason: "it is not empty".into() });
    }
    let mut tally = Tally::default();
    while let Some(chunk) = chunks.recv().await {
        match chunk {
            Chunk::Rows(at, rows) => {
                let Some(table) = TABLES.get(at).filter(|_| !rows.is_empty()) else { continue };
                tally.add(at, rows.len());
                let columns: Vec<Box<dyn ToSql + Sync + Send>> = table
                    .columns
                    .iter()
                    .enumerate()
                    .map(|(at, (_, kind))| column(&rows, at, *kind))
                    .collect();
                let columns: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| &**column as _).collect();
                transaction.execute(&insert(table), &columns).await.map_err(failed)?;
            }
            Chunk::End(deliveries, webhooks) => {
                turn::note(&transaction, deliveries, webhooks).await.map_err(failed)?;
                transaction.commit().await.map_err(failed)?;
                return Ok(tally.told());
            }
        }
    }
    Err(StoreError::Closed)
}

/// A connection to a database that no node works with; waiting for the other side does not end its transaction.
async fn taken(address: &str) -> Result<Connection, StoreError> {
    let connection = writer::connect(&Address::parse(address)?, writer::Use::Alone).await?;
    let patience = "SET idle_in_transaction_session_timeout = 0; SET statement_timeout = 0";
    connection.client().batch_execute(patience).await.map_err(failed)?;
    Ok(connection)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: Error) -> StoreError {
    fault::store_error(&error)
}

fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "bigint",
        Kind::Flag => "boolean",
        Kind::Text | Kind::Json => "text",
        Kind::Bytes => "bytea",
    }
}

fn insert(table: &Table) -> String {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, (_, kind))| format!("${}::{}[]", at + 1, sql_type(*kind)))
        .collect();
    format!("INSERT INTO {} ({}) SELECT * FROM unnest({})", table.name, table.names(), arrays.join(", "))
}

fn cells(row: &Row, table: &Table) -> Vec<Cell> {
    let cell = |(at, (_, kind)): (usize, &(&str, Kind))| match kind {
        Kind::Int => row.get::<_, Option<i64>>(at).map_or(Cell::Null, Cell::Int),
        Kind::Flag => row.get::<_, Option<bool>>(at).map_or(Cell::Null, |flag| Cell::Int(flag.into())),
        Kind::Text => {
            let text = row.get::<_, Option<&str>>(at);
            text.map_or(Cell::Null, |text| Cell::Text(text::read(text).into_owned()))
        }
        Kind::Json => row.get::<_, Option<String>>(at).map_or(Cell::Null, Cell::Text),
        Kind::Bytes => row.get::<_, Option<Vec<u8>>>(at).map_or(Cell::Null, Cell::Bytes),
    };
    table.columns.iter().enumerate().map(cell).collect()
}

/// What a column of some rows holds.
fn column(rows: &[Vec<Cell>], at: usize, kind: Kind) -> Box<dyn ToSql + Sync + Send> {
    let cells = rows.iter().map(move |row| row.get(at).unwrap_or(&Cell::Null));
    let int = |cell: &Cell| if let Cell::Int(number) = cell { Some(*number) } else { None };
    let text = |cell: &Cell| if let Cell::Text(text) = cell { Some(text.clone()) } else { None };
    match kind {
        Kind::Int => Box::new(cells.map(int).collect::<Vec<_>>()),
        Kind::Flag => Box::new(cells.map(|cell| int(cell).map(|flag| flag != 0)).collect::<Vec<_>>()),
        Kind::Text => Box::new(
            cells
                .map(|cell| text(cell).map(|text| text::stored(&text).into_owned()))
                .collect::<Vec<Option<String>>>(),
        ),
        Kind::Json => Box::new(cells.map(text).collect::<Vec<_>>()),
        Kind::Bytes => Box::new(
            cells
                .map(|cell| if let Cell::Bytes(bytes) = cell { Some(bytes.clone()) } else { None })
                .collect::<Vec<_>>(),
        ),
    }
}
