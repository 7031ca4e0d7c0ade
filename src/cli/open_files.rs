//! How many files may be open at once: each connection is one, and what the system allows a process at first is often
//! less than the installation wants.

/// What the store, and requests to providers and to the platform, need beside connections: this share of all files,
const SHARE_OF_OTHERS: u64 = 4;
/// and at least so many.
const FEWEST_OF_OTHERS: u64 = 64;

/// Raises the limit of open files as far as this process may, and gives how many of the `wanted` connections fit.
#[cfg(unix)]
pub(super) fn connections(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let given = getrlimit(Resource::Nofile);
    let most = Rlimit { current: given.maximum, maximum: given.maximum };
    let limit = match setrlimit(Resource::Nofile, most) {
        Ok(()) => given.maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files can't be raised");
            given.current
        }
    };
    let room = limit.map_or(usize::MAX, room);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            "the limit of open files leaves room for fewer connections than `server.connections`"
        );
    }
    wanted.min(room)
}

/// Elsewhere the system has no such limit.
#[cfg(not(unix))]
pub(super) fn connections(wanted: usize) -> usize {
    wanted
}

/// How many connections there may be where so many files may be open.
fn room(files: u64) -> usize {
    let others = (files / SHARE_OF_OTHERS).max(FEWEST_OF_OTHERS);
    usize::try_from(files.saturating_sub(others)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(room(20_000), 15_000);
        assert_eq!(room(1024), 768);
        assert_eq!(room(200), 136);
        assert_eq!(room(10), 1, "at least one");
        assert!(connections(usize::MAX) > 0);
    }
}
