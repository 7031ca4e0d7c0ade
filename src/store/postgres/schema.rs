//! The tables, as a list of migrations. Invariant: the one row of `schema_version` is the number of migrations applied; a
//! migration that was released is never changed, only followed by another.
//!
//! All that names something is text as it came, but for NUL; see [`super::text`]. Tables of which old rows are removed by
//! their age have a small index of ranges on it, which costs next to nothing to keep.

use super::connection::Connection;
use super::fault;
use crate::store::StoreError;

/// Every migration, in order.
const MIGRATIONS: &[&str] = &[
    r"
    CREATE SEQUENCE delivery_ids MINVALUE 0;    -- the last id that was given out in deliveries
    CREATE SEQUENCE webhook_ids MINVALUE 0;     -- and in journal

    CREATE TABLE journal (
        id BIGINT PRIMARY KEY,
        received_at BIGINT NOT NULL,
        channel TEXT,
        mapping TEXT NOT NULL,
        route TEXT NOT NULL,
        method TEXT NOT NULL,
        url TEXT NOT NULL,
        verdict TEXT NOT NULL,          -- accepted, ignored, parked
        reason TEXT,
        headers TEXT NOT NULL,          -- JSON
        body BYTEA NOT NULL
    );
    CREATE INDEX journal_parked ON journal (id) WHERE verdict = 'parked';
    CREATE INDEX journal_parked_channel ON journal (channel, mapping) WHERE verdict = 'parked';
    CREATE INDEX journal_age ON journal USING brin (received_at) WITH (autosummarize = on);

    CREATE TABLE deliveries (
        id BIGINT PRIMARY KEY,
        channel TEXT NOT NULL,
        direction SMALLINT NOT NULL,    -- 0 inbound, 1 outbound
        contact TEXT NOT NULL,
        mid TEXT NOT NULL,
        kind TEXT NOT NULL,
        state SMALLINT NOT NULL,        -- 0 queued, 1 sent, 2 failed, 3 dead, 4 held
        attempts INT NOT NULL,
        not_before BIGINT NOT NULL,
        accepted_at BIGINT NOT NULL,
        settled_at BIGINT,
        webhook BIGINT,                 -- journal.id
        error TEXT,
        progress TEXT,                  -- small JSON
        in_doubt BOOLEAN NOT NULL,      -- an attempt began, and no more is known
        bulk BOOLEAN NOT NULL,          -- behind all that is not
        behind BIGINT,                  -- deliveries.id of its contact that go first
        payload BYTEA NOT NULL
    );
    CREATE INDEX deliveries_queued ON deliveries (channel, direction, bulk, id) WHERE state = 0;
    CREATE INDEX deliveries_bulk ON deliveries (channel, direction, contact, id) WHERE state = 0 AND bulk;
    CREATE INDEX deliveries_lost ON deliveries (state, id) WHERE state >= 2;
    CREATE INDEX deliveries_lost_lane ON deliveries (channel, direction, state) WHERE state >= 2;
    CREATE INDEX deliveries_lost_webhook ON deliveries (webhook) WHERE state >= 2;
    CREATE INDEX deliveries_age ON deliveries USING brin (accepted_at) WITH (autosummarize = on);

    CREATE TABLE dedupe (
        key BYTEA PRIMARY KEY,          -- hash of channel and key
        seen_at BIGINT NOT NULL
    );
    CREATE INDEX dedupe_age ON dedupe USING brin (seen_at) WITH (autosummarize = on);

    CREATE TABLE messages (             -- outbound messages that left the queue
        channel TEXT NOT NULL,
        mid TEXT NOT NULL,
        contact TEXT NOT NULL,
        status SMALLINT NOT NULL,       -- of the message: 0 sent, 1 delivered, 2 read, 3 failed
        parts BYTEA NOT NULL,           -- one byte per part, same numbers
        sent_at BIGINT NOT NULL,
        PRIMARY KEY (channel, mid)
    );
    CREATE INDEX messages_open ON messages (channel, contact, sent_at) WHERE status < 2;
    CREATE INDEX messages_age ON messages USING brin (sent_at) WITH (autosummarize = on);

    CREATE TABLE provider_ids (
        channel TEXT NOT NULL,
        provider_id TEXT NOT NULL,
        mid TEXT NOT NULL,
        part INT NOT NULL,
        sent_at BIGINT NOT NULL,
        PRIMARY KEY (channel, provider_id)
    );
    CREATE INDEX provider_ids_age ON provider_ids USING brin (sent_at) WITH (autosummarize = on);

    CREATE TABLE waiting_receipts (     -- overtook the answer to the request that sent their message
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        channel TEXT NOT NULL,
        own BOOLEAN NOT NULL,           -- message is our id, or the provider's
        message TEXT NOT NULL,
        status SMALLINT NOT NULL,
        error_code TEXT,
        error_message TEXT,
        post SMALLINT NOT NULL,
        at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL
    );
    CREATE INDEX waiting_receipts_message ON waiting_receipts (channel, own, message);

    CREATE TABLE aliases (              -- of contacts
        channel TEXT NOT NULL,
        alias TEXT NOT NULL,
        original TEXT NOT NULL,
        seen_at BIGINT NOT NULL,
        PRIMARY KEY (channel, alias)
    );

    CREATE TABLE pauses (
        channel TEXT NOT NULL,
        direction SMALLINT NOT NULL,
        until BIGINT NOT NULL,
        PRIMARY KEY (channel, direction)
    );

    CREATE TABLE memory (
        channel TEXT NOT NULL,
        contact TEXT NOT NULL,          -- '': what the channel itself remembers
        name TEXT NOT NULL,
        value TEXT NOT NULL,            -- JSON
        expires_at BIGINT,
        PRIMARY KEY (channel, contact, name)
    );
    CREATE INDEX memory_expires ON memory (expires_at) WHERE expires_at IS NOT NULL;

    CREATE TABLE pieces (               -- of messages that are not complete
        channel TEXT NOT NULL,
        contact TEXT NOT NULL,
        key TEXT NOT NULL,
        position INT NOT NULL,
        total INT NOT NULL,
        due_at BIGINT NOT NULL,
        mid TEXT NOT NULL,
        kind TEXT NOT NULL,
        not_before BIGINT NOT NULL,
        webhook BIGINT,                 -- journal.id
        payload BYTEA NOT NULL,
        PRIMARY KEY (channel, contact, key, position)
    );
    CREATE INDEX pieces_due ON pieces (due_at);

    CREATE TABLE watermarks (           -- the latest of each contact, for messages that are recorded after it came
        channel TEXT NOT NULL,
        contact TEXT NOT NULL,
        status SMALLINT NOT NULL,
        up_to BIGINT NOT NULL,
        post SMALLINT NOT NULL,
        at BIGINT NOT NULL,
        seen_at BIGINT NOT NULL,
        PRIMARY KEY (channel, contact, status)
    );
    CREATE INDEX watermarks_seen ON watermarks (seen_at);

    CREATE TABLE secrets (              -- what this installation made up for itself
        name TEXT PRIMARY KEY,
        value BYTEA NOT NULL
    );
",
    r"
    CREATE SEQUENCE node_ids;

    CREATE TABLE nodes (                -- processes that deliver
        id BIGINT PRIMARY KEY,
        division TEXT NOT NULL,         -- how they divide the lanes among the slots
        seat TEXT,                      -- what only one of them can have at a time
        beat BIGINT NOT NULL,           -- rises with every renewal
        leaving BOOLEAN NOT NULL        -- gives up what it holds
    ) WITH (fillfactor = 50);

    CREATE TABLE slots (                -- of lanes
        slot SMALLINT PRIMARY KEY,
        node BIGINT                     -- nodes.id of its holder; of one that is gone: nobody's
    ) WITH (fillfactor = 50);

    CREATE TABLE calls (                -- whose values nodes share
        name TEXT PRIMARY KEY,          -- hash of what it is
        value TEXT,                     -- JSON
        expires_at BIGINT,
        maker BIGINT                    -- instead of a value: nodes.id of who makes the call; of one that is gone: nobody
    );
    CREATE INDEX calls_expires ON calls (expires_at);
",
];

