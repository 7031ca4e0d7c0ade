//! What a response means.
//!
//! First a fixed ladder: no response, 408, 425, 449 and 5xx are tried again, 429 slows down. A class of the mapping
//! can say how long to wait then, not that it means something else. Below 500 the classes decide, then the
//! status, then `ok`.

use bytes::Bytes;
use smol_str::SmolStr;

use super::decode::{decode, text};
use super::duration::millis_of;
use super::transport::TransportError;
use crate::expression::{Env, Failure, Map, Scope, Value};
use crate::message::Fault;
use crate::plan;

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: Vec<(SmolStr, String)>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// A header; names in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What a response means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// The provider took it.
    Success {
        /// The provider's ids.
        ids: Vec<String>,
        /// How long nobody should send, in milliseconds: no more requests remain until then.
        rest: Option<u64>,
    },
    /// Try this message again.
    Retry {
        /// Why.
        fault: Fault,
        /// The shortest wait, in milliseconds.
        after: Option<u64>,
    },
    /// Slow down.
    Throttle {
        /// Why.
        fault: Fault,
        /// The shortest wait, in milliseconds.
        after: Option<u64>,
    },
    /// It will never work.
    Fail {
        /// Why.
        fault: Fault,
    },
    /// It will never work with these credentials: 401 or 403, of which the mapping says nothing.
    Refuse {
        /// What the provider said.
        fault: Fault,
    },
    /// The contact wants no messages.
    OptOut {
        /// Why.
        fault: Fault,
    },
    /// A cached value that the request used is no good any more.
    Reauth {
        /// What the provider said.
        fault: Fault,
    },
    /// The request is to be made once more.
    Redo {
        /// What the provider said.
        fault: Fault,
        /// Other values for names of the step, by slot.
        with: Vec<(usize, Value)>,
    },
}

/// Interprets a response; gives what it returns too: the decoded body, unless the mapping says something else.
pub fn interpret(
    rules: &plan::Response,
    answer: Result<Response, TransportError>,
    env: &mut Env<'_>,
) -> (Meaning, Value) {
    let response = match answer {
        Ok(response) => response,
        Err(error) => {
            let fault = Fault { code: error.code().into(), message: error.to_string() };
            let meaning = match error {
                // The request was never made and never will be, or it was taken and would be doubled.
                TransportError::Forbidden(_) | TransportError::TooLarge | TransportError::FileRefused(_) => {
                    Meaning::Fail { fault }
                }
                _ => Meaning::Retry { fault, after: None },
            };
            return (meaning, Value::Null);
        }
    };
    let text = text(&response);
    let decoded = decode(rules.decode, &response, &text);
    let headers: Map =
        response.headers.iter().map(|(name, value)| (name.clone(), Value::text(value))).collect();
    env.set(Scope::It, decoded.clone());
    env.set(Scope::Root, decoded.clone());
    let scope = [
        ("status", Value::Int(response.status.into())),
        ("headers", Value::Map(headers.folding().into())),
        ("text", Value::from(text.clone())),
    ];
    env.set(Scope::Response, Value::record(scope));
    let header = response.header("retry-after").and_then(|text| retry_after(text, env.now));
    let meaning = judge(rules, &response, header, &text, env).unwrap_or_else(|failure| {
        let fault = Fault { code: "mapping".into(), message: format!("the response: {failure}") };
        // Where the status does not say that the provider refused, sending again could double the message.
        match ladder(response.status, header.is_some()) {
            Some(plan::Meaning::Throttle) => Meaning::Throttle { fault, after: header },
            Some(_) => Meaning::Retry { fault, after: header },
            None => Meaning::Fail { fault },
        }
    });
    match (&rules.returns, &meaning) {
        (Some(template), Meaning::Success { .. }) => match template.eval(env) {
            Ok(value) => (meaning, value),
            // The provider did what was asked, but the mapping does not understand what it said.
            Err(failure) => {
                let message = format!("the response: {failure}");
                (Meaning::Fail { fault: Fault { code: "mapping".into(), message } }, decoded)
            }
        },
        _ => (meaning, decoded),
    }
}

fn judge(
    rules: &plan::Response,
    response: &Response,
    header: Option<u64>,
    text: &str,
    env: &mut Env<'_>,
) -> Result<Meaning, Failure> {
    let mut class = None;
    for candidate in &rules.classes {
        if candidate.when.holds(env)? {
            env.world.reach(candidate);
            class = Some(candidate);
            break;
        }
    }
    let after = match class.and_then(|class| class.after.as_ref()) {
        Some(after) => wait(&after.eval(env)?).or(header),
        None => header,
    };
    let fault = fault(rules, response, text, env)?;
    let quota = rules.quota.as_deref();
    let reset = || quota.and_then(|quota| quota.reset_after(response, env.now));
    Ok(match ladder(response.status, header.is_some()).or(class.map(|class| class.meaning)) {
        Some(plan::Meaning::Throttle) => Meaning::Throttle { fault, after: after.or_else(reset) },
        Some(plan::Meaning::Retry) => Meaning::Retry { fault, after },
        Some(plan::Meaning::Fail) => Meaning::Fail { fault },
        Some(plan::Meaning::OptOut) => Meaning::OptOut { fault },
        Some(plan::Meaning::Reauth) => Meaning::Reauth { fault },
        Some(plan::Meaning::Redo) => {
            let overrides = class.map(|class| class.with.as_slice()).unwrap_or_default();
            let with = overrides.iter().map(|(slot, value)| Ok((*slot, value.eval(env)?)));
            Meaning::Redo { fault, with: with.collect::<Result<_, Failure>>()? }
        }
        None if (200..300).contains(&response.status)
            && rules.ok.as_ref().map_or(Ok(true), |ok| ok.holds(env))? =>
        {
            let rest = quota.and_then(|quota| quota.used_up(response, env.now));
            Meaning::Success { ids: ids(rules, env)?, rest }
        }
        None if matches!(response.status, 401 | 403) => Meaning::Refuse { fault },
        None => Meaning::Fail { fault },
    })
}

