//! The queue of a lane on a simulated store, and everything that may happen around it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::delivery::queue::{Queue, Wanted};
use crate::store::testing::delivery;

/// What happens next to a lane.
#[derive(Clone, Debug)]
enum Happens {
    /// A delivery of this contact is committed: bulk or not; fed to the lane, or missed by it.
    Commit { contact: u8, bulk: bool, fed: bool },
    /// The store is asked, or answers.
    Read,
    /// The store does not answer.
    Fail,
    /// Something goes.
    Start,
    /// The oldest attempt of all is over: it was sent, or is to be repeated.
    End(bool),
    /// Time passes.
    Time,
    /// The lane hears of the next thing that was committed.
    Feed,
}

fn happens() -> impl Strategy<Value = Happens> {
    let commit = (0..6_u8, prop::bool::weighted(0.6), prop::bool::weighted(0.9));
    prop_oneof![
        8 => commit.prop_map(|(contact, bulk, fed)| Happens::Commit { contact, bulk, fed }),
        12 => Just(Happens::Read),
        1 => Just(Happens::Fail),
        6 => Just(Happens::Start),
        6 => prop::bool::weighted(0.7).prop_map(Happens::End),
        2 => Just(Happens::Time),
        12 => Just(Happens::Feed),
    ]
}

/// What the store found.
#[derive(Debug)]
enum Found {
    Any(Page),
    Of(Vec<Arc<Delivery>>),
}

/// A lane on a simulated store.
struct Simulation {
    queue: Queue,
    stored: BTreeMap<DeliveryId, Arc<Delivery>>,
    /// What the store was asked for, and what it found at that moment.
    asked: Option<(Wanted, Found)>,
    /// What was fed meanwhile; nothing stands for what was missed.
    inbox: VecDeque<Option<Arc<Delivery>>>,
    last: DeliveryId,
    under_way: VecDeque<Arc<Delivery>>,
    sent: HashMap<SmolStr, Vec<DeliveryId>>,
    now: Instant,
}

impl Simulation {
    fn new(window: usize, in_flight: usize) -> Self {
        Self {
            queue: Queue::new(window, in_flight),
            stored: BTreeMap::new(),
            asked: None,
            inbox: VecDeque::new(),
            last: 0,
            under_way: VecDeque::new(),
            sent: HashMap::new(),
            now: Instant::now(),
        }
    }

    fn commit(&mut self, contact: u8, bulk: bool, fed: bool) {
        self.last += 1;
        let of_it = |it: &&Arc<Delivery>| it.bulk && it.contact == contact.to_string();
        let behind = self.stored.values().find(of_it).map(|it| it.id).filter(|_| !bulk);
        let new = delivery(self.last, &contact.to_string());
        let new = Arc::new(Delivery { bulk, behind, ..(*new).clone() });
        self.stored.insert(self.last, Arc::clone(&new));
        self.inbox.push_back(fed.then_some(new));
    }

    /// Nothing is taken from the inbox while the store is read.
    fn feed(&mut self) {
        if self.asked.is_none()
            && let Some(fed) = self.inbox.pop_front()
        {
            match fed {
                Some(delivery) => self.queue.offer(&delivery),
                None => self.queue.missed(),
            }
        }
    }

    fn find(&self, wanted: &Wanted) -> Found {
        let stream = |bulk: bool, above: Above| {
            let all = self.stored.range(above.id + 1..).filter(|(_, it)| it.bulk == bulk);
            all.map(|(_, it)| Arc::clone(it)).take(above.limit).collect()
        };
        match wanted {
            Wanted::Any { live, bulk } => Found::Any(Page {
                live: stream(false, *live),
                bulk: bulk.map(|bulk| stream(true, bulk)).unwrap_or_default(),
            }),
            Wanted::Of { contact, after, upto, limit } => {
                let range = self.stored.range(after + 1..).take_while(|(id, _)| *id <= upto);
                let of = range.filter(|(_, it)| it.contact == *contact);
                Found::Of(of.map(|(_, it)| Arc::clone(it)).take(*limit).collect())
            }
        }
    }

