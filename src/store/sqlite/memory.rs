//! Small memory: what is remembered about contacts and channels.

use rusqlite::{Connection, params};

use super::row;
use super::tx::Tx;
use crate::expression::Value;
use crate::memory::{Memory, Remember};
use crate::world::Millis;

/// Makes the changes, in order.
pub(super) fn remember(tx: &Tx<'_>, changes: &[Remember]) -> rusqlite::Result<()> {
    for change in changes {
        let key = (change.channel.as_str(), change.contact.as_str(), change.name.as_str());
        // Bytes can't be put into JSON; nothing else is refused.
        match change.value.to_json().filter(|_| !matches!(change.value, Value::Null)) {
            Some(json) => tx.change(
                "INSERT OR REPLACE INTO memory (channel, contact, name, value, expires_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                params![key.0, key.1, key.2, json, change.expires_at],
            )?,
            None => tx.change(
                "DELETE FROM memory WHERE channel = ?1 AND contact = ?2 AND name = ?3",
                params![key.0, key.1, key.2],
            )?,
        };
    }
    Ok(())
}

/// What is remembered about a contact and its channel.
pub(super) fn recall(
    connection: &Connection,
    channel: &str,
    contact: &str,
    now: Millis,
) -> rusqlite::Result<Memory> {
    let mut memory = Memory::default();
    let mut statement = connection.prepare_cached(
        "SELECT contact, name, value FROM memory WHERE channel = ?1 AND contact IN ('', ?2) \
         AND (expires_at IS NULL OR expires_at > ?3) ORDER BY name",
    )?;
    let mut rows = statement.query(params![channel, contact, now])?;
    while let Some(row) = rows.next()? {
        let part =
            if row.get_ref(0)?.as_str()?.is_empty() { &mut memory.channel } else { &mut memory.contact };
        let value = Value::from_json(row.get_ref(2)?.as_str()?.as_bytes()).unwrap_or_default();
        part.insert(row::text(row, 1)?, value);
    }
    Ok(memory)
}

/// Removes what has expired; gives how much that was, at most `most`.
pub(super) fn purge(tx: &Tx<'_>, now: Millis, most: i64) -> rusqlite::Result<usize> {
    tx.change(
        "DELETE FROM memory WHERE (channel, contact, name) IN \
             (SELECT channel, contact, name FROM memory INDEXED BY memory_expires \
              WHERE expires_at IS NOT NULL AND expires_at <= ?1 LIMIT ?2)",
        params![now, most],
    )
}
