//! Which keys were seen lately, so that what is delivered to us twice counts once.
//!
//! A key is a hash, so one that is put into its table at once dirties a page of its own, which would be most of what
//! accepting a webhook writes. New keys are therefore kept in memory, and beside their deliveries, in rows that are
//! written anyway; they are moved into the table later, many at a time and in its order.
//!
//! Invariants: a key is in memory or in the table; those in memory are the keys of the deliveries above
//! `moved.upto`, which is where they are read from after a restart; a transaction that fails leaves no trace here.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use rusqlite::{Connection, OptionalExtension, params};

use super::tx::Tx;
use crate::store::DeliveryId;
use crate::store::ledger::Key;
use crate::world::Millis;

/// How many new keys are kept in memory before they are moved.
const MANY: usize = 32_768;
/// How many keys a transaction moves at least.
const SLICE: usize = 64;
/// How many times its own new keys a transaction moves, so that moving is over long before there are too many again.
const FASTER: usize = 4;

/// The keys that were seen lately.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The newest, and when they were seen.
    fresh: HashMap<Key, Millis>,
    /// The newest delivery whose key is in `fresh`.
    newest: DeliveryId,
    /// Those that are moved now, in the order of the table.
    moving: BTreeMap<Key, Millis>,
    /// The newest delivery whose key is in `moving`.
    upto: DeliveryId,
    /// What the open transaction does.
    open: Open,
}

#[derive(Debug, Default)]
struct Open {
    added: HashMap<Key, Millis>,
    newest: DeliveryId,
    moved: usize,
}

