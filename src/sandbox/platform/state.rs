//! What an IS-Messenger stand-in knows, and its verdict on a request.
//!
//! A verdict is reached under one lock, so counts, ids and order agree with each other.

use std::collections::{BTreeMap, HashMap, VecDeque};

use axum::http::{HeaderMap, Method, StatusCode, request::Parts};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::options::{Channel, Options};
use super::rules::{self, Passed, What};
use super::sent::{SentMessages, SentStats, StatusAt};
use crate::sandbox::http;
use crate::sandbox::recording::{Recording, Verdict};
use crate::sandbox::script::Script;
use crate::sandbox::seen::{Before, Seen};
use crate::sandbox::sequences::{SequenceStats, Sequences};
use crate::sandbox::window::Window;
use crate::world::Millis;

const INBOX: usize = 200;

/// A message that the platform took, for people to look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inbound {
    /// The message id that the gateway gave.
    #[serde(rename = "mId")]
    pub mid: String,
    /// From whom.
    pub contact: String,
    /// What it says, in a few words.
    pub text: String,
    /// Whether the business sent it, from elsewhere.
    pub echo: bool,
    /// When it arrived.
    pub at: Millis,
}

/// What an IS-Messenger stand-in counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Requests to the webhook, whatever became of them.
    pub requests: u64,
    /// The most of them in any sliding second.
    pub max_in_any_second: usize,
    /// Mean requests a second between the first and the last.
    pub per_second: f64,
    /// Requests by what became of them.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Requests by the status of the answer; 0 where none was given.
    pub by_status: BTreeMap<u16, u64>,
    /// Messages taken, each once.
    pub messages: u64,
    /// Echoes taken, each once.
    pub echoes: u64,
    /// Messages and echoes whose id had been taken before.
    pub duplicates: u64,
    /// Those among them that said something else than the first: a fault of the gateway.
    pub conflicting_duplicates: u64,
    /// Ids that were forgotten for room; above 0, `duplicates` is a lower bound.
    pub ids_forgotten: u64,
    /// Numbered texts, per contact; each counts when it is taken for the first time.
    pub order: SequenceStats,
    /// By Channel ID.
    pub channels: BTreeMap<String, ChannelStats>,
    /// Messages of the other direction.
    pub sent: SentStats,
    /// Prescribed answers that are not used up.
    pub script_left: usize,
}

/// What was counted for one channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelStats {
    /// Requests that named it.
    pub requests: u64,
    /// The most of them in any sliding second.
    pub max_in_any_second: usize,
    /// How often the rate limit was hit.
    pub limited: u64,
    /// The shortest time, in milliseconds, in which one request more than the limit arrived.
    pub closest_ms: Option<f64>,
    /// Mean requests a second between the first and the last.
    pub per_second: f64,
}

/// What a request comes to.
pub struct Judged {
    /// What became of it.
    pub verdict: Verdict,
    /// Status of the answer.
    pub status: StatusCode,
    /// Every problem, for the sender.
    pub problems: Vec<String>,
    /// Seconds, for `Retry-After`.
    pub retry_after: Option<u32>,
}

/// All that changes.
#[derive(Default)]
pub struct State {
    pub recording: Recording,
    pub script: Script,
    pub sent: SentMessages,
    pub inbox: VecDeque<Inbound>,
    arrivals: Window,
    channels: HashMap<String, Lane>,
    seen: Seen,
    sequences: Sequences,
    messages: u64,
    echoes: u64,
    duplicates: u64,
    conflicts: u64,
}

#[derive(Default)]
struct Lane {
    arrivals: Window,
    admitted: Window,
    limited: u64,
}

impl State {
    /// Nothing received yet.
    pub fn new(options: &Options) -> Self {
        let lane =
            |channel: &Channel| Lane { arrivals: Window::with_limit(channel.limit), ..Lane::default() };
        Self {
            recording: Recording::new(options.keep),
            channels: options.channels.iter().map(|(id, channel)| (id.clone(), lane(channel))).collect(),
            ..Self::default()
        }
    }

    /// Counts an arrival; `body` is null where it is not JSON.
    pub fn arrive(&mut self, body: &Value, arrived: Instant) {
        self.arrivals.arrive(arrived);
        if let Some(lane) = http::text_of(body, "channelId").and_then(|id| self.channels.get_mut(id)) {
            lane.arrivals.arrive(arrived);
        }
    }

    /// The verdict by the contract. What passes is taken.
    pub fn judge(
        &mut self,
        options: &Options,
        parts: &Parts,
        body: &serde_json::Result<Value>,
        arrived: Instant,
        now: Millis,
    ) -> Judged {
        let judged = self.admit(options, parts, body, arrived).and_then(|(id, channel, body)| {
            let passed = rules::check(body, channel, now).map_err(Judged::refused)?;
            self.take(id, passed, now)
        });
        judged.unwrap_or_else(|refused| refused)
    }

