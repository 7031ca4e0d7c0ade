//! The rate for each contact: pure.
//!
//! Requests to one contact are spaced evenly, from departure on, so no window holds more of them than the rate allows.
//! Only contacts that were written to within one space are remembered. What an earlier process sent is not known, so every contact
//! counts as written to by then.

use std::collections::HashMap;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

use super::rate::Rate;

/// How many contacts are remembered before those that are free again are forgotten.
const SWEEP: usize = 1024;

/// By how much the space is longer than the rate asks for: not every request arrives as fast as the one before it.
const MARGIN: f64 = 0.0075;

/// When each contact may be written to again.
#[derive(Debug)]
pub(super) struct Spacing {
    free_at: HashMap<SmolStr, Instant>,
    /// Up to then a contact may have been written to.
    unknown_until: Instant,
    sweep_at: usize,
}

impl Spacing {
    /// Knows of no contact; what was sent up to `unknown_until` it can't know.
    pub(super) fn new(unknown_until: Instant) -> Self {
        Self { free_at: HashMap::new(), unknown_until, sweep_at: 0 }
    }

    /// When the contact's turn may be taken, if not now.
    pub(super) fn free_at(&self, contact: &SmolStr, rate: Rate, now: Instant) -> Option<Instant> {
        let free_at = self.free_at.get(contact).copied().unwrap_or(self.unknown_until + space(rate)?);
        (free_at > now).then_some(free_at)
    }

    /// Takes the contact's turn, or says when it may be taken.
    pub(super) fn take(&mut self, contact: &SmolStr, rate: Rate, now: Instant) -> Option<Instant> {
        let space = space(rate)?;
        if let Some(free_at) = self.free_at(contact, rate, now) {
            return Some(free_at);
        }
        if self.free_at.len() >= self.sweep_at.max(SWEEP) {
            self.free_at.retain(|_, free_at| *free_at > now);
            self.sweep_at = self.free_at.len() * 2;
        }
        self.free_at.insert(contact.clone(), now + space);
        None
    }

    /// The contact's request departed, perhaps later than its turn was taken.
    pub(super) fn departed(&mut self, contact: &SmolStr, rate: Rate, at: Instant) {
        if let Some(space) = space(rate) {
            let free_at = self.free_at.entry(contact.clone()).or_insert(at + space);
            *free_at = (*free_at).max(at + space);
        }
    }
}

/// The time between two requests to a contact; none where there need not be any.
fn space(rate: Rate) -> Option<Duration> {
    rate.limit().map(|(count, window)| window.mul_f64((1.0 + MARGIN) / f64::from(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_contact_waits_for_its_turn_and_others_do_not() {
        let now = Instant::now();
        let mut spacing = Spacing::new(now - Duration::from_secs(9));
        let rate = Rate::new(1, Duration::from_secs(1)).unwrap();
        let space = space(rate).unwrap();
        let (a, b) = (SmolStr::new("a"), SmolStr::new("b"));
        assert_eq!(spacing.take(&a, rate, now), None);
        assert_eq!(spacing.take(&b, rate, now), None);
        let later = now + Duration::from_millis(400);
        assert_eq!(spacing.take(&a, rate, later), Some(now + space));
        assert_eq!(spacing.take(&a, rate, now + space), None);
        assert_eq!(spacing.take(&a, Rate::UNLIMITED, later), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_departs_late_counts_from_then() {
        let now = Instant::now();
        let mut spacing = Spacing::new(now - Duration::from_secs(9));
        let (rate, contact) = (Rate::new(1, Duration::from_secs(1)).unwrap(), SmolStr::new("a"));
        assert_eq!(spacing.take(&contact, rate, now), None);
        let departed = now + Duration::from_millis(900);
        spacing.departed(&contact, rate, departed);
        assert_eq!(spacing.take(&contact, rate, departed), Some(departed + space(rate).unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_contact_that_an_earlier_process_may_have_written_to_waits() {
        let start = Instant::now();
        let (mut spacing, contact) = (Spacing::new(start), SmolStr::new("a"));
        let rate = Rate::new(3, Duration::from_mins(1)).unwrap();
        let free = start + space(rate).unwrap();
        assert_eq!(spacing.take(&contact, rate, start + Duration::from_secs(5)), Some(free));
        assert_eq!(spacing.take(&contact, rate, free), None);
        assert_eq!(spacing.take(&contact, rate, free), Some(free + space(rate).unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_forgets_contacts_that_are_free_again() {
        let start = Instant::now();
        let mut spacing = Spacing::new(start - Duration::from_secs(1));
        let rate = Rate::new(10, Duration::from_secs(1)).unwrap();
        for n in 0..100_000_u32 {
            let now = start + Duration::from_millis(u64::from(n));
            spacing.take(&SmolStr::new(n.to_string()), rate, now);
        }
        assert!(spacing.free_at.len() <= 2 * SWEEP, "{}", spacing.free_at.len());
    }
}
