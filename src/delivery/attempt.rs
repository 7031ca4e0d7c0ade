//! One attempt, and writing down how it went: the two things a lane waits for.
//!
//! Invariant: both end in an answer, whatever the carrier or the disk does. A contact's next delivery goes only
//! after the outcome of this one is on disk.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::carrier::{Carrier, Outcome, Report};
use super::credential::Used;
use super::pacer::Ticket;
use crate::call::Departure;
use crate::message::Fault;
use crate::store::{Answer, Delivery, Settlement, Store, StoreError};

/// How long to wait after the store could not write; doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// An attempt that is over.
pub(super) struct Answered {
    /// What was tried.
    pub(super) delivery: Arc<Delivery>,
    /// What could go with it.
    pub(super) more: Vec<Arc<Delivery>>,
    /// Its place in the pacer's log.
    pub(super) ticket: Ticket,
    /// Its place in the rate of its credential.
    pub(super) shared: Option<Used>,
    /// When the request went.
    pub(super) departure: Departure,
    /// How it went, and what is remembered because of it.
    pub(super) report: Report,
    /// When it began.
    pub(super) began: Instant,
    /// When the answer came.
    pub(super) at: Instant,
}

/// Makes an attempt; a panic or too long a wait is something to repeat.
pub(super) async fn attempt(
    carrier: Arc<dyn Carrier>,
    delivery: Arc<Delivery>,
    more: Vec<Arc<Delivery>>,
    ticket: Ticket,
    shared: Option<Used>,
    departure: Departure,
    time_limit: Duration,
) -> Answered {
    let began = Instant::now();
    let attempt = tokio::time::timeout(time_limit, carrier.attempt(&delivery, &more, departure.clone()));
    let made = AssertUnwindSafe(attempt).catch_unwind();
    let repeat = |message: &str| {
        let outcome = Outcome::Retry {
            after: None,
            fault: Fault { code: String::new(), message: message.to_owned() },
            progress: None,
        };
        Report { in_doubt: true, ..Report::from(outcome) }
    };
    let report = match made.await {
        Ok(Ok(report)) => report,
        Ok(Err(_)) => repeat("the attempt took too long"),
        Err(_) => {
            tracing::error!(lane = %delivery.lane, mid = %delivery.mid, "the attempt panicked");
            repeat("the attempt came to an unexpected end")
        }
    };
    Answered { delivery, more, ticket, shared, departure, report, began, at: Instant::now() }
}

/// Notes that an attempt begins, until the note is written; `false` when the store was closed before, or the lane is
/// another node's.
pub(super) async fn note(store: Arc<dyn Store>, delivery: Arc<Delivery>) -> bool {
    until_written(&delivery, "an attempt is not begun yet", || store.begin(delivery.id)).await
}

/// Writes settlements until all of them are written, or the store is closed, or the lane is another node's.
pub(super) async fn settle(store: Arc<dyn Store>, settlements: Vec<Settlement>) {
    let write = |settlement: Settlement| {
        let store = &store;
        async move {
            let write = || store.settle(settlement.clone());
            until_written(&settlement.delivery, "outcome not written yet", write).await
        }
    };
    join_all(settlements.into_iter().map(write)).await;
}

async fn until_written<T>(delivery: &Delivery, not_yet: &str, write: impl Fn() -> Answer<T>) -> bool {
    let mut wait = FIRST_WAIT;
    loop {
        match write().await {
            Ok(_) => return true,
            Err(StoreError::Closed | StoreError::Moved) => return false,
            Err(error) => tracing::error!(lane = %delivery.lane, mid = %delivery.mid, %error, "{not_yet}"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
