//! A log of changes in front of the database: what makes a durable unit durable soon, in one write and one sync of a file
//! of its own, while the database's transaction stays open for many units and is committed without a sync.
//!
//! Invariants: what is committed is in the log, on disk, or needs it no more; the database tells up to which frame of
//! which epoch it has the changes (table `redo`), in the same transaction as these. An epoch ends when everything up to
//! there is in the database on disk, and only then is the file written from its beginning again. So after any end of the
//! process, or of the power, the database with the frames that follow is exactly what was answered for, and perhaps
//! a little more.

mod changes;
mod file;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, params};

pub(super) use self::changes::Changes;
pub(super) use self::file::RedoFile;
use self::file::{HEAD, LENGTH, frame, frames};
use super::fault::open_error;
use crate::store::StoreError;

/// How many frames may wait to be written.
const WAITING: usize = 64;

/// What is done when a frame is on disk, or can't be brought there.
pub(super) type Then = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The log, with the thread that writes it.
pub(super) struct Redo {
    orders: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<()>>,
    state: Arc<State>,
    epoch: i64,
    /// The last frame.
    number: u64,
    /// Where the next one goes.
    end: u64,
}

#[derive(Default)]
struct State {
    /// The last frame that is on disk.
    durable: AtomicU64,
    /// The file could not be written; nothing more is.
    broken: AtomicBool,
    #[cfg(test)]
    fails: AtomicBool,
}

enum Order {
    Frame {
        number: u64,
        offset: u64,
        bytes: Vec<u8>,
        then: Then,
    },
    /// Say when everything before it is over.
    Settle(SyncSender<()>),
}

impl Redo {
    /// A log in `file`, from its beginning, for an epoch of [`begin`].
    pub(super) fn start(file: RedoFile, epoch: i64) -> Result<Self, StoreError> {
        let (orders, waiting) = sync_channel(WAITING);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("store-log".into())
            .spawn(move || write(file, &waiting, &shared))
            .map_err(|error| StoreError::Internal(error.to_string()))?;
        Ok(Self { orders: Some(orders), thread: Some(thread), state, epoch, number: 0, end: 0 })
    }

    /// Whether the file has room for these changes.
    pub(super) fn has_room(&self, changes: &Changes) -> bool {
        self.end + (HEAD + changes.bytes().len()) as u64 <= LENGTH
    }

    /// Hands over changes for which there is room.
    pub(super) fn add(&mut self, changes: &Changes, then: Then) {
        let number = self.number + 1;
        let Some(bytes) = frame(self.epoch, number, changes.bytes()) else {
            return then(Err(unavailable("there is too much in one unit")));
        };
        let offset = self.end;
        self.number = number;
        self.end += bytes.len() as u64;
        let order = Order::Frame { number, offset, bytes, then };
        // The thread ends with this end of the channel, never before it.
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }

    /// Waits until everything that was handed over is on disk; gives the last frame's number.
    pub(super) fn settle(&self) -> Result<u64, StoreError> {
        let (say, said) = sync_channel(1);
        let asked = self.orders.as_ref().is_some_and(|orders| orders.send(Order::Settle(say)).is_ok());
        if asked && said.recv().is_ok() && !self.is_broken() {
            Ok(self.number)
        } else {
            Err(unavailable("the log of changes can't be written"))
        }
    }

    /// Whether it can't be written any more.
    pub(super) fn is_broken(&self) -> bool {
        self.state.broken.load(Ordering::SeqCst)
    }

