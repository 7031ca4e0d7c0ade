//! What an outcome means for the delivery and its lane: pure.

use std::time::Duration;

use super::carrier::Outcome;
use super::retry::{RetryPolicy, age};
use crate::message::Fault;
use crate::store::{Delivery, Ending};
use crate::world::Millis;

/// What follows from an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What is written down.
    pub ending: Ending,
    /// Attempts made so far.
    pub attempts: u32,
    /// How long until the next attempt, where there is one.
    pub again_after: Option<Duration>,
    /// How long the whole lane rests.
    pub rest: Option<Duration>,
    /// Whether the contact wants no messages.
    pub opted_out: bool,
}

/// Judges `outcome` of an attempt of `delivery` that was answered at `now`; `streak` counts throttled answers in a
/// row, this one included.
pub fn judge(
    outcome: Outcome,
    delivery: &Delivery,
    now: Millis,
    streak: u32,
    policy: &RetryPolicy,
    random: f64,
) -> Judgement {
    let age = age(delivery.accepted_at, now);
    let attempts = delivery.attempts.saturating_add(1);
    let ended = |ending| Judgement { ending, attempts, again_after: None, rest: None, opted_out: false };
    match outcome {
        Outcome::Sent { ids, rest } => Judgement { rest, ..ended(Ending::Sent { ids }) },
        Outcome::Failed { fault } => ended(Ending::Failed { fault }),
        Outcome::OptOut { fault } => Judgement { opted_out: true, ..ended(Ending::Failed { fault }) },
        Outcome::Partly { progress, after, rest } => {
            let wait = after.max(rest.unwrap_or_default());
            Judgement {
                attempts: delivery.attempts,
                again_after: Some(wait),
                rest,
                ..ended(Ending::Retry {
                    not_before: later(now, wait),
                    error: String::new(),
                    progress: Some(progress),
                    pause_lane: rest.map(|rest| later(now, rest)),
                })
            }
        }
        Outcome::Retry { after, fault, progress } => match policy.again_after(attempts, age, random) {
            Some(wait) => Judgement {
                again_after: Some(wait.max(after.unwrap_or_default())),
                ..ended(Ending::Retry {
                    not_before: later(now, wait.max(after.unwrap_or_default())),
                    error: fault.to_string(),
                    progress,
                    pause_lane: None,
                })
            },
            None => ended(Ending::Dead { reason: format!("given up after {attempts} attempts: {fault}") }),
        },
        Outcome::Throttled { after, fault, progress } => {
            let rest = policy.rest_after(streak, after);
            let until = later(now, rest);
            let counted = Judgement {
                rest: Some(rest),
                attempts: delivery.attempts,
                ..ended(Ending::Retry {
                    not_before: until,
                    error: fault.to_string(),
                    progress,
                    pause_lane: Some(until),
                })
            };
            if age >= policy.give_up_after {
                let reason = format!("given up, too many requests for too long: {fault}");
                return Judgement { ending: Ending::Dead { reason }, ..counted };
            }
            Judgement { again_after: Some(rest), ..counted }
        }
    }
}

/// What follows for a delivery that the other side may have taken, and that must not arrive twice.
pub fn hold(fault: &Fault, attempts: u32) -> Judgement {
    Judgement {
        ending: Ending::Held { reason: format!("the other side may have taken it: {fault}") },
        attempts,
        again_after: None,
        rest: None,
        opted_out: false,
    }
}

/// What follows for the first delivery of a request of several that was refused: it goes again at once, alone. No
/// attempt is counted.
pub fn apart(fault: &Fault, delivery: &Delivery, now: Millis) -> Judgement {
    at_once(delivery, now, format!("refused together with others, tried alone: {fault}"))
}

/// What follows for a delivery that goes again at once, with no attempt counted.
pub fn at_once(delivery: &Delivery, not_before: Millis, error: String) -> Judgement {
    Judgement {
        ending: Ending::Retry { not_before, error, progress: None, pause_lane: None },
        attempts: delivery.attempts,
        again_after: Some(Duration::ZERO),
        rest: None,
        opted_out: false,
    }
}

