//! What a lane holds in memory, and what may go next: pure.
//!
//! Invariants: every queued delivery of the lane up to [`Queue::high`] is held, or belongs to a contact that is
//! marked as having more in the store; so none is skipped, and none is taken twice. At most one delivery of a
//! contact is under way. Memory is bounded: a window of deliveries in all, a share of it per contact, and nothing
//! but a mark for a contact that waits for a retry, so that such contacts do not use up the window.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::time::Instant;

use crate::store::{Delivery, DeliveryId};

/// How many contacts are remembered at once; those that wait for a retry are contacts without deliveries.
const CONTACTS: usize = 100_000;

/// The deliveries of a lane, by contact.
#[derive(Debug)]
pub struct Queue {
    window: usize,
    per_contact: usize,
    contacts: HashMap<SmolStr, Contact>,
    /// Contacts that may go, by the id of their first delivery.
    ready: BTreeMap<DeliveryId, SmolStr>,
    waiting: BTreeSet<(Instant, SmolStr)>,
    /// Contacts that could go if their deliveries were here.
    dry: VecDeque<SmolStr>,
    held: usize,
    high: DeliveryId,
    behind: bool,
}

#[derive(Debug)]
struct Contact {
    held: VecDeque<Arc<Delivery>>,
    /// The last delivery that was held, or is done.
    cursor: DeliveryId,
    /// There are more in the store, after `cursor`.
    more: bool,
    /// The delivery that was made to wait last.
    waited: DeliveryId,
    doing: Doing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Doing {
    Nothing,
    Attempt,
    Wait(Instant),
}

/// What is to be read from the store.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// Any deliveries of the lane.
    Any {
        /// Above this id.
        after: DeliveryId,
        /// At most so many.
        limit: usize,
    },
    /// Deliveries of one contact.
    Of {
        /// The contact.
        contact: SmolStr,
        /// Above this id.
        after: DeliveryId,
        /// Up to this id.
        upto: DeliveryId,
        /// At most so many.
        limit: usize,
    },
}

impl Queue {
    /// An empty queue that holds at most `window` deliveries and has not yet seen what is in the store.
    pub fn new(window: usize, in_flight: usize) -> Self {
        let window = window.max(2);
        Self {
            window,
            per_contact: (window / in_flight.max(1)).max(1),
            contacts: HashMap::new(),
            ready: BTreeMap::new(),
            waiting: BTreeSet::new(),
            dry: VecDeque::new(),
            held: 0,
            high: 0,
            behind: true,
        }
    }

    /// Whether there is nothing to do and nothing to read.
    pub fn is_idle(&self) -> bool {
        self.contacts.is_empty() && !self.behind
    }

    /// Whether something may go.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many contacts wait for a retry.
    pub fn retrying(&self) -> usize {
        self.waiting.len()
    }

    /// How many deliveries are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The next moment at which a contact's wait is over.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// A delivery that was just committed; what there is no room for is read from the store later.
    ///
    /// Not to be called between [`Queue::wanted`] and the answer to it.
    pub fn offer(&mut self, delivery: &Arc<Delivery>) {
        if delivery.id > self.high && (self.behind || !self.take(delivery)) {
            self.behind = true;
        }
    }

    /// Something was committed that was not offered.
    pub fn missed(&mut self) {
        self.behind = true;
    }

    /// What to read now, if anything; the answer goes to [`Queue::any`] or [`Queue::of`].
    pub fn wanted(&self) -> Option<Wanted> {
        let room = self.window.saturating_sub(self.held);
        if let Some(contact) = self.dry.front() {
            // What is held will go, since none of it waits for a retry; then there is room.
            if room == 0 {
                return None;
            }
            let after = self.contacts.get(contact).map_or(0, |known| known.cursor);
            return Some(Wanted::Of {
                contact: contact.clone(),
                after,
                upto: self.high,
                limit: self.per_contact.min(room),
            });
        }
        let wanted = self.behind && self.held <= self.window / 2 && self.contacts.len() < CONTACTS;
        wanted.then_some(Wanted::Any { after: self.high, limit: room })
    }

