//! The values of calls that are used again: one place for all channels of a gateway and, with a [`Shelf`], a way to those
//! of other processes.
//!
//! Invariants: of those who want a value that is not there, one makes the call and the others wait; what counts as
//! used up is never handed out; there is a bound on how many values are kept. With a shelf a call is made only by its
//! leave, or while it does not answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::shelf::{Errand, Shelf};
use crate::expression::Value;
use crate::message::Fault;
use crate::world::Millis;

/// The most values that are kept; beyond it the one that is used up first goes.
const MOST: usize = 100_000;

/// The values of calls.
#[derive(Default)]
pub struct CallCache {
    entries: Mutex<HashMap<String, Entry>>,
    /// Told of every value that is put in, of every maker who begins or gives up, and of what the shelf says.
    changed: Notify,
    /// Where processes share values; none where no other makes these calls.
    shelf: Option<Arc<dyn Shelf>>,
}

/// What is known of a call.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) value: Option<Cached>,
    /// Somebody is making the call.
    pub(super) claimed: bool,
    pub(super) leave: Leave,
    /// When the value would have been used up that turned out to be no good: which one on the shelf that is.
    pub(super) refused: Option<Millis>,
    /// The moment for which a value was wanted last.
    pub(super) wanted_at: Millis,
    /// How many wait.
    pub(super) waiting: usize,
    /// An [`Errand`] to the shelf is under way.
    pub(super) has_errand: bool,
}

/// Whether somebody in this process may begin to make a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leave {
    /// As far as this process is concerned.
    #[default]
    Free,
    /// The first who wants to.
    Once,
    /// Nobody before the shelf was asked.
    Ask,
}

/// A value that is used again, or why there is none.
#[derive(Clone, Debug)]
pub struct Cached {
    /// The value, or why the call failed for good.
    pub value: Result<Value, Fault>,
    /// From when on it counts as used up.
    pub expires_at: Millis,
}

/// What the cache says to somebody who wants a value.
#[derive(Debug)]
pub enum Lookup {
    /// Here it is.
    Found(Result<Value, Fault>),
    /// It is not there; the asker makes the call, and holds the claim as long as that takes.
    Make(Claim),
    /// Somebody makes the call, here or elsewhere, or has made it: [`CallCache::wait`], then ask again.
    Busy,
}

/// The right to make a call; others wait until it is dropped.
#[derive(Debug)]
pub struct Claim {
    cache: Arc<CallCache>,
    key: String,
}

/// One who waits, until this is dropped.
struct Waiting<'c>(&'c CallCache, &'c str);

impl CallCache {
    /// One that shares its values on a shelf.
    pub fn shared(shelf: Arc<dyn Shelf>) -> Self {
        Self { shelf: Some(shelf), ..Self::default() }
    }

    /// Looks a value up.
    pub fn look_up(self: &Arc<Self>, key: &str, now: Millis) -> Lookup {
        let mut entries = self.lock();
        let entry = self.entry(&mut entries, key);
        match &entry.value {
            Some(cached) if cached.expires_at > now => return Lookup::Found(cached.value.clone()),
            _ if entry.claimed => return Lookup::Busy,
            _ => entry.value = None,
        }
        entry.wanted_at = now;
        match entry.leave {
            Leave::Ask => {
                if entries.len() > MOST * 2 {
                    entries.retain(|own, entry| own == key || !entry.is_vacant());
                }
                return Lookup::Busy;
            }
            Leave::Once => entry.leave = Leave::Ask,
            Leave::Free => {}
        }
        entry.claimed = true;
        drop(entries);
        if self.shelf.is_some() {
            self.tell();
        }
        Lookup::Make(Claim { cache: self.clone(), key: key.to_string() })
    }

