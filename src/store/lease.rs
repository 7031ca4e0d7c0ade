//! Which lanes this process may deliver, where several processes share a store.
//!
//! Lanes fall into [`SLOTS`] by their names; those that share a credential fall into one. A process holds a slot on lease:
//! the store renews all of its leases together, or they lapse. Invariants: what uses a slot holds a [`Tenure`], and a slot
//! that has to be given back is another's only when the last of these is gone; nothing is sent when the leases have lapsed,
//! which is before another process may think so.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Lane;

/// How many slots there are: enough that each of some dozens of nodes gets about as many as any other.
pub const SLOTS: usize = 256;

/// A group of lanes that one process delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// Every slot.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The slot of a lane that shares nothing with others.
    pub fn of_lane(lane: &Lane) -> Self {
        Self::of(&[lane.direction.as_str(), &lane.channel])
    }

    /// The slot of the lanes that share a credential.
    pub fn of_credential(key: &str) -> Self {
        Self::of(&["credential", key])
    }

    /// The same on every node and in every version.
    fn of(name: &[&str]) -> Self {
        let hash: [u8; 32] = name
            .iter()
            .fold(Sha256::new(), |hash, it| hash.chain_update(it).chain_update([0]))
            .finalize()
            .into();
        Self(hash[0])
    }

    pub(super) fn number(self) -> i16 {
        self.0.into()
    }

    pub(super) fn from_number(number: i16) -> Option<Self> {
        u8::try_from(number).ok().map(Self)
    }
}

/// The slots that this process holds.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None where no other process works with the store: everything is held, and for ever.
    shared: Option<Shared>,
    /// Told of slots that came and went, and of leases that are good again.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    /// Up to when the leases are good, in microseconds from `epoch` on.
    until: AtomicU64,
    epoch: Instant,
    /// Told when there may be something to give back.
    unused: Notify,
}

#[derive(Debug)]
struct Table {
    places: [Place; SLOTS],
    is_leaving: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Since when it is held.
    since: Option<Instant>,
    /// Nobody may begin to use it: it is to be given back.
    is_going: bool,
    users: usize,
}

/// The right to use a slot, until it is dropped. Whoever has it watches [`Leases::changes`], and drops it soon when the slot
/// is held no longer.
#[derive(Debug)]
pub struct Tenure {
    leases: Leases,
    slot: Slot,
    since: Option<Instant>,
}

impl Leases {
    /// Those of a process that shares its store with nobody.
    pub fn whole() -> Self {
        Self(Arc::new(Inner { shared: None, changed: watch::Sender::new(()) }))
    }

    /// Those of one of several processes, which holds nothing yet.
    pub(super) fn shared() -> Self {
        let table = Table { places: [Place::default(); SLOTS], is_leaving: false };
        let shared = Shared {
            table: Mutex::new(table),
            until: AtomicU64::new(0),
            epoch: Instant::now(),
            unused: Notify::new(),
        };
        Self(Arc::new(Inner { shared: Some(shared), changed: watch::Sender::new(()) }))
    }

    /// Whether other processes may work with the store.
    pub fn are_shared(&self) -> bool {
        self.0.shared.is_some()
    }

    /// Whether something may be sent now.
    pub fn are_good(&self) -> bool {
        self.0.shared.as_ref().is_none_or(|it| it.micros(Instant::now()) < it.until.load(Ordering::Acquire))
    }

    /// Whether a slot is held, and not to be given back.
    pub fn holds(&self, slot: Slot) -> bool {
        self.0.shared.as_ref().is_none_or(|it| it.table().place(slot).is_free_to_use())
    }

    /// The slots that are held and stay so; none where nothing is shared.
    pub fn held(&self) -> Vec<Slot> {
        self.those(Place::is_free_to_use)
    }

    /// Begins to use a slot, if it is held.
    pub fn enter(&self, slot: Slot) -> Option<Tenure> {
        let mut since = None;
        if let Some(shared) = &self.0.shared {
            let mut table = shared.table();
            let place = table.place(slot);
            since = place.since.filter(|_| place.is_free_to_use());
            since?;
            place.users += 1;
        }
        Some(Tenure { leases: self.clone(), slot, since })
    }

    /// Told when slots came or went, or leases that had lapsed are good again.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Gives everything back, as soon as nothing uses it, and takes nothing more.
    pub fn leave(&self) {
        if let Some(shared) = &self.0.shared {
            let mut table = shared.table();
            table.is_leaving = true;
            table.places.iter_mut().for_each(|place| place.is_going = place.since.is_some());
            drop(table);
            shared.unused.notify_one();
            self.tell();
        }
    }

    fn tell(&self) {
        self.0.changed.send_replace(());
    }
}

/// The store's side.
impl Leases {
    pub(super) fn is_leaving(&self) -> bool {
        self.0.shared.as_ref().is_some_and(|it| it.table().is_leaving)
    }

    /// The leases are good up to then.
    pub(super) fn renew(&self, until: Instant) {
        let Some(shared) = &self.0.shared else { return };
        let had_lapsed = !self.are_good();
        shared.until.fetch_max(shared.micros(until), Ordering::AcqRel);
        if had_lapsed {
            self.tell();
        }
    }

    /// These slots are held from now on.
    pub(super) fn grant(&self, slots: &[Slot]) {
        let is_going = self.is_leaving();
        self.change(slots, |place| {
            *place = Place { since: Some(Instant::now()), is_going, users: place.users };
        });
    }

