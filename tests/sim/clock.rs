//! A wall clock that goes with tokio's paused time, and jumps when a schedule says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use patchcord::world::{Clock, Millis};
use tokio::time::Instant;

/// What the wall clock shows when a simulation begins: 2026-01-02 03:04:05 UTC.
const START: Millis = 1_767_323_045_000;

#[derive(Clone)]
pub struct Wall {
    began: Instant,
    offset: Arc<AtomicI64>,
}

impl Wall {
    pub fn new() -> Self {
        Self { began: Instant::now(), offset: Arc::default() }
    }

    /// How long the simulation has run, whatever the wall clock shows.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The moment at which the simulation has run for so long.
    pub fn moment(&self, elapsed: Duration) -> Instant {
        self.began + elapsed
    }

    pub fn jump(&self, by: Millis) {
        self.offset.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Millis {
        START + Millis::try_from(self.elapsed().as_millis()).unwrap() + self.offset.load(Ordering::SeqCst)
    }
}
