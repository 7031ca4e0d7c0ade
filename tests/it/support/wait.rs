//! Waiting for something to become true, taking turns, and printing.

use std::io::Write as _;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

static TURNS: RwLock<()> = RwLock::new(());

/// Keeps every other test away while this one measures time.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    TURNS.write().unwrap_or_else(PoisonError::into_inner)
}

/// Lets other tests run at the same time, except those that want to be [`alone`].
pub fn among_others() -> RwLockReadGuard<'static, ()> {
    TURNS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Looks until there is something, at most for `seconds`.
pub fn until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    until_done(what, seconds, || look().ok_or("nothing"))
}

/// The same of something that says what is there instead.
pub fn until_done<T, E: std::fmt::Display>(
    what: &str,
    seconds: u64,
    mut look: impl FnMut() -> Result<T, E>,
) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => {
                let is_in_time = began.elapsed() < Duration::from_secs(seconds);
                assert!(is_in_time, "not within {seconds} s: {what}; instead: {instead}");
            }
        }
        sleep(Duration::from_millis(5));
    }
}

/// Prints a figure, past the test harness, which would keep that of a test that passes to itself.
pub fn say(figures: impl AsRef<str>) {
    let thread = std::thread::current();
    let test = thread.name().and_then(|name| name.split("::").last()).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "    {test}: {}", figures.as_ref());
}
