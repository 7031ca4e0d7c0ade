//! The values of calls that are used again: one place for all channels of a gateway.
//!
//! Invariants: of those who want a value that is not there, one makes the call and the others wait; what counts as
//! used up is never handed out; there is a bound on how many values are kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::expression::Value;
use crate::message::Fault;
use crate::world::Millis;

/// The most values that are kept; beyond it the one that is used up first goes.
const MOST: usize = 100_000;

/// The values of calls.
#[derive(Debug, Default)]
pub struct CallCache {
    entries: Mutex<HashMap<String, Entry>>,
    /// Told of every value that is put in, and of every maker who gave up.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Entry {
    value: Option<Cached>,
    /// Somebody is making the call.
    claimed: bool,
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
    /// Somebody is making the call: [`CallCache::wait`], then ask again.
    Busy,
}

/// The right to make a call; others wait until it is dropped.
#[derive(Debug)]
pub struct Claim {
    cache: Arc<CallCache>,
    key: String,
}

impl CallCache {
    /// Looks a value up.
    pub fn look_up(self: &Arc<Self>, key: &str, now: Millis) -> Lookup {
        let mut entries = self.lock();
        let entry = entries.entry(key.to_string()).or_default();
        match &entry.value {
            Some(cached) if cached.expires_at > now => Lookup::Found(cached.value.clone()),
            _ if entry.claimed => Lookup::Busy,
            _ => {
                entry.value = None;
                entry.claimed = true;
                Lookup::Make(Claim { cache: self.clone(), key: key.to_string() })
            }
        }
    }

    /// Keeps a value.
    pub fn put(&self, key: &str, cached: Cached) {
        let mut entries = self.lock();
        if entries.len() >= MOST && !entries.contains_key(key) {
            let idle = entries.iter().filter(|(_, entry)| !entry.claimed);
            let first = idle.min_by_key(|(_, entry)| entry.value.as_ref().map(|cached| cached.expires_at));
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                entries.remove(&first);
            }
        }
        entries.entry(key.to_string()).or_default().value = Some(cached);
        drop(entries);
        self.changed.notify_waiters();
    }

    /// Forgets a value, which turned out to be no good.
    pub fn forget(&self, key: &str) {
        if let Some(entry) = self.lock().get_mut(key) {
            entry.value = None;
        }
    }

    /// Waits until nobody is making that call.
    pub async fn wait(&self, key: &str) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.lock().get(key).is_some_and(|entry| entry.claimed && entry.value.is_none()) {
                return;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut entries = self.cache.lock();
        if let Some(entry) = entries.get_mut(&self.key) {
            entry.claimed = false;
            if entry.value.is_none() {
                entries.remove(&self.key);
            }
        }
        drop(entries);
        self.cache.changed.notify_waiters();
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
        cache.forget("token");
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
