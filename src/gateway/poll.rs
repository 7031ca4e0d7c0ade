//! Polls: news that is fetched from providers, for each channel.
//!
//! Invariants: a page's events and where the next page begins are one durable unit, so a crash loses nothing and at
//! worst reads a page again, whose events are known by their ids then; a poll is never run twice at once in a
//! channel; what a webhook asks for is durable with the webhook, and is forgotten with the last page of a run that
//! began after it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smol_str::{SmolStr, format_smolstr};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Channels;
use super::errand::drive;
use super::to_provider::recall;
use super::webhook::Origin;
use crate::call::{CallCache, Response, Transport};
use crate::delivery::RetryPolicy;
use crate::expression::Value;
use crate::load::ChannelSettings;
use crate::memory::{LONGEST, Remember};
use crate::pipeline::{Errand, Ground, Outcome, Page, Poked};
use crate::plan;
use crate::store::{Acceptance, JournalEntry, Lane, Leases, Slot, Store, Verdict};
use crate::world::{Millis, World};

/// The longest that the first run after a start waits, so that not all channels begin at once.
const SPREAD: Duration = Duration::from_secs(2);
/// How often a poll looks for what another node was asked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a poll that has more pages than it may fetch at once waits for the others.
const PAUSE: Duration = Duration::from_secs(10);

/// What polls work with.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) channels: Arc<Channels>,
    pub(super) store: Arc<dyn Store>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) calls: Arc<CallCache>,
    pub(super) world: World,
    pub(super) stopped: watch::Receiver<bool>,
}

/// The polls of all channels.
pub(super) struct Polls {
    waiting: HashMap<(SmolStr, SmolStr), Arc<Waiting>>,
    tasks: Mutex<JoinSet<()>>,
    world: World,
}

/// What a poll is asked for, and has not begun with.
#[derive(Default)]
struct Waiting {
    due: Mutex<Option<Due>>,
    woken: Notify,
}

/// A request for a poll that is in the store.
#[derive(Clone)]
struct Due {
    id: SmolStr,
    with: Value,
}

/// What a webhook asked for, once it is in the store.
pub(super) struct Poke {
    waiting: Arc<Waiting>,
    due: Due,
}

impl Polls {
    pub(super) fn start(parts: &Parts) -> Self {
        let polls = Self::resting(&parts.channels, &parts.world);
        let mut tasks = JoinSet::new();
        for ((name, poll), waiting) in &polls.waiting {
            if let Some(channel) = parts.channels.get(name) {
                let (channel, name, waiting) = (channel.clone(), poll.clone(), waiting.clone());
                tasks.spawn(Poller { channel, name, waiting, parts: parts.clone() }.run());
            }
        }
        Self { tasks: Mutex::new(tasks), ..polls }
    }

    /// Polls that are not run: what is asked of them is only noted, and done by the gateway that starts next.
    pub(super) fn resting(channels: &Channels, world: &World) -> Self {
        let polls = |(name, channel): (&SmolStr, &Arc<ChannelSettings>)| {
            let name = name.clone();
            let names: Vec<_> = channel.plan.life.polls.iter().map(|poll| poll.name.clone()).collect();
            names.into_iter().map(move |poll| ((name.clone(), poll), Arc::default()))
        };
        let waiting = channels.by_name.iter().flat_map(polls).collect();
        Self { waiting, tasks: Mutex::default(), world: world.clone() }
    }

    /// Notes in an acceptance what it asks for. A poll that is asked for already and has not begun is not asked for
    /// twice.
    pub(super) fn due(&self, poked: &[Poked], acceptance: &mut Acceptance) -> Vec<Poke> {
        let mut pokes = Vec::new();
        for Poked { channel, poll, with } in poked {
            let Some(waiting) = self.waiting.get(&(channel.clone(), poll.clone())) else { continue };
            let known = waiting.due().as_ref().map(|due| due.id.clone());
            let id = known.unwrap_or_else(|| due_name(poll, &self.world.new_id()));
            let kept = Value::map([("with", with.clone())]);
            let fits = kept.to_json().is_some_and(|json| json.len() <= LONGEST);
            if !fits {
                tracing::warn!(%channel, %poll, "what the webhook gives the poll is too long to be kept");
            }
            let value = if fits { kept } else { Value::map([("with", Value::Null)]) };
            acceptance.remember.push(memo(channel, id.clone(), value));
            pokes.push(Poke { waiting: waiting.clone(), due: Due { id, with: with.clone() } });
        }
        pokes
    }

    /// Waits for pages under way, at most for `within`.
    pub(super) async fn finish(&self, within: Duration) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(within, ended).await.is_err() {
            tracing::warn!("some polls were cut off; they go on after the next start");
        }
    }
}

impl Poke {
    /// Runs the poll at once.
    pub(super) fn now(self) {
        *self.waiting.due() = Some(self.due);
        self.waiting.woken.notify_one();
    }
}

