//! What Patchcord promises, judged by what was seen from outside and by what the store says in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use patchcord::delivery::{LaneSettings, Rate};
use patchcord::message::{EventKind, IdOwner, Status};
use patchcord::store::{DeliveryId, Direction, Lane, Receipt, Record, State};
use patchcord::world::Millis;
use smol_str::SmolStr;

use super::disk::item;
use super::log::{CALL, Ended, Entry, Event, Item, Said};

/// What holds in a run.
pub struct Terms<'a> {
    /// How lanes behave.
    pub settings: &'a dyn Fn(&Lane) -> LaneSettings,
    /// Whether the network delays evenly enough for the receiver to see the rate that the sender keeps.
    pub is_even: bool,
}

macro_rules! tally {
    ($($name:ident)*) => {
        /// How much of everything there was.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Tally { $(pub $name: u64,)* }

        impl Tally {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// Whether there was none of something.
            pub fn has_none(&self) -> bool {
                [$(self.$name),*].contains(&0)
            }

            /// How much there was of something.
            pub fn of(&self, name: &str) -> Option<u64> {
                match name { $(stringify!($name) => Some(self.$name),)* _ => None }
            }
        }
    };
}

tally! { messages requests sent failed dead repeats throttled statuses crashes jumps }

/// A request, as far as it has come.
struct Attempt {
    life: usize,
    id: Option<DeliveryId>,
    lane: Lane,
    part: usize,
    began: Duration,
    said: Said,
    heard: bool,
    /// How often the wall clock had jumped when it began.
    jumps: u64,
}

/// A contact in a lane.
#[derive(Default)]
struct Contact {
    queued: BTreeSet<DeliveryId>,
    begun: Vec<Duration>,
    under_way: Option<usize>,
}

/// A delivery, as far as it has come.
#[derive(Default)]
struct Delivery {
    begun: u32,
    /// How often its token had expired.
    expired: u32,
    last: Option<usize>,
    /// Parts that were taken, by the process that heard it.
    taken: BTreeMap<usize, usize>,
    /// Parts of which it is on disk that they were taken.
    durable: BTreeSet<usize>,
    /// Not before this, in that life.
    rest: Option<(usize, Duration)>,
    /// Not before this by the wall clock, unless it jumped since; and how often it had.
    not_before: Option<(u64, Millis)>,
}

/// A lane.
#[derive(Default)]
struct Known {
    begun: Vec<Duration>,
    arrived: Vec<Duration>,
    under_way: BTreeSet<usize>,
    /// Requests that delivered nothing.
    calls: u32,
    /// Left alone from, and until, in that life.
    silences: Vec<(usize, Duration, Duration)>,
    /// The pause on disk: who wrote it, until when by the wall clock, and how often that had jumped.
    pause: Option<(usize, Millis, u64)>,
}

/// Goes through a run.
struct Judge<'a> {
    terms: &'a Terms<'a>,
    records: BTreeMap<DeliveryId, &'a Record>,
    ids: BTreeMap<Item, DeliveryId>,
    attempts: BTreeMap<usize, Attempt>,
    contacts: BTreeMap<(Lane, SmolStr), Contact>,
    lanes: BTreeMap<Lane, Known>,
    deliveries: BTreeMap<DeliveryId, Delivery>,
    /// The process that runs.
    life: Option<usize>,
    /// What is handed in, by its number.
    asked: BTreeMap<usize, (Vec<Item>, Vec<Receipt>)>,
    /// What providers said that is on disk.
    receipts: Vec<Receipt>,
    /// What the platform was told last of each message.
    told: BTreeMap<(SmolStr, SmolStr), Status>,
    newest: DeliveryId,
    tally: Tally,
    broken: Vec<String>,
}

