//! Bringing into the database what its write-ahead log holds, beside the writer: two syncs of all that was written
//! meanwhile, for which whoever waits for an answer would wait too.
//!
//! Often, so that each is small: the disk serves whoever waits for an answer behind it. The writer goes on writing behind a checkpoint, so the log may grow for as long as there is no pause; at
//! [`AT_MOST`] pages the writer makes one itself, of what is left, and begins the log anew.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect::Place;
use crate::store::StoreError;

/// From how many pages that are not in the database a checkpoint is due.
const DUE: i64 = 1000;
/// At how many pages in the log the writer makes one itself.
pub(super) const AT_MOST: i64 = 16_000;

/// The thread that makes checkpoints.
pub(super) struct Checkpoints {
    due: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts it for a database in a file.
    pub(super) fn start(place: &Place) -> Result<Option<Self>, StoreError> {
        let Place::File(_) = place else { return Ok(None) };
        let connection = place.checkpointer()?;
        let (due, told) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || {
                while told.recv().is_ok() {
                    // What is wrong with the disk is told by the writer.
                    let _ = connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
                }
            })
            .map_err(|error| StoreError::Internal(error.to_string()))?;
        Ok(Some(Self { due: Some(due), thread: Some(thread) }))
    }

    /// After a commit on the writer's connection: has one made if it is due.
    pub(super) fn consider(&self, connection: &Connection) {
        let state = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)").and_then(|mut statement| {
            statement.query_row([], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))
        });
        if let (Ok((pages, done)), Some(due)) = (state, &self.due)
            && pages - done >= DUE
        {
            // One that is under way, or told, is enough.
            let _ = due.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.due = None;
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and if it did there would be nothing to do about it here.
            let _ = thread.join();
        }
    }
}
