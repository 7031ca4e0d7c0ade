//! What a batch of units finds and changes, in memory: everything that the units may ask for is read at once beforehand
//! ([`super::load`]), and everything that they changed is written at once afterwards ([`super::flush`]), so a batch costs
//! two ways to the database, however many units it has.
//!
//! Invariants: a unit finds here what an earlier one of its batch changed; what nobody announced can't be asked for.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use smol_str::SmolStr;

use super::nodes::NodeId;
use crate::expression::Value;
use crate::memory::Remember;
use crate::message::{IdOwner, Piece, Status};
use crate::store::fold::Standing;
use crate::store::ledger::{self, KeptPiece, Key, Ledger, PieceSet};
use crate::store::{
    Acceptance, Alias, Delivery, DeliveryId, Direction, Elsewhere, Ending, JournalEntry, NewDelivery,
    Receipt, Replay, Settlement, State, StoreError, Watermark, WebhookId, unit,
};
use crate::world::Millis;

/// A channel and a name in it.
pub(super) type Named = (SmolStr, SmolStr);
/// A channel, whose id it is, and a message's id.
pub(super) type About = (SmolStr, bool, SmolStr);
/// A channel, a contact (or none), and what is remembered there.
pub(super) type Remembered = (SmolStr, SmolStr, SmolStr);

/// Facts by what they are facts about: known ones, and whether they were changed.
#[derive(Debug)]
pub(super) struct Facts<K, V>(HashMap<K, Fact<V>>);

#[derive(Debug)]
struct Fact<V> {
    value: V,
    is_changed: bool,
}

impl<K, V> Default for Facts<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq, V: Default> Facts<K, V> {
    /// Somebody may ask for it.
    pub(super) fn announce(&mut self, key: K) {
        self.0.entry(key).or_insert_with(|| Fact { value: V::default(), is_changed: false });
    }

    /// What may be asked for.
    pub(super) fn announced(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// What the database has, where a fact that was announced is told in parts.
    pub(super) fn found(&mut self, key: K) -> &mut V {
        &mut self.0.entry(key).or_insert_with(|| Fact { value: V::default(), is_changed: false }).value
    }

    fn get(&self, key: &K) -> Result<&V, StoreError> {
        self.0.get(key).map(|fact| &fact.value).ok_or_else(unannounced)
    }

    fn change(&mut self, key: K) -> &mut V {
        let fact = match self.0.entry(key) {
            Entry::Occupied(fact) => fact.into_mut(),
            Entry::Vacant(place) => place.insert(Fact { value: V::default(), is_changed: false }),
        };
        fact.is_changed = true;
        &mut fact.value
    }

    /// What was changed.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().filter(|(_, fact)| fact.is_changed).map(|(key, fact)| (key, &fact.value))
    }
}

fn unannounced() -> StoreError {
    StoreError::Internal("a unit asked for what it had not announced".into())
}

/// A message that left the queue.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) contact: SmolStr,
    pub(super) standing: Standing,
    pub(super) sent_at: Millis,
}

/// A provider's id of a part of a message.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) mid: SmolStr,
    pub(super) part: usize,
    pub(super) sent_at: Millis,
}

/// A receipt that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) receipt: Receipt,
    pub(super) seen_at: Millis,
    /// Whether the database has it.
    pub(super) is_stored: bool,
}

/// A watermark that is kept.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) watermark: Watermark,
    pub(super) seen_at: Millis,
}

/// The pieces of a message that are there, by their place.
pub(super) type Pieces = BTreeMap<u16, (u16, Millis, KeptPiece)>;

/// What becomes of a delivery that was queued.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) id: DeliveryId,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) not_before: Option<Millis>,
    pub(super) settled_at: Option<Millis>,
    pub(super) error: Option<String>,
    pub(super) progress: Option<String>,
}

/// What is remembered, as JSON, and until when; or that it is forgotten.
pub(super) type Memo = Option<(String, Option<Millis>)>;