impl Waiting {
    fn due(&self) -> std::sync::MutexGuard<'_, Option<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Under which name the place of a poll is remembered. A mapping can't choose a name with a dot in it.
fn cursor_name(poll: &str) -> SmolStr {
    format_smolstr!("poll.{poll}.cursor")
}

fn due_name(poll: &str, id: &str) -> SmolStr {
    format_smolstr!("poll.{poll}.due.{id}")
}

fn memo(channel: &SmolStr, name: SmolStr, value: Value) -> Remember {
    Remember { channel: channel.clone(), contact: SmolStr::default(), name, value, expires_at: None }
}

/// One poll of one channel.
struct Poller {
    channel: Arc<ChannelSettings>,
    name: SmolStr,
    waiting: Arc<Waiting>,
    parts: Parts,
}

/// Where a poll stands.
#[derive(Default)]
struct State {
    cursor: Value,
    /// What was asked for and is not done.
    due: Vec<SmolStr>,
    with: Value,
}

/// How a run ended.
enum Ran {
    /// All pages are read.
    Done,
    /// There is more than may be read at once.
    More,
    /// A page could not be had; the provider may say when to try again.
    Failed(String, Option<Duration>),
}

impl Poller {
    /// Polls whenever the channel's news are this process's to fetch.
    async fn run(mut self) {
        let leases = self.parts.store.leases();
        let slot = Slot::of_lane(&Lane::inbound(self.channel.channel.name.clone()));
        let mut changes = leases.changes();
        loop {
            changes.mark_unchanged();
            let tenure = leases.enter(slot);
            let stopped = match &tenure {
                Some(_) => self.poll(&leases, slot).await,
                None => {
                    tokio::select! {
                        biased;
                        _ = self.parts.stopped.wait_for(|stopped| *stopped) => true,
                        _ = changes.changed() => false,
                    }
                }
            };
            if stopped {
                return;
            }
        }
    }

    /// Polls until it is told to stop, or the channel's news are another's to fetch; whether it was told to stop.
    async fn poll(&mut self, leases: &Leases, slot: Slot) -> bool {
        let channel = self.channel.clone();
        let Some(poll) = channel.plan.life.poll(&self.name) else { return true };
        let Some(mut state) = self.recall().await else { return true };
        let (mut changes, mut stopped) = (leases.changes(), self.parts.stopped.clone());
        let may_be_asked_elsewhere = leases.are_shared() && channel.plan.asks_for(&self.name);
        let spread = SPREAD.min(poll.every.unwrap_or(SPREAD)).mul_f64(self.parts.world.fraction());
        let begins = poll.every.is_some() || !state.due.is_empty();
        let mut next = begins.then(|| Instant::now() + spread);
        let mut failures = 0;
        loop {
            if !leases.holds(slot) {
                return false;
            }
            let timer = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let looks = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return true,
                Ok(()) = changes.changed() => continue,
                () = self.waiting.woken.notified(), if failures == 0 => {
                    if self.waiting.due().is_none() {
                        continue; // a run that began since has it
                    }
                    false
                }
                () = timer => false,
                () = tokio::time::sleep(LOOK_EVERY), if may_be_asked_elsewhere && failures == 0 => true,
            };
            if looks {
                let Some(found) = self.recall().await else { return true };
                if found.due.iter().all(|id| state.due.contains(id)) {
                    continue;
                }
                (state.due, state.with) = (found.due, found.with);
            }
            if let Some(due) = self.waiting.due().take() {
                if !state.due.contains(&due.id) {
                    state.due.push(due.id);
                }
                state.with = due.with;
            }
            let ran = self.pages(poll, &mut state).await;
            let now = Instant::now();
            next = match ran {
                Ran::Done => poll.every.map(|every| now + every),
                Ran::More => Some(now + PAUSE.min(poll.every.unwrap_or(PAUSE))),
                Ran::Failed(..) => Some(now),
            };
            match ran {
                Ran::Failed(reason, asked) => {
                    failures += 1;
                    let wait = self.wait(failures, asked);
                    let (channel, poll, seconds) = (&channel.channel.name, &self.name, wait.as_secs());
                    tracing::warn!(%channel, %poll, reason, seconds, "the poll failed; trying again");
                    next = Some(now + wait);
                }
                Ran::Done | Ran::More => failures = 0,
            }
        }
    }

    /// How long to wait after so many failures in a row.
    fn wait(&self, failures: u32, asked: Option<Duration>) -> Duration {
        let retry = self.channel.retry;
        let give_up_after = Duration::MAX;
        let policy = RetryPolicy { first: retry.first, max: retry.max, attempts: None, give_up_after };
        let random = self.parts.world.fraction();
        let wait = policy.again_after(failures, Duration::ZERO, random).unwrap_or(retry.max);
        wait.max(asked.unwrap_or_default())
    }

