//! The task of one lane: takes from the feed and the store, paces, attempts, judges, settles.
//!
//! Invariants: no request starts before the pacer allows it, and none while the lane rests or its host pauses; a
//! contact has at most one request under way, and its next one goes after the outcome is on disk; requests under
//! way, and outcomes not yet on disk, are bounded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt as _, TryFutureExt};
use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::attempt::{self, Answered};
use super::carrier::{Carrier, Outcome, Report};
use super::credential::{Credentials, Share};
use super::host::{Hosts, Peer};
use super::judge::{Judgement, apart, at_once, hold, judge, postpone};
use super::pacer::Pacer;
use super::queue::{Queue, Wanted};
use super::reserve::{Loan, Reserve};
use super::settings::LaneSettings;
use super::spacing::Spacing;
use super::stats::Gauge;
use crate::call::Departure;
use crate::memory::Remember;
use crate::message::{Contact, Content, Event, EventKind, Fault, IdOwner};
use crate::store::{
    Above, Delivery, DeliveryId, Ending, Fed, FeedReader, Lane, NewDelivery, Page, Settlement, Store,
    StoreError, Tenure, event_delivery,
};
use crate::world::{Millis, World};

/// How many attempts are noted before their turn, where that is asked for: so many may be in doubt without need.
const NOTED_AHEAD: usize = 4;
/// How long to wait after the store could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How far apart a lane reads what others commit.
const POINTED_APART: Duration = Duration::from_millis(5);
/// How often a lane with something to send looks whether it may, when the leases have lapsed.
const LEASE_AGAIN: Duration = Duration::from_millis(100);

/// How many deliveries of each stream a lane may always hold: more than it sends at 20/s while the store is read.
pub(super) const LEAST_WINDOW: usize = 64;

/// What a lane is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Orders {
    /// How to behave; none where nothing is to be started now.
    pub(super) settings: Option<LaneSettings>,
    /// It is another process's now: end when what is under way is over.
    pub(super) ends: bool,
}

/// What a lane is started with.
pub(super) struct Start {
    pub(super) lane: Lane,
    /// The right to deliver.
    pub(super) tenure: Tenure,
    pub(super) store: Arc<dyn Store>,
    pub(super) carrier: Arc<dyn Carrier>,
    pub(super) world: World,
    pub(super) settings: watch::Receiver<Orders>,
    pub(super) inbox: FeedReader,
    /// Set once: stop starting, and be done by then.
    pub(super) stop: watch::Receiver<Option<Instant>>,
    pub(super) gauge: Gauge,
    /// Up to then the rate counts as used up.
    pub(super) full_until: Instant,
    /// The lane rests until then.
    pub(super) rest_until: Option<Instant>,
    /// How the hosts are doing that all lanes send to.
    pub(super) hosts: Arc<Hosts>,
    /// The rates of credentials that lanes share.
    pub(super) credentials: Arc<Credentials>,
    /// What lanes may hold in memory together.
    pub(super) reserve: Arc<Reserve>,
}

/// What was read because it was wanted.
enum Read {
    Any { page: Page, live: Above, bulk: Option<Above> },
    Of { contact: SmolStr, page: Vec<Arc<Delivery>>, limit: usize },
}

enum Step {
    Answered(Box<Answered>),
    /// It is on disk what became of these: of one, or of one and what went with it.
    Settled {
        contact: SmolStr,
        first: DeliveryId,
        last: DeliveryId,
        again_at: Option<Instant>,
    },
    /// It is on disk that this one is about to be tried; not if the store was closed before.
    Noted(Arc<Delivery>, bool),
}