/// The facts and the changes of a batch.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The node that settles, where there are several; whether its row is gone; which delivery it has been told of last, and
    /// what others queued after that.
    pub(super) node: Option<NodeId>,
    pub(super) is_moved: bool,
    pub(super) known: DeliveryId,
    pub(super) elsewhere: Vec<Elsewhere>,
    /// What other nodes listen to, where there are any.
    pub(super) wake: Option<String>,

    /// The last ids that were given out.
    pub(super) last_delivery: DeliveryId,
    pub(super) last_webhook: WebhookId,

    pub(super) seen: Facts<Key, Option<Millis>>,
    pub(super) names: Facts<Named, Option<Name>>,
    pub(super) messages: Facts<Named, Option<Message>>,
    pub(super) waiting: Facts<About, Vec<Waiting>>,
    pub(super) watermarks: Facts<Named, BTreeMap<u8, Mark>>,
    /// The messages of a contact that may be open, by when they were sent; read up to the latest moment that is asked for.
    pub(super) open: Facts<Named, HashSet<SmolStr>>,
    pub(super) open_upto: HashMap<Named, Millis>,
    pub(super) pieces: Facts<PieceSet, Pieces>,
    /// The first of a contact's bulk deliveries that are queued.
    pub(super) bulk: Facts<Named, Option<DeliveryId>>,
    /// Whether a delivery is queued.
    pub(super) queued: Facts<DeliveryId, bool>,
    /// Whether a webhook is parked.
    pub(super) parked: Facts<WebhookId, bool>,

    pub(super) journal: Vec<(WebhookId, JournalEntry)>,
    pub(super) replays: Vec<Replay>,
    pub(super) deliveries: Vec<Arc<Delivery>>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) begun: Vec<DeliveryId>,
    pub(super) memory: HashMap<Remembered, Memo>,
    pub(super) aliases: HashMap<Named, (SmolStr, Millis)>,
    pub(super) pauses: HashMap<(SmolStr, Direction), Millis>,
}

impl Draft {
    /// What an acceptance may ask for.
    pub(super) fn announce_acceptance(&mut self, acceptance: &Acceptance) {
        if let Some(replay) = &acceptance.replays {
            self.parked.announce(replay.webhook);
        }
        for new in &acceptance.deliveries {
            if let Some(key) = &new.dedupe {
                self.seen.announce(ledger::key(&new.lane.channel, key));
            }
            match &new.piece {
                Some(piece) => self.pieces.announce(PieceSet::of(new, piece)),
                None => self.announce_delivery(new),
            }
        }
        for receipt in &acceptance.receipts {
            let key = (receipt.channel.clone(), receipt.id.clone());
            self.waiting.announce((key.0.clone(), receipt.id_owner == IdOwner::Own, key.1.clone()));
            match receipt.id_owner {
                IdOwner::Own => self.messages.announce(key),
                IdOwner::Provider => self.names.announce(key),
            }
        }
        for watermark in &acceptance.watermarks {
            let key = (watermark.channel.clone(), watermark.contact.clone());
            let upto = self.open_upto.entry(key.clone()).or_insert(Millis::MIN);
            *upto = (*upto).max(unit::reach(watermark));
            self.open.announce(key.clone());
            self.watermarks.announce(key);
        }
    }

    /// What a settlement may ask for.
    pub(super) fn announce_settlement(&mut self, settlement: &Settlement) {
        let Delivery { id, lane, contact, mid, .. } = &*settlement.delivery;
        self.queued.announce(*id);
        let is_over = !matches!(settlement.ending, Ending::Retry { .. } | Ending::Held { .. });
        if lane.direction == Direction::Outbound && is_over {
            self.messages.announce((lane.channel.clone(), mid.clone()));
            self.waiting.announce((lane.channel.clone(), true, mid.clone()));
            self.watermarks.announce((lane.channel.clone(), contact.clone()));
        }
        if let Ending::Sent { ids } = &settlement.ending {
            for id in ids.iter().flatten() {
                self.names.announce((lane.channel.clone(), id.into()));
                self.waiting.announce((lane.channel.clone(), false, id.into()));
            }
        }
        for new in &settlement.follow_ups {
            self.announce_delivery(new);
        }
    }

    fn announce_delivery(&mut self, new: &NewDelivery) {
        if waits_for_bulk(new) {
            self.bulk.announce((new.lane.channel.clone(), new.contact.clone()));
        }
    }
}

/// Only messages can be bulk, and what is bulk itself waits for nothing more.
fn waits_for_bulk(new: &NewDelivery) -> bool {
    !new.bulk && new.lane.direction == Direction::Outbound
}

impl Ledger for Draft {
    type Error = StoreError;

    fn journal(&mut self, entry: &JournalEntry) -> Result<WebhookId, StoreError> {
        self.last_webhook += 1;
        self.journal.push((self.last_webhook, entry.clone()));
        Ok(self.last_webhook)
    }

