//! The tables, as a list of migrations. Invariant: `PRAGMA user_version` is the number of migrations applied; a
//! migration that was released is never changed, only followed by another.

use std::cmp::Ordering;
use std::path::Path;

use rusqlite::Connection;

use super::fault::open_error;
use crate::store::StoreError;

/// Every migration, in order.
const MIGRATIONS: &[&str] = &[
    r"
    CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        received_at INTEGER NOT NULL,
        channel TEXT,
        mapping TEXT NOT NULL,
        route TEXT NOT NULL,
        method TEXT NOT NULL,
        url TEXT NOT NULL,
        verdict TEXT NOT NULL,          -- accepted, ignored, parked
        reason TEXT,
        headers TEXT NOT NULL,          -- JSON
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX journal_parked ON journal (id) WHERE verdict = 'parked';

    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        channel TEXT NOT NULL,
        direction INTEGER NOT NULL,     -- 0 inbound, 1 outbound
        contact TEXT NOT NULL,
        mid TEXT NOT NULL,
        kind TEXT NOT NULL,
        state INTEGER NOT NULL,         -- 0 queued, 1 sent, 2 failed, 3 dead, 4 held
        attempts INTEGER NOT NULL,
        not_before INTEGER NOT NULL,
        accepted_at INTEGER NOT NULL,
        settled_at INTEGER,
        webhook INTEGER,                -- journal.id
        error TEXT,
        progress TEXT,                  -- small JSON
        dedupe BLOB,                    -- hash of channel and key
        payload BLOB NOT NULL
    ) STRICT;
    -- The queue itself; the contact is in it so that one contact's part is found without reading rows.
    CREATE INDEX deliveries_queued ON deliveries (channel, direction, id, contact) WHERE state = 0;
    CREATE INDEX deliveries_lost ON deliveries (state, id) WHERE state >= 2;

    CREATE TABLE dedupe (
        key BLOB PRIMARY KEY,           -- hash of channel and key
        seen_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE moved (                -- up to this one, the keys of deliveries are in dedupe
        upto INTEGER NOT NULL           -- deliveries.id
    ) STRICT;
    INSERT INTO moved VALUES (0);

    CREATE TABLE messages (             -- outbound messages that left the queue
        channel TEXT NOT NULL,
        mid TEXT NOT NULL,
        contact TEXT NOT NULL,
        status INTEGER NOT NULL,        -- of the message: 0 sent, 1 delivered, 2 read, 3 failed
        parts BLOB NOT NULL,            -- one byte per part, same numbers
        sent_at INTEGER NOT NULL,
        PRIMARY KEY (channel, mid)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE provider_ids (
        channel TEXT NOT NULL,
        provider_id TEXT NOT NULL,
        mid TEXT NOT NULL,
        part INTEGER NOT NULL,
        sent_at INTEGER NOT NULL,
        PRIMARY KEY (channel, provider_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE waiting_receipts (     -- overtook the answer to the request that sent their message
        id INTEGER PRIMARY KEY,
        channel TEXT NOT NULL,
        own INTEGER NOT NULL,           -- 1: message is our id, 0: the provider's
        message TEXT NOT NULL,
        status INTEGER NOT NULL,
        error_code TEXT,
        error_message TEXT,
        post INTEGER NOT NULL,
        at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX waiting_receipts_message ON waiting_receipts (channel, own, message);

    CREATE TABLE aliases (              -- of contacts
        channel TEXT NOT NULL,
        alias TEXT NOT NULL,
        original TEXT NOT NULL,
        seen_at INTEGER NOT NULL,
        PRIMARY KEY (channel, alias)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE pauses (
        channel TEXT NOT NULL,
        direction INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (channel, direction)
    ) STRICT, WITHOUT ROWID;
",
    r"
    CREATE TABLE memory (
        channel TEXT NOT NULL,
        contact TEXT NOT NULL,          -- '': what the channel itself remembers
        name TEXT NOT NULL,
        value TEXT NOT NULL,            -- JSON
        expires_at INTEGER,
        PRIMARY KEY (channel, contact, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX memory_expires ON memory (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE pieces (               -- of messages that are not complete
        channel TEXT NOT NULL,
        contact TEXT NOT NULL,
        key TEXT NOT NULL,
        position INTEGER NOT NULL,
        total INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        mid TEXT NOT NULL,
        kind TEXT NOT NULL,
        not_before INTEGER NOT NULL,
        webhook INTEGER,                -- journal.id
        payload BLOB NOT NULL,
        PRIMARY KEY (channel, contact, key, position)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pieces_due ON pieces (due_at);

    CREATE TABLE watermarks (           -- the latest of each contact, for messages that are recorded after it came
        channel TEXT NOT NULL,
        contact TEXT NOT NULL,
        status INTEGER NOT NULL,
        up_to INTEGER NOT NULL,
        post INTEGER NOT NULL,
        at INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        PRIMARY KEY (channel, contact, status)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX watermarks_seen ON watermarks (seen_at);
    -- What a watermark may move: messages that were neither read nor lost.
    CREATE INDEX messages_open ON messages (channel, contact, sent_at) WHERE status < 2;
  ",
    r"
    CREATE TABLE secrets (              -- what this installation made up for itself
        name TEXT PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
",
    r"
    -- What waits for an operator, counted by channel without reading rows; and the webhooks of dead letters, which
    -- are kept with them.
    CREATE INDEX deliveries_lost_lane ON deliveries (channel, direction, state) WHERE state >= 2;
    CREATE INDEX deliveries_lost_webhook ON deliveries (webhook) WHERE state >= 2;
    CREATE INDEX journal_parked_channel ON journal (channel, mapping) WHERE verdict = 'parked';
",
    r"
    ALTER TABLE deliveries ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 0; -- 1: an attempt began, and no more is known
    ALTER TABLE deliveries ADD COLUMN bulk INTEGER NOT NULL DEFAULT 0;     -- 1: behind all that is 0
    ALTER TABLE deliveries ADD COLUMN behind INTEGER;                      -- deliveries.id of its contact that go first
    DROP INDEX deliveries_queued;
    CREATE INDEX deliveries_queued ON deliveries (channel, direction, bulk, id, contact) WHERE state = 0;
    CREATE INDEX deliveries_bulk ON deliveries (channel, direction, contact, id) WHERE state = 0 AND bulk = 1;
",
    r"
    CREATE TABLE redo (                 -- up to where this database has the changes in its log; see redo/mod.rs
        epoch INTEGER NOT NULL,         -- 0: there is nothing in it
        number INTEGER NOT NULL
    ) STRICT;
    INSERT INTO redo VALUES (0, 0);
",
];

/// Refuses a database at `path` that is not of the newest schema, for one who may not migrate it.
pub(super) fn must_be_known(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let (found, known) = versions(connection, path)?;
    match found.cmp(&known) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(StoreError::Older { place: path.display().to_string(), found, known }),
        Ordering::Greater => Err(StoreError::Newer { place: path.display().to_string(), found, known }),
    }
}

/// The version of the database's schema, and the newest one.
fn versions(connection: &Connection, path: &Path) -> Result<(i64, i64), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    Ok((found.map_err(|error| open_error(path, &error))?, known))
}

/// Brings the database at `path` to the newest schema; refuses one that is newer than this program.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| open_error(path, &error);
    let (found, known) = versions(connection, path)?;
    if found > known {
        return Err(StoreError::Newer { place: path.display().to_string(), found, known });
    }
    for (version, sql) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection.transaction().map_err(failed)?;
        transaction.execute_batch(sql).map_err(failed)?;
        transaction.pragma_update(None, "user_version", version).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(())
}