    /// Where the last process left off; none when it is to stop.
    async fn recall(&mut self) -> Option<State> {
        let name = self.channel.channel.name.clone();
        let memory = loop {
            let memory = self.parts.store.memory(name.clone(), SmolStr::default(), self.parts.world.now());
            match memory.await {
                Ok(memory) => break memory.channel,
                Err(error) => tracing::warn!(channel = %name, %error, "a poll can't read where it stands"),
            }
            tokio::select! {
                biased;
                _ = self.parts.stopped.wait_for(|stopped| *stopped) => return None,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        };
        let mut state = State::default();
        let due = due_name(&self.name, "");
        for (name, value) in memory.iter().filter(|(name, _)| name.starts_with(due.as_str())) {
            state.due.push(name.clone());
            state.with = value.get("with").clone();
        }
        state.cursor = memory.get(&cursor_name(&self.name)).cloned().unwrap_or_default();
        Some(state)
    }

    /// Fetches pages until there are no more.
    async fn pages(&self, poll: &plan::Poll, state: &mut State) -> Ran {
        let Parts { transport, calls, world, stopped, .. } = &self.parts;
        for at in 1..=poll.max_pages {
            let ground = Ground {
                plan: &self.channel.plan,
                channel: &self.channel.channel,
                calls,
                world,
                timeout: self.channel.limits.timeout,
            };
            let memory = match recall(&*self.parts.store, &self.channel, "", world.now()).await {
                Ok(memory) => memory,
                Err(error) => return Ran::Failed(error.to_string(), None),
            };
            let errand = Errand::page(ground, poll, state.cursor.clone(), &state.with);
            let mut errand = errand.about("", memory);
            let driven = drive(&mut errand, &**transport, calls).await;
            let remembered = errand.remembered().to_vec();
            if let Some(failed) = self.failed(&driven.outcome) {
                if matches!(driven.outcome, Outcome::Failed { .. }) {
                    // What the webhook gave may be too old by now; where the poll stands is enough.
                    state.with = Value::Null;
                }
                if let (false, Err(error)) =
                    (remembered.is_empty(), self.parts.store.remember(remembered.clone()).await)
                {
                    tracing::warn!(%error, "what a poll remembers can't be stored");
                }
                return failed;
            }
            let page = errand.into_page();
            let moved = !page.cursor.is_empty() && page.cursor != state.cursor;
            let more = page.more && moved;
            if page.more && !moved {
                let channel = &self.channel.channel.name;
                tracing::warn!(%channel, poll = %self.name, "there is more, but `cursor` stays where it was");
            }
            let mut acceptance = self.acceptance(&page, moved, driven.last, state, !more);
            acceptance.remember.extend(remembered);
            if !is_empty(&acceptance)
                && let Err(error) = self.parts.store.accept(acceptance).await
            {
                return Ran::Failed(format!("the page can't be stored: {error}"), None);
            }
            if moved {
                state.cursor = page.cursor;
            }
            if !more {
                state.due.clear();
                state.with = Value::Null;
                return Ran::Done;
            }
            if *stopped.borrow() || at == poll.max_pages {
                break;
            }
        }
        Ran::More
    }

    fn failed(&self, outcome: &Outcome) -> Option<Ran> {
        if matches!(outcome, Outcome::Sent { .. }) {
            return None;
        }
        let reason = outcome.fault().map(ToString::to_string).unwrap_or_default();
        let reason = self.channel.channel.redact(&reason).into_owned();
        Some(Ran::Failed(reason, outcome.after().map(Duration::from_millis)))
    }

    /// The durable unit that a page becomes; empty where it says nothing and nothing is to be noted.
    fn acceptance(
        &self,
        page: &Page,
        moved: bool,
        last: Option<(String, Response)>,
        state: &State,
        is_last: bool,
    ) -> Acceptance {
        let now = self.parts.world.now();
        let mut acceptance = Acceptance { at: now, ..Acceptance::default() };
        if !page.events.is_empty() || page.failed.is_some() {
            acceptance.webhook = Some(self.journal(page, last, now));
        }
        acceptance.remember.clone_from(&page.remember);
        let origin = Origin { request: None, route: &self.name, shared: false };
        for routed in &page.events {
            self.parts.channels.add(&mut acceptance, routed, &origin);
        }
        let channel = &self.channel.channel.name;
        if moved {
            acceptance.remember.push(memo(channel, cursor_name(&self.name), page.cursor.clone()));
        }
        if is_last {
            let done = state.due.iter().map(|name| memo(channel, name.clone(), Value::Null));
            acceptance.remember.extend(done);
        }
        acceptance
    }

    fn journal(&self, page: &Page, last: Option<(String, Response)>, now: Millis) -> JournalEntry {
        let (url, response) = last.unwrap_or_default();
        if let Some(reason) = &page.failed {
            tracing::warn!(channel = %self.channel.channel.name, poll = %self.name, reason, "page parked");
        }
        JournalEntry {
            received_at: now,
            channel: Some(self.channel.channel.name.clone()),
            mapping: self.channel.plan.name.clone(),
            route: self.name.clone(),
            method: SmolStr::new_static("POLL"),
            url: self.channel.channel.redact(&url).into_owned(),
            headers: "{}".into(),
            body: response.body,
            verdict: if page.failed.is_some() { Verdict::Parked } else { Verdict::Accepted },
            reason: page.failed.as_ref().map(|reason| format!("parked: {reason}")),
        }
    }
}

fn is_empty(acceptance: &Acceptance) -> bool {
    acceptance.webhook.is_none() && acceptance.remember.is_empty()
}
