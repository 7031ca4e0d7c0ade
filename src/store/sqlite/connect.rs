//! Opening connections with the settings that durability rests on, and the lock that keeps a second process
//! away.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::checkpoint::AT_MOST;
use super::fault::open_error;
use super::redo::{self, Redo, RedoFile};
use super::schema::{migrate, must_be_known};
use crate::store::StoreError;

/// Where the database is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Nowhere: gone when the store is closed.
    Memory,
    /// In this file.
    File(PathBuf),
    /// In this file, which is somebody else's: it is not written, not even its schema.
    Foreign(PathBuf),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Memory => Path::new(":memory:"),
            Self::File(path) | Self::Foreign(path) => path,
        }
    }

    /// The connection that writes, with the schema up to date, and the log of changes in front of it; what is in that and
    /// not in the database is made up for, where `upto` is given up to that frame. There is no log where there is no room
    /// for one: each commit is synced then.
    pub(super) fn writer(&self, upto: Option<u64>) -> Result<(Connection, Option<Redo>), StoreError> {
        let mut connection = self.connect()?;
        let path = self.path();
        let failed = |error: rusqlite::Error| open_error(path, &error);
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 PRAGMA wal_autocheckpoint = {AT_MOST};
                 PRAGMA journal_size_limit = 67108864;
                 PRAGMA cache_size = -16000;
                 PRAGMA temp_store = MEMORY;"
            ))
            .map_err(failed)?;
        let log = self.log(&mut connection, upto)?;
        migrate(&mut connection, path)?;
        let Some(log) = log else {
            redo::end(&connection).map_err(failed)?;
            return Ok((connection, None));
        };
        let epoch = redo::begin(&connection).map_err(failed)?;
        let redo = Redo::start(log, epoch)?;
        Ok((connection, Some(redo)))
    }

    /// The file of the log, when the database has what is in it.
    fn log(&self, connection: &mut Connection, upto: Option<u64>) -> Result<Option<RedoFile>, StoreError> {
        let Self::File(path) = self else { return Ok(None) };
        let name = beside(path, "-redo");
        let is_needed = redo::is_needed(connection).map_err(|error| open_error(path, &error))?;
        let mut file = match RedoFile::open(&name) {
            Ok(file) => file,
            Err(error) if is_needed => {
                return Err(StoreError::Open {
                    place: name.display().to_string(),
                    reason: error.to_string(),
                });
            }
            Err(error) => return Ok(without_log(&error)),
        };
        let made = redo::replay(connection, path, &mut file, upto)?;
        if made > 0 {
            tracing::info!(path = %path.display(), units = made, "the last changes were taken from the log");
        }
        Ok(file.make_room(&name).map_or_else(|error| without_log(&error), |()| Some(file)))
    }

    /// A connection that makes checkpoints, and nothing else.
    pub(super) fn checkpointer(&self) -> Result<Connection, StoreError> {
        let connection = self.connect()?;
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -1000;")
            .map_err(|error| open_error(self.path(), &error))?;
        Ok(connection)
    }

    /// A connection that only reads.
    pub(super) fn reader(&self) -> Result<Connection, StoreError> {
        let connection = self.connect()?;
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4000; PRAGMA temp_store = MEMORY;")
            .map_err(|error| open_error(self.path(), &error))?;
        if let Self::Foreign(path) = self {
            must_be_known(&connection, path)?;
        }
        Ok(connection)
    }

    fn connect(&self) -> Result<Connection, StoreError> {
        let connection = match self {
            Self::Memory => Connection::open_in_memory(),
            Self::File(path) => Connection::open(path),
            Self::Foreign(path) => Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY),
        };
        let connection = connection.map_err(|error| open_error(self.path(), &error))?;
        connection.set_prepared_statement_cache_capacity(64);
        // Plans do not depend on what is bound: a cached statement would otherwise be prepared anew for each use.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(|error| open_error(self.path(), &error))?;
        connection.busy_timeout(Duration::from_secs(5)).map_err(|error| open_error(self.path(), &error))?;
        Ok(connection)
    }

    /// Takes the lock beside the file; two processes would deliver everything twice.
    pub(super) fn lock(&self) -> Result<Option<File>, StoreError> {
        let Self::File(path) = self else { return Ok(None) };
        let failed = |error: std::io::Error| StoreError::Open {
            place: path.display().to_string(),
            reason: error.to_string(),
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            create_folder(folder).map_err(failed)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(beside(path, ".lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// The path of a file beside the one at `path`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(ending);
    name.into()
}

fn without_log(error: &std::io::Error) -> Option<RedoFile> {
    tracing::warn!(%error, "there is no log of changes: the store is slower without it");
    None
}

/// Creates a folder and what leads to it. The name of each is on disk afterwards: SQLite syncs the folder that its
/// files are in, and nobody else those above, so a power cut could take a new folder away with all that is in it.
fn create_folder(folder: &Path) -> std::io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new(""));
    create_folder(above)?;
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    // Only Unix opens folders.
    #[cfg(unix)]
    File::open(if above.as_os_str().is_empty() { Path::new(".") } else { above })?.sync_all()?;
    Ok(())
}
