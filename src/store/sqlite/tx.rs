//! The open transaction, which takes down what it changes.
//!
//! Invariant: no table is changed but through [`Tx::change`], so that the same changes made again, in a database as it
//! was before them, come to the same. Therefore no statement may depend on anything but the database and its values:
//! not on the clock, nor on chance.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::types::{ToSql, ToSqlOutput};
use rusqlite::{Connection, params_from_iter};

use super::redo::Changes;

/// A transaction that is open on a connection; reading is up to the connection.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    changes: Option<RefCell<Changes>>,
}

impl<'a> Tx<'a> {
    /// One whose changes are taken down.
    pub(super) fn recorded(connection: &'a Connection) -> Self {
        Self { connection, changes: Some(RefCell::default()) }
    }

    /// One that nobody will make again.
    pub(super) fn unrecorded(connection: &'a Connection) -> Self {
        Self { connection, changes: None }
    }

    /// What was changed, if it was taken down.
    pub(super) fn into_changes(self) -> Option<Changes> {
        self.changes.map(RefCell::into_inner)
    }

    /// Runs a statement that changes something; gives how many rows it changed.
    pub(super) fn change(&self, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let Some(changes) = &self.changes else { return statement.execute(values) };
        let values: Vec<ToSqlOutput<'_>> =
            values.iter().map(ToSql::to_sql).collect::<rusqlite::Result<_>>()?;
        let changed = statement.execute(params_from_iter(&values))?;
        if changed > 0 {
            changes.borrow_mut().add(sql, &values)?;
        }
        Ok(changed)
    }

    /// Runs a statement that inserts a row; gives the row's id.
    pub(super) fn insert(&self, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<i64> {
        self.change(sql, values)?;
        Ok(self.connection.last_insert_rowid())
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}