    fn replayed(&mut self, replay: &Replay) -> Result<bool, StoreError> {
        let was_parked = *self.parked.get(&replay.webhook)?;
        if was_parked {
            *self.parked.change(replay.webhook) = replay.verdict == crate::store::Verdict::Parked;
            self.replays.push(replay.clone());
        }
        Ok(was_parked)
    }

    fn seen(&mut self, key: &Key) -> Result<Option<Millis>, StoreError> {
        self.seen.get(key).copied()
    }

    fn see(&mut self, key: &Key, at: Millis) -> Result<(), StoreError> {
        let seen = self.seen.change(*key);
        *seen = (*seen).max(Some(at));
        Ok(())
    }

    fn queue(
        &mut self,
        new: &NewDelivery,
        key: Option<&Key>,
        at: Millis,
        webhook: Option<WebhookId>,
    ) -> Result<Arc<Delivery>, StoreError> {
        let contact = || (new.lane.channel.clone(), new.contact.clone());
        let behind = if waits_for_bulk(new) { *self.bulk.get(&contact())? } else { None };
        self.last_delivery += 1;
        let id = self.last_delivery;
        if new.bulk {
            self.bulk.found(contact()).get_or_insert(id);
        }
        if let Some(key) = key {
            self.see(key, at)?;
        }
        let delivery = Arc::new(Delivery::queued(id, new, behind, at, webhook));
        self.deliveries.push(Arc::clone(&delivery));
        Ok(delivery)
    }

    fn begin(&mut self, id: DeliveryId) -> Result<(), StoreError> {
        self.begun.push(id);
        Ok(())
    }

    fn outcome(&mut self, settlement: &Settlement) -> Result<bool, StoreError> {
        let Delivery { id, lane, .. } = &*settlement.delivery;
        if let Ending::Retry { pause_lane: Some(until), .. } = &settlement.ending {
            let pause = self.pauses.entry((lane.channel.clone(), lane.direction)).or_insert(*until);
            *pause = (*pause).max(*until);
        }
        if !*self.queued.get(id)? {
            return Ok(false);
        }
        let over = |state: State, error: Option<String>| Outcome {
            id: *id,
            state,
            attempts: settlement.attempts,
            not_before: None,
            settled_at: Some(settlement.at),
            error,
            progress: None,
        };
        let outcome = match &settlement.ending {
            Ending::Retry { not_before, error, progress, .. } => Outcome {
                id: *id,
                state: State::Queued,
                attempts: settlement.attempts,
                not_before: Some(*not_before),
                settled_at: None,
                error: Some(error.clone()),
                progress: progress.clone(),
            },
            Ending::Sent { .. } => over(State::Sent, None),
            Ending::Failed { fault } => over(State::Failed, Some(fault.to_string())),
            Ending::Dead { reason } => over(State::Dead, Some(reason.clone())),
            Ending::Held { reason } => over(State::Held, Some(reason.clone())),
        };
        *self.queued.change(*id) = outcome.state == State::Queued;
        self.outcomes.push(outcome);
        Ok(true)
    }

    fn named(&mut self, channel: &SmolStr, id: &SmolStr) -> Result<Option<(SmolStr, usize)>, StoreError> {
        let name = self.names.get(&(channel.clone(), id.clone()))?;
        Ok(name.as_ref().map(|name| (name.mid.clone(), name.part)))
    }

    fn name(&mut self, settlement: &Settlement, id: &str, part: usize) -> Result<(), StoreError> {
        let Delivery { lane, mid, .. } = &*settlement.delivery;
        let name = Name { mid: mid.clone(), part, sent_at: settlement.at };
        *self.names.change((lane.channel.clone(), id.into())) = Some(name);
        Ok(())
    }

    fn message(
        &mut self,
        channel: &SmolStr,
        mid: &SmolStr,
    ) -> Result<Option<(SmolStr, Standing)>, StoreError> {
        let message = self.messages.get(&(channel.clone(), mid.clone()))?;
        Ok(message.as_ref().map(|message| (message.contact.clone(), message.standing.clone())))
    }

    fn record(&mut self, delivery: &Delivery, standing: &Standing, at: Millis) -> Result<(), StoreError> {
        let channel = &delivery.lane.channel;
        let message = Message { contact: delivery.contact.clone(), standing: standing.clone(), sent_at: at };
        *self.messages.change((channel.clone(), delivery.mid.clone())) = Some(message);
        self.open.found((channel.clone(), delivery.contact.clone())).insert(delivery.mid.clone());
        Ok(())
    }

