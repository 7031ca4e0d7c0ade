//! What a unit reads and changes, in SQL.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use smol_str::SmolStr;

use super::row;
use super::seen::Seen;
use super::tx::Tx;
use super::{memory, parked};
use crate::memory::Remember;
use crate::message::{Fault, IdOwner, Piece};
use crate::store::fold::{Standing, status_of};
use crate::store::ledger::{KeptPiece, Key, Ledger, PieceSet};
use crate::store::{
    Alias, Delivery, DeliveryId, Ending, JournalEntry, NewDelivery, Receipt, Replay, Settlement, State,
    StatusSet, Watermark, WebhookId,
};
use crate::world::Millis;

/// The open transaction, with the keys that are in memory.
pub(super) struct SqliteLedger<'a> {
    pub(super) tx: &'a Tx<'a>,
    pub(super) seen: &'a mut Seen,
}

impl Ledger for SqliteLedger<'_> {
    type Error = rusqlite::Error;

    fn journal(&mut self, entry: &JournalEntry) -> rusqlite::Result<WebhookId> {
        self.tx.insert(
            "INSERT INTO journal (received_at, channel, mapping, route, method, url, verdict, reason, headers, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                entry.received_at,
                entry.channel.as_deref(),
                entry.mapping.as_str(),
                entry.route.as_str(),
                entry.method.as_str(),
                entry.url,
                entry.verdict.as_str(),
                entry.reason,
                entry.headers,
                entry.body.as_ref(),
            ],
        )
    }

    fn replayed(&mut self, replay: &Replay) -> rusqlite::Result<bool> {
        parked::replayed(self.tx, replay)
    }

    fn seen(&mut self, key: &Key) -> rusqlite::Result<Option<Millis>> {
        self.seen.last(self.tx, key)
    }

    fn see(&mut self, key: &Key, at: Millis) -> rusqlite::Result<()> {
        Seen::add_to_table(self.tx, key, at)
    }

    fn queue(
        &mut self,
        new: &NewDelivery,
        key: Option<&Key>,
        at: Millis,
        webhook: Option<WebhookId>,
    ) -> rusqlite::Result<Arc<Delivery>> {
        let delivery = row::insert(self.tx, new, key, at, webhook)?;
        if let Some(key) = key {
            self.seen.add(*key, at, delivery.id);
        }
        Ok(delivery)
    }

    fn begin(&mut self, id: DeliveryId) -> rusqlite::Result<()> {
        self.tx.change("UPDATE deliveries SET in_doubt = 1 WHERE id = ?1 AND state = 0", params![id])?;
        Ok(())
    }

    fn outcome(&mut self, settlement: &Settlement) -> rusqlite::Result<bool> {
        let delivery = &settlement.delivery;
        let (state, error) = match &settlement.ending {
            Ending::Retry { not_before, error, progress, pause_lane } => {
                if let Some(until) = pause_lane {
                    self.tx.change(
                        "INSERT INTO pauses (channel, direction, until) VALUES (?1, ?2, ?3) \
                         ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
                        params![delivery.lane.channel.as_str(), delivery.lane.direction.number(), until],
                    )?;
                }
                let changed = self.tx.change(
                    "UPDATE deliveries SET attempts = ?2, not_before = ?3, error = ?4, in_doubt = 0, \
                     progress = coalesce(?5, progress) WHERE id = ?1 AND state = 0",
                    params![delivery.id, settlement.attempts, not_before, error, progress],
                )?;
                return Ok(changed == 1);
            }
            Ending::Sent { .. } => (State::Sent, None),
            Ending::Failed { fault } => (State::Failed, Some(fault.to_string())),
            Ending::Dead { reason } => (State::Dead, Some(reason.clone())),
            Ending::Held { reason } => (State::Held, Some(reason.clone())),
        };
        let changed = self.tx.change(
            "UPDATE deliveries SET state = ?2, attempts = ?3, settled_at = ?4, error = ?5 \
             WHERE id = ?1 AND state = 0",
            params![delivery.id, state.number(), settlement.attempts, settlement.at, error],
        )?;
        Ok(changed == 1)
    }

    fn named(&mut self, channel: &SmolStr, id: &SmolStr) -> rusqlite::Result<Option<(SmolStr, usize)>> {
        named(self.tx, channel, id)
    }

    fn name(&mut self, settlement: &Settlement, id: &str, part: usize) -> rusqlite::Result<()> {
        let Delivery { lane, mid, .. } = &*settlement.delivery;
        self.tx.change(
            "INSERT OR REPLACE INTO provider_ids (channel, provider_id, mid, part, sent_at) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                lane.channel.as_str(),
                id,
                mid.as_str(),
                i64::try_from(part).unwrap_or_default(),
                settlement.at
            ],
        )?;
        Ok(())
    }

    fn message(&mut self, channel: &SmolStr, mid: &SmolStr) -> rusqlite::Result<Option<(SmolStr, Standing)>> {
        message(self.tx, channel, mid)
    }

    fn record(&mut self, delivery: &Delivery, standing: &Standing, at: Millis) -> rusqlite::Result<()> {
        self.tx.change(
            "INSERT OR REPLACE INTO messages (channel, mid, contact, status, parts, sent_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                delivery.lane.channel.as_str(),
                delivery.mid.as_str(),
                delivery.contact.as_str(),
                standing.message() as i64,
                standing.to_bytes(),
                at
            ],
        )?;
        Ok(())
    }

    fn moved(&mut self, channel: &SmolStr, mid: &SmolStr, standing: &Standing) -> rusqlite::Result<()> {
        self.tx.change(
            "UPDATE messages SET status = ?3, parts = ?4 WHERE channel = ?1 AND mid = ?2",
            params![channel.as_str(), mid.as_str(), standing.message() as i64, standing.to_bytes()],
        )?;
        Ok(())
    }

    fn keep_receipt(&mut self, receipt: &Receipt, now: Millis) -> rusqlite::Result<()> {
        let (code, message) = match &receipt.error {
            Some(fault) => (Some(fault.code.as_str()), Some(fault.message.as_str())),
            None => (None, None),
        };
        self.tx.change(
            "INSERT INTO waiting_receipts (channel, own, message, status, error_code, error_message, post, at, seen_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                receipt.channel.as_str(),
                receipt.id_owner == IdOwner::Own,
                receipt.id.as_str(),
                receipt.status as i64,
                code,
                message,
                receipt.post.bits(),
                receipt.at,
                now
            ],
        )?;
        Ok(())
    }

    fn take_receipts(
        &mut self,
        channel: &SmolStr,
        id: &SmolStr,
        owner: IdOwner,
    ) -> rusqlite::Result<Vec<Receipt>> {
        let own = owner == IdOwner::Own;
        let receipts = self
            .tx
            .prepare_cached(
                "SELECT status, error_code, error_message, post, at FROM waiting_receipts \
                 WHERE channel = ?1 AND own = ?2 AND message = ?3 ORDER BY id",
            )?
            .query_map(params![channel.as_str(), own, id.as_str()], |row| {
                let (code, message): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
                Ok(Receipt {
                    channel: channel.clone(),
                    id: id.clone(),
                    id_owner: owner,
                    status: status_of(row.get(0)?),
                    error: code.zip(message).map(|(code, message)| Fault { code, message }),
                    post: StatusSet::from_bits(row.get(3)?),
                    at: row.get(4)?,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        if !receipts.is_empty() {
            self.tx.change(
                "DELETE FROM waiting_receipts WHERE channel = ?1 AND own = ?2 AND message = ?3",
                params![channel.as_str(), own, id.as_str()],
            )?;
        }
        Ok(receipts)
    }

    fn keep_watermark(&mut self, watermark: &Watermark, now: Millis) -> rusqlite::Result<()> {
        self.tx.change(
            "INSERT INTO watermarks (channel, contact, status, up_to, post, at, seen_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT DO UPDATE SET up_to = excluded.up_to, post = excluded.post, at = excluded.at, \
             seen_at = excluded.seen_at WHERE excluded.up_to > up_to",
            params![
                watermark.channel.as_str(),
                watermark.contact.as_str(),
                watermark.status as i64,
                watermark.up_to,
                watermark.post.bits(),
                watermark.at,
                now
            ],
        )?;
        Ok(())
    }

    fn watermarks(
        &mut self,
        channel: &SmolStr,
        contact: &SmolStr,
        since: Millis,
    ) -> rusqlite::Result<Vec<Watermark>> {
        self.tx
            .prepare_cached(
                "SELECT status, up_to, post, at FROM watermarks \
                 WHERE channel = ?1 AND contact = ?2 AND up_to >= ?3 ORDER BY status",
            )?
            .query_map(params![channel.as_str(), contact.as_str(), since], |row| {
                Ok(Watermark {
                    channel: channel.clone(),
                    contact: contact.clone(),
                    status: status_of(row.get(0)?),
                    up_to: row.get(1)?,
                    post: StatusSet::from_bits(row.get(2)?),
                    at: row.get(3)?,
                })
            })?
            .collect()
    }

    fn open_messages(
        &mut self,
        channel: &SmolStr,
        contact: &SmolStr,
        upto: Millis,
    ) -> rusqlite::Result<Vec<SmolStr>> {
        self.tx
            .prepare_cached(
                "SELECT mid FROM messages INDEXED BY messages_open \
                 WHERE status < 2 AND channel = ?1 AND contact = ?2 AND sent_at <= ?3 ORDER BY sent_at, mid",
            )?
            .query_map(params![channel.as_str(), contact.as_str(), upto], |row| row::text(row, 0))?
            .collect()
    }

    fn has_piece(&mut self, set: &PieceSet, index: u16) -> rusqlite::Result<bool> {
        self.tx
            .prepare_cached(
                "SELECT 1 FROM pieces WHERE channel = ?1 AND contact = ?2 AND key = ?3 AND position = ?4",
            )?
            .exists(params![set.channel.as_str(), set.contact.as_str(), set.key.as_str(), index])
    }

    fn keep_piece(
        &mut self,
        set: &PieceSet,
        place: &Piece,
        due_at: Millis,
        piece: &KeptPiece,
    ) -> rusqlite::Result<(u32, u32)> {
        let (channel, contact, key) = (set.channel.as_str(), set.contact.as_str(), set.key.as_str());
        self.tx.change(
            "INSERT INTO pieces (channel, contact, key, position, total, due_at, mid, kind, not_before, webhook, payload) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                channel,
                contact,
                key,
                place.index,
                place.total,
                due_at,
                piece.mid.as_str(),
                piece.kind.as_str(),
                piece.not_before,
                piece.webhook,
                piece.payload.as_ref(),
            ],
        )?;
        self.tx
            .prepare_cached(
                "SELECT count(*), max(total) FROM pieces WHERE channel = ?1 AND contact = ?2 AND key = ?3",
            )?
            .query_row(params![channel, contact, key], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn take_pieces(&mut self, set: &PieceSet) -> rusqlite::Result<Vec<KeptPiece>> {
        let key = params![set.channel.as_str(), set.contact.as_str(), set.key.as_str()];
        let pieces = self
            .tx
            .prepare_cached(
                "SELECT mid, kind, not_before, webhook, payload FROM pieces \
                 WHERE channel = ?1 AND contact = ?2 AND key = ?3 ORDER BY position",
            )?
            .query_map(key, |row| {
                Ok(KeptPiece {
                    mid: row::text(row, 0)?,
                    kind: row::kind(row, 1)?,
                    not_before: row.get(2)?,
                    webhook: row.get(3)?,
                    payload: Bytes::copy_from_slice(row.get_ref(4)?.as_blob()?),
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        if !pieces.is_empty() {
            self.tx.change("DELETE FROM pieces WHERE channel = ?1 AND contact = ?2 AND key = ?3", key)?;
        }
        Ok(pieces)
    }

    fn remember(&mut self, changes: &[Remember]) -> rusqlite::Result<()> {
        memory::remember(self.tx, changes)
    }

    fn alias(&mut self, alias: &Alias, at: Millis) -> rusqlite::Result<()> {
        self.tx.change(
            "INSERT OR IGNORE INTO aliases (channel, alias, original, seen_at) VALUES (?1, ?2, ?3, ?4)",
            params![alias.channel.as_str(), alias.alias.as_str(), alias.original.as_str(), at],
        )?;
        Ok(())
    }
}

/// The message and the part that a provider's id names.
pub(super) fn named(
    connection: &Connection,
    channel: &str,
    id: &str,
) -> rusqlite::Result<Option<(SmolStr, usize)>> {
    connection
        .prepare_cached("SELECT mid, part FROM provider_ids WHERE channel = ?1 AND provider_id = ?2")?
        .query_row(params![channel, id], |row| {
            Ok((row::text(row, 0)?, usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
        })
        .optional()
}

/// The contact and the standing of a message.
pub(super) fn message(
    connection: &Connection,
    channel: &str,
    mid: &str,
) -> rusqlite::Result<Option<(SmolStr, Standing)>> {
    connection
        .prepare_cached("SELECT contact, status, parts FROM messages WHERE channel = ?1 AND mid = ?2")?
        .query_row(params![channel, mid], |row| {
            let standing = Standing::from_bytes(row.get_ref(2)?.as_blob()?, status_of(row.get(1)?));
            Ok((row::text(row, 0)?, standing))
        })
        .optional()
}

/// The message whose first piece is overdue, if there is one.
pub(super) fn overdue(connection: &Connection, now: Millis) -> rusqlite::Result<Option<PieceSet>> {
    connection
        .prepare_cached(
            "SELECT channel, contact, key FROM pieces INDEXED BY pieces_due WHERE due_at <= ?1 \
             ORDER BY due_at LIMIT 1",
        )?
        .query_row(params![now], |row| {
            Ok(PieceSet { channel: row::text(row, 0)?, contact: row::text(row, 1)?, key: row::text(row, 2)? })
        })
        .optional()
}
