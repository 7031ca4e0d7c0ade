//! Which of SQLite's errors mean what to the callers.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// What SQLite's `error` means to a caller.
pub(super) fn store_error(error: &rusqlite::Error) -> StoreError {
    if is_disk(error) {
        StoreError::Unavailable(error.to_string())
    } else {
        StoreError::Internal(error.to_string())
    }
}

/// Whether the disk, and not the request, is the reason: trying again later may succeed.
pub(super) fn is_disk(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// Why the file at `path` cannot be opened.
pub(super) fn open_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    StoreError::Open { place: path.display().to_string(), reason: error.to_string() }
}