    fn moved(&mut self, channel: &SmolStr, mid: &SmolStr, standing: &Standing) -> Result<(), StoreError> {
        let message =
            self.messages.change((channel.clone(), mid.clone())).as_mut().ok_or_else(unannounced)?;
        message.standing = standing.clone();
        Ok(())
    }

    fn keep_receipt(&mut self, receipt: &Receipt, now: Millis) -> Result<(), StoreError> {
        let about = (receipt.channel.clone(), receipt.id_owner == IdOwner::Own, receipt.id.clone());
        let waiting = Waiting { receipt: receipt.clone(), seen_at: now, is_stored: false };
        self.waiting.change(about).push(waiting);
        Ok(())
    }

    fn take_receipts(
        &mut self,
        channel: &SmolStr,
        id: &SmolStr,
        owner: IdOwner,
    ) -> Result<Vec<Receipt>, StoreError> {
        let about = (channel.clone(), owner == IdOwner::Own, id.clone());
        if self.waiting.get(&about)?.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.waiting.change(about).drain(..).map(|waiting| waiting.receipt).collect())
    }

    fn keep_watermark(&mut self, watermark: &Watermark, now: Millis) -> Result<(), StoreError> {
        let contact = (watermark.channel.clone(), watermark.contact.clone());
        let mark = Mark { watermark: watermark.clone(), seen_at: now };
        match self.watermarks.change(contact).entry(watermark.status as u8) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(mark);
            }
            std::collections::btree_map::Entry::Occupied(mut there) => {
                if watermark.up_to > there.get().watermark.up_to {
                    there.insert(mark);
                }
            }
        }
        Ok(())
    }

    fn watermarks(
        &mut self,
        channel: &SmolStr,
        contact: &SmolStr,
        since: Millis,
    ) -> Result<Vec<Watermark>, StoreError> {
        let marks = self.watermarks.get(&(channel.clone(), contact.clone()))?;
        Ok(marks.values().map(|mark| &mark.watermark).filter(|it| it.up_to >= since).cloned().collect())
    }

    fn open_messages(
        &mut self,
        channel: &SmolStr,
        contact: &SmolStr,
        upto: Millis,
    ) -> Result<Vec<SmolStr>, StoreError> {
        let mids = self.open.get(&(channel.clone(), contact.clone()))?;
        let mut open = Vec::new();
        for mid in mids {
            let message = self.messages.get(&(channel.clone(), mid.clone()))?;
            if let Some(message) = message
                && message.standing.message() < Status::Read
                && message.sent_at <= upto
            {
                open.push((message.sent_at, mid.clone()));
            }
        }
        open.sort_unstable();
        Ok(open.into_iter().map(|(_, mid)| mid).collect())
    }

    fn has_piece(&mut self, set: &PieceSet, index: u16) -> Result<bool, StoreError> {
        Ok(self.pieces.get(set)?.contains_key(&index))
    }

    fn keep_piece(
        &mut self,
        set: &PieceSet,
        place: &Piece,
        due_at: Millis,
        piece: &KeptPiece,
    ) -> Result<(u32, u32), StoreError> {
        let pieces = self.pieces.change(set.clone());
        pieces.insert(place.index, (place.total, due_at, piece.clone()));
        let total = pieces.values().map(|(total, _, _)| *total).max().unwrap_or_default();
        Ok((u32::try_from(pieces.len()).unwrap_or(u32::MAX), total.into()))
    }

    fn take_pieces(&mut self, set: &PieceSet) -> Result<Vec<KeptPiece>, StoreError> {
        if self.pieces.get(set)?.is_empty() {
            return Ok(Vec::new());
        }
        let pieces = std::mem::take(self.pieces.change(set.clone()));
        Ok(pieces.into_values().map(|(_, _, piece)| piece).collect())
    }

    fn remember(&mut self, changes: &[Remember]) -> Result<(), StoreError> {
        for change in changes {
            // Bytes can't be put into JSON; nothing else is refused.
            let json = change.value.to_json().filter(|_| !matches!(change.value, Value::Null));
            let key = (change.channel.clone(), change.contact.clone(), change.name.clone());
            self.memory.insert(key, json.map(|json| (json, change.expires_at)));
        }
        Ok(())
    }

    fn alias(&mut self, alias: &Alias, at: Millis) -> Result<(), StoreError> {
        let key = (alias.channel.clone(), alias.alias.clone());
        self.aliases.entry(key).or_insert((alias.original.clone(), at));
        Ok(())
    }
}
