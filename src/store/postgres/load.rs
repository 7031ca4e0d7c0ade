//! Everything that the units of a batch may ask for, read at once: one statement for what every batch asks, one for each
//! further kind of fact, all of them on their way together. Each statement costs both sides about as much as ten rows.

use std::borrow::Cow;

use futures_util::future::try_join_all;
use futures_util::{FutureExt as _, future::BoxFuture};
use smol_str::SmolStr;
use tokio_postgres::{Error, Row};

use super::connection::{Connection, Values};
use super::draft::{Draft, Mark, Message, Name, Named, Waiting};
use super::{row, text, turn};
use crate::message::{Fault, IdOwner};
use crate::store::fold::{Standing, status_of};
use crate::store::ledger::{KeptPiece, PieceSet};
use crate::store::{DeliveryId, Elsewhere, Receipt, StatusSet, Watermark};
use crate::world::Millis;

/// The last ids that were given out and whether the node's row is there; keys that were seen; and which deliveries are
/// queued. That is looked at in the result: as a condition it would lead to the index of all that is queued, to be read from
/// one end to the other.
const ALWAYS: &str = "SELECT 0, (SELECT last_value FROM delivery_ids), (SELECT last_value FROM webhook_ids), \
     EXISTS (SELECT FROM nodes WHERE id = $1), NULL::bytea \
     UNION ALL SELECT 1, NULL, seen_at, NULL, key FROM dedupe WHERE key = ANY($2) \
     UNION ALL SELECT 2, id, NULL, state = 0, NULL FROM deliveries WHERE id = ANY($3)";
const NAMES: &str = "SELECT channel, provider_id, mid, part, n.sent_at, m.contact, m.status, m.parts, m.sent_at \
     FROM unnest($1::text[], $2::text[]) AS wanted (channel, provider_id) \
     JOIN provider_ids n USING (channel, provider_id) LEFT JOIN messages m USING (channel, mid)";
const MESSAGES: &str = "SELECT channel, mid, contact, status, parts, sent_at \
     FROM unnest($1::text[], $2::text[]) AS wanted (channel, mid) JOIN messages USING (channel, mid)";
const WAITING: &str = "SELECT channel, own, message, status, error_code, error_message, post, at, seen_at \
     FROM unnest($1::text[], $2::bool[], $3::text[]) AS wanted (channel, own, message) \
     JOIN waiting_receipts USING (channel, own, message) ORDER BY id";
const WATERMARKS: &str = "SELECT channel, contact, status, up_to, post, at, seen_at \
     FROM unnest($1::text[], $2::text[]) AS wanted (channel, contact) JOIN watermarks USING (channel, contact)";
const OPEN: &str = "SELECT channel, mid, contact, status, parts, sent_at \
     FROM unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (channel, contact, upto) \
     JOIN messages USING (channel, contact) WHERE status < 2 AND sent_at <= upto";
const PIECES: &str = "SELECT channel, contact, key, position, total, due_at, mid, kind, not_before, webhook, payload \
     FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (channel, contact, key) \
     JOIN pieces USING (channel, contact, key)";
const BULK: &str = "SELECT channel, contact, (SELECT min(id) FROM deliveries WHERE state = 0 AND bulk AND direction = 1 \
     AND deliveries.channel = wanted.channel AND deliveries.contact = wanted.contact) \
     FROM unnest($1::text[], $2::text[]) AS wanted (channel, contact)";
// Nor are states conditions here.
const ELSEWHERE: &str = "SELECT channel, direction, count(*) FILTER (WHERE state = 0), max(id) FROM deliveries WHERE id > $1 \
     GROUP BY channel, direction";
const PARKED: &str = "SELECT id, verdict = 'parked' FROM journal WHERE id = ANY($1)";

/// The statements of this file, to be prepared.
pub(super) const STATEMENTS: [&str; 10] =
    [ALWAYS, ELSEWHERE, NAMES, MESSAGES, WAITING, WATERMARKS, OPEN, PIECES, BULK, PARKED];

