//! What a response says about the requests that remain.

use super::response::Response;
use crate::plan::{Quota, ResetUnit};
use crate::world::Millis;

/// The longest wait that is believed, in milliseconds.
const LONGEST: f64 = 24.0 * 3600.0 * 1000.0;

impl Quota {
    /// How long until there are more requests again, in milliseconds, if the response says that none remains.
    pub(super) fn used_up(&self, response: &Response, now: Millis) -> Option<u64> {
        let remaining: f64 = response.header(&self.remaining)?.trim().parse().ok()?;
        if remaining > 0.0 { None } else { self.reset_after(response, now) }
    }

    /// How long until there are more requests again, in milliseconds.
    pub(super) fn reset_after(&self, response: &Response, now: Millis) -> Option<u64> {
        let number: f64 = response.header(&self.reset)?.trim().parse().ok()?;
        #[allow(clippy::cast_precision_loss)] // exact for many thousands of years
        let wait = match self.unit {
            ResetUnit::Seconds => number * 1000.0,
            ResetUnit::Epoch => number * 1000.0 - now as f64,
            ResetUnit::Ms => number,
        };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and a day
        wait.is_finite().then(|| wait.clamp(0.0, LONGEST).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used_up(remaining: &str, reset: &str, unit: ResetUnit) -> Option<u64> {
        let quota = Quota { remaining: "x-left".into(), reset: "x-reset".into(), unit };
        let headers = vec![("x-left".into(), remaining.into()), ("x-reset".into(), reset.into())];
        quota.used_up(&Response { headers, ..Response::default() }, 1_700_000_000_000)
    }

    #[test]
    fn only_what_is_used_up_makes_the_lane_wait() {
        assert_eq!(used_up("1", "5", ResetUnit::Seconds), None);
        assert_eq!(used_up("0", "5", ResetUnit::Seconds), Some(5000));
        assert_eq!(used_up("-1", "0.25", ResetUnit::Seconds), Some(250));
        assert_eq!(used_up("none", "5", ResetUnit::Seconds), None);
        assert_eq!(used_up("0", "soon", ResetUnit::Seconds), None);
    }

    #[test]
    fn a_reset_is_a_wait_or_a_moment_and_no_longer_than_a_day() {
        assert_eq!(used_up("0", "1700000003", ResetUnit::Epoch), Some(3000));
        assert_eq!(used_up("0", "1600000000", ResetUnit::Epoch), Some(0));
        assert_eq!(used_up("0", "300", ResetUnit::Ms), Some(300));
        assert_eq!(used_up("0", "1700000003", ResetUnit::Seconds), Some(86_400_000));
        assert_eq!(used_up("0", "NaN", ResetUnit::Seconds), None);
    }
}
