//! Everything that the units of a batch changed, written at once and committed: one statement for what nearly every batch
//! changes, one for each further table, all of them on their way together with the commit.
//!
//! Invariant: where one of them fails nothing is committed, since a transaction that failed can only be rolled back.

use std::borrow::Cow;

use futures_util::future::{BoxFuture, try_join_all};
use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use super::connection::Connection;
use super::draft::Draft;
use super::text::stored;
use crate::message::IdOwner;

// Parts of one statement, whose values have no numbers of their own. What one of them writes no other does.
const JOURNAL: &str = "INSERT INTO journal (id, received_at, channel, mapping, route, method, url, verdict, reason, headers, body) \
     SELECT * FROM unnest(?::bigint[], ?::bigint[], ?::text[], ?::text[], ?::text[], ?::text[], ?::text[], \
     ?::text[], ?::text[], ?::text[], ?::bytea[])";
const DELIVERIES: &str = "INSERT INTO deliveries (id, channel, direction, contact, mid, kind, state, attempts, not_before, accepted_at, \
     webhook, in_doubt, bulk, behind, payload) \
     SELECT id, channel, direction, contact, mid, kind, 0, 0, not_before, accepted_at, webhook, false, bulk, behind, payload \
     FROM unnest(?::bigint[], ?::text[], ?::smallint[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::bigint[], \
     ?::bigint[], ?::bool[], ?::bigint[], ?::bytea[]) AS new (id, channel, direction, contact, mid, kind, not_before, \
     accepted_at, webhook, bulk, behind, payload)";
const SEEN: &str = "INSERT INTO dedupe (key, seen_at) SELECT * FROM unnest(?::bytea[], ?::bigint[]) \
     ON CONFLICT (key) DO UPDATE SET seen_at = excluded.seen_at";
const OUTCOMES: &str = "UPDATE deliveries SET state = new.state, attempts = new.attempts, \
     not_before = coalesce(new.not_before, deliveries.not_before), settled_at = new.settled_at, error = new.error, \
     progress = coalesce(new.progress, deliveries.progress), in_doubt = deliveries.in_doubt AND new.state <> 0 \
     FROM unnest(?::bigint[], ?::smallint[], ?::int[], ?::bigint[], ?::bigint[], ?::text[], ?::text[]) \
     AS new (id, state, attempts, not_before, settled_at, error, progress) WHERE deliveries.id = new.id";
const NAMES: &str = "INSERT INTO provider_ids (channel, provider_id, mid, part, sent_at) \
     SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::int[], ?::bigint[]) \
     ON CONFLICT (channel, provider_id) DO UPDATE SET mid = excluded.mid, part = excluded.part, sent_at = excluded.sent_at";
const MESSAGES: &str = "INSERT INTO messages (channel, mid, contact, status, parts, sent_at) \
     SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::smallint[], ?::bytea[], ?::bigint[]) \
     ON CONFLICT (channel, mid) DO UPDATE SET contact = excluded.contact, status = excluded.status, \
     parts = excluded.parts, sent_at = excluded.sent_at";
const NOTE: &str = "SELECT setval('delivery_ids', ?), setval('webhook_ids', ?)";
const WAKE: &str = ", pg_notify(?, '')";

const REPLAYS: &str = "UPDATE journal SET verdict = new.verdict, reason = new.reason \
     FROM unnest($1::bigint[], $2::text[], $3::text[]) AS new (id, verdict, reason) WHERE journal.id = new.id";
// What is not queued any more stays as it is; see what is read, why that is no condition.
const BEGUN: &str = "UPDATE deliveries SET in_doubt = in_doubt OR state = 0 WHERE id = ANY($1)";
const TAKEN: &str = "DELETE FROM waiting_receipts USING unnest($1::text[], $2::bool[], $3::text[]) AS gone (channel, own, message) \
     WHERE waiting_receipts.channel = gone.channel AND waiting_receipts.own = gone.own \
     AND waiting_receipts.message = gone.message";