    /// These slots are to be given back.
    pub(super) fn ask_back(&self, slots: &[Slot]) {
        self.change(slots, |place| place.is_going = place.since.is_some());
        if let Some(shared) = self.0.shared.as_ref().filter(|_| !slots.is_empty()) {
            shared.unused.notify_one();
        }
    }

    /// These slots are given back.
    pub(super) fn give_back(&self, slots: &[Slot]) {
        self.change(slots, |place| *place = Place { since: None, is_going: false, users: place.users });
    }

    /// Others have them now.
    pub(super) fn lose(&self) {
        if let Some(shared) = &self.0.shared {
            shared.until.store(0, Ordering::Release);
        }
        self.give_back(&Slot::all().collect::<Vec<_>>());
    }

    /// Whether anything is under way on the strength of a slot, held or lost.
    pub(super) fn are_used(&self) -> bool {
        !self.those(|place| place.users > 0).is_empty()
    }

    /// Whether a slot is held, even if it is to be given back.
    pub(super) fn knows(&self, slot: Slot) -> bool {
        self.0.shared.as_ref().is_some_and(|it| it.table().place(slot).since.is_some())
    }

    /// The slots that are to be given back and are not used any more.
    pub(super) fn unused(&self) -> Vec<Slot> {
        self.those(|place| place.is_going && place.users == 0)
    }

    /// Waits until there may be something to give back.
    pub(super) async fn may_be_unused(&self) {
        match &self.0.shared {
            Some(shared) => shared.unused.notified().await,
            None => std::future::pending().await,
        }
    }

    fn those(&self, which: impl Fn(&Place) -> bool) -> Vec<Slot> {
        let Some(shared) = &self.0.shared else { return Vec::new() };
        let table = shared.table();
        Slot::all().zip(&table.places).filter(|(_, place)| which(place)).map(|(slot, _)| slot).collect()
    }

    fn change(&self, slots: &[Slot], how: impl Fn(&mut Place)) {
        let Some(shared) = self.0.shared.as_ref().filter(|_| !slots.is_empty()) else { return };
        let mut table = shared.table();
        slots.iter().for_each(|slot| how(table.place(*slot)));
        drop(table);
        self.tell();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }
}

impl Table {
    #[expect(clippy::indexing_slicing, reason = "there is a place for every u8")]
    fn place(&mut self, slot: Slot) -> &mut Place {
        &mut self.places[usize::from(slot.0)]
    }
}

impl Place {
    fn is_free_to_use(&self) -> bool {
        self.since.is_some() && !self.is_going
    }
}

impl Tenure {
    /// Since when the slot is held; none where it always was. What an earlier holder sent up to then is not known.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Whether something may be sent now.
    pub fn is_good(&self) -> bool {
        self.leases.are_good()
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        if let Some(shared) = &self.leases.0.shared {
            let mut table = shared.table();
            let place = table.place(self.slot);
            place.users = place.users.saturating_sub(1);
            if place.is_going && place.users == 0 {
                shared.unused.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    fn slot() -> Slot {
        Slot::of_lane(&Lane::outbound("a"))
    }

    #[test]
    fn a_slot_never_changes() {
        assert_eq!(Slot::of_lane(&Lane::outbound("a")), Slot(0xdd));
        assert_ne!(Slot::of_lane(&Lane::inbound("a")), Slot::of_lane(&Lane::outbound("a")));
        assert_eq!(Slot::of_credential("k"), Slot::of_credential("k"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_is_given_back_when_nothing_uses_it_any_more() {
        let leases = Leases::shared();
        assert!(leases.enter(slot()).is_none() && !leases.are_good());
        leases.grant(&[slot()]);
        let tenure = leases.enter(slot()).unwrap();
        assert_eq!(tenure.since(), Some(Instant::now()));
        leases.ask_back(&[slot()]);
        assert!(leases.enter(slot()).is_none() && !leases.holds(slot()));
        assert!(leases.unused().is_empty(), "it is used");
        drop(tenure);
        leases.may_be_unused().await;
        assert_eq!(leases.unused(), [slot()]);
        leases.give_back(&[slot()]);
        assert!(leases.unused().is_empty());
        leases.ask_back(&[]);
        assert!(leases.may_be_unused().now_or_never().is_none(), "there is nothing to give back");
    }

    #[tokio::test(start_paused = true)]
    async fn leases_lapse_and_are_renewed() {
        let leases = Leases::shared();
        leases.grant(&[slot()]);
        leases.renew(Instant::now() + Duration::from_secs(5));
        let (tenure, mut changes) = (leases.enter(slot()).unwrap(), leases.changes());
        assert!(tenure.is_good());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!tenure.is_good() && leases.holds(slot()), "held, but good for nothing");
        assert!(!changes.has_changed().unwrap());
        leases.renew(Instant::now() + Duration::from_secs(5));
        assert!(tenure.is_good() && changes.has_changed().unwrap());
        changes.mark_unchanged();
        leases.lose();
        assert!(!tenure.is_good() && !leases.holds(slot()) && changes.has_changed().unwrap());
    }

    #[test]
    fn a_process_of_its_own_holds_everything() {
        let leases = Leases::whole();
        leases.leave();
        assert!(leases.are_good() && leases.enter(slot()).unwrap().since().is_none());
    }
}