/// Begins a transaction, takes the turn, and reads what was announced.
pub(super) async fn load(connection: &Connection, draft: &mut Draft) -> Result<(), Error> {
    let keys: Vec<&[u8]> = draft.seen.announced().map(<[u8; 16]>::as_slice).collect();
    let (name_channels, names) = columns(draft.names.announced());
    let (message_channels, messages) = columns(draft.messages.announced());
    let about: Vec<_> = draft.waiting.announced().collect();
    let about_channels: Vec<_> = about.iter().map(|(channel, _, _)| text::stored(channel)).collect();
    let about_own: Vec<bool> = about.iter().map(|(_, own, _)| *own).collect();
    let about_ids: Vec<_> = about.iter().map(|(_, _, id)| text::stored(id)).collect();
    let (mark_channels, mark_contacts) = columns(draft.watermarks.announced());
    let (open_channels, open_contacts) = columns(draft.open_upto.keys());
    let open_upto: Vec<Millis> = draft.open_upto.values().copied().collect();
    let sets: Vec<&PieceSet> = draft.pieces.announced().collect();
    let set_channels: Vec<_> = sets.iter().map(|set| text::stored(&set.channel)).collect();
    let set_contacts: Vec<_> = sets.iter().map(|set| text::stored(&set.contact)).collect();
    let set_keys: Vec<_> = sets.iter().map(|set| text::stored(&set.key)).collect();
    let (bulk_channels, bulk_contacts) = columns(draft.bulk.announced());
    let queued: Vec<i64> = draft.queued.announced().copied().collect();
    let parked: Vec<i64> = draft.parked.announced().copied().collect();

    let node = draft.node.unwrap_or_default();
    // Where others queued something it shows in the last id, but it may be asked for at once.
    let others = draft.wake.is_some();
    let wanted: [(&'static str, bool, Values<'_>); 10] = [
        (ALWAYS, true, &[&node, &keys, &queued]),
        (ELSEWHERE, others, &[&draft.known]),
        (NAMES, !names.is_empty(), &[&name_channels, &names]),
        (MESSAGES, !messages.is_empty(), &[&message_channels, &messages]),
        (WAITING, !about.is_empty(), &[&about_channels, &about_own, &about_ids]),
        (WATERMARKS, !mark_contacts.is_empty(), &[&mark_channels, &mark_contacts]),
        (OPEN, !open_contacts.is_empty(), &[&open_channels, &open_contacts, &open_upto]),
        (PIECES, !sets.is_empty(), &[&set_channels, &set_contacts, &set_keys]),
        (BULK, !bulk_contacts.is_empty(), &[&bulk_channels, &bulk_contacts]),
        (PARKED, !parked.is_empty(), &[&parked]),
    ];
    let mut flight: Vec<BoxFuture<'_, Result<Vec<Row>, Error>>> = Vec::with_capacity(wanted.len() + 1);
    flight
        .push(connection.client().batch_execute(turn::BEGIN).map(|begun| begun.map(|()| Vec::new())).boxed());
    let asked: Vec<&str> = wanted.iter().filter(|(_, is_wanted, _)| *is_wanted).map(|it| it.0).collect();
    for (sql, _, values) in wanted.into_iter().filter(|(_, is_wanted, _)| *is_wanted) {
        flight.push(connection.rows(sql, values).boxed());
    }
    let answers = try_join_all(flight).await?;
    for (sql, rows) in asked.into_iter().zip(answers.iter().skip(1)) {
        rows.iter().for_each(|row| put(draft, sql, row));
    }
    if draft.node.is_some() && !others && draft.last_delivery > draft.known {
        draft.elsewhere = elsewhere(connection, draft.known).await?;
    }
    Ok(())
}

fn columns<'a>(named: impl Iterator<Item = &'a Named>) -> (Vec<Cow<'a, str>>, Vec<Cow<'a, str>>) {
    named.map(|(channel, name)| (text::stored(channel), text::stored(name))).unzip()
}