const WAITING: &str = "INSERT INTO waiting_receipts (channel, own, message, status, error_code, error_message, post, at, seen_at) \
     SELECT * FROM unnest($1::text[], $2::bool[], $3::text[], $4::smallint[], $5::text[], $6::text[], $7::smallint[], \
     $8::bigint[], $9::bigint[])";
const WATERMARKS: &str = "INSERT INTO watermarks (channel, contact, status, up_to, post, at, seen_at) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::smallint[], $6::bigint[], $7::bigint[]) \
     ON CONFLICT (channel, contact, status) DO UPDATE SET up_to = excluded.up_to, post = excluded.post, \
     at = excluded.at, seen_at = excluded.seen_at";
const PIECES_GONE: &str = "DELETE FROM pieces USING unnest($1::text[], $2::text[], $3::text[]) AS gone (channel, contact, key) \
     WHERE pieces.channel = gone.channel AND pieces.contact = gone.contact AND pieces.key = gone.key";
const PIECES: &str = "INSERT INTO pieces (channel, contact, key, position, total, due_at, mid, kind, not_before, webhook, payload) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[], $6::bigint[], $7::text[], $8::text[], \
     $9::bigint[], $10::bigint[], $11::bytea[])";
const REMEMBERED: &str = "INSERT INTO memory (channel, contact, name, value, expires_at) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[]) \
     ON CONFLICT (channel, contact, name) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at";
const FORGOTTEN: &str = "DELETE FROM memory USING unnest($1::text[], $2::text[], $3::text[]) AS gone (channel, contact, name) \
     WHERE memory.channel = gone.channel AND memory.contact = gone.contact AND memory.name = gone.name";
const ALIASES: &str = "INSERT INTO aliases (channel, alias, original, seen_at) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) ON CONFLICT DO NOTHING";
const PAUSES: &str = "INSERT INTO pauses (channel, direction, until) \
     SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[]) \
     ON CONFLICT (channel, direction) DO UPDATE SET until = greatest(pauses.until, excluded.until)";

/// The statements of this file that stand alone, to be prepared.
pub(super) const STATEMENTS: [&str; 11] =
    [REPLAYS, BEGUN, TAKEN, WAITING, WATERMARKS, PIECES_GONE, PIECES, REMEMBERED, FORGOTTEN, ALIASES, PAUSES];

/// Writes what was changed, and commits.
pub(super) async fn flush(connection: &Connection, draft: &Draft) -> Result<(), Error> {
    let mut statements = Statements::default();
    journal(draft, &mut statements);
    deliveries(draft, &mut statements);
    messages(draft, &mut statements);
    receipts(draft, &mut statements);
    pieces(draft, &mut statements);
    small(draft, &mut statements);

    let together = together(&statements.parts, &statements.last);
    if !together.is_empty() {
        // Before anything is on its way, since nothing may overtake it.
        connection.prepare([&*together].into_iter()).await?;
    }
    let Statements { parts, last: (_, last), alone } = statements;
    let values = parts.into_iter().flat_map(|(_, columns)| columns).chain(last).collect();
    let first = (!together.is_empty()).then_some((&*together, values));

    let mut flight: Vec<BoxFuture<'_, Result<(), Error>>> = Vec::with_capacity(alone.len() + 2);
    for (sql, columns) in first.into_iter().chain(alone) {
        flight.push(
            async move {
                let values: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| &**column as _).collect();
                connection.change(sql, &values).await
            }
            .map_ok(|_| ())
            .boxed(),
        );
    }
    flight.push(connection.client().batch_execute("COMMIT").boxed());
    try_join_all(flight).await.map(|_| ())
}

