//! What a lane holds in memory, and what may go next: pure.
//!
//! There are two streams: conversations, and bulk, of which something goes when nothing of the other may. The order per
//! contact is that of the ids all the same: a contact's bulk deliveries that came before one of a conversation go
//! with it.
//!
//! Invariants: every queued delivery of a stream up to its [`Stream::high`] is held, or belongs to a contact that is
//! marked as having more in the store; so none is skipped, and none is taken twice. Bulk is taken only when all of
//! conversations that came before it is known, so whatever is taken of a contact comes in the order of its ids. At most
//! one delivery of a contact is under way. Memory is bounded: a window of deliveries for each stream, a share of it per contact, and
//! nothing but a mark for a contact that waits for a retry, so that such contacts do not use up the window.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use smol_str::SmolStr;
use tokio::time::Instant;

use crate::store::{Above, Delivery, DeliveryId, Page};

/// How many contacts are remembered at once; those that wait for a retry are contacts without deliveries.
const CONTACTS: usize = 100_000;
/// How many more there may be for the sake of conversations.
const MORE_CONTACTS: usize = 10_000;

/// For how many contacts at least there is room, however many deliveries go in one request.
const CROWD: usize = 8;

/// The deliveries of a lane, by contact.
#[derive(Debug)]
pub struct Queue {
    window: usize,
    in_flight: usize,
    batch: usize,
    per_contact: usize,
    contacts: HashMap<SmolStr, Contact>,
    /// Contacts that may go: those in conversation first, then by the id of their first delivery.
    ready: BTreeMap<(Kind, DeliveryId), SmolStr>,
    waiting: BTreeSet<(Instant, SmolStr)>,
    live: Stream,
    bulk: Stream,
    /// Bulk deliveries that left the queue while bulk was read: the answer may still have them.
    gone: Option<BTreeSet<DeliveryId>>,
    /// The last delivery that was read: of those before, some may have gone already with a reply.
    read: DeliveryId,
}

/// Whether something is part of a conversation, or bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Live,
    Bulk,
}

/// One of the two streams.
#[derive(Debug)]
struct Stream {
    /// How many of its deliveries are held.
    held: usize,
    /// What was taken of it: all up to this.
    high: DeliveryId,
    /// There may be more of it in the store.
    behind: bool,
    /// Contacts that could go if their deliveries were here.
    dry: VecDeque<SmolStr>,
}

