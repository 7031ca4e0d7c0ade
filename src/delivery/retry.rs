//! Whether and when an attempt is repeated: pure; clock and randomness are parameters.

use std::time::Duration;

use crate::world::Millis;

/// However old a message is, it gets this many attempts (unless the policy allows fewer), so that one that waited
/// long in a queue is not given up at its first hiccup.
const AT_LEAST: u32 = 3;
/// How long a throttled lane rests when it was not told how long; doubles with every throttled answer in a row.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest such rest.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Exponential back-off with full jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait before the second attempt; doubles with every further one.
    pub first: Duration,
    /// The longest wait of all.
    pub max: Duration,
    /// Give up after so many attempts; `None`: only age decides.
    pub attempts: Option<u32>,
    /// Give up on what was accepted longer ago than this.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            max: Duration::from_mins(10),
            attempts: None,
            give_up_after: Duration::from_hours(24),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after the attempt number `attempts` (from 1) did not succeed; `None`: give up.
    ///
    /// `random` is from 0 (included) to 1 (excluded).
    pub fn again_after(&self, attempts: u32, age: Duration, random: f64) -> Option<Duration> {
        let worn_out = self.attempts.is_some_and(|most| attempts >= most);
        if worn_out || self.is_too_old(attempts, age) {
            return None;
        }
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1).min(31));
        Some(self.first.saturating_mul(doubled).min(self.max).mul_f64(random))
    }

    /// Whether what is as old as that, and was tried so often, is given up whatever the reason.
    pub fn is_too_old(&self, attempts: u32, age: Duration) -> bool {
        age >= self.give_up_after && attempts >= AT_LEAST
    }

    /// How long the lane rests after its `streak`th throttled answer in a row (from 1). What the other side
    /// asked for is kept to, up to the longest.
    pub fn rest_after(&self, streak: u32, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(streak.saturating_sub(1).min(31));
        asked
            .unwrap_or_else(|| FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE))
            .min(self.longest_rest())
    }

    /// How long a lane rests at most, whatever the other side asked for.
    pub fn longest_rest(&self) -> Duration {
        self.give_up_after.max(LONGEST_PAUSE)
    }
}

/// How long ago `accepted_at` was at `now`.
pub fn age(accepted_at: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(accepted_at)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    proptest! {
        #[test]
        fn waits_are_within_the_doubling_bound(attempts in 1_u32..80, random in 0.0..1.0_f64) {
            let policy = RetryPolicy::default();
            let wait = policy.again_after(attempts, HOUR, random).unwrap();
            let bound = policy.first.as_secs_f64() * 2.0_f64.powf(f64::from(attempts - 1));
            prop_assert!(wait.as_secs_f64() <= bound.min(policy.max.as_secs_f64()) + 1e-6);
        }
    }

    #[test]
    fn age_gives_up_but_not_at_the_first_hiccup() {
        let policy = RetryPolicy::default();
        assert!(policy.again_after(1, 25 * HOUR, 0.5).is_some());
        assert_eq!(policy.again_after(3, 25 * HOUR, 0.5), None);
        assert!(policy.again_after(3000, 23 * HOUR, 0.5).is_some());
    }

    #[test]
    fn a_bound_on_attempts_is_kept() {
        let policy = RetryPolicy { attempts: Some(2), ..RetryPolicy::default() };
        assert!(policy.again_after(1, HOUR, 0.5).is_some());
        assert_eq!(policy.again_after(2, HOUR, 0.5), None);
    }

    #[test]
    fn a_rest_is_what_was_asked_for_or_doubles() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.rest_after(9, Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(policy.rest_after(1, None), Duration::from_secs(1));
        assert_eq!(policy.rest_after(3, None), Duration::from_secs(4));
        assert_eq!(policy.rest_after(99, None), Duration::from_mins(1));
        assert_eq!(policy.rest_after(1, Some(999 * HOUR)), 24 * HOUR);
    }
}