/// One statement of several, which ends with another; empty where there are none.
fn together(parts: &[Statement<'_>], (last, _): &Last<'_>) -> String {
    if parts.is_empty() && last.is_empty() {
        return String::new();
    }
    let last = if last.is_empty() { "SELECT" } else { last };
    let mut sql = String::with_capacity(2048);
    for (number, (part, _)) in parts.iter().enumerate() {
        let before = if number == 0 { "WITH" } else { "," };
        sql.push_str(&format!("{before} part{number} AS ({part}) "));
    }
    sql.push_str(last);
    numbered(&sql)
}

/// With a number for each value.
fn numbered(sql: &str) -> String {
    let mut numbered = String::with_capacity(sql.len() + 128);
    for (number, piece) in sql.split('?').enumerate() {
        if number > 0 {
            numbered.push_str(&format!("${number}"));
        }
        numbered.push_str(piece);
    }
    numbered
}

/// The statement of a batch that changes all it can.
#[cfg(test)]
pub(super) fn of_all_parts() -> String {
    let parts = [JOURNAL, DELIVERIES, SEEN, OUTCOMES, NAMES, MESSAGES].map(|part| (part, Vec::new()));
    together(&parts, &(format!("{NOTE}{WAKE}"), Vec::new()))
}

/// A statement with its columns.
type Statement<'a> = (&'static str, Vec<Column<'a>>);
type Column<'a> = Box<dyn ToSql + Sync + Send + 'a>;
/// What the parts end with, and its values.
type Last<'a> = (String, Vec<Column<'a>>);

/// What is to be said to the database.
#[derive(Default)]
struct Statements<'a> {
    /// In one statement.
    parts: Vec<Statement<'a>>,
    last: Last<'a>,
    /// Each in one of its own, in their order.
    alone: Vec<Statement<'a>>,
}

impl<'a> Statements<'a> {
    fn join(&mut self, sql: &'static str, columns: Vec<Column<'a>>) {
        self.parts.push((sql, columns));
    }

    fn end(&mut self, sql: &str, values: Vec<Column<'a>>) {
        self.last.0.push_str(sql);
        self.last.1.extend(values);
    }

    fn add(&mut self, sql: &'static str, columns: Vec<Column<'a>>) {
        self.alone.push((sql, columns));
    }
}

/// A column of what each row has.
fn column<'a, R, T: ToSql + Sync + Send + 'a>(rows: &[R], of: impl Fn(&R) -> T) -> Column<'a> {
    Box::new(rows.iter().map(of).collect::<Vec<T>>())
}

/// The same of text.
fn texts<'a, R>(rows: &[R], of: impl Fn(&R) -> &'a str) -> Column<'a> {
    column(rows, |row| stored(of(row)))
}

/// The same of text that may be missing.
fn maybe<'a, R>(rows: &[R], of: impl Fn(&R) -> Option<&'a str>) -> Column<'a> {
    column(rows, |row| of(row).map(stored))
}

fn journal<'a>(draft: &'a Draft, statements: &mut Statements<'a>) {
    let rows: Vec<_> = draft.journal.iter().map(|(id, entry)| (*id, entry)).collect();
    if !rows.is_empty() {
        statements.join(
            JOURNAL,
            vec![
                column(&rows, |row| row.0),
                column(&rows, |row| row.1.received_at),
                maybe(&rows, |row| row.1.channel.as_deref()),
                texts(&rows, |row| &row.1.mapping),
                texts(&rows, |row| &row.1.route),
                texts(&rows, |row| &row.1.method),
                texts(&rows, |row| &row.1.url),
                texts(&rows, |row| row.1.verdict.as_str()),
                maybe(&rows, |row| row.1.reason.as_deref()),
                texts(&rows, |row| &row.1.headers),
                column(&rows, |row| &row.1.body[..]),
            ],
        );
    }
    let rows: Vec<_> = draft.replays.iter().collect();
    if !rows.is_empty() {
        statements.add(
            REPLAYS,
            vec![
                column(&rows, |row| row.webhook),
                texts(&rows, |row| row.verdict.as_str()),
                maybe(&rows, |row| row.reason.as_deref()),
            ],
        );
    }
}

