//! When requests are made: in their turn, not too many, and not while somebody is to be left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use patchcord::delivery::{Credential, Rate};
use patchcord::store::DeliveryId;
use smol_str::SmolStr;

use super::{Attempt, Judge};
use crate::log::{Entry, Item, Said};

impl Judge<'_> {
    /// Who asks to be left alone is left alone.
    pub(super) fn silence(&mut self, number: usize, entry: &Entry, begins: &Attempt) {
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
    pub(super) fn room(&mut self, number: usize, attempt: usize, begins: &Attempt) {
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

    /// A contact's requests go one by one and its deliveries in their order, and each goes until it has arrived.
    pub(super) fn turn(
        &mut self,
        number: usize,
        attempt: usize,
        entry: &Entry,
        contact: &SmolStr,
        begins: &Attempt,
    ) {
        let settings = (self.terms.settings)(&begins.lane);
        let known = self.contacts.entry((begins.lane.clone(), contact.clone())).or_default();
        let mut broken = Vec::new();
        // None of those in between is left out.
        let first: Vec<DeliveryId> = known.queued.iter().copied().take(begins.ids.len()).collect();
        if first != begins.ids {
            broken.push(format!("{:?} go when {first:?} are the first of the contact", begins.ids));
        }
        if begins.ids.len() > settings.batch {
            broken.push(format!("{} go together, {} may", begins.ids.len(), settings.batch));
        }
        let other = known.under_way.replace(attempt).and_then(|other| self.attempts.get(&other));
        let limit = settings.time_limit;
        if other.is_some_and(|it| it.life == begins.life && !it.heard && entry.at < it.began + limit) {
            let ids = &begins.ids;
            broken.push(format!("{ids:?} go while others of the same contact are under way"));
        }
        for id in &begins.ids {
            broken.extend(self.goes(attempt, entry, *id, begins));
        }
        for what in broken {
            self.broken(number, what);
        }
    }

    /// What is wrong with a delivery's going with a request.
    fn goes(&mut self, attempt: usize, entry: &Entry, id: DeliveryId, begins: &Attempt) -> Vec<String> {
        let settings = (self.terms.settings)(&begins.lane);
        let mut broken = Vec::new();
        let delivery = self.deliveries.entry(id).or_default();
        delivery.begun += 1;
        self.tally.repeats += u64::from(delivery.begun > 1);
        delivery.last = Some(attempt);
        let part = begins.part;
        if delivery.durable.contains(&part) || delivery.taken.get(&part) == Some(&begins.life) {
            broken.push(format!("part {part} of {id} goes again though it is known to have arrived"));
        }
        let is_taken = matches!(begins.said, Said::Taken { .. } | Said::Lost { .. });
        if settings.hold_doubtful && !delivery.arrived.insert(part) {
            broken.push(format!("part {part} of {id} goes again though it may have arrived"));
        }
        if !is_taken {
            delivery.arrived.remove(&part);
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
        broken
    }

    /// The platform hears of a message's statuses in their order.
    pub(super) fn forward(&mut self, number: usize, item: &Item) {
        let Some(status) = item.status else { return };
        self.tally.statuses += 1;
        let last = self.told.insert((item.lane.channel.clone(), item.mid.clone()), status);
        if last.is_some_and(|last| last > status) {
            self.broken(number, format!("{} goes back from {last:?} to {status:?}", item.mid));
        }
    }

    pub(super) fn departs(&mut self, number: usize, at: Duration) {
        let Some(attempt) = self.attempts.get(&number) else { return };
        self.lanes.entry(attempt.lane.clone()).or_default().departed.push(at);
        if !attempt.ids.is_empty() {
            let contact = (attempt.lane.clone(), attempt.contact.clone());
            self.contacts.entry(contact).or_default().departed.push(at);
        }
    }

    pub(super) fn answered(&mut self, number: usize, at: Duration) {
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
            lane.throttled = true;
            // A date means nothing any more when the clock jumped before it was read.
            if attempt.jumps == self.tally.jumps {
                lane.silences.push((attempt.life, at, at + rest.min(longest)));
            }
        }
        for (place, id) in attempt.ids.iter().enumerate() {
            let Some(delivery) = self.deliveries.get_mut(id) else { continue };
            match &attempt.said {
                Said::Taken { .. } => drop(delivery.taken.insert(attempt.part, attempt.life)),
                Said::Expired => delivery.expired += 1,
                // It is the first that is tried again; the others wait behind it.
                Said::Trouble(Some(after)) if place == 0 => {
                    delivery.rest = Some((attempt.life, at + *after));
                }
                _ => {}
            }
        }
    }

    /// Never more than N in any sliding window, for each lane, each contact and each credential.
    pub(super) fn rates(&mut self) {
        let mut credentials: BTreeMap<SmolStr, (Rate, Vec<Duration>)> = BTreeMap::new();
        for (lane, known) in &mut self.lanes {
            let settings = (self.terms.settings)(lane);
            if let Some(Credential { key, rate }) = settings.credential {
                credentials.entry(key).or_insert((rate, Vec::new())).1.extend(&known.departed);
            }
            let mut check = |moments: &mut Vec<Duration>, rate, whose: &str| {
                self.broken.extend(too_many(moments, rate, whose))
            };
            check(&mut known.departed, settings.rate, &format!("depart in {lane}"));
            if self.terms.is_even {
                check(&mut known.arrived, settings.rate, &format!("arrive from {lane}"));
            }
            for ((_, contact), known) in self.contacts.iter_mut().filter(|((of, _), _)| of == lane) {
                check(&mut known.departed, settings.per_contact, &format!("depart to {contact} in {lane}"));
            }
        }
        for (key, (rate, mut departed)) in credentials {
            self.broken.extend(too_many(&mut departed, rate, &format!("depart with {key}")));
        }
    }
}

/// What is wrong with the rate of these moments, if anything.
fn too_many(moments: &mut [Duration], rate: Rate, whose: &str) -> Option<String> {
    moments.sort_unstable();
    let (count, window) = rate.limit()?;
    let most = usize::try_from(count).unwrap();
    let mut pairs = moments.iter().zip(moments.iter().skip(most));
    let (first, one_more) = pairs.find(|(first, one_more)| **one_more - **first < window)?;
    Some(format!("{} requests {whose} from {first:?} to {one_more:?}, {rate} are allowed", most + 1))
}