    fn step(&mut self, happens: &Happens) {
        match happens {
            Happens::Commit { contact, bulk, fed } => self.commit(*contact, *bulk, *fed),
            Happens::Read => match self.asked.take() {
                Some((Wanted::Any { live, bulk }, Found::Any(page))) => self.queue.any(&page, live, bulk),
                Some((Wanted::Of { contact, limit, .. }, Found::Of(page))) => {
                    self.queue.of(&contact, page, limit);
                }
                Some(_) => unreachable!(),
                None => {
                    self.asked = self.queue.wanted().map(|wanted| {
                        let page = self.find(&wanted);
                        (wanted, page)
                    });
                }
            },
            Happens::Fail => {
                if self.asked.take().is_some() {
                    self.queue.unread();
                }
            }
            Happens::Feed => self.feed(),
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
                    self.queue.done(&over.contact, over.id);
                } else {
                    self.queue.wait(&over.contact, over.id, self.now + Duration::from_secs(1));
                }
            }
            Happens::Time => {
                self.now += Duration::from_secs(1);
                self.queue.wake(self.now);
            }
        }
        assert!(self.queue.held() <= 2 * 8, "the windows are kept: {}", self.queue.held());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn nothing_is_skipped_or_taken_twice_and_order_is_kept(
        all in prop::collection::vec(happens(), 0..400),
        in_flight in 1..4_usize,
    ) {
        let mut lane = Simulation::new(8, in_flight);
        for happens in &all {
            lane.step(happens);
        }
        for _ in 0..5000 {
            if lane.stored.is_empty() && lane.inbox.is_empty() && lane.queue.is_idle() {
                break;
            }
            for happens in
                [Happens::Feed, Happens::Time, Happens::Read, Happens::Read, Happens::Start, Happens::End(true)]
            {
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

/// Commits a broadcast of `count`, to contacts 0 to 5 in turn, and lets the lane read what it wants.
fn broadcast(count: u8) -> Simulation {
    let mut lane = Simulation::new(8, 3);
    (0..count).for_each(|number| lane.commit(number % 6, true, true));
    (0..count).for_each(|_| lane.step(&Happens::Feed));
    (0..8).for_each(|_| lane.step(&Happens::Read));
    lane
}

fn next(lane: &mut Simulation) -> DeliveryId {
    lane.step(&Happens::Feed);
    (0..4).for_each(|_| lane.step(&Happens::Read));
    lane.step(&Happens::Start);
    let id = lane.under_way.back().unwrap().id;
    lane.step(&Happens::End(true));
    id
}

#[test]
fn a_conversation_goes_before_a_broadcast() {
    let mut lane = broadcast(60);
    lane.commit(9, false, true);
    assert_eq!(next(&mut lane), 61);
    assert_eq!(next(&mut lane), 1);
}

#[test]
fn what_a_broadcast_had_for_a_contact_goes_before_the_reply_and_with_it() {
    let mut lane = broadcast(60);
    lane.commit(5, false, true);
    let sent: Vec<_> = (0..11).map(|_| next(&mut lane)).collect();
    assert_eq!(sent, [6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 61]);
    assert_eq!(next(&mut lane), 1);
}

#[test]
fn what_went_with_a_reply_while_bulk_was_read_does_not_go_again() {
    let mut lane = Simulation::new(8, 1);
    (0..20).for_each(|contact| lane.commit(contact, true, true));
    (0..20).for_each(|_| lane.step(&Happens::Feed));
    (0..4).for_each(|_| lane.step(&Happens::Read));
    lane.commit(9, false, true);
    lane.step(&Happens::Feed);
    (0..2).for_each(|_| lane.step(&Happens::Read));
    // The contact's part of the broadcast, and what makes room for more of that.
    (0..5).for_each(|_| lane.step(&Happens::Start));
    assert_eq!(lane.under_way.front().unwrap().id, 10);
    lane.step(&Happens::Read);
    assert!(matches!(&lane.asked, Some((_, Found::Any(page))) if page.bulk.iter().any(|it| it.id == 10)));
    lane.step(&Happens::End(true));
    lane.step(&Happens::Start);
    assert_eq!(lane.under_way.back().unwrap().id, 21);
    (0..5).for_each(|_| lane.step(&Happens::End(true)));
    lane.step(&Happens::Read);
    while !lane.stored.is_empty() {
        next(&mut lane);
    }
}

#[test]
fn a_conversation_that_was_missed_is_read_before_bulk() {
    let mut lane = broadcast(60);
    lane.commit(9, false, false);
    assert_eq!(next(&mut lane), 61);
}