fn deliveries<'a>(draft: &'a Draft, statements: &mut Statements<'a>) {
    if !(draft.deliveries.is_empty() && draft.journal.is_empty()) {
        statements.end(NOTE, vec![Box::new(draft.last_delivery), Box::new(draft.last_webhook)]);
    }
    let rows: Vec<_> = draft.deliveries.iter().map(|it| &**it).collect();
    if !rows.is_empty() {
        statements.join(
            DELIVERIES,
            vec![
                column(&rows, |row| row.id),
                texts(&rows, |row| &row.lane.channel),
                column(&rows, |row| row.lane.direction.number()),
                texts(&rows, |row| &row.contact),
                texts(&rows, |row| &row.mid),
                texts(&rows, |row| row.kind.as_str()),
                column(&rows, |row| row.not_before),
                column(&rows, |row| row.accepted_at),
                column(&rows, |row| row.webhook),
                column(&rows, |row| row.bulk),
                column(&rows, |row| row.behind),
                column(&rows, |row| &row.payload[..]),
            ],
        );
    }
    if let Some(wake) = draft.wake.as_ref().filter(|_| !rows.is_empty()) {
        statements.end(WAKE, vec![Box::new(wake)]);
    }
    let rows: Vec<_> = draft.outcomes.iter().collect();
    if !rows.is_empty() {
        statements.join(
            OUTCOMES,
            vec![
                column(&rows, |row| row.id),
                column(&rows, |row| row.state.number()),
                column(&rows, |row| i32::try_from(row.attempts).unwrap_or(i32::MAX)),
                column(&rows, |row| row.not_before),
                column(&rows, |row| row.settled_at),
                maybe(&rows, |row| row.error.as_deref()),
                maybe(&rows, |row| row.progress.as_deref()),
            ],
        );
    }
    if !draft.begun.is_empty() {
        statements.add(BEGUN, vec![Box::new(&draft.begun)]);
    }
    let rows: Vec<_> = draft.seen.changed().filter_map(|(key, at)| Some((key, (*at)?))).collect();
    if !rows.is_empty() {
        statements.join(SEEN, vec![column(&rows, |row| row.0.as_slice()), column(&rows, |row| row.1)]);
    }
}

fn messages<'a>(draft: &'a Draft, statements: &mut Statements<'a>) {
    let rows: Vec<_> = draft.names.changed().filter_map(|(key, name)| Some((key, name.as_ref()?))).collect();
    if !rows.is_empty() {
        statements.join(
            NAMES,
            vec![
                texts(&rows, |row| &row.0.0),
                texts(&rows, |row| &row.0.1),
                texts(&rows, |row| &row.1.mid),
                column(&rows, |row| i32::try_from(row.1.part).unwrap_or(i32::MAX)),
                column(&rows, |row| row.1.sent_at),
            ],
        );
    }
    let rows: Vec<_> =
        draft.messages.changed().filter_map(|(key, message)| Some((key, message.as_ref()?))).collect();
    if !rows.is_empty() {
        statements.join(
            MESSAGES,
            vec![
                texts(&rows, |row| &row.0.0),
                texts(&rows, |row| &row.0.1),
                texts(&rows, |row| &row.1.contact),
                column(&rows, |row| row.1.standing.message() as i16),
                column(&rows, |row| row.1.standing.to_bytes()),
                column(&rows, |row| row.1.sent_at),
            ],
        );
    }
}

