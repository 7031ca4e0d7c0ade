//! Time. A moment is a number of milliseconds since the UNIX epoch.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::{Arguments, Helper, MANY};
use crate::expression::scope::Failure;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "now",
        (0, 0),
        "This moment in milliseconds; the same during one evaluation.",
        "{{now}}",
        "1767323045000",
        |a| Some(a.env.now.into()),
    ),
    Helper::total("now_s", (0, 0), "This moment in seconds.", "{{now_s}}", "1767323045", |a| {
        Some((a.env.now / 1000).into())
    }),
    Helper::total(
        "ts_auto number",
        (1, 1),
        "A moment given in seconds or milliseconds: below 10^12 it is seconds, a fraction is \
         kept.",
        "{{ts_auto '1700000000'}}",
        "1700000000000",
        |a| {
            const SECONDS_BELOW: u128 = 1_000_000_000_000;
            match a.get(0).to_int() {
                Some(number) if number.unsigned_abs() < SECONDS_BELOW => Some(Value::Int(number * 1000)),
                Some(number) => Some(Value::Int(number)),
                #[allow(clippy::cast_possible_truncation)] // bounded by the filter
                None => a
                    .get(0)
                    .to_number()
                    .filter(|number| number.abs() < 1e12)
                    .map(|number| Value::Int((number * 1000.0) as i128)),
            }
        },
    ),
    Helper::fallible(
        "parse_time text format .. tz= default=",
        (2, MANY),
        "The moment that a text names, by the first strftime format that fits, or by \
         `rfc3339`; without an offset in the time zone `tz` (UTC unless given). A text that \
         fits none gives `default`, or is an error without one. `%.f` reads a fraction with its dot, if there is one.",
        "{{parse_time '2026-01-02 03:04:05' '%Y-%m-%d %H:%M:%S'}}",
        "1767323045000",
        parse,
    )
    .named(&["tz", "default"]),
    Helper::fallible(
        "format_time moment format tz=",
        (2, 2),
        "A moment as text by a strftime format, in UTC unless `tz` is given.",
        "{{format_time now '%Y%m%d%H%M%S'}}",
        "\"20260102030405\"",
        |a| {
            let Some(moment) = a.get(0).to_int().and_then(|ms| i64::try_from(ms).ok()) else {
                return Ok(Value::Null);
            };
            let moment = Timestamp::from_millisecond(moment).map_err(|error| Failure(error.to_string()))?;
            let format = a.text(1).unwrap_or_default();
            strtime::format(format.as_str(), &moment.to_zoned(zone(a)?))
                .map(Value::from)
                .map_err(|error| Failure(error.to_string()))
        },
    )
    .named(&["tz"]),
];

fn zone(a: &Arguments<'_, '_>) -> Result<TimeZone, Failure> {
    match a.named("tz").as_text() {
        None => Ok(TimeZone::UTC),
        Some(name) => TimeZone::get(name).map_err(|_| Failure(format!("there is no time zone `{name}`"))),
    }
}

fn parse(a: &Arguments<'_, '_>) -> Result<Value, Failure> {
    let Some(text) = a.text(0) else { return Ok(a.named("default").clone()) };
    let text = text.trim();
    for format in a.positional.iter().skip(1).map(Value::to_text) {
        let moment = if format == "rfc3339" {
            text.parse::<Timestamp>().ok()
        } else {
            strtime::parse(format.as_bytes(), text.as_bytes()).ok().and_then(|broken| {
                if let Ok(moment) = broken.to_timestamp() {
                    return Some(moment);
                }
                let naive = broken
                    .to_datetime()
                    .or_else(|_| broken.to_date().map(|date| date.at(0, 0, 0, 0)))
                    .ok()?;
                Some(naive.to_zoned(zone(a).ok()?).ok()?.timestamp())
            })
        };
        if let Some(moment) = moment {
            return Ok(moment.as_millisecond().into());
        }
    }
    if a.named.iter().any(|(name, _)| name == "default") {
        return Ok(a.named("default").clone());
    }
    Err(Failure(format!("`{text}` is not a time of the given format")))
}