    /// The answer to [`Wanted::Any`].
    pub fn any(&mut self, page: &[Arc<Delivery>], limit: usize) {
        let all = page.iter().all(|delivery| self.take(delivery));
        self.behind = !all || page.len() >= limit;
    }

    /// The answer to [`Wanted::Of`]. Its first delivery may go: the contact's wait, if any, is over.
    pub fn of(&mut self, contact: &SmolStr, page: Vec<Arc<Delivery>>, limit: usize) {
        self.dry.retain(|dry| dry != contact);
        let Some(known) = self.contacts.get_mut(contact) else { return };
        known.more = page.len() >= limit;
        if let Some(last) = page.last() {
            known.cursor = last.id;
        }
        self.held += page.len();
        known.held = page.into();
        self.release(contact);
    }

    /// Contacts whose wait is over may go again.
    pub fn wake(&mut self, now: Instant) {
        while let Some((due, contact)) = self.waiting.pop_first() {
            if due > now {
                self.waiting.insert((due, contact));
                return;
            }
            self.release(&contact);
        }
    }

    /// The next delivery to attempt: the one with the lowest id among the first ones of idle contacts.
    pub fn next(&mut self) -> Option<Arc<Delivery>> {
        let (_, contact) = self.ready.pop_first()?;
        let known = self.contacts.get_mut(&contact)?;
        let delivery = known.held.pop_front()?;
        known.doing = Doing::Attempt;
        self.held -= 1;
        Some(delivery)
    }

    /// The attempt is over and the delivery has left the queue.
    pub fn done(&mut self, contact: &SmolStr) {
        self.release(contact);
    }

    /// The delivery `id` of the contact is to be tried again, not before `due`.
    ///
    /// What is held of the contact is let go and read again then: the store knows the attempts made by then.
    pub fn wait(&mut self, contact: &SmolStr, id: DeliveryId, due: Instant) {
        let Some(known) = self.contacts.get_mut(contact) else { return };
        self.held -= known.held.len();
        known.held = VecDeque::new();
        known.cursor = id - 1;
        known.more = true;
        known.waited = id;
        known.doing = Doing::Wait(due);
        self.waiting.insert((due, contact.clone()));
    }

    /// Whether that delivery was made to wait, and its wait is over.
    pub fn has_waited(&self, delivery: &Delivery) -> bool {
        self.contacts.get(&delivery.contact).is_some_and(|known| known.waited == delivery.id)
    }

    /// Takes what comes next in the lane; `false`: no room.
    fn take(&mut self, delivery: &Arc<Delivery>) -> bool {
        if let Some(known) = self.contacts.get_mut(&delivery.contact) {
            if known.more || known.held.len() >= self.per_contact || matches!(known.doing, Doing::Wait(_)) {
                known.more = true;
                self.high = delivery.id;
                return true;
            }
        } else if self.contacts.len() >= CONTACTS {
            return false;
        }
        if self.held >= self.window {
            return false;
        }
        self.high = delivery.id;
        self.held += 1;
        let known = self.contacts.entry(delivery.contact.clone()).or_insert_with(|| Contact {
            held: VecDeque::new(),
            cursor: 0,
            more: false,
            waited: 0,
            doing: Doing::Nothing,
        });
        known.cursor = delivery.id;
        known.held.push_back(Arc::clone(delivery));
        if known.doing == Doing::Nothing && known.held.len() == 1 {
            self.release(&delivery.contact);
        }
        true
    }

