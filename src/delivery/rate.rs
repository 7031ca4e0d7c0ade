//! How many requests in how long.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// At most so many requests in any sliding window, or no limit. The default is the platform's: 20 a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Option<(NonZeroU32, Duration)>);

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: expected a number and s, m or h as in `20/s`, or `unlimited`")]
pub struct RateError(String);

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self(None);

    /// At most `count` requests in any `window`; `None` for a count or a window of nothing.
    pub fn new(count: u32, window: Duration) -> Option<Self> {
        let count = NonZeroU32::new(count)?;
        (!window.is_zero()).then_some(Self(Some((count, window))))
    }

    /// The count and the window; `None` without limit.
    pub fn limit(self) -> Option<(u32, Duration)> {
        self.0.map(|(count, window)| (count.get(), window))
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self(NonZeroU32::new(20).map(|count| (count, Duration::from_secs(1))))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        let rate = text.split_once('/').and_then(|(count, unit)| {
            let seconds = match unit.trim() {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return None,
            };
            Self::new(count.trim().parse().ok()?, Duration::from_secs(seconds))
        });
        rate.ok_or_else(|| RateError(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit() {
            None => f.write_str("unlimited"),
            Some((count, window)) => match window.as_secs() {
                1 => write!(f, "{count}/s"),
                60 => write!(f, "{count}/m"),
                3600 => write!(f, "{count}/h"),
                _ => write!(f, "{count} in {window:?}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        for text in ["20/s", "100/m", "5/h", "unlimited"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!(Rate::default().to_string(), "20/s");
    }

    #[test]
    fn nonsense_is_no_rate() {
        for text in ["", "20", "0/s", "-1/s", "20/x", "s/20"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