    /// Keeps a value.
    pub fn put(&self, key: &str, cached: Cached) {
        let mut entries = self.lock();
        if entries.len() >= MOST && !entries.contains_key(key) {
            let idle = entries.iter().filter(|(_, entry)| entry.is_idle());
            let first = idle.min_by_key(|(_, entry)| entry.value.as_ref().map(|cached| cached.expires_at));
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                entries.remove(&first);
            }
        }
        self.entry(&mut entries, key).value = Some(cached);
        drop(entries);
        self.tell();
    }

    /// Forgets a value that was used and turned out to be no good, unless another has taken its place.
    pub fn forget(&self, key: &str, used: &Result<Value, Fault>) {
        if let Some(entry) = self.lock().get_mut(key)
            && let Some(cached) = entry.value.take_if(|cached| cached.value == *used)
            && self.shelf.is_some()
        {
            entry.refused = Some(cached.expires_at);
        }
    }

    /// Waits until nobody is making that call, here or elsewhere; says whether the shelf gave leave to make it, which
    /// whoever asks first has then.
    pub async fn wait(self: &Arc<Self>, key: &str) -> bool {
        self.with(key, |entry| entry.waiting += 1);
        let _waiting = Waiting(self, key);
        self.until(key, |entry| {
            if entry.value.is_some() {
                return Some(false);
            }
            if !entry.claimed && entry.leave != Leave::Ask {
                return Some(self.shelf.is_some());
            }
            if let (Some(shelf), false) = (&self.shelf, entry.has_errand) {
                entry.has_errand = true;
                tokio::spawn(Errand::new(self.clone(), shelf.clone(), key).run());
            }
            None
        })
        .await
    }

    /// Looks at what is known of a call, after each change, until there is an answer.
    pub(super) async fn until<T>(&self, key: &str, mut look: impl FnMut(&mut Entry) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(answer) = self.with(key, &mut look) {
                return answer;
            }
            changed.await;
        }
    }

    /// Does something with what is known of a call.
    pub(super) fn with<T>(&self, key: &str, job: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.lock();
        let entry = self.entry(&mut entries, key);
        let answer = job(entry);
        if entry.is_vacant() {
            entries.remove(key);
        }
        answer
    }

    /// Lets everybody who waits look again.
    pub(super) fn tell(&self) {
        self.changed.notify_waiters();
    }

    fn entry<'e>(&self, entries: &'e mut HashMap<String, Entry>, key: &str) -> &'e mut Entry {
        let leave = if self.shelf.is_some() { Leave::Ask } else { Leave::Free };
        entries.entry(key.to_string()).or_insert(Entry { leave, ..Entry::default() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CallCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCache").finish_non_exhaustive()
    }
}

impl Entry {
    /// Whether nobody has to do with it.
    fn is_idle(&self) -> bool {
        !self.claimed && !self.has_errand && self.waiting == 0
    }

    /// Whether it may as well not be there.
    fn is_vacant(&self) -> bool {
        self.is_idle() && self.value.is_none() && self.refused.is_none()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.cache.with(&self.key, |entry| entry.claimed = false);
        self.cache.tell();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.with(self.1, |entry| entry.waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cached(value: &str, expires_at: Millis) -> Cached {
        Cached { value: Ok(Value::text(value)), expires_at }
    }

    #[test]
    fn one_makes_the_call_and_the_others_wait_for_its_value() {
        let cache = Arc::new(CallCache::default());
        let Lookup::Make(claim) = cache.look_up("token", 0) else { panic!() };
        assert!(matches!(cache.look_up("token", 0), Lookup::Busy));
        assert!(matches!(cache.look_up("other", 0), Lookup::Make(_)));
        cache.put("token", cached("t1", 100));
        drop(claim);
        assert!(matches!(cache.look_up("token", 99), Lookup::Found(Ok(value)) if value == Value::text("t1")));
        assert!(matches!(cache.look_up("token", 100), Lookup::Make(_)), "used up");
    }

    #[test]
    fn who_gives_up_leaves_the_call_to_the_next() {
        let cache = Arc::new(CallCache::default());
        drop(cache.look_up("token", 0));
        assert!(matches!(cache.look_up("token", 0), Lookup::Make(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_go_on_when_the_call_is_made() {
        let cache = Arc::new(CallCache::default());
        let Lookup::Make(claim) = cache.look_up("token", 0) else { panic!() };
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { cache.wait("token").await }
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        drop(claim);
        waiting.await.unwrap();
    }

    #[test]
    fn a_value_that_is_no_good_is_forgotten() {
        let cache = Arc::new(CallCache::default());
        cache.put("token", cached("t1", 100));
        cache.forget("token", &Ok(Value::text("t0")));
        assert!(matches!(cache.look_up("token", 0), Lookup::Found(_)), "another has taken its place");
        cache.forget("token", &Ok(Value::text("t1")));
        assert!(matches!(cache.look_up("token", 0), Lookup::Make(_)));
    }

    #[test]
    fn there_is_a_bound() {
        let cache = Arc::new(CallCache::default());
        for n in 0..=MOST {
            cache.put(&n.to_string(), cached("v", 1000 + Millis::try_from(n).unwrap()));
        }
        assert_eq!(cache.lock().len(), MOST);
        assert!(matches!(cache.look_up("0", 0), Lookup::Make(_)), "the first to be used up went");
    }
}