    /// Lets the next write fail, after a moment.
    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.state.fails.store(true, Ordering::SeqCst);
    }

    /// From now on frames are of another epoch of [`begin`], at the beginning of the file. Everything was settled.
    pub(super) fn turn_over(&mut self, epoch: i64) {
        (self.epoch, self.number, self.end) = (epoch, 0, 0);
        self.state.durable.store(0, Ordering::SeqCst);
    }

    /// Ends it; gives the last frame that is on disk.
    pub(super) fn stop(mut self) -> u64 {
        self.end_thread();
        self.state.durable.load(Ordering::SeqCst)
    }

    fn end_thread(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Redo {
    fn drop(&mut self) {
        self.end_thread();
    }
}

/// Writes frames: all that wait at once.
fn write(mut file: RedoFile, orders: &Receiver<Order>, state: &State) {
    let mut bytes = Vec::new();
    while let Ok(first) = orders.recv() {
        let (mut thens, mut settled) = (Vec::new(), Vec::new());
        let (mut start, mut last) = (None, 0);
        bytes.clear();
        for order in std::iter::once(first).chain(orders.try_iter().take(WAITING)) {
            match order {
                Order::Frame { number, offset, bytes: frame, then } => {
                    start.get_or_insert(offset);
                    last = number;
                    bytes.extend_from_slice(&frame);
                    thens.push(then);
                }
                Order::Settle(say) => settled.push(say),
            }
        }
        if let Some(start) = start {
            if !state.broken.load(Ordering::SeqCst) {
                let written = file.write(start, &bytes);
                #[cfg(test)]
                let written = if state.fails.swap(false, Ordering::SeqCst) {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    Err(std::io::Error::other("the disk is sick"))
                } else {
                    written
                };
                match written {
                    Ok(()) => state.durable.store(last, Ordering::SeqCst),
                    Err(error) => {
                        tracing::error!(%error, "the log of changes can't be written");
                        state.broken.store(true, Ordering::SeqCst);
                    }
                }
            }
            let broken = state.broken.load(Ordering::SeqCst);
            for then in thens {
                then(if broken { Err(unavailable("the log of changes can't be written")) } else { Ok(()) });
            }
        }
        for say in settled {
            let _ = say.send(());
        }
    }
}

/// Whether the log may hold what the database does not: it was not closed in good order.
pub(super) fn is_needed(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(position(connection)?.is_some_and(|(epoch, _)| epoch != 0))
}

/// Makes the changes again that the database at `path` has not got, up to the frame `upto` where that is given; gives how
/// many frames that were.
pub(super) fn replay(
    connection: &mut Connection,
    path: &Path,
    file: &mut RedoFile,
    upto: Option<u64>,
) -> Result<u64, StoreError> {
    let failed = |error: rusqlite::Error| open_error(path, &error);
    let unread = |error: std::io::Error| StoreError::Open {
        place: path.display().to_string(),
        reason: error.to_string(),
    };
    let Some((epoch, had)) = position(connection).map_err(failed)?.filter(|(epoch, _)| *epoch != 0) else {
        return Ok(0);
    };
    if file.is_new().map_err(unread)? {
        tracing::warn!(
            path = %path.display(),
            "the log of changes beside the store is gone; what was written just before the end may be missing"
        );
    }
    let bytes = file.read(epoch).map_err(unread)?;
    let transaction = connection.transaction().map_err(failed)?;
    let mut made = 0;
    for (number, body) in frames(&bytes, epoch) {
        if upto.is_some_and(|upto| number > upto) {
            break;
        }
        if number > had {
            changes::make(body, &transaction).map_err(failed)?;
            set_number(&transaction, number).map_err(failed)?;
            made += 1;
        }
    }
    transaction.commit().map_err(failed)?;
    Ok(made)
}

/// Begins an epoch, between two transactions: everything before is in the database, on disk. Later commits are not
/// synced.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<i64> {
    // This commit is synced, and with it all before it.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; UPDATE redo SET epoch = random() | 1, number = 0; PRAGMA synchronous = NORMAL;",
    )?;
    connection.query_row("SELECT epoch FROM redo", [], |row| row.get(0))
}

/// Ends the last epoch, between two transactions: everything is in the database, on disk.
pub(super) fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA synchronous = FULL; UPDATE redo SET epoch = 0, number = 0;")
}

/// Notes in the open transaction that it has the changes up to a frame.
pub(super) fn set_number(connection: &Connection, number: u64) -> rusqlite::Result<()> {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    connection.prepare_cached("UPDATE redo SET number = ?1")?.execute(params![number])?;
    Ok(())
}

/// Epoch and frame that the database has the changes up to; none in one that never had a log.
fn position(connection: &Connection) -> rusqlite::Result<Option<(i64, u64)>> {
    let there = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'redo'")?
        .exists([])?;
    if !there {
        return Ok(None);
    }
    connection
        .query_row("SELECT epoch, number FROM redo", [], |row| {
            Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default()))
        })
        .optional()
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable(reason.to_owned())
}
