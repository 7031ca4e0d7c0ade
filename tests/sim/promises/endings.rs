//! How things end: as they were written down, not too early, once, and so that the platform knows.

use std::collections::BTreeMap;
use std::time::Duration;

use patchcord::message::{EventKind, IdOwner, Status};
use patchcord::store::{DeliveryId, Direction, Lane, Receipt, Record, State};
use patchcord::world::Millis;
use smol_str::SmolStr;

use super::Judge;
use crate::log::{Ended, Entry, Item, Said};

/// Whether the platform has a use for it.
fn is_posted(record: &Record) -> bool {
    matches!(record.delivery.kind, EventKind::Message | EventKind::MessageStatus)
}

impl Judge<'_> {
    /// What is written down is what happened, and nothing is given up too early.
    pub(super) fn settles(
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
        let (calls, called, throttled) = (known.calls, known.called, known.throttled);
        let delivery = self.deliveries.entry(id).or_default();
        let heard_here = delivery.taken.iter().filter(|(_, heard_by)| **heard_by == life);
        delivery.durable.extend(heard_here.map(|(part, _)| part));
        let last = delivery.last.and_then(|last| self.attempts.get(&last));
        let jumps = last.map_or(0, |last| last.jumps);
        let said = last.filter(|last| last.heard).map(|last| &last.said);
        let was_together = last.is_some_and(|last| last.ids.len() > 1);
        // It may have been the turn of what is called for it since.
        let is_old_news = last.is_some_and(|last| last.life != life) || delivery.last < called;
        let fits = match ending {
            // Of these the platform has no use.
            Ended::Sent(_) if !is_posted(record) => true,
            Ended::Sent(_) => matches!(said, Some(Said::Taken { .. })),
            Ended::Failed if matches!(said, Some(Said::Expired)) => delivery.expired > 1,
            // Of several that were refused nobody knows which was to blame.
            Ended::Failed => matches!(said, Some(Said::Refused | Said::OptOut)) && !was_together,
            // Nobody knows, or nobody who is left; or a call took so long that the whole attempt was cut off.
            Ended::Held => {
                let settings = (self.terms.settings)(lane);
                settings.hold_doubtful
                    && (last.is_none_or(|last| last.life < life)
                        || matches!(
                            said,
                            None | Some(Said::Lost { .. } | Said::Panic | Said::Silent | Said::Expired)
                        ))
            }
            Ended::Again { .. } => {
                is_old_news || was_together || !matches!(said, Some(Said::Refused | Said::OptOut))
            }
            Ended::Dead => {
                let age = u64::try_from(entry.wall - record.delivery.accepted_at).unwrap_or_default();
                let is_old = Duration::from_millis(age) >= policy.give_up_after;
                let worn_out = policy.attempts.is_some_and(|most| attempts >= most);
                let taken = matches!(said, Some(Said::Taken { .. })) && !is_old_news;
                !taken && (worn_out || is_old && (attempts >= 3 || throttled))
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
            Ended::Sent(_) | Ended::Failed | Ended::Dead | Ended::Held => {
                let key = (lane.clone(), record.delivery.contact.clone());
                self.contacts.entry(key).or_default().queued.remove(&id);
                self.tally.sent += u64::from(matches!(ending, Ended::Sent(_)));
                self.tally.failed += u64::from(*ending == Ended::Failed);
                self.tally.dead += u64::from(*ending == Ended::Dead);
                self.tally.held += u64::from(*ending == Ended::Held);
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

    /// Everything ends exactly once, and the platform knows how.
    pub(super) fn endings(&mut self) {
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
                State::Held => Status::Sent,
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
    pub(super) fn standing(&self, id: DeliveryId, channel: &str, mid: &str) -> Status {
        let delivery = self.deliveries.get(&id);
        let attempts = self.attempts.values().filter(|it| it.ids.contains(&id) && it.heard);
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