fn receipts<'a>(draft: &'a Draft, statements: &mut Statements<'a>) {
    // What was taken was taken whole; what came after that is new.
    let rows: Vec<_> = draft
        .waiting
        .changed()
        .filter(|(_, waiting)| waiting.iter().all(|it| !it.is_stored))
        .map(|(about, _)| about)
        .collect();
    if !rows.is_empty() {
        statements.add(
            TAKEN,
            vec![texts(&rows, |row| &row.0), column(&rows, |row| row.1), texts(&rows, |row| &row.2)],
        );
    }
    let rows: Vec<_> = draft.waiting.changed().flat_map(|(_, all)| all).filter(|it| !it.is_stored).collect();
    if !rows.is_empty() {
        statements.add(
            WAITING,
            vec![
                texts(&rows, |row| &row.receipt.channel),
                column(&rows, |row| row.receipt.id_owner == IdOwner::Own),
                texts(&rows, |row| &row.receipt.id),
                column(&rows, |row| row.receipt.status as i16),
                maybe(&rows, |row| row.receipt.error.as_ref().map(|fault| fault.code.as_str())),
                maybe(&rows, |row| row.receipt.error.as_ref().map(|fault| fault.message.as_str())),
                column(&rows, |row| i16::from(row.receipt.post.bits())),
                column(&rows, |row| row.receipt.at),
                column(&rows, |row| row.seen_at),
            ],
        );
    }
    let rows: Vec<_> = draft.watermarks.changed().flat_map(|(_, marks)| marks.values()).collect();
    if !rows.is_empty() {
        statements.add(
            WATERMARKS,
            vec![
                texts(&rows, |row| &row.watermark.channel),
                texts(&rows, |row| &row.watermark.contact),
                column(&rows, |row| row.watermark.status as i16),
                column(&rows, |row| row.watermark.up_to),
                column(&rows, |row| i16::from(row.watermark.post.bits())),
                column(&rows, |row| row.watermark.at),
                column(&rows, |row| row.seen_at),
            ],
        );
    }
}

fn pieces<'a>(draft: &'a Draft, statements: &mut Statements<'a>) {
    let sets: Vec<_> = draft.pieces.changed().map(|(set, _)| set).collect();
    if sets.is_empty() {
        return;
    }
    let keys = vec![
        texts(&sets, |set| &set.channel),
        texts(&sets, |set| &set.contact),
        texts(&sets, |set| &set.key),
    ];
    statements.add(PIECES_GONE, keys);
    let rows: Vec<_> = draft
        .pieces
        .changed()
        .flat_map(|(set, pieces)| {
            pieces.iter().map(move |(index, (total, due, it))| (set, *index, *total, *due, it))
        })
        .collect();
    if !rows.is_empty() {
        statements.add(
            PIECES,
            vec![
                texts(&rows, |row| &row.0.channel),
                texts(&rows, |row| &row.0.contact),
                texts(&rows, |row| &row.0.key),
                column(&rows, |row| i32::from(row.1)),
                column(&rows, |row| i32::from(row.2)),
                column(&rows, |row| row.3),
                texts(&rows, |row| &row.4.mid),
                texts(&rows, |row| row.4.kind.as_str()),
                column(&rows, |row| row.4.not_before),
                column(&rows, |row| row.4.webhook),
                column(&rows, |row| &row.4.payload[..]),
            ],
        );
    }
}

fn small<'a>(draft: &'a Draft, statements: &mut Statements<'a>) {
    let rows: Vec<_> = draft.memory.iter().filter_map(|(key, memo)| Some((key, memo.as_ref()?))).collect();
    if !rows.is_empty() {
        statements.add(
            REMEMBERED,
            vec![
                texts(&rows, |row| &row.0.0),
                texts(&rows, |row| &row.0.1),
                texts(&rows, |row| &row.0.2),
                column(&rows, |row| Cow::Borrowed(row.1.0.as_str())),
                column(&rows, |row| row.1.1),
            ],
        );
    }
    let rows: Vec<_> = draft.memory.iter().filter(|(_, memo)| memo.is_none()).map(|(key, _)| key).collect();
    if !rows.is_empty() {
        statements.add(
            FORGOTTEN,
            vec![texts(&rows, |row| &row.0), texts(&rows, |row| &row.1), texts(&rows, |row| &row.2)],
        );
    }
    let rows: Vec<_> = draft.aliases.iter().collect();
    if !rows.is_empty() {
        statements.add(
            ALIASES,
            vec![
                texts(&rows, |row| &row.0.0),
                texts(&rows, |row| &row.0.1),
                texts(&rows, |row| &row.1.0),
                column(&rows, |row| row.1.1),
            ],
        );
    }
    let rows: Vec<_> = draft.pauses.iter().collect();
    if !rows.is_empty() {
        statements.add(
            PAUSES,
            vec![
                texts(&rows, |row| &row.0.0),
                column(&rows, |row| row.0.1.number()),
                column(&rows, |row| *row.1),
            ],
        );
    }
}
