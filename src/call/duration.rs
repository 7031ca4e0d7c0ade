//! Lengths of time as a mapping or a provider says them.

use crate::expression::Value;

const DAY: f64 = 86_400.0;
/// The longest that is meant seriously, in seconds.
const LONGEST: f64 = 366.0 * DAY;
/// Units, longer names first where one ends another.
const UNITS: &[(&str, f64)] = &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", DAY)];

/// `500ms`, `30s`, `5m`, `1h`, `2d` or a number of seconds, in milliseconds. None for what is negative, longer than
/// a year or no length of time.
pub fn millis_of(value: &Value) -> Option<u64> {
    let text = value.to_text();
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, factor) = unit.unwrap_or((text, 1.0));
    let seconds = number.trim().parse::<f64>().ok()? * factor;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and a year
    (0.0..=LONGEST).contains(&seconds).then_some((seconds * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_units() {
        for (text, millis) in [("30s", 30_000), ("2", 2000), ("1.5s", 1500), ("500ms", 500), ("5m", 300_000)]
        {
            assert_eq!(millis_of(&Value::text(text)), Some(millis), "{text}");
        }
        assert_eq!(millis_of(&Value::text("1h")), Some(3_600_000));
        assert_eq!(millis_of(&Value::text("2d")), Some(172_800_000));
        assert_eq!(millis_of(&Value::Int(2)), Some(2000));
        for text in ["s", "-1s", "soon", "", "400d", "NaN", "inf"] {
            assert_eq!(millis_of(&Value::text(text)), None, "{text}");
        }
    }
}