struct Running {
    start: Start,
    settings: LaneSettings,
    queue: Queue,
    loan: Loan,
    pacer: Pacer,
    share: Share,
    rest_until: Option<Instant>,
    peer: Peer,
    /// Contacts that were written to lately, and when they may be again.
    spacing: Spacing,
    /// Throttled answers in a row.
    streak: u32,
    attempts: usize,
    /// Those of which it is on disk that they are about to be tried.
    noted: VecDeque<Arc<Delivery>>,
    /// How many such notes are being written.
    noting: usize,
    /// What is under way: attempts, and what is written down. They share the task of the lane.
    steps: FuturesUnordered<BoxFuture<'static, Step>>,
    reading: OptionFuture<BoxFuture<'static, Result<Read, StoreError>>>,
    read_not_before: Option<Instant>,
    /// When what others committed was read last, or is to be read.
    pointed: Option<Instant>,
    retired: bool,
    /// Nothing is started: the lane is not to run now.
    held: bool,
    /// The lane is another process's: it ends when what is under way is over.
    ending: bool,
    /// Nothing is started any more, and all is over by then.
    deadline: Option<Instant>,
}

/// Runs a lane until it is stopped or another process's, or its inbox ends and it has nothing to do.
pub(super) async fn run(mut start: Start) {
    let Orders { settings, ends: ending } = start.settings.borrow_and_update().clone();
    let held = settings.is_none();
    let settings = settings.unwrap_or_default();
    let lane = Running {
        queue: Queue::new(settings.window, settings.in_flight, settings.batch),
        loan: Loan::new(Arc::clone(&start.reserve)),
        pacer: Pacer::new(settings.rate, start.full_until),
        share: start.credentials.share(settings.credential.as_ref(), start.full_until),
        rest_until: start.rest_until,
        peer: Peer::new(Arc::clone(&start.hosts)),
        spacing: Spacing::new(start.full_until),
        start,
        settings,
        streak: 0,
        attempts: 0,
        noted: VecDeque::new(),
        noting: 0,
        steps: FuturesUnordered::new(),
        reading: None.into(),
        read_not_before: None,
        pointed: None,
        retired: false,
        held,
        ending,
        deadline: None,
    };
    lane.work().await;
}

impl Running {
    async fn work(mut self) {
        let mut reading = false;
        loop {
            let now = Instant::now();
            let mut alarm = self.deadline;
            if let Some(deadline) = self.deadline {
                if self.steps.is_empty() || deadline <= now {
                    return;
                }
            } else if self.ending {
                self.take_notes_back();
                if self.steps.is_empty() {
                    self.start.gauge.lock().gone();
                    return;
                }
            } else {
                self.queue.wake(now);
                if !reading {
                    reading = self.read(now);
                }
                alarm = self.start_ready(now, reading);
                self.report();
                if self.retired && !reading && self.queue.is_idle() && self.steps.is_empty() {
                    return;
                }
            }
            tokio::select! {
                biased;
                Some(step) = self.steps.next() => {
                    self.step(step);
                    // The others are asked again, by this task, before it waits.
                    while let Some(Some(step)) = self.steps.next().now_or_never() {
                        self.step(step);
                    }
                }
                Some(page) = &mut self.reading, if reading => {
                    reading = false;
                    self.reading = None.into();
                    self.took(page);
                }
                fed = self.start.inbox.next(), if !reading && !self.retired && !self.ending && self.deadline.is_none() => self.fed(fed),
                Ok(()) = self.start.settings.changed() => self.change(),
                stopped = self.start.stop.changed(), if self.deadline.is_none() => {
                    // An engine that is gone without a word waits for nothing.
                    let until = *self.start.stop.borrow_and_update();
                    self.deadline = if stopped.is_ok() { until } else { Some(now) };
                    self.take_notes_back();
                }
                () = self.peer.works_again() => {}
                () = sleep_until(alarm.unwrap_or(now)), if alarm.is_some() => {}
            }
        }
    }

    fn fed(&mut self, fed: Option<Fed>) {
        let mut next = fed;
        if next.is_none() {
            self.retired = true;
        }
        while let Some(fed) = next {
            self.fit();
            match fed {
                Fed::New(delivery) => self.queue.offer(&delivery),
                Fed::Elsewhere(_) | Fed::Missed => {
                    self.queue.missed();
                    self.gather();
                }
            }
            next = self.start.inbox.try_next();
        }
    }

