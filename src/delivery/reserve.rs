//! What lanes may hold in memory together, beyond the few deliveries that each may always hold.
//!
//! Invariant: all loans together are never more than the reserve, and what a lane does not need any more goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many deliveries are left for lanes that want to hold more.
#[derive(Debug)]
pub(super) struct Reserve(AtomicUsize);

/// What one lane has of the reserve.
#[derive(Debug)]
pub(super) struct Loan {
    reserve: Arc<Reserve>,
    taken: usize,
}

impl Reserve {
    pub(super) fn new(deliveries: usize) -> Self {
        Self(AtomicUsize::new(deliveries))
    }
}

impl Loan {
    pub(super) fn new(reserve: Arc<Reserve>) -> Self {
        Self { reserve, taken: 0 }
    }

    /// Takes what is missing to `wish`, as far as it is there, or gives back what is more; gives what the lane has then.
    pub(super) fn fit(&mut self, wish: usize) -> usize {
        let left = &self.reserve.0;
        if wish < self.taken {
            left.fetch_add(self.taken - wish, Ordering::Relaxed);
            self.taken = wish;
        } else if wish > self.taken {
            let missing = wish - self.taken;
            let take = |left: usize| Some(left - left.min(missing));
            let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
            self.taken += before.unwrap_or_else(|left| left).min(missing);
        }
        self.taken
    }

    /// How much the lane could have.
    pub(super) fn reach(&self) -> usize {
        self.taken + self.reserve.0.load(Ordering::Relaxed)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.fit(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loans_are_never_more_than_the_reserve_and_go_back() {
        let reserve = Arc::new(Reserve::new(10));
        let (mut one, mut two) = (Loan::new(reserve.clone()), Loan::new(reserve));
        assert_eq!((one.fit(7), two.fit(7)), (7, 3));
        assert_eq!((one.reach(), two.reach()), (7, 3));
        assert_eq!((one.fit(2), two.fit(7)), (2, 7));
        drop(two);
        assert_eq!((one.reach(), one.fit(100)), (10, 10));
    }
}
