//! What comes from outside as a parameter: the wall clock and randomness.
//!
//! The other two seams are `call::Transport` (network) and `store::Store` (disk). Nothing in this crate reads
//! the system clock or the system's randomness except through a [`World`], and nothing sleeps except through
//! `tokio::time`, so a test or a simulation decides all of them and a run can be repeated.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the UNIX epoch.
pub type Millis = i64;

/// A wall clock.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Millis;
}

/// A source of random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock and the randomness that a part of the program works with; cheap to clone.
#[derive(Clone)]
pub struct World {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// The places of plans that were reached; none where nobody watches.
    reached: Option<Arc<Mutex<HashSet<usize>>>>,
}

impl World {
    /// The machine's own clock and randomness.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemEntropy))
    }

    /// A clock that stands still at `now` and randomness that repeats, for tests and dry runs.
    pub fn fixed(now: Millis, seed: u64) -> Self {
        Self::new(Arc::new(ManualClock::new(now)), Arc::new(SeededEntropy::new(seed)))
    }

    /// A world of the given parts.
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, reached: None }
    }

    /// The same, in which it is noted what is reached: for the coverage of tests.
    #[must_use]
    pub fn watched(self) -> Self {
        Self { reached: Some(Arc::default()), ..self }
    }

    /// Notes that a place of a plan was reached. A place is known by its address, as a plan never moves.
    pub fn reach<T>(&self, place: &T) {
        if let Some(reached) = &self.reached {
            let address = std::ptr::from_ref(place).addr();
            reached.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        }
    }

    /// The addresses of all places that were reached.
    pub fn reached(&self) -> HashSet<usize> {
        let reached = self
            .reached
            .as_ref()
            .map(|reached| reached.lock().unwrap_or_else(PoisonError::into_inner).clone());
        reached.unwrap_or_default()
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Fills `bytes` with randomness.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.entropy.fill(bytes);
    }

    /// A random number from 0 (included) to 1 (excluded).
    pub fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    /// A new id of 32 characters out of `0-9a-f` that sorts by time (UUID version 7 without dashes).
    pub fn new_id(&self) -> String {
        let mut random = [0; 10];
        self.fill(&mut random);
        let millis = u64::try_from(self.now()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().simple().to_string()
    }
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX))
    }
}

struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // The system refuses randomness only before its pool is ready, early at boot; waiting is right then.
        while getrandom::fill(bytes).is_err() {
            std::thread::yield_now();
        }
    }
}

/// A clock that is set by hand.
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Millis) -> Self {
        Self(AtomicI64::new(now))
    }

    /// Sets the clock.
    pub fn set(&self, now: Millis) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }
}

/// Randomness that repeats for the same seed (`SplitMix64`); never for secrets.
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// Randomness that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            for (to, from) in chunk.iter_mut().zip((z ^ (z >> 31)).to_le_bytes()) {
                *to = from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_world_repeats_itself() {
        let (one, two) = (World::fixed(1, 7), World::fixed(1, 7));
        assert_eq!(one.new_id(), two.new_id());
        assert_ne!(one.new_id(), one.new_id());
    }

    #[test]
    fn ids_sort_by_time() {
        let early = World::fixed(1_700_000_000_000, 1).new_id();
        let late = World::fixed(1_700_000_000_001, 1).new_id();
        assert!(early < late && late.len() == 32);
    }

    #[test]
    fn fractions_stay_below_one() {
        let world = World::fixed(0, 3);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&world.fraction())));
    }
}