/// What follows from an attempt that failed because the host fails everybody: no attempt is counted, and nothing is
/// given up but what has had its attempts and is too old.
pub fn postpone(
    fault: &Fault,
    progress: Option<String>,
    delivery: &Delivery,
    now: Millis,
    wait: Duration,
    policy: &RetryPolicy,
) -> Judgement {
    let attempts = delivery.attempts;
    let it = Judgement {
        ending: Ending::Retry {
            not_before: later(now, wait),
            error: fault.to_string(),
            progress,
            pause_lane: None,
        },
        attempts,
        again_after: Some(wait),
        rest: None,
        opted_out: false,
    };
    if policy.is_too_old(attempts, age(delivery.accepted_at, now)) {
        let reason = format!("given up after {attempts} attempts, and the host still fails: {fault}");
        return Judgement { ending: Ending::Dead { reason }, again_after: None, ..it };
    }
    it
}

fn later(now: Millis, wait: Duration) -> Millis {
    now.saturating_add(Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::delivery;

    fn judged(outcome: Outcome, now: Millis) -> Judgement {
        judge(outcome, &delivery(1, "a"), now, 1, &RetryPolicy::default(), 0.5)
    }

    #[test]
    fn throttling_is_no_attempt_and_rests_the_lane() {
        let after = Some(Duration::from_secs(30));
        let it = judged(Outcome::Throttled { after, fault: Fault::default(), progress: None }, 1000);
        assert_eq!((it.attempts, it.rest, it.again_after), (0, after, after));
        assert!(matches!(it.ending, Ending::Retry { not_before: 31_000, pause_lane: Some(31_000), .. }));
    }

    #[test]
    fn a_retry_counts_and_waits() {
        let it =
            judged(Outcome::Retry { after: None, fault: Fault::default(), progress: Some("1".into()) }, 1000);
        assert_eq!((it.attempts, it.rest), (1, None));
        assert!(matches!(it.ending, Ending::Retry { not_before: 1500, pause_lane: None, .. }));
    }

    #[test]
    fn a_shortest_wait_is_kept_to() {
        let after = Some(Duration::from_secs(10));
        let it = judged(Outcome::Retry { after, fault: Fault::default(), progress: None }, 1000);
        assert!(matches!(it.ending, Ending::Retry { not_before: 11_000, .. }));
    }

    #[test]
    fn a_part_that_was_sent_is_no_attempt_and_the_next_is_due_at_once() {
        let it = judged(Outcome::Partly { progress: "1".into(), after: Duration::ZERO, rest: None }, 1000);
        assert_eq!((it.attempts, it.again_after, it.rest), (0, Some(Duration::ZERO), None));
        assert!(matches!(it.ending, Ending::Retry { not_before: 1000, progress: Some(_), .. }));
    }

    #[test]
    fn a_provider_that_has_had_enough_is_left_alone_though_it_took_the_message() {
        let rest = Some(Duration::from_secs(7));
        let it = judged(Outcome::Sent { ids: Vec::new(), rest }, 1000);
        assert_eq!((it.ending, it.rest, it.again_after), (Ending::Sent { ids: Vec::new() }, rest, None));
        let it = judged(Outcome::Partly { progress: "1".into(), after: Duration::ZERO, rest }, 1000);
        assert_eq!((it.attempts, it.rest, it.again_after), (0, rest, rest));
        assert!(matches!(it.ending, Ending::Retry { not_before: 8000, pause_lane: Some(8000), .. }));
    }

    #[test]
    fn what_is_throttled_for_a_day_is_given_up() {
        let outcome = Outcome::Throttled { after: None, fault: Fault::default(), progress: None };
        let it = judged(outcome, 24 * 3_600_000);
        assert!(matches!(it.ending, Ending::Dead { .. }) && it.rest.is_some());
    }

    #[test]
    fn what_fails_with_everybody_is_no_attempt_and_given_up_only_when_it_had_its_attempts() {
        let policy = RetryPolicy { attempts: Some(1), ..RetryPolicy::default() };
        let wait = Duration::from_secs(4);
        let day = 24 * 3_600_000;
        let judged = |attempts, now| {
            let delivery = Delivery { attempts, ..(*delivery(1, "a")).clone() };
            postpone(&Fault::default(), None, &delivery, now, wait, &policy)
        };
        let it = judged(0, 1000);
        assert_eq!((it.attempts, it.again_after, it.rest), (0, Some(wait), None));
        assert!(matches!(it.ending, Ending::Retry { not_before: 5000, pause_lane: None, .. }));
        assert!(matches!(judged(0, day).ending, Ending::Retry { .. }));
        assert!(matches!(judged(3, day).ending, Ending::Dead { .. }));
    }

    #[test]
    fn an_opt_out_is_a_failure() {
        let it = judged(Outcome::OptOut { fault: Fault::default() }, 0);
        assert!(it.opted_out && matches!(it.ending, Ending::Failed { .. }));
    }
}
