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
    /// Something goes, with so many more of its contact at most.
    Start { more: usize },
    /// The oldest attempt of all is over.
    End(Ends),
    /// Time passes.
    Time,
    /// The lane hears of the next thing that was committed.
    Feed,
    /// The window gets as wide as that, and may get that much wider.
    Fit(usize, usize),
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// What was tried, and so many of those that could go with it, were sent.
    Sent { joined: usize },
    /// It is to be repeated.
    Again,
    /// It was refused, with what went with it.
    Refused,
}

/// What was tried, alone.
const SENT: Ends = Ends::Sent { joined: 0 };
const START: Happens = Happens::Start { more: 0 };

fn ends() -> impl Strategy<Value = Ends> {
    prop_oneof![
        6 => (0..4_usize).prop_map(|joined| Ends::Sent { joined }),
        3 => Just(Ends::Again),
        1 => Just(Ends::Refused),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    let commit = (0..6_u8, prop::bool::weighted(0.6), prop::bool::weighted(0.9));
    prop_oneof![
        8 => commit.prop_map(|(contact, bulk, fed)| Happens::Commit { contact, bulk, fed }),
        12 => Just(Happens::Read),
        1 => Just(Happens::Fail),
        6 => (0..4_usize).prop_map(|more| Happens::Start { more }),
        6 => ends().prop_map(Happens::End),
        2 => Just(Happens::Time),
        12 => Just(Happens::Feed),
        3 => (2..9_usize, 0..4_usize).prop_map(|(window, more)| Happens::Fit(window, more)),
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
    under_way: VecDeque<Vec<Arc<Delivery>>>,
    /// Up to which each of a contact goes alone.
    alone: HashMap<SmolStr, DeliveryId>,
    sent: HashMap<SmolStr, Vec<DeliveryId>>,
    now: Instant,
}

impl Simulation {
    fn new(window: usize, in_flight: usize) -> Self {
        Self {
            queue: Queue::new(window, in_flight, 3),
            stored: BTreeMap::new(),
            asked: None,
            inbox: VecDeque::new(),
            last: 0,
            under_way: VecDeque::new(),
            alone: HashMap::new(),
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
            Happens::Fit(window, more) => self.queue.fit(*window, (window + more).min(8)),
            Happens::Start { more } => self.start(*more),
            Happens::End(how) => self.end(*how),
            Happens::Time => {
                self.now += Duration::from_secs(1);
                self.queue.wake(self.now);
            }
        }
        assert!(self.queue.held() <= 2 * 8, "the windows are kept: {}", self.queue.held());
    }
}

impl Simulation {
    fn start(&mut self, most: usize) {
        let Some(next) = self.queue.next() else { return };
        assert!(self.under_way.iter().all(|it| it[0].contact != next.contact), "two at once");
        let more = self.queue.more(&next, most, |it| it.id % 7 != 0);
        let is_alone = self.alone.get(&next.contact).is_some_and(|upto| next.id <= *upto);
        assert!(more.len() <= most && (more.is_empty() || !is_alone && next.attempts == 0));
        let all = [vec![next], more].concat();
        let queued = self.stored.values().filter(|it| it.contact == all[0].contact);
        let first: Vec<_> = queued.take(all.len()).map(|it| it.id).collect();
        assert_eq!(first, all.iter().map(|it| it.id).collect::<Vec<_>>(), "not the contact's first");
        assert!(all.iter().all(|it| it.bulk == all[0].bulk));
        assert!(all[1..].iter().all(|it| it.id % 7 != 0 && it.attempts == 0));
        self.under_way.push_back(all);
    }

    fn end(&mut self, how: Ends) {
        let Some(over) = self.under_way.pop_front() else { return };
        let (contact, first) = (&over[0].contact, over[0].id);
        match how {
            Ends::Sent { joined } => {
                let sent = &over[..over.len().min(1 + joined)];
                for it in sent {
                    self.stored.remove(&it.id).unwrap();
                    self.sent.entry(contact.clone()).or_default().push(it.id);
                }
                self.queue.done(contact, first, sent[sent.len() - 1].id);
            }
            Ends::Again => {
                let tried = Delivery { attempts: over[0].attempts + 1, ..(*over[0]).clone() };
                self.stored.insert(first, Arc::new(tried));
                self.queue.wait(contact, first, self.now + Duration::from_secs(1));
            }
            Ends::Refused => {
                let last = over[over.len() - 1].id;
                self.alone.insert(contact.clone(), last);
                self.queue.part(contact, last);
                self.queue.wait(contact, first, self.now);
            }
        }
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
            for happens in [
                Happens::Feed,
                Happens::Time,
                Happens::Read,
                Happens::Read,
                Happens::Start { more: 2 },
                Happens::End(Ends::Sent { joined: 2 }),
            ] {
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
    lane.step(&START);
    let id = lane.under_way.back().unwrap()[0].id;
    lane.step(&Happens::End(SENT));
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
    (0..5).for_each(|_| lane.step(&START));
    assert_eq!(lane.under_way.front().unwrap()[0].id, 10);
    lane.step(&Happens::Read);
    assert!(matches!(&lane.asked, Some((_, Found::Any(page))) if page.bulk.iter().any(|it| it.id == 10)));
    lane.step(&Happens::End(SENT));
    lane.step(&START);
    assert_eq!(lane.under_way.back().unwrap()[0].id, 21);
    (0..5).for_each(|_| lane.step(&Happens::End(SENT)));
    lane.step(&Happens::Read);
    while !lane.stored.is_empty() {
        next(&mut lane);
    }
}

#[test]
fn a_reply_that_is_read_does_not_overtake_bulk_that_was_not_fed_yet() {
    let mut lane = Simulation::new(8, 1);
    (0..4).for_each(|_| lane.step(&Happens::Read));
    // One more than there is room for: there is more to be read.
    (10..19).for_each(|contact| lane.commit(contact, false, true));
    (0..9).for_each(|_| lane.step(&Happens::Feed));
    lane.commit(9, true, true);
    lane.commit(9, false, true);
    for _ in 0..5 {
        lane.step(&START);
        lane.step(&Happens::End(SENT));
    }
    (0..2).for_each(|_| lane.step(&Happens::Read));
    let sent: Vec<_> = (0..6).map(|_| next(&mut lane)).collect();
    assert_eq!(sent, [6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_conversation_that_was_missed_is_read_before_bulk() {
    let mut lane = broadcast(60);
    lane.commit(9, false, false);
    assert_eq!(next(&mut lane), 61);
}

/// The ids that go next, with `more` at most.
fn together(lane: &mut Simulation, more: usize) -> Vec<DeliveryId> {
    lane.step(&Happens::Time);
    (0..4).for_each(|_| lane.step(&Happens::Read));
    lane.step(&Happens::Start { more });
    lane.under_way.back().unwrap().iter().map(|it| it.id).collect()
}

/// Commits `count` of one contact, and lets the lane hear of them.
fn of_one_contact(count: u8) -> Simulation {
    let mut lane = Simulation::new(8, 1);
    (0..4).for_each(|_| lane.step(&Happens::Read));
    (0..count).for_each(|_| lane.commit(1, false, true));
    (0..count).for_each(|_| lane.step(&Happens::Feed));
    lane
}

#[test]
fn what_is_there_goes_together_up_to_the_first_that_may_not() {
    let mut lane = of_one_contact(8);
    assert_eq!(together(&mut lane, 2), [1, 2, 3]);
    lane.step(&Happens::End(Ends::Sent { joined: 2 }));
    // Number 7 may not go with others yet.
    assert_eq!(together(&mut lane, 9), [4, 5, 6]);
    // One of the three was not taken after all.
    lane.step(&Happens::End(Ends::Sent { joined: 1 }));
    assert_eq!(together(&mut lane, 9), [6]);
}

#[test]
fn what_was_tried_before_goes_alone_and_takes_nothing_with_it() {
    let mut lane = of_one_contact(6);
    assert_eq!(together(&mut lane, 2), [1, 2, 3]);
    lane.step(&Happens::End(Ends::Again));
    assert_eq!(together(&mut lane, 2), [1]);
    lane.step(&Happens::End(SENT));
    assert_eq!(together(&mut lane, 2), [2, 3, 4]);
}

#[test]
fn what_was_refused_together_goes_one_by_one_and_what_comes_after_it_together_again() {
    let mut lane = of_one_contact(6);
    assert_eq!(together(&mut lane, 2), [1, 2, 3]);
    lane.step(&Happens::End(Ends::Refused));
    for id in 1..=3 {
        assert_eq!(together(&mut lane, 2), [id]);
        lane.step(&Happens::End(SENT));
    }
    assert_eq!(together(&mut lane, 2), [4, 5, 6]);
}

#[test]
fn a_contact_is_held_in_whole_batches() {
    let mut lane = of_one_contact(12);
    for ids in [[1, 2, 3], [4, 5, 6]] {
        // Of the window of 8, 6 are two batches.
        let more = lane.queue.next().map(|next| (next.id, lane.queue.more(&next, 9, |_| true)));
        let (first, more) = more.unwrap();
        let last = ids[2];
        assert_eq!((first, more.len()), (ids[0], usize::try_from(6 - ids[0]).unwrap()));
        (ids[0]..=last).for_each(|id| drop(lane.stored.remove(&id)));
        lane.queue.done(&SmolStr::new("1"), first, last);
    }
}