    fn admit<'a>(
        &mut self,
        options: &'a Options,
        parts: &Parts,
        body: &'a serde_json::Result<Value>,
        arrived: Instant,
    ) -> Result<(&'a str, &'a Channel, &'a Value), Judged> {
        if parts.uri.path() != options.path {
            let problem = format!("there is nothing here; the webhook is POST {}", options.path);
            return Err(Judged::because(StatusCode::NOT_FOUND, problem));
        }
        if parts.method != Method::POST {
            return Err(Judged::because(StatusCode::METHOD_NOT_ALLOWED, "the webhook takes POST".into()));
        }
        let unauthorized = |problem: &str| Judged::because(StatusCode::UNAUTHORIZED, problem.into());
        let token = http::bearer(&parts.headers)
            .ok_or_else(|| unauthorized("`Authorization: Bearer <API Token>` is missing"))?;
        if !options.channels.values().any(|channel| channel.token == token) {
            return Err(unauthorized("the API Token is not known"));
        }
        let bad = |problem: String| Judged::because(StatusCode::BAD_REQUEST, problem);
        if !is_json(&parts.headers) {
            return Err(bad("`Content-Type` must be application/json".into()));
        }
        let body = body.as_ref().map_err(|error| bad(format!("the body is not JSON: {error}")))?;
        let id = http::text_of(body, "channelId").ok_or_else(|| bad("channelId: is required".into()))?;
        let Some((id, channel)) = options.channels.get_key_value(id) else {
            return Err(Judged::because(
                StatusCode::NOT_FOUND,
                format!("channelId: there is no channel {id}"),
            ));
        };
        if channel.token != token {
            return Err(unauthorized("the API Token is not that of this channel"));
        }
        if let (Some(limit), Some(lane)) = (channel.limit, self.channels.get_mut(id)) {
            if lane.admitted.within(arrived) >= usize::try_from(limit).unwrap_or(usize::MAX) {
                lane.limited += 1;
                return Err(Judged {
                    verdict: Verdict::Limited,
                    status: StatusCode::TOO_MANY_REQUESTS,
                    problems: vec![format!("more than {limit} requests in one second")],
                    retry_after: Some(1),
                });
            }
            lane.admitted.arrive(arrived);
        }
        Ok((id, channel, body))
    }

    fn take(&mut self, channel: &str, passed: Passed, now: Millis) -> Result<Judged, Judged> {
        for event in &passed.events {
            if matches!(event.what, What::Status { .. }) && self.seen.holds(channel, &event.mid) {
                let problem = format!("{} is the id of an inbound message, which has no status", event.mid);
                return Err(Judged::because(StatusCode::BAD_REQUEST, problem));
            }
        }
        let (mut fresh, mut repeated) = (0, 0);
        for event in passed.events {
            match event.what {
                What::Status { value, reason } => {
                    fresh += 1;
                    self.sent.status(&event.mid, StatusAt { value, at: now, reason });
                }
                What::Message { echo, content } => {
                    if self.take_message(channel, &passed.contact_id, &event.mid, echo, &content, now) {
                        fresh += 1;
                    } else {
                        repeated += 1;
                    }
                }
            }
        }
        let verdict = if fresh == 0 && repeated > 0 { Verdict::Duplicate } else { Verdict::Accepted };
        Ok(Judged { verdict, status: StatusCode::OK, problems: Vec::new(), retry_after: None })
    }

    /// Whether the message is new.
    fn take_message(
        &mut self,
        channel: &str,
        contact: &str,
        mid: &str,
        echo: bool,
        content: &Value,
        now: Millis,
    ) -> bool {
        let whole = format!("{contact} {echo} {content}");
        let before = self.seen.look(channel, mid, &whole);
        if before != Before::Never {
            self.duplicates += 1;
            self.conflicts += u64::from(before == Before::Different);
            return false;
        }
        self.seen.take(channel, mid, &whole);
        if echo {
            self.echoes += 1;
        } else {
            self.messages += 1;
        }
        let text = rules::describe(content);
        self.sequences.note(contact, text.as_bytes());
        self.inbox.push_back(Inbound { mid: mid.into(), contact: contact.into(), text, echo, at: now });
        if self.inbox.len() > INBOX {
            self.inbox.pop_front();
        }
        true
    }

    /// What was counted so far.
    pub fn stats(&self, now: Instant) -> Stats {
        let lane = |lane: &Lane| ChannelStats {
            requests: lane.arrivals.count(),
            max_in_any_second: lane.arrivals.most(),
            limited: lane.limited,
            closest_ms: lane.arrivals.closest().map(|closest| closest.as_secs_f64() * 1000.0),
            per_second: lane.arrivals.per_second(),
        };
        Stats {
            requests: self.arrivals.count(),
            max_in_any_second: self.arrivals.most(),
            per_second: self.arrivals.per_second(),
            verdicts: self.recording.verdicts().clone(),
            by_status: self.recording.statuses().clone(),
            messages: self.messages,
            echoes: self.echoes,
            duplicates: self.duplicates,
            conflicting_duplicates: self.conflicts,
            ids_forgotten: self.seen.forgotten(),
            order: self.sequences.stats(),
            channels: self.channels.iter().map(|(id, one)| (id.clone(), lane(one))).collect(),
            sent: self.sent.stats().clone(),
            script_left: self.script.left(now),
        }
    }
}

impl Judged {
    fn refused(problems: Vec<String>) -> Self {
        Self { verdict: Verdict::Refused, status: StatusCode::BAD_REQUEST, problems, retry_after: None }
    }

    fn because(status: StatusCode, problem: String) -> Self {
        Self { status, ..Self::refused(vec![problem]) }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        let mime = value.split(';').next().unwrap_or_default().trim();
        mime.eq_ignore_ascii_case("application/json")
    })
}