impl Seen {
    /// Reads what an earlier process had in memory.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut seen = Self::default();
        let mut statement = connection.prepare(
            "SELECT id, dedupe, accepted_at FROM deliveries WHERE id > (SELECT upto FROM moved) AND dedupe IS NOT NULL",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            seen.newest = row.get(0)?;
            seen.fresh.insert(row.get(1)?, row.get(2)?);
        }
        Ok(seen)
    }

    /// When the key was seen last, inside the open transaction.
    pub(super) fn last(&self, connection: &Connection, key: &Key) -> rusqlite::Result<Option<Millis>> {
        let in_memory = [&self.open.added, &self.fresh].into_iter().find_map(|keys| keys.get(key));
        if let Some(at) = in_memory.or_else(|| self.moving.get(key)) {
            return Ok(Some(*at));
        }
        connection
            .prepare_cached("SELECT seen_at FROM dedupe WHERE key = ?1")?
            .query_row(params![key], |row| row.get(0))
            .optional()
    }

    /// A key was seen that a delivery was queued for, with the key beside it.
    pub(super) fn add(&mut self, key: Key, at: Millis, delivery: DeliveryId) {
        self.open.added.insert(key, at);
        self.open.newest = delivery;
    }

    /// A key was seen that nothing was queued for.
    pub(super) fn add_to_table(tx: &Tx<'_>, key: &Key, at: Millis) -> rusqlite::Result<()> {
        tx.change(
            "INSERT INTO dedupe (key, seen_at) VALUES (?1, ?2) \
                 ON CONFLICT (key) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)",
            params![key, at],
        )?;
        Ok(())
    }

    /// Moves some keys as the last thing in the open transaction.
    pub(super) fn step(&mut self, tx: &Tx<'_>) -> rusqlite::Result<()> {
        self.move_some(tx, SLICE.max(self.open.added.len() * FASTER))
    }

    /// Moves up to `count` keys, though there are not yet many of them, as the only thing in the open transaction;
    /// says whether that was all.
    pub(super) fn hurry(&mut self, tx: &Tx<'_>, count: usize) -> rusqlite::Result<bool> {
        if self.moving.is_empty() {
            self.begin();
        }
        self.move_some(tx, count)?;
        Ok(self.open.moved == self.moving.len())
    }

    fn move_some(&mut self, tx: &Tx<'_>, count: usize) -> rusqlite::Result<()> {
        for (key, at) in self.moving.iter().skip(self.open.moved).take(count) {
            Self::add_to_table(tx, key, *at)?;
            self.open.moved += 1;
        }
        if self.open.moved > 0 && self.open.moved == self.moving.len() {
            tx.change("UPDATE moved SET upto = ?1", params![self.upto])?;
        }
        Ok(())
    }

    /// What was added and moved is written.
    pub(super) fn written(&mut self) {
        let Open { added, newest, moved } = mem::take(&mut self.open);
        for _ in 0..moved {
            self.moving.pop_first();
        }
        self.newest = self.newest.max(newest);
        self.fresh.extend(added);
        if self.moving.is_empty() && self.fresh.len() >= MANY {
            self.begin();
        }
    }

    /// The transaction came to nothing.
    pub(super) fn rolled_back(&mut self) {
        self.open = Open::default();
    }

    fn begin(&mut self) {
        self.moving = mem::take(&mut self.fresh).into_iter().collect();
        self.upto = self.newest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ledger::key;
    use crate::store::sqlite::connect::Place;

    fn database() -> Connection {
        Place::Memory.writer(None).unwrap().0
    }

    fn number(connection: &Connection, sql: &str) -> i64 {
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn queue(connection: &Connection, key: &Key, at: Millis) -> DeliveryId {
        connection
            .execute(
                "INSERT INTO deliveries (channel, direction, contact, mid, kind, state, attempts, not_before, \
                 accepted_at, dedupe, payload) VALUES ('c', 0, 'a', 'm', 'message', 0, 0, 0, ?1, ?2, x'')",
                params![at, key],
            )
            .unwrap();
        connection.last_insert_rowid()
    }

    #[test]
    fn keys_are_moved_in_slices_and_none_is_forgotten_over_restarts() {
        let connection = database();
        let mut seen = Seen::default();
        let total = i64::try_from(MANY * 2).unwrap();
        for at in 0..total {
            let key = key("c", &at.to_string());
            assert_eq!(seen.last(&connection, &key).unwrap(), None);
            let id = queue(&connection, &key, at);
            seen.add(key, at, id);
            assert_eq!(seen.last(&connection, &key).unwrap(), Some(at), "in its own transaction already");
            seen.step(&Tx::unrecorded(&connection)).unwrap();
            seen.written();
            if at % 20_011 == 0 {
                seen = Seen::load(&connection).unwrap();
            }
            assert!(seen.fresh.len() + seen.moving.len() <= 2 * MANY);
        }
        assert!(number(&connection, "SELECT count(*) FROM dedupe") >= i64::try_from(MANY).unwrap());
        for at in 0..total {
            assert_eq!(seen.last(&connection, &key("c", &at.to_string())).unwrap(), Some(at));
        }
        while !seen.hurry(&Tx::unrecorded(&connection), 2000).unwrap() {
            seen.written();
        }
        seen.written();
        seen.hurry(&Tx::unrecorded(&connection), 100_000).unwrap();
        seen.written();
        assert_eq!(number(&connection, "SELECT count(*) FROM dedupe"), total);
        assert_eq!(number(&connection, "SELECT upto FROM moved"), total);
    }

    #[test]
    fn a_transaction_that_fails_leaves_no_trace() {
        let mut connection = database();
        let mut seen = Seen::default();
        seen.add(key("c", "1"), 1, 1);
        seen.written();
        seen.begin();
        let transaction = connection.transaction().unwrap();
        seen.add(key("c", "2"), 2, 2);
        seen.step(&Tx::unrecorded(&transaction)).unwrap();
        drop(transaction);
        seen.rolled_back();
        assert_eq!(seen.last(&connection, &key("c", "1")).unwrap(), Some(1));
        assert_eq!(seen.last(&connection, &key("c", "2")).unwrap(), None);
    }
}