    /// Has it read at once what others committed; what they commit in the moment after that, together.
    fn gather(&mut self) {
        let now = Instant::now();
        if self.pointed.is_some_and(|then| then > now) {
            return;
        }
        let next = self.pointed.map(|last| last + POINTED_APART).filter(|next| *next > now);
        self.pointed = Some(next.unwrap_or(now));
        self.read_not_before = self.read_not_before.max(next);
    }

    /// Fits the queue's window to what there is to hold, out of what all lanes may hold together.
    fn fit(&mut self) {
        let most = self.settings.window;
        let least = LEAST_WINDOW.min(most);
        let wish = self.queue.wish(least).min(most);
        let window = least + self.loan.fit(wish.saturating_sub(least));
        self.queue.fit(window, (least + self.loan.reach()).min(most));
    }

    /// Starts reading what the queue wants; whether it did.
    fn read(&mut self, now: Instant) -> bool {
        if self.read_not_before.is_some_and(|then| now < then) {
            return false;
        }
        self.read_not_before = None;
        self.fit();
        let Some(wanted) = self.queue.wanted() else { return false };
        let lane = self.start.lane.clone();
        let store = &self.start.store;
        let reading = match wanted {
            Wanted::Any { live, bulk } => {
                store.page(lane, live, bulk).map_ok(move |page| Read::Any { page, live, bulk }).boxed()
            }
            Wanted::Of { contact, after, upto, limit } => {
                let page = store.page_contact(lane, contact.clone(), after, upto, limit);
                page.map_ok(move |page| Read::Of { contact, page, limit }).boxed()
            }
        };
        self.reading = Some(reading).into();
        true
    }

    fn took(&mut self, read: Result<Read, StoreError>) {
        match read {
            Ok(Read::Any { page, live, bulk }) => self.queue.any(&page, live, bulk),
            Ok(Read::Of { contact, page, limit }) => self.queue.of(&contact, page, limit),
            Err(error) => {
                tracing::error!(lane = %self.start.lane, %error, "the queue cannot be read now");
                self.read_not_before = Some(Instant::now() + READ_AGAIN);
                self.queue.unread();
            }
        }
    }

    /// Starts what may start; gives the moment to look again.
    fn start_ready(&mut self, now: Instant, reading: bool) -> Option<Instant> {
        let room = |it: &Self| {
            it.attempts < it.settings.in_flight.max(1) && it.steps.len() < 256.max(it.settings.in_flight * 4)
        };
        if self.rest_until.is_some_and(|until| until <= now) {
            self.rest_until = None;
        }
        let mut alarm = [self.queue.next_due(), self.rest_until, self.read_not_before.filter(|_| !reading)]
            .into_iter()
            .flatten()
            .min();
        let sooner =
            |alarm: Option<Instant>, then| Some(alarm.map_or(then, |alarm: Instant| alarm.min(then)));
        loop {
            let is_held = self.held || self.rest_until.is_some();
            if is_held || !room(self) || (self.noted.is_empty() && !self.queue.has_ready()) {
                self.pacer.rest();
                if is_held {
                    self.take_notes_back();
                }
                return alarm;
            }
            if !self.start.tenure.is_good() {
                self.pacer.rest();
                return sooner(alarm, now + LEASE_AGAIN);
            }
            if let Some(until) = self.peer.paused_until(now) {
                self.pacer.rest();
                self.take_notes_back();
                return sooner(alarm, until);
            }
            if self.settings.hold_doubtful {
                alarm = self.note_ahead(now).map_or(alarm, |then| sooner(alarm, then));
                if self.noted.is_empty() {
                    return alarm;
                }
            }
            let ready_at = self.pacer.ready_at(now);
            if ready_at > now {
                return sooner(alarm, ready_at);
            }
            let turn_at = self.share.turn_at(now);
            if turn_at > now {
                return sooner(alarm, turn_at);
            }
            let Some(delivery) = self.noted.pop_front().or_else(|| self.queue.next()) else { return alarm };
            if let Some(then) = self.not_yet(&delivery, now) {
                self.queue.wait(&delivery.contact, delivery.id, then);
                alarm = sooner(alarm, then);
                continue;
            }
            if let Err(then) = self.peer.start(now, self.settings.time_limit) {
                self.queue.wait(&delivery.contact, delivery.id, then);
                alarm = sooner(alarm, then);
                continue;
            }
            self.spacing.take(&delivery.contact, self.settings.per_contact, now);
            let more = self.more(&delivery, now);
            let departure = Departure::default();
            let ticket = self.pacer.start(now, departure.clone());
            let shared = self.share.start(now, departure.clone());
            self.attempts += 1;
            let carrier = Arc::clone(&self.start.carrier);
            let time_limit = self.settings.time_limit;
            let attempt = attempt::attempt(carrier, delivery, more, ticket, shared, departure, time_limit);
            self.steps.push(attempt.map(|answered| Step::Answered(Box::new(answered))).boxed());
        }
    }

