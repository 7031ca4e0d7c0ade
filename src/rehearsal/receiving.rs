//! A webhook, offline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use smol_str::SmolStr;

use super::kept::{Kept, shown};
use super::sending::request_json;
use super::stage::Stage;
use crate::call::Scripted;
use crate::expression::Value;
use crate::memory::Remember;
use crate::message::{Event, EventKind};
use crate::pipeline::{
    CallProgress, Incoming, Late, Making, NoRoute, Origin, Reply, Routed, Site, Trace, Verdict, find_route,
};
use crate::platform::request_body;
use crate::store::StatusSet;

/// What a webhook came to.
pub struct Rehearsed {
    /// As `dry-run --format json` shows it.
    pub json: Value,
    /// What each stage made.
    pub trace: Trace,
}

/// Takes a webhook through all stages. `provider` answers the calls that events need, `kept` stands for the store.
pub fn receive(
    stage: &Stage<'_>,
    shared: bool,
    request: &Incoming,
    provider: &Scripted,
    kept: &mut Kept,
) -> Rehearsed {
    let route = find_route(stage.plan, shared, &request.method, &request.route);
    let mut trace = Some(Trace::default());
    let called = provider.requests().len();
    let route = match route {
        Ok(route) => route,
        Err(problem) => {
            let status = if matches!(problem, NoRoute::Path { .. }) { 404 } else { 405 };
            let reason = problem.to_string();
            let json = result(
                &Reply::error(status, &reason),
                Verdict::Rejected,
                Some(&reason),
                Consequences::default(),
            );
            return Rehearsed { json, trace: Trace::default() };
        }
    };
    let shared = route.webhook.shared;
    let received = crate::pipeline::receive(&site(stage, shared), route, request, &mut trace);
    let mut events = Vec::new();
    let mut requests = Vec::new();
    let mut reason = received.reason.clone();
    kept.remember(&received.remember);
    let mut changes = received.remember;
    for routed in &received.events {
        let (mut event, is_held) = match &routed.terms.deferred {
            Some(place) => {
                let origin =
                    Origin { site: site(stage, shared), shared, request, place, known: &routed.event };
                whole(stage, origin, provider, kept, (&mut reason, &mut changes))
            }
            None => (routed.event.clone(), false),
        };
        stage.link(&mut event);
        events.push(event_json(&event));
        if is_held {
            continue;
        }
        deliver(stage, routed, &event, kept, (&mut requests, &mut reason, &mut changes));
    }
    let calls = provider.requests().iter().skip(called).map(request_json).collect();
    let polls = received
        .polls
        .iter()
        .map(|poked| Value::map([("poll", Value::Text(poked.poll.clone())), ("with", poked.with.clone())]));
    let polls = polls.collect();
    let consequences = Consequences { events, polls, requests, calls, remembered: shown(&changes) };
    let json = result(&received.reply, received.verdict, reason.as_deref(), consequences);
    Rehearsed { json, trace: trace.unwrap_or_default() }
}

/// An event as `dry-run` shows it.
pub(super) fn event_json(event: &Event) -> Value {
    serde_json::to_vec(event).ok().and_then(|json| Value::from_json(&json).ok()).unwrap_or_default()
}

/// Takes an event, as a whole, as far as the platform: gives the requests, why there are none, and what is remembered.
pub(super) fn deliver(
    stage: &Stage<'_>,
    routed: &Routed,
    event: &Event,
    kept: &mut Kept,
    (requests, reason, changes): (&mut Vec<Value>, &mut Option<String>, &mut Vec<Remember>),
) {
    let is_message = matches!(event.kind, EventKind::Message | EventKind::MessageEcho);
    let piece = routed.terms.piece.as_ref().map(|piece| format!("|{}|{}", piece.key, piece.index));
    let key = format!("{}|{}{}", routed.channel, event.id, piece.unwrap_or_default());
    if is_message && !kept.is_new(key) {
        reason.get_or_insert_with(|| format!("`{}` was received before", event.id));
        return;
    }
    kept.remember(&routed.terms.remember);
    changes.extend(routed.terms.remember.iter().cloned());
    if let Some(id) = routed.terms.unless_sent.as_ref().filter(|id| kept.is_ours(id)) {
        reason.get_or_insert_with(|| format!("we sent `{id}` ourselves"));
        return;
    }
    let posted = match (&routed.terms.piece, event.up_to) {
        (Some(piece), _) => match kept.piece(piece, event) {
            Some(whole) => vec![whole],
            None => {
                reason.get_or_insert_with(|| format!("`{}` waits for its other pieces", event.id));
                return;
            }
        },
        (None, Some(moment)) => kept.up_to(event, moment),
        (None, None) => vec![event.clone()],
    };
    for event in &posted {
        post(stage, event, requests, reason);
    }
}

fn site<'s>(stage: &'s Stage<'_>, shared: bool) -> Site<'s> {
    Site {
        plan: stage.plan,
        channel: (!shared).then_some(&*stage.channel),
        deployment: &stage.channel.deployment,
        directory: stage,
        world: &stage.world,
    }
}