/// What a status means whatever the mapping says; none where the mapping decides.
fn ladder(status: u16, says_when: bool) -> Option<plan::Meaning> {
    match status {
        429 => Some(plan::Meaning::Throttle),
        408 | 425 | 449 | 500.. if says_when => Some(plan::Meaning::Throttle),
        408 | 425 | 449 | 500.. => Some(plan::Meaning::Retry),
        _ => None,
    }
}

fn ids(rules: &plan::Response, env: &mut Env<'_>) -> Result<Vec<String>, Failure> {
    let Some(id) = &rules.id else { return Ok(Vec::new()) };
    let value = id.eval(env)?;
    let items = match &value {
        Value::List(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    Ok(items.iter().filter(|item| !item.is_empty()).map(|item| item.to_text().into()).collect())
}

fn fault(
    rules: &plan::Response,
    response: &Response,
    text: &str,
    env: &mut Env<'_>,
) -> Result<Fault, Failure> {
    const LONGEST: usize = 300;
    let mut member = |template: &Option<crate::expression::Template>| match template {
        Some(template) => template.text(env),
        None => Ok(None),
    };
    let code = member(&rules.error_code)?;
    let message = member(&rules.error_message)?;
    let message = message.map_or_else(
        || {
            let start: String = text.trim().chars().take(LONGEST).collect();
            let separator = if start.is_empty() { "" } else { ": " };
            format!("the provider answered {}{separator}{start}", response.status)
        },
        String::from,
    );
    Ok(Fault { code: code.map_or_else(|| response.status.to_string(), String::from), message })
}

/// How long a class says to wait, at most a day, in milliseconds.
fn wait(value: &Value) -> Option<u64> {
    millis_of(value).filter(|millis| *millis <= 86_400_000)
}

/// How long `Retry-After` says to wait, in milliseconds: a number of seconds, or a date (RFC 9110, 10.2.3). Some
/// providers write a fraction too.
pub fn retry_after(text: &str, now: crate::world::Millis) -> Option<u64> {
    const LONGEST: u64 = 24 * 3600 * 1000;
    let text = text.trim();
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(seconds) = text.parse::<f64>()
    {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // not negative; the cast saturates
        return Some(((seconds * 1000.0).ceil() as u64).min(LONGEST));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(u64::try_from(date.saturating_sub(now)).unwrap_or(0).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Condition, Template};

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("3", 0), Some(3000));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770_000), Some(7000));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_999_000), Some(0));
        assert_eq!(retry_after("soon", 0), None);
        assert_eq!(retry_after("0.25", 0), Some(250));
        assert_eq!(retry_after("-1", 0), None);
        assert_eq!(retry_after("inf", 0), None);
        assert_eq!(retry_after("99999999999999", 0), Some(86_400_000));
    }

    #[test]
    fn waits_have_units() {
        assert_eq!(wait(&Value::text("30s")), Some(30_000));
        assert_eq!(wait(&Value::Int(2)), Some(2000));
        assert_eq!(wait(&Value::text("1.5s")), Some(1500));
        assert_eq!(wait(&Value::text("s")), None);
        assert_eq!(wait(&Value::text("-1s")), None);
    }

    fn meaning(answer: Result<u16, TransportError>) -> Meaning {
        let world = crate::world::World::fixed(0, 0);
        // A class that can't be asked: its condition fails.
        let when = crate::expression::parse_template(
            "{{digest 'x' 'none'}}",
            &crate::expression::Names::default(),
            &mut Vec::new(),
        );
        let when = Condition::Truth(Template::Text(when));
        let class = plan::Class { when, meaning: plan::Meaning::Fail, after: None, with: Vec::new() };
        let rules = plan::Response { classes: vec![class], ..plan::Response::default() };
        let response = answer.map(|status| Response { status, ..Response::default() });
        interpret(&rules, response, &mut Env::new(&world)).0
    }

    #[test]
    fn the_fixed_ladder_holds_even_where_the_mapping_fails() {
        for status in [408, 425, 449, 500, 503, 599] {
            assert!(matches!(meaning(Ok(status)), Meaning::Retry { .. }), "{status}");
        }
        assert!(matches!(meaning(Ok(429)), Meaning::Throttle { .. }));
        assert!(matches!(meaning(Ok(200)), Meaning::Fail { .. }));
    }

    #[test]
    fn a_request_is_repeated_only_where_that_can_help() {
        assert!(matches!(meaning(Err(TransportError::Timeout)), Meaning::Retry { .. }));
        assert!(matches!(meaning(Err(TransportError::Forbidden(String::new()))), Meaning::Fail { .. }));
        assert!(matches!(meaning(Err(TransportError::TooLarge)), Meaning::Fail { .. }));
    }
}
