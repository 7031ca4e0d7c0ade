//! Answers that a test prescribes: what, to which requests, how often, from when until when.
//!
//! A script is checked as a whole when it is made, so a stand-in never meets a bad one. The first answer that
//! fits a request and is not used up wins; an answer without a status only delays what the stand-in would
//! have answered by itself.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use handlebars::Handlebars;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::http;

const ANSWERS: usize = 10_000;
const TEMPLATE: usize = 64 << 10;
const TAGS: usize = 200;
const LONGEST: f64 = 86_400.0;

/// One prescribed answer, as a test writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// Only for this method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only for this path and query, or whole URL; `*` stands for anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Only for bodies that hold this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    /// Status; without one, and without a body, only the delay applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// A JSON body, whose texts may be templates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// A body of any other kind, which may be a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How often it is used: once where this is left out, without end where `from` or `until` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Seconds to wait before answering.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
    /// Never answers: the caller has to give up.
    pub timeout: bool,
    /// Breaks the connection off instead of answering.
    pub hangup: bool,
    /// Takes what came all the same; only the answer is another.
    pub taken: bool,
    /// Only from this many seconds after the script was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<f64>,
    /// Only until this many seconds after the script was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
}

/// Why a script can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("answer {number}: {problem}")]
pub struct ScriptError {
    /// Which answer, counted from 1; 0 is the default answer.
    pub number: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// A checked script at work.
#[derive(Default)]
pub struct Script {
    rules: Vec<Rule>,
    default: Option<Rule>,
    since: Option<Instant>,
}

struct Rule {
    answer: Answer,
    left: Option<u64>,
    delay: Duration,
    from: Duration,
    until: Option<Duration>,
    reply: Option<Reply>,
}

#[derive(Clone)]
struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Text,
}

#[derive(Clone)]
enum Text {
    Fixed(bytes::Bytes),
    Template(std::sync::Arc<Handlebars<'static>>),
}

/// What a request looks like to a script.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// HTTP method.
    pub method: &'a Method,
    /// Path and query.
    pub url: &'a str,
    /// The `Host` header.
    pub host: &'a str,
    /// Raw body.
    pub body: &'a [u8],
}

/// What a script prescribes for one request.
#[derive(Clone)]
pub struct Prescribed {
    /// To wait before anything is answered.
    pub delay: Duration,
    /// What comes then.
    pub what: What,
    /// Whether what came is taken.
    pub taken: bool,
}

/// The ways to treat a caller.
#[derive(Clone)]
pub enum What {
    /// As the stand-in would.
    Usual,
    /// This answer.
    Reply(PreparedReply),
    /// Nothing, ever.
    Silence,
    /// A broken connection.
    Hangup,
}

/// An answer whose body may still have to be filled in.
#[derive(Clone)]
pub struct PreparedReply(Reply);

impl Script {
    /// A script of these answers, whose clock starts at `now`; `default` is for requests that no answer fits.
    pub fn new(answers: Vec<Answer>, default: Option<Answer>, now: Instant) -> Result<Self, ScriptError> {
        if answers.len() > ANSWERS {
            return Err(ScriptError {
                number: answers.len(),
                problem: format!("more than {ANSWERS} answers"),
            });
        }
        let rules = answers
            .into_iter()
            .zip(1..)
            .map(|(answer, number)| Rule::new(answer).map_err(|problem| ScriptError { number, problem }))
            .collect::<Result<_, _>>()?;
        let default =
            default.map(Rule::new).transpose().map_err(|problem| ScriptError { number: 0, problem })?;
        Ok(Self { rules, default, since: Some(now) })
    }

    /// A script out of JSON: one answer, a list of answers, or `{"answers": [...], "default": {...}}`.
    pub fn from_json(json: &[u8], now: Instant) -> Result<Self, ScriptError> {
        #[derive(Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Whole {
            answers: Vec<Answer>,
            default: Option<Answer>,
        }
        let bad = |error: serde_json::Error| ScriptError { number: 0, problem: error.to_string() };
        let value: Value = serde_json::from_slice(json).map_err(bad)?;
        let whole = if value.is_array() {
            Whole { answers: serde_json::from_value(value).map_err(bad)?, default: None }
        } else if value.get("answers").is_some() || value.get("default").is_some() {
            serde_json::from_value(value).map_err(bad)?
        } else {
            Whole { answers: vec![serde_json::from_value(value).map_err(bad)?], default: None }
        };
        Self::new(whole.answers, whole.default, now)
    }

    /// What applies to this request at `now`; uses the answer up by one.
    pub fn next(&mut self, asked: Asked<'_>, now: Instant) -> Option<Prescribed> {
        let age = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let rule = self.rules.iter_mut().find(|rule| rule.fits(asked, age)).or(self.default.as_mut())?;
        if let Some(left) = &mut rule.left {
            *left = left.saturating_sub(1);
        }
        let what = match &rule.reply {
            _ if rule.answer.timeout => What::Silence,
            _ if rule.answer.hangup => What::Hangup,
            Some(reply) => What::Reply(PreparedReply(reply.clone())),
            None => What::Usual,
        };
        Some(Prescribed { delay: rule.delay, what, taken: rule.answer.taken })
    }

    /// Answers that could still be used, besides the default.
    pub fn left(&self, now: Instant) -> usize {
        let age = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let open = |rule: &&Rule| rule.left != Some(0) && rule.until.is_none_or(|until| age < until);
        self.rules.iter().filter(open).count()
    }
}