/// One row among the facts.
fn put(draft: &mut Draft, sql: &str, row: &Row) {
    let named = || -> Named { (row::name(row, 0), row::name(row, 1)) };
    match sql {
        ALWAYS => always(draft, row),
        ELSEWHERE => draft.elsewhere.push(in_lane(row)),
        NAMES => {
            let (mid, part) = (row::name(row, 2), usize::try_from(row.get::<_, i32>(3)).unwrap_or_default());
            if row.get::<_, Option<&str>>(5).is_some() {
                *draft.messages.found((row::name(row, 0), mid.clone())) = Some(message(row, 5));
            } else {
                draft.messages.announce((row::name(row, 0), mid.clone()));
            }
            *draft.names.found(named()) = Some(Name { mid, part, sent_at: row.get(4) });
        }
        MESSAGES => *draft.messages.found(named()) = Some(message(row, 2)),
        OPEN => {
            let message = message(row, 2);
            let (channel, mid) = named();
            draft.open.found((channel.clone(), message.contact.clone())).insert(mid.clone());
            *draft.messages.found((channel, mid)) = Some(message);
        }
        WAITING => {
            let (channel, own, id): (SmolStr, bool, SmolStr) =
                (row::name(row, 0), row.get(1), row::name(row, 2));
            let (code, told) = (row::maybe(row, 4), row::maybe(row, 5));
            let receipt = Receipt {
                channel: channel.clone(),
                id: id.clone(),
                id_owner: if own { IdOwner::Own } else { IdOwner::Provider },
                status: status_of(row.get::<_, i16>(3).into()),
                error: code.zip(told).map(|(code, message)| Fault { code, message }),
                at: row.get(7),
                post: StatusSet::from_bits(post(row, 6)),
            };
            let waiting = Waiting { receipt, seen_at: row.get(8), is_stored: true };
            draft.waiting.found((channel, own, id)).push(waiting);
        }
        WATERMARKS => {
            let (channel, contact) = named();
            let status = status_of(row.get::<_, i16>(2).into());
            let watermark = Watermark {
                channel: channel.clone(),
                contact: contact.clone(),
                status,
                up_to: row.get(3),
                post: StatusSet::from_bits(post(row, 4)),
                at: row.get(5),
            };
            let mark = Mark { watermark, seen_at: row.get(6) };
            draft.watermarks.found((channel, contact)).insert(status as u8, mark);
        }
        PIECES => {
            let set =
                PieceSet { channel: row::name(row, 0), contact: row::name(row, 1), key: row::name(row, 2) };
            let small = |column: usize| u16::try_from(row.get::<_, i32>(column)).unwrap_or(u16::MAX);
            let piece = KeptPiece {
                mid: row::name(row, 6),
                kind: row::kind(row, 7),
                not_before: row.get(8),
                webhook: row.get(9),
                payload: row::bytes(row, 10),
            };
            draft.pieces.found(set).insert(small(3), (small(4), row.get(5), piece));
        }
        BULK => *draft.bulk.found(named()) = row.get(2),
        PARKED => *draft.parked.found(row.get(0)) = row.get(1),
        _ => {}
    }
}

/// A row of [`ALWAYS`].
fn always(draft: &mut Draft, row: &Row) {
    match row.get::<_, i32>(0) {
        0 => {
            (draft.last_delivery, draft.last_webhook) = (row.get(1), row.get(2));
            draft.is_moved = draft.node.is_some() && !row.get::<_, bool>(3);
        }
        1 => {
            if let Ok(key) = row.get::<_, &[u8]>(4).try_into() {
                *draft.seen.found(key) = Some(row.get(2));
            }
        }
        _ => *draft.queued.found(row.get(1)) = row.get(3),
    }
}

/// What others queued after that delivery: see [`Draft::known`].
pub(super) async fn elsewhere(connection: &Connection, known: DeliveryId) -> Result<Vec<Elsewhere>, Error> {
    let rows = connection.rows(ELSEWHERE, &[&known]).await?;
    Ok(rows.iter().map(in_lane).collect())
}

fn in_lane(row: &Row) -> Elsewhere {
    let lane = row::lane(row, 0, 1);
    Elsewhere { lane, count: u64::try_from(row.get::<_, i64>(2)).unwrap_or_default(), newest: row.get(3) }
}

/// A message, from its contact on.
fn message(row: &Row, first: usize) -> Message {
    let status = status_of(row.get::<_, i16>(first + 1).into());
    Message {
        contact: row::name(row, first),
        standing: Standing::from_bytes(row.get(first + 2), status),
        sent_at: row.get(first + 3),
    }
}

fn post(row: &Row, column: usize) -> u8 {
    u8::try_from(row.get::<_, i16>(column)).unwrap_or_default()
}