/// The advisory lock, in its schema, under which the tables are brought up to date, by one node at a time.
const MIGRATING: i32 = 0x5061_7464;

/// Brings the database to the newest schema; refuses one that is newer than this program.
pub(super) async fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let client = connection.client();
    let opened = |error: tokio_postgres::Error| connection.open_error(&error);
    client
        .batch_execute(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({MIGRATING}, hashtext(current_schema())); \
             CREATE TABLE IF NOT EXISTS schema_version (version INT NOT NULL)"
        ))
        .await
        .map_err(opened)?;
    let row = client.query_opt("SELECT version FROM schema_version", &[]).await.map_err(opened)?;
    let found: i64 = row.map_or(0, |row| row.get::<_, i32>(0).into());
    let known = known();
    if found > known {
        return Err(StoreError::Newer { place: connection.place().to_owned(), found, known });
    }
    for sql in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        client.batch_execute(sql).await.map_err(opened)?;
    }
    if found < known {
        let note = format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({known})");
        client.batch_execute(&note).await.map_err(opened)?;
    }
    client.batch_execute("COMMIT").await.map_err(opened)
}

/// Refuses a database that is not of the newest schema, for one who may not migrate it.
pub(super) async fn must_be_known(connection: &Connection) -> Result<(), StoreError> {
    let place = || connection.place().to_owned();
    let client = connection.client();
    let there = client.query_one("SELECT to_regclass('schema_version') IS NOT NULL", &[]).await;
    if !there.map_err(|error| fault::store_error(&error))?.get::<_, bool>(0) {
        return Err(StoreError::Open { place: place(), reason: "there is no store in it".into() });
    }
    let row = client.query_opt("SELECT version FROM schema_version", &[]).await;
    let row = row.map_err(|error| fault::store_error(&error))?;
    let found: i64 = row.map_or(0, |row| row.get::<_, i32>(0).into());
    match found.cmp(&known()) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(StoreError::Older { place: place(), found, known: known() }),
        std::cmp::Ordering::Greater => Err(StoreError::Newer { place: place(), found, known: known() }),
    }
}

fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}
