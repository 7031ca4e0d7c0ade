//! What can go wrong with the store. None of these leaves anything half written.

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting to be written; nothing was written.
    #[error("the store has too much to write")]
    Busy,
    /// The disk does not take it (full, read-only, failing), or the database can't be reached; nothing was written that
    /// is known of. It works again when they do.
    #[error("the store cannot be used now: {0}")]
    Unavailable(String),
    /// It is another node's turn to deliver this; nothing was written.
    #[error("another node delivers this now")]
    Moved,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// The store was written by a newer Patchcord.
    #[error(
        "{place} has schema version {found}, this Patchcord knows up to {known}: use the newer Patchcord"
    )]
    Newer {
        /// The file, or the address without its password.
        place: String,
        /// The version found.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// The store was written by an older Patchcord, and is only read now.
    #[error(
        "{place} has schema version {found}, this Patchcord reads {known}: start the gateway once, which brings it up to date"
    )]
    Older {
        /// The file, or the address without its password.
        place: String,
        /// The version found.
        found: i64,
        /// The version needed.
        known: i64,
    },
    /// Another process works with the store.
    #[error("{0} is in use by another process")]
    InUse(String),
    /// The store cannot be opened.
    #[error("cannot open {place}: {reason}")]
    Open {
        /// The file, or the address without its password.
        place: String,
        /// Why.
        reason: String,
    },
    /// The address names no store that this program knows.
    #[error("`{0}` is no store: expected sqlite:PATH, sqlite::memory: or postgres://USER@HOST/DATABASE")]
    Address(String),
    /// The store holds something that it should not, or was asked for something that it cannot do.
    #[error("the store failed: {0}")]
    Internal(String),
}

impl StoreError {
    /// What could not be opened, as seen by one who had it open before: it works again when it can be opened.
    pub(super) fn or_unavailable(self) -> Self {
        match self {
            Self::Open { reason, .. } => Self::Unavailable(reason),
            Self::InUse(_) => Self::Unavailable(self.to_string()),
            other => other,
        }
    }
}
