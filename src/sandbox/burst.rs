//! Many numbered texts of many contacts, handed over as fast as the other side takes them.
//!
//! Texts are numbered `c7-000123`, and one contact's texts are handed over one after the other, so whoever
//! receives them can tell what came late, twice or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::Instant;

const MOST_AT_ONCE: u64 = 512;
const LONGEST_WAIT: u64 = 60;
const FIRST_CONTACT: u64 = 100_000_100;
/// Between two tries that nobody answers.
const SHORT_WAIT: Duration = Duration::from_millis(20);

/// How much to hand over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Burst {
    /// How many contacts (`+60100000100` and up: a special fate goes by the last four digits).
    pub contacts: u64,
    /// How many texts of each.
    pub each: u64,
    /// The first number of each contact's texts.
    pub first: u64,
    /// Requests at the same time.
    pub at_once: u64,
    /// Seconds for which a text is tried again while no answer comes; it keeps its id.
    pub insist: u64,
}

impl Default for Burst {
    fn default() -> Self {
        Self { contacts: 1, each: 1, first: 0, at_once: 32, insist: 0 }
    }
}

/// One text of a burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbered {
    /// The contact's phone number.
    pub contact: String,
    /// `c7-000123`.
    pub text: String,
}

/// Why the other side did not take a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status; 0 where no answer came.
    pub status: u16,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<u64>,
    /// Readable.
    pub message: String,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BurstReport {
    /// Texts that the other side accepted.
    pub accepted: u64,
    /// Requests that it refused, by status; 0 where it did not answer. 429 and 503 were tried again.
    pub refused: BTreeMap<u16, u64>,
    /// Texts that were given up.
    pub lost: u64,
    /// How long it took.
    pub seconds: f64,
    /// The slowest answer.
    pub slowest_ms: f64,
    /// The first refusal, readable.
    pub error: Option<String>,
}

/// Hands over a whole burst with `send`. Refusals with 429 and 503 are tried again after their `Retry-After`, and
/// where no answer came for as long as the burst insists.
pub async fn run<S, F>(burst: &Burst, send: S) -> BurstReport
where
    S: Fn(Numbered) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), Refusal>> + Send + 'static,
{
    let start = Instant::now();
    let workers = burst.at_once.clamp(1, MOST_AT_ONCE).min(burst.contacts.max(1));
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        tasks.spawn(work(burst.clone(), worker, workers, send.clone()));
    }
    let mut report = BurstReport::default();
    while let Some(part) = tasks.join_next().await {
        report.add(part.unwrap_or_default());
    }
    report.seconds = start.elapsed().as_secs_f64();
    report
}

async fn work<S, F>(burst: Burst, worker: u64, workers: u64, send: S) -> BurstReport
where
    S: Fn(Numbered) -> F + Send + Sync,
    F: Future<Output = Result<(), Refusal>> + Send,
{
    let mut report = BurstReport::default();
    let Ok(step) = usize::try_from(workers) else { return report };
    for number in burst.first..burst.first.saturating_add(burst.each) {
        for contact in (worker..burst.contacts).step_by(step) {
            let numbered = Numbered {
                contact: format!("+60{}", FIRST_CONTACT.saturating_add(contact)),
                text: format!("c{contact}-{number:06}"),
            };
            report.insist(&numbered, Duration::from_secs(burst.insist), &send).await;
        }
    }
    report
}

impl BurstReport {
    async fn insist<S, F>(&mut self, numbered: &Numbered, limit: Duration, send: &S)
    where
        S: Fn(Numbered) -> F + Sync,
        F: Future<Output = Result<(), Refusal>> + Send,
    {
        let began = Instant::now();
        loop {
            let start = Instant::now();
            let outcome = send(numbered.clone()).await;
            self.slowest_ms = self.slowest_ms.max(start.elapsed().as_secs_f64() * 1000.0);
            let Err(refusal) = outcome else {
                self.accepted += 1;
                return;
            };
            *self.refused.entry(refusal.status).or_default() += 1;
            self.error.get_or_insert(refusal.message);
            if refusal.status == 0 && began.elapsed() < limit {
                tokio::time::sleep(SHORT_WAIT).await;
                continue;
            }
            if !matches!(refusal.status, 429 | 503) {
                self.lost += 1;
                return;
            }
            let seconds = refusal.retry_after.unwrap_or(1).min(LONGEST_WAIT);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.lost += other.lost;
        for (status, count) in other.refused {
            *self.refused.entry(status).or_default() += count;
        }
        self.slowest_ms = self.slowest_ms.max(other.slowest_ms);
        self.error = self.error.take().or(other.error);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A burst of one text to somebody who answers at the sixth try.
    async fn report(insist: u64) -> BurstReport {
        let tries = Arc::new(AtomicU64::new(0));
        let burst = Burst { insist, ..Burst::default() };
        run(&burst, move |one: Numbered| {
            assert_eq!((one.contact.as_str(), one.text.as_str()), ("+60100000100", "c0-000000"));
            let silent = tries.fetch_add(1, Ordering::Relaxed) < 5;
            let refusal = Refusal { status: 0, retry_after: None, message: "nobody there".into() };
            async move { if silent { Err(refusal) } else { Ok(()) } }
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_insists_on_an_answer_only_if_it_is_told_to() {
        let insisted = report(1).await;
        assert_eq!((insisted.accepted, insisted.lost, insisted.refused[&0]), (1, 0, 5));
        let gave_up = report(0).await;
        assert_eq!((gave_up.accepted, gave_up.lost, gave_up.refused[&0]), (0, 1, 1));
    }
}