    /// The contact is free: its next delivery may go, or is read, or there is none.
    fn release(&mut self, contact: &SmolStr) {
        let Some(known) = self.contacts.get_mut(contact) else { return };
        known.doing = Doing::Nothing;
        if let Some(first) = known.held.front() {
            self.ready.insert(first.id, contact.clone());
        } else if known.more {
            self.dry.push_back(contact.clone());
        } else {
            self.contacts.remove(contact);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::store::testing::delivery;

    /// What happens next to a lane.
    #[derive(Clone, Debug)]
    enum Happens {
        /// A delivery of this contact is committed; fed to the lane, or missed by it.
        Commit(u8, bool),
        /// The store is read.
        Read,
        /// Something goes.
        Start,
        /// The oldest attempt of all is over: it was sent, or is to be repeated.
        End(bool),
        /// Time passes.
        Time,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        prop_oneof![
            4 => (0..6_u8, prop::bool::weighted(0.9)).prop_map(|(contact, fed)| Happens::Commit(contact, fed)),
            3 => Just(Happens::Read),
            3 => Just(Happens::Start),
            3 => prop::bool::weighted(0.7).prop_map(Happens::End),
            1 => Just(Happens::Time),
        ]
    }

    /// A lane on a simulated store.
    struct Simulation {
        queue: Queue,
        stored: BTreeMap<DeliveryId, Arc<Delivery>>,
        last: DeliveryId,
        under_way: VecDeque<Arc<Delivery>>,
        sent: HashMap<SmolStr, Vec<DeliveryId>>,
        now: Instant,
    }

    impl Simulation {
        fn step(&mut self, happens: &Happens) {
            match happens {
                Happens::Commit(contact, fed) => {
                    self.last += 1;
                    let new = delivery(self.last, &contact.to_string());
                    self.stored.insert(self.last, Arc::clone(&new));
                    if *fed { self.queue.offer(&new) } else { self.queue.missed() }
                }
                Happens::Read => match self.queue.wanted() {
                    Some(Wanted::Any { after, limit }) => {
                        let page: Vec<_> = self
                            .stored
                            .range(after + 1..)
                            .map(|(_, it)| Arc::clone(it))
                            .take(limit)
                            .collect();
                        self.queue.any(&page, limit);
                    }
                    Some(Wanted::Of { contact, after, upto, limit }) => {
                        let range = self.stored.range(after + 1..).take_while(|(id, _)| **id <= upto);
                        let of = range.filter(|(_, it)| it.contact == contact).map(|(_, it)| Arc::clone(it));
                        let page = of.take(limit).collect();
                        self.queue.of(&contact, page, limit);
                    }
                    None => {}
                },
                Happens::Start => {
                    if let Some(next) = self.queue.next() {
                        assert!(self.under_way.iter().all(|it| it.contact != next.contact), "two at once");
                        let first = self.stored.values().find(|it| it.contact == next.contact).unwrap();
                        assert_eq!(first.id, next.id, "not the contact's first");
                        self.under_way.push_back(next);
                    }
                }
                Happens::End(sent) => {
                    let Some(over) = self.under_way.pop_front() else { return };
                    if *sent {
                        self.stored.remove(&over.id).unwrap();
                        self.sent.entry(over.contact.clone()).or_default().push(over.id);
                        self.queue.done(&over.contact);
                    } else {
                        self.queue.wait(&over.contact, over.id, self.now + Duration::from_secs(1));
                    }
                }
                Happens::Time => {
                    self.now += Duration::from_secs(1);
                    self.queue.wake(self.now);
                }
            }
            assert!(self.queue.held() <= 8, "the window is kept");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_skipped_or_taken_twice_and_order_is_kept(
            all in prop::collection::vec(happens(), 0..400),
        ) {
            let mut lane = Simulation {
                queue: Queue::new(8, 3),
                stored: BTreeMap::new(),
                last: 0,
                under_way: VecDeque::new(),
                sent: HashMap::new(),
                now: Instant::now(),
            };
            for happens in &all {
                lane.step(happens);
            }
            for _ in 0..5000 {
                if lane.stored.is_empty() && lane.queue.is_idle() {
                    break;
                }
                for happens in [Happens::Time, Happens::Read, Happens::Start, Happens::End(true)] {
                    lane.step(&happens);
                }
            }
            prop_assert!(lane.stored.is_empty() && lane.queue.is_idle());
            let sent: Vec<_> = lane.sent.values().flatten().copied().collect();
            prop_assert_eq!(sent.len(), usize::try_from(lane.last).unwrap());
            prop_assert_eq!(sent.iter().collect::<HashSet<_>>().len(), sent.len());
            for ids in lane.sent.values() {
                prop_assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }
}
