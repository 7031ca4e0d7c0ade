//! The circuit breaker of one host: pure, the clock is a parameter.
//!
//! Invariants: it opens only when requests of several contacts failed in a row and none succeeded in between, so
//! one message that a host can't digest pauses nobody else; while it is open at most one request is under way, the
//! probe; any success closes it.

use std::time::Duration;

use smol_str::SmolStr;
use tokio::time::Instant;

/// When a breaker opens, and how it probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// It opens after so many failures in a row. Those of one contact in a row count once.
    pub failures: u32,
    /// How long until the first probe; doubles with every probe that fails.
    pub pause: Duration,
    /// The longest time between probes.
    pub max: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { failures: 10, pause: Duration::from_secs(1), max: Duration::from_mins(1) }
    }
}

impl BreakerPolicy {
    /// The pause before the probe number `probe` (from 0).
    fn pause(&self, probe: u32) -> Duration {
        self.pause.saturating_mul(2_u32.saturating_pow(probe.min(31))).min(self.max.max(self.pause))
    }
}

/// How one host is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Breaker {
    failures: u32,
    /// Whose request failed last.
    last: SmolStr,
    open: Option<Open>,
}

#[derive(Clone, Debug, PartialEq)]
struct Open {
    /// Probes that failed.
    failed: u32,
    /// Nothing starts before that: the next probe's moment, or when the one that is under way counts as lost.
    until: Instant,
    /// When the probe that is under way began.
    probe: Option<Instant>,
}

impl Breaker {
    /// Until when nothing may start; `None`: something may start now.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.open.as_ref().map(|open| open.until).filter(|until| *until > now)
    }

    /// Whether requests pause.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A request starts: while requests pause it is the probe, which is over within `longest`. `false`: it may not.
    pub fn start(&mut self, now: Instant, longest: Duration) -> bool {
        let Some(open) = &mut self.open else { return true };
        let may = open.until <= now;
        if may {
            (open.probe, open.until) = (Some(now), now + longest);
        }
        may
    }

    /// A request of `contact` that began at `began` failed at `now`; whether that opened the breaker.
    pub fn failed(
        &mut self,
        contact: &SmolStr,
        began: Instant,
        now: Instant,
        policy: &BreakerPolicy,
    ) -> bool {
        if let Some(open) = &mut self.open {
            // What was under way when it opened says nothing new.
            if open.probe.is_some_and(|probe| began >= probe) {
                open.failed = open.failed.saturating_add(1);
                (open.probe, open.until) = (None, now + policy.pause(open.failed));
            }
            return false;
        }
        if self.failures == 0 || self.last != *contact {
            self.failures = self.failures.saturating_add(1);
            self.last = contact.clone();
        }
        // Were one contact enough, its poisonous message would pause all others.
        let opens = self.failures >= policy.failures.max(2);
        if opens {
            self.open = Some(Open { failed: 0, until: now + policy.pause(0), probe: None });
        }
        opens
    }

    /// A request succeeded; whether that closed the breaker.
    pub fn succeeded(&mut self) -> bool {
        let closes = self.is_open();
        *self = Self::default();
        closes
    }

    /// A request that began at `began` was over and told nothing about the host; a probe has yet to be made then.
    pub fn told_nothing(&mut self, began: Instant, now: Instant) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.probe.is_some_and(|probe| began >= probe))
        else {
            return false;
        };
        (open.probe, open.until) = (None, now);
        true
    }

    /// Whether nothing is held against the host.
    pub fn is_well(&self) -> bool {
        self.failures == 0 && self.open.is_none()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    fn fail(breaker: &mut Breaker, contact: &str, began: Instant, now: Instant) -> bool {
        breaker.failed(&contact.into(), began, now, &BreakerPolicy::default())
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        let opens = (0..10).map(|n| fail(&mut breaker, &n.to_string(), now, now)).collect::<Vec<_>>();
        assert_eq!(opens.iter().position(|opens| *opens), Some(9));
        breaker
    }

    #[test]
    fn failures_of_several_contacts_in_a_row_open_it() {
        let now = Instant::now();
        assert_eq!(opened(now).paused_until(now), Some(now + Duration::from_secs(1)));
    }

    #[test]
    fn one_contact_s_failures_never_do() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        assert!(!(0..1000).any(|_| fail(&mut breaker, "poison", now, now)));
        let policy = BreakerPolicy { failures: 1, ..BreakerPolicy::default() };
        assert!(!Breaker::default().failed(&"poison".into(), now, now, &policy));
    }

    #[test]
    fn a_success_in_between_starts_the_count_again() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for n in 0..1000 {
            assert!(!fail(&mut breaker, &n.to_string(), now, now));
            assert!(n % 5 != 0 || !breaker.succeeded());
        }
    }

    #[test]
    fn probes_go_one_at_a_time_and_ever_less_often() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let until = breaker.paused_until(now).unwrap();
            assert!(!breaker.start(until - Duration::from_millis(1), LONGEST));
            pauses.push((until - now).as_secs());
            now = until;
            assert!(breaker.start(now, LONGEST) && !breaker.start(now, LONGEST));
            let (began, over) = (now, now + Duration::from_millis(20));
            // One that was under way before the probe changes nothing.
            fail(&mut breaker, "late", began - Duration::from_millis(1), over);
            assert_eq!(breaker.paused_until(over), Some(began + LONGEST));
            fail(&mut breaker, "probe", began, over);
            now = over;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(breaker.succeeded() && breaker.start(now, LONGEST) && breaker.paused_until(now).is_none());
    }

    #[test]
    fn a_probe_that_tells_nothing_or_is_lost_makes_room_for_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let then = breaker.paused_until(now).unwrap();
        assert!(breaker.start(then, LONGEST));
        assert!(breaker.told_nothing(then, then) && breaker.start(then, LONGEST));
        assert!(!breaker.start(then, LONGEST) && breaker.start(then + LONGEST, LONGEST));
    }

    proptest! {
        #[test]
        fn while_it_is_open_at_most_one_request_is_under_way(
            all in prop::collection::vec((0_u8..4, 0_u64..3000), 0..300),
        ) {
            let mut now = Instant::now();
            let mut breaker = opened(now);
            let mut under_way = None;
            for (what, wait) in all {
                now += Duration::from_millis(wait);
                match (what, under_way) {
                    (0, Some(began)) => { fail(&mut breaker, "a", began, now); under_way = None; }
                    (1, Some(began)) => { breaker.told_nothing(began, now); under_way = None; }
                    _ => if breaker.start(now, Duration::from_hours(9)) {
                        prop_assert!(under_way.is_none());
                        under_way = Some(now);
                    }
                }
                prop_assert!(breaker.is_open());
            }
        }
    }
}
