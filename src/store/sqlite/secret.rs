//! Secrets that the installation made up for itself. Invariant: the first that is kept under a name stays.

use rusqlite::params;

use super::tx::Tx;

/// The secret of that name, which is `fresh` if there was none.
pub(super) fn secret(tx: &Tx<'_>, name: &str, fresh: &[u8]) -> rusqlite::Result<Vec<u8>> {
    tx.change("INSERT OR IGNORE INTO secrets (name, value) VALUES (?1, ?2)", params![name, fresh])?;
    tx.query_row("SELECT value FROM secrets WHERE name = ?1", params![name], |row| row.get(0))
}
