//! What a provider stand-in counts.

use std::collections::BTreeMap;

use serde::Serialize;
use tokio::time::Instant;

use super::log::Log;
use super::options::Options;
use super::webhooks::DueReceiver;
use crate::sandbox::recording::{Recording, Verdict};
use crate::sandbox::script::Script;
use crate::sandbox::sequences::{SequenceStats, Sequences};
use crate::sandbox::window::Window;

const PATHS: usize = 100;
const OTHER: &str = "(other)";

/// What a provider stand-in counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Requests, whatever became of them.
    pub requests: u64,
    /// The most of them in any sliding second.
    pub max_in_any_second: usize,
    /// Mean requests a second between the first and the last.
    pub per_second: f64,
    /// The most requests that were unanswered at the same time.
    pub max_in_flight: usize,
    /// Requests by what became of them.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Requests by the status of the answer; 0 where none was given.
    pub by_status: BTreeMap<u16, u64>,
    /// The first hundred paths; the rest together as `(other)`.
    pub by_path: BTreeMap<String, PathStats>,
    /// Messages that the Sandbox API took.
    pub messages: u64,
    /// Numbered texts, by label; each request that was answered 2xx counts.
    pub order: SequenceStats,
    /// Receipts.
    pub receipts: ReceiptStats,
    /// Prescribed answers that are not used up.
    pub script_left: usize,
}

/// What was counted for one path.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PathStats {
    /// Requests.
    pub requests: u64,
    /// The most of them in any sliding second.
    pub max_in_any_second: usize,
    /// Mean requests a second between the first and the last.
    pub per_second: f64,
}

/// What became of receipts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReceiptStats {
    /// Those that the gateway took, by status.
    pub sent: BTreeMap<&'static str, u64>,
    /// Attempts that it did not take.
    pub refused: u64,
    /// Receipts that were given up after the last attempt.
    pub given_up: u64,
    /// Messages whose receipts were never tried, since too many were waiting.
    pub dropped: u64,
}

/// All that changes.
#[derive(Default)]
pub struct State {
    pub recording: Recording,
    pub script: Script,
    pub log: Log,
    pub sequences: Sequences,
    pub receipts: ReceiptStats,
    pub messages: u64,
    pub due: Option<DueReceiver>,
    arrivals: Window,
    paths: BTreeMap<String, Window>,
    in_flight: usize,
    max_in_flight: usize,
}

impl State {
    /// Nothing received yet.
    pub fn new(options: &Options) -> Self {
        Self { recording: Recording::new(options.keep), ..Self::default() }
    }

    /// Counts an arrival.
    pub fn arrive(&mut self, path: &str, arrived: Instant) {
        self.arrivals.arrive(arrived);
        let known = self.paths.len() < PATHS || self.paths.contains_key(path);
        let path = if known { path } else { OTHER };
        match self.paths.get_mut(path) {
            Some(window) => window.arrive(arrived),
            None => self.paths.entry(path.to_owned()).or_default().arrive(arrived),
        }
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
    }

    /// A request was answered, or its caller gave up.
    pub fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The same stand-in with everything counted forgotten.
    pub fn forget(&mut self, options: &Options) {
        let old = std::mem::take(self);
        *self = Self {
            script: old.script,
            due: old.due,
            in_flight: old.in_flight,
            max_in_flight: old.in_flight,
            ..Self::new(options)
        };
    }

    /// What was counted so far.
    pub fn stats(&self, now: Instant) -> Stats {
        let path = |window: &Window| PathStats {
            requests: window.count(),
            max_in_any_second: window.most(),
            per_second: window.per_second(),
        };
        Stats {
            requests: self.arrivals.count(),
            max_in_any_second: self.arrivals.most(),
            per_second: self.arrivals.per_second(),
            max_in_flight: self.max_in_flight,
            verdicts: self.recording.verdicts().clone(),
            by_status: self.recording.statuses().clone(),
            by_path: self.paths.iter().map(|(name, window)| (name.clone(), path(window))).collect(),
            messages: self.messages,
            order: self.sequences.stats(),
            receipts: self.receipts.clone(),
            script_left: self.script.left(now),
        }
    }
}
