//! Seeded randomness for schedules; what is drawn depends on the seed and the order of the draws alone.

use std::time::Duration;

use patchcord::world::{Entropy as _, SeededEntropy};

/// A source of choices.
pub struct Dice(SeededEntropy);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    pub fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number from 0 to `end`, which is left out.
    pub fn below(&self, end: u64) -> u64 {
        // Which ones are a little more likely matters to nobody here.
        self.number() % end.max(1)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub fn chance(&self, permille: u64) -> bool {
        self.below(1000) < permille
    }

    /// A duration between two, in milliseconds.
    pub fn between(&self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most.saturating_sub(least) + 1))
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}