    /// What may go with a delivery in one request.
    fn more(&self, first: &Delivery, now: Instant) -> Vec<Arc<Delivery>> {
        // Of what is noted before it is tried, each has a note of its own.
        let batch = if self.settings.hold_doubtful { 1 } else { self.settings.batch };
        if batch <= 1 {
            return Vec::new();
        }
        self.queue.more(first, batch - 1, |it| self.due(it, now).is_none())
    }

    /// Writes down for the next few deliveries that they are about to be tried; gives the moment to look again.
    fn note_ahead(&mut self, now: Instant) -> Option<Instant> {
        let mut again = None;
        let most = NOTED_AHEAD.min(self.settings.in_flight.max(1).saturating_sub(self.attempts));
        while self.noting + self.noted.len() < most {
            let Some(delivery) = self.queue.next() else { break };
            if delivery.in_doubt {
                self.hold(&delivery, "the gateway ended while it was sent");
            } else if let Some(then) = self.not_yet(&delivery, now) {
                self.queue.wait(&delivery.contact, delivery.id, then);
                again = Some(again.map_or(then, |again: Instant| again.min(then)));
            } else {
                self.noting += 1;
                let noted = attempt::note(Arc::clone(&self.start.store), Arc::clone(&delivery));
                self.steps.push(noted.map(|noted| Step::Noted(delivery, noted)).boxed());
            }
        }
        again
    }

    /// Nothing is tried for a while: what was noted ahead is in no doubt.
    fn take_notes_back(&mut self) {
        for delivery in std::mem::take(&mut self.noted) {
            let it = at_once(&delivery, delivery.not_before, String::new());
            let now = Instant::now();
            self.settle(delivery, it, Vec::new(), Vec::new(), self.start.world.now(), (now, now));
        }
    }

    /// When a delivery may be tried, if not now.
    fn not_yet(&self, delivery: &Delivery, now: Instant) -> Option<Instant> {
        let free_at = || self.spacing.free_at(&delivery.contact, self.settings.per_contact, now);
        self.due(delivery, now).or_else(free_at)
    }