#[derive(Debug)]
struct Contact {
    held: VecDeque<Arc<Delivery>>,
    /// The last delivery that was held, or is done.
    cursor: DeliveryId,
    /// There are more in the store, after `cursor`, up to `upto`.
    more: bool,
    upto: DeliveryId,
    /// The last delivery that is part of a conversation: up to it, the contact goes before bulk.
    live_upto: DeliveryId,
    /// The delivery that was made to wait last.
    waited: DeliveryId,
    /// Up to this one, each goes alone.
    alone_upto: DeliveryId,
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
    /// Any deliveries of the lane: of conversations, and bulk.
    Any {
        /// Of conversations.
        live: Above,
        /// Bulk, if any is wanted.
        bulk: Option<Above>,
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

impl Kind {
    fn of(delivery: &Delivery) -> Self {
        if delivery.bulk { Self::Bulk } else { Self::Live }
    }
}

impl Contact {
    /// A contact of which nothing is held, after that id.
    fn new(cursor: DeliveryId) -> Self {
        Self {
            held: VecDeque::new(),
            cursor,
            more: false,
            upto: 0,
            live_upto: 0,
            waited: 0,
            alone_upto: 0,
            doing: Doing::Nothing,
        }
    }

    /// What the contact's next delivery goes as.
    fn kind(&self) -> Kind {
        let next = self.held.front().map_or(self.cursor + 1, |first| first.id);
        if next <= self.live_upto { Kind::Live } else { Kind::Bulk }
    }

    /// There is more in the store, up to this one.
    fn leave(&mut self, upto: DeliveryId) {
        self.more = true;
        self.upto = self.upto.max(upto);
    }
}

impl Stream {
    fn new() -> Self {
        Self { held: 0, high: 0, behind: true, dry: VecDeque::new() }
    }

    /// The contact is not dry any more; usually it is the first.
    fn forget(&mut self, contact: &SmolStr) {
        if self.dry.front() == Some(contact) {
            self.dry.pop_front();
        } else {
            self.dry.retain(|dry| dry != contact);
        }
    }
}

impl Queue {
    /// An empty queue that holds at most `window` deliveries of each stream and has not yet seen what is in the store.
    pub fn new(window: usize, in_flight: usize, batch: usize) -> Self {
        let mut queue = Self {
            window: 0,
            in_flight: in_flight.max(1),
            batch: batch.max(1),
            per_contact: 0,
            contacts: HashMap::new(),
            ready: BTreeMap::new(),
            waiting: BTreeSet::new(),
            live: Stream::new(),
            bulk: Stream::new(),
            gone: None,
            read: 0,
        };
        queue.fit(window, window);
        queue
    }

    /// From now on at most `window` deliveries of each stream are held, and a contact's share is that of `reach`, to which
    /// the window may grow. What is held of a contact are whole batches, if there is room for those of some contacts.
    pub fn fit(&mut self, window: usize, reach: usize) {
        self.window = window.max(2);
        let reach = reach.max(2);
        let share = (reach / self.in_flight).max(self.batch.min(reach / CROWD)).max(1);
        self.per_contact = share - share % self.batch.min(share);
    }

    /// How wide the window is to be, with `least` to spare: without end while there may be more in the store than a first
    /// look found.
    pub fn wish(&self, least: usize) -> usize {
        let is_behind = [&self.live, &self.bulk].iter().any(|it| it.behind || !it.dry.is_empty());
        let held = self.live.held.max(self.bulk.held);
        if is_behind && held > 0 { usize::MAX } else { held + least }
    }

    fn stream(&mut self, kind: Kind) -> &mut Stream {
        match kind {
            Kind::Live => &mut self.live,
            Kind::Bulk => &mut self.bulk,
        }
    }

    /// How many more of a stream may be held. What bulk goes with a conversation may be more than its window has room for,
    /// but never more than both have.
    fn room(&self, stream: &Stream) -> usize {
        let all = (self.window * 2).saturating_sub(self.live.held + self.bulk.held);
        self.window.saturating_sub(stream.held).min(all)
    }

    /// Whether there is nothing to do and nothing to read.
    pub fn is_idle(&self) -> bool {
        self.contacts.is_empty() && !self.live.behind && !self.bulk.behind
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
    pub fn held(&self) -> usize {
        self.live.held + self.bulk.held
    }

    /// The next moment at which a contact's wait is over.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// A delivery that was just committed; what there is no room for is read from the store later.
    ///
    /// Not to be called between [`Queue::wanted`] and the answer to it.
    pub fn offer(&mut self, delivery: &Arc<Delivery>) {
        let kind = Kind::of(delivery);
        let is_early = kind == Kind::Bulk && (self.live.behind || delivery.id <= self.read);
        let stream = self.stream(kind);
        if delivery.id > stream.high && (is_early || stream.behind || !self.take(delivery, self.bulk.behind))
        {
            self.stream(kind).behind = true;
        }
    }

    /// Something was committed that was not offered.
    pub fn missed(&mut self) {
        self.live.behind = true;
        self.bulk.behind = true;
    }

    /// What to read now, if anything; the answer goes to [`Queue::any`] or [`Queue::of`], or there is none:
    /// [`Queue::unread`].
    pub fn wanted(&mut self) -> Option<Wanted> {
        if let Some(wanted) = self.more_of_a_contact(&self.live) {
            return Some(wanted);
        }
        let live = Above { id: self.live.high, limit: self.room(&self.live) };
        if self.wants_more(&self.live, CONTACTS + MORE_CONTACTS) {
            return Some(Wanted::Any { live, bulk: None });
        }
        // Whoever is in conversation is known before bulk is taken.
        if self.live.behind || live.limit == 0 {
            return None;
        }
        if let Some(wanted) = self.more_of_a_contact(&self.bulk) {
            return Some(wanted);
        }
        self.wants_more(&self.bulk, CONTACTS).then(|| {
            self.gone = Some(BTreeSet::new());
            let bulk = Above { id: self.bulk.high, limit: self.room(&self.bulk) };
            Wanted::Any { live, bulk: Some(bulk) }
        })
    }

    /// What is to be read of the first contact that could go if its deliveries were here.
    fn more_of_a_contact(&self, stream: &Stream) -> Option<Wanted> {
        let contact = stream.dry.front()?;
        let known = self.contacts.get(contact)?;
        // Without room, what is held will go, since none of it waits for a retry; then there is room.
        let limit = self.per_contact.min(self.room(stream));
        (limit > 0).then(|| Wanted::Of {
            contact: contact.clone(),
            after: known.cursor,
            upto: known.upto,
            limit,
        })
    }

    fn wants_more(&self, stream: &Stream, contacts: usize) -> bool {
        let has_room = stream.held <= self.window / 2 && self.room(stream) > 0;
        stream.behind && stream.dry.is_empty() && has_room && self.contacts.len() < contacts
    }

    /// The answer to [`Wanted::Any`].
    pub fn any(&mut self, page: &Page, live: Above, bulk: Option<Above>) {
        let gone = self.gone.take().unwrap_or_default();
        self.note_read(&page.live);
        // What was fed of bulk may not have come so far as the store has.
        let all = page.live.iter().all(|delivery| self.take(delivery, true));
        self.live.behind = !all || page.live.len() >= live.limit;
        // More of conversations came than were read: what bulk there was is read again, when they are known.
        if let Some(bulk) = bulk.filter(|_| !self.live.behind) {
            self.note_read(&page.bulk);
            let all =
                page.bulk.iter().all(|delivery| gone.contains(&delivery.id) || self.take(delivery, true));
            self.bulk.behind = !all || page.bulk.len() >= bulk.limit;
        }
    }

    /// The answer to [`Wanted::Of`]. Its first delivery may go: the contact's wait, if any, is over.
    pub fn of(&mut self, contact: &SmolStr, page: Vec<Arc<Delivery>>, limit: usize) {
        self.note_read(&page);
        self.live.forget(contact);
        self.bulk.forget(contact);
        let Some(known) = self.contacts.get_mut(contact) else { return };
        known.more = page.len() >= limit;
        if let Some(last) = page.last() {
            known.cursor = last.id;
        }
        known.held = page.into();
        let bulk = known.held.iter().filter(|delivery| delivery.bulk).count();
        self.bulk.held += bulk;
        self.live.held += known.held.len() - bulk;
        self.release(contact);
    }

    fn note_read(&mut self, page: &[Arc<Delivery>]) {
        self.read = self.read.max(page.last().map_or(0, |last| last.id));
    }

    /// There is no answer to [`Queue::wanted`].
    pub fn unread(&mut self) {
        self.gone = None;
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

    /// The next delivery to attempt: the one with the lowest id among the first ones of idle contacts, of those in
    /// conversation if there are any.
    pub fn next(&mut self) -> Option<Arc<Delivery>> {
        let (_, contact) = self.ready.pop_first()?;
        let known = self.contacts.get_mut(&contact)?;
        let delivery = known.held.pop_front()?;
        known.doing = Doing::Attempt;
        self.stream(Kind::of(&delivery)).held -= 1;
        Some(delivery)
    }

    /// What may go with `first`, which [`Queue::next`] gave, in one request: what is held of the same stream and comes
    /// next for the contact, at most `most`, up to the first that may not go yet.
    ///
    /// Whatever was tried before goes alone: what the other side does not digest takes nothing else with it for long.
    /// What is told of one message goes one by one: when its answer is lost and it is told again, nothing later is taken
    /// back.
    pub fn more(
        &self,
        first: &Delivery,
        most: usize,
        may_go: impl Fn(&Delivery) -> bool,
    ) -> Vec<Arc<Delivery>> {
        let is_fresh = |it: &Delivery| it.attempts == 0 && it.progress.is_none();
        let known = self.contacts.get(&first.contact);
        let Some(known) = known.filter(|known| first.id > known.alone_upto && is_fresh(first)) else {
            return Vec::new();
        };
        let mut mids = HashSet::from([first.mid.clone()]);
        let goes = |it: &&Arc<Delivery>| {
            it.bulk == first.bulk && is_fresh(it) && may_go(it) && mids.insert(it.mid.clone())
        };
        known.held.iter().take(most).take_while(goes).cloned().collect()
    }

    /// What the contact has up to this one goes one by one.
    pub fn part(&mut self, contact: &SmolStr, upto: DeliveryId) {
        if let Some(known) = self.contacts.get_mut(contact) {
            known.alone_upto = upto;
        }
    }

    /// The attempt of `first` is over: it and what went with it, up to `last`, have left the queue.
    pub fn done(&mut self, contact: &SmolStr, first: DeliveryId, last: DeliveryId) {
        let mut left = vec![first];
        while let Some(next) = self.pop_upto(contact, last) {
            left.push(next);
        }
        if let Some(gone) = &mut self.gone {
            gone.extend(left);
        }
        self.release(contact);
    }

    fn pop_upto(&mut self, contact: &SmolStr, last: DeliveryId) -> Option<DeliveryId> {
        let known = self.contacts.get_mut(contact)?;
        let next = known.held.pop_front_if(|next| next.id <= last)?;
        self.stream(Kind::of(&next)).held -= 1;
        Some(next.id)
    }

    /// The delivery `id` of the contact is to be tried again, not before `due`.
    ///
    /// What is held of the contact is let go and read again then: the store knows the attempts made by then.
    pub fn wait(&mut self, contact: &SmolStr, id: DeliveryId, due: Instant) {
        let Some(known) = self.contacts.get_mut(contact) else { return };
        let held = std::mem::take(&mut known.held);
        known.leave(known.cursor.max(id));
        known.cursor = id - 1;
        known.waited = id;
        known.doing = Doing::Wait(due);
        for delivery in &held {
            self.stream(Kind::of(delivery)).held -= 1;
        }
        self.waiting.insert((due, contact.clone()));
    }

    /// Whether that delivery was made to wait, and its wait is over.
    pub fn has_waited(&self, delivery: &Delivery) -> bool {
        self.contacts.get(&delivery.contact).is_some_and(|known| known.waited == delivery.id)
    }

    /// Takes what comes next in a stream, where bulk that came before it may be unknown, or not; `false`: no room.
    fn take(&mut self, delivery: &Arc<Delivery>, is_bulk_unknown: bool) -> bool {
        let kind = Kind::of(delivery);
        let (stream, most) = match kind {
            Kind::Live => (&self.live, CONTACTS + MORE_CONTACTS),
            Kind::Bulk => (&self.bulk, CONTACTS),
        };
        let is_full = self.room(stream) == 0;
        // Some of the contact's bulk may not have been read, though it goes first.
        let unread = delivery.behind.filter(|_| is_bulk_unknown);
        let Some(known) = self.contacts.get_mut(&delivery.contact) else {
            if self.contacts.len() >= most || is_full {
                return false;
            }
            let first = unread.unwrap_or(delivery.id);
            self.contacts.insert(delivery.contact.clone(), Contact::new(first - 1));
            self.add(delivery, unread.is_some());
            return true;
        };
        // It was read with a later one of a conversation, or will be.
        if delivery.id <= known.cursor || (known.more && delivery.id <= known.upto) {
            self.stream(kind).high = delivery.id;
            return true;
        }
        let is_left = unread.is_some()
            || known.more
            || known.held.len() >= self.per_contact
            || matches!(known.doing, Doing::Wait(_));
        if !is_left && is_full {
            return false;
        }
        self.add(delivery, is_left);
        true
    }

    /// Adds a delivery to those that its contact holds, or to those that it left in the store.
    fn add(&mut self, delivery: &Arc<Delivery>, is_left: bool) {
        let kind = Kind::of(delivery);
        self.stream(kind).high = delivery.id;
        let Some(known) = self.contacts.get_mut(&delivery.contact) else { return };
        let is_free = known.doing == Doing::Nothing;
        let before = (known.kind(), known.held.front().map(|first| first.id), known.more);
        if kind == Kind::Live {
            known.live_upto = delivery.id;
        }
        if is_left {
            known.leave(delivery.id);
        } else {
            known.cursor = delivery.id;
            known.held.push_back(Arc::clone(delivery));
            self.stream(kind).held += 1;
        }
        if is_free {
            // It may go as something else now.
            match before {
                (kind, Some(first), _) => drop(self.ready.remove(&(kind, first))),
                (kind, None, true) => self.stream(kind).forget(&delivery.contact),
                (_, None, false) => {}
            }
            self.release(&delivery.contact);
        }
    }

    /// The contact is free: its next delivery may go, or is read, or there is none.
    fn release(&mut self, contact: &SmolStr) {
        let Some(known) = self.contacts.get_mut(contact) else { return };
        known.doing = Doing::Nothing;
        let kind = known.kind();
        if let Some(first) = known.held.front() {
            self.ready.insert((kind, first.id), contact.clone());
        } else if known.more {
            self.stream(kind).dry.push_back(contact.clone());
        } else {
            self.contacts.remove(contact);
        }
    }
}
