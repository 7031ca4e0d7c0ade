//! How many requests came in any sliding second.
//!
//! The window is half open: two requests exactly one second apart are not in one second. Arrivals may be told a
//! little out of order (two connections race for the lock); the counts are exact as long as one is told within
//! two seconds.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const SPAN: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(3);

/// The arrivals of the last seconds, and the most that ever fell into one second.
#[derive(Debug, Default)]
pub struct Window {
    recent: VecDeque<Instant>,
    count: u64,
    most: usize,
    ends: Option<(Instant, Instant)>,
    limit: Option<usize>,
    closest: Option<Duration>,
}

impl Window {
    /// A window that also measures how close together `limit + 1` requests came.
    pub fn with_limit(limit: Option<u32>) -> Self {
        Self { limit: limit.and_then(|limit| usize::try_from(limit).ok()), ..Self::default() }
    }

    /// Counts a request that arrived at `at`.
    pub fn arrive(&mut self, at: Instant) {
        self.count += 1;
        self.ends = Some(self.ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        let place = self.recent.partition_point(|&earlier| earlier <= at);
        self.recent.insert(place, at);
        for end in place..self.recent.len() {
            let Some(&last) = self.recent.get(end) else { break };
            let span = last.saturating_duration_since(at);
            if span < SPAN {
                self.most = self.most.max(end + 1 - self.start_of(last));
            }
            if let Some(&first) = self.limit.and_then(|limit| self.recent.get(end.checked_sub(limit)?)) {
                let span = last.saturating_duration_since(first);
                self.closest = Some(self.closest.map_or(span, |closest| closest.min(span)));
            } else if span >= SPAN {
                break;
            }
        }
        if let Some(&newest) = self.recent.back() {
            while self.recent.front().is_some_and(|&old| newest.saturating_duration_since(old) > KEPT) {
                self.recent.pop_front();
            }
        }
    }

    /// How many arrivals the second that ends at `at` (included) holds.
    pub fn within(&self, at: Instant) -> usize {
        self.recent.partition_point(|&earlier| earlier <= at).saturating_sub(self.start_of(at))
    }

    /// The most arrivals that any sliding second held.
    pub fn most(&self) -> usize {
        self.most
    }

    /// All arrivals, ever.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The shortest time in which one request more than the limit arrived; below one second the limit was
    /// exceeded, and by how much tells jitter from a broken pace.
    pub fn closest(&self) -> Option<Duration> {
        self.closest
    }

    /// From the first arrival to the last.
    pub fn lasted(&self) -> Duration {
        self.ends.map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first))
    }

    /// Mean arrivals a second between the first and the last.
    #[allow(clippy::cast_precision_loss)]
    pub fn per_second(&self) -> f64 {
        let seconds = self.lasted().as_secs_f64();
        if seconds > 0.0 { self.count.saturating_sub(1) as f64 / seconds } else { 0.0 }
    }

    fn start_of(&self, end: Instant) -> usize {
        self.recent.partition_point(|&earlier| end.saturating_duration_since(earlier) >= SPAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn most_of(offsets: &[u64]) -> usize {
        let start = Instant::now();
        let mut window = Window::default();
        for offset in offsets {
            window.arrive(start + Duration::from_millis(*offset));
        }
        window.most()
    }

    #[test]
    fn a_second_is_half_open() {
        assert_eq!(most_of(&[0, 500, 1000]), 2);
        assert_eq!(most_of(&[0, 500, 999]), 3);
    }

    #[test]
    fn a_burst_across_a_full_second_is_seen() {
        assert_eq!(most_of(&[900, 950, 1050, 1100]), 4);
    }

    #[test]
    fn the_closest_run_tells_by_how_much_a_limit_was_missed() {
        let start = Instant::now();
        let mut window = Window::with_limit(Some(2));
        for offset in [0, 400, 990, 2500] {
            window.arrive(start + Duration::from_millis(offset));
        }
        assert_eq!(window.closest(), Some(Duration::from_millis(990)));
        assert_eq!(window.lasted(), Duration::from_millis(2500));
    }

    proptest! {
        #[test]
        fn it_agrees_with_counting_every_window(
            steps in prop::collection::vec((0u64..400, 0u64..300), 1..60)
        ) {
            let mut now = 0;
            let offsets: Vec<u64> =
                steps.iter().map(|(step, late)| { now += step; now.saturating_sub(*late) }).collect();
            let expected = offsets
                .iter()
                .map(|end| offsets.iter().filter(|&&at| at <= *end && at + 1000 > *end).count())
                .max()
                .unwrap_or(0);
            prop_assert_eq!(most_of(&offsets), expected);
        }
    }
}