    /// When a delivery may be tried, if that is later than now and it has not waited for it yet.
    fn due(&self, delivery: &Delivery, now: Instant) -> Option<Instant> {
        if self.queue.has_waited(delivery) {
            return None;
        }
        // A wall clock that was set back must not stretch a wait beyond what the policy ever asks for.
        let longest = self.settings.retry.max.max(self.settings.retry.give_up_after);
        let wait = millis(delivery.not_before.saturating_sub(self.start.world.now())).min(longest);
        (!wait.is_zero()).then(|| now + wait)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Answered(answered) => self.answered(*answered),
            Step::Settled { contact, first, again_at: Some(due), .. } => {
                self.queue.wait(&contact, first, due);
            }
            Step::Settled { contact, first, last, .. } => self.queue.done(&contact, first, last),
            Step::Noted(delivery, noted) => {
                self.noting -= 1;
                // Nothing more can be done in a store that is closed: the gateway is ending.
                if noted {
                    self.noted.push_back(delivery);
                }
                if self.deadline.is_some() {
                    self.take_notes_back();
                }
            }
        }
    }

    fn answered(&mut self, answered: Answered) {
        self.attempts -= 1;
        self.pacer.finish(answered.ticket, answered.at);
        let departed = answered.departure.at().unwrap_or(answered.at);
        self.spacing.departed(&answered.delivery.contact, self.settings.per_contact, departed);
        answered.shared.into_iter().for_each(|used| used.finish(answered.at));
        let Report { outcome, joined, remember, contacted, in_doubt } = answered.report;
        self.streak = match outcome {
            // What was under way when the lane began to rest says nothing new.
            Outcome::Throttled { .. } => {
                self.streak.saturating_add(u32::from(self.rest_until.is_none())).max(1)
            }
            _ => 0,
        };
        let (now, random) = (self.start.world.now(), self.start.world.fraction());
        let (delivery, mut more) = (answered.delivery, answered.more);
        more.truncate(joined);
        let times = (answered.began, answered.at);
        let pause = self.peer.hear(contacted, &delivery.contact, times, &self.settings.breaker);
        let policy = &self.settings.retry;
        let it = match (outcome, pause) {
            (Outcome::Retry { fault, .. }, _) if in_doubt && self.settings.hold_doubtful => {
                hold(&fault, delivery.attempts.saturating_add(1))
            }
            (Outcome::Retry { after, fault, progress }, Some(pause)) => {
                postpone(&fault, progress, &delivery, now, pause.max(after.unwrap_or_default()), policy)
            }
            // Nobody knows which of them was to blame.
            (Outcome::Failed { fault } | Outcome::OptOut { fault }, _) if !more.is_empty() => {
                let last = more.last().map_or(delivery.id, |last| last.id);
                self.queue.part(&delivery.contact, last);
                apart(&fault, &delivery, now)
            }
            (outcome, _) => judge(outcome, &delivery, now, self.streak, policy, random),
        };
        if !matches!(it.ending, Ending::Sent { .. }) {
            more.clear();
        }
        if let Some(rest) = it.rest {
            self.rest_until = self.rest_until.max(Some(answered.at + rest));
        }
        self.settle(delivery, it, more, remember, now, (answered.began, answered.at));
    }

    /// Holds what an earlier process may have sent.
    fn hold(&mut self, delivery: &Arc<Delivery>, why: &str) {
        let fault = Fault { code: String::new(), message: why.into() };
        let now = Instant::now();
        self.settle(
            Arc::clone(delivery),
            hold(&fault, delivery.attempts),
            Vec::new(),
            Vec::new(),
            self.start.world.now(),
            (now, now),
        );
    }

    /// Writes down what follows from an attempt, for the delivery and for those of `more`, which went with it.
    fn settle(
        &mut self,
        delivery: Arc<Delivery>,
        it: Judgement,
        more: Vec<Arc<Delivery>>,
        remember: Vec<Remember>,
        now: Millis,
        (began, ended): (Instant, Instant),
    ) {
        let (contact, first) = (delivery.contact.clone(), delivery.id);
        let last = more.last().map_or(first, |last| last.id);
        let again_at = it.again_after.map(|wait| ended + wait);
        let took = ended.saturating_duration_since(began);
        let begun_at = now.saturating_sub(Millis::try_from(took.as_millis()).unwrap_or(Millis::MAX));
        let along = |it: &Judgement, other: Arc<Delivery>| {
            let attempts = other.attempts.saturating_add(1);
            (other, Judgement { attempts, rest: None, ..it.clone() }, Vec::new())
        };
        let others: Vec<_> = more.into_iter().map(|other| along(&it, other)).collect();
        let all = std::iter::once((delivery, it, remember)).chain(others);
        let settlements = all.map(|(delivery, it, remember)| {
            self.count(&it);
            tell(&delivery, &it.ending);
            Settlement {
                at: now,
                begun_at,
                remember,
                attempts: it.attempts,
                follow_ups: if it.opted_out { vec![self.opt_out(&delivery, now)] } else { Vec::new() },
                ending: it.ending,
                post: self.settings.post,
                delivery,
            }
        });
        let settling = attempt::settle(Arc::clone(&self.start.store), settlements.collect());
        self.steps.push(settling.map(move |()| Step::Settled { contact, first, last, again_at }).boxed());
    }

    /// Tells the platform's side that the contact wants no messages.
    fn opt_out(&self, delivery: &Delivery, now: Millis) -> NewDelivery {
        let id = self.start.world.new_id();
        let event = Event {
            kind: EventKind::OptOut,
            id: id.clone(),
            id_owner: IdOwner::Own,
            timestamp: now,
            contact: Contact { id: delivery.contact.to_string(), ..Contact::default() },
            content: Content::default(),
            status: None,
            error: None,
            up_to: None,
        };
        event_delivery(&delivery.lane.channel, &delivery.contact, &id.into(), &event)
    }

    /// New settings: a changed rate is kept to from now on, as if its window were full.
    fn change(&mut self) {
        let Orders { settings, ends } = self.start.settings.borrow_and_update().clone();
        (self.held, self.ending) = (settings.is_none(), ends);
        let Some(settings) = settings else { return };
        if settings.rate != self.settings.rate {
            self.pacer.change(settings.rate, Instant::now());
        }
        if settings.credential != self.settings.credential {
            self.share = self.start.credentials.share(settings.credential.as_ref(), Instant::now());
        }
        self.settings = settings;
    }

    fn count(&self, it: &Judgement) {
        let mut stats = self.start.gauge.lock();
        match &it.ending {
            Ending::Sent { .. } => stats.sent += 1,
            Ending::Failed { .. } => stats.failed += 1,
            Ending::Dead { .. } => stats.dead += 1,
            Ending::Held { .. } => stats.held += 1,
            Ending::Retry { .. } => {
                let is_retry = it.rest.is_none() && it.again_after.is_some_and(|wait| !wait.is_zero());
                stats.retried += u64::from(is_retry);
            }
        }
        stats.throttled += u64::from(it.rest.is_some());
        if it.again_after.is_none() {
            stats.depth = stats.depth.saturating_sub(1);
        }
    }

    fn report(&self) {
        let idle = self.queue.is_idle() && self.steps.is_empty() && self.rest_until.is_none();
        let wall = self.start.world.now();
        let circuit_open = self.peer.is_open();
        let mut stats = self.start.gauge.lock();
        stats.circuit_open = circuit_open;
        stats.in_flight = self.attempts;
        stats.retrying = self.queue.retrying();
        stats.held_in_memory = self.queue.held();
        stats.paused_until = self.rest_until.map(|until| {
            let rest = until.saturating_duration_since(Instant::now());
            wall.saturating_add(Millis::try_from(rest.as_millis()).unwrap_or(Millis::MAX))
        });
        if idle {
            stats.depth = 0;
            stats.idle_since.get_or_insert_with(Instant::now);
        } else {
            stats.idle_since = None;
        }
    }
}

/// A dead letter needs an operator.
fn tell(delivery: &Delivery, ending: &Ending) {
    let (lane, id, mid) = (&delivery.lane, delivery.id, &delivery.mid);
    match ending {
        Ending::Failed { fault } => tracing::warn!(%lane, id, %mid, reason = %fault, "refused for good"),
        Ending::Dead { reason } => tracing::warn!(%lane, id, %mid, reason, "given up: a dead letter"),
        Ending::Held { reason } => tracing::warn!(%lane, id, %mid, reason, "in doubt: held for an operator"),
        Ending::Sent { .. } | Ending::Retry { .. } => {}
    }
}

fn millis(millis: Millis) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