/// An event as a whole: what is looked up when it is delivered is looked up here. Whether it is held back for now,
/// to be tried again, is the second.
fn whole<'s>(
    stage: &'s Stage<'_>,
    origin: Origin<'s>,
    provider: &Scripted,
    kept: &mut Kept,
    (reason, changes): (&mut Option<String>, &mut Vec<Remember>),
) -> (Event, bool) {
    let memory = kept.memory(&origin.known.contact.id, stage.world.now());
    let mut late = Late::new(origin, &stage.channel, memory, CallProgress::default(), stage.calls.clone());
    let (whole, is_held) = loop {
        match late.step() {
            Making::Request(request) => late.answer(provider.answer(&request)),
            Making::Whole(whole) => {
                let is_held = whole.is_refused;
                break (*whole, is_held);
            }
            Making::Wait(key) => break (late.without_calls(&format!("nobody makes the call {key}")), false),
            Making::Ended(outcome) => {
                let why = outcome.fault().map_or_else(|| "a call wants to wait".into(), ToString::to_string);
                break (late.without_calls(&why), true);
            }
        }
    };
    kept.remember(late.remembered());
    changes.extend_from_slice(late.remembered());
    if let Some(problem) = whole.problem {
        reason.get_or_insert(if is_held {
            format!("held back, to be tried again: {problem}")
        } else {
            problem
        });
    }
    (whole.event, is_held)
}

/// The request that posts an event, if the platform is told of it.
fn post(stage: &Stage<'_>, event: &Event, requests: &mut Vec<Value>, reason: &mut Option<String>) {
    // The gateway posts a status only of a message that it knows, and `sent` only where a channel asks for it.
    let is_news = event.status.is_none_or(|status| StatusSet::default().contains(status));
    if !is_news || (event.kind == EventKind::MessageStatus && event.contact.id.is_empty()) {
        return;
    }
    match request_body(&stage.platform, event) {
        Ok(Some(body)) => requests.push(Stage::platform_request(body)),
        Ok(None) => {}
        Err(problem) => {
            reason.get_or_insert_with(|| problem.to_string());
        }
    }
}

/// What a webhook comes to behind its answer.
#[derive(Default)]
struct Consequences {
    events: Vec<Value>,
    polls: Vec<Value>,
    requests: Vec<Value>,
    calls: Vec<Value>,
    remembered: Option<Value>,
}

fn result(reply: &Reply, verdict: Verdict, reason: Option<&str>, consequences: Consequences) -> Value {
    let Consequences { events, polls, requests, calls, remembered } = consequences;
    let headers = reply.headers.iter().map(|(name, value)| (SmolStr::new(name), Value::text(value)));
    let members = [
        (
            "reply",
            Value::map([
                ("status", Value::Int(reply.status.into())),
                ("headers", Value::map(headers)),
                ("body", Value::text(String::from_utf8_lossy(&reply.body))),
            ]),
        ),
        ("verdict", Value::text(verdict.as_str())),
        ("reason", reason.map_or(Value::Null, Value::text)),
        ("events", Value::list(events)),
        ("platform_requests", Value::list(requests)),
        ("calls", Value::list(calls)),
    ];
    // A member that most mappings have no use for is there only where it says something.
    let polls = (!polls.is_empty()).then(|| ("polls", Value::list(polls)));
    Value::map(members.into_iter().chain(remembered.map(|changes| ("remembered", changes))).chain(polls))
}

/// A request as `dry-run --receive` describes it, and whether it is for a shared route.
pub fn request_of(stage: &Stage<'_>, given: &Value) -> Result<(bool, Incoming), String> {
    let text = |name: &str| given.get(name).to_text().to_string();
    let address = if given.get("url").is_empty() { text("path") } else { text("url") };
    let (address, query_in_url) = address.split_once('?').map_or((address.as_str(), ""), |(a, q)| (a, q));
    let absolute = address.contains("://");
    let path = address
        .split_once("://")
        .map_or(address, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
    let method =
        if given.get("method").is_empty() { "POST".to_string() } else { text("method").to_uppercase() };
    let query = match given.get("query") {
        Value::Null => query_in_url.to_string(),
        Value::Map(map) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in map.iter() {
                match value {
                    Value::List(items) => items.iter().for_each(|item| {
                        query.append_pair(name, &item.to_text());
                    }),
                    one => {
                        query.append_pair(name, &one.to_text());
                    }
                }
            }
            query.finish()
        }
        other => other.to_text().trim_start_matches('?').to_string(),
    };
    let below = |prefix: &str| path.strip_prefix(prefix)?.split_once('/').map(|(_, route)| route.to_string());
    let (shared, route) = if let Some(route) = below("/channels/") {
        (false, route)
    } else if let Some(route) = below("/providers/") {
        (true, route)
    } else {
        let route = path.trim_matches('/').to_string();
        let own = find_route(stage.plan, false, &method, &route).is_err();
        (own && find_route(stage.plan, true, &method, &route).is_ok(), route)
    };
    let url = if absolute { address.to_string() } else { stage.url(shared, &route) };
    let url = if query.is_empty() { url } else { format!("{url}?{query}") };
    let body = match given.get("body_base64") {
        Value::Null => given.get("body").to_bytes(),
        encoded => Bytes::from(
            STANDARD.decode(encoded.to_text().as_bytes()).map_err(|error| format!("body_base64: {error}"))?,
        ),
    };
    let headers = given.get("headers").as_map().map(|map| {
        map.iter().map(|(name, value)| (SmolStr::new(name.to_lowercase()), value.to_text())).collect()
    });
    let headers = headers.unwrap_or_default();
    let ip = text("ip");
    Ok((shared, Incoming { method: method.into(), url, route, query, headers, body, ip }))
}

impl Stage<'_> {
    /// The public URL of a route.
    pub(super) fn url(&self, shared: bool, route: &str) -> String {
        if shared {
            format!("{}/providers/{}/{route}", self.public_url, self.plan.name)
        } else {
            format!("{}/channels/{}/{route}", self.public_url, self.channel.name)
        }
    }
}
