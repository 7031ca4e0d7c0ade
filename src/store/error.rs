//! What can go wrong with the store. None of these leaves anything half written.

use std::path::PathBuf;

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting to be written; nothing was written.
    #[error("the store has too much to write")]
    Busy,
    /// The disk does not take it (full, read-only, failing); nothing was written. It works again when the disk
    /// does.
    #[error("the store cannot be used now: {0}")]
    Unavailable(String),
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The store was written by a newer Patchcord.
    #[error("{} has schema version {found}, this Patchcord knows up to {known}: use the newer Patchcord", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// The store was written by an older Patchcord, and is only read now.
    #[error("{} has schema version {found}, this Patchcord reads {known}: start the gateway once, which brings it up to date", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// Another process works with the store.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The store cannot be opened.
    #[error("cannot open {}: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The address names no store that this program knows.
    #[error("`{0}` is no store: expected sqlite:PATH or sqlite::memory:")]
    Address(String),
    /// The store holds something that it should not, or was asked for something that it cannot do.
    #[error("the store failed: {0}")]
    Internal(String),
}