impl PreparedReply {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    /// Whether [`PreparedReply::fill`] looks at its data.
    pub fn is_template(&self) -> bool {
        matches!(self.0.body, Text::Template(_))
    }

    /// The answer, with `data` in its template.
    pub fn fill(&self, data: &Value) -> Response {
        let body = match &self.0.body {
            Text::Fixed(bytes) => Body::from(bytes.clone()),
            Text::Template(template) => match template.render("body", data) {
                Ok(text) => Body::from(text),
                Err(error) => {
                    let message = format!("the template of the prescribed answer failed: {error}");
                    return http::error_answer(StatusCode::INTERNAL_SERVER_ERROR, &message);
                }
            },
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.0.status;
        for (name, value) in &self.0.headers {
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}

impl Rule {
    fn new(answer: Answer) -> Result<Self, String> {
        let seconds = |name: &str, seconds: Option<f64>| match seconds {
            None => Ok(None),
            Some(number) if (0.0..=LONGEST).contains(&number) => Ok(Some(Duration::from_secs_f64(number))),
            Some(number) => Err(format!("`{name}` is {number}, not a number of seconds up to a day")),
        };
        let (delay, from) = (seconds("delay", answer.delay)?, seconds("from", answer.from)?);
        let until = seconds("until", answer.until)?;
        let endless = from.is_some() || until.is_some();
        Ok(Self {
            left: answer.times.or(if endless { None } else { Some(1) }),
            delay: delay.unwrap_or_default(),
            from: from.unwrap_or_default(),
            until,
            reply: Reply::new(&answer)?,
            answer,
        })
    }

    fn fits(&self, asked: Asked<'_>, age: Duration) -> bool {
        let wanted = &self.answer;
        self.left != Some(0)
            && age >= self.from
            && self.until.is_none_or(|until| age < until)
            && wanted.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(asked.method.as_str()))
            && wanted.url.as_deref().is_none_or(|glob| {
                let whole = format!("http://{}{}", asked.host, asked.url);
                matches(glob, asked.url) || matches(glob, &whole)
            })
            && wanted.contains.as_deref().is_none_or(|text| holds(asked.body, text.as_bytes()))
    }
}

impl Reply {
    fn new(answer: &Answer) -> Result<Option<Self>, String> {
        if answer.status.is_none() && answer.json.is_none() && answer.body.is_none() {
            return Ok(None);
        }
        let number = answer.status.unwrap_or(200);
        let status = StatusCode::from_u16(number)
            .ok()
            .filter(|_| (200..600).contains(&number))
            .ok_or_else(|| format!("`status` is {number}, not 200 to 599"))?;
        let mut headers = Vec::new();
        for (name, value) in &answer.headers {
            let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` can't be a header"))?;
            let value =
                HeaderValue::try_from(value).map_err(|_| format!("header `{name}` has an illegal value"))?;
            headers.push((name, value));
        }
        let body = match (&answer.json, &answer.body) {
            (Some(_), Some(_)) => return Err("give `json` or `body`, not both".into()),
            (Some(json), None) => {
                if !answer.headers.keys().any(|name| name.eq_ignore_ascii_case("content-type")) {
                    let json = HeaderValue::from_static("application/json");
                    headers.push((axum::http::header::CONTENT_TYPE, json));
                }
                Text::new(serde_json::to_string(json).unwrap_or_default(), json_escape)?
            }
            (None, body) => Text::new(body.clone().unwrap_or_default(), handlebars::no_escape)?,
        };
        Ok(Some(Self { status, headers, body }))
    }
}

impl Text {
    fn new(text: String, escape: fn(&str) -> String) -> Result<Self, String> {
        let tags = text.matches("{{").count();
        if tags == 0 {
            return Ok(Self::Fixed(text.into()));
        }
        if tags > TAGS || text.len() > TEMPLATE {
            return Err(format!("a template has at most {TAGS} tags and {TEMPLATE} bytes"));
        }
        let mut registry = Handlebars::new();
        registry.register_escape_fn(escape);
        registry.register_template_string("body", text).map_err(|error| error.to_string())?;
        Ok(Self::Template(registry.into()))
    }
}

/// What a template of an answer can name: `id` (new for every answer), `n`, `method`, `path`, `query`, `json`,
/// `form`.
pub fn template_data(asked: Asked<'_>, id: &str, n: u64) -> Value {
    let (path, query) = asked.url.split_once('?').unwrap_or((asked.url, ""));
    let pairs = |text: &[u8]| -> HashMap<String, String> {
        url::form_urlencoded::parse(text).take(1000).map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
    };
    let json = serde_json::from_slice::<Value>(asked.body).ok();
    let form = if json.is_none() { pairs(asked.body) } else { HashMap::new() };
    json!({
        "id": id,
        "n": n,
        "method": asked.method.as_str(),
        "path": path,
        "query": pairs(query.as_bytes()),
        "json": json,
        "form": form,
    })
}

fn json_escape(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// Whether `text` fits `glob`, in which `*` stands for anything.
fn matches(glob: &str, text: &str) -> bool {
    let Some((start, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let Some((middle, end)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = text.get(at + part.len()..).unwrap_or_default();
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(json: &Value) -> Script {
        Script::from_json(json.to_string().as_bytes(), Instant::now()).unwrap()
    }

    fn status(script: &mut Script, url: &str, after: f64) -> Option<u16> {
        let now = script.since.unwrap() + Duration::from_secs_f64(after);
        let asked = Asked { method: &Method::POST, url, host: "localhost:1", body: b"hello c1-1" };
        match script.next(asked, now)?.what {
            What::Reply(reply) => Some(reply.status()),
            _ => Some(0),
        }
    }

    #[test]
    fn the_first_unused_answer_that_fits_wins_and_the_default_stays() {
        let mut script = script(&json!({
            "answers": [{"url": "/a*", "status": 500}, {"status": 429, "times": 2}],
            "default": {"status": 200},
        }));
        let got: Vec<_> = ["/a?x=1", "/a", "/b", "/b", "/a"].map(|url| status(&mut script, url, 0.0)).into();
        assert_eq!(got, [500, 429, 429, 200, 200].map(Some));
    }

    #[test]
    fn answers_switch_with_time() {
        let mut script =
            script(&json!([{"status": 500, "until": 20}, {"status": 429, "from": 20, "until": 23}]));
        let got: Vec<_> = [0.0, 19.9, 20.0, 22.0, 23.0].map(|at| status(&mut script, "/", at)).into();
        assert_eq!(got, [Some(500), Some(500), Some(429), Some(429), None]);
    }

    #[test]
    fn answers_can_choose_by_method_body_and_whole_url() {
        let mut script = script(&json!([
            {"method": "GET", "status": 201},
            {"contains": "c2-", "status": 202},
            {"url": "https://*", "status": 203},
            {"url": "http://localhost:1/*/messages", "contains": "c1-", "status": 204},
        ]));
        assert_eq!(status(&mut script, "/v1/messages", 0.0), Some(204));
        assert_eq!(status(&mut script, "/v1/messages", 0.0), None);
    }

    #[test]
    fn a_bad_script_is_refused_as_a_whole() {
        for bad in [
            json!({"status": 99}),
            json!({"status": 200, "delay": -1}),
            json!({"headers": {"a b": "c"}, "status": 200}),
            json!({"json": {}, "body": ""}),
            json!({"stauts": 200}),
            json!({"body": "{{#if}}"}),
        ] {
            assert!(Script::from_json(bad.to_string().as_bytes(), Instant::now()).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn templates_fill_in_and_stay_json() {
        let mut script = script(&json!({"json": {"data": {"id": "{{id}}", "to": "{{json.to}}"}}}));
        let body = br#"{"to":"a \"b\" <c>"}"#;
        let asked = Asked { method: &Method::POST, url: "/m?x=y", host: "", body };
        let Some(Prescribed { what: What::Reply(reply), .. }) = script.next(asked, Instant::now()) else {
            panic!("no reply")
        };
        let response = reply.fill(&template_data(asked, "id-1", 1));
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json, json!({"data": {"id": "id-1", "to": "a \"b\" <c>"}}));
    }

    #[test]
    fn globs_match_as_people_expect() {
        for (glob, text, fits) in [
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("*", "", true),
            ("/a*c", "/abc", true),
            ("/a*c", "/ab", false),
            ("*/x/*/y*", "h/x/1/y?q", true),
            ("*ab*b", "ab", false),
        ] {
            assert_eq!(matches(glob, text), fits, "{glob} {text}");
        }
    }
}
