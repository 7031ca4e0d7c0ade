//! What an operator does with messages: tries dead letters again, drops them, replays parked webhooks, examines the
//! store.
//!
//! It is the same with a running gateway and without one; what is queued here is delivered by the one that runs, or by the
//! next. Invariant: each step is one durable unit, so one that is cut off has done a part of the whole and can be done
//! again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::parcel::Parcel;
use super::poll::Polls;
use super::{Channels, StartError, open_store};
use crate::load::Settings;
use crate::message::Outbound;
use crate::store::{
    self, Acceptance, Accepted, Direction, Filter, Finding, FindingKind, ParkedFilter, Record, Records,
    Retention, State, Store, StoreError,
};
use crate::world::{Millis, World};

/// How many are taken at once from the store.
const PAGE: usize = 500;
/// How many of those that stay parked are told one by one.
const TOLD: usize = 100;
/// How long to wait while the store has too much to write.
const BUSY: Duration = Duration::from_millis(100);

/// What is done to some of them; gives to how many.
type Step = BoxFuture<'static, Result<usize, StoreError>>;

/// Which ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which<F> {
    /// These.
    Ids(Vec<i64>),
    /// All that there are now and that pass the filter, oldest first. Its `before`, `after` and `limit` mean nothing.
    All(F),
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// To how many.
    pub changed: usize,
    /// Those that were asked for by their ids and are none of which it can be done.
    pub unknown: Vec<i64>,
    /// How many were tried in vain, and stay parked.
    pub still_parked: usize,
    /// The first of those, and why.
    pub reasons: Vec<StillParked>,
}

/// A webhook that stays parked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StillParked {
    /// Its id.
    pub id: i64,
    /// What is wrong now.
    pub reason: String,
}

/// Where an operator works.
pub struct Desk {
    pub(super) channels: Arc<Channels>,
    pub(super) store: Arc<dyn Store>,
    pub(super) polls: Arc<Polls>,
    pub(super) world: World,
}

impl Desk {
    pub(super) fn new(
        channels: Arc<Channels>,
        store: Arc<dyn Store>,
        polls: Arc<Polls>,
        world: World,
    ) -> Self {
        Self { channels, store, polls, world }
    }

    /// One at a store that no gateway works with; it takes the store's lock.
    pub fn open(settings: Settings, world: World) -> Result<Self, StartError> {
        // Nobody delivers: what is fed is found in the store by the gateway that starts next.
        let (feed, _) = store::feed(1);
        let store = open_store(&settings, feed, None)?;
        let channels = Arc::new(Channels::new(settings));
        let polls = Arc::new(Polls::resting(&channels, &world));
        Ok(Self::new(channels, store, polls, world))
    }

    /// Lets go of the store.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }

    /// Queues dead letters again, behind what their contacts have queued.
    pub async fn retry(&self, which: Which<Filter>) -> Result<Changed, StoreError> {
        let retry = |ids| -> Step {
            let retried = self.store.retry(ids, self.world.now());
            Box::pin(async move { Ok(retried.await?.len()) })
        };
        let changed = self.each(which, &retry).await?;
        tracing::info!(messages = changed.changed, "dead letters are queued again");
        Ok(changed)
    }

    /// Removes dead letters.
    pub async fn drop_lost(&self, which: Which<Filter>) -> Result<Changed, StoreError> {
        let changed = self.each(which, &|ids| self.store.drop_lost(ids)).await?;
        tracing::info!(messages = changed.changed, "dead letters were dropped");
        Ok(changed)
    }

    /// Does something to dead letters, a page of them at a time.
    async fn each(
        &self,
        which: Which<Filter>,
        change: &(dyn Fn(Vec<i64>) -> Step + Sync),
    ) -> Result<Changed, StoreError> {
        let mut done = Changed::default();
        let filter = match which {
            Which::Ids(ids) => {
                for id in ids {
                    match change(vec![id]).await? {
                        0 => done.unknown.push(id),
                        changed => done.changed += changed,
                    }
                }
                return Ok(done);
            }
            Which::All(filter) => filter,
        };
        let lost = |state: &State| State::LOST.contains(state);
        let mut states: Vec<_> = filter.states.iter().copied().filter(lost).collect();
        if filter.states.is_empty() {
            // What is held may have arrived: it must be asked for by name.
            states = vec![State::Failed, State::Dead];
        }
        if states.is_empty() {
            return Ok(done);
        }
        // What is tried again and fails again has a higher id, and is not tried once more.
        let newest = self.store.list(Filter { limit: 1, ..Filter::default() }).await?;
        let Some(newest) = newest.first().map(|record| record.delivery.id) else { return Ok(done) };
        let mut after = 0;
        loop {
            let page = Filter {
                states: states.clone(),
                before: newest.checked_add(1),
                after: Some(after),
                limit: PAGE,
                ..filter.clone()
            };
            let ids: Vec<_> = self.store.list(page).await?.iter().map(|record| record.delivery.id).collect();
            let Some(last) = ids.last() else { return Ok(done) };
            after = *last;
            done.changed += change(ids).await?;
        }
    }

