//! What a lane says about itself, for metrics and the console.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::store::Lane;
use crate::world::Millis;

/// How a lane is doing. Counters start at zero with the process.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneStats {
    /// The lane.
    pub lane: Lane,
    /// How many deliveries wait or are under way; approximate while much is in the store.
    pub depth: u64,
    /// How many requests are under way.
    pub in_flight: usize,
    /// How many deliveries it holds in memory, beside those under way.
    pub held_in_memory: usize,
    /// How many contacts wait for a retry.
    pub retrying: usize,
    /// Attempts that succeeded.
    pub sent: u64,
    /// Deliveries that were refused for good.
    pub failed: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that are held, since the other side may have taken them.
    pub held: u64,
    /// Attempts that are to be repeated.
    pub retried: u64,
    /// Answers that asked for fewer requests.
    pub throttled: u64,
    /// The lane rests until then.
    pub paused_until: Option<Millis>,
    /// The host that it sends to fails again and again: the lane pauses and probes.
    pub circuit_open: bool,
    /// Since when it has had nothing to do.
    pub idle_since: Option<Instant>,
}

impl LaneStats {
    /// The lane has no task any more; what it has done stays told.
    pub(super) fn gone(&mut self) {
        (self.depth, self.in_flight, self.held_in_memory, self.retrying) = (0, 0, 0, 0);
        (self.paused_until, self.circuit_open, self.idle_since) = (None, false, None);
    }
}

/// The stats of a lane, shared between the lane and those who look.
#[derive(Clone, Debug)]
pub(super) struct Gauge(Arc<Mutex<LaneStats>>);

impl Gauge {
    pub(super) fn new(lane: Lane) -> Self {
        Self(Arc::new(Mutex::new(LaneStats {
            lane,
            depth: 0,
            in_flight: 0,
            held_in_memory: 0,
            retrying: 0,
            sent: 0,
            failed: 0,
            dead: 0,
            held: 0,
            retried: 0,
            throttled: 0,
            paused_until: None,
            circuit_open: false,
            idle_since: None,
        })))
    }

    /// The stats, locked: hold it for a moment only.
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