/// Judges a run; gives what was broken.
pub fn judge(entries: &[Entry], records: &[Record], terms: &Terms<'_>) -> Result<Tally, Vec<String>> {
    let mut judge = Judge {
        terms,
        records: records.iter().map(|record| (record.delivery.id, record)).collect(),
        ids: BTreeMap::new(),
        attempts: BTreeMap::new(),
        contacts: BTreeMap::new(),
        lanes: BTreeMap::new(),
        deliveries: BTreeMap::new(),
        life: None,
        asked: BTreeMap::new(),
        receipts: Vec::new(),
        told: BTreeMap::new(),
        newest: 0,
        tally: Tally::default(),
        broken: Vec::new(),
    };
    for record in records {
        let (id, item) = (record.delivery.id, item_of(record));
        if let Some(other) = judge.ids.insert(item.clone(), id) {
            judge.broken.push(format!("{item:?} is in the queue twice, as {other} and {id}"));
        }
    }
    for (number, entry) in entries.iter().enumerate() {
        judge.hear(number, entry);
    }
    judge.rates();
    judge.endings();
    if judge.broken.is_empty() { Ok(judge.tally) } else { Err(judge.broken) }
}

fn item_of(record: &Record) -> Item {
    let it = &record.delivery;
    item(&it.lane, &it.mid, it.kind, &it.payload)
}

fn is_posted(record: &Record) -> bool {
    matches!(record.delivery.kind, EventKind::Message | EventKind::MessageStatus)
}