    /// Takes parked webhooks through their mappings again, in the order in which they came.
    pub async fn replay(&self, which: Which<ParkedFilter>) -> Result<Changed, StoreError> {
        let mut done = Changed::default();
        let filter = match which {
            Which::Ids(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                for id in ids {
                    match self.store.webhook(id).await? {
                        Some(webhook) if webhook.entry.verdict == store::Verdict::Parked => {
                            self.replay_one(&webhook, &mut done).await?;
                        }
                        _ => done.unknown.push(id),
                    }
                }
                None
            }
            Which::All(filter) => Some(filter),
        };
        let mut after = 0;
        while let Some(filter) = &filter {
            let page = self.store.parked(ParkedFilter { after, limit: PAGE, ..filter.clone() }).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for webhook in &page {
                self.replay_one(webhook, &mut done).await?;
            }
        }
        tracing::info!(
            webhooks = done.changed,
            still_parked = done.still_parked,
            "parked webhooks were replayed"
        );
        Ok(done)
    }

    async fn replay_one(&self, webhook: &store::Webhook, done: &mut Changed) -> Result<(), StoreError> {
        match self.replay_webhook(webhook).await? {
            Ok(()) => done.changed += 1,
            Err(reason) => {
                done.still_parked += 1;
                if done.reasons.len() < TOLD {
                    done.reasons.push(StillParked { id: webhook.id, reason });
                }
            }
        }
        Ok(())
    }

    /// Parks webhooks no longer.
    pub async fn drop_parked(&self, which: Which<ParkedFilter>) -> Result<Changed, StoreError> {
        let mut done = Changed::default();
        match which {
            Which::Ids(ids) => {
                for id in ids {
                    match self.store.drop_parked(vec![id]).await? {
                        0 => done.unknown.push(id),
                        dropped => done.changed += dropped,
                    }
                }
            }
            Which::All(filter) => {
                let mut after = 0;
                loop {
                    let page = ParkedFilter { after, limit: PAGE, ..filter.clone() };
                    let ids: Vec<_> = self.store.parked(page).await?.iter().map(|it| it.id).collect();
                    let Some(last) = ids.last() else { break };
                    after = *last;
                    done.changed += self.store.drop_parked(ids).await?;
                }
            }
        }
        tracing::info!(webhooks = done.changed, "parked webhooks were dropped");
        Ok(done)
    }

    /// Accepts, and waits while the store has too much to write.
    pub(super) async fn accept(&self, acceptance: &Acceptance) -> Result<Accepted, StoreError> {
        loop {
            match self.store.accept(acceptance.clone()).await {
                Err(StoreError::Busy) => tokio::time::sleep(BUSY).await,
                other => return other,
            }
        }
    }
}

/// Everything about a store that can't be right, the contents of what is to be delivered included.
pub async fn examine(
    records: &dyn Records,
    channels: Vec<SmolStr>,
    keep: Retention,
    now: Millis,
) -> Result<Vec<Finding>, StoreError> {
    let mut findings = records.examine(channels, keep, now).await?;
    let damaged = findings.iter().any(|finding| finding.kind == FindingKind::Damaged);
    let mut after = 0;
    loop {
        let states = vec![State::Queued, State::Failed, State::Dead, State::Held];
        let page = Filter { states, after: Some(after), limit: PAGE, ..Filter::default() };
        let page = match records.list(page).await {
            Ok(page) => page,
            // That much was told.
            Err(_) if damaged => return Ok(findings),
            Err(error) => return Err(error),
        };
        let Some(last) = page.last() else { return Ok(findings) };
        after = last.delivery.id;
        findings.extend(page.iter().filter_map(unreadable));
    }
}

fn unreadable(Record { delivery, .. }: &Record) -> Option<Finding> {
    let read = match delivery.lane.direction {
        Direction::Inbound => serde_json::from_slice::<Parcel>(&delivery.payload).map(drop),
        Direction::Outbound => serde_json::from_slice::<Outbound>(&delivery.payload).map(drop),
    };
    let error = read.err()?;
    let what = format!("the delivery {} ({}) can't be read: {error}", delivery.id, delivery.lane);
    Some(Finding::new(FindingKind::UnreadablePayload, what))
}
