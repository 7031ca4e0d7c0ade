//! Secrets that the installation made up for itself. Invariant: the first that is kept under a name stays.

use rusqlite::{Transaction, params};

/// The secret of that name, which is `fresh` if there was none.
pub(super) fn secret(transaction: &Transaction<'_>, name: &str, fresh: &[u8]) -> rusqlite::Result<Vec<u8>> {
    transaction
        .execute("INSERT OR IGNORE INTO secrets (name, value) VALUES (?1, ?2)", params![name, fresh])?;
    transaction.query_row("SELECT value FROM secrets WHERE name = ?1", params![name], |row| row.get(0))
}