impl Judge<'_> {
    fn broken(&mut self, number: usize, what: impl Display) {
        self.broken.push(format!("{number:>4}: {what}"));
    }

    fn hear(&mut self, number: usize, entry: &Entry) {
        match &entry.event {
            Event::Start { life } => self.life = Some(*life),
            Event::End { life, crash } => {
                self.life = self.life.filter(|alive| alive != life);
                self.tally.crashes += u64::from(*crash);
            }
            Event::Jump(by) => self.tally.jumps += u64::from(*by != 0),
            Event::Asks { ask, items, receipts } => {
                let items = items.iter().map(|(item, _)| item.clone()).collect();
                self.asked.insert(*ask, (items, receipts.clone()));
            }
            Event::Keeps { ask, new } => self.keeps(number, *ask, new),
            Event::Answers { ask, accepted: true } => {
                for item in self.asked.get(ask).map(|(items, _)| items.clone()).unwrap_or_default() {
                    self.tally.messages += 1;
                    if !self.ids.contains_key(&item) {
                        self.broken(number, format!("{item:?} was accepted and is nowhere"));
                    }
                }
            }
            Event::Answers { .. } => {}
            Event::Begins { attempt, life, item, contact, part, arrives, said } => {
                let lane = self.lanes.entry(item.lane.clone()).or_default();
                lane.begun.push(entry.at);
                if !matches!(said, Said::Unreachable) {
                    lane.arrived.push(*arrives);
                }
                self.tally.requests += 1;
                if self.life != Some(*life) {
                    self.broken(number, format!("process {life} makes a request, and {:?} runs", self.life));
                }
                let id = self.ids.get(item).copied();
                let begins = Attempt {
                    life: *life,
                    id,
                    lane: item.lane.clone(),
                    part: *part,
                    began: entry.at,
                    said: said.clone(),
                    heard: false,
                    jumps: self.tally.jumps,
                };
                self.silence(number, entry, &begins);
                self.room(number, *attempt, &begins);
                match id {
                    Some(id) => self.turn(number, *attempt, entry, id, contact, &begins),
                    None if item.kind != CALL => self.broken(number, format!("{item:?} was never accepted")),
                    None => self.lanes.entry(item.lane.clone()).or_default().calls += 1,
                }
                self.attempts.insert(*attempt, begins);
                self.forward(number, item);
            }
            Event::Hears { attempt } => self.answered(*attempt, entry.at),
            Event::Settles { life, id, attempts, ending, new } => {
                self.queue(number, new);
                self.settles(number, entry, *life, *id, *attempts, ending);
            }
        }
    }

    fn keeps(&mut self, number: usize, ask: usize, new: &[DeliveryId]) {
        self.queue(number, new);
        if let Some((_, receipts)) = self.asked.get(&ask) {
            self.receipts.extend(receipts.iter().cloned());
        }
    }

    /// Places in the queue rise in the order of commit.
    fn queue(&mut self, number: usize, new: &[DeliveryId]) {
        for id in new {
            if *id <= self.newest {
                self.broken(number, format!("{id} comes after {}", self.newest));
            }
            self.newest = *id;
            match self.records.get(id) {
                Some(record) => {
                    let key = (record.delivery.lane.clone(), record.delivery.contact.clone());
                    self.contacts.entry(key).or_default().queued.insert(*id);
                }
                None => self.broken(number, format!("{id} was queued and is nowhere")),
            }
        }
    }

    /// Who asks to be left alone is left alone.
    fn silence(&mut self, number: usize, entry: &Entry, begins: &Attempt) {
        let Some(lane) = self.lanes.get(&begins.lane) else { return };
        let broken = lane
            .silences
            .iter()
            .find(|(life, from, until)| *life == begins.life && *from < entry.at && entry.at < *until);
        let pause = lane.pause.filter(|(life, until, jumps)| {
            *life < begins.life && *jumps == self.tally.jumps && entry.wall + 1 < *until
        });
        if let Some((_, from, until)) = broken {
            let what = format!("{} was to be left alone from {from:?} until {until:?}", begins.lane);
            self.broken(number, what);
        }
        if let Some((_, until, _)) = pause {
            let what = format!(
                "{} was to be left alone for {} ms more after a restart",
                begins.lane,
                until - entry.wall
            );
            self.broken(number, what);
        }
    }

    /// No more requests are under way than may be.
    fn room(&mut self, number: usize, attempt: usize, begins: &Attempt) {
        let settings = (self.terms.settings)(&begins.lane);
        let (now, life) = (begins.began, begins.life);
        let attempts = &self.attempts;
        let Some(lane) = self.lanes.get_mut(&begins.lane) else { return };
        lane.under_way.retain(|it| {
            attempts
                .get(it)
                .is_some_and(|it| it.life == life && now < it.began + settings.time_limit && !it.heard)
        });
        lane.under_way.insert(attempt);
        let under_way = lane.under_way.len();
        if under_way > settings.in_flight.max(1) {
            self.broken(number, format!("{under_way} requests are under way at once in {}", begins.lane));
        }
    }

    /// A contact's deliveries go one by one in their order, and each goes until it has arrived.
    fn turn(
        &mut self,
        number: usize,
        attempt: usize,
        entry: &Entry,
        id: DeliveryId,
        contact: &SmolStr,
        begins: &Attempt,
    ) {
        let limit = (self.terms.settings)(&begins.lane).time_limit;
        let known = self.contacts.entry((begins.lane.clone(), contact.clone())).or_default();
        known.begun.push(entry.at);
        let mut broken = Vec::new();
        if let Some(earlier) = known.queued.first().filter(|first| **first < id) {
            broken.push(format!("{id} goes before {earlier} of the same contact"));
        }
        if !known.queued.contains(&id) {
            broken.push(format!("{id} goes though it is over"));
        }
        let other = known.under_way.replace(attempt).and_then(|other| self.attempts.get(&other));
        if other.is_some_and(|it| it.life == begins.life && !it.heard && entry.at < it.began + limit) {
            broken.push(format!("{id} goes while another of the same contact is under way"));
        }
        let delivery = self.deliveries.entry(id).or_default();
        delivery.begun += 1;
        self.tally.repeats += u64::from(delivery.begun > 1);
        delivery.last = Some(attempt);
        let part = begins.part;
        if delivery.durable.contains(&part) || delivery.taken.get(&part) == Some(&begins.life) {
            broken.push(format!("part {part} of {id} goes again though it is known to have arrived"));
        }
        if part > 0 && !delivery.taken.contains_key(&(part - 1)) {
            broken.push(format!("part {part} of {id} goes before the one before it"));
        }
        if let Some((_, until)) =
            delivery.rest.filter(|(life, until)| *life == begins.life && entry.at < *until)
        {
            broken.push(format!("{id} was not to go before {until:?}"));
        }
        if let Some((_, until)) =
            delivery.not_before.filter(|(jumps, until)| *jumps == self.tally.jumps && entry.wall + 1 < *until)
        {
            broken.push(format!("{id} goes {} ms too early", until - entry.wall));
        }
        for what in broken {
            self.broken(number, what);
        }
    }

    /// The platform hears of a message's statuses in their order.
    fn forward(&mut self, number: usize, item: &Item) {
        let Some(status) = item.status else { return };
        self.tally.statuses += 1;
        let last = self.told.insert((item.lane.channel.clone(), item.mid.clone()), status);
        if last.is_some_and(|last| last > status) {
            self.broken(number, format!("{} goes back from {last:?} to {status:?}", item.mid));
        }
    }

    fn answered(&mut self, number: usize, at: Duration) {
        let Some(attempt) = self.attempts.get_mut(&number) else { return };
        let policy = (self.terms.settings)(&attempt.lane).retry;
        // One that took too long was given up already.
        if at > attempt.began + (self.terms.settings)(&attempt.lane).time_limit {
            return;
        }
        attempt.heard = true;
        let longest = policy.give_up_after.max(Duration::from_mins(1));
        let rest = match &attempt.said {
            Said::Throttled(after) => Some(after.unwrap_or(Duration::from_secs(1))),
            Said::Taken { rest, .. } => *rest,
            _ => None,
        };
        if let Some(rest) = rest {
            self.tally.throttled += 1;
            let lane = self.lanes.entry(attempt.lane.clone()).or_default();
            lane.silences.push((attempt.life, at, at + rest.min(longest)));
        }
        let Some(delivery) = attempt.id.and_then(|id| self.deliveries.get_mut(&id)) else { return };
        match &attempt.said {
            Said::Taken { .. } => drop(delivery.taken.insert(attempt.part, attempt.life)),
            Said::Expired => delivery.expired += 1,
            Said::Trouble(Some(after)) => delivery.rest = Some((attempt.life, at + *after)),
            _ => {}
        }
    }

    /// What is written down is what happened, and nothing is given up too early.
    fn settles(
        &mut self,
        number: usize,
        entry: &Entry,
        life: usize,
        id: DeliveryId,
        attempts: u32,
        ending: &Ended,
    ) {
        let Some(record) = self.records.get(&id).copied() else { return };
        let lane = &record.delivery.lane;
        let policy = (self.terms.settings)(lane).retry;
        let known = self.lanes.entry(lane.clone()).or_default();
        let (calls, throttled) = (known.calls, !known.silences.is_empty());
        let delivery = self.deliveries.entry(id).or_default();
        let heard_here = delivery.taken.iter().filter(|(_, heard_by)| **heard_by == life);
        delivery.durable.extend(heard_here.map(|(part, _)| part));
        let last = delivery.last.and_then(|last| self.attempts.get(&last));
        let jumps = last.map_or(0, |last| last.jumps);
        let said = last.filter(|last| last.heard).map(|last| &last.said);
        let fits = match ending {
            // Of these the platform has no use.
            Ended::Sent(_) if !is_posted(record) => true,
            Ended::Sent(_) => matches!(said, Some(Said::Taken { .. })),
            Ended::Failed if matches!(said, Some(Said::Expired)) => delivery.expired > 1,
            Ended::Failed => matches!(said, Some(Said::Refused | Said::OptOut)),
            Ended::Again { .. } => !matches!(said, Some(Said::Refused | Said::OptOut)),
            Ended::Dead => {
                let age = u64::try_from(entry.wall - record.delivery.accepted_at).unwrap_or_default();
                let is_old = Duration::from_millis(age) >= policy.give_up_after;
                let worn_out = policy.attempts.is_some_and(|most| attempts >= most);
                !matches!(said, Some(Said::Taken { .. }))
                    && (worn_out || is_old && (attempts >= 3 || throttled))
            }
        };
        let begun = delivery.begun + calls;
        match ending {
            Ended::Again { not_before, pause } => {
                let longest = Millis::try_from(policy.max.max(policy.give_up_after).as_millis()).unwrap();
                delivery.not_before = Some((jumps, (*not_before).min(entry.wall + longest)));
                if let Some(until) = pause {
                    self.lanes.entry(lane.clone()).or_default().pause = Some((life, *until, jumps));
                }
            }
            Ended::Sent(_) | Ended::Failed | Ended::Dead => {
                let key = (lane.clone(), record.delivery.contact.clone());
                self.contacts.entry(key).or_default().queued.remove(&id);
                self.tally.sent += u64::from(matches!(ending, Ended::Sent(_)));
                self.tally.failed += u64::from(*ending == Ended::Failed);
                self.tally.dead += u64::from(*ending == Ended::Dead);
            }
        }
        if !fits {
            self.broken(
                number,
                format!("{id} ends as {ending:?} after {attempts} attempts, the last answer was {said:?}"),
            );
        }
        if attempts > begun && is_posted(record) {
            self.broken(number, format!("{id} is said to have had {attempts} attempts, and had {begun}"));
        }
    }

    /// Never more than N in any sliding window, for each lane and each contact.
    fn rates(&mut self) {
        for (lane, known) in &mut self.lanes {
            let settings = (self.terms.settings)(lane);
            let mut check = |moments: &mut Vec<Duration>, rate: Rate, whose: &str| {
                moments.sort_unstable();
                let Some((count, window)) = rate.limit() else { return };
                let most = usize::try_from(count).unwrap();
                for (first, one_more) in moments.iter().zip(moments.iter().skip(most)) {
                    if *one_more - *first < window {
                        self.broken.push(format!(
                            "{} requests {whose} from {first:?} to {one_more:?}, {rate} are allowed",
                            most + 1
                        ));
                        return;
                    }
                }
            };
            check(&mut known.begun, settings.rate, &format!("set out in {lane}"));
            if self.terms.is_even {
                check(&mut known.arrived, settings.rate, &format!("arrive from {lane}"));
            }
            for ((_, contact), known) in self.contacts.iter_mut().filter(|((of, _), _)| of == lane) {
                check(&mut known.begun, settings.per_contact, &format!("set out to {contact} in {lane}"));
            }
        }
    }

    /// Everything ends exactly once, and the platform knows how.
    fn endings(&mut self) {
        let mut broken = Vec::new();
        for (id, record) in &self.records {
            let it = &record.delivery;
            if record.state == State::Queued {
                broken.push(format!(
                    "{id} never ended: {} {} {}, {:?}",
                    it.lane, it.contact, it.mid, record.error
                ));
                continue;
            }
            if it.lane.direction == Direction::Inbound || it.kind != EventKind::Message {
                continue;
            }
            let post = (self.terms.settings)(&it.lane).post;
            let expected = match record.state {
                State::Sent => self.standing(*id, it.lane.channel.as_str(), it.mid.as_str()),
                _ => Status::Failed,
            };
            let lane = Lane::inbound(it.lane.channel.clone());
            let said = |status| {
                self.ids.contains_key(&Item::new(&lane, &it.mid, EventKind::MessageStatus, Some(status)))
            };
            for status in [Status::Delivered, Status::Read, Status::Failed] {
                if status > expected && said(status) {
                    broken.push(format!(
                        "the platform was told that {} is {status:?}, it is {expected:?}",
                        it.mid
                    ));
                }
            }
            if expected > Status::Sent && post.contains(expected) && !said(expected) {
                broken.push(format!("the platform was never told that {} is {expected:?}", it.mid));
            }
        }
        self.broken.extend(broken);
    }

    /// How far a message that was sent has come, by what its provider said.
    fn standing(&self, id: DeliveryId, channel: &str, mid: &str) -> Status {
        let delivery = self.deliveries.get(&id);
        let attempts = self.attempts.values().filter(|it| it.id == Some(id) && it.heard);
        let names: BTreeMap<usize, &SmolStr> = attempts
            .filter_map(|it| match &it.said {
                Said::Taken { id, .. } => Some((it.part, id)),
                _ => None,
            })
            .collect();
        let parts = delivery.map_or(0, |delivery| delivery.taken.len()).max(1);
        let standing = (0..parts).map(|part| {
            let concerns = |receipt: &&Receipt| match receipt.id_owner {
                IdOwner::Own => receipt.id == mid,
                IdOwner::Provider => names.get(&part) == Some(&&receipt.id),
            };
            let receipts = self.receipts.iter().filter(|receipt| receipt.channel == channel).filter(concerns);
            receipts.map(|receipt| receipt.status).max().unwrap_or(Status::Sent)
        });
        let standing: Vec<Status> = standing.collect();
        if standing.contains(&Status::Failed) {
            return Status::Failed;
        }
        standing.into_iter().min().unwrap_or(Status::Sent)
    }
}
